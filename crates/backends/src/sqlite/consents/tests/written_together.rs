//! What is stored together with a Consent must be permitted by what all of it leaves.

use portcullis_policy::{Change, Operation, WriteSet};
use portcullis_store::FhirStore;
use portcullis_store::StoreError;
use portcullis_store::together::{NotDone, Step, Together};

use super::routes::import_as_create;
use super::*;

fn denial() -> Value {
    let provision = json!({"type": "deny", "actor": [practitioner("doc")], "action": [
        concept("http://terminology.hl7.org/CodeSystem/consentaction", "collect")],
        "class": [coding("http://hl7.org/fhir/resource-types", "Observation")]});
    consent("c", "pat", provision)
}

fn observed() -> Change {
    Change::Create(version(&observation("new", "pat", "4548-4"), "v1", 1_000))
}

#[tokio::test]
async fn a_write_set_asks_a_denial_that_it_stores_itself() {
    for consent_first in [true, false] {
        let changes = || {
            let mut changes = vec![observed(), import_as_create(&denial())];
            if consent_first {
                changes.reverse();
            }
            changes
        };
        let world = world(&[]).await;
        let refused = world.commit(DOC, changes()).await;
        assert!(matches!(refused, Err(StoreError::OutsideBoundary)), "{refused:?}");
        for own in ["new", "c"] {
            assert_eq!(
                world.integer(&format!("SELECT count(*) FROM resource r JOIN locator l USING (pk) WHERE l.id = '{own}'")),
                0
            );
        }
        world.commit(OTHER, changes()).await.unwrap();
        assert!(sees(&world, DOC, "Observation", "new").await, "collecting was denied, not access");
    }
}

#[tokio::test]
async fn so_do_the_steps_of_a_transaction() {
    let step = |who: Who<'_>, number: u32, change: Change| {
        let (permit, operation) = who.permit(Operation::Write(WriteSet { changes: vec![change] }));
        (permit, Step { operation, record: Some(record(&format!("{:032x}", number + 0xf000), 1)) })
    };
    for (who, is_done) in [(DOC, false), (OTHER, true)] {
        let world = world(&[]).await;
        let ((_, first), (_, second)) = (step(who, 1, observed()), step(who, 2, import_as_create(&denial())));
        let together = Together { steps: vec![first, second], guards: Vec::new(), binding: Vec::new() };
        let done = world.store.commit_together(together).await;
        match done {
            Ok(done) => assert!(is_done && done.len() == 2),
            Err(NotDone::Step(0, StoreError::OutsideBoundary)) => assert!(!is_done),
            Err(other) => panic!("{other:?}"),
        }
        assert_eq!(sees(&world, PAT, "Observation", "new").await, is_done);
    }
}
