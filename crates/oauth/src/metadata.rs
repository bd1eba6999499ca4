//! What this server says about itself: smart-configuration, authorization server metadata, OpenID discovery.
//!
//! SMART App Launch 2.2.0 "Conformance", RFC 8414, OpenID Connect Discovery 1.0. All three are rendered from the tables in this file,
//! and the tables name only what is built; the authorization endpoint offers scopes by the same tables.

use serde_json::{Value, json};

use portcullis_jose::ClientAlgorithm;

use crate::capabilities::{Capabilities, Capability};
use crate::clients::{GrantType, ResponseAlgorithm};
use crate::consent_groups::{CONDITION_CATEGORY, OBSERVATION_CATEGORY, US_CORE_CATEGORY, US_CORE_CONDITION, US_CORE_DOCUMENT};
use crate::dpop;
use crate::language::Language;
use crate::pkce;
use crate::scopes::{Scope, ScopeContext, ScopeKind};
use crate::session::AssuranceLevel;

/// Examples of the scopes that can be granted; the list need not be complete (SMART), but names those that CARIN Blue Button asks for.
pub const SCOPES: [&str; 30] = [
    "openid",
    "fhirUser",
    "profile",
    "launch",
    "launch/patient",
    "launch/encounter",
    "offline_access",
    "online_access",
    "patient/*.rs",
    "patient/*.cruds",
    "patient/*.read",
    "patient/*.write",
    "patient/ExplanationOfBenefit.read",
    "patient/Coverage.read",
    "patient/Patient.read",
    "patient/Organization.read",
    "patient/Practitioner.read",
    "user/*.rs",
    "user/*.cruds",
    "user/*.read",
    "user/*.write",
    "user/ExplanationOfBenefit.read",
    "user/Coverage.read",
    "user/Patient.read",
    "user/Organization.read",
    "user/Practitioner.read",
    "system/*.rs",
    "system/*.cruds",
    "system/*.read",
    "system/*.write",
];

/// The types that US Core has profiles and demands scopes for (US Core 7.0.0, "SMART on FHIR Obligations and Capabilities"). Each is published as
/// `TYPE.rs` in every context: whoever lists `permission-patient` and `permission-user`, or has `system/` scopes, owes them in each.
const US_CORE_TYPES: [&str; 26] = [
    "AllergyIntolerance",
    "CarePlan",
    "CareTeam",
    "Condition",
    "Coverage",
    "Device",
    "DiagnosticReport",
    "DocumentReference",
    "Encounter",
    "Goal",
    "Immunization",
    "Location",
    "Medication",
    "MedicationDispense",
    "MedicationRequest",
    "Observation",
    "Organization",
    "Patient",
    "Practitioner",
    "PractitionerRole",
    "Procedure",
    "Provenance",
    "QuestionnaireResponse",
    "RelatedPerson",
    "ServiceRequest",
    "Specimen",
];

/// Type, system and code of the granular scopes of US Core (same page), published as `TYPE.rs?category=SYSTEM|CODE` in every context: those that it
/// demands, then the one that it recommends. Its table misspells the system of `social-history`; this is the one that Observations have.
const US_CORE_CATEGORIES: [(&str, &str, &str); 9] = [
    ("Condition", CONDITION_CATEGORY, "encounter-diagnosis"),
    ("Condition", CONDITION_CATEGORY, "problem-list-item"),
    ("Condition", US_CORE_CONDITION, "health-concern"),
    ("Observation", OBSERVATION_CATEGORY, "laboratory"),
    ("Observation", OBSERVATION_CATEGORY, "social-history"),
    ("Observation", OBSERVATION_CATEGORY, "survey"),
    ("Observation", OBSERVATION_CATEGORY, "vital-signs"),
    ("Observation", US_CORE_CATEGORY, "sdoh"),
    ("DocumentReference", US_CORE_DOCUMENT, "clinical-note"),
];

