//! The `DPoP` header where it is no proof at all, or one whose header says what it must not: at the token endpoint, UserInfo and the FHIR server.

use portcullis_jose::base64url;
use portcullis_testkit::Reply;
use portcullis_testkit::dpop::{ProofKey, code, redemption};
use portcullis_verifies::verifies;
use serde_json::{Value, json};

use crate::fhir::World;

const SCOPE: &str = "openid launch/patient patient/*.rs";
const COMPACT: &str = "the proof is not a compact JWS";
const ALGORITHM: &str = "alg must be ES256, ES384 or RS256";
const KEY: &str = "jwk must be a public RSA key of 2048 bits or more, or one of P-256 or P-384";
const TYPE: &str = "typ must be dpop+jwt";

/// The header of a proof with a member that is another; null: without it.
fn spoilt(proof: &str, name: &str, value: &Value) -> String {
    let (header, rest) = proof.split_once('.').unwrap();
    let mut header: Value = serde_json::from_slice(&portcullis_testkit::decode_base64url(header)).unwrap();
    header[name] = value.clone();
    if value.is_null() {
        header.as_object_mut().unwrap().remove(name);
    }
    format!("{}.{rest}", base64url::encode(header.to_string()))
}

/// Headers that are no proof, with what is told of each after `DPoP: `.
fn faults(good: &str) -> Vec<(String, &'static str)> {
    let (header, rest) = good.split_once('.').unwrap();
    let twice = String::from_utf8(portcullis_testkit::decode_base64url(header)).unwrap().replacen('{', "{\"alg\":\"ES256\",", 1);
    let (message, signature) = good.rsplit_once('.').unwrap();
    let other = if signature.starts_with('A') { "B" } else { "A" };
    let mut faults: Vec<(String, &str)> = [
        ("", COMPACT),
        ("x", COMPACT),
        ("a.b", COMPACT),
        ("a.b.c", COMPACT),
        ("..", COMPACT),
        (message, COMPACT),
        (&format!("{good}.x"), COMPACT),
        (&format!("{good}="), COMPACT),
        (&format!("{good}, {good}"), COMPACT),
        (&format!("{message}."), "the signature is wrong"),
        (&format!("{message}.{other}{}", &signature[1..]), "the signature is wrong"),
        (&format!("{}.{rest}", base64url::encode(twice)), "a member occurs twice"),
        (&format!("{good}{}", "x".repeat(8192)), "the proof is too long"),
    ]
    .map(|(proof, told)| (proof.to_owned(), told))
    .to_vec();
    for (name, value, told) in [
        ("typ", json!("JWT"), TYPE),
        ("typ", Value::Null, TYPE),
        ("typ", json!(7), TYPE),
        ("alg", json!("none"), ALGORITHM),
        ("alg", json!("HS256"), ALGORITHM),
        ("alg", Value::Null, ALGORITHM),
        ("alg", json!("RS256"), "alg does not fit the jwk"),
        ("jwk", Value::Null, KEY),
        ("jwk", json!("x"), KEY),
        ("jwk", json!({"kty": "oct", "kid": "x"}), KEY),
        ("jwk", json!({"kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA"}), KEY),
        ("jwk", json!({"kty": "oct", "k": "AAAA"}), "jwk must not hold a private key"),
        ("crit", json!(["exp"]), "crit is not supported"),
        ("jku", json!("https://keys.example/"), "the header must not lead to another key"),
        ("x5c", json!(["AAAA"]), "the header must not lead to another key"),
    ] {
        faults.push((spoilt(good, name, &value), told));
    }
    faults
}

fn told(reply: &Reply) -> String {
    let challenge = reply.header("www-authenticate").to_owned();
    match reply.json()["error_description"].as_str() {
        Some(described) => described.to_owned(),
        None => challenge.split("error_description=\"").nth(1).unwrap_or_default().trim_end_matches('"').to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_proof_has_its_error_wherever_proofs_are_read() {
    verifies!("OAUTH-36", "OAUTH-39");
    let world = World::start().await;
    let key = ProofKey::generate("ES256");
    let issued = key.authorize(&world.server, &world.app, SCOPE, "ann").await;
    let token = issued["access_token"].as_str().unwrap();
    let code = code(&world.app, SCOPE, "ann", &[]).await;
    let fields = redemption(&world.app, &code);
    let mut problems = Vec::new();
    for path in ["/oauth/token", "/oauth/userinfo", "/fhir/Patient/ann"] {
        let (method, bound) = if path == "/oauth/token" { ("POST", None) } else { ("GET", Some(token)) };
        let good = key.proof(&world.server, method, path, bound);
        let send = async |proof: &str| match bound {
            None => key.token_request_with(proof, &world.app, &fields).await,
            Some(token) => key.get_with(proof, &world.server, path, token).await,
        };
        for (proof, expected) in faults(&good) {
            world.server.clock.advance_seconds(1);
            let reply = send(&proof).await;
            let status = if bound.is_none() { 400 } else { 401 };
            let text = format!("DPoP: {expected}");
            if reply.status != status
                || !reply.text().contains("invalid_dpop_proof") && bound.is_none()
                || !told(&reply).starts_with(&text)
            {
                problems.push(format!("{path} {proof:.60}: expected {status} {text}, got {} {}", reply.status, told(&reply)));
            }
        }
        let reply = send(&good).await;
        assert_eq!(reply.status, 200, "{path}: the right one works, and no code was spent: {}", reply.text());
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
