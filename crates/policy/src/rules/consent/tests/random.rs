//! Random trees: the rows of a consent say what its tree says.

use std::cell::Cell;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::test_runner::TestRunner;

use super::*;
use crate::rules::consent::compiled::Node;
use crate::rules::consent::criteria::Criteria;

const CASES: u32 = 1_500;
const REQUESTS: usize = 24;
const PURPOSES: [&str; 6] = ["TREAT", "ETREAT", "BTG", "COC", "HPAYMT", "HRESCH"];
const ACTORS: [&str; 5] = ["Practitioner/dr", "Organization/o", "Device/app", "Group/g", "Practitioner/other"];
const TARGETS: [&str; 4] = ["Observation/a", "Observation/b", "Encounter/v", "Practitioner/dr"];

fn span() -> impl Strategy<Value = Interval> {
    (0..20_i64, 1..12_i64).prop_map(|(from, length)| Interval { from, to: from + length })
}

fn some<T: Clone + std::fmt::Debug + 'static>(pool: Vec<T>) -> impl Strategy<Value = Vec<T>> {
    prop_oneof![3 => Just(Vec::new()), 2 => subsequence(pool, 1..=2)]
}

fn codes() -> Vec<CodeKey> {
    ["x", "y"].map(|code| CodeKey { system: "s".into(), code: code.into() }).to_vec()
}

fn profiles() -> Vec<Box<str>> {
    vec!["http://p".into(), "http://q".into()]
}

fn classes() -> Vec<Class> {
    let types = ["Observation", "Condition"].map(|name| Class::Type(ResourceType::parse(name).unwrap()));
    types.into_iter().chain(profiles().into_iter().map(Class::Profile)).collect()
}

fn label() -> impl Strategy<Value = LabelCriterion> {
    (prop_oneof![Just(0), 0..256_u32], prop_oneof![2 => Just(0), 1 => 0..256_u32])
        .prop_map(|(any_of, none_of)| LabelCriterion { any_of, none_of })
}

fn data() -> impl Strategy<Value = DataCriterion> {
    let meanings = vec![Meaning::Instance, Meaning::Related, Meaning::Dependents, Meaning::AuthoredBy];
    (select(meanings), select(&TARGETS)).prop_map(|(meaning, target)| DataCriterion { meaning, target: reference(target) })
}

fn actions() -> impl Strategy<Value = Actions> {
    subsequence(vec!["collect", "access", "correct"], 0..=2)
        .prop_map(|codes| codes.into_iter().filter_map(Actions::of_code).fold(Actions::NONE, Actions::and))
}

fn criteria() -> impl Strategy<Value = Criteria> {
    let requester = (
        option::weighted(0.2, span()),
        some(ACTORS.map(reference).to_vec()),
        some(PURPOSES.map(|code| Purpose::of_code(code).unwrap()).to_vec()),
        prop_oneof![3 => Just(Actions::NONE), 1 => actions()],
    );
    let resource = (
        some(classes()),
        some(codes()),
        prop_oneof![3 => Just(Vec::new()), 1 => vec(label(), 1..3)],
        option::weighted(0.3, span()),
        prop_oneof![3 => Just(Vec::new()), 1 => vec(data(), 1..3)],
    );
    (requester, resource).prop_map(|((valid, actors, purposes, actions), (classes, codes, labels, data_period, data))| Criteria {
        valid,
        actors,
        purposes,
        actions,
        classes,
        codes,
        labels,
        data_period,
        data,
    })
}

fn effect() -> impl Strategy<Value = Effect> {
    select(vec![Effect::Permit, Effect::Deny])
}

pub(super) fn tree() -> impl Strategy<Value = Node> {
    let node = |effect, criteria, children| Node { expression: "".into(), effect, criteria, children };
    let leaf = (effect(), criteria()).prop_map(move |(effect, criteria)| node(Some(effect), criteria, Vec::new()));
    let nested = leaf.prop_recursive(3, 12, 3, move |inner| {
        (effect(), criteria(), vec(inner, 0..3))
            .prop_map(move |(effect, criteria, children)| node(Some(effect), criteria, children))
    });
    let open = prop_oneof![1 => Just(Criteria::default()), 1 => criteria()];
    (option::weighted(0.9, effect()), open, vec(nested, 0..4))
        .prop_map(move |(effect, criteria, children)| node(effect, criteria, children))
}

