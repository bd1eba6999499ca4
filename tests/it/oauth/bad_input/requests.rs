//! The values of an authorization request, and what may be left out of it.

use portcullis_testkit::Reply;
use portcullis_testkit::app::query_value;
use portcullis_verifies::verifies;

use super::{Answered, Pairs, SCOPE, absent, description, encoded, is_page, owned, repeated, unread, unreadable, without};
use crate::fhir::World;

/// An error that goes to the app, and its description.
type Told = (&'static str, &'static str);

const INVALID: &str = "invalid_request";

/// Every parameter that may be left out of an authorization request, and what is told of a value that is too long for anything; nothing where
/// any value is ignored, as OpenID Connect and OAuth demand of what is not known.
const OPTIONAL: [(&str, Option<Told>); 22] = [
    ("launch", Some((INVALID, "launch is too long"))),
    ("prompt", Some((INVALID, "prompt must be none, login, consent or select_account"))),
    ("max_age", Some((INVALID, "max_age must be a number of seconds"))),
    ("nonce", Some((INVALID, "nonce is too long"))),
    ("login_hint", Some((INVALID, "login_hint is too long"))),
    ("acr_values", Some((INVALID, "acr_values is too long"))),
    ("resource", Some((INVALID, "aud must be the FHIR base URL of this server"))),
    ("dpop_jkt", Some((INVALID, "dpop_jkt must be a SHA-256 thumbprint in base64url"))),
    ("response_mode", Some((INVALID, "response_mode must be query"))),
    ("request", Some(("request_not_supported", "request objects are for clients with registered keys"))),
    ("request_uri", Some(("request_uri_not_supported", "request_uri is not fetched; push the request, or send it in request"))),
    ("ui_locales", None),
    ("claims_locales", None),
    ("claims", None),
    ("display", None),
    ("id_token_hint", Some((INVALID, "id_token_hint is no id_token of this server for this client"))),
    ("registration", None),
    ("authorization_details", None),
    ("code_verifier", None),
    ("smart_style_url", None),
    ("signed_in", None),
    ("unknown", None),
];

/// The same at the endpoint for pushed requests.
pub fn optional_when_pushed() -> Vec<(&'static str, Option<Answered>)> {
    let told = |(name, told): (&'static str, Option<Told>)| match name {
        "request_uri" => (name, Some((400, INVALID, "request_uri must not be pushed"))),
        _ => (name, told.map(|(error, description)| (400, error, description))),
    };
    OPTIONAL.map(told).to_vec()
}

/// What is told of a parameter that stands there twice.
pub fn repeated_text(name: &str) -> &'static str {
    match name {
        "signed_in" | "unknown" => "a parameter that is not known here is repeated",
        known => Box::leak(format!("{known} is repeated").into_boxed_str()),
    }
}

