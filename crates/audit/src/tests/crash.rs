//! The machine stops at any moment: what was acknowledged stays, what was not may go, and nothing else happens.

use super::*;
use crate::{Damage, DamageKind, Head, LedgerError, Position, Proved, verify};

#[tokio::test]
async fn reopening_continues_the_chain_across_segments() {
    let directory = tempfile::tempdir().unwrap();
    let mut heads = Vec::new();
    for round in 0..4 {
        let ledger = open_small(directory.path());
        append(&ledger, round * 5..round * 5 + 5).await;
        heads.push(ledger.head());
        ledger.close().await.unwrap();
    }
    assert!(segment_files(directory.path()).len() > 3);
    assert_eq!(numbers_read(directory.path()), (0..20).collect::<Vec<_>>());
    for head in heads {
        let report = verify(directory.path(), Some(head), None).unwrap();
        assert_eq!(report.proved, Proved::NothingBeforeExpectedChanged(head));
        assert_eq!((report.head.records, report.torn), (20, None));
        assert_eq!((report.first, report.last), (Some(1_700_000_000_000), Some(1_700_000_000_019)));
    }
}

#[tokio::test]
async fn position_and_bytes_agree_with_the_files_after_reopening() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = open_small(directory.path());
    append(&ledger, 0..9).await;
    let before = ledger.durable();
    drop(ledger);
    let after = open_small(directory.path()).durable();
    assert_eq!((after.head, after.position, after.bytes), (before.head, before.position, before.bytes));
    let sizes = segment_files(directory.path()).iter().map(|path| path.metadata().unwrap().len()).sum::<u64>();
    assert_eq!(after.bytes, sizes);
    assert_eq!(verify(directory.path(), None, None).unwrap().bytes, sizes);
}

/// Cuts the last segment at every byte of its last two frames: the frames before stay, and appending goes on behind them.
#[tokio::test]
async fn a_ledger_cut_at_any_byte_of_its_last_two_frames_keeps_every_whole_record() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = open(directory.path());
    append(&ledger, 0..2).await;
    let second_last = ledger.position().offset;
    append(&ledger, 2..3).await;
    let last = ledger.position().offset;
    append(&ledger, 3..4).await;
    let end = ledger.position().offset;
    ledger.close().await.unwrap();
    let path = segment_files(directory.path()).remove(0);
    let whole = std::fs::read(&path).unwrap();
    assert_eq!(whole.len() as u64, end);

    for length in second_last..end {
        std::fs::write(&path, &whole[..usize::try_from(length).unwrap()]).unwrap();
        let kept = if length < last { 2 } else { 3 };
        let boundary = if length < last { second_last } else { last };
        let report = verify(directory.path(), None, None).unwrap();
        assert_eq!(report.head.records, kept, "cut at {length}");
        assert_eq!(report.torn.map_or(0, |torn| torn.bytes), length - boundary);
        assert_eq!(numbers_read(directory.path()).len() as u64, kept);

        let ledger = open(directory.path());
        assert_eq!(ledger.head(), report.head);
        append(&ledger, 7..8).await;
        let head = ledger.head();
        drop(ledger);
        let report = verify(directory.path(), Some(head), None).unwrap();
        assert_eq!((report.head, report.torn), (head, None));
        assert_eq!(head.records, kept + 1);
    }
}

#[tokio::test]
async fn a_segment_that_never_got_its_whole_header_is_begun_again() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = open_small(directory.path());
    append(&ledger, 0..9).await;
    let head = ledger.head();
    ledger.close().await.unwrap();
    let number = ledger.position().segment + 1;
    let next = crate::segment::path(directory.path(), number);
    let header = crate::segment::SegmentHeader { number, records: head.records, chain: head.chain }.encode();
    let zeros = vec![0; header.len()];
    for torn in [&header[..0], &header[..1], &header[..header.len() - 1], &zeros] {
        std::fs::write(&next, torn).unwrap();
        assert_eq!(verify(directory.path(), Some(head), None).unwrap().head, head);
        assert_eq!(open_small(directory.path()).head(), head);
        assert_eq!(std::fs::read(&next).unwrap(), header);
    }
    let ledger = open_small(directory.path());
    append(&ledger, 9..12).await;
    assert_eq!(verify(directory.path(), Some(ledger.head()), None).unwrap().head.records, 12);
}

