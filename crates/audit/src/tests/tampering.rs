//! Somebody changes the files: `verify` finds it, and the ledger is not opened to append behind a damage.

use super::*;
use crate::position::{Head, Position};
use crate::segment::{Kind, Payload, SegmentHeader, write_frame};
use crate::{DamageKind, LedgerError, VerifyError, verify};

/// A ledger of nine records in three small segments; its head.
async fn written(directory: &Path) -> Head {
    let ledger = open_small(directory);
    append(&ledger, 0..9).await;
    ledger.close().await.unwrap();
    assert_eq!(segment_files(directory).len(), 3);
    ledger.head()
}

#[tokio::test]
async fn a_flipped_bit_in_any_byte_of_any_file_is_found() {
    portcullis_verifies::verifies!("HIPAA-14");
    let directory = tempfile::tempdir().unwrap();
    written(directory.path()).await;
    for path in segment_files(directory.path()) {
        let whole = std::fs::read(&path).unwrap();
        for byte in 0..whole.len() {
            let mut changed = whole.clone();
            changed[byte] ^= 1 << (byte % 8);
            std::fs::write(&path, &changed).unwrap();
            let error = verify(directory.path(), None, None).unwrap_err();
            assert!(matches!(error, VerifyError::Damaged { .. }), "byte {byte} of {}: {error}", path.display());
        }
        std::fs::write(&path, &whole).unwrap();
    }
    verify(directory.path(), None, None).unwrap();
}

#[tokio::test]
async fn a_ledger_with_a_flipped_bit_in_its_last_segment_is_not_opened() {
    let directory = tempfile::tempdir().unwrap();
    written(directory.path()).await;
    let path = segment_files(directory.path()).remove(2);
    let whole = std::fs::read(&path).unwrap();
    for byte in 0..whole.len() {
        let mut changed = whole.clone();
        changed[byte] ^= 0x80 >> (byte % 8);
        std::fs::write(&path, &changed).unwrap();
        let error = Ledger::open(directory.path(), Arc::new(FileSegments)).unwrap_err();
        assert!(matches!(error, LedgerError::Damaged(_)), "byte {byte}: {error}");
        assert_eq!(std::fs::read(&path).unwrap(), changed, "nothing was repaired");
    }
}

#[tokio::test]
async fn damage_names_the_place_and_the_records_before_it() {
    let directory = tempfile::tempdir().unwrap();
    written(directory.path()).await;
    let reader = crate::Reader::new(directory.path());
    let places = reader.records(Position::START, None).map(|located| located.unwrap().position).collect::<Vec<_>>();
    let path = crate::segment::path(directory.path(), places[5].segment);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[usize::try_from(places[5].offset).unwrap() + 60] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    match verify(directory.path(), None, None).unwrap_err() {
        VerifyError::Damaged { damage, records } => {
            assert_eq!((damage.at, damage.kind, records), (places[5], DamageKind::Record, 5));
        }
        other => panic!("{other}"),
    }
    assert!(reader.read_at(places[5]).is_err());
    assert_eq!(reader.records(Position::START, None).filter(Result::is_ok).count(), 5);
}

#[tokio::test]
async fn a_missing_segment_is_found_wherever_it_was() {
    for missing in 0..2 {
        let directory = tempfile::tempdir().unwrap();
        written(directory.path()).await;
        std::fs::remove_file(segment_files(directory.path()).remove(missing)).unwrap();
        let error = verify(directory.path(), None, None).unwrap_err();
        assert!(matches!(error, VerifyError::Damaged { damage, .. } if damage.kind == DamageKind::Missing), "{error}");
        assert!(matches!(Ledger::open(directory.path(), Arc::new(FileSegments)), Err(LedgerError::Damaged(_))));
    }
}

#[tokio::test]
async fn swapped_segments_are_found() {
    let directory = tempfile::tempdir().unwrap();
    written(directory.path()).await;
    let files = segment_files(directory.path());
    let (first, second) = (std::fs::read(&files[0]).unwrap(), std::fs::read(&files[1]).unwrap());
    std::fs::write(&files[0], second).unwrap();
    std::fs::write(&files[1], first).unwrap();
    assert!(matches!(verify(directory.path(), None, None), Err(VerifyError::Damaged { .. })));
    assert!(matches!(Ledger::open(directory.path(), Arc::new(FileSegments)), Err(LedgerError::Damaged(_))));
}

#[tokio::test]
async fn a_closed_segment_that_was_shortened_is_found_without_an_expected_head() {
    let directory = tempfile::tempdir().unwrap();
    written(directory.path()).await;
    let path = segment_files(directory.path()).remove(1);
    let whole = std::fs::read(&path).unwrap();
    for length in 0..whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();
        assert!(matches!(verify(directory.path(), None, None), Err(VerifyError::Damaged { .. })), "cut to {length}");
    }
    assert!(matches!(Ledger::open(directory.path(), Arc::new(FileSegments)), Err(LedgerError::Damaged(_))));
}

