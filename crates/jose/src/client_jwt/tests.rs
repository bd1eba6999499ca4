//! The forms of a token that are refused before anybody's key is looked for.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn unsigned(header: &str, claims: &str) -> String {
    format!("{}.{}.{}", base64url::encode(header), base64url::encode(claims), base64url::encode([1; 96]))
}

fn refusal(header: Value) -> JwtError {
    UnverifiedJwt::parse(&unsigned(&header.to_string(), "{}"), &["JWT"]).unwrap_err()
}

fn good_header() -> Value {
    json!({"alg": "ES384", "kid": "k", "typ": "JWT"})
}

fn header_with(name: &str, value: Value) -> Value {
    let mut header = good_header();
    header.as_object_mut().unwrap().insert(name.into(), value);
    header
}

#[test]
fn none_symmetric_and_unknown_algorithms_are_refused() {
    for algorithm in [
        json!("none"),
        json!("NONE"),
        json!("HS256"),
        json!("HS384"),
        json!("PS384"),
        json!("ES512"),
        json!(""),
        json!(["ES384"]),
        Value::Null,
    ] {
        assert_eq!(refusal(header_with("alg", algorithm.clone())), JwtError::AlgorithmRefused, "{algorithm}");
    }
    assert_eq!(refusal(json!({"kid": "k"})), JwtError::AlgorithmRefused);
}

#[test]
fn headers_that_bring_keys_extensions_or_another_type_are_refused() {
    for name in ["jwk", "x5u", "x5c"] {
        assert_eq!(refusal(header_with(name, json!("https://evil.example/key"))), JwtError::EmbeddedKey, "{name}");
    }
    assert_eq!(refusal(header_with("jku", json!(["https://evil.example/key"]))), JwtError::EmbeddedKey);
    assert_eq!(refusal(header_with("crit", json!(["exp"]))), JwtError::CriticalExtension);
    for typ in [json!("at+jwt"), json!("dpop+jwt"), json!("oauth-authz-req+jwt"), json!(""), json!(1), Value::Null] {
        assert_eq!(refusal(header_with("typ", typ.clone())), JwtError::WrongType, "{typ}");
    }
    for kid in [json!(""), json!(1), json!("k".repeat(256)), Value::Null] {
        assert_eq!(refusal(header_with("kid", kid.clone())), JwtError::UnknownKey, "{kid}");
    }
    assert_eq!(refusal(json!({"alg": "ES384"})), JwtError::UnknownKey);
}

