//! Bad input at the endpoints of the authorization server: every parameter missing, empty, repeated, oversized and of the wrong encoding; bodies
//! that are no forms; client authentication that is mixed, forged or sent twice. Each has its exact error.

mod authentication;
mod forms;
mod pages;
mod register;

use portcullis_testkit::app::{VERIFIER, query_value};
use portcullis_testkit::{App, Reply};
use portcullis_verifies::verifies;

use crate::fhir::World;

type Pairs = Vec<(String, String)>;

fn owned(pairs: &[(&str, &str)]) -> Pairs {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn encoded(pairs: &[(String, String)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

fn without(pairs: &[(String, String)], name: &str) -> Pairs {
    pairs.iter().filter(|(known, _)| known != name).cloned().collect()
}

/// The text without the parameter, and with it empty: both mean that it was not sent.
fn absent(pairs: &[(String, String)], name: &str) -> [String; 2] {
    let rest = encoded(&without(pairs, name));
    [rest.clone(), format!("{rest}&{name}=")]
}

/// The text with the parameter in encodings that are none, or so long that nobody reads it.
fn unreadable(pairs: &[(String, String)], name: &str) -> Vec<String> {
    let rest = encoded(&without(pairs, name));
    let long = "x".repeat(17 * 1024);
    ["%zz", "%", "%f", "%ff", "%c0%80", "%ed%a0%80", "%00", long.as_str()].map(|value| format!("{rest}&{name}={value}")).to_vec()
}

fn repeated(pairs: &[(String, String)], name: &str) -> [String; 2] {
    let all = encoded(pairs);
    [format!("{all}&{name}=other"), format!("{all}&{name}=")]
}

async fn post(world: &World, path: &str, body: &str) -> Reply {
    let form = "application/x-www-form-urlencoded";
    world.server.client.post(path).header("content-type", form).bytes(body.to_owned()).send().await
}

/// Status and error of an endpoint that answers with JSON, none of which may be kept.
fn error(reply: &Reply) -> (u16, String) {
    assert_eq!(reply.header("cache-control"), "no-store", "{}", reply.text());
    let body = reply.json();
    assert!(body["error_description"].is_string(), "{body}");
    (reply.status.as_u16(), body["error"].as_str().unwrap_or_default().to_owned())
}

/// The description of an error, wherever it stands.
fn description(reply: &Reply) -> String {
    if reply.header("location").is_empty() {
        return reply.json()["error_description"].as_str().unwrap_or_default().to_owned();
    }
    query_value(reply, "error_description").unwrap_or_default()
}

/// What is said of a parameter of an authorization request that is not there.
fn required(name: &str) -> &'static str {
    match name {
        "response_type" => "response_type is required and must be code",
        "scope" => "scope is required",
        "state" => "state is required",
        "aud" => "aud is required and must be the FHIR base URL",
        "code_challenge" => "code_challenge is required",
        "code_challenge_method" => "code_challenge_method is required and must be S256",
        "redirect_uri" => "redirect_uri is required",
        other => panic!("{other} may be left out"),
    }
}

fn is_page(reply: &Reply) -> bool {
    reply.status == 400 && reply.header("location").is_empty() && reply.header("content-type").starts_with("text/html")
}

const SCOPE: &str = "launch/patient patient/Patient.r";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_parameter_of_an_authorization_request_has_its_error() {
    verifies!("OAUTH-01", "OAUTH-02", "OAUTH-04");
    let world = World::start().await;
    let query = world.app.authorization_query(SCOPE);
    let good: Pairs = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let ask = async |query: &str| world.server.client.get(&format!("/oauth/authorize?{query}")).send().await;
    for (name, _) in &good {
        world.server.clock.advance_seconds(1);
        let on_a_page = matches!(name.as_str(), "client_id" | "redirect_uri");
        for query in absent(&good, name) {
            let reply = ask(&query).await;
            match name.as_str() {
                "nonce" => assert_eq!(reply.status, 200, "only the nonce may be left out"),
                _ if on_a_page => {
                    assert!(is_page(&reply), "{name}: {} {}", reply.header("location"), reply.text());
                    assert!(reply.text().contains(&format!("the app did not send {name}.")), "{name}: {}", reply.text());
                }
                _ => {
                    assert_eq!(query_value(&reply, "error").as_deref(), Some("invalid_request"), "{name}: {}", reply.text());
                    assert_eq!(description(&reply), required(name));
                    let state = (name != "state").then(|| "state-of-at-least-122-bits".to_owned());
                    assert_eq!(query_value(&reply, "state"), state, "{name}");
                    assert_eq!(query_value(&reply, "iss").as_deref(), Some(&*world.server.server.settings.public_url), "{name}");
                }
            }
        }
        for query in repeated(&good, name) {
            let reply = ask(&query).await;
            if on_a_page {
                assert!(is_page(&reply), "{name}: {}", reply.header("location"));
                assert!(reply.text().contains(&format!("the app sent {name} more than once.")), "{name}: {}", reply.text());
            } else {
                assert_eq!(query_value(&reply, "error").as_deref(), Some("invalid_request"), "{name}: {}", reply.text());
                assert_eq!(description(&reply), format!("{name} is repeated"));
            }
        }
        // What cannot be read says nothing of where answers go, not even if the rest of it does.
        for query in unreadable(&good, name) {
            let reply = ask(&query).await;
            assert!(is_page(&reply) || reply.status == 414, "{name}: {} {}", reply.status, reply.header("location"));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_faulty_value_of_an_authorization_request_has_its_error() {
    verifies!("OAUTH-02", "OAUTH-15", "SMART-21", "SMART-50");
    let world = World::start().await;
    let query = world.app.authorization_query(SCOPE);
    let good: Pairs = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let long = "x".repeat(600);
    for (name, value, expected) in [
        ("response_type", "token", "unsupported_response_type"),
        ("response_type", "code id_token", "unsupported_response_type"),
        ("response_type", "CODE", "unsupported_response_type"),
        ("response_mode", "fragment", "invalid_request"),
        ("response_mode", "form_post", "invalid_request"),
        ("code_challenge", "short", "invalid_request"),
        ("code_challenge", "x".repeat(129).as_str(), "invalid_request"),
        ("code_challenge", "not/unreserved/not/unreserved/not/unreserved/", "invalid_request"),
        ("code_challenge_method", "plain", "invalid_request"),
        ("code_challenge_method", "s256", "invalid_request"),
        ("scope", "nonsense", "invalid_scope"),
        ("scope", "system/*.rs", "invalid_scope"),
        ("scope", "patient/Patient.sr", "invalid_scope"),
        ("aud", "https://elsewhere.example/fhir", "invalid_request"),
        ("resource", "https://elsewhere.example/fhir", "invalid_request"),
        ("prompt", "nonsense", "invalid_request"),
        ("prompt", "none login", "invalid_request"),
        ("prompt", "none", "login_required"),
        ("max_age", "-1", "invalid_request"),
        ("max_age", "1e3", "invalid_request"),
        ("max_age", "99999999999", "invalid_request"),
        ("dpop_jkt", "short", "invalid_request"),
        ("launch", "handle", "invalid_request"),
        ("request", "a.b.c", "request_not_supported"),
        ("nonce", &long, "invalid_request"),
        ("login_hint", &long, "invalid_request"),
        ("acr_values", &long, "invalid_request"),
    ] {
        let changed = [without(&good, name), owned(&[(name, value)])].concat();
        let reply = world.server.client.get(&format!("/oauth/authorize?{}", encoded(&changed))).send().await;
        assert_eq!(query_value(&reply, "error").as_deref(), Some(expected), "{name}={value}: {}", reply.text());
        assert!(reply.header("location").starts_with(&world.app.redirect_uri), "{name}={value}");
    }
    // What is not known here is ignored, as OpenID Connect and OAuth demand.
    for more in ["claims=%7B%7D", "ui_locales=es", "display=popup", "registration=%7B%7D", "unknown=1"] {
        let reply = world.server.client.get(&format!("/oauth/authorize?{query}&{more}")).send().await;
        assert_eq!(reply.status, 200, "{more}: {}", reply.header("location"));
    }
}

/// What an endpoint of clients asks for: each parameter with what its absence is answered.
struct Endpoint {
    path: &'static str,
    good: Pairs,
    absent: Vec<(&'static str, u16, &'static str, &'static str)>,
}

fn endpoints(app: &App) -> Vec<Endpoint> {
    let redirect_uri = app.redirect_uri.as_str();
    let id = ("client_id", app.client_id.as_str());
    let code = [
        ("grant_type", "authorization_code"),
        ("code", "nonsense"),
        ("redirect_uri", redirect_uri),
        ("code_verifier", VERIFIER),
        id,
    ];
    let pushed = app.authorization_query(SCOPE);
    let invalid = |name, description| (name, 400, "invalid_request", description);
    let asked = |name| invalid(name, required(name));
    let client = ("client_id", 401, "invalid_client", "client_id or HTTP Basic is required");
    let grant_type = invalid("grant_type", "grant_type is required");
    let token = invalid("token", "token is required");
    vec![
        Endpoint {
            path: "/oauth/token",
            good: owned(&code),
            absent: vec![
                grant_type,
                invalid("code", "code is required"),
                asked("redirect_uri"),
                invalid("code_verifier", "code_verifier is required"),
                client,
            ],
        },
        Endpoint {
            path: "/oauth/token",
            good: owned(&[("grant_type", "refresh_token"), ("refresh_token", "nonsense"), id]),
            absent: vec![grant_type, invalid("refresh_token", "refresh_token is required"), client],
        },
        Endpoint { path: "/oauth/revoke", good: owned(&[("token", "nonsense"), id]), absent: vec![token, client] },
        Endpoint { path: "/oauth/introspect", good: owned(&[("token", "nonsense"), id]), absent: vec![token, client] },
        Endpoint {
            path: "/oauth/par",
            good: url::form_urlencoded::parse(pushed.as_bytes()).into_owned().collect(),
            absent: vec![
                client,
                asked("response_type"),
                asked("redirect_uri"),
                asked("scope"),
                asked("state"),
                asked("aud"),
                asked("code_challenge"),
                asked("code_challenge_method"),
            ],
        },
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_parameter_of_the_endpoints_of_clients_has_its_error() {
    verifies!("OAUTH-03", "OAUTH-04", "OAUTH-15", "SMART-28");
    let world = World::start().await;
    let invalid = (400, "invalid_request".to_owned());
    for Endpoint { path, good, absent: expected } in endpoints(&world.app) {
        for (name, status, code, told) in expected {
            world.server.clock.advance_seconds(1);
            for body in absent(&good, name) {
                let reply = post(&world, path, &body).await;
                assert_eq!(error(&reply), (status, code.to_owned()), "{path} without {name}: {}", reply.text());
                assert_eq!(description(&reply), told, "{path} without {name}");
                assert_eq!(reply.headers.contains_key("www-authenticate"), status == 401, "{path} without {name}");
            }
            for body in repeated(&good, name) {
                let reply = post(&world, path, &body).await;
                assert_eq!((error(&reply), description(&reply)), (invalid.clone(), format!("{name} is repeated")), "{path}");
            }
            for body in unreadable(&good, name) {
                let reply = post(&world, path, &body).await;
                let told = if body.len() > 16 * 1024 {
                    "the request has too many or too long parameters"
                } else {
                    "the body is not valid form data"
                };
                assert_eq!((error(&reply), description(&reply).as_str()), (invalid.clone(), told), "{path} {name}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_posted_forms_are_read() {
    verifies!("OAUTH-03", "OAUTH-08");
    let world = World::start().await;
    let client = &world.server.client;
    let huge = "x".repeat(65 * 1024);
    for Endpoint { path, good, .. } in endpoints(&world.app) {
        world.server.clock.advance_seconds(1);
        let body = encoded(&good);
        for media_type in
            ["", "application/json", "text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded2"]
        {
            let reply = client.post(path).header("content-type", media_type).bytes(body.clone()).send().await;
            assert_eq!(error(&reply), (400, "invalid_request".to_owned()), "{path} {media_type}");
        }
        for body in ["client_id=app", "client_id=app&&&", "client_id=app&=", huge.as_str()] {
            assert_eq!(error(&post(&world, path, body).await), (400, "invalid_request".to_owned()), "{path} {:.20}", body);
        }
        let many = (0..65).map(|index| format!("p{index}=x")).collect::<Vec<_>>().join("&");
        assert_eq!(error(&post(&world, path, &format!("{body}&{many}")).await).0, 400, "{path}");
        for method in ["GET", "PUT", "DELETE", "PATCH"] {
            // In a query, the parameters would stay in logs and histories.
            let request = client.request(method.parse().unwrap(), &format!("{path}?{body}"));
            let reply = request.send().await;
            assert_eq!((reply.status.as_u16(), reply.header("allow")), (405, "POST"), "{method} {path}");
        }
        let queried = post(&world, &format!("{path}?{body}"), "client_id=app").await;
        assert_eq!(error(&queried), (400, "invalid_request".to_owned()), "{path} takes no parameter from a query");
    }
}
