//! `/oauth/userinfo`: who signed in, told to whoever has a good token with `openid`, and to nobody else.

use http::Method;
use portcullis_audit::record::{Event, Outcome};
use portcullis_oauth::clients::KeySource;
use portcullis_store::Clock as _;
use portcullis_testkit::ClientKey;
use portcullis_testkit::dpop::ProofKey;
use portcullis_testkit::server::PASSWORD;
use portcullis_verifies::verifies;
use serde_json::{Value, json};

use crate::fhir::World;

const PATH: &str = "/oauth/userinfo";

fn claims(response: &Value) -> Value {
    let claims = response["id_token"].as_str().unwrap().split('.').nth(1).unwrap();
    serde_json::from_slice(&portcullis_testkit::decode_base64url(claims)).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_has_no_good_token_with_openid_is_told_nothing() {
    verifies!("OIDC-05", "OAUTH-10");
    let world = World::start().await;
    let client = &world.server.client;
    let nobody = client.get(PATH).send().await;
    assert_eq!((nobody.status.as_u16(), nobody.header("cache-control")), (401, "no-store"));
    assert!(nobody.header("www-authenticate").starts_with("Bearer") && !nobody.header("www-authenticate").contains("error="));
    let response = world.app.authorize("openid fhirUser launch/patient patient/*.rs", "ann", PASSWORD).await;
    let token = response["access_token"].as_str().unwrap();
    // Where others would keep it, it does not count.
    assert_eq!(client.get(&format!("{PATH}?access_token={token}")).send().await.status, 401);
    assert_eq!(client.post(PATH).form(&[("access_token", token)]).send().await.status, 401);
    for wrong in ["x.y.z", response["id_token"].as_str().unwrap()] {
        let reply = client.get(PATH).bearer(wrong).send().await;
        assert_eq!((reply.status.as_u16(), &reply.json()["error"]), (401, &json!("invalid_token")));
    }
    let key = ClientKey::generate("k", "ES384");
    let keys = KeySource::value(&key.jwks().to_string()).unwrap();
    let backend = world.server.add_backend("backend", "system/*.rs", key, keys).await;
    let of_client = backend.token(world.server.clock.now_seconds(), "1", "system/*.rs").await;
    let without = world.app.access_token("launch/patient patient/*.rs", "ann", PASSWORD).await;
    let named = world.app.access_token("fhirUser profile launch/patient patient/*.rs", "ann", PASSWORD).await;
    for (token, why) in [(&of_client, "a client"), (&without, "no openid"), (&named, "no openid")] {
        let reply = client.get(PATH).bearer(token).send().await;
        assert_eq!((reply.status.as_u16(), &reply.json()["error"]), (403, &json!("insufficient_scope")), "{why}");
        assert!(reply.header("www-authenticate").ends_with("error=\"insufficient_scope\", scope=\"openid\""), "{why}");
        assert!(reply.json().get("sub").is_none(), "{why}");
    }
    for method in [Method::PUT, Method::DELETE] {
        let reply = client.request(method, PATH).bearer(token).send().await;
        assert_eq!((reply.status.as_u16(), reply.header("allow")), (405, "GET, HEAD, POST"));
    }
    world.app.token_request_to("/oauth/revoke", &[("token", token)]).await;
    assert_eq!(client.get(PATH).bearer(token).send().await.status, 401, "revoked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_says_what_the_id_token_said_as_far_as_the_scopes_go() {
    verifies!("OIDC-05");
    let world = World::start().await;
    let client = &world.server.client;
    for (scope, username, members) in [
        ("openid launch/patient patient/Patient.r", "ann", &["sub"][..]),
        ("openid fhirUser", "who", &["fhirUser", "sub"]),
        ("openid profile", "who", &["name", "sub"]),
        ("openid fhirUser profile", "ann", &["fhirUser", "name", "sub"]),
        ("openid fhirUser", "audit", &["sub"]),
    ] {
        let response = world.app.authorize(scope, username, PASSWORD).await;
        let token = response["access_token"].as_str().unwrap();
        let told = claims(&response);
        for method in [Method::GET, Method::POST] {
            let reply = client.request(method, PATH).bearer(token).header("origin", "https://127.0.0.1:9").send().await;
            assert_eq!(reply.status, 200, "{scope}: {}", reply.text());
            assert_eq!((reply.header("cache-control"), reply.header("pragma")), ("no-store", "no-cache"));
            assert!(reply.header("content-type").starts_with("application/json"));
            assert_eq!(reply.header("access-control-allow-origin"), "https://127.0.0.1:9");
            let body = reply.json();
            let mut names: Vec<&str> = body.as_object().unwrap().keys().map(String::as_str).collect();
            names.sort_unstable();
            assert_eq!(names, members, "{scope}");
            for name in members {
                assert_eq!(body[name], told[name], "{scope} {name}");
            }
            let stranger = client.get(PATH).bearer(token).header("origin", "https://evil.example").send().await;
            assert_eq!(stranger.header("access-control-allow-origin"), "");
        }
    }
    let document = client.get("/.well-known/openid-configuration").send().await.json();
    assert_eq!(document["userinfo_endpoint"], format!("{}{PATH}", world.server.server.settings.public_url));
    let records = world.server.records();
    let of = |outcome| {
        records.iter().filter(|record| record.event == Event::UserInfo && record.outcome == outcome).collect::<Vec<_>>()
    };
    assert_eq!(of(Outcome::Success).len(), 20);
    assert!(
        of(Outcome::Success).iter().all(|record| record.agent.user.is_some() && record.agent.client.as_deref() == Some("app"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_is_bound_to_a_key_counts_with_its_proof_alone() {
    verifies!("OAUTH-36");
    let world = World::start().await;
    let client = &world.server.client;
    let key = ProofKey::generate("ES256");
    let issued = key.authorize(&world.server, &world.app, "openid fhirUser launch/patient patient/Patient.r", "ann").await;
    let token = issued["access_token"].as_str().unwrap();
    let send = async |proof: &str| {
        let request = client.get(PATH).header("authorization", &format!("DPoP {token}")).header("dpop", proof);
        request.send().await
    };
    assert_eq!(client.get(PATH).bearer(token).send().await.status, 401, "as a bearer token");
    let other = ProofKey::generate("ES256").proof(&world.server, "GET", PATH, Some(token));
    assert_eq!(send(&other).await.status, 401, "another key");
    let elsewhere = key.proof(&world.server, "GET", "/oauth/token", Some(token));
    assert_eq!(send(&elsewhere).await.status, 401, "a proof for another address");
    let proof = key.proof(&world.server, "GET", PATH, Some(token));
    let reply = send(&proof).await;
    assert_eq!((reply.status.as_u16(), &reply.json()["sub"]), (200, &claims(&issued)["sub"]), "{}", reply.text());
    assert_eq!(send(&proof).await.status, 401, "the same proof again");
}
