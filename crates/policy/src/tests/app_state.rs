//! App state: which cells are open to whom, and that nothing outside of them is looked for, written or released.

use portcullis_oauth::clients::AppStateEntitlement;

use super::*;
use crate::app_state::{self, AppState, AppStateCell, AppStateFacts, AppStateLookup, AppStatePermit, AppStateWrite};
use crate::operator_rules::OperatorRules;
use crate::rules::consent::CompiledConsent;
use crate::{Basis, ConsentsOf};

const PREFERENCES: &str = "https://app.example|preferences";
const ADMINISTERING_CLINICIAN: Person<'_> =
    Person { roles: &[Role::Clinician, Role::Administrator], fhir_user: Some("Practitioner/dr"), patients: &[], represents: &[] };

fn entitled(lines: &[&str]) -> Vec<AppStateEntitlement> {
    lines.iter().map(|line| AppStateEntitlement::parse(line).unwrap()).collect()
}

fn permit_of(
    principal: &Principal,
    letter: Letter,
    entitlements: &[&str],
    in_reach: Option<&str>,
) -> Result<AppStatePermit, DenialReason> {
    let (entitlements, patient) = (entitled(entitlements), in_reach.map(id));
    let facts = AppStateFacts { entitlements: &entitlements, patient_in_reach: patient.as_ref() };
    let unasked = app_state::decide(DecisionId(1), principal, letter, facts).map_err(|denial| denial.reason)?;
    Ok(unasked.consented(&Consulted::nobody_has_any()))
}

/// The open cells as `code` or `code of subject`.
fn open(
    principal: &Principal,
    letter: Letter,
    entitlements: &[&str],
    in_reach: Option<&str>,
) -> Result<Vec<String>, DenialReason> {
    let named = |cell: &AppStateCell| match &cell.subject {
        None => cell.code.code().to_owned(),
        Some(subject) => format!("{} of {subject}", cell.code.code()),
    };
    permit_of(principal, letter, entitlements, in_reach).map(|permit| permit.cells.iter().map(named).collect())
}

fn denied(reason: DenialReason) -> Result<Vec<String>, DenialReason> {
    Err(reason)
}

fn opened(cells: &[&str]) -> Result<Vec<String>, DenialReason> {
    Ok(cells.iter().map(|cell| (*cell).to_owned()).collect())
}

const MODIFY: &[&str] = &["modify=https://app.example|preferences"];

#[test]
fn an_app_without_a_registered_code_has_no_cell() {
    let principal = principal("patient/Basic.cuds user/Basic.cuds", Some("a"), &ANN);
    for letter in [Letter::Create, Letter::Update, Letter::Delete, Letter::Search] {
        assert_eq!(open(&principal, letter, &[], Some("a")), denied(DenialReason::NotOfThisApp), "{letter:?}");
    }
}

#[test]
fn scopes_open_only_their_letters_and_only_their_subject() {
    let missing = |letter| denied(DenialReason::MissingScope(ResourceType::BASIC, letter));
    let of = |scope: &str| principal(scope, Some("a"), &ANN);
    assert_eq!(open(&of("patient/Observation.cruds"), Letter::Search, MODIFY, Some("a")), missing(Letter::Search));
    assert_eq!(open(&of("patient/Basic.s"), Letter::Create, MODIFY, Some("a")), missing(Letter::Create));
    assert_eq!(open(&of("patient/Basic.cuds"), Letter::Create, MODIFY, Some("a")), opened(&["preferences of Patient/a"]));
    assert_eq!(open(&of("patient/Basic.s"), Letter::Search, MODIFY, Some("a")), opened(&["preferences of Patient/a"]));
    // The scope about the user opens what is the same for all, too, and to look at only.
    assert_eq!(open(&of("user/Basic.s"), Letter::Search, MODIFY, None), opened(&["preferences of Patient/a", "preferences"]));
    assert_eq!(open(&of("user/Basic.c"), Letter::Create, MODIFY, None), opened(&["preferences of Patient/a"]));
}

