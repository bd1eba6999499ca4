//! What consents decided, rendered: for whom, in which order, under which ids.

use serde_json::Value;

use super::record;
use crate::event::{keys, render, render_one};
use crate::{Agent, ConsentDecision, ConsentEffect, ConsentVersion, OperationEntry, Record};

const OBSERVER: &str = "https://ehr.example.org/fhir";

fn decision(patient: &str, effect: ConsentEffect, consents: &[&str]) -> ConsentDecision {
    let version = |id: &&str| ConsentVersion { id: (*id).to_owned(), version: "v1".to_owned() };
    let consents = consents.iter().map(version).collect();
    ConsentDecision { patient: patient.to_owned(), effect, own: false, consents, more: 0, policy: None }
}

fn read(patients: &[&str], consents: Vec<ConsentDecision>) -> Record {
    let operation = OperationEntry {
        interaction: "read".to_owned(),
        resource_type: Some("Observation".to_owned()),
        id: Some("o1".to_owned()),
        patients: patients.iter().map(|patient| (*patient).to_owned()).collect(),
        consents,
        ..OperationEntry::default()
    };
    let agent = Agent { client: Some("app".to_owned()), user: Some("ada".to_owned()), ..Agent::default() };
    Record { agent, operations: vec![operation], ..record(1) }
}

fn text(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap()
}

#[test]
fn decisions_come_before_what_came_of_them_and_are_counted_apart() {
    let permits = |patient| decision(patient, ConsentEffect::Permit, &["c"]);
    let plain = render(&read(&["p1", "p2"], Vec::new()), OBSERVER, None);
    let record = read(&["p1", "p2"], vec![permits("p1"), decision("p1", ConsentEffect::Deny, &["d"]), permits("p2")]);
    let all = render(&record, OBSERVER, None);
    assert_eq!(keys(&record, OBSERVER, None), all.iter().map(|event| event.keys.clone()).collect::<Vec<_>>());
    assert_eq!(
        all.iter().map(|event| event.id.clone()).skip(3).collect::<Vec<_>>(),
        ids(&plain),
        "the others' ids are as they were"
    );
    let ordinal = |id: &str| id.rsplit('-').next().unwrap().to_owned();
    assert_eq!(ids(&all).iter().map(|id| ordinal(id)).collect::<Vec<_>>(), ["c1", "c2", "c1", "1", "1"]);
    assert!(all.iter().all(|event| event.id.len() <= 64));
    for event in &all {
        assert_eq!(render_one(&record, OBSERVER, None, &event.id).as_ref(), Some(event));
    }
    assert_eq!(all.iter().map(|event| event.for_the_patient_alone).collect::<Vec<_>>(), [false, true, false, false, false]);
}

fn ids(events: &[crate::RenderedEvent]) -> Vec<String> {
    events.iter().map(|event| event.id.clone()).collect()
}

#[test]
fn an_event_names_the_patient_the_versions_and_the_token_and_nothing_of_others() {
    let record = read(
        &["p1", "p2"],
        vec![decision("p1", ConsentEffect::Permit, &["c", "d"]), decision("p2", ConsentEffect::Permit, &["e"])],
    );
    let whole = text(&render(&record, OBSERVER, None)[0].body);
    let references: Vec<&str> =
        whole["entity"].as_array().unwrap().iter().filter_map(|entity| entity["what"]["reference"].as_str()).collect();
    assert_eq!(references, ["Patient/p1", "Consent/c/_history/v1", "Consent/d/_history/v1"]);
    assert!(whole.get("meta").is_none(), "the profile asks for the user's organisation");
    assert!(whole.get("outcomeDesc").is_none() && whole["outcome"] == "0");
    let own = render(&record, OBSERVER, Some("p2"));
    assert_eq!(
        own.iter().map(|event| event.entities.clone()).collect::<Vec<_>>(),
        [vec!["Patient/p2".to_owned(), "Consent/e".to_owned()], vec!["Patient/p2".to_owned(), "Observation/o1".to_owned()]]
    );
    assert!(own.iter().all(|event| !text(&event.body).to_string().contains("p1")));
}

#[test]
fn what_a_patients_own_app_is_denied_is_in_no_patients_view() {
    let denied = ConsentDecision { own: true, ..decision("p1", ConsentEffect::Deny, &["c"]) };
    let record = read(&[], vec![denied]);
    let all = render(&record, OBSERVER, None);
    assert_eq!((all.len(), all[0].outcome, all[0].patients.len()), (2, "8", 0));
    assert_eq!(ids(&render(&record, OBSERVER, Some("p1"))), Vec::<String>::new());
    assert_eq!(render_one(&record, OBSERVER, Some("p1"), &all[0].id), None);
}

#[test]
fn it_is_said_what_decided_without_a_name() {
    let words = |decided: ConsentDecision| {
        let body = text(&render(&read(&["p1"], vec![decided]), OBSERVER, None)[0].body);
        body["outcomeDesc"].as_str().unwrap_or_default().to_owned()
    };
    let denied = decision("p1", ConsentEffect::Deny, &[]);
    let policy = Some("https://profiles.ihe.net/ITI/PCF/Policy-deny".to_owned());
    assert_eq!(words(denied.clone()), "denied");
    let by_policy = words(ConsentDecision { policy, ..denied.clone() });
    assert!(by_policy.ends_with("the implicit policy https://profiles.ihe.net/ITI/PCF/Policy-deny decided"), "{by_policy}");
    assert!(words(ConsentDecision { more: 3, ..denied }).contains("at least 3 more"));
}

#[test]
fn records_without_decisions_are_written_as_they_were() {
    let record = read(&["p1"], Vec::new());
    let written = serde_json::to_string(&record).unwrap();
    assert!(!written.contains("consents"), "{written}");
    let record = read(&["p1"], vec![decision("p1", ConsentEffect::Deny, &["c"])]);
    let written = serde_json::to_string(&record).unwrap();
    assert!(
        written.contains(r#""consents":[{"patient":"p1","effect":"deny","consents":[{"id":"c","version":"v1"}]}]"#),
        "{written}"
    );
    assert_eq!(serde_json::from_str::<Record>(&written).unwrap(), record);
}
