//! The life of an authorization: code, exchange, refresh, revocation.
//!
//! RFC 6749 sections 4.1.2, 4.1.3 and 6, RFC 9700 sections 2.1.1 and 4.14, SMART App Launch 2.2.0. Transitions are pure decisions: they
//! consume or judge a stored value and say what follows; the caller stores that in the same transaction as the audit record.

mod code;
mod refresh;

pub use code::{AuthorizationCode, CodeExchange, CodeState, Exchange, ExchangeError, LIFETIME_SECONDS as CODE_LIFETIME_SECONDS};
pub use refresh::{
    IDLE_LIFETIME_SECONDS as REFRESH_IDLE_LIFETIME_SECONDS, RefreshBinding, RefreshState, RefreshToken, Rotation, SessionState,
};

use portcullis_fhir::types::LogicalId;
use portcullis_jose::digest::sha256;
use portcullis_jose::{Random, Secret, random};

use crate::identifiers::{ClientId, GrantId, SessionId, UserId};
use crate::launch::ContextParameters;
use crate::scopes::{ScopeKind, ScopeSet};
use crate::token_error::TokenError;

/// The SHA-256 of an authorization code or refresh token: what is stored, so that a stolen database redeems nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SecretHash([u8; 32]);

impl SecretHash {
    /// Makes a new secret and its hash.
    pub fn generate(source: &mut dyn Random) -> (Secret<String>, Self) {
        let secret = random::opaque_secret(source);
        let hash = Self::of(secret.expose());
        (secret, hash)
    }

    /// The hash of a secret, to look it up by. The secret has 256 random bits, so a lookup by its hash reveals nothing by its time.
    pub fn of(secret: &str) -> Self {
        Self(sha256(secret))
    }

    /// A hash as stored.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The hash for storing.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl std::fmt::Debug for SecretHash {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("…")
    }
}

/// What a user gave to a client: the root of a family of tokens. Revoking it ends them all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The identifier.
    pub id: GrantId,
    /// The client.
    pub client: ClientId,
    /// The user.
    pub user: UserId,
    /// The patient in context.
    pub patient: Option<LogicalId>,
    /// The other launch context parameters, told with each token.
    pub context: ContextParameters,
    /// What was granted, as asked for.
    pub scopes: ScopeSet,
    /// The login session in which it was given.
    pub session: SessionId,
    /// When the user signed in, in seconds since the epoch.
    pub authenticated_at: i64,
    /// When it was given, in seconds since the epoch.
    pub created_at: i64,
    /// When it was revoked, in seconds since the epoch.
    pub revoked_at: Option<i64>,
}

impl Grant {
    /// Whether the grant still stands.
    pub fn is_active(&self) -> bool {
        self.revoked_at.is_none()
    }

    /// What a refresh token of this grant is bound to; `None` where no refresh token was granted. Offline access, the wider one, wins.
    pub fn refresh_binding(&self) -> Option<RefreshBinding> {
        if self.scopes.has(ScopeKind::OfflineAccess) {
            Some(RefreshBinding::Offline)
        } else if self.scopes.has(ScopeKind::OnlineAccess) {
            Some(RefreshBinding::Online(self.session.clone()))
        } else {
            None
        }
    }
}

/// The scopes of a refreshed token: those of the grant, or the asked-for ones where each lies within the grant.
///
/// "The requested scope MUST NOT include any scope not originally granted by the resource owner" (RFC 6749 section 6). A scope that is
/// not understood is one of those.
pub fn narrowed_scopes(granted: &ScopeSet, requested: Option<&str>) -> Result<ScopeSet, TokenError> {
    use crate::scopes::RequestedScopes;
    let Some(text) = requested else { return Ok(granted.clone()) };
    let requested = RequestedScopes::parse(text).map_err(|_| TokenError::InvalidScope("too many scopes"))?;
    let (inside, outside) = requested.supported.within(granted);
    if !requested.unsupported.is_empty() || !outside.is_empty() || inside.is_empty() {
        return Err(TokenError::InvalidScope("scope may only name scopes that were granted"));
    }
    Ok(inside)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A grant of these scopes.
    pub(crate) fn grant(scopes: &str) -> Grant {
        Grant {
            id: GrantId::parse("g1").unwrap(),
            client: ClientId::parse("demo-app").unwrap(),
            user: UserId::parse("u-ann").unwrap(),
            patient: LogicalId::parse("p1"),
            context: ContextParameters::default(),
            scopes: ScopeSet::parse(scopes).unwrap(),
            session: SessionId::parse("s1").unwrap(),
            authenticated_at: 0,
            created_at: 0,
            revoked_at: None,
        }
    }

    #[test]
    fn scope_may_only_shrink() {
        portcullis_verifies::verifies!("SMART-31");
        let granted = ScopeSet::parse("openid offline_access patient/*.rs").unwrap();
        for wider in ["patient/*.cruds", "openid user/*.rs", "patient/Observation.cruds?category=x", "fhirUser", "bogus", " "] {
            assert!(matches!(narrowed_scopes(&granted, Some(wider)), Err(TokenError::InvalidScope(_))), "{wider}");
        }
        assert!(matches!(narrowed_scopes(&granted, Some(&"openid ".repeat(300))), Err(TokenError::InvalidScope(_))));
        assert_eq!(narrowed_scopes(&granted, None).unwrap(), granted);
        for narrower in ["patient/Observation.read", "patient/Observation.rs?category=x"] {
            assert_eq!(narrowed_scopes(&granted, Some(narrower)).unwrap().to_string(), narrower);
        }
        let qualified = ScopeSet::parse("patient/Observation.rs?category=x").unwrap();
        for wider in ["patient/Observation.rs", "patient/Observation.rs?category=y", "patient/Observation.rs?status=final"] {
            assert!(narrowed_scopes(&qualified, Some(wider)).is_err(), "{wider}");
        }
    }

    #[test]
    fn a_refresh_token_needs_a_scope_that_asks_for_one() {
        assert_eq!(grant("openid patient/*.rs").refresh_binding(), None);
        let session = SessionId::parse("s1").unwrap();
        assert_eq!(grant("online_access").refresh_binding(), Some(RefreshBinding::Online(session)));
        assert_eq!(grant("online_access offline_access").refresh_binding(), Some(RefreshBinding::Offline));
    }

    #[test]
    fn a_revoked_grant_is_not_active() {
        assert!(grant("openid").is_active());
        assert!(!Grant { revoked_at: Some(5), ..grant("openid") }.is_active());
    }

    #[test]
    fn secrets_differ_and_their_hashes_do_not_show() {
        use crate::clients::tests::Counter;
        let (secret, hash) = SecretHash::generate(&mut Counter(0));
        let (_, other) = SecretHash::generate(&mut Counter(1));
        assert_eq!(SecretHash::of(secret.expose()), hash);
        assert_ne!(hash, other);
        assert_eq!(SecretHash::from_bytes(*hash.as_bytes()), hash);
        assert_eq!(format!("{hash:?}"), "…");
    }
}
