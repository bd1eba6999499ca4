//! The decision as tables: who, with which scopes, in which role, for what.

use std::sync::LazyLock;

use portcullis_fhir::interaction::Read;
use portcullis_fhir::labels::{Clearance, Clearances, Confidentiality, Labels, Security};
use portcullis_fhir::reference::LocalReference;
use portcullis_fhir::resource::Resource;
use portcullis_fhir::types::{LogicalId, ResourceType};
use portcullis_fhir::version::NewVersion;
use portcullis_jose::{Algorithm, SigningKey, VerificationKeys};
use portcullis_oauth::access_token::{AccessTokenClaims, AccessTokenTrust, Subject, VerifiedToken};
use portcullis_oauth::identifiers::{ClientId, GrantId, TokenId, UserId};
use portcullis_oauth::principal::{
    Circumstances, ImplicitPolicy, Operator, OperatorOperation, Principal, PrincipalUser, TokenFacts, TokenStatus,
};
use portcullis_oauth::purposes::PurposeFacts;
use portcullis_oauth::representation::Representation;
use portcullis_oauth::scopes::{Letter, ScopeSet};
use portcullis_oauth::users::Role;
use portcullis_verifies::verifies;

use crate::constraint::{Boundary, Grant, NonEmpty};
use crate::decision::{Denial, DenialReason};
use crate::relationship::Relationship;
use crate::release::{Disagreement, Unreleased};
use crate::rules::Ruling;
use crate::stored::{Grounds, StoredVersion, Written};
use crate::{Change, Consulted, Decision, DecisionId, Operation, Permit, PermittedOperation, WriteSet, decide};

mod app_state;
mod break_glass;
mod membership;

static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::generate(Algorithm::Es256).unwrap());

const NOW: i64 = 1_800_000_000;
const ISSUER: &str = "https://issuer.example";
const BASE: &str = "https://issuer.example/fhir";

struct Person<'a> {
    roles: &'a [Role],
    fhir_user: Option<&'a str>,
    patients: &'a [&'a str],
    represents: &'a [&'a str],
}

const ANN: Person<'_> = Person { roles: &[Role::Patient], fhir_user: Some("Patient/a"), patients: &["a"], represents: &[] };
const CLINICIAN: Person<'_> =
    Person { roles: &[Role::Clinician], fhir_user: Some("Practitioner/dr"), patients: &[], represents: &[] };
const AUDITOR: Person<'_> = Person { roles: &[Role::Auditor], fhir_user: None, patients: &[], represents: &[] };
const ADMINISTRATOR: Person<'_> = Person { roles: &[Role::Administrator], fhir_user: None, patients: &[], represents: &[] };

fn id(text: &str) -> LogicalId {
    LogicalId::parse(text).unwrap()
}

fn principal(scope: &str, launch_patient: Option<&str>, person: &Person<'_>) -> Principal {
    principal_with(scope, launch_patient, person, PurposeFacts::default())
}

/// The same where the registry knows this of purposes.
fn principal_with(scope: &str, launch_patient: Option<&str>, person: &Person<'_>, purposes: PurposeFacts) -> Principal {
    let client = ClientId::parse("app").unwrap();
    let user = UserId::parse("u").unwrap();
    let claims = AccessTokenClaims {
        issuer: ISSUER.into(),
        subject: user.clone().into(),
        audience: BASE.into(),
        client_id: client.clone(),
        expires_at: NOW + 300,
        issued_at: NOW,
        token_id: TokenId::parse("t").unwrap(),
        scope: scope.into(),
        grant: GrantId::parse("g").unwrap(),
        patient: launch_patient.map(id),
        confirmation: None,
    };
    let keys = VerificationKeys::of([&*KEY]);
    let trust = AccessTokenTrust { keys: &keys, issuer: ISSUER, fhir_base: BASE };
    let token = VerifiedToken::verify(&claims.sign(&KEY).unwrap(), &trust, NOW).unwrap();
    let user = PrincipalUser {
        id: user,
        roles: person.roles.iter().copied().collect(),
        fhir_user: person.fhir_user.map(|text| LocalReference::parse(text).unwrap()),
        patients: person.patients.iter().map(|text| id(text)).collect(),
        represents: person.represents.iter().map(|line| Representation::parse(line).unwrap()).collect(),
    };
    let facts = TokenFacts {
        token_id: token.token_id().clone(),
        active: true,
        epoch: 0,
        client: Some(client),
        user: Some(user),
        purposes,
        registered: None,
        clearance: portcullis_fhir::labels::Clearance::FULL,
    };
    Principal::establish(&token, &portcullis_oauth::confirmation::Possession::NOTHING, TokenStatus::from_registry(facts), NOW)
        .unwrap()
        .cleared(Clearances::default())
        .asking(circumstances())
}

