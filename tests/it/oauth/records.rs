//! What the audit trail says about pages and tokens, as an auditor finds it: `AuditEvent?patient=`.

use portcullis_audit::record::{Event, Outcome};
use portcullis_oauth::clients::KeySource;
use portcullis_server::context::{AuthorizationSettings, RegistrationPolicy};
use portcullis_store::Clock as _;
use portcullis_testkit::app::{cookie, hidden, query_value};
use portcullis_testkit::server::PASSWORD;
use portcullis_testkit::{App, ClientKey, Reply, TestServer};
use portcullis_verifies::verifies;
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

/// What has been recorded of authentication and authorization (DCM 110113 and 110114): subtype or type, and outcome.
async fn security_events(world: &World, token: &str) -> Vec<String> {
    world.server.move_outbox().await;
    let mut found = Vec::new();
    for code in ["110113", "110114"] {
        let path = format!("/fhir/AuditEvent?type=http://dicom.nema.org/resources/ontology/DCM|{code}&_count=200");
        let bundle = world.server.client.get(&path).bearer(token).send().await;
        assert_eq!(bundle.status, 200, "{}", bundle.text());
        let entries = bundle.json()["entry"].as_array().cloned().unwrap_or_default();
        let of = |event: &Value| line(event).split(' ').take(2).collect::<Vec<_>>().join(" ");
        found.extend(entries.iter().map(|entry| &entry["resource"]).filter(|event| event["type"]["code"] == code).map(of));
    }
    found.sort();
    found
}

/// What is in the second list and not in the first.
fn added(before: &[String], after: &[String]) -> Vec<String> {
    let mut rest = before.to_vec();
    let is_new = |line: &&String| match rest.iter().position(|known| known == *line) {
        Some(position) => {
            rest.swap_remove(position);
            false
        }
        None => true,
    };
    after.iter().filter(is_new).cloned().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_way_to_be_authenticated_or_authorized_leaves_an_event_of_its_kind() {
    verifies!("SEED-USCORE-13");
    let settings = AuthorizationSettings {
        registration: RegistrationPolicy::Open,
        registrations_per_hour: 10,
        ..AuthorizationSettings::default()
    };
    let world = World::over(TestServer::start_with(settings).await).await;
    let token = auditor(&world).await;
    let key = ClientKey::generate("k1", "ES384");
    let keys = KeySource::value(&key.jwks().to_string()).unwrap();
    let backend = world.server.add_backend("backend", "system/Patient.r", key, keys).await;
    let asking = world.server.add_app("asking", "openid", true).await;
    let client = &world.server.client;
    let mut known = security_events(&world, &token).await;
    let mut new = async |what: &str, expected: &[&str]| {
        let now = security_events(&world, &token).await;
        let events = added(&known, &now);
        assert_eq!(events, expected, "{what}");
        known = now;
    };

    let login = client.get("/login").send().await;
    let fields = [("csrf", hidden(&login, "csrf")), ("username", "ann".into()), ("password", "wrong".into())];
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    client.post("/login").header("cookie", &cookie(&login)).form(&fields).send().await;
    new("a failed sign-in", &["110122 8"]).await;

    let scope = "launch/patient patient/Patient.r offline_access";
    let at = world.app.sign_in(&world.app.authorization_query(scope), "ann", PASSWORD).await;
    new("a sign-in", &["110122 0"]).await;
    let back = world.app.consent(&at, &scope.split(' ').collect::<Vec<_>>(), "allow").await;
    new("an authorization", &["consent-decision 0"]).await;
    let issued = world.app.exchange(&query_value(&back, "code").unwrap()).await.json();
    new("a code", &["ITI-71 0"]).await;
    let refreshing = [("grant_type", "refresh_token"), ("refresh_token", issued["refresh_token"].as_str().unwrap())];
    let issued = world.app.token_request(&refreshing).await.json();
    new("a refresh", &["ITI-71 0"]).await;
    backend.token(world.server.clock.now_seconds(), "one", "system/Patient.r").await;
    new("client_credentials", &["ITI-71 0"]).await;
    let pushed: Vec<(String, String)> =
        url::form_urlencoded::parse(asking.authorization_query("openid").as_bytes()).into_owned().collect();
    let pushed: Vec<(&str, &str)> = pushed.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let pushed: Vec<(&str, &str)> = pushed.into_iter().filter(|(name, _)| *name != "client_id").collect();
    assert_eq!(asking.token_request_to("/oauth/par", &pushed).await.status, 201);
    new("a pushed request", &["110113 0"]).await;
    let token = issued["access_token"].as_str().unwrap();
    assert_eq!(asking.token_request_to("/oauth/introspect", &[("token", token)]).await.status, 200);
    new("an introspection", &["110114 0"]).await;
    let token = issued["refresh_token"].as_str().unwrap();
    assert_eq!(world.app.token_request_to("/oauth/revoke", &[("token", token)]).await.status, 200);
    new("a revocation", &["110137 0"]).await;
    let body = serde_json::json!({"client_name": "New", "redirect_uris": ["https://new.example/cb"], "scope": "patient/Patient.r",
        "token_endpoint_auth_method": "none"});
    let request = client.post("/oauth/register").header("content-type", "application/json");
    assert_eq!(request.bytes(body.to_string()).send().await.status, 201);
    new("a registration", &["110129 0"]).await;
    let denied = world.app.sign_in(&world.app.authorization_query(scope), "ann", PASSWORD).await;
    world.app.consent(&denied, &[], "deny").await;
    new("a refused authorization", &["110122 0", "consent-decision 8"]).await;
}