fn good(world: &World) -> Pairs {
    let query = world.app.authorization_query(SCOPE);
    url::form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

async fn ask(world: &World, query: &str) -> Reply {
    world.server.client.get(&format!("/oauth/authorize?{query}")).send().await
}

/// Error and description that go to the app, with the state that it sent and with who says so.
fn told(world: &World, reply: &Reply) -> (String, String) {
    assert!(reply.header("location").starts_with(&world.app.redirect_uri), "{} {}", reply.status, reply.text());
    assert_eq!(reply.status, 303);
    assert_eq!(query_value(reply, "state").as_deref(), Some("state-of-at-least-122-bits"));
    assert_eq!(query_value(reply, "iss").as_deref(), Some(&*world.server.server.settings.public_url));
    (query_value(reply, "error").unwrap_or_default(), description(reply))
}

fn pair((error, description): Told) -> (String, String) {
    (error.to_owned(), description.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_parameter_that_may_be_left_out_of_an_authorization_request_has_its_error() {
    verifies!("OAUTH-02", "OAUTH-04");
    let world = World::start().await;
    for (name, too_long) in OPTIONAL {
        world.server.clock.advance_seconds(1);
        let rest = without(&good(&world), name);
        for query in absent(&rest, name) {
            let reply = ask(&world, &query).await;
            assert_eq!(reply.status, 200, "{name} empty: {}", reply.header("location"));
        }
        for query in repeated(&[rest.clone(), owned(&[(name, "one")])].concat(), name) {
            let reply = ask(&world, &query).await;
            assert_eq!(told(&world, &reply), pair((INVALID, repeated_text(name))), "{name} twice");
        }
        for query in unreadable(&rest, name) {
            let reply = ask(&world, &query).await;
            assert!(is_page(&reply), "{name}: {} {}", reply.status, reply.header("location"));
            assert!(reply.text().contains(unread(&query, "parameters are")), "{name}: {}", reply.text());
        }
        let reply = ask(&world, &encoded(&[rest, owned(&[(name, &"x".repeat(4000))])].concat())).await;
        match too_long {
            Some(expected) => assert_eq!(told(&world, &reply), pair(expected), "{name} too long"),
            None => assert_eq!(reply.status, 200, "{name}: {}", reply.header("location")),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_faulty_value_of_an_authorization_request_has_its_error() {
    verifies!("OAUTH-02", "OAUTH-15", "SMART-21", "SMART-50");
    let world = World::start().await;
    let (long, longer) = ("x".repeat(600), "x".repeat(129));
    let many = "openid ".repeat(201);
    let not_code = ("unsupported_response_type", "response_type must be code");
    let challenge = (INVALID, "code_challenge must have 43 to 128 unreserved characters");
    let method = (INVALID, "code_challenge_method is required and must be S256");
    let no_scope = ("invalid_scope", "none of the requested scopes can be granted to this client");
    let audience = (INVALID, "aud must be the FHIR base URL of this server");
    let prompt = (INVALID, "prompt must be none, login, consent or select_account");
    let max_age = (INVALID, "max_age must be a number of seconds");
    let thumbprint = (INVALID, "dpop_jkt must be a SHA-256 thumbprint in base64url");
    let not_fetched = ("request_uri_not_supported", "request_uri is not fetched; push the request, or send it in request");
    for (name, value, expected) in [
        ("response_type", "token", not_code),
        ("response_type", "code id_token", not_code),
        ("response_type", "CODE", not_code),
        ("response_mode", "fragment", (INVALID, "response_mode must be query")),
        ("response_mode", "form_post", (INVALID, "response_mode must be query")),
        ("code_challenge", "short", challenge),
        ("code_challenge", longer.as_str(), challenge),
        ("code_challenge", "not/unreserved/not/unreserved/not/unreserved/", challenge),
        ("code_challenge_method", "plain", method),
        ("code_challenge_method", "s256", method),
        ("scope", "nonsense", no_scope),
        ("scope", "system/*.rs", no_scope),
        ("scope", "patient/Patient.sr", no_scope),
        ("scope", &many, ("invalid_scope", "too many scopes")),
        ("aud", "https://elsewhere.example/fhir", audience),
        ("resource", "https://elsewhere.example/fhir", audience),
        ("prompt", "nonsense", prompt),
        ("prompt", "none login", (INVALID, "prompt none excludes the others")),
        ("prompt", "none", ("login_required", "nobody is signed in")),
        ("max_age", "-1", max_age),
        ("max_age", "1e3", max_age),
        ("max_age", "99999999999", max_age),
        ("dpop_jkt", "short", thumbprint),
        ("launch", "handle", (INVALID, "the parameter launch needs the scope launch")),
        ("launch", &long, (INVALID, "launch is too long")),
        ("request", "a.b.c", ("request_not_supported", "request objects are for clients with registered keys")),
        ("request_uri", "https://elsewhere.example/request.jwt", not_fetched),
        (
            "request_uri",
            "urn:ietf:params:oauth:request_uri:guessed",
            ("invalid_request_uri", "request_uri is unknown, used, expired, or was made for another client_id"),
        ),
        ("nonce", &long, (INVALID, "nonce is too long")),
        ("login_hint", &long, (INVALID, "login_hint is too long")),
        ("acr_values", &long, (INVALID, "acr_values is too long")),
    ] {
        world.server.clock.advance_seconds(1);
        let changed = [without(&good(&world), name), owned(&[(name, value)])].concat();
        let reply = ask(&world, &encoded(&changed)).await;
        assert_eq!(told(&world, &reply), pair(expected), "{name}={value:.60}");
    }
    let both = [good(&world), owned(&[("request", "a.b.c"), ("request_uri", "urn:ietf:params:oauth:request_uri:x")])].concat();
    let reply = ask(&world, &encoded(&both)).await;
    assert_eq!(told(&world, &reply), pair((INVALID, "request and request_uri exclude each other")));
}
