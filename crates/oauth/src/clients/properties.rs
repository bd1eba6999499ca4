//! What is registered about a client beside how it authenticates and what it may ask for (RFC 7591 section 2, and properties of ours).
//!
//! Each property is off or absent by default, so that a client that was registered before one existed is what it was. Web addresses are
//! kept and shown as text; a logo is fetched by whoever shows it, through `outbound`.

use portcullis_jose::Algorithm;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use url::{Position, Url};

use super::{AppStateAccess, AppStateEntitlement, CertificateSubject, ClientKind, RegisteredClearance};
use crate::identifiers::UserId;
use crate::purposes::RegisteredPurpose;
use crate::redirect_uri::RedirectUri;
use crate::session::AssuranceLevel;

/// The longest address of a page or logo, in bytes.
const MAXIMUM_URL_BYTES: usize = 2048;
/// The most origins and the most contacts of one client.
const MAXIMUM_LIST: usize = 20;
/// The longest contact, in bytes: a mail address (RFC 5321 section 4.5.3.1.3) with `mailto:`.
const MAXIMUM_CONTACT_BYTES: usize = 261;

/// A version of SMART App Launch that a client was made for and that needs leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SmartVersion {
    /// 1.0 knows no PKCE: the client may leave the challenge out. That is a risk, since a stolen code needs nothing else.
    #[serde(rename = "1.0")]
    V1_0,
}

impl SmartVersion {
    /// The version as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V1_0 => "1.0",
        }
    }

    /// The version of this exact name.
    pub fn parse(text: &str) -> Option<Self> {
        (text == "1.0").then_some(Self::V1_0)
    }
}

/// What kind of program a client is (OpenID Connect Registration section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ApplicationType {
    /// It runs on a server or in a browser; so does whoever says nothing.
    Web,
    /// It runs on a person's device (RFC 8252), and may be sent back to by a scheme of its own.
    Native,
}

/// How answers to introspection are signed for a client (RFC 9701 section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseAlgorithm(pub Algorithm);

impl ResponseAlgorithm {
    /// All names.
    pub const ALL: [Self; 2] = [Self(Algorithm::Rs256), Self(Algorithm::Es256)];

    /// The algorithm of this exact name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.0.name() == name)
    }
}

impl Serialize for ResponseAlgorithm {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.name())
    }
}

impl<'de> Deserialize<'de> for ResponseAlgorithm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("not an algorithm of ours"))
    }
}

/// An origin whose pages may read answers: `https://host[:port]`, as a browser's `Origin` header has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClientOrigin(Box<str>);

impl ClientOrigin {
    /// Reads an origin: https, or http on a loopback host, without path, in its normal form.
    pub fn parse(text: &str) -> Option<Self> {
        let url = Url::parse(text).ok()?;
        let loopback = match url.host()? {
            url::Host::Ipv4(address) => address.is_loopback(),
            url::Host::Ipv6(address) => address.is_loopback(),
            url::Host::Domain(name) => name == "localhost",
        };
        let schemed = url.scheme() == "https" || (url.scheme() == "http" && loopback);
        (schemed && url.username().is_empty() && &url[..Position::AfterPort] == text).then(|| Self(text.into()))
    }

    /// The origin as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for ClientOrigin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("not an origin"))
    }
}

