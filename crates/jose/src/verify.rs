//! Verification of a signed JWT against a policy (RFC 7515 section 5.2, RFC 7519 section 7.2, RFC 8725).
//!
//! The order: size, form, header, key, signature, and only then the claims, so that nothing unsigned is interpreted but the header.
//! Every rule of RFC 8725 that can be fixed is fixed here and not a setting: the algorithm belongs to the key, `typ` must match,
//! `exp`, `iat`, `iss` and `aud` must be there, times are numbers (a string `exp` skipped the check in CVE-2026-25537), `nbf` counts,
//! and keys or addresses of keys in a header are refused. It does not say whether a token was revoked or replayed.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::base64url;
use crate::json::{JsonError, parse_object};
use crate::keys::{Algorithm, VerificationKey, VerificationKeys};

/// The longest token that is looked at, in bytes.
pub const MAXIMUM_TOKEN_BYTES: usize = 16 * 1024;

/// The largest clock difference that a policy can tolerate, in seconds; a larger value counts as this one.
pub const MAXIMUM_LEEWAY_SECONDS: i64 = 60;

/// Header members that carry a key or say where to fetch one. We know our keys; a token does not introduce its own.
const KEY_MEMBERS: [&str; 4] = ["jwk", "jku", "x5u", "x5c"];

/// What a token must satisfy.
#[derive(Clone, Copy, Debug)]
pub struct VerifyPolicy<'a> {
    /// The trusted keys.
    pub keys: &'a VerificationKeys,
    /// The required `typ`, without `application/`; compared without regard to case (RFC 7515 section 4.1.9).
    pub header_type: &'a str,
    /// The required `iss`, byte for byte.
    pub issuer: &'a str,
    /// The value that `aud` must be or contain, byte for byte.
    pub audience: &'a str,
    /// The time, in seconds since the epoch.
    pub now: i64,
    /// The tolerated clock difference in seconds, from 0 to [`MAXIMUM_LEEWAY_SECONDS`].
    pub leeway_seconds: i64,
    /// How long ago `iat` may lie, in seconds, whatever `exp` says.
    pub maximum_age_seconds: Option<i64>,
    /// Claims that must be present (not null, not empty text) beside `iss`, `aud`, `exp` and `iat`.
    pub required_claims: &'a [&'a str],
}

/// Why a token is refused. None of these carries content of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum JwtError {
    /// Longer than [`MAXIMUM_TOKEN_BYTES`].
    #[error("the token is too long")]
    TooLarge,
    /// Not three base64url parts, or a part is not a JSON object.
    #[error("the token is not a compact JWS")]
    Malformed,
    /// A member of the header or of the claims occurs twice.
    #[error("a member of the token occurs twice")]
    DuplicateMember,
    /// `alg` is absent or not one that we verify (`none`, HS256 and its kin, and everything unknown).
    #[error("the algorithm is refused")]
    AlgorithmRefused,
    /// `crit` names extensions; we understand none.
    #[error("the header has critical extensions")]
    CriticalExtension,
    /// The header brings a key, a certificate or an address of one.
    #[error("the header brings its own key")]
    EmbeddedKey,
    /// `typ` is absent or another one: this is not the kind of token that is wanted.
    #[error("the token is of another type")]
    WrongType,
    /// `kid` is absent or names no trusted key.
    #[error("the key is unknown")]
    UnknownKey,
    /// More than one trusted key has this `kid` and fits the algorithm.
    #[error("more than one key fits")]
    AmbiguousKey,
    /// `alg` is not the algorithm of the key.
    #[error("the algorithm does not fit the key")]
    AlgorithmMismatch,
    /// The signature is not the key's.
    #[error("the signature is wrong")]
    BadSignature,
    /// A claim that must be there is absent, null or empty.
    #[error("a required claim is missing")]
    MissingClaim,
    /// A claim has the wrong JSON type, such as a string as `exp`.
    #[error("a claim has the wrong type")]
    WrongClaimType,
    /// `iss` is another issuer.
    #[error("the issuer is another one")]
    WrongIssuer,
    /// `aud` does not name us.
    #[error("the audience is another one")]
    WrongAudience,
    /// `exp` has passed.
    #[error("the token has expired")]
    Expired,
    /// `nbf` has not come yet.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// `iat` lies in the future, or not before `exp`.
    #[error("the token's times contradict each other")]
    ImplausibleTimes,
    /// `iat` lies further back than the policy allows.
    #[error("the token is too old")]
    TooOld,
}

