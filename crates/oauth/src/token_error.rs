//! Errors of the token endpoint (RFC 6749 section 5.2), with status, code and description.
//!
//! Descriptions are fixed text: nothing of the request is echoed, and nothing says more than the developer of the app needs.

use serde_json::{Value, json};

use crate::authorize::AuthorizationError;
use crate::dpop::ProofError;
use crate::grant::{ExchangeError, Rotation};

/// An error of the token endpoint. The text is the `error_description`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum TokenError {
    /// A parameter is missing, repeated or malformed, or two ways of client authentication are used at once.
    #[error("{0}")]
    InvalidRequest(&'static str),
    /// Client authentication failed.
    #[error("{0}")]
    InvalidClient(&'static str),
    /// The code or refresh token is not good.
    #[error("{0}")]
    InvalidGrant(&'static str),
    /// The client may not use this grant type.
    #[error("{0}")]
    UnauthorizedClient(&'static str),
    /// The grant type is not one of ours.
    #[error("{0}")]
    UnsupportedGrantType(&'static str),
    /// The scope is malformed or more than was granted.
    #[error("{0}")]
    InvalidScope(&'static str),
    /// A pushed authorization request is not one that could be answered (RFC 9126 section 2.3).
    #[error("{1}")]
    AuthorizationRequest(AuthorizationError, &'static str),
    /// The DPoP proof is missing or wrong, or lacks a nonce of ours (RFC 9449 sections 5 and 8).
    #[error(transparent)]
    Dpop(ProofError),
    /// An error of ours.
    #[error("the server could not answer")]
    ServerError,
    /// The server does not answer for now, such as when nothing can be recorded.
    #[error("the server cannot issue tokens at the moment; try again later")]
    TemporarilyUnavailable,
}

impl TokenError {
    /// The value of `error`. The last two are not in RFC 6749 section 5.2, which has no word for errors of the server, but in its
    /// section 4.1.2.1.
    pub fn code(self) -> &'static str {
        match self {
            Self::InvalidRequest(_) => "invalid_request",
            Self::InvalidClient(_) => "invalid_client",
            Self::InvalidGrant(_) => "invalid_grant",
            Self::UnauthorizedClient(_) => "unauthorized_client",
            Self::UnsupportedGrantType(_) => "unsupported_grant_type",
            Self::InvalidScope(_) => "invalid_scope",
            Self::AuthorizationRequest(error, _) => error.code(),
            Self::Dpop(ProofError::Nonce) => "use_dpop_nonce",
            Self::Dpop(_) => "invalid_dpop_proof",
            Self::ServerError => "server_error",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
        }
    }

    /// The HTTP status.
    pub fn status(self) -> u16 {
        match self {
            Self::InvalidRequest(_)
            | Self::InvalidGrant(_)
            | Self::UnauthorizedClient(_)
            | Self::UnsupportedGrantType(_)
            | Self::InvalidScope(_)
            | Self::Dpop(_)
            | Self::AuthorizationRequest(..) => 400,
            Self::InvalidClient(_) => 401,
            Self::ServerError => 500,
            Self::TemporarilyUnavailable => 503,
        }
    }

    /// The `WWW-Authenticate` header, which belongs to status 401.
    pub fn www_authenticate(self) -> Option<&'static str> {
        match self {
            Self::InvalidClient(_) => Some("Basic realm=\"token endpoint\", charset=\"UTF-8\""),
            _ => None,
        }
    }

    /// The body.
    pub fn to_json(self) -> Value {
        json!({"error": self.code(), "error_description": self.to_string()})
    }
}

/// Which of the rules failed is for the audit record: whoever holds a stolen code need not know what is wrong with it.
impl From<&ExchangeError> for TokenError {
    fn from(_: &ExchangeError) -> Self {
        Self::InvalidGrant("the code is expired, used, or was issued for another client_id, redirect_uri or code_verifier")
    }
}

impl Rotation {
    /// The error that a presented refresh token ends in; `None` where it rotates.
    pub fn error(&self) -> Option<TokenError> {
        match self {
            Self::Rotate(_) => None,
            Self::Reused { .. } | Self::Expired | Self::WrongClient | Self::WrongKey => {
                Some(TokenError::InvalidGrant("the refresh token is expired, used, revoked, or was issued to another client"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identifiers::GrantId;

    #[test]
    fn each_error_has_the_status_and_code_of_the_specification() {
        for (error, status, code) in [
            (TokenError::InvalidRequest("x"), 400, "invalid_request"),
            (TokenError::InvalidClient("x"), 401, "invalid_client"),
            (TokenError::InvalidGrant("x"), 400, "invalid_grant"),
            (TokenError::UnauthorizedClient("x"), 400, "unauthorized_client"),
            (TokenError::UnsupportedGrantType("x"), 400, "unsupported_grant_type"),
            (TokenError::InvalidScope("x"), 400, "invalid_scope"),
            (TokenError::ServerError, 500, "server_error"),
            (TokenError::TemporarilyUnavailable, 503, "temporarily_unavailable"),
        ] {
            assert_eq!((error.status(), error.code()), (status, code));
            assert_eq!(error.www_authenticate().is_some(), status == 401);
            let body = error.to_json();
            assert_eq!(body["error"], code);
            let description = body["error_description"].as_str().unwrap();
            assert!(description.bytes().all(|byte| matches!(byte, 0x20..=0x7e) && byte != b'"' && byte != b'\\'));
        }
    }

    #[test]
    fn a_bad_code_or_refresh_token_does_not_say_what_is_wrong_with_it() {
        let grant = GrantId::parse("g").unwrap();
        let errors = [ExchangeError::Replayed { grant: grant.clone() }, ExchangeError::Expired, ExchangeError::WrongClient]
            .map(|error| TokenError::from(&error));
        assert!(errors.iter().all(|error| *error == errors[0] && error.code() == "invalid_grant"));
        let errors =
            [Rotation::Reused { family: grant }, Rotation::Expired, Rotation::WrongClient].map(|rotation| rotation.error());
        assert!(errors.iter().all(|error| *error == errors[0] && error.is_some()));
    }
}
