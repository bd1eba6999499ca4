//! Non-interference (docs/ARCHITECTURE.md): nobody learns anything about what they may not see, not even that it exists.
//!
//! - For random data, people, requests and writes, the answer of a store that holds everything equals the answer that an all-seeing principal gets from a
//!   store that holds only what the person may see. That view is computed by an evaluator of its own (`view`), which calls nothing of the product, and so is
//!   what becomes of each write (`writes`). Compared are ids, versions, bodies, order, totals, pages, bookmarks and errors, before and after the writes.
//! - Two worlds that differ only in what a person may not see give the same answers (`worlds`), over HTTP with headers and the audit trail (`two_servers`).
//!
//! Batches, transactions, conditions, searches of several types and `$everything` are asked over HTTP (`over_http`, `two_servers`), not of the store alone.
//!
//! `PORTCULLIS_CASES` is the number of requests of one run (`cargo xtask test --long`: 10^5). A failure is shrunk and printed with a line for `corpus.txt`
//! beside this file, which every run replays first; what it taught becomes a test with a name in `regressions`.

#![expect(clippy::panic, reason = "a test that finds the impossible has failed")]

use std::path::Path;
use std::sync::Mutex;
use std::time::Instant;

use proptest::prelude::*;
use proptest::test_runner::{FileFailurePersistence, TestRunner};

mod bodies;
mod chains;
mod consents;
mod data;
mod elements;
mod grammar;
mod labels;
mod over_http;
mod people;
mod purposes;
mod redaction;
mod regressions;
mod regressions_of_consents;
mod regressions_of_operators;
mod requests;
mod rules;
mod stores;
mod two_servers;
mod view;
mod worlds;
mod writes;

use data::{Event, Record};
use people::Person;
use requests::Request;
use stores::{Answer, Held};
use view::View;
use writes::{Planned, Write};

/// Requests of one run where `PORTCULLIS_CASES` says nothing.
const CASES: u32 = 2_500;
/// People and requests of each data set: their product is the number of cases that it makes, on average.
const PEOPLE: std::ops::RangeInclusive<usize> = 1..=5;
const REQUESTS: std::ops::RangeInclusive<usize> = 0..=80;
const CASES_PER_DATA_SET: u32 = 120;
/// A run of so many asks more of each data set: most of the time goes into making stores.
const LONG: u32 = 20_000;
const LONGER: u32 = 4;
/// Writes to each data set, shared among its people.
const WRITES: std::ops::RangeInclusive<usize> = 0..=40;

/// Requests, and the writes between them.
type Questions = (Vec<Request>, Vec<Write>);

/// What the answers of a run were, to show that it asked something.
#[derive(Debug, Default)]
struct Tally {
    asked: u32,
    denied: u32,
    refused: u32,
    /// Answers with at least one version.
    found: u32,
    /// Answers that differ from what an all-seeing principal gets: something was hidden.
    hidden: u32,
    /// Answers with includes.
    included: u32,
    /// Answers of several pages.
    paged: u32,
    /// Writes, and those among them that were done.
    writes: u32,
    written: u32,
    /// Bookmarks of others that were refused.
    bookmarks: u32,
}

impl Tally {
    fn count(&mut self, answer: &Answer, all: &Answer) {
        self.asked += 1;
        match answer {
            Answer::Denied => self.denied += 1,
            Answer::Refused(_) => self.refused += 1,
            Answer::Version(version) => self.found += u32::from(version.is_some()),
            Answer::Pages(pages) => {
                self.found += u32::from(pages.iter().any(|page| !page.matches.is_empty()));
                self.included += u32::from(pages.iter().any(|page| !page.included.is_empty()));
                self.paged += u32::from(pages.len() > 1);
            }
            Answer::Written(..) => unreachable!("a request reads"),
        }
        self.hidden += u32::from(!matches!(answer, Answer::Denied) && answer != all);
    }
}

/// Stores that hold only what one person may see.
struct OwnView<'a> {
    person: &'a Person,
    /// For reads, and for searches where that differs.
    held: Vec<Held>,
}

impl<'a> OwnView<'a> {
    async fn of(records: &[Record], person: &'a Person) -> Self {
        let [read, searched] = ['r', 's'].map(|letter| View::new(records, person, letter).records());
        let mut held = vec![Held::of(&read).await];
        if read != searched {
            held.push(Held::of(&searched).await);
        }
        Self { person, held }
    }

    /// What the person must be answered.
    async fn answer(&self, request: &Request) -> Answer {
        let (resource_type, letter) = request.needs();
        if !View::new(&[], self.person, letter).permits(resource_type) {
            return Answer::Denied;
        }
        self.held[usize::from(letter == 's') % self.held.len()].ask(&people::operator(), request).await
    }
}

