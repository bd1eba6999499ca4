//! The token endpoint: codes and refresh tokens become access tokens (DESIGN.md section 4).
//!
//! RFC 6749 sections 4.1.3 to 6, RFC 7636, RFC 9068, OpenID Connect Core, SMART App Launch 2.2.0. Every answer carries no-store; a replayed
//! code or a reused refresh token revokes its family before the error leaves.

use std::sync::Arc;

use http::{StatusCode, header};
use hyper::body::Incoming;
use portcullis_audit::record::{Agent, Event, Outcome};
use portcullis_fhir::types::LogicalId;
use portcullis_jose::Secret;
use portcullis_oauth::access_token::{AccessTokenClaims, MAXIMUM_LIFETIME_SECONDS};
use portcullis_oauth::clients::{Client, GrantType};
use portcullis_oauth::grant::{
    CodeExchange, ExchangeError, Grant, RefreshBinding, RefreshToken, Rotation, SecretHash, SessionState, narrowed_scopes,
};
use portcullis_oauth::id_token::{IdTokenClaims, access_token_hash};
use portcullis_oauth::identifiers::{ClientId, GrantId, TokenId};
use portcullis_oauth::scopes::{ScopeKind, ScopeSet};
use portcullis_oauth::token_error::TokenError;
use portcullis_oauth::token_request::{AuthenticatedClient, TokenGrant, TokenRequest, TokenRequestParts};
use portcullis_oauth::token_response::TokenResponse;
use portcullis_store::RegistryError;
use portcullis_store::registry::Change;

use super::reply::{self, Account};
use crate::answer::{Answer, Draft};
use crate::context::{Borrowed, Server};
use crate::middleware::body;
use crate::resource_server::Exchange;

/// How long an access token lives, in seconds.
const LIFETIME_SECONDS: i64 = MAXIMUM_LIFETIME_SECONDS;

/// What a code or refresh token is answered that somebody else was faster with.
const USED: TokenError = TokenError::InvalidGrant("the code or refresh token was used or revoked");

/// Why no token is issued.
enum Refused {
    /// The client's fault; `detail` is for the record.
    Client { error: TokenError, detail: String, revoke: Option<GrantId> },
    /// Ours.
    Registry(RegistryError),
}

impl From<TokenError> for Refused {
    fn from(error: TokenError) -> Self {
        Self::Client { error, detail: error.to_string(), revoke: None }
    }
}

impl From<RegistryError> for Refused {
    fn from(error: RegistryError) -> Self {
        Self::Registry(error)
    }
}

/// `POST /oauth/token`
pub async fn serve(server: &Server, exchange: &Exchange, incoming: Incoming) -> Answer {
    let mut client = None;
    let refused = match attempt(server, exchange, incoming, &mut client).await {
        Ok(answer) => return answer,
        Err(refused) => refused,
    };
    let (error, outcome, detail, revoke) = match refused {
        Refused::Client { error, detail, revoke } => (error, Outcome::Denied, detail, revoke),
        Refused::Registry(error) => {
            tracing::error!(%error, "the registry failed at the token endpoint");
            (TokenError::TemporarilyUnavailable, Outcome::Failed, "registry failed".to_owned(), None)
        }
    };
    let agent = Agent { client, ..exchange.agent() };
    let account = |agent| Account { event: Event::Token, agent, outcome, detail: detail.clone() };
    if let Some(grant) = revoke {
        let change = Change::RevokeGrant { grant, now: server.clock.now_seconds() };
        return match reply::changed(server, exchange, change, account(agent.clone()), error_draft(error)).await {
            Ok(answer) => answer,
            Err(_) => reply::recorded(server, exchange, account(agent), error_draft(TokenError::TemporarilyUnavailable)).await,
        };
    }
    reply::recorded(server, exchange, account(agent), error_draft(error)).await
}

fn error_draft(error: TokenError) -> Draft {
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST);
    let draft = Draft::new(status).body("application/json", error.to_json().to_string()).with(header::PRAGMA, "no-cache");
    match error.www_authenticate() {
        Some(challenge) => draft.with(header::WWW_AUTHENTICATE, challenge),
        None => draft,
    }
}

