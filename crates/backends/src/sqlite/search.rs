//! A search from the permit to a page: matches, what they include, the total, and the bookmark of the next page.
//!
//! Everything is read in one snapshot, which the caller opens. Nothing here decides what is visible: that stands in the statements that
//! [`search_sql`] and [`mod@include`] make.

use portcullis_fhir::search::{SearchQuery, Shape, Total};
use portcullis_policy::rules::consent::Verdicts;
use portcullis_policy::{Constraint, SearchPage, StoredVersion};
use portcullis_store::StoreError;
use rusqlite::Connection;
use rusqlite::types::Value;

use super::consents::sight::Sight;
use super::cursor::{Bookmarks, Position};
use super::database::store_error;
use super::include;
use super::read::{self, COLUMNS, Found, SealedRow};
use super::seal::Seal;
use super::search_filter::Resolver;
use super::search_sql::{self, PageRows, SearchStatements};
use super::visibility;

/// The most bytes of bodies in one page, and as many again for what it includes: a page of large documents is shorter than was asked for.
pub const PAGE_BYTES: i64 = 16 * 1024 * 1024;

/// Columns of a sorted page's statement before those of the position.
const COLUMNS_BEFORE_POSITION: usize = 1;
/// The column of [`COLUMNS`] with the id, and the one behind them by which an index orders.
const ID: usize = 2;
const INDEXED: usize = 10;

/// One page of a search. `binding` names the principal and context to which bookmarks are bound.
pub fn search(
    connection: &Connection,
    seal: &Seal,
    constraint: &Constraint,
    query: &SearchQuery,
    binding: &[u8],
) -> Result<Found<SearchPage>, StoreError> {
    let sight = Sight::of_search(connection, seal, constraint, query)?;
    let constraint = sight.constraint();
    let bookmarks = Bookmarks::new(seal, "search", binding, &query.canonical());
    let after = query.cursor.as_deref().map(|bookmark| bookmarks.open(bookmark)).transpose()?;
    let statements = search_sql::compile(query, &Resolver { connection, seal, constraint }, after.as_ref())?;
    let total = wants_total(query).then(|| count(connection, &statements)).transpose()?;
    if counts_only(query) {
        // Of whom something was counted nothing is known to be missing.
        let denied = if total == Some(0) { sight.denied(connection, query.resource_type, &[])? } else { Verdicts::default() };
        return Ok(Found { denied, ..Found::nothing(SearchPage { total, ..SearchPage::default() }) });
    }

    let size = usize::try_from(query.count).unwrap_or(usize::MAX);
    let Page { rows, end } = match statements.rows {
        PageRows::InOrderOfIndex => walk(connection, &statements, size)?,
        PageRows::Sorted => look_up(connection, places(connection, &statements)?, size)?,
    };
    let next = end.map(|position| bookmarks.seal(&position)).transpose()?;
    let matches: Vec<i64> = rows.iter().map(|row| row.pk).collect();
    let included = include::included(connection, query, constraint, &matches)?;
    refuse_oversized(connection, &included)?;
    let matches = open(connection, seal, constraint, rows)?;
    let included = included.into_iter().map(|pk| sealed_row(connection, pk)).collect::<Result<Vec<_>, _>>()?;
    let included = open(connection, seal, constraint, included)?;
    let versions: Vec<&StoredVersion> = matches.iter().chain(&included).collect();
    let in_care = read::patients_in_care(connection, constraint, &versions)?;
    let consulted = sight.consult(connection, seal, &versions)?;
    let denied = sight.denied(connection, query.resource_type, &versions)?;
    Ok(Found { content: SearchPage { matches, included, total, next }, in_care, consulted, denied })
}

/// The matches of a page, in order.
struct Page {
    rows: Vec<SealedRow>,
    /// The place after which the next page begins, where there is one.
    end: Option<Position>,
}

/// A page from a statement that delivers whole rows in the order of an index.
fn walk(connection: &Connection, statements: &SearchStatements, size: usize) -> Result<Page, StoreError> {
    let mut window = Window { room: size.saturating_add(1), bytes: 0, rows: Vec::with_capacity(size.min(100) + 1) };
    let mut failed = None;
    let offer = |row: &rusqlite::Row<'_>| {
        Ok(window.offer(row).unwrap_or_else(|error| {
            failed = Some(error);
            false
        }))
    };
    statements.parameters.for_each_row(connection, &statements.page, offer).map_err(store_error)?;
    failed.map_or_else(|| Ok(window.page()), Err)
}

