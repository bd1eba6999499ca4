//! The flusher's thread and what it shares with the tasks that append: whatever has been queued becomes the next batch.
//!
//! A task queues its record, lets the tasks run that can run now, and only then announces it. So under load a batch holds what all of them append,
//! and one task alone waits for nobody: there is no timer. After a write that failed it refuses everything, and tries from time to time to find the end again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, oneshot, watch};

use crate::ledger::{LedgerError, QUEUE_KIBIBYTES};
use crate::recovery;
use crate::walk::WalkError;
use crate::writer::{Durable, Item, Writer};

/// The longest pause between two attempts to open a ledger again that could not be written.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Records that are acknowledged together.
#[derive(Debug)]
pub(crate) struct Group {
    pub items: Vec<Item>,
    pub permits: u32,
    pub done: oneshot::Sender<Result<(), LedgerError>>,
}

/// What waits for the flusher.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    groups: Vec<Group>,
    /// Whether one of the groups was announced: until then their tasks let others run, whose records may join.
    announced: bool,
    /// How many batches were taken: tells whether a group still waits.
    batches: u64,
    flusher_sleeps: bool,
    /// Why nothing is accepted.
    pub stopped: Option<LedgerError>,
    /// Whether that is for ever.
    closing: bool,
    closers: Vec<oneshot::Sender<()>>,
}

/// Tells the flusher, when it is dropped, that a group shall wait no longer. Dropped with its task, it does so too.
#[derive(Debug)]
#[must_use]
pub(crate) struct Announcement<'a> {
    shared: &'a Shared,
    batch: u64,
}

impl Drop for Announcement<'_> {
    fn drop(&mut self) {
        let mut queue = self.shared.lock();
        if queue.batches != self.batch {
            return;
        }
        queue.announced = true;
        // Only the first one to come wakes the flusher: each wake is a system call.
        let wake = std::mem::take(&mut queue.flusher_sleeps);
        drop(queue);
        if wake {
            self.shared.work.notify_one();
        }
    }
}

/// What the appending tasks and the flusher have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    queue: Mutex<Queue>,
    work: Condvar,
    /// One permit per KiB that may still be queued.
    pub room: Semaphore,
    pub durable: watch::Sender<Durable>,
    ended: AtomicBool,
}

impl Shared {
    pub fn new(durable: Durable) -> Self {
        Self {
            queue: Mutex::default(),
            work: Condvar::new(),
            room: Semaphore::new(usize::try_from(QUEUE_KIBIBYTES).unwrap_or(Semaphore::MAX_PERMITS)),
            durable: watch::Sender::new(durable),
            ended: AtomicBool::new(false),
        }
    }

    pub fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn reason(&self) -> LedgerError {
        self.lock().stopped.clone().unwrap_or(LedgerError::Stopped)
    }

    /// Queues a group, for which its permits have been taken.
    pub fn queue(&self, group: Group) -> Result<Announcement<'_>, LedgerError> {
        let mut queue = self.lock();
        if let Some(error) = &queue.stopped {
            return Err(error.clone());
        }
        queue.groups.push(group);
        Ok(Announcement { shared: self, batch: queue.batches })
    }

    /// Accepts no more records. Returns what ends when the flusher does, unless it has.
    pub fn stop(&self) -> Option<oneshot::Receiver<()>> {
        let mut queue = self.lock();
        queue.stopped.get_or_insert(LedgerError::Closed);
        queue.closing = true;
        self.room.close();
        self.work.notify_one();
        if self.ended.load(Ordering::Acquire) {
            return None;
        }
        let (closer, finished) = oneshot::channel();
        queue.closers.push(closer);
        Some(finished)
    }

    /// Everything that waits; sleeps while nothing is announced. `None` when the ledger was closed and nothing is left.
    fn take_groups(&self) -> Option<Vec<Group>> {
        let mut queue = self.lock();
        loop {
            let ready = queue.announced || queue.stopped.is_some();
            if ready && !queue.groups.is_empty() {
                queue.announced = false;
                queue.batches += 1;
                return Some(std::mem::take(&mut queue.groups));
            }
            if queue.stopped.is_some() {
                return None;
            }
            queue.flusher_sleeps = true;
            queue = self.work.wait(queue).unwrap_or_else(PoisonError::into_inner);
            queue.flusher_sleeps = false;
        }
    }

    /// Refuses everything from now on, also what waits already.
    fn fail(&self, error: &LedgerError) {
        let mut queue = self.lock();
        queue.stopped = Some(error.clone());
        queue.announced = false;
        // Whoever let others run announces in vain.
        queue.batches += 1;
        let groups = std::mem::take(&mut queue.groups);
        drop(queue);
        self.answer(groups, &Err(error.clone()));
    }

    /// Accepts records again, unless the ledger was closed.
    fn resume(&self, durable: Durable) {
        self.durable.send_replace(durable);
        let mut queue = self.lock();
        if !queue.closing {
            queue.stopped = None;
        }
    }

    /// Waits so long. `false`, and at once, when the ledger was closed.
    fn pause(&self, pause: Duration) -> bool {
        let until = Instant::now() + pause;
        let mut queue = self.lock();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if queue.closing || left.is_zero() {
                return !queue.closing;
            }
            queue = self.work.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Gives the room of these groups back and says what became of them.
    fn answer(&self, groups: Vec<Group>, result: &Result<(), LedgerError>) {
        let permits = groups.iter().map(|group| group.permits).fold(0, u32::saturating_add);
        self.room.add_permits(usize::try_from(permits).unwrap_or_default());
        for group in groups {
            // Whoever no longer waits does not need to know.
            let _ = group.done.send(result.clone());
        }
    }
}

/// Marks the flusher as ended, however it ends, so that nobody waits for it in vain.
struct EndMark<'a>(&'a Shared);

impl Drop for EndMark<'_> {
    fn drop(&mut self) {
        let stopped = self.0.lock().stopped.clone();
        self.0.room.close();
        self.0.fail(&stopped.unwrap_or(LedgerError::Stopped));
        let mut queue = self.0.lock();
        self.0.ended.store(true, Ordering::Release);
        queue.closers.clear();
    }
}

/// The flusher's thread.
pub(crate) fn flush_until_stopped(shared: &Shared, mut writer: Writer) {
    let _mark = EndMark(shared);
    while let Some(groups) = shared.take_groups() {
        match writer.write(groups.iter().flat_map(|group| &group.items)) {
            Ok(()) => {
                shared.durable.send_replace(writer.durable);
                shared.answer(groups, &Ok(()));
            }
            Err(error) => {
                let error = LedgerError::Storage(Arc::new(error));
                shared.fail(&error);
                shared.answer(groups, &Err(error));
                match reopened(shared, &writer) {
                    Some(found) => writer = found,
                    None => return,
                }
                shared.resume(writer.durable);
            }
        }
    }
}

/// The end of the ledger, found again after a write that failed. Tries for as long as the disk refuses, with longer and longer pauses. `None` when the
/// ledger was closed, or its files are not what was acknowledged.
fn reopened(shared: &Shared, writer: &Writer) -> Option<Writer> {
    let mut pause = writer.first_retry;
    while shared.pause(pause) {
        match recovery::reopen(writer) {
            Ok(found) => return Some(found),
            Err(WalkError::Read(_)) => pause = (pause * 2).min(LONGEST_PAUSE),
            Err(WalkError::Damaged(damage)) => {
                shared.fail(&LedgerError::Damaged(damage));
                return None;
            }
        }
    }
    None
}
