//! COST: what each layer of the access control costs a search. One server with 10^5 resources answers the same page to principals who are bounded in
//! different ways, and to one that sees everything; and to that one again where the patient has consents, which are asked then for every record.
//!
//! Records of audit cannot be switched off: they are in every row. What one costs is measured alone, and the row of it says what it leaves of the rate.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::consents;
use super::load_generator::{LoadGenerator, Place, Run};
use super::person::Person;
use super::process::{self, Server};
use super::report::{Bound, Report, Target};
use super::statistics::ratios;
use super::token_endpoint::{SIGNING, public_half};
use super::workshop::Workshop;

/// Connections under load.
const CONNECTIONS: u32 = 64;
/// Seconds of one run.
const SECONDS: u32 = 2;
/// Entries of the page.
const ENTRIES: usize = 20;
/// Consents of the patient whose page it is, where there are any.
const CONSENTS: usize = 10;
/// Criteria that admit every observation of the page, so that only their judgement costs.
const CATEGORY: &str = "http://terminology.hl7.org/CodeSystem/observation-category|laboratory";
/// The row of the copy with consents.
const CONSENTED: &str = "everything, by consents of the patient";
/// The row of the client whose clearance every record's labels are compared with.
const CLEARED: &str = "everything up to R, by labels";
/// That client.
const LIMITED: &str = "cleared";
/// Records of the measurement of records.
const RECORDS: &str = "20000";
/// The kind of the demo's client that may have `user/` scopes, in `demo.json`.
const CLINICIANS_CLIENT: &str = "confidential-symmetric";

/// How somebody is bounded, and the page that they get.
struct Bounded {
    how: &'static str,
    /// The server of the copy where the patient has consents.
    consented: bool,
    page: Place,
    runs: Vec<Run>,
}

/// Measures the page for everybody in turn, as often as there are rounds; the large store must be there.
pub fn measure(workshop: &Workshop, rounds: usize, report: &mut Report) -> Result<()> {
    eprintln!("==> cost of security");
    workshop.copy("large", "large-consented")?;
    let (server, person, port) = workshop.demo("large", "large demo")?;
    let directory = workshop.path("large");
    let file = "large-consents.ndjson";
    consents::write(&workshop.path(file), &person.patient, (1, CONSENTS))?;
    workshop.load(file, "large-consented")?;
    let (other, other_person, other_port) = workshop.demo("large-consented", "large demo with consents")?;
    let generator = LoadGenerator::new(&workshop.folder)?;
    let query = format!("Observation?patient={}&category={CATEGORY}&_sort=-date&_count={ENTRIES}", person.patient);
    let criteria = format!("patient/Observation.rs?category={CATEGORY}");
    let clinician = Person::of_role(&directory, "clinician", CLINICIANS_CLIENT)?;
    let mut everybody = Vec::new();
    let consented = token_of(workshop, SIGNING, &workshop.path("large-consented"), other_port)?;
    let jwks = workshop.text("cleared.jwks");
    std::fs::write(&jwks, public_half(&std::fs::read_to_string(keys(&directory)?)?)?)?;
    let all =
        ["--id", LIMITED, "--name", "Cleared", "--kind", "confidential-asymmetric", "--jwks", &jwks, "--scope", "system/*.rs"];
    workshop.add_client("large", &[&all[..], &["--clearance", "R"]].concat())?;
    for (how, token) in [
        ("everything (system scope)", token_of(workshop, SIGNING, &directory, port)?),
        (CONSENTED, consented),
        ("a patient's compartment", person.access_token_for(&["launch/patient", "patient/Observation.rs"])?),
        ("a compartment, by scopes with criteria", person.access_token_for(&["launch/patient", &criteria])?),
        ("a clinician's care relationships", clinician.access_token_for(&["user/Observation.rs"])?),
        (CLEARED, token_of(workshop, LIMITED, &directory, port)?),
    ] {
        let consented = how == CONSENTED;
        let (person, port) = if consented { (&other_person, other_port) } else { (&person, port) };
        let bundle = person.fetch(&query, &token).with_context(|| how.to_owned())?;
        let entries: Value = serde_json::from_str(&bundle)?;
        let count = entries.get("entry").and_then(Value::as_array).map_or(0, Vec::len);
        ensure!(count == ENTRIES, "{how}: {count} entries, and {ENTRIES} are compared");
        let page = Place {
            url: format!("https://127.0.0.1:{port}/fhir/{}", query.replace('|', "%7C")),
            headers: vec![format!("Authorization: Bearer {token}"), format!("Host: localhost:{port}")],
            body_bytes: bundle.len(),
        };
        everybody.push(Bounded { how, consented, page, runs: Vec::new() });
    }
    let mut records = Vec::new();
    for round in 0..rounds {
        eprintln!("    round {} of {rounds}", round + 1);
        let folder = workshop.text(&format!("records-{round}"));
        let found = process::alone(&server, &[&server, &other], || workshop.harness(&["records", &folder, RECORDS]))?;
        records.push(found.get("cost").and_then(Value::as_f64).context("the harness says no cost")?);
        for bounded in &mut everybody {
            let asked = if bounded.consented { &other } else { &server };
            let servers: [&Server; 2] = [&server, &other];
            let run = process::alone(asked, &servers, || generator.run(asked, &bounded.page, CONNECTIONS, SECONDS))?;
            bounded.runs.push(run);
        }
    }
    tell(&everybody, &records, report);
    other.stop()?;
    server.stop()
}

