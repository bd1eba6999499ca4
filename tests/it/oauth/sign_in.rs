//! When a sign-in counts for an app's request (`prompt`, `max_age`), who is suggested, and how somebody else takes over.

use portcullis_testkit::Reply;
use portcullis_testkit::app::{AtConsent, cookie, hidden, query_value};
use portcullis_testkit::server::PASSWORD;
use portcullis_verifies::verifies;

use crate::fhir::World;

const SCOPE: &str = "launch/patient patient/Patient.r";

async fn open(world: &World, cookies: &str, query: &str) -> Reply {
    world.server.client.get(&format!("/oauth/authorize?{query}")).header("cookie", cookies).send().await
}

fn asks_for_password(page: &Reply) -> bool {
    page.status == 200 && page.text().contains("type=\"password\"")
}

fn asks_for_consent(page: &Reply) -> bool {
    page.status == 200 && page.text().contains("value=\"allow\"")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_demanded_sign_in_is_made_for_that_request_and_no_other() {
    let world = World::start().await;
    let plain = world.app.authorization_query(SCOPE);
    let earlier = world.app.sign_in(&plain, "ann", PASSWORD).await;
    for prompt in ["login", "select_account", "consent%20login"] {
        let query = format!("{plain}&prompt={prompt}");
        assert!(
            asks_for_password(&open(&world, &earlier.cookies, &query).await),
            "{prompt}: a sign-in of this second is not enough"
        );
        let at = world.app.sign_in(&query, "ann", PASSWORD).await;
        assert!(asks_for_consent(&at.page), "{prompt}: {}", at.page.text());
        assert!(asks_for_password(&open(&world, &at.cookies, &query).await), "{prompt}: the same request again asks again");
        let back = world.app.consent(&at, &["patient/Patient.r"], "allow").await;
        assert!(query_value(&back, "code").is_some(), "{prompt}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_proof_of_a_sign_in_is_for_one_session_one_request_and_a_few_minutes() {
    let world = World::start().await;
    let query = format!("{}&prompt=login", world.app.authorization_query(SCOPE));
    let login = world.server.client.get(&format!("/oauth/authorize?{query}")).send().await;
    let (csrf, return_to) = (hidden(&login, "csrf"), hidden(&login, "return_to"));
    let fields = [("csrf", csrf.as_str()), ("return_to", return_to.as_str()), ("username", "ann"), ("password", PASSWORD)];
    let signed_in = world.server.client.post("/login").header("cookie", &cookie(&login)).form(&fields).send().await;
    let proven = signed_in.header("location").strip_prefix("/oauth/authorize?").unwrap().to_owned();
    let cookies = cookie(&signed_in);
    assert!(asks_for_consent(&open(&world, &cookies, &proven).await));

    let other = world.app.sign_in(&world.app.authorization_query(SCOPE), "bob", PASSWORD).await;
    assert!(asks_for_password(&open(&world, &other.cookies, &proven).await), "another session");
    let changed = proven.replace("patient%2FPatient.r", "patient%2FObservation.rs");
    assert_ne!(changed, proven);
    assert!(asks_for_password(&open(&world, &cookies, &changed).await), "another request");

    let page = open(&world, &cookies, &proven).await;
    let (csrf, request) = (hidden(&page, "csrf"), hidden(&page, "request"));
    let forged = format!("ann\n{query}");
    for (request, status) in [(forged.as_str(), 403), (request.as_str(), 303)] {
        let fields = [("csrf", csrf.as_str()), ("request", request), ("scope", "patient/Patient.r"), ("decision", "allow")];
        let reply = world.server.client.post("/consent").header("cookie", &cookies).form(&fields).send().await;
        assert_eq!(reply.status.as_u16(), status, "a form without the proof is not answered");
    }
    world.server.clock.advance_seconds(301);
    assert!(asks_for_password(&open(&world, &cookies, &proven).await), "the proof is old");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_sign_in_is_too_old_for_max_age() {
    let world = World::start().await;
    let plain = world.app.authorization_query(SCOPE);
    let query = format!("{plain}&max_age=60");
    let at = world.app.sign_in(&plain, "ann", PASSWORD).await;
    assert!(asks_for_consent(&open(&world, &at.cookies, &query).await));
    world.server.clock.advance_seconds(61);
    assert!(asks_for_password(&open(&world, &at.cookies, &query).await));
    assert!(asks_for_consent(&open(&world, &at.cookies, &plain).await));
    // A person who signs in for it gets on, however small the age is and however long the way back takes.
    let zero = format!("{plain}&max_age=0");
    world.server.clock.advance_seconds(1);
    assert!(asks_for_password(&open(&world, &at.cookies, &zero).await));
    assert!(asks_for_consent(&world.app.sign_in(&zero, "ann", PASSWORD).await.page));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_name_that_an_app_suggests_is_filled_in_and_escaped() {
    let world = World::start().await;
    let plain = world.app.authorization_query(SCOPE);
    let page = open(&world, "", &format!("{plain}&login_hint=ann")).await;
    assert!(page.text().contains("name=\"username\" type=\"text\" value=\"ann\""), "{}", page.text());
    let page = open(&world, "", &format!("{plain}&login_hint=%22%3E%3Cscript%3E%0a")).await;
    assert!(!page.text().contains("<script>") && asks_for_password(&page));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_not_the_person_signs_out_and_goes_on_with_the_same_request() {
    let world = World::start().await;
    let query = world.app.authorization_query(SCOPE);
    let at = world.app.sign_in(&query, "ann", PASSWORD).await;
    assert!(at.page.text().contains("Not you? Sign out"));
    let (csrf, return_to) = (hidden(&at.page, "csrf"), hidden(&at.page, "return_to"));
    let fields = [("csrf", csrf.as_str()), ("return_to", return_to.as_str())];
    let out = world.server.client.post("/logout").header("cookie", &at.cookies).form(&fields).send().await;
    assert_eq!((out.status.as_u16(), out.header("location")), (303, return_to.as_str()));
    assert!(out.header("set-cookie").contains("Max-Age=0"));
    let login = world.server.client.get(out.header("location")).header("cookie", &at.cookies).send().await;
    assert!(asks_for_password(&login), "the session is closed at the server, too");
    let away = [("csrf", csrf.as_str()), ("return_to", "https://evil.example/")];
    let out = world.server.client.post("/logout").header("cookie", &at.cookies).form(&away).send().await;
    assert!(!out.header("location").contains("evil"), "{}", out.header("location"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn online_access_ends_with_the_session_and_offline_access_does_not() {
    verifies!("SMART-33");
    let world = World::start().await;
    let app = world.server.add_app("both", "launch/patient offline_access online_access patient/Patient.r", false).await;
    for (access, after) in [("online_access", 400), ("offline_access", 200)] {
        let scope = format!("launch/patient {access} patient/Patient.r");
        let at: AtConsent = app.sign_in(&app.authorization_query(&scope), "ann", PASSWORD).await;
        let back = app.consent(&at, &scope.split(' ').collect::<Vec<_>>(), "allow").await;
        let first = app.exchange(&query_value(&back, "code").unwrap()).await.json();
        assert_eq!(first["scope"], *scope, "{access}");
        let refresh = |token: String| {
            let app = app.clone();
            async move { app.token_request(&[("grant_type", "refresh_token"), ("refresh_token", &token)]).await }
        };
        let second = refresh(first["refresh_token"].as_str().unwrap().to_owned()).await;
        assert_eq!(second.status, 200, "{access} {}", second.text());
        let csrf = hidden(&at.page, "csrf");
        let out = world.server.client.post("/logout").header("cookie", &at.cookies).form(&[("csrf", csrf.as_str())]).send().await;
        assert_eq!(out.status, 200);
        let third = refresh(second.json()["refresh_token"].as_str().unwrap().to_owned()).await;
        assert_eq!(third.status.as_u16(), after, "{access} {}", third.text());
    }
}
