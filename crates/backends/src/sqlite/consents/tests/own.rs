//! Patients who ask for their own records: what is saved where they have said nothing, and that nothing else is.

use portcullis_oauth::principal::{Circumstances, ImplicitPolicy};

use super::*;

fn deny_client() -> Value {
    json!({"type": "deny", "actor": [client("client")]})
}

#[tokio::test]
async fn own_records_are_open_where_their_owner_said_nothing_whatever_others_said() {
    let world = world(&[consent("c", "quinn", deny_client()).to_string()]).await;
    assert!(sees(&world, PAT, "Observation", "of-pat").await);
    assert!(!sees(&world, Who::Patient("quinn"), "Observation", "of-quinn").await);
    let strict = PAT.principal().asking(Circumstances { implicit: ImplicitPolicy::Deny, ..circumstances() });
    assert!(world.reads(&strict, "Observation", "of-pat").await.unwrap());
    assert!(!world.reads(&strict, "Observation", "of-quinn").await.unwrap());
}

#[tokio::test]
async fn what_the_owner_says_counts_for_the_next_request_and_every_trace_of_it_is_enough() {
    let world = world(&[]).await;
    assert!(sees(&world, PAT, "Observation", "of-pat").await);
    world.commit(Who::Operator, vec![import(&consent("c", "pat", deny_client()).to_string())]).await.unwrap();
    assert!(!sees(&world, PAT, "Observation", "of-pat").await);
    // The rows of statements are lost: release has its own way to the Consent.
    world.tamper("DELETE FROM consent_rule");
    world.tamper("DELETE FROM consent_base");
    assert!(world.disagrees(PAT, "Observation", "of-pat").await);
    world.tamper("DELETE FROM consent_verification");
    world.tamper("DELETE FROM consent_writer");
    assert!(world.disagrees(PAT, "Observation", "of-pat").await, "the Consent itself is there");
}

#[tokio::test]
async fn a_practitioner_who_is_a_patient_too_is_asked_for_by_everybody() {
    let world = world(&[consent("c", "quinn", deny_type("doc", "Observation")).to_string()]).await;
    let both = Who::Both("doc", "pat", "user/*.rs patient/*.rs");
    assert!(sees(&world, both, "Observation", "of-pat").await);
    assert!(!sees(&world, both, "Observation", "of-quinn").await);
}

#[tokio::test]
async fn a_consent_that_was_read_before_is_found_again_only_as_it_was_sealed() {
    let texts =
        [("c", "pat"), ("d", "quinn")].map(|(own, subject)| consent(own, subject, deny_type("doc", "Condition")).to_string());
    let world = world(&texts).await;
    assert!(sees(&world, OTHER, "Observation", "of-pat").await);
    let tamper = |change: &str, patient: &str| {
        let consent = resource_type("Consent").code();
        world.tamper(&format!("UPDATE resource SET {change} WHERE type = {consent} AND patients = '{patient}'"));
    };
    // Who changes what is sealed, and neither nonce nor tag, changes nothing of what was read; what was not read does not open.
    let middle = "body = CAST(substr(body, 1, 40) || zeroblob(8) || substr(body, 49) AS BLOB)";
    tamper(middle, "pat");
    assert!(sees(&world, OTHER, "Observation", "of-pat").await);
    tamper(middle, "quinn");
    assert!(!sees(&world, DOC, "Observation", "of-quinn").await, "it hides its patient");
    // Every column counts.
    tamper("version = 'other'", "pat");
    assert!(!sees(&world, OTHER, "Observation", "of-pat").await);
}
