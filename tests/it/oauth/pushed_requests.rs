//! Authorization requests that are pushed (RFC 9126) or signed (RFC 9101): each rule with a request that breaks only it, and the exact error.

use portcullis_oauth::clients::GrantType;
use portcullis_policy::operator_rules::Network;
use portcullis_server::context::AuthorizationSettings;
use portcullis_store::Clock as _;
use portcullis_testkit::app::{basic, query_value};
use portcullis_testkit::backend::ASSERTION_TYPE;
use portcullis_testkit::server::PASSWORD;
use portcullis_testkit::{App, BackendClient, ClientKey, Reply, TestServer};
use portcullis_verifies::verifies;
use serde_json::{Value, json};

use crate::fhir::{SCOPE, World};

const PATH: &str = "/oauth/par";
const ASKED: &str = "launch/patient patient/Patient.r";

/// The parameters of a good request.
fn parameters(app: &App) -> Vec<(String, String)> {
    let query = app.authorization_query(ASKED);
    url::form_urlencoded::parse(query.as_bytes()).into_owned().filter(|(name, _)| name != "client_id").collect()
}

async fn push(app: &App, parameters: &[(String, String)]) -> Reply {
    let fields: Vec<(&str, &str)> = parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    app.token_request_to(PATH, &fields).await
}

async fn pushed(app: &App) -> String {
    let reply = push(app, &parameters(app)).await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    reply.json()["request_uri"].as_str().unwrap().to_owned()
}

fn query(client_id: &str, request_uri: &str) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("client_id", client_id), ("request_uri", request_uri)])
        .finish()
}

async fn begin(app: &App, query: &str) -> Reply {
    app.client.get(&format!("/oauth/authorize?{query}")).send().await
}

/// The query that a browser was sent on to.
fn sent_on(reply: &Reply) -> String {
    assert_eq!(reply.status, 303, "{}", reply.text());
    reply
        .header("location")
        .strip_prefix("/oauth/authorize?")
        .unwrap_or_else(|| panic!("{}", reply.header("location")))
        .to_owned()
}

fn error(reply: &Reply) -> (u16, String) {
    (reply.status.as_u16(), reply.json()["error"].as_str().unwrap_or_default().to_owned())
}