/// The first rows of an order of which an index delivers the first value; the id decides among those that agree in it.
struct Window {
    /// The rows of a page, and one.
    room: usize,
    /// The bytes of all rows in the window.
    bytes: i64,
    rows: Vec<(i64, SealedRow)>,
}

impl Window {
    /// Takes a row if it is one of the first; whether a later one may be.
    fn offer(&mut self, row: &rusqlite::Row<'_>) -> Result<bool, StoreError> {
        let value: i64 = row.get(INDEXED).map_err(store_error)?;
        let ties = self.rows.iter().rev().take_while(|(other, _)| *other == value).count();
        let full = self.rows.len() >= self.room;
        if full && ties == 0 {
            return Ok(false);
        }
        let id = row.get_ref(ID).map_err(store_error)?.as_str().map_err(|_| corrupt_id())?;
        let later = self.rows.iter().rev().take(ties).take_while(|(_, other)| other.id.as_str() > id).count();
        if full && later == 0 {
            return Ok(true);
        }
        let row = SealedRow::take(row)?;
        self.bytes = self.bytes.saturating_add(row.length());
        self.rows.insert(self.rows.len() - later, (value, row));
        self.narrow();
        Ok(true)
    }

    /// Drops what lies behind the page, which ends before the row with which it becomes too large.
    fn narrow(&mut self) {
        while let [_, .., (_, last)] = self.rows.as_slice() {
            let before_last = self.bytes - last.length();
            if self.rows.len() <= self.room && (self.rows.len() == 2 || before_last <= PAGE_BYTES) {
                break;
            }
            self.bytes = before_last;
            self.rows.pop();
        }
        if self.rows.len() > 1 && self.bytes > PAGE_BYTES {
            self.room = self.rows.len();
        }
    }

    fn page(mut self) -> Page {
        let mut end = None;
        if self.rows.len() >= self.room {
            self.rows.truncate(self.room.saturating_sub(1));
            let place = |(value, row): &(i64, SealedRow)| vec![Value::Integer(*value), Value::Text(row.id.as_str().to_owned())];
            end = self.rows.last().map(place);
        }
        Page { rows: self.rows.into_iter().map(|(_, row)| row).collect(), end }
    }
}

fn corrupt_id() -> StoreError {
    StoreError::Corrupt("a row of locator has an impossible id".to_owned())
}

/// A page from places in order: at most `size` rows, and after the first no more than [`PAGE_BYTES`].
fn look_up(connection: &Connection, places: Vec<(i64, Position)>, size: usize) -> Result<Page, StoreError> {
    let mut page = Page { rows: Vec::with_capacity(places.len().min(size)), end: None };
    let (mut bytes, mut last) = (0_i64, None);
    for (pk, position) in places {
        if page.rows.len() == size {
            page.end = last;
            break;
        }
        let row = sealed_row(connection, pk)?;
        bytes = bytes.saturating_add(row.length());
        if bytes > PAGE_BYTES && !page.rows.is_empty() {
            page.end = last;
            break;
        }
        page.rows.push(row);
        last = Some(position);
    }
    Ok(page)
}

/// The current version of what a statement with the constraint has found.
fn sealed_row(connection: &Connection, pk: i64) -> Result<SealedRow, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM resource r CROSS JOIN locator l ON l.pk = r.pk WHERE r.pk = ?1");
    let mut statement = connection.prepare_cached(&sql).map_err(store_error)?;
    statement.query_row([pk], |row| Ok(SealedRow::take(row))).map_err(store_error)?
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
    let total = statements.parameters.integer(connection, &statements.count()).map_err(store_error)?;
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
fn open(
    connection: &Connection,
    seal: &Seal,
    constraint: &Constraint,
    found: Vec<SealedRow>,
) -> Result<Vec<StoredVersion>, StoreError> {
    let mut opener = seal.opener(connection);
    let mut opened = Vec::with_capacity(found.len());
    for row in found {
        opened.push(row.open(&mut opener)?);
    }
    visibility::grounds(connection, constraint, constraint.letter(), &mut opened)?;
    Ok(opened.into_iter().map(|(_, version)| version).collect())
}
