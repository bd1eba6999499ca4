//! Clients that register themselves (RFC 7591): counted within the hour, and found by the token with which they manage their registration. Sandbox
//! clients: counted by their owner.

use portcullis_oauth::grant::SecretHash;
use portcullis_oauth::identifiers::ClientId;
use portcullis_store::StoreError;
use portcullis_store::client_registration::{
    CLIENT_CHANGED, INITIAL_TOKEN_REFUSED, InitialAccessToken, NOT_OWNED, RegistrationChange, TOO_MANY_OWNED,
    TOO_MANY_REGISTRATIONS,
};
use rusqlite::{Connection, Row, params};

use super::clients;
use super::statements::{all, column, conflict, execute, one, parsed, unreadable};

/// The time within which registrations are counted, in seconds.
const HOUR_SECONDS: i64 = 3600;

/// Makes a change.
pub fn apply(connection: &Connection, change: &RegistrationChange) -> Result<(), StoreError> {
    match change {
        RegistrationChange::Register { client, token, initial, hourly_limit, now } => {
            if let Some(initial) = initial {
                let sql = "UPDATE initial_access_token SET uses_left = uses_left - 1 \
                           WHERE hash = ?1 AND uses_left > 0 AND expires_at > ?2";
                if execute(connection, sql, params![initial.as_bytes().as_slice(), now])? == 0 {
                    return Err(conflict(INITIAL_TOKEN_REFUSED));
                }
            }
            let sql = "INSERT INTO dynamic_registration (client, token_hash, registered_at) SELECT ?1, ?2, ?3 \
                       WHERE (SELECT count(*) FROM dynamic_registration WHERE registered_at > ?4) < ?5";
            let since = now.saturating_sub(HOUR_SECONDS);
            let row = params![client.id.as_str(), token.as_bytes().as_slice(), now, since, hourly_limit];
            if execute(connection, sql, row)? == 0 {
                return Err(conflict(TOO_MANY_REGISTRATIONS));
            }
            clients::add(connection, client)
        }
        RegistrationChange::AddInitialToken(token) => {
            let sql = "INSERT INTO initial_access_token (hash, id, name, uses_left, created_at, expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
            let hash = token.hash.as_bytes().as_slice();
            let row = params![hash, token.id, token.name, token.uses_left, token.created_at, token.expires_at];
            execute(connection, sql, row).map(|_| ())
        }
        RegistrationChange::RemoveInitialToken(id) => {
            match execute(connection, "DELETE FROM initial_access_token WHERE id = ?1", [id])? {
                0 => Err(conflict("there is no such initial access token")),
                _ => Ok(()),
            }
        }
        RegistrationChange::RegisterOwned { client, limit } => {
            let owner = client.properties.owner.as_ref().ok_or_else(|| conflict(NOT_OWNED))?;
            let owned = clients::of_owner(connection, owner)?.len();
            if owned >= usize::try_from(*limit).unwrap_or(usize::MAX) {
                return Err(conflict(TOO_MANY_OWNED));
            }
            clients::add(connection, client)
        }
        RegistrationChange::OfOwner { owner, client, .. } => match clients::is_owned(connection, client, owner)? {
            true => Ok(()),
            false => Err(conflict(NOT_OWNED)),
        },
        RegistrationChange::IfUnchanged { before, .. } => match clients::by_id(connection, &before.id)? {
            Some(client) if client == **before => Ok(()),
            _ => Err(conflict(CLIENT_CHANGED)),
        },
    }
}

/// A client is gone: its token manages nothing any more, whoever gets its id.
pub fn end(connection: &Connection, client: &ClientId) -> Result<(), StoreError> {
    let sql = "UPDATE dynamic_registration SET token_hash = NULL WHERE client = ?1";
    execute(connection, sql, [client.as_str()]).map(|_| ())
}

/// The client that a registration access token is for.
pub fn by_token(connection: &Connection, token: &SecretHash) -> Result<Option<ClientId>, StoreError> {
    let sql = "SELECT client FROM dynamic_registration WHERE token_hash = ?1";
    one(connection, sql, [token.as_bytes().as_slice()], |row| parsed(row, "client", ClientId::parse))
}

/// All initial access tokens.
pub fn initial_tokens(connection: &Connection) -> Result<Vec<InitialAccessToken>, StoreError> {
    all(connection, "SELECT * FROM initial_access_token ORDER BY id", [], initial_token)
}

fn initial_token(row: &Row<'_>) -> Result<InitialAccessToken, StoreError> {
    Ok(InitialAccessToken {
        hash: SecretHash::from_bytes(column(row, "hash")?),
        id: column(row, "id")?,
        name: column(row, "name")?,
        uses_left: column::<i64>(row, "uses_left")?.try_into().map_err(|_| unreadable("uses_left"))?,
        created_at: column(row, "created_at")?,
        expires_at: column(row, "expires_at")?,
    })
}
