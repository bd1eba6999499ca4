//! Access tokens: signed JWTs by RFC 9068 that carry identifiers and scopes only.
//!
//! No label, consent or clearance is in a token: a client must not learn them, and they would be stale. Whether a token still counts
//! is not in it either; see [`crate::principal::TokenStatus`].

use std::sync::Arc;

use portcullis_fhir::types::LogicalId;
use portcullis_jose::digest::sha256;
use portcullis_jose::{JwtError, SignError, SigningKey, VerificationKeys, VerifyPolicy, verify};
use serde::{Deserialize, Serialize};

use crate::confirmation::Confirmation;
use crate::identifiers::{ClientId, GrantId, TokenId, UserId};
use crate::scopes::{CompiledScopes, ScopeSet};

/// The `typ` of an access token (RFC 9068 section 2.1).
pub const HEADER_TYPE: &str = "at+jwt";

/// The longest life of an access token in seconds: "SHOULD NOT exceed one hour" (SMART App Launch 2.2.0, "Obtain access token").
pub const MAXIMUM_LIFETIME_SECONDS: i64 = 3600;

/// How far the clocks of two of our own nodes may differ, in seconds, for `iat` not to lie in the future.
const LEEWAY_SECONDS: i64 = 60;

/// The claims of an access token (RFC 9068 section 2.2), with the grant that it descends from and the patient in context.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AccessTokenClaims {
    /// The issuer of this server.
    #[serde(rename = "iss")]
    pub issuer: String,
    /// Who acts.
    #[serde(rename = "sub")]
    pub subject: Subject,
    /// The FHIR base that the token is for.
    #[serde(rename = "aud")]
    pub audience: String,
    /// The client.
    pub client_id: ClientId,
    /// The end of validity, in seconds since the epoch.
    #[serde(rename = "exp")]
    pub expires_at: i64,
    /// The time of issue, in seconds since the epoch.
    #[serde(rename = "iat")]
    pub issued_at: i64,
    /// The token's own identifier.
    #[serde(rename = "jti")]
    pub token_id: TokenId,
    /// The granted scopes as asked for.
    pub scope: String,
    /// The grant; revoking it ends the token.
    #[serde(rename = "gid")]
    pub grant: GrantId,
    /// The patient in context.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "serialize_patient")]
    pub patient: Option<LogicalId>,
    /// What whoever presents the token must prove (RFC 7800); nothing for a bearer token.
    #[serde(rename = "cnf", skip_serializing_if = "Option::is_none")]
    pub confirmation: Option<Confirmation>,
}

/// Who acts with a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Subject {
    /// A user, by way of a client.
    User(UserId),
    /// A client on its own behalf: `sub` and `client_id` are the same (RFC 9068 section 2.2). Whether that is really so, and not a user of
    /// the same name, is what the registry knows about the grant.
    Client(ClientId),
}

impl From<UserId> for Subject {
    fn from(user: UserId) -> Self {
        Self::User(user)
    }
}

fn serialize_patient<S: serde::Serializer>(patient: &Option<LogicalId>, serializer: S) -> Result<S::Ok, S::Error> {
    patient.as_ref().map(LogicalId::as_str).serialize(serializer)
}

impl AccessTokenClaims {
    /// Signs the token; the key should be an ES256 one.
    pub fn sign(&self, key: &SigningKey) -> Result<String, SignError> {
        portcullis_jose::sign(key, HEADER_TYPE, self)
    }
}

/// Whom an access token must come from and be for.
#[derive(Clone, Copy, Debug)]
pub struct AccessTokenTrust<'a> {
    /// The keys of this server.
    pub keys: &'a VerificationKeys,
    /// The issuer of this server.
    pub issuer: &'a str,
    /// The FHIR base of this server.
    pub fhir_base: &'a str,
}

/// Why a bearer token is not one of our access tokens. For the log; the client learns only `invalid_token`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum AccessTokenError {
    /// Verification failed.
    #[error("the token does not verify: {0}")]
    Jwt(#[from] JwtError),
    /// It verifies, but a claim is not what we write: a scope, identifier or patient that cannot be understood.
    #[error("the token's claims are not understood")]
    Claims,
}

/// An access token whose signature, issuer, audience and form were verified.
///
/// It is safe to cache by the hash of the token, because it says nothing about revocation: only [`crate::principal::Principal`] does,
/// and that one is made anew for every request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedToken {
    token_id: TokenId,
    client: ClientId,
    subject: Subject,
    grant: GrantId,
    scope: Box<str>,
    scopes: Arc<CompiledScopes>,
    patient: Option<LogicalId>,
    confirmation: Option<Confirmation>,
    hash: [u8; 32],
    issued_at: i64,
    expires_at: i64,
}

/// The claims as they are read; issuer, audience and times were checked before.
#[derive(Deserialize)]
struct ReceivedClaims {
    sub: UserId,
    client_id: ClientId,
    jti: TokenId,
    scope: String,
    gid: GrantId,
    patient: Option<String>,
    /// Absent or an object: `null` binds to nothing, and is not what we write.
    #[serde(default, deserialize_with = "present")]
    cnf: Option<Confirmation>,
}

fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Confirmation>, D::Error> {
    Confirmation::deserialize(deserializer).map(Some)
}

impl VerifiedToken {
    /// Verifies an access token at a time in seconds since the epoch.
    pub fn verify(token: &str, trust: &AccessTokenTrust<'_>, now: i64) -> Result<Self, AccessTokenError> {
        let policy = VerifyPolicy {
            keys: trust.keys,
            header_type: HEADER_TYPE,
            issuer: trust.issuer,
            audience: trust.fhir_base,
            now,
            leeway_seconds: LEEWAY_SECONDS,
            maximum_age_seconds: Some(MAXIMUM_LIFETIME_SECONDS),
            required_claims: &["sub", "client_id", "jti", "scope", "gid"],
        };
        let claims = verify(token, &policy)?;
        let (issued_at, expires_at) = (claims.issued_at(), claims.expires_at());
        let claims: ReceivedClaims = claims.into_typed().map_err(|_| AccessTokenError::Claims)?;
        let scopes = ScopeSet::parse(&claims.scope).map_err(|_| AccessTokenError::Claims)?;
        let patient = match claims.patient {
            None => None,
            Some(text) => Some(LogicalId::parse(&text).ok_or(AccessTokenError::Claims)?),
        };
        // What binds to nothing binds: an empty `cnf` is nobody's token.
        if claims.cnf == Some(Confirmation::default()) {
            return Err(AccessTokenError::Claims);
        }
        let itself = claims.sub.as_str() == claims.client_id.as_str();
        Ok(Self {
            token_id: claims.jti,
            subject: if itself { Subject::Client(claims.client_id.clone()) } else { Subject::User(claims.sub) },
            client: claims.client_id,
            grant: claims.gid,
            scope: claims.scope.into(),
            scopes: Arc::new(scopes.compiled().at(trust.fhir_base)),
            patient,
            confirmation: claims.cnf,
            hash: sha256(token),
            issued_at,
            expires_at,
        })
    }

    /// The token's identifier, by which the registry knows it.
    pub fn token_id(&self) -> &TokenId {
        &self.token_id
    }

    /// The client that it was issued to.
    pub fn client(&self) -> &ClientId {
        &self.client
    }

    /// Who acts with it.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// The user who granted it; none where a client acts on its own behalf.
    pub fn user(&self) -> Option<&UserId> {
        match &self.subject {
            Subject::User(user) => Some(user),
            Subject::Client(_) => None,
        }
    }

    /// The grant that it descends from; for a client on its own behalf, its registration.
    pub fn grant(&self) -> &GrantId {
        &self.grant
    }

    /// Its scopes as granted.
    pub fn scope(&self) -> &str {
        &self.scope
    }

    /// What its scopes allow.
    pub fn scopes(&self) -> &Arc<CompiledScopes> {
        &self.scopes
    }

    /// The patient in context.
    pub fn patient(&self) -> Option<&LogicalId> {
        self.patient.as_ref()
    }

    /// What whoever presents it must prove.
    pub fn confirmation(&self) -> Option<&Confirmation> {
        self.confirmation.as_ref()
    }

    /// The SHA-256 of its text.
    pub fn hash(&self) -> &[u8; 32] {
        &self.hash
    }

    /// The time of issue, in seconds since the epoch.
    pub fn issued_at(&self) -> i64 {
        self.issued_at
    }

