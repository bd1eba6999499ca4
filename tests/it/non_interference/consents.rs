//! What consents keep from a person, told a second time: a tiny evaluator that walks JSON, for the consents that [`body`] makes.
//!
//! In words: a consent denies from the moment at which anybody has stored it. The version that was imported last (which confirms it) denies until another
//! one is imported, whatever clients write; the current version denies, too. What permits counts while it is confirmed, and while nothing that was written later takes it
//! back; where the operator's policy is that nobody is let in without, it is needed. A provision may be about one practitioner or one app, about a purpose, a type,
//! a label, a code or something that is done; it may except Patients; it may be over. Whoever reads the own record is asked only where the app is named. A record of several patients needs all of
//! them, but for whoever reads the own, and what is in nobody's record needs all whom it names. Somebody who is several things is denied by what denies any of them. What a deletion said nobody knows: it has every code, and is no reason to permit.

use portcullis_oauth::principal::ImplicitPolicy;
use portcullis_oauth::users::Role;
use serde_json::{Value, json};

use super::data::{Draft, Form, Record};
use super::labels::Labels;
use super::people::{IMPLICIT, Person};
use super::purposes;
use super::view::{concerned, patients};

/// The id of the app by which everybody asks.
pub const APP: &str = "app";
const ISSUER: &str = "https://localhost:8443";
const CODE: &str = "4548-4";
const ACTION: &str = "http://terminology.hl7.org/CodeSystem/consentaction";
const REASON: &str = "http://terminology.hl7.org/CodeSystem/v3-ActReason";

/// A consent of the draft's subject.
pub fn body(draft: &Draft, subject: &Value) -> Value {
    let role = json!({"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "IRCP"}]});
    let named = draft.others.iter().find(|link| link.kind.name == "Practitioner" && link.form == Form::Relative);
    let practitioner = named.map_or(draft.value % 3, |link| link.slot % 3);
    let turn = draft.others.len() % 6;
    let permits = [3, 5].contains(&turn);
    let (outer, inner) = if permits { ("permit", "deny") } else { ("deny", "permit") };
    let mut provision = json!({"type": outer});
    match turn {
        1 | 5 => provision["purpose"] = json!([{"system": REASON, "code": "TREAT"}]),
        2 => provision["purpose"] = json!([{"system": REASON, "code": "PATRQT"}]),
        4 if draft.date > 3 => provision["period"] = json!({"end": "2026-12-31"}),
        _ => {}
    }
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
        2 if !permits => provision["securityLabel"] = label(if draft.date.is_multiple_of(2) { "R" } else { "HIV" }),
        3 => provision["code"] = json!([{"coding": [{"system": "http://loinc.org", "code": CODE}]}]),
        _ if draft.date < 4 => {
            let class = json!([{"system": "http://hl7.org/fhir/resource-types", "code": "Patient"}]);
            provision["provision"] = json!([{"type": inner, "class": class}]);
        }
        _ if draft.date == 6 => {
            let action = if draft.value.is_multiple_of(2) { "collect" } else { "correct" };
            provision["action"] = json!([{"coding": [{"system": ACTION, "code": action}]}]);
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

/// A version of a consent that counts.
struct Counting<'a> {
    body: &'a Value,
    /// Whether it was confirmed.
    confirmed: bool,
    /// The version that was written after it and that nobody has confirmed; it may be a deletion.
    later: Option<Option<&'a Value>>,
}

fn counting(records: &[Record]) -> Vec<Counting<'_>> {
    let mut counting = Vec::new();
    for record in records.iter().filter(|record| record.resource_type == "Consent") {
        let confirmed = record.versions.iter().rposition(|version| version.id.starts_with('v'));
        let last = record.versions.len() - 1;
        let body = |number: usize| record.versions[number].body.as_ref();
        if let Some(number) = confirmed {
            let later = (number != last).then(|| body(last));
            counting.extend(body(number).map(|body| Counting { body, confirmed: true, later }));
        }
        if confirmed != Some(last) {
            counting.extend(body(last).map(|body| Counting { body, confirmed: false, later: None }));
        }
    }
    counting.retain(|consent| consent.body["status"] == "active");
    counting
}

/// Whether the consents let a person have something for a letter: `stated` says whose it is, `content` is `None` for a deletion.
pub fn permit(
    records: &[Record],
    (person, letter): (&Person, char),
    (stated, content): (&Value, Option<&Value>),
    labels: &Labels,
) -> bool {
    let reading: &[&str] = &["access", "use", "disclose"];
    // Who changes something has found it first.
    let done: &[&[&str]] = match letter {
        'r' | 's' => &[reading],
        'c' => &[&["collect"]],
        _ => &[reading, &["correct"]],
    };
    done.iter().all(|done| permit_doing(records, (person, done), (stated, content), labels))
}

fn permit_doing(
    records: &[Record],
    (person, done): (&Person, &[&str]),
    (stated, content): (&Value, Option<&Value>),
    labels: &Labels,
) -> bool {
    let patients = concerned(stated);
    let own = own(person).filter(|own| patients.iter().any(|patient| patient == own));
    let counting = counting(records);
    let says_for = |consent: &Value, asked_for: &str| {
        let action = consent["provision"]["action"][0]["coding"][0]["code"].as_str();
        let is_about = action.is_none_or(|action| done.contains(&action));
        let asked = (person, asked_for, own.is_some());
        is_about.then(|| said(&consent["provision"], asked, (stated, content, labels))).flatten()
    };
    let says = |consent: &Value| says_for(consent, person.purpose());
    let lets_in = |patient: &String| {
        let is_theirs = |consent: &&Counting<'_>| self::patients(consent.body).contains(patient);
        // A newer one of the same organisation about the same policy takes the place of an older one.
        let is_replaced = |consent: &&Counting<'_>| {
            let newer = |other: &Counting<'_>| {
                let same = ["organization", "policy"].iter().all(|element| other.body[element] == consent.body[element]);
                let is_newer = other.body["dateTime"].as_str() > consent.body["dateTime"].as_str();
                other.confirmed && same && is_newer && other.body["provision"]["period"].is_null()
            };
            !consent.body["organization"].is_null() && counting.iter().filter(is_theirs).any(newer)
        };
        let of_patient = || counting.iter().filter(is_theirs).filter(|consent| !is_replaced(consent));
        let permits = |consent: &Counting<'_>| {
            let still =
                |later: &Option<&Value>| later.is_some_and(|later| later["status"] == "active" && says(later) == Some(true));
            consent.confirmed && says(consent.body) == Some(true) && consent.later.as_ref().is_none_or(still)
        };
        let besides = besides(person, patient).filter(|_| own.is_none());
        let is_denied = |consent: &Counting<'_>| {
            [Some(person.purpose()), besides].into_iter().flatten().any(|purpose| says_for(consent.body, purpose) == Some(false))
        };
        !of_patient().any(is_denied) && (own.is_some() || implied(person) || of_patient().any(permits))
    };
    patients.iter().filter(|patient| own.is_none_or(|own| own == *patient)).all(lets_in)
}

