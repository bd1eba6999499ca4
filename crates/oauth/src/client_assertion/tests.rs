//! Each rule of a client assertion with an assertion that breaks only it.

use std::sync::OnceLock;

use portcullis_jose::{Algorithm, Jwks, SigningKey, base64url, sign};
use serde_json::{Value, json};

use super::*;

pub(crate) const NOW: i64 = 1_800_000_000;
const TOKEN_ENDPOINT: &str = "https://localhost:8443/oauth/token";
const ISSUER: &str = "https://localhost:8443";

const RECIPIENT: Recipient<'_> = Recipient { token_endpoint: TOKEN_ENDPOINT, issuer: ISSUER, also: &[] };

fn key() -> &'static SigningKey {
    static KEY: OnceLock<SigningKey> = OnceLock::new();
    KEY.get_or_init(|| SigningKey::generate(Algorithm::Es256).unwrap())
}

fn keys() -> ClientKeySet {
    ClientKeySet::parse(Jwks::of([key()]).to_json().to_string().as_bytes()).unwrap()
}

fn good_claims() -> Value {
    json!({"iss": "backend", "sub": "backend", "aud": TOKEN_ENDPOINT, "exp": NOW + 300, "jti": "once-1"})
}

/// The good claims with one set, or removed where the value is null.
fn claims_with(name: &str, value: Value) -> Value {
    let mut claims = good_claims();
    let members = claims.as_object_mut().unwrap();
    if value.is_null() {
        members.remove(name);
    } else {
        members.insert(name.into(), value);
    }
    claims
}

pub(crate) fn signed(claims: &Value) -> String {
    sign(key(), "JWT", claims).unwrap()
}

/// An assertion that the client `backend` signed, verified.
pub(crate) fn verified() -> VerifiedAssertion {
    verify(&good_claims()).unwrap()
}

/// A good assertion as text.
pub(crate) fn good() -> String {
    signed(&good_claims())
}

fn verify(claims: &Value) -> Result<VerifiedAssertion, AssertionError> {
    PresentedAssertion::parse(&signed(claims))?.verify(&keys(), &RECIPIENT, NOW)
}

fn refusal(claims: &Value) -> AssertionError {
    verify(claims).unwrap_err()
}

#[test]
fn iss_and_sub_must_be_the_same_client() {
    for (name, value) in [("iss", json!("other")), ("sub", json!("other")), ("sub", json!("backend "))] {
        assert_eq!(refusal(&claims_with(name, value.clone())), AssertionError::NotTheClient, "{name} {value}");
    }
    for (name, value) in [("iss", Value::Null), ("sub", Value::Null), ("sub", json!(["backend"])), ("iss", json!(7))] {
        assert_eq!(refusal(&claims_with(name, value.clone())), JwtError::MissingClaim.into(), "{name} {value}");
    }
    let spaced = json!({"iss": "a b", "sub": "a b", "aud": TOKEN_ENDPOINT, "exp": NOW + 300, "jti": "1"});
    assert_eq!(refusal(&spaced), AssertionError::NotTheClient);
}

#[test]
fn the_audience_must_be_this_server_and_nobody_else() {
    for audience in [
        json!("https://localhost:8443/fhir"),
        json!("https://localhost:8443/oauth/token/"),
        json!("https://evil.example/token"),
        json!(""),
        json!([]),
        json!([TOKEN_ENDPOINT, "https://evil.example/token"]),
    ] {
        assert_eq!(refusal(&claims_with("aud", audience.clone())), JwtError::WrongAudience.into(), "{audience}");
    }
    assert_eq!(refusal(&claims_with("aud", Value::Null)), JwtError::MissingClaim.into());
    assert_eq!(refusal(&claims_with("aud", json!({"url": TOKEN_ENDPOINT}))), JwtError::WrongClaimType.into());
    for audience in [json!(ISSUER), json!([TOKEN_ENDPOINT]), json!([ISSUER, TOKEN_ENDPOINT])] {
        assert!(verify(&claims_with("aud", audience.clone())).is_ok(), "{audience}");
    }
}

#[test]
fn an_assertion_lives_five_minutes_at_most() {
    for (exp, error) in [
        (Value::Null, JwtError::MissingClaim.into()),
        (json!((NOW + 300).to_string()), JwtError::WrongClaimType.into()),
        (json!([NOW + 300]), JwtError::WrongClaimType.into()),
        (json!(-1), JwtError::WrongClaimType.into()),
        (json!(NOW), JwtError::Expired.into()),
        (json!(NOW - 1), JwtError::Expired.into()),
        (json!(NOW + 300 + LEEWAY_SECONDS + 1), AssertionError::LivesTooLong),
        (json!(NOW + 360), AssertionError::LivesTooLong),
        (json!(NOW + 3600), AssertionError::LivesTooLong),
    ] {
        assert_eq!(refusal(&claims_with("exp", exp.clone())), error, "{exp}");
    }
    for exp in [json!(NOW + 1), json!(NOW + 300 + LEEWAY_SECONDS), json!(NOW as f64 + 60.5)] {
        assert!(verify(&claims_with("exp", exp.clone())).is_ok(), "{exp}");
    }
}

