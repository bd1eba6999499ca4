//! Rules of the operator in statements: what they show is what the pure decision says of each record, and what they hide makes nothing visible.

use std::collections::BTreeMap;
use std::sync::Arc;

use portcullis_fhir::interaction::Read;
use portcullis_fhir::labels::{Clearance, Clearances};
use portcullis_fhir::reference::LocalReference;
use portcullis_fhir::search::{Handling, SearchContext};
use portcullis_oauth::identifiers::{ClientId, UserId};
use portcullis_oauth::principal::{Imagined, Principal, PrincipalUser};
use portcullis_oauth::scopes::ScopeSet;
use portcullis_oauth::users::Role;
use portcullis_policy::explanation::Says;
use portcullis_policy::{
    Basis, Decision, DecisionId, InCare, Operation, OperatorRules, PermittedOperation, Relationship, StoredVersion, WriteSet,
    decide,
};
use portcullis_store::{FhirStore, StoreError};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;

use crate::sqlite::testing::*;

/// Somebody with the Practitioner `desk`.
fn asking(role: Role, scope: &str) -> Principal {
    let user = PrincipalUser {
        id: UserId::parse("u").unwrap(),
        roles: [role].into_iter().collect(),
        fhir_user: LocalReference::parse("Practitioner/desk"),
        patients: Vec::new(),
        represents: Vec::new(),
    };
    let imagined = Imagined {
        client: ClientId::parse("app").unwrap(),
        user: Some(user),
        scopes: ScopeSet::parse(scope).unwrap(),
        registered: None,
        patient: None,
        purposes: Default::default(),
        stated: None,
        client_clearance: Clearance::FULL,
        circumstances: circumstances(),
    };
    Principal::imagined(imagined, Clearances { clinician: Clearance::FULL, ..Clearances::default() })
}

fn rules(texts: &[String]) -> Arc<OperatorRules> {
    let parse = |text: &str| OperatorRules::parse(text, BASE, &|_| None);
    if texts.is_empty() {
        Arc::default()
    } else {
        Arc::new(parse(&texts.concat()).unwrap_or_else(|problems| panic!("{texts:?} {problems:?}")))
    }
}

fn permit(relationship: &str, types: &str) -> String {
    format!(
        "[[rule]]\nname = '{relationship}'\neffect = 'permit'\nrelationship = '{relationship}'\ntypes = [{types}]\nwhen = {{ roles = ['staff'] }}\n"
    )
}

/// A question put to a world under rules.
struct Asked<'a>(&'a World, &'a Principal, &'a Arc<OperatorRules>);

impl Asked<'_> {
    fn decide(&self, operation: Operation) -> Option<(portcullis_policy::Permit, PermittedOperation)> {
        match decide(Basis { id: DecisionId(7), rules: Arc::clone(self.2) }, self.1, operation) {
            Decision::Permit(permit, permitted) => Some((permit, permitted)),
            Decision::Deny(_) => None,
        }
    }

    async fn reads(&self, name: &str, own: &str) -> bool {
        let read = Operation::Read(Read { resource_type: resource_type(name), id: id(own) });
        let Some((permit, PermittedOperation::Read(read))) = self.decide(read) else { return false };
        permit.release(self.0.store.read(read).await.unwrap()).unwrap().content().is_some()
    }

    /// Whether a new version of a resource is written.
    async fn writes(&self, body: &str) -> bool {
        let changes = vec![update(body, "v2", None)];
        let Some((_, PermittedOperation::Write(set))) = self.decide(Operation::Write(WriteSet { changes })) else { return false };
        self.0.store.commit(set, record("0123456789abcdef0123456789abcdef", 1)).await.is_ok()
    }

    async fn searches(&self, name: &str, query: &str) -> Vec<String> {
        let context = SearchContext { base_url: BASE, handling: Handling::Strict, now_ms: 0 };
        let pairs = portcullis_fhir::query::parse(query.as_bytes()).unwrap();
        let query = portcullis_fhir::search::parse(resource_type(name), &pairs, &context).unwrap();
        let Some((permit, PermittedOperation::Search(search))) = self.decide(Operation::Search(query)) else { return Vec::new() };
        let page = permit.release(self.0.store.search(search, b"t").await.unwrap()).unwrap().into_content();
        let mut found: Vec<String> = page.matches.iter().chain(&page.included).map(|version| version.id.to_string()).collect();
        found.sort_unstable();
        found
    }
}

