//! The bounds of reading the audit trail: how many at a time, how many wait, and how long one may take, following the ledger included.
//!
//! They are its own: who searches the trail takes no turn from those who search health records.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use portcullis_store::StoreError;
use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::database::store_error;

/// Reads of the trail that run at the same time: one with the index, one with the ledger.
const CONCURRENT: usize = 2;
/// Reads that may wait for their turn.
const WAITING: usize = 64;
/// The longest time that one may take, waiting included.
const LONGEST: Duration = Duration::from_secs(10);
/// Steps of SQLite's virtual machine between two looks at the clock: some 100 microseconds.
const STEPS_BETWEEN_LOOKS: i32 = 10_000;

/// Gives out the turns.
#[derive(Debug)]
pub(super) struct AuditTurns {
    turns: Arc<Semaphore>,
    waiting: AtomicUsize,
    longest: Duration,
}

/// The end of the time that one read has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline(Instant);

/// A turn; it ends with its value.
#[derive(Debug)]
pub(super) struct Turn {
    /// When it must be over.
    pub deadline: Deadline,
    _permit: OwnedSemaphorePermit,
}

impl AuditTurns {
    /// Turns of the usual length.
    pub fn new() -> Self {
        Self::of(LONGEST)
    }

    /// Turns of another length.
    pub fn of(longest: Duration) -> Self {
        Self { turns: Arc::new(Semaphore::new(CONCURRENT)), waiting: AtomicUsize::new(0), longest }
    }

    /// Waits for a turn, if not too many wait already.
    pub async fn take(&self) -> Result<Turn, StoreError> {
        let deadline = Deadline(Instant::now() + self.longest);
        let _place = Place::enter(&self.waiting)?;
        let permit = tokio::time::timeout(self.longest, Arc::clone(&self.turns).acquire_owned()).await;
        let permit = permit.map_err(|_| late())?.map_err(|error| StoreError::Unavailable(Box::new(error)))?;
        Ok(Turn { deadline, _permit: permit })
    }
}

impl Deadline {
    /// An error when the time is over.
    pub fn check(self) -> Result<(), StoreError> {
        if Instant::now() > self.0 { Err(late()) } else { Ok(()) }
    }

    /// Does work whose statements are interrupted when the time is over.
    pub fn limit<T>(
        self,
        connection: &mut Connection,
        work: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.check()?;
        let end = self.0;
        connection.progress_handler(STEPS_BETWEEN_LOOKS, Some(move || Instant::now() > end)).map_err(store_error)?;
        let result = work(connection);
        connection.progress_handler(0, None::<fn() -> bool>).map_err(store_error)?;
        result
    }
}

fn late() -> StoreError {
    StoreError::Unavailable("reading the audit trail took too long".into())
}

/// A place in the queue, left also when the caller goes away.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn enter(waiting: &'a AtomicUsize) -> Result<Self, StoreError> {
        let place = Self(waiting);
        if waiting.fetch_add(1, Ordering::Relaxed) >= WAITING {
            return Err(StoreError::Unavailable("too many wait to read the audit trail".into()));
        }
        Ok(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_turn_that_does_not_come_in_time_is_refused_and_those_beyond_the_queue_at_once() {
        let turns = Arc::new(AuditTurns::of(Duration::from_millis(100)));
        let _held = (turns.take().await.unwrap(), turns.take().await.unwrap());
        let others: Vec<_> = (0..WAITING)
            .map(|_| {
                let turns = Arc::clone(&turns);
                tokio::spawn(async move { turns.take().await.err().map(|_| ()) })
            })
            .collect();
        while turns.waiting.load(Ordering::Relaxed) < WAITING {
            tokio::task::yield_now().await;
        }
        let begun = Instant::now();
        assert!(turns.take().await.is_err());
        assert!(begun.elapsed() < Duration::from_millis(50), "{:?}", begun.elapsed());
        for other in others {
            assert_eq!(other.await.unwrap(), Some(()));
        }
        assert_eq!(turns.waiting.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn a_statement_is_interrupted_when_the_time_is_over_and_the_connection_stays_usable() {
        let mut connection = Connection::open_in_memory().unwrap();
        let turn = AuditTurns::of(Duration::from_millis(20)).take().await.unwrap();
        let endless = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";
        let count = |connection: &Connection| connection.query_row(endless, [], |row| row.get::<_, i64>(0)).map_err(store_error);
        assert!(matches!(turn.deadline.limit(&mut connection, count), Err(StoreError::NotSupported(_))));
        assert!(matches!(turn.deadline.limit(&mut connection, |_| Ok(())), Err(StoreError::Unavailable(_))));
        assert_eq!(connection.query_row("SELECT 1", [], |row| row.get::<_, i64>(0)).unwrap(), 1);
    }
}