    /// The end of validity, in seconds since the epoch.
    pub fn expires_at(&self) -> i64 {
        self.expires_at
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use portcullis_fhir::types::ResourceType;
    use portcullis_jose::Algorithm;
    use serde_json::{Value, json};

    use super::*;
    use crate::scopes::Letter;

    pub(crate) const NOW: i64 = 1_800_000_000;
    const ISSUER: &str = "https://localhost:8443";
    const BASE: &str = "https://localhost:8443/fhir";

    pub(crate) fn good_claims() -> AccessTokenClaims {
        AccessTokenClaims {
            issuer: ISSUER.into(),
            subject: UserId::parse("u-ann").unwrap().into(),
            audience: BASE.into(),
            client_id: ClientId::parse("demo-app").unwrap(),
            expires_at: NOW + 300,
            issued_at: NOW,
            token_id: TokenId::parse("t1").unwrap(),
            scope: "openid patient/Observation.read".into(),
            grant: GrantId::parse("g1").unwrap(),
            patient: LogicalId::parse("p1"),
            confirmation: None,
        }
    }

    fn verify_signed(claims: &impl Serialize, header_type: &str, now: i64) -> Result<VerifiedToken, AccessTokenError> {
        let key = SigningKey::generate(Algorithm::Es256).unwrap();
        let token = portcullis_jose::sign(&key, header_type, claims).unwrap();
        let keys = VerificationKeys::of([&key]);
        VerifiedToken::verify(&token, &AccessTokenTrust { keys: &keys, issuer: ISSUER, fhir_base: BASE }, now)
    }

    /// A token as the other tests of this crate need it.
    pub(crate) fn verified() -> VerifiedToken {
        verify_signed(&good_claims(), HEADER_TYPE, NOW).unwrap()
    }

    /// A token that the client got for itself.
    pub(crate) fn verified_client() -> VerifiedToken {
        let client = ClientId::parse("demo-app").unwrap();
        let claims = AccessTokenClaims { subject: Subject::Client(client), patient: None, ..good_claims() };
        verify_signed(&claims, HEADER_TYPE, NOW).unwrap()
    }

    #[test]
    fn a_token_whose_subject_is_its_client_has_no_user() {
        assert_eq!(verified_client().user(), None);
        assert_eq!(verified_client().subject(), &Subject::Client(ClientId::parse("demo-app").unwrap()));
        assert_eq!(verified().user().map(UserId::as_str), Some("u-ann"));
    }

    fn with(name: &str, value: Value) -> Value {
        let mut claims = serde_json::to_value(good_claims()).unwrap();
        claims[name] = value;
        claims
    }

    #[test]
    fn an_id_token_is_no_access_token() {
        assert_eq!(verify_signed(&good_claims(), "JWT", NOW), Err(AccessTokenError::Jwt(JwtError::WrongType)));
    }

    #[test]
    fn a_token_for_another_base_or_of_another_issuer_is_refused() {
        for (name, value, error) in [
            ("aud", json!("https://localhost:8443/other"), JwtError::WrongAudience),
            ("aud", json!("demo-app"), JwtError::WrongAudience),
            ("iss", json!("https://evil.example"), JwtError::WrongIssuer),
            ("exp", json!(NOW), JwtError::ImplausibleTimes),
            ("exp", json!(NOW - 60), JwtError::Expired),
            ("iat", json!(NOW - 3661), JwtError::TooOld),
        ] {
            assert_eq!(verify_signed(&with(name, value.clone()), HEADER_TYPE, NOW), Err(error.into()), "{name} {value}");
        }
    }

    #[test]
    fn every_claim_of_ours_is_needed_and_must_be_understood() {
        for name in ["sub", "client_id", "jti", "scope", "gid"] {
            for value in [Value::Null, json!("")] {
                let result = verify_signed(&with(name, value), HEADER_TYPE, NOW);
                assert_eq!(result, Err(JwtError::MissingClaim.into()), "{name}");
            }
            assert_eq!(verify_signed(&with(name, json!(7)), HEADER_TYPE, NOW), Err(AccessTokenError::Claims), "{name}");
        }
        for (name, value) in [
            ("scope", json!("patient/Observation.rs?_include=x")),
            ("scope", json!("openid bogus")),
            ("patient", json!("a/b")),
            ("patient", json!("")),
            ("patient", json!(["p1"])),
            ("sub", json!("with space")),
        ] {
            assert_eq!(
                verify_signed(&with(name, value.clone()), HEADER_TYPE, NOW),
                Err(AccessTokenError::Claims),
                "{name} {value}"
            );
        }
    }

    #[test]
    fn a_cnf_that_binds_to_nothing_or_is_not_understood_is_not_ours() {
        for value in [json!({}), json!({"jwk": {}}), json!({"jkt": "x"}), json!("x"), Value::Null] {
            let result = verify_signed(&with("cnf", value.clone()), HEADER_TYPE, NOW);
            assert_eq!(result, Err(AccessTokenError::Claims), "{value}");
        }
        let thumbprint = crate::confirmation::KeyThumbprint::from_bytes([7; 32]);
        let token = verify_signed(&with("cnf", json!({"jkt": thumbprint.to_text()})), HEADER_TYPE, NOW).unwrap();
        assert_eq!(token.confirmation().and_then(|confirmation| confirmation.key), Some(thumbprint));
    }

    #[test]
    fn what_was_signed_is_what_is_read() {
        let token = verified();
        assert_eq!(token.token_id().as_str(), "t1");
        assert_eq!(token.client().as_str(), "demo-app");
        assert_eq!(token.user().map(UserId::as_str), Some("u-ann"));
        assert_eq!(token.grant().as_str(), "g1");
        assert_eq!(token.patient().map(LogicalId::as_str), Some("p1"));
        assert_eq!((token.issued_at(), token.expires_at()), (NOW, NOW + 300));
        assert!(token.scopes().patient.allows(ResourceType::OBSERVATION, Letter::Search));
        assert!(!token.scopes().patient.allows(ResourceType::PATIENT, Letter::Read));
    }

    #[test]
    fn a_token_without_patient_has_no_such_claim() {
        let claims = AccessTokenClaims { patient: None, ..good_claims() };
        let json = serde_json::to_value(&claims).unwrap();
        let names: Vec<&String> = json.as_object().unwrap().keys().collect();
        assert_eq!(names, ["aud", "client_id", "exp", "gid", "iat", "iss", "jti", "scope", "sub"]);
        assert_eq!(verify_signed(&claims, HEADER_TYPE, NOW).unwrap().patient(), None);
    }
}
