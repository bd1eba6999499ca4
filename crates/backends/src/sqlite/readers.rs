//! Connections that only read. Point reads run on the calling thread; searches on blocking threads, a bounded number at a time.
//!
//! Most searches take less than handing them to another thread and back. So a search that promises a small answer is first tried on the calling thread
//! with a budget, and begins anew on a blocking thread where that is not enough.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use portcullis_store::StoreError;
use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::admission;
use super::database::{open_reader, store_error};
use super::seal::Seal;

/// Searches that run at the same time.
const CONCURRENT_SEARCHES: usize = 4;
/// Searches that may wait for their turn.
const WAITING_SEARCHES: usize = 256;
/// The longest time that one search may take, waiting included.
const LONGEST_SEARCH: Duration = Duration::from_secs(10);
/// Steps of SQLite's virtual machine between two looks at the clock: some 100 microseconds.
const STEPS_BETWEEN_LOOKS: i32 = 10_000;
/// What a search may take on the calling thread: so many looks after so many steps each, and so much time where the disk is slow.
const QUICK_LOOKS: u32 = 20;
const QUICK_STEPS_BETWEEN_LOOKS: i32 = 1_000;
const QUICK_TIME: Duration = Duration::from_millis(2);
/// Idle connections that are kept.
const IDLE_CONNECTIONS: usize = 6;

/// The readers of one database. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Readers(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    /// The keys, where statements may need hashes.
    seal: Option<Arc<Seal>>,
    idle: Mutex<Vec<Connection>>,
    turns: Arc<Semaphore>,
    waiting: AtomicUsize,
}

impl Readers {
    /// Readers of the database at this path, which the writer has opened before. Connections are opened when needed.
    pub fn new(path: &Path) -> Self {
        Self::of(path, None)
    }

    /// The same for statements with criteria of scopes.
    pub fn with_seal(path: &Path, seal: Arc<Seal>) -> Self {
        Self::of(path, Some(seal))
    }

    fn of(path: &Path, seal: Option<Arc<Seal>>) -> Self {
        let turns = Arc::new(Semaphore::new(CONCURRENT_SEARCHES));
        Self(Arc::new(Shared { path: path.into(), seal, idle: Mutex::new(Vec::new()), turns, waiting: AtomicUsize::new(0) }))
    }

    /// Does the work on the calling thread with a connection of its own. Only for what takes microseconds.
    pub fn with<T>(&self, work: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.lend(|connection| work(connection))
    }

    fn lend<T>(&self, work: impl FnOnce(&mut Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let idle = self.idle().pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => self.open().map_err(store_error)?,
        };
        let result = work(&mut connection);
        let mut idle = self.idle();
        if connection.is_autocommit() && idle.len() < IDLE_CONNECTIONS {
            idle.push(connection);
        }
        result
    }

    fn open(&self) -> rusqlite::Result<Connection> {
        let connection = open_reader(&self.0.path)?;
        self.0.seal.iter().try_for_each(|seal| admission::add_functions(&connection, seal))?;
        Ok(connection)
    }

    /// The same with all statements of the work in one snapshot.
    pub fn with_snapshot<T>(&self, work: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.with(|connection| in_snapshot(connection, work))
    }

