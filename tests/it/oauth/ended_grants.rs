//! Grants that ended between two requests, and requests that overtake each other: what the app is told, and that the grant ends with all of it.

use std::sync::Arc;
use std::time::Duration;

use portcullis_audit::record::{Event, Outcome};
use portcullis_server::admin::UserRequest;
use portcullis_testkit::app::{AtConsent, hidden, query_value};
use portcullis_testkit::server::PASSWORD;
use portcullis_testkit::{App, Reply};

use crate::account::links::details;
use crate::fhir::World;

const SCOPE: &str = "openid launch/patient offline_access patient/Patient.r";

/// Ann allows the app; its code, and her browser.
async fn allowed(world: &World) -> (String, AtConsent) {
    let at = world.app.sign_in(&world.app.authorization_query(SCOPE), "ann", PASSWORD).await;
    let back = world.app.consent(&at, &SCOPE.split(' ').collect::<Vec<_>>(), "allow").await;
    (query_value(&back, "code").unwrap(), at)
}

/// Ann takes it back on her page.
async fn taken_back(world: &World, at: &AtConsent) {
    let page = world.server.client.get("/me").header("cookie", &at.cookies).send().await;
    let fields = [("csrf", hidden(&page, "csrf")), ("grant", hidden(&page, "grant"))];
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(world.server.client.post("/me/revoke").header("cookie", &at.cookies).form(&fields).send().await.status, 303);
}

fn said(reply: &Reply) -> (u16, String, String) {
    let text = |name: &str| reply.json()[name].as_str().unwrap_or_default().to_owned();
    (reply.status.as_u16(), text("error"), text("error_description"))
}

async fn refresh(app: &App, token: &str) -> Reply {
    app.token_request(&[("grant_type", "refresh_token"), ("refresh_token", token)]).await
}

const REVOKED: &str = "the grant was revoked";
const OVERTAKEN: &str = "the code or refresh token was used or revoked";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_and_a_refresh_token_of_a_grant_that_ended_are_told_so_before_anything_is_made() {
    let world = World::start().await;
    let (code, at) = allowed(&world).await;
    taken_back(&world, &at).await;
    let refused = (400, "invalid_grant".to_owned(), REVOKED.to_owned());
    assert_eq!(said(&world.app.exchange(&code).await), refused);
    let (code, at) = allowed(&world).await;
    let tokens = world.app.exchange(&code).await.json();
    taken_back(&world, &at).await;
    assert_eq!(said(&refresh(&world.app, tokens["refresh_token"].as_str().unwrap()).await), refused);
}

