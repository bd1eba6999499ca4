//! The token endpoint: `client_credentials` with `private_key_jwt` (G3, G3b), refresh, and what 100,000 live grants change.
//!
//! Assertions are signed ahead and each is sent once; a run that meets one twice, or any other refusal, fails.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::Wanted;
use super::load_generator::{LoadGenerator, Place, Run};
use super::process::{self, Core, Server};
use super::report::{Bound, Report, Target};
use super::statistics::ratios;
use super::workshop::{Workshop, free_ports};
use crate::run;

/// Seconds of one run with assertions, and the assertions made for it.
const SECONDS: u32 = 3;
const ASSERTIONS: usize = 12_000;
/// Those for the peer, which is slower.
const PEER_ASSERTIONS: usize = 4_000;
/// Seconds for which the peer works before the first round: Node compiles what it runs often while it runs, and its first seconds cost half as much again
/// as the later ones. And the assertions for that.
const PEER_WARMING_SECONDS: u32 = 12;
const PEER_WARMING_ASSERTIONS: usize = 4 * PEER_ASSERTIONS;
/// Seconds of one run of refreshes, and the grants made for it.
const REFRESH_SECONDS: u32 = 1;
const REFRESHES: usize = 8_000;
/// Live grants of the store that has many.
const MANY: usize = 100_000;
/// Repetitions of the bare cryptography.
const BARE: &str = "1000";
/// The demo's clients: the one that signs, and the one with a secret.
pub const SIGNING: &str = "demo-backend";
const REFRESHING: &str = "demo-confidential";
/// How long the peer may take to start.
const STARTING: Duration = Duration::from_secs(60);
/// The shortest answer that holds a token.
const LEAST_BYTES: usize = 300;
/// The peer, and the package that it needs.
const PEER_SCRIPT: &str = include_str!("peers/token_issuer.mjs");
const PEER_PACKAGE: &str = include_str!("peers/package.json");

/// A token endpoint with what is needed to ask it.
struct Endpoint {
    server: Server,
    place: Place,
    audience: String,
    /// The private JWK Set.
    keys: String,
    /// The certificate to trust.
    authority: PathBuf,
    /// Credentials of the client that refreshes.
    basic: String,
    /// Bodies that refresh, as many files as rounds.
    refreshes: Vec<PathBuf>,
}

impl Endpoint {
    /// A demo to which grants were added: those that the rounds use, and so many more.
    fn demo(workshop: &Workshop, directory: &str, rounds: usize, more: usize) -> Result<Self> {
        workshop.copy_small(directory)?;
        let database = workshop.path(directory).join("portcullis.db").display().to_string();
        let grants = |count: usize, name: &str| -> Result<PathBuf> {
            let file = workshop.path(&format!("{directory}-{name}"));
            workshop.harness(&["grants", &database, REFRESHING, &count.to_string(), &file.display().to_string()])?;
            Ok(file)
        };
        let refreshes = (0..rounds).map(|round| grants(REFRESHES, &format!("refresh-{round}"))).collect::<Result<Vec<_>>>()?;
        if more > 0 {
            grants(more, "more")?;
        }
        let (server, person, port) = workshop.demo(directory, "demo of the token endpoint")?;
        let root = workshop.path(directory);
        let description: Value = serde_json::from_slice(&fs::read(root.join("demo.json"))?)?;
        let clients = description.get("clients").and_then(Value::as_array).context("demo.json has no clients")?;
        let member = |id: &str, name: &str| -> Result<String> {
            let client = clients.iter().find(|client| client.get("client_id").and_then(Value::as_str) == Some(id));
            let value = client.and_then(|client| client.get(name)).and_then(Value::as_str);
            Ok(value.with_context(|| format!("demo.json has no {name} of {id}"))?.to_owned())
        };
        Ok(Self {
            server,
            place: place(port, "/oauth/token"),
            audience: format!("https://localhost:{port}/oauth/token"),
            keys: root.join(member(SIGNING, "jwks_private_file")?).display().to_string(),
            authority: person.authority,
            basic: format!("{REFRESHING}:{}", member(REFRESHING, "client_secret")?),
            refreshes,
        })
    }

