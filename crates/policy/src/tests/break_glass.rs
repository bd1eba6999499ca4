//! Purposes of use, and what breaking the glass opens: one patient's record, to read, for who says so.

use portcullis_oauth::principal::PurposeOfUse;
use portcullis_oauth::purposes::BrokenGlass;

use super::*;
use crate::decision::Effect;

fn broken(patients: &[&str]) -> PurposeFacts {
    let broken_glass = patients.iter().map(|patient| BrokenGlass { patient: id(patient), until: NOW + 60 }).collect();
    PurposeFacts { client: Vec::new(), may_break_glass: true, broken_glass }
}

fn purpose(code: &str) -> Option<PurposeOfUse> {
    Some(PurposeOfUse::parse(code).unwrap())
}

/// A clinician who broke the glass for these patients and states the purpose.
fn breaking(scope: &str, launch_patient: Option<&str>, patients: &[&str]) -> Principal {
    principal_with(scope, launch_patient, &CLINICIAN, broken(patients)).stating(purpose("BTG"))
}

fn boundaries(principal: &Principal, operation: Operation) -> Vec<Boundary> {
    decided(principal, operation).unwrap().0.constraint.boundaries().cloned().collect()
}

fn of(patients: &[&str]) -> Boundary {
    Boundary::Patients(NonEmpty::of(patients.iter().map(|patient| id(patient))).unwrap())
}

#[test]
fn a_purpose_without_leave_denies_whatever_the_scopes_open() {
    for (principal, code) in [
        (principal("user/*.rs", None, &CLINICIAN), "HPAYMT"),
        (principal("user/*.rs", None, &CLINICIAN), "BTG"),
        (principal("patient/*.rs", Some("a"), &ANN), "TREAT"),
        (system("system/*.rs", "system/*.rs"), "TREAT"),
        (system("system/*.rs", "system/*.rs"), "BTG"),
    ] {
        let stated = purpose(code);
        let refused = decided(&principal.stating(stated), read("Observation", "o")).unwrap_err();
        assert_eq!(refused, DenialReason::PurposeNotAllowed(stated.unwrap()), "{code}");
    }
    let narrower = principal("user/*.rs", None, &CLINICIAN).stating(purpose("COC"));
    let (permit, _) = decided(&narrower, read("Observation", "o")).unwrap();
    assert!(permit.trace().0.iter().any(|verdict| verdict.rule == "purpose".into() && verdict.effect == Effect::Permit));
}

#[test]
fn broken_glass_opens_exactly_that_patient_and_not_the_patients_in_care() {
    let boundaries_of = |principal: Principal| boundaries(&principal, read("Observation", "o"));
    assert_eq!(boundaries_of(breaking("user/*.rs", None, &["x"])), [of(&["x"])]);
    assert_eq!(boundaries_of(breaking("patient/*.rs", Some("x"), &["x"])), [of(&["x"])]);
    let unsaid = principal_with("user/*.rs", None, &CLINICIAN, broken(&["x"]));
    assert!(boundaries_of(unsaid).iter().all(|boundary| *boundary != of(&["x"])), "only for who says that it is an emergency");
}

#[test]
fn without_broken_glass_the_purpose_opens_nothing() {
    let nobody = breaking("user/*.rs", None, &[]);
    assert_eq!(decided(&nobody, read("Observation", "o")).unwrap_err(), DenialReason::GlassNotBroken);
    let another = breaking("patient/*.rs", Some("y"), &["x"]);
    assert_eq!(decided(&another, read("Observation", "o")).unwrap_err(), DenialReason::UserNotEntitled, "another launch patient");
    let over = PurposeFacts { broken_glass: vec![BrokenGlass { patient: id("x"), until: NOW }], ..broken(&[]) };
    let over = principal_with("user/*.rs", None, &CLINICIAN, over).stating(purpose("BTG"));
    assert_eq!(decided(&over, read("Observation", "o")).unwrap_err(), DenialReason::GlassNotBroken, "its time is over");
    let patient = principal_with("patient/*.rs", Some("a"), &ANN, broken(&["x"])).stating(purpose("BTG"));
    assert_eq!(
        decided(&patient, read("Observation", "o")).unwrap_err(),
        DenialReason::PurposeNotAllowed(PurposeOfUse::BREAK_GLASS),
        "nobody but clinicians"
    );
}