fn resource() -> impl Strategy<Value = ResourceFacts> {
    let local = |text: &str| LocalReference::parse(text).unwrap();
    let locals =
        move || subsequence(TARGETS.to_vec(), 0..=2).prop_map(move |targets| targets.into_iter().map(local).collect::<Vec<_>>());
    (
        select(&["Observation/a", "Observation/b", "Condition/c"]),
        (subsequence(profiles(), 0..=2), subsequence(codes(), 0..=1), subsequence(codes(), 0..=2)),
        0..256_u32,
        option::weighted(0.8, span()),
        (locals(), option::of(locals()), locals()),
    )
        .prop_map(
            move |(target, (profiles, codes, mentioned), labels, clinical_time, (references, referred_from, authors))| {
                ResourceFacts {
                    target: local(target),
                    profiles,
                    codes,
                    mentioned,
                    labels: Labels::from_bits(labels).unwrap(),
                    clinical_time,
                    references,
                    referred_from,
                    authors: authors.into_iter().map(Reference::Local).collect(),
                    is_coded_elsewhere: labels % 5 == 0,
                    is_gone: clinical_time.is_none() && labels % 2 == 0,
                }
            },
        )
}

pub(super) fn asked() -> impl Strategy<Value = Asked> {
    let requester = (subsequence(ACTORS.map(reference).to_vec(), 0..=3), any::<bool>(), any::<bool>());
    (requester, select(&PURPOSES), actions(), prop::bool::weighted(0.2), 0..20_i64, resource()).prop_map(
        |((actors, has_client, unresolved), purpose, actions, own_record, now, resource)| Asked {
            actors,
            client: has_client.then(|| reference("Device/app")).into_iter().collect(),
            unresolved: unresolved.then(|| ResourceType::parse("Group").unwrap()).into_iter().collect(),
            purpose: Purpose::of_code(purpose).unwrap(),
            actions,
            by_clinician: true,
            own_record,
            now,
            resource,
        },
    )
}

/// Consents of one patient with any standing, some of which replace others.
pub(super) fn consents(number: std::ops::Range<usize>) -> impl Strategy<Value = Vec<CompiledConsent>> {
    let template = compiled(&consent(json!({"type": "permit"})));
    let standings = [Standing::Verified, Standing::Verified, Standing::Outdated, Standing::Unverified, Standing::Held];
    let one = (tree(), select(standings.to_vec()), select(vec![Some(0), Some(5), None]), select(vec!["one", "two"]));
    let one = one.prop_map(move |(tree, standing, since, series)| {
        let series = Some(series.into());
        let consent = CompiledConsent { top: Some(Arc::new(tree)), since, series, ..template.clone().standing_as(standing) };
        // As a store keeps what has no rows (`CompiledConsent::of_body`).
        if rows(&consent).is_ok() { consent } else { CompiledConsent { top: None, ..consent } }
    });
    vec(one, number)
}

/// What holds where no consent says anything.
pub(super) fn implicit() -> impl Strategy<Value = ImplicitPolicy> {
    select(vec![ImplicitPolicy::AllNormal, ImplicitPolicy::BasicNormal, ImplicitPolicy::Deny])
}

#[test]
fn the_rows_of_a_consent_say_what_its_tree_says() {
    let tally: [Cell<u32>; 5] = Default::default();
    let count = |place: usize| tally[place].set(tally[place].get() + 1);
    let template = compiled(&consent(json!({"type": "permit"})));
    let mut runner = TestRunner::new(ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() });
    let outcome = runner.run(&(tree(), vec(asked(), REQUESTS)), |(tree, requests)| {
        let consent = CompiledConsent { top: Some(Arc::new(tree)), ..template.clone() };
        let rows = match rows(&consent) {
            Ok(rows) => rows,
            Err(_) => {
                count(0);
                return Ok(());
            }
        };
        count(1);
        for asked in requests {
            let by_tree = consent.verdict(&asked.request(), &asked.resource).map(|verdict| verdict.effect);
            count(match by_tree {
                None => 2,
                Some(Effect::Permit) => 3,
                Some(Effect::Deny) => 4,
            });
            prop_assert_eq!(decide_by_rows(&rows, &asked.request(), &asked.resource), by_tree, "{:#?}", rows);
        }
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    let [not_compilable, compiled, silent, permitted, denied] = tally.map(Cell::into_inner);
    assert!(compiled > CASES / 2 && not_compilable > 0, "{compiled} compiled, {not_compilable} not");
    assert!(silent > 1_000 && permitted > 1_000 && denied > 1_000, "{silent} silent, {permitted} permits, {denied} denials");
}
