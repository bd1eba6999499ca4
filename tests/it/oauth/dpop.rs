//! DPoP at both servers (RFC 9449): what a thief of a token, a code or a refresh token meets, and each faulty proof with its exact error.

use portcullis_audit::record::{Event, Outcome};
use portcullis_store::Clock;
use portcullis_testkit::app::{basic, query_value};
use portcullis_testkit::client::Reply;
use portcullis_testkit::dpop::{ProofKey, code, redemption};
use portcullis_testkit::server::PASSWORD;
use portcullis_verifies::verifies;
use serde_json::{Value, json};

use crate::fhir::World;

const SCOPE: &str = "launch/patient offline_access patient/Patient.rs";
const ANN: &str = "/fhir/Patient/ann";
const CHALLENGE: &str = "DPoP realm=\"fhir\", algs=\"ES256 ES384 RS256\"";

/// Status, `error` and description of the token endpoint.
fn told(reply: &Reply) -> (u16, String, String) {
    let json = reply.json();
    let text = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
    (reply.status.as_u16(), text("error"), text("error_description"))
}

fn challenges(reply: &Reply) -> Vec<String> {
    reply.headers.get_all("www-authenticate").iter().map(|value| value.to_str().unwrap().to_owned()).collect()
}

fn faulty(claims: &Value, name: &str, value: Value) -> Value {
    let mut claims = claims.clone();
    match value {
        Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
        value => claims[name] = value,
    }
    claims
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bound_token_serves_the_holder_of_its_key_and_nobody_else() {
    verifies!("OAUTH-35", "OAUTH-36", "BP-07");
    let world = World::start().await;
    for algorithm in ["ES256", "ES384", "RS256"] {
        let key = ProofKey::generate(algorithm);
        let issued = key.authorize(&world.server, &world.app, SCOPE, "ann").await;
        assert_eq!(issued["token_type"], "DPoP");
        let token = issued["access_token"].as_str().unwrap();
        assert_eq!(key.get(&world.server, ANN, token).await.status, 200, "{algorithm}");

        // Stolen without the key, it is worth nothing: as a bearer token, or with a key of the thief's.
        let stolen = world.server.client.get(ANN).bearer(token).send().await;
        assert_eq!(stolen.status, 401);
        let bound = format!(
            "{CHALLENGE}, error=\"invalid_token\", error_description=\"The access token is bound to a key and needs a DPoP proof\""
        );
        assert_eq!(challenges(&stolen), [bound]);
        let thief = ProofKey::generate("ES256").get(&world.server, ANN, token).await;
        assert_eq!(thief.status, 401);
        assert!(challenges(&thief)[0].contains("error=\"invalid_token\""), "{:?}", challenges(&thief));
    }
    let key = ProofKey::generate("ES256");
    let plain = world.app.access_token(SCOPE, "ann", PASSWORD).await;
    let upgraded = key.get(&world.server, ANN, &plain).await;
    assert_eq!(upgraded.status, 401, "a bearer token does not become a bound one");
    assert!(upgraded.text().contains("bound to no key"), "{}", upgraded.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_faulty_proof_at_the_resource_server_has_its_error() {
    verifies!("OAUTH-36", "OAUTH-37");
    let world = World::start().await;
    let key = ProofKey::generate("ES256");
    let issued = key.authorize(&world.server, &world.app, SCOPE, "ann").await;
    let token = issued["access_token"].as_str().unwrap();
    let now = world.server.clock.now_seconds();
    let good = key.claims(&world.server, "GET", ANN, Some(token));
    let base = &world.server.server.settings.public_url;
    for (name, value, code, described) in [
        ("jti", Value::Null, "invalid_dpop_proof", "DPoP: jti, htm, htu and iat are required"),
        ("htm", json!("POST"), "invalid_dpop_proof", "DPoP: htm must be the method of the request"),
        (
            "htu",
            json!(format!("{base}/fhir/Patient/bob")),
            "invalid_dpop_proof",
            "DPoP: htu must be the URL of the request without query and fragment",
        ),
        ("ath", Value::Null, "invalid_dpop_proof", "DPoP: ath must be the SHA-256 of the access token"),
        ("ath", json!("x"), "invalid_dpop_proof", "DPoP: ath must be the SHA-256 of the access token"),
        ("iat", json!(now - 301), "invalid_dpop_proof", "DPoP: iat is too old"),
        ("iat", json!(now + 61), "invalid_dpop_proof", "DPoP: iat lies in the future"),
        ("nonce", Value::Null, "use_dpop_nonce", "DPoP: nonce must be the one of the DPoP-Nonce header"),
        ("nonce", json!("another"), "use_dpop_nonce", "DPoP: nonce must be the one of the DPoP-Nonce header"),
    ] {
        let reply = key.get_with(&key.sign(&faulty(&good, name, value)), &world.server, ANN, token).await;
        let expected = format!("{CHALLENGE}, error=\"{code}\", error_description=\"{described}\"");
        assert_eq!((reply.status.as_u16(), challenges(&reply)), (401, vec![expected]), "{name}");
        assert_eq!(reply.header("dpop-nonce"), good["nonce"].as_str().unwrap(), "{name}");
        assert!(reply.text().contains(described), "{}", reply.text());
    }
    let request = || world.server.client.get(ANN).header("authorization", &format!("DPoP {token}"));
    let missing = request().send().await;
    assert!(challenges(&missing)[0].contains("invalid_dpop_proof") && missing.text().contains("a proof is required"));
    let proofs = [key.proof(&world.server, "GET", ANN, Some(token)), key.proof(&world.server, "GET", ANN, Some(token))];
    let two = request().header("dpop", &proofs[0]).header("dpop", &proofs[1]).send().await;
    assert!(two.text().contains("the header must stand once"), "{}", two.text());
    assert_eq!(
        world.server.client.get(ANN).send().await.headers.get_all("www-authenticate").iter().count(),
        2,
        "both schemes are told"
    );
    // A query is no part of htu, and the good proof still counts after all of this.
    let proof = key.sign(&good);
    assert_eq!(key.get_with(&proof, &world.server, &format!("{ANN}?_format=json"), token).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proof_counts_once_at_the_resource_server_and_its_nonce_for_a_while() {
    verifies!("OAUTH-37");
    let world = World::start().await;
    let key = ProofKey::generate("ES256");
    let issued = key.authorize(&world.server, &world.app, SCOPE, "ann").await;
    let token = issued["access_token"].as_str().unwrap();
    let proof = key.proof(&world.server, "GET", ANN, Some(token));
    assert_eq!(key.get_with(&proof, &world.server, ANN, token).await.status, 200);
    let replayed = key.get_with(&proof, &world.server, ANN, token).await;
    assert_eq!(replayed.status, 401);
    assert_eq!(
        challenges(&replayed),
        [format!("{CHALLENGE}, error=\"invalid_dpop_proof\", error_description=\"DPoP: jti was used before\"")]
    );
    // A body that arrives makes the server look twice; the proof counts once all the same.
    let body = portcullis_testkit::resources::observation("x", "ann", "4548-4", "5.60", "2026-01-01");
    let path = "/fhir/Observation";
    let written = world.server.client.post(path).header("authorization", &format!("DPoP {token}"));
    let proof = key.proof(&world.server, "POST", path, Some(token));
    let written = written.header("dpop", &proof).fhir(body.into_bytes()).send().await;
    assert_eq!(written.status, 403, "authenticated, and without the scope: {}", written.text());
    assert!(challenges(&written)[0].starts_with("DPoP "), "{:?}", challenges(&written));

    let old = key.claims(&world.server, "GET", ANN, Some(token));
    world.server.clock.advance_seconds(601);
    let fresh = faulty(&old, "iat", json!(world.server.clock.now_seconds()));
    let stale = key.get_with(&key.sign(&fresh), &world.server, ANN, token).await;
    assert!(challenges(&stale)[0].contains("error=\"use_dpop_nonce\""), "{:?}", challenges(&stale));
    let renewed = faulty(&fresh, "nonce", json!(stale.header("dpop-nonce")));
    assert_eq!(key.get_with(&key.sign(&renewed), &world.server, ANN, token).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_faulty_proof_at_the_token_endpoint_has_its_error_and_spends_no_code() {
    verifies!("OAUTH-39");
    let world = World::start().await;
    let key = ProofKey::generate("ES256");
    let code = code(&world.app, SCOPE, "ann", &[]).await;
    let fields = redemption(&world.app, &code);
    let good = key.claims(&world.server, "POST", "/oauth/token", None);
    let base = &world.server.server.settings.public_url;
    for (name, value, error, described) in [
        ("htm", json!("GET"), "invalid_dpop_proof", "DPoP: htm must be the method of the request"),
        (
            "htu",
            json!(format!("{base}/oauth/par")),
            "invalid_dpop_proof",
            "DPoP: htu must be the URL of the request without query and fragment",
        ),
        ("jti", json!("x".repeat(256)), "invalid_dpop_proof", "DPoP: jti may have at most 255 bytes"),
        ("iat", json!("now"), "invalid_dpop_proof", "DPoP: a claim has the wrong JSON type"),
        ("nonce", Value::Null, "use_dpop_nonce", "DPoP: nonce must be the one of the DPoP-Nonce header"),
    ] {
        let reply = key.token_request_with(&key.sign(&faulty(&good, name, value)), &world.app, &fields).await;
        assert_eq!(told(&reply), (400, error.to_owned(), described.to_owned()));
        assert_eq!(reply.header("dpop-nonce"), good["nonce"].as_str().unwrap());
    }
    let (_, rest) = key.sign(&good).split_once('.').map(|(header, rest)| (header.to_owned(), rest.to_owned())).unwrap();
    let jwk = json!({"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0", "d": "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"});
    for (algorithm, described) in [
        ("ES256", "DPoP: jwk must not hold a private key"),
        ("HS256", "DPoP: alg must be ES256, ES384 or RS256"),
        ("none", "DPoP: alg must be ES256, ES384 or RS256"),
    ] {
        let header = json!({"typ": "dpop+jwt", "alg": algorithm, "jwk": jwk}).to_string();
        let proof = format!("{}.{rest}", portcullis_jose::base64url::encode(header));
        let reply = key.token_request_with(&proof, &world.app, &fields).await;
        assert_eq!(told(&reply), (400, "invalid_dpop_proof".to_owned(), described.to_owned()));
    }
    let garbage = key.token_request_with("x", &world.app, &fields).await;
    assert_eq!(told(&garbage).2, "DPoP: the proof is not a compact JWS");
    let issued = key.token_request_with(&key.sign(&good), &world.app, &fields).await;
    assert_eq!(issued.status, 200, "{}", issued.text());
    let refresh = issued.json()["refresh_token"].as_str().unwrap().to_owned();
    let refreshing = [("grant_type", "refresh_token"), ("refresh_token", refresh.as_str())];
    let replayed = key.token_request_with(&key.sign(&good), &world.app, &refreshing).await;
    assert_eq!(told(&replayed), (400, "invalid_dpop_proof".to_owned(), "DPoP: jti was used before".to_owned()));
    assert_eq!(key.token_request(&world.server, &world.app, &refreshing).await.status, 200, "the replay rotated nothing");
    let denied =
        world.server.records().into_iter().filter(|record| record.event == Event::Token && record.outcome == Outcome::Denied);
    assert!(denied.count() >= 7, "each refusal is recorded");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_token_of_a_public_client_is_bound_to_the_key_and_its_theft_ends_nothing() {
    verifies!("OAUTH-38");
    let world = World::start().await;
    let (key, thief) = (ProofKey::generate("ES256"), ProofKey::generate("ES256"));
    let issued = key.authorize(&world.server, &world.app, SCOPE, "ann").await;
    let refresh = issued["refresh_token"].as_str().unwrap();
    let fields = [("grant_type", "refresh_token"), ("refresh_token", refresh)];
    let invalid = "the refresh token is expired, used, revoked, or was issued to another client";
    for stolen in [thief.token_request(&world.server, &world.app, &fields).await, world.app.token_request(&fields).await] {
        assert_eq!(told(&stolen), (400, "invalid_grant".to_owned(), invalid.to_owned()));
    }
    let next = key.token_request(&world.server, &world.app, &fields).await;
    assert_eq!((next.status.as_u16(), next.json()["token_type"].as_str()), (200, Some("DPoP")), "{}", next.text());
    let again = [("grant_type", "refresh_token"), ("refresh_token", next.json()["refresh_token"].as_str().unwrap())]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let again: Vec<(&str, &str)> = again.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(
        told(&thief.token_request(&world.server, &world.app, &again).await).1,
        "invalid_grant",
        "the successor is bound, too"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_is_bound_by_dpop_jkt_and_by_the_proof_of_a_pushed_request() {
    let world = World::start().await;
    let (key, thief) = (ProofKey::generate("ES256"), ProofKey::generate("ES256"));
    let thumbprint = key.thumbprint();
    for (who, status) in [(&thief, 400), (&key, 200)] {
        let bound = code(&world.app, SCOPE, "ann", &[("dpop_jkt", &thumbprint)]).await;
        let reply = who.token_request(&world.server, &world.app, &redemption(&world.app, &bound)).await;
        assert_eq!(reply.status.as_u16(), status, "{}", reply.text());
    }
    let bound = code(&world.app, SCOPE, "ann", &[("dpop_jkt", &thumbprint)]).await;
    assert_eq!(told(&world.app.exchange(&bound).await).1, "invalid_grant", "no proof, no token");
    let query = format!("{}&dpop_jkt=short", world.app.authorization_query(SCOPE));
    let refused = world.server.client.get(&format!("/oauth/authorize?{query}")).send().await;
    assert!(refused.header("location").contains("error=invalid_request"), "{}", refused.header("location"));

    let pushing = world.app.authorization_query(SCOPE);
    let fields: Vec<(String, String)> = url::form_urlencoded::parse(pushing.as_bytes()).into_owned().collect();
    let push = async |key: &ProofKey, named: &str| {
        let mut fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        if !named.is_empty() {
            fields.push(("dpop_jkt", named));
        }
        let proof = key.proof(&world.server, "POST", "/oauth/par", None);
        world.server.client.post("/oauth/par").header("dpop", &proof).form(&fields).send().await
    };
    assert_eq!(told(&push(&thief, &thumbprint).await).2, "DPoP: the proof was made with another key than dpop_jkt");
    for (who, status) in [(&thief, 400), (&key, 200)] {
        let pushed = push(&key, "").await;
        assert_eq!(pushed.status, 201, "{}", pushed.text());
        let mut begun = url::form_urlencoded::Serializer::new(String::new());
        begun.extend_pairs([
            ("client_id", world.app.client_id.as_str()),
            ("request_uri", pushed.json()["request_uri"].as_str().unwrap()),
        ]);
        let sent_on = world.server.client.get(&format!("/oauth/authorize?{}", begun.finish())).send().await;
        let at = world.app.sign_in(sent_on.header("location").split_once('?').unwrap().1, "ann", PASSWORD).await;
        let back = world.app.consent(&at, &SCOPE.split(' ').collect::<Vec<_>>(), "allow").await;
        let bound = query_value(&back, "code").unwrap();
        let reply = who.token_request(&world.server, &world.app, &redemption(&world.app, &bound)).await;
        assert_eq!(reply.status.as_u16(), status, "the code is bound to the key that pushed: {}", reply.text());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_is_registered_for_dpop_gets_no_token_without_a_proof() {
    let world = World::start().await;
    let app = world.server.add_app_with("bound", SCOPE, |client| client.properties.dpop_bound_access_tokens = true).await;
    let code = code(&app, SCOPE, "ann", &[]).await;
    let refused = app.exchange(&code).await;
    assert_eq!(told(&refused), (400, "invalid_dpop_proof".to_owned(), "DPoP: a proof is required".to_owned()));
    let key = ProofKey::generate("ES384");
    let issued = key.token_request(&world.server, &app, &redemption(&app, &code)).await;
    assert_eq!((issued.status.as_u16(), issued.json()["token_type"].as_str()), (200, Some("DPoP")), "the code was not spent");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metadata_introspection_and_cors_know_of_proofs() {
    let world = World::start().await;
    for path in
        ["/fhir/.well-known/smart-configuration", "/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"]
    {
        let document = world.server.client.get(path).send().await.json();
        assert_eq!(document["dpop_signing_alg_values_supported"], json!(["ES256", "ES384", "RS256"]), "{path}");
    }
    let preflight = world.server.client.request(http::Method::OPTIONS, "/oauth/token");
    let preflight =
        preflight.header("origin", "https://127.0.0.1:9").header("access-control-request-method", "POST").send().await;
    assert!(preflight.header("access-control-allow-headers").contains("DPoP"), "{:?}", preflight.headers);
    assert!(preflight.header("access-control-expose-headers").contains("DPoP-Nonce"), "{:?}", preflight.headers);
    let key = ProofKey::generate("ES256");
    let issued = key.authorize(&world.server, &world.app, SCOPE, "ann").await;
    let claims = issued["access_token"].as_str().unwrap().split('.').nth(1).unwrap().to_owned();
    let claims: Value = serde_json::from_slice(&portcullis_jose::base64url::decode(&claims).unwrap()).unwrap();
    assert_eq!(claims["cnf"], json!({"jkt": key.thumbprint()}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_token_of_a_confidential_client_is_bound_to_the_client_and_to_no_key() {
    let world = World::start().await;
    let app = world.server.add_app("backoffice", SCOPE, true).await;
    let (first, second) = (ProofKey::generate("ES256"), ProofKey::generate("ES256"));
    let secret = app.secret.clone().unwrap();
    let ask = async |key: &ProofKey, fields: &[(&str, &str)]| {
        let proof = key.proof(&world.server, "POST", "/oauth/token", None);
        let request = world.server.client.post("/oauth/token").header("dpop", &proof);
        request.header("authorization", &basic(&app.client_id, &secret)).form(fields).send().await
    };
    let code = code(&app, SCOPE, "ann", &[]).await;
    let issued = ask(&first, &redemption(&app, &code)).await;
    assert_eq!((issued.status.as_u16(), issued.json()["token_type"].as_str()), (200, Some("DPoP")), "{}", issued.text());
    // "This is because confidential clients are authenticated" (RFC 9449 section 5): a new key is no theft.
    let refresh = issued.json()["refresh_token"].as_str().unwrap().to_owned();
    let next = ask(&second, &[("grant_type", "refresh_token"), ("refresh_token", &refresh)]).await;
    assert_eq!((next.status.as_u16(), next.json()["token_type"].as_str()), (200, Some("DPoP")), "{}", next.text());
    let token = next.json()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(second.get(&world.server, ANN, &token).await.status, 200);
    assert_eq!(first.get(&world.server, ANN, &token).await.status, 401, "the token is bound to the key that was shown for it");
    let refused = ask(&second, &[("grant_type", "refresh_token"), ("refresh_token", "unknown")]).await;
    assert_eq!(told(&refused).1, "invalid_grant");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proof_is_spent_with_a_refusal_too() {
    let world = World::start().await;
    let key = ProofKey::generate("ES256");
    let proof = key.proof(&world.server, "POST", "/oauth/token", None);
    let fields = [("grant_type", "refresh_token"), ("refresh_token", "unknown")];
    let first = key.token_request_with(&proof, &world.app, &fields).await;
    assert_eq!(told(&first).1, "invalid_grant");
    let again = key.token_request_with(&proof, &world.app, &fields).await;
    assert_eq!(told(&again).2, "DPoP: jti was used before");
}
