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
use portcullis_oauth::capabilities::Capability;
use portcullis_oauth::client_request::ClientRequest;
use portcullis_oauth::clients::{ClientKind, GrantType};
use portcullis_oauth::confirmation::Confirmation;
use portcullis_oauth::grant::{CodeExchange, ExchangeError, Grant, RefreshBinding, RefreshToken, SecretHash};
use portcullis_oauth::id_token::{IdTokenClaims, access_token_hash};
use portcullis_oauth::identifiers::TokenId;
use portcullis_oauth::scopes::{ScopeKind, ScopeSet};
use portcullis_oauth::session::Methods;
use portcullis_oauth::token_error::TokenError;
use portcullis_oauth::token_request::{AuthenticatedClient, ClientCredentials, TokenGrant, TokenRequest};
use portcullis_oauth::token_response::TokenResponse;
use portcullis_oauth::users::User;
use portcullis_store::RegistryError;
use portcullis_store::registry::Change;

use super::client_endpoint::{ClientEndpoint, Proposal, Refusal};
use crate::answer::Draft;
use crate::authorization_server::reply::{self, Account};
use crate::context::{Borrowed, Server};
use crate::resource_server::Exchange;

mod client_credentials;
mod refreshing;

pub(super) use refreshing::worth;

/// How long an access token lives, in seconds.
const LIFETIME_SECONDS: i64 = MAXIMUM_LIFETIME_SECONDS;

/// What a code or refresh token is answered that somebody else was faster with.
const USED: TokenError = TokenError::InvalidGrant("the code or refresh token was used or revoked");

/// `POST /oauth/token`
#[derive(Debug)]
pub struct Token;

impl ClientEndpoint for Token {
    type Request = TokenGrant;

    const EVENT: Event = Event::Token;

    fn parse(request: &ClientRequest<'_>) -> Result<(ClientCredentials, TokenGrant), TokenError> {
        let TokenRequest { credentials, grant } = TokenRequest::parse(request)?;
        Ok((credentials, grant))
    }

    async fn decide(
        server: &Server,
        exchange: &Exchange,
        client: &AuthenticatedClient,
        request: TokenGrant,
    ) -> Result<Proposal, Refusal> {
        request.check_allowed(client.client())?;
        let confirmation = client.confirmation()?;
        let asking = Asking { server, exchange, client, confirmation, now: server.clock.now_seconds() };
        let mut known = None;
        let decided = match &request {
            TokenGrant::AuthorizationCode { code, redirect_uri, code_verifier } => {
                let verifier = code_verifier.as_ref().map(|verifier| verifier.expose().as_str());
                let presented = CodeExchange { client: client.id(), redirect_uri, verifier, key: client.shown().key };
                Box::pin(redeem(&asking, &mut known, code, &presented)).await
            }
            TokenGrant::RefreshToken { refresh_token, scope } => {
                Box::pin(refreshing::rotate(&asking, &mut known, refresh_token, scope.as_deref())).await
            }
            TokenGrant::ClientCredentials { scope } => return client_credentials::issue(&asking, scope),
        };
        match decided {
            Ok(proposal) => Ok(proposal),
            Err(Refused::Registry(error)) => Err(error.into()),
            Err(Refused::Client { error, detail, change }) => {
                let account = asking.account(known.as_ref(), &detail).await;
                Err(Refusal::Client { error, account: Some(Box::new(account)), change })
            }
        }
    }
}

/// Why no token is issued.
enum Refused {
    /// The client's fault; `detail` is for the record.
    Client { error: TokenError, detail: String, change: Box<Change> },
    /// Ours.
    Registry(RegistryError),
}

impl From<TokenError> for Refused {
    fn from(error: TokenError) -> Self {
        Self::Client { error, detail: error.to_string(), change: Box::new(Change::Nothing) }
    }
}

impl From<RegistryError> for Refused {
    fn from(error: RegistryError) -> Self {
        Self::Registry(error)
    }
}

/// An authenticated client that asks, at a time in seconds since the epoch.
struct Asking<'a> {
    server: &'a Server,
    exchange: &'a Exchange,
    client: &'a AuthenticatedClient,
    /// What its tokens are bound to.
    confirmation: Option<Confirmation>,
    now: i64,
}