/// A client on its own behalf, registered for some scopes, with a token for others.
fn system(registered: &str, scope: &str) -> Principal {
    let client = ClientId::parse("backend").unwrap();
    let claims = AccessTokenClaims {
        issuer: ISSUER.into(),
        subject: Subject::Client(client.clone()),
        audience: BASE.into(),
        client_id: client.clone(),
        expires_at: NOW + 300,
        issued_at: NOW,
        token_id: TokenId::parse("t").unwrap(),
        scope: scope.into(),
        grant: GrantId::parse("registration").unwrap(),
        patient: None,
        confirmation: None,
    };
    let keys = VerificationKeys::of([&*KEY]);
    let trust = AccessTokenTrust { keys: &keys, issuer: ISSUER, fhir_base: BASE };
    let token = VerifiedToken::verify(&claims.sign(&KEY).unwrap(), &trust, NOW).unwrap();
    let facts = TokenFacts {
        token_id: token.token_id().clone(),
        active: true,
        epoch: 0,
        client: Some(client),
        user: None,
        purposes: Default::default(),
        registered: Some(ScopeSet::parse(registered).unwrap().compiled()),
        clearance: portcullis_fhir::labels::Clearance::FULL,
    };
    Principal::establish(&token, &portcullis_oauth::confirmation::Possession::NOTHING, TokenStatus::from_registry(facts), NOW)
        .unwrap()
        .cleared(Clearances::default())
        .asking(circumstances())
}

fn circumstances() -> Circumstances {
    Circumstances {
        address: None,
        now: NOW * 1000,
        base_url: BASE.into(),
        implicit: ImplicitPolicy::AllNormal,
        membership: Default::default(),
    }
}

/// What a store found that holds no consents.
fn unreleased<T>(decision: DecisionId, in_care: Vec<LogicalId>, content: T) -> Unreleased<T> {
    let in_care = in_care.into_iter().map(|patient| (Relationship::Care, patient)).collect();
    Unreleased::new(decision, in_care, content).consulting(Consulted::nobody_has_any())
}

fn read(resource_type: &str, resource_id: &str) -> Operation {
    Operation::Read(Read { resource_type: ResourceType::parse(resource_type).unwrap(), id: id(resource_id) })
}

fn decided(principal: &Principal, operation: Operation) -> Result<(Permit, PermittedOperation), DenialReason> {
    match decide(DecisionId(1), principal, operation) {
        Decision::Permit(permit, permitted) => Ok((permit, permitted)),
        Decision::Deny(Denial { reason, .. }) => Err(reason),
    }
}

fn version(resource_type: &str, resource_id: &str, patients: &[&str]) -> StoredVersion {
    StoredVersion {
        resource_type: ResourceType::parse(resource_type).unwrap(),
        id: id(resource_id),
        version: id("v"),
        last_updated: 0,
        patients: patients.iter().map(|text| id(text)).collect(),
        security: Security::NONE,
        grounds: Vec::new(),
        body: Some(b"{}".to_vec()),
    }
}

