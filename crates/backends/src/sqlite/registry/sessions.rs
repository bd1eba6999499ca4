//! Signed-in browsers, found by the hash of their cookie.

use portcullis_oauth::grant::SecretHash;
use portcullis_oauth::identifiers::{SessionId, UserId};
use portcullis_store::StoreError;
use portcullis_store::registry::Session;
use rusqlite::{Connection, Row, params};

use super::statements::{column, conflict, execute, exists, one, parsed};
use super::users;

/// Opens a session of a user who exists.
pub fn open(connection: &Connection, session: &Session, hash: &SecretHash) -> Result<(), StoreError> {
    if !users::is_known(connection, &session.user)? {
        return Err(conflict("the user is unknown"));
    }
    let sql =
        "INSERT INTO session (hash, id, user, authenticated_at, expires_at) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING";
    let row = params![
        hash.as_bytes().as_slice(),
        session.id.as_str(),
        session.user.as_str(),
        session.authenticated_at,
        session.expires_at
    ];
    match execute(connection, sql, row)? {
        0 => Err(conflict("the session exists")),
        _ => Ok(()),
    }
}

/// Closes a session; one that is closed already stays so.
pub fn close(connection: &Connection, id: &SessionId) -> Result<(), StoreError> {
    execute(connection, "DELETE FROM session WHERE id = ?1", [id.as_str()]).map(|_| ())
}

/// A session, also an expired one.
pub fn by_hash(connection: &Connection, hash: &SecretHash) -> Result<Option<Session>, StoreError> {
    one(connection, "SELECT * FROM session WHERE hash = ?1", [hash.as_bytes().as_slice()], session)
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
    })
}
