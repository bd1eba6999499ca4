//! JWTs that are signed with a key that stands in their own header: proofs that somebody holds a key (RFC 9449 section 4.2).
//!
//! Such a token says nothing about who the signer is. It proves that whoever made it holds the private half of the key whose thumbprint
//! (RFC 7638) comes out; what that is worth, the caller decides by a thumbprint that it knows. For everything else, header keys are refused
//! ([`crate::verify()`], [`crate::client_jwt`]). Only asymmetric algorithms, and only public keys.

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::base64url;
use crate::canonical::canonical_json;
use crate::client_jwt::SignedClaims;
use crate::client_keys::{ClientAlgorithm, holds_secret, public_keys};
use crate::digest::sha256;
use crate::json::parse_object;
use crate::keys::SigningKey;
use crate::sign::SignError;
use crate::verify::{JwtError, same_media_type};

/// Header members that lead to another key than the one that stands there.
const OTHER_KEYS: [&str; 3] = ["jku", "x5u", "x5c"];

/// Why such a token proves nothing. None of these carries content of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum EmbeddedKeyError {
    /// Form, header or signature.
    #[error(transparent)]
    Jwt(#[from] JwtError),
    /// The header has no `jwk`, or one that cannot verify anything of ours.
    #[error("the header has no usable public key")]
    NoKey,
    /// The `jwk` holds a private or symmetric key.
    #[error("the header holds a private key")]
    PrivateKey,
}

/// A JWT whose signature was made with the key in its header. The claims are not judged.
pub struct EmbeddedKeyJwt {
    thumbprint: [u8; 32],
    members: Map<String, Value>,
}

impl EmbeddedKeyJwt {
    /// Reads a compact JWS of at most `maximum_bytes` with this `typ`, by one of `algorithms`, and checks its signature.
    pub fn verify(
        token: &str,
        header_type: &str,
        algorithms: &[ClientAlgorithm],
        maximum_bytes: usize,
    ) -> Result<Self, EmbeddedKeyError> {
        if token.len() > maximum_bytes {
            return Err(JwtError::TooLarge.into());
        }
        let (message, signature) = token.rsplit_once('.').ok_or(JwtError::Malformed)?;
        let (header, payload) = message.split_once('.').ok_or(JwtError::Malformed)?;
        if payload.contains('.') {
            return Err(JwtError::Malformed.into());
        }
        let header = object(header)?;
        let text = |name: &str| header.get(name).and_then(Value::as_str);
        let algorithm = text("alg").and_then(ClientAlgorithm::parse).filter(|found| algorithms.contains(found));
        let algorithm = algorithm.ok_or(JwtError::AlgorithmRefused)?;
        if header.contains_key("crit") {
            return Err(JwtError::CriticalExtension.into());
        }
        if !text("typ").is_some_and(|found| same_media_type(found, header_type)) {
            return Err(JwtError::WrongType.into());
        }
        if OTHER_KEYS.iter().any(|name| header.contains_key(*name)) {
            return Err(JwtError::EmbeddedKey.into());
        }
        let Some(Value::Object(jwk)) = header.get("jwk") else { return Err(EmbeddedKeyError::NoKey) };
        if holds_secret(jwk) {
            return Err(EmbeddedKeyError::PrivateKey);
        }
        let keys = public_keys(jwk);
        if keys.is_empty() {
            return Err(EmbeddedKeyError::NoKey);
        }
        let (_, key) = keys.iter().find(|(fits, _)| *fits == algorithm).ok_or(JwtError::AlgorithmMismatch)?;
        let signature = base64url::decode(signature).ok_or(JwtError::Malformed)?;
        key.verify_sig(message.as_bytes(), &signature).map_err(|_| JwtError::BadSignature)?;
        Ok(Self { thumbprint: thumbprint(jwk).ok_or(EmbeddedKeyError::NoKey)?, members: object(payload)? })
    }

    /// Signs claims as such a token; for clients of our own, in demos and tests.
    pub fn sign(key: &SigningKey, header_type: &str, claims: &impl Serialize) -> Result<String, SignError> {
        let mut jwk = key.public_jwk().to_json();
        if let Value::Object(members) = &mut jwk {
            members.retain(|name, _| ["kty", "crv", "x", "y", "n", "e"].contains(&name.as_str()));
        }
        let header = json!({"typ": header_type, "alg": key.algorithm().name(), "jwk": jwk}).to_string();
        let claims = serde_json::to_vec(claims).map_err(SignError::Claims)?;
        let message = format!("{}.{}", base64url::encode(header), base64url::encode(claims));
        let signature = key.sign_bytes(message.as_bytes())?;
        Ok(format!("{message}.{}", base64url::encode(signature)))
    }

    /// The SHA-256 thumbprint of the key (RFC 7638).
    pub fn thumbprint(&self) -> &[u8; 32] {
        &self.thumbprint
    }

    /// The claims.
    pub fn claims(&self) -> SignedClaims<'_> {
        SignedClaims(&self.members)
    }
}

/// A proof that was not used yet is worth as much as the token that it goes with.
impl fmt::Debug for EmbeddedKeyJwt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("EmbeddedKeyJwt").finish_non_exhaustive()
    }
}

fn object(part: &str) -> Result<Map<String, Value>, JwtError> {
    Ok(parse_object(&base64url::decode(part).ok_or(JwtError::Malformed)?)?)
}

/// The thumbprint over exactly the required members (RFC 7638 section 3.2).
fn thumbprint(jwk: &Map<String, Value>) -> Option<[u8; 32]> {
    let text = |name: &str| jwk.get(name).and_then(Value::as_str);
    let required = match text("kty")? {
        "EC" => json!({"kty": "EC", "crv": text("crv")?, "x": text("x")?, "y": text("y")?}),
        "RSA" => json!({"kty": "RSA", "n": text("n")?, "e": text("e")?}),
        _ => return None,
    };
    Some(sha256(canonical_json(&required).ok()?))
}

#[cfg(test)]
mod tests;
