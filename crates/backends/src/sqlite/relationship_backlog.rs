//! Adds the rows of `care` that resources lack because they were stored before organisations and general practitioners were actors in it (migration 20).
//!
//! It runs once, before the server listens, in transactions of some hundred resources. What an Encounter or CareTeam says of practitioners is left as it is: what
//! a writer was not let state then must not come back here.

use portcullis_fhir::compartment;
use portcullis_fhir::index;
use portcullis_fhir::reference::LocalReference;
use portcullis_fhir::resource::Resource;
use portcullis_fhir::types::ResourceType;
use portcullis_store::StoreError;
use rusqlite::{Connection, params};

use super::database::store_error;
use super::index_backlog::Progress;
use super::locator::Locators;
use super::read::{COLUMNS, SealedRow};
use super::row_codec;
use super::rows::{self, Source};
use super::seal::Seal;

/// Resources in one transaction.
const BATCH: i64 = 500;
/// The types that state more than they did.
const STATING: [ResourceType; 3] = [ResourceType::PATIENT, ResourceType::ENCOUNTER, ResourceType::EPISODE_OF_CARE];

/// Takes the next resources from the backlog. `base_url` tells local references from foreign ones.
pub fn step(connection: &Connection, seal: &Seal, base_url: &str) -> Result<Progress, StoreError> {
    let waiting = {
        let mut statement =
            connection.prepare("SELECT pk FROM relationship_backlog ORDER BY pk LIMIT ?1").map_err(store_error)?;
        let rows = statement.query_map([BATCH], |row| row.get(0)).map_err(store_error)?;
        rows.collect::<Result<Vec<i64>, _>>().map_err(store_error)?
    };
    let mut progress = Progress { seen: waiting.len(), ..Progress::default() };
    let mut locators = Locators::new();
    for pk in &waiting {
        match complete(connection, seal, &mut locators, (*pk, base_url)) {
            Ok(added) => progress.completed += usize::from(added),
            Err(StoreError::Corrupt(_)) => progress.unreadable += 1,
            Err(error) => return Err(error),
        }
    }
    if let Some(last) = waiting.last() {
        connection.execute("DELETE FROM relationship_backlog WHERE pk <= ?1", params![last]).map_err(store_error)?;
    }
    Ok(progress)
}

fn complete(
    connection: &Connection,
    seal: &Seal,
    locators: &mut Locators,
    (pk, base_url): (i64, &str),
) -> Result<bool, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM resource r CROSS JOIN locator l ON l.pk = r.pk WHERE r.pk = ?1 AND r.deleted = 0");
    let mut statement = connection.prepare_cached(&sql).map_err(store_error)?;
    let mut found = statement.query([pk]).map_err(store_error)?;
    let Some(row) = found.next().map_err(store_error)? else { return Ok(false) };
    let row = SealedRow::take(row)?;
    let resource_type = row.resource_type();
    if !STATING.contains(&resource_type) {
        return Ok(false);
    }
    let (_, version) = row.open(&mut seal.opener(connection))?;
    let resource = Resource::parse(&version.body.unwrap_or_default())
        .map_err(|_| StoreError::Corrupt(format!("the resource {pk} is not what this program stores")))?;
    let is_new =
        |actor: &LocalReference| resource_type == ResourceType::PATIENT || actor.resource_type == ResourceType::ORGANIZATION;
    let mut actors = compartment::care_actors(&resource, &index::extract(&resource, base_url), (base_url, version.last_updated));
    actors.retain(is_new);
    let patients = version.patients.iter().map(|patient| locators.obtain(connection, ResourceType::PATIENT, patient.as_str()));
    let patients = patients.collect::<Result<Vec<i64>, _>>()?;
    let mut rows = row_codec::load(connection, pk)?;
    let before = rows.len();
    Source { connection, locators, seal }.care(&actors, &patients, &mut rows)?;
    rows.sort_unstable();
    rows.dedup();
    if rows.len() == before {
        return Ok(false);
    }
    rows::replace(connection, pk, &rows)?;
    Ok(true)
}
