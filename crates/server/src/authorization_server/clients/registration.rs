//! Clients that register themselves: `POST /oauth/register` (RFC 7591), and `/oauth/register/ID`, where each manages its own registration (RFC
//! 7592).
//!
//! The operator decides who may: nobody, whoever has an initial access token or a software statement, or anybody; where nobody may, there is nothing here. A client that
//! registered itself is marked as such, unverified, and gets no access without a person. The number within an hour is limited. The registration
//! access token is told once, kept as a hash, and ends with the client or when the operator takes the client over.

use http::{Method, StatusCode, header};
use portcullis_audit::record::{Agent, Event, Outcome};
use portcullis_oauth::clients::Client;
use portcullis_oauth::grant::SecretHash;
use portcullis_oauth::identifiers::ClientId;
use portcullis_oauth::registration::{Registered, Registrar, information};
use portcullis_store::RegistryError;
use portcullis_store::client_registration::{INITIAL_TOKEN_REFUSED, RegistrationChange, TOO_MANY_REGISTRATIONS};
use portcullis_store::registry::Change;

use super::client_endpoint::authorization;
use crate::admin::https::{Fault, json_draft, metadata};
use crate::answer::{Answer, Draft};
use crate::authorization_server::reply::{self, Account};
use crate::client_route::ClientRoute;
use crate::context::{Borrowed, RegistrationPolicy, Server};
use crate::listener::Incoming;
use crate::resource_server::Exchange;

/// Serves one request.
pub async fn serve(server: &Server, exchange: &Exchange, route: ClientRoute, incoming: Incoming) -> Answer {
    let client = match &route {
        ClientRoute::Registration(id) => Some(id.as_str().to_owned()),
        _ => None,
    };
    let agent = Agent { client, ..exchange.agent() };
    let fault = match act(server, exchange, (&route, incoming), &agent).await {
        Ok(answer) => return answer,
        Err(fault) => fault,
    };
    let draft = match fault.draft() {
        draft if draft.status() == StatusCode::UNAUTHORIZED => {
            // No error code for whoever sent no token (RFC 6750, section 3.1).
            draft.with(
                header::WWW_AUTHENTICATE,
                match bearer(exchange) {
                    Some(_) => "Bearer realm=\"registration\", error=\"invalid_token\"",
                    None => "Bearer realm=\"registration\"",
                },
            )
        }
        draft if draft.status() == StatusCode::METHOD_NOT_ALLOWED => draft.with(header::ALLOW, allow(&route)),
        draft if draft.status() == StatusCode::TOO_MANY_REQUESTS => draft.with(header::RETRY_AFTER, "3600"),
        draft => draft,
    };
    let account = Account::new(Event::Administration, agent, fault.outcome(), fault.detail());
    reply::recorded(server, exchange, account, draft).await
}

fn allow(route: &ClientRoute) -> &'static str {
    match route {
        ClientRoute::Registration(_) => "GET, PUT, DELETE",
        _ => "POST",
    }
}

fn unauthorized(description: &str) -> Fault {
    Fault::new(StatusCode::UNAUTHORIZED, "invalid_token", description)
}

fn bearer(exchange: &Exchange) -> Option<&str> {
    let (scheme, token) = authorization(exchange).ok()??.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

async fn act(
    server: &Server,
    exchange: &Exchange,
    (route, incoming): (&ClientRoute, Incoming),
    agent: &Agent,
) -> Result<Answer, Fault> {
    if server.settings.authorization.registration == RegistrationPolicy::Off {
        return Err(Fault::new(StatusCode::NOT_FOUND, "not_found", "clients are registered by the operator of this server"));
    }
    match (route, &exchange.method) {
        (ClientRoute::Register, &Method::POST) => register(server, exchange, incoming, agent).await,
        (ClientRoute::Registration(id), &(Method::GET | Method::PUT | Method::DELETE)) => {
            manage(server, exchange, (id, incoming), agent).await
        }
        _ => Err(Fault::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "invalid_request",
            format!("the method must be one of {}", allow(route)),
        )),
    }
}

