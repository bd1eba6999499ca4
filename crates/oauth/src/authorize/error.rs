//! Errors of the authorization endpoint: those that a page shows, and those that go to the app.

use crate::parameters::{ParametersError, append_to_query};
use crate::redirect_uri::RedirectTarget;

/// An error before it is certain where answers go: shown on a page, never redirected (RFC 6749 section 4.1.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// The parameters cannot be read.
    #[error(transparent)]
    Parameters(#[from] ParametersError),
    /// A parameter that says who asks or where answers go is absent.
    #[error("the app did not send {0}")]
    MissingParameter(&'static str),
    /// Such a parameter is repeated.
    #[error("the app sent {0} more than once")]
    RepeatedParameter(&'static str),
    /// There is no such client.
    #[error("the app is not registered here")]
    UnknownClient,
    /// The client has not registered this redirect URI.
    #[error("the app wants the answer at an address that it did not register")]
    UnregisteredRedirectUri,
    /// A pushed or signed request counts for nothing, and so nothing says where answers go.
    #[error("{} ({})", .1, .0.code())]
    Request(AuthorizationError, &'static str),
}

/// An error that goes to the app, by its code on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuthorizationError {
    /// RFC 6749 section 4.1.2.1: a parameter is missing, invalid or repeated.
    InvalidRequest,
    /// RFC 6749 section 4.1.2.1: this client may not ask this way.
    UnauthorizedClient,
    /// RFC 6749 section 4.1.2.1: the person or the server said no.
    AccessDenied,
    /// RFC 6749 section 4.1.2.1: another `response_type` than `code`.
    UnsupportedResponseType,
    /// RFC 6749 section 4.1.2.1: no scope can be granted.
    InvalidScope,
    /// RFC 6749 section 4.1.2.1: an error of ours.
    ServerError,
    /// RFC 6749 section 4.1.2.1: not now.
    TemporarilyUnavailable,
    /// OpenID Connect Core section 3.1.2.6: `prompt=none`, and nobody is signed in.
    LoginRequired,
    /// OpenID Connect Core section 3.1.2.6: `prompt=none`, and consent is needed.
    ConsentRequired,
    /// OpenID Connect Core section 3.1.2.6: `prompt=none`, and another page is needed.
    InteractionRequired,
    /// OpenID Connect Core Error Code unmet_authentication_requirements 1.0: the person cannot sign in as strongly as this takes.
    UnmetAuthenticationRequirements,
    /// OpenID Connect Core section 3.1.2.6: `request`.
    RequestNotSupported,
    /// OpenID Connect Core section 3.1.2.6: `request_uri`.
    RequestUriNotSupported,
    /// RFC 9101 section 7: the request object cannot be used.
    InvalidRequestObject,
    /// RFC 9101 section 7: the `request_uri` is unknown, used or expired.
    InvalidRequestUri,
}

impl AuthorizationError {
    /// The value of `error`.
    pub fn code(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::AccessDenied => "access_denied",
            Self::UnsupportedResponseType => "unsupported_response_type",
            Self::InvalidScope => "invalid_scope",
            Self::ServerError => "server_error",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
            Self::LoginRequired => "login_required",
            Self::ConsentRequired => "consent_required",
            Self::InteractionRequired => "interaction_required",
            Self::UnmetAuthenticationRequirements => "unmet_authentication_requirements",
            Self::RequestNotSupported => "request_not_supported",
            Self::RequestUriNotSupported => "request_uri_not_supported",
            Self::InvalidRequestObject => "invalid_request_object",
            Self::InvalidRequestUri => "invalid_request_uri",
        }
    }
}

/// An error on its way to the app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizationErrorResponse {
    /// Where it goes.
    pub redirect: RedirectTarget,
    /// The code.
    pub error: AuthorizationError,
    /// What the developer of the app should change.
    pub description: &'static str,
    /// The app's state, where it sent exactly one.
    pub state: Option<String>,
}

impl AuthorizationErrorResponse {
    /// The URL that takes the error to the app, with `iss` (RFC 9207).
    pub fn location(&self, issuer: &str) -> String {
        let mut location = self.redirect.as_str().to_owned();
        append_to_query(&mut location, "error", self.error.code());
        append_to_query(&mut location, "error_description", self.description);
        if let Some(state) = &self.state {
            append_to_query(&mut location, "state", state);
        }
        append_to_query(&mut location, "iss", issuer);
        location
    }
}