impl Asking<'_> {
    /// What the refresh tokens of a public client are bound to; others are bound to the client's own credentials (RFC 9449 section 5,
    /// RFC 8705 section 4).
    fn refresh_confirmation(&self) -> Option<Confirmation> {
        self.confirmation.filter(|_| self.client.client().kind == ClientKind::Public)
    }

    /// What the record of a refusal says: the client, and the user and patient of a grant that is this client's.
    async fn account(&self, grant: Option<&Grant>, detail: &str) -> Account {
        let agent = match grant.filter(|grant| grant.client == *self.client.id()) {
            Some(grant) => reply::agent_of_grant(self.server, self.exchange, grant).await,
            None => self.exchange.agent(),
        };
        let client = Some(self.client.id().as_str().to_owned());
        let account = Account::new(Event::Token, Agent { client, ..agent }, Outcome::Denied, detail);
        account.about(grant.and_then(|grant| grant.patient.clone()))
    }
}

async fn redeem(
    asking: &Asking<'_>,
    known: &mut Option<Grant>,
    code: &Secret<String>,
    presented: &CodeExchange<'_>,
) -> Result<Proposal, Refused> {
    let Asking { server, now, .. } = *asking;
    let hash = SecretHash::of(code.expose());
    let state = server.registry.code(&hash).await?;
    let state = state.ok_or(TokenError::InvalidGrant("the code is not known"))?;
    *known = server.registry.grant(state.grant()).await?;
    let exchanged = state.exchange(presented, now).map_err(|error| not_redeemed(hash, &error, now))?;
    let grant = known.clone().filter(|grant| grant.is_active() && grant.id == exchanged.grant);
    let grant = grant.ok_or(TokenError::InvalidGrant("the grant was revoked"))?;
    let grant = standing(server, grant)?;
    let scopes = still_on(server, &exchanged.scopes.within(&grant.scopes).0)?;
    let mut random = Borrowed(&*server.entropy);
    let may_refresh = asking.client.client().may_use(GrantType::RefreshToken);
    let refresh =
        grant.refresh_binding().filter(|binding| may_refresh && check_binding(server, binding).is_ok()).map(|binding| {
            let (secret, hash) = SecretHash::generate(&mut random);
            let token = RefreshToken::first(hash, grant.id.clone(), grant.client.clone(), binding, now);
            (secret, token.bound_to(asking.refresh_confirmation()))
        });
    let (secret, row) = refresh.unzip();
    let confirmation = asking.confirmation;
    let order = Order { scopes, nonce: exchanged.nonce, refresh_token: secret, confirmation };
    let minted = mint(server, &grant, order, now).await?;
    let change = Change::SpendCode { code: hash, refresh: row.map(Box::new), now };
    Ok(issue(asking, change, (&grant, minted)).await)
}

/// What is told where nothing is left.
const SWITCHED_OFF: TokenError = TokenError::InvalidScope("what was granted is switched off at this server");

/// The grant without what was in context by way of something that is off by now.
fn standing(server: &Server, grant: Grant) -> Result<Grant, TokenError> {
    let grant = server.settings.authorization.capabilities.standing(grant);
    if grant.scopes.is_empty() { Err(SWITCHED_OFF) } else { Ok(grant) }
}

/// The scopes of which everything is still on: an operator may have switched something off since they were granted.
fn still_on(server: &Server, granted: &ScopeSet) -> Result<ScopeSet, TokenError> {
    let scopes = granted.retaining(|scope| server.settings.authorization.capabilities.admits(scope));
    if scopes.is_empty() { Err(SWITCHED_OFF) } else { Ok(scopes) }
}

/// Refuses a refresh token of a kind that is switched off.
fn check_binding(server: &Server, binding: &RefreshBinding) -> Result<(), TokenError> {
    let capability = match binding {
        RefreshBinding::Offline => Capability::PermissionOffline,
        RefreshBinding::Online(_) => Capability::PermissionOnline,
    };
    server.settings.authorization.capabilities.check(capability).map_err(TokenError::InvalidGrant)
}

/// A code that was presented wrongly is spent all the same; a replay ends the grant.
fn not_redeemed(code: SecretHash, error: &ExchangeError, now: i64) -> Refused {
    let (detail, change) = match error {
        ExchangeError::Replayed { grant } => (error.to_string(), Change::RevokeGrant { grant: grant.clone(), now }),
        _ => (format!("code spent: {error}"), Change::SpendCode { code, refresh: None, now }),
    };
    Refused::Client { error: TokenError::from(error), detail, change: Box::new(change) }
}

