//! Brings the rows of `care` up to date that resources have from before: those stored before organisations and general practitioners were actors in it lack some
//! (migration 20), and those of teams had no times (migration 31).
//!
//! It runs once, before the server listens, in transactions of some hundred resources. What an Encounter or CareTeam says of practitioners is never added to: what
//! a writer was not let state then must not come back here.

use portcullis_fhir::care::{self, Carer};
use portcullis_fhir::index;
use portcullis_fhir::resource::Resource;
use portcullis_fhir::types::ResourceType;
use portcullis_store::StoreError;
use rusqlite::{Connection, params};

use super::database::store_error;
use super::index_backlog::Progress;
use super::locator::Locators;
use super::read::{COLUMNS, SealedRow};
use super::row_codec;
use super::rows::{self, Row, Source};
use super::seal::Seal;

/// Resources in one transaction.
const BATCH: i64 = 500;
/// The types that state more than they did, or until when.
const STATING: [ResourceType; 4] =
    [ResourceType::PATIENT, ResourceType::ENCOUNTER, ResourceType::EPISODE_OF_CARE, ResourceType::CARE_TEAM];

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
        |carer: &Carer| resource_type == ResourceType::PATIENT || carer.actor.resource_type == ResourceType::ORGANIZATION;
    let mut carers = care::carers(&resource, &index::extract(&resource, base_url), base_url);
    let patients = version.patients.iter().map(|patient| locators.obtain(connection, ResourceType::PATIENT, patient.as_str()));
    let patients = patients.collect::<Result<Vec<i64>, _>>()?;
    let before = row_codec::load(connection, pk)?;
    let mut source = Source { connection, locators, seal };
    let mut rows;
    if resource_type == ResourceType::CARE_TEAM {
        let mut stated = Vec::new();
        source.care(&carers, &patients, &mut stated)?;
        rows = before.iter().flat_map(|row| within(row, &stated)).collect::<Vec<_>>();
    } else {
        rows = before.clone();
        carers.retain(is_new);
        source.care(&carers, &patients, &mut rows)?;
    }
    rows.sort_unstable();
    rows.dedup();
    if rows == before {
        return Ok(false);
    }
    rows::replace(connection, pk, &rows)?;
    Ok(true)
}

/// A row as far as these state it, too: of a relationship the times in both, of anything else the row.
fn within(row: &Row, stated: &[Row]) -> Vec<Row> {
    let Row::Care { actor, patient, time } = row else { return vec![row.clone()] };
    let times = stated.iter().filter_map(|other| match other {
        Row::Care { actor: who, patient: whose, time: when } if who == actor && whose == patient => when.meet(*time),
        _ => None,
    });
    times.map(|time| Row::Care { actor: *actor, patient: *patient, time }).collect()
}