/// Why a property cannot be registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PropertyError {
    /// An address is not an https URL of at most 2048 visible characters.
    #[error("{0} must be an https URL of at most {MAXIMUM_URL_BYTES} characters without user information")]
    Url(&'static str),
    /// Too many contacts, or one that is empty, too long or has control characters.
    #[error("contacts must be at most {MAXIMUM_LIST} mail addresses")]
    Contacts,
    /// Too many launch URLs, or one that is no https URL in its normal form.
    #[error("launch_urls must be at most {MAXIMUM_LIST} https URLs without fragment, in their normal form")]
    LaunchUrls,
    /// Too many, too long or unreadable `acr` values.
    #[error("default_acr_values must be at most {MAXIMUM_LIST} values of visible characters")]
    AcrValues,
    /// Too many purposes of use, or one twice.
    #[error("purposes must be at most {MAXIMUM_LIST} different purposes of use")]
    Purposes,
    /// Too many origins.
    #[error("at most {MAXIMUM_LIST} origins can be registered")]
    Origins,
    /// Too many codes of app state, or one of them twice.
    #[error("app_state must be at most {MAXIMUM_LIST} codes, each named once")]
    AppState,
    /// A client without credentials cannot be told from others who call themselves by its name.
    #[error(
        "a public client cannot be a resource server, an administrator or a launcher, nor explain decisions: it has no credentials of its own"
    )]
    PublicEntitlement,
    /// A client that must sign its requests and has no keys.
    #[error("require_signed_request_object is for clients with public keys")]
    SigningNeedsKeys,
    /// A client that authenticates by certificate and has no keys whose certificate that could be.
    #[error("self_signed_tls_client_auth is for clients with public keys, each with its certificate as x5c")]
    CertificateNeedsKeys,
    /// More than one name is to be looked for in the client's certificate.
    #[error("tls_client_auth needs exactly one of tls_client_auth_subject_dn, _san_dns, _san_uri, _san_ip and _san_email")]
    CertificateSubjects,
    /// A name of a certificate that cannot be compared with.
    #[error("{0} is not a name of its kind, written out and without wildcards")]
    CertificateSubject(&'static str),
    /// Keys and names of a certificate do not go together as they are given.
    #[error(
        "tls_client_auth is a way of its own: it goes with neither self_signed_tls_client_auth nor a secret, and without it keys are needed"
    )]
    CertificateSubjectMismatch,
    /// Whoever registered itself gets no weaker rules and no entitlement.
    #[error(
        "a dynamically registered client cannot be smart 1.0, verified, a resource server, an administrator or a launcher, nor explain decisions, keep app_state or name purposes"
    )]
    DynamicEntitlement,
    /// What a person registered on the developer's page gets no weaker rules and no entitlement, as long as it is that person's to change.
    #[error(
        "a sandbox client cannot be dynamic, smart 1.0, verified, a resource server, an administrator or a launcher, nor explain decisions, keep app_state or name purposes; unset its owner first"
    )]
    SandboxEntitlement,
}

/// What else is registered about a client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClientProperties {
    /// An older version of SMART that it needs leave for; a risk, see [`SmartVersion`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smart: Option<SmartVersion>,
    /// What kind of program it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub application_type: Option<ApplicationType>,
    /// Whether the operator verified who made it. The consent screen says so.
    #[serde(skip_serializing_if = "is_false")]
    pub verified: bool,
    /// Whether it registered itself (RFC 7591).
    #[serde(skip_serializing_if = "is_false")]
    pub dynamic: bool,
    /// The person who registered it on the developer's page, and may change and remove it there: it is a sandbox client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<UserId>,
    /// Whether it protects resources, and so may see the state of any token (RFC 7662 section 2.1).
    #[serde(skip_serializing_if = "is_false")]
    pub resource_server: bool,
    /// Whether its own tokens may manage clients.
    #[serde(skip_serializing_if = "is_false")]
    pub administrator: bool,
    /// Whether its own tokens may ask why anybody could or could not see a record.
    #[serde(skip_serializing_if = "is_false")]
    pub explains_decisions: bool,
    /// Whether its authorization requests must be pushed (RFC 9126 section 6).
    #[serde(skip_serializing_if = "is_false")]
    pub require_pushed_authorization_requests: bool,
    /// Whether its authorization requests must be signed (RFC 9101 section 10.5).
    #[serde(skip_serializing_if = "is_false")]
    pub require_signed_request_object: bool,
    /// How answers to its introspection requests are signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub introspection_signed_response_alg: Option<ResponseAlgorithm>,
    /// Whether its token requests must come with a DPoP proof (RFC 9449 section 5.2).
    #[serde(skip_serializing_if = "is_false")]
    pub dpop_bound_access_tokens: bool,
    /// Whether its access tokens are bound to its certificate (RFC 8705 section 3.4).
    #[serde(skip_serializing_if = "is_false")]
    pub tls_client_certificate_bound_access_tokens: bool,
    /// Whether it authenticates by a certificate that is the `x5c` of one of its keys, and by nothing else (RFC 8705 section 2.2).
    #[serde(skip_serializing_if = "is_false")]
    pub self_signed_tls_client_auth: bool,
    /// How strongly people must have signed in to let it in; the operator's rules about scopes count beside it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub required_acr: Option<AssuranceLevel>,
    /// What it asks for where its request says nothing (OpenID Connect Registration section 2): `acr` values, the preferred one first. Voluntary.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub default_acr_values: Vec<String>,
    /// The software statement that it registered with (RFC 7591 section 2.3), as it came: [`crate::software_statement::vouched_by`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub software_statement: Option<Box<str>>,
    /// By which name in a certificate of a trusted authority it authenticates, and by nothing else (RFC 8705 section 2.1).
    #[serde(flatten)]
    pub certificate_subject: CertificateSubject,
    /// Origins of its pages beside those of its redirect URIs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub origins: Vec<ClientOrigin>,
    /// Its logo.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logo_uri: Option<String>,
    /// Its home page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_uri: Option<String>,
    /// What it does with data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_uri: Option<String>,
    /// Its terms of service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tos_uri: Option<String>,
    /// Where an EHR opens it, with `iss` and `launch` added to the query (SMART App Launch 2.2.0, "Launch App: EHR Launch").
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub launch_urls: Vec<String>,
    /// Whether it is an EHR: it may make launches for other clients.
    #[serde(skip_serializing_if = "is_false")]
    pub launcher: bool,
    /// Which app state it may keep and see (SMART App Launch 2.2.0, "Persisting App State").
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub app_state: Vec<AppStateEntitlement>,
    /// The purposes for which it may ask for data; none: those of whoever it acts for, and `HOPERAT` where it acts for itself.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub purposes: Vec<RegisteredPurpose>,
    /// Up to which labels records may go to it, whoever uses it; none: as far as whoever uses it is cleared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clearance: Option<RegisteredClearance>,
    /// Whom to ask about it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub contacts: Vec<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}

