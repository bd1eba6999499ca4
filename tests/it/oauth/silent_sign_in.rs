//! `id_token_hint` and `prompt=none`: an app that knows its person goes on with that person and nobody else, and without a page only for who it is.

use portcullis_audit::record::{Event, Outcome};
use portcullis_oauth::key_ring::RETENTION_SECONDS;
use portcullis_oauth::redirect_uri::RedirectUri;
use portcullis_server::admin::protocol::Request;
use portcullis_server::admin::{Caller, Service};
use portcullis_testkit::app::{AtConsent, hidden, query_value};
use portcullis_testkit::server::PASSWORD;
use portcullis_testkit::{App, Reply};
use portcullis_verifies::verifies;
use serde_json::Value;

use crate::account::Visitor;
use crate::fhir::World;

const WHO: &str = "openid fhirUser";
/// What the person sees as access to the record.
const GIVEN: &str = "openid fhirUser launch/patient patient/Patient.r";
const HINT: &str = "id_token_hint is no id_token of this server for this client";

fn query(app: &App, scope: &str, more: &[(&str, &str)]) -> String {
    let mut query = app.authorization_query(scope);
    for (name, value) in more {
        query.push_str(&format!("&{name}={value}"));
    }
    format!("/oauth/authorize?{query}")
}

async fn get(world: &World, at: &AtConsent, path: &str) -> Reply {
    world.server.client.get(path).header("cookie", &at.cookies).send().await
}

/// Ann is signed in and has allowed the app these scopes: her browser, and the tokens.
async fn allowed(app: &App, scope: &str) -> (AtConsent, Value) {
    let at = app.sign_in(&app.authorization_query(scope), "ann", PASSWORD).await;
    let back = app.consent(&at, &scope.split(' ').collect::<Vec<_>>(), "allow").await;
    let tokens = app.exchange(&query_value(&back, "code").unwrap()).await.json();
    (at, tokens)
}

fn told(reply: &Reply) -> (String, String) {
    let value = |name| query_value(reply, name).unwrap_or_default();
    assert_eq!(reply.status, 303, "{}", reply.text());
    (value("error"), value("error_description"))
}

