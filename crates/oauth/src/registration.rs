//! Client metadata: a client as JSON (RFC 7591 section 2), for registration by the client itself, by the administration API and at the
//! command line, and for what these tell of it.
//!
//! Who registers decides what may be registered. A client that registers itself ([`Registrar::Dynamic`]) is let in by people alone: it gets no
//! `client_credentials`, no weaker rules and no entitlement, whatever it asks for. Members that are not understood are ignored, as section 2
//! demands; scopes that are not understood or not offered are left out, and the answer shows what is registered. Software statements are
//! not accepted here.

use portcullis_jose::json::parse_object;
use portcullis_jose::{Random, Secret};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::clients::{Client, ClientKind, ClientProperties, ClientSecretHash, GrantType, KeySource, RegistrationError};
use crate::identifiers::{ClientId, GrantId};
use crate::metadata::{self, SELF_SIGNED_TLS_CLIENT_AUTH};
use crate::redirect_uri::RedirectUri;
use crate::scopes::{RequestedScopes, ScopeContext, ScopeSet};

/// The largest document of metadata, in bytes.
pub const MAXIMUM_BYTES: usize = 64 * 1024;

/// What a client that names no scopes may ask for.
const DEFAULT_SCOPE: &str =
    "openid fhirUser launch launch/patient launch/encounter offline_access online_access patient/*.rs user/*.rs";

/// Who registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registrar {
    /// An operator, or an administrator's program.
    Operator,
    /// The client itself.
    Dynamic,
}

/// Why metadata cannot be registered (RFC 7591 section 3.2.2). The text is the `error_description`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// `invalid_redirect_uri`
    #[error("{0}")]
    RedirectUri(String),
    /// `invalid_client_metadata`
    #[error("{0}")]
    Metadata(String),
    /// `unapproved_software_statement`
    #[error("software statements are not accepted here")]
    SoftwareStatement,
}

impl MetadataError {
    /// The value of `error`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::RedirectUri(_) => "invalid_redirect_uri",
            Self::Metadata(_) => "invalid_client_metadata",
            Self::SoftwareStatement => "unapproved_software_statement",
        }
    }
}

impl From<RegistrationError> for MetadataError {
    fn from(error: RegistrationError) -> Self {
        match error {
            RegistrationError::RedirectUris => Self::RedirectUri(error.to_string()),
            other => Self::Metadata(other.to_string()),
        }
    }
}

fn wrong(description: &str) -> MetadataError {
    MetadataError::Metadata(description.to_owned())
}

/// A client as JSON.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClientMetadata {
    /// Which client it says that it describes (RFC 7592 section 2.2); a new one gets its id here.
    #[serde(skip_serializing)]
    pub client_id: Option<String>,
    /// The name that people see.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_name: Option<String>,
    /// Where answers may be sent.
    pub redirect_uris: Vec<String>,
    /// How it authenticates: `none`, `client_secret_basic`, `private_key_jwt` or `self_signed_tls_client_auth`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_endpoint_auth_method: Option<String>,
    /// What it may redeem.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant_types: Option<Vec<String>>,
    /// What it may ask the authorization endpoint for: `code`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_types: Option<Vec<String>>,
    /// What it may ask for at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Its public keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks: Option<Value>,
    /// Their address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<String>,
    /// What somebody else says about it; never accepted.
    #[serde(skip_serializing)]
    pub software_statement: Option<Value>,
    /// Everything else.
    #[serde(flatten)]
    pub properties: ClientProperties,
}

/// A client that is ready to be stored, and its secret where it got a new one.
#[derive(Debug)]
pub struct Registered {
    /// The client.
    pub client: Client,
    /// Told once.
    pub secret: Option<Secret<String>>,
}

impl ClientMetadata {
    /// Reads a JSON object; one member that is there twice, or of another type, spoils it.
    pub fn parse(bytes: &[u8]) -> Result<Self, MetadataError> {
        if bytes.len() > MAXIMUM_BYTES {
            return Err(wrong("the document is too large"));
        }
        let members = parse_object(bytes).map_err(|_| wrong("the body must be a JSON object without repeated members"))?;
        Self::from_members(members)
    }

    /// Reads a JSON object that was parsed before.
    pub fn from_members(mut members: Map<String, Value>) -> Result<Self, MetadataError> {
        // A member without a value is one that is left out (RFC 7592 section 2.2).
        members.retain(|_, value| !value.is_null());
        let uris = members.get("redirect_uris").and_then(Value::as_array);
        if uris.is_some_and(|uris| !uris.iter().all(Value::is_string)) {
            return Err(MetadataError::RedirectUri("redirect_uris must be an array of text".into()));
        }
        serde_json::from_value(Value::Object(members)).map_err(|_| wrong("a member has the wrong type or an unknown value"))
    }