/// The scopes that US Core demands or recommends.
fn scopes_of_us_core() -> impl Iterator<Item = String> {
    ScopeContext::ALL.into_iter().map(ScopeContext::as_str).flat_map(|context| {
        let whole = US_CORE_TYPES.iter().map(move |name| format!("{context}/{name}.rs"));
        let part = move |(name, system, code): &_| format!("{context}/{name}.rs?category={system}|{code}");
        whole.chain(US_CORE_CATEGORIES.iter().map(part))
    })
}

/// How clients authenticate at the token endpoint, each with the capability that it belongs to.
const CLIENT_AUTHENTICATION_METHODS: [(&str, Capability); 3] = [
    ("client_secret_basic", Capability::ClientConfidentialSymmetric),
    ("private_key_jwt", Capability::ClientConfidentialAsymmetric),
    ("none", Capability::ClientPublic),
];

/// Client authentication by a certificate whose key is registered (RFC 8705 section 2.2), on the port for mutual TLS.
pub const SELF_SIGNED_TLS_CLIENT_AUTH: &str = "self_signed_tls_client_auth";

/// Client authentication by a certificate that an authority vouches for (RFC 8705 section 2.1), where the operator configured authorities.
pub const TLS_CLIENT_AUTH: &str = "tls_client_auth";

/// Whether the authorization endpoint can grant a scope at all.
///
/// Access without a user comes another way: [`offers_to_clients`].
pub fn offers(scope: &Scope) -> bool {
    match scope.kind() {
        ScopeKind::OpenId
        | ScopeKind::FhirUser
        | ScopeKind::Profile
        | ScopeKind::Launch
        | ScopeKind::LaunchPatient
        | ScopeKind::LaunchEncounter
        | ScopeKind::OfflineAccess
        | ScopeKind::OnlineAccess => true,
        ScopeKind::Resource(resource) | ScopeKind::Qualified(resource) => match resource.context {
            ScopeContext::Patient | ScopeContext::User => true,
            ScopeContext::System => false,
        },
    }
}

/// Whether a client can be granted a scope on its own behalf.
pub fn offers_to_clients(scope: &Scope) -> bool {
    scope.reach().is_some_and(|reach| reach.context == ScopeContext::System)
}

/// Where the user-access brands are, and which of them is this server's (SMART App Launch 2.2.0, "User-access Brands and Endpoints").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrandLink {
    /// The URL of the Bundle.
    pub bundle: String,
    /// The system of the identifier that exactly one Organization in it has.
    pub system: String,
    /// The value of that identifier.
    pub value: String,
}

/// Absolute URLs of this server. The optional ones appear in the documents where they are built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// The issuer: https, no query, no fragment, no slash at the end.
    pub issuer: String,
    /// Scheme, host and port where clients show a certificate (RFC 8705 section 5), where there is such a port.
    pub mutual_tls: Option<String>,
    /// Whether authorities are configured that vouch for certificates there.
    pub certificate_authorities: bool,
    /// The authorization endpoint.
    pub authorization: String,
    /// The token endpoint.
    pub token: String,
    /// The public keys.
    pub jwks: String,
    /// Where people see and end what they granted.
    pub management: Option<String>,
    /// RFC 7009.
    pub revocation: Option<String>,
    /// RFC 7662.
    pub introspection: Option<String>,
    /// OpenID Connect Core 1.0 section 5.3.
    pub userinfo: Option<String>,
    /// RFC 9126.
    pub pushed_authorization_request: Option<String>,
    /// Whether every authorization request must be pushed.
    pub require_pushed_authorization_requests: bool,
    /// RFC 7591; only where somebody may register.
    pub registration: Option<String>,
    /// The organisation whose records these are, for apps to show.
    pub brand: Option<BrandLink>,
    /// The FHIR base of app state, which is published where it is on.
    pub app_state: String,
    /// What of SMART is on.
    pub capabilities: Capabilities,
}