async fn attempt(
    server: &Server,
    exchange: &Exchange,
    incoming: Incoming,
    named: &mut Option<String>,
) -> Result<Answer, Refused> {
    let body = body::read(incoming, body::MAXIMUM_FORM).await;
    let body = body.map_err(|_| TokenError::InvalidRequest("the body is too large or incomplete"))?;
    let parts = TokenRequestParts {
        content_type: exchange.header(&header::CONTENT_TYPE),
        authorization: exchange.header(&header::AUTHORIZATION),
        body: &body,
    };
    let request = TokenRequest::parse(parts)?;
    let registered = server.registry.client(request.credentials.client_id()).await?;
    *named = Some(request.credentials.client_id().as_str().to_owned());
    let client = request.authenticate(registered.as_ref())?;
    match &request.grant {
        TokenGrant::AuthorizationCode { code, redirect_uri, code_verifier } => {
            let presented = CodeExchange { client: client.id(), redirect_uri, verifier: code_verifier.expose() };
            redeem(server, exchange, registered.as_ref(), code, presented).await
        }
        TokenGrant::RefreshToken { refresh_token, scope } => {
            rotate(server, exchange, &client, refresh_token, scope.as_deref()).await
        }
    }
}

async fn redeem(
    server: &Server,
    exchange: &Exchange,
    client: Option<&Client>,
    code: &Secret<String>,
    presented: CodeExchange<'_>,
) -> Result<Answer, Refused> {
    let now = server.clock.now_seconds();
    let hash = SecretHash::of(code.expose());
    let state = server.registry.code(&hash).await?;
    let state = state.ok_or(TokenError::InvalidGrant("the code is not known"))?;
    let exchanged = match state.exchange(&presented, now) {
        Ok(exchanged) => exchanged,
        Err(error) => return Err(spend(server, exchange, hash, &error, now).await),
    };
    let grant = server.registry.grant(&exchanged.grant).await?.filter(Grant::is_active);
    let grant = grant.ok_or(TokenError::InvalidGrant("the grant was revoked"))?;
    let mut random = Borrowed(&*server.entropy);
    let may_refresh = client.is_some_and(|client| client.may_use(GrantType::RefreshToken));
    let refresh = grant.refresh_binding().filter(|_| may_refresh).map(|binding| {
        let (secret, hash) = SecretHash::generate(&mut random);
        (secret, RefreshToken::first(hash, grant.id.clone(), grant.client.clone(), binding, now))
    });
    let (secret, row) = refresh.unzip();
    let minted =
        mint(server, &grant, Order { scopes: exchanged.scopes, nonce: exchanged.nonce, refresh_token: secret }, now).await?;
    let change = Change::SpendCode { code: hash, refresh: row.map(Box::new), now };
    issue(server, exchange, change, minted).await
}

/// A code that was presented wrongly is spent all the same; a replay ends the grant.
async fn spend(server: &Server, exchange: &Exchange, hash: SecretHash, error: &ExchangeError, now: i64) -> Refused {
    let wire = TokenError::from(error);
    if let ExchangeError::Replayed { grant } = error {
        return Refused::Client { error: wire, detail: error.to_string(), revoke: Some(grant.clone()) };
    }
    let account = Account {
        event: Event::Token,
        agent: exchange.agent(),
        outcome: Outcome::Denied,
        detail: format!("code spent: {error}"),
    };
    let change = Change::SpendCode { code: hash, refresh: None, now };
    // The record of the refusal follows; this one says that the code is gone.
    let spending = exchange.again(format!("{:032x}", server.random_u128()));
    match reply::changed(server, &spending, change, account, error_draft(wire)).await {
        Ok(_) | Err(RegistryError::Conflict(_)) => Refused::Client { error: wire, detail: error.to_string(), revoke: None },
        Err(error) => Refused::Registry(error),
    }
}

async fn rotate(
    server: &Server,
    exchange: &Exchange,
    client: &AuthenticatedClient,
    token: &Secret<String>,
    scope: Option<&str>,
) -> Result<Answer, Refused> {
    let now = server.clock.now_seconds();
    let hash = SecretHash::of(token.expose());
    let stored = server.registry.refresh(&hash).await?;
    let stored = stored.ok_or(TokenError::InvalidGrant("the refresh token is not known"))?;
    let session = session_state(server, &stored, now).await?;
    let (secret, successor) = SecretHash::generate(&mut Borrowed(&*server.entropy));
    let next = match stored.present(client.id(), session, successor, now) {
        Rotation::Rotate(next) => next,
        other => {
            let revoke = match &other {
                Rotation::Reused { family } => Some(family.clone()),
                _ => None,
            };
            let error = other.error().unwrap_or(TokenError::ServerError);
            return Err(Refused::Client { error, detail: format!("refresh: {other:?}"), revoke });
        }
    };
    let grant = server.registry.grant(&stored.family).await?.filter(Grant::is_active);
    let grant = grant.ok_or(TokenError::InvalidGrant("the grant was revoked"))?;
    let scopes = narrowed_scopes(&grant.scopes, scope)?;
    let minted = mint(server, &grant, Order { scopes, nonce: None, refresh_token: Some(secret) }, now).await?;
    issue(server, exchange, Change::RotateRefresh { from: hash, to: next, now }, minted).await
}