    /// The metadata of a client.
    pub fn of(client: &Client) -> Self {
        let by_key = if client.properties.self_signed_tls_client_auth { SELF_SIGNED_TLS_CLIENT_AUTH } else { "private_key_jwt" };
        let (method, jwks, jwks_uri) = match &client.kind {
            ClientKind::Public => ("none", None, None),
            ClientKind::ConfidentialSymmetric { .. } => ("client_secret_basic", None, None),
            ClientKind::ConfidentialAsymmetric { keys: KeySource::Value(set), .. } => {
                (by_key, serde_json::from_str(set).ok(), None)
            }
            ClientKind::ConfidentialAsymmetric { keys: KeySource::Url(url), .. } => (by_key, None, Some(url.to_string())),
        };
        let by_code = client.may_use(GrantType::AuthorizationCode);
        Self {
            client_id: None,
            client_name: Some(client.name.clone()),
            redirect_uris: client.redirect_uris.iter().map(|uri| uri.as_str().to_owned()).collect(),
            token_endpoint_auth_method: Some(method.to_owned()),
            grant_types: Some(client.grant_types.iter().map(|grant_type| grant_type.as_str().to_owned()).collect()),
            response_types: Some(if by_code { vec!["code".to_owned()] } else { Vec::new() }),
            scope: Some(client.scope.to_string()),
            jwks,
            jwks_uri,
            software_statement: None,
            properties: client.properties.clone(),
        }
    }

    /// The client that this describes. `before` is what is registered so far: a secret, and the root of the client's own tokens, are kept
    /// where the way of authentication stays.
    pub fn client(
        self,
        (id, before): (ClientId, Option<&Client>),
        registrar: Registrar,
        random: &mut dyn Random,
        now: i64,
    ) -> Result<Registered, MetadataError> {
        if self.software_statement.is_some() {
            return Err(MetadataError::SoftwareStatement);
        }
        if before.is_some() && self.client_id.as_deref().is_some_and(|named| named != id.as_str()) {
            return Err(wrong("client_id must be that of this registration"));
        }
        let by_certificate = self.token_endpoint_auth_method.as_deref() == Some(SELF_SIGNED_TLS_CLIENT_AUTH);
        let redirect = |text: &String| RedirectUri::parse(text).map_err(|error| MetadataError::RedirectUri(error.to_string()));
        let redirect_uris = self.redirect_uris.iter().map(redirect).collect::<Result<Vec<_>, _>>()?;
        let grant_types = self.checked_grant_types(registrar)?;
        let (scope, offered) = self.checked_scope(&grant_types)?;
        let (kind, secret) = self.kind(before, random)?;
        let mut properties = self.properties;
        // The method of RFC 8705 section 2.2 is a property here: the keys are those of private_key_jwt.
        properties.self_signed_tls_client_auth |= by_certificate;
        properties.dynamic = match registrar {
            Registrar::Dynamic => true,
            Registrar::Operator => properties.dynamic,
        };
        let name = self.client_name.unwrap_or_else(|| default_name(&redirect_uris));
        let created_at = before.map_or(now, |client| client.created_at);
        let client =
            Client { id, name, kind, redirect_uris, scope: scope.retaining(offered), grant_types, created_at, properties };
        client.check()?;
        Ok(Registered { client, secret })
    }

    /// RFC 7591 section 2: `authorization_code` where nothing is said. The operator's clients for themselves are told by their scopes.
    fn checked_grant_types(&self, registrar: Registrar) -> Result<Vec<GrantType>, MetadataError> {
        let itself = self.scope.as_deref().is_some_and(|scope| scope.split(' ').any(|part| part.starts_with("system/")));
        let grant_types = match &self.grant_types {
            Some(names) => {
                let known = |name: &String| {
                    GrantType::parse(name).ok_or_else(|| wrong("grant_types names a grant type that is not supported"))
                };
                names.iter().map(known).collect::<Result<Vec<_>, _>>()?
            }
            None if registrar == Registrar::Operator && itself && self.redirect_uris.is_empty() => {
                vec![GrantType::ClientCredentials]
            }
            None if registrar == Registrar::Operator && itself => GrantType::ALL.to_vec(),
            None if registrar == Registrar::Operator => GrantType::WITH_PERSON.to_vec(),
            None => vec![GrantType::AuthorizationCode],
        };
        if registrar == Registrar::Dynamic && grant_types.contains(&GrantType::ClientCredentials) {
            return Err(wrong("client_credentials is registered by the operator of this server"));
        }
        let by_code = grant_types.contains(&GrantType::AuthorizationCode);
        let expected: &[&str] = if by_code { &["code"] } else { &[] };
        if self.response_types.as_ref().is_some_and(|types| types != expected) {
            return Err(wrong("response_types must be code for authorization_code, and empty otherwise"));
        }
        Ok(grant_types)
    }