impl From<JsonError> for JwtError {
    fn from(error: JsonError) -> Self {
        match error {
            JsonError::Malformed => Self::Malformed,
            JsonError::DuplicateMember => Self::DuplicateMember,
        }
    }
}

/// The claims of a token that passed [`verify`]; there is no other way to make one.
#[derive(Debug)]
pub struct Claims {
    members: Map<String, Value>,
    expires_at: i64,
    issued_at: i64,
}

impl Claims {
    /// `exp` in seconds since the epoch (a fraction is cut off).
    pub fn expires_at(&self) -> i64 {
        self.expires_at
    }

    /// `iat` in seconds since the epoch.
    pub fn issued_at(&self) -> i64 {
        self.issued_at
    }

    /// The value of a claim.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.members.get(name)
    }

    /// The value of a claim that is text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.members.get(name)?.as_str()
    }

    /// The claims as a type of the caller's, without parsing the token again.
    pub fn into_typed<T: DeserializeOwned>(self) -> Result<T, JwtError> {
        serde_json::from_value(Value::Object(self.members)).map_err(|_| JwtError::WrongClaimType)
    }
}

/// Verifies a compact JWS and its claims against a policy.
pub fn verify(token: &str, policy: &VerifyPolicy<'_>) -> Result<Claims, JwtError> {
    verify_with(token, policy, Expiry::Counts)
}

/// The same for a token whose time may be over: it proves what once was, and gives access to nothing.
pub fn verify_past(token: &str, policy: &VerifyPolicy<'_>) -> Result<Claims, JwtError> {
    verify_with(token, policy, Expiry::MayHavePassed)
}

/// What becomes of a token whose `exp` has passed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expiry {
    /// It is refused.
    Counts,
    /// Nothing.
    MayHavePassed,
}

fn verify_with(token: &str, policy: &VerifyPolicy<'_>, expiry: Expiry) -> Result<Claims, JwtError> {
    if token.len() > MAXIMUM_TOKEN_BYTES {
        return Err(JwtError::TooLarge);
    }
    let (message, signature) = token.rsplit_once('.').ok_or(JwtError::Malformed)?;
    let (header, payload) = message.split_once('.').ok_or(JwtError::Malformed)?;
    if payload.contains('.') {
        return Err(JwtError::Malformed);
    }
    let key = check_header(header, policy)?;
    let signature = base64url::decode(signature).ok_or(JwtError::Malformed)?;
    if !key.verifies(message.as_bytes(), &signature) {
        return Err(JwtError::BadSignature);
    }
    let payload = base64url::decode(payload).ok_or(JwtError::Malformed)?;
    check_claims(parse_object(&payload)?, policy, expiry)
}

fn check_header<'a>(header: &str, policy: &VerifyPolicy<'a>) -> Result<&'a VerificationKey, JwtError> {
    let header = parse_object(&base64url::decode(header).ok_or(JwtError::Malformed)?)?;
    let text = |name: &str| header.get(name).and_then(Value::as_str);
    let algorithm = text("alg").and_then(Algorithm::parse).ok_or(JwtError::AlgorithmRefused)?;
    // "If any of the listed extension Header Parameters are not understood and supported by the recipient, then the JWS is invalid."
    // (RFC 7515 section 4.1.11)
    if header.contains_key("crit") {
        return Err(JwtError::CriticalExtension);
    }
    if KEY_MEMBERS.iter().any(|name| header.contains_key(*name)) {
        return Err(JwtError::EmbeddedKey);
    }
    if !text("typ").is_some_and(|found| same_media_type(found, policy.header_type)) {
        return Err(JwtError::WrongType);
    }
    let key = text("kid").and_then(|kid| policy.keys.find(kid)).ok_or(JwtError::UnknownKey)?;
    if key.algorithm() != algorithm {
        return Err(JwtError::AlgorithmMismatch);
    }
    Ok(key)
}

