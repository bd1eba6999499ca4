//! What a client sends to the endpoints at which clients authenticate: a form, read once, and what it says about who sends it.
//!
//! RFC 6749 section 2.3, RFC 7521, RFC 7617. Whether what it says is true is decided elsewhere ([`crate::token_request::ClientCredentials::authenticate`]).

use base64::Engine as _;
use portcullis_jose::Secret;

use crate::client_assertion::{ASSERTION_TYPE, PresentedAssertion};
use crate::grant::SecretHash;
use crate::identifiers::ClientId;
use crate::parameters::{Parameters, ParametersError, Repeated, decode};
use crate::token_error::TokenError;
use crate::token_request::ClientCredentials;

/// The longest `Authorization` header that is looked at, in bytes.
const MAXIMUM_AUTHORIZATION_BYTES: usize = 4096;

const NOT_NAMED: TokenError = TokenError::InvalidClient("client_id or HTTP Basic is required");

fn repeated(repeated: Repeated) -> TokenError {
    TokenError::InvalidRequest(repeated.description())
}

/// A client's request as it came over HTTP.
#[derive(Clone, Copy)]
pub struct ClientRequestParts<'a> {
    /// The `Content-Type` header.
    pub content_type: Option<&'a str>,
    /// The `Authorization` header.
    pub authorization: Option<&'a str>,
    /// The body.
    pub body: &'a [u8],
}

impl ClientRequestParts<'_> {
    /// The client that a request names, rightly or wrongly: for the record of a request that cannot be read.
    pub fn claimed_client(&self) -> Option<ClientId> {
        let named = || ClientId::parse(Parameters::parse(self.body).ok()?.value("client_id").ok()??);
        self.authorization.and_then(basic).map(|(client, _)| client).or_else(named)
    }
}

/// A client's request: a form in which no parameter is repeated.
pub struct ClientRequest<'a> {
    authorization: Option<&'a str>,
    parameters: Parameters,
    implied_client: Option<ClientId>,
}

impl<'a> ClientRequest<'a> {
    /// Reads the form.
    pub fn read(parts: &ClientRequestParts<'a>) -> Result<Self, TokenError> {
        if !parts.content_type.is_some_and(is_form) {
            return Err(TokenError::InvalidRequest("the body must be application/x-www-form-urlencoded"));
        }
        let parameters = Parameters::parse(parts.body).map_err(|error| match error {
            ParametersError::TooLarge => TokenError::InvalidRequest("the request has too many or too long parameters"),
            ParametersError::Malformed => TokenError::InvalidRequest("the body is not valid form data"),
        })?;
        parameters.check_each_once().map_err(repeated)?;
        Ok(Self { authorization: parts.authorization, parameters, implied_client: None })
    }

    /// The parameters.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// The value of a parameter, where it has one.
    pub fn optional(&self, name: &str) -> Result<Option<&str>, TokenError> {
        self.parameters.value(name).map_err(repeated)
    }

    /// The value of a parameter without which there is `problem`.
    pub fn required(&self, name: &str, problem: &'static str) -> Result<&str, TokenError> {
        self.optional(name)?.ok_or(TokenError::InvalidRequest(problem))
    }

    /// The client that the request names, rightly or wrongly.
    pub fn claimed_client(&self) -> Option<ClientId> {
        let named = || ClientId::parse(self.parameters.value("client_id").ok()??);
        self.authorization.and_then(basic).map(|(client, _)| client).or_else(named)
    }

    /// The hash of the refresh token in a request to refresh that says nothing about its client.
    ///
    /// RFC 6749 asks for `client_id` in the request for a code (section 4.1.3) and not in the one to refresh (section 6), and public clients that
    /// are built on SMART's own JavaScript library leave it out there. The token says whose it is; a client that has credentials must still show them.
    pub fn lone_refresh_token(&self) -> Option<SecretHash> {
        let value = |name: &str| self.parameters.value(name).ok().flatten();
        let named = ["client_id", "client_secret", "client_assertion", "client_assertion_type"].map(value);
        let lone =
            self.authorization.is_none() && named.iter().all(Option::is_none) && value("grant_type") == Some("refresh_token");
        value("refresh_token").filter(|_| lone).map(SecretHash::of)
    }

