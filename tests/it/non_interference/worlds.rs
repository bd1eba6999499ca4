//! The other oracle: two worlds that differ only in what a person may not see give that person the same answers, whatever is asked and written.
//!
//! Nothing is computed here but what differs: hidden records are added, changed, ended, moved and left out, at any place in the sequence of writes, as long as
//! everything that the person sees stays as it is.

use std::collections::BTreeSet;
use std::sync::Mutex;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestRunner;

use super::data::{self, Event, PATIENTS, Record};
use super::people::{self, Person};
use super::requests::{self, Request};
use super::rules::Relation;
use super::stores::{Answer, Held};
use super::view::{View, patients, reasons};
use super::writes::{self, Planned, Write};
use super::{cases, config, longer, runtime};

/// Requests and writes of each pair of worlds: half of that on average.
const REQUESTS: u32 = 40;
const WRITES: u32 = 16;
/// Questions of one run where `PORTCULLIS_CASES` says nothing.
const CASES: u32 = 1_500;

/// One difference: a further write before the one at this place, or that one left out.
type Difference = (Index, Option<Event>);

/// The other world.
pub struct Other {
    /// What it holds.
    pub records: Vec<Record>,
    /// How many differences were hidden, and are in it.
    pub differences: usize,
}

/// Puts those differences into a world that leave alone what is known of it.
pub fn other_world<T: PartialEq>(events: &[Event], differences: &[Difference], known: impl Fn(&[Record]) -> T) -> Other {
    let mut written: Vec<(usize, &Event)> = events.iter().enumerate().collect();
    let mut other = Other { records: data::records_at(written.iter().copied()), differences: 0 };
    let before = known(&other.records);
    for (index, event) in differences {
        let mut candidate = written.clone();
        match event {
            Some(event) => {
                let place = index.index(candidate.len() + 1);
                let moment = candidate.get(place).map_or(events.len(), |(moment, _)| *moment);
                candidate.insert(place, (moment, event));
            }
            None if candidate.is_empty() => continue,
            None => drop(candidate.remove(index.index(candidate.len()))),
        }
        let records = data::records_at(candidate.iter().copied());
        if records != other.records && known(&records) == before {
            (written, other.records) = (candidate, records);
            other.differences += 1;
        }
    }
    other
}

/// What a person may know of a world: what each letter shows, for whom they care, and by what: a write may end one of several reasons for that. Whoever may write something
/// of a patient is told by a refusal that the patient does not want it written.
pub fn known(records: &[Record], person: &Person) -> ([Vec<Record>; 4], BTreeSet<String>) {
    let views = ['r', 's', 'u', 'd'].map(|letter| View::new(records, person, letter).records());
    let mut relations = vec![Relation::Care];
    relations.extend(person.rules.iter().filter_map(|rule| rule.permits));
    let mut care = BTreeSet::new();
    for (practitioner, relation) in
        person.practitioner.iter().flat_map(|own| relations.iter().map(move |relation| (*own, *relation)))
    {
        for patient in PATIENTS {
            let by = |record: &Record| format!("{patient} {relation:?} by {}/{}", record.resource_type, record.id);
            care.extend(reasons(records, (relation, practitioner), patient).into_iter().map(by));
        }
    }
    for patient in
        PATIENTS.iter().filter(|patient| ['c', 'u'].iter().any(|letter| View::new(records, person, *letter).reaches(patient)))
    {
        let concerns = |record: &&Record| {
            (0..record.versions.len()).any(|number| patients(record.stated(number)).iter().any(|of| of == patient))
        };
        let consents = records.iter().filter(|record| record.resource_type == "Consent").filter(concerns);
        care.extend(consents.map(|consent| format!("{patient} said {:?}", consent.versions)));
    }
    // A role that ends may be one of several that give a relationship.
    if relations.len() > 1 {
        let roles = records.iter().filter(|record| record.resource_type == "PractitionerRole");
        care.extend(roles.map(|role| format!("{} {:?}", role.id, role.current())));
    }
    (views, care)
}

/// Random differences.
pub fn differences() -> impl Strategy<Value = Vec<Difference>> {
    prop::collection::vec((any::<Index>(), prop::option::weighted(0.8, data::any_event())), 1..16)
}

/// What the pairs of worlds were, to show that they differed.
#[derive(Debug, Default)]
struct Tally {
    pairs: u32,
    differing: u32,
    differences: usize,
    asked: u32,
    found: u32,
    written: u32,
}

#[derive(Clone, Debug)]
struct Case {
    requests: Vec<Request>,
    writes: Vec<Write>,
    person: Person,
    differences: Vec<Difference>,
    events: Vec<Event>,
}

async fn check(case: &Case, tally: &Mutex<Tally>) -> Result<(), String> {
    let mut records = data::records(&case.events);
    let other = other_world(&case.events, &case.differences, |records| known(records, &case.person));
    let (world, other_held) = (Held::of(&records).await, Held::of(&other.records).await);
    let principal = case.person.principal();
    let compare = |asked: &dyn std::fmt::Debug, one: Answer, two: Answer| {
        let mut tally = tally.lock().unwrap();
        tally.asked += 1;
        tally.written += u32::from(matches!(one, Answer::Written(..)));
        tally.found += u32::from(one.tells_something());
        let told = || format!("{:?}\n{}\n{asked:?}\n{one:#?}\nand in the other world {two:#?}", case.person, case.person.scope());
        if one == two { Ok(()) } else { Err(told()) }
    };
    let (before, after) = case.requests.split_at(case.requests.len() / 2);
    for request in before {
        compare(request, world.ask(&principal, request).await, other_held.ask(&principal, request).await)?;
    }
    for (number, write) in case.writes.iter().enumerate() {
        let planned = Planned::of(write, number, &records);
        let found = world.write(&principal, &planned).await;
        if found != Answer::Denied {
            planned.apply(&case.person, &mut records);
        }
        compare(&planned, found, other_held.write(&principal, &planned).await)?;
    }
    for request in after {
        compare(request, world.ask(&principal, request).await, other_held.ask(&principal, request).await)?;
    }
    let mut tally = tally.lock().unwrap();
    tally.pairs += 1;
    tally.differing += u32::from(other.differences > 0);
    tally.differences += other.differences;
    Ok(())
}

#[test]
fn what_a_person_may_not_see_changes_no_answer() {
    let asked = cases(CASES);
    let most = REQUESTS * longer(asked);
    let parts = (
        prop::collection::vec(requests::requests(), 0..=most as usize),
        prop::collection::vec(writes::writes(), 0..=WRITES as usize),
        people::people(),
        differences(),
        data::events(),
    );
    let case =
        parts.prop_map(|(requests, writes, person, differences, events)| Case { requests, writes, person, differences, events });
    let runtime = runtime();
    let tally = Mutex::new(Tally::default());
    let run = |case: Case| runtime.block_on(check(&case, &tally)).map_err(TestCaseError::fail);
    if let Err(failure) = TestRunner::new(config(asked.div_ceil((most + WRITES) / 2))).run(&case, run) {
        panic!("{failure}");
    }
    let tally = tally.into_inner().unwrap();
    eprintln!("{tally:?}");
    if tally.asked >= 1_000 {
        assert!(tally.differing > tally.pairs * 3 / 4, "{tally:?}");
        assert!(tally.found > tally.asked / 25, "{tally:?}");
        assert!(tally.written > 0, "{tally:?}");
    }
}
