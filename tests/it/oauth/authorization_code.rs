//! The authorization code flow with PKCE, through the real pages.

use portcullis_testkit::app::{VERIFIER, query_value};
use portcullis_testkit::server::PASSWORD;
use portcullis_verifies::verifies;

use crate::fhir::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_gets_tokens_with_context_and_the_scopes_as_it_asked_for_them() {
    verifies!("SMART-24", "SMART-26", "SMART-27", "SMART-46", "SMART-29", "SMART-36", "SEED-CARIN-14");
    let world = World::start().await;
    let scope = "openid fhirUser launch/patient offline_access patient/*.read";
    let response = world.app.authorize(scope, "ann", PASSWORD).await;
    assert_eq!(response["scope"], scope);
    assert_eq!(response["patient"], "ann");
    assert_eq!(response["token_type"], "Bearer");
    assert_eq!(response["expires_in"], 3600);
    assert!(response["refresh_token"].is_string() && response["id_token"].is_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unticked_scope_is_not_granted() {
    verifies!("SEED-SKIN-13", "USCORE-11");
    let world = World::start().await;
    let query = world.app.authorization_query("launch/patient patient/Observation.rs patient/Patient.r");
    let at = world.app.sign_in(&query, "ann", PASSWORD).await;
    let back = world.app.consent(&at, &["patient/Patient.r"], "allow").await;
    let code = query_value(&back, "code").unwrap();
    let token = world.app.exchange(&code).await.json();
    assert_eq!(token["scope"], "launch/patient patient/Patient.r");
    let reply = world.server.client.get("/fhir/Observation").bearer(token["access_token"].as_str().unwrap()).send().await;
    assert_eq!(reply.status, 403, "{}", reply.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_consent_goes_back_to_the_app_with_state_and_issuer() {
    verifies!("SMART-24");
    let world = World::start().await;
    let query = world.app.authorization_query("launch/patient patient/Observation.rs");
    let at = world.app.sign_in(&query, "ann", PASSWORD).await;
    let back = world.app.consent(&at, &[], "deny").await;
    assert_eq!(query_value(&back, "error").as_deref(), Some("access_denied"));
    assert_eq!(query_value(&back, "state").as_deref(), Some("state-of-at-least-122-bits"));
    assert_eq!(query_value(&back, "iss"), Some(world.server.server.settings.public_url.clone()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_cannot_be_redeemed_twice_and_the_replay_ends_its_tokens() {
    verifies!("OAUTH-05", "SMART-25");
    let world = World::start().await;
    let query = world.app.authorization_query("launch/patient patient/Patient.r");
    let at = world.app.sign_in(&query, "ann", PASSWORD).await;
    let code = query_value(&world.app.consent(&at, &["patient/Patient.r"], "allow").await, "code").unwrap();
    let token = world.app.exchange(&code).await.json()["access_token"].as_str().unwrap().to_owned();
    let read = || async { world.server.client.get("/fhir/Patient/ann").bearer(&token).send().await.status };
    assert_eq!(read().await, 200);
    let replay = world.app.exchange(&code).await;
    assert_eq!((replay.status.as_u16(), replay.json()["error"].as_str()), (400, Some("invalid_grant")));
    assert_eq!(read().await, 401, "the replay revokes the grant for the very next request");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_expires_after_a_minute() {
    portcullis_verifies::verifies!("SMART-25");
    let world = World::start().await;
    let query = world.app.authorization_query("launch/patient patient/Patient.r");
    let at = world.app.sign_in(&query, "ann", PASSWORD).await;
    let code = query_value(&world.app.consent(&at, &["patient/Patient.r"], "allow").await, "code").unwrap();
    world.server.clock.advance_seconds(60);
    assert_eq!(world.app.exchange(&code).await.json()["error"], "invalid_grant");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refresh_rotates_and_a_reused_token_ends_the_family() {
    verifies!("OAUTH-24", "SMART-32", "BP-06", "SEED-CARIN-18");
    let world = World::start().await;
    let first = world.app.authorize("launch/patient offline_access patient/Patient.r", "ann", PASSWORD).await;
    let old = first["refresh_token"].as_str().unwrap();
    let fields =
        |token: &str| [("grant_type".to_owned(), "refresh_token".to_owned()), ("refresh_token".to_owned(), token.to_owned())];
    let refresh = |token: String| {
        let (app, fields) = (world.app.clone(), fields(&token));
        async move {
            let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            app.token_request(&fields).await
        }
    };
    let second = refresh(old.to_owned()).await;
    assert_eq!(second.status, 200, "{}", second.text());
    let second = second.json();
    assert_ne!(second["refresh_token"], first["refresh_token"]);
    assert_eq!(refresh(old.to_owned()).await.json()["error"], "invalid_grant");
    let newest = second["refresh_token"].as_str().unwrap().to_owned();
    assert_eq!(refresh(newest).await.json()["error"], "invalid_grant", "the whole family has ended");
    let access = second["access_token"].as_str().unwrap();
    assert_eq!(world.server.client.get("/fhir/Patient/ann").bearer(access).send().await.status, 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_public_client_may_be_named_by_its_refresh_token_alone_and_no_other_client() {
    let world = World::start().await;
    let scope = "launch/patient offline_access patient/Patient.r";
    let client = &world.server.client;
    let refresh = |token: String| async move {
        client.post("/oauth/token").form(&[("grant_type", "refresh_token"), ("refresh_token", &token)]).send().await
    };
    let token = |answer: &serde_json::Value| answer["refresh_token"].as_str().unwrap().to_owned();
    let first = world.app.authorize(scope, "ann", PASSWORD).await;
    let second = refresh(token(&first)).await;
    assert_eq!((second.status.as_u16(), second.json()["patient"].as_str()), (200, Some("ann")), "{}", second.text());
    // A token that was used before ends the family here, too.
    assert_eq!(refresh(token(&first)).await.json()["error"], "invalid_grant");
    assert_eq!(refresh(token(&second.json())).await.json()["error"], "invalid_grant");
    // Who has a secret shows it.
    let confidential = world.server.add_app("confidential", scope, true).await;
    let stolen = token(&confidential.authorize(scope, "ann", PASSWORD).await);
    for lone in [stolen.clone(), "unknown".to_owned()] {
        let refused = refresh(lone).await;
        assert_eq!((refused.status.as_u16(), refused.json()["error"].as_str()), (401, Some("invalid_client")));
    }
    let fields = [("grant_type", "refresh_token"), ("refresh_token", stolen.as_str())];
    assert_eq!(confidential.token_request(&fields).await.status, 200, "the theft has ended nothing");
    // Nothing but a refresh does without a name.
    let lone_code = [
        ("grant_type", "authorization_code"),
        ("code", "c"),
        ("redirect_uri", &world.app.redirect_uri),
        ("code_verifier", VERIFIER),
    ];
    let refused = client.post("/oauth/token").form(&lone_code).send().await;
    assert_eq!((refused.status.as_u16(), refused.json()["error"].as_str()), (401, Some("invalid_client")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_client_or_redirect_uri_is_never_redirected() {
    verifies!("OAUTH-01", "SMART-22");
    let world = World::start().await;
    let good = world.app.authorization_query("launch/patient patient/Patient.r");
    for bad in
        [good.replace("client_id=app", "client_id=other"), good.replace("callback", "evil"), good.replace("client_id=app&", "")]
    {
        let reply = world.server.client.get(&format!("/oauth/authorize?{bad}")).send().await;
        assert_eq!(reply.status, 400, "{bad}");
        assert_eq!(reply.header("location"), "");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_faulty_request_goes_back_to_the_app_with_an_error() {
    verifies!("OAUTH-02", "OAUTH-04", "SMART-21", "SMART-23");
    let world = World::start().await;
    let good = world.app.authorization_query("launch/patient patient/Patient.r");
    for (bad, error) in [
        (good.replace("response_type=code", "response_type=token"), "unsupported_response_type"),
        (good.replace("code_challenge_method=S256", "code_challenge_method=plain"), "invalid_request"),
        (good.replace("S256", "S256&state=again"), "invalid_request"),
        (good.replace("aud=https", "aud=http"), "invalid_request"),
        (good.replace("scope=launch", "scope=bogus&x=launch"), "invalid_scope"),
    ] {
        let reply = world.server.client.get(&format!("/oauth/authorize?{bad}")).send().await;
        assert_eq!(query_value(&reply, "error").as_deref(), Some(error), "{bad} {}", reply.text());
    }
}
