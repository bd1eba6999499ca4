//! Signed-in browsers, found by the hash of their cookie.

use portcullis_oauth::grant::SecretHash;
use portcullis_oauth::identifiers::{SessionId, UserId};
use portcullis_oauth::session::Methods;
use portcullis_store::StoreError;
use portcullis_store::registry::Session;
use portcullis_store::sign_in::{LOCKED, SessionDetails};
use rusqlite::{Connection, Row, params};

use super::statements::{all, column, conflict, execute, exists, one, parsed};
use super::users;

/// Opens a session of a user who exists. Whether the account was recovered by somebody is read here, and not told by the caller.
pub fn open(connection: &Connection, session: &Session, hash: &SecretHash) -> Result<(), StoreError> {
    if !users::is_known(connection, &session.user)? {
        return Err(conflict("the user is unknown"));
    }
    check_unlocked(connection, &session.user)?;
    let used = "UPDATE user SET signed_in_at = ?2 WHERE id = ?1 AND signed_in_at IS NULL";
    execute(connection, used, params![session.user.as_str(), session.authenticated_at])?;
    let sql = "INSERT INTO session (hash, id, user, authenticated_at, expires_at, last_used_at, methods, second_factor_at, browser, network, \
               recovered_by) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, (SELECT recovered_by FROM user WHERE id = ?3)) \
               ON CONFLICT DO NOTHING";
    let details = &session.details;
    let row = params![
        hash.as_bytes().as_slice(),
        session.id.as_str(),
        session.user.as_str(),
        session.authenticated_at,
        session.expires_at,
        details.last_used_at.max(session.authenticated_at),
        details.methods.to_string(),
        details.second_factor_at,
        details.browser,
        details.network,
    ];
    match execute(connection, sql, row)? {
        0 => Err(conflict("the session exists")),
        _ => Ok(()),
    }
}

/// Goes on with a session of the same user under another cookie.
pub fn renew(connection: &Connection, session: &Session, hash: &SecretHash) -> Result<(), StoreError> {
    check_unlocked(connection, &session.user)?;
    let sql = "UPDATE session SET hash = ?1, authenticated_at = ?4, expires_at = ?5, last_used_at = ?6, methods = ?7, second_factor_at = ?8, \
               browser = ?9, network = ?10, recovered_by = (SELECT recovered_by FROM user WHERE id = ?3) WHERE id = ?2 AND user = ?3";
    let details = &session.details;
    let row = params![
        hash.as_bytes().as_slice(),
        session.id.as_str(),
        session.user.as_str(),
        session.authenticated_at,
        session.expires_at,
        details.last_used_at,
        details.methods.to_string(),
        details.second_factor_at,
        details.browser,
        details.network,
    ];
    match execute(connection, sql, row)? {
        0 => Err(conflict("the session is closed")),
        _ => Ok(()),
    }
}

fn check_unlocked(connection: &Connection, user: &UserId) -> Result<(), StoreError> {
    if exists(connection, "SELECT 1 FROM user WHERE id = ?1 AND locked_at IS NOT NULL", [user.as_str()])? {
        return Err(conflict(LOCKED));
    }
    Ok(())
}

/// Closes a session; one that is closed already stays so.
pub fn close(connection: &Connection, id: &SessionId) -> Result<(), StoreError> {
    execute(connection, "DELETE FROM session WHERE id = ?1", [id.as_str()]).map(|_| ())
}

/// Ends the sessions of a user, but for one.
pub fn end_all_but(connection: &Connection, user: &UserId, but: Option<&SessionId>) -> Result<(), StoreError> {
    let sql = "DELETE FROM session WHERE user = ?1 AND id IS NOT ?2";
    execute(connection, sql, params![user.as_str(), but.map(SessionId::as_str)]).map(|_| ())
}

/// Notes that it was used.
pub fn used(connection: &Connection, id: &SessionId, now: i64) -> Result<(), StoreError> {
    let sql = "UPDATE session SET last_used_at = ?2 WHERE id = ?1 AND last_used_at < ?2";
    execute(connection, sql, params![id.as_str(), now]).map(|_| ())
}

/// A session, also an expired one.
pub fn by_hash(connection: &Connection, hash: &SecretHash) -> Result<Option<Session>, StoreError> {
    one(connection, "SELECT * FROM session WHERE hash = ?1", [hash.as_bytes().as_slice()], session)
}

/// The sessions of a user that have not ended, newest first.
pub fn of(connection: &Connection, user: &UserId, now: i64) -> Result<Vec<Session>, StoreError> {
    let sql = "SELECT * FROM session WHERE user = ?1 AND expires_at > ?2 ORDER BY authenticated_at DESC, id LIMIT 200";
    all(connection, sql, params![user.as_str(), now], session)
}

/// Whether a session is open at this time.
pub fn is_open(connection: &Connection, id: &SessionId, now: i64) -> Result<bool, StoreError> {
    exists(connection, "SELECT 1 FROM session WHERE id = ?1 AND expires_at > ?2", params![id.as_str(), now])
}

fn session(row: &Row<'_>) -> Result<Session, StoreError> {
    Ok(Session {
        id: parsed(row, "id", SessionId::parse)?,
        user: parsed(row, "user", UserId::parse)?,
        authenticated_at: column(row, "authenticated_at")?,
        expires_at: column(row, "expires_at")?,
        details: SessionDetails {
            last_used_at: column(row, "last_used_at")?,
            methods: parsed(row, "methods", Methods::parse)?,
            second_factor_at: column(row, "second_factor_at")?,
            browser: column(row, "browser")?,
            network: column(row, "network")?,
            recovered_by: column(row, "recovered_by")?,
        },
    })
}
