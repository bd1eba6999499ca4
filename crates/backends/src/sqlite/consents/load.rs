//! The Consents that count for some patients, opened and read: independent of the rows that are derived from them.
//!
//! Of each Consent there are at most two: the version that was confirmed last, and the current one where that is another.

use std::collections::BTreeSet;

use portcullis_fhir::index;
use portcullis_fhir::reference::LocalReference;
use portcullis_fhir::resource::Resource;
use portcullis_fhir::types::{LogicalId, ResourceType};
use portcullis_policy::StoredVersion;
use portcullis_policy::rules::consent::{CompiledConsent, Context, Standing};
use portcullis_store::StoreError;
use rusqlite::{Connection, OptionalExtension, params};

use super::super::database::store_error;
use super::super::locator;
use super::super::parameters::Parameters;
use super::super::read::{self, COLUMNS, SealedRow};
use super::super::seal::Seal;

/// Patients per statement.
const PATIENTS_PER_STATEMENT: usize = 500;

/// The version of a Consent that somebody confirmed last.
const LAST_CONFIRMED: &str = "(SELECT v.version FROM consent_verification v WHERE v.consent = r.pk ORDER BY v.id DESC LIMIT 1)";

/// What counts of the Consents of these patients.
pub fn of_patients(
    connection: &Connection,
    seal: &Seal,
    context: &Context<'_>,
    patients: &[LogicalId],
) -> Result<Vec<CompiledConsent>, StoreError> {
    let mut counting = Vec::new();
    for chunk in patients.chunks(PATIENTS_PER_STATEMENT) {
        let mut parameters = Parameters::default();
        let ids = parameters.bind_list(chunk.iter().map(|id| id.as_str().to_owned()));
        let (patient, consent) = (ResourceType::PATIENT.code(), ResourceType::CONSENT.code());
        let current = format!(
            "SELECT {COLUMNS}, {LAST_CONFIRMED} FROM locator p CROSS JOIN compartment c ON c.patient = p.pk AND c.type = {consent} \
             CROSS JOIN resource r ON r.pk = c.pk CROSS JOIN locator l ON l.pk = r.pk \
             WHERE p.type = {patient} AND p.id IN ({ids}) AND r.deleted = 0"
        );
        let mut rows = Vec::new();
        let take = |row: &rusqlite::Row<'_>| {
            rows.push((SealedRow::take(row), row.get::<_, Option<String>>(10)?));
            Ok(true)
        };
        parameters.for_each_row(connection, &current, take).map_err(store_error)?;
        let mut opener = seal.opener(connection);
        for (row, confirmed) in rows {
            let row = row?;
            let outline = row.outline()?;
            let version = row.version().to_string();
            let is_confirmed = confirmed.as_deref() == Some(version.as_str());
            let standing = if is_confirmed { Standing::Verified } else { Standing::Unverified };
            match seal.consents().compiled(row, &mut opener, (context, standing)) {
                Err(StoreError::Corrupt(problem)) => {
                    if let Some(pk) = locator::find(connection, ResourceType::CONSENT, outline.0.as_str())? {
                        notice(connection, seal, (pk, &version))?;
                    }
                    let unreadable = unreadable(&problem, (&outline.0, &outline.1), chunk);
                    counting.extend(unreadable.into_iter().map(|consent| match LogicalId::parse(&version) {
                        Some(version) => consent.of_version(version),
                        None => consent,
                    }));
                }
                read => counting.extend(read?),
            }
        }
        let confirmed = format!(
            "SELECT v.consent, v.version, p.id FROM locator p CROSS JOIN consent_verification v ON v.patient = p.pk \
             WHERE p.type = {patient} AND p.id IN ({ids}) \
             AND v.id = (SELECT max(w.id) FROM consent_verification w WHERE w.consent = v.consent) \
             AND NOT EXISTS (SELECT 1 FROM resource r WHERE r.pk = v.consent AND r.version = v.version)"
        );
        let held = format!(
            "SELECT h.consent, h.version, p.id FROM locator p CROSS JOIN consent_held h ON h.patient = p.pk \
             WHERE p.type = {patient} AND p.id IN ({ids}) AND h.folded = 0"
        );
        let folded = format!(
            "SELECT DISTINCT h.consent, p.id FROM locator p CROSS JOIN consent_held h ON h.patient = p.pk \
             WHERE p.type = {patient} AND p.id IN ({ids}) AND h.folded = 1"
        );
        let of = |row: &rusqlite::Row<'_>| row.get::<_, String>(1);
        for patient in parameters.rows(connection, &folded, of).map_err(store_error)? {
            counting.extend(LogicalId::parse(&patient).map(|patient| CompiledConsent::unreadable(patient.clone(), patient)));
        }
        for (sql, standing) in [(confirmed, Standing::Outdated), (held, Standing::Held)] {
            let named = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?));
            for (consent, version, patient) in parameters.rows(connection, &sql, named).map_err(store_error)? {
                let earlier = earlier_row(connection, consent, &version);
                match earlier
                    .and_then(|row| row.map(|row| seal.consents().compiled(row, &mut opener, (context, standing))).transpose())
                {
                    // A version that counts and is not there any more denies as one that cannot be read.
                    Ok(None) => {
                        notice(connection, seal, (consent, &version))?;
                        counting.extend(lost("it is gone", &patient));
                    }
                    Err(StoreError::Corrupt(problem)) => {
                        notice(connection, seal, (consent, &version))?;
                        counting.extend(lost(&problem, &patient));
                    }
                    Ok(Some(earlier)) => counting.extend(earlier),
                    Err(error) => return Err(error),
                }
            }
        }
    }
    Ok(counting)
}

