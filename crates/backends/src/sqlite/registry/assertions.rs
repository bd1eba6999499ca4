//! Client assertions and DPoP proofs that were used, and access tokens that were given back: what must not count a second time (RFC 7523 section 3).

use portcullis_oauth::client_assertion::VerifiedAssertion;
use portcullis_oauth::dpop::VerifiedProof;
use portcullis_oauth::identifiers::TokenId;
use portcullis_oauth::purposes::PurposeOfUse;
use portcullis_store::StoreError;
use portcullis_store::registry::{ASSERTION_USED, PROOF_USED};
use rusqlite::{Connection, params};

use super::spent::{Spent, Use};
use super::statements::{conflict, execute};

/// Spends an assertion whose `jti` the client has not used within the longest life of an assertion.
pub fn spend(connection: &Connection, assertion: &VerifiedAssertion, now: i64) -> Result<(), StoreError> {
    let (whose, hash) = (assertion.client().as_str(), assertion.token_id_hash());
    let used = Use { whose, token_id: hash.as_slice(), until: assertion.remembered_until() };
    if Spent::Assertions.spend(connection, &used, now)? { Ok(()) } else { Err(conflict(ASSERTION_USED)) }
}

/// Spends a DPoP proof whose `jti` its key has not used as long as a proof counts (RFC 9449 section 11.1).
pub fn spend_proof(connection: &Connection, proof: &VerifiedProof, now: i64) -> Result<(), StoreError> {
    let (key, hash) = (proof.key().to_text(), proof.token_id_hash());
    let used = Use { whose: &key, token_id: hash.as_slice(), until: proof.remembered_until() };
    if Spent::Proofs.spend(connection, &used, now)? { Ok(()) } else { Err(conflict(PROOF_USED)) }
}

/// Keeps for which purposes a token serves.
pub fn bind_purposes(
    connection: &Connection,
    token: &TokenId,
    purposes: &[PurposeOfUse],
    expires_at: i64,
) -> Result<(), StoreError> {
    let codes: Vec<&str> = purposes.iter().map(|purpose| purpose.code()).collect();
    let sql = "INSERT INTO token_purpose (token, purposes, expires_at) VALUES (?1, ?2, ?3)";
    execute(connection, sql, params![token.as_str(), codes.join(" "), expires_at]).map(|_| ())
}

/// Ends one access token.
pub fn revoke_token(connection: &Connection, token: &TokenId, expires_at: i64) -> Result<(), StoreError> {
    let sql = "INSERT INTO revoked_token (id, expires_at) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
    execute(connection, sql, params![token.as_str(), expires_at]).map(|_| ())
}
