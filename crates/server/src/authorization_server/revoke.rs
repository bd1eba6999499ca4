//! Token revocation (RFC 7009): an app gives back what it was given. The answer says nothing about whether the token was known.

use http::{StatusCode, header};
use portcullis_audit::record::{Agent, Event, Outcome};
use portcullis_oauth::access_token::{AccessTokenTrust, Subject, VerifiedToken};
use portcullis_oauth::grant::SecretHash;
use portcullis_oauth::identifiers::ClientId;
use portcullis_oauth::token_error::TokenError;
use portcullis_oauth::token_request::{TokenRequestParts, claimed_client, parse_revocation};
use portcullis_store::RegistryError;
use portcullis_store::registry::Change;

use super::client_authentication::{self, PendingAssertion, REPLAYED};
use super::reply::{self, Account};
use crate::answer::{Answer, Draft};
use crate::context::Server;
use crate::listener::Incoming;
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
            let verified = client_authentication::verify(server, &credentials, registered.as_ref()).await;
            let authenticated = verified.and_then(|assertion| {
                let client = credentials.authenticate(registered.as_ref(), assertion.as_ref())?;
                Ok((&client.id, PendingAssertion::new(assertion)))
            });
            match authenticated {
                Ok((client, assertion)) => return revoke(server, exchange, client, assertion, token.expose()).await,
                Err(error) => error,
            }
        }
        Err(error) => error,
    };
    let agent = Agent { client: claimed_client(&parts).map(|client| client.as_str().to_owned()), ..exchange.agent() };
    let account = Account::new(Event::Revocation, agent, Outcome::Denied, error.to_string());
    reply::recorded(server, exchange, account, reply::oauth_error(error)).await
}

async fn revoke(server: &Server, exchange: &Exchange, client: &ClientId, mut assertion: PendingAssertion, token: &str) -> Answer {
    let now = server.clock.now_seconds();
    let agent = Agent { client: Some(client.as_str().to_owned()), ..exchange.agent() };
    let found = match revocation(server, client, token, now).await {
        Ok(found) => found,
        Err(error) => return failed(server, exchange, &error).await,
    };
    let patient = match &found {
        Some(Change::RevokeGrant { grant, .. }) => match server.registry.grant(grant).await {
            Ok(known) => known.and_then(|known| known.patient),
            Err(error) => return failed(server, exchange, &error).await,
        },
        _ => None,
    };
    let detail = match &found {
        Some(Change::RevokeGrant { grant, .. }) => format!("grant {grant} revoked by the client"),
        Some(Change::RevokeToken { token, .. }) => format!("token {token} revoked by the client"),
        _ => "nothing to revoke".to_owned(),
    };
    let account = Account::new(Event::Revocation, agent.clone(), Outcome::Success, detail).about(patient);
    let draft = Draft::new(StatusCode::OK).with(header::PRAGMA, "no-cache");
    if found.is_none() && !assertion.is_open() {
        return reply::recorded(server, exchange, account, draft).await;
    }
    let change = assertion.spending(now, found.unwrap_or(Change::Nothing));
    match reply::changed(server, exchange, change, account, draft).await {
        Ok(answer) => answer,
        Err(error) if client_authentication::is_replay(&error) => {
            let account = Account::new(Event::Revocation, agent, Outcome::Denied, REPLAYED.to_string());
            reply::recorded(server, exchange, account, reply::oauth_error(REPLAYED)).await
        }
        Err(error) => failed(server, exchange, &error).await,
    }
}

/// What ends a refresh or access token of this client: the end of its grant, or, where a client got it for itself, of the token alone.
async fn revocation(server: &Server, client: &ClientId, token: &str, now: i64) -> Result<Option<Change>, RegistryError> {
    if let Some(refresh) = server.registry.refresh(&SecretHash::of(token)).await? {
        return Ok((refresh.client == *client).then_some(Change::RevokeGrant { grant: refresh.family, now }));
    }
    let settings = &server.settings;
    let trust =
        AccessTokenTrust { keys: &server.keys.verification, issuer: &settings.public_url, fhir_base: &settings.fhir_base };
    let verified = VerifiedToken::verify(token, &trust, now).ok().filter(|verified| verified.client() == client);
    Ok(verified.map(|verified| match verified.subject() {
        Subject::User(_) => Change::RevokeGrant { grant: verified.grant().clone(), now },
        Subject::Client(_) => Change::RevokeToken { token: verified.token_id().clone(), expires_at: verified.expires_at() },
    }))
}

async fn failed(server: &Server, exchange: &Exchange, error: &RegistryError) -> Answer {
    tracing::error!(%error, "the registry failed at the revocation endpoint");
    let account = Account::new(Event::Revocation, exchange.agent(), Outcome::Failed, "registry failed");
    reply::recorded(server, exchange, account, reply::oauth_error(TokenError::TemporarilyUnavailable)).await
}
