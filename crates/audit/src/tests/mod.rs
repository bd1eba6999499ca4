//! What the ledger promises, tried on real files.

mod concurrency;
mod crash;
mod decisions;
mod failure;
mod outbox;
mod property;
mod rendering;
mod tampering;

use std::path::Path;
use std::sync::Arc;

use crate::ledger::FIRST_RETRY;
use crate::{Agent, Event, FileSegments, Ledger, OperationEntry, Outcome, Record, RecordId};

/// Small segments, so that a few records fill several.
const SMALL_SEGMENT_BYTES: u64 = 1500;

fn record(number: usize) -> Record {
    Record {
        id: RecordId(format!("{number:032x}")),
        recorded: 1_700_000_000_000 + i64::try_from(number).unwrap(),
        event: Event::Rest,
        agent: Agent { client: Some("app".to_owned()), user: Some("ada".to_owned()), ..Agent::default() },
        outcome: Outcome::Success,
        status: 200,
        decision: None,
        rules: vec!["scope=permit".to_owned()],
        request: None,
        operations: vec![OperationEntry {
            interaction: "read".to_owned(),
            resource_type: Some("Observation".to_owned()),
            id: Some(format!("o{number}")),
            patients: vec!["p1".to_owned()],
            ..OperationEntry::default()
        }],
        detail: None,
    }
}

fn open(directory: &Path) -> Ledger {
    Ledger::open(directory, Arc::new(FileSegments)).unwrap()
}

fn open_small(directory: &Path) -> Ledger {
    Ledger::open_with((SMALL_SEGMENT_BYTES, FIRST_RETRY), directory, Arc::new(FileSegments)).unwrap()
}

/// Appends records one by one, so that each is its own batch.
async fn append(ledger: &Ledger, numbers: std::ops::Range<usize>) {
    for number in numbers {
        let receipt = ledger.append(&record(number)).await.unwrap();
        assert_eq!(*receipt.record(), record(number).id);
    }
}

fn numbers_read(directory: &Path) -> Vec<usize> {
    let records = crate::Reader::new(directory).records(crate::Position::START, None);
    records.map(|located| usize::from_str_radix(&located.unwrap().record.id.0, 16).unwrap()).collect()
}

fn segment_files(directory: &Path) -> Vec<std::path::PathBuf> {
    crate::segment::list(directory).unwrap().iter().map(|number| crate::segment::path(directory, *number)).collect()
}