/// What is to be minted for a grant.
struct Order {
    scopes: ScopeSet,
    nonce: Option<String>,
    refresh_token: Option<Secret<String>>,
    confirmation: Option<Confirmation>,
}

/// A response that is ready, the identifier that its record names, and the user where that one was read.
struct Minted {
    response: TokenResponse,
    token_id: TokenId,
    user: Option<User>,
}

async fn mint(server: &Server, grant: &Grant, order: Order, now: i64) -> Result<Minted, Refused> {
    let Order { scopes, nonce, refresh_token, confirmation } = order;
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
        confirmation,
    };
    let access_token = access.sign(&server.keys.at(now).access).map_err(failed)?;
    let (id_token, user) = if scopes.has(ScopeKind::OpenId) {
        let user = server.registry.user(&grant.user).await?.ok_or(TokenError::InvalidGrant("the user is gone"))?;
        let fhir_user = user.fhir_user.as_ref().map(|reference| format!("{}/{reference}", server.settings.fhir_base));
        let methods = server.registry.methods_of_grant(&grant.id).await?;
        let claims = IdTokenClaims {
            issuer: issuer.clone(),
            subject: grant.user.clone(),
            audience: grant.client.clone(),
            expires_at: now + LIFETIME_SECONDS,
            issued_at: now,
            authenticated_at: grant.authenticated_at,
            acr: methods.map(|methods| methods.level().acr()),
            amr: methods.map(Methods::amr).unwrap_or_default(),
            nonce,
            fhir_user: fhir_user.filter(|_| scopes.has(ScopeKind::FhirUser)),
            name: Some(user.display_name.clone()).filter(|_| scopes.has(ScopeKind::Profile)),
            access_token_hash: Some(access_token_hash(&access_token)),
        };
        (Some(sign_identity(server, claims).await?), Some(user))
    } else {
        (None, None)
    };
    let response = TokenResponse {
        access_token: Secret::new(access_token),
        confirmation,
        expires_in_seconds: LIFETIME_SECONDS,
        scope: scopes,
        id_token,
        refresh_token,
        patient,
        context: grant.context.clone(),
    };
    Ok(Minted { response, token_id, user })
}

/// Signs an id_token. RSA takes most of a millisecond, so it leaves the async threads, a bounded number at a time.
async fn sign_identity(server: &Server, claims: IdTokenClaims) -> Result<Secret<String>, Refused> {
    let turn = Arc::clone(&server.keys.identity_turns).acquire_owned().await;
    let turn = turn.map_err(|_| TokenError::ServerError)?;
    let key = Arc::clone(&server.keys.at(server.clock.now_seconds()).identity);
    let signing = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        claims.sign(&key)
    });
    let signed = signing.await.map_err(|_| TokenError::ServerError)?;
    Ok(Secret::new(signed.map_err(|_| TokenError::ServerError)?))
}

async fn issue(asking: &Asking<'_>, change: Change, (grant, minted): (&Grant, Minted)) -> Proposal {
    let Asking { server, exchange, now, .. } = *asking;
    let draft = Draft::new(StatusCode::OK)
        .body("application/json", minted.response.to_json().to_string())
        .with(header::PRAGMA, "no-cache");
    let agent = match &minted.user {
        Some(user) => reply::agent_in_name_of(exchange, grant, Some(user)),
        None => reply::agent_of_grant(server, exchange, grant).await,
    };
    let late =
        Account::new(Event::Token, agent.clone(), Outcome::Denied, "the code or refresh token was used meanwhile, or has ended");
    let agent = Agent { token: Some(minted.token_id.as_str().to_owned()), ..agent };
    let detail = format!("issued: {}", minted.response.scope);
    let account = Account::new(Event::Token, agent, Outcome::Success, detail).about(grant.patient.clone());
    // Between our look and the change somebody else was faster: a replay like any other (RFC 6749, section 4.1.2).
    let overtaken = Refusal::Client {
        error: USED,
        account: Some(Box::new(late.about(grant.patient.clone()))),
        change: Box::new(Change::RevokeGrant { grant: grant.id.clone(), now }),
    };
    Proposal { change, account, draft, overtaken: Some(Box::new(overtaken)) }
}
