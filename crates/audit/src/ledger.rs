//! The ledger: records become durable in segment files, in one chain, before anybody is told that they are.
//!
//! One thread flushes: whatever has been queued while it flushed becomes the next batch, with one write and one `fdatasync` (group commit). It waits
//! only for tasks that can run at this moment, so that what they append comes along, and never for a time. After a failed write or flush every append
//! fails, so that a server without an audit trail answers nothing, until the ledger has found its end again: it tries after a second, and then less and
//! less often. The ledger does not lock its directory: the owner of the data directory does.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{TryAcquireError, oneshot, watch};

use crate::flusher::{Announcement, Group, Shared, flush_until_stopped};
use crate::position::{Head, Position};
use crate::reader::Reader;
use crate::receipt::AuditReceipt;
use crate::recent::RECENT_OUTBOX_IDS;
use crate::record::{Record, RecordId};
use crate::segment::{MAXIMUM_RECORD_BYTES, MAXIMUM_SEGMENT_BYTES, Payload};
use crate::storage::SegmentStorage;
use crate::walk::{Damage, WalkError};
use crate::writer::{Durable, Item};

/// What may wait to be flushed, in KiB; a record counts as one at least.
pub const QUEUE_KIBIBYTES: u32 = 32 * 1024;

/// How long after a failed write the ledger first tries to go on.
pub(crate) const FIRST_RETRY: Duration = Duration::from_secs(1);

/// How long an append waits for a place in a full queue.
pub const ADMISSION_TIMEOUT: Duration = Duration::from_secs(2);

/// The largest part of a long list of records that is queued at once, in KiB.
const GROUP_KIBIBYTES: u32 = 4 * 1024;

/// How often a task lets others run before it announces its record. The runtime gives such a task its turn again after some 60 polls of others, of which
/// a request takes about five: so three turns gather some 30 records where as many come. They cost one idle task three microseconds.
const TURNS: u32 = 3;

/// Room for the record of one interaction without growing.
const TYPICAL_RECORD_BYTES: usize = 512;