#[tokio::test]
async fn a_ledger_whose_last_segment_is_gone_is_consistent_but_cut_for_who_knows_its_head() {
    let directory = tempfile::tempdir().unwrap();
    let head = written(directory.path()).await;
    std::fs::remove_file(segment_files(directory.path()).remove(2)).unwrap();
    let report = verify(directory.path(), None, None).unwrap();
    assert!(report.head.records < 9);
    match verify(directory.path(), Some(head), None).unwrap_err() {
        VerifyError::Cut { expected, found, .. } => assert_eq!((expected, found), (9, report.head.records)),
        other => panic!("{other}"),
    }
}

/// The strongest attacker: knows the format, has the files, and computes everything anew.
#[tokio::test]
async fn a_ledger_rewritten_from_one_record_on_is_found_by_who_knows_a_later_head() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = open(directory.path());
    append(&ledger, 0..3).await;
    let early = ledger.head();
    append(&ledger, 3..6).await;
    let late = ledger.head();
    ledger.close().await.unwrap();

    let forged = tempfile::tempdir().unwrap();
    let mut bytes = SegmentHeader { number: 1, records: 0, chain: crate::GENESIS }.encode();
    let mut chain = crate::GENESIS;
    for number in [0, 1, 2, 30, 4, 5, 6] {
        let payload = Payload::new(serde_json::to_vec(&record(number)).unwrap()).unwrap();
        chain = write_frame(&chain, Kind::Appended, &payload, &mut bytes);
    }
    std::fs::write(crate::segment::path(forged.path(), 1), bytes).unwrap();

    assert_eq!(verify(forged.path(), None, None).unwrap().head, Head { records: 7, chain });
    assert_eq!(verify(forged.path(), Some(early), None).unwrap().head.records, 7, "nothing before the early head was changed");
    let error = verify(forged.path(), Some(late), None).unwrap_err();
    assert!(matches!(error, VerifyError::Rewritten { records: 6, .. }), "{error}");
    let never = Head { records: 0, chain: [1; 32] };
    assert!(matches!(verify(forged.path(), Some(never), None), Err(VerifyError::Rewritten { records: 0, .. })));
}

#[tokio::test]
async fn a_consistent_chain_of_something_else_than_records_is_damage() {
    let directory = tempfile::tempdir().unwrap();
    let mut bytes = SegmentHeader { number: 1, records: 0, chain: crate::GENESIS }.encode();
    write_frame(&crate::GENESIS, Kind::Appended, &Payload::new(b"{\"id\":1}".to_vec()).unwrap(), &mut bytes);
    std::fs::write(crate::segment::path(directory.path(), 1), bytes).unwrap();
    let error = verify(directory.path(), None, None).unwrap_err();
    assert!(matches!(error, VerifyError::Damaged { damage, .. } if damage.kind == DamageKind::NotARecord), "{error}");
}

#[tokio::test]
async fn a_file_of_another_format_version_is_not_opened() {
    let directory = tempfile::tempdir().unwrap();
    written(directory.path()).await;
    let path = segment_files(directory.path()).remove(0);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[8] = 2;
    let check: [u8; 8] = crate::segment::prefix(&crate::segment::digest(&bytes[..60]));
    bytes[60..68].copy_from_slice(&check);
    std::fs::write(&path, &bytes).unwrap();
    let error = verify(directory.path(), None, None).unwrap_err();
    assert!(matches!(error, VerifyError::Damaged { damage, .. } if damage.kind == DamageKind::Header), "{error}");
}

#[tokio::test]
async fn a_ledger_that_ends_before_a_noted_head_is_cut_with_and_without_another_expectation() {
    let directory = tempfile::tempdir().unwrap();
    let (early, late) = {
        let ledger = crate::Ledger::open(directory.path(), std::sync::Arc::new(crate::FileSegments)).unwrap();
        ledger.append(&super::record(1)).await.unwrap();
        let early = ledger.durable();
        ledger.append(&super::record(2)).await.unwrap();
        let late = ledger.durable();
        ledger.close().await.unwrap();
        (early, late)
    };
    let holds = |durable: &crate::Durable| crate::reaches(directory.path(), durable.position, &durable.head.chain).unwrap();
    assert!(holds(&early) && holds(&late));
    assert!(!crate::reaches(directory.path(), late.position, &early.head.chain).unwrap(), "another history of the same length");
    let segment = crate::segment::path(directory.path(), 1);
    let whole = std::fs::read(&segment).unwrap();
    std::fs::write(&segment, &whole[..usize::try_from(early.position.offset).unwrap()]).unwrap();
    assert!(holds(&early) && !holds(&late));
    for expect in [None, Some(early.head)] {
        verify(directory.path(), expect, Some(early.head)).unwrap();
        let error = verify(directory.path(), expect, Some(late.head)).unwrap_err();
        assert!(matches!(error, VerifyError::Cut { expected: 2, found: 1, .. }), "{error}");
    }
    std::fs::remove_file(&segment).unwrap();
    assert!(!holds(&early));
    assert_eq!(
        verify(directory.path(), None, None).unwrap().head,
        Head::EMPTY,
        "without a head nothing is known of what was there"
    );
    let error = verify(directory.path(), None, Some(late.head)).unwrap_err();
    assert!(matches!(error, VerifyError::Cut { expected: 2, found: 0, .. }), "{error}");
}
