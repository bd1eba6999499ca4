//! Wrong passwords, counted under keyed hashes that say nothing about who exists.

use portcullis_oauth::lockout::{AttemptCounter, AttemptKey, Lockout};
use portcullis_store::StoreError;
use rusqlite::{Connection, params};

use super::statements::{column, execute, one};

/// A counter; one that has never failed is as good as new.
pub fn by_key(connection: &Connection, key: &AttemptKey) -> Result<Lockout, StoreError> {
    let sql = "SELECT failures, locked_until, last_failure_at FROM sign_in_attempt WHERE key = ?1";
    let found = one(connection, sql, [key.as_bytes().as_slice()], |row| {
        Ok(Lockout {
            failures: column(row, "failures")?,
            locked_until: column(row, "locked_until")?,
            last_failure_at: column(row, "last_failure_at")?,
        })
    })?;
    Ok(found.unwrap_or_default())
}

/// One more wrong password.
pub fn count_failure(connection: &Connection, counters: &[(AttemptCounter, AttemptKey)], now: i64) -> Result<(), StoreError> {
    for (counter, key) in counters {
        let lockout = by_key(connection, key)?.after_failure(counter.limit(), now);
        let sql = "INSERT INTO sign_in_attempt (key, failures, locked_until, last_failure_at) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (key) \
                   DO UPDATE SET failures = excluded.failures, locked_until = excluded.locked_until, last_failure_at = excluded.last_failure_at";
        execute(
            connection,
            sql,
            params![key.as_bytes().as_slice(), lockout.failures, lockout.locked_until, lockout.last_failure_at],
        )?;
    }
    Ok(())
}

/// Forgets wrong passwords after the right one.
pub fn forget(connection: &Connection, keys: &[AttemptKey]) -> Result<(), StoreError> {
    for key in keys {
        execute(connection, "DELETE FROM sign_in_attempt WHERE key = ?1", [key.as_bytes().as_slice()])?;
    }
    Ok(())
}
