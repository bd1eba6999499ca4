//! Launches from an EHR, found by the hash of their handle, and used at most once.

use portcullis_fhir::types::LogicalId;
use portcullis_oauth::grant::SecretHash;
use portcullis_oauth::identifiers::{ClientId, UserId};
use portcullis_oauth::launch::{ContextParameters, Launch, LaunchState};
use portcullis_store::StoreError;
use portcullis_store::registry::LAUNCH_USED;
use rusqlite::{Connection, Row, params};

use super::statements::{column, conflict, execute, one, optional, parsed, unreadable};
use super::{clients, users};

/// Adds a launch for a client that exists, and for a person who does, where it names one.
pub fn add(connection: &Connection, launch: &Launch) -> Result<(), StoreError> {
    if !clients::is_known(connection, &launch.client)? {
        return Err(conflict("the client is unknown"));
    }
    if let Some(user) = &launch.user
        && !users::is_known(connection, user)?
    {
        return Err(conflict("the user is unknown"));
    }
    let sql = "INSERT INTO launch (hash, client, user, patient, context, created_at, expires_at, used) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0) ON CONFLICT DO NOTHING";
    let row = params![
        launch.hash.as_bytes().as_slice(),
        launch.client.as_str(),
        launch.user.as_ref().map(UserId::as_str),
        launch.patient.as_ref().map(LogicalId::as_str),
        context_text(&launch.context)?,
        launch.created_at,
        launch.expires_at,
    ];
    match execute(connection, sql, row)? {
        0 => Err(conflict("the launch exists")),
        _ => Ok(()),
    }
}

/// Spends a launch that was not used.
pub fn spend(connection: &Connection, hash: &SecretHash) -> Result<(), StoreError> {
    let sql = "UPDATE launch SET used = 1 WHERE hash = ?1 AND used = 0";
    match execute(connection, sql, [hash.as_bytes().as_slice()])? {
        0 => Err(conflict(LAUNCH_USED)),
        _ => Ok(()),
    }
}

/// A launch as it stands.
pub fn by_hash(connection: &Connection, hash: &SecretHash) -> Result<Option<LaunchState>, StoreError> {
    one(connection, "SELECT * FROM launch WHERE hash = ?1", [hash.as_bytes().as_slice()], |row| {
        let client = parsed(row, "client", ClientId::parse)?;
        if column(row, "used")? {
            return Ok(LaunchState::Used(client));
        }
        Ok(LaunchState::Waiting(Box::new(Launch {
            hash: *hash,
            client,
            user: optional(row, "user", UserId::parse)?,
            patient: optional(row, "patient", LogicalId::parse)?,
            context: context(row)?,
            created_at: column(row, "created_at")?,
            expires_at: column(row, "expires_at")?,
        })))
    })
}

/// Context parameters as they are stored.
pub fn context_text(context: &ContextParameters) -> Result<String, StoreError> {
    serde_json::to_string(context).map_err(|_| unreadable("context"))
}

/// Context parameters of a row.
pub fn context(row: &Row<'_>) -> Result<ContextParameters, StoreError> {
    parsed(row, "context", |text| serde_json::from_str(text).ok())
}
