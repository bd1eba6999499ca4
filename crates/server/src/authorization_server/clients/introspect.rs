//! `POST /oauth/introspect`: what a token is worth at this moment (RFC 7662, RFC 9701; SMART App Launch 2.2.0, "Token Introspection").
//!
//! The caller authenticates as at the token endpoint, or by an access token of its own in the header. Each answer is recorded with the token that
//! it was about; the token itself is in no record.

use std::sync::Arc;

use http::{StatusCode, header};
use portcullis_audit::record::{Agent, Event, Outcome};
use portcullis_jose::{Algorithm, Secret, SignError, SigningKey};
use portcullis_oauth::access_token::{AccessTokenTrust, Subject, VerifiedToken};
use portcullis_oauth::client_request::{ClientRequest, ClientRequestParts};
use portcullis_oauth::clients::Client;
use portcullis_oauth::grant::SecretHash;
use portcullis_oauth::introspection::{self, ActiveToken, INACTIVE, Issuer, JWT_MEDIA_TYPE};
use portcullis_oauth::token_error::TokenError;
use portcullis_oauth::token_request::{AuthenticatedClient, ClientCredentials};
use portcullis_oauth::users::Roles;
use portcullis_store::RegistryError;
use portcullis_store::registry::Change;

use super::client_endpoint::{self, ClientEndpoint, Proposal, Refusal};
use super::introspect_consent;
use super::token;
use crate::answer::{Answer, Draft};
use crate::authorization_server::reply::{self, Account};
use crate::context::Server;
use crate::listener::Incoming;
use crate::middleware::body;
use crate::resource_server::Exchange;
use crate::resource_server::authenticate;

/// The endpoint for callers with credentials of a client.
#[derive(Debug)]
pub struct Introspection;

impl ClientEndpoint for Introspection {
    type Request = Secret<String>;

    const EVENT: Event = Event::Introspection;

    fn parse(request: &ClientRequest<'_>) -> Result<(ClientCredentials, Secret<String>), TokenError> {
        introspection::parse(request)
    }

    async fn decide(
        server: &Server,
        exchange: &Exchange,
        client: &AuthenticatedClient,
        token: Secret<String>,
    ) -> Result<Proposal, Refusal> {
        introspection::check_caller(client.client())?;
        let agent = Agent { client: Some(client.id().as_str().to_owned()), ..exchange.agent() };
        let (account, draft) = answer(server, exchange, (client.client(), agent), token.expose()).await?;
        Ok(Proposal { change: Change::Nothing, account, draft, overtaken: None })
    }
}

/// Serves a request, by whichever way its caller authenticates.
pub async fn serve(server: &Server, exchange: &Exchange, incoming: Incoming) -> Answer {
    let scheme = exchange.header(&header::AUTHORIZATION).and_then(|value| value.split(' ').next()).unwrap_or_default();
    if !scheme.eq_ignore_ascii_case("bearer") && !scheme.eq_ignore_ascii_case("dpop") {
        return client_endpoint::serve::<Introspection>(server, exchange, incoming).await;
    }
    match with_bearer(server, exchange, incoming).await {
        Ok((account, draft)) => reply::recorded(server, exchange, account, draft).await,
        Err((account, draft)) => reply::recorded(server, exchange, *account, draft).await,
    }
}

/// The caller shows an access token: "any client authorized to issue Token Introspection API calls SHALL be permitted to authenticate by providing
/// an appropriate SMART App or SMART Backend Service bearer token" (SMART App Launch 2.2.0). What it may see is its registration's to say.
async fn with_bearer(
    server: &Server,
    exchange: &Exchange,
    incoming: Incoming,
) -> Result<(Account, Draft), (Box<Account>, Draft)> {
    let refused = |agent: Agent, outcome, detail: String, draft| {
        (Box::new(Account::new(Event::Introspection, agent, outcome, detail)), draft)
    };
    let fault = |agent: Agent, error: TokenError| refused(agent, Outcome::Denied, error.to_string(), reply::oauth_error(error));
    let authenticated = authenticate::authenticate(server, exchange).await.map_err(|error| {
        let (outcome, draft) = reply::not_authenticated(&error);
        refused(exchange.agent(), outcome, error.to_string(), draft)
    })?;
    let principal = authenticated.beside_fhir();
    let agent = Agent {
        client: Some(principal.client().as_str().to_owned()),
        token: principal.token_id().map(|token| token.as_str().to_owned()),
        user: principal.user().map(|user| user.id.as_str().to_owned()),
        ..exchange.agent()
    };
    let body = body::read(incoming, body::MAXIMUM_FORM).await;
    let body = body.map_err(|_| fault(agent.clone(), TokenError::InvalidRequest("the body is too large or incomplete")))?;
    let parts = ClientRequestParts { content_type: exchange.header(&header::CONTENT_TYPE), authorization: None, body: &body };
    let token = ClientRequest::read(&parts).and_then(|request| introspection::parse_with_bearer(&request));
    let token = token.map_err(|error| fault(agent.clone(), error))?;
    let unavailable = |error: &RegistryError| {
        tracing::error!(%error, "the registry failed at the introspection endpoint");
        let draft = reply::oauth_error(TokenError::TemporarilyUnavailable);
        refused(agent.clone(), Outcome::Failed, "registry failed".to_owned(), draft)
    };
    let caller = server.registry.client(principal.client()).await.map_err(|error| unavailable(&error))?;
    let caller =
        caller.ok_or_else(|| fault(agent.clone(), TokenError::InvalidClient("the client is not registered any more")))?;
    introspection::check_caller(&caller).map_err(|error| fault(agent.clone(), error))?;
    answer(server, exchange, (&caller, agent.clone()), token.expose()).await.map_err(|refusal| match refusal {
        Refusal::Registry(error) => unavailable(&error),
        Refusal::Client { error, .. } => fault(agent.clone(), error),
    })
}

