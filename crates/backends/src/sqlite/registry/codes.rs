//! Authorization codes: redeemed at most once, and kept after that, so that a replay is recognised (RFC 6749 section 4.1.2).
//!
//! What a code shares with its grant is stored with the grant alone.

use portcullis_fhir::types::LogicalId;
use portcullis_oauth::confirmation::KeyThumbprint;
use portcullis_oauth::grant::{AuthorizationCode, CodeState, Grant, SecretHash};
use portcullis_oauth::identifiers::{ClientId, GrantId, UserId};
use portcullis_oauth::pkce::CodeChallenge;
use portcullis_oauth::scopes::ScopeSet;
use portcullis_store::StoreError;
use portcullis_store::registry::CODE_USED;
use rusqlite::{Connection, Row, params};

use super::grants::{self, GrantKey};
use super::statements::{column, conflict, execute, one, optional, parsed};

/// Adds the code of a grant.
pub fn add(connection: &Connection, code: &AuthorizationCode, grant: &Grant) -> Result<(), StoreError> {
    let same = code.grant == grant.id
        && code.client == grant.client
        && code.user == grant.user
        && code.patient == grant.patient
        && code.scopes == grant.scopes
        && code.authenticated_at == grant.authenticated_at;
    if !same {
        return Err(conflict("the code is of another grant"));
    }
    let sql = "INSERT INTO code (hash, grant_id, redirect_uri, challenge, nonce, expires_at, spent, key) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, ?7) \
               ON CONFLICT DO NOTHING";
    let row = params![
        code.hash.as_bytes().as_slice(),
        code.grant.as_str(),
        code.redirect_uri,
        code.challenge.as_ref().map_or("", CodeChallenge::as_str),
        code.nonce,
        code.expires_at,
        code.key.map(KeyThumbprint::to_text),
    ];
    match execute(connection, sql, row)? {
        0 => Err(conflict("the code exists")),
        _ => Ok(()),
    }
}

/// Spends a code that was never presented before and whose grant stands; that of a locked user does not.
pub fn spend(connection: &Connection, hash: &SecretHash) -> Result<GrantKey, StoreError> {
    let sql = "SELECT code.grant_id, code.spent, grant_.client, \
               coalesce(grant_.revoked_at, (SELECT locked_at FROM user WHERE user.id = grant_.user)) AS revoked_at \
               FROM code JOIN grant_ ON grant_.id = code.grant_id WHERE code.hash = ?1";
    let hash = hash.as_bytes().as_slice();
    let found = one(connection, sql, [hash], |row| Ok((column::<bool>(row, "spent")?, grants::standing(row)?)))?;
    match found {
        None => Err(conflict("the code is unknown")),
        Some((true, _)) => Err(conflict(CODE_USED)),
        Some((false, None)) => Err(conflict("the grant was revoked")),
        Some((false, Some(grant))) => {
            execute(connection, "UPDATE code SET spent = 1 WHERE hash = ?1", [hash])?;
            Ok(grant)
        }
    }
}

/// A code as it stands.
pub fn by_hash(connection: &Connection, hash: &SecretHash) -> Result<Option<CodeState>, StoreError> {
    let sql = "SELECT code.grant_id, code.redirect_uri, code.challenge, code.nonce, code.expires_at, code.spent, code.key, \
               grant_.client, grant_.user, grant_.scope, grant_.patient, grant_.authenticated_at \
               FROM code JOIN grant_ ON grant_.id = code.grant_id WHERE code.hash = ?1";
    one(connection, sql, [hash.as_bytes().as_slice()], |row| {
        let grant = parsed(row, "grant_id", GrantId::parse)?;
        if column(row, "spent")? {
            let client = parsed(row, "client", ClientId::parse)?;
            return Ok(CodeState::Spent { grant, client });
        }
        Ok(CodeState::Issued(Box::new(issued(row, *hash, grant)?)))
    })
}

fn issued(row: &Row<'_>, hash: SecretHash, grant: GrantId) -> Result<AuthorizationCode, StoreError> {
    Ok(AuthorizationCode {
        hash,
        grant,
        client: parsed(row, "client", ClientId::parse)?,
        redirect_uri: column(row, "redirect_uri")?,
        challenge: challenge(row)?,
        key: optional(row, "key", KeyThumbprint::parse)?,
        scopes: parsed(row, "scope", |text| ScopeSet::parse(text).ok())?,
        user: parsed(row, "user", UserId::parse)?,
        patient: optional(row, "patient", LogicalId::parse)?,
        nonce: column(row, "nonce")?,
        authenticated_at: column(row, "authenticated_at")?,
        expires_at: column(row, "expires_at")?,
    })
}

/// An empty challenge is none: a client of SMART 1.0 sent none.
fn challenge(row: &Row<'_>) -> Result<Option<CodeChallenge>, StoreError> {
    parsed(row, "challenge", |text| if text.is_empty() { Some(None) } else { CodeChallenge::parse(text).map(Some) })
}