async fn session_state(server: &Server, token: &RefreshToken, now: i64) -> Result<SessionState, RegistryError> {
    Ok(match &token.binding {
        RefreshBinding::Offline => SessionState::Active,
        RefreshBinding::Online(session) if server.registry.session_open(session, now).await? => SessionState::Active,
        RefreshBinding::Online(_) => SessionState::Ended,
    })
}

/// What is to be minted for a grant.
struct Order {
    scopes: ScopeSet,
    nonce: Option<String>,
    refresh_token: Option<Secret<String>>,
}

/// A response that is ready and the identifiers that its record names.
struct Minted {
    response: TokenResponse,
    grant: GrantId,
    token_id: TokenId,
    client: ClientId,
    user: String,
}

async fn mint(server: &Server, grant: &Grant, order: Order, now: i64) -> Result<Minted, Refused> {
    let Order { scopes, nonce, refresh_token } = order;
    let failed = |_| Refused::from(TokenError::ServerError);
    let issuer = &server.settings.public_url;
    let token_id = TokenId::generate(&mut Borrowed(&*server.entropy));
    let patient: Option<LogicalId> = grant.patient.clone();
    let access = AccessTokenClaims {
        issuer: issuer.clone(),
        subject: grant.user.clone(),
        audience: server.settings.fhir_base.clone(),
        client_id: grant.client.clone(),
        expires_at: now + LIFETIME_SECONDS,
        issued_at: now,
        token_id: token_id.clone(),
        scope: scopes.to_string(),
        grant: grant.id.clone(),
        patient: patient.clone(),
    };
    let access_token = access.sign(&server.keys.access).map_err(failed)?;
    let id_token = if scopes.has(ScopeKind::OpenId) {
        let user = server.registry.user(&grant.user).await?.ok_or(TokenError::InvalidGrant("the user is gone"))?;
        let fhir_user = user.fhir_user.as_ref().map(|reference| format!("{}/{reference}", server.settings.fhir_base));
        let claims = IdTokenClaims {
            issuer: issuer.clone(),
            subject: grant.user.clone(),
            audience: grant.client.clone(),
            expires_at: now + LIFETIME_SECONDS,
            issued_at: now,
            authenticated_at: grant.authenticated_at,
            nonce,
            fhir_user: fhir_user.filter(|_| scopes.has(ScopeKind::FhirUser)),
            name: Some(user.display_name).filter(|_| scopes.has(ScopeKind::Profile)),
            access_token_hash: Some(access_token_hash(&access_token)),
        };
        Some(sign_identity(server, claims).await?)
    } else {
        None
    };
    let response = TokenResponse {
        access_token: Secret::new(access_token),
        expires_in_seconds: LIFETIME_SECONDS,
        scope: scopes,
        id_token,
        refresh_token,
        patient,
    };
    Ok(Minted { response, grant: grant.id.clone(), token_id, client: grant.client.clone(), user: grant.user.as_str().to_owned() })
}

/// Signs an id_token. RSA takes most of a millisecond, so it leaves the async threads, a bounded number at a time.
async fn sign_identity(server: &Server, claims: IdTokenClaims) -> Result<Secret<String>, Refused> {
    let turn = Arc::clone(&server.keys.identity_turns).acquire_owned().await;
    let turn = turn.map_err(|_| TokenError::ServerError)?;
    let key = Arc::clone(&server.keys.identity);
    let signing = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        claims.sign(&key)
    });
    let signed = signing.await.map_err(|_| TokenError::ServerError)?;
    Ok(Secret::new(signed.map_err(|_| TokenError::ServerError)?))
}

async fn issue(server: &Server, exchange: &Exchange, change: Change, minted: Minted) -> Result<Answer, Refused> {
    let draft = Draft::new(StatusCode::OK)
        .body("application/json", minted.response.to_json().to_string())
        .with(header::PRAGMA, "no-cache");
    let agent = Agent {
        client: Some(minted.client.as_str().to_owned()),
        user: Some(minted.user),
        token: Some(minted.token_id.as_str().to_owned()),
        ..exchange.agent()
    };
    let detail = format!("issued: {}", minted.response.scope);
    let account = Account { event: Event::Token, agent, outcome: Outcome::Success, detail };
    let grant = minted.grant;
    reply::changed(server, exchange, change, account, draft).await.map_err(|error| match error {
        // Between our look and the change somebody else was faster: a replay like any other (RFC 6749, section 4.1.2).
        RegistryError::Conflict(what) => Refused::Client { error: USED, detail: what.to_owned(), revoke: Some(grant) },
        other => Refused::Registry(other),
    })
}
