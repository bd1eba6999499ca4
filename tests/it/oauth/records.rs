//! What the audit trail says about pages and tokens, as an auditor finds it: `AuditEvent?patient=`.

use portcullis_audit::record::{Event, Outcome};
use portcullis_testkit::app::query_value;
use portcullis_testkit::server::PASSWORD;
use portcullis_testkit::{App, Reply};
use serde_json::Value;

use crate::fhir::World;

/// A token of somebody who reads the whole trail.
async fn auditor(world: &World) -> String {
    world.app.access_token("user/AuditEvent.rs", "audit", PASSWORD).await
}

/// The events that fit, as subtype (or type), outcome, client and user.
async fn told(world: &World, token: &str, query: &str) -> Vec<String> {
    world.server.move_outbox().await;
    let bundle = world.server.client.get(&format!("/fhir/AuditEvent?{query}&_count=100")).bearer(token).send().await;
    assert_eq!(bundle.status, 200, "{}", bundle.text());
    let entries = bundle.json()["entry"].as_array().cloned().unwrap_or_default();
    let matches = entries.iter().filter(|entry| entry["search"]["mode"] == "match");
    // That the world was imported and what the auditor looked at is on record, too.
    let mut lines: Vec<String> = matches
        .map(|entry| line(&entry["resource"]))
        .filter(|line| !line.starts_with("create ") && !line.ends_with(" user-audit"))
        .collect();
    // Every record of a fake clock has the same time.
    lines.sort();
    lines
}

fn line(event: &Value) -> String {
    let code = event["subtype"][0]["code"].as_str().or(event["type"]["code"].as_str()).unwrap();
    let agents = event["agent"].as_array().unwrap();
    let who = |requestor: bool| {
        let agent = agents.iter().find(|agent| agent["requestor"] == requestor);
        agent.and_then(|agent| agent["who"]["identifier"]["value"].as_str()).unwrap_or("nobody").to_owned()
    };
    let code = if code.contains("onsent") { "consent-decision" } else { code };
    format!("{code} {} {} {}", event["outcome"].as_str().unwrap(), who(false), who(true))
}

/// The carer, who acts for Ann, allows an app; the reply leads back with a code.
async fn allow(app: &App, scope: &str) -> Reply {
    let at = app.sign_in(&app.authorization_query(scope), "carer", PASSWORD).await;
    assert_eq!(at.page.status, 200, "{}", at.page.text());
    app.consent(&at, &scope.split(' ').collect::<Vec<_>>(), "allow").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_that_happens_to_a_grant_is_found_by_its_patient() {
    let world = World::start().await;
    let token = auditor(&world).await;
    let scope = "launch/patient offline_access patient/Patient.r";
    let before = told(&world, &token, "patient=ann").await;
    assert_eq!(before, Vec::<String>::new());

    let code = query_value(&allow(&world.app, scope).await, "code").unwrap();
    let page_and_consent = ["110110 0 app user-carer", "consent-decision 0 app user-carer"];
    assert_eq!(told(&world, &token, "patient=ann").await, page_and_consent);
    let issued = world.app.exchange(&code).await.json();
    let refreshing = [("grant_type", "refresh_token"), ("refresh_token", issued["refresh_token"].as_str().unwrap())];
    assert_eq!(world.app.token_request(&refreshing).await.status, 200);
    assert_eq!(world.app.token_request(&refreshing).await.status, 400, "a reuse, which ends the grant");
    let tokens = ["ITI-71 0 app user-carer", "ITI-71 0 app user-carer", "ITI-71 8 app user-carer"];
    let [page, consent] = page_and_consent;
    assert_eq!(told(&world, &token, "patient=ann").await, [&[page][..], &tokens, &[consent]].concat());

    let code = query_value(&allow(&world.app, scope).await, "code").unwrap();
    let issued = world.app.exchange(&code).await.json();
    assert_eq!(world.app.exchange(&code).await.status, 400, "a replay of the code");
    let fields = [("token", issued["refresh_token"].as_str().unwrap())];
    assert_eq!(world.app.token_request_to("/oauth/revoke", &fields).await.status, 200);
    let found = told(&world, &token, "patient=ann").await;
    assert_eq!(found.iter().filter(|line| *line == "ITI-71 8 app user-carer").count(), 2, "{found:#?}");
    assert_eq!(found.iter().filter(|line| *line == "110137 0 app nobody").count(), 1, "{found:#?}");
    assert_eq!(told(&world, &token, "patient=bob").await, Vec::<String>::new(), "nobody else's trail has any of it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_shown_names_to_choose_from_leaves_a_record_about_each() {
    let world = World::start().await;
    world.server.import(&[portcullis_testkit::resources::patient("cid", "Cid")]).await;
    world.server.import(&[portcullis_testkit::resources::encounter("enc-cid", "cid", "who", "hospital")]).await;
    let token = auditor(&world).await;
    let at = world.app.sign_in(&world.app.authorization_query("launch/patient patient/Patient.r"), "who", PASSWORD).await;
    assert!(at.page.text().contains("Test Ann") && at.page.text().contains("Test Cid"));
    for patient in ["ann", "cid"] {
        assert_eq!(told(&world, &token, &format!("patient={patient}")).await, ["110110 0 app user-who"], "{patient}");
    }
    assert_eq!(told(&world, &token, "patient=bob").await, Vec::<String>::new());
    world.app.consent(&at, &[], "deny").await;
    let agent = told(&world, &token, "agent:identifier=user-who").await;
    assert!(agent.contains(&"consent-decision 8 app user-who".to_owned()), "{agent:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_own_page_leaves_a_record_about_whose_names_it_shows() {
    let world = World::start().await;
    let token = auditor(&world).await;
    let at = world.app.sign_in(&world.app.authorization_query("launch/patient patient/Patient.r"), "carer", PASSWORD).await;
    assert_eq!(world.server.client.get("/me").header("cookie", &at.cookies).send().await.status, 200);
    let found = told(&world, &token, "patient=ann").await;
    assert_eq!(found.iter().filter(|line| *line == "110110 0 nobody user-carer").count(), 1, "{found:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_token_request_names_the_client_as_far_as_it_is_known() {
    let world = World::start().await;
    let secretive = world.server.add_app("secretive", "openid", true).await;
    let wrong = App { secret: Some("wrong".to_owned()), ..secretive.clone() };
    let unknown = App { client_id: "stranger".to_owned(), ..world.app.clone() };
    for app in [&world.app, &secretive, &wrong, &unknown] {
        assert!(app.exchange("nonsense").await.status.is_client_error());
        assert!(app.token_request(&[("grant_type", "password")]).await.status.is_client_error());
    }
    let records = world.server.records();
    let named = records.iter().filter(|record| record.event == Event::Token && record.outcome == Outcome::Denied);
    let named: Vec<&str> = named.map(|record| record.agent.client.as_deref().unwrap_or("nobody")).collect();
    assert_eq!(named, ["app", "app", "secretive", "secretive", "secretive", "secretive", "stranger", "stranger"]);
}