fn patient_with(own: &str, more: &str) -> String {
    format!(r#"{{"resourceType":"Patient","id":"{own}"{more}}}"#)
}

fn of(kind: &str, own: &str, patient: &str, more: &str) -> String {
    let named = if kind == "EpisodeOfCare" { "patient" } else { "subject" };
    let status = match kind {
        "Encounter" => r#","status":"finished","class":{"code":"AMB"}"#,
        "EpisodeOfCare" => r#","status":"active""#,
        "Observation" => r#","status":"final","code":{"text":"c"}"#,
        _ => "",
    };
    format!(r#"{{"resourceType":"{kind}","id":"{own}","{named}":{{"reference":"Patient/{patient}"}}{status}{more}}}"#)
}

fn role(own: &str, organization: &str, more: &str) -> String {
    format!(
        r#"{{"resourceType":"PractitionerRole","id":"{own}","practitioner":{{"reference":"Practitioner/desk"}},"organization":{{"reference":"Organization/{organization}"}}{more}}}"#
    )
}

/// Patients who have to do with the desk in each of the ways, and one who has not.
fn related() -> Vec<String> {
    let organization = |element: &str, own: &str| format!(r#","{element}":{{"reference":"Organization/{own}"}}"#);
    let member = |reference: &str| format!(r#","participant":[{{"member":{{"reference":"{reference}"}}}}]"#);
    vec![
        role("now", "one", ""),
        role("before", "two", r#","active":false"#),
        patient_with("managed", &organization("managingOrganization", "one")),
        patient_with("visitor", ""),
        of("Encounter", "e1", "visitor", &organization("serviceProvider", "one")),
        patient_with("episode", ""),
        of("EpisodeOfCare", "c1", "episode", &organization("managingOrganization", "one")),
        patient_with("elsewhere", &organization("managingOrganization", "two")),
        patient_with("own", r#","generalPractitioner":[{"reference":"Practitioner/desk"}]"#),
        patient_with("by-role", r#","generalPractitioner":[{"reference":"PractitionerRole/now"}]"#),
        patient_with("team", ""),
        of("CareTeam", "t1", "team", &member("Practitioner/desk")),
        patient_with("role-team", ""),
        of("CareTeam", "t2", "role-team", &member("PractitionerRole/now")),
        patient_with("nobody", ""),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relationship_opens_exactly_the_patients_who_have_it() {
    let world = World::of(&related()).await;
    let staff = asking(Role::Staff, "user/*.rs");
    for (name, expected) in [
        ("organization", vec!["episode", "managed", "visitor"]),
        ("care-team", vec!["role-team", "team"]),
        ("general-practitioner", vec!["by-role", "own"]),
    ] {
        let rules = rules(&[permit(name, "'Patient'")]);
        let asked = Asked(&world, &staff, &rules);
        assert_eq!(asked.searches("Patient", "").await, expected, "{name}");
        for own in ["managed", "visitor", "episode", "elsewhere", "own", "by-role", "team", "role-team", "nobody"] {
            assert_eq!(asked.reads("Patient", own).await, expected.contains(&own), "{name} {own}");
        }
    }
    let none = Arc::default();
    assert_eq!(Asked(&world, &staff, &none).searches("Patient", "").await, Vec::<String>::new());
    // What rules ask for gives clinicians no care relationship.
    let clinician = asking(Role::Clinician, "user/*.rs");
    assert_eq!(Asked(&world, &clinician, &none).searches("Patient", "").await, ["team"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_who_is_bound_to_patients_lets_no_organisation_and_no_practitioner_in() {
    let world = World::of(&related()).await;
    let staff = asking(Role::Staff, "user/*.rs");
    let inviting = patient_with(
        "nobody",
        r#","managingOrganization":{"reference":"Organization/one"},"generalPractitioner":[{"reference":"Practitioner/desk"}]"#,
    );
    world.commit(Who::Patient("nobody"), vec![update(&inviting, "v2", None)]).await.unwrap();
    for name in ["organization", "general-practitioner"] {
        let rules = rules(&[permit(name, "'Patient'")]);
        assert!(!Asked(&world, &staff, &rules).reads("Patient", "nobody").await, "{name}");
        world.commit(Who::Operator, vec![import(&inviting)]).await.unwrap();
        assert!(Asked(&world, &staff, &rules).reads("Patient", "nobody").await, "{name}: an import may");
        world.commit(Who::Operator, vec![import(&patient_with("nobody", ""))]).await.unwrap();
        assert!(!Asked(&world, &staff, &rules).reads("Patient", "nobody").await, "{name}: and it ends with what stated it");
        world.commit(Who::Patient("nobody"), vec![update(&inviting, "v9", None)]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_stored_before_organisations_counted_gets_its_rows_once() {
    let world = World::of(&related()).await;
    let staff = asking(Role::Staff, "user/*.rs");
    let rules = rules(&[permit("organization", "'Patient'")]);
    let strip = |connection: &mut rusqlite::Connection| -> Result<(), StoreError> {
        let sql = "DELETE FROM care WHERE actor IN (SELECT pk FROM locator WHERE id = 'one'); INSERT INTO relationship_backlog SELECT pk FROM resource";
        connection.execute_batch(sql).unwrap();
        let mut statement = connection.prepare("SELECT pk FROM resource").unwrap();
        let all: Vec<i64> = statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        let one: i64 = connection.query_row("SELECT pk FROM locator WHERE id = 'one'", [], |row| row.get(0)).unwrap();
        for pk in all {
            let mut rows = super::row_codec::load(connection, pk)?;
            rows.retain(|row| !matches!(row, super::rows::Row::Care { actor, .. } if *actor == one));
            super::row_codec::store(connection, pk, &rows)?;
        }
        Ok(())
    };
    world.store.writer().run(strip).await.unwrap();
    assert_eq!(Asked(&world, &staff, &rules).searches("Patient", "").await, Vec::<String>::new());
    world.store.complete_index(BASE).unwrap();
    assert_eq!(Asked(&world, &staff, &rules).searches("Patient", "").await, ["episode", "managed", "visitor"]);
    assert_eq!(world.integer("SELECT count(*) FROM relationship_backlog"), 0);
}

/// A clinician's two Observations, of which a rule hides one: who performed it, and what is about it, is hidden with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_a_rule_hides_makes_nothing_visible() {
    let performed = |own: &str, tag: &str, more: &str| {
        of(
            "Observation",
            own,
            "p",
            &format!(r#","meta":{{"tag":[{{"code":"{tag}"}}]{more}}},"performer":[{{"reference":"Practitioner/of-{own}"}}]"#),
        )
    };
    let secret = r#","security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"HIV"}]"#;
    let practitioner = |own: &str| format!(r#"{{"resourceType":"Practitioner","id":"of-{own}"}}"#);
    let about = |own: &str| {
        format!(
            r#"{{"resourceType":"Provenance","id":"about-{own}","target":[{{"reference":"Observation/{own}"}}],"recorded":"2024-01-01T00:00:00Z","agent":[{{"who":{{"reference":"Practitioner/x"}}}}]}}"#
        )
    };
    let mut bodies = vec![patient_with("p", ""), encounter("e", "p", "desk")];
    for own in ["shown", "hidden", "labelled"] {
        bodies.extend([
            performed(own, if own == "hidden" { "no" } else { "yes" }, if own == "labelled" { secret } else { "" }),
            practitioner(own),
            about(own),
        ]);
    }
    let world = World::of(&bodies).await;
    let clinician = asking(Role::Clinician, "user/*.cruds");
    let deny = |more: &str| rules(&[format!("[[rule]]\nname = 'r'\neffect = 'deny'\n{more}\n")]);
    let all = ["hidden", "labelled", "shown"];
    for (rules, visible) in [
        (Arc::default(), &all[..]),
        (deny("types = ['Observation']\ncriteria = ['_tag=no']"), &all[1..]),
        (deny("types = ['Observation']\nlabels = ['HIV']"), &["hidden", "shown"][..]),
        (deny("labels = ['HIV']"), &["hidden", "shown"][..]),
        (deny("types = ['Observation']\ncriteria = ['_tag=no']\nlabels = ['HIV']"), &all[..]),
        (deny("types = ['Observation']"), &[][..]),
    ] {
        let asked = Asked(&world, &clinician, &rules);
        let named = |prefix: &str| visible.iter().map(|own| format!("{prefix}{own}")).collect::<Vec<_>>();
        assert_eq!(asked.searches("Observation", "").await, named(""));
        assert_eq!(asked.searches("Practitioner", "").await, named("of-"));
        assert_eq!(asked.searches("Provenance", "").await, named("about-"));
        assert_eq!(
            asked.searches("Patient", "_has:Observation:subject:_tag=no").await.len(),
            usize::from(visible.contains(&"hidden"))
        );
        for own in all {
            assert_eq!(asked.reads("Observation", own).await, visible.contains(&own), "{own}");
            assert_eq!(asked.reads("Practitioner", &format!("of-{own}")).await, visible.contains(&own), "{own}");
            assert_eq!(asked.reads("Provenance", &format!("about-{own}")).await, visible.contains(&own), "{own}");
        }
    }
}

/// What an element with a label of its own says is in no index: nobody slips through a rule by labelling what it looks at.
#[tokio::test(flavor = "multi_thread")]
async fn a_rule_about_content_takes_away_what_may_have_it_in_an_element_with_a_label() {
    const URL: &str = "http://hl7.org/fhir/uv/security-label-ds4p/StructureDefinition/extension-inline-sec-label";
    let label = r#"{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"N"}"#;
    let labelled = format!(r#","extension":[{{"url":"{URL}","valueCoding":{label}}}]"#);
    let category = |own: &str, code: &str, more: &str| {
        of("Observation", own, "p", &format!(r#","category":[{{"coding":[{{"system":"s","code":"{code}"}}]{more}}}]"#))
    };
    let bodies = [
        patient_with("p", ""),
        encounter("e", "p", "desk"),
        category("plain", "other", ""),
        category("social", "social", ""),
        category("veiled", "social", &labelled),
        category("veiled-other", "other", &labelled),
    ];
    let world = World::of(&bodies).await;
    let rule = |more: &str| rules(&[format!("[[rule]]\nname = 'r'\n{more}\n")]);
    let denied = rule("effect = 'deny'\ntypes = ['Observation']\ncriteria = ['category=social']");
    let unless = rule("effect = 'deny'\ntypes = ['Observation']\ncriteria = ['category:not=other']");
    let none = Arc::default();
    for (scope, rules, visible) in [
        ("user/*.cruds", &none, &["plain", "social", "veiled", "veiled-other"][..]),
        ("user/*.cruds", &denied, &["plain"]),
        ("user/*.cruds", &unless, &["plain"]),
        ("user/Observation.cruds?category=social", &none, &["social"]),
        ("user/Observation.cruds?category:not=social", &none, &["plain"]),
        ("user/Observation.cruds?category:missing=true", &none, &[]),
    ] {
        let clinician = asking(Role::Clinician, scope);
        let asked = Asked(&world, &clinician, rules);
        assert_eq!(asked.searches("Observation", "").await, visible, "{scope} {rules:?}");
        for own in ["plain", "social", "veiled", "veiled-other"] {
            assert_eq!(asked.reads("Observation", own).await, visible.contains(&own), "{scope} {rules:?} {own}");
        }
    }
    // Nor is one written that says so in this way.
    let veiled = category("plain", "social", &labelled);
    let clinician = asking(Role::Clinician, "user/*.cruds");
    assert!(!Asked(&world, &clinician, &denied).writes(&veiled).await);
    assert!(Asked(&world, &clinician, &none).writes(&veiled).await);
}

/// What an obligation takes from the index is told of nobody: neither a rule nor a scope takes it for absent, or a year for a day.
#[tokio::test(flavor = "multi_thread")]
async fn a_rule_about_content_takes_away_what_may_have_it_under_an_obligation() {
    let observed = |own: &str, (tag, date): (&str, &str), obligation: &str| {
        let security = match obligation {
            "" => String::new(),
            code => format!(r#","security":[{{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"{code}"}}]"#),
        };
        of("Observation", own, "p", &format!(r#","meta":{{"tag":[{{"code":"{tag}"}}]{security}}},"effectiveDateTime":"{date}""#))
    };
    let (early, late) = (("vip", "2024-01-05"), ("other", "2024-11-05"));
    let mut bodies =
        vec![patient_with("p", ""), encounter("e", "p", "desk"), observed("early", early, ""), observed("late", late, "")];
    for code in ["DEID", "PSEUD", "ANONY", "MASK", "REDACT"] {
        bodies.extend([observed(&format!("{code}-early"), early, code), observed(&format!("{code}-late"), late, code)]);
    }
    let world = World::of(&bodies).await;
    let rule = |criterion: &str| {
        rules(&[format!("[[rule]]\nname = 'r'\neffect = 'deny'\ntypes = ['Observation']\ncriteria = ['{criterion}']\n")])
    };
    let none: Arc<OperatorRules> = Arc::default();
    assert_eq!(Asked(&world, &asking(Role::Clinician, "user/*.cruds"), &none).searches("Observation", "").await.len(), 12);
    for (scope, rules, visible) in [
        ("user/*.cruds", &rule("_tag=vip"), &["late"][..]),
        ("user/*.cruds", &rule("date=sa2024-03-05"), &["early"]),
        ("user/Observation.cruds?_tag:not=vip", &none, &["late"]),
        ("user/Observation.cruds?_tag:missing=true", &none, &[]),
        ("user/Observation.cruds?date=lt2024-03-05", &none, &["early"]),
        ("user/Observation.cruds?date=2024", &none, &["early", "late"]),
    ] {
        let clinician = asking(Role::Clinician, scope);
        let asked = Asked(&world, &clinician, rules);
        assert_eq!(asked.searches("Observation", "").await, visible, "{scope} {rules:?}");
        for own in ["early", "late", "DEID-early", "MASK-late"] {
            assert_eq!(asked.reads("Observation", own).await, visible.contains(&own), "{scope} {rules:?} {own}");
        }
    }
    let clinician = asking(Role::Clinician, "user/*.cruds");
    assert!(!Asked(&world, &clinician, &rule("_tag=vip")).writes(&observed("late", early, "DEID")).await);
    assert!(Asked(&world, &clinician, &none).writes(&observed("late", early, "DEID")).await);
}

/// Rules to draw from; no two make each other pointless.
const RULES: [&str; 9] = [
    "effect = 'deny'\ntypes = ['Observation']\ncriteria = ['_tag=a']",
    "effect = 'deny'\ntypes = ['Observation', 'Condition']\ncriteria = ['_tag=b', '_tag=c']\nwhen = { roles = ['clinician'] }",
    "effect = 'deny'\nlabels = ['HIV']",
    "effect = 'deny'\ntypes = ['Condition']\nlabels = ['PSY', 'R']\ninteractions = 'rs'",
    "effect = 'deny'\ntypes = ['Encounter']\nwhen = { roles = ['staff'] }",
    "effect = 'deny'\nshadow = true\ntypes = ['Observation']",
    "effect = 'permit'\nrelationship = 'organization'\ntypes = ['Observation', 'Condition', 'Encounter', 'Patient']\nwhen = { roles = ['staff'] }",
    "effect = 'permit'\nrelationship = 'general-practitioner'\ntypes = ['Observation', 'Patient']\ncriteria = ['_tag=a', '_tag=b']\nwhen = { roles = ['staff', 'clinician'] }",
    "effect = 'permit'\nrelationship = 'care-team'\ntypes = ['Condition']\ncriteria = ['_tag:not=c']\nwhen = { roles = ['staff'] }",
];

/// Every Observation and Condition of every patient with every tag and label, and who has to do with whom.
fn drawn() -> (Vec<String>, Vec<StoredVersion>, InCare) {
    let mut bodies = related();
    let (mut versions, mut in_care) = (Vec::new(), InCare::new());
    for patient in ["managed", "own", "team", "nobody"] {
        for kind in ["Observation", "Condition"] {
            for tag in ["a", "b", "c"] {
                for label in ["", "HIV", "PSY"] {
                    let own = format!("{}-{patient}-{tag}{label}", kind.to_lowercase());
                    let claimed = format!(
                        r#","security":[{{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"{label}"}}]"#
                    );
                    let claimed = if label.is_empty() { String::new() } else { claimed };
                    let body = of(kind, &own, patient, &format!(r#","meta":{{"tag":[{{"code":"{tag}"}}]{claimed}}}"#));
                    let mut security = portcullis_fhir::labels::Security::NONE;
                    security.labels = portcullis_fhir::labels::Labels::named(label).unwrap_or_default();
                    versions.push(StoredVersion {
                        resource_type: resource_type(kind),
                        id: id(&own),
                        version: id("v1"),
                        last_updated: 1_000,
                        patients: vec![id(patient)],
                        security,
                        grounds: Vec::new(),
                        body: Some(of(kind, &own, patient, &format!(r#","meta":{{"tag":[{{"code":"{tag}"}}]}}"#)).into_bytes()),
                    });
                    bodies.push(body);
                }
            }
        }
    }
    for (relationship, patients) in [
        (Relationship::Organization, vec!["managed", "visitor", "episode"]),
        (Relationship::GeneralPractitioner, vec!["own", "by-role"]),
        (Relationship::CareTeam, vec!["team", "role-team"]),
        (Relationship::Care, vec!["team"]),
    ] {
        in_care.extend(patients.into_iter().map(|patient| (relationship, id(patient))));
    }
    (bodies, versions, in_care)
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_show_what_the_decision_says_of_each_record_under_random_rules() {
    let (bodies, versions, in_care) = drawn();
    let world = World::of(&bodies).await;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut shown, mut hidden) = (0, 0);
    for _ in 0..40 {
        let chosen = prop::sample::subsequence(RULES.to_vec(), 0..=5).new_tree(&mut runner).unwrap().current();
        let named = chosen.iter().enumerate().map(|(number, text)| format!("[[rule]]\nname = 'r{number}'\n{text}\n"));
        let rules = rules(&named.collect::<Vec<_>>());
        for role in [Role::Staff, Role::Clinician] {
            let principal = asking(role, "user/*.rs");
            let asked = Asked(&world, &principal, &rules);
            let mut expected: BTreeMap<&str, Vec<String>> = BTreeMap::new();
            for version in &versions {
                let read = Operation::Read(Read { resource_type: version.resource_type, id: version.id.clone() });
                let ways = asked.decide(read).map(|(permit, _)| permit.explain(version, &in_care)).unwrap_or_default();
                if ways.iter().any(|way| way.iter().all(|step| step.says == Says::Yes)) {
                    expected.entry(version.resource_type.name()).or_default().push(version.id.to_string());
                    shown += 1;
                } else {
                    hidden += 1;
                }
            }
            for name in ["Observation", "Condition"] {
                let mut found = expected.remove(name).unwrap_or_default();
                found.sort_unstable();
                assert_eq!(asked.searches(name, "_count=100").await, found, "{chosen:?} {role}");
            }
        }
    }
    assert!(shown > 200 && hidden > 1000, "{shown} {hidden}");
}
