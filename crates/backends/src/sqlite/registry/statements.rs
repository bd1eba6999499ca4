//! How this folder runs statements and reads columns, and how a conflict travels out of the writer.

use portcullis_store::{RegistryError, StoreError};
use rusqlite::types::FromSql;
use rusqlite::{Connection, Params, Row};

use crate::sqlite::database::store_error;

/// What a change rests on is not so. It travels as an error of the store, so that the writer undoes the request.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refused(&'static str);

/// The error that [`registry_error`] turns into [`RegistryError::Conflict`].
pub fn conflict(reason: &'static str) -> StoreError {
    StoreError::Unavailable(Box::new(Refused(reason)))
}

/// What an error of writer or readers means for the caller of the registry.
pub fn registry_error(error: StoreError) -> RegistryError {
    match error {
        StoreError::Unavailable(source) => match source.downcast::<Refused>() {
            Ok(refused) => RegistryError::Conflict(refused.0),
            Err(source) => RegistryError::Unavailable(source),
        },
        StoreError::Corrupt(reason) => RegistryError::Corrupt(reason),
        other => RegistryError::Corrupt(other.to_string()),
    }
}

/// The first row of a query.
pub fn one<T>(
    connection: &Connection,
    sql: &str,
    parameters: impl Params,
    read: impl FnOnce(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    let mut statement = connection.prepare_cached(sql).map_err(store_error)?;
    let mut rows = statement.query(parameters).map_err(store_error)?;
    rows.next().map_err(store_error)?.map(read).transpose()
}

/// All rows of a query.
pub fn all<T>(
    connection: &Connection,
    sql: &str,
    parameters: impl Params,
    read: impl Fn(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut statement = connection.prepare_cached(sql).map_err(store_error)?;
    let mut rows = statement.query(parameters).map_err(store_error)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(store_error)? {
        found.push(read(row)?);
    }
    Ok(found)
}

/// Whether a query has a row.
pub fn exists(connection: &Connection, sql: &str, parameters: impl Params) -> Result<bool, StoreError> {
    Ok(one(connection, sql, parameters, |_| Ok(()))?.is_some())
}

/// Runs a statement and returns how many rows it changed.
pub fn execute(connection: &Connection, sql: &str, parameters: impl Params) -> Result<usize, StoreError> {
    let mut statement = connection.prepare_cached(sql).map_err(store_error)?;
    statement.execute(parameters).map_err(store_error)
}

/// A column as SQLite has it.
pub fn column<T: FromSql>(row: &Row<'_>, name: &str) -> Result<T, StoreError> {
    row.get(name).map_err(store_error)
}

/// A text column that must parse.
pub fn parsed<T>(row: &Row<'_>, name: &str, parse: impl FnOnce(&str) -> Option<T>) -> Result<T, StoreError> {
    optional(row, name, parse)?.ok_or_else(|| unreadable(name))
}

/// A text column that must parse unless it is NULL.
pub fn optional<T>(row: &Row<'_>, name: &str, parse: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>, StoreError> {
    let value = row.get_ref(name).map_err(store_error)?;
    let text = value.as_str_or_null().map_err(|_| unreadable(name))?;
    text.map(|text| parse(text).ok_or_else(|| unreadable(name))).transpose()
}

/// A text column of parts between separators, each of which must parse.
pub fn list<T>(row: &Row<'_>, name: &str, separator: char, parse: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, StoreError> {
    parsed(row, name, |text| text.split(separator).filter(|part| !part.is_empty()).map(parse).collect())
}

/// The error of a column that holds something else than we write. The value stays out of it.
pub fn unreadable(name: &str) -> StoreError {
    StoreError::Corrupt(format!("the column {name} of the registry holds something else than was written"))
}