    /// npm `oidc-provider` with the same client and the same certificate.
    fn peer(workshop: &Workshop, like: &Self, certificates: &Path) -> Result<Self> {
        let folder = workshop.path("peer");
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("token_issuer.mjs"), PEER_SCRIPT)?;
        fs::write(folder.join("package.json"), PEER_PACKAGE)?;
        let at = folder.display().to_string();
        let install = ["install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", &at];
        run::step("npm oidc-provider", "npm", &install, &[])?;
        fs::write(folder.join("client.json"), public_half(&fs::read_to_string(&like.keys)?)?)?;
        let port = free_ports()?;
        let mut command = Core::Server.command(Path::new("node"));
        command.env("NODE_ENV", "production").args(["token_issuer.mjs", &port.to_string()]).current_dir(&folder);
        command.arg(certificates.join("server.pem")).arg(certificates.join("server.key")).arg("client.json");
        let log = folder.join("log");
        let mut server = Server::start("npm oidc-provider", &mut command, &log)?;
        let patience = Instant::now() + STARTING;
        while !fs::read_to_string(&log)?.contains("listening") {
            server.check().with_context(|| fs::read_to_string(&log).unwrap_or_default())?;
            ensure!(Instant::now() < patience, "npm oidc-provider does not listen");
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(Self {
            server,
            place: place(port, "/token"),
            audience: format!("https://localhost:{port}/token"),
            keys: like.keys.clone(),
            authority: like.authority.clone(),
            basic: String::new(),
            refreshes: Vec::new(),
        })
    }

    /// A file of token requests that are good from now on.
    fn requests(&self, workshop: &Workshop, count: usize) -> Result<PathBuf> {
        let file = workshop.path("assertions");
        let output = file.display().to_string();
        workshop.harness(&["assertions", &self.keys, SIGNING, &self.audience, &count.to_string(), &output])?;
        Ok(file)
    }

