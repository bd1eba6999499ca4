//! Registered clients (RFC 6749 section 2) and how they authenticate at the token endpoint.
//!
//! Public clients name themselves; confidential ones prove a secret that this server made (SMART App Launch 2.2.0, "Client
//! Authentication: Symmetric"). Asymmetric authentication is not built yet.

use portcullis_jose::digest::sha256;
use portcullis_jose::{Random, Secret, base64url, constant_time, random};

use crate::identifiers::ClientId;
use crate::redirect_uri::{RedirectTarget, RedirectUri};
use crate::scopes::ScopeSet;

/// The SHA-256 of a client secret.
///
/// A fast hash is right here, and only because the secret is 256 random bits of ours: there is nothing to guess. Secrets that people
/// choose are never taken.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientSecretHash([u8; 32]);

impl ClientSecretHash {
    /// Makes a new secret and its hash. The secret is shown once and kept nowhere.
    pub fn generate(source: &mut dyn Random) -> (Secret<String>, Self) {
        let secret = random::opaque_secret(source);
        let hash = Self(sha256(secret.expose()));
        (secret, hash)
    }

    /// A hash as stored.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// A hash as stored in text, as [`Self::to_text`] writes it.
    pub fn parse(text: &str) -> Option<Self> {
        base64url::decode(text)?.try_into().ok().map(Self)
    }

    /// The hash for storing in text: base64url.
    pub fn to_text(&self) -> String {
        base64url::encode(self.0)
    }

    /// The hash for storing.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether this is the hash of a secret; in constant time.
    pub fn accepts(&self, secret: &str) -> bool {
        constant_time::equal(self.0, sha256(secret))
    }
}

impl std::fmt::Debug for ClientSecretHash {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("…")
    }
}

/// How a client authenticates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientKind {
    /// It cannot keep a secret (RFC 6749 section 2.1); PKCE and the redirect URI bind its codes.
    Public,
    /// It keeps a shared secret.
    ConfidentialSymmetric {
        /// The hash of the secret.
        secret_hash: ClientSecretHash,
    },
}

impl ClientKind {
    /// The name of the kind, as `demo.json` and listings have it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::ConfidentialSymmetric { .. } => "confidential-symmetric",
        }
    }
}

/// A grant type (RFC 6749 section 1.3) that this server knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GrantType {
    /// `authorization_code`
    AuthorizationCode,
    /// `refresh_token`
    RefreshToken,
}

impl GrantType {
    /// All grant types.
    pub const ALL: [Self; 2] = [Self::AuthorizationCode, Self::RefreshToken];

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AuthorizationCode => "authorization_code",
            Self::RefreshToken => "refresh_token",
        }
    }

    /// The grant type of this exact name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|grant_type| grant_type.as_str() == name)
    }
}

/// A registered client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// The identifier.
    pub id: ClientId,
    /// The name that people see on the consent screen.
    pub name: String,
    /// How it authenticates.
    pub kind: ClientKind,
    /// Where answers may be sent.
    pub redirect_uris: Vec<RedirectUri>,
    /// What it may ask for at most.
    pub scope: ScopeSet,
    /// The grant types that it may use.
    pub grant_types: Vec<GrantType>,
    /// When it was registered, in seconds since the epoch.
    pub created_at: i64,
}

/// Why a client cannot be registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistrationError {
    /// The identifier is kept for the server's own use.
    #[error("this client_id is reserved")]
    ReservedId,
    /// The name is empty, longer than 100 characters, or has control characters.
    #[error("the client's name must have 1 to 100 characters and no control characters")]
    Name,
    /// A client of the code flow has no redirect URI, or more than 20.
    #[error("a client needs 1 to 20 redirect URIs")]
    RedirectUris,
    /// There is no grant type, or refresh_token without authorization_code.
    #[error("a client needs the grant type authorization_code")]
    GrantTypes,
    /// It may ask for nothing.
    #[error("a client needs at least one scope")]
    Scope,
}