fn pair(error: &str, description: &str) -> (String, String) {
    (error.to_owned(), description.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_with_an_id_token_goes_on_for_the_person_whom_it_names_and_for_nobody_else() {
    verifies!("OIDC-02");
    let world = World::start().await;
    let (ann, tokens) = allowed(&world.app, "openid patient/Patient.r launch/patient").await;
    let hint = tokens["id_token"].as_str().unwrap();
    let path = query(&world.app, WHO, &[("id_token_hint", hint)]);
    assert!(get(&world, &ann, &path).await.text().contains("value=\"allow\""), "Ann is asked");
    world.server.clock.advance_seconds(3000);
    let mut bob = Visitor::new(&world);
    bob.sign_in("bob").await;
    let other = bob.get(&path).await;
    assert!(other.status == 200 && other.text().contains("Another account is signed in in this browser."), "{}", other.text());
    assert!(!other.text().contains("value=\"allow\"") && !other.text().contains("ann"), "{}", other.text());
    let silent = bob.get(&query(&world.app, WHO, &[("id_token_hint", hint), ("prompt", "none")])).await;
    assert_eq!(told(&silent), pair("login_required", "nobody is signed in"));
    // Bob signs in once more at that page, and is still not whom it is for.
    let again = sign_in(&mut bob, "bob", &path).await;
    assert!(bob.get(again.header("location")).await.text().contains("Another account"), "{}", again.header("location"));
    // Ann does, an hour after her id_token has ended.
    world.server.clock.advance_seconds(3700);
    let mut late = Visitor::new(&world);
    let back = sign_in(&mut late, "ann", &path).await;
    assert!(late.get(back.header("location")).await.text().contains("value=\"allow\""));
}

/// Signs in at the page that the request leads to.
async fn sign_in(visitor: &mut Visitor<'_>, username: &str, path: &str) -> Reply {
    let csrf = hidden(&visitor.get(path).await, "csrf");
    let fields = [("csrf", csrf.as_str()), ("return_to", path), ("username", username), ("password", PASSWORD)];
    visitor.post("/login", &fields).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_consent_screen_of_another_person_is_not_answered_for_the_one_whom_the_id_token_names() {
    verifies!("OIDC-02");
    let world = World::start().await;
    let (_, tokens) = allowed(&world.app, WHO).await;
    let hint = tokens["id_token"].as_str().unwrap();
    let mut bob = Visitor::new(&world);
    bob.sign_in("bob").await;
    let page = bob.get(&query(&world.app, WHO, &[])).await;
    let (csrf, request) = (hidden(&page, "csrf"), hidden(&page, "request"));
    let own = [("csrf", csrf.as_str()), ("request", &request), ("scope", "openid"), ("decision", "allow")];
    assert!(query_value(&bob.post("/consent", &own).await, "code").is_some());
    let request = format!("{request}&id_token_hint={hint}");
    let forged = [("csrf", csrf.as_str()), ("request", &request), ("scope", "openid"), ("decision", "allow")];
    let refused = bob.post("/consent", &forged).await;
    assert_eq!((refused.status.as_u16(), refused.header("location")), (403, ""), "{}", refused.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_id_token_for_this_client_is_refused_and_not_ignored() {
    verifies!("OIDC-02");
    let world = World::start().await;
    let other = world.server.add_app("other", WHO, false).await;
    let (ann, tokens) = allowed(&world.app, WHO).await;
    let (_, foreign) = allowed(&other, WHO).await;
    let own = tokens["id_token"].as_str().unwrap();
    let (head, signature) = own.rsplit_once('.').unwrap();
    let unsigned = format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{}.", own.split('.').nth(1).unwrap());
    for hint in [
        "x",
        "a.b.c",
        foreign["id_token"].as_str().unwrap(),
        tokens["access_token"].as_str().unwrap(),
        &format!("{head}.{}", signature.chars().rev().collect::<String>()),
        &unsigned,
    ] {
        let reply = get(&world, &ann, &query(&world.app, WHO, &[("id_token_hint", hint)])).await;
        assert_eq!(told(&reply), pair("invalid_request", HINT), "{hint}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_token_whose_key_is_long_gone_stops_nobody_and_answers_for_nobody() {
    verifies!("OIDC-02");
    let world = World::start().await;
    let (ann, tokens) = allowed(&world.app, GIVEN).await;
    let old = tokens["id_token"].as_str().unwrap();
    let (shown, silent) = (
        query(&world.app, WHO, &[("id_token_hint", old)]),
        query(&world.app, WHO, &[("id_token_hint", old), ("prompt", "none")]),
    );
    let service = Service::new(std::sync::Arc::clone(&world.server.server));
    service.answer(&Caller::named("test"), Request::RotateKeys { now: true }).await;
    assert!(query_value(&get(&world, &ann, &silent).await, "code").is_some(), "its key is still published");
    world.server.clock.advance_seconds(RETENTION_SECONDS + 1);
    let (ann, _) = allowed(&world.app, GIVEN).await;
    assert_eq!(told(&get(&world, &ann, &silent).await), pair("login_required", "nobody is signed in"), "it may be somebody else");
    let page = get(&world, &ann, &shown).await;
    assert!(page.status == 200 && page.text().contains("value=\"allow\""), "{}", page.text());
    let mut stranger = Visitor::new(&world);
    let back = sign_in(&mut stranger, "bob", &shown).await;
    assert!(stranger.get(back.header("location")).await.text().contains("value=\"allow\""), "as without the hint");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_page_an_app_learns_who_is_signed_in_where_it_may_know_it_and_nothing_else() {
    verifies!("OIDC-02", "SEED-CARIN-01");
    let world = World::start().await;
    let app = &world.app;
    let silent = |scope: &str| query(app, scope, &[("prompt", "none")]);
    let at = app.sign_in(&app.authorization_query(WHO), "ann", PASSWORD).await;
    let ask = pair("consent_required", "the person has to allow it");
    assert_eq!(told(&get(&world, &at, &silent(WHO)).await), ask, "she has not allowed it yet");
    app.consent(&at, &["openid", "patient/Patient.r"], "allow").await;
    assert_eq!(told(&get(&world, &at, &silent(WHO)).await), ask, "not fhirUser");
    let (at, _) = allowed(app, GIVEN).await;
    for scope in
        ["openid profile", "openid patient/Patient.r", "openid launch/patient patient/Patient.r", "openid offline_access"]
    {
        assert_eq!(told(&get(&world, &at, &silent(scope)).await), ask, "{scope}");
    }
    let (at, tokens) = allowed(app, WHO).await;
    let (csrf, grants) = {
        let page = get(&world, &at, "/me").await;
        let grants: Vec<String> =
            page.text().split("name=\"grant\" value=\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect();
        (hidden(&page, "csrf"), grants)
    };
    let back = get(&world, &at, &silent("openid")).await;
    let record = world.last(Event::Consent);
    assert_eq!(record, (Outcome::Success, "allowed as before, without a page: openid".to_owned()));
    let code = query_value(&back, "code").unwrap_or_else(|| panic!("{}", back.header("location")));
    let fresh = app.exchange(&code).await.json();
    let subject = |tokens: &Value| {
        let payload = tokens["id_token"].as_str().unwrap().split('.').nth(1).unwrap().to_owned();
        serde_json::from_slice::<Value>(&portcullis_testkit::decode_base64url(&payload)).unwrap()["sub"].clone()
    };
    assert_eq!((subject(&fresh), &fresh["scope"]), (subject(&tokens), &Value::from("openid")));
    let hinted = query(app, WHO, &[("prompt", "none"), ("id_token_hint", tokens["id_token"].as_str().unwrap())]);
    assert!(query_value(&get(&world, &at, &hinted).await, "code").is_some());
    // Taken back, it is over, whatever answers without a page there were; and so it is when the grants have ended by themselves.
    assert_eq!(grants.len(), 3, "those that she gave");
    for grant in &grants {
        let fields = [("csrf", csrf.as_str()), ("grant", grant.as_str())];
        world.server.client.post("/me/revoke").header("cookie", &at.cookies).form(&fields).send().await;
    }
    assert_eq!(told(&get(&world, &at, &silent(WHO)).await), ask);
    let (at, _) = allowed(app, WHO).await;
    assert_eq!(told(&get(&world, &at, &silent("openid")).await), ask, "who somebody is alone is no word that lasts");
    let (at, _) = allowed(app, GIVEN).await;
    world.server.clock.advance_seconds(3599);
    assert!(query_value(&get(&world, &at, &silent("openid")).await, "code").is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_that_asks_all_the_time_leaves_no_more_than_twenty_answers_behind() {
    let world = World::start().await;
    let clock = &world.server.clock;
    let (at, _) = allowed(&world.app, GIVEN).await;
    let silent = query(&world.app, WHO, &[("prompt", "none")]);
    let left = async || {
        let registry = &world.server.server.registry;
        let user = registry.user_named("ann").await.unwrap().unwrap();
        registry.grants_of(&user.id).await.unwrap().len()
    };
    let before = left().await;
    for number in 0..20 {
        assert!(query_value(&get(&world, &at, &silent).await, "code").is_some(), "{number}");
    }
    let often = pair("interaction_required", "too many answers without a page are still of use");
    assert_eq!(told(&get(&world, &at, &silent).await), often);
    assert_eq!(left().await, before + 20);
    // Their codes are over, and they go with the next answer.
    clock.advance_seconds(120);
    assert!(query_value(&get(&world, &at, &silent).await, "code").is_some());
    assert_eq!(left().await, before + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_page_nothing_is_decided_for_an_app_that_another_could_claim_to_be_or_for_an_account_that_waits() {
    let world = World::start().await;
    let mut device = world
        .server
        .add_app_with("device", WHO, |client| {
            client.redirect_uris = vec![RedirectUri::parse("http://127.0.0.1:9/callback").unwrap()]
        })
        .await;
    device.redirect_uri = "http://127.0.0.1:9/callback".to_owned();
    let (at, _) = allowed(&device, WHO).await;
    let silent = get(&world, &at, &query(&device, WHO, &[("prompt", "none")])).await;
    assert_eq!(told(&silent), pair("consent_required", "the person has to allow it"));

    let (at, _) = allowed(&world.app, GIVEN).await;
    let weak = query(&world.app, WHO, &[("prompt", "none"), ("acr_values", "phr")]);
    assert!(query_value(&get(&world, &at, &weak).await, "code").is_some(), "a wish that she cannot meet stops nobody");
}
