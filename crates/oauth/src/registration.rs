//! Client metadata: a client as JSON (RFC 7591 section 2), for registration by the client itself, by the administration API and at the
//! command line, on the developer's page, and for what these tell of it.
//!
//! Who registers decides what may be registered. A client that registers itself ([`Registrar::Dynamic`]) is let in by people alone: it gets no
//! `client_credentials`, no weaker rules and no entitlement, whatever it asks for; nor does what a person registers on the developer's page
//! ([`Registrar::Developer`]). Members that are not understood are ignored, as section 2
//! demands, but not those that ask for a protection which is not given; scopes that are not understood or not offered are left out, and the answer shows what is registered. What a
//! [`crate::software_statement`] says takes precedence; one that nobody verified is refused.

use portcullis_jose::json::parse_object;
use portcullis_jose::{ClientAlgorithm, Random, Secret};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::clients::{
    CertificateSubject, Client, ClientKind, ClientProperties, ClientSecretHash, GrantType, KeySource, RegistrationError,
};
use crate::identifiers::{ClientId, GrantId};
use crate::metadata::{self, SELF_SIGNED_TLS_CLIENT_AUTH, TLS_CLIENT_AUTH};
use crate::redirect_uri::RedirectUri;
use crate::scopes::{RequestedScopes, ScopeContext, ScopeSet};
use crate::software_statement::CountedStatement;

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
    /// A person on the developer's page, whom `owner` of the properties names.
    Developer,
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
    #[error("the issuer of this software statement is not trusted here")]
    SoftwareStatement,
    /// `invalid_software_statement`
    #[error("{0}")]
    InvalidStatement(&'static str),
}

impl MetadataError {
    /// The value of `error`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::RedirectUri(_) => "invalid_redirect_uri",
            Self::Metadata(_) => "invalid_client_metadata",
            Self::SoftwareStatement => "unapproved_software_statement",
            Self::InvalidStatement(_) => "invalid_software_statement",
        }
    }
}

impl From<RegistrationError> for MetadataError {
    fn from(error: RegistrationError) -> Self {
        match error {
            RegistrationError::RedirectUris | RegistrationError::PrivateScheme => Self::RedirectUri(error.to_string()),
            other => Self::Metadata(other.to_string()),
        }
    }
}

