//! Authorization requests that come ahead of the browser: `POST /oauth/par` (RFC 9126) and the parameters `request` and `request_uri` of the
//! authorization endpoint (RFC 9101).
//!
//! A browser that comes with a pushed or signed request is sent on once, to the same request under a handle of its own
//! ([`portcullis_oauth::pushed_request`]). From there on sign-in, choice and consent go as with any other request.

use http::{Method, StatusCode, header};
use portcullis_audit::record::{Agent, Event, Outcome};
use portcullis_jose::JwtError;
use portcullis_oauth::authorize::{AuthorizationError, PageError, RedirectableRequest, claimed_client};
use portcullis_oauth::client_request::ClientRequest;
use portcullis_oauth::clients::{Client, ClientKind, KeySource};
use portcullis_oauth::introspection::Issuer;
use portcullis_oauth::parameters::Parameters;
use portcullis_oauth::pushed_request::{self, LIFETIME_SECONDS, RequestOrigin, StoredRequest, check_origin, handle_of};
use portcullis_oauth::request_object::{PresentedRequestObject, RequestObjectError};
use portcullis_oauth::token_error::TokenError;
use portcullis_oauth::token_request::{AuthenticatedClient, ClientCredentials};
use portcullis_store::RegistryError;
use portcullis_store::registry::{Change, TOO_MANY_PUSHED};
use serde_json::json;

use super::client_endpoint::{ClientEndpoint, Proposal, Refusal};
use crate::answer::{Answer, Draft};
use crate::authorization_server::authorization::authorize::{PATH, hinted};
use crate::authorization_server::authorization::stop::{Stop, stopped, stopped_unasked};
use crate::authorization_server::reply::{self, Account};
use crate::context::{Borrowed, Server};
use crate::dpop;
use crate::peer_address;
use crate::resource_server::Exchange;
use crate::ui::{self, Language};

/// The proof of a sign-in, which goes on, too.
const PROOF_PAIR: &str = "signed_in=";
/// The language that the app asks for, which goes on beside the handle, where the pages find it without reading what is stored.
const UI_LOCALES_PAIR: &str = "ui_locales=";

/// What the app is told whose `request_uri` counts for nothing.
const UNUSABLE: (AuthorizationError, &str) =
    (AuthorizationError::InvalidRequestUri, "request_uri is unknown, used, expired, or was made for another client_id");

/// `POST /oauth/par`
#[derive(Debug)]
pub struct PushedRequests;

impl ClientEndpoint for PushedRequests {
    type Request = Parameters;

    const EVENT: Event = Event::AuthorizationRequest;

    fn parse(request: &ClientRequest<'_>) -> Result<(ClientCredentials, Parameters), TokenError> {
        pushed_request::parse(request)
    }

    async fn decide(
        server: &Server,
        exchange: &Exchange,
        client: &AuthenticatedClient,
        parameters: Parameters,
    ) -> Result<Proposal, Refusal> {
        let (authenticated, client) = (client, client.client());
        let told = |(error, description)| TokenError::AuthorizationRequest(error, description);
        let object = parameters.value("request").ok().flatten();
        let origin = RequestOrigin { pushed: true, signed: object.is_some() };
        let mut query = pushed_request::query_of(&parameters, &client.id)?;
        if let Some(object) = object {
            query = opened(server, client, object).await.map_err(told)?;
        }
        let request = Parameters::parse(query.as_bytes()).map_err(|error| pushed_request::refused(error.into()))?;
        let redirectable = RedirectableRequest::new(&request, Some(client)).map_err(pushed_request::refused)?;
        check_origin(client, server.settings.authorization.require_pushed_authorization_requests, origin).map_err(told)?;
        let checked = redirectable.parse(&server.settings.fhir_base, server.settings.authorization.capabilities);
        let checked = checked.map_err(|refused| told((refused.error, refused.description)))?;
        if let Some(hint) = &checked.id_token_hint {
            hinted(server, &client.id, hint).map_err(told)?;
        }
        let query = dpop::bound(query, checked.key, authenticated).map_err(TokenError::from)?;
        let now = server.clock.now_seconds();
        let (uri, stored) = StoredRequest::waiting(&mut Borrowed(&*server.entropy), client.id.clone(), query, origin, now);
        let stored = stored.from_network(share(exchange, client));
        let body = json!({"request_uri": uri.expose(), "expires_in": LIFETIME_SECONDS});
        let draft = Draft::new(StatusCode::CREATED).body("application/json", body.to_string()).with(header::PRAGMA, "no-cache");
        let agent = Agent { client: Some(client.id.as_str().to_owned()), ..exchange.agent() };
        let detail = format!("pushed: {}", checked.scopes);
        let account = Account::new(Event::AuthorizationRequest, agent, Outcome::Success, detail);
        let change = Change::AddPushedRequest { request: Box::new(stored), now };
        Ok(Proposal { change, account, draft, overtaken: Some(Box::new(TokenError::TemporarilyUnavailable.into())) })
    }
}

