//! Removes what no answer depends on any more, a bounded number of rows at a time.

use portcullis_oauth::lockout::Lockout;
use portcullis_store::StoreError;
use rusqlite::{Connection, params};

use super::mail;
use super::spent::Spent;
use super::statements::execute;

/// How long a code is kept after its end, in seconds: within that time a replay ends the grant.
pub const CODE_KEPT_SECONDS: i64 = 3600;
/// How long a revoked grant and its refresh tokens are kept, in seconds.
pub const REVOKED_GRANT_KEPT_SECONDS: i64 = 90 * 24 * 3600;
/// The most counters of wrong passwords; with more, the oldest go.
pub const MAXIMUM_ATTEMPT_COUNTERS: i64 = 100_000;
/// The most rows that one removal takes from a table.
pub const MAXIMUM_ROWS: i64 = 500;

/// Removes expired rows, as of a time in seconds since the epoch.
pub fn remove_expired(connection: &Connection, now: i64) -> Result<(), StoreError> {
    let codes = "DELETE FROM code WHERE hash IN (SELECT hash FROM code WHERE expires_at < ?1 LIMIT ?2)";
    execute(connection, codes, params![now.saturating_sub(CODE_KEPT_SECONDS), MAXIMUM_ROWS])?;
    let sessions = "DELETE FROM session WHERE hash IN (SELECT hash FROM session WHERE expires_at < ?1 LIMIT ?2)";
    execute(connection, sessions, params![now, MAXIMUM_ROWS])?;
    let attempts =
        "DELETE FROM sign_in_attempt WHERE key IN (SELECT key FROM sign_in_attempt WHERE last_failure_at < ?1 LIMIT ?2)";
    execute(connection, attempts, params![now.saturating_sub(Lockout::FORGOTTEN_AFTER_SECONDS), MAXIMUM_ROWS])?;
    let oldest = "DELETE FROM sign_in_attempt WHERE key IN (SELECT key FROM sign_in_attempt ORDER BY last_failure_at \
                  LIMIT min(?2, max(0, (SELECT count(*) FROM sign_in_attempt) - ?1)))";
    execute(connection, oldest, params![MAXIMUM_ATTEMPT_COUNTERS, MAXIMUM_ROWS])?;
    let launches = "DELETE FROM launch WHERE hash IN (SELECT hash FROM launch WHERE expires_at < ?1 LIMIT ?2)";
    execute(connection, launches, params![now.saturating_sub(CODE_KEPT_SECONDS), MAXIMUM_ROWS])?;
    Spent::Assertions.forget(connection, now)?;
    Spent::Proofs.forget(connection, now)?;
    let tokens = "DELETE FROM revoked_token WHERE id IN (SELECT id FROM revoked_token WHERE expires_at < ?1 LIMIT ?2)";
    execute(connection, tokens, params![now, MAXIMUM_ROWS])?;
    let purposes = "DELETE FROM token_purpose WHERE token IN (SELECT token FROM token_purpose WHERE expires_at < ?1 LIMIT ?2)";
    execute(connection, purposes, params![now, MAXIMUM_ROWS])?;
    let challenges =
        "DELETE FROM spent_challenge WHERE hash IN (SELECT hash FROM spent_challenge WHERE expires_at < ?1 LIMIT ?2)";
    execute(connection, challenges, params![now, MAXIMUM_ROWS])?;
    let links = "DELETE FROM one_time_link WHERE hash IN (SELECT hash FROM one_time_link WHERE expires_at < ?1 LIMIT ?2)";
    execute(connection, links, params![now, MAXIMUM_ROWS])?;
    mail::remove_ended(connection, now, MAXIMUM_ROWS)?;
    let pushed = "DELETE FROM pushed_request WHERE hash IN (SELECT hash FROM pushed_request WHERE expires_at < ?1 LIMIT ?2)";
    execute(connection, pushed, params![now, MAXIMUM_ROWS])?;
    let initial =
        "DELETE FROM initial_access_token WHERE hash IN (SELECT hash FROM initial_access_token WHERE expires_at < ?1 LIMIT ?2)";
    execute(connection, initial, params![now.saturating_sub(REVOKED_GRANT_KEPT_SECONDS), MAXIMUM_ROWS])?;
    let gone = "DELETE FROM dynamic_registration WHERE client IN (SELECT client FROM dynamic_registration \
                WHERE token_hash IS NULL AND registered_at < ?1 LIMIT ?2)";
    execute(connection, gone, params![now.saturating_sub(3600), MAXIMUM_ROWS])?;
    let revoked = now.saturating_sub(REVOKED_GRANT_KEPT_SECONDS);
    let families = "DELETE FROM refresh WHERE hash IN (SELECT refresh.hash FROM grant_ JOIN refresh ON refresh.grant_id = grant_.id \
                    WHERE grant_.revoked_at < ?1 LIMIT ?2)";
    execute(connection, families, params![revoked, MAXIMUM_ROWS])?;
    // Otherwise each removal would walk over all grants that were ever revoked.
    let grants = "DELETE FROM grant_ WHERE id IN (SELECT id FROM grant_ WHERE revoked_at < ?1 \
                  AND NOT EXISTS (SELECT 1 FROM refresh WHERE refresh.grant_id = grant_.id) LIMIT ?2)";
    execute(connection, grants, params![revoked, MAXIMUM_ROWS]).map(|_| ())
}
