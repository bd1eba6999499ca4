//! `/admin/clients`: who may manage clients over HTTPS, by which rules, and what is recorded. And what a narrower registration does to tokens.

use http::Method;
use portcullis_audit::record::Event;
use portcullis_oauth::clients::KeySource;
use portcullis_oauth::scopes::ScopeSet;
use portcullis_store::Clock as _;
use portcullis_testkit::server::PASSWORD;
use portcullis_testkit::{ClientKey, Reply};
use portcullis_verifies::verifies;
use serde_json::{Value, json};

use crate::fhir::World;

const PATH: &str = "/admin/clients";

async fn send(world: &World, token: &str, method: Method, path: &str, body: Option<Value>) -> Reply {
    let request = world.server.client.request(method, path).bearer(token);
    match body {
        None => request.send().await,
        Some(body) => request.header("content-type", "application/json").bytes(body.to_string()).send().await,
    }
}

fn error(reply: &Reply) -> (u16, String) {
    assert_eq!((reply.header("cache-control"), reply.header("pragma")), ("no-store", "no-cache"));
    (reply.status.as_u16(), reply.json()["error"].as_str().unwrap_or_default().to_owned())
}

/// A token of a client that may manage clients, or may not.
async fn token(world: &World, id: &str, administrator: bool) -> String {
    let key = ClientKey::generate("key-1", "ES384");
    let keys = KeySource::value(&key.jwks().to_string()).unwrap();
    let client = world.server.add_backend(id, "system/Location.r", key, keys).await;
    world.server.change_client(id, |client| client.properties.administrator = administrator).await;
    client.token(world.server.clock.now_seconds(), "1", "system/Location.r").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_an_administrators_program_manages_clients() {
    let world = World::start().await;
    let ordinary = token(&world, "ordinary", false).await;
    let administrator = token(&world, "manager", true).await;
    let person = world.app.access_token("user/*.cruds", "admin", PASSWORD).await;
    let denied = (403, "access_denied".to_owned());
    assert_eq!(error(&send(&world, &ordinary, Method::GET, PATH, None).await), denied);
    assert_eq!(
        error(&send(&world, &person, Method::GET, PATH, None).await),
        denied,
        "an app of a person who is an administrator"
    );
    assert_eq!(error(&send(&world, "x.y.z", Method::GET, PATH, None).await), (401, "invalid_token".into()));
    let nobody = world.server.client.get(PATH).send().await;
    assert!(nobody.status == 401 && nobody.headers.contains_key("www-authenticate"));
    let listed = send(&world, &administrator, Method::GET, PATH, None).await.json();
    assert!(listed["clients"].as_array().unwrap().iter().any(|client| client["client_id"] == "app"));
    assert!(!listed.to_string().contains("secret_hash"));
    // An entitlement that is taken away is gone with the next request.
    world.server.change_client("manager", |client| client.properties.administrator = false).await;
    assert_eq!(error(&send(&world, &administrator, Method::GET, PATH, None).await), denied);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_is_added_shown_changed_and_removed() {
    verifies!("SMART-12");
    let world = World::start().await;
    let manager = token(&world, "manager", true).await;
    let document = json!({"client_name": "Growth chart", "redirect_uris": ["https://growth.example/cb"], "scope": "launch/patient patient/*.rs",
        "token_endpoint_auth_method": "client_secret_basic", "smart": "1.0", "verified": true, "contacts": ["dev@growth.example"],
        "launch_urls": ["https://growth.example/launch", "https://growth.example/launch?b=1"]});
    let added = send(&world, &manager, Method::POST, PATH, Some(document.clone())).await;
    assert_eq!(added.status, 201, "{}", added.text());
    let body = added.json();
    let id = body["client_id"].as_str().unwrap().to_owned();
    let one = format!("{PATH}/{id}");
    assert_eq!(added.header("location"), one);
    assert!(body["client_secret"].as_str().unwrap().len() >= 43 && body["client_secret_expires_at"] == 0);
    let shown = send(&world, &manager, Method::GET, &one, None).await.json();
    assert!(shown["client_secret"].is_null(), "told once");
    assert_eq!((&shown["smart"], &shown["verified"]), (&json!("1.0"), &json!(true)));
    assert_eq!((&shown["launch_urls"], &shown["redirect_uris"]), (&document["launch_urls"], &document["redirect_uris"]));
    let mut changed = document.clone();
    changed["scope"] = json!("patient/Patient.r");
    changed.as_object_mut().unwrap().remove("smart");
    let reply = send(&world, &manager, Method::PUT, &one, Some(changed)).await;
    assert_eq!((reply.status.as_u16(), &reply.json()["scope"]), (200, &json!("patient/Patient.r")), "{}", reply.text());
    assert!(reply.json()["smart"].is_null() && reply.json()["client_secret"].is_null(), "the secret stays");
    for (name, value, code) in [
        ("redirect_uris", json!(["http://growth.example/"]), "invalid_redirect_uri"),
        ("redirect_uris", json!([]), "invalid_redirect_uri"),
        ("launch_urls", json!(["http://growth.example/launch"]), "invalid_client_metadata"),
        ("launch_urls", json!(["/launch"]), "invalid_client_metadata"),
        ("grant_types", json!(["implicit"]), "invalid_client_metadata"),
        ("scope", json!("nonsense"), "invalid_client_metadata"),
        ("administrator", json!("yes"), "invalid_client_metadata"),
        ("jwks_uri", json!("https://169.254.169.254/jwks"), "invalid_client_metadata"),
    ] {
        let mut faulty = document.clone();
        faulty[name] = value;
        assert_eq!(error(&send(&world, &manager, Method::POST, PATH, Some(faulty.clone())).await), (400, code.into()), "{name}");
        assert_eq!(error(&send(&world, &manager, Method::PUT, &one, Some(faulty)).await), (400, code.into()), "{name}");
    }
    assert_eq!(error(&send(&world, &manager, Method::PATCH, &one, None).await), (405, "invalid_request".into()));
    assert_eq!(error(&send(&world, &manager, Method::POST, PATH, None).await), (400, "invalid_request".into()));
    assert_eq!(send(&world, &manager, Method::DELETE, &one, None).await.status, 204);
    assert_eq!(error(&send(&world, &manager, Method::GET, &one, None).await), (404, "not_found".into()));
    let records = world.server.records();
    let told = |text: String| {
        records.iter().any(|record| {
            record.event == Event::Administration
                && record.agent.client.as_deref() == Some("manager")
                && record.agent.token.is_some()
                && record.detail.as_deref() == Some(text.as_str())
        })
    };
    for what in ["added", "shown", "changed", "removed"] {
        assert!(told(format!("client {what}: {id}")), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn narrower_scopes_count_from_the_next_refresh_and_new_addresses_end_nothing() {
    let world = World::start().await;
    let asked = "launch/patient offline_access patient/Patient.r patient/Observation.rs";
    let response = world.app.authorize(asked, "ann", PASSWORD).await;
    let refresh = |token: String, scope: Option<&'static str>| {
        let app = world.app.clone();
        async move {
            let mut fields = vec![("grant_type", "refresh_token"), ("refresh_token", token.as_str())];
            fields.extend(scope.map(|scope| ("scope", scope)));
            app.token_request(&fields).await
        }
    };
    let first = refresh(response["refresh_token"].as_str().unwrap().to_owned(), None).await.json();
    assert_eq!(first["scope"], asked);
    world
        .server
        .change_client("app", |client| {
            client.scope = ScopeSet::parse("launch/patient offline_access patient/Patient.r").unwrap();
            client.redirect_uris = vec![portcullis_oauth::redirect_uri::RedirectUri::parse("https://moved.example/cb").unwrap()];
        })
        .await;
    let reply = refresh(first["refresh_token"].as_str().unwrap().to_owned(), Some("patient/Observation.rs")).await;
    assert_eq!(error(&reply), (400, "invalid_scope".into()), "what was granted and is not registered any more");
    let second = refresh(first["refresh_token"].as_str().unwrap().to_owned(), None).await;
    assert_eq!(
        (second.status.as_u16(), &second.json()["scope"]),
        (200, &json!("launch/patient offline_access patient/Patient.r"))
    );
    let access = second.json()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(world.server.client.get("/fhir/Patient/ann").bearer(&access).send().await.status, 200);
    assert_eq!(world.server.client.get("/fhir/Observation/obs-ann-1").bearer(&access).send().await.status, 403);
}
