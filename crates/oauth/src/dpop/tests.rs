//! Each rule of a proof with a proof that breaks only it.

use std::sync::LazyLock;

use portcullis_jose::digest::sha256_base64url;
use portcullis_jose::{Algorithm, SigningKey};
use serde_json::{Value, json};

use super::*;

pub(crate) const NOW: i64 = 1_800_000_000;
const URL: &str = "https://localhost:8443/fhir/Patient/ann";
const TOKEN: &str = "an.access.token";
const NONCES: [&str; 2] = ["nonce-now", "nonce-before"];

static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::generate(Algorithm::Es256).unwrap());

fn good() -> Value {
    let ath = sha256_base64url(TOKEN);
    json!({"jti": "once", "htm": "GET", "htu": URL, "iat": NOW, "ath": ath, "nonce": "nonce-now"})
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = good();
    let members = claims.as_object_mut().unwrap();
    if value.is_null() {
        members.remove(name);
    } else {
        members.insert(name.into(), value);
    }
    claims
}

/// A proof with these claims by this key.
fn signed(key: &SigningKey, claims: &Value) -> String {
    EmbeddedKeyJwt::sign(key, HEADER_TYPE, claims).unwrap()
}

fn terms(access_token: Option<&str>) -> ProofTerms<'_> {
    ProofTerms { method: "GET", url: URL, nonces: &NONCES, access_token, now: NOW }
}

fn verify(claims: &Value) -> Result<VerifiedProof, ProofError> {
    VerifiedProof::verify(&signed(&KEY, claims), &terms(Some(TOKEN)))
}

/// A verified proof for this access token by a key of its own.
pub(crate) fn proof_for(key: &SigningKey, token: &str) -> VerifiedProof {
    let mut claims = good();
    claims["ath"] = json!(sha256_base64url(token));
    VerifiedProof::verify(&signed(key, &claims), &terms(Some(token))).unwrap()
}

/// The thumbprint of a key.
pub(crate) fn thumbprint_of(key: &SigningKey) -> KeyThumbprint {
    proof_for(key, TOKEN).key()
}

#[test]
fn each_faulty_proof_has_its_error() {
    let jwt = |error| ProofError::Jwt(EmbeddedKeyError::Jwt(error));
    for (claims, error) in [
        (with("jti", Value::Null), jwt(JwtError::MissingClaim)),
        (with("jti", json!("")), jwt(JwtError::MissingClaim)),
        (with("jti", json!(7)), jwt(JwtError::WrongClaimType)),
        (with("jti", json!("x".repeat(256))), ProofError::TokenIdTooLong),
        (with("htm", Value::Null), jwt(JwtError::MissingClaim)),
        (with("htm", json!("POST")), ProofError::WrongMethod),
        (with("htm", json!("get")), ProofError::WrongMethod),
        (with("htu", Value::Null), jwt(JwtError::MissingClaim)),
        (with("htu", json!("https://localhost:8443/fhir/Patient/bob")), ProofError::WrongUrl),
        (with("htu", json!("https://localhost/fhir/Patient/ann")), ProofError::WrongUrl),
        (with("htu", json!("http://localhost:8443/fhir/Patient/ann")), ProofError::WrongUrl),
        (with("htu", json!("https://evil.example:8443/fhir/Patient/ann")), ProofError::WrongUrl),
        (with("htu", json!("https://localhost:8443/fhir/Patient/ann/")), ProofError::WrongUrl),
        (with("htu", json!("https://u@localhost:8443/fhir/Patient/ann")), ProofError::WrongUrl),
        (with("htu", json!("/fhir/Patient/ann")), ProofError::WrongUrl),
        (with("iat", Value::Null), jwt(JwtError::MissingClaim)),
        (with("iat", json!("1800000000")), jwt(JwtError::WrongClaimType)),
        (with("iat", json!(NOW - 301)), ProofError::TooOld),
        (with("iat", json!(NOW + 61)), ProofError::InTheFuture),
        (with("ath", Value::Null), ProofError::WrongToken),
        (with("ath", json!(sha256_base64url("another"))), ProofError::WrongToken),
        (with("ath", json!(TOKEN)), ProofError::WrongToken),
        (with("nonce", Value::Null), ProofError::Nonce),
        (with("nonce", json!("")), ProofError::Nonce),
        (with("nonce", json!("nonce-long-ago")), ProofError::Nonce),
        (with("nonce", json!(["nonce-now"])), ProofError::Nonce),
    ] {
        assert_eq!(verify(&claims).unwrap_err(), error, "{claims}");
    }
    assert!(verify(&good()).is_ok());
    for claims in [with("iat", json!(NOW - 300)), with("iat", json!(NOW + 60)), with("nonce", json!("nonce-before"))] {
        assert!(verify(&claims).is_ok(), "{claims}");
    }
}