    /// Says to which client the token of [`ClientRequest::lone_refresh_token`] was issued.
    pub fn implying(self, client: Option<ClientId>) -> Self {
        Self { implied_client: client, ..self }
    }

    /// How the client presents itself at the token endpoint, where a refresh token may say who it is.
    pub(crate) fn credentials_or_implied(&self) -> Result<ClientCredentials, TokenError> {
        match (self.credentials(), &self.implied_client) {
            (Err(NOT_NAMED), Some(client)) => Ok(ClientCredentials::Public { client_id: client.clone() }),
            (credentials, _) => credentials,
        }
    }

    /// How the client presents itself. "The client MUST NOT use more than one authentication method in each request" (RFC 6749 section 2.3).
    pub fn credentials(&self) -> Result<ClientCredentials, TokenError> {
        let named = self.optional("client_id")?;
        let in_body = self.optional("client_secret")?.is_some();
        let (assertion_text, assertion_type) = (self.optional("client_assertion")?, self.optional("client_assertion_type")?);
        let assertion = assertion_text.is_some() || assertion_type.is_some();
        if usize::from(self.authorization.is_some()) + usize::from(in_body) + usize::from(assertion) > 1 {
            return Err(TokenError::InvalidRequest("only one way of client authentication may be used"));
        }
        if in_body {
            return Err(TokenError::InvalidClient("send the client secret by HTTP Basic, not in the body"));
        }
        if assertion {
            return Ok(ClientCredentials::Assertion(Box::new(presented(assertion_text, assertion_type, named)?)));
        }
        let Some(header) = self.authorization else {
            let name = named.ok_or(NOT_NAMED)?;
            let client_id = ClientId::parse(name).ok_or(TokenError::InvalidClient("client authentication failed"))?;
            return Ok(ClientCredentials::Public { client_id });
        };
        let (client_id, secret) =
            basic(header).ok_or(TokenError::InvalidClient("the Authorization header is not valid HTTP Basic"))?;
        if named.is_some_and(|named| named != client_id.as_str()) {
            return Err(TokenError::InvalidRequest("client_id differs from the one in the Authorization header"));
        }
        Ok(ClientCredentials::Basic { client_id, secret })
    }
}

fn is_form(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// A client assertion. Where `client_id` is sent, too, it must name the same client (RFC 7521 section 4.2).
fn presented(text: Option<&str>, kind: Option<&str>, named: Option<&str>) -> Result<PresentedAssertion, TokenError> {
    if kind != Some(ASSERTION_TYPE) {
        return Err(TokenError::InvalidRequest(
            "client_assertion_type must be urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        ));
    }
    let assertion = PresentedAssertion::parse(text.ok_or(TokenError::InvalidRequest("client_assertion is required"))?)?;
    if named.is_some_and(|named| named != assertion.client_id().as_str()) {
        return Err(TokenError::InvalidClient("client_id differs from the sub of client_assertion"));
    }
    Ok(assertion)
}

/// HTTP Basic (RFC 7617), whose two halves are form-encoded first (RFC 6749 section 2.3.1).
fn basic(header: &str) -> Option<(ClientId, Secret<String>)> {
    if header.len() > MAXIMUM_AUTHORIZATION_BYTES {
        return None;
    }
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = Secret::new(base64::engine::general_purpose::STANDARD.decode(encoded.trim_start_matches(' ')).ok()?);
    let colon = decoded.expose().iter().position(|byte| *byte == b':')?;
    let (name, secret) = decoded.expose().split_at_checked(colon)?;
    let client_id = ClientId::parse(&decode(name).ok()?)?;
    Some((client_id, Secret::new(decode(secret.get(1..)?).ok()?)))
}
