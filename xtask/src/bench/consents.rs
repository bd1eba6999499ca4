//! G9: what consents cost a read, by how many there are in the store, and by how many of them are the patient's own.
//!
//! Three demos that hold the same but for consents: ten of the patient who is read; these and ten of each of 999 others; and a thousand of the one patient. Each is
//! confirmed, counts, and denies somebody else something, so that none can be passed over and all permit.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::cost_of_security::whole;
use super::load_generator::{LoadGenerator, Place, Run};
use super::person::Person;
use super::process::{self, Server};
use super::report::{Bound, Report, Target};
use super::statistics::ratios;
use super::workshop::Workshop;

/// Connections under load.
const CONNECTIONS: u32 = 64;
/// Seconds of one run.
const SECONDS: u32 = 2;
/// Patients who have consents where many have.
const PATIENTS: usize = 1000;
/// Consents of one of them.
const EACH: usize = 10;
/// Consents of a patient who has many.
const THICK: usize = 1000;
/// The codes of treatment, payment and operations.
const PURPOSES: [&str; 3] = ["TREAT", "HPAYMT", "HOPERAT"];

/// A demo with so many consents.
struct Consented {
    what: &'static str,
    server: Server,
    /// The read as a client on its own behalf has it, for which everybody's consents are asked, and as the patient has it.
    places: [Place; 2],
    runs: [Vec<Run>; 2],
}

/// Measures reads of all three in turn, as often as there are rounds.
pub fn measure(workshop: &Workshop, rounds: usize, report: &mut Report) -> Result<()> {
    eprintln!("==> G9 consents");
    let generator = LoadGenerator::new(&workshop.folder)?;
    let ten = demo(workshop, ("consents-ten", "10 consents"), (1, EACH))?;
    let many = demo(workshop, ("consents-many", "10^4 consents, of 1000 patients"), (PATIENTS, EACH))?;
    let thick = demo(workshop, ("consents-thick", "1000 consents, of one patient"), (1, THICK))?;
    let mut all = [ten, many, thick];
    for round in 0..rounds {
        eprintln!("    round {} of {rounds}", round + 1);
        for number in 0..all.len() {
            let run = |who: usize| -> Result<Run> {
                let servers: Vec<&Server> = all.iter().map(|one| &one.server).collect();
                let one = all.get(number).context("a demo is missing")?;
                let place = one.places.get(who).context("a place is missing")?;
                process::alone(&one.server, &servers, || generator.run(&one.server, place, CONNECTIONS, SECONDS))
            };
            let runs = [run(0)?, run(1)?];
            if let Some(one) = all.get_mut(number) {
                one.runs.iter_mut().zip(runs).for_each(|(series, run)| series.push(run));
            }
        }
    }
    tell(&all, report);
    all.into_iter().try_for_each(|one| one.server.stop())
}

fn tell([ten, many, thick]: &[Consented; 3], report: &mut Report) {
    let costs =
        |one: &Consented, who: usize| -> Vec<f64> { one.runs.get(who).into_iter().flatten().map(|run| run.cost).collect() };
    let growth = |other: &Consented, who| ratios(&costs(other, who), &costs(ten, who));
    let what = "10 to 10^4 consents, ten of each patient: C of a read for a client on its own behalf";
    report.result(Target { id: "G9", what, unit: "x", bound: Bound::AtMost, floor: 1.25, goal: 1.05 }, growth(many, 0));
    report.figure("G9 the same for the patient", "x", growth(many, 1));
    report.figure("G9 10 to 1000 consents of the patient who is read: C for a client", "x", growth(thick, 0));
    report.figure("G9 the same for the patient who has them", "x", growth(thick, 1));
    for one in [ten, many, thick] {
        report.figure(format!("G9 C of a read for a client: {}", one.what), "µs", costs(one, 0));
        report.figure(format!("G9 C of a read for the patient: {}", one.what), "µs", costs(one, 1));
    }
}

/// A small demo that has these consents beside its own: of its first patient, and of so many others that there are `patients`.
fn demo(workshop: &Workshop, (name, what): (&'static str, &'static str), (patients, each): (usize, usize)) -> Result<Consented> {
    workshop.copy_small(name)?;
    let first = Person::read(&workshop.path(name))?.patient;
    let file = format!("{name}.ndjson");
    write(&workshop.path(&file), &first, (patients, each))?;
    workshop.load(&file, name)?;
    let (server, person, port) = workshop.demo(name, what)?;
    let path = format!("Patient/{}", person.patient);
    let place = |token: String| -> Result<Place> {
        let body = person.fetch(&path, &token).with_context(|| what.to_owned())?;
        ensure!(body.contains("\"Patient\""), "{what}: no Patient");
        Ok(Place {
            url: format!("https://127.0.0.1:{port}/fhir/{path}"),
            headers: vec![format!("Authorization: Bearer {token}"), format!("Host: localhost:{port}")],
            body_bytes: body.len(),
        })
    };
    let client = place(whole(workshop, &workshop.path(name), port)?)?;
    let patient = place(person.access_token_for(&["launch/patient", "patient/Patient.rs"])?)?;
    Ok(Consented { what, server, places: [client, patient], runs: Default::default() })
}

/// Writes so many consents of a patient, and of others so that there are `patients`.
pub fn write(path: &Path, first: &str, (patients, each): (usize, usize)) -> Result<()> {
    let mut output = BufWriter::new(File::create(path)?);
    for number in 0..patients {
        let other = format!("consenting-{number}");
        let patient = if number == 0 { first } else { &other };
        if number > 0 {
            writeln!(output, "{}", json!({"resourceType": "Patient", "id": patient, "active": true}))?;
        }
        for consent in 0..each {
            writeln!(output, "{}", self::consent(patient, (number, consent)))?;
        }
    }
    Ok(output.flush()?)
}

/// A consent that permits treatment, payment and operations, and denies them to one practitioner.
fn consent(patient: &str, (number, own): (usize, usize)) -> Value {
    let code = |system: &str, code: &str| json!({"system": system, "code": code});
    let concept = |system: &str, of: &str| json!({"coding": [code(system, of)]});
    let purposes = PURPOSES.map(|purpose| code("http://terminology.hl7.org/CodeSystem/v3-ActReason", purpose));
    let role = concept("http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "IRCP");
    let somebody = json!({"role": role, "reference": {"reference": format!("Practitioner/nobody-{own}")}});
    json!({
        "resourceType": "Consent",
        "id": format!("consent-of-{number}-{own}"),
        "status": "active",
        "scope": concept("http://terminology.hl7.org/CodeSystem/consentscope", "patient-privacy"),
        "category": [concept("http://loinc.org", "59284-0")],
        "patient": {"reference": format!("Patient/{patient}")},
        "dateTime": "2024-01-01",
        "organization": [{"reference": format!("Organization/of-{own}")}],
        "policy": [{"uri": format!("https://policies.example.org/{own}")}],
        "provision": {"type": "permit", "purpose": purposes, "provision": [{"type": "deny", "actor": [somebody]}]},
    })
}
