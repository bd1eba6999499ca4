//! `/me`: which apps are connected, for whose record, since when, how long; and who looked.

use portcullis_oauth::users::Role;
use portcullis_testkit::app::{AtConsent, hidden, query_value};
use portcullis_testkit::server::PASSWORD;
use portcullis_testkit::{App, Reply};
use portcullis_verifies::verifies;

use crate::fhir::World;

async fn me(world: &World, cookies: &str) -> Reply {
    world.server.move_outbox().await;
    let page = world.server.client.get("/me").header("cookie", cookies).send().await;
    assert_eq!(page.status, 200, "{}", page.text());
    page
}

/// Signs in and allows all of it: what the browser holds, and the token response.
async fn connected(app: &App, username: &str, scope: &str) -> (AtConsent, serde_json::Value) {
    let at = app.sign_in(&app.authorization_query(scope), username, PASSWORD).await;
    let back = app.consent(&at, &scope.split(' ').collect::<Vec<_>>(), "allow").await;
    let token = app.exchange(&query_value(&back, "code").unwrap()).await.json();
    (at, token)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_card_says_which_app_whose_record_since_when_and_when_it_was_used() {
    let world = World::start().await;
    let (at, token) = connected(&world.app, "carer", "launch/patient patient/Patient.r").await;
    let page = me(&world, &at.cookies).await.text();
    for words in
        ["<bdi>App app</bdi>", "<bdi>Test Ann</bdi>", "21 November 2020", "Not used yet", "Your name, birth date", "11:00 UTC"]
    {
        assert!(page.contains(words), "{words}: {page}");
    }
    world.server.clock.advance_seconds(125);
    let access = token["access_token"].as_str().unwrap();
    assert_eq!(world.server.client.get("/fhir/Patient/ann").bearer(access).send().await.status, 200);
    let page = me(&world, &at.cookies).await.text();
    assert!(page.contains("Last used on 21 November 2020 at 10:02 UTC"), "{page}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_ended_by_itself_is_not_listed() {
    let world = World::start().await;
    let (at, _) = connected(&world.app, "ann", "launch/patient patient/Patient.r").await;
    assert!(me(&world, &at.cookies).await.text().contains("<bdi>App app</bdi>"));
    world.server.clock.advance_seconds(3600);
    assert!(me(&world, &at.cookies).await.text().contains("You have allowed no app"));
    let (at, _) = connected(&world.app, "ann", "launch/patient offline_access patient/Patient.r").await;
    world.server.clock.advance_seconds(1800);
    me(&world, &at.cookies).await;
    world.server.clock.advance_seconds(1801);
    assert!(me(&world, &at.cookies).await.text().contains("<bdi>App app</bdi>"), "it can still be refreshed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_an_app_says_so_and_only_what_is_true() {
    let world = World::start().await;
    let (at, token) = connected(&world.app, "ann", "launch/patient offline_access patient/Patient.r").await;
    let page = me(&world, &at.cookies).await;
    let grant = hidden(&page, "grant");
    let early = world.server.client.get(&format!("/me?stopped={grant}")).header("cookie", &at.cookies).send().await;
    assert!(!early.text().contains("You stopped"), "a link cannot claim it");
    let csrf = page
        .text()
        .split("action=\"/me/revoke\"")
        .nth(1)
        .unwrap()
        .split("value=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap()
        .to_owned();
    let fields = [("csrf", csrf.as_str()), ("grant", grant.as_str())];
    let stopped = world.server.client.post("/me/revoke").header("cookie", &at.cookies).form(&fields).send().await;
    assert_eq!(stopped.status, 303);
    let after = world.server.client.get(stopped.header("location")).header("cookie", &at.cookies).send().await;
    assert!(after.text().contains("You stopped the access of App app."), "{}", after.text());
    let access = token["access_token"].as_str().unwrap();
    assert_eq!(world.server.client.get("/fhir/Patient/ann").bearer(access).send().await.status, 401);
    let bob = world.app.sign_in(&world.app.authorization_query("openid"), "bob", PASSWORD).await;
    let foreign = world.server.client.get(stopped.header("location")).header("cookie", &bob.cookies).send().await;
    assert!(!foreign.text().contains("You stopped"), "nobody learns of another person's apps");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_looked_is_told_in_sentences_to_the_person_and_to_nobody_else() {
    let world = World::start().await;
    let (at, token) = connected(&world.app, "ann", "launch/patient patient/*.read").await;
    let read = async |token: &str, path: &str| {
        assert_eq!(world.server.client.get(path).bearer(token).send().await.status, 200, "{path}");
    };
    let access = token["access_token"].as_str().unwrap();
    read(access, "/fhir/Observation/obs-ann-1").await;
    read(access, "/fhir/Observation?code=4548-4").await;
    let clinician = world.app.access_token("user/*.cruds", "who", PASSWORD).await;
    read(&clinician, "/fhir/Encounter/enc-ann").await;
    let page = me(&world, &at.cookies).await.text();
    let sentences: Vec<&str> =
        page.split("<ol class=\"looks\">").nth(1).unwrap().split("</ol>").next().unwrap().lines().collect();
    assert_eq!(sentences.iter().filter(|line| line.contains("<li>")).count(), 2, "{sentences:#?}");
    assert!(
        page.contains("<bdi>You, with App app,</bdi> saw your test results, vital signs and answers to health questions, twice.")
    );
    assert!(page.contains("<bdi>who Example, with App app,</bdi> saw your visits and hospital stays. "), "{page}");
    assert!(page.contains("21 November 2020 at 10:00 UTC"));

    let bob = world.app.sign_in(&world.app.authorization_query("openid"), "bob", PASSWORD).await;
    assert!(me(&world, &bob.cookies).await.text().contains("No recent request"));
    let carer = world.app.sign_in(&world.app.authorization_query("openid"), "carer", PASSWORD).await;
    let page = me(&world, &carer.cookies).await.text();
    assert!(page.contains("saw Test Ann’s visits and hospital stays."), "{page}");
    assert!(page.contains("<bdi>ann Example, with App app,</bdi> saw Test Ann’s test results"), "{page}");
    for other in ["who", "audit", "admin"] {
        let at = world.app.sign_in(&world.app.authorization_query("openid"), other, PASSWORD).await;
        assert!(!me(&world, &at.cookies).await.text().contains("saw "), "{other}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_consent_screen_marks_what_the_app_did_not_have_before() {
    let world = World::start().await;
    world.server.add_user("two", &[Role::Representative], None, &["ann", "bob"]).await;
    let first = world.app.sign_in(&world.app.authorization_query("launch/patient patient/Patient.r"), "ann", PASSWORD).await;
    assert!(!first.page.text().contains("New since last time"), "there was no last time");
    connected(&world.app, "ann", "launch/patient patient/Patient.r").await;
    let query = world.app.authorization_query("launch/patient patient/Patient.r patient/Observation.rs");
    let page = world.app.sign_in(&query, "ann", PASSWORD).await.page.text();
    assert_eq!(page.matches("New since last time").count(), 1, "{page}");
    let line = page.lines().find(|line| line.contains("New since last time")).unwrap();
    assert!(line.contains("patient/Observation.rs"), "{line}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_is_told_of_grants_with_scopes_as_uris() {
    verifies!("SMART-51");
    let world = World::start().await;
    world.app.authorize("openid fhirUser launch/patient offline_access patient/*.read", "ann", PASSWORD).await;
    let show = portcullis_server::admin::UserRequest::Show { username: "ann".into() };
    let details = crate::account::links::details(&world, "root", show).await;
    let exported = serde_json::to_value(&details).unwrap();
    let [grant] = exported["grants"].as_array().unwrap().as_slice() else { panic!("{exported}") };
    assert_eq!((&grant["client"], &grant["patient"]), (&serde_json::json!("app"), &serde_json::json!("ann")));
    let expected = [
        "http://openid.net/specs/openid-connect-core-1_0#openid",
        "http://smarthealthit.org/fhir/scopes/fhirUser",
        "http://smarthealthit.org/fhir/scopes/launch/patient",
        "http://openid.net/specs/openid-connect-core-1_0#offline_access",
        "http://smarthealthit.org/fhir/scopes/patient/*.read",
    ];
    assert_eq!(grant["scopes"], serde_json::json!(expected));
}