#[test]
fn times_that_contradict_each_other_are_refused() {
    for (name, value, error) in [
        ("iat", json!(NOW + LEEWAY_SECONDS + 1), JwtError::ImplausibleTimes),
        ("iat", json!("1800000000"), JwtError::WrongClaimType),
        ("nbf", json!(NOW + LEEWAY_SECONDS + 1), JwtError::NotYetValid),
        ("nbf", json!("1800000000"), JwtError::WrongClaimType),
    ] {
        assert_eq!(refusal(&claims_with(name, value.clone())), error.into(), "{name} {value}");
    }
    let backwards = json!({"iss": "backend", "sub": "backend", "aud": ISSUER, "jti": "1", "exp": NOW + 5, "iat": NOW + 5});
    assert_eq!(refusal(&backwards), JwtError::ImplausibleTimes.into());
    assert!(verify(&claims_with("iat", json!(NOW - 3600))).is_ok());
    assert!(verify(&claims_with("nbf", json!(NOW))).is_ok());
}

#[test]
fn jti_is_required_and_bounded() {
    for jti in [Value::Null, json!("")] {
        assert_eq!(refusal(&claims_with("jti", jti.clone())), JwtError::MissingClaim.into(), "{jti}");
    }
    assert_eq!(refusal(&claims_with("jti", json!(7))), JwtError::WrongClaimType.into());
    assert_eq!(refusal(&claims_with("jti", json!("x".repeat(256)))), AssertionError::TokenIdTooLong);
    assert!(verify(&claims_with("jti", json!("x".repeat(255)))).is_ok());
}

#[test]
fn a_key_address_in_the_header_must_be_the_registered_one() {
    let with_jku = |url: &str| {
        let header = base64url::encode(json!({"alg": "ES256", "kid": "k", "jku": url}).to_string());
        let claims = base64url::encode(good_claims().to_string());
        PresentedAssertion::parse(&format!("{header}.{claims}.{}", base64url::encode([0; 64]))).unwrap()
    };
    let registered = Some("https://keys.example/jwks");
    assert_eq!(with_jku("https://evil.example/jwks").check_key_url(registered), Err(AssertionError::ForeignKeyUrl));
    assert_eq!(with_jku("https://keys.example/jwks/").check_key_url(registered), Err(AssertionError::ForeignKeyUrl));
    assert_eq!(with_jku("https://keys.example/jwks").check_key_url(None), Err(AssertionError::ForeignKeyUrl));
    assert_eq!(with_jku("https://keys.example/jwks").check_key_url(registered), Ok(()));
    assert_eq!(PresentedAssertion::parse(&good()).unwrap().check_key_url(None), Ok(()));
}

#[test]
fn the_key_of_another_client_verifies_nothing() {
    let stranger = SigningKey::generate(Algorithm::Es256).unwrap();
    let forged = sign(&stranger, "JWT", &good_claims()).unwrap();
    let error = PresentedAssertion::parse(&forged).unwrap().verify(&keys(), &RECIPIENT, NOW).unwrap_err();
    assert_eq!(error, JwtError::UnknownKey.into());
    let access_token = sign(key(), "at+jwt", &good_claims()).unwrap();
    assert_eq!(PresentedAssertion::parse(&access_token).unwrap_err(), JwtError::WrongType.into());
}

#[test]
fn a_verified_assertion_names_its_client_and_what_must_not_come_again() {
    let assertion = verified();
    assert_eq!(assertion.client().as_str(), "backend");
    assert_eq!(*assertion.token_id_hash(), sha256("once-1"));
    assert!(assertion.remembered_until() >= NOW + 300 + LEEWAY_SECONDS);
    let short = verify(&claims_with("exp", json!(NOW + 5))).unwrap();
    assert!(short.remembered_until() >= NOW + 300, "the whole lifetime counts, not that of this assertion");
}

#[test]
fn every_refusal_is_an_invalid_client_with_words_that_say_what_to_change() {
    for error in [
        AssertionError::NotTheClient,
        AssertionError::ForeignKeyUrl,
        AssertionError::LivesTooLong,
        AssertionError::TokenIdTooLong,
        JwtError::BadSignature.into(),
        JwtError::UnknownKey.into(),
    ] {
        let wire = TokenError::from(error);
        assert_eq!((wire.code(), wire.status()), ("invalid_client", 401));
        assert!(wire.to_string().starts_with("client_assertion: "), "{wire}");
    }
}
