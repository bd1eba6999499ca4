//! Registered clients (RFC 6749 section 2) and how they authenticate at the token endpoint.
//!
//! Public clients name themselves; confidential ones prove a secret that this server made (SMART App Launch 2.2.0, "Client
//! Authentication: Symmetric") or sign with a private key whose public half is registered ("Client Authentication: Asymmetric").

mod app_state;
mod certificate_subject;
mod clearance;
mod keys;
mod properties;
mod secret;

pub use app_state::{AppStateAccess, AppStateCode, AppStateEntitlement};
pub use certificate_subject::{CertificateSubject, DistinguishedName, ExpectedName};
pub use clearance::RegisteredClearance;
pub use keys::{KeySource, KeySourceError};
pub use properties::{ApplicationType, ClientOrigin, ClientProperties, PropertyError, ResponseAlgorithm, SmartVersion};
pub use secret::ClientSecretHash;

use crate::client_display::is_deceptive;
use crate::identifiers::{ClientId, GrantId};
use crate::redirect_uri::{RedirectTarget, RedirectUri};
use crate::scopes::{ScopeContext, ScopeSet};

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
    /// It signs with a private key.
    ConfidentialAsymmetric {
        /// The authorization that the operator gave by registering the client. Tokens of the client's own descend from it as a user's
        /// tokens descend from a grant, and a new registration under the same id is another one.
        registration: GrantId,
        /// Where its public keys are.
        keys: KeySource,
    },
}

impl ClientKind {
    /// The name of the kind, as `demo.json` and listings have it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::ConfidentialSymmetric { .. } => "confidential-symmetric",
            Self::ConfidentialAsymmetric { .. } => "confidential-asymmetric",
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
    /// `client_credentials`: access without a user (SMART Backend Services).
    ClientCredentials,
}

impl GrantType {
    /// All grant types.
    pub const ALL: [Self; 3] = [Self::AuthorizationCode, Self::RefreshToken, Self::ClientCredentials];

    /// Those by which a person lets a client in.
    pub const WITH_PERSON: [Self; 2] = [Self::AuthorizationCode, Self::RefreshToken];

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AuthorizationCode => "authorization_code",
            Self::RefreshToken => "refresh_token",
            Self::ClientCredentials => "client_credentials",
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
    /// What else is registered about it.
    pub properties: ClientProperties,
}

/// Why a client cannot be registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistrationError {
    /// The identifier is kept for the server's own use.
    #[error("this client_id is reserved")]
    ReservedId,
    /// The name is empty, longer than 100 characters, or has control characters.
    #[error("the client's name must have 1 to 100 characters, none of them a control character or one that hides or turns text")]
    Name,
    /// A client of the code flow has no redirect URI, or more than 20.
    #[error("a client needs 1 to 20 redirect URIs")]
    RedirectUris,
    /// A scheme of an app's own for a client that is no app on a device, or whose codes nothing protects but the address (RFC 8252 sections 6, 7.1 and 8.4).
    #[error(
        "a redirect URI with a scheme of an app's own, such as com.example.app:/callback, is for public clients that use PKCE and are registered with \
         application_type native"
    )]
    PrivateScheme,
    /// There is no grant type, or refresh_token without authorization_code.
    #[error("a client needs the grant type authorization_code or client_credentials")]
    GrantTypes,
    /// `client_credentials` for a client that does not sign with a key of its own (SMART App Launch 2.2.0, "Backend Services").
    #[error("client_credentials is for clients with public keys; register a JWK Set or its address")]
    SystemNeedsKeys,
    /// `system/` scopes without `client_credentials`, or the other way round.
    #[error("system/ scopes and the grant type client_credentials need each other")]
    SystemScopes,
    /// It may ask for nothing.
    #[error("a client needs at least one scope")]
    Scope,
    /// A property cannot be registered.
    #[error(transparent)]
    Property(#[from] PropertyError),
}