/// What is found about a token, and what the record says of it.
struct Found {
    active: Option<ActiveToken>,
    /// For the record: which token.
    named: String,
    patient: Option<String>,
}

impl Found {
    fn nothing(named: impl Into<String>) -> Self {
        Self { active: None, named: named.into(), patient: None }
    }
}

async fn answer(
    server: &Server,
    exchange: &Exchange,
    (caller, agent): (&Client, Agent),
    token: &str,
) -> Result<(Account, Draft), Refusal> {
    let found = look(server, caller, token).await?;
    let draft = match introspection::wants_jwt(exchange.header(&header::ACCEPT)) {
        true => Draft::new(StatusCode::OK).body(JWT_MEDIA_TYPE, signed(server, caller, found.active.clone()).await?),
        false => {
            let body = found.active.as_ref().map_or_else(|| INACTIVE.to_owned(), |active| active.to_json().to_string());
            Draft::new(StatusCode::OK).body("application/json", body)
        }
    };
    let state = if found.active.is_some() { "active" } else { "inactive" };
    let account = Account::new(Event::Introspection, agent, Outcome::Success, format!("{state}: {}", found.named));
    Ok((account.about(found.patient), draft.with(header::PRAGMA, "no-cache")))
}

async fn look(server: &Server, caller: &Client, token: &str) -> Result<Found, RegistryError> {
    let now = server.clock.now_seconds();
    let settings = &server.settings;
    let issuer = Issuer { issuer: &settings.public_url, fhir_base: &settings.fhir_base };
    if let Some(refresh) = server.registry.refresh(&SecretHash::of(token)).await? {
        let named = format!("a refresh token of {}", refresh.client);
        let Some((grant, scopes)) = token::worth(server, &refresh, caller, now).await? else { return Ok(Found::nothing(named)) };
        let active = Some(ActiveToken::refresh(&refresh, &grant, &scopes, &issuer));
        return Ok(Found { active, named, patient: grant.patient.map(|patient| patient.to_string()) });
    }
    let keys = server.keys.at(now);
    let trust = AccessTokenTrust { keys: &keys.verification, issuer: issuer.issuer, fhir_base: issuer.fhir_base };
    let Ok(verified) = VerifiedToken::verify(token, &trust, now) else { return Ok(Found::nothing("no token of this server")) };
    let named = format!("access token {} of {}", verified.token_id(), verified.client());
    if !introspection::may_see(caller, verified.client()) {
        return Ok(Found::nothing(format!("{named}, which is not the caller's")));
    }
    let (grant, methods, roles) = match verified.subject() {
        Subject::User(user) => (
            server.registry.grant(verified.grant()).await?,
            server.registry.methods_of_grant(verified.grant()).await?,
            server.registry.user(user).await?.map_or(Roles::NONE, |user| user.acting_at(now).roles),
        ),
        Subject::Client(_) => (None, None, Roles::NONE),
    };
    // The test that precedes each request to data; other servers cannot know what the operator asks for.
    if let Some(required) = authenticate::lacks_assurance(settings, &verified, roles, methods) {
        return Ok(Found::nothing(format!("{named}: the sign-in was not strong enough: {} is required", required.acr())));
    }
    let capabilities = settings.authorization.capabilities;
    let grant = grant.map(|grant| capabilities.standing(grant));
    // Last, so that nothing is older than the word that it stands.
    let status = server.registry.token_status(&verified, now).await?;
    match ActiveToken::access(&verified, status, grant.as_ref(), &issuer, now) {
        Ok(active) => {
            let active = active.authenticated(methods, grant.as_ref());
            let active = if caller.properties.resource_server { active.in_roles(roles) } else { active };
            let patient = grant.and_then(|grant| grant.patient);
            let extensions = match (verified.subject(), &patient) {
                (Subject::User(user), Some(patient)) if caller.properties.resource_server => {
                    introspect_consent::extensions(server, (verified.client(), user), patient).await?
                }
                _ => None,
            };
            let patient = patient.map(|patient| patient.to_string());
            Ok(Found { active: Some(active.extended(extensions)), named, patient })
        }
        Err(error) => Ok(Found::nothing(format!("{named}: {error}"))),
    }
}

/// The answer as a JWT. RSA takes most of a millisecond, so it leaves the async threads, a bounded number at a time.
async fn signed(server: &Server, caller: &Client, active: Option<ActiveToken>) -> Result<String, TokenError> {
    let (issuer, now, client) = (server.settings.public_url.clone(), server.clock.now_seconds(), caller.id.clone());
    let keys = server.keys.at(now);
    let sign =
        move |key: &SigningKey| -> Result<String, SignError> { introspection::sign(key, active.as_ref(), &client, &issuer, now) };
    let failed = |error: SignError| {
        tracing::error!(%error, "an introspection answer could not be signed");
        TokenError::ServerError
    };
    if introspection::signing_algorithm(caller) == Algorithm::Es256 {
        return sign(&keys.access).map_err(failed);
    }
    let turn = Arc::clone(&server.keys.identity_turns).acquire_owned().await.map_err(|_| TokenError::ServerError)?;
    let key = Arc::clone(&keys.identity);
    let signing = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        sign(&key)
    });
    signing.await.map_err(|_| TokenError::ServerError)?.map_err(failed)
}
