//! Token introspection: who may ask about which token, what the answer says, and that it holds at that moment.

use portcullis_audit::record::Event;
use portcullis_oauth::clients::ResponseAlgorithm;
use portcullis_oauth::scopes::ScopeSet;
use portcullis_server::admin::UserRequest;
use portcullis_testkit::backend::ASSERTION_TYPE;
use portcullis_testkit::server::PASSWORD;
use portcullis_testkit::{App, ClientKey, Reply, TestServer};
use portcullis_verifies::verifies;
use serde_json::{Value, json};

use crate::account::links::details;
use crate::fhir::{SCOPE, World};

const PATH: &str = "/oauth/introspect";
const INACTIVE: &str = r#"{"active":false}"#;

async fn ask(caller: &App, token: &str) -> Reply {
    caller.token_request_to(PATH, &[("token", token)]).await
}

async fn state(caller: &App, token: &str) -> Value {
    let reply = ask(caller, token).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

fn text<'a>(response: &'a Value, name: &str) -> &'a str {
    response[name].as_str().unwrap_or_else(|| panic!("no {name}: {response}"))
}

/// A confidential client that is registered as a resource server.
async fn resource_server(server: &TestServer) -> App {
    let caller = server.add_app("resources", SCOPE, true).await;
    server.change_client("resources", |client| client.properties.resource_server = true).await;
    caller
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_good_credentials_nobody_learns_anything() {
    verifies!("OAUTH-16", "SMART-70");
    let world = World::start().await;
    let client = &world.server.client;
    let token = world.ann().await;
    let confidential = world.server.add_app("backoffice", SCOPE, true).await;
    let wrong = App { secret: Some("wrong".into()), ..confidential.clone() };
    for (reply, status, error) in [
        (client.post(PATH).form(&[("token", &token)]).send().await, 401, "invalid_client"),
        (ask(&world.app, &token).await, 401, "invalid_client"),
        (ask(&wrong, &token).await, 401, "invalid_client"),
        (ask(&App { client_id: "nobody".into(), ..wrong.clone() }, &token).await, 401, "invalid_client"),
        (confidential.token_request_to(PATH, &[]).await, 400, "invalid_request"),
        (confidential.token_request_to(PATH, &[("token", "")]).await, 400, "invalid_request"),
        (confidential.token_request_to(PATH, &[("token", "a"), ("token", "b")]).await, 400, "invalid_request"),
        (confidential.token_request_to(PATH, &[("token", "a"), ("client_secret", "x")]).await, 400, "invalid_request"),
        (client.post(PATH).header("content-type", "application/json").bytes("{}").send().await, 400, "invalid_request"),
        (client.post(PATH).bearer("x.y.z").form(&[("token", &token)]).send().await, 401, "invalid_token"),
        (client.post(PATH).bearer(&token).form(&[("token", &token)]).send().await, 401, "invalid_client"),
        (client.get(PATH).send().await, 405, "invalid_request"),
    ] {
        assert_eq!((reply.status.as_u16(), text(&reply.json(), "error")), (status, error), "{}", reply.text());
        assert_eq!((reply.header("cache-control"), reply.header("pragma")), ("no-store", "no-cache"));
        assert_eq!(reply.headers.contains_key("www-authenticate"), status == 401);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_not_for_the_caller_or_not_good_has_one_answer() {
    verifies!("OAUTH-16", "SMART-68");
    let world = World::start().await;
    let confidential = world.server.add_app("backoffice", SCOPE, true).await;
    let resources = resource_server(&world.server).await;
    let of_other = world.app.authorize("launch/patient offline_access patient/Patient.r", "ann", PASSWORD).await;
    let own = confidential.authorize("openid launch/patient offline_access patient/Patient.r", "ann", PASSWORD).await;
    let forged = format!("{}x", text(&own, "access_token"));
    for (caller, token) in [
        (&confidential, "garbage"),
        (&confidential, "a.b.c"),
        (&confidential, text(&of_other, "access_token")),
        (&confidential, text(&of_other, "refresh_token")),
        (&confidential, text(&own, "id_token")),
        (&confidential, forged.as_str()),
        // Whoever protects resources must not take a refresh token for an access token.
        (&resources, text(&own, "refresh_token")),
    ] {
        let reply = ask(caller, token).await;
        assert_eq!((reply.status.as_u16(), reply.text().as_str()), (200, INACTIVE), "{token}");
        assert_eq!((reply.header("content-type"), reply.header("cache-control")), ("application/json", "no-store"));
    }
    assert_eq!(state(&confidential, text(&own, "access_token")).await["active"], true);
    world.server.clock.advance_seconds(3600);
    assert_eq!(ask(&confidential, text(&own, "access_token")).await.text(), INACTIVE, "expired");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_active_token_is_described_as_its_response_was() {
    verifies!("SMART-68", "SMART-69", "USCORE-08", "OAUTH-16");
    let world = World::start().await;
    let resources = resource_server(&world.server).await;
    let asked = "openid fhirUser launch/patient offline_access patient/Patient.r";
    let response = world.app.authorize(asked, "ann", PASSWORD).await;
    let answer = state(&resources, text(&response, "access_token")).await;
    let issuer = &world.server.server.settings.public_url;
    assert_eq!((&answer["active"], &answer["scope"], &answer["client_id"]), (&json!(true), &json!(asked), &json!("app")));
    assert_eq!((&answer["iss"], &answer["aud"]), (&json!(issuer), &json!(world.server.fhir_base)));
    assert_eq!((&answer["patient"], &answer["token_type"]), (&response["patient"], &json!("Bearer")));
    assert_eq!(answer["exp"].as_i64().unwrap() - answer["iat"].as_i64().unwrap(), response["expires_in"].as_i64().unwrap());
    assert_eq!(answer["fhirUser"], format!("{}/Patient/ann", world.server.fhir_base));
    let payload = text(&response, "id_token").split('.').nth(1).unwrap().to_owned();
    let claims: Value = serde_json::from_slice(&portcullis_testkit::decode_base64url(&payload)).unwrap();
    assert_eq!((&answer["iss"], &answer["sub"]), (&claims["iss"], &claims["sub"]));
    let names: Vec<&String> = answer.as_object().unwrap().keys().collect();
    // Whatever context the token response had; labels are in neither, in `extensions` what consents leave, and in `roles` what the person is.
    let known = [
        "acr",
        "active",
        "aud",
        "auth_time",
        "client_id",
        "exp",
        "extensions",
        "fhirUser",
        "iat",
        "iss",
        "jti",
        "roles",
        "scope",
        "sub",
        "token_type",
    ];
    let mut expected: Vec<&String> = response.as_object().unwrap().keys().collect();
    expected.retain(|name| {
        !["access_token", "expires_in", "id_token", "refresh_token", "scope", "token_type"].contains(&name.as_str())
    });
    for name in &expected {
        assert_eq!(answer[name.as_str()], response[name.as_str()], "{name}");
    }
    let known: Vec<String> = known.map(str::to_owned).to_vec();
    expected.extend(&known);
    expected.sort_unstable();
    assert_eq!(names, expected);
    let own = world.server.add_app("backoffice", SCOPE, true).await;
    let response = own.authorize(asked, "ann", PASSWORD).await;
    let refresh = state(&own, text(&response, "refresh_token")).await;
    assert_eq!((&refresh["active"], &refresh["scope"], &refresh["patient"]), (&json!(true), &json!(asked), &json!("ann")));
    assert!(refresh["token_type"].is_null(), "a refresh token is no bearer token");
    // What the person is, and what consents leave, is for whoever protects resources.
    let access = state(&own, text(&response, "access_token")).await;
    assert_eq!((&access["active"], &access["roles"], &access["extensions"]), (&json!(true), &Value::Null, &Value::Null));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_token_is_active_while_the_token_endpoint_would_take_it_and_with_what_it_would_bring() {
    verifies!("OAUTH-16");
    let world = World::start().await;
    let own = world.server.add_app("backoffice", &format!("{SCOPE} online_access"), true).await;
    let other = world.server.add_app("other", SCOPE, true).await;
    let token = async |scope: &str| text(&own.authorize(scope, "ann", PASSWORD).await, "refresh_token").to_owned();
    let offline = token("launch/patient offline_access patient/Patient.r patient/Observation.rs").await;
    let online = token("launch/patient online_access patient/Patient.r").await;
    for token in [&offline, &online] {
        assert_eq!(
            (state(&own, token).await["active"].as_bool(), ask(&other, token).await.text().as_str()),
            (Some(true), INACTIVE)
        );
    }
    details(&world, "root", UserRequest::Lock { username: "ann".to_owned() }).await;
    assert_eq!(ask(&own, &offline).await.text(), INACTIVE, "the account is locked");
    details(&world, "root", UserRequest::Unlock { username: "ann".to_owned() }).await;
    assert_eq!(ask(&own, &online).await.text(), INACTIVE, "its session ended with the lock");
    let registered = async |scope: &str| {
        let scope = ScopeSet::parse(scope).unwrap();
        world.server.change_client("backoffice", |client| client.scope = scope).await;
    };
    registered("launch/patient offline_access patient/Observation.rs").await;
    assert_eq!(state(&own, &offline).await["scope"], "launch/patient offline_access patient/Observation.rs");
    let next = own.token_request(&[("grant_type", "refresh_token"), ("refresh_token", &offline)]).await.json();
    assert_eq!(next["scope"], "launch/patient offline_access patient/Observation.rs", "as it was said");
    assert_eq!(ask(&own, &offline).await.text(), INACTIVE, "superseded");
    let next = text(&next, "refresh_token").to_owned();
    registered("openid").await;
    assert_eq!(ask(&own, &next).await.text(), INACTIVE, "nothing is left of its scopes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_answer_is_of_this_moment_and_recorded() {
    verifies!("OAUTH-16");
    let world = World::start().await;
    let own = world.server.add_app("backoffice", SCOPE, true).await;
    let response = own.authorize("launch/patient offline_access patient/Patient.r", "ann", PASSWORD).await;
    let (access, refresh) = (text(&response, "access_token"), text(&response, "refresh_token"));
    let active = state(&own, access).await;
    own.token_request_to("/oauth/revoke", &[("token", refresh)]).await;
    assert_eq!(ask(&own, access).await.text(), INACTIVE);
    assert_eq!(ask(&own, refresh).await.text(), INACTIVE);
    let records = world.server.records();
    let asked: Vec<_> = records.iter().filter(|record| record.event == Event::Introspection).collect();
    assert_eq!(asked.len(), 3);
    assert_eq!(asked[0].agent.client.as_deref(), Some("backoffice"));
    assert_eq!(asked[0].operations[0].patients, ["ann"]);
    assert!(asked[0].detail.as_ref().unwrap().contains(text(&active, "jti")));
    assert!(asked.iter().all(|record| !serde_json::to_string(record).unwrap().contains(access)), "no token in a record");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_may_show_an_access_token_of_its_own_instead() {
    verifies!("SMART-70");
    let world = World::start().await;
    let key = ClientKey::generate("key-1", "ES384");
    let keys = portcullis_oauth::clients::KeySource::value(&key.jwks().to_string()).unwrap();
    let backend = world.server.add_backend("backend", "system/*.rs", key, keys).await;
    let now = portcullis_store::Clock::now_seconds(&*world.server.clock);
    let bearer = backend.token(now, "1", "system/*.rs").await;
    let token = world.ann().await;
    let ask = |token: String| {
        let request = world.server.client.post(PATH).bearer(&bearer).form(&[("token", &token)]);
        async move { request.send().await }
    };
    assert_eq!(ask(token.clone()).await.text(), INACTIVE, "another client's");
    let own = ask(bearer.clone()).await.json();
    assert_eq!((&own["active"], &own["sub"], &own["client_id"]), (&json!(true), &json!("backend"), &json!("backend")));
    let records = world.server.records();
    let asked = records.iter().rfind(|record| record.event == Event::Introspection).unwrap();
    assert_eq!(asked.agent.token.as_deref(), own["jti"].as_str(), "the record names the token by which the caller came");
    world.server.change_client("backend", |client| client.properties.resource_server = true).await;
    assert_eq!(ask(token.clone()).await.json()["patient"], "ann");
    let mixed = [("token", token.as_str()), ("client_assertion_type", ASSERTION_TYPE), ("client_assertion", "x")];
    let mixed = world.server.client.post(PATH).bearer(&bearer).form(&mixed).send().await;
    assert_eq!((mixed.status.as_u16(), text(&mixed.json(), "error")), (400, "invalid_request"));
    world.server.clock.advance_seconds(300);
    assert_eq!(ask(token).await.status, 401, "the caller's token has ended");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_asks_for_a_jwt_gets_the_same_answer_signed() {
    let world = World::start().await;
    let resources = resource_server(&world.server).await;
    let token = world.ann().await;
    let plain = state(&resources, &token).await;
    let jwks = world.server.client.get("/oauth/jwks").send().await.json();
    for (algorithm, expected) in [(None, "RS256"), (ResponseAlgorithm::parse("ES256"), "ES256")] {
        world.server.change_client("resources", |client| client.properties.introspection_signed_response_alg = algorithm).await;
        for (token, state) in [(token.as_str(), plain.clone()), ("garbage", json!({"active": false}))] {
            let secret = resources.secret.as_deref().unwrap();
            let basic = portcullis_testkit::app::basic(&resources.client_id, secret);
            let request = world.server.client.post(PATH).header("accept", "application/token-introspection+jwt");
            let reply = request.header("authorization", &basic).form(&[("token", token)]).send().await;
            assert_eq!((reply.status.as_u16(), reply.header("content-type")), (200, "application/token-introspection+jwt"));
            let text = reply.text();
            let part = |index: usize| -> Value {
                serde_json::from_slice(&portcullis_testkit::decode_base64url(text.split('.').nth(index).unwrap())).unwrap()
            };
            let (header, claims) = (part(0), part(1));
            assert_eq!((&header["alg"], &header["typ"]), (&json!(expected), &json!("token-introspection+jwt")));
            assert!(jwks["keys"].as_array().unwrap().iter().any(|key| key["kid"] == header["kid"]));
            assert_eq!((&claims["aud"], &claims["token_introspection"]), (&json!("resources"), &state));
            assert!(claims["iss"].is_string() && claims["iat"].is_i64() && claims["sub"].is_null() && claims["exp"].is_null());
            assert_eq!(world.server.client.get("/fhir/Patient/ann").bearer(&text).send().await.status, 401);
        }
    }
    let metadata = world.server.client.get("/.well-known/oauth-authorization-server").send().await.json();
    assert_eq!(metadata["introspection_signing_alg_values_supported"], json!(["RS256", "ES256"]));
    let smart = world.server.client.get("/fhir/.well-known/smart-configuration").send().await.json();
    assert!(text(&smart, "introspection_endpoint").ends_with(PATH));
}
