//! Records that were stored with their change come at least once, and stand in the ledger exactly once.

use super::*;
use crate::{LedgerError, PendingRecord, RECENT_OUTBOX_IDS, verify};

fn stored(number: usize) -> (RecordId, Vec<u8>) {
    let pending = PendingRecord::new(&record(number)).unwrap();
    (pending.id().clone(), pending.bytes().to_vec())
}

#[tokio::test]
async fn a_record_that_comes_again_is_dropped_also_within_one_call() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = open(directory.path());
    ledger.import_outbox(vec![stored(1), stored(2), stored(1)]).await.unwrap();
    ledger.import_outbox(vec![stored(2), stored(3)]).await.unwrap();
    ledger.import_outbox(vec![stored(3)]).await.unwrap();
    ledger.import_outbox(Vec::new()).await.unwrap();
    assert_eq!(ledger.head().records, 3);
    assert_eq!(numbers_read(directory.path()), [1, 2, 3]);
}

#[tokio::test]
async fn a_record_that_comes_again_after_a_restart_is_dropped() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = open_small(directory.path());
    ledger.import_outbox(vec![stored(1), stored(2)]).await.unwrap();
    let first = ledger.position().segment;
    let mut next = 100;
    while ledger.position().segment == first {
        append(&ledger, next..next + 1).await;
        next += 1;
    }
    let records = ledger.head().records;
    ledger.close().await.unwrap();

    let ledger = open_small(directory.path());
    ledger.import_outbox(vec![stored(1), stored(2), stored(3)]).await.unwrap();
    assert_eq!(ledger.head().records, records + 1);
}

#[tokio::test]
async fn an_outbox_record_whose_frame_was_cut_off_is_taken_again() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = open(directory.path());
    ledger.import_outbox(vec![stored(1), stored(2)]).await.unwrap();
    let length = ledger.position().offset;
    ledger.close().await.unwrap();
    let path = segment_files(directory.path()).remove(0);
    std::fs::OpenOptions::new().write(true).open(path).unwrap().set_len(length - 1).unwrap();

    let ledger = open(directory.path());
    assert_eq!(ledger.head().records, 1);
    ledger.import_outbox(vec![stored(1), stored(2)]).await.unwrap();
    assert_eq!(numbers_read(directory.path()), [1, 2]);
    verify(directory.path(), Some(ledger.head()), None).unwrap();
}

#[tokio::test]
async fn bytes_that_are_not_the_record_of_their_id_are_refused_and_nothing_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = open(directory.path());
    let (id, bytes) = stored(1);
    for wrong in [b"".to_vec(), b"{}".to_vec(), stored(2).1, bytes[..bytes.len() - 1].to_vec()] {
        assert!(!Ledger::takes(&id, &wrong) && Ledger::takes(&stored(5).0, &stored(5).1));
        let error = ledger.import_outbox(vec![stored(5), (id.clone(), wrong)]).await.unwrap_err();
        assert!(matches!(error, LedgerError::NotARecord(refused) if refused == id));
    }
    let many = vec![(id, bytes); RECENT_OUTBOX_IDS + 1];
    assert!(matches!(ledger.import_outbox(many).await, Err(LedgerError::TooMany { .. })));
    assert_eq!(ledger.head().records, 0);
}
