//! Consents in the store: what they hide, in which ways, from whom, and when.

mod agreement;
mod elements;
mod limits;
mod matching;
mod own;
mod parties;
mod plans;
mod routes;
mod standing;
mod taking_back;
mod unreadable;
mod written_together;

use portcullis_fhir::interaction::InstanceHistory;
use portcullis_store::consents::{ConsentEntry, ConsentRegistry, ConsentsListed};
use serde_json::{Value, json};

use super::super::testing::*;

pub const DOC: Who<'_> = Who::Clinician("doc");
pub const OTHER: Who<'_> = Who::Clinician("other");
pub const PAT: Who<'_> = Who::Patient("pat");

pub fn concept(system: &str, code: &str) -> Value {
    json!({"coding": [coding(system, code)]})
}

pub fn coding(system: &str, code: &str) -> Value {
    json!({"system": system, "code": code})
}

pub fn actor(reference: Value) -> Value {
    json!({"role": concept("http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "IRCP"), "reference": reference})
}

pub fn practitioner(own: &str) -> Value {
    actor(json!({"reference": format!("Practitioner/{own}")}))
}

pub fn client(own: &str) -> Value {
    actor(json!({"identifier": {"system": "https://localhost:8443", "value": own}}))
}

/// An active privacy consent of a patient.
pub fn consent(own: &str, subject: &str, provision: Value) -> Value {
    json!({
        "resourceType": "Consent",
        "id": own,
        "status": "active",
        "scope": concept("http://terminology.hl7.org/CodeSystem/consentscope", "patient-privacy"),
        "category": [concept("http://loinc.org", "59284-0")],
        "patient": {"reference": format!("Patient/{subject}")},
        "dateTime": "2024-01-01",
        "policy": [{"uri": format!("https://example.org/{own}")}],
        "provision": provision,
    })
}

pub fn withdrawn(mut consent: Value) -> Value {
    consent["status"] = "inactive".into();
    consent
}

/// What denies a practitioner a type.
pub fn deny_type(own: &str, type_name: &str) -> Value {
    let class = coding("http://hl7.org/fhir/resource-types", type_name);
    json!({"type": "deny", "actor": [practitioner(own)], "class": [class]})
}

/// Pat and Quinn, both in the care of both practitioners, with an Observation each.
pub async fn world(more: &[String]) -> World {
    let mut texts = vec![
        patient("pat"),
        patient("quinn"),
        encounter("pat-doc", "pat", "doc"),
        encounter("pat-other", "pat", "other"),
        encounter("quinn-doc", "quinn", "doc"),
        observation("of-pat", "pat", "4548-4"),
        observation("of-quinn", "quinn", "4548-4"),
    ];
    texts.extend_from_slice(more);
    World::of(&texts).await
}

pub fn all_versions(type_name: &str, own: &str) -> InstanceHistory {
    InstanceHistory { resource_type: resource_type(type_name), id: id(own), count: 50, since: None, cursor: None }
}

/// Whether somebody sees a resource: in a read, a search and its history, which must agree.
pub async fn sees(world: &World, who: Who<'_>, type_name: &str, own: &str) -> bool {
    let read = world.read(who, type_name, own).await.unwrap().is_some();
    let found = world.search(who, type_name, &format!("_id={own}")).await.unwrap();
    let history = world.history(who, all_versions(type_name, own)).await.unwrap();
    assert_eq!((!found.is_empty(), history.total > 0), (read, read), "{type_name}/{own}: read, search and history");
    read
}

/// What an operator or a patient is told.
pub async fn listed(world: &World, which: ConsentsListed) -> Vec<ConsentEntry> {
    crate::sqlite::SqliteRegistry::new(&world.store).consents(which).await.unwrap()
}