#[test]
fn a_patient_whom_the_user_may_not_see_today_has_no_cell() {
    let principal = principal("patient/Basic.cuds", Some("a"), &CLINICIAN);
    assert_eq!(open(&principal, Letter::Search, MODIFY, None), denied(DenialReason::NotOfThisApp));
    assert_eq!(open(&principal, Letter::Search, MODIFY, Some("b")), denied(DenialReason::NotOfThisApp), "a fact about another");
    assert_eq!(open(&principal, Letter::Search, MODIFY, Some("a")), opened(&["preferences of Patient/a"]));
}

#[test]
fn a_representative_with_limits_has_them_here_too() {
    let person = |limits: &'static str| {
        let represents: &'static [&'static str] = Box::leak(Box::new([limits]));
        Person { roles: &[Role::Representative], fhir_user: Some("RelatedPerson/r"), patients: &[], represents }
    };
    let of = |limits| principal("patient/Basic.cuds", Some("a"), &person(limits));
    let read_only = of("a 0 - ro -");
    assert_eq!(open(&read_only, Letter::Search, MODIFY, Some("a")), opened(&["preferences of Patient/a"]));
    assert_eq!(open(&read_only, Letter::Update, MODIFY, Some("a")), denied(DenialReason::UserNotEntitled));
    assert_eq!(open(&of("a 0 - rw Basic"), Letter::Search, MODIFY, Some("a")), denied(DenialReason::UserNotEntitled));
    // What the representation of another gives is none of this patient's.
    let two = Person { represents: &["a 0 - rw Basic", "b 0 - rw -"], ..person("a 0 - rw Basic") };
    let two = principal("patient/Basic.s user/Basic.s", Some("a"), &two);
    assert_eq!(open(&two, Letter::Search, MODIFY, Some("a")), opened(&["preferences of RelatedPerson/r", "preferences"]));
}

#[test]
fn a_companion_sees_and_changes_nothing_and_only_administrators_change_what_is_the_same_for_all() {
    let query: &[&str] = &["query=https://app.example|preferences"];
    let administer: &[&str] = &["administer=https://app.example|preferences"];
    let ann = principal("user/Basic.cuds", None, &ANN);
    assert_eq!(open(&ann, Letter::Search, query, None), opened(&["preferences of Patient/a", "preferences"]));
    for letter in [Letter::Create, Letter::Update, Letter::Delete] {
        assert_eq!(open(&ann, letter, query, None), denied(DenialReason::NotOfThisApp));
        assert_eq!(open(&ann, letter, administer, None), opened(&["preferences of Patient/a"]), "Ann is no administrator");
        let admin = principal("user/Basic.cuds", None, &ADMINISTRATOR);
        assert_eq!(open(&admin, letter, MODIFY, None), denied(DenialReason::NotOfThisApp));
        assert_eq!(open(&admin, letter, administer, None), opened(&["preferences"]));
        let both = principal("user/Basic.cuds", None, &ADMINISTERING_CLINICIAN);
        assert_eq!(open(&both, letter, administer, None), opened(&["preferences of Practitioner/dr", "preferences"]));
    }
    // An auditor sees audit events and nothing else.
    assert_eq!(
        open(&principal("user/Basic.s", None, &AUDITOR), Letter::Search, query, None),
        denied(DenialReason::UserNotEntitled)
    );
    let without_scope = principal("user/Observation.rs", None, &ADMINISTRATOR);
    let missing = DenialReason::MissingScope(ResourceType::BASIC, Letter::Search);
    assert_eq!(open(&without_scope, Letter::Search, administer, None), denied(missing));
}

#[test]
fn a_refused_patient_context_refuses_an_administrator_as_well() {
    let principal = principal("patient/Basic.s user/Basic.s", None, &ADMINISTRATOR);
    let refused = open(&principal, Letter::Search, &["administer=https://app.example|preferences"], None);
    assert_eq!(refused, denied(DenialReason::NoLaunchPatient));
}

