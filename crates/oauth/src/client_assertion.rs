//! Client assertions: a client authenticates with a JWT that it signed (`private_key_jwt`).
//!
//! RFC 7521 section 4.2, RFC 7523 section 3, SMART App Launch 2.2.0, "Client Authentication: Asymmetric (public key)".
//!
//! A [`PresentedAssertion`] becomes a [`VerifiedAssertion`] by signature and claims. That one is still not an authentication: whether it
//! was used before is the registry's word, given in the transaction of what the client asked for. Nothing here finds or fetches keys.
//!
//! `aud` may name the token endpoint, as SMART wants it, or the issuer, as newer OpenID Connect clients write it, or what else the caller says names
//! this server and nobody else. An assertion that also names another recipient is refused, because that one could present it here.

use portcullis_jose::digest::sha256;
use portcullis_jose::{ClientKeySet, JwtError, SignedClaims, UnverifiedJwt};

use crate::b2b::{B2bAuthorization, B2bError};
use crate::identifiers::ClientId;
use crate::token_error::TokenError;

/// The one `client_assertion_type` (RFC 7523 section 2.2).
pub const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// How far `exp` may lie ahead, in seconds: "SHALL be no more than five minutes in the future" (SMART).
pub const MAXIMUM_LIFETIME_SECONDS: i64 = 300;

/// How far a client's clock may be ahead of ours, in seconds: what a machine without network time gains in some days. A clock that is behind needs no leave.
pub const LEEWAY_SECONDS: i64 = 30;

/// The longest `jti`, in bytes.
pub const MAXIMUM_TOKEN_ID_BYTES: usize = 255;

/// The values of `typ`: SMART's, and the explicit one of the RFC 7523 revision.
const HEADER_TYPES: [&str; 2] = ["JWT", "client-authentication+jwt"];

/// Why an assertion authenticates nobody. None of these carries content of the assertion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum AssertionError {
    /// Form, header, key or signature.
    #[error(transparent)]
    Jwt(#[from] JwtError),
    /// `iss` and `sub` are not both the same client id.
    #[error("iss and sub are not both the client_id")]
    NotTheClient,
    /// `jku` is not the address that is registered.
    #[error("jku is not the registered jwks_uri")]
    ForeignKeyUrl,
    /// `exp` lies too far ahead.
    #[error("exp lies more than five minutes ahead")]
    LivesTooLong,
    /// `jti` is longer than [`MAXIMUM_TOKEN_ID_BYTES`].
    #[error("jti is too long")]
    TokenIdTooLong,
}

/// What the client is told: what to change, from the words of a fixed list.
impl From<AssertionError> for TokenError {
    fn from(error: AssertionError) -> Self {
        Self::InvalidClient(match error {
            AssertionError::NotTheClient => "client_assertion: iss and sub must both be the client_id",
            AssertionError::ForeignKeyUrl => "client_assertion: jku must be the registered jwks_uri",
            AssertionError::LivesTooLong => "client_assertion: exp must lie at most five minutes ahead",
            AssertionError::TokenIdTooLong => "client_assertion: jti may have at most 255 bytes",
            AssertionError::Jwt(error) => match error {
                JwtError::TooLarge => "client_assertion: the JWT is too long",
                JwtError::Malformed => "client_assertion: not a compact JWS",
                JwtError::DuplicateMember => "client_assertion: a member occurs twice",
                JwtError::AlgorithmRefused => "client_assertion: alg must be RS384, ES384, RS256 or ES256",
                JwtError::CriticalExtension => "client_assertion: crit is not supported",
                JwtError::EmbeddedKey => "client_assertion: the header must not bring a key",
                JwtError::WrongType => "client_assertion: typ must be JWT",
                JwtError::UnknownKey => "client_assertion: kid is missing or names no registered key",
                JwtError::AmbiguousKey => "client_assertion: kid names more than one registered key",
                JwtError::AlgorithmMismatch => "client_assertion: alg does not fit the registered key",
                JwtError::BadSignature => "client_assertion: the signature is wrong",
                JwtError::MissingClaim => "client_assertion: iss, sub, aud, exp and jti are required",
                JwtError::WrongClaimType => "client_assertion: a claim has the wrong JSON type",
                JwtError::WrongIssuer => "client_assertion: iss must be the client_id",
                JwtError::WrongAudience => "client_assertion: aud must be the URL of the token endpoint or the issuer",
                JwtError::Expired => "client_assertion: exp has passed",
                JwtError::NotYetValid => "client_assertion: nbf has not come yet",
                JwtError::ImplausibleTimes | JwtError::TooOld => "client_assertion: iat is not plausible",
            },
        })
    }
}

/// Whom an assertion must be for.
#[derive(Clone, Copy, Debug)]
pub struct Recipient<'a> {
    /// The URL of the token endpoint.
    pub token_endpoint: &'a str,
    /// The issuer.
    pub issuer: &'a str,
    /// Other URLs that name this server and nobody else.
    pub also: &'a [String],
}