#[test]
fn htu_is_compared_after_normalisation_and_without_query() {
    for spelling in [
        "https://LOCALHOST:8443/fhir/Patient/ann",
        "https://localhost:8443/fhir/./Patient/ann",
        "https://localhost:8443/fhir/Patient/%61nn",
        "https://localhost:8443/fhir/Patient/ann?_format=json",
        "https://localhost:8443/fhir/Patient/ann#x",
    ] {
        assert!(verify(&with("htu", json!(spelling))).is_ok(), "{spelling}");
    }
    assert!(same_url("https://a.example/x", "https://a.example:443/x"));
    assert!(same_url("https://a.example/%7cx", "https://a.example/%7Cx"));
    assert!(!same_url("https://a.example/a%2Fb", "https://a.example/a/b"), "an escaped slash is no slash");
    assert!(!same_url("https://a.example/%zz", "https://a.example/%25zz"));
}

#[test]
fn a_proof_for_the_token_endpoint_needs_no_ath() {
    let claims = with("ath", Value::Null);
    let proof = VerifiedProof::verify(&signed(&KEY, &claims), &terms(None)).unwrap();
    assert_eq!(proof.token_hash(), None);
    assert_eq!((proof.nonce(), proof.remembered_until()), ("nonce-now", NOW + 360));
    assert_eq!(proof.key().to_text(), KEY.public_jwk().kid(), "the kid of our own keys is their thumbprint");
}

#[test]
fn a_private_key_and_symmetric_algorithms_are_refused_with_words_for_the_developer() {
    let jwk = KEY.public_jwk().to_json();
    let key = json!({"kty": "EC", "crv": "P-256", "x": jwk["x"], "y": jwk["y"]});
    let mut private = key.clone();
    private["d"] = json!("AAAA");
    for (algorithm, key, told) in [
        ("ES256", private, "DPoP: jwk must not hold a private key"),
        ("HS256", key.clone(), "DPoP: alg must be ES256, ES384 or RS256"),
        ("none", key.clone(), "DPoP: alg must be ES256, ES384 or RS256"),
        ("RS384", key, "DPoP: alg must be ES256, ES384 or RS256"),
        ("ES256", json!("x"), "DPoP: jwk must be a public RSA key of 2048 bits or more, or one of P-256 or P-384"),
    ] {
        let header = json!({"typ": HEADER_TYPE, "alg": algorithm, "jwk": key});
        let proof = format!("{}.{}.AAAA", base64url::encode(header.to_string()), base64url::encode(good().to_string()));
        let error = VerifiedProof::verify(&proof, &terms(Some(TOKEN))).unwrap_err();
        assert_eq!((error.to_string().as_str(), TokenError::from(error).code()), (told, "invalid_dpop_proof"));
    }
    assert_eq!(TokenError::from(ProofError::Nonce).code(), "use_dpop_nonce");
    assert_eq!(TokenError::from(ProofError::Missing).code(), "invalid_dpop_proof");
}
