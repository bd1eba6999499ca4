//! `GET` and `POST /oauth/userinfo`: who signed in, for the app that has an access token with `openid` (OpenID Connect Core 1.0 section 5.3).
//!
//! It says what the id_token said, as it is by now, and no more: `sub`, `fhirUser` and `name` as the scopes of the token go. The token comes in the header
//! alone (RFC 6750 section 2.1, RFC 9449 section 7.1); in a body or query it would be logged by others.

use http::{StatusCode, header};
use portcullis_audit::record::{Event, Outcome};
use portcullis_oauth::capabilities::Capability;
use portcullis_oauth::principal::{Principal, PrincipalUser};
use portcullis_oauth::token_error::TokenError;
use portcullis_store::RegistryError;
use serde_json::{Map, Value};

use crate::answer::{Answer, Draft};
use crate::authorization_server::reply::{self, Account};
use crate::context::Server;
use crate::resource_server::Exchange;
use crate::resource_server::authenticate::{self, Scheme};

/// Serves a request.
pub async fn serve(server: &Server, exchange: &Exchange) -> Answer {
    let (account, draft) = match authenticate::authenticate(server, exchange).await {
        Ok(authenticated) => told(server, exchange, &authenticated.beside_fhir()).await,
        Err(error) => {
            let (outcome, draft) = reply::not_authenticated(&error);
            (Account::new(Event::UserInfo, exchange.agent(), outcome, error.to_string()), draft)
        }
    };
    reply::recorded(server, exchange, account, draft).await
}

async fn told(server: &Server, exchange: &Exchange, principal: &Principal) -> (Account, Draft) {
    let account = |outcome, detail: &str| Account::new(Event::UserInfo, exchange.agent_of(principal), outcome, detail);
    let signs_in = server.settings.authorization.capabilities.has(Capability::SsoOpenIdConnect);
    let Some(user) = principal.user().filter(|_| signs_in && principal.scopes().identity.open_id) else {
        return (account(Outcome::Denied, "the token has no openid"), insufficient(Scheme::of(exchange)));
    };
    match claims(server, principal, user).await {
        Ok(claims) => {
            let draft = Draft::new(StatusCode::OK).body("application/json", Value::Object(claims).to_string());
            (account(Outcome::Success, ""), draft.with(header::PRAGMA, "no-cache"))
        }
        Err(error) => {
            tracing::error!(%error, "the registry failed at the userinfo endpoint");
            let draft = reply::oauth_error(TokenError::TemporarilyUnavailable).with(header::RETRY_AFTER, "10");
            (account(Outcome::Failed, "registry failed"), draft)
        }
    }
}

/// "The sub Claim in the UserInfo Response MUST be verified to exactly match the sub Claim in the ID Token" (section 5.3.2): it is the same identifier.
async fn claims(server: &Server, principal: &Principal, user: &PrincipalUser) -> Result<Map<String, Value>, RegistryError> {
    let identity = principal.scopes().identity;
    let mut claims = Map::new();
    claims.insert("sub".into(), user.id.as_str().into());
    if let Some(resource) = user.fhir_user.as_ref().filter(|_| identity.fhir_user) {
        claims.insert("fhirUser".into(), format!("{}/{resource}", server.settings.fhir_base).into());
    }
    if identity.profile
        && let Some(user) = server.registry.user(&user.id).await?
    {
        claims.insert("name".into(), user.display_name.into());
    }
    Ok(claims)
}

/// RFC 6750 section 3.1: 403, and which scope would do.
fn insufficient(scheme: Scheme) -> Draft {
    let body =
        serde_json::json!({"error": "insufficient_scope", "error_description": "the access token must have the scope openid"});
    let challenge = format!("{}, error=\"insufficient_scope\", scope=\"openid\"", scheme.challenge());
    Draft::new(StatusCode::FORBIDDEN)
        .body("application/json", body.to_string())
        .with(header::PRAGMA, "no-cache")
        .with_text(header::WWW_AUTHENTICATE, &challenge)
}
