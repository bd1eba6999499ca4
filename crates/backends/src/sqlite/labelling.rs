//! The labels of a version about to be stored: what its own content means, and what it refers to.
//!
//! DS4P, "indirect hints": a MedicationRequest says by its reference to a Medication what another says by a code. Followed are references to what gives away why
//! somebody is treated ([`TELLING`]), one step, as these are stored at this moment; what comes later is found when all is labelled anew.

use portcullis_fhir::labels::body::Content;
use portcullis_fhir::labels::{Labels, Rules};
use portcullis_fhir::reference::LocalReference;
use portcullis_fhir::types::ResourceType;
use portcullis_store::StoreError;
use rusqlite::{Connection, OptionalExtension, params};

use super::database::store_error;
use super::read;

/// The labels that content has of itself: what its codes mean, and what its writer gave it.
pub fn own_labels(rules: &Rules, content: &Content) -> Labels {
    let of_codes = content.concepts.iter().map(|concept| rules.labels(&concept.system, &concept.code));
    of_codes.fold(content.claimed, |labels, more| labels | more)
}

/// The labels of those stored resources to which these references of a resource lead and by which it would be understood. `may_use` says of a locator whether
/// whoever writes may know what is there.
pub fn hints(
    connection: &Connection,
    references: &[LocalReference],
    mut may_use: impl FnMut(i64) -> Result<bool, StoreError>,
) -> Result<Labels, StoreError> {
    let mut labels = Labels::NONE;
    for reference in references.iter().filter(|reference| TELLING.contains(&reference.resource_type)) {
        let sql = "SELECT r.pk, r.security FROM locator l CROSS JOIN resource r ON r.pk = l.pk \
             WHERE l.type = ?1 AND l.id = ?2 AND r.deleted = 0 AND r.security <> 0";
        let mut statement = connection.prepare_cached(sql).map_err(store_error)?;
        let identity = params![reference.resource_type.code(), reference.id.as_str()];
        let found = statement.query_row(identity, |row| Ok((row.get(0)?, row.get(1)?))).optional().map_err(store_error)?;
        let Some((pk, security)) = found else { continue };
        let hint = read::security(security)?.labels;
        if !labels.contains(hint) && may_use(pk)? {
            labels = labels | hint;
        }
    }
    Ok(labels)
}

/// The types that give away why somebody is treated: whatever refers to one says what that one says. Others would spread labels over whole charts.
const TELLING: [ResourceType; 4] =
    [ResourceType::MEDICATION, ResourceType::CONDITION, ResourceType::OBSERVATION, ResourceType::HEALTHCARE_SERVICE];