impl Client {
    /// Checks the rules that a registration must satisfy as a whole.
    pub fn check(&self) -> Result<(), RegistrationError> {
        if self.id.is_reserved() {
            return Err(RegistrationError::ReservedId);
        }
        if self.name.trim().is_empty() || self.name.chars().count() > 100 || self.name.chars().any(is_deceptive) {
            return Err(RegistrationError::Name);
        }
        let (by_code, by_itself) = (self.may_use(GrantType::AuthorizationCode), self.may_use(GrantType::ClientCredentials));
        // A client that no browser is sent back to needs no address for it.
        let fewest = usize::from(by_code || !by_itself);
        if !(fewest..=20).contains(&self.redirect_uris.len()) {
            return Err(RegistrationError::RedirectUris);
        }
        if !self.is_native_app() && self.redirect_uris.iter().any(|uri| uri.private_scheme().is_some()) {
            return Err(RegistrationError::PrivateScheme);
        }
        if !(by_code || by_itself && !self.may_use(GrantType::RefreshToken)) {
            return Err(RegistrationError::GrantTypes);
        }
        if by_itself && !matches!(self.kind, ClientKind::ConfidentialAsymmetric { .. }) {
            return Err(RegistrationError::SystemNeedsKeys);
        }
        if by_itself != self.scope.has_context(ScopeContext::System) {
            return Err(RegistrationError::SystemScopes);
        }
        if self.scope.is_empty() {
            return Err(RegistrationError::Scope);
        }
        Ok(self.properties.check(&self.kind)?)
    }

    /// Whether the client may use a grant type.
    pub fn may_use(&self, grant_type: GrantType) -> bool {
        self.grant_types.contains(&grant_type)
    }

    /// The target for a requested redirect URI, if it is one of the client's.
    pub fn redirect_target(&self, requested: &str) -> Option<RedirectTarget> {
        let target = self.redirect_uris.iter().find_map(|registered| registered.matching(requested))?;
        let by_operator = !self.properties.dynamic && self.properties.owner.is_none();
        let target = if by_operator { target.trusted() } else { target };
        (target.private_scheme().is_none() || self.is_native_app()).then_some(target)
    }

    /// Whether it is an app on a person's device (RFC 8252) that may have a scheme of its own: others on the device may claim the same, so its codes are
    /// worth nothing without the verifier of PKCE.
    fn is_native_app(&self) -> bool {
        self.kind == ClientKind::Public
            && self.properties.application_type == Some(ApplicationType::Native)
            && !self.may_omit_challenge()
    }

    /// The origins of the client's pages, which may read answers across origins.
    pub fn origins(&self) -> impl Iterator<Item = &str> {
        self.redirect_uris.iter().filter_map(RedirectUri::origin).chain(self.properties.origins.iter().map(ClientOrigin::as_str))
    }

    /// Whether it authenticates by a certificate, and by nothing else (RFC 8705 section 2).
    pub fn authenticates_by_certificate(&self) -> bool {
        self.properties.self_signed_tls_client_auth || self.properties.certificate_subject.is_named()
    }

    /// Whether the authorization request may come without a PKCE challenge: the client is of SMART 1.0, which knows none.
    pub fn may_omit_challenge(&self) -> bool {
        self.properties.smart == Some(SmartVersion::V1_0)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use portcullis_jose::Random;

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
            grant_types: GrantType::WITH_PERSON.to_vec(),
            created_at: 0,
            properties: ClientProperties::default(),
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
        assert_eq!(refused(|client| client.name = "Good \u{202E}ppA".into()), RegistrationError::Name);
        assert_eq!(refused(|client| client.name = "Go\u{200B}od".into()), RegistrationError::Name);
        assert_eq!(refused(|client| client.name = "x".repeat(101)), RegistrationError::Name);
        assert_eq!(refused(|client| client.redirect_uris.clear()), RegistrationError::RedirectUris);
        assert_eq!(refused(|client| client.grant_types = vec![GrantType::RefreshToken]), RegistrationError::GrantTypes);
        assert_eq!(refused(|client| client.scope = ScopeSet::default()), RegistrationError::Scope);
        assert_eq!(public_client().check(), Ok(()));
    }

