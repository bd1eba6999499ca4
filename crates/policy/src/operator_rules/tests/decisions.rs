//! What rules decide, the negative space first.

use portcullis_verifies::verifies;

use super::*;

fn deny(text: &str) -> Arc<OperatorRules> {
    rules(&format!("[[rule]]\nname = 'r'\neffect = 'deny'\n{text}"))
}

#[test]
fn a_deny_by_role_and_type_refuses_the_read_and_nothing_else() {
    let rules = deny("types = ['Condition']\nwhen = { roles = ['clinician'] }");
    assert_eq!(said(&CLINICIAN.reads(&rules, "Condition").unwrap_err().trace), ["rule:r=deny"]);
    assert!(CLINICIAN.reads(&rules, "Observation").is_ok());
    assert!(PATIENT.reads(&rules, "Condition").is_ok());
    let reading = deny("types = ['Condition']\ninteractions = 'rs'");
    let delete = crate::Change::Delete {
        resource_type: kind("Condition"),
        id: id("x"),
        version: id("v"),
        last_updated: 0,
        if_match: None,
    };
    let delete = Operation::Write(crate::WriteSet { changes: vec![delete] });
    assert!(CLINICIAN.decides(&reading, delete).is_ok(), "another letter");
    assert!(PATIENT.reads(&reading, "Condition").is_err(), "everybody");
}

