//! The labels of a version about to be stored: what its own content means, and what it refers to.
//!
//! DS4P, "indirect hints": a MedicationRequest says by its reference to a Medication what another says by a code. Followed are references to what gives away why
//! somebody is treated ([`TELLING`]), one step, as these are stored at this moment; what comes later is found when all is labelled anew.

use portcullis_fhir::json::{self, Value};
use portcullis_fhir::labels::body::{self, Content};
use portcullis_fhir::labels::{Labels, Rules, Security, carried};
use portcullis_fhir::redaction::{self, inline};
use portcullis_fhir::reference::LocalReference;
use portcullis_fhir::types::ResourceType;
use portcullis_fhir::version::NewVersion;
use portcullis_policy::StoredVersion;
use portcullis_store::StoreError;
use rusqlite::{Connection, OptionalExtension, params};

use super::database::store_error;
use super::read;
use super::seal::Seal;

/// The labels that content has of itself: what its codes mean, and what its writer gave it. A label that this server does not know and the rules do not name is
/// [`Labels::UNKNOWN`].
pub fn own_labels(rules: &Rules, content: &Content) -> Labels {
    let of_codes = content.concepts.iter().map(|concept| rules.labels(&concept.system, &concept.code));
    let named =
        content.unrecognised.iter().map(|label| Some(rules.labels(&label.system, &label.code)).filter(|named| !named.is_empty()));
    of_codes.chain(named.map(|named| named.unwrap_or(Labels::UNKNOWN))).fold(content.claimed, |labels, more| labels | more)
}

/// The labels of those stored resources to which these references of a resource lead and by which it would be understood. `may_use` says of a locator whether
/// whoever writes may know what is there.
pub fn hints(
    connection: &Connection,
    (of, references): (ResourceType, &[LocalReference]),
    mut may_use: impl FnMut(i64) -> Result<bool, StoreError>,
) -> Result<Labels, StoreError> {
    let mut labels = Labels::NONE;
    // A Binary is as confidential as its security context.
    let tells = |reference: &&LocalReference| of == ResourceType::BINARY || TELLING.contains(&reference.resource_type);
    for reference in references.iter().filter(tells) {
        let sql = "SELECT r.pk, r.security FROM locator l CROSS JOIN resource r ON r.pk = l.pk \
             WHERE l.type = ?1 AND l.id = ?2 AND r.deleted = 0 AND r.security <> 0";
        let mut statement = connection.prepare_cached(sql).map_err(store_error)?;
        let identity = params![reference.resource_type.code(), reference.id.as_str()];
        let found = statement.query_row(identity, |row| Ok((row.get(0)?, row.get(1)?))).optional().map_err(store_error)?;
        let Some((pk, security)) = found else { continue };
        // That an element of what it refers to has a label of its own says nothing of its own elements.
        let hint = read::security(security)?.labels.lasting();
        if !labels.contains(hint) && may_use(pk)? {
            labels = labels | hint;
        }
    }
    Ok(labels)
}

/// What of the labels inside the version before counts for the one that follows.
#[derive(Debug, Default)]
pub struct Inside {
    /// Whether somebody who is not cleared for everything is not shown all of it.
    pub hides: bool,
    /// Labels of its elements that the new version has not on the same elements: they count for the whole of it, so that nobody lowers them by leaving them out.
    pub dropped: Labels,
    /// Labels in its body that the new version leaves out: they stay.
    missing: Vec<Value>,
}

impl Inside {
    /// The proposed version with the labels that stay, where it left some out.
    pub fn kept(&mut self, proposed: &NewVersion) -> Result<Option<NewVersion>, StoreError> {
        if self.missing.is_empty() {
            return Ok(None);
        }
        let kept = proposed.keeping(std::mem::take(&mut self.missing));
        kept.map(Some).map_err(|issue| StoreError::NotSupported(issue.diagnostics))
    }
}

/// What the labels inside the current version mean for the one that follows; of a deletion those inside what was deleted. A body without any is not opened.
pub fn inside(
    connection: &Connection,
    seal: &Seal,
    (pk, is_deleted): (i64, bool),
    proposed: &[u8],
) -> Result<Inside, StoreError> {
    let (table, newest) = if is_deleted { ("version", "ORDER BY r.sequence DESC LIMIT 1") } else { ("resource", "") };
    let columns = read::COLUMNS.replace("r.type", "l.type");
    let sql = format!("SELECT {columns} FROM {table} r CROSS JOIN locator l ON l.pk = r.pk WHERE r.pk = ?1 {newest}");
    let mut statement = connection.prepare_cached(&sql).map_err(store_error)?;
    let row = statement.query_row([pk], |row| Ok(read::open_row(connection, seal, row))).optional();
    let Some(row) = row.map_err(store_error)? else { return Ok(Inside::default()) };
    match row {
        Ok((_, stored)) => Ok(between(&stored, proposed)),
        // What was deleted may be damaged: it is made anew.
        Err(StoreError::Corrupt(_)) if is_deleted => Ok(Inside::default()),
        Err(error) => Err(error),
    }
}

fn between(stored: &StoredVersion, proposed: &[u8]) -> Inside {
    let Security { labels, residual, .. } = stored.security;
    if !labels.contains(Labels::INLINE) && !residual {
        return Inside::default();
    }
    let Some(before) = stored.body.as_deref().map(json::parse) else { return Inside::default() };
    // What cannot be read hides everything.
    let (Ok(before), Ok(after)) = (before, json::parse(proposed)) else {
        return Inside { hides: true, ..Inside::default() };
    };
    Inside {
        hides: inline::find(&before).present || body::obliges(&before),
        dropped: redaction::dropped(&before, &after),
        missing: carried::missing(&before, &after),
    }
}

/// The version that was written, with its labels.
pub fn stored(version: &NewVersion, security: Security) -> StoredVersion {
    StoredVersion {
        resource_type: version.resource_type,
        id: version.id.clone(),
        version: version.version.clone(),
        last_updated: version.last_updated,
        patients: version.patients.clone(),
        security,
        grounds: Vec::new(),
        body: Some(version.body.clone()),
    }
}

/// The types that give away why somebody is treated: whatever refers to one says what that one says. Others would spread labels over whole charts.
const TELLING: [ResourceType; 4] =
    [ResourceType::MEDICATION, ResourceType::CONDITION, ResourceType::OBSERVATION, ResourceType::HEALTHCARE_SERVICE];
