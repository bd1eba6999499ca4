//! Of which types there is anything: for searches of all types, which ask about no other.

use portcullis_fhir::types::ResourceType;
use portcullis_policy::constraint::TypeSet;
use portcullis_store::StoreError;
use rusqlite::Connection;

use super::database::store_error;

/// The types of which there is a current version, found by steps along an index: as many as there are types.
pub fn stored_types(connection: &Connection) -> Result<TypeSet, StoreError> {
    let sql = "WITH RECURSIVE t (type) AS (SELECT min(type) FROM resource WHERE deleted = 0 UNION ALL \
         SELECT (SELECT min(r.type) FROM resource r WHERE r.deleted = 0 AND r.type > t.type) FROM t WHERE t.type IS NOT NULL) \
         SELECT type FROM t WHERE type IS NOT NULL";
    let mut statement = connection.prepare_cached(sql).map_err(store_error)?;
    let codes = statement.query_map([], |row| row.get::<_, u8>(0)).map_err(store_error)?;
    let codes = codes.collect::<Result<Vec<u8>, _>>().map_err(store_error)?;
    Ok(codes.into_iter().filter_map(ResourceType::from_code).collect())
}
