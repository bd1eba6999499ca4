//! Consents that cannot be read: the patient is hidden from everybody else, and nobody else is kept from writing.

use portcullis_store::consents::ConsentsListed;

use super::*;

/// Destroys what is stored of a Consent.
fn destroy(world: &World, own: &str) {
    world.tamper(&format!(
        "UPDATE resource SET body = zeroblob(length(body)) WHERE pk = (SELECT pk FROM locator WHERE id = '{own}')"
    ));
}

#[tokio::test]
async fn a_consent_that_cannot_be_read_hides_its_patient_and_stops_nobody_else() {
    let code = json!({"type": "deny", "actor": [practitioner("doc")], "code": [concept("http://loinc.org", "4548-4")]});
    let world = world(&[consent("c", "pat", code.clone()).to_string()]).await;
    destroy(&world, "c");
    // The rows say less than what release finds; the first read that meets it has them say the same.
    assert!(!world.disagrees(OTHER, "Observation", "of-pat").await, "absent, and no error");
    assert_eq!(world.integer("SELECT count(*) FROM consent_base WHERE compilable = 0"), 1);
    assert!(!sees(&world, OTHER, "Observation", "of-pat").await && sees(&world, PAT, "Observation", "of-pat").await);
    assert!(sees(&world, DOC, "Observation", "of-quinn").await, "others are not concerned");
    // Whoever looks after the server finds it, though it was confirmed.
    let waiting = listed(&world, ConsentsListed::Waiting).await;
    assert_eq!((waiting.len(), waiting[0].id.as_str(), waiting[0].status.as_str()), (1, "c", "unreadable"));
    assert_eq!((waiting[0].patient.as_ref().map(|patient| patient.as_str()), waiting[0].body.is_none()), (Some("pat"), true));
    world.commit(Who::Operator, vec![import(&observation("more", "pat", "8867-4"))]).await.unwrap();
    world.commit(PAT, vec![update(&observation("more", "pat", "4548-4"), "v2", None)]).await.unwrap();
    world.commit(DOC, vec![update(&observation("of-quinn", "quinn", "8867-4"), "v2", None)]).await.unwrap();
    for who in [DOC, OTHER] {
        assert!(!sees(&world, who, "Observation", "of-pat").await && !sees(&world, who, "Observation", "more").await, "{who:?}");
    }
    assert!(sees(&world, PAT, "Observation", "more").await);
    // The same when all rows are made again, and until somebody stores what can be read.
    assert!(world.store.derive_consents(BASE).unwrap());
    assert!(!sees(&world, OTHER, "Observation", "of-pat").await);
    assert_eq!(world.integer("SELECT count(*) FROM consent_base WHERE compilable = 0"), 1);
    world.commit(Who::Operator, vec![import(&consent("c", "pat", code).to_string())]).await.unwrap();
    assert!(sees(&world, OTHER, "Observation", "of-pat").await && !sees(&world, DOC, "Observation", "of-pat").await);
}

#[tokio::test]
async fn a_search_and_a_history_that_meet_it_first_answer_as_for_what_is_absent() {
    let denial = consent("c", "pat", deny_type("doc", "Condition")).to_string();
    let world = world(&[denial]).await;
    destroy(&world, "c");
    assert_eq!(world.search(OTHER, "Observation", "_sort=_id").await.unwrap(), Vec::<String>::new());
    let world = super::world(&[consent("c", "pat", deny_type("doc", "Condition")).to_string()]).await;
    destroy(&world, "c");
    assert_eq!(world.history(OTHER, all_versions("Observation", "of-pat")).await.unwrap().total, 0);
}
