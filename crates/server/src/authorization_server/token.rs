//! The token endpoint: codes and refresh tokens become access tokens (DESIGN.md section 4).
//!
//! RFC 6749 sections 4.1.3 to 6, RFC 7636, RFC 9068, OpenID Connect Core, SMART App Launch 2.2.0. Every answer carries no-store; a replayed
//! code or a reused refresh token revokes its family before the error leaves.

use std::sync::Arc;

use http::{StatusCode, header};
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
use portcullis_oauth::token_request::{AuthenticatedClient, TokenGrant, TokenRequest, TokenRequestParts, claimed_client};
use portcullis_oauth::token_response::TokenResponse;
use portcullis_store::RegistryError;
use portcullis_store::registry::Change;

use super::client_authentication::{self, PendingAssertion, REPLAYED};
use super::reply::{self, Account};
use crate::answer::{Answer, Draft};
use crate::context::{Borrowed, Server};
use crate::listener::Incoming;
use crate::middleware::body;
use crate::resource_server::Exchange;

mod client_credentials;

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

/// What is known of a request when its record is written.
#[derive(Default)]
struct Known {
    client: Option<ClientId>,
    /// What the code or refresh token belongs to.
    grant: Option<Grant>,
    /// What must be spent before anything is answered.
    assertion: PendingAssertion,
}

impl Known {
    /// The client as it says, and the user and patient of a grant that is this client's.
    async fn account(&self, server: &Server, exchange: &Exchange, outcome: Outcome, detail: &str) -> Account {
        let client = self.client.as_ref().map(|client| client.as_str().to_owned());
        let grant = self.grant.as_ref();
        let agent = match grant.filter(|grant| Some(&grant.client) == self.client.as_ref()) {
            Some(grant) => reply::agent_of_grant(server, exchange, grant).await,
            None => exchange.agent(),
        };
        let account = Account::new(Event::Token, Agent { client, ..agent }, outcome, detail);
        account.about(grant.and_then(|grant| grant.patient.clone()))
    }
}

