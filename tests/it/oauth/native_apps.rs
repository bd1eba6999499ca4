//! Apps on a person's device that are sent back to by a scheme of their own (RFC 8252 section 7.1): who may, what the person is told, and where answers go.

use http::Method;
use portcullis_oauth::clients::ApplicationType;
use portcullis_oauth::redirect_uri::RedirectUri;
use portcullis_server::context::{AuthorizationSettings, RegistrationPolicy};
use portcullis_testkit::app::query_value;
use portcullis_testkit::server::PASSWORD;
use portcullis_testkit::{App, TestServer};
use portcullis_verifies::verifies;
use serde_json::{Value, json};

use crate::fhir::{SCOPE, World};

const CALLBACK: &str = "com.example.app:/callback";

/// An app on a phone.
async fn native(world: &World) -> App {
    let app = world.server.add_app("native", SCOPE, false).await;
    world
        .server
        .change_client("native", |client| {
            client.redirect_uris = vec![RedirectUri::parse(CALLBACK).unwrap()];
            client.properties.application_type = Some(ApplicationType::Native);
        })
        .await;
    App { redirect_uri: CALLBACK.to_owned(), ..app }
}

fn metadata(redirect_uri: &str) -> Value {
    json!({"redirect_uris": [redirect_uri], "application_type": "native", "token_endpoint_auth_method": "none",
        "scope": "launch/patient patient/*.rs", "grant_types": ["authorization_code"], "response_types": ["code"]})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_public_app_on_a_device_registers_a_scheme_of_its_own() {
    verifies!("OAUTH-14");
    let settings =
        AuthorizationSettings { registration: RegistrationPolicy::Open, registrations_per_hour: 100, ..Default::default() };
    let server = TestServer::start_with(settings).await;
    let register = async |metadata: &Value| {
        let request = server.client.post("/oauth/register").header("content-type", "application/json");
        request.bytes(metadata.to_string()).send().await
    };
    for redirect_uri in [
        "javascript:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "intent:/callback",
        "myapp:/callback",
        "http://com.example.app/callback",
        "com.example.app:callback",
        "com.example.app://callback",
        "com.example.app://hospital.example/callback",
        "Com.Example.App:/callback",
        "com.example.app:/callback#x",
        "com.example.app:/*",
    ] {
        let reply = register(&metadata(redirect_uri)).await;
        assert_eq!((reply.status.as_u16(), &reply.json()["error"]), (400, &json!("invalid_redirect_uri")), "{redirect_uri}");
    }
    for (member, value) in [
        ("application_type", json!(null)),
        ("application_type", json!("web")),
        ("token_endpoint_auth_method", json!("client_secret_basic")),
    ] {
        let mut other = metadata(CALLBACK);
        other[member] = value;
        let reply = register(&other).await;
        assert_eq!((reply.status.as_u16(), &reply.json()["error"]), (400, &json!("invalid_redirect_uri")), "{other}");
        assert!(reply.json()["error_description"].to_string().contains("application_type native"), "{}", reply.text());
    }
    let mut unknown = metadata(CALLBACK);
    unknown["application_type"] = json!("toaster");
    assert_eq!(register(&unknown).await.json()["error"], "invalid_client_metadata");
    let reply = register(&metadata(CALLBACK)).await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    let body = reply.json();
    assert_eq!((&body["redirect_uris"], &body["application_type"]), (&json!([CALLBACK]), &json!("native")));
    assert_eq!(body["client_name"], "com.example.app", "who names itself not at all is called by its scheme");
    // What it has registered it cannot turn into what could not be registered.
    let token = body["registration_access_token"].as_str().unwrap();
    let own =
        body["registration_client_uri"].as_str().unwrap().strip_prefix(&server.server.settings.public_url).unwrap().to_owned();
    let mut web = metadata(CALLBACK);
    web["application_type"] = json!("web");
    let request = server.client.request(Method::PUT, &own).bearer(token).header("content-type", "application/json");
    assert_eq!(request.bytes(web.to_string()).send().await.json()["error"], "invalid_redirect_uri");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_is_not_registered_letter_for_letter_is_told_to_the_person_and_nobody_is_sent_there() {
    verifies!("OAUTH-01", "SMART-22");
    let world = World::start().await;
    let app = native(&world).await;
    for requested in [
        "com.example.app:/callback/",
        "com.example.app:/Callback",
        "COM.EXAMPLE.APP:/callback",
        "com.example.app://callback",
        "com.example.app2:/callback",
        "com.example.app:/callback?next=1",
        "https://com.example.app/callback",
        "https://127.0.0.1:9/callback",
    ] {
        let other = App { redirect_uri: requested.to_owned(), ..app.clone() };
        let query = other.authorization_query("launch/patient patient/Patient.r");
        let reply = world.server.client.get(&format!("/oauth/authorize?{query}")).send().await;
        assert_eq!((reply.status.as_u16(), reply.header("location")), (400, ""), "{requested}");
        assert!(!reply.header("content-security-policy").contains("com.example"), "{requested}");
    }
    // Nor where the registration has become one that could not be made: an app of a web server.
    let mut client = world
        .server
        .server
        .registry
        .client(&portcullis_oauth::identifiers::ClientId::parse("native").unwrap())
        .await
        .unwrap()
        .unwrap();
    client.properties.application_type = None;
    world.server.change(portcullis_store::registry::Change::ReplaceClient(Box::new(client))).await;
    let query = app.authorization_query("launch/patient patient/Patient.r");
    let reply = world.server.client.get(&format!("/oauth/authorize?{query}")).send().await;
    assert_eq!((reply.status.as_u16(), reply.header("location")), (400, ""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_on_a_device_gets_its_answer_by_its_scheme_and_the_person_is_told_so() {
    verifies!("OAUTH-14", "OAUTH-15");
    let world = World::start().await;
    let app = native(&world).await;
    let scope = "launch/patient patient/Patient.r";
    let query = app.authorization_query(scope);
    let policy = "form-action 'self' com.example.app:;";
    // PKCE is required of it as of everybody.
    let without: String = query.split('&').filter(|pair| !pair.starts_with("code_challenge")).collect::<Vec<_>>().join("&");
    let refused = world.server.client.get(&format!("/oauth/authorize?{without}")).send().await;
    assert!(
        refused.header("location").starts_with("com.example.app:/callback?error=invalid_request"),
        "{}",
        refused.header("location")
    );

    let login = world.server.client.get(&format!("/oauth/authorize?{query}")).send().await;
    assert!(login.header("content-security-policy").contains(policy), "{}", login.header("content-security-policy"));
    let at = app.sign_in(&query, "ann", PASSWORD).await;
    assert!(at.page.header("content-security-policy").contains(policy), "{}", at.page.header("content-security-policy"));
    assert!(at.page.text().contains("an app on this device, <code>com.example.app</code>"), "{}", at.page.text());
    let spanish = app.sign_in(&format!("{query}&ui_locales=es"), "ann", PASSWORD).await.page.text();
    assert!(spanish.contains("una aplicación en este dispositivo, <code>com.example.app</code>"), "{spanish}");

    let denied = app.consent(&at, &[scope], "deny").await;
    assert_eq!(denied.status, 303);
    assert!(
        denied.header("location").starts_with("com.example.app:/callback?error=access_denied"),
        "{}",
        denied.header("location")
    );
    let at = app.sign_in(&query, "ann", PASSWORD).await;
    let back = app.consent(&at, &["launch/patient", "patient/Patient.r"], "allow").await;
    assert_eq!(back.status, 303);
    assert!(back.header("location").starts_with("com.example.app:/callback?code="), "{}", back.header("location"));
    assert_eq!(query_value(&back, "state").as_deref(), Some("state-of-at-least-122-bits"));
    let code = query_value(&back, "code").unwrap();
    // Another app on the device that took the answer has no verifier.
    let guessed = "a".repeat(43);
    let fields =
        [("grant_type", "authorization_code"), ("code", &code), ("redirect_uri", CALLBACK), ("code_verifier", guessed.as_str())];
    let stolen = app.token_request(&fields).await;
    assert_eq!((stolen.status.as_u16(), &stolen.json()["error"]), (400, &json!("invalid_grant")), "{}", stolen.text());

    let at = app.sign_in(&query, "ann", PASSWORD).await;
    let back = app.consent(&at, &["launch/patient", "patient/Patient.r"], "allow").await;
    let tokens = app.exchange(&query_value(&back, "code").unwrap()).await;
    assert_eq!((tokens.status.as_u16(), &tokens.json()["patient"]), (200, &json!("ann")));
    // A scheme is no origin of pages.
    let token = tokens.json()["access_token"].as_str().unwrap().to_owned();
    for origin in ["com.example.app:", "com.example.app://", "null"] {
        let reply = world.server.client.get("/fhir/Patient/ann").bearer(&token).header("origin", origin).send().await;
        assert_eq!((reply.status.as_u16(), reply.header("access-control-allow-origin")), (200, ""), "{origin}");
    }
}
