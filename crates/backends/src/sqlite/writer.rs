//! The one thread that writes, with group commit: what waits is done in one transaction, and nobody is answered before its COMMIT returns.
//!
//! Each request is a savepoint, so that a failed one takes nothing of the others with it. When the COMMIT fails, all of the group fail. A full
//! queue refuses at once. A caller that goes away does not stop what it has asked for.
//!
//! Where several write at once, a group waits for the others ([`super::gathering`]).

use std::collections::VecDeque;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use portcullis_store::StoreError;
use rusqlite::Connection;

use super::database::{OpenError, store_error};
use super::gathering::{Gathering, LONGEST};

/// The bounds of queue and group.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Requests that may wait.
    pub queued_requests: usize,
    /// Bytes that the waiting requests may carry together.
    pub queued_bytes: usize,
    /// Requests in one transaction.
    pub group_requests: usize,
    /// Bytes after which a transaction takes no further request.
    pub group_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { queued_requests: 1024, queued_bytes: 64 << 20, group_requests: 256, group_bytes: 16 << 20 }
    }
}

/// How long the thread waits for work before it gives cached pages back.
const IDLE: Duration = Duration::from_secs(5);

/// The queue to the writing thread. Dropping it finishes what waits and closes the database.
#[derive(Debug)]
pub struct Writer {
    queue: Option<SyncSender<Box<dyn Request>>>,
    limits: Limits,
    queued_bytes: Arc<AtomicUsize>,
    rollbacks: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread on this connection.
    pub fn start(connection: Connection, limits: Limits) -> Result<Self, OpenError> {
        let (queue, requests) = sync_channel(limits.queued_requests);
        let queued_bytes = Arc::new(AtomicUsize::new(0));
        let rollbacks = Arc::new(AtomicU64::new(0));
        let mut group = GroupCommit {
            connection,
            limits,
            queued_bytes: Arc::clone(&queued_bytes),
            rollbacks: Arc::clone(&rollbacks),
            gathering: Gathering::new(),
            gathered: VecDeque::new(),
        };
        let thread = std::thread::Builder::new().name("sqlite-writer".into()).spawn(move || group.serve(&requests));
        let thread = Some(thread.map_err(OpenError::Thread)?);
        Ok(Self { queue: Some(queue), limits, queued_bytes, rollbacks, thread })
    }