async fn register(server: &Server, exchange: &Exchange, incoming: Incoming, agent: &Agent) -> Result<Answer, Fault> {
    let settings = &server.settings.authorization;
    let initial = match settings.registration {
        RegistrationPolicy::Token => {
            let token = bearer(exchange).ok_or_else(|| unauthorized("registration takes an initial access token"))?;
            let hash = SecretHash::of(token);
            let now = server.clock.now_seconds();
            // Before anything else, so that nobody without one learns what would be accepted; one use of it is spent with the registration.
            let known = server.registry.initial_access_tokens().await?;
            if !known.iter().any(|known| known.hash == hash && known.uses_left > 0 && known.expires_at > now) {
                return Err(unauthorized(INITIAL_TOKEN_REFUSED));
            }
            Some(hash)
        }
        RegistrationPolicy::Open | RegistrationPolicy::Statement | RegistrationPolicy::Off => None,
    };
    let mut random = Borrowed(&*server.entropy);
    let id = ClientId::generate(&mut random);
    let Registered { client, secret } = metadata(server, exchange, incoming, (id, None), Registrar::Dynamic).await?;
    check_on(server, &client)?;
    check_statement(server, &client)?;
    let (token, hash) = SecretHash::generate(&mut random);
    let address = address(server, &client.id);
    let body = information(&client, secret.as_ref().map(|secret| secret.expose().as_str()), (token.expose(), &address));
    let agent = Agent { client: Some(client.id.as_str().to_owned()), ..agent.clone() };
    let detail = format!("client registered itself: {}", client.id);
    let change = RegistrationChange::Register {
        client: Box::new(client),
        token: hash,
        initial,
        hourly_limit: settings.registrations_per_hour,
        now: server.clock.now_seconds(),
    };
    let account = Account::new(Event::Administration, agent, Outcome::Success, detail);
    let draft = json_draft(StatusCode::CREATED, &body);
    reply::changed(server, exchange, Change::Registration(change), account, draft).await.map_err(|error| match error {
        RegistryError::Conflict(INITIAL_TOKEN_REFUSED) => unauthorized(INITIAL_TOKEN_REFUSED),
        RegistryError::Conflict(TOO_MANY_REGISTRATIONS) => {
            Fault::new(StatusCode::TOO_MANY_REQUESTS, "temporarily_unavailable", TOO_MANY_REGISTRATIONS)
        }
        other => other.into(),
    })
}

/// Refuses a way of authentication that is switched off.
fn check_on(server: &Server, client: &Client) -> Result<(), Fault> {
    let checked = server.settings.authorization.capabilities.check_client(client);
    checked.map_err(|off| Fault::new(StatusCode::BAD_REQUEST, "invalid_client_metadata", off))
}

/// Refuses a client whose own word it is, where a statement is what lets clients in: also with an update, which could say anything.
fn check_statement(server: &Server, client: &Client) -> Result<(), Fault> {
    let demanded = server.settings.authorization.registration == RegistrationPolicy::Statement;
    if !demanded || client.properties.software_statement.is_some() {
        return Ok(());
    }
    let (code, what) = ("invalid_software_statement", "registration takes a software_statement of a trusted issuer");
    Err(Fault::new(StatusCode::BAD_REQUEST, code, what))
}

fn address(server: &Server, client: &ClientId) -> String {
    format!("{}/oauth/register/{client}", server.settings.public_url)
}

async fn manage(
    server: &Server,
    exchange: &Exchange,
    (id, incoming): (&ClientId, Incoming),
    agent: &Agent,
) -> Result<Answer, Fault> {
    const REFUSED: &str = "the registration access token is not valid for this client";
    let token = bearer(exchange).ok_or_else(|| unauthorized("this takes the registration access token of the client"))?;
    let owner = server.registry.registered_by(&SecretHash::of(token)).await?;
    // "If the client does not exist on this server, the server MUST respond with HTTP 401 Unauthorized" (RFC 7592 section 2.1).
    owner.filter(|owner| owner == id).ok_or_else(|| unauthorized(REFUSED))?;
    let before: Client = server.registry.client(id).await?.ok_or_else(|| unauthorized(REFUSED))?;
    if !before.properties.dynamic {
        return Err(unauthorized(REFUSED));
    }
    let told = |detail: &str| Account::new(Event::Administration, agent.clone(), Outcome::Success, format!("{detail}: {id}"));
    let address = address(server, id);
    match exchange.method {
        Method::GET => {
            let draft = json_draft(StatusCode::OK, &information(&before, None, (token, &address)));
            Ok(reply::recorded(server, exchange, told("client read its registration"), draft).await)
        }
        Method::DELETE => {
            let account = told("client removed itself");
            let draft = Draft::new(StatusCode::NO_CONTENT);
            Ok(reply::changed(server, exchange, Change::RemoveClient(id.clone()), account, draft).await?)
        }
        _ => {
            let known = (id.clone(), Some(&before));
            let Registered { client, secret } = metadata(server, exchange, incoming, known, Registrar::Dynamic).await?;
            check_on(server, &client)?;
            check_statement(server, &client)?;
            let secret = secret.as_ref().map(|secret| secret.expose().as_str());
            let draft = json_draft(StatusCode::OK, &information(&client, secret, (token, &address)));
            let account = told("client changed its registration");
            Ok(reply::changed(server, exchange, RegistrationChange::replacing(before, client), account, draft).await?)
        }
    }
}
