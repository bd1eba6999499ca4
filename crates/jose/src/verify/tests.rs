//! Each rule of verification with a token that breaks only it.

use std::sync::OnceLock;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::keys::SigningKey;
use crate::sign::sign;

const NOW: i64 = 1_800_000_000;
const ISSUER: &str = "https://localhost:8443";
const AUDIENCE: &str = "https://localhost:8443/fhir";

struct Fixture {
    elliptic: SigningKey,
    rsa: SigningKey,
    keys: VerificationKeys,
}

fn fixture() -> &'static Fixture {
    static FIXTURE: OnceLock<Fixture> = OnceLock::new();
    FIXTURE.get_or_init(|| {
        let elliptic = SigningKey::generate(Algorithm::Es256).unwrap();
        let rsa = SigningKey::generate(Algorithm::Rs256).unwrap();
        let keys = VerificationKeys::of([&elliptic, &rsa]);
        Fixture { elliptic, rsa, keys }
    })
}

fn policy() -> VerifyPolicy<'static> {
    VerifyPolicy {
        keys: &fixture().keys,
        header_type: "at+jwt",
        issuer: ISSUER,
        audience: AUDIENCE,
        now: NOW,
        leeway_seconds: 0,
        maximum_age_seconds: None,
        required_claims: &["sub"],
    }
}

