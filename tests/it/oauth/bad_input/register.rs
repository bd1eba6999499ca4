//! Bad input at the registration endpoint.

use portcullis_server::context::{AuthorizationSettings, RegistrationPolicy};
use portcullis_testkit::{Reply, TestServer};
use portcullis_verifies::verifies;
use serde_json::{Value, json};

const PATH: &str = "/oauth/register";

fn good() -> Value {
    json!({"client_name": "Growth chart", "redirect_uris": ["https://growth.example/cb"], "scope": "launch/patient patient/*.rs openid",
        "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"], "token_endpoint_auth_method": "none"})
}

async fn send(server: &TestServer, body: impl Into<Vec<u8>>) -> Reply {
    server.client.post(PATH).header("content-type", "application/json").bytes(body.into()).send().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_metadata_has_its_error_and_registers_nothing() {
    verifies!("OAUTH-13");
    let settings = AuthorizationSettings { registration: RegistrationPolicy::Open, ..Default::default() };
    let server = TestServer::start_with(settings).await;
    let repeated = good().to_string().replacen('{', "{\"client_name\":\"Another\",", 1);
    let deep = good().to_string().replacen('{', &format!("{{\"contacts\":{}{},", "[".repeat(500), "]".repeat(500)), 1);
    let mut broken = good().to_string().into_bytes();
    let place = broken.iter().position(|byte| *byte == b'G').unwrap();
    broken[place] = 0xff;
    for (name, body) in [
        ("nothing", Vec::new()),
        ("an array", b"[]".to_vec()),
        ("text", b"\"x\"".to_vec()),
        ("null", b"null".to_vec()),
        ("half", good().to_string().into_bytes()[..40].to_vec()),
        ("two", format!("{}{}", good(), good()).into_bytes()),
        ("a name twice", repeated.into_bytes()),
        ("deep", deep.into_bytes()),
        ("no UTF-8", broken),
        ("huge", good().to_string().replace("Growth chart", &"x".repeat(70_000)).into_bytes()),
    ] {
        let reply = send(&server, body).await;
        let code = reply.json()["error"].as_str().unwrap_or_default().to_owned();
        let is_refused = matches!((reply.status.as_u16(), code.as_str()), (400, "invalid_request" | "invalid_client_metadata"));
        assert!(is_refused, "{name}: {} {}", reply.status, reply.text());
        assert_eq!(reply.header("cache-control"), "no-store");
    }
    for (name, value, code) in [
        ("redirect_uris", Value::Null, "invalid_redirect_uri"),
        ("redirect_uris", json!([]), "invalid_redirect_uri"),
        ("redirect_uris", json!([""]), "invalid_redirect_uri"),
        ("redirect_uris", json!(["javascript:alert(1)"]), "invalid_redirect_uri"),
        ("redirect_uris", json!(["https://u:p@growth.example/cb"]), "invalid_redirect_uri"),
        ("redirect_uris", json!("https://growth.example/cb"), "invalid_client_metadata"),
        ("client_name", json!(7), "invalid_client_metadata"),
        ("client_name", json!("x".repeat(5000)), "invalid_client_metadata"),
        ("scope", json!(["openid"]), "invalid_client_metadata"),
        ("scope", json!("nonsense"), "invalid_client_metadata"),
        ("grant_types", json!("authorization_code"), "invalid_client_metadata"),
        ("grant_types", json!(["implicit"]), "invalid_client_metadata"),
        ("response_types", json!(["code token"]), "invalid_client_metadata"),
        ("token_endpoint_auth_method", json!("client_secret_post"), "invalid_client_metadata"),
        ("token_endpoint_auth_method", json!("private_key_jwt"), "invalid_client_metadata"),
        ("jwks", json!({"keys": [{"kty": "oct", "k": "AAAA"}]}), "invalid_client_metadata"),
        ("jwks_uri", json!("http://growth.example/keys"), "invalid_client_metadata"),
        ("launch_urls", json!(["http://growth.example/launch"]), "invalid_client_metadata"),
        ("logo_uri", json!("javascript:alert(1)"), "invalid_client_metadata"),
        ("software_statement", json!("a.b.c"), "invalid_software_statement"),
    ] {
        let mut faulty = good();
        faulty[name] = value.clone();
        if value.is_null() {
            faulty.as_object_mut().unwrap().remove(name);
        }
        let reply = send(&server, faulty.to_string()).await;
        let told = (reply.status.as_u16(), reply.json()["error"].as_str().unwrap_or_default().to_owned());
        assert_eq!(told, (400, code.to_owned()), "{name} {value}: {}", reply.text());
    }
}
