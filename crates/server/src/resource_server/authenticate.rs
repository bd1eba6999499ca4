//! Stage 4: a bearer token becomes a principal, or a 401 that says what to do.
//!
//! RFC 6750, RFC 9068. The signature is verified once and cached; the status (grant, client, user) is read from the registry for every
//! request, so that a revocation holds for the next one.

use std::sync::Arc;

use http::header;
use portcullis_fhir::outcome::IssueType;
use portcullis_jose::JwtError;
use portcullis_jose::digest::sha256;
use portcullis_oauth::access_token::{AccessTokenError, AccessTokenTrust, VerifiedToken};
use portcullis_oauth::principal::{EstablishError, Principal};
use portcullis_store::registry::RegistryError;

use super::Exchange;
use crate::context::Server;
use crate::middleware::refusals::Standing;

/// Why nobody is authenticated.
#[derive(Debug, thiserror::Error)]
pub enum AuthenticationError {
    /// No `Authorization` header.
    #[error("no credentials")]
    Missing,
    /// Another scheme than Bearer, or a malformed header.
    #[error("malformed Authorization header")]
    Malformed,
    /// The token is not one of ours, for another audience, or revoked.
    #[error("invalid token: {0}")]
    Invalid(String),
    /// The token is ours, and was revoked.
    #[error("token no longer good: {0}")]
    Ended(EstablishError),
    /// The token's time is over.
    #[error("expired token")]
    Expired,
    /// The status cannot be read.
    #[error("the registry is not available")]
    Unavailable(#[source] RegistryError),
}

/// The scheme and realm of every challenge (RFC 6750, section 3).
pub const CHALLENGE: &str = "Bearer realm=\"fhir\"";

impl AuthenticationError {
    /// The `WWW-Authenticate` header: no error code where no credentials came (RFC 6750, section 3.1).
    pub fn challenge(&self) -> String {
        match self {
            Self::Missing => CHALLENGE.to_owned(),
            Self::Malformed => format!("{CHALLENGE}, error=\"invalid_request\""),
            Self::Invalid(_) | Self::Ended(_) | Self::Unavailable(_) => format!("{CHALLENGE}, error=\"invalid_token\""),
            Self::Expired => {
                format!("{CHALLENGE}, error=\"invalid_token\", error_description=\"The access token has expired\"")
            }
        }
    }

    /// The issue code of the OperationOutcome.
    pub fn issue_type(&self) -> IssueType {
        match self {
            Self::Expired => IssueType::Expired,
            _ => IssueType::Login,
        }
    }

    /// Whether the token was once good: its signature is ours.
    pub fn standing(&self) -> Standing {
        match self {
            Self::Expired | Self::Ended(_) => Standing::Former,
            Self::Missing | Self::Malformed | Self::Invalid(_) | Self::Unavailable(_) => Standing::Stranger,
        }
    }

    /// What to do about it. Does not say why a token is invalid: that would help only an attacker.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Missing => {
                "Send an access token: `Authorization: Bearer ...`. Apps get one as .well-known/smart-configuration describes."
            }
            Self::Malformed => "The Authorization header must be `Bearer`, one space and the access token.",
            Self::Invalid(_) | Self::Ended(_) | Self::Unavailable(_) => "The access token is not valid here. Get a new one.",
            Self::Expired => "The access token has expired. Use the refresh token, or start the app again.",
        }
    }
}

/// The longest token that is looked at, in bytes.
const MAXIMUM_TOKEN: usize = 16 * 1024;

/// Authenticates a request.
pub async fn authenticate(server: &Server, exchange: &Exchange) -> Result<Principal, AuthenticationError> {
    let token = bearer(exchange)?;
    let now = server.clock.now_seconds();
    let verified = verified(server, token, now)?;
    let status = server.registry.token_status(&verified).await.map_err(AuthenticationError::Unavailable)?;
    let principal = Principal::establish(&verified, status, now).map_err(|error| match error {
        EstablishError::Expired => AuthenticationError::Expired,
        other => AuthenticationError::Ended(other),
    })?;
    server.registry.note_use(verified.grant(), now);
    Ok(principal)
}

fn bearer(exchange: &Exchange) -> Result<&str, AuthenticationError> {
    let mut values = exchange.headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().ok_or(AuthenticationError::Missing)?;
    if values.next().is_some() {
        return Err(AuthenticationError::Malformed);
    }
    let text = value.to_str().map_err(|_| AuthenticationError::Malformed)?;
    let (scheme, token) = text.split_once(' ').ok_or(AuthenticationError::Malformed)?;
    let acceptable = scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && token.len() <= MAXIMUM_TOKEN;
    if acceptable { Ok(token) } else { Err(AuthenticationError::Malformed) }
}

fn verified(server: &Server, token: &str, now: i64) -> Result<Arc<VerifiedToken>, AuthenticationError> {
    let key = sha256(token);
    if let Some(cached) = server.tokens.get(&key) {
        if cached.expires_at() <= now {
            server.tokens.invalidate(&key);
            return Err(AuthenticationError::Expired);
        }
        return Ok(cached);
    }
    let settings = &server.settings;
    let trust =
        AccessTokenTrust { keys: &server.keys.verification, issuer: &settings.public_url, fhir_base: &settings.fhir_base };
    let verified = VerifiedToken::verify(token, &trust, now).map_err(|error| match error {
        AccessTokenError::Jwt(JwtError::Expired | JwtError::TooOld) => AuthenticationError::Expired,
        other => AuthenticationError::Invalid(other.to_string()),
    })?;
    let verified = Arc::new(verified);
    server.tokens.insert(key, Arc::clone(&verified));
    Ok(verified)
}
