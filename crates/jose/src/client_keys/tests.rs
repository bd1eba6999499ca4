//! Which keys of a set count. The vectors were made with OpenSSL 3; the P-256 one is of RFC 7515 appendix A.3.

use serde_json::json;

use super::*;

const X: &str = "k62kYACgBd0avnfcRC63yDrVCnixcKAoG1vSd41lbKscD7XyudsaGbBCImBahQ-i";
const Y: &str = "OeSS887ZBUihMOXDuZcCOjwoRrsY98qulONz0q7NHMJr5DUtnlIhtdzyyCXutBKe";
const EC_MESSAGE: &str = "eyJhbGciOiJFUzM4NCIsImtpZCI6ImVjLTEiLCJ0eXAiOiJKV1QifQ.eyJpc3MiOiJiYWNrZW5kIiwic3ViIjoiYmFja2VuZCJ9";
const EC_SIGNATURE: &str = "MHKedFoVOqr06GXvBid0vvl2c1qvfJAPYlBKhVfpfETP9QBICpBeu_ghvv7YuzxhuRXM4ycyLFkrPRZyH8xGsVglecrLIzhLGIP72oT8Gh\
                            Q-UwvSVisCn19zECR3zMGh";
/// The same signature as OpenSSL wrote it, which JWS does not allow (RFC 7518 section 3.4).
const EC_SIGNATURE_DER: &str = "MGUCMDBynnRaFTqq9Ohl7wYndL75dnNar3yQD2JQSoVX6XxEz_UASAqQXrv4Ib7-2Ls8YQIxALkVzOMnMixZKz0Wch_MRrFYJXnKyy\
                                M4SxiD-9qE_BoUPlML0lYrAp9fcxAkd8zBoQ";
const N: &str = "vEXwN5DanEqBTgOoUButAZVO14TawpMKlNRRtx39ml_5hXWfhmeyj3-Hq_EdJd3Vb4PYyMF8acHCeuYNEzSd5gqMJ76EGSGptleGhsS9hWSJwFHKWbT-1Rmi5kWv\
                 I2FomvFLqy7WVqrSGBwHfJURWbEP0E6F0yE_EdAgXdv8kvYyzas3In4f9yin1OSc3aFNFQubDqn-ScclgLMP7LO7MvJda2KnF-ErZJPAy4kcKvekUWwg2_kuD0bs\
                 7_eZUAZBH7FZJv6Jisyb8su8QJI7UfYiSxHdwiDmW71qsIwMO7Z8K9U9SAqgR-ECYMmMVCL-PzSDiZGkhUYHIlnoZsTLnQ";
const RSA_MESSAGE: &str = "eyJhbGciOiJSUzM4NCIsImtpZCI6InJzYS0xIiwidHlwIjoiSldUIn0.eyJpc3MiOiJiYWNrZW5kIiwic3ViIjoiYmFja2VuZCJ9";
const RSA_SIGNATURE: &str = "qlQO9KqdT1SWOS35s80YIdaprdvUlX4g3uligiY0ItIbxsPk5RAj1bK9SMh9M8EyRp5BQAQL1Eh5gReQ8Zuh8plbLAkuEMBCVJJEFcjVE5nz\
                             JzHERfgjIFBXPmRnmrxSCjiz0cDRU_CpDTecef2J-NI7zv1iWWn825jSgmLcsw4wegfbHOIFYerNRmJZfDvJHGv2YiIhEZeCcFNX4a_cQ52p\
                             AT5pSx5t6BkxUvhnkQj2uKkOdlOHzTZtZr0PeTEJ36DkoHDuo2p_MtB7bB6sSzp6QVracXthPX74Shkg2e0vciGkTnzQsFQT5ecpWRkD6n80\
                             BPvmxsNrMPXYcpRbfw";
const SHORT_N: &str = "nV_ZxlwKb6gikxa83Hf3ILmwg7tFw1rwyAd3H-uI08IcVmaY-qPUTiOPDmJw6avpiLwgz4IhyWNZ7KRtmqxQDGPtTbqVfqJo3_hfW7GpcXtK2jZpfHB9\
                       EJqcqDkwPpT0NOjqbTN_bR5OJnpChQhwKaS3AtY-YkEqelqsW4MjyO0";

