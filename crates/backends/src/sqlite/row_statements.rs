//! The statements that put and remove index rows, prepared once per write.

use portcullis_store::StoreError;
use rusqlite::{CachedStatement, Connection, params};

use super::database::store_error;
use super::rows::{ComponentRow, Row};

/// For each table: how a row is put, and how it is removed.
const SQL: [(&str, &str); 11] = [
    (
        "INSERT OR IGNORE INTO compartment (pk, patient, type, neg_time) VALUES (?1, ?2, ?3, ?4)",
        "DELETE FROM compartment WHERE pk = ?1 AND patient = ?2 AND type = ?3 AND neg_time = ?4",
    ),
    (
        "INSERT OR IGNORE INTO care (source, actor, patient, since, until) VALUES (?1, ?2, ?3, ?4, ?5)",
        "DELETE FROM care WHERE source = ?1 AND actor = ?2 AND patient = ?3 AND since = ?4 AND until = ?5",
    ),
    (
        "INSERT OR IGNORE INTO shared_link (source, target) VALUES (?1, ?2)",
        "DELETE FROM shared_link WHERE source = ?1 AND target = ?2",
    ),
    ("INSERT OR IGNORE INTO about (source, target) VALUES (?1, ?2)", "DELETE FROM about WHERE source = ?1 AND target = ?2"),
    (
        "INSERT OR IGNORE INTO index_token (pk, parameter, code, system, neg_time) VALUES (?1, ?2, ?3, ?4, ?5)",
        "DELETE FROM index_token WHERE pk = ?1 AND parameter = ?2 AND code = ?3 AND system = ?4 AND neg_time = ?5",
    ),
    (
        "INSERT OR IGNORE INTO index_string (pk, parameter, normalised, exact) VALUES (?1, ?2, ?3, ?4)",
        "DELETE FROM index_string WHERE pk = ?1 AND parameter = ?2 AND normalised = ?3 AND exact = ?4",
    ),
    (
        "INSERT OR IGNORE INTO index_reference (pk, parameter, target, neg_time) VALUES (?1, ?2, ?3, ?4)",
        "DELETE FROM index_reference WHERE pk = ?1 AND parameter = ?2 AND target = ?3 AND neg_time = ?4",
    ),
    (
        "INSERT OR IGNORE INTO index_date (pk, parameter, low, high) VALUES (?1, ?2, ?3, ?4)",
        "DELETE FROM index_date WHERE pk = ?1 AND parameter = ?2 AND low = ?3 AND high = ?4",
    ),
    (
        "INSERT OR IGNORE INTO index_number (pk, parameter, value, low, high, system, code, unit) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        "DELETE FROM index_number WHERE pk = ?1 AND parameter = ?2 AND value = ?3 AND low = ?4 AND high = ?5 AND system = ?6 AND code = ?7 AND unit = ?8",
    ),
    (
        "INSERT OR IGNORE INTO index_uri (pk, parameter, uri) VALUES (?1, ?2, ?3)",
        "DELETE FROM index_uri WHERE pk = ?1 AND parameter = ?2 AND uri = ?3",
    ),
    (
        "INSERT OR IGNORE INTO index_composite (pk, parameter, element, component, code, system, value, low, high, unit, normalised) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        "DELETE FROM index_composite WHERE pk = ?1 AND parameter = ?2 AND element = ?3 AND component = ?4 AND code = ?5 AND system = ?6 \
         AND value = ?7 AND low = ?8 AND high = ?9 AND unit = ?10 AND normalised = ?11",
    ),
];

/// One statement per table, prepared when first needed.
pub struct RowStatements<'c> {
    connection: &'c Connection,
    removes: bool,
    prepared: [Option<CachedStatement<'c>>; SQL.len()],
}

impl<'c> RowStatements<'c> {
    /// Statements that put rows.
    pub fn inserting(connection: &'c Connection) -> Self {
        Self { connection, removes: false, prepared: Default::default() }
    }

    /// Statements that remove rows.
    pub fn removing(connection: &'c Connection) -> Self {
        Self { connection, removes: true, prepared: Default::default() }
    }

    /// Puts or removes one row of the resource with this locator.
    pub fn execute(&mut self, pk: i64, row: &Row) -> Result<(), StoreError> {
        let statement = self.statement(table(row)).map_err(store_error)?;
        let Some(statement) = statement else { return Err(StoreError::Corrupt("no such table".into())) };
        let executed = match row {
            Row::Compartment { patient, resource_type, neg_time } => {
                statement.execute(params![pk, patient, resource_type, neg_time])
            }
            Row::Care { actor, patient, time } => statement.execute([pk, *actor, *patient, time.low, time.high]),
            Row::SharedLink { target } | Row::About { target } => statement.execute([pk, *target]),
            Row::Token { parameter, code, system, neg_time } => {
                statement.execute([pk, i64::from(*parameter), *code, *system, *neg_time])
            }
            Row::String { parameter, normalised, exact } => statement.execute(params![pk, parameter, normalised, exact]),
            Row::Reference { parameter, target, neg_time } => statement.execute([pk, i64::from(*parameter), *target, *neg_time]),
            Row::Date { parameter, low, high } => statement.execute([pk, i64::from(*parameter), *low, *high]),
            Row::Number { parameter, value, low, high, system, code, unit } => {
                let [value, low, high] = [value, low, high].map(|bits| f64::from_bits(*bits));
                statement.execute(params![pk, parameter, value, low, high, system, code, unit])
            }
            Row::Uri { parameter, uri } => statement.execute(params![pk, parameter, uri]),
            Row::Component(row) => {
                let ComponentRow { parameter, element, component, code, system, numbers, unit, normalised } = &**row;
                let [value, low, high] = numbers.map(f64::from_bits);
                statement.execute(params![pk, parameter, element, component, code, system, value, low, high, unit, normalised])
            }
        };
        executed.map(|_| ()).map_err(store_error)
    }

    fn statement(&mut self, table: usize) -> rusqlite::Result<Option<&mut CachedStatement<'c>>> {
        let (Some(slot), Some((insert, remove))) = (self.prepared.get_mut(table), SQL.get(table)) else { return Ok(None) };
        if slot.is_none() {
            *slot = Some(self.connection.prepare_cached(if self.removes { remove } else { insert })?);
        }
        Ok(slot.as_mut())
    }
}

/// The row's place in [`SQL`].
fn table(row: &Row) -> usize {
    match row {
        Row::Compartment { .. } => 0,
        Row::Care { .. } => 1,
        Row::SharedLink { .. } => 2,
        Row::About { .. } => 3,
        Row::Token { .. } => 4,
        Row::String { .. } => 5,
        Row::Reference { .. } => 6,
        Row::Date { .. } => 7,
        Row::Number { .. } => 8,
        Row::Uri { .. } => 9,
        Row::Component(_) => 10,
    }
}