impl Endpoints {
    /// `/.well-known/smart-configuration` under the FHIR base. SMART allows only grant types by which an app first gets access there,
    /// so refresh_token is not named.
    pub fn smart_configuration(&self) -> Value {
        let mut document = self.common();
        let first = self.grant_types().filter(|grant_type| *grant_type != GrantType::RefreshToken);
        set(&mut document, "grant_types_supported", json!(first.map(GrantType::as_str).collect::<Vec<_>>()));
        set(&mut document, "capabilities", json!(self.capabilities.on().map(Capability::as_str).collect::<Vec<_>>()));
        // "Required if the server's capabilities include sso-openid-connect; otherwise, omitted."
        if let (false, Some(members)) = (self.capabilities.has(Capability::SsoOpenIdConnect), document.as_object_mut()) {
            members.remove("issuer");
        }
        if let Some(management) = &self.management {
            set(&mut document, "management_endpoint", json!(management));
        }
        if self.capabilities.has(Capability::SmartAppState) {
            // The second is what 2.1 has and 2.2 deprecates.
            let endpoint = json!({"url": self.app_state, "capabilities": [Capability::SmartAppState.as_str()]});
            set(&mut document, "associated_endpoints", json!([endpoint]));
            set(&mut document, "smart_app_state_endpoint", json!(self.app_state));
        }
        if let Some(brand) = &self.brand {
            set(&mut document, "user_access_brand_bundle", json!(brand.bundle));
            set(&mut document, "user_access_brand_identifier", json!({"system": brand.system, "value": brand.value}));
        }
        document
    }

    /// `/.well-known/oauth-authorization-server` (RFC 8414).
    pub fn authorization_server_metadata(&self) -> Value {
        let mut document = self.common();
        set(&mut document, "grant_types_supported", json!(self.grant_types().map(GrantType::as_str).collect::<Vec<_>>()));
        set(&mut document, "response_modes_supported", json!(["query"]));
        set(&mut document, "authorization_response_iss_parameter_supported", json!(true));
        // RFC 9101: objects by value, signed by clients with keys; which clients must is registered with each.
        set(&mut document, "request_parameter_supported", json!(true));
        // This one is true where it is absent (OpenID Connect Discovery 1.0): addresses are not fetched.
        set(&mut document, "request_uri_parameter_supported", json!(false));
        set(&mut document, "request_object_signing_alg_values_supported", json!(ClientAlgorithm::ALL.map(ClientAlgorithm::name)));
        set(&mut document, "require_signed_request_object", json!(false));
        if self.introspection.is_some() {
            // An access token in the header is the other way.
            let confidential = self.client_methods().filter(|method| *method != "none");
            let methods: Vec<&str> = confidential.chain(self.certificate_methods()).collect();
            set(&mut document, "introspection_endpoint_auth_methods_supported", json!(methods));
            self.add_signing_algorithms(&mut document, "introspection");
            let signed = ResponseAlgorithm::ALL.map(|algorithm| algorithm.0.name());
            set(&mut document, "introspection_signing_alg_values_supported", json!(signed));
        }
        if let Some(endpoint) = &self.pushed_authorization_request {
            set(&mut document, "pushed_authorization_request_endpoint", json!(endpoint));
            let required = self.require_pushed_authorization_requests;
            set(&mut document, "require_pushed_authorization_requests", json!(required));
        }
        document
    }

