//! Consents that cannot be read: the patient is hidden from everybody else, and nobody else is kept from writing.

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
    // The rows say less than what release finds: an error and no answer, but for the patient.
    assert!(world.disagrees(OTHER, "Observation", "of-pat").await);
    assert!(sees(&world, PAT, "Observation", "of-pat").await);
    assert!(sees(&world, DOC, "Observation", "of-quinn").await, "others are not concerned");
    // Whoever writes next for Pat notes it.
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
