//! Nobody makes the requests about a patient slow by Consents.

use portcullis_store::StoreError;

use super::super::limits::{MAXIMUM_CONSENTS, MAXIMUM_OF_CONTENT, MAXIMUM_RULES};
use super::routes::import_as_create;
use super::*;

const TYPES: &str = "http://hl7.org/fhir/resource-types";

/// Somebody stores as many Consents of Pat.
async fn holds(world: &World, who: Who<'_>, how_many: i64, provision: impl Fn(i64) -> Value) {
    let one = |number| import_as_create(&consent(&format!("held-{number}"), "pat", provision(number)));
    world.commit(who, (0..how_many).map(one).collect()).await.unwrap();
}

fn of_content() -> Value {
    json!({"type": "permit", "code": [concept("http://loinc.org", "4548-4")]})
}

async fn refusal(world: &World, own: &str, provision: Value) -> String {
    match world.commit(PAT, vec![import_as_create(&consent(own, "pat", provision))]).await {
        Err(StoreError::TooMany(told)) => told,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_patient_has_only_so_many_consents_that_count() {
    let world = world(&[]).await;
    holds(&world, PAT, MAXIMUM_CONSENTS - 1, |_| json!({"type": "permit"})).await;
    let plain = || deny_type("doc", "Condition");
    world.commit(PAT, vec![import_as_create(&consent("last", "pat", plain()))]).await.unwrap();
    assert!(refusal(&world, "more", plain()).await.contains("at most 1000"));
    // Another version of one of them, and one of somebody else, are no more.
    world
        .commit(PAT, vec![update(&consent("last", "pat", deny_type("doc", "Encounter")).to_string(), "v2", None)])
        .await
        .unwrap();
    world.commit(DOC, vec![import_as_create(&consent("quinns", "quinn", plain()))]).await.unwrap();
    // Whoever loads data is not bounded (and is of no other account here).
    world.commit(Who::Operator, vec![import(&consent("loaded", "pat", json!({"type": "permit"})).to_string())]).await.unwrap();
    refusal(&world, "more", plain()).await;
    // What is too much already is changed all the same.
    world.commit(PAT, vec![update(&consent("last", "pat", plain()).to_string(), "v3", None)]).await.unwrap();
    for ended in ["held-1", "loaded"] {
        let ended = withdrawn(consent(ended, "pat", json!({"type": "permit"})));
        world.commit(PAT, vec![update(&ended.to_string(), "v2", None)]).await.unwrap();
    }
    world.commit(PAT, vec![import_as_create(&consent("more", "pat", plain()))]).await.unwrap();
}

#[tokio::test]
async fn what_each_record_is_compared_with_is_less() {
    let world = world(&[]).await;
    holds(&world, PAT, MAXIMUM_OF_CONTENT, |_| of_content()).await;
    assert!(refusal(&world, "content", of_content()).await.contains("ask for codes"));
    world.commit(PAT, vec![import_as_create(&consent("plain", "pat", json!({"type": "permit"})))]).await.unwrap();
}

#[tokio::test]
async fn and_their_rules_count_together() {
    let many = |_| {
        let actors: Vec<Value> = (0..50).map(|number| practitioner(&format!("p{number}"))).collect();
        let types = [
            "Observation",
            "Condition",
            "Encounter",
            "Procedure",
            "Coverage",
            "Immunization",
            "CarePlan",
            "Goal",
            "Device",
            "Consent",
        ];
        let classes: Vec<Value> = types.iter().map(|name| coding(TYPES, name)).collect();
        json!({"type": "permit", "actor": actors, "class": classes})
    };
    let world = world(&[]).await;
    holds(&world, PAT, MAXIMUM_RULES / 500, many).await;
    assert!(refusal(&world, "more", json!({"type": "permit"})).await.contains("at most 10000"));
}

#[tokio::test]
async fn nobody_takes_from_a_patient_the_right_to_deny() {
    let world = world(&[]).await;
    holds(&world, DOC, MAXIMUM_CONSENTS, |_| deny_type("other", "Condition")).await;
    match world.commit(DOC, vec![import_as_create(&consent("more", "pat", json!({"type": "permit"})))]).await {
        Err(StoreError::TooMany(_)) => {}
        other => panic!("{other:?}"),
    }
    world.commit(PAT, vec![import_as_create(&consent("own", "pat", deny_type("doc", "Observation")))]).await.unwrap();
    assert!(!sees(&world, DOC, "Observation", "of-pat").await);
}

/// A denial that somebody writes about oneself holds when the same person ends it: it is asked of every decision as before.
#[tokio::test]
async fn what_is_held_of_ended_consents_counts_as_long_as_it_holds() {
    let world = world(&[]).await;
    let of_code =
        || json!({"type": "deny", "class": [coding(TYPES, "Observation")], "code": [concept("http://loinc.org", "4548-4")]});
    let own = || {
        let mut said = of_code();
        said["actor"] = json!([practitioner("doc")]);
        said
    };
    let end = |name: String| {
        let ended = withdrawn(consent(&name, "pat", own()));
        world.commit(DOC, vec![update(&ended.to_string(), "v2", None)])
    };
    for round in 0..2 * MAXIMUM_OF_CONTENT {
        world.commit(DOC, vec![import_as_create(&consent(&format!("c{round}"), "pat", own()))]).await.unwrap();
        end(format!("c{round}")).await.unwrap();
    }
    match world.commit(DOC, vec![import_as_create(&consent("more", "pat", own()))]).await {
        Err(StoreError::TooMany(told)) => assert!(told.contains("at most 200") && told.contains("confirmed"), "{told}"),
        other => panic!("{other:?}"),
    }
    // It is the writer's share alone; and who confirms what is there now gives the room back.
    world.commit(PAT, vec![import_as_create(&consent("own", "pat", of_code()))]).await.unwrap();
    world.commit(Who::Operator, vec![import(&withdrawn(consent("c1", "pat", own())).to_string())]).await.unwrap();
    world.commit(DOC, vec![import_as_create(&consent("more", "pat", own()))]).await.unwrap();
}

/// Whoever ends what a patient has denied uses up an own share, and not the patient's.
#[tokio::test]
async fn what_others_make_held_is_of_their_share() {
    let world = world(&[]).await;
    let said = || {
        let (class, code) = (coding(TYPES, "Observation"), concept("http://loinc.org", "4548-4"));
        json!({"type": "deny", "actor": [practitioner("doc")], "class": [class], "code": [code]})
    };
    let deny = |name: &str| world.commit(PAT, vec![import_as_create(&consent(name, "pat", said()))]);
    let end = |name: &str| {
        let ended = withdrawn(consent(name, "pat", said()));
        world.commit(DOC, vec![update(&ended.to_string(), "ended", None)])
    };
    for round in 0..2 * MAXIMUM_OF_CONTENT {
        deny(&format!("c{round}")).await.unwrap();
        end(&format!("c{round}")).await.unwrap();
    }
    deny("more").await.unwrap();
    match end("more").await {
        Err(StoreError::TooMany(told)) => assert!(told.contains("confirmed"), "{told}"),
        other => panic!("{other:?}"),
    }
    assert!(!sees(&world, DOC, "Observation", "of-pat").await);
}
