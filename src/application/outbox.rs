//! Moves audit records that were stored with their change from the outbox into the ledger: at least once, and the ledger drops what comes twice.
//!
//! A record in the outbox is durable already, so nobody waits for the move; it only has to happen soon, and again after a failure.

use std::sync::Arc;
use std::time::Duration;

use portcullis_audit::{Ledger, LedgerError, RecordId};
use portcullis_backends::SqliteStore;
use portcullis_store::{Outbox, StoreError};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::failure::{OrFail, Outcome};

/// How long a record may wait.
const INTERVAL: Duration = Duration::from_millis(200);
/// Records that are moved at once.
const AT_ONCE: usize = 64;

/// Why records could not be moved. They stay in the outbox.
#[derive(Debug, thiserror::Error)]
enum MoveError {
    #[error("the ledger did not take records from the outbox")]
    Ledger(#[from] LedgerError),
    #[error("the outbox cannot be read or emptied")]
    Store(#[from] StoreError),
    #[error("the work was interrupted")]
    Interrupted(#[from] tokio::task::JoinError),
}

/// The task that moves records.
pub struct OutboxFlusher {
    store: Arc<SqliteStore>,
    ledger: Arc<Ledger>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl OutboxFlusher {
    /// Moves what an earlier process left behind, then starts the task.
    pub async fn start(store: Arc<SqliteStore>, ledger: Arc<Ledger>) -> Outcome<Self> {
        move_all(&store, &ledger).await.or_fail("Audit records of an earlier run cannot be moved into the ledger")?;
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(keep_moving(Arc::clone(&store), Arc::clone(&ledger), stopped));
        Ok(Self { store, ledger, stop, task })
    }

    /// Ends the task and moves what is left.
    pub async fn stop(self) -> Outcome {
        drop(self.stop);
        // A task that failed has said so; what counts is the move that follows.
        let _ = self.task.await;
        move_all(&self.store, &self.ledger).await.or_fail("The last audit records stay in the outbox; the next start moves them")
    }
}

async fn keep_moving(store: Arc<SqliteStore>, ledger: Arc<Ledger>, mut stopped: oneshot::Receiver<()>) {
    let mut failing = false;
    loop {
        tokio::select! {
            _ = &mut stopped => return,
            () = tokio::time::sleep(INTERVAL) => {}
        }
        match move_all(&store, &ledger).await {
            Ok(()) => failing = false,
            // Once per failure, not five times a second.
            Err(_) if failing => {}
            Err(error) => {
                failing = true;
                tracing::error!(error = %crate::failure::causes(&error), "audit records wait in the outbox");
            }
        }
    }
}

async fn move_all(store: &Arc<SqliteStore>, ledger: &Ledger) -> Result<(), MoveError> {
    loop {
        let waiting = store.waiting(AT_ONCE)?;
        if waiting.is_empty() {
            return Ok(());
        }
        let moved: Vec<RecordId> = waiting.iter().map(|(id, _)| id.clone()).collect();
        ledger.import_outbox(waiting).await?;
        let store = Arc::clone(store);
        // Emptying waits for the writer's thread.
        tokio::task::spawn_blocking(move || store.remove(&moved)).await??;
    }
}
