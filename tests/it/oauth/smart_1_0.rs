//! Clients of SMART 1.0, which know no PKCE: they may leave the challenge out, nobody else may, and a challenge that was sent is enforced.

use portcullis_oauth::clients::SmartVersion;
use portcullis_testkit::app::{VERIFIER, query_value};
use portcullis_testkit::server::PASSWORD;
use portcullis_testkit::{App, Reply};
use portcullis_verifies::verifies;

use crate::fhir::{SCOPE, World};

const ASKED: &str = "launch/patient patient/Patient.read";

fn without_challenge(app: &App) -> String {
    let query = app.authorization_query(ASKED);
    query.split('&').filter(|pair| !pair.starts_with("code_challenge")).collect::<Vec<_>>().join("&")
}

/// A code for a query.
async fn code(app: &App, query: &str) -> String {
    let at = app.sign_in(query, "ann", PASSWORD).await;
    let back = app.consent(&at, &ASKED.split(' ').collect::<Vec<_>>(), "allow").await;
    query_value(&back, "code").unwrap_or_else(|| panic!("{} {}", back.header("location"), back.text()))
}

async fn redeem(app: &App, code: &str, verifier: Option<&str>) -> Reply {
    let mut fields = vec![("grant_type", "authorization_code"), ("code", code), ("redirect_uri", app.redirect_uri.as_str())];
    fields.extend(verifier.map(|verifier| ("code_verifier", verifier)));
    app.token_request(&fields).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_client_that_is_let_off_the_challenge_may_leave_it_out_and_a_sent_one_is_enforced() {
    verifies!("USCORE-02");
    let world = World::start().await;
    let strict = &world.app;
    let reply = strict.client.get(&format!("/oauth/authorize?{}", without_challenge(strict))).send().await;
    assert_eq!(query_value(&reply, "error").as_deref(), Some("invalid_request"));
    assert_eq!(query_value(&reply, "error_description").as_deref(), Some("code_challenge is required"));
    let old = world.server.add_app("old", SCOPE, true).await;
    world.server.change_client("old", |client| client.properties.smart = Some(SmartVersion::V1_0)).await;
    // A method without a challenge is a mistake and no SMART 1.0.
    let half = format!("{}&code_challenge_method=S256", without_challenge(&old));
    let reply = old.client.get(&format!("/oauth/authorize?{half}")).send().await;
    assert_eq!(query_value(&reply, "error_description").as_deref(), Some("code_challenge is required"));
    let grant = (400, Some("invalid_grant".to_owned()));
    for (query, verifier, expected) in [
        (without_challenge(&old), None, (200, None)),
        (without_challenge(&old), Some(VERIFIER), grant.clone()),
        (old.authorization_query(ASKED), None, grant),
        (old.authorization_query(ASKED), Some(VERIFIER), (200, None)),
    ] {
        let reply = redeem(&old, &code(&old, &query).await, verifier).await;
        let error = reply.json()["error"].as_str().map(str::to_owned);
        assert_eq!((reply.status.as_u16(), error), expected, "{query} {verifier:?}");
    }
    // Whoever loses the leave while a code is out cannot use it without a verifier.
    let waiting = code(&old, &without_challenge(&old)).await;
    world.server.change_client("old", |client| client.properties.smart = None).await;
    let reply = redeem(&old, &waiting, None).await;
    assert_eq!((reply.status.as_u16(), reply.json()["error"].as_str()), (400, Some("invalid_request")));
}