/// `POST /oauth/token`
pub async fn serve(server: &Server, exchange: &Exchange, incoming: Incoming) -> Answer {
    let mut known = Known::default();
    let refused = match attempt(server, exchange, incoming, &mut known).await {
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
    if revoke.is_some() || known.assertion.is_open() {
        let now = server.clock.now_seconds();
        let change = revoke.map_or(Change::Nothing, |grant| Change::RevokeGrant { grant, now });
        let change = known.assertion.spending(now, change);
        let account = known.account(server, exchange, outcome, &detail).await;
        let (outcome, error) = match reply::changed(server, exchange, change, account, reply::oauth_error(error)).await {
            Ok(answer) => return answer,
            Err(failure) if client_authentication::is_replay(&failure) => (Outcome::Denied, REPLAYED),
            Err(_) => (Outcome::Failed, TokenError::TemporarilyUnavailable),
        };
        let account = known.account(server, exchange, outcome, &format!("{error}; {detail}")).await;
        return reply::recorded(server, exchange, account, reply::oauth_error(error)).await;
    }
    let account = known.account(server, exchange, outcome, &detail).await;
    reply::recorded(server, exchange, account, reply::oauth_error(error)).await
}

async fn attempt(server: &Server, exchange: &Exchange, incoming: Incoming, known: &mut Known) -> Result<Answer, Refused> {
    let body = body::read(incoming, body::MAXIMUM_FORM).await;
    let body = body.map_err(|_| TokenError::InvalidRequest("the body is too large or incomplete"))?;
    let parts = TokenRequestParts {
        content_type: exchange.header(&header::CONTENT_TYPE),
        authorization: exchange.header(&header::AUTHORIZATION),
        body: &body,
    };
    known.client = claimed_client(&parts);
    let request = TokenRequest::parse(parts)?;
    known.client = Some(request.credentials.client_id().clone());
    let registered = server.registry.client(request.credentials.client_id()).await?;
    let assertion = client_authentication::verify(server, &request.credentials, registered.as_ref()).await?;
    let mut client = request.authenticate(registered.as_ref(), assertion)?;
    known.assertion = PendingAssertion::new(client.take_assertion());
    match &request.grant {
        TokenGrant::AuthorizationCode { code, redirect_uri, code_verifier } => {
            let presented = CodeExchange { client: client.id(), redirect_uri, verifier: code_verifier.expose() };
            redeem(server, exchange, known, registered.as_ref(), (code, presented)).await
        }
        TokenGrant::RefreshToken { refresh_token, scope } => {
            rotate(server, exchange, known, &client, (refresh_token, scope.as_deref())).await
        }
        TokenGrant::ClientCredentials { scope } => {
            let registered = registered.as_ref().ok_or(TokenError::ServerError)?;
            client_credentials::issue(server, exchange, registered, &mut known.assertion, scope).await
        }
    }
}

async fn redeem(
    server: &Server,
    exchange: &Exchange,
    known: &mut Known,
    client: Option<&Client>,
    (code, presented): (&Secret<String>, CodeExchange<'_>),
) -> Result<Answer, Refused> {
    let now = server.clock.now_seconds();
    let hash = SecretHash::of(code.expose());
    let state = server.registry.code(&hash).await?;
    let state = state.ok_or(TokenError::InvalidGrant("the code is not known"))?;
    known.grant = server.registry.grant(state.grant()).await?;
    let exchanged = match state.exchange(&presented, now) {
        Ok(exchanged) => exchanged,
        Err(error) => return Err(spend(server, exchange, known, hash, &error).await),
    };
    let grant = known.grant.clone().filter(|grant| grant.is_active() && grant.id == exchanged.grant);
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
    let change = known.assertion.spending(now, Change::SpendCode { code: hash, refresh: row.map(Box::new), now });
    issue(server, exchange, change, (&grant, minted)).await
}

/// A code that was presented wrongly is spent all the same; a replay ends the grant.
async fn spend(server: &Server, exchange: &Exchange, known: &mut Known, hash: SecretHash, error: &ExchangeError) -> Refused {
    let wire = TokenError::from(error);
    if let ExchangeError::Replayed { grant } = error {
        return Refused::Client { error: wire, detail: error.to_string(), revoke: Some(grant.clone()) };
    }
    let account = known.account(server, exchange, Outcome::Denied, &format!("code spent: {error}")).await;
    let now = server.clock.now_seconds();
    let change = known.assertion.spending(now, Change::SpendCode { code: hash, refresh: None, now });
    // The record of the refusal follows; this one says that the code is gone.
    let spending = exchange.again(format!("{:032x}", server.random_u128()));
    match reply::changed(server, &spending, change, account, reply::oauth_error(wire)).await {
        Err(error) if client_authentication::is_replay(&error) => REPLAYED.into(),
        Ok(_) | Err(RegistryError::Conflict(_)) => Refused::Client { error: wire, detail: error.to_string(), revoke: None },
        Err(error) => Refused::Registry(error),
    }
}

async fn rotate(
    server: &Server,
    exchange: &Exchange,
    known: &mut Known,
    client: &AuthenticatedClient,
    (token, scope): (&Secret<String>, Option<&str>),
) -> Result<Answer, Refused> {
    let now = server.clock.now_seconds();
    let hash = SecretHash::of(token.expose());
    let stored = server.registry.refresh(&hash).await?;
    let stored = stored.ok_or(TokenError::InvalidGrant("the refresh token is not known"))?;
    known.grant = server.registry.grant(&stored.family).await?;
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
    let grant = known.grant.clone().filter(Grant::is_active);
    let grant = grant.ok_or(TokenError::InvalidGrant("the grant was revoked"))?;
    let scopes = narrowed_scopes(&grant.scopes, scope)?;
    let minted = mint(server, &grant, Order { scopes, nonce: None, refresh_token: Some(secret) }, now).await?;
    let change = known.assertion.spending(now, Change::RotateRefresh { from: hash, to: next, now });
    issue(server, exchange, change, (&grant, minted)).await
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

/// A response that is ready and the identifier that its record names.
struct Minted {
    response: TokenResponse,
    token_id: TokenId,
}

async fn mint(server: &Server, grant: &Grant, order: Order, now: i64) -> Result<Minted, Refused> {
    let Order { scopes, nonce, refresh_token } = order;
    let failed = |_| Refused::from(TokenError::ServerError);
    let issuer = &server.settings.public_url;
    let token_id = TokenId::generate(&mut Borrowed(&*server.entropy));
    let patient: Option<LogicalId> = grant.patient.clone();
    let access = AccessTokenClaims {
        issuer: issuer.clone(),
        subject: grant.user.clone().into(),
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
    Ok(Minted { response, token_id })
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

async fn issue(
    server: &Server,
    exchange: &Exchange,
    change: Change,
    (grant, minted): (&Grant, Minted),
) -> Result<Answer, Refused> {
    let draft = Draft::new(StatusCode::OK)
        .body("application/json", minted.response.to_json().to_string())
        .with(header::PRAGMA, "no-cache");
    let agent = reply::agent_of_grant(server, exchange, grant).await;
    let agent = Agent { token: Some(minted.token_id.as_str().to_owned()), ..agent };
    let detail = format!("issued: {}", minted.response.scope);
    let account = Account::new(Event::Token, agent, Outcome::Success, detail).about(grant.patient.clone());
    reply::changed(server, exchange, change, account, draft).await.map_err(|error| match error {
        error if client_authentication::is_replay(&error) => REPLAYED.into(),
        // Between our look and the change somebody else was faster: a replay like any other (RFC 6749, section 4.1.2).
        RegistryError::Conflict(what) => Refused::Client { error: USED, detail: what.to_owned(), revoke: Some(grant.id.clone()) },
        other => Refused::Registry(other),
    })
}
