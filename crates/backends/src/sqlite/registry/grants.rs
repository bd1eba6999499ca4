//! Grants. A revoked one stays, so that a reuse of its codes and refresh tokens is recognised; its epoch grows when it is revoked.

use portcullis_fhir::types::LogicalId;
use portcullis_oauth::access_token::MAXIMUM_LIFETIME_SECONDS;
use portcullis_oauth::grant::{CODE_LIFETIME_SECONDS, Grant};
use portcullis_oauth::identifiers::{ClientId, GrantId, SessionId, UserId};
use portcullis_oauth::scopes::ScopeSet;
use portcullis_store::StoreError;
use portcullis_store::registry::StandingGrant;
use rusqlite::{Connection, Row, params};

use super::statements::{all as rows, column, conflict, execute, one, optional, parsed};
use super::{clients, launches, users};

/// A grant that stands: what its codes and refresh tokens must fit.
#[derive(Debug)]
pub struct GrantKey {
    /// The grant.
    pub id: GrantId,
    /// Its client.
    pub client: ClientId,
}

/// Adds a grant. Client and user must exist at this moment: a grant that outlived its client would revive with the next client of that id.
pub fn add(connection: &Connection, grant: &Grant) -> Result<(), StoreError> {
    if !clients::is_known(connection, &grant.client)? {
        return Err(conflict("the client is unknown"));
    }
    if !users::is_known(connection, &grant.user)? {
        return Err(conflict("the user is unknown"));
    }
    let sql = "INSERT INTO grant_ (id, client, user, scope, patient, session, created_at, authenticated_at, last_used_at, revoked_at, epoch, context) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0, ?9, 1, ?10) ON CONFLICT DO NOTHING";
    let row = params![
        grant.id.as_str(),
        grant.client.as_str(),
        grant.user.as_str(),
        grant.scopes.to_string(),
        grant.patient.as_ref().map(LogicalId::as_str),
        grant.session.as_str(),
        grant.created_at,
        grant.authenticated_at,
        grant.revoked_at,
        launches::context_text(&grant.context)?,
    ];
    match execute(connection, sql, row)? {
        0 => Err(conflict("the grant exists")),
        _ => Ok(()),
    }
}

/// The grant behind a code or refresh token, if it stands, from a row with `grant_id`, `client` and `revoked_at`.
pub fn standing(row: &Row<'_>) -> Result<Option<GrantKey>, StoreError> {
    if column::<Option<i64>>(row, "revoked_at")?.is_some() {
        return Ok(None);
    }
    Ok(Some(GrantKey { id: parsed(row, "grant_id", GrantId::parse)?, client: parsed(row, "client", ClientId::parse)? }))
}

/// Notes that an access token was issued.
pub fn issued(connection: &Connection, grant: &GrantKey, now: i64) -> Result<(), StoreError> {
    execute(connection, "UPDATE grant_ SET issued_at = ?2 WHERE id = ?1", params![grant.id.as_str(), now]).map(|_| ())
}

/// Notes that it was used, as far as that is news.
pub fn used(connection: &Connection, grant: &GrantId, now: i64) -> Result<(), StoreError> {
    let sql = "UPDATE grant_ SET last_used_at = ?2 WHERE id = ?1 AND last_used_at < ?2";
    execute(connection, sql, params![grant.as_str(), now]).map(|_| ())
}

/// Revokes a grant; one that is revoked already, or gone, stays as it is.
pub fn revoke(connection: &Connection, id: &GrantId, now: i64) -> Result<(), StoreError> {
    let sql = "UPDATE grant_ SET revoked_at = ?2, epoch = epoch + 1 WHERE id = ?1 AND revoked_at IS NULL";
    execute(connection, sql, params![id.as_str(), now]).map(|_| ())
}

/// Revokes all that a client was granted.
pub fn revoke_of_client(connection: &Connection, client: &ClientId, now: i64) -> Result<(), StoreError> {
    let sql = "UPDATE grant_ SET revoked_at = ?2, epoch = epoch + 1 WHERE client = ?1 AND revoked_at IS NULL";
    execute(connection, sql, params![client.as_str(), now]).map(|_| ())
}

/// A grant, also a revoked one.
pub fn by_id(connection: &Connection, id: &GrantId) -> Result<Option<Grant>, StoreError> {
    one(connection, "SELECT * FROM grant_ WHERE id = ?1", [id.as_str()], grant)
}

/// The grants of a user that were not revoked, newest first.
pub fn standing_of(connection: &Connection, user: &UserId) -> Result<Vec<StandingGrant>, StoreError> {
    // What is bound to a session ends with it, at the latest; where there is no such session any more, min() and max() leave it out.
    let sql = "SELECT grant_.*, (SELECT max(CASE WHEN refresh.session IS NULL THEN refresh.expires_at ELSE min(refresh.expires_at, \
               (SELECT session.expires_at FROM session WHERE session.id = refresh.session)) END) \
               FROM refresh WHERE refresh.grant_id = grant_.id AND refresh.superseded = 0) AS refresh_ends_at \
               FROM grant_ WHERE user = ?1 AND revoked_at IS NULL ORDER BY created_at DESC, id";
    rows(connection, sql, [user.as_str()], standing_grant)
}

fn standing_grant(row: &Row<'_>) -> Result<StandingGrant, StoreError> {
    let grant = grant(row)?;
    let code_ends_at = grant.created_at.saturating_add(CODE_LIFETIME_SECONDS);
    let token_ends_at = match column::<i64>(row, "issued_at")? {
        0 => code_ends_at,
        issued_at => issued_at.saturating_add(MAXIMUM_LIFETIME_SECONDS),
    };
    let refresh_ends_at = column::<Option<i64>>(row, "refresh_ends_at")?.unwrap_or(token_ends_at);
    let last_used_at = Some(column::<i64>(row, "last_used_at")?).filter(|at| *at > 0);
    Ok(StandingGrant { grant, last_used_at, ends_at: token_ends_at.max(refresh_ends_at) })
}

fn grant(row: &Row<'_>) -> Result<Grant, StoreError> {
    Ok(Grant {
        id: parsed(row, "id", GrantId::parse)?,
        client: parsed(row, "client", ClientId::parse)?,
        user: parsed(row, "user", UserId::parse)?,
        patient: optional(row, "patient", LogicalId::parse)?,
        context: launches::context(row)?,
        scopes: parsed(row, "scope", |text| ScopeSet::parse(text).ok())?,
        session: parsed(row, "session", SessionId::parse)?,
        authenticated_at: column(row, "authenticated_at")?,
        created_at: column(row, "created_at")?,
        revoked_at: column(row, "revoked_at")?,
    })
}
