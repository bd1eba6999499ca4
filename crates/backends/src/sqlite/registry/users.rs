//! Users. Names that differ only in case are one name.

use portcullis_fhir::reference::LocalReference;
use portcullis_fhir::types::LogicalId;
use portcullis_jose::Secret;
use portcullis_oauth::identifiers::UserId;
use portcullis_oauth::users::{Role, Roles, User};
use portcullis_store::StoreError;
use rusqlite::{Connection, Row, params};

use super::representations;
use super::statements::{all as rows, column, conflict, execute, exists, list, one, optional, parsed};

/// Adds a user whose name and id are free.
pub fn add(connection: &Connection, user: &User) -> Result<(), StoreError> {
    let key = key(&user.username);
    if exists(connection, "SELECT 1 FROM user WHERE username_key = ?1", [&key])? {
        return Err(conflict("the user name is taken"));
    }
    if exists(connection, "SELECT 1 FROM user WHERE id = ?1", [user.id.as_str()])? {
        return Err(conflict("the user id is taken"));
    }
    let roles: Vec<&str> = user.roles.iter().map(Role::as_str).collect();
    let patients: Vec<&str> = user.patients.iter().map(LogicalId::as_str).collect();
    let sql = "INSERT INTO user (id, username, username_key, display_name, password_hash, roles, fhir_user, patients, created_at) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    let row = params![
        user.id.as_str(),
        user.username,
        key,
        user.display_name,
        user.password_hash.expose(),
        roles.join(" "),
        user.fhir_user.as_ref().map(LocalReference::to_string),
        patients.join(" "),
        user.created_at,
    ];
    execute(connection, sql, row).map(|_| ())
}

/// Whether there is such a user.
pub fn is_known(connection: &Connection, id: &UserId) -> Result<bool, StoreError> {
    exists(connection, "SELECT 1 FROM user WHERE id = ?1", [id.as_str()])
}

/// A user.
pub fn by_id(connection: &Connection, id: &UserId) -> Result<Option<User>, StoreError> {
    one(connection, &format!("SELECT *, {} FROM user WHERE id = ?1", representations::COLUMN), [id.as_str()], user)
}

/// A user by the name to sign in with.
pub fn by_name(connection: &Connection, username: &str) -> Result<Option<User>, StoreError> {
    one(connection, &format!("SELECT *, {} FROM user WHERE username_key = ?1", representations::COLUMN), [key(username)], user)
}

/// The names of the accounts whose record this is: as many as say whether there is one.
pub fn names_of_record(connection: &Connection, record: &LocalReference) -> Result<Vec<String>, StoreError> {
    let sql = "SELECT DISTINCT display_name FROM user WHERE fhir_user = ?1 LIMIT 2";
    rows(connection, sql, [record.to_string()], |row| column(row, "display_name"))
}

/// All users, by name.
pub fn all(connection: &Connection) -> Result<Vec<User>, StoreError> {
    rows(connection, &format!("SELECT *, {} FROM user ORDER BY username_key", representations::COLUMN), [], user)
}

/// The roles in a row of the table.
pub fn roles(row: &Row<'_>) -> Result<Roles, StoreError> {
    Ok(list(row, "roles", ' ', Role::parse)?.into_iter().collect())
}

/// The FHIR resource in a row of the table.
pub fn fhir_user(row: &Row<'_>) -> Result<Option<LocalReference>, StoreError> {
    optional(row, "fhir_user", LocalReference::parse)
}

/// The patients in a row of the table.
pub fn patients(row: &Row<'_>) -> Result<Vec<LogicalId>, StoreError> {
    list(row, "patients", ' ', LogicalId::parse)
}

fn user(row: &Row<'_>) -> Result<User, StoreError> {
    Ok(User {
        id: parsed(row, "id", UserId::parse)?,
        username: column(row, "username")?,
        display_name: column(row, "display_name")?,
        password_hash: Secret::new(column(row, "password_hash")?),
        roles: roles(row)?,
        fhir_user: fhir_user(row)?,
        patients: patients(row)?,
        represents: representations::of_row(row)?,
        created_at: column(row, "created_at")?,
    })
}

fn key(username: &str) -> String {
    username.to_lowercase()
}
