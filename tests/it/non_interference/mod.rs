//! Non-interference (docs/ARCHITECTURE.md): nobody learns anything about what they may not see, not even that it exists.
//!
//! For random data, people and requests, the answer of a store that holds everything equals the answer that an all-seeing principal gets from a store
//! that holds only what the person may see. That view is computed by an evaluator of its own (`view`), which calls nothing of the product. Compared
//! are ids, versions, bodies, order, totals, pages, and errors. Chains, `_has`, `$everything` and writes are not asked yet.
//!
//! `PORTCULLIS_CASES` is the number of requests of one run. A failure is shrunk, and its seed is kept in `regressions.txt` beside this file; what
//! it taught becomes a test with a name in `regressions`.

#![expect(clippy::panic, reason = "a test that finds the impossible has failed")]

use std::path::Path;
use std::sync::Mutex;
use std::time::Instant;

use proptest::prelude::*;
use proptest::test_runner::{FileFailurePersistence, TestRunner};

mod bodies;
mod data;
mod grammar;
mod over_http;
mod people;
mod regressions;
mod requests;
mod stores;
mod view;

use data::{Event, Record};
use people::Person;
use requests::Request;
use stores::{Answer, Held};
use view::View;

/// Requests of one run where `PORTCULLIS_CASES` says nothing.
const CASES: u32 = 4_000;
/// People and requests of each data set: their product is the number of cases that it makes, on average.
const PEOPLE: std::ops::RangeInclusive<usize> = 1..=7;
const REQUESTS: std::ops::RangeInclusive<usize> = 1..=59;
const CASES_PER_DATA_SET: u32 = 120;

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
        }
        self.hidden += u32::from(!matches!(answer, Answer::Denied) && answer != all);
    }
}

/// Asks everything of everybody; the first answer that tells more or less than the view is described.
async fn check(records: &[Record], people: &[Person], requests: &[Request], tally: &Mutex<Tally>) -> Result<(), String> {
    let whole = Held::of(records).await;
    let mut everything = Vec::new();
    for request in requests {
        everything.push(whole.ask(&people::operator(), request).await);
    }
    for person in people {
        let principal = person.principal();
        let views = ['r', 's'].map(|letter| View::new(records, person, letter));
        let visible = views.each_ref().map(View::records);
        let mut held = vec![Held::of(&visible[0]).await];
        if visible[0] != visible[1] {
            held.push(Held::of(&visible[1]).await);
        }
        for (request, all) in requests.iter().zip(&everything) {
            let (resource_type, letter) = request.needs();
            let own = usize::from(letter == 's');
            let expected = if views[own].permits(resource_type) {
                held[own % held.len()].ask(&people::operator(), request).await
            } else {
                Answer::Denied
            };
            let found = whole.ask(&principal, request).await;
            if found != expected {
                let scope = person.scope();
                return Err(format!("{person:?}\n{scope}\n{request:?}\nanswered {found:#?}\ninstead of {expected:#?}"));
            }
            tally.lock().unwrap().count(&found, all);
        }
    }
    Ok(())
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// `regressions.txt` beside this file, whichever package runs the test.
fn regressions() -> &'static str {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = package.ancestors().map(|folder| folder.join("tests/it/non_interference")).find(|folder| folder.is_dir());
    let file = folder.unwrap().join("regressions.txt");
    Box::leak(file.to_str().unwrap().to_owned().into_boxed_str())
}

#[test]
fn an_answer_tells_nothing_but_what_the_asking_person_may_see() {
    let requests = std::env::var("PORTCULLIS_CASES").map_or(CASES, |text| text.parse().unwrap());
    let defaults = ProptestConfig::default();
    let config = ProptestConfig {
        cases: requests.div_ceil(CASES_PER_DATA_SET),
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(regressions()))),
        max_shrink_iters: defaults.max_shrink_iters.min(1_000),
        ..defaults
    };
    // The cheapest to shrink first: with one person and one request the rest goes quickly.
    let people = prop::collection::vec(people::people(), PEOPLE);
    let case = (prop::collection::vec(requests::requests(), REQUESTS), people, data::events());
    let runtime = runtime();
    let tally = Mutex::new(Tally::default());
    let started = Instant::now();
    let run = |(requests, people, events): (Vec<Request>, Vec<Person>, Vec<Event>)| {
        let records = data::records(&events);
        runtime.block_on(check(&records, &people, &requests, &tally)).map_err(TestCaseError::fail)
    };
    if let Err(failure) = TestRunner::new(config).run(&case, run) {
        panic!("{failure}");
    }
    let tally = tally.into_inner().unwrap();
    eprintln!("{tally:?} in {:?}", started.elapsed());
    // A run that hides, finds, includes and pages nothing would prove nothing.
    if tally.asked >= 1_000 {
        assert!(tally.hidden > tally.asked / 8, "{tally:?}");
        assert!(tally.found > tally.asked / 12, "{tally:?}");
        assert!(tally.included > tally.asked / 80, "{tally:?}");
        assert!(tally.paged > tally.asked / 200, "{tally:?}");
    }
}