    /// `/.well-known/openid-configuration` (OpenID Connect Discovery 1.0 section 3).
    pub fn openid_configuration(&self) -> Value {
        let mut document = self.authorization_server_metadata();
        if let Some(endpoint) = &self.userinfo {
            set(&mut document, "userinfo_endpoint", json!(endpoint));
        }
        set(&mut document, "subject_types_supported", json!(["public"]));
        set(&mut document, "id_token_signing_alg_values_supported", json!(["RS256"]));
        let claims = ["iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "at_hash", "acr", "amr", "fhirUser", "name"];
        set(&mut document, "claims_supported", json!(claims));
        set(&mut document, "acr_values_supported", json!(AssuranceLevel::ALL.map(AssuranceLevel::acr)));
        set(&mut document, "prompt_values_supported", json!(["none", "login", "consent", "select_account"]));
        set(&mut document, "claims_parameter_supported", json!(false));
        document
    }

    /// What all three documents say, so that they cannot disagree.
    fn common(&self) -> Value {
        let mut document = json!({
            "issuer": self.issuer,
            "authorization_endpoint": self.authorization,
            "token_endpoint": self.token,
            "jwks_uri": self.jwks,
            "scopes_supported": self.published_scopes(),
            "response_types_supported": ["code"],
            "ui_locales_supported": Language::ALL.map(Language::tag),
            "code_challenge_methods_supported": [pkce::METHOD],
            "token_endpoint_auth_methods_supported": self.client_methods().collect::<Vec<_>>(),
            "dpop_signing_alg_values_supported": dpop::ALGORITHMS.map(ClientAlgorithm::name),
        });
        if !self.capabilities.opens_apps()
            && let Some(members) = document.as_object_mut()
        {
            members.remove("authorization_endpoint");
        }
        self.add_signing_algorithms(&mut document, "token");
        for (name, endpoint) in [
            ("revocation_endpoint", &self.revocation),
            ("introspection_endpoint", &self.introspection),
            ("registration_endpoint", &self.registration),
        ] {
            if let Some(endpoint) = endpoint {
                set(&mut document, name, json!(endpoint));
            }
        }
        if self.revocation.is_some() {
            // Without these, "the default is client_secret_basic" alone (RFC 8414 section 2), and most clients have no secret.
            let methods: Vec<&str> = self.client_methods().collect();
            set(&mut document, "revocation_endpoint_auth_methods_supported", json!(methods));
            self.add_signing_algorithms(&mut document, "revocation");
        }
        self.add_mutual_tls(&mut document);
        document
    }

    /// Every scope that the documents name: somebody can be granted it.
    fn published_scopes(&self) -> Vec<String> {
        let all = SCOPES.iter().map(|scope| (*scope).to_owned()).chain(scopes_of_us_core());
        let published = |scope: Scope| {
            self.capabilities.publishes(&scope) && (!offers_to_clients(&scope) || self.admits_clients_by_themselves())
        };
        all.filter(|text| Scope::parse(text).is_ok_and(published)).collect()
    }

    /// Whether a client can get a token on its own behalf.
    fn admits_clients_by_themselves(&self) -> bool {
        self.capabilities.has(Capability::ClientConfidentialAsymmetric) || self.mutual_tls.is_some()
    }

    /// The grant types by which somebody can get a token.
    fn grant_types(&self) -> impl Iterator<Item = GrantType> {
        let by_key = self.admits_clients_by_themselves();
        GrantType::ALL.into_iter().filter(move |grant_type| match grant_type {
            GrantType::AuthorizationCode => self.capabilities.opens_apps(),
            GrantType::RefreshToken => self.capabilities.refreshes(),
            GrantType::ClientCredentials => by_key,
        })
    }

    /// How clients authenticate without a certificate.
    fn client_methods(&self) -> impl Iterator<Item = &'static str> {
        let on = |(_, capability): &(&str, Capability)| self.capabilities.has(*capability);
        CLIENT_AUTHENTICATION_METHODS.into_iter().filter(on).map(|(method, _)| method)
    }

    /// What assertions at an endpoint may be signed with; nothing where there are none.
    fn add_signing_algorithms(&self, document: &mut Value, endpoint: &str) {
        if self.capabilities.has(Capability::ClientConfidentialAsymmetric) {
            let algorithms = json!(ClientAlgorithm::ALL.map(ClientAlgorithm::name));
            set(document, &format!("{endpoint}_endpoint_auth_signing_alg_values_supported"), algorithms);
        }
    }

