//! A search from the permit to a page: matches, what they include, the total, and the bookmark of the next page.
//!
//! Everything is read in one snapshot, which the caller opens. Nothing here decides what is visible: that stands in the statements that
//! [`search_sql`] and [`mod@include`] make.

use portcullis_fhir::search::{SearchQuery, Shape, Total};
use portcullis_policy::{Constraint, SearchPage, StoredVersion};
use portcullis_store::StoreError;
use rusqlite::Connection;

use super::cursor::{Bookmarks, Position};
use super::database::store_error;
use super::include;
use super::read::{self, COLUMNS, Found};
use super::seal::Seal;
use super::search_filter::Resolver;
use super::search_sql::{self, SearchStatements};
use super::visibility;

/// The most bytes of bodies in one page, and as many again for what it includes: a page of large documents is shorter than was asked for.
pub const PAGE_BYTES: i64 = 16 * 1024 * 1024;

/// Columns of a page's statement before those of the position.
const COLUMNS_BEFORE_POSITION: usize = 1;

/// One page of a search. `binding` names the principal and context to which bookmarks are bound.
pub fn search(
    connection: &Connection,
    seal: &Seal,
    constraint: &Constraint,
    query: &SearchQuery,
    binding: &[u8],
) -> Result<Found<SearchPage>, StoreError> {
    let bookmarks = Bookmarks::new(seal, "search", binding, &query.canonical());
    let after = query.cursor.as_deref().map(|bookmark| bookmarks.open(bookmark)).transpose()?;
    let statements = search_sql::compile(query, constraint, &Resolver { connection, seal }, after.as_ref())?;
    let total = wants_total(query).then(|| count(connection, &statements)).transpose()?;
    if counts_only(query) {
        return Ok(Found { content: SearchPage { total, ..SearchPage::default() }, in_care: Vec::new() });
    }

    let size = usize::try_from(query.count).unwrap_or(usize::MAX);
    let mut places = places(connection, &statements)?;
    let size = within_budget(connection, &places, size)?;
    let next = if places.len() > size { places.get(size.saturating_sub(1)).map(|place| bookmarks.seal(&place.1)) } else { None };
    let next = next.transpose()?;
    places.truncate(size);
    let matches: Vec<i64> = places.into_iter().map(|(pk, _)| pk).collect();
    let included = include::included(connection, query, constraint, &matches)?;
    refuse_oversized(connection, &included)?;
    let matches = open(connection, seal, constraint, &matches)?;
    let included = open(connection, seal, constraint, &included)?;
    let versions: Vec<&StoredVersion> = matches.iter().chain(&included).collect();
    let in_care = read::patients_in_care(connection, constraint, &versions)?;
    Ok(Found { content: SearchPage { matches, included, total, next }, in_care })
}

/// How many of the places fit into one page: at most `size`, and after the first no more than [`PAGE_BYTES`].
fn within_budget(connection: &Connection, places: &[(i64, Position)], size: usize) -> Result<usize, StoreError> {
    let mut bytes = 0;
    for (kept, (pk, _)) in places.iter().take(size).enumerate() {
        bytes += stored_bytes(connection, *pk)?;
        if bytes > PAGE_BYTES && kept > 0 {
            return Ok(kept);
        }
    }
    Ok(size)
}

fn stored_bytes(connection: &Connection, pk: i64) -> Result<i64, StoreError> {
    let mut statement = connection.prepare_cached("SELECT length(body) FROM resource WHERE pk = ?1").map_err(store_error)?;
    statement.query_row([pk], |row| row.get::<_, Option<i64>>(0)).map(Option::unwrap_or_default).map_err(store_error)
}

fn refuse_oversized(connection: &Connection, included: &[i64]) -> Result<(), StoreError> {
    let mut bytes = 0;
    for pk in included {
        bytes += stored_bytes(connection, *pk)?;
    }
    if bytes > PAGE_BYTES {
        return Err(StoreError::NotSupported(
            "The included resources are too large for one page. Ask for fewer matches with _count.".to_owned(),
        ));
    }
    Ok(())
}

/// Whether the answer has no matches by its own wish.
fn counts_only(query: &SearchQuery) -> bool {
    query.count == 0 || query.shape == Shape::Count
}

fn wants_total(query: &SearchQuery) -> bool {
    counts_only(query) || query.total != Total::None
}

fn count(connection: &Connection, statements: &SearchStatements) -> Result<u64, StoreError> {
    let total = statements.parameters.integer(connection, &statements.count).map_err(store_error)?;
    u64::try_from(total).map_err(|_| StoreError::Corrupt("a negative count".to_owned()))
}

/// The rows of a page with their positions, one more than the page has where another page follows.
fn places(connection: &Connection, statements: &SearchStatements) -> Result<Vec<(i64, Position)>, StoreError> {
    let place = |row: &rusqlite::Row<'_>| {
        let columns = COLUMNS_BEFORE_POSITION..COLUMNS_BEFORE_POSITION + statements.width;
        Ok((row.get(0)?, columns.map(|column| row.get(column)).collect::<rusqlite::Result<Position>>()?))
    };
    statements.parameters.rows(connection, &statements.page, place).map_err(store_error)
}

/// Opens rows that a statement with the constraint has found, in this order, with what makes them visible.
fn open(connection: &Connection, seal: &Seal, constraint: &Constraint, found: &[i64]) -> Result<Vec<StoredVersion>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM resource r CROSS JOIN locator l ON l.pk = r.pk WHERE r.pk = ?1");
    let mut statement = connection.prepare_cached(&sql).map_err(store_error)?;
    let mut opened = Vec::with_capacity(found.len());
    for pk in found {
        let version = statement.query_row([pk], |row| Ok(read::open_row(connection, seal, row)));
        opened.push(version.map_err(store_error)??);
    }
    visibility::grounds(connection, constraint, constraint.letter(), &mut opened)?;
    Ok(opened.into_iter().map(|(_, version)| version).collect())
}