impl ClientProperties {
    /// Checks the properties of a client of this kind.
    pub fn check(&self, kind: &ClientKind) -> Result<(), PropertyError> {
        let urls = [
            ("logo_uri", &self.logo_uri),
            ("client_uri", &self.client_uri),
            ("policy_uri", &self.policy_uri),
            ("tos_uri", &self.tos_uri),
        ];
        for (name, url) in urls {
            if url.as_ref().is_some_and(|url| !is_web_address(url)) {
                return Err(PropertyError::Url(name));
            }
        }
        let contact = |text: &String| {
            (1..=MAXIMUM_CONTACT_BYTES).contains(&text.len()) && !text.chars().any(char::is_control) && text.contains('@')
        };
        if self.contacts.len() > MAXIMUM_LIST || !self.contacts.iter().all(contact) {
            return Err(PropertyError::Contacts);
        }
        let acr = |text: &String| (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if self.default_acr_values.len() > MAXIMUM_LIST || !self.default_acr_values.iter().all(acr) {
            return Err(PropertyError::AcrValues);
        }
        let stated_twice = |(at, one): (usize, &RegisteredPurpose)| self.purposes.iter().take(at).any(|other| other == one);
        if self.purposes.len() > MAXIMUM_LIST || self.purposes.iter().enumerate().any(stated_twice) {
            return Err(PropertyError::Purposes);
        }
        if self.origins.len() > MAXIMUM_LIST {
            return Err(PropertyError::Origins);
        }
        // The same rules as for redirect URIs: a browser is sent there. An EHR opens pages, and no app on a device.
        let is_page = |url: &String| RedirectUri::parse(url).is_ok_and(|url| url.origin().is_some());
        if self.launch_urls.len() > MAXIMUM_LIST || !self.launch_urls.iter().all(is_page) {
            return Err(PropertyError::LaunchUrls);
        }
        let repeated =
            |(at, one): (usize, &AppStateEntitlement)| self.app_state.iter().take(at).any(|other| other.code == one.code);
        if self.app_state.len() > MAXIMUM_LIST || self.app_state.iter().enumerate().any(repeated) {
            return Err(PropertyError::AppState);
        }
        let all = self.resource_server || self.administrator || self.explains_decisions || self.launcher;
        if *kind == ClientKind::Public && all {
            return Err(PropertyError::PublicEntitlement);
        }
        if self.require_signed_request_object && !matches!(kind, ClientKind::ConfidentialAsymmetric { .. }) {
            return Err(PropertyError::SigningNeedsKeys);
        }
        if self.self_signed_tls_client_auth && !matches!(kind, ClientKind::ConfidentialAsymmetric { .. }) {
            return Err(PropertyError::CertificateNeedsKeys);
        }
        let named = self.certificate_subject.expected()?.is_some();
        let (asymmetric, without_keys) = match kind {
            ClientKind::ConfidentialAsymmetric { keys, .. } => (true, keys.is_none()),
            ClientKind::Public | ClientKind::ConfidentialSymmetric { .. } => (false, false),
        };
        if named && (!asymmetric || self.self_signed_tls_client_auth) || without_keys && !named {
            return Err(PropertyError::CertificateSubjectMismatch);
        }
        if without_keys && self.require_signed_request_object {
            return Err(PropertyError::SigningNeedsKeys);
        }
        let entitled = self.smart.is_some()
            || self.verified
            || self.resource_server
            || self.administrator
            || self.explains_decisions
            || self.launcher
            || !self.app_state.is_empty()
            || !self.purposes.is_empty();
        if self.dynamic && entitled {
            return Err(PropertyError::DynamicEntitlement);
        }
        if self.owner.is_some() && (entitled || self.dynamic) {
            return Err(PropertyError::SandboxEntitlement);
        }
        Ok(())
    }

    /// Up to which labels records may go to it; everything where nothing is registered.
    pub fn clearance(&self) -> portcullis_fhir::labels::Clearance {
        self.clearance.as_ref().map_or(portcullis_fhir::labels::Clearance::FULL, RegisteredClearance::clearance)
    }

    /// What an operator should know about these properties, in words; for listings.
    pub fn risks(&self) -> Vec<&'static str> {
        let smart = (self.smart == Some(SmartVersion::V1_0)).then_some("smart 1.0: may omit PKCE, so a stolen code is enough");
        let all = self.resource_server.then_some("resource server: sees the state of every token");
        let admin = self.administrator.then_some("administrator: manages clients");
        let administers = self.app_state.iter().any(|entitled| entitled.access == AppStateAccess::Administer);
        let state = administers.then_some("app state: changes what is the same for everybody who uses the app");
        let explains =
            self.explains_decisions.then_some("explains decisions: learns labels, consents and relationships of every record");
        [smart, all, admin, explains, state].into_iter().flatten().collect()
    }
}

