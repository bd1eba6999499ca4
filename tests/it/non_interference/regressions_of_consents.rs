//! What consents keep that is not a whole record of one person: single elements, what another resource says the code of, what lies in nobody's record, and whom an
//! organisation stands for.

use super::data::{NOW, kind, records_of};
use super::people::{Context, Person, Scope, Service};
use super::regressions::{D0, E0, P0, P1, after, answers, consent, draft, names, observation, with_all_letters};
use super::requests::Request;
use super::runtime;
use super::stores::{Answer, Held};
use super::writes::{Planned, Write};

const INLINE: &str = "http://hl7.org/fhir/uv/security-label-ds4p/StructureDefinition/extension-inline-sec-label";
const ACT_CODE: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";

/// A Coverage of the first patient whose class has a label of its own.
fn coverage(label: &str) -> String {
    let system = if label.len() == 1 { "http://terminology.hl7.org/CodeSystem/v3-Confidentiality" } else { ACT_CODE };
    let extension = format!(r#"[{{"url":"{INLINE}","valueCoding":{{"system":"{system}","code":"{label}"}}}}]"#);
    format!(
        r#"{{"resourceType":"Coverage","id":"v2","status":"active","beneficiary":{{"reference":"Patient/p0"}},"payor":[{{"display":"x"}}],
        "class":[{{"type":{{"text":"group"}},"value":"Smith","extension":{extension}}}]}}"#
    )
}

fn provenance_about(target: &str) -> String {
    format!(
        r#"{{"resourceType":"Provenance","id":"r0","target":[{{"reference":"{target}"}}],"recorded":"2026-01-01T00:00:00Z",
        "agent":[{{"who":{{"reference":"Practitioner/d0"}}}}]}}"#
    )
}

fn is_shown(answer: &Answer) -> bool {
    format!("{answer:?}").contains("Smith")
}