fn good_claims() -> Value {
    json!({"iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "exp": NOW + 300, "iat": NOW})
}

/// The good claims with one member set, or removed where the value is null.
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

/// A token over literal header and claims text, properly signed by the elliptic key.
fn signed_text(header: &str, claims: &str) -> String {
    let message = format!("{}.{}", base64url::encode(header), base64url::encode(claims));
    let signature = fixture().elliptic.sign_bytes(message.as_bytes()).unwrap();
    format!("{message}.{}", base64url::encode(signature))
}

fn with_header(header: Value) -> String {
    signed_text(&header.to_string(), &good_claims().to_string())
}

fn with_claims(claims: Value) -> String {
    sign(&fixture().elliptic, "at+jwt", &claims).unwrap()
}

fn refusal(token: &str) -> JwtError {
    verify(token, &policy()).unwrap_err()
}

#[test]
fn what_is_not_a_compact_jws_is_refused() {
    let good = with_claims(good_claims());
    let parts: Vec<&str> = good.split('.').collect();
    for token in [
        String::new(),
        "x".into(),
        "..".into(),
        "a.b".into(),
        format!("{good}."),
        format!(".{good}"),
        format!("{good}.x"),
        format!("{}={}", parts[0], &good[parts[0].len()..]),
        good.replacen('.', " .", 1),
    ] {
        assert_eq!(refusal(&token), JwtError::Malformed, "{token}");
    }
    assert_eq!(refusal(&signed_text("[]", "{}")), JwtError::Malformed);
    assert_eq!(refusal(&signed_text(&header_text(), "[]")), JwtError::Malformed);
    assert_eq!(refusal(&signed_text(&header_text(), "{} {}")), JwtError::Malformed);
}

fn header_text() -> String {
    json!({"alg": "ES256", "kid": fixture().elliptic.kid(), "typ": "at+jwt"}).to_string()
}

#[test]
fn oversized_tokens_are_refused_before_anything_is_decoded() {
    let token = with_claims(claims_with("note", "x".repeat(MAXIMUM_TOKEN_BYTES).into()));
    assert_eq!(refusal(&token), JwtError::TooLarge);
    assert_eq!(refusal(&"a".repeat(MAXIMUM_TOKEN_BYTES + 1)), JwtError::TooLarge);
}

#[test]
fn none_and_symmetric_and_unknown_algorithms_are_refused() {
    let kid = fixture().elliptic.kid();
    for algorithm in ["none", "None", "NONE", "", "HS256", "HS384", "HS512", "ES384", "PS256", "RS512", "EdDSA", "es256"] {
        let token = with_header(json!({"alg": algorithm, "kid": kid, "typ": "at+jwt"}));
        assert_eq!(refusal(&token), JwtError::AlgorithmRefused, "{algorithm}");
    }
    assert_eq!(refusal(&with_header(json!({"kid": kid, "typ": "at+jwt"}))), JwtError::AlgorithmRefused);
    assert_eq!(refusal(&with_header(json!({"alg": ["ES256"], "kid": kid, "typ": "at+jwt"}))), JwtError::AlgorithmRefused);
    let unsigned =
        format!("{}.{}.", base64url::encode(r#"{"alg":"none","typ":"at+jwt"}"#), base64url::encode(good_claims().to_string()));
    assert_eq!(refusal(&unsigned), JwtError::AlgorithmRefused);
}

#[test]
fn an_algorithm_that_is_not_the_keys_is_refused() {
    let confused = with_header(json!({"alg": "ES256", "kid": fixture().rsa.kid(), "typ": "at+jwt"}));
    assert_eq!(refusal(&confused), JwtError::AlgorithmMismatch);
    let confused = with_header(json!({"alg": "RS256", "kid": fixture().elliptic.kid(), "typ": "at+jwt"}));
    assert_eq!(refusal(&confused), JwtError::AlgorithmMismatch);
}

#[test]
fn critical_extensions_are_refused() {
    for critical in [json!(["exp"]), json!([]), json!("b64"), json!(null)] {
        let token = with_header(json!({"alg": "ES256", "kid": fixture().elliptic.kid(), "typ": "at+jwt", "crit": critical}));
        assert_eq!(refusal(&token), JwtError::CriticalExtension);
    }
}

#[test]
fn a_header_that_brings_its_own_key_is_refused() {
    for name in ["jwk", "jku", "x5u", "x5c"] {
        let mut header = json!({"alg": "ES256", "kid": fixture().elliptic.kid(), "typ": "at+jwt"});
        header.as_object_mut().unwrap().insert(name.into(), json!("https://evil.example/key"));
        assert_eq!(refusal(&with_header(header)), JwtError::EmbeddedKey, "{name}");
    }
}

#[test]
fn a_token_of_another_type_is_refused() {
    for typ in [json!("JWT"), json!("at+jwt2"), json!(""), json!(7), json!("text/at+jwt"), json!("application/"), Value::Null] {
        let token = with_header(json!({"alg": "ES256", "kid": fixture().elliptic.kid(), "typ": typ}));
        assert_eq!(refusal(&token), JwtError::WrongType, "{typ}");
    }
    assert_eq!(refusal(&with_header(json!({"alg": "ES256", "kid": fixture().elliptic.kid()}))), JwtError::WrongType);
    let id_token = sign(&fixture().elliptic, "JWT", &good_claims()).unwrap();
    assert_eq!(refusal(&id_token), JwtError::WrongType);
}

#[test]
fn the_type_may_be_written_as_a_media_type_in_any_case() {
    for typ in ["at+jwt", "AT+JWT", "application/at+jwt", "Application/AT+jwt"] {
        let token = with_header(json!({"alg": "ES256", "kid": fixture().elliptic.kid(), "typ": typ}));
        assert!(verify(&token, &policy()).is_ok(), "{typ}");
    }
}

#[test]
fn an_unknown_or_absent_key_id_is_refused() {
    let stranger = SigningKey::generate(Algorithm::Es256).unwrap();
    assert_eq!(refusal(&sign(&stranger, "at+jwt", &good_claims()).unwrap()), JwtError::UnknownKey);
    assert_eq!(refusal(&with_header(json!({"alg": "ES256", "typ": "at+jwt"}))), JwtError::UnknownKey);
    assert_eq!(refusal(&with_header(json!({"alg": "ES256", "typ": "at+jwt", "kid": ""}))), JwtError::UnknownKey);
}

#[test]
fn a_changed_byte_anywhere_is_refused() {
    let good = with_claims(good_claims());
    assert!(verify(&good, &policy()).is_ok());
    for position in 0..good.len() {
        let mut bytes = good.clone().into_bytes();
        bytes[position] = if bytes[position] == b'A' { b'B' } else { b'A' };
        assert!(verify(&String::from_utf8(bytes).unwrap(), &policy()).is_err(), "{position}");
    }
}

#[test]
fn a_signature_by_another_key_under_a_trusted_key_id_is_refused() {
    let stranger = SigningKey::generate(Algorithm::Es256).unwrap();
    let message = format!("{}.{}", base64url::encode(header_text()), base64url::encode(good_claims().to_string()));
    let forged = base64url::encode(stranger.sign_bytes(message.as_bytes()).unwrap());
    for signature in [forged, String::new(), base64url::encode([0; 64]), base64url::encode([0; 63])] {
        assert_eq!(refusal(&format!("{message}.{signature}")), JwtError::BadSignature);
    }
}

#[test]
fn repeated_members_in_header_or_claims_are_refused() {
    let kid = fixture().elliptic.kid();
    let header = format!(r#"{{"alg":"none","alg":"ES256","kid":"{kid}","typ":"at+jwt"}}"#);
    assert_eq!(refusal(&signed_text(&header, &good_claims().to_string())), JwtError::DuplicateMember);
    let claims = good_claims().to_string().replacen('{', r#"{"sub":"bob","#, 1);
    assert_eq!(refusal(&signed_text(&header_text(), &claims)), JwtError::DuplicateMember);
    let claims = good_claims().to_string().replacen('{', r#"{"x":{"a":1,"a":2},"#, 1);
    assert_eq!(refusal(&signed_text(&header_text(), &claims)), JwtError::DuplicateMember);
}

#[test]
fn missing_claims_are_refused() {
    for name in ["iss", "aud", "exp", "iat", "sub"] {
        assert_eq!(refusal(&with_claims(claims_with(name, Value::Null))), JwtError::MissingClaim, "{name}");
    }
    assert_eq!(refusal(&with_claims(claims_with("sub", "".into()))), JwtError::MissingClaim);
    let null = good_claims().to_string().replace("\"ann\"", "null");
    assert_eq!(refusal(&signed_text(&header_text(), &null)), JwtError::MissingClaim);
}

#[test]
fn times_that_are_not_plausible_numbers_are_refused() {
    for name in ["exp", "iat", "nbf"] {
        for value in [json!("1900000000"), json!(true), json!([NOW]), json!({}), json!(-1), json!(1e300), json!(u64::MAX)] {
            assert_eq!(refusal(&with_claims(claims_with(name, value.clone()))), JwtError::WrongClaimType, "{name} {value}");
        }
        let null = good_claims().to_string().replacen('{', r#"{"nbf":null,"#, 1);
        assert_eq!(refusal(&signed_text(&header_text(), &null)), JwtError::WrongClaimType);
    }
}

#[test]
fn issuer_and_audience_must_be_ours_byte_for_byte() {
    for issuer in ["https://localhost:8443/", "https://LOCALHOST:8443", "", "https://evil.example"] {
        assert_eq!(refusal(&with_claims(claims_with("iss", issuer.into()))), JwtError::WrongIssuer, "{issuer}");
    }
    assert_eq!(refusal(&with_claims(claims_with("iss", json!([ISSUER])))), JwtError::WrongClaimType);
    for audience in [json!("https://localhost:8443/fhir/"), json!(""), json!([]), json!(["https://a", "https://b"])] {
        assert_eq!(refusal(&with_claims(claims_with("aud", audience.clone()))), JwtError::WrongAudience, "{audience}");
    }
    for audience in [json!(7), json!({}), json!([AUDIENCE, 7]), json!([[AUDIENCE]])] {
        assert_eq!(refusal(&with_claims(claims_with("aud", audience.clone()))), JwtError::WrongClaimType, "{audience}");
    }
    assert!(verify(&with_claims(claims_with("aud", json!(["https://other", AUDIENCE]))), &policy()).is_ok());
}

#[test]
fn expired_premature_and_contradictory_tokens_are_refused() {
    let at = |now: i64, claims: Value| verify(&with_claims(claims), &VerifyPolicy { now, ..policy() }).map(|_| ());
    assert_eq!(at(NOW + 299, good_claims()), Ok(()));
    assert_eq!(at(NOW + 300, good_claims()), Err(JwtError::Expired));
    assert_eq!(at(i64::MAX, good_claims()), Err(JwtError::Expired));
    assert_eq!(at(NOW - 1, good_claims()), Err(JwtError::ImplausibleTimes));
    assert_eq!(at(NOW, claims_with("nbf", json!(NOW + 1))), Err(JwtError::NotYetValid));
    assert_eq!(at(NOW, claims_with("nbf", json!(NOW))), Ok(()));
    assert_eq!(at(NOW, claims_with("exp", json!(NOW))), Err(JwtError::Expired));
    let backwards = json!({"iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "exp": NOW + 10, "iat": NOW + 10});
    let tolerant = VerifyPolicy { leeway_seconds: 60, ..policy() };
    assert_eq!(verify(&with_claims(backwards), &tolerant).unwrap_err(), JwtError::ImplausibleTimes);
}

#[test]
fn a_past_token_passes_for_what_once_was_and_in_all_else_as_strictly() {
    let at = |now, claims| verify_past(&with_claims(claims), &VerifyPolicy { now, ..policy() });
    assert!(at(i64::MAX, good_claims()).is_ok() && at(NOW, good_claims()).is_ok());
    assert_eq!(at(NOW - 1000, good_claims()).unwrap_err(), JwtError::ImplausibleTimes, "issued in the future");
    assert_eq!(at(NOW + 1000, claims_with("iss", json!("https://other"))).unwrap_err(), JwtError::WrongIssuer);
    assert_eq!(at(NOW + 1000, claims_with("exp", json!("1"))).unwrap_err(), JwtError::WrongClaimType);
    let forged = with_claims(good_claims());
    let (before, after) = forged.split_at(forged.len() - 10);
    let other = if after.starts_with('A') { "B" } else { "A" };
    let forged = format!("{before}{other}{}", &after[1..]);
    assert_eq!(verify_past(&forged, &policy()).unwrap_err(), JwtError::BadSignature);
}

#[test]
fn a_fraction_of_a_second_is_a_number_and_is_cut_off() {
    let claims = verify(
        &with_claims(claims_with("exp", json!(NOW as f64 + 0.9))),
        &VerifyPolicy { now: NOW - 1, leeway_seconds: 5, ..policy() },
    );
    // exp becomes NOW, which is not after iat.
    assert_eq!(claims.unwrap_err(), JwtError::ImplausibleTimes);
    let claims = verify(&with_claims(claims_with("exp", json!(NOW as f64 + 9.9))), &policy()).unwrap();
    assert_eq!(claims.expires_at(), NOW + 9);
}

#[test]
fn clock_difference_is_tolerated_up_to_a_minute_and_no_more() {
    let at = |now: i64, leeway_seconds: i64| {
        verify(&with_claims(good_claims()), &VerifyPolicy { now, leeway_seconds, ..policy() }).map(|_| ())
    };
    assert_eq!(at(NOW + 309, 10), Ok(()));
    assert_eq!(at(NOW + 310, 10), Err(JwtError::Expired));
    assert_eq!(at(NOW + 359, 100_000), Ok(()));
    assert_eq!(at(NOW + 360, 100_000), Err(JwtError::Expired));
    assert_eq!(at(NOW - 60, 100_000), Ok(()));
    assert_eq!(at(NOW - 61, 100_000), Err(JwtError::ImplausibleTimes));
    assert_eq!(at(NOW + 299, -100), Ok(()));
}

#[test]
fn a_token_older_than_the_policy_allows_is_refused_though_not_expired() {
    let at = |now: i64| {
        verify(&with_claims(good_claims()), &VerifyPolicy { now, maximum_age_seconds: Some(100), ..policy() }).map(|_| ())
    };
    assert_eq!(at(NOW + 100), Ok(()));
    assert_eq!(at(NOW + 101), Err(JwtError::TooOld));
}

#[test]
fn both_algorithms_sign_and_verify_and_yield_the_claims() {
    for key in [&fixture().elliptic, &fixture().rsa] {
        let claims = verify(&sign(key, "at+jwt", &good_claims()).unwrap(), &policy()).unwrap();
        assert_eq!((claims.issued_at(), claims.expires_at(), claims.text("sub")), (NOW, NOW + 300, Some("ann")));
        assert_eq!(claims.value("exp"), Some(&json!(NOW + 300)));
        #[derive(serde::Deserialize)]
        struct Typed {
            sub: String,
        }
        assert_eq!(claims.into_typed::<Typed>().unwrap().sub, "ann");
    }
}

#[test]
fn claims_that_do_not_fit_the_callers_type_are_an_error() {
    let claims = verify(&with_claims(good_claims()), &policy()).unwrap();
    #[derive(Debug, serde::Deserialize)]
    struct Typed {
        #[expect(dead_code, reason = "only its absence matters")]
        scope: String,
    }
    assert_eq!(claims.into_typed::<Typed>().unwrap_err(), JwtError::WrongClaimType);
}

/// An independent library accepts what we sign, with the key as we publish it.
#[test]
fn our_tokens_and_published_keys_satisfy_another_implementation() {
    for key in [&fixture().elliptic, &fixture().rsa] {
        let token = sign(key, "JWT", &good_claims()).unwrap();
        let jwk: jsonwebtoken::jwk::Jwk = serde_json::from_value(key.public_jwk().to_json()).unwrap();
        let header = jsonwebtoken::decode_header(&token).unwrap();
        assert_eq!(header.kid.as_deref(), Some(key.kid()));
        let mut validation = jsonwebtoken::Validation::new(header.alg);
        validation.set_audience(&[AUDIENCE]);
        validation.set_issuer(&[ISSUER]);
        let decoding = jsonwebtoken::DecodingKey::from_jwk(&jwk).unwrap();
        let decoded = jsonwebtoken::decode::<Value>(&token, &decoding, &validation).unwrap();
        assert_eq!(decoded.claims["sub"], "ann");
    }
}

proptest! {
    #[test]
    fn arbitrary_text_is_refused_without_panic(text in "\\PC{0,200}") {
        prop_assert!(verify(&text, &policy()).is_err());
    }

    #[test]
    fn arbitrary_signed_headers_and_claims_never_panic(header in "\\PC{0,60}", claims in "\\PC{0,60}") {
        prop_assert!(verify(&signed_text(&header, &claims), &policy()).is_err());
        prop_assert!(verify(&signed_text(&header_text(), &claims), &policy()).is_err());
    }
}
