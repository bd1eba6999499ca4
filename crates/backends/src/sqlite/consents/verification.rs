//! Who has confirmed which version of a Consent: knowledge of the server, which nobody writes as a resource.
//!
//! Only the current version can be confirmed. Who stored a version is kept, so that whoever confirms it is somebody else.

use portcullis_store::StoreError;
use rusqlite::{Connection, OptionalExtension, params};

use super::super::database::store_error;

/// A confirmation of the current version.
pub struct Verification<'a> {
    /// The locator of the Consent.
    pub consent: i64,
    /// The version.
    pub version: &'a str,
    /// The patient of that version, where it is somebody's.
    pub patient: Option<i64>,
    /// By whom.
    pub by_whom: &'a str,
    /// How the will of the patient was found out.
    pub how: &'a str,
    /// When, in seconds since the epoch.
    pub at: i64,
}

/// Adds a confirmation.
pub fn add(connection: &Connection, verification: &Verification<'_>) -> Result<(), StoreError> {
    let Verification { consent, version, patient, by_whom, how, at } = verification;
    let sql = "INSERT INTO consent_verification (consent, version, patient, by_whom, how, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let added = connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.execute(params![consent, version, patient, by_whom, how, at]));
    added.map(|_| ()).map_err(store_error)
}

/// Whether this version is the one that was confirmed last.
pub fn is_confirmed(connection: &Connection, (consent, version): (i64, &str)) -> Result<bool, StoreError> {
    let sql = "SELECT version FROM consent_verification WHERE consent = ?1 ORDER BY id DESC LIMIT 1";
    let mut statement = connection.prepare_cached(sql).map_err(store_error)?;
    let last: Option<String> = statement.query_row([consent], |row| row.get(0)).optional().map_err(store_error)?;
    Ok(last.as_deref() == Some(version))
}

/// Who stored a version of a Consent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Writer {
    /// The account: a user, a client that acts for itself, an operator.
    pub account: String,
    /// The person as a resource, where that is known.
    pub person: Option<String>,
    /// The client, as the columns `actor` hold it, where that is known.
    pub client: Option<String>,
}

impl Writer {
    /// Whether both are known to be the same: the account, the person and the client.
    pub fn is(&self, other: &Self) -> bool {
        self.client.is_some() && self == other
    }
}

/// Notes who stored a version.
pub fn note_writer(connection: &Connection, (consent, version): (i64, &str), writer: &Writer) -> Result<(), StoreError> {
    let sql = "INSERT OR IGNORE INTO consent_writer (consent, version, writer, person, client) VALUES (?1, ?2, ?3, ?4, ?5)";
    let Writer { account, person, client } = writer;
    let noted = connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.execute(params![consent, version, account, person, client]));
    noted.map(|_| ()).map_err(store_error)
}

/// Who stored a version, where that is known.
pub fn writer_of(connection: &Connection, (consent, version): (i64, &str)) -> Result<Option<Writer>, StoreError> {
    let sql = "SELECT writer, person, client FROM consent_writer WHERE consent = ?1 AND version = ?2";
    let mut statement = connection.prepare_cached(sql).map_err(store_error)?;
    let writer = |row: &rusqlite::Row<'_>| Ok(Writer { account: row.get(0)?, person: row.get(1)?, client: row.get(2)? });
    statement.query_row(params![consent, version], writer).optional().map_err(store_error)
}
