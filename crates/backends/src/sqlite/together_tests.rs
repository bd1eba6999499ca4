//! What a transaction may read while everybody else waits to write, and that all of it is undone where it reads more.

use std::time::Duration;

use portcullis_fhir::interaction::{InstanceHistory, Read};
use portcullis_fhir::search::{Handling, SearchContext, SearchQuery};
use portcullis_policy::{Authorized, Change, Operation, PermittedOperation, WriteSet};
use portcullis_store::StoreError;
use portcullis_store::together::{Guard, NotDone, Step, Together};

use super::commit::WriteState;
use super::testing::*;
use super::together::{Performed, ReadingLimits, Transaction};

const PAT: Who<'_> = Who::Patient("pat");

async fn world() -> World {
    World::of(&[patient("pat"), patient("other"), observation("o1", "pat", "1234-5")]).await
}

fn creation(own: &str) -> Step {
    let changes = vec![Change::Create(version(&observation(own, "pat", "1"), "v1", 2_000))];
    let (_, operation) = PAT.permit(Operation::Write(WriteSet { changes }));
    Step { operation, record: Some(record(&format!("{own:0>32}"), 1)) }
}

fn reading(operation: Operation) -> Step {
    Step { operation: PAT.permit(operation).1, record: None }
}

fn query(criteria: &str) -> SearchQuery {
    let context = SearchContext { base_url: BASE, handling: Handling::Strict, now_ms: 1_800_000_000_000 };
    let pairs = portcullis_fhir::query::parse(criteria.as_bytes()).unwrap();
    portcullis_fhir::search::parse(resource_type("Observation"), &pairs, &context).unwrap()
}

fn guard() -> Guard {
    let (_, PermittedOperation::Search(search)) = PAT.permit(Operation::Search(query("code=1234-5"))) else { panic!() };
    let search: Authorized<SearchQuery> = search;
    Guard { search, found: vec![id("o1")], also_after: true }
}

async fn perform(world: &World, together: Together, left: ReadingLimits) -> Result<Vec<Performed>, NotDone> {
    let seal = std::sync::Arc::clone(world.store.seal());
    let work = move |connection: &mut rusqlite::Connection| {
        let mut state = WriteState::new(portcullis_fhir::labels::Rules::built_in());
        let transaction = Transaction { connection, seal: &seal, state: &mut state, left };
        transaction.perform(together).map(|performed| performed.into_iter().map(|(_, step)| step).collect())
    };
    world.store.writer().run_sized(0, work).await
}

fn together(steps: Vec<Step>, guards: Vec<Guard>) -> Together {
    Together { steps, guards, binding: Vec::new() }
}

fn unsupported(error: &StoreError, part: &str) -> bool {
    matches!(error, StoreError::NotSupported(message) if message.contains(part))
}

#[tokio::test]
async fn a_transaction_that_reads_for_too_long_is_undone() {
    let world = world().await;
    let none = ReadingLimits { time: Duration::ZERO, ..ReadingLimits::default() };
    for read in [
        Operation::Search(query("code=1234-5")),
        Operation::Read(Read { resource_type: resource_type("Observation"), id: id("o1") }),
    ] {
        let failed = perform(&world, together(vec![creation("o2"), reading(read)], Vec::new()), none).await.unwrap_err();
        assert!(matches!(&failed, NotDone::Step(1, error) if unsupported(error, "too long")), "{failed:?}");
        assert!(world.read(PAT, "Observation", "o2").await.unwrap().is_none(), "it is undone");
    }
    let failed = perform(&world, together(vec![creation("o2")], vec![guard()]), none).await.unwrap_err();
    assert!(matches!(&failed, NotDone::Store(error) if unsupported(error, "too long")), "{failed:?}");
    let written = perform(&world, together(vec![creation("o2"), creation("o3")], Vec::new()), none).await.unwrap();
    assert_eq!(written.len(), 2, "writing takes the time that it takes");
    let both = together(vec![creation("o4"), reading(Operation::Search(query("code=1234-5")))], vec![guard()]);
    assert_eq!(perform(&world, both, ReadingLimits::default()).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_transaction_that_reads_too_much_is_undone() {
    let world = world().await;
    let own = world.read(PAT, "Observation", "o1").await.unwrap().unwrap().body.unwrap().len();
    let read = || reading(Operation::Read(Read { resource_type: resource_type("Observation"), id: id("o1") }));
    let search = || reading(Operation::Search(query("code=1234-5")));
    let history = || {
        let asked =
            InstanceHistory { resource_type: resource_type("Observation"), id: id("o1"), count: 10, since: None, cursor: None };
        reading(Operation::History(asked))
    };
    let steps = || vec![creation("o2"), read(), search(), history()];
    for (bytes, failing) in [(own - 1, 1), (2 * own - 1, 2), (3 * own - 1, 3)] {
        let limits = ReadingLimits { bytes, ..ReadingLimits::default() };
        let failed = perform(&world, together(steps(), Vec::new()), limits).await.unwrap_err();
        assert!(
            matches!(&failed, NotDone::Step(step, error) if *step == failing && unsupported(error, "too large")),
            "{failed:?}"
        );
        assert!(world.read(PAT, "Observation", "o2").await.unwrap().is_none(), "it is undone");
    }
    let limits = ReadingLimits { bytes: 3 * own, ..ReadingLimits::default() };
    assert_eq!(perform(&world, together(steps(), Vec::new()), limits).await.unwrap().len(), 4);
}

#[tokio::test]
async fn a_history_in_which_nothing_is_recent_enough_is_there_and_an_absent_one_is_not() {
    let world = world().await;
    let history = |own: &str| {
        let (resource_type, since) = (resource_type("Observation"), Some(9_000_000));
        let asked = InstanceHistory { resource_type, id: id(own), count: 10, since, cursor: None };
        together(vec![creation("o2"), reading(Operation::History(asked))], Vec::new())
    };
    let failed = perform(&world, history("none"), ReadingLimits::default()).await.unwrap_err();
    assert!(matches!(failed, NotDone::Step(1, StoreError::NotFound)), "{failed:?}");
    let performed = perform(&world, history("o1"), ReadingLimits::default()).await.unwrap();
    assert!(matches!(&performed[1], Performed::History(found) if found.content.versions.is_empty()));
}
