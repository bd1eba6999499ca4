//! Authorization requests that come ahead of the browser: pushed by the client (PAR, RFC 9126), or signed (JAR, RFC 9101).
//!
//! A pushed request waits under a random handle for one browser, for a minute, and for its client only. When the browser comes, the handle
//! is spent and the request goes on under another one, which only that browser has seen and which lives as long as a person may take to sign
//! in and decide. A signed request goes on the same way, so that its signature is checked once. A request that goes on was complete
//! and well-formed when it was stored; it is read anew each time all the same.

use portcullis_jose::{Random, Secret};
use url::form_urlencoded::Serializer;

use crate::authorize::{AuthorizationError, PageError};
use crate::client_request::ClientRequest;
use crate::clients::Client;
use crate::grant::SecretHash;
use crate::identifiers::ClientId;
use crate::parameters::{Parameters, Repeated};
use crate::token_error::TokenError;
use crate::token_request::ClientCredentials;

/// What every `request_uri` of ours begins with (RFC 9126 section 2.2).
pub const PREFIX: &str = "urn:ietf:params:oauth:request_uri:";

/// How long a pushed request waits for its browser, in seconds.
pub const LIFETIME_SECONDS: i64 = 60;

/// How long a person may take from the first page to the answer, in seconds.
pub const CONTINUED_LIFETIME_SECONDS: i64 = 1800;

/// Parameters by which a client authenticates, and which are no part of the authorization request.
const AUTHENTICATION: [&str; 3] = ["client_secret", "client_assertion", "client_assertion_type"];

/// How a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct RequestOrigin {
    /// By the PAR endpoint: the client was authenticated.
    pub pushed: bool,
    /// As a request object: the client signed it.
    pub signed: bool,
}

/// A request that is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRequest {
    /// The hash of its handle.
    pub hash: SecretHash,
    /// The client.
    pub client: ClientId,
    /// The parameters, as form data.
    pub query: String,
    /// How it came.
    pub origin: RequestOrigin,
    /// Whether a browser has begun with it. A handle that waits is spent by the first browser; one that goes on is not.
    pub begun: bool,
    /// The end of validity, in seconds since the epoch.
    pub expires_at: i64,
    /// Of what anybody could have brought: the network that it came from, of which each has a share.
    pub network: Option<String>,
}

impl StoredRequest {
    /// A request that waits for its browser, and its `request_uri`.
    pub fn waiting(
        random: &mut dyn Random,
        client: ClientId,
        query: String,
        origin: RequestOrigin,
        now: i64,
    ) -> (Secret<String>, Self) {
        Self::new(random, (client, query, origin), false, now.saturating_add(LIFETIME_SECONDS))
    }

    /// A request that a browser has begun with, and its `request_uri`.
    pub fn continued(
        random: &mut dyn Random,
        client: ClientId,
        query: String,
        origin: RequestOrigin,
        now: i64,
    ) -> (Secret<String>, Self) {
        Self::new(random, (client, query, origin), true, now.saturating_add(CONTINUED_LIFETIME_SECONDS))
    }

    fn new(
        random: &mut dyn Random,
        (client, query, origin): (ClientId, String, RequestOrigin),
        begun: bool,
        expires_at: i64,
    ) -> (Secret<String>, Self) {
        let (handle, hash) = SecretHash::generate(random);
        (
            Secret::new(format!("{PREFIX}{}", handle.expose())),
            Self { hash, client, query, origin, begun, expires_at, network: None },
        )
    }

    /// The same of a client that proves nothing, or as a browser brought it: each network has a share of its own.
    #[must_use]
    pub fn from_network(self, network: Option<String>) -> Self {
        Self { network, ..self }
    }

    /// Whether the request is this client's and its time is not over.
    pub fn is_for(&self, client: &ClientId, now: i64) -> bool {
        self.client == *client && now < self.expires_at
    }
}

/// The hash by which a `request_uri` of ours is found; `None` for any other address.
pub fn handle_of(request_uri: &str) -> Option<SecretHash> {
    request_uri.strip_prefix(PREFIX).filter(|handle| !handle.is_empty()).map(SecretHash::of)
}

/// A pushed request as it came (RFC 9126 section 2.1): who sends it, and the parameters.
pub fn parse(request: &ClientRequest<'_>) -> Result<(ClientCredentials, Parameters), TokenError> {
    let parameters = request.parameters();
    // "reject the request if the request_uri authorization request parameter is provided"
    if parameters.value("request_uri").ok().flatten().is_some() {
        return Err(TokenError::InvalidRequest("request_uri must not be pushed"));
    }
    Ok((request.credentials()?, parameters.clone()))
}

/// The parameters of a pushed request as they are kept: without those of the authentication, and with the client that was authenticated.
pub fn query_of(parameters: &Parameters, client: &ClientId) -> Result<String, TokenError> {
    let mut form = Serializer::new(String::new());
    for (name, value) in parameters.pairs() {
        if name == "client_id" && value != client.as_str() && !value.is_empty() {
            return Err(TokenError::InvalidRequest("client_id differs from the client that authenticated"));
        }
        if name != "client_id" && !AUTHENTICATION.contains(&name) {
            form.append_pair(name, value);
        }
    }
    form.append_pair("client_id", client.as_str());
    Ok(form.finish())
}

