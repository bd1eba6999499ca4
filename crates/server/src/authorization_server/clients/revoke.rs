//! Token revocation (RFC 7009): an app gives back what it was given. The answer says nothing about whether the token was known.

use http::{StatusCode, header};
use portcullis_audit::record::{Agent, Event, Outcome};
use portcullis_jose::Secret;
use portcullis_oauth::access_token::{AccessTokenTrust, Subject, VerifiedToken};
use portcullis_oauth::client_request::ClientRequest;
use portcullis_oauth::grant::SecretHash;
use portcullis_oauth::identifiers::ClientId;
use portcullis_oauth::token_error::TokenError;
use portcullis_oauth::token_request::{AuthenticatedClient, ClientCredentials, parse_revocation};
use portcullis_store::RegistryError;
use portcullis_store::registry::Change;

use super::client_endpoint::{ClientEndpoint, Proposal, Refusal};
use crate::answer::Draft;
use crate::authorization_server::reply::Account;
use crate::context::Server;
use crate::resource_server::Exchange;

/// `POST /oauth/revoke`
#[derive(Debug)]
pub struct Revocation;

impl ClientEndpoint for Revocation {
    type Request = Secret<String>;

    const EVENT: Event = Event::Revocation;

    fn parse(request: &ClientRequest<'_>) -> Result<(ClientCredentials, Secret<String>), TokenError> {
        parse_revocation(request)
    }

    async fn decide(
        server: &Server,
        exchange: &Exchange,
        client: &AuthenticatedClient,
        token: Secret<String>,
    ) -> Result<Proposal, Refusal> {
        let change = revocation(server, client.id(), token.expose(), server.clock.now_seconds()).await?;
        let patient = match &change {
            Change::RevokeGrant { grant, .. } => server.registry.grant(grant).await?.and_then(|known| known.patient),
            _ => None,
        };
        let detail = match &change {
            Change::RevokeGrant { grant, .. } => format!("grant {grant} revoked by the client"),
            Change::RevokeToken { token, .. } => format!("token {token} revoked by the client"),
            _ => "nothing to revoke".to_owned(),
        };
        let agent = Agent { client: Some(client.id().as_str().to_owned()), ..exchange.agent() };
        let account = Account::new(Event::Revocation, agent, Outcome::Success, detail).about(patient);
        let draft = Draft::new(StatusCode::OK).with(header::PRAGMA, "no-cache");
        Ok(Proposal { change, account, draft, overtaken: None })
    }
}

/// What ends a refresh or access token of this client: the end of its grant, or, where a client got it for itself, of the token alone.
async fn revocation(server: &Server, client: &ClientId, token: &str, now: i64) -> Result<Change, RegistryError> {
    if let Some(refresh) = server.registry.refresh(&SecretHash::of(token)).await? {
        let own = refresh.client == *client;
        return Ok(if own { Change::RevokeGrant { grant: refresh.family, now } } else { Change::Nothing });
    }
    let (settings, keys) = (&server.settings, server.keys.at(now));
    let trust = AccessTokenTrust { keys: &keys.verification, issuer: &settings.public_url, fhir_base: &settings.fhir_base };
    let verified = VerifiedToken::verify(token, &trust, now).ok().filter(|verified| verified.client() == client);
    Ok(verified.map_or(Change::Nothing, |verified| match verified.subject() {
        Subject::User(_) => Change::RevokeGrant { grant: verified.grant().clone(), now },
        Subject::Client(_) => Change::RevokeToken { token: verified.token_id().clone(), expires_at: verified.expires_at() },
    }))
}