/// FHIR R4 Security: access by attributes of the client, the resource, the user and the context. What is about the content answers as absent and not as denied.
#[test]
fn each_attribute_decides_alone() {
    verifies!("FHIR-SEC-24");
    for (text, hit, missed) in [
        ("when = { clients = ['app'] }", CLINICIAN, Asking { client: "other", ..CLINICIAN }),
        ("when = { users = ['u-dr'] }", CLINICIAN, Asking { user: "u-other", ..CLINICIAN }),
        ("when = { users = ['Practitioner/dr'] }", CLINICIAN, Asking { fhir_user: Some("Practitioner/other"), ..CLINICIAN }),
        ("when = { purpose = ['COC'] }", Asking { purpose: Some("COC"), ..CLINICIAN }, CLINICIAN),
        ("unless = { purpose = ['COC'] }", CLINICIAN, Asking { purpose: Some("COC"), ..CLINICIAN }),
        ("when = { networks = ['10.0.0.0/8'] }", CLINICIAN, Asking { address: Some("192.0.2.1"), ..CLINICIAN }),
        ("unless = { networks = ['10.0.0.0/8'] }", Asking { address: Some("192.0.2.1"), ..CLINICIAN }, CLINICIAN),
        (
            "unless = { hours = { days = ['mon-fri'], from = '07:00', to = '19:00', zone = 'UTC' } }",
            Asking { at: MONDAY - 7 * 3600, ..CLINICIAN },
            CLINICIAN,
        ),
    ] {
        let rules = deny(text);
        let refused = hit.reads(&rules, "Observation").unwrap_err();
        assert_eq!(said(&refused.trace), ["rule:r=deny"], "{text}");
        let let_in = missed.reads(&rules, "Observation");
        assert!(let_in.as_ref().is_ok_and(|permit| said(permit.trace()).is_empty()), "{text}: {let_in:?}");
    }
    for (text, hit, missed) in [
        ("labels = ['HIV']", version("Observation", &["HIV"], ""), version("Observation", &["PSY"], "")),
        ("labels = ['R']", version("Observation", &["V"], ""), version("Observation", &["N"], "")),
        (
            "types = ['Observation', 'Condition']\nlabels = ['HIV']",
            version("Observation", &["HIV"], ""),
            version("Observation", &["N"], ""),
        ),
        (
            "types = ['Observation']\ncriteria = ['status=preliminary']",
            version("Observation", &[], r#","status":"preliminary""#),
            version("Observation", &[], r#","status":"final""#),
        ),
        (
            "types = ['Observation']\ncriteria = ['performer=Practitioner/x']",
            version("Observation", &[], r#","performer":[{"reference":"Practitioner/x"}]"#),
            version("Observation", &[], r#","performer":[{"reference":"Practitioner/y"}]"#),
        ),
        (
            "types = ['Observation']\ncriteria = ['status=preliminary']\nlabels = ['HIV']",
            version("Observation", &["HIV"], r#","status":"preliminary""#),
            version("Observation", &["HIV"], r#","status":"final""#),
        ),
        (
            "types = ['Observation']\ncriteria = ['_security=http://terminology.hl7.org/CodeSystem/v3-ActCode|HIV']",
            version("Observation", &["HIV"], ""),
            version("Observation", &["PSY"], ""),
        ),
    ] {
        let permit = CLINICIAN.reads(&deny(text), "Observation").unwrap();
        assert_eq!(said(permit.trace()), ["rule:r=narrow"], "{text}");
        assert!(!releases(&permit, Relationship::Care, &hit), "{text}");
        assert!(releases(&permit, Relationship::Care, &missed), "{text}");
    }
}

#[test]
fn what_nobody_knows_decides_against_whoever_asks() {
    let nowhere = Asking { address: None, ..CLINICIAN };
    assert!(nowhere.reads(&deny("when = { networks = ['10.0.0.0/8'] }"), "Observation").is_err());
    assert!(nowhere.reads(&deny("unless = { networks = ['10.0.0.0/8'] }"), "Observation").is_err());
    let elsewhere = "when = { networks = ['10.0.0.0/8'], clients = ['other'] }";
    assert!(nowhere.reads(&deny(elsewhere), "Observation").is_ok(), "what is known says that it does not apply");
    let permit = rules(
        "[[rule]]\nname = 'p'\neffect = 'permit'\nrelationship = 'organization'\ntypes = ['Patient']\n\
         when = { roles = ['staff'], networks = ['10.0.0.0/8'] }",
    );
    assert!(STAFF.reads(&permit, "Patient").is_ok());
    assert!(Asking { address: None, ..STAFF }.reads(&permit, "Patient").is_err());
}

const DESK: &str = "[[rule]]\nname = 'desk'\neffect = 'permit'\nrelationship = 'organization'\ntypes = ['Patient', 'Appointment']\n\
    interactions = 'rs'\nwhen = { roles = ['staff'] }\n";

/// The clerk of the requirement: Patient, and no Condition.
#[test]
fn staff_see_what_a_permit_gives_within_the_scopes_and_nothing_without_one() {
    verifies!("FHIR-SEC-23");
    let (none, desk) = (Arc::default(), rules(DESK));
    assert!(STAFF.reads(&none, "Patient").is_err());
    let permit = STAFF.reads(&desk, "Patient").unwrap();
    assert_eq!(said(permit.trace()), ["rule:desk=permit"]);
    assert!(releases(&permit, Relationship::Organization, &version("Patient", &[], "")));
    assert!(!releases(&permit, Relationship::Care, &version("Patient", &[], "")), "another relationship");
    assert!(STAFF.reads(&desk, "Condition").is_err());
    assert!(Asking { scopes: "user/Condition.rs", ..STAFF }.reads(&desk, "Patient").is_err(), "no scope");
    assert!(Asking { scopes: "patient/*.rs", ..STAFF }.reads(&desk, "Patient").is_err(), "another context");
    assert!(Asking { roles: &[Role::Administrator], ..STAFF }.reads(&desk, "Patient").is_err());
    assert!(Asking { fhir_user: None, ..STAFF }.reads(&desk, "Patient").is_err(), "nobody knows whose organisation");
    assert!(Asking { fhir_user: Some("Patient/desk"), ..STAFF }.reads(&desk, "Patient").is_err());
    let deletion =
        crate::Change::Delete { resource_type: kind("Patient"), id: id("x"), version: id("v"), last_updated: 0, if_match: None };
    assert!(STAFF.decides(&desk, Operation::Write(crate::WriteSet { changes: vec![deletion] })).is_err(), "no such letter");
}

#[test]
fn a_permit_with_criteria_gives_only_what_they_find() {
    let desk = rules(&format!("{DESK}criteria = ['_tag=open']\n"));
    let permit = STAFF.reads(&desk, "Patient").unwrap();
    let tagged = version("Patient", &[], r#","meta":{"tag":[{"code":"open"}]}"#);
    assert!(releases(&permit, Relationship::Organization, &tagged));
    assert!(!releases(&permit, Relationship::Organization, &version("Patient", &[], "")));
}

#[test]
fn a_deny_overrides_a_permit_of_the_same_file_whatever_comes_first() {
    let denying = "[[rule]]\nname = 'no'\neffect = 'deny'\ntypes = ['Patient']\nwhen = { users = ['u-desk'] }\n";
    for text in [format!("{DESK}{denying}"), format!("{denying}{DESK}")] {
        let rules = rules(&text);
        assert!(STAFF.reads(&rules, "Patient").is_err());
        assert!(Asking { user: "u-other", ..STAFF }.reads(&rules, "Patient").is_ok());
        assert!(STAFF.reads(&rules, "Appointment").is_ok());
    }
}

#[test]
fn a_permit_opens_nothing_to_who_broke_the_glass() {
    let rules = rules(DESK);
    assert!(Asking { purpose: Some("BTG"), ..STAFF }.reads(&rules, "Patient").is_err());
}

#[test]
fn the_operator_at_the_command_line_is_not_asked() {
    use portcullis_oauth::principal::{Operator, OperatorOperation};
    let rules = deny("types = ['Patient']");
    let operator = Principal::command_line_operator(Operator::new("root", [OperatorOperation::ReadResources]));
    let read = Operation::Read(Read { resource_type: kind("Patient"), id: id("x") });
    assert!(matches!(decide(Basis { id: DecisionId(1), rules }, &operator, read), Decision::Permit(..)));
}

#[test]
fn a_client_on_its_own_behalf_obeys_rules_about_clients_and_has_no_role() {
    let backend = Asking { roles: &[], client: "backend", scopes: "system/*.rs", ..CLINICIAN };
    assert!(backend.reads(&deny("when = { clients = ['backend'] }"), "Patient").is_err());
    assert!(backend.reads(&deny("when = { roles = ['clinician'] }"), "Patient").is_ok());
    assert!(backend.reads(&deny("unless = { roles = ['clinician'] }"), "Patient").is_err());
}

#[test]
fn labels_of_some_interactions_alone_leave_the_others_as_they_were() {
    let rules = deny("labels = ['HIV']\ninteractions = 's'");
    let hidden = version("Observation", &["HIV"], "");
    assert!(releases(&CLINICIAN.reads(&rules, "Observation").unwrap(), Relationship::Care, &hidden));
    let query = portcullis_fhir::search::parse(
        kind("Observation"),
        &[],
        &portcullis_fhir::search::SearchContext {
            base_url: BASE,
            handling: portcullis_fhir::search::Handling::Strict,
            now_ms: 0,
        },
    )
    .unwrap();
    let permit = CLINICIAN.decides(&rules, Operation::Search(query)).unwrap();
    assert!(!releases(&permit, Relationship::Care, &hidden));
}

#[test]
fn a_rule_that_is_tried_is_told_and_changes_nothing() {
    let tried = deny("shadow = true\ntypes = ['Condition']");
    let permit = CLINICIAN.reads(&tried, "Condition").unwrap();
    assert_eq!(said(permit.trace()), ["rule:r=would-deny"]);
    let tried = deny("shadow = true\nlabels = ['HIV']");
    let permit = CLINICIAN.reads(&tried, "Observation").unwrap();
    assert_eq!(said(permit.trace()), Vec::<String>::new(), "nothing is counted before anything is released");
    assert!(releases(&permit, Relationship::Care, &version("Observation", &["HIV"], "")));
    assert!(releases(&permit, Relationship::Care, &version("Observation", &["N"], "")));
    assert!(releases(&permit, Relationship::Care, &version("Observation", &["HIV", "R"], "")));
    assert_eq!(said(permit.trace()), ["rule:r=would-hide:2"]);
    let tried = deny("shadow = true\ntypes = ['Practitioner']");
    let permit = CLINICIAN.reads(&tried, "Observation").unwrap();
    assert!(releases(&permit, Relationship::Care, &version("Observation", &[], "")));
    assert_eq!(said(permit.trace()), Vec::<String>::new(), "another type");
    let tried = rules(&format!("{DESK}shadow = true\n"));
    let denial = STAFF.reads(&tried, "Patient").unwrap_err();
    assert_eq!(said(&denial.trace), ["rule:desk=would-permit"]);
}

/// How long a decision takes by two hundred rules: `cargo test --release -p portcullis-policy -- --ignored --nocapture operator_rules`.
#[test]
#[ignore = "a measurement"]
fn measure_a_decision_by_rules() {
    let text: String = (0..200)
        .map(|number| {
            format!(
                "[[rule]]\nname = 'r{number}'\neffect = 'deny'\ntypes = ['Observation']\ncriteria = ['status=s{number}']\n\
                 when = {{ clients = ['c{}'] }}\nunless = {{ networks = ['10.{number}.0.0/16'] }}\n",
                if number == 7 { "app".to_owned() } else { format!("{number}") }
            )
        })
        .collect();
    let rules = rules(&text);
    let principal = CLINICIAN.principal();
    let mut times: Vec<u128> = (0..2000)
        .map(|_| {
            let start = std::time::Instant::now();
            for _ in 0..20 {
                let read = Operation::Read(Read { resource_type: kind("Observation"), id: id("x") });
                let basis = Basis { id: DecisionId(1), rules: Arc::clone(&rules) };
                std::hint::black_box(decide(basis, &principal, read));
            }
            start.elapsed().as_nanos() / 20
        })
        .collect();
    times.sort_unstable();
    println!("two hundred rules: median {} ns, 99 % {} ns", times[times.len() / 2], times[times.len() * 99 / 100]);
}