#[tokio::test]
async fn a_first_segment_without_its_header_is_begun_again() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(crate::segment::path(directory.path(), 1), b"PCL").unwrap();
    let ledger = open(directory.path());
    assert_eq!(ledger.head(), Head::EMPTY);
    assert_eq!(ledger.position(), Position::START);
    append(&ledger, 0..1).await;
    assert_eq!(numbers_read(directory.path()), [0]);
}

#[tokio::test]
async fn a_tail_of_zeros_is_cut_off_and_zeros_before_data_are_damage() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = open(directory.path());
    append(&ledger, 0..3).await;
    ledger.close().await.unwrap();
    let end = ledger.position();
    let path = segment_files(directory.path()).remove(0);
    let whole = std::fs::read(&path).unwrap();

    std::fs::write(&path, [whole.as_slice(), &[0; 9000]].concat()).unwrap();
    assert_eq!(verify(directory.path(), None, None).unwrap().torn.unwrap().bytes, 9000);
    assert_eq!(open(directory.path()).position(), end);
    assert_eq!(std::fs::read(&path).unwrap(), whole);

    std::fs::write(&path, [whole.as_slice(), &[0; 9000], &[1]].concat()).unwrap();
    let error = Ledger::open(directory.path(), Arc::new(FileSegments)).unwrap_err();
    assert!(matches!(error, LedgerError::Damaged(Damage { at, kind: DamageKind::FrameHeader }) if at == end), "{error}");
}

#[tokio::test]
async fn records_appended_at_once_keep_their_order_and_all_get_receipts() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = open_small(directory.path());
    let records = (0..3000).map(record).collect::<Vec<_>>();
    let receipts = ledger.append_many(&records).await.unwrap();
    assert!(receipts.iter().map(|receipt| receipt.record()).eq(records.iter().map(|record| &record.id)));
    assert_eq!(ledger.append_many(&[]).await.unwrap().len(), 0);
    drop(ledger);
    assert_eq!(numbers_read(directory.path()), (0..3000).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_long_list_of_long_records_passes_through_the_bounded_queue() {
    const SEGMENT_BYTES: u64 = 36 << 20;
    let directory = tempfile::tempdir().unwrap();
    let ledger = Ledger::open_with((SEGMENT_BYTES, FIRST_RETRY), directory.path(), Arc::new(FileSegments)).unwrap();
    let long = |number| Record { detail: Some("x".repeat(1 << 20)), ..record(number) };
    let records = (0..40).map(long).collect::<Vec<_>>();
    assert!(records.len() > usize::try_from(crate::ledger::QUEUE_KIBIBYTES / 1024).unwrap());
    assert_eq!(ledger.append_many(&records).await.unwrap().len(), 40);
    let files = segment_files(directory.path());
    assert_eq!(files.len(), 2);
    assert!(files.iter().all(|path| path.metadata().unwrap().len() <= SEGMENT_BYTES));
    assert_eq!(verify(directory.path(), Some(ledger.head()), None).unwrap().head.records, 40);

    let too_long = Record { detail: Some("x".repeat(crate::MAXIMUM_RECORD_BYTES)), ..record(80) };
    assert!(matches!(ledger.append(&too_long).await, Err(LedgerError::RecordLength { .. })));
    append(&ledger, 81..82).await;
}

#[tokio::test]
async fn a_record_is_found_at_its_position_and_nowhere_else() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = open_small(directory.path());
    append(&ledger, 0..12).await;
    let reader = ledger.reader();
    let until = ledger.position();
    let located = reader.records(Position::START, Some(until)).collect::<Result<Vec<_>, _>>().unwrap();
    assert_eq!(located.len(), 12);
    for (number, place) in located.iter().enumerate() {
        assert_eq!(place.record, record(number));
        assert_eq!(reader.read_at(place.position).unwrap(), place.record);
        let wrong = Position { offset: place.position.offset + 1, ..place.position };
        assert!(reader.read_at(wrong).is_err());
        let rest = reader.records(place.next, Some(until)).map(|located| located.unwrap().record).collect::<Vec<_>>();
        assert!(rest.iter().eq(located[number + 1..].iter().map(|later| &later.record)));
        let before = reader.records(Position::START, Some(place.position)).count();
        assert_eq!(before, number);
    }
    assert!(reader.read_at(until).is_err());
    assert!(reader.read_at(Position { segment: 99, offset: 68 }).is_err());
}

#[test]
fn reading_a_directory_without_segments_gives_no_records() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(numbers_read(directory.path()), [0_usize; 0]);
    let report = verify(directory.path(), None, None).unwrap();
    assert_eq!((report.head, report.segments, report.first), (Head::EMPTY, 0, None));
}
