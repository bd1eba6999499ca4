//! Access without a user: `grant_type=client_credentials` (SMART App Launch 2.2.0, "Backend Services"; RFC 6749 section 4.4).
//!
//! Only clients that signed an assertion get here. What they get lies within what the operator registered, lives five minutes, and comes
//! without a refresh token: the next one costs another assertion.

use http::{StatusCode, header};
use portcullis_audit::record::{Agent, Event, Outcome};
use portcullis_jose::Secret;
use portcullis_oauth::access_token::{AccessTokenClaims, Subject};
use portcullis_oauth::clients::{Client, ClientKind};
use portcullis_oauth::identifiers::TokenId;
use portcullis_oauth::metadata;
use portcullis_oauth::scopes::{RequestedScopes, ScopeSet};
use portcullis_oauth::token_error::TokenError;
use portcullis_oauth::token_response::TokenResponse;
use portcullis_store::registry::Change;

use super::Asking;
use crate::answer::Draft;
use crate::authorization_server::clients::client_endpoint::{Proposal, Refusal};
use crate::authorization_server::reply::Account;
use crate::context::Borrowed;

/// How long such a token lives, in seconds: "SHOULD be no more than 300" (SMART).
pub const LIFETIME_SECONDS: i64 = 300;

/// A token for a client on its own behalf.
pub(super) fn issue(asking: &Asking<'_>, scope: &str) -> Result<Proposal, Refusal> {
    const NOT_THIS_WAY: TokenError = TokenError::UnauthorizedClient("client_credentials needs a client_assertion");
    let Asking { server, exchange, now, .. } = *asking;
    let client = asking.client.client();
    let ClientKind::ConfidentialAsymmetric { registration, .. } = &client.kind else { return Err(NOT_THIS_WAY.into()) };
    let scopes = granted(client, scope)?;
    let scopes = scopes.retaining(|scope| server.settings.authorization.capabilities.admits(scope));
    if scopes.is_empty() {
        return Err(TokenError::InvalidScope("the syntax of these scopes is switched off at this server").into());
    }
    let token_id = TokenId::generate(&mut Borrowed(&*server.entropy));
    let claims = AccessTokenClaims {
        issuer: server.settings.public_url.clone(),
        subject: Subject::Client(client.id.clone()),
        audience: server.settings.fhir_base.clone(),
        client_id: client.id.clone(),
        expires_at: now + LIFETIME_SECONDS,
        issued_at: now,
        token_id: token_id.clone(),
        scope: scopes.to_string(),
        grant: registration.clone(),
        patient: None,
        confirmation: asking.confirmation,
    };
    let response = TokenResponse {
        access_token: Secret::new(claims.sign(&server.keys.at(now).access).map_err(|_| TokenError::ServerError)?),
        confirmation: asking.confirmation,
        expires_in_seconds: LIFETIME_SECONDS,
        scope: scopes,
        id_token: None,
        refresh_token: None,
        patient: None,
        context: Default::default(),
    };
    let draft =
        Draft::new(StatusCode::OK).body("application/json", response.to_json().to_string()).with(header::PRAGMA, "no-cache");
    let agent =
        Agent { client: Some(client.id.as_str().to_owned()), token: Some(token_id.as_str().to_owned()), ..exchange.agent() };
    let account = Account::new(Event::Token, agent, Outcome::Success, format!("issued: {}", response.scope));
    Ok(Proposal { change: Change::Nothing, account, draft, overtaken: None })
}

/// The scopes that were asked for, are understood, and lie wholly within what the client was registered for.
fn granted(client: &Client, asked: &str) -> Result<ScopeSet, TokenError> {
    let requested = RequestedScopes::parse(asked).map_err(|_| TokenError::InvalidScope("too many scopes"))?;
    let registered = client.scope.retaining(metadata::offers_to_clients);
    let (inside, _) = requested.supported.retaining(metadata::offers_to_clients).within(&registered);
    if inside.is_empty() {
        return Err(TokenError::InvalidScope("scope names no system/ scope that this client is registered for"));
    }
    Ok(inside)
}