    /// Counts what was rolled back. What a closure remembers about rows that it made is void when the number has changed since.
    pub fn rollbacks(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.rollbacks)
    }

    /// Does the work inside a transaction and resolves when that is durable. An error of the work undoes the work.
    pub fn run<T, F>(&self, work: F) -> impl Future<Output = Result<T, StoreError>> + Send + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    {
        self.run_sized(0, work)
    }

    /// The same for work that carries this number of bytes.
    pub fn run_sized<T, E, F>(&self, bytes: usize, work: F) -> impl Future<Output = Result<T, E>> + Send + use<T, E, F>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&mut Connection) -> Result<T, E> + Send + 'static,
    {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let answer = move |result| drop(sender.send(result));
        let submitted = self.submit(Box::new(Typed { bytes, work: Some(work), result: None, answer }));
        async move {
            submitted?;
            receiver.await.unwrap_or_else(|_| Err(stopped().into()))
        }
    }

    /// The same for callers outside the async runtime: waits on the calling thread.
    pub fn run_blocking<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let (sender, receiver) = sync_channel(1);
        let answer = move |result| drop(sender.send(result));
        self.submit(Box::new(Typed { bytes: 0, work: Some(work), result: None, answer }))?;
        receiver.recv().unwrap_or_else(|_| Err(stopped()))
    }

    fn submit(&self, request: Box<dyn Request>) -> Result<(), StoreError> {
        let bytes = request.bytes();
        let before = self.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
        let sent = if before > 0 && before.saturating_add(bytes) > self.limits.queued_bytes {
            Err(unavailable("too much waits to be written"))
        } else {
            let queue = self.queue.as_ref().ok_or_else(stopped)?;
            queue.try_send(request).map_err(|_| unavailable("too many requests wait to be written"))
        };
        if sent.is_err() {
            self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
        sent
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// One piece of work, its result, and who waits for it.
trait Request: Send {
    fn bytes(&self) -> usize;
    /// Does the work; `false` where it failed and must be undone.
    fn execute(&mut self, connection: &mut Connection) -> bool;
    /// Answers with the result, or with the failure of the transaction.
    fn answer(self: Box<Self>, lost: Option<&str>);
}

struct Typed<T, E, F, A> {
    bytes: usize,
    work: Option<F>,
    result: Option<Result<T, E>>,
    answer: A,
}

impl<T, E, F, A> Request for Typed<T, E, F, A>
where
    T: Send,
    E: From<StoreError> + Send,
    F: FnOnce(&mut Connection) -> Result<T, E> + Send,
    A: FnOnce(Result<T, E>) + Send,
{
    fn bytes(&self) -> usize {
        self.bytes
    }

    fn execute(&mut self, connection: &mut Connection) -> bool {
        let Some(work) = self.work.take() else { return false };
        // A panic is a bug in one request; the thread must go on for the others.
        let result = catch_unwind(AssertUnwindSafe(|| work(connection)));
        let result = result.unwrap_or_else(|_| Err(StoreError::Corrupt("a write failed in an unexpected way".into()).into()));
        let kept = result.is_ok();
        self.result = Some(result);
        kept
    }

    fn answer(self: Box<Self>, lost: Option<&str>) {
        let result = match (lost, self.result) {
            (Some(reason), _) => Err(unavailable(reason).into()),
            (None, result) => result.unwrap_or_else(|| Err(stopped().into())),
        };
        (self.answer)(result);
    }
}

/// The thread's side.
struct GroupCommit {
    connection: Connection,
    limits: Limits,
    queued_bytes: Arc<AtomicUsize>,
    rollbacks: Arc<AtomicU64>,
    /// How many the next group waits for.
    gathering: Gathering,
    /// What was taken from the queue, in order, and not executed.
    gathered: VecDeque<Box<dyn Request>>,
}

impl GroupCommit {
    fn serve(&mut self, requests: &Receiver<Box<dyn Request>>) {
        let mut idle = true;
        loop {
            if !self.gathered.is_empty() {
                self.group(requests);
                continue;
            }
            match requests.recv_timeout(IDLE) {
                Ok(first) => {
                    self.gathered.push_back(first);
                    self.group(requests);
                    idle = false;
                }
                Err(RecvTimeoutError::Timeout) if idle => {}
                Err(RecvTimeoutError::Timeout) => {
                    if let Err(error) = self.connection.execute_batch("PRAGMA shrink_memory") {
                        tracing::debug!(%error, "the page cache was not given back");
                    }
                    idle = true;
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Lets as many gather as the last groups make likely.
    fn gather(&mut self, requests: &Receiver<Box<dyn Request>>) {
        let awaited = self.gathering.awaited().min(self.limits.group_requests);
        self.gathered.extend(requests.try_iter().take(awaited.saturating_sub(self.gathered.len())));
        if self.gathered.len() >= awaited {
            return;
        }
        let begun = Instant::now();
        loop {
            let before = self.gathered.len();
            std::thread::sleep(self.gathering.pause(begun.elapsed()));
            self.gathered.extend(requests.try_iter().take(awaited.saturating_sub(before)));
            let (now, took) = (self.gathered.len(), begun.elapsed());
            if now == before || now >= awaited || took >= LONGEST {
                self.gathering.took(took);
                return;
            }
        }
    }

    /// Executes what waits, within the limits, in one transaction.
    fn group(&mut self, requests: &Receiver<Box<dyn Request>>) {
        self.gather(requests);
        let mut done: Vec<Box<dyn Request>> = Vec::new();
        let mut kept = false;
        let mut bytes = 0_usize;
        let mut outcome = Ok(());
        let mut next = self.gathered.pop_front();
        while let Some(mut request) = next.take() {
            self.queued_bytes.fetch_sub(request.bytes(), Ordering::Relaxed);
            bytes = bytes.saturating_add(request.bytes());
            outcome = self.execute(&mut *request, &mut kept);
            done.push(request);
            if outcome.is_ok() && done.len() < self.limits.group_requests && bytes < self.limits.group_bytes {
                next = self.gathered.pop_front().or_else(|| requests.try_recv().ok());
            }
        }
        let outcome = outcome.and_then(|()| self.commit());
        self.gathering.had(done.len());
        if let Err(reason) = &outcome {
            tracing::error!(reason, requests = done.len(), "a group of writes was lost");
            self.roll_back();
        }
        let lost = outcome.err();
        for request in done {
            request.answer(lost.as_deref());
        }
    }

    /// One request as a savepoint; the first that is kept needs none. An error says that the whole transaction is lost.
    fn execute(&mut self, request: &mut dyn Request, kept: &mut bool) -> Result<(), String> {
        if self.connection.is_autocommit() {
            self.batch("BEGIN IMMEDIATE")?;
        } else if *kept {
            self.statement("SAVEPOINT request")?;
        }
        let in_savepoint = *kept;
        let succeeded = request.execute(&mut self.connection);
        // SQLite rolls the whole transaction back by itself when the disk is full or fails (<https://www.sqlite.org/lang_transaction.html>).
        if self.connection.is_autocommit() {
            self.rollbacks.fetch_add(1, Ordering::Release);
            return if *kept || succeeded { Err("the transaction was rolled back".into()) } else { Ok(()) };
        }
        match (succeeded, in_savepoint) {
            (true, true) => self.statement("RELEASE request")?,
            (true, false) => *kept = true,
            (false, true) => {
                self.rollbacks.fetch_add(1, Ordering::Release);
                self.batch("ROLLBACK TO request; RELEASE request")?;
            }
            (false, false) => self.roll_back(),
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<(), String> {
        if self.connection.is_autocommit() { Ok(()) } else { self.batch("COMMIT") }
    }

    fn roll_back(&mut self) {
        self.rollbacks.fetch_add(1, Ordering::Release);
        if !self.connection.is_autocommit()
            && let Err(reason) = self.batch("ROLLBACK")
        {
            tracing::error!(reason, "a transaction could not be rolled back");
        }
    }

    /// What each request needs stays prepared.
    fn statement(&mut self, sql: &str) -> Result<(), String> {
        let done = self.connection.prepare_cached(sql).and_then(|mut statement| statement.execute([]));
        done.map(|_| ()).map_err(|error| store_error(error).to_string())
    }

    fn batch(&mut self, sql: &str) -> Result<(), String> {
        self.connection.execute_batch(sql).map_err(|error| store_error(error).to_string())
    }
}

fn stopped() -> StoreError {
    unavailable("the writer has stopped")
}

fn unavailable(reason: &str) -> StoreError {
    StoreError::Unavailable(reason.into())
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