#[test]
fn broken_glass_never_opens_more_than_the_scopes_and_never_writes() {
    let narrow = breaking("user/Observation.rs", None, &["x"]);
    assert!(matches!(decided(&narrow, read("Condition", "c")).unwrap_err(), DenialReason::MissingScope(..)));
    let wide = breaking("user/*.cruds user/AuditEvent.rs", None, &["x"]);
    assert_eq!(decided(&wide, read("AuditEvent", "e")).unwrap_err(), DenialReason::UserNotEntitled);
    let version = || {
        let text = br#"{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/x"}}"#;
        NewVersion::of(Resource::parse(text).unwrap(), id("o"), id("v"), 0, BASE).unwrap()
    };
    for change in [
        Change::Create(version()),
        Change::Update { version: version(), if_match: None },
        Change::Delete {
            resource_type: ResourceType::OBSERVATION,
            id: id("o"),
            version: id("w"),
            last_updated: 0,
            if_match: None,
        },
    ] {
        let writing = Operation::Write(WriteSet { changes: vec![change] });
        assert_eq!(decided(&wide, writing).unwrap_err(), DenialReason::UserNotEntitled);
    }
}

#[test]
fn broken_glass_shows_what_is_sensitive_and_not_what_is_very_restricted() {
    let principal = breaking("user/*.rs", None, &["x"]);
    let (permit, permitted) = decided(&principal, read("Observation", "o")).unwrap();
    let PermittedOperation::Read(_) = permitted else { panic!("no read") };
    for (code, is_shown) in [("N", true), ("R", true), ("HIV", true), ("V", false)] {
        let security = Security { labels: Labels::named(code).unwrap(), ..Security::NONE };
        let found = Some(StoredVersion { security, ..version("Observation", "o", &["x"]) });
        let released = permit.release(unreleased(permit.id(), Vec::new(), found));
        assert_eq!(released.is_ok(), is_shown, "{code}");
    }
}

#[test]
fn whoever_is_about_to_break_the_glass_finds_patients_and_nothing_else() {
    let user = PrincipalUser {
        id: UserId::parse("u").unwrap(),
        roles: [Role::Clinician].into_iter().collect(),
        fhir_user: None,
        patients: Vec::new(),
        represents: Vec::new(),
    };
    let seeking = Principal::breaking_glass(user, NOW + 60).cleared(Clearances::default()).asking(circumstances());
    let (letter, patient) = (Letter::Search, ResourceType::PATIENT);
    assert!(crate::denial(DecisionId(1), &seeking, &[(patient, letter)]).is_none());
    for (resource_type, letter) in
        [(ResourceType::OBSERVATION, Letter::Search), (patient, Letter::Read), (patient, Letter::Update)]
    {
        assert!(crate::denial(DecisionId(1), &seeking, &[(resource_type, letter)]).is_some(), "{resource_type} {letter:?}");
    }
}

#[test]
fn what_somebody_is_besides_is_no_way_around_a_denial_of_treatment() {
    let care = |principal: &Principal| {
        let found =
            decided(principal, read("Observation", "o")).map(|(permit, _)| permit.constraint.boundaries().cloned().collect());
        let boundaries: Vec<Boundary> = found.unwrap_or_default();
        boundaries.iter().any(|boundary| matches!(boundary, Boundary::CareRelationship(_) | Boundary::PatientsInCare(..)))
    };
    let clerk = Person { roles: &[Role::Clinician, Role::Administrator], ..CLINICIAN };
    let patient = Person { roles: &[Role::Clinician, Role::Patient], patients: &["own"], ..CLINICIAN };
    for (person, besides) in [(&clerk, "HOPERAT"), (&patient, "PATRQT")] {
        for (scope, launch) in [("user/*.rs", None), ("patient/*.rs", Some("x"))] {
            let asking = || principal(scope, launch, person);
            assert!(care(&asking()) && care(&asking().stating(purpose("COC"))), "{besides} {scope}");
            assert!(!care(&asking().stating(purpose(besides))), "{besides} {scope}");
        }
    }
    let mother = Person { roles: &[Role::Patient, Role::Representative], patients: &["a", "child"], ..ANN };
    let reach = |principal: Principal| boundaries(&principal, read("Observation", "o"));
    assert_eq!(reach(principal("user/*.rs", None, &mother)), [of(&["a", "child"])]);
    assert_eq!(reach(principal("user/*.rs", None, &mother).stating(purpose("PATRQT"))), [of(&["a"])]);
}
