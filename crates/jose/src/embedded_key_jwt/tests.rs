//! Each rule of a token with its own key with a token that breaks only it.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};

use super::*;

/// The proof of RFC 9449 section 4.2.
const PUBLISHED: &str = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg";

const ALGORITHMS: [ClientAlgorithm; 2] = [ClientAlgorithm::Es256, ClientAlgorithm::Es384];

fn verify(token: &str) -> Result<EmbeddedKeyJwt, EmbeddedKeyError> {
    EmbeddedKeyJwt::verify(token, "dpop+jwt", &ALGORITHMS, 2048)
}

struct Signer(EcdsaKeyPair);

impl Signer {
    fn new() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    fn header(&self) -> Value {
        let point = self.0.public_key().as_ref();
        let (x, y) = (base64url::encode(&point[1..33]), base64url::encode(&point[33..65]));
        json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": {"kty": "EC", "crv": "P-256", "x": x, "y": y}})
    }

    fn sign(&self, header: &Value) -> String {
        let message = format!("{}.{}", base64url::encode(header.to_string()), base64url::encode(r#"{"jti":"1"}"#));
        let signature = self.0.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", base64url::encode(signature))
    }
}

#[test]
fn the_proof_of_rfc_9449_verifies_and_gives_its_thumbprint() {
    let proof = verify(PUBLISHED).unwrap();
    // The `jkt` of section 6.1, for the same key.
    assert_eq!(base64url::encode(proof.thumbprint()), "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
    assert_eq!(proof.claims().text("htm"), Ok("POST"));
}

#[test]
fn each_faulty_header_has_its_error() {
    let signer = Signer::new();
    let other = Signer::new();
    let with = |path: &str, value: Value| {
        let mut header = signer.header();
        *header.pointer_mut(path).unwrap_or(&mut Value::Null) = value;
        header
    };
    let added = |name: &str, value: Value| {
        let mut header = signer.header();
        header[name] = value;
        header
    };
    let in_key = |name: &str, value: Value| {
        let mut header = signer.header();
        header["jwk"][name] = value;
        header
    };
    let jwt = EmbeddedKeyError::Jwt;
    for (header, error) in [
        (with("/alg", json!("none")), jwt(JwtError::AlgorithmRefused)),
        (with("/alg", json!("HS256")), jwt(JwtError::AlgorithmRefused)),
        (with("/alg", json!("RS256")), jwt(JwtError::AlgorithmRefused)),
        (with("/alg", json!("ES384")), jwt(JwtError::AlgorithmMismatch)),
        (with("/alg", Value::Null), jwt(JwtError::AlgorithmRefused)),
        (with("/typ", json!("JWT")), jwt(JwtError::WrongType)),
        (with("/typ", Value::Null), jwt(JwtError::WrongType)),
        (with("/jwk", Value::Null), EmbeddedKeyError::NoKey),
        (with("/jwk", json!({})), EmbeddedKeyError::NoKey),
        (with("/jwk", json!({"kty": "oct", "k": "c2VjcmV0"})), EmbeddedKeyError::PrivateKey),
        (with("/jwk/x", json!("AAAA")), EmbeddedKeyError::NoKey),
        (with("/jwk", other.header()["jwk"].clone()), jwt(JwtError::BadSignature)),
        (in_key("d", json!("AAAA")), EmbeddedKeyError::PrivateKey),
        (in_key("use", json!("enc")), EmbeddedKeyError::NoKey),
        (added("crit", json!(["b64"])), jwt(JwtError::CriticalExtension)),
        (added("jku", json!("https://evil.example/jwks")), jwt(JwtError::EmbeddedKey)),
        (added("x5c", json!([])), jwt(JwtError::EmbeddedKey)),
    ] {
        assert_eq!(verify(&signer.sign(&header)).unwrap_err(), error, "{header}");
    }
    assert!(verify(&signer.sign(&signer.header())).is_ok());
}

#[test]
fn what_is_not_three_parts_or_too_long_or_changed_is_refused() {
    let (message, signature) = PUBLISHED.rsplit_once('.').unwrap();
    for (token, error) in [
        (String::new(), JwtError::Malformed),
        ("a.b".into(), JwtError::Malformed),
        (format!("{PUBLISHED}.x"), JwtError::Malformed),
        (format!("{message}.{}", signature.replacen("2-", "2_", 1)), JwtError::BadSignature),
        (format!("{message}."), JwtError::BadSignature),
        (format!("{PUBLISHED}{}", "A".repeat(2048)), JwtError::TooLarge),
    ] {
        assert_eq!(verify(&token).unwrap_err(), EmbeddedKeyError::Jwt(error), "{token}");
    }
}

#[test]
fn a_repeated_member_is_refused() {
    let signer = Signer::new();
    let header = signer.header().to_string().replacen('{', "{\"typ\":\"dpop+jwt\",", 1);
    let message = format!("{}.{}", base64url::encode(header), base64url::encode("{}"));
    let error = verify(&format!("{message}.AAAA")).unwrap_err();
    assert_eq!(error, EmbeddedKeyError::Jwt(JwtError::DuplicateMember));
}