/// Media types are compared without regard to case, and `application/` may be left out (RFC 7515 section 4.1.9).
pub(crate) fn same_media_type(found: &str, wanted: &str) -> bool {
    const PREFIX: &str = "application/";
    let short = match found.get(..PREFIX.len()) {
        Some(prefix) if prefix.eq_ignore_ascii_case(PREFIX) => found.get(PREFIX.len()..).unwrap_or_default(),
        _ => found,
    };
    short.eq_ignore_ascii_case(wanted)
}

fn check_claims(members: Map<String, Value>, policy: &VerifyPolicy<'_>, expiry: Expiry) -> Result<Claims, JwtError> {
    let leeway = policy.leeway_seconds.clamp(0, MAXIMUM_LEEWAY_SECONDS);
    match members.get("iss").ok_or(JwtError::MissingClaim)? {
        Value::String(issuer) if issuer == policy.issuer => {}
        Value::String(_) => return Err(JwtError::WrongIssuer),
        _ => return Err(JwtError::WrongClaimType),
    }
    check_audience(members.get("aud").ok_or(JwtError::MissingClaim)?, policy.audience)?;
    let expires_at = numeric_date(&members, "exp")?.ok_or(JwtError::MissingClaim)?;
    let issued_at = numeric_date(&members, "iat")?.ok_or(JwtError::MissingClaim)?;
    if expiry == Expiry::Counts && policy.now.saturating_sub(leeway) >= expires_at {
        return Err(JwtError::Expired);
    }
    if numeric_date(&members, "nbf")?.is_some_and(|not_before| not_before > policy.now.saturating_add(leeway)) {
        return Err(JwtError::NotYetValid);
    }
    if issued_at > policy.now.saturating_add(leeway) || issued_at >= expires_at {
        return Err(JwtError::ImplausibleTimes);
    }
    if let Some(maximum) = policy.maximum_age_seconds
        && policy.now.saturating_sub(issued_at) > maximum.saturating_add(leeway)
    {
        return Err(JwtError::TooOld);
    }
    for name in policy.required_claims {
        match members.get(*name) {
            None | Some(Value::Null) => return Err(JwtError::MissingClaim),
            Some(Value::String(text)) if text.is_empty() => return Err(JwtError::MissingClaim),
            Some(_) => {}
        }
    }
    Ok(Claims { members, expires_at, issued_at })
}

/// `aud` is one string or an array of strings (RFC 7519 section 4.1.3); one other member in the array spoils it.
fn check_audience(found: &Value, wanted: &str) -> Result<(), JwtError> {
    let matches = match found {
        Value::String(audience) => audience == wanted,
        Value::Array(audiences) if audiences.iter().all(Value::is_string) => {
            audiences.iter().any(|audience| audience.as_str() == Some(wanted))
        }
        _ => return Err(JwtError::WrongClaimType),
    };
    if matches { Ok(()) } else { Err(JwtError::WrongAudience) }
}

/// A NumericDate (RFC 7519 section 2): a JSON number, possibly with a fraction, which is cut off. Text is no number.
pub(crate) fn numeric_date(members: &Map<String, Value>, name: &str) -> Result<Option<i64>, JwtError> {
    /// The year 9999, beyond which no date is meant.
    const LATEST: f64 = 253_402_300_799.0;
    let Some(value) = members.get(name) else { return Ok(None) };
    let Value::Number(number) = value else { return Err(JwtError::WrongClaimType) };
    let seconds = number.as_f64().ok_or(JwtError::WrongClaimType)?;
    if !(0.0..=LATEST).contains(&seconds) {
        return Err(JwtError::WrongClaimType);
    }
    // Within the range every whole number is exact in both types.
    Ok(Some(seconds.floor() as i64))
}

#[cfg(test)]
mod tests;