impl Client {
    /// Checks the rules that a registration must satisfy as a whole.
    pub fn check(&self) -> Result<(), RegistrationError> {
        if self.id.is_reserved() {
            return Err(RegistrationError::ReservedId);
        }
        if self.name.trim().is_empty() || self.name.chars().count() > 100 || self.name.chars().any(char::is_control) {
            return Err(RegistrationError::Name);
        }
        if !(1..=20).contains(&self.redirect_uris.len()) {
            return Err(RegistrationError::RedirectUris);
        }
        if !self.may_use(GrantType::AuthorizationCode) {
            return Err(RegistrationError::GrantTypes);
        }
        if self.scope.is_empty() {
            return Err(RegistrationError::Scope);
        }
        Ok(())
    }

    /// Whether the client may use a grant type.
    pub fn may_use(&self, grant_type: GrantType) -> bool {
        self.grant_types.contains(&grant_type)
    }

    /// The target for a requested redirect URI, if it is one of the client's.
    pub fn redirect_target(&self, requested: &str) -> Option<RedirectTarget> {
        self.redirect_uris.iter().find_map(|registered| registered.matching(requested))
    }

    /// The origins of the client's pages, which may read answers across origins.
    pub fn origins(&self) -> impl Iterator<Item = &str> {
        self.redirect_uris.iter().map(RedirectUri::origin)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Random bytes that count upwards.
    pub(crate) struct Counter(pub(crate) u8);

    impl Random for Counter {
        fn fill(&mut self, bytes: &mut [u8]) {
            for byte in bytes {
                *byte = self.0;
                self.0 = self.0.wrapping_add(1);
            }
        }
    }

    pub(crate) fn public_client() -> Client {
        Client {
            id: ClientId::parse("demo-app").unwrap(),
            name: "Demo app".into(),
            kind: ClientKind::Public,
            redirect_uris: vec![RedirectUri::parse("https://127.0.0.1:8444/callback").unwrap()],
            scope: ScopeSet::parse("openid fhirUser launch/patient offline_access patient/*.rs").unwrap(),
            grant_types: GrantType::ALL.to_vec(),
            created_at: 0,
        }
    }

    #[test]
    fn an_incomplete_registration_is_refused() {
        let refused = |change: fn(&mut Client)| {
            let mut client = public_client();
            change(&mut client);
            client.check().unwrap_err()
        };
        assert_eq!(refused(|client| client.id = ClientId::reserved_command_line()), RegistrationError::ReservedId);
        assert_eq!(refused(|client| client.name = " ".into()), RegistrationError::Name);
        assert_eq!(refused(|client| client.name = "a\nb".into()), RegistrationError::Name);
        assert_eq!(refused(|client| client.name = "x".repeat(101)), RegistrationError::Name);
        assert_eq!(refused(|client| client.redirect_uris.clear()), RegistrationError::RedirectUris);
        assert_eq!(refused(|client| client.grant_types = vec![GrantType::RefreshToken]), RegistrationError::GrantTypes);
        assert_eq!(refused(|client| client.scope = ScopeSet::default()), RegistrationError::Scope);
        assert_eq!(public_client().check(), Ok(()));
    }

    #[test]
    fn only_a_registered_redirect_uri_is_a_target() {
        assert_eq!(public_client().redirect_target("https://127.0.0.1:8444/other"), None);
        assert!(public_client().redirect_target("https://127.0.0.1:8444/callback").is_some());
        assert_eq!(public_client().origins().collect::<Vec<_>>(), ["https://127.0.0.1:8444"]);
    }

    #[test]
    fn a_secret_is_accepted_by_its_own_hash_only() {
        let (secret, hash) = ClientSecretHash::generate(&mut Counter(0));
        let (other, _) = ClientSecretHash::generate(&mut Counter(1));
        assert!(hash.accepts(secret.expose()));
        assert!(!hash.accepts(other.expose()));
        assert!(!hash.accepts(""));
        assert_eq!(ClientSecretHash::from_bytes(*hash.as_bytes()), hash);
        assert_eq!(ClientSecretHash::parse(&hash.to_text()), Some(hash.clone()));
        assert_eq!(ClientSecretHash::parse("short"), None);
        assert_eq!(format!("{hash:?}"), "…");
    }
}
