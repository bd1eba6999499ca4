//! The id_token of a provider: who signed in there, when, and how (OpenID Connect Core section 3.1.3.7).

use portcullis_fhir::reference::LocalReference;
use portcullis_jose::{ClientKeySet, JwtError, SignedClaims, UnverifiedJwt, constant_time};
use serde_json::Value;

/// The tolerated clock difference, in seconds.
const LEEWAY_SECONDS: i64 = 60;
/// The longest `sub`, in bytes (OpenID Connect Core section 2).
const MAXIMUM_SUBJECT: usize = 255;
/// The most values of `amr` that are looked at.
const MAXIMUM_METHODS: usize = 16;

/// Why an id_token is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum IdentityError {
    /// Form, algorithm, key or signature.
    #[error("the id_token does not verify: {0}")]
    Jwt(#[from] JwtError),
    /// `iss` is another provider.
    #[error("the id_token is of another issuer")]
    Issuer,
    /// `aud` does not name this server, or names others without `azp`, or `azp` is another.
    #[error("the id_token is for another client")]
    Audience,
    /// `exp` has passed, or `nbf` or `iat` lies in the future.
    #[error("the id_token is not of this time")]
    Time,
    /// `nonce` is not the one of this browser.
    #[error("the id_token is of another browser's request")]
    Nonce,
    /// `at_hash` is not that of the access token.
    #[error("the id_token belongs to another access token")]
    AccessToken,
    /// `sub` is empty, too long, or not ASCII.
    #[error("the id_token names nobody")]
    Subject,
    /// `auth_time` is missing or too long ago, though it was asked for.
    #[error("the provider did not ask again")]
    Age,
}

/// What an id_token must say.
#[derive(Clone, Copy, Debug)]
pub struct ExpectedIdentity<'a> {
    /// The provider's issuer.
    pub issuer: &'a str,
    /// What this server is called there.
    pub client_id: &'a str,
    /// The nonce of the request.
    pub nonce: &'a str,
    /// The access token that came with it.
    pub access_token: Option<&'a str>,
    /// The earliest sign-in that counts, in seconds since the epoch; `None` where the age does not matter.
    pub not_before: Option<i64>,
    /// Now, in seconds since the epoch.
    pub now: i64,
}

/// A person at a provider, by the provider's signed word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedIdentity {
    /// The provider's issuer.
    pub issuer: String,
    /// The person there.
    pub subject: String,
    /// When the person signed in there, in seconds since the epoch, where the provider says so. Never later than now.
    pub authenticated_at: Option<i64>,
    /// How (RFC 8176).
    pub amr: Vec<String>,
    /// How strongly.
    pub acr: Option<String>,
    /// The person's FHIR resource, where a claim for it was asked for and is one.
    pub fhir_user: Option<LocalReference>,
}

/// Reads an id_token without believing it. `none` and symmetric algorithms are refused here.
pub fn id_token(text: &str) -> Result<UnverifiedJwt, IdentityError> {
    let token = UnverifiedJwt::parse(text, &["JWT"])?;
    // An address of keys in a header is not ours to follow.
    if token.key_url().is_some() { Err(IdentityError::Jwt(JwtError::EmbeddedKey)) } else { Ok(token) }
}

impl VerifiedIdentity {
    /// Verifies signature and claims. `fhir_user_claim` names the claim with the person's FHIR resource, for a provider that is trusted with that.
    pub fn verify(
        token: &UnverifiedJwt,
        keys: &ClientKeySet,
        expected: &ExpectedIdentity<'_>,
        fhir_user_claim: Option<&str>,
    ) -> Result<Self, IdentityError> {
        let claims = token.verify(keys)?;
        if claims.text("iss")? != expected.issuer {
            return Err(IdentityError::Issuer);
        }
        audience(&claims, expected.client_id)?;
        let authenticated_at = times(&claims, expected)?;
        if !constant_time::equal(claims.text("nonce")?, expected.nonce) {
            return Err(IdentityError::Nonce);
        }
        let hash = claims.members().find(|(name, _)| *name == "at_hash").map(|(_, value)| value);
        if let Some(hash) = hash {
            let own = expected.access_token.map(|access| token.left_half_hash(access));
            if own.is_none() || hash.as_str() != own.as_deref() {
                return Err(IdentityError::AccessToken);
            }
        }
        let subject = claims.text("sub")?;
        if subject.len() > MAXIMUM_SUBJECT || !subject.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
            return Err(IdentityError::Subject);
        }
        let amr = claims.members().find(|(name, _)| *name == "amr").and_then(|(_, value)| value.as_array());
        let texts =
            |values: &Vec<Value>| values.iter().take(MAXIMUM_METHODS).filter_map(Value::as_str).map(str::to_owned).collect();
        Ok(Self {
            issuer: expected.issuer.to_owned(),
            subject: subject.to_owned(),
            authenticated_at,
            amr: amr.map(texts).unwrap_or_default(),
            acr: claims.text("acr").ok().map(str::to_owned),
            fhir_user: fhir_user_claim.and_then(|name| claims.text(name).ok()).and_then(LocalReference::parse),
        })
    }
}

