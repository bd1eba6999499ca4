//! Which Consents there are and who stands behind them; a confirmation, with what follows for decisions, in one transaction.

use portcullis_fhir::json::{self, Value};
use portcullis_fhir::types::ResourceType;
use portcullis_policy::StoredVersion;
use portcullis_store::StoreError;
use portcullis_store::consents::{
    Confirmed, ConsentConfirmation, ConsentEntry, ConsentsListed, How, NAMED_IN_IT, NOT_CURRENT, OWN_WORK,
};
use rusqlite::{Connection, OptionalExtension};

use super::statements::conflict;
use crate::sqlite::consents::derive::{Derivation, locators_of};
use crate::sqlite::consents::load;
use crate::sqlite::consents::verification::{self, Verification};
use crate::sqlite::database::store_error;
use crate::sqlite::locator;
use crate::sqlite::seal::Seal;

/// Consents of one listing.
const MAXIMUM_LISTED: i64 = 200;

/// Consents with their standing.
pub fn list(connection: &Connection, seal: &Seal, which: &ConsentsListed) -> Result<Vec<ConsentEntry>, StoreError> {
    let code = ResourceType::CONSENT.code();
    let (sql, value) = match which {
        ConsentsListed::Waiting => (
            format!(
                "SELECT r.pk FROM resource r WHERE r.type = {code} AND r.version IS NOT (SELECT v.version FROM consent_verification v \
                 WHERE v.consent = r.pk ORDER BY v.id DESC LIMIT 1) AND ?1 = ?1 ORDER BY r.last_updated DESC LIMIT {MAXIMUM_LISTED}"
            ),
            String::new(),
        ),
        ConsentsListed::OfPatient(patient) => (
            format!(
                "SELECT c.pk FROM locator p CROSS JOIN compartment c ON c.patient = p.pk AND c.type = {code} \
                 WHERE p.type = {} AND p.id = ?1 LIMIT {MAXIMUM_LISTED}",
                ResourceType::PATIENT.code()
            ),
            patient.to_string(),
        ),
        ConsentsListed::One(id) => (
            format!("SELECT r.pk FROM locator l CROSS JOIN resource r ON r.pk = l.pk WHERE l.type = {code} AND l.id = ?1"),
            id.to_string(),
        ),
    };
    let mut statement = connection.prepare_cached(&sql).map_err(store_error)?;
    let rows = statement.query_map([value], |row| row.get(0)).map_err(store_error)?;
    let found = rows.collect::<Result<Vec<i64>, _>>().map_err(store_error)?;
    found.into_iter().filter_map(|pk| entry(connection, seal, pk).transpose()).collect()
}

fn entry(connection: &Connection, seal: &Seal, pk: i64) -> Result<Option<ConsentEntry>, StoreError> {
    let Some(StoredVersion { id, version, patients, body, .. }) = load::current(connection, seal, pk)? else { return Ok(None) };
    Ok(Some(ConsentEntry {
        status: status(body.as_deref()),
        writer: verification::writer_of(connection, (pk, version.as_str()))?,
        confirmed: confirmed(connection, pk)?,
        patient: patients.into_iter().next(),
        id,
        version,
        body,
    }))
}

fn status(body: Option<&[u8]>) -> String {
    let Some(body) = body else { return "deleted".to_owned() };
    let parsed = json::parse(body).ok();
    let status = parsed.as_ref().and_then(|body| body.member("status")).and_then(Value::as_str);
    status.unwrap_or("unreadable").to_owned()
}

fn confirmed(connection: &Connection, pk: i64) -> Result<Option<Confirmed>, StoreError> {
    let sql = "SELECT version, by_whom, how, at FROM consent_verification WHERE consent = ?1 ORDER BY id DESC LIMIT 1";
    let mut statement = connection.prepare_cached(sql).map_err(store_error)?;
    let row =
        |row: &rusqlite::Row<'_>| Ok(Confirmed { version: row.get(0)?, by_whom: row.get(1)?, how: row.get(2)?, at: row.get(3)? });
    statement.query_row([pk], row).optional().map_err(store_error)
}

/// Confirms the current version. Whoever wrote it or is named in it cannot, but for the patients about their own.
pub fn confirm(connection: &Connection, seal: &Seal, confirmation: &ConsentConfirmation, now: i64) -> Result<(), StoreError> {
    let ConsentConfirmation { consent, version, by, person, how } = confirmation;
    let absent = || conflict(NOT_CURRENT);
    let pk = locator::find(connection, ResourceType::CONSENT, consent.as_str())?.ok_or_else(absent)?;
    let current = load::current(connection, seal, pk)?.filter(|current| current.version == *version).ok_or_else(absent)?;
    if *how != How::Patient {
        if verification::writer_of(connection, (pk, version.as_str()))?.as_deref() == Some(by.as_str()) {
            return Err(conflict(OWN_WORK));
        }
        if let Some(person) = person
            && names(connection, seal, (pk, &current), person)?
        {
            return Err(conflict(NAMED_IN_IT));
        }
    }
    if verification::is_confirmed(connection, (pk, version.as_str()))? {
        return Ok(());
    }
    let patients = locators_of(connection, &current.patients)?;
    let patient = patients.first().copied().filter(|_| current.body.is_some());
    let added =
        Verification { consent: pk, version: version.as_str(), patient, by_whom: by.as_str(), how: how.as_str(), at: now };
    verification::add(connection, &added)?;
    // Nothing is derived from the address here.
    Derivation { connection, seal, base_url: "" }.consent_confirmed(pk)
}

/// Whether the current version, or the one that was confirmed last, names somebody.
fn names(connection: &Connection, seal: &Seal, (pk, current): (i64, &StoredVersion), person: &str) -> Result<bool, StoreError> {
    let last = confirmed(connection, pk)?.map(|last| load::version(connection, seal, pk, &last.version)).transpose()?.flatten();
    Ok(std::iter::once(current).chain(last.as_ref()).any(|version| mentions(version, person)))
}

/// Whether a version refers to somebody anywhere: relative, or under some base.
fn mentions(version: &StoredVersion, person: &str) -> bool {
    let Some(body) = &version.body else { return false };
    let under_base = format!("/{person}");
    let is = |text: &str| {
        let text = text.split("/_history/").next().unwrap_or(text);
        text == person || text.ends_with(&under_base)
    };
    json::parse(body).map_or(true, |body| refers(&body, &is))
}

/// Whether a reference in a value is as `is` says.
fn refers(value: &Value, is: &dyn Fn(&str) -> bool) -> bool {
    match value {
        Value::Object(members) => {
            members.iter().any(|(name, member)| &**name == "reference" && member.as_str().is_some_and(is) || refers(member, is))
        }
        Value::Array(items) => items.iter().any(|item| refers(item, is)),
        _ => false,
    }
}
