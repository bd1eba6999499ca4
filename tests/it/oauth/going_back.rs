//! Where a browser goes after a request that nobody was asked about: back at once to an app of the operator, and by a link to one that registered itself.

use portcullis_oauth::clients::{ApplicationType, Client};
use portcullis_oauth::identifiers::UserId;
use portcullis_oauth::redirect_uri::RedirectUri;
use portcullis_testkit::app::query_value;
use portcullis_testkit::server::PASSWORD;
use portcullis_testkit::{App, Reply};

use crate::fhir::World;

const SCOPE: &str = "openid fhirUser launch/patient patient/Patient.r";

async fn ask(world: &World, query: &str, header: Option<(&str, &str)>) -> Reply {
    let request = world.server.client.get(&format!("/oauth/authorize?{query}"));
    match header {
        Some((name, value)) => request.header(name, value).send().await,
        None => request.send().await,
    }
}

async fn app(world: &World, id: &str, change: impl FnOnce(&mut Client)) -> App {
    world.server.add_app_with(id, SCOPE, change).await
}

/// The page with the link: nothing leads away from it by itself.
fn is_between(reply: &Reply, place: &str, problem: &str) {
    let text = reply.text();
    assert_eq!((reply.status.as_u16(), reply.header("location"), reply.header("refresh")), (400, "", ""), "{text}");
    assert!(text.contains(problem) && text.contains(place), "{text}");
    assert!(text.contains("Nobody here has checked who makes it."), "{text}");
    assert!(!text.contains("http-equiv") && !text.contains("<script"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_in_vain_of_an_app_that_registered_itself_leads_nowhere_by_itself() {
    let world = World::start().await;
    let dynamic = app(&world, "dynamic", |client| client.properties.dynamic = true).await;
    let sandbox = app(&world, "sandbox", |client| client.properties.owner = UserId::parse("u-who")).await;
    for own in [&dynamic, &sandbox] {
        let good = own.authorization_query(SCOPE);
        for (bad, error) in [
            (good.replace("response_type=code", "response_type=token"), "unsupported_response_type"),
            (good.replace("aud=https", "aud=http"), "invalid_request"),
            (good.replace("scope=openid", "scope=bogus&x=openid"), "invalid_scope"),
            (format!("{good}&request=a.b.c"), "request_not_supported"),
            (format!("{good}&request_uri=https%3A%2F%2Felsewhere.example"), "request_uri_not_supported"),
        ] {
            let reply = ask(&world, &bad, None).await;
            is_between(&reply, "<code>127.0.0.1:9</code>", "Its request ended here: ");
            let link = format!("href=\"https://127.0.0.1:9/callback?error={error}&#38;error_description=");
            assert!(reply.text().contains(&link), "{link} {}", reply.text());
        }
    }
    // What an operator has registered goes back at once, as before, and so does what an operator has taken over.
    world.server.change_client("dynamic", |client| client.properties.dynamic = false).await;
    let bad = dynamic.authorization_query(SCOPE).replace("response_type=code", "response_type=token");
    assert_eq!(query_value(&ask(&world, &bad, None).await, "error").as_deref(), Some("unsupported_response_type"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_on_the_device_is_named_by_its_scheme() {
    let world = World::start().await;
    let device = app(&world, "device", |client| {
        client.properties.dynamic = true;
        client.properties.application_type = Some(ApplicationType::Native);
        client.redirect_uris = vec![RedirectUri::parse("com.example.app:/callback").unwrap()];
    })
    .await;
    let query = App { redirect_uri: "com.example.app:/callback".to_owned(), ..device }.authorization_query(SCOPE);
    let reply = ask(&world, &query.replace("aud=https", "aud=http"), None).await;
    is_between(&reply, "an app on this device, <code>com.example.app</code>", "aud must be the FHIR base URL");
    assert!(reply.text().contains("href=\"com.example.app:/callback?error=invalid_request"), "{}", reply.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_page_an_app_that_registered_itself_is_told_where_nobody_sees_it() {
    let world = World::start().await;
    let dynamic = app(&world, "dynamic", |client| client.properties.dynamic = true).await;
    let silent = format!("{}&prompt=none", dynamic.authorization_query(SCOPE));
    for header in [None, Some(("sec-fetch-dest", "iframe")), Some(("sec-fetch-dest", "empty"))] {
        let reply = ask(&world, &silent, header).await;
        assert_eq!(query_value(&reply, "error").as_deref(), Some("login_required"), "{header:?}: {}", reply.text());
    }
    // A link in a mail opens a page.
    let clicked = ask(&world, &silent, Some(("sec-fetch-dest", "document"))).await;
    is_between(&clicked, "127.0.0.1:9", "nobody is signed in");
    let faulty = silent.replace("aud=https", "aud=http");
    is_between(&ask(&world, &faulty, Some(("sec-fetch-dest", "iframe"))).await, "127.0.0.1:9", "aud must be");
    let own = format!("{}&prompt=none", world.app.authorization_query(SCOPE));
    let reply = ask(&world, &own, Some(("sec-fetch-dest", "document"))).await;
    assert_eq!(query_value(&reply, "error").as_deref(), Some("login_required"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_person_answers_leads_back_at_once_whoever_registered_the_app() {
    let world = World::start().await;
    let dynamic = app(&world, "dynamic", |client| client.properties.dynamic = true).await;
    let at = dynamic.sign_in(&dynamic.authorization_query(SCOPE), "ann", PASSWORD).await;
    let no = dynamic.consent(&at, &[], "deny").await;
    assert_eq!((no.status.as_u16(), query_value(&no, "error").as_deref()), (303, Some("access_denied")));
    let none = dynamic.consent(&at, &[], "allow").await;
    assert_eq!(query_value(&none, "error").as_deref(), Some("access_denied"));
    let yes = dynamic.consent(&at, &["patient/Patient.r"], "allow").await;
    assert!(query_value(&yes, "code").is_some(), "{}", yes.text());
}
