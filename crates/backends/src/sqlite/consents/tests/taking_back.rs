//! Taking back what nobody has confirmed: whoever wrote it may, unless it denies the writer; what anybody else does to it counts when somebody has confirmed that.

use portcullis_policy::Change;

use super::routes::import_as_create;
use super::*;

fn update_of(resource: &Value, named: &str) -> Change {
    update(&resource.to_string(), named, None)
}

/// Pat's denial of the Conditions for Doc, which Doc sees and may change, and nobody has confirmed.
async fn denied() -> (World, Value) {
    let condition = json!({"resourceType": "Condition", "id": "of-pat", "subject": {"reference": "Patient/pat"}}).to_string();
    let world = world(&[condition]).await;
    let denial = consent("c", "pat", deny_type("doc", "Condition"));
    world.commit(PAT, vec![import_as_create(&denial)]).await.unwrap();
    assert!(!sees(&world, DOC, "Condition", "of-pat").await, "nobody has confirmed it");
    (world, denial)
}

#[tokio::test]
async fn whoever_is_denied_does_not_take_the_denial_back() {
    let (world, denial) = denied().await;
    world.commit(DOC, vec![update_of(&withdrawn(denial.clone()), "v2")]).await.unwrap();
    assert!(!sees(&world, DOC, "Condition", "of-pat").await, "withdrawn by Doc");
    world.commit(DOC, vec![update_of(&consent("c", "pat", json!({"type": "permit"})), "v3")]).await.unwrap();
    assert!(!sees(&world, DOC, "Condition", "of-pat").await, "made a permit by Doc");
    let elsewhere = consent("c", "pat", deny_type("doc", "Appointment"));
    world.commit(DOC, vec![update_of(&elsewhere, "v4")]).await.unwrap();
    assert!(!sees(&world, DOC, "Condition", "of-pat").await, "made about something else by Doc");
    world.commit(DOC, vec![delete("Consent", "c", "v5", None)]).await.unwrap();
    assert!(!sees(&world, DOC, "Condition", "of-pat").await, "deleted by Doc");
    assert!(sees(&world, OTHER, "Condition", "of-pat").await && sees(&world, PAT, "Condition", "of-pat").await);
    // Somebody confirms what is there now.
    world.commit(Who::Operator, vec![import(&withdrawn(denial).to_string())]).await.unwrap();
    assert!(sees(&world, DOC, "Condition", "of-pat").await);
    for table in ["consent_base", "consent_rule", "consent_held"] {
        assert_eq!(world.integer(&format!("SELECT count(*) FROM {table}")), 0, "{table}");
    }
}

#[tokio::test]
async fn nor_does_anybody_else_than_who_wrote_it() {
    for change in ["update", "delete"] {
        let (world, denial) = denied().await;
        let change = match change {
            "update" => update_of(&withdrawn(denial.clone()), "v2"),
            _ => delete("Consent", "c", "v2", None),
        };
        world.commit(OTHER, vec![change]).await.unwrap();
        assert!(!sees(&world, DOC, "Condition", "of-pat").await, "Other wrote nothing of it");
        assert_eq!(world.integer("SELECT count(*) FROM consent_held"), 1);
    }
}

#[tokio::test]
async fn who_wrote_a_denial_takes_it_back() {
    let (world, denial) = denied().await;
    world.commit(PAT, vec![update_of(&withdrawn(denial.clone()), "v2")]).await.unwrap();
    assert!(sees(&world, DOC, "Condition", "of-pat").await, "withdrawn by Pat");
    world.commit(PAT, vec![update_of(&denial, "v3")]).await.unwrap();
    assert!(!sees(&world, DOC, "Condition", "of-pat").await);
    world.commit(PAT, vec![delete("Consent", "c", "v4", None)]).await.unwrap();
    assert!(sees(&world, DOC, "Condition", "of-pat").await, "deleted by Pat");
    assert_eq!(world.integer("SELECT count(*) FROM consent_held"), 0);
}

#[tokio::test]
async fn what_denies_its_writer_or_may_is_not_taken_back() {
    for (own, provision, ends) in [
        ("own", deny_type("doc", "Condition"), false),
        ("others", deny_type("other", "Condition"), true),
        ("everybody", json!({"type": "deny", "class": [coding("http://hl7.org/fhir/resource-types", "Condition")]}), false),
        (
            "organisation",
            json!({"type": "deny", "class": [coding("http://hl7.org/fhir/resource-types", "Condition")],
            "actor": [actor(json!({"reference": "Organization/org"}))]}),
            false,
        ),
    ] {
        let world = world(&[]).await;
        let said = consent(own, "pat", provision);
        world.commit(DOC, vec![import_as_create(&said)]).await.unwrap();
        assert!(world.integer("SELECT count(*) FROM consent_base") > 0, "{own}");
        world.commit(DOC, vec![update_of(&withdrawn(said), "v2")]).await.unwrap();
        let held = world.integer("SELECT count(*) FROM consent_held");
        assert_eq!(held == 0, ends, "{own}");
    }
}

