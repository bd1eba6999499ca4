//! Bodies for `/admin/clients` that are no client, and members that only an operator may register.

use http::Method;
use portcullis_oauth::clients::KeySource;
use portcullis_store::Clock as _;
use portcullis_testkit::{ClientKey, Reply};
use portcullis_verifies::verifies;
use serde_json::{Value, json};

use crate::fhir::World;

const PATH: &str = "/admin/clients";
const NO_OBJECT: &str = "the body must be a JSON object without repeated members";
const TYPE: &str = "has the wrong type or an unknown value";
const METADATA: &str = "invalid_client_metadata";

fn good() -> Value {
    json!({"client_name": "Growth chart", "redirect_uris": ["https://growth.example/cb"], "scope": "launch/patient patient/*.rs"})
}

fn told(reply: &Reply) -> (u16, String, String) {
    let text = |name: &str| reply.json()[name].as_str().unwrap_or_default().to_owned();
    assert_eq!(reply.header("cache-control"), "no-store");
    (reply.status.as_u16(), text("error"), text("error_description"))
}

/// Members with values that cannot be, and what is told of each.
fn faults() -> Vec<(&'static str, Value, String)> {
    let wrong = |name: &str| format!("{name} {TYPE}");
    let mut faults: Vec<_> = [
        ("smart", json!("2.0")),
        ("smart", json!(1.0)),
        ("verified", json!("true")),
        ("resource_server", json!(1)),
        ("administrator", json!("true")),
        ("explains_decisions", json!("yes")),
        ("launcher", json!({})),
        ("required_acr", json!("")),
        ("required_acr", json!(["x"])),
        ("origins", json!(["growth.example"])),
        ("origins", json!(["http://growth.example"])),
        ("origins", json!(["https://growth.example/"])),
        ("origins", json!(["*"])),
        ("app_state", json!(["query"])),
        ("app_state", json!(["destroy=https://growth.example|a"])),
        ("purposes", json!(["ABUSE"])),
        ("purposes", json!("TREAT")),
        ("clearance", json!("")),
        ("clearance", json!("N,SECRET")),
        ("clearance", json!(["N"])),
        ("owner", json!("")),
    ]
    .map(|(name, value)| (name, value, wrong(name)))
    .to_vec();
    let origins: Vec<String> = (0..21).map(|number| format!("https://a{number}.example")).collect();
    faults.extend([
        ("origins", json!(origins), "at most 20 origins can be registered".to_owned()),
        ("purposes", json!(["TREAT", "TREAT"]), "purposes must be at most 20 different purposes of use".to_owned()),
        (
            "app_state",
            json!(["query=https://growth.example|a", "modify=https://growth.example|a"]),
            "app_state must be at most 20 codes, each named once".to_owned(),
        ),
        ("id_token_signed_response_alg", json!("ES256"), "id_token_signed_response_alg must be RS256".to_owned()),
    ]);
    faults
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_body_that_is_no_client_has_its_error_and_adds_and_changes_none() {
    verifies!("SMART-12", "OAUTH-13");
    let world = World::start().await;
    let key = ClientKey::generate("key-1", "ES384");
    let keys = KeySource::value(&key.jwks().to_string()).unwrap();
    let manager = world.server.add_backend("manager", "system/Location.r", key, keys).await;
    world.server.change_client("manager", |client| client.properties.administrator = true).await;
    let token = manager.token(world.server.clock.now_seconds(), "1", "system/Location.r").await;
    let before = world.server.server.registry.clients().await.unwrap();
    let send = async |method: Method, path: &str, media_type: &str, body: &[u8]| {
        let request = world.server.client.request(method, path).bearer(&token).header("content-type", media_type);
        told(&request.bytes(body.to_vec()).send().await)
    };
    let repeated = good().to_string().replacen('{', "{\"client_name\":\"Another\",", 1);
    let huge = good().to_string().replace("Growth chart", &"x".repeat(70_000));
    let json = "application/json";
    let mut cases: Vec<(&str, Vec<u8>, &str, String)> = [
        (json, &b""[..], "invalid_client_metadata", NO_OBJECT),
        (json, b"[]", METADATA, NO_OBJECT),
        (json, b"null", METADATA, NO_OBJECT),
        (json, b"{\"client_name\":\"\xff\"}", METADATA, NO_OBJECT),
        (json, b"client_name=x", METADATA, NO_OBJECT),
        (json, repeated.as_bytes(), METADATA, NO_OBJECT),
        (json, huge.as_bytes(), "invalid_request", "the body is too large or incomplete"),
        ("application/x-www-form-urlencoded", b"client_name=x", "invalid_request", "the body must be application/json"),
        ("text/json", b"{}", "invalid_request", "the body must be application/json"),
    ]
    .map(|(media_type, body, code, text)| (media_type, body.to_vec(), code, text.to_owned()))
    .to_vec();
    for (name, value, text) in faults() {
        let mut faulty = good();
        faulty[name] = value;
        cases.push((json, faulty.to_string().into_bytes(), METADATA, text));
    }
    let mut problems = Vec::new();
    for (media_type, body, code, text) in cases {
        for (method, path) in [(Method::POST, PATH.to_owned()), (Method::PUT, format!("{PATH}/app"))] {
            let found = send(method.clone(), &path, media_type, &body).await;
            if found != (400, code.to_owned(), text.clone()) {
                let body = String::from_utf8_lossy(&body);
                problems.push(format!("{method} {body:.160}: expected {code} {text}, got {found:?}"));
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    let absent = send(Method::PUT, &format!("{PATH}/nobody"), json, good().to_string().as_bytes()).await;
    assert_eq!(absent, (404, "not_found".to_owned(), "there is no such client".to_owned()));
    assert_eq!(world.server.server.registry.clients().await.unwrap(), before);
}