#[test]
fn repeated_members_and_broken_forms_are_refused() {
    let parse = |token: &str| UnverifiedJwt::parse(token, &["JWT"]).unwrap_err();
    let twice = r#"{"alg":"none","alg":"ES384","kid":"k"}"#;
    assert_eq!(parse(&unsigned(twice, "{}")), JwtError::DuplicateMember);
    assert_eq!(parse(&unsigned(&good_header().to_string(), r#"{"sub":"a","sub":"b"}"#)), JwtError::DuplicateMember);
    let good = unsigned(&good_header().to_string(), "{}");
    for token in [
        "".to_owned(),
        "..".into(),
        "a.b".into(),
        format!("{good}."),
        format!("{good}="),
        format!(" {good}"),
        format!("x.{good}"),
    ] {
        assert_eq!(parse(&token), JwtError::Malformed, "{token}");
    }
    assert_eq!(parse(&unsigned(&good_header().to_string(), "[]")), JwtError::Malformed);
    assert_eq!(parse(&"a".repeat(MAXIMUM_TOKEN_BYTES + 1)), JwtError::TooLarge);
}

#[test]
fn the_claimed_signer_and_key_address_can_be_seen_before_verification() {
    let jwt = UnverifiedJwt::parse(
        &unsigned(&header_with("jku", json!("https://a.example/jwks")).to_string(), r#"{"sub":"backend","n":1}"#),
        &["JWT"],
    )
    .unwrap();
    assert_eq!((jwt.claimed("sub"), jwt.claimed("n"), jwt.claimed("iss")), (Some("backend"), None, None));
    assert_eq!(jwt.key_url(), Some("https://a.example/jwks"));
    let untyped = unsigned(r#"{"alg":"RS384","kid":"k"}"#, "{}");
    assert!(UnverifiedJwt::parse(&untyped, &["JWT"]).is_ok());
    let media_type = unsigned(&header_with("typ", json!("application/jwt")).to_string(), "{}");
    assert!(UnverifiedJwt::parse(&media_type, &["JWT"]).is_ok());
}

#[test]
fn claims_of_the_wrong_type_are_told_from_missing_ones() {
    let members = parse_object(br#"{"jti":7,"sub":"","iss":null,"exp":"1900000000","nbf":1.5,"aud":["a","b"]}"#).unwrap();
    let claims = SignedClaims(&members);
    assert_eq!(claims.text("jti"), Err(JwtError::WrongClaimType));
    assert_eq!(claims.text("sub"), Err(JwtError::MissingClaim));
    assert_eq!(claims.text("iss"), Err(JwtError::MissingClaim));
    assert_eq!(claims.text("absent"), Err(JwtError::MissingClaim));
    assert_eq!(claims.time("exp"), Err(JwtError::WrongClaimType));
    assert_eq!((claims.time("nbf"), claims.time("absent")), (Ok(Some(1)), Ok(None)));
    assert_eq!(claims.audiences(), Ok(vec!["a", "b"]));
    for (aud, error) in [
        ("[]", JwtError::WrongAudience),
        ("7", JwtError::WrongClaimType),
        ("[7]", JwtError::WrongClaimType),
        ("null", JwtError::MissingClaim),
    ] {
        let members = parse_object(format!(r#"{{"aud":{aud}}}"#).as_bytes()).unwrap();
        assert_eq!(SignedClaims(&members).audiences(), Err(error), "{aud}");
    }
}

/// Another implementation signs; ours verifies with the key as published.
#[test]
fn tokens_of_another_library_verify_and_a_changed_byte_does_not() {
    use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &aws_lc_rs::rand::SystemRandom::new()).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, document.as_ref()).unwrap();
    let point = pair.public_key().as_ref();
    let set = json!({"keys": [{"kty": "EC", "crv": "P-384", "kid": "k", "x": base64url::encode(&point[1..49]), "y": base64url::encode(&point[49..])}]});
    let keys = ClientKeySet::parse(set.to_string().as_bytes()).unwrap();
    let header = jsonwebtoken::Header { kid: Some("k".into()), ..jsonwebtoken::Header::new(jsonwebtoken::Algorithm::ES384) };
    let key = jsonwebtoken::EncodingKey::from_ec_der(document.as_ref());
    let token = jsonwebtoken::encode(&header, &json!({"sub": "backend"}), &key).unwrap();
    let verified =
        |token: &str| UnverifiedJwt::parse(token, &["JWT"])?.verify(&keys).map(|claims| claims.text("sub").unwrap().to_owned());
    assert_eq!(verified(&token), Ok("backend".to_owned()));
    for position in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[position] = if bytes[position] == b'A' { b'B' } else { b'A' };
        assert!(verified(&String::from_utf8(bytes).unwrap()).is_err(), "{position}");
    }
}

proptest! {
    #[test]
    fn arbitrary_text_is_refused_without_panic(text in "\\PC{0,200}", header in "\\PC{0,60}", claims in "\\PC{0,60}") {
        prop_assert!(UnverifiedJwt::parse(&text, &["JWT"]).is_err());
        prop_assert!(UnverifiedJwt::parse(&unsigned(&header, &claims), &["JWT"]).is_err());
    }

    #[test]
    fn arbitrary_key_sets_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), jwk in "\\PC{0,100}") {
        let _ = ClientKeySet::parse(&bytes);
        let _ = ClientKeySet::parse(format!("{{\"keys\":[{jwk}]}}").as_bytes());
    }
}
