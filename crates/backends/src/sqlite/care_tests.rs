//! Relationships have times: who may see a patient's record depends on when they ask, and nobody who writes within it makes that time longer.

use std::sync::Arc;

use portcullis_fhir::instant::range;
use portcullis_fhir::interaction::Read;
use portcullis_fhir::labels::{Clearance, Clearances};
use portcullis_fhir::reference::LocalReference;
use portcullis_fhir::search::{Handling, SearchContext};
use portcullis_oauth::identifiers::{ClientId, UserId};
use portcullis_oauth::principal::{Circumstances, Imagined, Principal, PrincipalUser};
use portcullis_oauth::scopes::ScopeSet;
use portcullis_oauth::users::Role;
use portcullis_policy::{Basis, Decision, DecisionId, Operation, OperatorRules, PermittedOperation, WriteSet, decide};
use portcullis_store::{FhirStore, StoreError};

use crate::sqlite::testing::*;

/// The Practitioner `desk` as this role, at the first moment of a day.
fn asking(role: Role, day: &str) -> Principal {
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
        scopes: ScopeSet::parse("user/*.cruds").unwrap(),
        registered: None,
        patient: None,
        purposes: Default::default(),
        stated: None,
        client_clearance: Clearance::FULL,
        circumstances: Circumstances { now: range(day).unwrap().low, ..circumstances() },
    };
    Principal::imagined(imagined, Clearances { clinician: Clearance::FULL, ..Clearances::default() })
}

fn decided(
    principal: &Principal,
    rules: &Arc<OperatorRules>,
    operation: Operation,
) -> (portcullis_policy::Permit, PermittedOperation) {
    match decide(Basis { id: DecisionId(7), rules: Arc::clone(rules) }, principal, operation) {
        Decision::Permit(permit, permitted) => (permit, permitted),
        Decision::Deny(denial) => panic!("{denial:?}"),
    }
}

/// Whether somebody reads the Patient `p`; a search says the same.
async fn sees(world: &World, principal: &Principal, rules: &Arc<OperatorRules>) -> bool {
    let read = Operation::Read(Read { resource_type: resource_type("Patient"), id: id("p") });
    let (permit, PermittedOperation::Read(read)) = decided(principal, rules, read) else { panic!() };
    let read = permit.release(world.store.read(read).await.unwrap()).unwrap().content().is_some();
    let context = SearchContext { base_url: BASE, handling: Handling::Strict, now_ms: 0 };
    let query = portcullis_fhir::search::parse(resource_type("Patient"), &[], &context).unwrap();
    let (permit, PermittedOperation::Search(search)) = decided(principal, rules, Operation::Search(query)) else { panic!() };
    let found = permit.release(world.store.search(search, b"t").await.unwrap()).unwrap().into_content();
    assert_eq!(found.matches.len(), usize::from(read));
    read
}

/// Stores the first, second, ... next version.
async fn writes(world: &World, principal: &Principal, (body, number): (&str, u8)) {
    let set = WriteSet { changes: vec![update(body, "v2", None)] };
    let (_, PermittedOperation::Write(set)) = decided(principal, &Arc::default(), Operation::Write(set)) else { panic!() };
    world.store.commit(set, record(&format!("f{number:031}"), 1)).await.unwrap();
}