fn import() -> Operation {
    let resource = Resource::parse(br#"{"resourceType":"Patient","id":"a"}"#).unwrap();
    let version = NewVersion::of(resource, id("a"), id("v"), 0, BASE).unwrap();
    Operation::Write(WriteSet { changes: vec![Change::Import(version)] })
}

#[test]
fn a_patient_scope_without_a_launch_patient_denies_instead_of_opening_everything() {
    verifies!("SMART-43");
    let principal = principal("patient/*.rs", None, &ANN);
    assert_eq!(decided(&principal, read("Observation", "o")).unwrap_err(), DenialReason::NoLaunchPatient);
}

#[test]
fn a_launch_patient_whom_the_user_may_not_act_for_denies() {
    let other = principal("patient/*.rs", Some("b"), &ANN);
    assert_eq!(decided(&other, read("Observation", "o")).unwrap_err(), DenialReason::UserNotEntitled);
    let auditor = principal("patient/*.rs", Some("a"), &AUDITOR);
    assert_eq!(decided(&auditor, read("Observation", "o")).unwrap_err(), DenialReason::UserNotEntitled);
}

#[test]
fn one_scope_does_not_open_another_type_or_letter() {
    let reading = principal("patient/Observation.r", Some("a"), &ANN);
    let refused = decided(&reading, read("Condition", "c")).unwrap_err();
    assert!(matches!(refused, DenialReason::MissingScope(resource_type, _) if resource_type.name() == "Condition"));
    let searching = principal("patient/Observation.s", Some("a"), &ANN);
    assert!(matches!(decided(&searching, read("Observation", "o")), Err(DenialReason::MissingScope(..))));
    assert!(decided(&reading, read("Observation", "o")).is_ok());
}

#[test]
fn a_system_scope_gives_a_user_nothing() {
    let principal = principal("system/*.cruds", Some("a"), &ANN);
    assert_eq!(decided(&principal, read("Observation", "o")).unwrap_err(), DenialReason::UserNotEntitled);
}

#[test]
fn a_client_on_its_own_behalf_may_do_what_token_and_registration_both_allow() {
    for (registered, scope, allowed) in [
        ("system/*.rs", "system/Observation.rs", true),
        ("system/*.rs", "system/*.cruds", true),
        ("system/Observation.r", "system/*.rs", true),
        ("system/Observation.s", "system/*.rs", false),
        ("system/Patient.rs", "system/*.rs", false),
        ("system/*.rs", "system/Patient.rs", false),
        ("system/*.cud", "system/*.rs", false),
        ("openid", "system/*.rs", false),
        ("user/*.rs patient/*.rs", "system/*.rs", false),
        ("system/*.rs", "user/*.rs", false),
        ("system/*.rs", "patient/*.rs", false),
    ] {
        let decision = decided(&system(registered, scope), read("Observation", "o"));
        assert_eq!(decision.is_ok(), allowed, "{registered} / {scope}");
    }
}

#[test]
fn the_audit_trail_and_imports_are_closed_to_clients_on_their_own_behalf() {
    for scope in ["system/*.cruds", "system/AuditEvent.rs", "system/*.cruds system/AuditEvent.cruds"] {
        let principal = system("system/*.cruds system/AuditEvent.cruds", scope);
        assert!(decided(&principal, read("AuditEvent", "e")).is_err(), "{scope}");
        assert!(decided(&principal, import()).is_err(), "{scope}");
    }
}

#[test]
fn a_wildcard_does_not_open_the_audit_trail_and_an_auditor_sees_nothing_clinical() {
    let wildcard = principal("patient/*.rs", Some("a"), &ANN);
    assert!(matches!(decided(&wildcard, read("AuditEvent", "e")), Err(DenialReason::MissingScope(..))));
    let clinical = principal("user/*.rs user/AuditEvent.rs", None, &AUDITOR);
    assert_eq!(decided(&clinical, read("Observation", "o")).unwrap_err(), DenialReason::UserNotEntitled);
    assert!(decided(&clinical, read("AuditEvent", "e")).is_ok());
    let administrator = principal("user/*.rs user/AuditEvent.rs", None, &ADMINISTRATOR);
    for resource_type in ["Observation", "AuditEvent", "Patient"] {
        assert_eq!(decided(&administrator, read(resource_type, "x")).unwrap_err(), DenialReason::UserNotEntitled);
    }
    let colleague = principal("user/AuditEvent.rs", None, &CLINICIAN);
    assert!(decided(&colleague, read("AuditEvent", "e")).is_err());
}

#[test]
fn only_the_operator_imports() {
    let patient = principal("patient/*.cruds", Some("a"), &ANN);
    assert_eq!(decided(&patient, import()).unwrap_err(), DenialReason::UserNotEntitled);
    let listing = Principal::command_line_operator(Operator::new("op", [OperatorOperation::ListUsers]));
    assert!(decided(&listing, import()).is_err());
    let loading = Principal::command_line_operator(Operator::new("op", [OperatorOperation::LoadResources]));
    assert!(decided(&loading, import()).is_ok());
    assert!(decided(&loading, read("Patient", "a")).is_err());
}

#[test]
fn a_refusal_of_one_context_overrides_what_another_gives() {
    let principal = principal("patient/*.rs user/*.rs", Some("b"), &ANN);
    assert_eq!(decided(&principal, read("Observation", "o")).unwrap_err(), DenialReason::UserNotEntitled);
}

#[test]
fn release_stops_what_the_store_should_not_have_returned() {
    let ann = principal("patient/*.rs", Some("a"), &ANN);
    let (permit, _) = decided(&ann, read("Observation", "o")).unwrap();
    let release = |found: StoredVersion| permit.release(unreleased(DecisionId(1), Vec::new(), Some(found)));
    assert!(release(version("Observation", "o", &["a"])).is_ok());
    for found in [
        version("Observation", "o", &["b"]),
        version("Observation", "o", &[]),
        version("Organization", "x", &[]),
        version("ValueSet", "v", &["a"]),
    ] {
        assert!(matches!(release(found), Err(Disagreement::NotCovered(_))));
    }
}

#[test]
fn content_of_one_decision_cannot_be_released_by_another() {
    let ann = principal("patient/*.rs", Some("a"), &ANN);
    let (permit, _) = decided(&ann, read("Observation", "o")).unwrap();
    let content = unreleased(DecisionId(2), Vec::new(), Some(version("Observation", "o", &["a"])));
    assert!(matches!(permit.release(content), Err(Disagreement::OtherDecision { .. })));
}

#[test]
fn a_clinician_sees_only_patients_in_care() {
    let clinician = principal("user/*.rs", None, &CLINICIAN);
    let (permit, _) = decided(&clinician, read("Observation", "o")).unwrap();
    let release =
        |in_care: Vec<LogicalId>| permit.release(unreleased(DecisionId(1), in_care, Some(version("Observation", "o", &["a"]))));
    assert!(release(vec![id("a")]).is_ok());
    assert!(release(vec![id("b")]).is_err());
    assert!(release(Vec::new()).is_err());
    let launched = principal("patient/*.rs", Some("a"), &CLINICIAN);
    let (permit, _) = decided(&launched, read("Observation", "o")).unwrap();
    let outside = unreleased(DecisionId(1), vec![id("b")], Some(version("Observation", "o", &["b"])));
    assert!(permit.release(outside).is_err());
}

#[test]
fn the_answer_to_a_write_shows_the_resource_only_to_who_may_read_it() {
    let resource = || {
        let body = br#"{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/a"}}"#;
        NewVersion::of(Resource::parse(body).unwrap(), id("o"), id("v"), 0, BASE).unwrap()
    };
    for (scope, shown) in [("patient/Observation.c", false), ("patient/Observation.cr", true)] {
        let ann = principal(scope, Some("a"), &ANN);
        let create = Operation::Write(WriteSet { changes: vec![Change::Create(resource())] });
        let (permit, _) = decided(&ann, create).unwrap();
        let written = vec![Written::Created(version("Observation", "o", &["a"]))];
        let released = permit.release_written(unreleased(DecisionId(1), Vec::new(), written)).unwrap();
        assert_eq!(released.content()[0].version().body.is_some(), shown, "{scope}");
    }
}

/// An Observation of one patient with one category.
fn observation(patient: &str, category: &str) -> StoredVersion {
    let body = format!(
        r#"{{"resourceType":"Observation","status":"final","code":{{"text":"x"}},"category":[{{"coding":[{{"system":"s","code":"{category}"}}]}}],
        "subject":{{"reference":"{BASE}/Patient/{patient}"}}}}"#
    );
    StoredVersion { body: Some(body.into_bytes()), ..version("Observation", "o", &[patient]) }
}

