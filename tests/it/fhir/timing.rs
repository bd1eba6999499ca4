//! Time tells nothing (DESIGN.md, section 3, exception g): reads by id of what is hidden and of what is absent take the same time, whatever hides it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_policy::OperatorRules;
use portcullis_server::operator_rules::Held;
use portcullis_testkit::resources::observation;
use portcullis_testkit::server::PASSWORD;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::World;

/// Hidden ones of each kind, and as many absent ones.
const EACH: usize = 10_000;
/// What is asked before anything is measured, of each.
const BEFORE: usize = 500;

/// How something is hidden.
#[derive(Clone, Copy, Debug)]
enum Hidden {
    /// In the record of somebody else.
    Elsewhere,
    /// In a record that the asker sees, by its labels.
    Labels,
    /// The same, by a consent.
    Consent,
    /// The same, by a rule of the operator.
    Rule,
}

impl Hidden {
    fn id(self, number: usize) -> String {
        let kind = format!("{self:?}").to_lowercase();
        format!("{}{:08x}", &kind[..2], (number as u32).wrapping_mul(0x9e37_79b9))
    }

    fn observation(self, number: usize) -> String {
        let patient = if matches!(self, Self::Elsewhere) { "bob" } else { "ann" };
        let (code, tag) = match self {
            Self::Consent => ("8867-4", "plain"),
            Self::Rule => ("4548-4", "withheld"),
            Self::Elsewhere | Self::Labels => ("4548-4", "plain"),
        };
        let mut body: Value = serde_json::from_str(&observation(&self.id(number), patient, code, "5.60", "2026-01-01")).unwrap();
        body["meta"]["tag"] = json!([{"system": "s", "code": tag}]);
        if matches!(self, Self::Labels) {
            body["meta"]["security"] = json!([{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "HIV"}]);
        }
        body.to_string()
    }
}

/// Ann keeps one code from everybody but herself.
fn consent() -> String {
    let concept = |system: &str, code: &str| json!({"coding": [{"system": system, "code": code}]});
    json!({
        "resourceType": "Consent", "id": "no-pulse", "status": "active",
        "scope": concept("http://terminology.hl7.org/CodeSystem/consentscope", "patient-privacy"),
        "category": [concept("http://loinc.org", "59284-0")],
        "patient": {"reference": "Patient/ann"}, "dateTime": "2020-01-01",
        "policy": [{"uri": "https://example.org/policy"}],
        "provision": {"type": "deny", "code": [concept("http://loinc.org", "8867-4")]},
    })
    .to_string()
}

/// The probability that a hidden one took longer than an absent one, and the medians.
fn separation(times: &mut [(Duration, bool)]) -> (f64, [Duration; 2]) {
    times.sort();
    let count = |is_hidden| times.iter().filter(|(_, hidden)| *hidden == is_hidden).count() as f64;
    let ranks: f64 = (1..).zip(times.iter()).filter(|(_, (_, hidden))| *hidden).map(|(rank, _)| f64::from(rank)).sum();
    let (m, n) = (count(true), count(false));
    let median = |is_hidden| times.iter().filter(|(_, hidden)| *hidden == is_hidden).nth((m / 2.0) as usize).unwrap().0;
    ((ranks - m * (m + 1.0) / 2.0) / (m * n), [median(true), median(false)])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement of some minutes"]
async fn measure_that_hidden_and_absent_reads_take_the_same_time_whatever_hides() {
    let kinds = [Hidden::Elsewhere, Hidden::Labels, Hidden::Consent, Hidden::Rule];
    let world = World::start().await;
    for kind in kinds {
        let texts: Vec<String> = (0..EACH + BEFORE).map(|number| kind.observation(number)).collect();
        world.server.import(&texts).await;
    }
    world.server.import(&[consent()]).await;
    let rules = "[[rule]]\nname = 'withheld'\neffect = 'deny'\nwhen = { roles = ['clinician'] }\ntypes = ['Observation']\ncriteria = ['_tag=s|withheld']\n";
    let rules = OperatorRules::parse(rules, &world.server.fhir_base, &|_| None).unwrap();
    world.server.server.operator_rules.exchange(Held { rules: Arc::new(rules), text: String::new(), digest: "test".to_owned() });
    world.server.move_outbox().await;
    let patient = world.ann().await;
    let clinician = world.app.access_token("user/*.cruds", "who", PASSWORD).await;
    let asked = [(&patient, Hidden::Elsewhere)].into_iter().chain(kinds.map(|kind| (&clinician, kind)));
    let mut told = Vec::new();
    for (token, kind) in asked {
        let mut stream = world.server.client.connect().await.unwrap();
        let mut times: Vec<(Duration, bool)> = Vec::new();
        for number in 0..EACH + BEFORE {
            let (hidden, absent) = (kind.id(number), kind.id(number + 2 * EACH));
            let mut pair = [(&hidden, true), (&absent, false)];
            pair.rotate_left(number % 2);
            for (id, is_hidden) in pair {
                let request =
                    format!("GET /fhir/Observation/{id} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n");
                let begun = Instant::now();
                stream.write_all(request.as_bytes()).await.unwrap();
                let mut buffer = vec![0; 16 * 1024];
                let length = stream.read(&mut buffer).await.unwrap();
                let took = begun.elapsed();
                assert!(buffer[..length].starts_with(b"HTTP/1.1 404"), "{kind:?} {}", String::from_utf8_lossy(&buffer[..length]));
                if number >= BEFORE {
                    times.push((took, is_hidden));
                }
            }
        }
        let who = if *token == patient { "patient" } else { "clinician" };
        let (area, [of_hidden, of_absent]) = separation(&mut times);
        eprintln!("{who}, {kind:?}: AUC {area:.4}; medians: hidden {of_hidden:?}, absent {of_absent:?}");
        told.push((who, kind, area));
    }
    assert!(told.iter().all(|(_, _, area)| (area - 0.5).abs() <= 0.03), "{told:?}");
}