    /// The scopes that are understood, and which of them can be granted to a client of these grant types.
    fn checked_scope(
        &self,
        grant_types: &[GrantType],
    ) -> Result<(ScopeSet, impl Fn(&crate::scopes::Scope) -> bool + use<>), MetadataError> {
        let text = self.scope.as_deref().unwrap_or(DEFAULT_SCOPE);
        let requested = RequestedScopes::parse(text).map_err(|_| wrong("scope names too many scopes"))?;
        let itself = grant_types.contains(&GrantType::ClientCredentials);
        if !itself && requested.supported.has_context(ScopeContext::System) {
            return Err(wrong("system/ scopes and the grant type client_credentials need each other"));
        }
        Ok((requested.supported, |scope: &crate::scopes::Scope| metadata::offers(scope) || metadata::offers_to_clients(scope)))
    }

    fn kind(
        &self,
        before: Option<&Client>,
        random: &mut dyn Random,
    ) -> Result<(ClientKind, Option<Secret<String>>), MetadataError> {
        let before = before.map(|client| &client.kind);
        let has_keys = self.jwks.is_some() || self.jwks_uri.is_some();
        match self.token_endpoint_auth_method.as_deref() {
            Some("none") if !has_keys => Ok((ClientKind::Public, None)),
            Some("none" | "client_secret_basic") if has_keys => {
                Err(wrong("jwks and jwks_uri are for token_endpoint_auth_method private_key_jwt"))
            }
            Some("private_key_jwt" | SELF_SIGNED_TLS_CLIENT_AUTH) | None if has_keys => {
                let registration = match before {
                    Some(ClientKind::ConfidentialAsymmetric { registration, .. }) => registration.clone(),
                    _ => GrantId::generate(random),
                };
                Ok((ClientKind::ConfidentialAsymmetric { registration, keys: self.keys()? }, None))
            }
            Some("private_key_jwt" | SELF_SIGNED_TLS_CLIENT_AUTH) => {
                Err(wrong("private_key_jwt and self_signed_tls_client_auth need jwks or jwks_uri"))
            }
            Some("client_secret_basic") | None => match before {
                Some(kind @ ClientKind::ConfidentialSymmetric { .. }) => Ok((kind.clone(), None)),
                _ => {
                    let (secret, secret_hash) = ClientSecretHash::generate(random);
                    Ok((ClientKind::ConfidentialSymmetric { secret_hash }, Some(secret)))
                }
            },
            Some(_) => Err(wrong(
                "token_endpoint_auth_method must be none, client_secret_basic, private_key_jwt or self_signed_tls_client_auth",
            )),
        }
    }

    fn keys(&self) -> Result<KeySource, MetadataError> {
        let source = match (&self.jwks, &self.jwks_uri) {
            (Some(_), Some(_)) => return Err(wrong("jwks and jwks_uri exclude each other")),
            (Some(set), None) => KeySource::value(&set.to_string()),
            (None, Some(url)) => KeySource::url(url),
            (None, None) => return Err(wrong("private_key_jwt needs jwks or jwks_uri")),
        };
        source.map_err(|error| wrong(&error.to_string()))
    }
}

/// The name of a client that names itself not at all: the host where it lives.
fn default_name(redirect_uris: &[RedirectUri]) -> String {
    let host = |uri: &RedirectUri| uri.origin().split_once("://").map_or("", |(_, host)| host).chars().take(100).collect();
    redirect_uris.first().map_or_else(|| "Unnamed client".to_owned(), host)
}

/// A client as it is told: its metadata with its id and the time of its registration (RFC 7591 section 3.2.1).
pub fn described(client: &Client) -> Map<String, Value> {
    let mut members = match serde_json::to_value(ClientMetadata::of(client)) {
        Ok(Value::Object(members)) => members,
        _ => Map::new(),
    };
    members.insert("client_id".into(), client.id.as_str().into());
    members.insert("client_id_issued_at".into(), client.created_at.into());
    members
}

