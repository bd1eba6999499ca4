//! Denials that nobody confirmed and that are not simply taken back (docs/adr/0018-consent-storage.md).
//!
//! Whoever wrote a version that nobody has confirmed may change or delete it as it came, unless it denies that writer: the same account, person and client. When
//! anybody else does, or somebody whom it denies, its denials are held until the version that is then current is confirmed. Which versions are held is the server's
//! knowledge, like who has confirmed what; release finds them there and not by the rows that statements join.

use portcullis_fhir::json::{self, Value};
use portcullis_policy::rules::consent::{Context, Question, Standing};
use portcullis_store::StoreError;
use rusqlite::{Connection, params};

use super::super::database::store_error;
use super::super::seal::Seal;
use super::load;
use super::verification::{self, Writer};

/// How many versions of one Consent are held apart. Of more nobody but the patients sees anything until somebody confirms the current one: every change is possible at
/// once, since it may be one that narrows.
const MAXIMUM_HELD: usize = 16;

/// What was held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holding {
    /// The version by itself.
    Apart,
    /// Nothing new: a version that is held says the same.
    Known,
    /// All versions of the Consent together.
    Folded,
}

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
pub fn hold((connection, seal): (&Connection, &Seal), before: &Before<'_>) -> Result<Holding, StoreError> {
    let is_folded = !folded(connection, before.consent)?.is_empty();
    let apart = apart(connection, before.consent)?;
    if !is_folded && says_the_same((connection, seal), before, &apart)? {
        return Ok(Holding::Known);
    }
    let is_folded = is_folded || apart.len() >= MAXIMUM_HELD;
    let run = |sql: &str, values: &[&dyn rusqlite::ToSql]| {
        connection.prepare_cached(sql).and_then(|mut statement| statement.execute(values)).map(|_| ()).map_err(store_error)
    };
    let (consent, version, patient) = (before.consent, before.version, before.patient);
    run(
        "INSERT OR IGNORE INTO consent_held (consent, version, patient) VALUES (?1, ?2, ?3)",
        params![consent, version, patient],
    )?;
    if !is_folded {
        return Ok(Holding::Apart);
    }
    tracing::warn!("more changes of a Consent wait for a confirmation than are held apart: its patient is hidden until then");
    run("UPDATE consent_held SET folded = 1 WHERE consent = ?1 AND folded = 0", params![consent])?;
    Ok(Holding::Folded)
}

/// Whether one of these versions of the same patient says what this one says: all but the metadata is the same.
fn says_the_same((connection, seal): (&Connection, &Seal), before: &Before<'_>, held: &[String]) -> Result<bool, StoreError> {
    let said = |version: &str| -> Result<Option<_>, StoreError> {
        let stored = match load::version(connection, seal, before.consent, version) {
            Err(StoreError::Corrupt(_)) => None,
            other => other?,
        };
        let Some(stored) = stored else { return Ok(None) };
        let Some(Ok(Value::Object(members))) = stored.body.as_deref().map(json::parse) else { return Ok(None) };
        let content: Vec<_> = members.into_iter().filter(|(name, _)| **name != *"meta").collect();
        Ok(Some((stored.patients, content)))
    };
    let Some(own) = said(before.version)? else { return Ok(false) };
    for version in held {
        if said(version)?.is_some_and(|other| other == own) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The current version was confirmed: nothing of this Consent is held any more.
pub fn release(connection: &Connection, consent: i64) -> Result<(), StoreError> {
    let released = connection
        .prepare_cached("DELETE FROM consent_held WHERE consent = ?1")
        .and_then(|mut statement| statement.execute([consent]));
    released.map(|_| ()).map_err(store_error)
}

/// The versions of a Consent that are held, apart or together.
pub fn of_consent(connection: &Connection, consent: i64) -> Result<Vec<String>, StoreError> {
    versions(connection, "SELECT version FROM consent_held WHERE consent = ?1", consent)
}

/// Those that are held apart.
pub fn apart(connection: &Connection, consent: i64) -> Result<Vec<String>, StoreError> {
    versions(connection, "SELECT version FROM consent_held WHERE consent = ?1 AND folded = 0", consent)
}

fn versions(connection: &Connection, sql: &str, consent: i64) -> Result<Vec<String>, StoreError> {
    let mut statement = connection.prepare_cached(sql).map_err(store_error)?;
    let rows = statement.query_map([consent], |row| row.get(0)).map_err(store_error)?;
    rows.collect::<Result<Vec<String>, _>>().map_err(store_error)
}

/// The locators of the patients of those that are held together.
pub fn folded(connection: &Connection, consent: i64) -> Result<Vec<i64>, StoreError> {
    let sql = "SELECT DISTINCT patient FROM consent_held WHERE consent = ?1 AND folded = 1";
    let mut statement = connection.prepare_cached(sql).map_err(store_error)?;
    let rows = statement.query_map([consent], |row| row.get(0)).map_err(store_error)?;
    rows.collect::<Result<Vec<i64>, _>>().map_err(store_error)
}