/// `aud` holds us; where it holds others, too, `azp` says that it was made for us (section 3.1.3.7, points 3 to 5).
fn audience(claims: &SignedClaims<'_>, client_id: &str) -> Result<(), IdentityError> {
    let audiences = claims.audiences()?;
    let party = match claims.text("azp") {
        Ok(party) => Some(party),
        Err(JwtError::MissingClaim) => None,
        Err(error) => return Err(error.into()),
    };
    let ours = audiences.contains(&client_id) && party.is_none_or(|party| party == client_id);
    if ours && (audiences.len() == 1 || party.is_some()) { Ok(()) } else { Err(IdentityError::Audience) }
}

/// When the person signed in, if the times of the token are plausible and that is recent enough.
fn times(claims: &SignedClaims<'_>, expected: &ExpectedIdentity<'_>) -> Result<Option<i64>, IdentityError> {
    let (now, missing) = (expected.now, IdentityError::Jwt(JwtError::MissingClaim));
    let expires_at = claims.time("exp")?.ok_or(missing)?;
    let issued_at = claims.time("iat")?.ok_or(missing)?;
    let begins = claims.time("nbf")?.unwrap_or(issued_at);
    let soon = now.saturating_add(LEEWAY_SECONDS);
    if now >= expires_at.saturating_add(LEEWAY_SECONDS) || issued_at > soon || begins > soon {
        return Err(IdentityError::Time);
    }
    let authenticated_at = claims.time("auth_time")?;
    if authenticated_at.is_some_and(|at| at > soon) {
        return Err(IdentityError::Time);
    }
    match (expected.not_before, authenticated_at) {
        (Some(_), None) => Err(IdentityError::Age),
        (Some(earliest), Some(at)) if at.saturating_add(LEEWAY_SECONDS) < earliest => Err(IdentityError::Age),
        _ => Ok(authenticated_at.map(|at| at.min(now))),
    }
}

