//! Dynamic registration: off unless the operator says otherwise, with exact errors, limited, and without any entitlement.

use http::Method;
use portcullis_oauth::grant::SecretHash;
use portcullis_server::context::{AuthorizationSettings, RegistrationPolicy};
use portcullis_store::Clock as _;
use portcullis_store::client_registration::{InitialAccessToken, RegistrationChange};
use portcullis_store::registry::Change;
use portcullis_testkit::{Reply, TestServer};
use portcullis_verifies::verifies;
use serde_json::{Value, json};

const PATH: &str = "/oauth/register";

async fn server(registration: RegistrationPolicy, registrations_per_hour: u32) -> TestServer {
    TestServer::start_with(AuthorizationSettings { registration, registrations_per_hour, ..Default::default() }).await
}

async fn send(server: &TestServer, token: Option<&str>, method: Method, path: &str, body: Option<&Value>) -> Reply {
    let mut request = server.client.request(method, path);
    if let Some(token) = token {
        request = request.bearer(token);
    }
    match body {
        None => request.send().await,
        Some(body) => request.header("content-type", "application/json").bytes(body.to_string()).send().await,
    }
}

fn error(reply: &Reply) -> (u16, String) {
    (reply.status.as_u16(), reply.json()["error"].as_str().unwrap_or_default().to_owned())
}

fn good() -> Value {
    json!({"client_name": "Growth chart", "redirect_uris": ["https://growth.example/cb"], "scope": "launch/patient patient/*.rs openid",
        "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"], "token_endpoint_auth_method": "none"})
}

