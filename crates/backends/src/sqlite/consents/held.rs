//! Denials that nobody confirmed and that are not simply taken back (docs/adr/0018-consent-storage.md).
//!
//! Whoever wrote a version that nobody has confirmed may change or delete it as it came, unless it denies that writer: the same account, person and client. When
//! anybody else does, or somebody whom it denies, its denials are held until the version that is then current is confirmed. Which versions are held is the server's
//! knowledge, like who has confirmed what; release finds them there and not by the rows that statements join.

use portcullis_policy::rules::consent::{Context, Question, Standing};
use portcullis_store::StoreError;
use rusqlite::{Connection, params};

use super::super::database::store_error;
use super::super::seal::Seal;
use super::load;
use super::verification::{self, Writer};

/// How many versions of one Consent are held at most. Who would need more is refused until somebody confirms the current one.
const MAXIMUM_HELD: i64 = 16;

/// A version of a Consent that a change is about to take the place of, and whose patient it is.
pub struct Before<'a> {
    /// The locator of the Consent.
    pub consent: i64,
    /// The version.
    pub version: &'a str,
    /// The locator of its patient.
    pub patient: i64,
}

/// Whether what an unconfirmed version denies ends when this writer changes it.
pub fn may_be_taken_back(
    (connection, seal): (&Connection, &Seal),
    before: &Before<'_>,
    (writer, question): (&Writer, Option<&Question>),
    context: &Context<'_>,
) -> Result<bool, StoreError> {
    let stored = match load::version(connection, seal, before.consent, before.version) {
        // Nobody knows what it denies.
        Err(StoreError::Corrupt(_)) => return Ok(false),
        other => other?,
    };
    let Some(consent) = stored.and_then(|stored| load::compiled(&stored, context, Standing::Unverified)) else {
        return Ok(false);
    };
    if !consent.denies() {
        return Ok(true);
    }
    let Some(question) = question else { return Ok(false) };
    let wrote = verification::writer_of(connection, (before.consent, before.version))?;
    Ok(wrote.is_some_and(|wrote| wrote.is(writer)) && !question.may_be_denied_by(&consent))
}

/// Holds what a version denies.
pub fn hold(connection: &Connection, before: &Before<'_>) -> Result<(), StoreError> {
    let count = "SELECT count(*) FROM consent_held WHERE consent = ?1";
    let mut statement = connection.prepare_cached(count).map_err(store_error)?;
    let held: i64 = statement.query_row([before.consent], |row| row.get(0)).map_err(store_error)?;
    if held >= MAXIMUM_HELD {
        let reason = "Too many changes of this Consent wait for a confirmation: confirm the current version first.";
        return Err(StoreError::NotSupported(reason.to_owned()));
    }
    let sql = "INSERT OR IGNORE INTO consent_held (consent, version, patient) VALUES (?1, ?2, ?3)";
    let noted = connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.execute(params![before.consent, before.version, before.patient]));
    noted.map(|_| ()).map_err(store_error)
}

/// The current version was confirmed: nothing of this Consent is held any more.
pub fn release(connection: &Connection, consent: i64) -> Result<(), StoreError> {
    let released = connection
        .prepare_cached("DELETE FROM consent_held WHERE consent = ?1")
        .and_then(|mut statement| statement.execute([consent]));
    released.map(|_| ()).map_err(store_error)
}

/// The versions of a Consent that are held.
pub fn of_consent(connection: &Connection, consent: i64) -> Result<Vec<String>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT version FROM consent_held WHERE consent = ?1").map_err(store_error)?;
    let rows = statement.query_map([consent], |row| row.get(0)).map_err(store_error)?;
    rows.collect::<Result<Vec<String>, _>>().map_err(store_error)
}