/// What a client is told whose pushed request names no place that answers may be sent to.
pub fn refused(error: PageError) -> TokenError {
    let description = match error {
        PageError::Parameters(_) => "the parameters are too many or too long, or not valid form data",
        PageError::MissingParameter("redirect_uri") => "redirect_uri is required",
        PageError::MissingParameter(_) => "client_id is required",
        PageError::RepeatedParameter(name) => Repeated::of(name).description(),
        PageError::UnknownClient => "client_id differs from the client that authenticated",
        PageError::UnregisteredRedirectUri => "redirect_uri is not registered for this client",
        PageError::Request(error, description) => return TokenError::AuthorizationRequest(error, description),
    };
    TokenError::AuthorizationRequest(AuthorizationError::InvalidRequest, description)
}

/// Refuses a request that did not come as the client or the server requires.
pub fn check_origin(
    client: &Client,
    server_requires_push: bool,
    origin: RequestOrigin,
) -> Result<(), (AuthorizationError, &'static str)> {
    let properties = &client.properties;
    if !origin.pushed && (server_requires_push || properties.require_pushed_authorization_requests) {
        return Err((
            AuthorizationError::InvalidRequest,
            "the request must be pushed to the pushed authorization request endpoint",
        ));
    }
    if !origin.signed && properties.require_signed_request_object {
        return Err((AuthorizationError::InvalidRequest, "the request must be a signed request object in the parameter request"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client_request::ClientRequestParts;
    use crate::clients::tests::{Counter, public_client};

    fn client(id: &str) -> ClientId {
        ClientId::parse(id).unwrap()
    }

    #[test]
    fn only_our_own_handles_are_looked_up() {
        for other in [
            "",
            PREFIX,
            "https://app.example/request.jwt",
            "urn:ietf:params:oauth:request_uri",
            "URN:ietf:params:oauth:request_uri:x",
        ] {
            assert!(handle_of(other).is_none(), "{other}");
        }
        let (uri, stored) = StoredRequest::waiting(&mut Counter(0), client("app"), "a=b".into(), RequestOrigin::default(), 1000);
        assert_eq!(handle_of(uri.expose()), Some(stored.hash));
        assert_ne!(handle_of(&format!("{}x", uri.expose())), Some(stored.hash));
    }

    #[test]
    fn a_request_is_its_clients_alone_and_ends() {
        let (_, stored) = StoredRequest::waiting(&mut Counter(0), client("app"), "a=b".into(), RequestOrigin::default(), 1000);
        assert!(stored.is_for(&client("app"), 1059));
        assert!(!stored.is_for(&client("app"), 1060));
        assert!(!stored.is_for(&client("other"), 1000));
        let (_, continued) =
            StoredRequest::continued(&mut Counter(0), client("app"), "a=b".into(), RequestOrigin::default(), 1000);
        assert!(
            !stored.begun && continued.begun && continued.is_for(&client("app"), 2799) && !continued.is_for(&client("app"), 2800)
        );
    }

    #[test]
    fn credentials_are_not_kept_and_another_client_is_refused() {
        let parameters =
            Parameters::parse(b"client_id=app&client_secret=s&client_assertion=j&client_assertion_type=t&state=a+b").unwrap();
        assert_eq!(query_of(&parameters, &client("app")).unwrap(), "state=a+b&client_id=app");
        assert_eq!(query_of(&parameters, &client("other")).unwrap_err().code(), "invalid_request");
        let without = Parameters::parse(b"state=x").unwrap();
        assert_eq!(query_of(&without, &client("app")).unwrap(), "state=x&client_id=app");
    }

    #[test]
    fn a_pushed_request_must_not_refer_to_another() {
        let parts = ClientRequestParts {
            content_type: Some("application/x-www-form-urlencoded"),
            authorization: None,
            body: b"client_id=app&request_uri=urn:ietf:params:oauth:request_uri:x",
        };
        assert_eq!(parse(&ClientRequest::read(&parts).unwrap()).unwrap_err().code(), "invalid_request");
    }

    #[test]
    fn what_client_or_server_requires_cannot_be_left_out() {
        let mut client = public_client();
        let plain = RequestOrigin::default();
        let (pushed, signed) = (RequestOrigin { pushed: true, ..plain }, RequestOrigin { signed: true, ..plain });
        assert_eq!(check_origin(&client, false, plain), Ok(()));
        assert!(check_origin(&client, true, plain).is_err() && check_origin(&client, true, signed).is_err());
        assert_eq!(check_origin(&client, true, pushed), Ok(()));
        client.properties.require_pushed_authorization_requests = true;
        assert!(check_origin(&client, false, plain).is_err());
        assert_eq!(check_origin(&client, false, pushed), Ok(()));
        client.properties.require_pushed_authorization_requests = false;
        client.properties.require_signed_request_object = true;
        assert!(check_origin(&client, false, pushed).is_err());
        assert_eq!(check_origin(&client, false, signed), Ok(()));
    }
}