#[test]
fn release_judges_the_content_of_what_a_scope_with_criteria_opens() {
    verifies!("SMART-41");
    let release = |principal: &Principal, found: StoredVersion| {
        let (permit, _) = decided(principal, read("Observation", "o")).unwrap();
        permit.release(unreleased(DecisionId(1), Vec::new(), Some(found))).is_ok()
    };
    let lab = principal("patient/Observation.rs?category=s|laboratory", Some("a"), &ANN);
    assert!(release(&lab, observation("a", "laboratory")));
    assert!(!release(&lab, observation("a", "survey")));
    assert!(!release(&lab, observation("b", "laboratory")), "the compartment and the criteria must both hold");
    assert!(!release(&lab, StoredVersion { body: None, ..observation("a", "laboratory") }), "a deletion has no content");
    assert!(!release(&lab, version("Observation", "o", &["a"])), "what is no resource is not admitted");

    let several =
        principal("patient/Observation.r?category=s|laboratory patient/Observation.rs?category=s|survey", Some("a"), &ANN);
    assert!(release(&several, observation("a", "laboratory")) && release(&several, observation("a", "survey")));
    assert!(!release(&several, observation("a", "vital-signs")));
    let whole = principal("patient/Observation.r?category=s|laboratory patient/Observation.rs", Some("a"), &ANN);
    assert!(release(&whole, observation("a", "vital-signs")));
    let letters = principal("patient/Observation.s?category=s|laboratory", Some("a"), &ANN);
    assert!(matches!(decided(&letters, read("Observation", "o")), Err(DenialReason::MissingScope(..))));

    // References are told by the server's own base.
    let subject = principal("user/Observation.rs?subject=Patient/a", None, &ANN);
    assert!(release(&subject, observation("a", "survey")));
}