/// Everybody asks everything, half of it before and half of it after their own writes; the first answer that tells more or less than it must is described.
async fn check(
    records: &[Record],
    people: &[Person],
    (requests, writes): (&[Request], &[Write]),
    tally: &Mutex<Tally>,
) -> Result<(), String> {
    let whole = Held::of(records).await;
    let mut records = records.to_vec();
    let mut everything = Vec::new();
    for request in requests {
        everything.push(whole.ask(&people::operator(), request).await);
    }
    let asked: Vec<(&Request, &Answer)> = requests.iter().zip(&everything).collect();
    let (before, after) = asked.split_at(asked.len() / 2);
    for (turn, person) in people.iter().enumerate() {
        let told = |asked: &dyn std::fmt::Debug, found: &Answer, expected: &Answer| {
            format!("{person:?}\n{}\n{asked:?}\nanswered {found:#?}\ninstead of {expected:#?}", person.scope())
        };
        let mut view = OwnView::of(&records, person).await;
        compare(&whole, &view, before, tally).await?;
        let mut changed = false;
        for (number, write) in writes.iter().enumerate().filter(|(number, _)| number % people.len() == turn) {
            let planned = Planned::of(write, number, &records);
            let mut after = records.clone();
            let expected = planned.apply(person, &mut after);
            let found = whole.write(&person.principal(), &planned).await;
            if !person.may_be_answered(&found, &expected) {
                return Err(told(&planned, &found, &expected));
            }
            if found != Answer::Denied {
                records = after;
            }
            let done = matches!(found, Answer::Written(..));
            changed |= done;
            let mut tally = tally.lock().unwrap();
            tally.writes += 1;
            tally.written += u32::from(done);
        }
        if changed {
            view = OwnView::of(&records, person).await;
        }
        compare(&whole, &view, after, tally).await?;
    }
    Ok(())
}

/// Asks these requests, of which an all-seeing principal gets these answers.
async fn compare(whole: &Held, view: &OwnView<'_>, asked: &[(&Request, &Answer)], tally: &Mutex<Tally>) -> Result<(), String> {
    let person = view.person;
    let principal = person.principal();
    for (request, all) in asked {
        let (found, expected) = (whole.ask(&principal, request).await, view.answer(request).await);
        let by_shown_ways = match person.by_shown_ways(request) {
            Some(other) if !person.may_be_answered(&found, &expected) => Some(view.answer(&other).await),
            _ => None,
        };
        if !person.may_be_answered(&found, by_shown_ways.as_ref().unwrap_or(&expected)) {
            let scope = person.scope();
            return Err(format!("{person:?}\n{scope}\n{request:?}\nanswered {found:#?}\ninstead of {expected:#?}"));
        }
        let borrowed = whole.with_bookmark_of(&people::operator(), &principal, request).await;
        if borrowed.as_ref().is_some_and(|answer| *answer != Answer::Refused("invalid cursor".to_owned())) {
            return Err(format!("{person:?}\n{request:?}\nanswered to somebody else's bookmark {borrowed:#?}"));
        }
        let other = whole.with_bookmark_of_another_search(&principal, request).await;
        if other.as_ref().is_some_and(|answer| *answer != Answer::Refused("invalid cursor".to_owned())) {
            return Err(format!("{person:?}\n{request:?}\nanswered to the bookmark of another search {other:#?}"));
        }
        let mut tally = tally.lock().unwrap();
        tally.count(&found, all);
        tally.bookmarks += u32::from(borrowed.is_some());
    }
    Ok(())
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// `corpus.txt` beside this file, whichever package runs the test.
fn corpus() -> &'static str {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = package.ancestors().map(|folder| folder.join("tests/it/non_interference")).find(|folder| folder.is_dir());
    let file = folder.unwrap().join("corpus.txt");
    Box::leak(file.to_str().unwrap().to_owned().into_boxed_str())
}

/// The number of questions of one run.
fn cases(otherwise: u32) -> u32 {
    std::env::var("PORTCULLIS_CASES").map_or(otherwise, |text| text.parse().unwrap())
}

/// By how much more a run of so many questions asks of each data set.
const fn longer(asked: u32) -> u32 {
    if asked < LONG { 1 } else { LONGER }
}

/// A run over this many data sets, after those of the corpus.
fn config(data_sets: u32) -> ProptestConfig {
    let defaults = ProptestConfig::default();
    ProptestConfig {
        cases: data_sets,
        // What a broken build fails at is no failure to remember.
        failure_persistence: (!portcullis_mutants::COMPILED_IN)
            .then(|| Box::new(FileFailurePersistence::Direct(corpus())) as Box<_>),
        max_shrink_iters: defaults.max_shrink_iters.min(1_000),
        ..defaults
    }
}

#[test]
fn an_answer_tells_nothing_but_what_the_asking_person_may_see() {
    let asked = cases(CASES);
    // The cheapest to shrink first: with one person and one request the rest goes quickly.
    let people = prop::collection::vec(people::people(), PEOPLE);
    let longer = longer(asked);
    let requests = *REQUESTS.start()..=*REQUESTS.end() * longer as usize;
    let questions = (prop::collection::vec(requests::requests(), requests), prop::collection::vec(writes::writes(), WRITES));
    let runtime = runtime();
    let tally = Mutex::new(Tally::default());
    let started = Instant::now();
    let run = |((requests, writes), people, events): (Questions, Vec<Person>, Vec<Event>)| {
        let records = data::records(&events);
        runtime.block_on(check(&records, &people, (&requests, &writes), &tally)).map_err(TestCaseError::fail)
    };
    let case = (questions, people, data::events());
    if let Err(failure) = TestRunner::new(config(asked.div_ceil(CASES_PER_DATA_SET * longer))).run(&case, run) {
        panic!("{failure}");
    }
    let tally = tally.into_inner().unwrap();
    eprintln!("{tally:?} in {:?}", started.elapsed());
    // A run that hides, finds, includes, pages and writes nothing would prove nothing.
    if tally.asked >= 1_000 {
        assert!(tally.hidden > tally.asked / 8, "{tally:?}");
        assert!(tally.found > tally.asked / 20, "{tally:?}");
        assert!(tally.included > tally.asked / 100, "{tally:?}");
        assert!(tally.paged > tally.asked / 500, "{tally:?}");
        assert!(tally.bookmarks > tally.asked / 100, "{tally:?}");
        assert!(tally.written > tally.writes / 100, "{tally:?}");
    }
}
