//! Sign-ins: as many as the password hash allows (LOGIN), and what an app that reads meanwhile notices of them (LOGINr).

use anyhow::{Context, Result};
use serde_json::Value;

use super::process;
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
    p50: Vec<f64>,
    p99: Vec<f64>,
    idle_read_p50: Vec<f64>,
    idle_read_p99: Vec<f64>,
    read_p50: Vec<f64>,
    read_p99: Vec<f64>,
    cost: Vec<f64>,
}

/// Measures people who sign in, on the one core of the server.
pub fn measure(workshop: &Workshop, rounds: usize, report: &mut Report) -> Result<()> {
    eprintln!("==> sign-ins");
    workshop.copy_small("sign-ins")?;
    let (server, person, port) = workshop.demo("sign-ins", "demo of the sign-ins")?;
    std::fs::write(workshop.path("sign-ins.token"), person.access_token()?)?;
    let (address, token) = (format!("127.0.0.1:{port}"), workshop.text("sign-ins.token"));
    let (authority, path) = (person.authority.display().to_string(), format!("/fhir/Patient/{}", person.patient));
    let [username, password] = person.credentials();
    let mut found = Found::default();
    for round in 0..rounds {
        eprintln!("    round {} of {rounds}", round + 1);
        server.pause()?;
        let bare = workshop.harness_on_server_core(&["bare-logins", BARE]);
        server.resume()?;
        let bare = bare?;
        found.bare_cost.push(number(&bare, "cost")?);
        found.bare_rate.push(number(&bare, "rate")?);
        let before = server.cpu_seconds()?;
        let arguments = ["logins", &address, &authority, &token, &path, username, password, SECONDS];
        let run = process::alone(&server, &[&server], || workshop.harness(&arguments))?;
        let logins = number(&run, "logins")? + number(&run, "logins_beside_reads")?;
        // The reads are in it, some hundreds of 0.1 ms.
        found.cost.push((server.cpu_seconds()? - before) * 1e6 / logins);
        for (name, series) in [
            ("rate", &mut found.rate),
            ("p50", &mut found.p50),
            ("p99", &mut found.p99),
            ("idle_read_p50", &mut found.idle_read_p50),
            ("idle_read_p99", &mut found.idle_read_p99),
            ("read_p50", &mut found.read_p50),
            ("read_p99", &mut found.read_p99),
        ] {
            series.push(number(&run, name)?);
        }
    }
    tell(&found, report);
    server.stop()
}

fn number(value: &Value, name: &str) -> Result<f64> {
    value.get(name).and_then(Value::as_f64).with_context(|| format!("the harness says no {name}"))
}

fn tell(found: &Found, report: &mut Report) {
    let what = "sign-ins per second against bare Argon2id hashes per second, one core";
    let target = Target { id: "LOGIN", what, unit: "", bound: Bound::AtLeast, floor: 0.8, goal: 0.95 };
    report.result(target, ratios(&found.rate, &found.bare_rate));
    let what = "C of a sign-in against a bare hash";
    let target = Target { id: "LOGINc", what, unit: "x", bound: Bound::AtMost, floor: 1.25, goal: 1.1 };
    report.result(target, ratios(&found.cost, &found.bare_cost));
    let what = "median of a read while eight people sign in, against an idle server";
    let target = Target { id: "LOGINr", what, unit: "x", bound: Bound::AtMost, floor: 2.0, goal: 1.25 };
    report.result(target, ratios(&found.read_p50, &found.idle_read_p50));
    report.figure("LOGIN sign-ins per second", "/s", found.rate.clone());
    report.figure("LOGIN bare hashes per second", "/s", found.bare_rate.clone());
    report.figure("LOGIN C of a sign-in", "µs", found.cost.clone());
    report.figure("LOGIN C of a bare hash", "µs", found.bare_cost.clone());
    report.figure("LOGIN a password, of eight at once: p50", "µs", found.p50.clone());
    report.figure("LOGIN a password, of eight at once: p99", "µs", found.p99.clone());
    report.figure("LOGIN read, idle: p50", "µs", found.idle_read_p50.clone());
    report.figure("LOGIN read, idle: p99", "µs", found.idle_read_p99.clone());
    report.figure("LOGIN read, while people sign in: p50", "µs", found.read_p50.clone());
    report.figure("LOGIN read, while people sign in: p99", "µs", found.read_p99.clone());
}
