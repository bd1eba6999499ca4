//! Signing keys change while the server runs, and no client notices.

use portcullis_jose::{ClientKeySet, UnverifiedJwt};
use portcullis_oauth::key_ring::{PUBLICATION_SECONDS, PUBLISHED_FRESH_SECONDS, RETENTION_SECONDS};
use portcullis_server::admin::protocol::{RefusalKind, Request, Response};
use portcullis_server::admin::{Caller, KeySummary, Service};
use portcullis_store::Clock as _;
use portcullis_testkit::decode_base64url;
use portcullis_testkit::server::PASSWORD;
use portcullis_verifies::verifies;
use serde_json::Value;

use crate::fhir::World;

const SCOPE: &str = "openid launch/patient patient/Patient.r";

async fn answer(world: &World, request: Request) -> Response {
    Service::new(std::sync::Arc::clone(&world.server.server)).answer(&Caller::named("test"), request).await
}

async fn keys(world: &World, request: Request) -> Vec<KeySummary> {
    match answer(world, request).await {
        Response::Keys(keys) => keys,
        other => panic!("{other:?}"),
    }
}

async fn published(world: &World) -> Vec<String> {
    let jwks = world.server.client.get("/oauth/jwks").send().await;
    assert_eq!(jwks.header("cache-control"), format!("public, max-age={PUBLISHED_FRESH_SECONDS}"));
    let members = ["alg", "crv", "e", "kid", "kty", "n", "use", "x", "y"];
    let keys = jwks.json()["keys"].as_array().unwrap().clone();
    for key in &keys {
        assert!(key.as_object().unwrap().keys().all(|member| members.contains(&member.as_str())), "public members alone: {key}");
        assert!(key["kid"].is_string() && key["use"] == "sig" && key["alg"].is_string(), "{key}");
    }
    keys.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

/// Whether a client that knows nothing but the published keys finds an id_token genuine.
async fn is_genuine(world: &World, id_token: &Value) -> bool {
    let jwks = world.server.client.get("/oauth/jwks").send().await;
    let keys = ClientKeySet::parse(jwks.text().as_bytes()).unwrap();
    UnverifiedJwt::parse(id_token.as_str().unwrap(), &["JWT"]).unwrap().verify(&keys).is_ok()
}

fn kid(token: &Value) -> String {
    let header = token.as_str().unwrap().split('.').next().unwrap();
    serde_json::from_slice::<Value>(&decode_base64url(header)).unwrap()["kid"].as_str().unwrap().to_owned()
}

async fn reads(world: &World, token: &Value) -> u16 {
    world.server.client.get("/fhir/Patient/ann").bearer(token.as_str().unwrap()).send().await.status.as_u16()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_roll_over_while_clients_keep_what_they_fetched() {
    verifies!("OIDC-04");
    let world = World::start().await;
    let clock = &world.server.clock;
    let before = world.app.authorize(SCOPE, "ann", PASSWORD).await;
    assert_eq!(published(&world).await.len(), 2);
    assert_eq!(keys(&world, Request::RotateKeys { now: false }).await.len(), 4);
    // A copy that was fetched a moment before the rotation is stale when the new keys begin to sign; one of now has them already.
    let copy = published(&world).await;
    assert_eq!(copy.len(), 4, "the next keys are published at once");
    let at_last = world.app.authorize(SCOPE, "ann", PASSWORD).await;
    assert_eq!(
        (kid(&at_last["access_token"]), kid(&at_last["id_token"])),
        (kid(&before["access_token"]), kid(&before["id_token"]))
    );
    clock.advance_seconds(PUBLICATION_SECONDS - 1);
    let last = world.app.authorize(SCOPE, "ann", PASSWORD).await;
    assert_eq!(kid(&last["access_token"]), kid(&before["access_token"]), "not before everybody can know the new key");
    clock.advance_seconds(1);
    let after = world.app.authorize(SCOPE, "ann", PASSWORD).await;
    for name in ["access_token", "id_token"] {
        assert_ne!(kid(&after[name]), kid(&before[name]), "{name}");
        assert!(copy.contains(&kid(&after[name])), "{name}: known to whoever fetched the keys before");
    }
    for (token, name) in [(&before, "before"), (&last, "last"), (&after, "after")] {
        assert_eq!(reads(&world, &token["access_token"]).await, 200, "{name}");
    }
    // A verifier that met the tokens before still finds their keys, for as long as they live.
    clock.advance_seconds(RETENTION_SECONDS - 1);
    assert!(published(&world).await.contains(&kid(&last["id_token"])));
    assert!(is_genuine(&world, &last["id_token"]).await && is_genuine(&world, &after["id_token"]).await);
    clock.advance_seconds(1);
    let left = published(&world).await;
    assert_eq!(left.len(), 2);
    assert!(!left.contains(&kid(&before["access_token"])) && left.contains(&kid(&after["id_token"])));
    assert!(!is_genuine(&world, &last["id_token"]).await && is_genuine(&world, &after["id_token"]).await);
    assert_eq!(keys(&world, Request::ListKeys).await.len(), 2);
    let records = world.server.records();
    let told = |text: &str| records.iter().any(|record| record.detail.as_deref().is_some_and(|detail| detail.contains(text)));
    assert!(told("signing keys rotated; the new ones sign after their publication"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_key_signed_counts_no_more_once_the_key_is_gone_whatever_the_token_says_of_its_end() {
    let world = World::start().await;
    let token = world.app.authorize(SCOPE, "ann", PASSWORD).await["access_token"].clone();
    assert_eq!(reads(&world, &token).await, 200);
    let states = |keys: &[KeySummary]| keys.iter().map(|key| key.state.clone()).collect::<Vec<_>>();
    let after = keys(&world, Request::RotateKeys { now: true }).await;
    assert_eq!(states(&after), ["retired", "retired", "active", "active"]);
    assert_eq!(world.server.server.tokens.iter().count(), 0, "nothing that was verified before is taken as verified");
    assert_eq!(reads(&world, &token).await, 200, "signed before the rotation, and not yet expired");
    let later = world.app.authorize(SCOPE, "ann", PASSWORD).await["access_token"].clone();
    assert_ne!(kid(&later), kid(&token), "at once");
    // The ring of a time in which the first key is gone, while its token would still live: as after a clock was set.
    let now = world.server.clock.now_seconds();
    let ring = world.server.server.keys.at(now + RETENTION_SECONDS).ring().as_ref().clone();
    let gone = ring.rotate(portcullis_oauth::key_ring::Beginning::Now, now + RETENTION_SECONDS).unwrap();
    world.server.server.keys.replace(gone, now);
    world.server.server.tokens.invalidate_all();
    assert_eq!(reads(&world, &token).await, 401);
    assert_eq!(reads(&world, &later).await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_rotation_waits_for_the_first_or_hurries_it() {
    let world = World::start().await;
    keys(&world, Request::RotateKeys { now: false }).await;
    world.server.clock.advance_seconds(60);
    match answer(&world, Request::RotateKeys { now: false }).await {
        Response::Refused(refused) => {
            assert_eq!(refused.kind, RefusalKind::Conflict);
            let seconds = PUBLICATION_SECONDS - 60;
            let text = format!(
                "A new key is published and signs in {seconds} seconds. Wait for it, or make it sign at once with --now."
            );
            assert_eq!(refused.message, text);
        }
        other => panic!("{other:?}"),
    }
    let hurried = keys(&world, Request::RotateKeys { now: true }).await;
    assert_eq!(hurried.iter().filter(|key| key.state == "active").count(), 2);
    assert_eq!(hurried.len(), 4, "the waiting keys sign; there are no others");
}