    /// The status of one POST of a body.
    fn status(&self, body: &str) -> Result<String> {
        let mut command = Command::new("curl");
        command.args(["--silent", "--output", "/dev/null", "--write-out", "%{http_code}", "--data", body, "--cacert"]);
        let output = command.arg(&self.authority).arg(self.audience.as_str()).output().context("cannot start curl")?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

fn place(port: u16, path: &str) -> Place {
    let headers = vec![format!("Host: localhost:{port}")];
    Place { url: format!("https://127.0.0.1:{port}{path}"), headers, body_bytes: LEAST_BYTES }
}

/// A JWK Set without its private members.
/// The keys of a set without what is private in them.
pub fn public_half(private: &str) -> Result<String> {
    let mut set: Value = serde_json::from_str(private)?;
    for key in set.get_mut("keys").and_then(Value::as_array_mut).context("the key file is no JWK Set")? {
        key.as_object_mut().context("a key is no object")?.remove("d");
    }
    Ok(set.to_string())
}

/// What the rounds have found.
#[derive(Default)]
struct Found {
    bare: Vec<f64>,
    tokens: Vec<Run>,
    tokens_of_many: Vec<Run>,
    tokens_of_peer: Vec<Run>,
    refreshes: Vec<Run>,
    refreshes_of_many: Vec<Run>,
}

/// Measures what is wanted.
pub fn measure(workshop: &Workshop, wanted: &Wanted, rounds: usize, report: &mut Report) -> Result<()> {
    eprintln!("==> token endpoint");
    let few = Endpoint::demo(workshop, "few-grants", rounds, 0)?;
    let many = Endpoint::demo(workshop, "many-grants", rounds, MANY)?;
    let peer = Endpoint::peer(workshop, &few, &workshop.path("few-grants").join("tls"))?;
    let generator = LoadGenerator::new(&workshop.folder)?;
    let all = [&few.server, &many.server, &peer.server];
    let (few_started, many_started) = (few.server.resident_kilobytes()?, many.server.resident_kilobytes()?);
    let tokens = |endpoint: &Endpoint, count: usize, seconds: u32| -> Result<(Run, PathBuf)> {
        let bodies = endpoint.requests(workshop, count)?;
        // As for reads (`serving`): what the records of the run before cost later is no matter of this one.
        endpoint.server.rest()?;
        let run = process::alone(&endpoint.server, &all, || generator.post(&endpoint.server, &endpoint.place, &bodies, seconds))?;
        Ok((run, bodies))
    };
    for endpoint in [&few, &many] {
        tokens(endpoint, ASSERTIONS, SECONDS)?;
    }
    tokens(&peer, PEER_WARMING_ASSERTIONS, PEER_WARMING_SECONDS)?;
    let mut found = Found::default();
    for round in 0..rounds {
        eprintln!("    round {} of {rounds}", round + 1);
        let bare = process::alone(&few.server, &all, || workshop.harness(&["bare-tokens", BARE]))?;
        found.bare.push(bare.get("cost").and_then(Value::as_f64).context("the harness says no cost")?);
        for (endpoint, runs) in [(&few, &mut found.tokens), (&many, &mut found.tokens_of_many)] {
            let (run, bodies) = tokens(endpoint, ASSERTIONS, SECONDS)?;
            replayed(endpoint, &bodies)?;
            runs.push(run);
        }
        // The peer's store in memory forgets all but the last thousand assertions, so it is not asked about an early one.
        found.tokens_of_peer.push(tokens(&peer, PEER_ASSERTIONS, SECONDS)?.0);
        let refreshes = |endpoint: &Endpoint| -> Result<Run> {
            let mut place = endpoint.place.clone();
            place.headers.push(format!("Authorization: Basic {}", base64(endpoint.basic.as_bytes())));
            let bodies = endpoint.refreshes.get(round).context("a round without refreshes")?;
            endpoint.server.rest()?;
            process::alone(&endpoint.server, &all, || generator.post(&endpoint.server, &place, bodies, REFRESH_SECONDS))
        };
        found.refreshes.push(refreshes(&few)?);
        found.refreshes_of_many.push(refreshes(&many)?);
    }
    tell(wanted, &found, report);
    let memory = |endpoint: &Endpoint| -> Result<f64> { Ok(endpoint.server.resident_kilobytes()? / 1024.0) };
    report.figure("G3 memory at the start", "MB", vec![few_started / 1024.0]);
    report.figure("G3 memory at the start, with 100,000 grants more", "MB", vec![many_started / 1024.0]);
    let (after_few, after_many) = (memory(&few)?, memory(&many)?);
    report.figure("G3 memory after the load", "MB", vec![after_few]);
    report.figure("G3 memory after the load, with 100,000 grants more", "MB", vec![after_many]);
    if wanted.any(&["G3"]) {
        let what = "100,000 live grants more: memory after the load";
        let target = Target { id: "G3m", what, unit: "x", bound: Bound::AtMost, floor: 1.1, goal: 1.1 };
        report.result(target, vec![after_many / after_few]);
    }
    [few, many, peer].into_iter().try_for_each(|endpoint| endpoint.server.stop())
}

/// An early request of a run again: refused. The very first one wrk makes for its own test of the script.
fn replayed(endpoint: &Endpoint, bodies: &Path) -> Result<()> {
    let text = fs::read_to_string(bodies)?;
    let status = endpoint.status(text.lines().nth(10).context("no request")?)?;
    ensure!(status == "400" || status == "401", "{}: a used assertion was answered with {status}", endpoint.audience);
    Ok(())
}

fn tell(wanted: &Wanted, found: &Found, report: &mut Report) {
    let costs = |runs: &[Run]| -> Vec<f64> { runs.iter().map(|run| run.cost).collect() };
    let (tokens, many, peer) = (costs(&found.tokens), costs(&found.tokens_of_many), costs(&found.tokens_of_peer));
    let (refreshes, refreshes_of_many) = (costs(&found.refreshes), costs(&found.refreshes_of_many));
    if wanted.any(&["G3"]) {
        let what = "tokens per CPU second (private_key_jwt ES384, replay check) against the bare cryptography";
        let target = Target { id: "G3", what, unit: "", bound: Bound::AtLeast, floor: 0.45, goal: 0.75 };
        report.result(target, ratios(&found.bare, &tokens));
        let target = |id, what| Target { id, what, unit: "x", bound: Bound::AtMost, floor: 1.1, goal: 1.1 };
        report.result(target("G3g", "100,000 live grants more: C of a token"), ratios(&many, &tokens));
        report.result(target("G3r", "100,000 live grants more: C of a refresh"), ratios(&refreshes_of_many, &refreshes));
    }
    if wanted.any(&["G3b"]) {
        let what = "tokens per CPU second against npm oidc-provider, same client and keys";
        let target = Target { id: "G3b", what, unit: "x", bound: Bound::AtLeast, floor: 4.0, goal: 6.0 };
        report.result(target, ratios(&peer, &tokens));
    }
    for (name, runs) in
        [("a token", &found.tokens), ("a refresh", &found.refreshes), ("a token of npm oidc-provider", &found.tokens_of_peer)]
    {
        report.figure(format!("G3 C of {name}"), "µs", costs(runs));
        report.figure(format!("G3 {name}: per second on one core"), "/s", runs.iter().map(|run| run.rate).collect());
        report.figure(format!("G3 {name}: p50"), "µs", runs.iter().map(|run| run.p50).collect());
        report.figure(format!("G3 {name}: p99"), "µs", runs.iter().map(|run| run.p99).collect());
    }
    report.figure("G3 C of the bare cryptography", "µs", found.bare.clone());
}

/// Base64 with padding (RFC 4648 section 4).
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for index in 0..4 {
            let letter = LETTERS.get((word >> (18 - 6 * index)) as usize & 63).copied().unwrap_or(b'=');
            text.push(if index > chunk.len() { '=' } else { char::from(letter) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_written_as_the_rfc_says() {
        let known = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")];
        known.iter().for_each(|(plain, text)| assert_eq!(base64(plain.as_bytes()), *text));
    }

    #[test]
    fn a_public_half_holds_nothing_private() {
        let public = public_half(r#"{"keys":[{"kty":"EC","x":"1","d":"secret"}]}"#).unwrap();
        assert!(public.contains("\"x\":\"1\"") && !public.contains("secret"), "{public}");
    }
}
