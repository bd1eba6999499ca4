//! Scopes with criteria where several of them meet in one permit, and where there is no content to judge.

use portcullis_fhir::interaction::InstanceHistory;
use portcullis_policy::{Change, Written};
use portcullis_store::StoreError;

use crate::sqlite::testing::*;

/// An Observation of Pat with one category.
fn observation_of(own: &str, category: &str) -> String {
    format!(
        r#"{{"resourceType":"Observation","id":"{own}","status":"final","code":{{"text":"c"}},"category":[{{"coding":[{{"code":"{category}"}}]}}],
        "subject":{{"reference":"Patient/pat"}}}}"#
    )
}

fn provenance(target: &str) -> String {
    format!(
        r#"{{"resourceType":"Provenance","id":"pr","target":[{{"reference":"{target}"}}],"recorded":"2024-01-01T00:00:00Z",
        "agent":[{{"who":{{"reference":"Practitioner/doc"}}}}]}}"#
    )
}

#[tokio::test]
async fn a_deletion_fulfils_no_criteria_not_even_that_something_is_absent() {
    portcullis_verifies::verifies!("SMART-41");
    let world = World::of(&[patient("pat"), observation_of("o", "survey"), provenance("Observation/o")]).await;
    let scope = "patient/Observation.cruds?category:not=lab patient/Provenance.rs";
    let part = Who::Both("none", "pat", scope);
    let whole = Who::Both("none", "pat", "patient/Observation.rs patient/Provenance.rs");
    for who in [part, whole] {
        assert!(world.read(who, "Observation", "o").await.unwrap().is_some());
        assert!(world.read(who, "Provenance", "pr").await.unwrap().is_some());
    }
    world.commit(part, vec![delete("Observation", "o", "gone", None)]).await.unwrap();
    let deletion =
        world.read(whole, "Observation", "o").await.unwrap().expect("who sees all of a type sees that something is gone");
    assert!(deletion.body.is_none());
    assert!(world.read(part, "Observation", "o").await.unwrap().is_none());
    assert!(world.version_read(part, "Observation", "o", "v1").await.unwrap().is_none());
    let history =
        InstanceHistory { resource_type: resource_type("Observation"), id: id("o"), count: 9, since: None, cursor: None };
    assert!(world.history(part, history).await.unwrap().versions.is_empty());
    // What is about it goes with it: else it would tell that there was something.
    assert!(world.read(whole, "Provenance", "pr").await.unwrap().is_some());
    assert!(world.read(part, "Provenance", "pr").await.unwrap().is_none());
    assert!(world.search(part, "Provenance", "").await.unwrap().is_empty());
    assert_eq!(world.search(whole, "Provenance", "").await.unwrap(), ["pr"]);
    // A second deletion would answer otherwise than one of what never was.
    let again = world.commit(part, vec![delete("Observation", "o", "again", None)]).await;
    assert!(matches!(again, Err(StoreError::NotFound)), "{again:?}");
}

/// One scope lets a version be seen, another lets it be written: only what the second one admits, before and after, may be changed by it.
#[tokio::test]
async fn a_write_fulfils_the_criteria_of_the_scope_that_lets_it_in_before_and_after() {
    portcullis_verifies::verifies!("SMART-41");
    // Doc treats both people and is one of them: an account of both lies in both compartments.
    let people = [patient("pat"), patient("other"), encounter("e1", "pat", "doc"), encounter("e2", "other", "doc")];
    let world = World::of(&people).await;
    let doctor = Who::Both("doc", "other", "patient/Account.cruds?status=active user/Account.cruds?status=inactive");
    let account = |status: &str| {
        format!(
            r#"{{"resourceType":"Account","id":"a","status":"{status}","subject":[{{"reference":"Patient/pat"}},{{"reference":"Patient/other"}}]}}"#
        )
    };
    let changed = |status: &str| account(status).replace("\"id\"", "\"name\":\"changed\",\"id\"");
    for (stored, proposed, allowed) in [
        ("active", "inactive", false),
        ("active", "active", false),
        ("inactive", "active", false),
        ("inactive", "inactive", true),
    ] {
        world.commit(Who::Operator, vec![import(&account(stored))]).await.unwrap();
        assert!(world.read(doctor, "Account", "a").await.unwrap().is_some(), "{stored} {proposed}: either scope shows it");
        let written = world.commit(doctor, vec![update(&changed(proposed), "v2", None)]).await;
        if allowed {
            assert!(matches!(written.unwrap().as_slice(), [Written::Updated(_)]));
        } else {
            assert!(matches!(written, Err(StoreError::OutsideBoundary)), "{stored} {proposed} {written:?}");
        }
    }
    world.commit(Who::Operator, vec![import(&account("active"))]).await.unwrap();
    let deleted = world.commit(doctor, vec![delete("Account", "a", "d", None)]).await;
    assert!(matches!(deleted, Err(StoreError::OutsideBoundary)), "{deleted:?}");
    world.commit(Who::Operator, vec![import(&account("inactive"))]).await.unwrap();
    world.commit(doctor, vec![delete("Account", "a", "d", None)]).await.unwrap();
}

/// The current version of a shared record is seen by one scope and an earlier one by another: each is released for its own reason.
#[tokio::test]
async fn each_version_is_seen_by_the_scope_whose_criteria_it_fulfils() {
    portcullis_verifies::verifies!("SMART-41");
    let practitioner = |active: bool| format!(r#"{{"resourceType":"Practitioner","id":"shared","active":{active}}}"#);
    let observed = observation("o", "chosen", "1").replace("Practitioner/doc", "Practitioner/shared");
    let world = World::of(&[
        patient("chosen"),
        patient("treated"),
        encounter("e1", "chosen", "doc"),
        encounter("e2", "treated", "doc"),
        encounter("e3", "treated", "shared"),
        observed,
        practitioner(false),
    ])
    .await;
    world.commit(Who::Operator, vec![Change::Import(version(&practitioner(true), "v2", 2_000))]).await.unwrap();
    let history = || InstanceHistory {
        resource_type: resource_type("Practitioner"),
        id: id("shared"),
        count: 9,
        since: None,
        cursor: None,
    };
    // The observation of the patient in context names the active one, a visit of another patient in care the inactive one.
    let first = "patient/Observation.rs patient/Practitioner.rs?active=true";
    let both = format!("{first} user/Encounter.rs user/Practitioner.rs?active=false");
    let who = Who::AtChart("doc", "chosen", &both);
    for named in ["v1", "v2"] {
        let seen = world.version_read(who, "Practitioner", "shared", named).await.unwrap();
        assert!(seen.is_some_and(|seen| seen.version == id(named) && !seen.grounds.is_empty()), "{named}");
    }
    assert_eq!(world.history(who, history()).await.unwrap().versions.len(), 2);
    // Not where the second scope is not there, or where it opens nothing that names the practitioner.
    for scope in [first.to_owned(), both.replace("Encounter", "Condition")] {
        let who = Who::AtChart("doc", "chosen", &scope);
        assert!(world.version_read(who, "Practitioner", "shared", "v2").await.unwrap().is_some(), "{scope}");
        assert!(world.version_read(who, "Practitioner", "shared", "v1").await.unwrap().is_none(), "{scope}");
        assert_eq!(world.history(who, history()).await.unwrap().versions.len(), 1, "{scope}");
    }
}
