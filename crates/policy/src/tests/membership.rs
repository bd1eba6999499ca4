//! What the operator's choice of `[compartments]` opens, and that it opens nothing where nothing was chosen.

use portcullis_oauth::principal::{Membership, Part, Parts};

use super::*;

const RELATIVE: Person<'_> =
    Person { roles: &[Role::Representative], fhir_user: Some("RelatedPerson/r"), patients: &["a"], represents: &[] };

fn parts(parts: &[Part]) -> Parts {
    parts.iter().copied().collect()
}

fn choosing(principal: Principal, membership: Membership) -> Principal {
    principal.asking(Circumstances { membership, ..circumstances() })
}

fn everything() -> Membership {
    let all = parts(&Part::ALL);
    Membership { practitioner: all, related_person: all, patient: all }
}

/// An Observation about a patient who is nobody's, by this performer.
fn by(performer: &str) -> StoredVersion {
    let text = format!(
        r#"{{"resourceType":"Observation","id":"o","status":"final","code":{{"text":"x"}},"subject":{{"reference":"Patient/z"}},"performer":[{{"reference":"{performer}"}}]}}"#
    );
    StoredVersion { body: Some(text.into_bytes()), ..version("Observation", "o", &["z"]) }
}

fn shows(principal: &Principal, version: StoredVersion) -> bool {
    let Ok((permit, _)) = decided(principal, read(version.resource_type.name(), "o")) else { return false };
    permit.release(unreleased(permit.id(), Vec::new(), Some(version))).is_ok()
}

#[test]
fn what_somebody_did_about_another_opens_to_nobody_by_itself() {
    for (person, own) in [(&CLINICIAN, "Practitioner/dr"), (&RELATIVE, "RelatedPerson/r"), (&ANN, "Patient/a")] {
        let asking = || principal("user/*.cruds", None, person);
        assert!(!shows(&asking(), by(own)), "{own}: nothing is chosen");
        assert!(shows(&choosing(asking(), everything()), by(own)), "{own}");
        for other in [
            "Practitioner/other",
            "PractitionerRole/dr",
            "Patient/b",
            "RelatedPerson/q",
            "https://elsewhere.example/fhir/Practitioner/dr",
        ] {
            assert!(!shows(&choosing(asking(), everything()), by(other)), "{own} by {other}");
        }
    }
}

#[test]
fn an_explanation_says_that_it_is_by_a_part_in_the_record() {
    let asking = choosing(principal("user/*.cruds", None, &CLINICIAN), everything());
    let Ok((permit, _)) = decided(&asking, read("Observation", "o")) else { panic!("denied") };
    for (performer, says) in
        [("Practitioner/dr", crate::explanation::Says::Yes), ("Practitioner/other", crate::explanation::Says::No)]
    {
        let ways = permit.explain(&by(performer), &[]);
        let steps: Vec<_> = ways.iter().flatten().filter(|step| step.rule == crate::explanation::BY_PART).collect();
        assert!(steps.len() == 1 && steps[0].says == says, "{performer}: {ways:?}");
    }
}

#[test]
fn only_the_chosen_part_of_the_chosen_kind_of_person_opens_and_only_to_read_and_search() {
    let performing = parts(&[Part::Performer]);
    let clinician = |membership| choosing(principal("user/*.cruds", None, &CLINICIAN), membership);
    let of = |practitioner| Membership { practitioner, ..Membership::default() };
    assert!(shows(&clinician(of(performing)), by("Practitioner/dr")));
    assert!(!shows(&clinician(of(parts(&[Part::Author, Part::Recorder]))), by("Practitioner/dr")));
    assert!(!shows(
        &clinician(Membership { related_person: performing, patient: performing, ..Membership::default() }),
        by("Practitioner/dr")
    ));
    let narrow = choosing(principal("user/Condition.rs", None, &CLINICIAN), of(performing));
    assert!(!shows(&narrow, by("Practitioner/dr")), "within the scopes");
    let criteria = choosing(principal("user/Observation.rs?status=preliminary", None, &CLINICIAN), of(performing));
    assert!(!shows(&criteria, by("Practitioner/dr")), "within their criteria");
    let in_context = choosing(principal("patient/*.cruds", Some("a"), &ANN), everything());
    assert!(!shows(&in_context, by("Patient/a")), "scopes of patient/ are about the patient");
    for letter in [Letter::Create, Letter::Update, Letter::Delete] {
        let Ruling::Grant(grants) = crate::rules::membership::apply(&clinician(of(performing))) else { panic!("no grant") };
        assert!(grants.iter().all(|grant| grant.types(letter).is_empty()), "{letter:?}");
    }
    let breaking = clinician(of(performing)).stating(portcullis_oauth::principal::PurposeOfUse::parse("BTG"));
    assert!(!shows(&breaking, by("Practitioner/dr")));
}

#[test]
fn what_follows_other_records_and_who_looked_is_never_opened_by_a_part_in_it() {
    let Ruling::Grant(grants) =
        crate::rules::membership::apply(&choosing(principal("user/*.rs", None, &CLINICIAN), everything()))
    else {
        panic!("no grant")
    };
    let open = |name: &str| grants.iter().any(|grant| grant.types(Letter::Read).contains(ResourceType::parse(name).unwrap()));
    for name in
        ["AuditEvent", "Provenance", "Binary", "Patient", "Practitioner", "Organization", "Group", "Encounter", "Schedule"]
    {
        assert!(!open(name), "{name}");
    }
    for name in ["Observation", "DiagnosticReport", "AllergyIntolerance", "Composition", "QuestionnaireResponse"] {
        assert!(open(name), "{name}");
    }
    for grant in &grants {
        for resource_type in grant.types(Letter::Search).iter() {
            assert!(grant.admission(resource_type, Letter::Search).is_some(), "{resource_type} is never open as a whole");
            assert!(grant.admission(resource_type, Letter::Read).is_some(), "{resource_type} is never open as a whole");
        }
    }
}

#[test]
fn the_patient_whom_it_is_about_is_asked_as_always() {
    let asking = choosing(principal("user/*.rs", None, &CLINICIAN), everything());
    let (permit, _) = decided(&asking, read("Observation", "o")).unwrap();
    let denial = crate::rules::consent::CompiledConsent::unreadable(id("c"), id("z"));
    let consulted = Consulted { of: crate::ConsentsOf::Patients(vec![id("z")]), consents: vec![denial], ..Consulted::default() };
    let found = Unreleased::new(permit.id(), Vec::new(), Some(by("Practitioner/dr"))).consulting(consulted);
    assert!(matches!(permit.release(found), Err(Disagreement::NotCovered(_))));
    let labelled =
        StoredVersion { security: Security { labels: Labels::named("V").unwrap(), ..Security::NONE }, ..by("Practitioner/dr") };
    assert!(!shows(&asking, labelled), "and its labels are judged");
}

#[test]
fn what_is_excluded_from_a_representation_opens_to_no_relative_by_another_part_either() {
    let relative = |represents: &[&str], patients: &[&str]| {
        let person = Person { represents, patients, ..RELATIVE };
        shows(&choosing(principal("user/*.cruds", None, &person), everything()), by("RelatedPerson/r"))
    };
    assert!(relative(&["a 0 - rw -"], &["a"]));
    assert!(!relative(&["a 0 - rw Observation"], &["a"]), "excluded");
    assert!(!relative(&[], &[]), "whose representation has ended");
}