    #[test]
    fn a_scheme_of_its_own_is_for_a_public_app_on_a_device_that_uses_pkce() {
        let native = || {
            let mut client = public_client();
            client.redirect_uris = vec![RedirectUri::parse("com.example.app:/callback").unwrap()];
            client.properties.application_type = Some(ApplicationType::Native);
            client
        };
        let refused: [fn(&mut Client); 5] = [
            |client| client.properties.application_type = None,
            |client| client.properties.application_type = Some(ApplicationType::Web),
            |client| client.properties.smart = Some(SmartVersion::V1_0),
            |client| client.kind = ClientKind::ConfidentialSymmetric { secret_hash: ClientSecretHash::from_bytes([0; 32]) },
            |client| client.kind = backend_client().kind,
        ];
        for change in refused {
            let mut client = native();
            change(&mut client);
            assert_eq!(client.check(), Err(RegistrationError::PrivateScheme));
            assert_eq!(
                client.redirect_target("com.example.app:/callback"),
                None,
                "and if it were registered, it would lead nowhere"
            );
        }
        assert_eq!(native().check(), Ok(()));
        assert!(native().redirect_target("com.example.app:/callback").is_some());
        assert_eq!(native().origins().count(), 0);
        let mut both = native();
        both.redirect_uris.push(RedirectUri::parse("https://app.example/callback").unwrap());
        assert_eq!((both.check(), both.origins().collect::<Vec<_>>()), (Ok(()), vec!["https://app.example"]));
    }

    /// A JWK Set with one P-256 key, `k1` (RFC 7515 appendix A.3).
    pub(crate) const KEYS: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","kid":"k1",
        "x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;

    pub(crate) fn backend_client() -> Client {
        Client {
            id: ClientId::parse("backend").unwrap(),
            kind: ClientKind::ConfidentialAsymmetric {
                registration: GrantId::parse("registration-1").unwrap(),
                keys: KeySource::value(KEYS).unwrap(),
            },
            redirect_uris: Vec::new(),
            scope: ScopeSet::parse("system/*.rs").unwrap(),
            grant_types: vec![GrantType::ClientCredentials],
            ..public_client()
        }
    }

    #[test]
    fn access_without_a_user_is_for_clients_with_keys_and_system_scopes() {
        let refused = |change: fn(&mut Client)| {
            let mut client = backend_client();
            change(&mut client);
            client.check().unwrap_err()
        };
        assert_eq!(refused(|client| client.kind = ClientKind::Public), RegistrationError::SystemNeedsKeys);
        let secret_hash = ClientSecretHash::from_bytes([0; 32]);
        let mut symmetric = backend_client();
        symmetric.kind = ClientKind::ConfidentialSymmetric { secret_hash };
        assert_eq!(symmetric.check(), Err(RegistrationError::SystemNeedsKeys));
        let without = |client: &mut Client| client.scope = ScopeSet::parse("user/*.rs").unwrap();
        assert_eq!(refused(without), RegistrationError::SystemScopes);
        assert_eq!(refused(|client| client.grant_types = vec![GrantType::AuthorizationCode]), RegistrationError::RedirectUris);
        assert_eq!(refused(|client| client.grant_types.push(GrantType::RefreshToken)), RegistrationError::GrantTypes);
        assert_eq!(refused(|client| client.grant_types.clear()), RegistrationError::RedirectUris);
        let mut public = public_client();
        public.scope = ScopeSet::parse("system/*.rs").unwrap();
        assert_eq!(public.check(), Err(RegistrationError::SystemScopes));
        assert_eq!(backend_client().check(), Ok(()));
    }

    #[test]
    fn only_a_registered_redirect_uri_is_a_target() {
        assert_eq!(public_client().redirect_target("https://127.0.0.1:8444/other"), None);
        assert!(public_client().redirect_target("https://127.0.0.1:8444/callback").is_some());
        assert_eq!(public_client().origins().collect::<Vec<_>>(), ["https://127.0.0.1:8444"]);
    }
}