fn tell(everybody: &[Bounded], records: &[f64], report: &mut Report) {
    let costs = |bounded: &Bounded| -> Vec<f64> { bounded.runs.iter().map(|run| run.cost).collect() };
    let Some((whole, others)) = everybody.split_first() else { return };
    for (bounded, id) in others.iter().zip(["COSTk", "COSTp", "COSTs", "COSTc", "COSTl"]) {
        let what = "a page's rate, as far as C allows, against that of one who sees everything";
        let target = Target { id, what, unit: "", bound: Bound::AtLeast, floor: 0.7, goal: 0.9 };
        report.result(target, ratios(&costs(whole), &costs(bounded)));
    }
    let costs_of_whole = costs(whole);
    let without = costs_of_whole.iter().zip(records).map(|(page, record)| (page - record) / page).collect();
    let what = "a page's rate with its audit record, as far as C allows, against that without";
    report.result(Target { id: "COSTa", what, unit: "", bound: Bound::AtLeast, floor: 0.7, goal: 0.9 }, without);
    report.figure("COST C of an audit record, chained and on disk, 64 at once", "µs", records.to_vec());
    for bounded in everybody {
        report.figure(format!("COST C of a page: {}", bounded.how), "µs", costs(bounded));
        report.figure(format!("COST pages per second: {}", bounded.how), "/s", bounded.runs.iter().map(|run| run.rate).collect());
    }
}

/// A token of the demo's client that signs.
pub fn whole(workshop: &Workshop, directory: &Path, port: u16) -> Result<String> {
    token_of(workshop, SIGNING, directory, port)
}

/// The file with the keys of the demo's client that signs.
fn keys(directory: &Path) -> Result<PathBuf> {
    let description: Value = serde_json::from_slice(&std::fs::read(directory.join("demo.json"))?)?;
    let clients = description.get("clients").and_then(Value::as_array).context("demo.json has no clients")?;
    let client = clients.iter().find(|client| client.get("client_id").and_then(Value::as_str) == Some(SIGNING));
    let keys = client.and_then(|client| client.get("jwks_private_file")).and_then(Value::as_str);
    Ok(directory.join(keys.context("demo.json has no keys")?))
}

/// A token of a client with the keys of the one that signs.
fn token_of(workshop: &Workshop, client: &str, directory: &Path, port: u16) -> Result<String> {
    let (keys, audience) = (keys(directory)?.display().to_string(), format!("https://localhost:{port}/oauth/token"));
    let requests = workshop.text("whole");
    workshop.harness(&["assertions", &keys, client, &audience, "1", &requests])?;
    let body = std::fs::read_to_string(&requests)?;
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--cacert"]).arg(directory.join("tls/ca.pem"));
    let output = command.args(["--data", body.trim(), &audience]).output().context("cannot start curl")?;
    let answer: Value = serde_json::from_slice(&output.stdout).context("the token endpoint sent no JSON")?;
    Ok(answer.get("access_token").and_then(Value::as_str).with_context(|| format!("no access token: {answer}"))?.to_owned())
}