/// An https URL that a page may link to.
fn is_web_address(text: &str) -> bool {
    let visible = text.len() <= MAXIMUM_URL_BYTES && text.bytes().all(|byte| byte.is_ascii_graphic());
    let sound = |url: Url| url.scheme() == "https" && url.has_host() && url.username().is_empty() && url.password().is_none();
    visible && Url::parse(text).is_ok_and(sound)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::ClientSecretHash;
    use crate::clients::tests::{backend_client, public_client};

    fn states(codes: &[&str]) -> Vec<AppStateEntitlement> {
        codes.iter().map(|code| AppStateEntitlement::parse(code).unwrap()).collect()
    }

    fn refused(change: fn(&mut ClientProperties)) -> PropertyError {
        let mut properties = ClientProperties::default();
        change(&mut properties);
        properties.check(&ClientKind::Public).unwrap_err()
    }

    #[test]
    fn each_property_that_cannot_be_registered_is_named() {
        for url in ["http://app.example/", "javascript:alert(1)", "https://", "https://a b/", "https://u@app.example/", "x", ""] {
            let properties = ClientProperties { logo_uri: Some(url.into()), ..ClientProperties::default() };
            assert_eq!(properties.check(&ClientKind::Public), Err(PropertyError::Url("logo_uri")), "{url}");
        }
        assert_eq!(refused(|properties| properties.tos_uri = Some("data:x".into())), PropertyError::Url("tos_uri"));
        let twice = ["query=https://app.example|a", "modify=https://app.example|a"];
        assert_eq!(
            refused(|properties| properties.app_state = states(&["query=https://app.example|a"; 21])),
            PropertyError::AppState
        );
        let twice = ClientProperties { app_state: states(&twice), ..ClientProperties::default() };
        assert_eq!(twice.check(&ClientKind::Public), Err(PropertyError::AppState), "one code has one access");
        assert_eq!(refused(|properties| properties.contacts = vec![String::new()]), PropertyError::Contacts);
        assert_eq!(refused(|properties| properties.contacts = vec!["a@b\n".into()]), PropertyError::Contacts);
        assert_eq!(refused(|properties| properties.contacts = vec!["a@b".into(); 21]), PropertyError::Contacts);
        assert_eq!(refused(|properties| properties.default_acr_values = vec!["a b".into()]), PropertyError::AcrValues);
        assert_eq!(refused(|properties| properties.default_acr_values = vec!["a".into(); 21]), PropertyError::AcrValues);
        assert_eq!(refused(|properties| properties.resource_server = true), PropertyError::PublicEntitlement);
        assert_eq!(refused(|properties| properties.administrator = true), PropertyError::PublicEntitlement);
        assert_eq!(refused(|properties| properties.launcher = true), PropertyError::PublicEntitlement);
        for url in [
            "http://app.example/launch",
            "https://app.example",
            "https://app.example/#x",
            "javascript:alert(1)",
            "com.example.app:/launch",
            "",
        ] {
            let properties = ClientProperties { launch_urls: vec![url.into()], ..ClientProperties::default() };
            assert_eq!(properties.check(&ClientKind::Public), Err(PropertyError::LaunchUrls), "{url}");
        }
        assert_eq!(refused(|properties| properties.require_signed_request_object = true), PropertyError::SigningNeedsKeys);
        let dynamic = |properties| ClientProperties { dynamic: true, ..properties };
        let kind = ClientKind::ConfidentialSymmetric { secret_hash: ClientSecretHash::from_bytes([0; 32]) };
        for properties in [
            ClientProperties { smart: Some(SmartVersion::V1_0), ..ClientProperties::default() },
            ClientProperties { verified: true, ..ClientProperties::default() },
            ClientProperties { resource_server: true, ..ClientProperties::default() },
            ClientProperties { administrator: true, ..ClientProperties::default() },
            ClientProperties { launcher: true, ..ClientProperties::default() },
            ClientProperties { app_state: states(&["query=https://app.example|a"]), ..ClientProperties::default() },
        ] {
            assert_eq!(properties.check(&kind), Ok(()));
            let owned = ClientProperties { owner: UserId::parse("u1"), ..properties.clone() };
            assert_eq!(owned.check(&kind), Err(PropertyError::SandboxEntitlement));
            assert_eq!(dynamic(properties).check(&kind), Err(PropertyError::DynamicEntitlement));
        }
        let owned = ClientProperties { owner: UserId::parse("u1"), ..ClientProperties::default() };
        assert_eq!(owned.check(&kind), Ok(()));
        assert_eq!(dynamic(owned).check(&kind), Err(PropertyError::SandboxEntitlement));
        assert_eq!(ClientProperties::default().check(&ClientKind::Public), Ok(()));
        let signing = ClientProperties { require_signed_request_object: true, ..ClientProperties::default() };
        assert_eq!(signing.check(&backend_client().kind), Ok(()));
    }

    #[test]
    fn an_origin_is_scheme_host_and_port_alone() {
        for text in
            ["https://app.example/", "https://App.example", "https://app.example:443", "http://app.example", "null", "*", ""]
        {
            assert_eq!(ClientOrigin::parse(text), None, "{text}");
        }
        for text in ["https://app.example", "https://app.example:8443", "http://localhost:3000", "http://127.0.0.1:9"] {
            assert_eq!(ClientOrigin::parse(text).unwrap().as_str(), text);
        }
        let mut client = public_client();
        client.properties.origins = vec![ClientOrigin::parse("https://pages.example").unwrap()];
        assert_eq!(client.origins().collect::<Vec<_>>(), ["https://127.0.0.1:8444", "https://pages.example"]);
    }

    #[test]
    fn properties_read_back_and_absent_ones_are_off() {
        let properties = ClientProperties {
            smart: Some(SmartVersion::V1_0),
            origins: vec![ClientOrigin::parse("https://pages.example").unwrap()],
            contacts: vec!["dev@app.example".into()],
            ..ClientProperties::default()
        };
        let text = serde_json::to_string(&properties).unwrap();
        assert_eq!(text, r#"{"smart":"1.0","origins":["https://pages.example"],"contacts":["dev@app.example"]}"#);
        assert_eq!(serde_json::from_str::<ClientProperties>(&text).unwrap(), properties);
        assert_eq!(serde_json::from_str::<ClientProperties>("{}").unwrap(), ClientProperties::default());
        assert!(serde_json::from_str::<ClientProperties>(r#"{"smart":"2.0"}"#).is_err());
        assert!(serde_json::from_str::<ClientProperties>(r#"{"origins":["x"]}"#).is_err());
        assert!(ClientProperties::default().risks().is_empty() && properties.risks().len() == 1);
    }
}
