//! What this server says about itself: smart-configuration, authorization server metadata, OpenID discovery.
//!
//! SMART App Launch 2.2.0 "Conformance", RFC 8414, OpenID Connect Discovery 1.0. All three are rendered from the tables in this file,
//! and the tables name only what is built; the authorization endpoint offers scopes by the same tables.

use serde_json::{Value, json};

use portcullis_jose::ClientAlgorithm;

use crate::clients::GrantType;
use crate::pkce;
use crate::scopes::{Scope, ScopeContext, ScopeKind};

/// The SMART capabilities that are built.
pub const CAPABILITIES: [&str; 13] = [
    "launch-standalone",
    "authorize-post",
    "client-public",
    "client-confidential-symmetric",
    "client-confidential-asymmetric",
    "sso-openid-connect",
    "context-standalone-patient",
    "permission-offline",
    "permission-online",
    "permission-patient",
    "permission-user",
    "permission-v1",
    "permission-v2",
];

/// Examples of the scopes that can be granted; the list need not be complete (SMART), but names those that CARIN Blue Button asks for.
pub const SCOPES: [&str; 28] = [
    "openid",
    "fhirUser",
    "profile",
    "launch/patient",
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

/// How clients authenticate at the token endpoint.
pub const CLIENT_AUTHENTICATION_METHODS: [&str; 3] = ["client_secret_basic", "private_key_jwt", "none"];

/// Whether the authorization endpoint can grant a scope at all.
///
/// Launch from an EHR and the choice of an encounter are understood but not built. Access without a user comes
/// another way: [`offers_to_clients`].
pub fn offers(scope: &Scope) -> bool {
    match scope.kind() {
        ScopeKind::OpenId
        | ScopeKind::FhirUser
        | ScopeKind::Profile
        | ScopeKind::LaunchPatient
        | ScopeKind::OfflineAccess
        | ScopeKind::OnlineAccess => true,
        ScopeKind::Launch | ScopeKind::LaunchEncounter => false,
        ScopeKind::Resource(resource) => match resource.context {
            ScopeContext::Patient | ScopeContext::User => true,
            ScopeContext::System => false,
        },
    }
}

/// Whether a client can be granted a scope on its own behalf.
pub fn offers_to_clients(scope: &Scope) -> bool {
    scope.resource().is_some_and(|resource| resource.context == ScopeContext::System)
}

/// Absolute URLs of this server. The optional ones appear in the documents where they are built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// The issuer: https, no query, no fragment, no slash at the end.
    pub issuer: String,
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
}

impl Endpoints {
    /// `/.well-known/smart-configuration` under the FHIR base. SMART allows only grant types by which an app first gets access there,
    /// so refresh_token is not named.
    pub fn smart_configuration(&self) -> Value {
        let mut document = self.common();
        set(
            &mut document,
            "grant_types_supported",
            json!([GrantType::AuthorizationCode, GrantType::ClientCredentials].map(GrantType::as_str)),
        );
        set(&mut document, "capabilities", json!(CAPABILITIES));
        if let Some(management) = &self.management {
            set(&mut document, "management_endpoint", json!(management));
        }
        document
    }

    /// `/.well-known/oauth-authorization-server` (RFC 8414).
    pub fn authorization_server_metadata(&self) -> Value {
        let mut document = self.common();
        set(&mut document, "grant_types_supported", json!(GrantType::ALL.map(GrantType::as_str)));
        set(&mut document, "response_modes_supported", json!(["query"]));
        set(&mut document, "authorization_response_iss_parameter_supported", json!(true));
        document
    }

    /// `/.well-known/openid-configuration` (OpenID Connect Discovery 1.0 section 3).
    pub fn openid_configuration(&self) -> Value {
        let mut document = self.authorization_server_metadata();
        set(&mut document, "subject_types_supported", json!(["public"]));
        set(&mut document, "id_token_signing_alg_values_supported", json!(["RS256"]));
        let claims = ["iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "at_hash", "fhirUser", "name"];
        set(&mut document, "claims_supported", json!(claims));
        set(&mut document, "prompt_values_supported", json!(["none", "login", "consent", "select_account"]));
        set(&mut document, "claims_parameter_supported", json!(false));
        set(&mut document, "request_parameter_supported", json!(false));
        // This one is true where it is absent.
        set(&mut document, "request_uri_parameter_supported", json!(false));
        document
    }

    /// What all three documents say, so that they cannot disagree.
    fn common(&self) -> Value {
        let mut document = json!({
            "issuer": self.issuer,
            "authorization_endpoint": self.authorization,
            "token_endpoint": self.token,
            "jwks_uri": self.jwks,
            "scopes_supported": SCOPES,
            "response_types_supported": ["code"],
            "code_challenge_methods_supported": [pkce::METHOD],
            "token_endpoint_auth_methods_supported": CLIENT_AUTHENTICATION_METHODS,
            "token_endpoint_auth_signing_alg_values_supported": ClientAlgorithm::ALL.map(ClientAlgorithm::name),
        });
        for (name, endpoint) in [("revocation_endpoint", &self.revocation), ("introspection_endpoint", &self.introspection)] {
            if let Some(endpoint) = endpoint {
                set(&mut document, name, json!(endpoint));
            }
        }
        document
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
            authorization: "https://localhost:8443/authorize".into(),
            token: "https://localhost:8443/token".into(),
            jwks: "https://localhost:8443/jwks".into(),
            management: None,
            revocation: None,
            introspection: None,
        }
    }

    #[test]
    fn every_published_scope_is_understood_and_offered() {
        for text in SCOPES {
            let scope = Scope::parse(text).unwrap();
            assert!(offers(&scope) != offers_to_clients(&scope), "{text}");
        }
    }

    #[test]
    fn what_is_not_built_is_not_offered() {
        for text in ["launch", "launch/encounter", "system/*.rs", "system/Patient.read"] {
            assert!(!offers(&Scope::parse(text).unwrap()), "{text}");
        }
        let document = endpoints().smart_configuration().to_string();
        for absent in ["plain", "launch-ehr", "refresh_token", "null"] {
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
        assert_eq!(document["capabilities"].as_array().unwrap().len(), CAPABILITIES.len());
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
        assert_eq!(smart["management_endpoint"], "https://localhost:8443/apps");
        assert_eq!(oauth["authorization_response_iss_parameter_supported"], true);
        assert_eq!(openid["id_token_signing_alg_values_supported"], json!(["RS256"]));
    }
}