/// The parameters that count, and how they came: of the query itself, or of the request that it names and that a browser has begun with.
pub async fn resolved(server: &Server, sent: Parameters) -> Result<(Parameters, RequestOrigin), Stop> {
    let Some(handle) = sent.value("request_uri").ok().flatten().and_then(handle_of) else {
        return Ok((sent, RequestOrigin::default()));
    };
    let client = claimed_client(&sent).map_err(Stop::Page)?;
    let stored = server.registry.pushed_request(&handle).await?;
    let stored = stored.filter(|stored| stored.begun && stored.is_for(&client, server.clock.now_seconds()));
    let stored = stored.ok_or(Stop::Page(PageError::Request(UNUSABLE.0, UNUSABLE.1)))?;
    let parameters = Parameters::parse(stored.query.as_bytes()).map_err(|error| Stop::Page(PageError::Parameters(error)))?;
    Ok((parameters, stored.origin))
}

/// What of a query goes on from page to page: of one that names a request, nothing that stands beside it.
pub fn carried(query: &str) -> String {
    if !query.split('&').any(|pair| pair.starts_with("request_uri=")) {
        return query.to_owned();
    }
    let counts =
        |pair: &&str| ["client_id=", "request_uri=", UI_LOCALES_PAIR, PROOF_PAIR].iter().any(|name| pair.starts_with(name));
    query.split('&').filter(counts).collect::<Vec<_>>().join("&")
}

/// Answers a browser that comes with a pushed or signed request: it is sent on. `None` where the query speaks for itself, or is one that was
/// begun with.
pub async fn begin(server: &Server, exchange: &Exchange, query: &str) -> Option<Answer> {
    // What cannot be read is told by whoever reads the rest.
    let sent = Parameters::parse(query.as_bytes()).ok()?;
    if ["request", "request_uri"].iter().all(|name| matches!(sent.value(name), Ok(None))) {
        return None;
    }
    let claimed = claimed_client(&sent).ok()?;
    let agent = Agent { client: Some(claimed.as_str().to_owned()), ..exchange.agent() };
    let client = match server.registry.client(&claimed).await {
        Ok(client) => client?,
        Err(error) => return Some(stopped(server, exchange, Stop::Registry(error), agent).await),
    };
    match next(server, exchange, (&sent, &client)).await {
        Ok(None) => None,
        // Whoever only asks for headers has not come with a person: nothing is spent.
        Ok(Some(_)) if exchange.method == Method::HEAD => {
            let account = Account::new(Event::AuthorizationRequest, agent, Outcome::Success, "");
            Some(reply::recorded(server, exchange, account, Draft::new(StatusCode::OK)).await)
        }
        Ok(Some(begun)) => Some(sent_on(server, exchange, &sent, (&client, agent), begun).await),
        Err(Ended::Registry(error)) => Some(stopped(server, exchange, Stop::Registry(error), agent).await),
        Err(Ended::Told(error, description)) => {
            let stop = told(&sent, &client, (error, description));
            Some(stopped_unasked(server, exchange, stop, agent).await)
        }
    }
}

/// The network whose share a request is of: anybody may push in the name of a client that proves nothing.
fn share(exchange: &Exchange, client: &Client) -> Option<String> {
    (client.kind == ClientKind::Public).then(|| peer_address::network(peer_address::or_peer(exchange)))
}

