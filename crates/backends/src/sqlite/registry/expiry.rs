//! Removes what no answer depends on any more, a bounded number of rows at a time.

use portcullis_store::StoreError;
use rusqlite::{Connection, params};

use super::statements::execute;

/// How long a code is kept after its end, in seconds: within that time a replay ends the grant.
pub const CODE_KEPT_SECONDS: i64 = 3600;
/// How long a revoked grant and its refresh tokens are kept, in seconds.
pub const REVOKED_GRANT_KEPT_SECONDS: i64 = 90 * 24 * 3600;
/// The most rows that one removal takes from a table.
pub const MAXIMUM_ROWS: i64 = 200;

/// Removes expired rows, as of a time in seconds since the epoch.
pub fn remove_expired(connection: &Connection, now: i64) -> Result<(), StoreError> {
    let codes = "DELETE FROM code WHERE hash IN (SELECT hash FROM code WHERE expires_at < ?1 LIMIT ?2)";
    execute(connection, codes, params![now.saturating_sub(CODE_KEPT_SECONDS), MAXIMUM_ROWS])?;
    let sessions = "DELETE FROM session WHERE hash IN (SELECT hash FROM session WHERE expires_at < ?1 LIMIT ?2)";
    execute(connection, sessions, params![now, MAXIMUM_ROWS])?;
    let revoked = now.saturating_sub(REVOKED_GRANT_KEPT_SECONDS);
    let families = "DELETE FROM refresh WHERE hash IN (SELECT refresh.hash FROM grant_ JOIN refresh ON refresh.grant_id = grant_.id \
                    WHERE grant_.revoked_at < ?1 LIMIT ?2)";
    execute(connection, families, params![revoked, MAXIMUM_ROWS])?;
    // Otherwise each removal would walk over all grants that were ever revoked.
    let grants = "DELETE FROM grant_ WHERE id IN (SELECT id FROM grant_ WHERE revoked_at < ?1 \
                  AND NOT EXISTS (SELECT 1 FROM refresh WHERE refresh.grant_id = grant_.id) LIMIT ?2)";
    execute(connection, grants, params![revoked, MAXIMUM_ROWS]).map(|_| ())
}