impl Recipient<'_> {
    fn is(&self, audience: &str) -> bool {
        audience == self.token_endpoint || audience == self.issuer || self.also.iter().any(|url| url == audience)
    }
}

/// An assertion as it came: well-formed, and naming a client.
#[derive(Debug)]
pub struct PresentedAssertion {
    client: ClientId,
    jwt: UnverifiedJwt,
}

impl PresentedAssertion {
    /// Reads a `client_assertion`.
    pub fn parse(text: &str) -> Result<Self, AssertionError> {
        let jwt = UnverifiedJwt::parse(text, &HEADER_TYPES)?;
        let (Some(issuer), Some(subject)) = (jwt.claimed("iss"), jwt.claimed("sub")) else {
            return Err(JwtError::MissingClaim.into());
        };
        let client = ClientId::parse(subject).filter(|_| issuer == subject).ok_or(AssertionError::NotTheClient)?;
        Ok(Self { client, jwt })
    }

    /// The client that it says it is from; nothing about that is proven.
    pub fn client_id(&self) -> &ClientId {
        &self.client
    }

    /// Refuses a `jku` that is not the registered address. The registered one says nothing new, and the header's is never fetched.
    pub fn check_key_url(&self, registered: Option<&str>) -> Result<(), AssertionError> {
        match self.jwt.key_url() {
            None => Ok(()),
            found if found == registered => Ok(()),
            Some(_) => Err(AssertionError::ForeignKeyUrl),
        }
    }

    /// Verifies signature and claims with the keys of the client, at a time in seconds since the epoch.
    pub fn verify(&self, keys: &ClientKeySet, recipient: &Recipient<'_>, now: i64) -> Result<VerifiedAssertion, AssertionError> {
        let claims = self.jwt.verify(keys)?;
        if claims.text("iss")? != self.client.as_str() || claims.text("sub")? != self.client.as_str() {
            return Err(AssertionError::NotTheClient);
        }
        let audiences = claims.audiences()?;
        if !audiences.iter().all(|audience| recipient.is(audience)) {
            return Err(JwtError::WrongAudience.into());
        }
        check_times(&claims, now)?;
        let token_id = claims.text("jti")?;
        if token_id.len() > MAXIMUM_TOKEN_ID_BYTES {
            return Err(AssertionError::TokenIdTooLong);
        }
        Ok(VerifiedAssertion {
            client: self.client.clone(),
            token_id_hash: sha256(token_id),
            // "not been previously encountered for the given iss within the maximum allowed authentication JWT lifetime" (SMART).
            remembered_until: now.saturating_add(MAXIMUM_LIFETIME_SECONDS + LEEWAY_SECONDS),
            authorization: B2bAuthorization::of(&claims),
        })
    }
}

fn check_times(claims: &SignedClaims<'_>, now: i64) -> Result<(), AssertionError> {
    let expires_at = claims.time("exp")?.ok_or(JwtError::MissingClaim)?;
    if now >= expires_at {
        return Err(JwtError::Expired.into());
    }
    let soon = now.saturating_add(LEEWAY_SECONDS);
    if expires_at > soon.saturating_add(MAXIMUM_LIFETIME_SECONDS) {
        return Err(AssertionError::LivesTooLong);
    }
    if claims.time("nbf")?.is_some_and(|not_before| not_before > soon) {
        return Err(JwtError::NotYetValid.into());
    }
    if claims.time("iat")?.is_some_and(|issued_at| issued_at > soon || issued_at >= expires_at) {
        return Err(JwtError::ImplausibleTimes.into());
    }
    Ok(())
}

/// An assertion whose signature and claims hold, and which counts once: the registry refuses it the second time.
///
/// It is neither cloned nor made from parts; only [`PresentedAssertion::verify`] makes one.
#[derive(Debug)]
#[must_use = "an assertion that is not spent can be presented again"]
pub struct VerifiedAssertion {
    client: ClientId,
    token_id_hash: [u8; 32],
    remembered_until: i64,
    authorization: Result<Option<B2bAuthorization>, B2bError>,
}

impl VerifiedAssertion {
    /// For whom and for which purposes the client says that it asks; a matter of requests for a token alone.
    pub fn authorization(&self) -> Result<Option<&B2bAuthorization>, B2bError> {
        self.authorization.as_ref().map(Option::as_ref).map_err(|error| *error)
    }

    /// The client that signed it.
    pub fn client(&self) -> &ClientId {
        &self.client
    }

    /// SHA-256 of its `jti`.
    pub fn token_id_hash(&self) -> &[u8; 32] {
        &self.token_id_hash
    }

    /// Until when the same `jti` must be refused, in seconds since the epoch; not before its `exp`.
    pub fn remembered_until(&self) -> i64 {
        self.remembered_until
    }
}

#[cfg(test)]
pub(crate) mod tests;
