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

/// Notes who stored a version.
pub fn note_writer(connection: &Connection, (consent, version): (i64, &str), writer: &str) -> Result<(), StoreError> {
    let sql = "INSERT OR IGNORE INTO consent_writer (consent, version, writer) VALUES (?1, ?2, ?3)";
    let noted = connection.prepare_cached(sql).and_then(|mut statement| statement.execute(params![consent, version, writer]));
    noted.map(|_| ()).map_err(store_error)
}

/// Who stored a version, where that is known.
pub fn writer_of(connection: &Connection, (consent, version): (i64, &str)) -> Result<Option<String>, StoreError> {
    let sql = "SELECT writer FROM consent_writer WHERE consent = ?1 AND version = ?2";
    let mut statement = connection.prepare_cached(sql).map_err(store_error)?;
    statement.query_row(params![consent, version], |row| row.get(0)).optional().map_err(store_error)
}