/// A team of the patient with these periods of its own and of its member.
fn team(whole: &str, place: &str) -> String {
    let period = |text: &str| if text.is_empty() { String::new() } else { format!(r#","period":{{{text}}}"#) };
    format!(
        r#"{{"resourceType":"CareTeam","id":"t"{},"subject":{{"reference":"Patient/p"}},"participant":[{{"member":{{"reference":"Practitioner/desk"}}{}}}]}}"#,
        period(whole),
        period(place)
    )
}

async fn world(team: &str) -> World {
    World::of(&[patient("p"), team.to_owned()]).await
}

/// On which of these days the clinician sees the patient.
async fn days(world: &World) -> Vec<&'static str> {
    let mut seen = Vec::new();
    for day in ["2024-05-01", "2025-05-01", "2026-05-01", "2027-05-01"] {
        if sees(world, &asking(Role::Clinician, day), &Arc::default()).await {
            seen.push(day);
        }
    }
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_in_a_team_lets_in_from_its_first_day_to_its_last() {
    let table: [(&str, &str, &[&str]); 5] = [
        ("", "", &["2024-05-01", "2025-05-01", "2026-05-01", "2027-05-01"]),
        ("", r#""end":"2025""#, &["2024-05-01", "2025-05-01"]),
        (r#""start":"2025-05-01""#, r#""end":"2026-05-01""#, &["2025-05-01", "2026-05-01"]),
        (r#""start":"2025-05-02","end":"2026-04-30""#, "", &[]),
        (r#""end":"2024""#, r#""start":"2026""#, &[]),
    ];
    for (whole, place, expected) in table {
        let world = world(&team(whole, place)).await;
        assert_eq!(days(&world).await, expected, "{whole} {place}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_counts_within_its_period() {
    let role = r#"{"resourceType":"PractitionerRole","id":"r","practitioner":{"reference":"Practitioner/desk"},
        "organization":{"reference":"Organization/o"},"period":{"start":"2025","end":"2025"}}"#;
    let managed = r#"{"resourceType":"Patient","id":"p","managingOrganization":{"reference":"Organization/o"},
        "generalPractitioner":[{"reference":"PractitionerRole/r"}]}"#;
    let in_team = team("", "").replace("Practitioner/desk", "PractitionerRole/r");
    let world = World::of(&[role.to_owned(), managed.to_owned(), in_team]).await;
    for relationship in ["organization", "care-team", "general-practitioner"] {
        let rule = format!(
            "[[rule]]\nname = 'r'\neffect = 'permit'\nrelationship = '{relationship}'\ntypes = ['Patient']\nwhen = {{ roles = ['staff'] }}\n"
        );
        let rules = Arc::new(OperatorRules::parse(&rule, BASE, &|_| None).unwrap());
        for (day, expected) in [("2024-12-31", false), ("2025-01-01", true), ("2025-12-31", true), ("2026-01-01", false)] {
            assert_eq!(sees(&world, &asking(Role::Staff, day), &rules).await, expected, "{relationship} {day}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_who_is_bound_to_a_record_makes_the_time_in_it_longer() {
    let world = world(&team("", r#""start":"2025","end":"2026""#)).await;
    let desk = asking(Role::Clinician, "2025-06-01");
    writes(&world, &desk, (&team("", ""), 1)).await;
    assert_eq!(days(&world).await, ["2025-05-01", "2026-05-01"], "without a period there is that of before");
    writes(&world, &desk, (&team("", r#""start":"2025-05-02","end":"2028""#), 2)).await;
    assert_eq!(days(&world).await, ["2026-05-01"], "what it states less of is less");
    writes(&world, &desk, (&team("", r#""start":"2020""#), 3)).await;
    assert_eq!(days(&world).await, ["2026-05-01"], "and does not come back");
    world.commit(Who::Operator, vec![import(&team("", ""))]).await.unwrap();
    assert_eq!(days(&world).await.len(), 4, "an import may state anything");
}

#[tokio::test(flavor = "multi_thread")]
async fn teams_from_before_times_counted_get_theirs_once_and_nobody_gets_more() {
    let world = world(&team("", r#""end":"2025""#)).await;
    let forget = |connection: &mut rusqlite::Connection| -> Result<(), StoreError> {
        let always = portcullis_fhir::instant::Range::ALWAYS;
        let sql = "UPDATE care SET since = ?1, until = ?2";
        assert_eq!(connection.execute(sql, [always.low, always.high]).unwrap(), 1);
        let sql = "INSERT INTO relationship_backlog SELECT pk FROM resource";
        connection.execute(sql, []).unwrap();
        let pk: i64 = connection.query_row("SELECT source FROM care", [], |row| row.get(0)).unwrap();
        let mut rows = super::row_codec::load(connection, pk)?;
        for row in &mut rows {
            if let super::rows::Row::Care { time, .. } = row {
                *time = always;
            }
        }
        super::row_codec::store(connection, pk, &rows)
    };
    world.store.writer().run(forget).await.unwrap();
    assert_eq!(days(&world).await.len(), 4);
    world.store.complete_index(BASE).unwrap();
    assert_eq!(days(&world).await, ["2024-05-01", "2025-05-01"]);
    // A team whose writer was not believed has no row, and gets none.
    let strip = |connection: &mut rusqlite::Connection| -> Result<(), StoreError> {
        let pk: i64 = connection.query_row("SELECT source FROM care", [], |row| row.get(0)).unwrap();
        let mut rows = super::row_codec::load(connection, pk)?;
        rows.retain(|row| !matches!(row, super::rows::Row::Care { .. }));
        super::row_codec::store(connection, pk, &rows)?;
        connection.execute_batch("DELETE FROM care; INSERT INTO relationship_backlog SELECT pk FROM resource").unwrap();
        Ok(())
    };
    world.store.writer().run(strip).await.unwrap();
    world.store.complete_index(BASE).unwrap();
    assert_eq!(days(&world).await, Vec::<&str>::new());
}