fn elliptic() -> Value {
    json!({"kty": "EC", "crv": "P-384", "kid": "ec-1", "x": X, "y": Y})
}

fn rsa() -> Value {
    json!({"kty": "RSA", "kid": "rsa-1", "n": N, "e": "AQAB"})
}

fn with(mut jwk: Value, name: &str, value: Value) -> Value {
    jwk.as_object_mut().unwrap().insert(name.into(), value);
    jwk
}

fn without(mut jwk: Value, name: &str) -> Value {
    jwk.as_object_mut().unwrap().remove(name);
    jwk
}

fn set(keys: Vec<Value>) -> Result<ClientKeySet, KeySetError> {
    ClientKeySet::parse(json!({ "keys": keys }).to_string().as_bytes())
}

fn verify(set: &ClientKeySet, algorithm: ClientAlgorithm, kid: &str, message: &str, signature: &str) -> Result<(), JwtError> {
    set.verify(algorithm, kid, message.as_bytes(), &base64url::decode(signature).unwrap())
}

#[test]
fn what_is_not_a_set_of_keys_is_refused() {
    for text in [
        "",
        "[]",
        "{}",
        "null",
        r#"{"keys":{}}"#,
        r#"{"keys":[1]}"#,
        r#"{"keys":[[]]}"#,
        r#"{"keys":[],"keys":[]}"#,
        "{\"keys\":[]} x",
    ] {
        assert_eq!(ClientKeySet::parse(text.as_bytes()).unwrap_err(), KeySetError::Malformed, "{text}");
    }
    let twice = elliptic().to_string().replacen('{', r#"{"kid":"other","#, 1);
    let text = format!(r#"{{"keys":[{twice}]}}"#);
    assert_eq!(ClientKeySet::parse(text.as_bytes()).unwrap_err(), KeySetError::Malformed);
    assert_eq!(ClientKeySet::parse(&vec![b' '; MAXIMUM_SET_BYTES + 1]).unwrap_err(), KeySetError::TooLarge);
    assert_eq!(set(vec![json!({}); MAXIMUM_KEYS + 1]).unwrap_err(), KeySetError::TooLarge);
}

#[test]
fn a_set_with_a_private_or_symmetric_key_is_refused_whole() {
    for secret in [
        with(elliptic(), "d", json!("AQ")),
        with(rsa(), "p", json!("AQ")),
        json!({"kty": "oct", "kid": "shared", "k": "c2VjcmV0"}),
    ] {
        assert_eq!(set(vec![rsa(), secret.clone()]).unwrap_err(), KeySetError::Secret, "{secret}");
    }
}

#[test]
fn keys_that_are_not_for_signatures_of_ours_are_skipped() {
    for jwk in [
        without(elliptic(), "kid"),
        with(elliptic(), "kid", json!("")),
        with(elliptic(), "kid", json!(7)),
        with(elliptic(), "kid", json!("k".repeat(MAXIMUM_KID_BYTES + 1))),
        with(elliptic(), "use", json!("enc")),
        with(elliptic(), "use", json!(["sig"])),
        with(elliptic(), "key_ops", json!(["sign"])),
        with(elliptic(), "key_ops", json!("verify")),
        with(elliptic(), "alg", json!("ES256")),
        with(elliptic(), "alg", json!("ECDH-ES")),
        with(elliptic(), "alg", json!(null)),
        with(elliptic(), "crv", json!("P-256")),
        with(elliptic(), "crv", json!("P-521")),
        without(elliptic(), "crv"),
        without(elliptic(), "y"),
        with(elliptic(), "y", json!(X)),
        with(elliptic(), "x", json!(format!("{X}="))),
        with(rsa(), "n", json!(SHORT_N)),
        with(rsa(), "n", json!("")),
        with(rsa(), "e", json!("AA")),
        with(rsa(), "alg", json!("HS256")),
        with(rsa(), "alg", json!("PS384")),
        with(rsa(), "crv", json!("P-384")),
        json!({"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}),
        json!({}),
    ] {
        assert_eq!(set(vec![jwk.clone()]).unwrap_err(), KeySetError::NoUsableKey, "{jwk}");
        assert!(set(vec![jwk, rsa()]).is_ok());
    }
}

#[test]
fn exactly_one_key_must_fit() {
    let keys = set(vec![elliptic(), rsa(), with(rsa(), "kid", json!("twin")), with(elliptic(), "kid", json!("twin"))]).unwrap();
    let es384 = |kid: &str| verify(&keys, ClientAlgorithm::Es384, kid, EC_MESSAGE, EC_SIGNATURE);
    assert_eq!(es384("ec-1"), Ok(()));
    // The same kid for keys of two types is one key for each algorithm.
    assert_eq!(es384("twin"), Ok(()));
    assert_eq!(es384("EC-1"), Err(JwtError::UnknownKey));
    assert_eq!(es384("rsa-1"), Err(JwtError::AlgorithmMismatch));
    let doubled = set(vec![elliptic(), elliptic()]).unwrap();
    assert_eq!(verify(&doubled, ClientAlgorithm::Es384, "ec-1", EC_MESSAGE, EC_SIGNATURE), Err(JwtError::AmbiguousKey));
}

#[test]
fn signatures_by_openssl_verify_and_damaged_ones_do_not() {
    let keys =
        set(vec![with(with(elliptic(), "use", json!("sig")), "alg", json!("ES384")), with(rsa(), "key_ops", json!(["verify"]))])
            .unwrap();
    assert_eq!(verify(&keys, ClientAlgorithm::Es384, "ec-1", EC_MESSAGE, EC_SIGNATURE), Ok(()));
    assert_eq!(verify(&keys, ClientAlgorithm::Rs384, "rsa-1", RSA_MESSAGE, RSA_SIGNATURE), Ok(()));
    let bad = Err(JwtError::BadSignature);
    assert_eq!(verify(&keys, ClientAlgorithm::Es384, "ec-1", EC_MESSAGE, EC_SIGNATURE_DER), bad);
    assert_eq!(verify(&keys, ClientAlgorithm::Es384, "ec-1", RSA_MESSAGE, EC_SIGNATURE), bad);
    assert_eq!(verify(&keys, ClientAlgorithm::Rs256, "rsa-1", RSA_MESSAGE, RSA_SIGNATURE), bad);
    for signature in ["", "AAAA", &base64url::encode([0; 96]), &base64url::encode([0; 256])] {
        assert_eq!(verify(&keys, ClientAlgorithm::Es384, "ec-1", EC_MESSAGE, signature), bad);
        assert_eq!(verify(&keys, ClientAlgorithm::Rs384, "rsa-1", RSA_MESSAGE, signature), bad);
    }
}

#[test]
fn a_restricted_rsa_key_verifies_its_one_algorithm() {
    let keys = set(vec![with(rsa(), "alg", json!("RS256"))]).unwrap();
    assert_eq!(verify(&keys, ClientAlgorithm::Rs384, "rsa-1", RSA_MESSAGE, RSA_SIGNATURE), Err(JwtError::AlgorithmMismatch));
}

#[test]
fn the_example_of_rfc_7515_appendix_a_3_verifies() {
    let jwk = json!({"kty": "EC", "crv": "P-256", "kid": "a3", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
                     "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"});
    let message =
        "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let signature = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    assert_eq!(verify(&set(vec![jwk]).unwrap(), ClientAlgorithm::Es256, "a3", message, signature), Ok(()));
}

#[test]
fn algorithms_read_back_by_their_exact_name() {
    for algorithm in ClientAlgorithm::ALL {
        assert_eq!(ClientAlgorithm::parse(algorithm.name()), Some(algorithm));
    }
    for name in ["none", "HS256", "HS384", "PS384", "ES512", "EdDSA", "es384", ""] {
        assert_eq!(ClientAlgorithm::parse(name), None, "{name}");
    }
}
