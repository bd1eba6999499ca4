//! Bad input at the introspection endpoint from a caller that authenticates by an access token of its own; and headers that say twice who sends.

use portcullis_testkit::Reply;
use portcullis_testkit::app::basic;
use portcullis_testkit::server::PASSWORD;
use portcullis_verifies::verifies;

use super::{Answered, absent, answered, endpoints, owned, repeated, unread, unreadable, without};
use crate::fhir::World;

const PATH: &str = "/oauth/introspect";
const FORM: &str = "application/x-www-form-urlencoded";
const ONE_WAY: Answered = (400, "invalid_request", "only one way of client authentication may be used");
const INACTIVE: &str = r#"{"active":false}"#;

fn is(reply: &Reply, (status, error, description): Answered) -> bool {
    answered(reply) == (status, error.to_owned(), description.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_parameter_of_an_introspection_by_bearer_token_has_its_error() {
    verifies!("OAUTH-03", "SMART-28");
    let world = World::start().await;
    let shop = world.server.add_app("shop", "launch/patient patient/*.rs", true).await;
    let token = shop.access_token("launch/patient patient/*.rs", "ann", PASSWORD).await;
    let bearer = format!("Bearer {token}");
    let post = async |header: &str, media_type: &str, body: &str| {
        let request = world.server.client.post(PATH).header("content-type", media_type).header("authorization", header);
        request.bytes(body.to_owned()).send().await
    };
    let good = owned(&[("token", "nonsense")]);
    let invalid = |told: &'static str| (400, "invalid_request", told);
    let mut cases: Vec<(String, Answered)> = absent(&good, "token").map(|body| (body, invalid("token is required"))).to_vec();
    cases.extend(repeated(&good, "token").map(|body| (body, invalid("token is repeated"))));
    for name in ["token", "token_type_hint", "client_id", "client_secret", "client_assertion", "client_assertion_type", "unknown"]
    {
        let rest = without(&good, name);
        cases.extend(unreadable(&rest, name).into_iter().map(|body| {
            let told = unread(&body, "body");
            (body, invalid(told))
        }));
        if name == "token" {
            continue;
        }
        let with = [rest, owned(&[(name, "one")])].concat();
        cases.extend(repeated(&with, name).map(|body| (body, invalid(super::requests::repeated_text(name)))));
    }
    for name in ["client_secret", "client_assertion", "client_assertion_type"] {
        cases.push((format!("token=nonsense&{name}=x"), ONE_WAY));
    }
    let huge = "x".repeat(65 * 1024);
    cases.push((format!("token={huge}"), invalid("the body is too large or incomplete")));
    for (body, expected) in cases {
        world.server.clock.advance_seconds(1);
        let reply = post(&bearer, FORM, &body).await;
        assert!(is(&reply, expected), "{body:.80}: expected {expected:?}, got {} {}", reply.status, reply.text());
        assert_eq!(reply.header("cache-control"), "no-store");
    }
    for media_type in ["", "application/json", "text/plain", "application/x-www-form-urlencoded2"] {
        let reply = post(&bearer, media_type, "token=nonsense").await;
        assert!(is(&reply, invalid("the body must be application/x-www-form-urlencoded")), "{media_type}: {}", reply.text());
    }
    // Empty is left out, a hint that nobody knows is no hint, and who asks is what the token says.
    let long = format!("token=nonsense&token_type_hint={}", "x".repeat(4000));
    for body in ["token=nonsense&token_type_hint=", "token=nonsense&client_secret=", "token=nonsense&client_id=other", &long] {
        let reply = post(&bearer, FORM, body).await;
        assert_eq!((reply.status.as_u16(), reply.text().as_str()), (200, INACTIVE), "{body:.80}");
    }
    let malformed = "The Authorization header must be `Bearer` or `DPoP`, one space and the access token.";
    let unknown = "The access token is not valid here. Get a new one.";
    let proof = "DPoP: a proof is required. See RFC 9449, section 4.3.";
    for (header, expected) in [
        ("Bearer", (401, "invalid_request", malformed)),
        ("Bearer nonsense", (401, "invalid_token", unknown)),
        ("Bearer a.b.c", (401, "invalid_token", unknown)),
        (&format!("Bearer  {token}"), (401, "invalid_token", unknown)),
        (&format!("Bearer {token}x"), (401, "invalid_token", unknown)),
        (&format!("DPoP {token}"), (401, "invalid_dpop_proof", proof)),
        ("DPoP nonsense", (401, "invalid_token", unknown)),
    ] {
        world.server.clock.advance_seconds(1);
        let reply = post(header, FORM, "token=nonsense").await;
        assert!(is(&reply, expected), "{header:.20}: expected {expected:?}, got {} {}", reply.status, reply.text());
        assert!(reply.headers.contains_key("www-authenticate"), "{header:.20}");
    }
    let as_app = world.app.access_token("launch/patient patient/*.rs", "ann", PASSWORD).await;
    let reply = post(&format!("Bearer {as_app}"), FORM, "token=nonsense").await;
    let public = (401, "invalid_client", "introspection is for clients with credentials; this one is public");
    assert!(is(&reply, public), "{} {}", reply.status, reply.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_authorization_header_counts_once_and_only_as_text() {
    verifies!("OAUTH-03", "OAUTH-06");
    let world = World::start().await;
    let app = world.server.add_app("shop", "openid launch/patient patient/*.rs", true).await;
    let good = basic("shop", app.secret.as_deref().unwrap());
    let no_basic = (401, "invalid_client", "the Authorization header is not valid HTTP Basic");
    for endpoint in endpoints(&world.app) {
        world.server.clock.advance_seconds(1);
        let path = endpoint.path;
        let body = super::encoded(&without(&endpoint.good, "client_id"));
        let send = async |headers: &[&str], body: &str| {
            let request = world.server.client.post(path).header("content-type", FORM);
            let request = headers.iter().fold(request, |request, header| request.header("authorization", header));
            request.bytes(body.to_owned()).send().await
        };
        let wrong = basic("shop", "wrong");
        for headers in [[good.as_str(), good.as_str()], [&good, &wrong], [&wrong, &good], [&good, "Bearer x"]] {
            let reply = send(&headers, &body).await;
            assert!(is(&reply, ONE_WAY), "{path}: {} {}", reply.status, reply.text());
        }
        // What is no text does not make a public client of whoever sends it.
        for header in ["Basic \u{e9}", "", " "] {
            let reply = send(&[header], &format!("{body}&client_id=app")).await;
            assert!(is(&reply, no_basic), "{path} {header:?}: {} {}", reply.status, reply.text());
        }
        assert_ne!(send(&[&good], &body).await.status, 401, "{path}: the right one works");
    }
}