/// The same for a client that manages its own registration (RFC 7592 section 3): with its secret where it is new, and the token and address by
/// which it does.
pub fn information(client: &Client, secret: Option<&str>, (token, address): (&str, &str)) -> Value {
    let mut members = described(client);
    if let Some(secret) = secret {
        members.insert("client_secret".into(), secret.into());
    }
    if matches!(client.kind, ClientKind::ConfidentialSymmetric { .. }) {
        // "REQUIRED if client_secret is issued": 0 does not expire.
        members.insert("client_secret_expires_at".into(), json!(0));
    }
    members.insert("registration_access_token".into(), token.into());
    members.insert("registration_client_uri".into(), address.into());
    Value::Object(members)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::tests::{Counter, KEYS, backend_client, public_client};

    fn register(document: Value, registrar: Registrar) -> Result<Registered, MetadataError> {
        let metadata = ClientMetadata::parse(document.to_string().as_bytes())?;
        metadata.client((ClientId::parse("c1").unwrap(), None), registrar, &mut Counter(0), 1000)
    }

    fn good() -> Value {
        json!({"client_name": "App", "redirect_uris": ["https://app.example/cb"], "token_endpoint_auth_method": "none",
            "scope": "openid patient/*.rs unheard-of", "grant_types": ["authorization_code", "refresh_token"]})
    }

    fn refused(name: &str, value: Value) -> (&'static str, String) {
        let mut document = good();
        document[name] = value;
        let error = register(document, Registrar::Dynamic).unwrap_err();
        (error.code(), error.to_string())
    }

    #[test]
    fn each_faulty_member_has_the_error_of_the_specification() {
        for (name, value) in [
            ("redirect_uris", json!([])),
            ("redirect_uris", json!(["http://app.example/cb"])),
            ("redirect_uris", json!(["https://app.example/#x"])),
            ("redirect_uris", json!(["https://*.example/"])),
            ("redirect_uris", json!([7])),
            ("redirect_uris", json!(vec!["https://app.example/cb"; 21])),
        ] {
            assert_eq!(refused(name, value.clone()).0, "invalid_redirect_uri", "{value}");
        }
        for (name, value) in [
            ("redirect_uris", json!("https://app.example/cb")),
            ("client_name", json!("")),
            ("client_name", json!(7)),
            ("client_name", json!("x".repeat(101))),
            ("grant_types", json!(["implicit"])),
            ("grant_types", json!(["client_credentials"])),
            ("grant_types", json!(["refresh_token"])),
            ("grant_types", json!([])),
            ("response_types", json!(["token"])),
            ("response_types", json!([])),
            ("scope", json!("system/*.rs")),
            ("scope", json!("unheard-of")),
            ("scope", json!(["openid"])),
            ("token_endpoint_auth_method", json!("client_secret_post")),
            ("token_endpoint_auth_method", json!("private_key_jwt")),
            ("jwks", json!({"keys": []})),
            ("jwks_uri", json!("https://app.example/jwks")),
            ("logo_uri", json!("http://app.example/logo.png")),
            ("tos_uri", json!("javascript:alert(1)")),
            ("contacts", json!(["nobody"])),
            ("smart", json!("1.0")),
            ("smart", json!("2.0")),
            ("verified", json!(true)),
            ("resource_server", json!(true)),
            ("administrator", json!(true)),
        ] {
            assert_eq!(refused(name, value.clone()).0, "invalid_client_metadata", "{name} {value}");
        }
        assert_eq!(refused("software_statement", json!("a.b.c")).0, "unapproved_software_statement");
        for text in
            ["", "[]", "null", r#"{"scope":"openid","scope":"x"}"#, &format!("{{\"x\":\"{}\"}}", "x".repeat(MAXIMUM_BYTES))]
        {
            assert_eq!(ClientMetadata::parse(text.as_bytes()).unwrap_err().code(), "invalid_client_metadata");
        }
    }

    #[test]
    fn a_client_that_registers_itself_is_marked_and_unverified() {
        let mut document = good();
        document["dynamic"] = json!(false);
        document["unknown_member"] = json!({"ignored": true});
        let registered = register(document, Registrar::Dynamic).unwrap();
        assert!(registered.client.properties.dynamic && !registered.client.properties.verified);
        assert_eq!(registered.client.scope.to_string(), "openid patient/*.rs", "what is not understood is left out");
        assert!(registered.secret.is_none());
    }

    #[test]
    fn what_is_left_out_has_the_defaults_of_the_specification() {
        let registered = register(json!({"redirect_uris": ["https://app.example:8443/cb"]}), Registrar::Dynamic).unwrap();
        let client = &registered.client;
        assert_eq!((client.kind.as_str(), client.name.as_str()), ("confidential-symmetric", "app.example:8443"));
        assert_eq!(client.grant_types, [GrantType::AuthorizationCode]);
        assert!(registered.secret.is_some());
        let information =
            information(client, registered.secret.as_ref().map(|secret| secret.expose().as_str()), ("t", "https://as/c1"));
        for name in ["client_id", "client_secret", "client_id_issued_at", "registration_access_token", "registration_client_uri"]
        {
            assert!(!information[name].is_null(), "{name}");
        }
        assert_eq!(information["client_secret_expires_at"], 0);
        assert_eq!(information["token_endpoint_auth_method"], "client_secret_basic");
    }

    #[test]
    fn a_client_registers_how_its_requests_and_tokens_are_bound_and_by_which_certificate_it_authenticates() {
        let mut document = good();
        for name in ["dpop_bound_access_tokens", "require_pushed_authorization_requests"] {
            document[name] = json!(true);
        }
        // What has no value is left out (RFC 7592 section 2.2).
        for name in ["contacts", "jwks", "verified", "logo_uri", "software_statement"] {
            document[name] = Value::Null;
        }
        let properties = register(document, Registrar::Dynamic).unwrap().client.properties;
        assert!(properties.dpop_bound_access_tokens && properties.require_pushed_authorization_requests);
        let mut document = good();
        document["token_endpoint_auth_method"] = json!("self_signed_tls_client_auth");
        assert_eq!(register(document.clone(), Registrar::Dynamic).unwrap_err().code(), "invalid_client_metadata");
        document["jwks"] = serde_json::from_str(KEYS).unwrap();
        let client = register(document, Registrar::Dynamic).unwrap().client;
        assert!(client.properties.self_signed_tls_client_auth && client.kind.as_str() == "confidential-asymmetric");
        assert_eq!(described(&client)["token_endpoint_auth_method"], "self_signed_tls_client_auth");
    }

    #[test]
    fn an_update_names_its_own_client_or_none() {
        let client = public_client();
        let update = |named: Option<&str>| {
            let metadata = ClientMetadata { client_id: named.map(str::to_owned), ..ClientMetadata::of(&client) };
            metadata.client((client.id.clone(), Some(&client)), Registrar::Dynamic, &mut Counter(0), 5)
        };
        assert!(update(None).is_ok() && update(Some("demo-app")).is_ok());
        assert_eq!(update(Some("other")).unwrap_err().code(), "invalid_client_metadata");
    }

    #[test]
    fn an_operator_may_register_what_a_client_may_not() {
        let keys: Value = serde_json::from_str(KEYS).unwrap();
        let document = json!({"client_name": "Night export", "jwks": keys, "scope": "system/*.rs", "resource_server": true});
        let client = register(document.clone(), Registrar::Operator).unwrap().client;
        assert_eq!(
            (client.kind.as_str(), client.grant_types.as_slice()),
            ("confidential-asymmetric", &[GrantType::ClientCredentials][..])
        );
        assert!(register(document, Registrar::Dynamic).is_err());
    }

    #[test]
    fn metadata_reads_back_and_an_update_keeps_secret_and_registration() {
        let mut certified = backend_client();
        certified.properties.self_signed_tls_client_auth = true;
        for client in [public_client(), backend_client(), certified] {
            let again =
                ClientMetadata::of(&client).client((client.id.clone(), Some(&client)), Registrar::Operator, &mut Counter(9), 5);
            let mut again = again.unwrap().client;
            // A set of keys is written anew; it must be the same set, not the same text.
            if let (ClientKind::ConfidentialAsymmetric { keys, .. }, ClientKind::ConfidentialAsymmetric { keys: old, .. }) =
                (&mut again.kind, &client.kind)
            {
                let (KeySource::Value(new), KeySource::Value(old_text)) = (&*keys, old) else { panic!("by value") };
                assert_eq!(serde_json::from_str::<Value>(new).unwrap(), serde_json::from_str::<Value>(old_text).unwrap());
                *keys = old.clone();
            }
            assert_eq!(again, client);
        }
        let registered = register(json!({"redirect_uris": ["https://app.example/cb"]}), Registrar::Dynamic).unwrap();
        let update = ClientMetadata { client_name: Some("New".into()), ..ClientMetadata::of(&registered.client) };
        let updated = update
            .client((registered.client.id.clone(), Some(&registered.client)), Registrar::Dynamic, &mut Counter(9), 5)
            .unwrap();
        assert!(updated.secret.is_none() && updated.client.kind == registered.client.kind && updated.client.created_at == 1000);
    }
}
