//! JWTs that a client signs with a key of its own: client assertions (RFC 7523) and what is built like them.
//!
//! The signer is not known before the token is read, so this has two steps. [`UnverifiedJwt::parse`] checks form and header and lets the
//! caller see who the signer claims to be. [`UnverifiedJwt::verify`] checks the signature with the keys of that client; the claims come
//! out of it alone. What the claims must say is the caller's to check.
//!
//! RFC 7515 section 5.2, RFC 8725. `none`, symmetric algorithms, `crit`, repeated members and keys in the header are refused. A `jku` is
//! handed to the caller, who compares it with what is registered and never fetches it.

use std::fmt;

use serde_json::{Map, Value};

use crate::base64url;
use crate::client_keys::{ClientAlgorithm, ClientKeySet, MAXIMUM_KID_BYTES};
use crate::json::parse_object;
use crate::verify::{JwtError, MAXIMUM_TOKEN_BYTES, numeric_date, same_media_type};

/// Header members that bring a key or lead to one, beside `jku`.
const KEY_MEMBERS: [&str; 3] = ["jwk", "x5u", "x5c"];

/// A well-formed JWT whose signature nobody has checked.
pub struct UnverifiedJwt {
    message: Box<str>,
    signature: Vec<u8>,
    algorithm: ClientAlgorithm,
    kid: Box<str>,
    key_url: Option<Box<str>>,
    members: Map<String, Value>,
}

impl UnverifiedJwt {
    /// Reads a compact JWS whose `typ`, where it has one, is one of `types`.
    pub fn parse(token: &str, types: &[&str]) -> Result<Self, JwtError> {
        if token.len() > MAXIMUM_TOKEN_BYTES {
            return Err(JwtError::TooLarge);
        }
        let (message, signature) = token.rsplit_once('.').ok_or(JwtError::Malformed)?;
        let (header, payload) = message.split_once('.').ok_or(JwtError::Malformed)?;
        if payload.contains('.') {
            return Err(JwtError::Malformed);
        }
        let header = parse_object(&base64url::decode(header).ok_or(JwtError::Malformed)?)?;
        let text = |name: &str| header.get(name).and_then(Value::as_str);
        let algorithm = text("alg").and_then(ClientAlgorithm::parse).ok_or(JwtError::AlgorithmRefused)?;
        if header.contains_key("crit") {
            return Err(JwtError::CriticalExtension);
        }
        if KEY_MEMBERS.iter().any(|name| header.contains_key(*name)) {
            return Err(JwtError::EmbeddedKey);
        }
        // Some clients leave `typ` out, and no profile gives a reason to refuse that; another type is another kind of token.
        let typed = |found: &str| types.iter().any(|wanted| same_media_type(found, wanted));
        if header.contains_key("typ") && !text("typ").is_some_and(typed) {
            return Err(JwtError::WrongType);
        }
        let kid = text("kid").filter(|kid| (1..=MAXIMUM_KID_BYTES).contains(&kid.len())).ok_or(JwtError::UnknownKey)?;
        let key_url = match header.get("jku") {
            None => None,
            Some(Value::String(url)) => Some(url.as_str().into()),
            Some(_) => return Err(JwtError::EmbeddedKey),
        };
        Ok(Self {
            message: message.into(),
            signature: base64url::decode(signature).ok_or(JwtError::Malformed)?,
            algorithm,
            kid: kid.into(),
            key_url,
            members: parse_object(&base64url::decode(payload).ok_or(JwtError::Malformed)?)?,
        })
    }

    /// What a claim says, by the word of whoever wrote the token: good for finding the keys, and for nothing else.
    pub fn claimed(&self, name: &str) -> Option<&str> {
        self.members.get(name)?.as_str()
    }

    /// The `jku` of the header.
    pub fn key_url(&self) -> Option<&str> {
        self.key_url.as_deref()
    }

    /// The left half of the digest of a text with the hash of this token's algorithm, as base64url: `at_hash` (OpenID Connect Core section 3.1.3.6).
    pub fn left_half_hash(&self, text: &str) -> String {
        let algorithm = match self.algorithm {
            ClientAlgorithm::Rs256 | ClientAlgorithm::Es256 => &aws_lc_rs::digest::SHA256,
            ClientAlgorithm::Rs384 | ClientAlgorithm::Es384 => &aws_lc_rs::digest::SHA384,
        };
        let digest = aws_lc_rs::digest::digest(algorithm, text.as_bytes());
        let digest = digest.as_ref();
        base64url::encode(digest.get(..digest.len() / 2).unwrap_or_default())
    }

    /// Checks the signature with the one key of the set that fits, and gives the claims out.
    pub fn verify(&self, keys: &ClientKeySet) -> Result<SignedClaims<'_>, JwtError> {
        keys.verify(self.algorithm, &self.kid, self.message.as_bytes(), &self.signature)?;
        Ok(SignedClaims(&self.members))
    }
}

/// Until it is used, a signed token is as good as a secret.
impl fmt::Debug for UnverifiedJwt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("UnverifiedJwt")
            .field("algorithm", &self.algorithm)
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}

/// Claims under a signature that was verified; their content is not judged.
#[derive(Debug)]
pub struct SignedClaims<'a>(pub(crate) &'a Map<String, Value>);

impl SignedClaims<'_> {
    /// A claim that must be text and not empty.
    pub fn text(&self, name: &str) -> Result<&str, JwtError> {
        match self.0.get(name) {
            None | Some(Value::Null) => Err(JwtError::MissingClaim),
            Some(Value::String(text)) if text.is_empty() => Err(JwtError::MissingClaim),
            Some(Value::String(text)) => Ok(text),
            Some(_) => Err(JwtError::WrongClaimType),
        }
    }

    /// All claims, for a token whose claims are parameters.
    pub fn members(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// A NumericDate in seconds since the epoch; text is no number.
    pub fn time(&self, name: &str) -> Result<Option<i64>, JwtError> {
        numeric_date(self.0, name)
    }

    /// Whom the token is for: `aud` is text or an array of text with at least one entry (RFC 7519 section 4.1.3).
    pub fn audiences(&self) -> Result<Vec<&str>, JwtError> {
        match self.0.get("aud") {
            None | Some(Value::Null) => Err(JwtError::MissingClaim),
            Some(Value::String(audience)) => Ok(vec![audience]),
            Some(Value::Array(audiences)) if audiences.is_empty() => Err(JwtError::WrongAudience),
            Some(Value::Array(audiences)) => {
                audiences.iter().map(|audience| audience.as_str().ok_or(JwtError::WrongClaimType)).collect()
            }
            Some(_) => Err(JwtError::WrongClaimType),
        }
    }
}

#[cfg(test)]
mod tests;
