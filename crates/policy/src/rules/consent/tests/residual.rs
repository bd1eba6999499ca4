//! Residuals: whatever they let through, the consents do, and of the consents of IHE PCF they say all.

use std::cell::Cell;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::random::{asked, consents, implicit};
use super::*;
use crate::rules::consent::criteria::at_time;
use crate::rules::consent::residual::{Asked as AskedFor, counting};

const CASES: u32 = 1_500;
const REQUESTS: usize = 24;

/// What another server does with the rules: a rule that forbids applies in doubt, one that permits does not, and the latter overrides.
fn lets_through(rules: &[ResidualRule], resource: &ResourceFacts) -> bool {
    let applies = |effect: Effect| {
        rules.iter().filter(move |rule| rule.effect == effect).any(|rule| {
            let codes: Vec<_> = resource.labels.codings().map(|(system, code, _)| (system, code)).collect();
            let labelled = rule.labels.is_empty() || rule.labels.iter().any(|label| codes.contains(label));
            let time = rule.data_period.map_or(Match::Yes, |period| at_time(period, resource));
            let data = rule.data.as_ref().map_or(Match::Yes, |data| data.covers(resource));
            let matches = Match::from(labelled).min(time).min(data);
            if effect == Effect::Deny { matches != Match::No } else { matches == Match::Yes }
        })
    };
    !applies(Effect::Deny) || applies(Effect::Permit)
}

fn rules(consents: &[CompiledConsent], request: Request<'_>, implicit: ImplicitPolicy) -> Vec<ResidualRule> {
    AskedFor { request, implicit }.rules(&counting(consents, &id("p"), request.now))
}

#[test]
fn what_a_residual_lets_through_the_consents_permit() {
    let tally: [Cell<u32>; 3] = Default::default();
    let cases = (consents(1..3), implicit(), vec(asked(), REQUESTS));
    let mut runner = TestRunner::new(ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() });
    let outcome = runner.run(&cases, |(consents, implicit, requests)| {
        for asked in requests {
            let rules = rules(&consents, asked.request(), implicit);
            let by_consents = decide(&consents, &id("p"), (&asked.request(), &asked.resource), implicit).effect == Effect::Permit;
            let through = lets_through(&rules, &asked.resource);
            let place = usize::from(through) + usize::from(by_consents);
            tally[place].set(tally[place].get() + 1);
            prop_assert!(!through || by_consents, "{:#?}\n{:#?}", rules, consents);
        }
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    let [withheld, stricter, through] = tally.map(Cell::into_inner);
    assert!(withheld > 1_000 && through > 1_000, "{withheld} withheld, {stricter} more strictly, {through} through");
}

#[test]
fn what_the_profiles_of_pcf_can_say_is_said_exactly() {
    let data = |meaning: &str, target: &str| json!([{"meaning": meaning, "reference": {"reference": target}}]);
    let forbid = |rule: ResidualRule| ResidualRule { effect: Effect::Deny, ..rule };
    let everything = ResidualRule { effect: Effect::Permit, labels: Vec::new(), data_period: None, data: None };
    let of_2022 = Interval { from: moment("2022-01-01"), to: moment("2023-01-01") };
    let of_that_year = ResidualRule { data_period: Some(of_2022), ..everything.clone() };
    let encounter = DataCriterion { meaning: Meaning::Related, target: reference("Encounter/v") };
    let of_encounter = ResidualRule { data: Some(encounter), ..everything.clone() };
    let psychiatric = ResidualRule { labels: vec![(ACT_CODE, "PSY")], ..everything.clone() };
    let normal = ["L", "M", "N", "U"].map(|code| (CONFIDENTIALITY, code)).to_vec();
    let normal = ResidualRule { labels: normal, ..everything.clone() };
    let above_normal = ["R", "V"].map(|code| (CONFIDENTIALITY, code)).to_vec();
    let year = json!({"start": "2022-01-01", "end": "2022-12-31"});
    let label = |system: &str, code: &str| json!([coding(system, code)]);
    let table = [
        (json!({"type": "permit"}), vec![]),
        (json!({"type": "permit", "purpose": [purpose("TREAT")]}), vec![]),
        (json!({"type": "deny"}), vec![forbid(everything.clone())]),
        (json!({"type": "permit", "purpose": [purpose("HRESCH")]}), vec![forbid(everything.clone())]),
        (json!({"type": "permit", "actor": [actor("Practitioner/other")]}), vec![forbid(everything.clone())]),
        (json!({"type": "permit", "dataPeriod": year}), vec![forbid(everything.clone()), of_that_year.clone()]),
        (json!({"type": "permit", "provision": [{"type": "deny", "dataPeriod": year}]}), vec![forbid(of_that_year.clone())]),
        (
            json!({"type": "permit", "provision": [{"type": "deny", "data": data("related", "Encounter/v")}]}),
            vec![forbid(of_encounter.clone())],
        ),
        (
            json!({"type": "permit", "securityLabel": label(CONFIDENTIALITY, "N")}),
            vec![forbid(everything.clone()), normal.clone()],
        ),
        (
            json!({"type": "permit", "provision": [{"type": "deny", "securityLabel": label(CONFIDENTIALITY, "R")}]}),
            vec![ResidualRule { effect: Effect::Deny, labels: above_normal, ..everything.clone() }],
        ),
        (
            json!({"type": "deny", "provision": [{"type": "permit", "securityLabel": label(ACT_CODE, "PSY")}]}),
            vec![forbid(everything.clone()), psychiatric.clone()],
        ),
        // What a rule cannot say is said more strictly: types, codes and actions.
        (
            json!({"type": "permit", "provision": [{"type": "deny", "class": [coding(TYPES, "Observation")]}]}),
            vec![forbid(everything.clone())],
        ),
        (json!({"type": "permit", "class": [coding(TYPES, "Observation")]}), vec![forbid(everything.clone())]),
    ];
    let asked = Asked::for_resource(&json!({"resourceType": "Observation", "id": "a", "status": "final", "code": {"text": "x"}}));
    for (provision, expected) in table {
        let consents = [compiled(&consent(provision.clone()))];
        let found = rules(&consents, asked.request(), ImplicitPolicy::Deny);
        assert_eq!(found, expected, "{provision}");
    }
    // Two consents: an exception of one says nothing against the other.
    let one =
        compiled(&consent(json!({"type": "deny", "provision": [{"type": "permit", "data": data("related", "Encounter/v")}]})));
    let other = CompiledConsent { id: id("d"), ..compiled(&consent(json!({"type": "deny", "dataPeriod": year}))) };
    let found = rules(&[one.clone(), other], asked.request(), ImplicitPolicy::AllNormal);
    assert_eq!(found, [forbid(everything.clone()), forbid(of_that_year)]);
    assert_eq!(
        rules(std::slice::from_ref(&one), asked.request(), ImplicitPolicy::AllNormal),
        [forbid(everything.clone()), of_encounter]
    );
    let waiting = one.standing_as(Standing::Unverified);
    assert_eq!(
        rules(&[waiting], asked.request(), ImplicitPolicy::AllNormal),
        [forbid(everything.clone())],
        "nobody has confirmed it"
    );
    let unreadable = CompiledConsent::unreadable(id("c"), id("p"));
    assert_eq!(rules(&[unreadable], asked.request(), ImplicitPolicy::AllNormal), [forbid(everything)]);
}
