//! Group commit, observed from outside: what is answered is durable, what fails takes nothing with it.

use std::path::PathBuf;
use std::sync::mpsc::channel;

use super::*;
use crate::migrations::Migration;
use crate::sqlite::database::{open_reader, open_writer};

const TEST: &[Migration] =
    &[Migration { number: 1, name: "test", sql: "CREATE TABLE number (value INTEGER PRIMARY KEY) STRICT" }];

struct Fixture {
    path: PathBuf,
    writer: Writer,
    _directory: tempfile::TempDir,
}

fn fixture(limits: Limits) -> Fixture {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("test.db");
    let writer = Writer::start(open_writer(&path, TEST).unwrap(), limits).unwrap();
    Fixture { path, writer, _directory: directory }
}

impl Fixture {
    fn numbers(&self) -> Vec<i64> {
        let reader = open_reader(&self.path).unwrap();
        let mut statement = reader.prepare("SELECT value FROM number ORDER BY value").unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    /// Holds the thread inside a request until the returned sender is dropped, so that what is asked meanwhile becomes one group.
    fn hold(&self) -> std::sync::mpsc::Sender<()> {
        let (release, held) = channel::<()>();
        let (entered, inside) = channel();
        drop(self.writer.run(move |_| {
            entered.send(()).unwrap();
            let _ = held.recv();
            Ok(())
        }));
        inside.recv().unwrap();
        release
    }
}

fn insert(value: i64) -> impl FnOnce(&mut Connection) -> Result<i64, StoreError> + Send + 'static {
    move |connection| {
        connection.execute("INSERT INTO number (value) VALUES (?1)", [value]).map_err(store_error)?;
        Ok(value)
    }
}

#[tokio::test]
async fn what_is_answered_is_visible_to_others() {
    let fixture = fixture(Limits::default());
    for value in 0..20 {
        fixture.writer.run(insert(value)).await.unwrap();
        assert_eq!(fixture.numbers().last(), Some(&value));
    }
}

#[tokio::test]
async fn what_was_answered_is_there_after_the_process_is_gone() {
    let fixture = fixture(Limits::default());
    fixture.writer.run(insert(1)).await.unwrap();
    // The files as they are at this moment are what a kill would leave.
    let copy = tempfile::tempdir().unwrap();
    for file in ["test.db", "test.db-wal"] {
        std::fs::copy(fixture.path.with_file_name(file), copy.path().join(file)).unwrap();
    }
    let survivor = open_writer(&copy.path().join("test.db"), TEST).unwrap();
    assert_eq!(survivor.query_row("SELECT count(*) FROM number", [], |row| row.get::<_, i64>(0)).unwrap(), 1);
}

#[tokio::test]
async fn a_failed_request_takes_nothing_of_its_group_with_it() {
    let fixture = fixture(Limits::default());
    let release = fixture.hold();
    let first = fixture.writer.run(insert(1));
    let failing = fixture.writer.run(|connection| {
        connection.execute("INSERT INTO number (value) VALUES (2)", []).map_err(store_error)?;
        Err::<(), _>(StoreError::VersionConflict)
    });
    let panicking = fixture.writer.run(|connection| -> Result<(), StoreError> {
        connection.execute("INSERT INTO number (value) VALUES (3)", []).map_err(store_error)?;
        panic!("a bug")
    });
    let last = fixture.writer.run(insert(4));
    drop(release);
    assert!(first.await.is_ok());
    assert!(matches!(failing.await, Err(StoreError::VersionConflict)));
    assert!(matches!(panicking.await, Err(StoreError::Corrupt(_))));
    assert!(last.await.is_ok());
    assert_eq!(fixture.numbers(), [1, 4]);
    assert_eq!(fixture.writer.rollbacks().load(Ordering::Acquire), 2);
}

#[tokio::test]
async fn a_failed_first_request_does_not_stop_its_group() {
    let fixture = fixture(Limits::default());
    let failing = fixture.writer.run(|connection| {
        connection.execute("INSERT INTO number (value) VALUES (1)", []).map_err(store_error)?;
        Err::<(), _>(StoreError::NotFound)
    });
    let next = fixture.writer.run(insert(2));
    assert!(matches!(failing.await, Err(StoreError::NotFound)));
    next.await.unwrap();
    assert_eq!(fixture.numbers(), [2]);
}

