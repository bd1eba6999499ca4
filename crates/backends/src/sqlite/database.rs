//! One SQLite file: how it is opened, and what its errors mean.
//!
//! WAL with `synchronous=FULL`: a transaction is durable when COMMIT returns (<https://www.sqlite.org/pragma.html#pragma_synchronous>).
//! No memory mapping: an I/O error stays an error instead of a signal, and memory stays bounded by the page caches.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use portcullis_store::StoreError;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::migrations::runner;
use crate::migrations::{Migration, MigrationError};
use crate::sqlite::page_cache;
use crate::sqlite::root_key::RootKeyError;

/// How long a statement waits for a lock that another process holds (backup tools; there is no other writer).
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Page cache of each reader, KiB.
const READER_CACHE_KIBIBYTES: i64 = 2 * 1024;
/// Pages in the write-ahead log after which a commit moves them into the main file.
const CHECKPOINT_PAGES: i64 = 4096;
/// The size to which the write-ahead log is cut back after a checkpoint, bytes.
const LOG_SIZE_LIMIT: i64 = 64 * 1024 * 1024;
/// Prepared statements kept per connection.
const STATEMENTS: usize = 128;

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file cannot be made or opened.
    #[error("cannot open the database file")]
    File(#[source] io::Error),
    /// SQLite cannot use the file.
    #[error("cannot use the database")]
    Sql(#[from] rusqlite::Error),
    /// The schema does not fit this program.
    #[error(transparent)]
    Migration(#[from] MigrationError),
    /// The database was made with another root key.
    #[error("the database was made with another root key")]
    WrongKey,
    /// The root key is not to be had.
    #[error(transparent)]
    RootKey(#[from] RootKeyError),
    /// The cryptographic library refused.
    #[error("the cryptographic library refused")]
    Cryptography,
    /// The writer's thread cannot be started.
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
}

/// Opens the one writing connection, makes the file (mode 0600) where it is absent, and brings it to the current schema.
pub fn open_writer(path: &Path, migrations: &[Migration]) -> Result<Connection, OpenError> {
    let created = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
    drop(created.map_err(OpenError::File)?);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    harden(&connection)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", "ON")?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "cache_size", -page_cache::USUAL_KIBIBYTES)?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    connection.pragma_update(None, "journal_size_limit", LOG_SIZE_LIMIT)?;
    runner::run(&mut connection, migrations)?;
    Ok(connection)
}

/// Opens a connection that can only read.
pub fn open_reader(path: &Path) -> Result<Connection, rusqlite::Error> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    harden(&connection)?;
    connection.pragma_update(None, "query_only", "ON")?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "cache_size", -READER_CACHE_KIBIBYTES)?;
    Ok(connection)
}

fn harden(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // Plans do not depend on bound values: otherwise SQLite compiles a kept statement anew whenever a value changes.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.pragma_update(None, "trusted_schema", "OFF")?;
    connection.pragma_update(None, "cell_size_check", "ON")?;
    connection.pragma_update(None, "mmap_size", 0)
}

/// What an error of SQLite means for the caller of a store.
pub fn store_error(error: rusqlite::Error) -> StoreError {
    match &error {
        rusqlite::Error::SqliteFailure(failure, _) => match failure.code {
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch => {
                StoreError::Corrupt(error.to_string())
            }
            ErrorCode::OperationInterrupted => StoreError::NotSupported(
                "The search takes more time than one search may. Narrow it, for example to one patient.".to_owned(),
            ),
            _ => StoreError::Unavailable(Box::new(error)),
        },
        rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::Utf8Error(..)
        | rusqlite::Error::QueryReturnedNoRows => StoreError::Corrupt(error.to_string()),
        _ => StoreError::Unavailable(Box::new(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::migrations::MAIN;

    #[test]
    fn the_file_is_private_and_every_commit_is_flushed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("portcullis.db");
        let writer = open_writer(&path, MAIN).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let pragma =
            |name: &str| writer.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, rusqlite::types::Value>(0)).unwrap();
        assert_eq!(pragma("journal_mode"), rusqlite::types::Value::Text("wal".into()));
        assert_eq!(pragma("synchronous"), rusqlite::types::Value::Integer(2));
        assert_eq!(pragma("foreign_keys"), rusqlite::types::Value::Integer(1));
        assert_eq!(pragma("trusted_schema"), rusqlite::types::Value::Integer(0));
    }

    #[test]
    fn a_reader_cannot_write() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("portcullis.db");
        let _writer = open_writer(&path, MAIN).unwrap();
        let reader = open_reader(&path).unwrap();
        assert!(reader.execute("INSERT INTO locator (type, id) VALUES (1, 'a')", []).is_err());
    }

    #[test]
    fn a_file_that_is_no_database_is_refused_and_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("portcullis.db");
        let text = "certainly not a database, but long enough to have a header of one hundred bytes ".repeat(4);
        std::fs::write(&path, &text).unwrap();
        assert!(open_writer(&path, MAIN).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }
}