    /// Does longer work in one snapshot on a blocking thread, when it is its turn.
    pub async fn blocking<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let end = Instant::now() + LONGEST_SEARCH;
        let waiting = Waiting::enter(&self.0.waiting)?;
        let turn = Arc::clone(&self.0.turns).acquire_owned().await.map_err(|error| StoreError::Unavailable(Box::new(error)))?;
        drop(waiting);
        let readers = self.clone();
        let search = move || {
            // The turn ends with the work, also when nobody waits for it any more.
            let _turn = turn;
            readers.lend(|connection| limited(connection, end, work))
        };
        tokio::task::spawn_blocking(search).await.map_err(|error| StoreError::Unavailable(Box::new(error)))?
    }

    /// Does work in one snapshot: on the calling thread where that is quick, else anew as [`Readers::blocking`] does it. What the work does beside SQL
    /// must be small by itself.
    pub async fn quick_or_blocking<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Fn(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        match self.lend(|connection| quick(connection, &work))? {
            Some(result) => Ok(result),
            None => self.blocking(work).await,
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn in_snapshot<T>(connection: &Connection, work: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
    let run = |sql| connection.prepare_cached(sql).and_then(|mut statement| statement.execute([])).map_err(store_error);
    run("BEGIN")?;
    let result = work(connection);
    // Nothing was written: this only ends the snapshot.
    run("COMMIT")?;
    result
}

/// Does the work in one snapshot and interrupts its statements when the time is over.
fn limited<T>(
    connection: &mut Connection,
    end: Instant,
    work: impl FnOnce(&Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    if Instant::now() > end {
        return Err(StoreError::Unavailable("the search waited too long for its turn".into()));
    }
    connection.progress_handler(STEPS_BETWEEN_LOOKS, Some(move || Instant::now() > end)).map_err(store_error)?;
    let result = in_snapshot(connection, work);
    connection.progress_handler(0, None::<fn() -> bool>).map_err(store_error)?;
    result
}

/// Does the work in one snapshot within the budget of quick work; `None` where that is not enough.
fn quick<T>(
    connection: &mut Connection,
    work: impl FnOnce(&Connection) -> Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    let end = Instant::now() + QUICK_TIME;
    let given_up = Arc::new(AtomicBool::new(false));
    let (mut looks, told) = (0, Arc::clone(&given_up));
    let look = move || {
        looks += 1;
        let over = looks > QUICK_LOOKS || Instant::now() > end;
        told.fetch_or(over, Ordering::Relaxed);
        over
    };
    connection.progress_handler(QUICK_STEPS_BETWEEN_LOOKS, Some(look)).map_err(store_error)?;
    let result = in_snapshot(connection, work);
    connection.progress_handler(0, None::<fn() -> bool>).map_err(store_error)?;
    if given_up.load(Ordering::Relaxed) { Ok(None) } else { result.map(Some) }
}

/// A place in the queue, left also when the caller goes away.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(waiting: &'a AtomicUsize) -> Result<Self, StoreError> {
        let place = Self(waiting);
        if waiting.fetch_add(1, Ordering::Relaxed) >= WAITING_SEARCHES {
            return Err(StoreError::Unavailable("too many searches wait".into()));
        }
        Ok(place)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrations::MAIN;
    use crate::sqlite::database::open_writer;

    #[test]
    fn a_connection_is_used_again_and_one_left_in_a_transaction_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("portcullis.db");
        let _writer = open_writer(&path, MAIN).unwrap();
        let readers = Readers::new(&path);
        readers.with(|_| Ok(())).unwrap();
        assert_eq!(readers.idle().len(), 1);
        readers.with(|connection| connection.execute_batch("BEGIN").map_err(store_error)).unwrap();
        assert_eq!(readers.idle().len(), 0);
    }

    #[test]
    fn work_that_takes_too_long_is_interrupted_and_the_connection_stays_usable() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("portcullis.db");
        let _writer = open_writer(&path, MAIN).unwrap();
        let readers = Readers::new(&path);
        let endless = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";
        let count = |connection: &Connection| connection.query_row(endless, [], |row| row.get::<_, i64>(0)).map_err(store_error);
        let refused = readers.lend(|connection| limited(connection, Instant::now() + Duration::from_millis(20), count));
        assert!(matches!(refused, Err(StoreError::NotSupported(_))), "{refused:?}");
        let one = |connection: &Connection| connection.query_row("SELECT 1", [], |row| row.get::<_, i64>(0)).map_err(store_error);
        assert_eq!(readers.with(one).unwrap(), 1);
    }

    #[tokio::test]
    async fn quick_work_stays_on_its_thread_and_longer_work_is_done_on_another_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("portcullis.db");
        let _writer = open_writer(&path, MAIN).unwrap();
        let readers = Readers::new(&path);
        let here = std::thread::current().id();
        for (count, stays) in [(10, true), (100_000, false)] {
            let sql = format!(
                "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) SELECT max(i) FROM n"
            );
            let work = move |connection: &Connection| {
                let found = connection.query_row(&sql, [], |row| row.get::<_, i64>(0)).map_err(store_error)?;
                Ok((found, std::thread::current().id()))
            };
            let (found, thread) = readers.quick_or_blocking(work).await.unwrap();
            assert_eq!((found, thread == here), (count, stays));
        }
        let failed = readers.quick_or_blocking(|_| Err::<(), _>(StoreError::NotFound)).await;
        assert!(matches!(failed, Err(StoreError::NotFound)));
    }

    #[tokio::test]
    async fn long_work_sees_one_snapshot() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("portcullis.db");
        let writer = open_writer(&path, MAIN).unwrap();
        let readers = Readers::new(&path);
        let count = |connection: &Connection| {
            connection.query_row("SELECT count(*) FROM locator", [], |row| row.get::<_, i64>(0)).map_err(store_error)
        };
        let (before, after) = readers
            .blocking(move |connection| {
                let before = count(connection)?;
                writer.execute("INSERT INTO locator (type, id) VALUES (1, 'a')", []).map_err(store_error)?;
                Ok((before, count(connection)?))
            })
            .await
            .unwrap();
        assert_eq!((before, after), (0, 0));
        assert_eq!(readers.with(count).unwrap(), 1);
    }
}
