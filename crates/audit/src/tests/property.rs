//! Whatever is done in whatever order, the ledger verifies and holds exactly what was acknowledged.

use proptest::prelude::*;

use super::*;
use crate::{Proved, verify};

#[derive(Clone, Debug)]
enum Step {
    Append(usize),
    AppendMany(Vec<usize>),
    Import(Vec<usize>),
    Close,
    /// The machine stops while a frame is being written: that many bytes of it are on the disk.
    Crash(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0_usize..1000).prop_map(Step::Append),
        2 => prop::collection::vec(0_usize..1000, 0..6).prop_map(Step::AppendMany),
        // Few ids, so that many come twice.
        3 => prop::collection::vec(5000_usize..5006, 0..4).prop_map(Step::Import),
        1 => Just(Step::Close),
        1 => (0_usize..300).prop_map(Step::Crash),
    ]
}

async fn carry_out(directory: &Path, steps: Vec<Step>) {
    let mut ledger = open_small(directory);
    let (mut expected, mut heads) = (Vec::new(), vec![ledger.head()]);
    for step in steps {
        match step {
            Step::Append(number) => {
                ledger.append(&record(number)).await.unwrap();
                expected.push(number);
            }
            Step::AppendMany(numbers) => {
                let records = numbers.iter().copied().map(record).collect::<Vec<_>>();
                ledger.append_many(&records).await.unwrap();
                expected.extend(numbers);
            }
            Step::Import(numbers) => {
                let stored = |number: &usize| (record(*number).id, serde_json::to_vec(&record(*number)).unwrap());
                ledger.import_outbox(numbers.iter().map(stored).collect()).await.unwrap();
                // Ids are remembered only for two segments after a restart: what stands in the ledger is the measure.
                expected.extend(numbers_read(directory).into_iter().skip(expected.len()));
            }
            Step::Close => {
                ledger.close().await.unwrap();
                ledger = open_small(directory);
            }
            Step::Crash(bytes) => {
                ledger.close().await.unwrap();
                tear(directory, &ledger.head().chain, bytes);
                ledger = open_small(directory);
            }
        }
        heads.push(ledger.head());
    }
    drop(ledger);
    assert_eq!(numbers_read(directory), expected);
    for head in heads {
        assert_eq!(verify(directory, Some(head), None).unwrap().proved, Proved::NothingBeforeExpectedChanged(head));
    }
}

/// Leaves the beginning of a frame at the end of the newest segment.
fn tear(directory: &Path, chain: &crate::Chain, bytes: usize) {
    use std::io::Write;
    let payload = crate::segment::Payload::new(serde_json::to_vec(&record(7777)).unwrap()).unwrap();
    let mut frame = Vec::new();
    crate::segment::write_frame(chain, crate::segment::Kind::Appended, &payload, &mut frame);
    let mut file = std::fs::OpenOptions::new().append(true).open(segment_files(directory).pop().unwrap()).unwrap();
    file.write_all(&frame[..bytes.min(frame.len() - 1)]).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_of_appends_imports_closings_and_crashes_verifies(steps in prop::collection::vec(step(), 0..25)) {
        let directory = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(carry_out(directory.path(), steps));
    }
}
