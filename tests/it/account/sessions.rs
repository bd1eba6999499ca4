//! Sessions: listed with their place, ended one by one or together, renewed at each sign-in, over after a while.

use portcullis_audit::record::{Event, Outcome};

use portcullis_testkit::app::query_value;
use portcullis_testkit::server::PASSWORD;

use super::{Visitor, in_form};
use crate::fhir::World;

const SESSION: &str = "__Host-portcullis-session";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_own_page_lists_where_somebody_is_signed_in_and_ends_it_there() {
    let world = World::start().await;
    let mut phone = Visitor::new(&world);
    phone.agent = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1 Version/18.0 Mobile Safari/604.1";
    phone.sign_in("ann").await;
    let mut other = Visitor::new(&world);
    other.sign_in("bob").await;
    world.server.clock.advance_seconds(125);
    // A use is stored soon, and in any case before a change that comes later.
    phone.get("/me").await;
    let mut desk = Visitor::new(&world);
    desk.sign_in("ann").await;
    let page = desk.get("/me").await;
    let text = page.text();
    for words in [
        "<strong>Firefox on Linux</strong> <span class=\"tag new\">This browser</span>",
        "<strong>Safari on an iPhone</strong>",
        "From 127.0.0.1.",
        "Signed in with a password on 21 November 2020 at 10:00 UTC. Last used on 21 November 2020 at 10:02 UTC.",
        "Sign out everywhere else",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert_eq!(text.matches("action=\"/me/sessions/end\"").count(), 2, "one other session, and all others");
    let (csrf, session) = (in_form(&page, "/me/sessions/end", "csrf"), in_form(&page, "/me/sessions/end", "session"));
    assert_eq!(other.post("/me/sessions/end", &[("csrf", &csrf), ("session", &session)]).await.status, 403);
    assert_eq!(phone.get("/me").await.status, 200, "another person's form ends nothing");
    let own = other.own_csrf().await;
    other.post("/me/sessions/end", &[("csrf", &own), ("session", &session)]).await;
    assert_eq!(phone.get("/me").await.status, 200, "nor does it with a token of theirs");
    assert_eq!(world.last(Event::Credential), (Outcome::Denied, "no session to end".to_owned()));
    desk.post("/me/sessions/end", &[("csrf", &csrf), ("session", &session)]).await;
    assert_eq!(world.last(Event::Credential), (Outcome::Success, "a session ended".to_owned()));
    assert_eq!((phone.get("/me").await.status.as_u16(), desk.get("/me").await.status.as_u16()), (303, 200));
    for forged in ["", "x", "others "] {
        desk.post("/me/sessions/end", &[("csrf", &csrf), ("session", forged)]).await;
    }
    assert_eq!(desk.get("/me").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_goes_on_while_it_is_used_in_a_session_that_is_listed_until_it_ends() {
    const SCOPE: &str = "launch/patient online_access patient/Patient.r";
    let world = World::start().await;
    let app = world.server.add_app("online", SCOPE, false).await;
    let at = app.sign_in(&app.authorization_query(SCOPE), "ann", PASSWORD).await;
    let back = app.consent(&at, &SCOPE.split(' ').collect::<Vec<_>>(), "allow").await;
    let mut tokens = app.exchange(&query_value(&back, "code").unwrap()).await.json();
    let refresh = async |tokens: &serde_json::Value| {
        let token = tokens["refresh_token"].as_str().unwrap();
        app.token_request(&[("grant_type", "refresh_token"), ("refresh_token", token)]).await
    };
    for _ in 0..3 {
        world.server.clock.advance_seconds(1800);
        let reply = refresh(&tokens).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        tokens = reply.json();
    }
    // Nobody has opened a page for an hour and a half, but the app is in use: its session can be seen, and ended.
    let mut desk = Visitor::new(&world);
    desk.sign_in("ann").await;
    let page = desk.get("/me").await;
    let text = page.text();
    assert!(
        text.contains("It ends when you sign out, or on 21 November 2020 at 13:30 UTC if it is not used until then."),
        "{text}"
    );
    assert_eq!(text.matches("action=\"/me/sessions/end\"").count(), 2, "the idle session and all others: {text}");
    let (csrf, session) = (in_form(&page, "/me/sessions/end", "csrf"), in_form(&page, "/me/sessions/end", "session"));
    desk.post("/me/sessions/end", &[("csrf", &csrf), ("session", &session)]).await;
    assert_eq!(refresh(&tokens).await.status, 400, "the person is not online there any more");
    assert!(desk.get("/me").await.text().contains("on 21 November 2020 at 12:30 UTC"), "its last access token goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_online_app_that_asks_for_nothing_for_two_hours_is_over() {
    const SCOPE: &str = "launch/patient online_access patient/Patient.r";
    let world = World::start().await;
    let app = world.server.add_app("online", SCOPE, false).await;
    let tokens = app.authorize(SCOPE, "ann", PASSWORD).await;
    world.server.clock.advance_seconds(7200);
    let mut desk = Visitor::new(&world);
    desk.sign_in("ann").await;
    assert!(!desk.get("/me").await.text().contains("It ends when you sign out"), "what is over is not listed");
    let token = tokens["refresh_token"].as_str().unwrap();
    let late = app.token_request(&[("grant_type", "refresh_token"), ("refresh_token", token)]).await;
    assert_eq!((late.status.as_u16(), late.json()["error"].as_str()), (400, Some("invalid_grant")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_other_sessions_end_together() {
    let world = World::start().await;
    let mut others = [Visitor::new(&world), Visitor::new(&world)];
    for other in &mut others {
        other.sign_in("ann").await;
    }
    let mut here = Visitor::new(&world);
    here.sign_in("ann").await;
    let csrf = here.own_csrf().await;
    here.post("/me/sessions/end", &[("csrf", "x"), ("session", "others")]).await;
    assert_eq!(others[0].get("/me").await.status, 200);
    here.post("/me/sessions/end", &[("csrf", &csrf), ("session", "others")]).await;
    for other in &mut others {
        assert_eq!(other.get("/me").await.status, 303);
    }
    assert_eq!(here.get("/me").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_in_gives_a_new_cookie_and_ends_what_was_in_this_browser() {
    let world = World::start().await;
    let mut browser = Visitor::new(&world);
    browser.jar.insert(SESSION.to_owned(), "planted-by-somebody".to_owned());
    browser.sign_in("ann").await;
    let first = browser.jar[SESSION].clone();
    assert_ne!(first, "planted-by-somebody");
    browser.sign_in("ann").await;
    let second = browser.jar[SESSION].clone();
    assert_ne!(first, second);
    let mut thief = Visitor::new(&world);
    thief.jar.insert(SESSION.to_owned(), first);
    assert_eq!(thief.get("/me").await.status, 303, "the cookie from before the sign-in opens nothing");
    assert_eq!(browser.get("/me").await.text().matches("<li>\n<p><strong>Firefox").count(), 1, "it is one session all the same");
    browser.sign_in("bob").await;
    thief.jar.insert(SESSION.to_owned(), second);
    assert_eq!(thief.get("/me").await.status, 303, "somebody else's session in this browser is over");
    assert!(browser.get("/me").await.text().contains("bob Example"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_ends_after_an_hour_without_use_and_after_eight_in_any_case() {
    let world = World::start().await;
    let mut browser = Visitor::new(&world);
    browser.sign_in("ann").await;
    world.server.clock.advance_seconds(3600);
    assert_eq!(browser.get("/me").await.status, 200);
    world.server.clock.advance_seconds(3661);
    assert_eq!(browser.get("/me").await.status, 303);
    browser.sign_in("ann").await;
    // A use is stored soon, not at once: half of the time keeps clear of that.
    for step in 1..17 {
        world.server.clock.advance_seconds(1700);
        assert_eq!(browser.get("/me").await.status, 200, "{step}");
    }
    world.server.clock.advance_seconds(1700);
    assert_eq!(browser.get("/me").await.status, 303);
}