/// Notes a version that turned out not to be readable while its rows still say what it said: they are changed before anybody is answered ([`super::memory::Memory`]).
fn notice(connection: &Connection, seal: &Seal, (consent, version): (i64, &str)) -> Result<(), StoreError> {
    let sql = "SELECT 1 FROM consent_base WHERE consent = ?1 AND version = ?2 AND compilable = 1";
    let mut statement = connection.prepare_cached(sql).map_err(store_error)?;
    if statement.exists(params![consent, version]).map_err(store_error)? {
        seal.consents().notice((consent, version.to_owned()));
    }
    Ok(())
}

/// A Consent that cannot be read denies everything to everybody but the patients themselves.
fn unreadable(problem: &str, (id, patients): (&LogicalId, &[LogicalId]), asked: &[LogicalId]) -> Vec<CompiledConsent> {
    tracing::error!(problem, "a Consent cannot be read: its patient is hidden until another version is stored and confirmed");
    let whose = patients.iter().filter(|patient| asked.contains(patient));
    whose.map(|patient| CompiledConsent::unreadable(id.clone(), patient.clone())).collect()
}

/// The same for an earlier version; its own id does not matter.
fn lost(problem: &str, patient: &str) -> Option<CompiledConsent> {
    tracing::error!(problem, "a version of a Consent that counts cannot be read: its patient is hidden");
    let patient = LogicalId::parse(patient)?;
    Some(CompiledConsent::unreadable(patient.clone(), patient))
}

/// What a version of a Consent says where it counts. One that could not be decided by rows denies everything, here as there.
pub fn compiled(stored: &StoredVersion, context: &Context<'_>, standing: Standing) -> Option<CompiledConsent> {
    let (Some(body), Some(patient)) = (&stored.body, stored.patients.first()) else { return None };
    let read = CompiledConsent::of_body(body, context, (stored.id.clone(), patient.clone()), standing);
    read.map(|consent| consent.of_version(stored.version.clone()))
}

/// A version that is not the current one.
fn earlier(connection: &Connection, seal: &Seal, pk: i64, version: &str) -> Result<Option<StoredVersion>, StoreError> {
    let row = earlier_row(connection, pk, version)?;
    row.map(|row| Ok(row.open(&mut seal.opener(connection))?.1)).transpose()
}

fn earlier_row(connection: &Connection, pk: i64, version: &str) -> Result<Option<SealedRow>, StoreError> {
    let sql = "SELECT r.pk, l.type, l.id, r.version, r.last_updated, r.deleted, r.patients, r.data_key, r.body, r.security \
        FROM version r CROSS JOIN locator l ON l.pk = r.pk WHERE r.pk = ?1 AND r.version = ?2";
    let mut statement = connection.prepare_cached(sql).map_err(store_error)?;
    statement.query_row(params![pk, version], |row| Ok(SealedRow::take(row))).optional().map_err(store_error)?.transpose()
}

/// The version of a Consent that is stored under this id, current or not.
pub fn version(connection: &Connection, seal: &Seal, pk: i64, version: &str) -> Result<Option<StoredVersion>, StoreError> {
    match current(connection, seal, pk)? {
        Some(current) if current.version.as_str() == version => Ok(Some(current)),
        _ => earlier(connection, seal, pk, version),
    }
}

/// The id of a version, the current one or the one that is named, and its patients, of a row that cannot be opened. A deletion is nobody's.
pub fn outline(connection: &Connection, pk: i64, named: Option<&str>) -> Result<(String, Vec<LogicalId>), StoreError> {
    let sql = "SELECT version, patients FROM resource WHERE pk = ?1 AND deleted = 0 AND (?2 IS NULL OR version = ?2) \
        UNION ALL SELECT version, patients FROM version WHERE pk = ?1 AND deleted = 0 AND version = ?2";
    let mut statement = connection.prepare_cached(sql).map_err(store_error)?;
    let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?));
    let found = statement.query_row(params![pk, named], row).optional().map_err(store_error)?;
    let (version, patients) = found.unwrap_or_default();
    Ok((version, read::patients(&patients)?))
}

/// The current version of a resource, also where it is a deletion.
pub fn current(connection: &Connection, seal: &Seal, pk: i64) -> Result<Option<StoredVersion>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM resource r CROSS JOIN locator l ON l.pk = r.pk WHERE r.pk = ?1");
    let mut statement = connection.prepare_cached(&sql).map_err(store_error)?;
    let row = statement.query_row([pk], |row| Ok(read::open_row(connection, seal, row))).optional().map_err(store_error)?;
    Ok(row.transpose()?.map(|(_, version)| version))
}

/// To what the resources refer to which these consents relate; what is not there refers to nothing.
pub fn related(
    connection: &Connection,
    seal: &Seal,
    base_url: &str,
    consents: &[&CompiledConsent],
) -> Result<Vec<(LocalReference, Vec<LocalReference>)>, StoreError> {
    let targets: BTreeSet<LocalReference> = consents.iter().flat_map(|consent| consent.related()).collect();
    let mut related = Vec::with_capacity(targets.len());
    for target in targets {
        let pk = locator::find(connection, target.resource_type, target.id.as_str())?;
        let stored = pk.map(|pk| current(connection, seal, pk)).transpose()?.flatten();
        let resource = stored.and_then(|stored| Resource::parse(&stored.body?).ok());
        related.push((target, resource.map(|resource| index::references(&resource, base_url)).unwrap_or_default()));
    }
    Ok(related)
}
