//! What is let in to everything: the decision about each record lets it in.

use std::cell::Cell;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::random::{asked, consents, implicit};
use super::*;
use crate::rules::consent::blanket::lets_in;

const CASES: u32 = 2_000;
const REQUESTS: usize = 24;

#[test]
fn whoever_is_let_in_to_everything_is_let_in_to_each_record() {
    let tally: [Cell<u32>; 3] = Default::default();
    let cases = (consents(0..3), implicit(), vec(asked(), REQUESTS));
    let mut runner = TestRunner::new(ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() });
    let outcome = runner.run(&cases, |(consents, implicit, requests)| {
        for asked in requests {
            let to_everything = lets_in(&consents, &id("p"), &asked.request(), implicit);
            let each = decide(&consents, &id("p"), (&asked.request(), &asked.resource), implicit).effect == Effect::Permit;
            let place = usize::from(to_everything) + usize::from(each);
            tally[place].set(tally[place].get() + 1);
            prop_assert!(!to_everything || each, "{:#?}", consents);
        }
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    let [denied, in_part, everything] = tally.map(Cell::into_inner);
    assert!(denied > 1_000 && everything > 1_000, "{denied} denied, {in_part} by the record, {everything} to everything");
}

#[test]
fn ten_consents_that_deny_somebody_else_let_in_to_everything() {
    let denying =
        |who: &str| compiled(&consent(json!({"type": "permit", "provision": [{"type": "deny", "actor": [actor(who)]}]})));
    let asked = Asked::for_resource(&json!({"resourceType": "Observation", "id": "a", "status": "final", "code": {"text": "x"}}));
    let lets_in = |consents: &[CompiledConsent], implicit| lets_in(consents, &id("p"), &asked.request(), implicit);
    let others: Vec<CompiledConsent> = (0..10).map(|number| denying(&format!("Practitioner/nobody-{number}"))).collect();
    assert!(lets_in(&others, ImplicitPolicy::AllNormal) && lets_in(&others, ImplicitPolicy::Deny));
    assert!(!lets_in(&[], ImplicitPolicy::Deny) && lets_in(&[], ImplicitPolicy::AllNormal));
    assert!(!lets_in(&[denying("Practitioner/dr")], ImplicitPolicy::AllNormal));
    assert!(!lets_in(&[denying("Practitioner/nobody").standing_as(Standing::Unverified)], ImplicitPolicy::Deny));
    assert!(!lets_in(&[CompiledConsent::unreadable(id("c"), id("p"))], ImplicitPolicy::AllNormal));
}
