//! Sign-ins: as many as the password hash allows (LOGIN), and what an app that reads meanwhile notices of them (LOGINr).

use anyhow::{Context, Result};
use serde_json::Value;

use super::process::{self, Core, Server};
use super::report::{Bound, Report, Target};
use super::statistics::ratios;
use super::workshop::Workshop;

/// Hashes of one round.
const BARE: &str = "100";
/// Seconds of each of the three parts of a round.
const SECONDS: &str = "3";

/// What the rounds have found.
#[derive(Default)]
struct Found {
    bare_cost: Vec<f64>,
    bare_rate: Vec<f64>,
    rate: Vec<f64>,
    rate_on_two: Vec<f64>,
    p50: Vec<f64>,
    p99: Vec<f64>,
    idle_read_p50: Vec<f64>,
    idle_read_p99: Vec<f64>,
    read_p50: Vec<f64>,
    read_p99: Vec<f64>,
    cost: Vec<f64>,
}

/// A server with a person who signs in and an app that reads.
struct SignIns {
    server: Server,
    arguments: [String; 7],
}

impl SignIns {
    fn start(workshop: &Workshop, core: Core, directory: &str) -> Result<Self> {
        workshop.copy_small(directory)?;
        let (server, person, port) = workshop.demo_on(core, directory, "demo of the sign-ins")?;
        let token = workshop.path(&format!("{directory}.token"));
        std::fs::write(&token, person.access_token()?)?;
        let (authority, path) = (person.authority.display().to_string(), format!("/fhir/Patient/{}", person.patient));
        let [username, password] = person.credentials().map(str::to_owned);
        let arguments = [format!("127.0.0.1:{port}"), authority, token.display().to_string(), path, username, password];
        let [address, authority, token, path, username, password] = arguments;
        Ok(Self { server, arguments: [address, authority, token, path, username, password, SECONDS.to_owned()] })
    }

    /// Reads, sign-ins, and both, while the other server is paused.
    fn run(&self, workshop: &Workshop, other: &Self) -> Result<Value> {
        let mut arguments = vec!["logins"];
        arguments.extend(self.arguments.iter().map(String::as_str));
        process::alone(&self.server, &[&self.server, &other.server], || workshop.harness(&arguments))
    }
}

/// Measures people who sign in, on one core of the server; and what readers notice, where it has two.
pub fn measure(workshop: &Workshop, rounds: usize, report: &mut Report) -> Result<()> {
    eprintln!("==> sign-ins");
    let one = SignIns::start(workshop, Core::Server, "sign-ins")?;
    let two = SignIns::start(workshop, Core::Both, "sign-ins-on-two")?;
    let mut found = Found::default();
    for round in 0..rounds {
        eprintln!("    round {} of {rounds}", round + 1);
        let servers = [&one.server, &two.server];
        servers.iter().try_for_each(|server| server.pause())?;
        let bare = workshop.harness_on_server_core(&["bare-logins", BARE]);
        servers.iter().try_for_each(|server| server.resume())?;
        let bare = bare?;
        found.bare_cost.push(number(&bare, "cost")?);
        found.bare_rate.push(number(&bare, "rate")?);
        let before = one.server.cpu_seconds()?;
        let run = one.run(workshop, &two)?;
        let logins = number(&run, "logins")? + number(&run, "logins_beside_reads")?;
        // The reads are in it, some hundreds of 0.1 ms.
        found.cost.push((one.server.cpu_seconds()? - before) * 1e6 / logins);
        for (name, series) in [("rate", &mut found.rate), ("p50", &mut found.p50), ("p99", &mut found.p99)] {
            series.push(number(&run, name)?);
        }
        let run = two.run(workshop, &one)?;
        for (name, series) in [
            ("rate", &mut found.rate_on_two),
            ("idle_read_p50", &mut found.idle_read_p50),
            ("idle_read_p99", &mut found.idle_read_p99),
            ("read_p50", &mut found.read_p50),
            ("read_p99", &mut found.read_p99),
        ] {
            series.push(number(&run, name)?);
        }
    }
    tell(&found, report);
    [one, two].into_iter().try_for_each(|sign_ins| sign_ins.server.stop())
}

fn number(value: &Value, name: &str) -> Result<f64> {
    value.get(name).and_then(Value::as_f64).with_context(|| format!("the harness says no {name}"))
}

fn tell(found: &Found, report: &mut Report) {
    let what = "sign-ins per second against bare Argon2id hashes per second, one core";
    let target = Target { id: "LOGIN", what, unit: "", bound: Bound::AtLeast, floor: 0.8, goal: 0.95 };
    report.result(target, ratios(&found.rate, &found.bare_rate));
    let what = "median of a read while eight people sign in, against an idle server, two cores";
    let target = Target { id: "LOGINr", what, unit: "x", bound: Bound::AtMost, floor: 2.0, goal: 1.25 };
    report.result(target, ratios(&found.read_p50, &found.idle_read_p50));
    report.figure("LOGIN sign-ins per second", "/s", found.rate.clone());
    report.figure("LOGIN sign-ins per second on two cores, of which one is left for others", "/s", found.rate_on_two.clone());
    report.figure("LOGIN bare hashes per second", "/s", found.bare_rate.clone());
    report.figure(
        "LOGIN C of a sign-in with its share of the reads, against a bare hash",
        "x",
        ratios(&found.cost, &found.bare_cost),
    );
    report.figure("LOGIN C of a sign-in", "µs", found.cost.clone());
    report.figure("LOGIN C of a bare hash", "µs", found.bare_cost.clone());
    report.figure("LOGIN a password, of eight at once: p50", "µs", found.p50.clone());
    report.figure("LOGIN a password, of eight at once: p99", "µs", found.p99.clone());
    report.figure("LOGIN read, idle, two cores: p50", "µs", found.idle_read_p50.clone());
    report.figure("LOGIN read, idle, two cores: p99", "µs", found.idle_read_p99.clone());
    report.figure("LOGIN read, while people sign in, two cores: p50", "µs", found.read_p50.clone());
    report.figure("LOGIN read, while people sign in, two cores: p99", "µs", found.read_p99.clone());
}