fn is_page_with(reply: &Reply, code: &str) -> bool {
    reply.status == 400 && reply.header("location").is_empty() && reply.text().contains(code)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pushed_request_leads_one_browser_through_consent() {
    verifies!("OAUTH-21");
    let world = World::start().await;
    let app = world.server.add_app("backoffice", SCOPE, true).await;
    let reply = push(&app, &parameters(&app)).await;
    assert_eq!((reply.status.as_u16(), reply.json()["expires_in"].as_i64()), (201, Some(60)));
    assert_eq!((reply.header("cache-control"), reply.header("pragma")), ("no-store", "no-cache"));
    let uri = reply.json()["request_uri"].as_str().unwrap().to_owned();
    assert!(uri.starts_with("urn:ietf:params:oauth:request_uri:") && uri.len() > 70, "{uri}");
    let head = app.client.request(http::Method::HEAD, &format!("/oauth/authorize?{}", query("backoffice", &uri))).send().await;
    assert_eq!(head.status, 200, "whoever only asks for headers spends nothing");
    let on = sent_on(&begin(&app, &query("backoffice", &uri)).await);
    assert!(!on.contains(&url::form_urlencoded::byte_serialize(uri.as_bytes()).collect::<String>()), "another handle");
    // Used once; the handle that goes on works as often as the person needs it.
    let again = begin(&app, &query("backoffice", &uri)).await;
    assert!(is_page_with(&again, "invalid_request_uri"), "{} {}", again.status, again.text());
    assert_eq!(begin(&app, &on).await.status, 200);
    let at = app.sign_in(&on, "ann", PASSWORD).await;
    let back = app.consent(&at, &ASKED.split(' ').collect::<Vec<_>>(), "allow").await;
    assert_eq!(query_value(&back, "state").as_deref(), Some("state-of-at-least-122-bits"));
    let token = app.exchange(&query_value(&back, "code").unwrap()).await;
    assert_eq!((token.status.as_u16(), token.json()["patient"].as_str()), (200, Some("ann")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_faulty_push_gets_its_error_as_json() {
    verifies!("OAUTH-21");
    let world = World::start().await;
    let app = world.server.add_app("backoffice", SCOPE, true).await;
    let good = parameters(&app);
    let with = |name: &str, value: &str| {
        let mut changed: Vec<_> = good.iter().filter(|(known, _)| known != name).cloned().collect();
        if !value.is_empty() {
            changed.push((name.to_owned(), value.to_owned()));
        }
        changed
    };
    for (name, value, code) in [
        ("redirect_uri", "https://evil.example/", "invalid_request"),
        ("redirect_uri", "", "invalid_request"),
        ("response_type", "token", "unsupported_response_type"),
        ("response_type", "", "invalid_request"),
        ("scope", "nonsense", "invalid_scope"),
        ("state", "", "invalid_request"),
        ("aud", "https://elsewhere.example/fhir", "invalid_request"),
        ("code_challenge", "", "invalid_request"),
        ("code_challenge_method", "plain", "invalid_request"),
        ("request_uri", "urn:ietf:params:oauth:request_uri:x", "invalid_request"),
        ("client_id", "app", "invalid_request"),
        ("request", "a.b.c", "request_not_supported"),
    ] {
        let reply = push(&app, &with(name, value)).await;
        assert_eq!(error(&reply), (400, code.to_owned()), "{name}={value}: {}", reply.text());
        assert_eq!((reply.header("cache-control"), reply.header("content-type")), ("no-store", "application/json"));
    }
    let twice = [with("", ""), vec![("state".to_owned(), "other".to_owned())]].concat();
    assert_eq!(error(&push(&app, &twice).await), (400, "invalid_request".into()));
    let wrong = App { secret: Some("wrong".into()), ..app.clone() };
    assert_eq!(error(&push(&wrong, &good).await), (401, "invalid_client".into()));
    let nobody = App { client_id: "nobody".into(), secret: None, ..app.clone() };
    assert_eq!(error(&push(&nobody, &good).await), (401, "invalid_client".into()));
    assert_eq!(error(&app.client.get(PATH).send().await), (405, "invalid_request".into()));
    assert_eq!(push(&world.app, &parameters(&world.app)).await.status, 201, "a public client may push, too");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handle_is_its_clients_alone_and_lives_a_minute() {
    verifies!("OAUTH-21");
    let world = World::start().await;
    let app = world.server.add_app("backoffice", SCOPE, true).await;
    let uri = pushed(&app).await;
    assert!(is_page_with(&begin(&app, &query("app", &uri)).await, "invalid_request_uri"), "another client's");
    assert!(is_page_with(&begin(&app, &query("backoffice", "urn:ietf:params:oauth:request_uri:x")).await, "invalid_request_uri"));
    assert!(is_page_with(&begin(&app, &query("backoffice", "https://evil.example/")).await, "request_uri_not_supported"));
    // Where the query names an address that the app registered, the app is told.
    let named = format!(
        "{}&{}",
        query("backoffice", "https://evil.example/"),
        app.authorization_query(ASKED).replacen("client_id", "x", 1)
    );
    let told = begin(&app, &named).await;
    assert_eq!(query_value(&told, "error").as_deref(), Some("request_uri_not_supported"));
    assert_eq!(query_value(&told, "state").as_deref(), Some("state-of-at-least-122-bits"));
    world.server.clock.advance_seconds(59);
    let on = sent_on(&begin(&app, &query("backoffice", &uri)).await);
    let late = pushed(&app).await;
    world.server.clock.advance_seconds(60);
    assert!(is_page_with(&begin(&app, &query("backoffice", &late)).await, "invalid_request_uri"), "expired");
    // The handle that goes on is bound to the client as well, and ends.
    let stolen = on.replacen("client_id=backoffice", "client_id=app", 1);
    assert!(is_page_with(&begin(&app, &stolen).await, "invalid_request_uri"));
    // What stands beside the handle counts for nothing.
    let widened = begin(&app, &format!("{on}&scope=user%2F*.cruds&redirect_uri=https%3A%2F%2Fevil.example%2F")).await;
    assert!(widened.status == 200 && !widened.text().contains("evil.example"), "{}", widened.text());
    world.server.clock.advance_seconds(1800);
    assert!(is_page_with(&begin(&app, &on).await, "invalid_request_uri"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_must_push_or_sign_cannot_do_without() {
    let world = World::start().await;
    let app = world.server.add_app("backoffice", SCOPE, true).await;
    world.server.change_client("backoffice", |client| client.properties.require_pushed_authorization_requests = true).await;
    let plain = begin(&app, &app.authorization_query(ASKED)).await;
    assert_eq!(query_value(&plain, "error").as_deref(), Some("invalid_request"));
    assert!(query_value(&plain, "error_description").unwrap().contains("pushed"));
    let uri = pushed(&app).await;
    assert_eq!(begin(&app, &sent_on(&begin(&app, &query("backoffice", &uri)).await)).await.status, 200);
}

/// An app that signs.
async fn signing(world: &World) -> (App, BackendClient) {
    let (app, signer) = world.server.add_signing_app("signer", SCOPE, ClientKey::generate("key-1", "ES384")).await;
    world.server.change_client("signer", |client| client.grant_types = GrantType::WITH_PERSON.to_vec()).await;
    (app, signer)
}

/// The claims of a good request object.
fn claims(world: &World, app: &App) -> Value {
    let mut claims: serde_json::Map<String, Value> =
        parameters(app).into_iter().map(|(name, value)| (name, Value::from(value))).collect();
    let now = world.server.clock.now_seconds();
    for (name, value) in [
        ("iss", json!("signer")),
        ("client_id", json!("signer")),
        // The JWT's recipient and the app's FHIR server share a name.
        ("aud", json!([world.server.server.settings.public_url, world.server.fhir_base])),
        ("exp", json!(now + 300)),
        ("iat", json!(now)),
        ("max_age", json!(3600)),
    ] {
        claims.insert(name.into(), value);
    }
    Value::Object(claims)
}

fn object(signer: &BackendClient, claims: &Value) -> String {
    let mut header = signer.key.header();
    header["typ"] = json!("oauth-authz-req+jwt");
    signer.key.sign(&header, claims)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signed_request_counts_and_what_stands_beside_it_does_not() {
    let world = World::start().await;
    let (app, signer) = signing(&world).await;
    world.server.change_client("signer", |client| client.properties.require_signed_request_object = true).await;
    let plain = begin(&app, &app.authorization_query(ASKED)).await;
    assert!(query_value(&plain, "error_description").unwrap().contains("signed"));
    let object = object(&signer, &claims(&world, &app));
    let wider = format!("client_id=signer&scope=user%2F*.cruds&state=other&request={object}");
    let on = sent_on(&begin(&app, &wider).await);
    assert!(!on.contains(&object) && !on.contains("scope"));
    let at = app.sign_in(&on, "ann", PASSWORD).await;
    assert!(!at.page.text().contains("user/*.cruds"));
    let back = app.consent(&at, &ASKED.split(' ').collect::<Vec<_>>(), "allow").await;
    assert_eq!(query_value(&back, "state").as_deref(), Some("state-of-at-least-122-bits"));
    let code = query_value(&back, "code").unwrap();
    let now = world.server.clock.now_seconds();
    let assertion = signer.assertion(now, "redeem");
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", app.redirect_uri.as_str()),
        ("code_verifier", portcullis_testkit::app::VERIFIER),
        ("client_assertion_type", ASSERTION_TYPE),
        ("client_assertion", assertion.as_str()),
    ];
    let token = app.client.post("/oauth/token").form(&fields).send().await;
    assert_eq!((token.status.as_u16(), token.json()["patient"].as_str()), (200, Some("ann")), "{}", token.text());
    let assertion = signer.assertion(now, "push unsigned");
    let unsigned: Vec<(String, String)> = parameters(&app);
    let mut fields: Vec<(&str, &str)> = unsigned.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    fields.extend([("client_assertion_type", ASSERTION_TYPE), ("client_assertion", assertion.as_str())]);
    let reply = app.client.post(PATH).form(&fields).send().await;
    assert_eq!(error(&reply), (400, "invalid_request".to_owned()), "unsigned, though it is pushed: {}", reply.text());
    // Pushed and signed at once; then the assertion is spent with the push.
    let assertion = signer.assertion(now, "push");
    let fields =
        [("client_assertion_type", ASSERTION_TYPE), ("client_assertion", assertion.as_str()), ("request", object.as_str())];
    let reply = app.client.post(PATH).form(&fields).send().await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    let uri = reply.json()["request_uri"].as_str().unwrap().to_owned();
    assert_eq!(error(&app.client.post(PATH).form(&fields).send().await), (401, "invalid_client".into()), "the same jti");
    assert_eq!(begin(&app, &sent_on(&begin(&app, &query("signer", &uri)).await)).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_faulty_request_object_is_refused_by_name() {
    let world = World::start().await;
    let (app, signer) = signing(&world).await;
    let now = world.server.clock.now_seconds();
    let good = claims(&world, &app);
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value.clone();
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        }
        object(&signer, &claims)
    };
    let other = ClientKey::generate("key-1", "ES384");
    let mut none = signer.key.header();
    none["alg"] = json!("none");
    let assertion_like = with("sub", json!("signer"));
    let objects = [
        ("iss", with("iss", json!("app"))),
        ("no iss", with("iss", Value::Null)),
        ("client_id", with("client_id", json!("app"))),
        ("no client_id", with("client_id", Value::Null)),
        ("aud", with("aud", json!("https://elsewhere.example"))),
        ("aud beside ours", with("aud", json!([world.server.server.settings.public_url, "https://elsewhere.example"]))),
        ("only the FHIR server", with("aud", json!(world.server.fhir_base))),
        ("no aud", with("aud", Value::Null)),
        ("exp", with("exp", json!(now))),
        ("exp far", with("exp", json!(now + 4000))),
        ("exp text", with("exp", json!((now + 300).to_string()))),
        ("no exp", with("exp", Value::Null)),
        ("nbf", with("nbf", json!(now + 60))),
        ("iat", with("iat", json!(now + 60))),
        ("sub", assertion_like),
        ("nested", with("request", json!("a.b.c"))),
        ("nested uri", with("request_uri", json!("urn:x"))),
        ("key", other.sign(&other.header(), &good)),
        ("none", signer.key.sign(&none, &good)),
        ("text", "nonsense".to_owned()),
    ];
    for (name, object) in &objects {
        let page = begin(&app, &format!("client_id=signer&request={object}")).await;
        assert!(is_page_with(&page, "invalid_request_object"), "{name}: {} {}", page.status, page.text());
        world.server.clock.advance_seconds(0);
    }
    let redirect: String = url::form_urlencoded::byte_serialize(app.redirect_uri.as_bytes()).collect();
    let told = begin(&app, &format!("client_id=signer&state=s&redirect_uri={redirect}&request=nonsense")).await;
    assert_eq!(query_value(&told, "error").as_deref(), Some("invalid_request_object"));
    assert_eq!(query_value(&told, "state").as_deref(), Some("s"));
    let both = begin(&app, &format!("client_id=signer&state=s&redirect_uri={redirect}&request=x&request_uri=urn:x")).await;
    assert_eq!(query_value(&both, "error").as_deref(), Some("invalid_request"));
    let public = begin(&world.app, &format!("client_id=app&request={}", objects[0].1)).await;
    assert!(is_page_with(&public, "request_not_supported"));
    let metadata = world.server.client.get("/.well-known/oauth-authorization-server").send().await.json();
    assert_eq!(metadata["request_object_signing_alg_values_supported"], json!(["RS384", "ES384", "RS256", "ES256"]));
    assert_eq!(
        (&metadata["request_uri_parameter_supported"], &metadata["require_signed_request_object"]),
        (&json!(false), &json!(false))
    );
    assert_eq!(metadata["require_pushed_authorization_requests"], false);
    assert!(metadata["pushed_authorization_request_endpoint"].as_str().unwrap().ends_with(PATH));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_network_does_not_keep_a_public_app_from_all_others() {
    let settings = AuthorizationSettings { trusted_proxies: vec![Network::parse("127.0.0.1").unwrap()], ..Default::default() };
    let world = World::over(TestServer::start_with(settings).await).await;
    let confidential = world.server.add_app("backoffice", SCOPE, true).await;
    let from = async |app: &App, address: &str| {
        let mut fields = parameters(app);
        fields.push(("client_id".into(), app.client_id.clone()));
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let mut request = app.client.post(PATH).header("x-forwarded-for", address);
        if let Some(secret) = &app.secret {
            request = request.header("authorization", &basic(&app.client_id, secret));
        }
        error(&request.form(&fields).send().await)
    };
    for number in 0..251 {
        let (status, told) = from(&world.app, "192.0.2.7").await;
        let expected = if number < 250 { (201, "") } else { (503, "temporarily_unavailable") };
        assert_eq!((status, told.as_str()), expected, "{number}");
    }
    assert_eq!(from(&world.app, "198.51.100.1").await.0, 201);
    // A client that proves who it is sends all of its own from one place.
    for _ in 0..251 {
        assert_eq!(from(&confidential, "192.0.2.7").await.0, 201);
    }
}