    /// How clients authenticate by certificates.
    fn certificate_methods(&self) -> impl Iterator<Item = &'static str> {
        let of_authorities = self.certificate_authorities.then_some(TLS_CLIENT_AUTH);
        [Some(SELF_SIGNED_TLS_CLIENT_AUTH), of_authorities].into_iter().flatten().filter(|_| self.mutual_tls.is_some())
    }

    /// The same endpoints where clients show a certificate (RFC 8705 sections 3.3 and 5).
    fn add_mutual_tls(&self, document: &mut Value) {
        let Some(base) = &self.mutual_tls else { return };
        let methods: Vec<&str> = self.client_methods().chain(self.certificate_methods()).collect();
        set(document, "token_endpoint_auth_methods_supported", json!(methods));
        if self.revocation.is_some() {
            set(document, "revocation_endpoint_auth_methods_supported", json!(methods));
        }
        set(document, "tls_client_certificate_bound_access_tokens", json!(true));
        let mut aliases = json!({});
        for (name, endpoint) in [
            ("token_endpoint", Some(&self.token)),
            ("revocation_endpoint", self.revocation.as_ref()),
            ("introspection_endpoint", self.introspection.as_ref()),
            ("pushed_authorization_request_endpoint", self.pushed_authorization_request.as_ref()),
        ] {
            if let Some(path) = endpoint.and_then(|endpoint| endpoint.strip_prefix(self.issuer.as_str())) {
                set(&mut aliases, name, json!(format!("{base}{path}")));
            }
        }
        set(document, "mtls_endpoint_aliases", aliases);
    }
}