/// Whether the operator's policy lets a person in where no consent says anything.
fn implied(person: &Person) -> bool {
    let is_clinician = person.practitioner.is_some();
    match IMPLICIT[person.implicit] {
        ImplicitPolicy::AllNormal => true,
        ImplicitPolicy::Deny => false,
        ImplicitPolicy::BasicNormal => is_clinician && person.treats(),
        ImplicitPolicy::BreakGlassOnly => is_clinician && person.purpose() == "BTG",
    }
}

/// Whose own record the person's is.
fn own(person: &Person) -> Option<&'static str> {
    match person.patients.as_slice() {
        [own] => Some(own),
        _ => person.own,
    }
}

/// In which capacity somebody who is several things opens the record of a patient whatever was stated: what denies that denies the request.
fn besides(person: &Person, patient: &str) -> Option<&'static str> {
    let roles = person.roles();
    let represents = roles.contains(&Role::Representative) && person.patients.contains(&patient) && person.own != Some(patient);
    let capacity = if represents { Some("FAMRQT") } else { Some("TREAT").filter(|_| roles.contains(&Role::Clinician)) };
    capacity.filter(|capacity| !purposes::around(person.purpose()).contains(capacity))
}

/// What a provision says; `None`: nothing.
fn said(
    provision: &Value,
    (person, asked_for, is_own): (&Person, &str, bool),
    (stated, content, labels): (&Value, Option<&Value>, &Labels),
) -> Option<bool> {
    let actor = &provision["actor"][0]["reference"];
    let names_app = actor["identifier"]["value"] == APP;
    let named = actor["reference"].as_str();
    let is_named = |named: &str| person.practitioner.is_some_and(|own| named == format!("Practitioner/{own}"));
    let of_type = |coding: &Value| coding["code"] == stated["resourceType"];
    let class = &provision["class"][0];
    let label = provision["securityLabel"][0]["code"].as_str();
    let purpose = provision["purpose"][0]["code"].as_str();
    let asks_for = |wider: &str| purposes::around(asked_for).contains(&wider);
    let matches = named.is_none_or(is_named)
        && purpose.is_none_or(asks_for)
        && provision["period"].is_null()
        && (class.is_null() || of_type(class))
        && label.is_none_or(|label| labels.reach(label))
        && (provision["code"].is_null() || content.is_none_or(|content| has_code(content) || is_coded_elsewhere(content)));
    if !matches {
        return None;
    }
    // Breaking the glass is perhaps treatment, a deletion perhaps had the code, and a Consent that says something of the code has it for another reason.
    let is_coded = content.is_some_and(has_code) && stated["resourceType"] != "Consent";
    let for_sure =
        purpose.is_none_or(|purpose| purposes::includes(purpose, asked_for)) && (provision["code"].is_null() || is_coded);
    let counts = |node: &Value| match node["type"] == "permit" {
        true => for_sure.then_some(true),
        false => (names_app || !is_own).then_some(false),
    };
    let inner = &provision["provision"][0];
    let excepted = (of_type(&inner["class"][0]) && inner["period"].is_null()).then(|| counts(inner)).flatten();
    excepted.or_else(|| counts(provision))
}

/// Whether another resource says what it is.
fn is_coded_elsewhere(body: &Value) -> bool {
    body["medicationReference"]["reference"].as_str().is_some_and(|reference| !reference.starts_with('#'))
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