#[test]
fn criteria_of_a_scope_narrow_the_cells() {
    let codes: &[&str] = &["modify=https://app.example|preferences", "modify=https://app.example|keys"];
    let of = |scope: &str| principal(scope, Some("a"), &ANN);
    let keys = of("patient/Basic.cuds?code=https://app.example|keys");
    assert_eq!(open(&keys, Letter::Create, codes, Some("a")), opened(&["keys of Patient/a"]));
    let other = of("patient/Basic.cuds?code=https://elsewhere.example|keys");
    assert_eq!(open(&other, Letter::Create, codes, Some("a")), denied(DenialReason::NotOfThisApp));
    let two = of("patient/Basic.s?code=https://app.example|keys user/Basic.s?code=https://app.example|preferences");
    let expected = opened(&["preferences of Patient/a", "preferences", "keys of Patient/a"]);
    assert_eq!(open(&two, Letter::Search, codes, Some("a")), expected);
}

#[test]
fn a_client_on_its_own_behalf_and_an_operator_have_no_cells() {
    let client = system("system/*.cruds", "system/*.cruds");
    assert_eq!(open(&client, Letter::Search, MODIFY, None), denied(DenialReason::UserNotEntitled));
}

fn state(code: &str, subject: Option<&str>) -> AppState {
    let code = portcullis_oauth::clients::AppStateCode::parse(code).unwrap();
    let subject = subject.map(|text| LocalReference::parse(text).unwrap());
    AppState { id: id("s"), version: id("v"), last_updated: 0, cell: AppStateCell { code, subject }, body: Vec::new() }
}

#[test]
fn nothing_outside_the_cells_is_looked_for_written_or_released() {
    let ann = principal("patient/Basic.cuds", Some("a"), &ANN);
    let permit = permit_of(&ann, Letter::Create, MODIFY, Some("a")).unwrap();
    for outside in [
        state(PREFERENCES, None),
        state(PREFERENCES, Some("Patient/b")),
        state(PREFERENCES, Some("Practitioner/a")),
        state("https://app.example|keys", Some("Patient/a")),
        state("https://app.example.org|preferences", Some("Patient/a")),
    ] {
        assert_eq!(permit.write(AppStateWrite::Create(outside.clone())).unwrap_err().reason, DenialReason::NotOfThisApp);
        let lookup = permit.lookup(AppStateLookup { id: None }, |cell| *cell == outside.cell);
        assert_eq!(lookup.unwrap_err().reason, DenialReason::NotOfThisApp);
        let found = permit.release(Unreleased::new(DecisionId(1), Vec::new(), vec![outside]));
        assert!(matches!(found, Err(Disagreement::NotCovered(_))));
    }
    let inside = state(PREFERENCES, Some("Patient/a"));
    assert!(permit.write(AppStateWrite::Create(inside.clone())).is_ok());
    assert!(
        permit.write(AppStateWrite::Update(inside.clone(), id("v"))).is_err(),
        "another letter than the one that was decided"
    );
    let delete = AppStateWrite::Delete { id: id("s"), cell: inside.cell.clone(), if_match: id("v") };
    assert!(permit.write(delete).is_err());
    let other = permit.release(Unreleased::new(DecisionId(2), Vec::new(), vec![inside.clone()]));
    assert!(matches!(other, Err(Disagreement::OtherDecision { .. })));
    assert_eq!(permit.release(Unreleased::new(DecisionId(1), Vec::new(), vec![inside])).unwrap().content().len(), 1);
}

/// The same under rules of the operator.
fn ruled(principal: &Principal, letter: Letter, entitlements: &[&str], rules: &str) -> Result<Vec<String>, DenialReason> {
    let rules = OperatorRules::parse(rules, BASE, &|_| None).unwrap_or_else(|problems| panic!("{problems:?}"));
    let basis = Basis { id: DecisionId(1), rules: rules.into() };
    let (entitlements, patient) = (entitled(entitlements), id("a"));
    let facts = AppStateFacts { entitlements: &entitlements, patient_in_reach: Some(&patient) };
    let unasked = app_state::decide(basis, principal, letter, facts).map_err(|denial| denial.reason)?;
    let permit = unasked.consented(&Consulted::nobody_has_any());
    Ok(permit.cells.iter().map(|cell| cell.code.code().to_owned()).collect())
}

