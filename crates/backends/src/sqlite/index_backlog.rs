//! Adds the index rows that resources lack because they were stored before a migration made the table (`index_backlog`).
//!
//! It runs before the server listens, in transactions of some hundred resources: an interrupted one goes on at the next start. A resource that was
//! changed meanwhile has its rows already, and having them put again changes nothing. Only rows that the migration brought are derived here: all
//! others stay as they were put.

use portcullis_fhir::index::{self, IndexEntry, IndexValue};
use portcullis_fhir::resource::Resource;
use portcullis_store::StoreError;
use rusqlite::{Connection, params};

use super::database::store_error;
use super::locator::Locators;
use super::read::{COLUMNS, SealedRow};
use super::row_codec;
use super::rows::{self, Source};
use super::seal::Seal;

/// Resources in one transaction.
const BATCH: i64 = 500;

/// What one transaction did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Resources that left the backlog; none when it is empty.
    pub seen: usize,
    /// Those of them that got rows.
    pub completed: usize,
    /// Those that cannot be read, and are found by nothing new.
    pub unreadable: usize,
}

/// Takes the next resources from the backlog. `base_url` tells local references from foreign ones.
pub fn step(connection: &Connection, seal: &Seal, base_url: &str) -> Result<Progress, StoreError> {
    let waiting = {
        let mut statement = connection.prepare("SELECT pk FROM index_backlog ORDER BY pk LIMIT ?1").map_err(store_error)?;
        let rows = statement.query_map([BATCH], |row| row.get(0)).map_err(store_error)?;
        rows.collect::<Result<Vec<i64>, _>>().map_err(store_error)?
    };
    let mut progress = Progress { seen: waiting.len(), ..Progress::default() };
    let mut locators = Locators::new();
    for pk in &waiting {
        match complete(connection, seal, &mut locators, *pk, base_url) {
            Ok(added) => progress.completed += usize::from(added),
            Err(StoreError::Corrupt(_)) => progress.unreadable += 1,
            Err(error) => return Err(error),
        }
    }
    if let Some(last) = waiting.last() {
        connection.execute("DELETE FROM index_backlog WHERE pk <= ?1", params![last]).map_err(store_error)?;
    }
    Ok(progress)
}

/// Adds the rows that one resource lacks; `false` where it lacks none.
fn complete(connection: &Connection, seal: &Seal, locators: &mut Locators, pk: i64, base_url: &str) -> Result<bool, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM resource r CROSS JOIN locator l ON l.pk = r.pk WHERE r.pk = ?1 AND r.deleted = 0");
    let mut statement = connection.prepare_cached(&sql).map_err(store_error)?;
    let mut found = statement.query([pk]).map_err(store_error)?;
    let Some(row) = found.next().map_err(store_error)? else { return Ok(false) };
    let row = SealedRow::take(row)?;
    if !index::has_composites_over_elements(row.resource_type()) {
        return Ok(false);
    }
    let (_, version) = row.open(&mut seal.opener(connection))?;
    let resource = Resource::parse(&version.body.unwrap_or_default())
        .map_err(|_| StoreError::Corrupt(format!("the resource {pk} is not what this program stores")))?;
    let indexable = resource.indexable();
    let mut entries = index::extract(indexable.as_ref().unwrap_or(&resource), base_url);
    entries.retain(|IndexEntry { value, .. }| matches!(value, IndexValue::Component { .. }));
    let mut rows = row_codec::load(connection, pk)?;
    let before = rows.len();
    let mut source = Source { connection, locators, seal };
    source.components(&entries, &mut rows)?;
    rows.sort_unstable();
    rows.dedup();
    if rows.len() == before {
        return Ok(false);
    }
    rows::replace(connection, pk, &rows)?;
    Ok(true)
}