/// Which of the members cannot be read: each of them can be left out, so the first that fails alone is one.
fn unreadable(members: Map<String, Value>) -> MetadataError {
    let fails = |name: &String, value: Value| {
        serde_json::from_value::<ClientMetadata>(Value::Object(Map::from_iter([(name.clone(), value)]))).is_err()
    };
    let named = members.into_iter().find_map(|(name, value)| fails(&name, value).then_some(name));
    wrong(&format!("{} has the wrong type or an unknown value", named.as_deref().unwrap_or("a member")))
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
    /// How it authenticates: `none`, `client_secret_basic`, `private_key_jwt`, `tls_client_auth` or `self_signed_tls_client_auth`.
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
    /// What somebody else says about it: here nobody has verified it, and it is accepted only where it is what is registered.
    #[serde(skip_serializing)]
    pub software_statement: Option<Value>,
    /// The same where it was verified and what it says is in the other members.
    #[serde(skip)]
    pub verified_statement: Option<CountedStatement>,
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
        Self::from_members(Self::members_of(bytes)?)
    }

    /// The members of a JSON object, of which none is there twice.
    pub fn members_of(bytes: &[u8]) -> Result<Map<String, Value>, MetadataError> {
        if bytes.len() > MAXIMUM_BYTES {
            return Err(wrong("the document is too large"));
        }
        parse_object(bytes).map_err(|_| wrong("the body must be a JSON object without repeated members"))
    }

    /// Reads a JSON object that was parsed before.
    pub fn from_members(mut members: Map<String, Value>) -> Result<Self, MetadataError> {
        // A member without a value is one that is left out (RFC 7592 section 2.2).
        members.retain(|_, value| !value.is_null());
        let uris = members.get("redirect_uris").and_then(Value::as_array);
        if uris.is_some_and(|uris| !uris.iter().all(Value::is_string)) {
            return Err(MetadataError::RedirectUri("redirect_uris must be an array of text".into()));
        }
        check_protection(&members)?;
        serde_json::from_value(Value::Object(members.clone())).map_err(|_| unreadable(members))
    }

    /// The metadata of a client.
    pub fn of(client: &Client) -> Self {
        let by_key = match &client.properties {
            properties if properties.certificate_subject.is_named() => TLS_CLIENT_AUTH,
            properties if properties.self_signed_tls_client_auth => SELF_SIGNED_TLS_CLIENT_AUTH,
            _ => "private_key_jwt",
        };
        let (method, jwks, jwks_uri) = match &client.kind {
            ClientKind::Public => ("none", None, None),
            ClientKind::ConfidentialSymmetric { .. } => ("client_secret_basic", None, None),
            ClientKind::ConfidentialAsymmetric { keys, .. } if keys.is_none() => (by_key, None, None),
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
            verified_statement: None,
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
        let statement = self.statement(before, registrar)?;
        if before.is_some() && self.client_id.as_deref().is_some_and(|named| named != id.as_str()) {
            return Err(wrong("client_id must be that of this registration"));
        }
        let by_certificate = self.token_endpoint_auth_method.as_deref() == Some(SELF_SIGNED_TLS_CLIENT_AUTH);
        self.check_certificate_subject()?;
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
            Registrar::Developer if properties.owner.is_none() => return Err(wrong("a sandbox client has an owner")),
            Registrar::Developer => false,
        };
        properties.software_statement = statement;
        // What may go to a client is not for the client to say.
        if registrar != Registrar::Operator {
            properties.clearance = before.and_then(|client| client.properties.clearance.clone());
        }
        let name = self.client_name.unwrap_or_else(|| default_name(&redirect_uris));
        let created_at = before.map_or(now, |client| client.created_at);
        let client =
            Client { id, name, kind, redirect_uris, scope: scope.retaining(offered), grant_types, created_at, properties };
        client.check()?;
        Ok(Registered { client, secret })
    }

    /// The statement that is registered with the client. An operator who changes something else leaves it where it is.
    fn statement(&self, before: Option<&Client>, registrar: Registrar) -> Result<Option<Box<str>>, MetadataError> {
        let kept = before.and_then(|client| client.properties.software_statement.as_deref());
        match (&self.verified_statement, &self.software_statement) {
            (Some(counted), _) => Ok(Some(counted.text().into())),
            (None, None) => Ok(None),
            (None, Some(Value::String(text))) if registrar == Registrar::Operator && kept == Some(text) => {
                Ok(Some(text.as_str().into()))
            }
            (None, Some(_)) => Err(MetadataError::SoftwareStatement),
        }
    }

    /// "exactly one of the below metadata parameters" (RFC 8705 section 2.1.2), and none for a client of another method.
    fn check_certificate_subject(&self) -> Result<(), MetadataError> {
        let by_name = self.token_endpoint_auth_method.as_deref() == Some(TLS_CLIENT_AUTH);
        if by_name == self.properties.certificate_subject.is_named() {
            return Ok(());
        }
        let names = CertificateSubject::MEMBERS.join(", ");
        Err(wrong(&format!("token_endpoint_auth_method tls_client_auth and exactly one of {names} need each other")))
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
        if registrar != Registrar::Operator && grant_types.contains(&GrantType::ClientCredentials) {
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
                Ok((ClientKind::ConfidentialAsymmetric { registration: registration(before, random), keys: self.keys()? }, None))
            }
            Some(TLS_CLIENT_AUTH) => {
                let keys = if has_keys { self.keys()? } else { KeySource::none() };
                Ok((ClientKind::ConfidentialAsymmetric { registration: registration(before, random), keys }, None))
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
                "token_endpoint_auth_method must be none, client_secret_basic, private_key_jwt, tls_client_auth or self_signed_tls_client_auth",
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

/// Refuses a client that asks for another protection of tokens, answers and requests than the one of this server (OpenID Connect Registration section 2, RFC 9701
/// section 6): one that is told nothing would count on what it asked for.
fn check_protection(members: &Map<String, Value>) -> Result<(), MetadataError> {
    let by_clients = ClientAlgorithm::ALL.map(ClientAlgorithm::name);
    let served: [(&str, &[&str]); 11] = [
        ("subject_type", &["public"]),
        ("id_token_signed_response_alg", &["RS256"]),
        ("token_endpoint_auth_signing_alg", &by_clients),
        ("request_object_signing_alg", &by_clients),
        ("userinfo_signed_response_alg", &[]),
        ("authorization_signed_response_alg", &[]),
        ("id_token_encrypted_response_alg", &[]),
        ("userinfo_encrypted_response_alg", &[]),
        ("introspection_encrypted_response_alg", &[]),
        ("authorization_encrypted_response_alg", &[]),
        ("request_object_encryption_alg", &[]),
    ];
    for (name, values) in served {
        let Some(asked) = members.get(name) else { continue };
        if asked.as_str().is_some_and(|asked| values.contains(&asked)) {
            continue;
        }
        return Err(wrong(&match values {
            [] => format!("{name} is not supported: leave it out"),
            values => format!("{name} must be {}", values.join(" or ")),
        }));
    }
    Ok(())
}

/// The root of the client's own tokens, which stays where it already had keys or a certificate.
fn registration(before: Option<&ClientKind>, random: &mut dyn Random) -> GrantId {
    match before {
        Some(ClientKind::ConfidentialAsymmetric { registration, .. }) => registration.clone(),
        _ => GrantId::generate(random),
    }
}

/// The name of a client that names itself not at all: the host where it lives, or the scheme that it has on a device.
fn default_name(redirect_uris: &[RedirectUri]) -> String {
    let host = |uri: &RedirectUri| {
        let host = uri.origin().and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
        host.or(uri.private_scheme()).unwrap_or_default().chars().take(100).collect()
    };
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
mod tests;
