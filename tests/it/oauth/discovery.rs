//! Discovery documents, keys, and which origins may read what.

use http::Method;
use portcullis_server::context::{AuthorizationSettings, RegistrationPolicy};
use portcullis_testkit::TestServer;
use portcullis_testkit::server::PASSWORD;
use portcullis_verifies::verifies;
use serde_json::Value;

use crate::fhir::World;

fn strings(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|item| item.as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn smart_configuration_is_public_json_and_says_only_what_is_there() {
    verifies!("SMART-01", "SMART-02", "SMART-03", "SMART-04", "SMART-05", "SMART-06", "SMART-10");
    let world = World::start().await;
    let client = &world.server.client;
    let reply = client.get("/fhir/.well-known/smart-configuration").header("accept", "text/html").send().await;
    assert_eq!((reply.status.as_u16(), reply.header("content-type")), (200, "application/json"));
    let document = reply.json();
    let issuer = &world.server.server.settings.public_url;
    for (name, value) in document.as_object().unwrap() {
        if name.ends_with("_endpoint") || name == "jwks_uri" || name == "issuer" {
            assert!(value.as_str().unwrap().starts_with(issuer.as_str()), "{name} {value}");
        }
    }
    assert_eq!(document["issuer"], **issuer);
    assert_eq!(strings(&document["grant_types_supported"]), ["authorization_code", "client_credentials"]);
    assert_eq!(strings(&document["code_challenge_methods_supported"]), ["S256"]);
    let capabilities = strings(&document["capabilities"]);
    for capability in
        ["launch-standalone", "client-public", "client-confidential-symmetric", "sso-openid-connect", "permission-patient"]
    {
        assert!(capabilities.contains(&capability), "{capability}");
    }
    assert!(!capabilities.contains(&"smart-app-state"), "it is off by default");
    assert!(document["authorization_endpoint"].is_string() && document["token_endpoint"].is_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_three_metadata_documents_agree() {
    verifies!("OAUTH-17");
    let world = World::start().await;
    let get = |path: &'static str| {
        let request = world.server.client.get(path);
        async move { request.send().await.json() }
    };
    let smart = get("/fhir/.well-known/smart-configuration").await;
    let oauth = get("/.well-known/oauth-authorization-server").await;
    let openid = get("/.well-known/openid-configuration").await;
    for name in ["issuer", "authorization_endpoint", "token_endpoint", "jwks_uri", "revocation_endpoint", "scopes_supported"] {
        assert_eq!((&smart[name], &smart[name]), (&oauth[name], &openid[name]), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_capability_statement_names_the_oauth_endpoints_for_older_clients() {
    verifies!("SMART-11");
    for registration in [RegistrationPolicy::Off, RegistrationPolicy::Open] {
        let server = TestServer::start_with(AuthorizationSettings { registration, ..Default::default() }).await;
        let statement = server.client.get("/fhir/metadata").send().await.json();
        let security = &statement["rest"][0]["security"];
        assert_eq!(security["service"][0]["coding"][0]["code"], "SMART-on-FHIR");
        let extension = &security["extension"][0];
        assert_eq!(extension["url"], "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris");
        assert_eq!(statement["fhirVersion"], "4.0.1");
        // A client of SMART 1.0 finds the same six addresses in both places, or the lack of one.
        let smart = server.client.get("/fhir/.well-known/smart-configuration").send().await.json();
        let uris = extension["extension"].as_array().unwrap();
        for (name, endpoint) in [
            ("authorize", "authorization_endpoint"),
            ("token", "token_endpoint"),
            ("introspect", "introspection_endpoint"),
            ("manage", "management_endpoint"),
            ("register", "registration_endpoint"),
            ("revoke", "revocation_endpoint"),
        ] {
            let uri = uris.iter().find(|uri| uri["url"] == name).map(|uri| &uri["valueUri"]);
            assert_eq!(uri, smart.get(endpoint), "{name}, registration {registration:?}");
        }
        assert_eq!(smart["registration_endpoint"].is_string(), registration != RegistrationPolicy::Off);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn discovery_is_open_to_any_origin_and_data_only_to_registered_ones() {
    verifies!("SMART-15", "SMART-16", "FHIR-SEC-10");
    let world = World::start().await;
    let client = &world.server.client;
    let (registered, stranger) = ("https://127.0.0.1:9", "https://evil.example");
    let allowed = |path: &'static str, method: Method, origin: &'static str| {
        let request = client.request(method, path).header("origin", origin).header("access-control-request-method", "GET");
        async move { request.send().await.header("access-control-allow-origin").to_owned() }
    };
    for path in ["/fhir/.well-known/smart-configuration", "/fhir/metadata", "/oauth/jwks", "/.well-known/openid-configuration"] {
        assert_eq!(allowed(path, Method::GET, stranger).await, "*", "{path}");
        assert_eq!(allowed(path, Method::OPTIONS, stranger).await, "*", "{path}");
    }
    for path in ["/oauth/token", "/fhir/Patient/ann"] {
        assert_eq!(allowed(path, Method::OPTIONS, registered).await, registered, "{path}");
        assert_eq!(allowed(path, Method::OPTIONS, stranger).await, "", "{path}");
        assert_eq!(allowed(path, Method::GET, stranger).await, "", "{path}");
    }
    for path in ["/login", "/consent", "/me"] {
        assert_eq!(allowed(path, Method::GET, registered).await, "", "{path}");
    }
    let reply = client.get("/fhir/Patient/ann").header("origin", registered).send().await;
    assert_eq!(reply.header("access-control-allow-credentials"), "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_id_token_says_who_signed_in_and_is_no_access_token() {
    verifies!("OIDC-01", "OIDC-03", "OIDC-04", "OAUTH-20", "SMART-49", "SEED-CARIN-16", "SEED-CARIN-23");
    let world = World::start().await;
    let response = world.app.authorize("openid fhirUser launch/patient patient/Patient.r", "ann", PASSWORD).await;
    let id_token = response["id_token"].as_str().unwrap();
    let part = |token: &str, index: usize| -> Value {
        let bytes = portcullis_testkit::decode_base64url(token.split('.').nth(index).unwrap());
        serde_json::from_slice(&bytes).unwrap()
    };
    let (header, claims) = (part(id_token, 0), part(id_token, 1));
    assert_eq!(header["alg"], "RS256");
    assert_eq!(claims["iss"], *world.server.server.settings.public_url);
    assert_eq!((&claims["aud"], &claims["nonce"]), (&Value::from("app"), &Value::from("nonce-1")));
    assert_eq!(claims["fhirUser"], format!("{}/Patient/ann", world.server.fhir_base));
    assert!(claims["exp"].as_i64() > claims["iat"].as_i64() && claims["auth_time"].is_i64() && claims["sub"].is_string());
    let keys = world.server.client.get("/oauth/jwks").send().await.json();
    let key = keys["keys"].as_array().unwrap().iter().find(|key| key["kid"] == header["kid"]).unwrap();
    assert_eq!(key["kty"], "RSA");
    for key in keys["keys"].as_array().unwrap() {
        for private in ["d", "p", "q", "dp", "dq", "qi", "k"] {
            assert!(key[private].is_null(), "{private}");
        }
    }
    assert_eq!(world.server.client.get("/fhir/Patient/ann").bearer(id_token).send().await.status, 401);
    let access = part(response["access_token"].as_str().unwrap(), 0);
    assert_eq!(access["typ"], "at+jwt");
    let without = world.app.authorize("launch/patient patient/Patient.r", "ann", PASSWORD).await;
    assert!(without["id_token"].is_null());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prompt_none_without_a_session_is_login_required() {
    verifies!("OIDC-02");
    let world = World::start().await;
    let query = world.app.authorization_query("openid launch/patient patient/Patient.r") + "&prompt=none";
    let reply = world.server.client.get(&format!("/oauth/authorize?{query}")).send().await;
    assert_eq!(portcullis_testkit::app::query_value(&reply, "error").as_deref(), Some("login_required"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revocation_by_the_client_holds_for_the_next_request_and_not_for_another_client() {
    verifies!("OAUTH-11", "OAUTH-12");
    let world = World::start().await;
    let other = world.server.add_app("other", crate::fhir::SCOPE, false).await;
    let response = world.app.authorize("launch/patient offline_access patient/Patient.r", "ann", PASSWORD).await;
    let (access, refresh) = (response["access_token"].as_str().unwrap(), response["refresh_token"].as_str().unwrap());
    let read = || async { world.server.client.get("/fhir/Patient/ann").bearer(access).send().await.status.as_u16() };
    for token in [refresh, access] {
        assert_eq!(other.token_request_to("/oauth/revoke", &[("token", token)]).await.status, 200);
        assert_eq!(read().await, 200, "another client revokes nothing");
    }
    assert_eq!(world.app.token_request_to("/oauth/revoke", &[("token", "unknown")]).await.status, 200);
    assert_eq!(world.app.token_request_to("/oauth/revoke", &[("token", refresh)]).await.status, 200);
    assert_eq!(read().await, 401);
}