#[test]
fn the_criteria_of_a_token_and_of_a_registration_must_both_hold() {
    let release = |registered: &str, scope: &str, category: &str| {
        let (permit, _) = decided(&system(registered, scope), read("Observation", "o")).unwrap();
        permit.release(unreleased(DecisionId(1), Vec::new(), Some(observation("a", category)))).is_ok()
    };
    let lab = "system/Observation.rs?category=s|laboratory";
    for (registered, scope) in
        [(lab, "system/*.rs"), ("system/*.rs", lab), (lab, lab), (lab, "system/Observation.rs?category=laboratory,survey")]
    {
        assert!(release(registered, scope, "laboratory"), "{registered} / {scope}");
        assert!(!release(registered, scope, "survey"), "{registered} / {scope}");
    }
    assert!(!release(lab, "system/Observation.rs?category=survey", "laboratory"));
    // The registration was narrowed after the token was issued, by references, which the bodies write with the server's own base.
    let of = |patient: &str| format!("system/Observation.rs?subject=Patient/{patient}");
    assert!(release(&of("a"), "system/*.rs", "laboratory"));
    assert!(!release(&of("b"), "system/*.rs", "laboratory"));
}

#[test]
fn a_plain_permit_has_no_criteria_and_never_looks_at_a_body() {
    let (permit, _) = decided(&principal("patient/*.cruds", Some("a"), &ANN), read("Observation", "o")).unwrap();
    let unreadable = version("Observation", "o", &["a"]);
    assert!(permit.release(unreleased(DecisionId(1), Vec::new(), Some(unreadable))).is_ok());
    assert!(!permit.trace().0.iter().any(|verdict| verdict.rule == "scope-criteria".into()));
    let (permit, _) = decided(&principal("patient/Observation.r?category=x", Some("a"), &ANN), read("Observation", "o")).unwrap();
    assert!(permit.trace().0.iter().any(|verdict| verdict.rule == "scope-criteria".into()));
}