fn metadata_names_it(document: &Value) -> bool {
    document["registration_endpoint"].is_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_operator_did_not_open_it_nobody_registers() {
    verifies!("OAUTH-14");
    let server = server(RegistrationPolicy::Off, 20).await;
    assert_eq!(error(&send(&server, None, Method::POST, PATH, Some(&good())).await), (404, "not_found".into()));
    assert_eq!(error(&send(&server, Some("t"), Method::GET, "/oauth/register/x", None).await), (404, "not_found".into()));
    let metadata = server.client.get("/.well-known/oauth-authorization-server").send().await.json();
    assert!(!metadata_names_it(&metadata));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_an_initial_access_token_a_client_registers_as_often_as_it_says() {
    verifies!("OAUTH-14");
    let server = server(RegistrationPolicy::Token, 20).await;
    let now = server.clock.now_seconds();
    for (token, uses_left, expires_at) in [("initial", 1, now + 600), ("late", 5, now)] {
        let hash = SecretHash::of(token);
        let token =
            InitialAccessToken { hash, id: token.into(), name: "A vendor".into(), uses_left, created_at: now, expires_at };
        server.change(Change::Registration(RegistrationChange::AddInitialToken(token))).await;
    }
    for token in [None, Some("wrong"), Some("late")] {
        let reply = send(&server, token, Method::POST, PATH, Some(&good())).await;
        assert_eq!(error(&reply), (401, "invalid_token".into()), "{token:?}");
        assert!(reply.header("www-authenticate").starts_with("Bearer"));
        assert_eq!(reply.header("www-authenticate").contains("error="), token.is_some(), "no error where no token came");
    }
    let mut faulty = good();
    faulty["redirect_uris"] = json!(["http://growth.example/"]);
    assert_eq!(
        error(&send(&server, Some("initial"), Method::POST, PATH, Some(&faulty)).await),
        (400, "invalid_redirect_uri".into())
    );
    let reply = send(&server, Some("initial"), Method::POST, PATH, Some(&good())).await;
    assert_eq!(reply.status, 201, "what was refused spent nothing: {}", reply.text());
    assert_eq!(error(&send(&server, Some("initial"), Method::POST, PATH, Some(&good())).await), (401, "invalid_token".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registration_is_answered_in_full_and_managed_by_its_own_token() {
    verifies!("OAUTH-13");
    let server = server(RegistrationPolicy::Open, 20).await;
    let metadata = server.client.get("/.well-known/oauth-authorization-server").send().await.json();
    assert!(metadata_names_it(&metadata));
    let reply = send(&server, None, Method::POST, PATH, Some(&good())).await;
    assert_eq!((reply.status.as_u16(), reply.header("cache-control")), (201, "no-store"), "{}", reply.text());
    let body = reply.json();
    for (name, value) in good().as_object().unwrap() {
        assert_eq!(&body[name], value, "{name}");
    }
    assert_eq!((&body["dynamic"], &body["verified"]), (&json!(true), &Value::Null));
    let token = body["registration_access_token"].as_str().unwrap().to_owned();
    let own =
        body["registration_client_uri"].as_str().unwrap().strip_prefix(&server.server.settings.public_url).unwrap().to_owned();
    let other = send(&server, None, Method::POST, PATH, Some(&good())).await.json();
    let other = other["registration_access_token"].as_str().unwrap().to_owned();
    for token in [None, Some("wrong"), Some(other.as_str())] {
        for method in [Method::GET, Method::PUT, Method::DELETE] {
            let reply = send(&server, token, method, &own, Some(&good())).await;
            assert_eq!(error(&reply), (401, "invalid_token".into()), "{token:?}");
        }
    }
    let read = send(&server, Some(&token), Method::GET, &own, None).await.json();
    assert_eq!(
        (&read["client_id"], &read["registration_access_token"]),
        (&body["client_id"], &body["registration_access_token"])
    );
    let mut changed = good();
    changed["client_name"] = json!("Growth chart 2");
    let updated = send(&server, Some(&token), Method::PUT, &own, Some(&changed)).await;
    assert_eq!((updated.status.as_u16(), &updated.json()["client_name"]), (200, &json!("Growth chart 2")));
    changed["client_id"] = json!("another");
    let refused = send(&server, Some(&token), Method::PUT, &own, Some(&changed)).await;
    assert_eq!(error(&refused), (400, "invalid_client_metadata".into()), "nobody changes another's registration");
    changed["client_id"] = body["client_id"].clone();
    changed["verified"] = json!(true);
    let refused = send(&server, Some(&token), Method::PUT, &own, Some(&changed)).await;
    assert_eq!(error(&refused), (400, "invalid_client_metadata".into()), "nobody verifies itself");
    assert_eq!(error(&send(&server, Some(&token), Method::POST, &own, Some(&good())).await), (405, "invalid_request".into()));
    // A client that the operator took over is not its own to manage any more.
    let id = body["client_id"].as_str().unwrap();
    server.change_client(id, |client| client.properties.dynamic = false).await;
    assert_eq!(error(&send(&server, Some(&token), Method::GET, &own, None).await), (401, "invalid_token".into()));
    server.change_client(id, |client| client.properties.dynamic = true).await;
    assert_eq!(send(&server, Some(&token), Method::DELETE, &own, None).await.status, 204);
    assert_eq!(error(&send(&server, Some(&token), Method::GET, &own, None).await), (401, "invalid_token".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faulty_metadata_has_the_exact_error_and_the_hour_its_limit() {
    verifies!("OAUTH-13", "OAUTH-27");
    let server = server(RegistrationPolicy::Open, 2).await;
    for (name, value, code) in [
        ("redirect_uris", json!([]), "invalid_redirect_uri"),
        ("redirect_uris", json!(["https://growth.example/#x"]), "invalid_redirect_uri"),
        ("redirect_uris", json!(["custom:cb"]), "invalid_redirect_uri"),
        ("grant_types", json!(["client_credentials"]), "invalid_client_metadata"),
        ("grant_types", json!(["password"]), "invalid_client_metadata"),
        ("response_types", json!(["token"]), "invalid_client_metadata"),
        ("scope", json!("system/*.rs"), "invalid_client_metadata"),
        ("token_endpoint_auth_method", json!("client_secret_jwt"), "invalid_client_metadata"),
        ("smart", json!("1.0"), "invalid_client_metadata"),
        ("administrator", json!(true), "invalid_client_metadata"),
        ("resource_server", json!(true), "invalid_client_metadata"),
        ("software_statement", json!("a.b.c"), "invalid_software_statement"),
    ] {
        let mut faulty = good();
        faulty[name] = value.clone();
        let reply = send(&server, None, Method::POST, PATH, Some(&faulty)).await;
        assert_eq!(error(&reply), (400, code.to_owned()), "{name} {value}");
        assert!(reply.json()["error_description"].is_string());
    }
    for url in ["http://keys.example/jwks", "https://169.254.169.254/jwks", "https://127.0.0.1/jwks"] {
        let mut keys = good();
        keys["token_endpoint_auth_method"] = json!("private_key_jwt");
        keys["jwks_uri"] = json!(url);
        assert_eq!(
            error(&send(&server, None, Method::POST, PATH, Some(&keys)).await),
            (400, "invalid_client_metadata".into()),
            "{url}"
        );
    }
    let form = server.client.post(PATH).form(&[("redirect_uris", "x")]).send().await;
    assert_eq!(error(&form), (400, "invalid_request".into()));
    assert_eq!(error(&send(&server, None, Method::GET, PATH, None).await), (405, "invalid_request".into()));
    for expected in [201, 201, 429] {
        let reply = send(&server, None, Method::POST, PATH, Some(&good())).await;
        assert_eq!(reply.status, expected, "{}", reply.text());
    }
    server.clock.advance_seconds(3600);
    assert_eq!(send(&server, None, Method::POST, PATH, Some(&good())).await.status, 201);
}
