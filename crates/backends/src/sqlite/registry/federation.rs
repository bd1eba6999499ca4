//! Identities at other providers, by issuer and subject, and the states that came back from one: each counts once.

use portcullis_oauth::grant::SecretHash;
use portcullis_oauth::identifiers::UserId;
use portcullis_store::StoreError;
use portcullis_store::federation::{FederationChange, LinkedIdentity, STATE_USED};
use rusqlite::{Connection, Row, params};

use super::statements::{all, column, conflict, execute, exists, one, parsed};
use super::{representations, sign_in, users};

/// Makes the change, without what follows it.
pub fn apply(connection: &Connection, change: &FederationChange, now: i64) -> Result<(), StoreError> {
    match change {
        FederationChange::SpendState { state, expires_at, .. } => spend(connection, state, *expires_at, now),
        FederationChange::Link(identity) => link(connection, identity),
        FederationChange::SignIn { issuer, subject, .. } => {
            let sql = "UPDATE user SET recovered_by = identity.linked_by FROM federated_identity AS identity \
                       WHERE identity.issuer = ?1 AND identity.subject = ?2 AND identity.unconfirmed = 1 AND user.id = identity.user";
            execute(connection, sql, [issuer, subject]).map(|_| ())
        }
        FederationChange::Unlink { user, issuer, subject } => {
            let sql = "DELETE FROM federated_identity WHERE issuer = ?1 AND subject = ?2 AND user = ?3";
            match execute(connection, sql, params![issuer, subject, user.as_str()])? {
                0 => Err(conflict("there is no such link")),
                _ => Ok(()),
            }
        }
        FederationChange::Represent { user, representation } => representations::set(connection, user, representation),
        FederationChange::EndRepresentation { user, patient } => representations::end(connection, user, patient, now),
    }
}

fn spend(connection: &Connection, state: &SecretHash, expires_at: i64, now: i64) -> Result<(), StoreError> {
    // What has expired is refused before it comes here, so that it need not be remembered.
    execute(connection, "DELETE FROM federated_state WHERE expires_at <= ?1", [now])?;
    let sql = "INSERT INTO federated_state (hash, expires_at) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
    match execute(connection, sql, params![state.as_bytes().as_slice(), expires_at])? {
        0 => Err(conflict(STATE_USED)),
        _ => Ok(()),
    }
}

fn link(connection: &Connection, identity: &LinkedIdentity) -> Result<(), StoreError> {
    if !users::is_known(connection, &identity.user)? {
        return Err(conflict("the user is unknown"));
    }
    let sql = "INSERT INTO federated_identity (issuer, subject, user, linked_at, linked_by, unconfirmed) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
               ON CONFLICT DO NOTHING";
    let LinkedIdentity { issuer, subject, user, linked_at, linked_by } = identity;
    let unconfirmed = linked_by != user.as_str() && sign_in::is_in_use(connection, user)?;
    match execute(connection, sql, params![issuer, subject, user.as_str(), linked_at, linked_by, unconfirmed])? {
        0 => Err(conflict("this identity is linked to an account already")),
        _ => Ok(()),
    }
}

/// A second officer confirms: what other operators have linked counts as the owner's.
pub fn confirm(connection: &Connection, user: &UserId, by: &str) -> Result<(), StoreError> {
    let sql = "UPDATE federated_identity SET unconfirmed = 0 WHERE user = ?1 AND linked_by <> ?2";
    execute(connection, sql, [user.as_str(), by]).map(|_| ())
}

/// Whether a state came back before.
pub fn is_spent(connection: &Connection, state: &SecretHash) -> Result<bool, StoreError> {
    exists(connection, "SELECT 1 FROM federated_state WHERE hash = ?1", [state.as_bytes().as_slice()])
}

/// The account of an identity.
pub fn user_of(connection: &Connection, issuer: &str, subject: &str) -> Result<Option<UserId>, StoreError> {
    let sql = "SELECT user FROM federated_identity WHERE issuer = ?1 AND subject = ?2";
    one(connection, sql, [issuer, subject], |row| parsed(row, "user", UserId::parse))
}

/// The identities of an account, the oldest first.
pub fn of_user(connection: &Connection, user: &UserId) -> Result<Vec<LinkedIdentity>, StoreError> {
    all(connection, "SELECT * FROM federated_identity WHERE user = ?1 ORDER BY linked_at, issuer", [user.as_str()], identity)
}

fn identity(row: &Row<'_>) -> Result<LinkedIdentity, StoreError> {
    Ok(LinkedIdentity {
        issuer: column(row, "issuer")?,
        subject: column(row, "subject")?,
        user: parsed(row, "user", UserId::parse)?,
        linked_at: column(row, "linked_at")?,
        linked_by: column(row, "linked_by")?,
    })
}