fn daughter<'a>(represents: &'a [&'a str]) -> Person<'a> {
    Person { roles: &[Role::Representative], fhir_user: Some("RelatedPerson/d"), patients: &["a"], represents }
}

fn reads(scope: &str, launch: &str, person: &Person<'_>) -> bool {
    let read = Operation::Read(Read { resource_type: ResourceType::OBSERVATION, id: id("x") });
    let decided = decide(DecisionId(1), &principal(scope, Some(launch), person), read);
    matches!(decided, Decision::Permit(..))
}

#[test]
fn a_representation_counts_from_its_beginning_to_before_its_end() {
    for (line, permitted) in [
        (format!("m {NOW} - rw -"), true),
        (format!("m {} {} rw -", NOW - 10, NOW + 1), true),
        (format!("m {} {NOW} rw -", NOW - 10), false),
        (format!("m {} - rw -", NOW + 1), false),
    ] {
        assert_eq!(reads("patient/Observation.rs", "m", &daughter(&[&line])), permitted, "{line}");
    }
    assert!(!reads("patient/Observation.rs", "m", &daughter(&[])));
    let without_role = Person { roles: &[Role::Clinician], ..daughter(&["m 0 - rw -"]) };
    assert!(!reads("patient/Observation.rs", "m", &Person { fhir_user: None, ..without_role }), "the role is asked for, too");
}

#[test]
fn what_a_representation_leaves_out_stays_closed_for_that_patient_alone() {
    let limited = daughter(&["m 0 - ro Observation"]);
    assert!(!reads("patient/*.rs", "m", &limited));
    assert!(reads("patient/*.rs", "a", &limited), "the own record is whole");
    let letters = |scope: &str, launch: Option<&str>, letter: Letter, resource_type: ResourceType| {
        let Ruling::Grant(grants) = patient_or_user(scope, launch, &limited) else { panic!("{scope}") };
        let open = |grant: &&Grant| grant.types(letter).contains(resource_type);
        grants.iter().filter(open).map(|grant| grant.boundary.clone()).collect::<Vec<_>>()
    };
    let of = |patient: &str| Boundary::Patients(NonEmpty::of([id(patient)]).unwrap());
    let (observation, condition) = (ResourceType::OBSERVATION, ResourceType::parse("Condition").unwrap());
    assert_eq!(letters("patient/*.cruds", Some("m"), Letter::Read, condition), [of("m")]);
    assert_eq!(letters("patient/*.cruds", Some("m"), Letter::Create, condition), [], "read only");
    assert_eq!(letters("user/*.cruds", None, Letter::Read, condition), [of("a"), of("m")]);
    assert_eq!(letters("user/*.cruds", None, Letter::Search, observation), [of("a")]);
    for letter in [Letter::Create, Letter::Update, Letter::Delete] {
        assert_eq!(letters("user/*.cruds", None, letter, condition), [of("a")]);
    }
}

fn patient_or_user(scope: &str, launch: Option<&str>, person: &Person<'_>) -> Ruling {
    let principal = principal(scope, launch, person);
    match crate::rules::patient_context::apply(&principal) {
        Ruling::NotApplicable => crate::rules::user_context::apply(&principal),
        ruling => ruling,
    }
}

/// A version of Observation/o of a patient with labels.
fn labelled(patient: &str, codes: &[&str]) -> StoredVersion {
    let labels = codes.iter().fold(Labels::NONE, |labels, code| labels | Labels::named(code).unwrap());
    StoredVersion { security: Security { labels, ..Security::NONE }, ..version("Observation", "o", &[patient]) }
}

#[test]
fn release_finds_what_no_clearance_covers_and_shows_labels_once() {
    let release = |principal: &Principal, found: StoredVersion| {
        let (permit, _) = decided(principal, read("Observation", "o")).unwrap();
        permit.release(unreleased(DecisionId(1), vec![id("a")], Some(found)))
    };
    let clinician = principal("user/*.rs", None, &CLINICIAN);
    let ann = principal("patient/*.rs", Some("a"), &ANN);
    let system = || system("system/*.rs", "system/*.rs");
    let full = Clearances {
        clinician: Clearance::FULL,
        client: Clearance::up_to(Confidentiality::Normal, Labels::NONE),
        ..Clearances::default()
    };
    for codes in [&["R"][..], &["V"], &["N", "HIV"], &["R", "SUD"]] {
        let found = || labelled("a", codes);
        assert!(matches!(release(&clinician, found()), Err(Disagreement::NotCovered(_))), "{codes:?}");
        assert!(matches!(release(&system().cleared(full), found()), Err(Disagreement::NotCovered(_))), "{codes:?}");
        let cleared = principal("user/*.rs", None, &CLINICIAN).cleared(full);
        for principal in [&ann, &system(), &cleared] {
            let released = release(principal, found()).unwrap().into_content().unwrap();
            let text = String::from_utf8(released.body.unwrap()).unwrap();
            assert_eq!(text.matches("\"security\"").count(), 1, "{text}");
        }
    }
    let plain = release(&clinician, labelled("a", &[])).unwrap().into_content().unwrap();
    assert_eq!(plain.body.as_deref(), Some(&b"{}"[..]), "without labels nothing changes");
    assert!(release(&clinician, labelled("a", &["N"])).is_ok());
    let unreadable = StoredVersion { body: Some(b"[".to_vec()), ..labelled("a", &["N"]) };
    assert!(matches!(release(&clinician, unreadable), Err(Disagreement::Unreadable(_))));
}

#[test]
fn whose_clearance_nobody_has_said_sees_nothing_above_the_lowest_label() {
    let unsaid = |principal: Principal| principal.cleared(Clearances::least());
    for principal in [unsaid(principal("user/*.rs", None, &CLINICIAN)), unsaid(system("system/*.rs", "system/*.rs"))] {
        for code in ["L", "N", "R", "HIV"] {
            let (permit, _) = decided(&principal, read("Observation", "o")).unwrap();
            let found = unreleased(DecisionId(1), vec![id("a")], Some(labelled("a", &[code])));
            assert!(matches!(permit.release(found), Err(Disagreement::NotCovered(_))), "{code}");
        }
    }
}

#[test]
fn a_record_that_is_hidden_by_its_labels_shows_no_other() {
    let clinician = principal("user/*.rs", None, &CLINICIAN);
    for (name, patients) in [("Practitioner", &[][..]), ("Provenance", &[])] {
        let (permit, _) = decided(&clinician, read(name, "x")).unwrap();
        let release = |codes: &[&str], clearance| {
            let labels = codes.iter().fold(Labels::NONE, |labels, code| labels | Labels::named(code).unwrap());
            let record = LocalReference::parse("Observation/o").unwrap();
            let grounds = vec![Grounds { record, patients: vec![id("a")], labels, clearance }];
            let found = StoredVersion { grounds, ..version(name, "x", patients) };
            permit.release(unreleased(DecisionId(1), vec![id("a")], Some(found)))
        };
        let own = Clearances::default().clinician;
        assert!(release(&["N"], own).is_ok(), "{name}");
        assert!(matches!(release(&["N", "PSY"], own), Err(Disagreement::NotCovered(_))), "{name}");
        // Nor does what opens it in another way, which shows more or less.
        assert!(matches!(release(&["N"], Clearance::FULL), Err(Disagreement::NotCovered(_))), "{name}");
    }
}