/// Sends two requests that have both looked at what there is before either changes anything: nobody can sign an id_token until both wait for it.
async fn at_once<F: Future<Output = Reply> + Send + 'static>(world: &World, send: impl Fn() -> F) -> Vec<Reply> {
    let turns = &world.server.server.keys.identity_turns;
    let all = u32::try_from(turns.available_permits()).unwrap();
    let held = Arc::clone(turns).acquire_many_owned(all).await.unwrap();
    let both = [tokio::spawn(send()), tokio::spawn(send())];
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(both.iter().all(|one| !one.is_finished()), "somebody did not wait for a turn");
    drop(held);
    let mut replies = Vec::new();
    for one in both {
        replies.push(one.await.unwrap());
    }
    replies.sort_by_key(|reply| reply.status);
    replies
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_that_use_a_code_or_a_refresh_token_at_the_same_moment_one_is_a_thief_so_the_grant_ends() {
    let world = World::start().await;
    let read = async |tokens: &Reply| {
        let token = tokens.json()["access_token"].as_str().unwrap().to_owned();
        world.server.client.get("/fhir/Patient/ann").bearer(&token).send().await.status
    };
    let overtaken = (400, "invalid_grant".to_owned(), OVERTAKEN.to_owned());

    let (code, _) = allowed(&world).await;
    let replies = at_once(&world, || {
        let (app, code) = (world.app.clone(), code.clone());
        async move { app.exchange(&code).await }
    })
    .await;
    assert_eq!((replies[0].status.as_u16(), said(&replies[1])), (200, overtaken.clone()), "{}", replies[1].text());
    assert_eq!(read(&replies[0]).await, 401, "what the faster one got is over, too");

    let (code, _) = allowed(&world).await;
    let tokens = world.app.exchange(&code).await;
    assert_eq!(read(&tokens).await, 200);
    let token = tokens.json()["refresh_token"].as_str().unwrap().to_owned();
    let replies = at_once(&world, || {
        let (app, token) = (world.app.clone(), token.clone());
        async move { refresh(&app, &token).await }
    })
    .await;
    assert_eq!((replies[0].status.as_u16(), said(&replies[1])), (200, overtaken), "{}", replies[1].text());
    assert_eq!((read(&replies[0]).await.as_u16(), read(&tokens).await.as_u16()), (401, 401));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_app_asks_while_the_account_is_locked_is_refused_and_ends_nothing() {
    let world = World::start().await;
    let (code, _) = allowed(&world).await;
    let tokens = world.app.exchange(&code).await.json();
    let token = tokens["refresh_token"].as_str().unwrap();
    let (fresh, _) = allowed(&world).await;
    details(&world, "root", UserRequest::Lock { username: "ann".to_owned() }).await;
    let refused = (400, "invalid_grant".to_owned(), OVERTAKEN.to_owned());
    assert_eq!(said(&refresh(&world.app, token).await), refused);
    assert_eq!(said(&refresh(&world.app, token).await), refused, "it was not spent either");
    assert_eq!(said(&world.app.exchange(&fresh).await), refused);
    details(&world, "root", UserRequest::Unlock { username: "ann".to_owned() }).await;
    let again = refresh(&world.app, token).await;
    assert_eq!(again.status, 200, "{}", again.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_used_code_in_the_hands_of_another_client_ends_nothing_and_in_those_of_its_own_everything() {
    let world = World::start().await;
    let (code, _) = allowed(&world).await;
    let tokens = world.app.exchange(&code).await.json();
    let read = async || {
        let token = tokens["access_token"].as_str().unwrap();
        world.server.client.get("/fhir/Patient/ann").bearer(token).send().await.status.as_u16()
    };
    let other = world.server.add_app("other", SCOPE, false).await;
    let refused = said(&other.exchange(&code).await);
    assert_eq!((refused.0, refused.1.as_str()), (400, "invalid_grant"));
    assert_eq!(read().await, 200, "whoever found the code in a history ends nothing by it");
    assert_eq!(said(&world.app.exchange(&code).await).0, 400);
    assert_eq!(read().await, 401, "a replay by the client itself ends the grant");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_presents_a_refresh_token_of_another_client_leaves_a_record_about_the_patient_and_learns_nothing() {
    let world = World::start().await;
    let tokens = world.app.authorize(SCOPE, "ann", PASSWORD).await;
    let token = tokens["refresh_token"].as_str().unwrap();
    let thief = world.server.add_app("thief", SCOPE, true).await;
    let stolen = refresh(&thief, token).await;
    assert_eq!((stolen.status.as_u16(), stolen.json()["error"].as_str()), (400, Some("invalid_grant")));
    assert!(!stolen.text().contains("ann"), "{}", stolen.text());
    world.server.move_outbox().await;
    let records = world.server.records();
    let record = records.iter().rfind(|record| record.event == Event::Token && record.outcome == Outcome::Denied).unwrap();
    assert_eq!(record.agent.client.as_deref(), Some("thief"));
    assert_eq!((record.agent.user.as_deref(), record.operations[0].patients.as_slice()), (None, &["ann".to_owned()][..]));
    assert_eq!(refresh(&world.app, token).await.status, 200, "it ended nothing");
}
