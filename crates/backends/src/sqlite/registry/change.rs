//! One change inside the writer's savepoint: what it rests on is checked first, and every error undoes all of it.

use portcullis_store::StoreError;
use portcullis_store::registry::Change;
use rusqlite::Connection;
use serde::Deserialize;

use super::{assertions, attempts, clients, codes, grants, refresh, sessions, users};

/// The time of a record that is stored with a change, in seconds since the epoch: the "now" of changes that carry none.
pub fn recorded_at(record: &[u8]) -> Result<i64, StoreError> {
    #[derive(Deserialize)]
    struct Recorded {
        recorded: i64,
    }
    let Recorded { recorded } =
        serde_json::from_slice(record).map_err(|_| StoreError::Corrupt("a record without its time".into()))?;
    Ok(recorded.div_euclid(1000))
}

/// Makes the change, or says why it cannot be made.
pub fn apply(connection: &Connection, change: &Change, now: i64) -> Result<(), StoreError> {
    match change {
        Change::AddUser(user) => users::add(connection, user),
        Change::AddClient(client) => clients::add(connection, client),
        Change::ReplaceClient(client) => clients::replace(connection, client),
        Change::RemoveClient(client) => {
            clients::remove(connection, client)?;
            grants::revoke_of_client(connection, client, now)
        }
        Change::OpenSession { session, hash, forget } => {
            attempts::forget(connection, forget)?;
            sessions::open(connection, session, hash)
        }
        Change::CloseSession(session) => sessions::close(connection, session),
        Change::CountFailure { counters, now } => attempts::count_failure(connection, counters, *now),
        Change::AddGrant(grant, code) => {
            grants::add(connection, grant)?;
            codes::add(connection, code, grant)
        }
        Change::SpendCode { code, refresh, now } => {
            let grant = codes::spend(connection, code)?;
            if let Some(token) = refresh {
                refresh::add(connection, token, &grant)?;
            }
            grants::issued(connection, &grant, *now)
        }
        Change::RotateRefresh { from, to, now } => {
            let grant = refresh::supersede(connection, from)?;
            refresh::add(connection, to, &grant)?;
            grants::issued(connection, &grant, *now)?;
            grants::used(connection, &grant.id, *now)
        }
        Change::RevokeGrant { grant, now } => grants::revoke(connection, grant, *now),
        Change::SpendAssertion { assertion, now: presented, then } => {
            assertions::spend(connection, assertion, *presented)?;
            apply(connection, then, now)
        }
        Change::RevokeToken { token, expires_at } => assertions::revoke_token(connection, token, *expires_at),
        Change::Nothing => Ok(()),
    }
}
