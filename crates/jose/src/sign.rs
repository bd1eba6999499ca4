//! Compact JWS (RFC 7515 section 7.1) over JSON claims.
//!
//! The header holds `alg`, `kid` and `typ` and nothing else; `alg` is the key's, so it cannot disagree with it.

use serde::Serialize;

use crate::base64url;
use crate::keys::{KeyError, SigningKey};

/// Why a token could not be signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The claims do not serialise to JSON.
    #[error("the claims do not serialise")]
    Claims(#[source] serde_json::Error),
    /// The cryptographic library failed.
    #[error("the signature could not be made")]
    Key(#[from] KeyError),
}

#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    kid: &'a str,
    typ: &'a str,
}

/// Signs `claims` as a compact JWS whose header has this `typ` (`at+jwt` for access tokens, `JWT` for id_tokens).
pub fn sign(key: &SigningKey, header_type: &str, claims: &impl Serialize) -> Result<String, SignError> {
    let header = Header { alg: key.algorithm().name(), kid: key.kid(), typ: header_type };
    let mut token = String::with_capacity(1024);
    base64url::encode_into(serde_json::to_vec(&header).map_err(SignError::Claims)?, &mut token);
    token.push('.');
    base64url::encode_into(serde_json::to_vec(claims).map_err(SignError::Claims)?, &mut token);
    let signature = key.sign_bytes(token.as_bytes())?;
    token.push('.');
    base64url::encode_into(signature, &mut token);
    Ok(token)
}