#[tokio::test]
async fn what_is_held_is_kept_when_rows_are_made_again_and_without_rows_release_knows_it() {
    let (world, denial) = denied().await;
    world.commit(DOC, vec![update_of(&withdrawn(denial), "v2")]).await.unwrap();
    assert!(world.store.derive_consents(BASE).unwrap());
    assert!(!sees(&world, DOC, "Condition", "of-pat").await);
    assert_eq!(world.integer("SELECT standing FROM consent_base"), 3);
    for table in ["consent_rule", "consent_base"] {
        world.tamper(&format!("DELETE FROM {table}"));
    }
    assert!(world.disagrees(DOC, "Condition", "of-pat").await);
    assert!(!world.disagrees(OTHER, "Condition", "of-pat").await);
}

#[tokio::test]
async fn a_change_is_never_refused_for_what_waits_and_beyond_a_limit_nobody_else_sees_anything_until_somebody_confirms() {
    let (world, denial) = denied().await;
    for number in 2..40 {
        let mut again = denial.clone();
        again["dateTime"] = json!(format!("2024-01-{:02}", number % 28 + 1));
        // By turns, so that nobody takes back the own.
        let who = if number % 2 == 0 { OTHER } else { PAT };
        let done = world.commit(who, vec![update_of(&again, &format!("v{number}"))]).await;
        // From whom the whole record is hidden, the Consent is, too; there is nothing left to narrow.
        let hidden = number % 2 == 0 && number > 18;
        assert_eq!(done.is_ok(), !hidden, "{number}: {:?}", done.err());
        assert!(!sees(&world, DOC, "Condition", "of-pat").await, "{number}");
    }
    assert!(!sees(&world, OTHER, "Observation", "of-pat").await && sees(&world, PAT, "Condition", "of-pat").await);
    assert!(sees(&world, DOC, "Observation", "of-quinn").await, "others are not concerned");
    assert_eq!(world.integer("SELECT count(*) FROM consent_base"), 2, "the current one, and all that is held together");
    let of_pat = listed(&world, ConsentsListed::OfPatient(id("pat"))).await;
    assert!(of_pat.len() == 1 && of_pat[0].is_folded);
    // The same where all rows are made again, and release knows it without them.
    assert!(world.store.derive_consents(BASE).unwrap());
    assert!(!sees(&world, OTHER, "Observation", "of-pat").await);
    world.tamper("UPDATE consent_base SET valid_to = 0");
    assert!(world.disagrees(OTHER, "Observation", "of-pat").await);
    world.commit(Who::Operator, vec![import(&withdrawn(denial).to_string())]).await.unwrap();
    assert!(sees(&world, DOC, "Condition", "of-pat").await && sees(&world, OTHER, "Observation", "of-pat").await);
    for table in ["consent_base", "consent_held"] {
        assert_eq!(world.integer(&format!("SELECT count(*) FROM {table}")), 0, "{table}");
    }
}

#[tokio::test]
async fn what_says_the_same_is_held_once() {
    let (world, denial) = denied().await;
    for number in 2..40 {
        let said = if number % 2 == 0 { withdrawn(denial.clone()) } else { denial.clone() };
        // By turns, so that nobody takes back the own.
        let who = if number % 2 == 0 { OTHER } else { PAT };
        world.commit(who, vec![update_of(&said, &format!("v{number}"))]).await.unwrap();
        assert!(!sees(&world, DOC, "Condition", "of-pat").await, "{number}");
        assert!(sees(&world, DOC, "Observation", "of-pat").await, "{number}: no more than that");
    }
    assert_eq!(world.integer("SELECT count(*) FROM consent_held"), 1);
}

#[tokio::test]
async fn what_was_moved_to_another_patient_goes_on_for_the_first_who_is_told() {
    let (world, denial) = denied().await;
    let mut moved = denial.clone();
    moved["patient"] = json!({"reference": "Patient/quinn"});
    world.commit(DOC, vec![update_of(&moved, "v2")]).await.unwrap();
    assert!(!sees(&world, DOC, "Condition", "of-pat").await, "it still counts");
    let of_pat = listed(&world, ConsentsListed::OfPatient(id("pat"))).await;
    assert_eq!(of_pat.len(), 1);
    let [(of, body)] = of_pat[0].moved.as_slice() else { panic!("{of_pat:?}") };
    assert!(of.as_str() == "pat" && String::from_utf8_lossy(body).contains("Practitioner/doc"));
    assert!(of_pat[0].counting.is_empty() && of_pat[0].patient.as_ref().unwrap().as_str() == "quinn");
}