/// Why a record was not made durable, or the ledger not opened.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LedgerError {
    /// A write or flush failed. Nothing is accepted until the ledger has found its end again.
    #[error("the audit ledger cannot write")]
    Storage(#[source] Arc<io::Error>),
    /// The queue stayed full for [`ADMISSION_TIMEOUT`].
    #[error("the audit ledger's queue is full")]
    Busy,
    /// The ledger was closed.
    #[error("the audit ledger is closed")]
    Closed,
    /// The flusher ended without saying why.
    #[error("the audit ledger has stopped")]
    Stopped,
    /// The record is longer than [`MAXIMUM_RECORD_BYTES`], or empty.
    #[error("an audit record of {bytes} bytes is not between 1 and {MAXIMUM_RECORD_BYTES}")]
    RecordLength {
        /// Its length.
        bytes: usize,
    },
    /// More outbox records at once than the ledger remembers ids.
    #[error("{count} outbox records at once are more than {RECENT_OUTBOX_IDS}")]
    TooMany {
        /// How many.
        count: usize,
    },
    /// The bytes from the outbox are not the record of that id.
    #[error("the outbox holds no record under the id {}", .0.0)]
    NotARecord(RecordId),
    /// The record has no JSON form.
    #[error("the audit record cannot be written as JSON")]
    Serialize(#[source] Arc<serde_json::Error>),
    /// The files are not as they were written.
    #[error("the audit ledger is damaged at {0}")]
    Damaged(#[source] Damage),
    /// The files cannot be read.
    #[error("the audit ledger cannot be opened")]
    Open(#[source] Arc<io::Error>),
}

impl From<WalkError> for LedgerError {
    fn from(error: WalkError) -> Self {
        match error {
            WalkError::Damaged(damage) => Self::Damaged(damage),
            WalkError::Read(error) => Self::Open(Arc::new(error)),
        }
    }
}

/// An open ledger. Appending needs a Tokio runtime with time enabled.
#[derive(Debug)]
pub struct Ledger {
    directory: PathBuf,
    shared: Arc<Shared>,
    flusher: Mutex<Option<JoinHandle<()>>>,
}

impl Ledger {
    /// Opens the ledger in a directory, or begins one there, and starts its flusher. Blocks while it reads the last segments.
    pub fn open(directory: &Path, storage: Arc<dyn SegmentStorage>) -> Result<Self, LedgerError> {
        Self::open_with((MAXIMUM_SEGMENT_BYTES, FIRST_RETRY), directory, storage)
    }

    pub(crate) fn open_with(
        (maximum_segment_bytes, first_retry): (u64, Duration),
        directory: &Path,
        storage: Arc<dyn SegmentStorage>,
    ) -> Result<Self, LedgerError> {
        let mut writer = crate::recovery::open(directory, storage)?;
        writer.maximum_segment_bytes = maximum_segment_bytes;
        writer.first_retry = first_retry;
        let shared = Arc::new(Shared::new(writer.durable));
        let for_flusher = Arc::clone(&shared);
        let flusher = std::thread::Builder::new()
            .name("audit-flusher".to_owned())
            .spawn(move || flush_until_stopped(&for_flusher, writer))
            .map_err(|error| LedgerError::Open(Arc::new(error)))?;
        Ok(Self { directory: directory.to_owned(), shared, flusher: Mutex::new(Some(flusher)) })
    }

    /// Makes one record durable.
    pub async fn append(&self, record: &Record) -> Result<AuditReceipt, LedgerError> {
        let item = Item { payload: payload(record)?, outbox: None };
        let permits = permits(&item);
        let (done, announcement) = self.queue(vec![item], permits).await?;
        for _ in 0..TURNS {
            tokio::task::yield_now().await;
        }
        drop(announcement);
        settled(done).await?;
        Ok(AuditReceipt::for_durable(record.id.clone()))
    }

    /// Makes several records durable, in their order. After an error, some of them may be.
    pub async fn append_many(&self, records: &[Record]) -> Result<Vec<AuditReceipt>, LedgerError> {
        let items = records.iter().map(|record| Ok(Item { payload: payload(record)?, outbox: None }));
        self.queue_all(items.collect::<Result<Vec<_>, LedgerError>>()?).await?;
        Ok(records.iter().map(|record| AuditReceipt::for_durable(record.id.clone())).collect())
    }

    /// Makes records from the outbox durable, in their order. Those that came before are dropped by their id (the last
    /// [`RECENT_OUTBOX_IDS`], also across a reopening as far as they stand in the last two segments).
    pub async fn import_outbox(&self, records: Vec<(RecordId, Vec<u8>)>) -> Result<(), LedgerError> {
        if records.len() > RECENT_OUTBOX_IDS {
            return Err(LedgerError::TooMany { count: records.len() });
        }
        let items = records.into_iter().map(|(id, bytes)| {
            // What is appended here must be readable for ever: nothing else may get in.
            if !is_record(&id, &bytes) {
                return Err(LedgerError::NotARecord(id));
            }
            let payload = Payload::new(bytes).map_err(|bytes| LedgerError::RecordLength { bytes })?;
            Ok(Item { payload, outbox: Some(id) })
        });
        self.queue_all(items.collect::<Result<Vec<_>, LedgerError>>()?).await
    }

    /// Whether [`Ledger::import_outbox`] would take these bytes.
    pub fn takes(id: &RecordId, bytes: &[u8]) -> bool {
        (1..=MAXIMUM_RECORD_BYTES).contains(&bytes.len()) && is_record(id, bytes)
    }

    /// The durable records and their chain value.
    pub fn head(&self) -> Head {
        self.durable().head
    }

    /// Where the next record will begin: all before it is durable.
    pub fn position(&self) -> Position {
        self.durable().position
    }

    /// The durable state in one consistent view.
    pub fn durable(&self) -> Durable {
        *self.shared.durable.borrow()
    }

    /// Follows the durable state: the receiver is woken after each flush, before the records of that flush are acknowledged.
    pub fn follow(&self) -> watch::Receiver<Durable> {
        self.shared.durable.subscribe()
    }

    /// Reads the records of this ledger.
    pub fn reader(&self) -> Reader {
        Reader::new(&self.directory)
    }

    /// Whether appending is possible: `Err` after a failure, until the ledger has found its end again, and after [`Ledger::close`].
    pub fn health(&self) -> Result<(), LedgerError> {
        self.shared.lock().stopped.clone().map_or(Ok(()), Err)
    }

    /// Refuses further records, flushes those that wait, and ends the flusher. Fails where it has failed and not found its end again.
    pub async fn close(&self) -> Result<(), LedgerError> {
        let finished = self.shared.stop();
        if let Some(finished) = finished {
            // The sender is dropped without a value when the flusher has ended.
            let _ = finished.await;
        }
        self.join();
        match self.shared.lock().stopped.clone() {
            None | Some(LedgerError::Closed) => Ok(()),
            Some(error) => Err(error),
        }
    }

    async fn queue_all(&self, items: Vec<Item>) -> Result<(), LedgerError> {
        let mut waiting = Vec::new();
        let (mut group, mut group_permits) = (Vec::new(), 0);
        for item in items {
            let needed = permits(&item);
            if group_permits + needed > GROUP_KIBIBYTES && !group.is_empty() {
                waiting.push(self.queue(std::mem::take(&mut group), group_permits).await?.0);
                group_permits = 0;
            }
            group_permits += needed;
            group.push(item);
        }
        if !group.is_empty() {
            waiting.push(self.queue(group, group_permits).await?.0);
        }
        for done in waiting {
            settled(done).await?;
        }
        Ok(())
    }

    /// Queues items as one group. It is flushed when the announcement is dropped, or with what others announce.
    async fn queue(&self, items: Vec<Item>, permits: u32) -> Result<(Done, Announcement<'_>), LedgerError> {
        let room = &self.shared.room;
        let permit = match room.try_acquire_many(permits) {
            Ok(permit) => permit,
            Err(TryAcquireError::Closed) => return Err(self.shared.reason()),
            Err(TryAcquireError::NoPermits) => match tokio::time::timeout(ADMISSION_TIMEOUT, room.acquire_many(permits)).await {
                Ok(Ok(permit)) => permit,
                Ok(Err(_)) => return Err(self.shared.reason()),
                Err(_) => return Err(LedgerError::Busy),
            },
        };
        let (done, receiver) = oneshot::channel();
        let announcement = self.shared.queue(Group { items, permits, done })?;
        // The flusher gives the room back when the group is durable.
        permit.forget();
        Ok((receiver, announcement))
    }

    fn join(&self) {
        let flusher = self.flusher.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(flusher) = flusher {
            // A flusher that panicked has already reported itself as stopped.
            let _ = flusher.join();
        }
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        drop(self.shared.stop());
        self.join();
    }
}

fn payload(record: &Record) -> Result<Payload, LedgerError> {
    let mut bytes = Vec::with_capacity(TYPICAL_RECORD_BYTES);
    serde_json::to_writer(&mut bytes, record).map_err(|error| LedgerError::Serialize(Arc::new(error)))?;
    Payload::new(bytes).map_err(|bytes| LedgerError::RecordLength { bytes })
}

fn is_record(id: &RecordId, bytes: &[u8]) -> bool {
    serde_json::from_slice::<Record>(bytes).is_ok_and(|record| record.id == *id)
}

fn permits(item: &Item) -> u32 {
    item.payload.length().div_ceil(1024)
}

/// What resolves when a group is durable, or lost.
type Done = oneshot::Receiver<Result<(), LedgerError>>;

async fn settled(done: Done) -> Result<(), LedgerError> {
    done.await.unwrap_or(Err(LedgerError::Stopped))
}
