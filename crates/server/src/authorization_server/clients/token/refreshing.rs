//! Refresh tokens: what one is worth at this moment, told to whoever asks and acted upon where it is presented. One test for both, so that
//! introspection calls nothing active that the token endpoint would refuse.

use portcullis_jose::Secret;
use portcullis_oauth::clients::{Client, GrantType};
use portcullis_oauth::confirmation::Confirmation;
use portcullis_oauth::grant::{Grant, RefreshBinding, RefreshToken, Rotation, SecretHash, SessionState, narrowed_scopes};
use portcullis_oauth::scopes::ScopeSet;
use portcullis_oauth::token_error::TokenError;
use portcullis_store::RegistryError;
use portcullis_store::registry::Change;

use super::{Asking, Order, Refused, check_binding, issue, mint, standing, still_on};
use crate::authorization_server::clients::client_endpoint::Proposal;
use crate::context::{Borrowed, Server};

/// What a token stands for.
struct Standing {
    /// The grant, without what is off by now.
    grant: Grant,
    /// The scopes of which everything still holds.
    scopes: ScopeSet,
    /// The token that would follow.
    next: Box<RefreshToken>,
}

/// A client with what it has proven to hold, and the hash of the token that it would be given.
struct Presented<'a> {
    client: &'a Client,
    shown: Option<Confirmation>,
    successor: SecretHash,
    now: i64,
}

/// Exchanges a token for its successor and an access token.
pub(super) async fn rotate(
    asking: &Asking<'_>,
    known: &mut Option<Grant>,
    token: &Secret<String>,
    scope: Option<&str>,
) -> Result<Proposal, Refused> {
    let Asking { server, now, .. } = *asking;
    let hash = SecretHash::of(token.expose());
    let stored = server.registry.refresh(&hash).await?;
    let stored = stored.ok_or(TokenError::InvalidGrant("the refresh token is not known"))?;
    *known = server.registry.grant(&stored.family).await?;
    let (secret, successor) = SecretHash::generate(&mut Borrowed(&*server.entropy));
    let client = asking.client.client();
    let presented = Presented { client, shown: Some(asking.client.shown()), successor, now };
    let Standing { grant, scopes, next } = judge(server, &stored, known.clone(), &presented).await?;
    let scopes = narrowed_scopes(&scopes, scope)?;
    let order = Order { scopes, nonce: None, refresh_token: Some(secret), confirmation: asking.confirmation };
    let minted = mint(server, &grant, order, now).await?;
    let change = Change::RotateRefresh { from: hash, to: next, now };
    Ok(issue(asking, change, (&grant, minted)).await)
}

async fn judge(
    server: &Server,
    stored: &RefreshToken,
    grant: Option<Grant>,
    presented: &Presented<'_>,
) -> Result<Standing, Refused> {
    let Presented { client, shown, successor, now } = *presented;
    let session = session_state(server, stored, now).await?;
    let next = match stored.present((&client.id, shown), session, successor, now) {
        Rotation::Rotate(next) => next,
        other => {
            let change = match &other {
                Rotation::Reused { family } => Change::RevokeGrant { grant: family.clone(), now },
                _ => Change::Nothing,
            };
            let error = other.error().unwrap_or(TokenError::ServerError);
            return Err(Refused::Client { error, detail: format!("refresh: {other:?}"), change: Box::new(change) });
        }
    };
    check_binding(server, &stored.binding)?;
    let grant = grant.filter(|grant| grant.is_active() && grant.id == stored.family);
    let grant = standing(server, grant.ok_or(TokenError::InvalidGrant("the grant was revoked"))?)?;
    // What the client's registration has lost since is lost here, too.
    let (registered, _) = grant.scopes.within(&client.scope);
    if registered.is_empty() {
        return Err(TokenError::InvalidScope("the client is not registered for what was granted any more").into());
    }
    let scopes = still_on(server, &registered)?;
    Ok(Standing { grant, scopes, next })
}

async fn session_state(server: &Server, token: &RefreshToken, now: i64) -> Result<SessionState, RegistryError> {
    Ok(match &token.binding {
        RefreshBinding::Offline => SessionState::Active,
        RefreshBinding::Online(session) if server.registry.session_open(session, now).await? => SessionState::Active,
        RefreshBinding::Online(_) => SessionState::Ended,
    })
}

/// The grant and scopes that this client would get a token for, if it presented the refresh token now with what it is bound to.
pub(in crate::authorization_server::clients) async fn worth(
    server: &Server,
    token: &RefreshToken,
    client: &Client,
    now: i64,
) -> Result<Option<(Grant, ScopeSet)>, RegistryError> {
    if !client.may_use(GrantType::RefreshToken) {
        return Ok(None);
    }
    let grant = server.registry.grant(&token.family).await?;
    if let Some(grant) = &grant
        && server.registry.sign_in_means(&grant.user).await?.locked_at.is_some()
    {
        return Ok(None);
    }
    // Nothing is rotated: what would follow is judged, and dropped.
    let presented = Presented { client, shown: token.confirmation, successor: token.hash, now };
    match judge(server, token, grant, &presented).await {
        Ok(Standing { grant, scopes, .. }) => Ok(Some((grant, scopes))),
        Err(Refused::Registry(error)) => Err(error),
        Err(Refused::Client { .. }) => Ok(None),
    }
}
