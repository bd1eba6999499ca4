//! Refresh tokens: each is exchanged at most once for its successor (RFC 9700 section 4.14.2). The client is that of the grant.

use portcullis_oauth::grant::{RefreshBinding, RefreshState, RefreshToken, SecretHash};
use portcullis_oauth::identifiers::{ClientId, GrantId, SessionId};
use portcullis_store::StoreError;
use portcullis_store::registry::REFRESH_TOKEN_USED;
use rusqlite::{Connection, Row, params};

use super::grants::{self, GrantKey};
use super::statements::{column, conflict, execute, one, optional, parsed, unreadable};

/// Adds a token of this grant.
pub fn add(connection: &Connection, token: &RefreshToken, grant: &GrantKey) -> Result<(), StoreError> {
    if token.family != grant.id || token.client != grant.client {
        return Err(conflict("the refresh token is of another grant"));
    }
    let session = match &token.binding {
        RefreshBinding::Offline => None,
        RefreshBinding::Online(session) => Some(session.as_str()),
    };
    let superseded = token.state == RefreshState::Superseded;
    let sql = "INSERT INTO refresh (hash, grant_id, generation, session, expires_at, superseded, confirmation) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) \
               ON CONFLICT DO NOTHING";
    let confirmation =
        token.confirmation.as_ref().map(serde_json::to_string).transpose().map_err(|_| unreadable("confirmation"))?;
    let row = params![
        token.hash.as_bytes().as_slice(),
        token.family.as_str(),
        token.generation,
        session,
        token.expires_at,
        superseded,
        confirmation
    ];
    match execute(connection, sql, row)? {
        0 => Err(conflict("the refresh token exists")),
        _ => Ok(()),
    }
}

/// Supersedes a token that is current and whose grant stands; that of a locked user does not.
pub fn supersede(connection: &Connection, hash: &SecretHash) -> Result<GrantKey, StoreError> {
    let sql = "SELECT refresh.grant_id, refresh.superseded, grant_.client, \
               coalesce(grant_.revoked_at, (SELECT locked_at FROM user WHERE user.id = grant_.user)) AS revoked_at \
               FROM refresh JOIN grant_ ON grant_.id = refresh.grant_id WHERE refresh.hash = ?1";
    let hash = hash.as_bytes().as_slice();
    let found = one(connection, sql, [hash], |row| Ok((column::<bool>(row, "superseded")?, grants::standing(row)?)))?;
    match found {
        None => Err(conflict("the refresh token is unknown")),
        Some((true, _)) => Err(conflict(REFRESH_TOKEN_USED)),
        Some((false, None)) => Err(conflict("the grant was revoked")),
        Some((false, Some(grant))) => {
            execute(connection, "UPDATE refresh SET superseded = 1 WHERE hash = ?1", [hash])?;
            Ok(grant)
        }
    }
}

/// A token, also a superseded one.
pub fn by_hash(connection: &Connection, hash: &SecretHash) -> Result<Option<RefreshToken>, StoreError> {
    let sql = "SELECT refresh.grant_id, refresh.generation, refresh.session, refresh.expires_at, refresh.superseded, refresh.confirmation, grant_.client \
               FROM refresh JOIN grant_ ON grant_.id = refresh.grant_id WHERE refresh.hash = ?1";
    one(connection, sql, [hash.as_bytes().as_slice()], |row| token(row, *hash))
}

fn token(row: &Row<'_>, hash: SecretHash) -> Result<RefreshToken, StoreError> {
    let session = optional(row, "session", SessionId::parse)?;
    Ok(RefreshToken {
        hash,
        family: parsed(row, "grant_id", GrantId::parse)?,
        generation: column(row, "generation")?,
        state: if column(row, "superseded")? { RefreshState::Superseded } else { RefreshState::Current },
        client: parsed(row, "client", ClientId::parse)?,
        binding: session.map_or(RefreshBinding::Offline, RefreshBinding::Online),
        confirmation: optional(row, "confirmation", |text| serde_json::from_str(text).ok())?,
        expires_at: column(row, "expires_at")?,
    })
}