/// The patient keeps what has the label, whoever is cleared for it, and leaves the rest of the record.
#[test]
fn an_element_whose_label_a_consent_denies_is_left_out_of_the_record() {
    let labelled = coverage("HIV");
    let cleared = Person { clearance: 2, ..Person::clinician("d0") };
    let requests = [Request::Read(kind("Coverage"), 2), Request::search("Coverage")];
    for (denied, shown) in [("HIV", false), ("PSY", true)] {
        let provision = format!(r#"{{"type":"deny","securityLabel":[{{"system":"{ACT_CODE}","code":"{denied}"}}]}}"#);
        let texts = [P0, D0, E0, &labelled, &consent("n0", "2026-01-01", &provision)];
        for answer in answers(&texts, &cleared, &requests) {
            assert_eq!((names(&answer), is_shown(&answer)), (vec!["Coverage/v2/v1"], shown), "{denied}");
        }
        let own = answers(&texts, &Person::patient("p0"), &requests);
        assert!(own.iter().all(is_shown), "the own app");
    }
}

/// A search by what is left out of the answer.
#[test]
fn nobody_finds_a_record_by_an_element_with_a_label() {
    let labelled = coverage("R");
    let texts = [P0, D0, E0, &labelled];
    let requests = ["Coverage?class-value=Smith", "Coverage", "Coverage?_sort=class-value"].map(Request::search);
    for (clearance, shown) in [(0, false), (1, true)] {
        let found = answers(&texts, &Person { clearance, ..Person::clinician("d0") }, &requests);
        assert!(names(&found[0]).is_empty(), "clearance {clearance}: {found:?}");
        assert_eq!(found[1..].iter().map(is_shown).collect::<Vec<_>>(), [shown, shown]);
    }
    assert!(names(&answers(&texts, &Person::patient("p0"), &requests)[0]).is_empty(), "nor the patient");
}

/// What a code says stands in another resource, which may be any.
#[test]
fn a_denial_of_a_code_keeps_what_says_its_code_by_a_reference() {
    let provision = r#"{"type":"deny","code":[{"coding":[{"system":"http://loinc.org","code":"4548-4"}]}]}"#;
    let ordered = |medication: &str| {
        format!(
            r#"{{"resourceType":"MedicationRequest","id":"m0","status":"active","intent":"order","subject":{{"reference":"Patient/p0"}},{medication}}}"#
        )
    };
    let elsewhere = ordered(r#""medicationReference":{"reference":"Medication/y0"}"#);
    let here = ordered(r#""medicationCodeableConcept":{"coding":[{"system":"s","code":"c"}]}"#);
    for (text, found) in [(&elsewhere, 0), (&here, 1)] {
        let texts = [P0, D0, E0, text, &consent("n0", "2026-01-01", provision)];
        let requests = [Request::Read(kind("MedicationRequest"), 0), Request::search("MedicationRequest?_total=accurate")];
        for answer in answers(&texts, &Person::clinician("d0"), &requests) {
            assert_eq!(names(&answer).len(), found, "{text}");
        }
    }
}

/// Found by the property: an app of a patient created a Group that names the patient, and what names a patient is that patient's to deny.
#[test]
fn nobody_with_a_bound_writes_what_is_in_nobodys_record() {
    let create = || [Write::Create(draft("Group", 0, &[]))];
    for person in [Person::patient("p0"), Person::clinician("d0")] {
        assert_eq!(after(&[P0, P1, D0, E0], &[with_all_letters(person)], &create(), &[]).written, 0);
    }
}

/// Found by the property: a client saw an earlier version of a Provenance that was about something else, as long as no Consent of anybody was there.
#[test]
fn which_versions_of_a_provenance_there_are_does_not_tell_whether_anybody_has_consented() {
    let scopes = vec![Scope { context: Context::System, resource_type: Some("Provenance"), letters: "rs", criteria: None }];
    let client = Person { scopes, service: Some(Service { clearance: 0, purposes: &[] }), ..Person::default() };
    let requests = [
        Request::History { kind: kind("Provenance"), slot: 0, count: 50, since: None },
        Request::VersionRead(kind("Provenance"), 0, 1),
        Request::VersionRead(kind("Provenance"), 0, 2),
    ];
    let denial = consent(
        "n0",
        "2026-01-01",
        r#"{"type":"deny","securityLabel":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"PSY"}]}"#,
    );
    let (before, now) = (provenance_about("Practitioner/d0"), provenance_about("Patient/p0"));
    let without = answers(&[P0, P1, D0, &before, &now], &client, &requests);
    let with = answers(&[P0, P1, D0, &before, &now, &denial], &client, &requests);
    assert_eq!(without, with);
    assert_eq!(without.iter().map(names).collect::<Vec<_>>(), [vec!["Provenance/r0/v2"], vec![], vec!["Provenance/r0/v2"]]);
}

/// Found by the property: the answer to a write showed a Provenance about what labels or a consent hide from who wrote it.
#[test]
fn the_answer_to_a_write_shows_a_provenance_only_where_a_read_would() {
    let hidden = r#"{"resourceType":"Encounter","id":"e1","status":"finished","class":{"code":"AMB"},"subject":{"reference":"Patient/p0"},
        "meta":{"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"V"}]}}"#;
    let denied = consent(
        "n0",
        "2026-01-01",
        r#"{"type":"deny","class":[{"system":"http://hl7.org/fhir/resource-types","code":"Encounter"}]}"#,
    );
    let scopes = vec![Scope { context: Context::System, resource_type: None, letters: "cruds", criteria: None }];
    let client =
        |clearance| Person { scopes: scopes.clone(), service: Some(Service { clearance, purposes: &[] }), ..Person::default() };
    let write = |target: &str| {
        let body = serde_json::from_str(&provenance_about(target)).unwrap();
        Planned {
            letter: 'c',
            name: ("Provenance".into(), "rnew".into()),
            version: "w0".into(),
            last_updated: NOW,
            body: Some(body),
            if_match: None,
        }
    };
    for (texts, client, target, shown) in [
        (vec![P0, D0, E0, hidden], client(1), "Encounter/e1", false),
        (vec![P0, D0, E0, hidden], client(1), "Encounter/e0", true),
        (vec![P0, D0, E0, &denied], client(0), "Encounter/e0", false),
        (vec![P0, D0, E0], client(0), "Encounter/e0", true),
    ] {
        let answer =
            runtime().block_on(async { Held::of(&records_of(&texts)).await.write(&client.principal(), &write(target)).await });
        let Answer::Written(_, seen) = answer else { panic!("{answer:?}") };
        assert_eq!(seen.body.is_some(), shown, "{target} {texts:?}");
    }
}

/// A patient denies a hospital, and means its wards.
#[test]
fn what_is_denied_to_an_organisation_is_denied_to_its_parts() {
    let organization = |id: &str, of: &str| {
        format!(r#"{{"resourceType":"Organization","id":"{id}","name":"x","partOf":{{"reference":"Organization/{of}"}}}}"#)
    };
    let role = r#"{"resourceType":"PractitionerRole","id":"q0","practitioner":{"reference":"Practitioner/d0"},"organization":{"reference":"Organization/g0"}}"#;
    let party = r#"{"role":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ParticipationType","code":"IRCP"}]},"reference":{"reference":"Organization/"#;
    let denied = |id: &str| consent("n0", "2026-01-01", &format!(r#"{{"type":"deny","actor":[{party}{id}"}}}}]}}"#));
    let (ward, clinic) = (organization("g0", "g1"), organization("g1", "g2"));
    for (id, found) in [("g0", 0), ("g1", 0), ("g2", 0), ("g3", 1)] {
        let denied = denied(id);
        let texts = [P0, D0, E0, &ward, &clinic, &organization("g3", "g2"), role, &observation("o0", "p0", ""), &denied];
        let answer = runtime().block_on(async {
            let held = Held::of(&records_of(&texts)).await;
            held.ask(&Person::clinician("d0").principal(), &Request::search("Observation")).await
        });
        assert_eq!(names(&answer).len(), found, "{id}");
    }
}
