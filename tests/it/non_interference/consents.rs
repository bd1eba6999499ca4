//! What consents keep from a person, told a second time: a tiny evaluator that walks JSON, for the consents that [`body`] makes.
//!
//! In words: every consent of a patient denies, from the moment at which anybody has stored it. The version that was imported last (which confirms it) denies until another
//! one is imported, whatever clients write; the current version denies, too. A denial may be about one practitioner or one app, and about a type, a label or a code;
//! it may except Patients. Whoever reads the own record is asked only where the app is named. A record of several patients needs all of them, but for whoever reads
//! the own. What a deletion said nobody knows: it has every code.

use serde_json::{Value, json};

use super::data::{Draft, Form, Record};
use super::people::Person;
use super::view::{Labels, patients};

/// The id of the app by which everybody asks.
pub const APP: &str = "app";
const ISSUER: &str = "https://localhost:8443";
const CODE: &str = "4548-4";

/// A consent of the draft's subject.
pub fn body(draft: &Draft, subject: &Value) -> Value {
    let role = json!({"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "IRCP"}]});
    let named = draft.others.iter().find(|link| link.kind.name == "Practitioner" && link.form == Form::Relative);
    let practitioner = named.map_or(draft.value % 3, |link| link.slot % 3);
    let mut provision = json!({"type": "deny"});
    match draft.value {
        // Everybody.
        5 => {}
        4 => provision["actor"] = json!([{"role": role, "reference": {"identifier": {"system": ISSUER, "value": APP}}}]),
        _ => provision["actor"] = json!([{"role": role, "reference": {"reference": format!("Practitioner/d{practitioner}")}}]),
    }
    let label = |code: &str| json!([super::bodies::label(code)]);
    match draft.code {
        0 => provision["class"] = json!([{"system": "http://hl7.org/fhir/resource-types", "code": "Observation"}]),
        1 => provision["class"] = json!([{"system": "http://hl7.org/fhir/resource-types", "code": "Encounter"}]),
        2 => provision["securityLabel"] = label(if draft.date.is_multiple_of(2) { "R" } else { "HIV" }),
        3 => provision["code"] = json!([{"coding": [{"system": "http://loinc.org", "code": CODE}]}]),
        _ if draft.date < 4 => {
            let class = json!([{"system": "http://hl7.org/fhir/resource-types", "code": "Patient"}]);
            provision["provision"] = json!([{"type": "permit", "class": class}]);
        }
        _ => {}
    }
    json!({
        "status": if draft.date == 7 { "inactive" } else { "active" },
        "scope": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]},
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
        "patient": subject, "dateTime": "2026-01-01",
        "policy": [{"uri": "https://example.org/policy"}],
        "provision": provision,
    })
}

/// The versions of the consents that count.
fn counting(records: &[Record]) -> Vec<&Value> {
    let mut counting = Vec::new();
    for record in records.iter().filter(|record| record.resource_type == "Consent") {
        let confirmed = record.versions.iter().rposition(|version| version.id.starts_with('v'));
        let last = record.versions.len() - 1;
        let numbers = if confirmed == Some(last) { vec![last] } else { confirmed.into_iter().chain([last]).collect() };
        counting.extend(numbers.into_iter().filter_map(|number| record.versions[number].body.as_ref()));
    }
    counting.retain(|body| body["status"] == "active");
    counting
}

/// Whether the consents let a person have something: `stated` says whose it is, `content` is `None` for a deletion.
pub fn permit(records: &[Record], person: &Person, (stated, content): (&Value, Option<&Value>), labels: &Labels) -> bool {
    let patients = patients(stated);
    let own = own(person).filter(|own| patients.iter().any(|patient| patient == own));
    let asked = |patient: &String| own.is_none_or(|own| own == patient);
    let denies = |consent: &&Value| {
        let whose = self::patients(consent);
        patients.iter().filter(|patient| asked(patient)).any(|patient| whose.contains(patient))
            && denied(&consent["provision"], person, own.is_some(), (stated, content, labels))
    };
    !counting(records).iter().any(denies)
}

/// Whose own record the person's is.
fn own(person: &Person) -> Option<&'static str> {
    match person.patients.as_slice() {
        [own] => Some(own),
        _ => None,
    }
}

fn denied(
    provision: &Value,
    person: &Person,
    is_own: bool,
    (stated, content, labels): (&Value, Option<&Value>, &Labels),
) -> bool {
    let actor = &provision["actor"][0]["reference"];
    let names_app = actor["identifier"]["value"] == APP;
    let named = actor["reference"].as_str();
    let is_named = |named: &str| person.practitioner.is_some_and(|own| named == format!("Practitioner/{own}"));
    if !named.is_none_or(is_named) || is_own && !names_app {
        return false;
    }
    let of_type = |coding: &Value| coding["code"] == stated["resourceType"];
    let class = &provision["class"][0];
    let label = provision["securityLabel"][0]["code"].as_str();
    let in_content = || content.is_none_or(has_code);
    let excepted = of_type(&provision["provision"][0]["class"][0]);
    (class.is_null() || of_type(class))
        && label.is_none_or(|label| labels.reach(label))
        && (provision["code"].is_null() || in_content())
        && !excepted
}

/// Whether the code stands anywhere in a resource but in what is about it.
fn has_code(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(has_code),
        Value::Object(members) => {
            let is_it = value["system"] == "http://loinc.org" && value["code"] == CODE;
            is_it || members.iter().any(|(name, member)| name != "meta" && has_code(member))
        }
        _ => false,
    }
}
