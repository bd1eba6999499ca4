//! The outbox: audit records that were stored in the same transaction as their change, until the ledger has them.

use portcullis_audit::{PendingRecord, RecordId};
use portcullis_store::StoreError;
use rusqlite::{Connection, params};

use super::database::store_error;

/// Stores a record and returns the bytes as the database holds them.
pub fn store(connection: &Connection, record: &PendingRecord) -> Result<Vec<u8>, StoreError> {
    store_bytes(connection, &record.id().0, record.bytes())
}

/// The same for a record that was fixed before.
pub fn store_bytes(connection: &Connection, id: &str, record: &[u8]) -> Result<Vec<u8>, StoreError> {
    let sql = "INSERT INTO outbox (id, record) VALUES (?1, ?2) RETURNING record";
    let mut statement = connection.prepare_cached(sql).map_err(store_error)?;
    statement.query_row(params![id, record], |row| row.get(0)).map_err(store_error)
}

/// Up to `limit` records in order of storage.
pub fn waiting(connection: &Connection, limit: usize) -> Result<Vec<(RecordId, Vec<u8>)>, StoreError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let sql = "SELECT id, record FROM outbox ORDER BY sequence LIMIT ?1";
    let mut statement = connection.prepare_cached(sql).map_err(store_error)?;
    let rows = statement.query_map([limit], |row| Ok((RecordId(row.get(0)?), row.get(1)?))).map_err(store_error)?;
    rows.collect::<rusqlite::Result<_>>().map_err(store_error)
}

/// Removes records that are durable in the ledger.
pub fn remove(connection: &Connection, moved: &[RecordId]) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached("DELETE FROM outbox WHERE id = ?1").map_err(store_error)?;
    moved.iter().try_for_each(|id| statement.execute([&id.0]).map(|_| ()).map_err(store_error))
}
