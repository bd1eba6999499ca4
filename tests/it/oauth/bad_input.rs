//! Bad input at the endpoints of the authorization server: every parameter missing, empty, repeated, oversized and of the wrong encoding; bodies
//! that are no forms; client authentication that is mixed, forged or sent twice. Each has its exact error.

mod administration;
mod authentication;
mod bearer;
mod endpoints;
mod forms;
mod launches;
mod pages;
mod proofs;
mod queries;
mod register;
mod requests;

use endpoints::{Endpoint, endpoints};
use portcullis_testkit::Reply;
use portcullis_testkit::app::query_value;
use portcullis_testkit::server::PASSWORD;
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

/// What is told of such a text.
fn unread(text: &str, what: &'static str) -> &'static str {
    match what {
        _ if text.len() > 16 * 1024 => "the request has too many or too long parameters",
        "parameters are" => "the parameters are not valid form data",
        _ => "the body is not valid form data",
    }
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
        let long = [without(&good, name), owned(&[(name, &"x".repeat(4000))])].concat();
        let reply = ask(&encoded(&long)).await;
        match (name.as_str(), endpoints::too_long("/oauth/par", name)) {
            ("client_id", _) => assert!(is_page(&reply) && reply.text().contains("the app is not registered here."), "{name}"),
            ("redirect_uri", _) => {
                let told = "the app wants the answer at an address that it did not register.";
                assert!(is_page(&reply) && reply.text().contains(told), "{name}: {}", reply.text());
            }
            ("nonce", _) => assert_eq!(description(&reply), "nonce is too long"),
            // It is the app's to choose, and comes back whatever it is.
            ("state", _) => assert_eq!(reply.status, 200, "{}", reply.header("location")),
            (_, Some((_, error, told))) => {
                assert_eq!(
                    (query_value(&reply, "error").as_deref(), description(&reply).as_str()),
                    (Some(error), told),
                    "{name}"
                );
            }
            (_, None) => panic!("{name}: {}", reply.header("location")),
        }
        // What cannot be read says nothing of where answers go, not even if the rest of it does.
        for query in unreadable(&good, name) {
            let reply = ask(&query).await;
            assert!(is_page(&reply), "{name}: {} {}", reply.status, reply.header("location"));
            assert!(reply.text().contains(unread(&query, "parameters are")), "{name}: {}", reply.text());
        }
    }
}

/// A status, an error and its description.
type Answered = (u16, &'static str, &'static str);

