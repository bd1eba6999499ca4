//! The token endpoint's errors, each with its exact code.

use portcullis_verifies::verifies;

use crate::fhir::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_faulty_token_request_gets_its_error() {
    verifies!("OAUTH-03", "OAUTH-15", "OAUTH-23", "SMART-28");
    let world = World::start().await;
    let verifier = portcullis_testkit::app::VERIFIER;
    let base = [
        ("grant_type", "authorization_code"),
        ("code", "nonsense"),
        ("redirect_uri", "https://127.0.0.1:9/callback"),
        ("code_verifier", verifier),
    ];
    let without = |name: &str| base.iter().copied().filter(|(key, _)| *key != name).collect::<Vec<_>>();
    let with = |name: &'static str, value: &'static str| {
        let mut fields = without(name);
        fields.push((name, value));
        fields
    };
    for (fields, status, error) in [
        (base.to_vec(), 400, "invalid_grant"),
        (without("grant_type"), 400, "invalid_request"),
        (without("code_verifier"), 400, "invalid_request"),
        (with("grant_type", "password"), 400, "unsupported_grant_type"),
        (with("code_verifier", "short"), 400, "invalid_request"),
        ([base.to_vec(), vec![("code", "twice")]].concat(), 400, "invalid_request"),
        ([base.to_vec(), vec![("client_secret", "x")]].concat(), 401, "invalid_client"),
    ] {
        let reply = world.app.token_request(&fields).await;
        assert_eq!((reply.status.as_u16(), reply.json()["error"].as_str()), (status, Some(error)), "{fields:?}");
        assert_eq!(reply.header("cache-control"), "no-store");
        assert_eq!(reply.header("pragma"), "no-cache");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_confidential_client_needs_its_secret() {
    verifies!("OAUTH-06", "SMART-26", "SEED-CARIN-15");
    let world = World::start().await;
    let mut app = world.server.add_app("backoffice", super::super::fhir::SCOPE, true).await;
    let response = app.authorize("launch/patient patient/Patient.r", "ann", portcullis_testkit::server::PASSWORD).await;
    assert!(response["access_token"].is_string());
    app.secret = Some("wrong".to_owned());
    let reply = app.exchange("anything").await;
    assert_eq!((reply.status.as_u16(), reply.json()["error"].as_str()), (401, Some("invalid_client")));
    assert!(reply.header("www-authenticate").starts_with("Basic"));
    app.secret = None;
    assert_eq!(app.exchange("anything").await.json()["error"], "invalid_client");
}
