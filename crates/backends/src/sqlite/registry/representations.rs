//! Who acts for which patient, from when, until when. They are read with the user, in the same statement.

use portcullis_fhir::types::LogicalId;
use portcullis_oauth::identifiers::UserId;
use portcullis_oauth::representation::Representation;
use portcullis_store::StoreError;
use rusqlite::{Connection, Row, params};

use super::statements::{conflict, execute, list};
use super::users;

/// The column of a user's representations, one a line.
pub const COLUMN: &str = "(SELECT coalesce(group_concat(patient || ' ' || valid_from || ' ' || coalesce(valid_until, '-') || ' ' || letters || ' ' || \
                          excluded, char(10)), '') FROM representation WHERE representation.user = user.id) AS represents";

/// The representations in a row with that column.
pub fn of_row(row: &Row<'_>) -> Result<Vec<Representation>, StoreError> {
    list(row, "represents", '\n', Representation::parse)
}

/// Gives or changes one.
pub fn set(connection: &Connection, user: &UserId, representation: &Representation) -> Result<(), StoreError> {
    if !users::is_known(connection, user)? {
        return Err(conflict("the user is unknown"));
    }
    let sql = "INSERT OR REPLACE INTO representation (user, patient, valid_from, valid_until, letters, excluded) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let row = params![
        user.as_str(),
        representation.patient.as_str(),
        representation.from,
        representation.until,
        if representation.limits.read_only { "ro" } else { "rw" },
        representation.excluded_text(),
    ];
    execute(connection, sql, row).map(|_| ())
}

/// Ends one that has not ended.
pub fn end(connection: &Connection, user: &UserId, patient: &LogicalId, now: i64) -> Result<(), StoreError> {
    let sql = "UPDATE representation SET valid_until = ?3 WHERE user = ?1 AND patient = ?2 AND (valid_until IS NULL OR valid_until > ?3)";
    match execute(connection, sql, params![user.as_str(), patient.as_str(), now])? {
        0 => Err(conflict("there is no such representation that has not ended")),
        _ => Ok(()),
    }
}