fn set(document: &mut Value, name: &str, value: Value) {
    if let Value::Object(members) = document {
        members.insert(name.into(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints() -> Endpoints {
        Endpoints {
            issuer: "https://localhost:8443".into(),
            mutual_tls: None,
            certificate_authorities: false,
            authorization: "https://localhost:8443/authorize".into(),
            token: "https://localhost:8443/token".into(),
            jwks: "https://localhost:8443/jwks".into(),
            management: None,
            revocation: None,
            introspection: None,
            userinfo: None,
            pushed_authorization_request: None,
            require_pushed_authorization_requests: false,
            registration: None,
            brand: None,
            app_state: "https://localhost:8443/app-state".into(),
            capabilities: Capabilities::default(),
        }
    }

    #[test]
    fn every_published_scope_is_understood_and_offered() {
        let published = endpoints().published_scopes();
        let of_us_core = ScopeContext::ALL.len() * (US_CORE_TYPES.len() + US_CORE_CATEGORIES.len());
        assert_eq!(published.len(), SCOPES.len() + of_us_core);
        assert_eq!(published.iter().collect::<std::collections::BTreeSet<_>>().len(), published.len(), "each once");
        for text in &published {
            let scope = Scope::parse(text).unwrap();
            assert!(offers(&scope) != offers_to_clients(&scope), "{text}");
        }
    }

    #[test]
    fn what_is_not_built_is_not_offered() {
        for text in ["system/*.rs", "system/Patient.read"] {
            assert!(!offers(&Scope::parse(text).unwrap()), "{text}");
        }
        let document = endpoints().smart_configuration().to_string();
        for absent in ["plain", "smart-app-state", "refresh_token", "null"] {
            assert!(!document.contains(absent), "{absent}");
        }
    }

    #[test]
    fn the_smart_configuration_has_what_its_capabilities_oblige_it_to() {
        let document = endpoints().smart_configuration();
        for name in [
            "issuer",
            "jwks_uri",
            "authorization_endpoint",
            "token_endpoint",
            "grant_types_supported",
            "capabilities",
            "code_challenge_methods_supported",
            "scopes_supported",
            "response_types_supported",
        ] {
            assert!(document.get(name).is_some(), "{name}");
        }
        assert_eq!(document["code_challenge_methods_supported"], json!(["S256"]));
        assert_eq!(document["capabilities"].as_array().unwrap().len(), Capability::ALL.len() - 1);
    }

    #[test]
    fn app_state_is_published_only_where_it_is_switched_on() {
        let published = |capabilities| Endpoints { capabilities, ..endpoints() }.smart_configuration();
        let off = published(Capabilities::default()).to_string();
        assert!(!off.contains("smart-app-state") && !off.contains("app_state") && !off.contains("associated_endpoints"), "{off}");
        let document = published(Capabilities::default().and([Capability::SmartAppState]));
        assert!(document["capabilities"].as_array().unwrap().contains(&json!("smart-app-state")));
        let url = "https://localhost:8443/app-state";
        assert_eq!(document["associated_endpoints"], json!([{"url": url, "capabilities": ["smart-app-state"]}]));
        assert_eq!(document["smart_app_state_endpoint"], url);
    }

    /// Whatever a document says of a capability that is off.
    fn left(off: &[Capability]) -> [Value; 2] {
        let endpoints = Endpoints {
            revocation: Some("https://localhost:8443/revoke".into()),
            introspection: Some("https://localhost:8443/introspect".into()),
            capabilities: Capabilities::without(off.iter().copied()),
            ..endpoints()
        };
        [endpoints.smart_configuration(), endpoints.authorization_server_metadata()]
    }

    #[test]
    fn what_is_switched_off_stands_in_no_document() {
        for (off, gone) in [
            (&[Capability::ClientPublic][..], &["\"none\""][..]),
            (&[Capability::ClientConfidentialSymmetric], &["client_secret_basic"]),
            (
                &[Capability::ClientConfidentialAsymmetric],
                &["private_key_jwt", "_auth_signing_alg_", "client_credentials", "\"system/"],
            ),
            (&[Capability::PermissionOffline], &["offline_access"]),
            (&[Capability::PermissionOnline], &["online_access"]),
            (
                &[Capability::PermissionOnline, Capability::PermissionOffline],
                &["refresh_token", "offline_access", "online_access"],
            ),
            (&[Capability::PermissionPatient], &["\"patient/"]),
            (&[Capability::PermissionUser], &["\"user/"]),
            (&[Capability::PermissionV1], &[".read\"", ".write\""]),
            (&[Capability::PermissionV2], &[".rs\"", ".cruds\"", ".rs?"]),
            (&[Capability::SsoOpenIdConnect], &["\"openid\"", "\"fhirUser\"", "\"profile\""]),
            (&[Capability::LaunchEhr], &["\"launch\""]),
            (
                &[Capability::LaunchEhr, Capability::LaunchStandalone],
                &["authorization_code", "authorization_endpoint", "\"patient/"],
            ),
            (&[Capability::ContextStandalonePatient, Capability::LaunchEhr], &["launch/patient", "\"patient/"]),
            (&[Capability::ContextStandaloneEncounter, Capability::LaunchEhr], &["launch/encounter"]),
        ] {
            let documents = left(off);
            for text in gone.iter().copied().chain(off.iter().map(|capability| capability.as_str())) {
                assert!(documents.iter().all(|document| !document.to_string().contains(text)), "{text} without {off:?}");
            }
        }
        let [smart, oauth] = left(&[Capability::SsoOpenIdConnect]);
        assert!(smart.get("issuer").is_none() && oauth["issuer"].is_string(), "RFC 8414 wants it");
    }

    #[test]
    fn the_three_documents_agree() {
        let all = Endpoints {
            management: Some("https://localhost:8443/apps".into()),
            revocation: Some("https://localhost:8443/revoke".into()),
            introspection: Some("https://localhost:8443/introspect".into()),
            ..endpoints()
        };
        let [smart, oauth, openid] = [all.smart_configuration(), all.authorization_server_metadata(), all.openid_configuration()];
        for (name, value) in smart.as_object().unwrap() {
            if !["grant_types_supported", "capabilities", "management_endpoint"].contains(&name.as_str()) {
                assert_eq!((oauth.get(name), openid.get(name)), (Some(value), Some(value)), "{name}");
            }
        }
        assert_eq!(smart["revocation_endpoint"], "https://localhost:8443/revoke");
        assert_eq!(oauth["revocation_endpoint_auth_methods_supported"], oauth["token_endpoint_auth_methods_supported"]);
        let mutual = Endpoints { mutual_tls: Some("https://localhost:8444".into()), ..all };
        let mutual = mutual.authorization_server_metadata();
        for endpoint in ["token", "revocation", "introspection"] {
            let methods = mutual[format!("{endpoint}_endpoint_auth_methods_supported")].as_array().unwrap();
            assert!(methods.iter().any(|method| method == SELF_SIGNED_TLS_CLIENT_AUTH), "{endpoint}");
        }
        assert_eq!(smart["management_endpoint"], "https://localhost:8443/apps");
        assert_eq!(oauth["authorization_response_iss_parameter_supported"], true);
        assert_eq!(openid["id_token_signing_alg_values_supported"], json!(["RS256"]));
    }
}
