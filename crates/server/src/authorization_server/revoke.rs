//! Token revocation (RFC 7009): an app gives back what it was given. The answer says nothing about whether the token was known.

use http::{StatusCode, header};
use hyper::body::Incoming;
use portcullis_audit::record::{Agent, Event, Outcome};
use portcullis_oauth::access_token::{AccessTokenTrust, VerifiedToken};
use portcullis_oauth::grant::SecretHash;
use portcullis_oauth::identifiers::{ClientId, GrantId};
use portcullis_oauth::token_error::TokenError;
use portcullis_oauth::token_request::{TokenRequestParts, parse_revocation};
use portcullis_store::RegistryError;
use portcullis_store::registry::Change;

use super::reply::{self, Account};
use crate::answer::{Answer, Draft};
use crate::context::Server;
use crate::middleware::body;
use crate::resource_server::Exchange;

/// `POST /oauth/revoke`
pub async fn serve(server: &Server, exchange: &Exchange, incoming: Incoming) -> Answer {
    let body = body::read(incoming, body::MAXIMUM_FORM).await.unwrap_or_default();
    let parts = TokenRequestParts {
        content_type: exchange.header(&header::CONTENT_TYPE),
        authorization: exchange.header(&header::AUTHORIZATION),
        body: &body,
    };
    let error = match parse_revocation(parts) {
        Ok((credentials, token)) => {
            let registered = match server.registry.client(credentials.client_id()).await {
                Ok(registered) => registered,
                Err(error) => return failed(server, exchange, &error).await,
            };
            match credentials.authenticate(registered.as_ref()) {
                Ok(client) => return revoke(server, exchange, &client.id, token.expose()).await,
                Err(error) => error,
            }
        }
        Err(error) => error,
    };
    let account = account(exchange.agent(), Outcome::Denied, error.to_string());
    reply::recorded(server, exchange, account, error_draft(error)).await
}

async fn revoke(server: &Server, exchange: &Exchange, client: &ClientId, token: &str) -> Answer {
    let agent = Agent { client: Some(client.as_str().to_owned()), ..exchange.agent() };
    let draft = || Draft::new(StatusCode::OK).with(header::PRAGMA, "no-cache");
    let found = match grant_of(server, client, token).await {
        Ok(found) => found,
        Err(error) => return failed(server, exchange, &error).await,
    };
    let Some(grant) = found else {
        return reply::recorded(server, exchange, account(agent, Outcome::Success, "nothing to revoke".to_owned()), draft())
            .await;
    };
    let detail = format!("grant {grant} revoked by the client");
    let change = Change::RevokeGrant { grant, now: server.clock.now_seconds() };
    match reply::changed(server, exchange, change, account(agent, Outcome::Success, detail), draft()).await {
        Ok(answer) => answer,
        Err(error) => failed(server, exchange, &error).await,
    }
}

/// The grant behind a refresh or access token of this client.
async fn grant_of(server: &Server, client: &ClientId, token: &str) -> Result<Option<GrantId>, RegistryError> {
    if let Some(refresh) = server.registry.refresh(&SecretHash::of(token)).await? {
        return Ok((refresh.client == *client).then_some(refresh.family));
    }
    let settings = &server.settings;
    let trust =
        AccessTokenTrust { keys: &server.keys.verification, issuer: &settings.public_url, fhir_base: &settings.fhir_base };
    let verified = VerifiedToken::verify(token, &trust, server.clock.now_seconds()).ok();
    Ok(verified.filter(|verified| verified.client() == client).map(|verified| verified.grant().clone()))
}

fn account(agent: Agent, outcome: Outcome, detail: String) -> Account {
    Account { event: Event::Revocation, agent, outcome, detail }
}

fn error_draft(error: TokenError) -> Draft {
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST);
    let draft = Draft::new(status).body("application/json", error.to_json().to_string()).with(header::PRAGMA, "no-cache");
    match error.www_authenticate() {
        Some(challenge) => draft.with(header::WWW_AUTHENTICATE, challenge),
        None => draft,
    }
}

async fn failed(server: &Server, exchange: &Exchange, error: &RegistryError) -> Answer {
    tracing::error!(%error, "the registry failed at the revocation endpoint");
    let account = account(exchange.agent(), Outcome::Failed, "registry failed".to_owned());
    reply::recorded(server, exchange, account, error_draft(TokenError::TemporarilyUnavailable)).await
}
