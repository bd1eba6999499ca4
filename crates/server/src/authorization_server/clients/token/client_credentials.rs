//! Access without a user: `grant_type=client_credentials` (SMART App Launch 2.2.0, "Backend Services"; RFC 6749 section 4.4).
//!
//! Only clients that signed an assertion get here. What they get lies within what the operator registered, lives five minutes, and comes
//! without a refresh token: the next one costs another assertion.

use http::{StatusCode, header};
use portcullis_audit::record::{Agent, Event, Outcome};
use portcullis_jose::Secret;
use portcullis_oauth::access_token::{AccessTokenClaims, Subject};
use portcullis_oauth::b2b::B2bAuthorization;
use portcullis_oauth::clients::{Client, ClientKind};
use portcullis_oauth::identifiers::TokenId;
use portcullis_oauth::metadata;
use portcullis_oauth::purposes::{PurposeOfUse, Purposes, RegisteredPurpose};
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
    let stated =
        asking.client.assertion().map(|assertion| assertion.authorization()).transpose().map_err(TokenError::from)?.flatten();
    check_purposes(client, stated)?;
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
    let agent = Agent {
        client: Some(client.id.as_str().to_owned()),
        token: Some(token_id.as_str().to_owned()),
        purpose: stated.and_then(|stated| stated.purposes.first()).map(|purpose| purpose.code().to_owned()),
        ..exchange.agent()
    };
    let account = Account::new(Event::Token, agent, Outcome::Success, format!("issued: {}{}", response.scope, told(stated)));
    let change = stated.map_or(Change::Nothing, |stated| Change::BindPurposes {
        token: token_id,
        purposes: stated.purposes.clone(),
        expires_at: now + LIFETIME_SECONDS,
    });
    Ok(Proposal { change, account, draft, overtaken: None })
}

/// Refuses purposes that the client is not registered for: all of them must be, so that nobody gets less than was agreed upon without a word.
fn check_purposes(client: &Client, stated: Option<&B2bAuthorization>) -> Result<(), TokenError> {
    let registered: Vec<PurposeOfUse> = client.properties.purposes.iter().map(|RegisteredPurpose(purpose)| *purpose).collect();
    let allowed = Purposes::of_client(&registered);
    let leave = |purpose: &PurposeOfUse| allowed.clone().stating(Some(*purpose)).is_allowed();
    match stated {
        Some(stated) if !stated.purposes.iter().all(leave) => {
            Err(TokenError::InvalidGrant("hl7-b2b: this client is not registered for every purpose_of_use"))
        }
        _ => Ok(()),
    }
}

/// What the record says of whom the client asks for, by its own word.
fn told(stated: Option<&B2bAuthorization>) -> String {
    let Some(stated) = stated else { return String::new() };
    let purposes: Vec<&str> = stated.purposes.iter().map(|purpose| purpose.code()).collect();
    let subject = stated.subject.as_ref().map(|subject| format!(", subject {subject}")).unwrap_or_default();
    format!("; for {} by {}{subject}, as the client states", purposes.join(" "), stated.organization_id)
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