#[test]
fn rules_of_the_operator_take_state_away_from_everybody_and_by_what_it_is() {
    let codes: &[&str] = &["administer=https://app.example|preferences", "administer=https://app.example|keys"];
    let rule = |more: &str| format!("[[rule]]\nname = 'r'\neffect = 'deny'\n{more}\n");
    let ann = principal("patient/Basic.cuds", Some("a"), &ANN);
    let admin = principal("user/Basic.cuds", None, &ADMINISTRATOR);
    let refused = || Err(DenialReason::UserNotEntitled);
    let (all, keys) = (opened(&["preferences", "keys"]), opened(&["keys"]));
    for (text, of_ann, of_admin) in [
        ("types = ['Condition']", &all, &all),
        ("types = ['Basic']", &refused(), &refused()),
        ("types = ['Basic']\nwhen = { roles = ['administrator'] }", &all, &refused()),
        ("types = ['Basic']\nwhen = { clients = ['app'] }", &refused(), &refused()),
        ("types = ['Basic']\ninteractions = 'cud'", &all, &all),
        ("types = ['Basic']\ncriteria = ['code=https://app.example|preferences']", &keys, &keys),
        ("types = ['Basic']\ncriteria = ['subject=Patient/a']", &refused(), &all),
        ("types = ['Basic']\ncriteria = ['subject:missing=true']", &all, &refused()),
        ("types = ['Basic']\ncriteria = ['author=Practitioner/dr']", &all, &all),
        // Some state of the cell may have the profile, and another one not.
        ("types = ['Basic']\ncriteria = ['_profile=https://app.example/p']", &refused(), &refused()),
        ("types = ['Basic']\nshadow = true", &all, &all),
    ] {
        assert_eq!(&ruled(&ann, Letter::Search, codes, &rule(text)), of_ann, "{text}");
        assert_eq!(&ruled(&admin, Letter::Search, codes, &rule(text)), of_admin, "{text}");
    }
}

#[test]
fn what_a_consent_hides_is_not_found_and_cannot_be_made() {
    let codes: &[&str] = &["modify=https://app.example|preferences"];
    let clinician = principal("patient/Basic.cuds user/Basic.s", Some("a"), &CLINICIAN);
    let entitlements = entitled(codes);
    let patient = id("a");
    let facts = AppStateFacts { entitlements: &entitlements, patient_in_reach: Some(&patient) };
    let unasked = |letter| app_state::decide(DecisionId(1), &clinician, letter, facts).unwrap();
    let patients_of = |unasked: &app_state::Unasked| unasked.asking().map(|(_, patients)| patients.to_vec());
    assert_eq!(patients_of(&unasked(Letter::Search)), Some(vec![id("a")]));
    let denial = CompiledConsent::unreadable(id("c"), id("a"));
    let consulted = Consulted { of: ConsentsOf::Patients(vec![id("a")]), consents: vec![denial], ..Consulted::default() };
    let about = |cell: &AppStateCell| cell.subject.is_some();
    for (consulted, open) in [(Consulted::nobody_has_any(), 1), (consulted, 0), (Consulted::default(), 0)] {
        let searching = unasked(Letter::Search).consented(&consulted);
        let found = searching
            .lookup(AppStateLookup { id: None }, |cell| about(cell) && cell.subject != clinician.user().unwrap().fhir_user);
        assert_eq!(found.unwrap().cells().len(), open, "as if there were nothing");
        assert!(
            searching.lookup(AppStateLookup { id: None }, |cell| !about(cell)).is_ok(),
            "nobody is asked about what is nobody's"
        );
        let made =
            unasked(Letter::Create).consented(&consulted).write(AppStateWrite::Create(state(PREFERENCES, Some("Patient/a"))));
        assert_eq!(made.is_ok(), open == 1);
    }
}