#[tokio::test]
async fn when_the_transaction_is_lost_nobody_of_the_group_is_told_otherwise() {
    let fixture = fixture(Limits::default());
    let release = fixture.hold();
    let first = fixture.writer.run(insert(1));
    // What SQLite does by itself when the disk is full.
    let lost = fixture.writer.run(|connection| {
        connection.execute_batch("ROLLBACK").map_err(store_error)?;
        Err::<(), _>(StoreError::NotFound)
    });
    drop(release);
    assert!(matches!(first.await, Err(StoreError::Unavailable(_))));
    assert!(matches!(lost.await, Err(StoreError::Unavailable(_))));
    assert!(fixture.numbers().is_empty());
    fixture.writer.run(insert(5)).await.unwrap();
    assert_eq!(fixture.numbers(), [5]);
}

#[tokio::test]
async fn a_full_disk_is_unavailable_and_the_store_goes_on_when_there_is_room() {
    let fixture = fixture(Limits::default());
    let limited = fixture.writer.run(|connection| {
        connection.pragma_update(None, "max_page_count", 3).map_err(store_error)?;
        Ok(())
    });
    limited.await.unwrap();
    let many = fixture.writer.run(|connection| {
        connection
            .execute_batch("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) INSERT INTO number SELECT i FROM n")
            .map_err(store_error)
    });
    assert!(matches!(many.await, Err(StoreError::Unavailable(_))));
    assert!(fixture.numbers().is_empty());
    fixture.writer.run(insert(7)).await.unwrap();
    assert_eq!(fixture.numbers(), [7]);
}

#[tokio::test]
async fn a_full_queue_refuses_at_once() {
    let fixture = fixture(Limits { queued_requests: 2, ..Limits::default() });
    let release = fixture.hold();
    let waiting = [fixture.writer.run(insert(1)), fixture.writer.run(insert(2))];
    assert!(matches!(fixture.writer.run(insert(3)).await, Err(StoreError::Unavailable(_))));
    drop(release);
    for accepted in waiting {
        accepted.await.unwrap();
    }
    assert_eq!(fixture.numbers(), [1, 2]);
}

#[tokio::test]
async fn the_queue_is_bounded_in_bytes_too_and_takes_one_large_request() {
    let fixture = fixture(Limits { queued_bytes: 100, ..Limits::default() });
    let release = fixture.hold();
    let large = fixture.writer.run_sized(1000, insert(1));
    assert!(matches!(fixture.writer.run_sized(1, insert(2)).await, Err(StoreError::Unavailable(_))));
    drop(release);
    large.await.unwrap();
    fixture.writer.run_sized(1, insert(3)).await.unwrap();
    assert_eq!(fixture.numbers(), [1, 3]);
}

#[tokio::test]
async fn a_caller_that_goes_away_does_not_undo_its_write() {
    let fixture = fixture(Limits::default());
    drop(fixture.writer.run(insert(1)));
    fixture.writer.run(insert(2)).await.unwrap();
    assert_eq!(fixture.numbers(), [1, 2]);
}

#[test]
fn dropping_the_writer_finishes_what_waits() {
    let Fixture { path, writer, _directory } = fixture(Limits::default());
    for value in 0..100 {
        drop(writer.run(insert(value)));
    }
    drop(writer);
    let reader = open_reader(&path).unwrap();
    assert_eq!(reader.query_row("SELECT count(*) FROM number", [], |row| row.get::<_, i64>(0)).unwrap(), 100);
}

#[test]
fn threads_without_a_runtime_can_write() {
    let fixture = fixture(Limits::default());
    assert_eq!(fixture.writer.run_blocking(insert(1)).unwrap(), 1);
    assert!(matches!(fixture.writer.run_blocking(insert(1)), Err(StoreError::Corrupt(_))));
}
