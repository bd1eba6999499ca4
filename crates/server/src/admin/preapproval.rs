//! A grant that the operator of a demo gives in the name of a demo person, so that a program gets its first token without a browser.
//!
//! The steps are those of a person who allows an app and of the app that redeems its code; only the pages are missing. A demo's operator made
//! the person up; no command offers this for any other directory.

use portcullis_oauth::clients::GrantType;
use portcullis_oauth::grant::{AuthorizationCode, CODE_LIFETIME_SECONDS, Grant, RefreshBinding, RefreshToken, SecretHash};
use portcullis_oauth::identifiers::{GrantId, SessionId};
use portcullis_oauth::pkce::CodeChallenge;
use portcullis_oauth::principal::OperatorOperation;
use portcullis_oauth::scopes::ScopeSet;
use portcullis_store::registry::Change;

use super::protocol::{RefusalKind, Refused};
use super::service::{Caller, Service, Task, invalid, registry_error};
use crate::context::Borrowed;

/// Any well-formed challenge: the code is spent at once and never leaves.
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
/// The session of these grants, which is nobody's: it tells them from those that a person gave.
const SESSION: &str = "preapproved";

impl Service {
    /// Grants a client a scope in a person's name, for the first patient whom the person may act for, and returns the refresh token. What
    /// it was granted in this way before ends; what the person granted stays.
    pub async fn preapprove(&self, caller: &Caller, client_id: &str, username: &str, scope: &str) -> Result<String, Refused> {
        let described = format!("demo grant of {username} to {client_id}");
        let task = Task::new(caller, Some(OperatorOperation::InitialiseDataDirectory), described);
        let registry = &self.server.registry;
        let failed = |error| registry_error(error, "demo grant");
        let client = self.client(client_id).await?;
        let user = registry.user_named(username).await.map_err(failed)?;
        let user = user.ok_or_else(|| Refused::new(RefusalKind::NotFound, format!("There is no user '{username}'.")))?;
        let scopes = ScopeSet::parse(scope).map_err(|unknown| invalid(&format!("The scope '{}' is not known.", unknown.0)))?;
        let now = self.server.clock.now_seconds();
        let session = SessionId::parse(SESSION).ok_or_else(|| invalid("The session is not well-formed."))?;
        for standing in registry.grants_of(&user.id).await.map_err(failed)? {
            if standing.grant.client == client.id && standing.grant.session == session {
                self.change(&task, Change::RevokeGrant { grant: standing.grant.id, now }).await?;
            }
        }
        let mut random = Borrowed(&*self.server.entropy);
        let grant = Grant {
            id: GrantId::generate(&mut random),
            client: client.id.clone(),
            user: user.id.clone(),
            patient: user.patients.first().cloned(),
            context: Default::default(),
            scopes: scopes.clone(),
            session,
            authenticated_at: now,
            created_at: now,
            revoked_at: None,
        };
        let (_, code) = SecretHash::generate(&mut random);
        let challenge = CodeChallenge::parse(CHALLENGE).ok_or_else(|| invalid("The challenge is not well-formed."))?;
        let redirect_uri = client.redirect_uris.first().map(|uri| uri.as_str().to_owned()).unwrap_or_default();
        let waiting = AuthorizationCode {
            hash: code,
            grant: grant.id.clone(),
            client: client.id.clone(),
            redirect_uri,
            challenge: Some(challenge),
            key: None,
            scopes,
            user: user.id,
            patient: grant.patient.clone(),
            nonce: None,
            authenticated_at: now,
            expires_at: now + CODE_LIFETIME_SECONDS,
        };
        let (secret, hash) = SecretHash::generate(&mut random);
        let refresh = client
            .may_use(GrantType::RefreshToken)
            .then(|| Box::new(RefreshToken::first(hash, grant.id.clone(), client.id.clone(), RefreshBinding::Offline, now)));
        self.change(&task, Change::AddGrant(Box::new(grant), Box::new(waiting))).await?;
        self.change(&task, Change::SpendCode { code, refresh, now }).await?;
        Ok(secret.expose().clone())
    }
}