/// Status, error and description of any answer; the last two are empty in one that is no error.
fn answered(reply: &Reply) -> (u16, String, String) {
    let body: serde_json::Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    (reply.status.as_u16(), text("error"), text("error_description"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_optional_parameter_of_the_endpoints_of_clients_has_its_error() {
    verifies!("OAUTH-03", "OAUTH-04");
    let world = World::start().await;
    let mut problems = Vec::new();
    for Endpoint { path, good, optional, answered: fine, .. } in endpoints(&world.app) {
        for (name, too_long) in optional {
            world.server.clock.advance_seconds(1);
            let good = without(&good, name);
            let with = [good.clone(), owned(&[(name, "one")])].concat();
            let long = encoded(&[good.clone(), owned(&[(name, &"x".repeat(4000))])].concat());
            let twice = requests::repeated_text(name);
            let mut cases: Vec<(String, Answered)> =
                repeated(&with, name).map(|body| (body, (400, "invalid_request", twice))).to_vec();
            cases.extend(absent(&good, name).map(|body| (body, fine)));
            cases.extend(unreadable(&good, name).into_iter().map(|body| {
                let told = unread(&body, "body");
                (body, (400, "invalid_request", told))
            }));
            cases.push((long, too_long.unwrap_or(fine)));
            for (body, (status, code, told)) in cases {
                let found = answered(&post(&world, path, &body).await);
                if found != (status, code.to_owned(), told.to_owned()) {
                    problems.push(format!("{path} {name} {}: expected {status} {code} {told}, got {found:?}", body.len()));
                }
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_parameter_of_the_endpoints_of_clients_has_its_error() {
    verifies!("OAUTH-03", "OAUTH-04", "OAUTH-15", "SMART-28");
    let world = World::start().await;
    let invalid = (400, "invalid_request".to_owned());
    for Endpoint { path, good, absent: expected, answered: fine, .. } in endpoints(&world.app) {
        for (name, status, code, told) in expected {
            world.server.clock.advance_seconds(1);
            let long = [without(&good, name), owned(&[(name, &"x".repeat(4000))])].concat();
            let reply = post(&world, path, &encoded(&long)).await;
            let (too_long, kind, words) = endpoints::too_long(path, name).unwrap_or(fine);
            assert_eq!(answered(&reply), (too_long, kind.to_owned(), words.to_owned()), "{path} long {name}");
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
                assert_eq!(
                    (error(&reply), description(&reply).as_str()),
                    (invalid.clone(), unread(&body, "body")),
                    "{path} {name}"
                );
            }
        }
    }
}

/// What a client is told first that only says who it is.
fn first_asked(path: &str) -> &'static str {
    match path {
        "/oauth/token" => "grant_type is required",
        "/oauth/launch" => "app is required: the client_id of the app to be launched",
        "/oauth/par" => required("redirect_uri"),
        _ => "token is required",
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_faulty_scope_of_a_refresh_has_its_error_and_spends_no_token() {
    verifies!("OAUTH-15");
    let world = World::start().await;
    let app = world.server.add_app("keeper", "launch/patient offline_access patient/*.rs user/*.rs", false).await;
    let tokens = app.authorize("launch/patient offline_access patient/*.rs", "ann", PASSWORD).await;
    let refresh = tokens["refresh_token"].as_str().unwrap();
    let ask = async |scope: &str| {
        let fields = [("grant_type", "refresh_token"), ("refresh_token", refresh), ("scope", scope)];
        app.token_request(&fields).await
    };
    let beyond = "scope may only name scopes that were granted";
    let (long, many) = ("x".repeat(4000), "openid ".repeat(201));
    for (scope, told) in [
        ("nonsense", beyond),
        (" ", beyond),
        ("user/*.rs", beyond),
        ("patient/*.cruds", beyond),
        ("patient/*.rs system/*.rs", beyond),
        ("patient/*.rs nonsense", beyond),
        (&long, beyond),
        (&many, "too many scopes"),
    ] {
        let found = answered(&ask(scope).await);
        assert_eq!(found, (400, "invalid_scope".to_owned(), told.to_owned()), "{scope:.40}");
    }
    assert_eq!(ask("patient/*.rs").await.status, 200, "the token is still good");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_posted_forms_are_read() {
    verifies!("OAUTH-03", "OAUTH-08");
    let world = World::start().await;
    let client = &world.server.client;
    let huge = "x".repeat(65 * 1024);
    let invalid = |told: &str| (400, "invalid_request".to_owned(), told.to_owned());
    for Endpoint { path, good, .. } in endpoints(&world.app) {
        world.server.clock.advance_seconds(1);
        let body = encoded(&good);
        for media_type in
            ["", "application/json", "text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded2"]
        {
            let reply = client.post(path).header("content-type", media_type).bytes(body.clone()).send().await;
            assert_eq!(answered(&reply), invalid("the body must be application/x-www-form-urlencoded"), "{path} {media_type}");
        }
        let first = first_asked(path);
        let many = (0..65).map(|index| format!("p{index}=x")).collect::<Vec<_>>().join("&");
        for (body, told) in [
            ("client_id=app", first),
            ("client_id=app&&&", first),
            ("client_id=app&=", first),
            (&huge, "the body is too large or incomplete"),
            (&format!("{body}&{many}"), "the request has too many or too long parameters"),
        ] {
            assert_eq!(answered(&post(&world, path, body).await), invalid(told), "{path} {body:.20}");
        }
        for method in ["GET", "PUT", "DELETE", "PATCH"] {
            // In a query, the parameters would stay in logs and histories.
            let request = client.request(method.parse().unwrap(), &format!("{path}?{body}"));
            let reply = request.send().await;
            assert_eq!((reply.status.as_u16(), reply.header("allow")), (405, "POST"), "{method} {path}");
            assert_eq!(answered(&reply).2, "the method must be POST", "{method} {path}");
        }
        let queried = post(&world, &format!("{path}?{body}"), "client_id=app").await;
        assert_eq!(answered(&queried), invalid(first), "{path} takes no parameter from a query");
    }
}
