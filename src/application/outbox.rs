//! Moves audit records that were stored with their change from the outbox into the ledger: at least once, and the ledger drops what comes twice.
//!
//! A record in the outbox is durable already, so nobody waits for the move; it only has to happen soon, and again after a failure. What no ledger
//! takes, because it is damaged, stays where it is: a record says so, and the others pass it by.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use portcullis_audit::record::{Event, Outcome as Ended};
use portcullis_audit::{Agent, Ledger, LedgerError, Record, RecordId};
use portcullis_jose::digest::sha256;
use portcullis_store::{Clock, Outbox, StoreError, SystemClock};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::failure::{OrFail, Outcome};

/// How long records gather after the first one before they are moved together: removing them costs the writer a turn.
const GATHERING: Duration = Duration::from_millis(100);
/// How often the outbox is looked at when nothing tells that something came, and after a failure.
const FALLBACK: Duration = Duration::from_secs(5);
/// Records that are moved at once, as long as they may be large; and the most, where many small ones wait: each move costs a flush of the ledger and a COMMIT.
const AT_ONCE: usize = 64;
const MOST_AT_ONCE: usize = 256;
/// Bytes that are moved at once, about.
const BYTES_AT_ONCE: usize = 256 * 1024;

/// Why records could not be moved. They stay in the outbox.
#[derive(Debug, thiserror::Error)]
enum MoveError {
    #[error("the ledger did not take records from the outbox")]
    Ledger(#[from] LedgerError),
    #[error("the outbox cannot be read or emptied")]
    Store(#[from] StoreError),
    #[error("the work was interrupted")]
    Interrupted(#[from] tokio::task::JoinError),
    #[error("the record about an unreadable record cannot be made")]
    Record(#[from] serde_json::Error),
}

/// The task that moves records.
pub struct OutboxFlusher {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Mover>,
}

/// From where to where, and what is left behind.
struct Mover {
    store: Arc<dyn Outbox>,
    ledger: Arc<Ledger>,
    /// Records that cannot be read. They stay in the outbox for somebody to look at.
    set_aside: HashSet<RecordId>,
    /// How many are moved next.
    at_once: usize,
}

impl OutboxFlusher {
    /// Moves what an earlier process left behind, then starts the task.
    pub async fn start(store: Arc<dyn Outbox>, ledger: Arc<Ledger>) -> Outcome<Self> {
        let mut mover = Mover { store, ledger, set_aside: HashSet::new(), at_once: AT_ONCE };
        mover.move_all().await.or_fail("Audit records of an earlier run cannot be moved into the ledger")?;
        let (stop, stopped) = oneshot::channel();
        Ok(Self { stop, task: tokio::spawn(mover.keep_moving(stopped)) })
    }

    /// Ends the task and moves what is left.
    pub async fn stop(self) -> Outcome {
        drop(self.stop);
        let left = "The last audit records stay in the outbox; the next start moves them";
        let mut mover = self.task.await.or_fail(left)?;
        mover.move_all().await.or_fail(left)
    }
}

impl Mover {
    async fn keep_moving(mut self, mut stopped: oneshot::Receiver<()>) -> Self {
        let mut failing = false;
        loop {
            let came = async {
                self.store.filled().await;
                tokio::time::sleep(GATHERING).await;
            };
            tokio::select! {
                _ = &mut stopped => return self,
                () = came => {}
                () = tokio::time::sleep(FALLBACK) => {}
            }
            match self.move_all().await {
                Ok(()) => failing = false,
                // Once per failure, not at each attempt.
                Err(_) if failing => {}
                Err(error) => {
                    failing = true;
                    tracing::error!(error = %crate::failure::causes(&error), "audit records wait in the outbox");
                }
            }
        }
    }

    async fn move_all(&mut self) -> Result<(), MoveError> {
        loop {
            let mut waiting = self.store.waiting(self.at_once + self.set_aside.len())?;
            self.at_once = after(&waiting);
            waiting.retain(|(id, _)| !self.set_aside.contains(id));
            if waiting.is_empty() {
                return Ok(());
            }
            let moved: Vec<RecordId> = waiting.iter().map(|(id, _)| id.clone()).collect();
            match self.ledger.import_outbox(waiting).await {
                Ok(()) => {}
                Err(LedgerError::NotARecord(_) | LedgerError::RecordLength { .. }) => {
                    self.set_aside().await?;
                    continue;
                }
                Err(error) => return Err(error.into()),
            }
            let store = Arc::clone(&self.store);
            // Emptying waits for the writer's thread.
            tokio::task::spawn_blocking(move || store.remove(&moved)).await??;
        }
    }

    /// Records which of the next records cannot be read, and passes them by from now on.
    async fn set_aside(&mut self) -> Result<(), MoveError> {
        let mut waiting = self.store.waiting(MOST_AT_ONCE + self.set_aside.len())?;
        waiting.retain(|(id, bytes)| !self.set_aside.contains(id) && !Ledger::takes(id, bytes));
        for (id, bytes) in waiting {
            tracing::error!(record = id.0, bytes = bytes.len(), "an audit record in the outbox cannot be read; it stays there");
            let about = about_unreadable(&id, &bytes);
            let text = serde_json::to_vec(&about)?;
            self.ledger.import_outbox(vec![(about.id, text)]).await?;
            self.set_aside.insert(id);
        }
        Ok(())
    }
}

/// How many records are moved after these: as many as are not too large together if they are like these.
fn after(moved: &[(RecordId, Vec<u8>)]) -> usize {
    let bytes: usize = moved.iter().map(|(_, bytes)| bytes.len()).sum();
    (BYTES_AT_ONCE * moved.len() / bytes.max(1)).clamp(AT_ONCE, MOST_AT_ONCE)
}

/// The record that says what is missing from the ledger. Its id follows from what it is about, so that the ledger drops it when it comes again.
fn about_unreadable(id: &RecordId, bytes: &[u8]) -> Record {
    let hexadecimal = |digest: &[u8]| digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let digest = hexadecimal(&sha256(bytes));
    let own = hexadecimal(&sha256([b"unreadable in the outbox", id.0.as_bytes(), &[0], bytes].concat()));
    let detail = format!(
        "the audit record {} of a change that was made cannot be read and stays in the outbox: {} bytes, SHA-256 {digest}",
        id.0,
        bytes.len()
    );
    Record {
        id: RecordId(own.get(..32).unwrap_or_default().to_owned()),
        recorded: SystemClock.now_milliseconds(),
        event: Event::Administration,
        agent: Agent::default(),
        outcome: Ended::Failed,
        status: 0,
        decision: None,
        rules: Vec::new(),
        request: None,
        operations: Vec::new(),
        detail: Some(detail),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use portcullis_audit::{FileSegments, PendingRecord, Position};
    use portcullis_store::BoxFuture;
    use tokio::sync::Notify;

    use super::*;

    /// An outbox that holds what it is given.
    #[derive(Default)]
    struct Held {
        records: Mutex<Vec<(RecordId, Vec<u8>)>>,
        filled: Notify,
    }

    impl Held {
        fn put(&self, id: &RecordId, bytes: &[u8]) {
            self.records.lock().unwrap().push((id.clone(), bytes.to_vec()));
            self.filled.notify_one();
        }
    }

    impl Outbox for Held {
        fn waiting(&self, limit: usize) -> Result<Vec<(RecordId, Vec<u8>)>, StoreError> {
            Ok(self.records.lock().unwrap().iter().take(limit).cloned().collect())
        }

        fn filled(&self) -> BoxFuture<'_, ()> {
            Box::pin(self.filled.notified())
        }

        fn remove(&self, moved: &[RecordId]) -> Result<(), StoreError> {
            self.records.lock().unwrap().retain(|(id, _)| !moved.contains(id));
            Ok(())
        }
    }

    fn pending(number: usize) -> PendingRecord {
        let mut record = about_unreadable(&RecordId(String::new()), b"");
        (record.id, record.outcome, record.detail) = (RecordId(format!("{number:032x}")), Ended::Success, None);
        PendingRecord::new(&record).unwrap()
    }

    fn open(folder: &std::path::Path) -> Arc<Ledger> {
        Arc::new(Ledger::open(folder, Arc::new(FileSegments)).unwrap())
    }

    fn records(folder: &std::path::Path) -> Vec<Record> {
        let reader = portcullis_audit::Reader::new(folder);
        reader.records(Position::START, None).map(|located| located.unwrap().record).collect()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_put_in_is_moved_soon_without_waiting_for_the_fallback() {
        let (folder, held) = (tempfile::tempdir().unwrap(), Arc::new(Held::default()));
        let flusher = OutboxFlusher::start(Arc::clone(&held) as Arc<dyn Outbox>, open(folder.path())).await.unwrap();
        let begun = std::time::Instant::now();
        held.put(pending(1).id(), pending(1).bytes());
        while !held.records.lock().unwrap().is_empty() {
            assert!(begun.elapsed() < FALLBACK / 2, "nothing told the task that a record came");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(records(folder.path()).len(), 1);
        flusher.stop().await.unwrap();
    }

    #[test]
    fn many_small_records_are_moved_at_once_and_few_large_ones() {
        let of = |bytes: usize| vec![(RecordId("x".to_owned()), vec![0; bytes]); 3];
        assert_eq!([after(&[]), after(&of(2_000_000)), after(&of(500)), after(&of(2048))], [64, 64, 256, 128]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_unreadable_record_is_kept_and_reported_once_and_keeps_no_other_from_the_ledger() {
        let (folder, held) = (tempfile::tempdir().unwrap(), Arc::new(Held::default()));
        for number in 0..200 {
            // More of them than are moved at once, before and between good ones.
            if number < 100 || number % 2 == 0 {
                held.put(&RecordId(format!("broken-{number}")), b"{\"id\":");
            } else {
                held.put(pending(number).id(), pending(number).bytes());
            }
        }
        for _ in 0..2 {
            let ledger = open(folder.path());
            let flusher = OutboxFlusher::start(Arc::clone(&held) as Arc<dyn Outbox>, Arc::clone(&ledger)).await.unwrap();
            flusher.stop().await.unwrap();
            ledger.close().await.unwrap();
            let (good, about): (Vec<Record>, Vec<Record>) =
                records(folder.path()).into_iter().partition(|record| record.outcome == Ended::Success);
            assert_eq!((good.len(), about.len()), (50, 150));
            assert!(about[7].detail.as_deref().unwrap().contains("broken-7 "), "{:?}", about[7]);
            assert_eq!(held.records.lock().unwrap().len(), 150, "nothing is lost");
        }
    }
}