/// Why a request does not begin.
enum Ended {
    Told(AuthorizationError, &'static str),
    Registry(RegistryError),
}

impl From<(AuthorizationError, &'static str)> for Ended {
    fn from((error, description): (AuthorizationError, &'static str)) -> Self {
        Self::Told(error, description)
    }
}

impl From<RegistryError> for Ended {
    fn from(error: RegistryError) -> Self {
        Self::Registry(error)
    }
}

/// A request that begins: its change, and where the browser goes.
struct Begun {
    change: Change,
    request_uri: String,
    /// The language that the app asks for in what is stored.
    language: Option<Language>,
}

async fn next(server: &Server, exchange: &Exchange, (sent, client): (&Parameters, &Client)) -> Result<Option<Begun>, Ended> {
    let value = |name| sent.value(name).map_err(|repeated| (AuthorizationError::InvalidRequest, repeated.description()));
    let (object, uri) = (value("request")?, value("request_uri")?);
    let now = server.clock.now_seconds();
    let mut random = Borrowed(&*server.entropy);
    match (object, uri) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err((AuthorizationError::InvalidRequest, "request and request_uri exclude each other").into()),
        (Some(object), None) => {
            let query = opened(server, client, object).await?;
            let origin = RequestOrigin { pushed: false, signed: true };
            let language = ui::asked_in(&query);
            let (uri, continued) = StoredRequest::continued(&mut random, client.id.clone(), query, origin, now);
            // It stands in the address of a browser: whoever comes with it is nobody for certain.
            let continued = continued.from_network(Some(peer_address::network(peer_address::or_peer(exchange))));
            let change = Change::AddPushedRequest { request: Box::new(continued), now };
            Ok(Some(Begun { change, request_uri: uri.expose().clone(), language }))
        }
        (None, Some(uri)) => {
            const NOT_FETCHED: (AuthorizationError, &str) = (
                AuthorizationError::RequestUriNotSupported,
                "request_uri is not fetched; push the request, or send it in request",
            );
            let handle = handle_of(uri).ok_or(NOT_FETCHED)?;
            let stored = server.registry.pushed_request(&handle).await?;
            let stored = stored.filter(|stored| stored.is_for(&client.id, now)).ok_or(UNUSABLE)?;
            if stored.begun {
                return Ok(None);
            }
            let language = ui::asked_in(&stored.query);
            let (uri, continued) = StoredRequest::continued(&mut random, client.id.clone(), stored.query, stored.origin, now);
            let continued = continued.from_network(share(exchange, client));
            let change = Change::BeginPushedRequest { waiting: handle, continued: Box::new(continued), now };
            Ok(Some(Begun { change, request_uri: uri.expose().clone(), language }))
        }
    }
}

async fn sent_on(
    server: &Server,
    exchange: &Exchange,
    sent: &Parameters,
    (client, agent): (&Client, Agent),
    begun: Begun,
) -> Answer {
    let draft = reply::see_other(&format!("{PATH}{}", query_of(client, &begun)));
    let account = Account::new(Event::AuthorizationRequest, agent.clone(), Outcome::Success, "begun");
    match reply::changed(server, exchange, begun.change, account, draft).await {
        Ok(answer) => answer,
        Err(RegistryError::Conflict(what)) if what != TOO_MANY_PUSHED => {
            stopped_unasked(server, exchange, told(sent, client, UNUSABLE), agent).await
        }
        Err(error) => stopped(server, exchange, Stop::Registry(error), agent).await,
    }
}

fn query_of(client: &Client, begun: &Begun) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("client_id", client.id.as_str()).append_pair("request_uri", &begun.request_uri);
    if let Some(language) = begun.language {
        query.append_pair("ui_locales", language.tag());
    }
    query.finish()
}

/// An error goes to the app only where the query itself names an address that the app registered.
fn told(sent: &Parameters, client: &Client, (error, description): (AuthorizationError, &'static str)) -> Stop {
    match RedirectableRequest::new(sent, Some(client)) {
        Ok(redirectable) => Stop::Redirect(Box::new(redirectable.refuse(error, description))),
        Err(_) => Stop::Page(PageError::Request(error, description)),
    }
}

/// The parameters of a request object that the client signed.
async fn opened(server: &Server, client: &Client, object: &str) -> Result<String, (AuthorizationError, &'static str)> {
    let ClientKind::ConfidentialAsymmetric { keys: source, .. } = &client.kind else {
        return Err((AuthorizationError::RequestNotSupported, "request objects are for clients with registered keys"));
    };
    let invalid = |error: RequestObjectError| (AuthorizationError::InvalidRequestObject, error.description());
    let presented = PresentedRequestObject::parse(object).map_err(invalid)?;
    let registered = match source {
        KeySource::Url(url) => Some(&**url),
        KeySource::Value(_) => None,
    };
    presented.check_key_url(registered).map_err(invalid)?;
    let now = server.clock.now_seconds();
    let keys = server.client_keys.of(source, now).await.map_err(|error| {
        tracing::info!(client = %client.id, %error, "the keys of a client could not be had");
        (AuthorizationError::InvalidRequestObject, "request: the registered jwks_uri gave no usable JWK Set")
    })?;
    let issuer = Issuer { issuer: &server.settings.public_url, fhir_base: &server.settings.fhir_base };
    let verified = match presented.verify(&client.id, &keys, &issuer, now) {
        // The client may have new keys since ours were fetched.
        Err(RequestObjectError::Jwt(JwtError::UnknownKey)) => match server.client_keys.newer(source, &keys, now).await {
            Some(newer) => presented.verify(&client.id, &newer, &issuer, now),
            None => Err(JwtError::UnknownKey.into()),
        },
        other => other,
    };
    verified.map_err(invalid)
}