#[cfg(test)]
mod tests {
    use portcullis_jose::{Algorithm, Jwks, SigningKey, base64url, sign};
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_800_000_000;
    const EXPECTED: ExpectedIdentity<'_> = ExpectedIdentity {
        issuer: "https://login.example",
        client_id: "us",
        nonce: "n",
        access_token: Some("access"),
        not_before: Some(NOW - 300),
        now: NOW,
    };

    fn claims() -> Value {
        json!({"iss": "https://login.example", "sub": "248289761001", "aud": "us", "exp": NOW + 300, "iat": NOW, "nonce": "n",
               "auth_time": NOW - 10, "amr": ["pwd", "mfa"], "acr": "2", "email": "ann@example.org", "fhir": "Patient/p1"})
    }

    fn judged(algorithm: Algorithm, claims: &Value, expected: &ExpectedIdentity<'_>) -> Result<VerifiedIdentity, IdentityError> {
        let key = SigningKey::generate(algorithm).unwrap();
        let keys = ClientKeySet::parse(Jwks::of([&key]).to_json().to_string().as_bytes()).unwrap();
        let token = sign(&key, "JWT", claims).unwrap();
        VerifiedIdentity::verify(&id_token(&token)?, &keys, expected, None)
    }

    fn with(name: &str, value: Value) -> Value {
        let mut claims = claims();
        claims[name] = value;
        claims
    }

    #[test]
    fn every_claim_that_is_not_as_expected_is_refused_by_its_name() {
        let missing = IdentityError::Jwt(JwtError::MissingClaim);
        let mistyped = IdentityError::Jwt(JwtError::WrongClaimType);
        for (name, value, error) in [
            ("iss", json!("https://evil.example"), IdentityError::Issuer),
            ("iss", Value::Null, missing),
            ("aud", json!("them"), IdentityError::Audience),
            ("aud", json!(["us", "them"]), IdentityError::Audience),
            ("azp", json!("them"), IdentityError::Audience),
            ("azp", json!(7), mistyped),
            ("aud", Value::Null, missing),
            ("exp", json!(NOW - 60), IdentityError::Time),
            ("exp", json!((NOW + 300).to_string()), mistyped),
            ("exp", Value::Null, mistyped),
            ("iat", json!(NOW + 61), IdentityError::Time),
            ("iat", Value::Null, mistyped),
            ("nbf", json!(NOW + 61), IdentityError::Time),
            ("nonce", json!("other"), IdentityError::Nonce),
            ("nonce", Value::Null, missing),
            ("at_hash", json!("xxxx"), IdentityError::AccessToken),
            ("at_hash", json!(1), IdentityError::AccessToken),
            ("sub", json!(""), missing),
            ("sub", json!("x".repeat(256)), IdentityError::Subject),
            ("sub", json!("ä"), IdentityError::Subject),
            ("auth_time", json!(NOW - 361), IdentityError::Age),
            ("auth_time", Value::Null, mistyped),
            ("auth_time", json!(NOW + 61), IdentityError::Time),
        ] {
            assert_eq!(judged(Algorithm::Es256, &with(name, value.clone()), &EXPECTED).unwrap_err(), error, "{name} = {value}");
        }
    }

    #[test]
    fn a_sound_token_tells_who_when_and_how() {
        for algorithm in [Algorithm::Es256, Algorithm::Rs256] {
            let identity = judged(algorithm, &claims(), &EXPECTED).unwrap();
            assert_eq!((identity.subject.as_str(), identity.authenticated_at), ("248289761001", Some(NOW - 10)));
            assert_eq!((identity.amr.len(), identity.acr.as_deref(), identity.fhir_user), (2, Some("2"), None));
        }
        let several = with("aud", json!(["us", "them"]));
        let mut several = several;
        several["azp"] = json!("us");
        assert!(judged(Algorithm::Es256, &several, &EXPECTED).is_ok());
        // The left half of the SHA-256 of "access".
        let hash = crate::id_token::access_token_hash("access");
        assert!(judged(Algorithm::Es256, &with("at_hash", json!(hash)), &EXPECTED).is_ok());
        let without = ExpectedIdentity { access_token: None, ..EXPECTED };
        assert_eq!(judged(Algorithm::Es256, &with("at_hash", json!(hash)), &without).unwrap_err(), IdentityError::AccessToken);
        let whenever = ExpectedIdentity { not_before: None, ..EXPECTED };
        let mut silent = claims();
        silent.as_object_mut().unwrap().remove("auth_time");
        assert_eq!(judged(Algorithm::Es256, &silent, &whenever).unwrap().authenticated_at, None);
        assert_eq!(judged(Algorithm::Es256, &silent, &EXPECTED).unwrap_err(), IdentityError::Age, "it was asked for");
    }

    #[test]
    fn none_and_symmetric_algorithms_and_foreign_keys_are_refused() {
        let part = |value: Value| base64url::encode(value.to_string());
        for algorithm in ["none", "HS256", "None", "RS1", ""] {
            let token = format!("{}.{}.{}", part(json!({"alg": algorithm, "kid": "k"})), part(claims()), base64url::encode("x"));
            assert_eq!(id_token(&token).unwrap_err(), IdentityError::Jwt(JwtError::AlgorithmRefused), "{algorithm}");
        }
        let header = json!({"alg": "RS256", "kid": "k", "jku": "https://evil.example/jwks"});
        let token = format!("{}.{}.{}", part(header), part(claims()), base64url::encode("x"));
        assert_eq!(id_token(&token).unwrap_err(), IdentityError::Jwt(JwtError::EmbeddedKey));
        let (one, other) = (SigningKey::generate(Algorithm::Es256).unwrap(), SigningKey::generate(Algorithm::Es256).unwrap());
        let keys = ClientKeySet::parse(Jwks::of([&other]).to_json().to_string().as_bytes()).unwrap();
        let token = id_token(&sign(&one, "JWT", &claims()).unwrap()).unwrap();
        let error = VerifiedIdentity::verify(&token, &keys, &EXPECTED, None).unwrap_err();
        assert_eq!(error, IdentityError::Jwt(JwtError::UnknownKey), "the caller looks for newer keys");
    }

    #[test]
    fn a_fhir_user_comes_only_from_the_claim_that_was_asked_for() {
        let key = SigningKey::generate(Algorithm::Es256).unwrap();
        let keys = ClientKeySet::parse(Jwks::of([&key]).to_json().to_string().as_bytes()).unwrap();
        let token = id_token(&sign(&key, "JWT", &claims()).unwrap()).unwrap();
        let named =
            |claim| VerifiedIdentity::verify(&token, &keys, &EXPECTED, claim).unwrap().fhir_user.map(|user| user.to_string());
        assert_eq!((named(None), named(Some("fhir")), named(Some("email"))), (None, Some("Patient/p1".into()), None));
    }
}
