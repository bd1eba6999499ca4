//! Client authentication that must not work, at every endpoint that demands it.

use portcullis_store::Clock as _;
use portcullis_testkit::app::basic;
use portcullis_testkit::backend::{ASSERTION_TYPE, BackendClient, ClientKey};
use portcullis_testkit::{App, Reply};
use portcullis_verifies::verifies;
use serde_json::{Value, json};

use super::{SCOPE, description, error};
use crate::fhir::World;

/// Each endpoint with a request that lacks only the client's authentication.
fn requests(app: &App) -> Vec<(&'static str, Vec<(String, String)>)> {
    let query = app.authorization_query(SCOPE);
    let pushed = url::form_urlencoded::parse(query.as_bytes()).into_owned().filter(|(name, _)| name != "client_id").collect();
    let token = || vec![("token".to_owned(), "nonsense".to_owned())];
    let refresh = [("grant_type", "refresh_token"), ("refresh_token", "nonsense")];
    let refresh = refresh.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    vec![("/oauth/token", refresh), ("/oauth/revoke", token()), ("/oauth/introspect", token()), ("/oauth/par", pushed)]
}

async fn send(world: &World, path: &str, fields: &[(String, String)], more: &[(&str, &str)], header: Option<&str>) -> Reply {
    let mut pairs: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    pairs.extend(more);
    let request = world.server.client.post(path).form(&pairs);
    match header {
        Some(header) => request.header("authorization", header).send().await,
        None => request.send().await,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_and_mixed_secrets_have_their_error_at_every_endpoint() {
    verifies!("OAUTH-03", "OAUTH-06", "SMART-60");
    let world = World::start().await;
    let app = world.server.add_app("shop", "openid launch/patient patient/*.rs", true).await;
    let secret = app.secret.clone().unwrap();
    let good = basic("shop", &secret);
    let shop = ("client_id", "shop");
    let asserted = [("client_assertion_type", ASSERTION_TYPE), ("client_assertion", "a.b.c")];
    let one_way = (400, "invalid_request", "only one way of client authentication may be used");
    let differs = (400, "invalid_request", "client_id differs from the one in the Authorization header");
    let failed = |told: &'static str| (401, "invalid_client", told);
    let wrong = failed("client authentication failed");
    let no_basic = failed("the Authorization header is not valid HTTP Basic");
    let public = failed("this client is public and must send client_id without a secret");
    let mut problems = Vec::new();
    for (path, fields) in requests(&app) {
        world.server.clock.advance_seconds(1);
        for (more, header, expected) in [
            (&[("client_secret", secret.as_str())][..], Some(good.as_str()), one_way),
            (&asserted, Some(&good), one_way),
            (&[asserted[0], asserted[1], ("client_secret", "x")], None, one_way),
            (&[shop, ("client_secret", &secret)], None, failed("send the client secret by HTTP Basic, not in the body")),
            (&[shop], None, failed("this client must authenticate by HTTP Basic")),
            (&[("client_id", "app")], Some(&good), differs),
            (&[], Some(&basic("shop", "wrong")), wrong),
            (&[], Some(&basic("shop", "")), wrong),
            (&[], Some(&basic("nobody", &secret)), wrong),
            (&[], Some(&basic("app", "x")), public),
            (&[], Some("Basic"), no_basic),
            (&[], Some("Basic %%%"), no_basic),
            (&[], Some("Basic c2hvcA=="), no_basic),
            (&[], Some("Basic /w=="), no_basic),
            (&[], Some("Digest username=\"shop\""), no_basic),
        ] {
            let reply = send(&world, path, &fields, more, header).await;
            let (told, words) = (error(&reply), description(&reply));
            if (told.0, told.1.as_str(), words.as_str()) != expected {
                problems.push(format!("{path} {more:?} {header:?}: expected {expected:?}, got {told:?} {words}"));
            }
            assert_eq!(reply.header("www-authenticate").starts_with("Basic "), told.0 == 401, "{path}");
        }
        let reply = send(&world, path, &fields, &[], Some(&good)).await;
        assert_ne!(reply.status, 401, "{path}: the right one works: {}", reply.text());
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// Header and claims of a good assertion, before somebody spoils them.
fn assertion(signer: &BackendClient, now: i64, id: &str, spoil: impl FnOnce(&mut Value, &mut Value)) -> String {
    let (mut header, mut claims) = (signer.key.header(), signer.claims(now, id));
    spoil(&mut header, &mut claims);
    signer.key.sign(&header, &claims)
}

type Spoil = fn(&mut Value, &mut Value, i64);

const FAULTS: [(&str, Spoil); 16] = [
    ("exp as text", |_, claims, now| claims["exp"] = json!((now + 240).to_string())),
    ("expired", |_, claims, now| claims["exp"] = json!(now)),
    ("far exp", |_, claims, now| claims["exp"] = json!(now + 360)),
    ("no exp", |_, claims, _| claims["exp"] = Value::Null),
    ("aud", |_, claims, _| claims["aud"] = json!("https://elsewhere.example/oauth/token")),
    ("iss", |_, claims, _| claims["iss"] = json!("app")),
    ("sub", |_, claims, _| claims["sub"] = json!("app")),
    ("no jti", |_, claims, _| claims["jti"] = Value::Null),
    ("nbf", |_, claims, now| claims["nbf"] = json!(now + 100)),
    ("kid", |header, _, _| header["kid"] = json!("another")),
    ("alg none", |header, _, _| header["alg"] = json!("none")),
    ("alg HS256", |header, _, _| header["alg"] = json!("HS256")),
    ("alg of another curve", |header, _, _| header["alg"] = json!("ES256")),
    ("typ", |header, _, _| header["typ"] = json!("at+jwt")),
    ("crit", |header, _, _| header["crit"] = json!(["exp"])),
    ("jku", |header, _, _| header["jku"] = json!("https://169.254.169.254/keys")),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faulty_and_replayed_assertions_are_invalid_at_every_endpoint() {
    verifies!("SMART-55", "SMART-56", "SMART-59");
    let world = World::start().await;
    let (app, signer) = world.server.add_signing_app("signer", SCOPE, ClientKey::generate("k", "ES384")).await;
    let invalid = (401, "invalid_client".to_owned());
    for (path, fields) in requests(&app) {
        world.server.clock.advance_seconds(1);
        let now = world.server.clock.now_seconds();
        let present = async |assertion: &str| {
            let more = [("client_assertion_type", ASSERTION_TYPE), ("client_assertion", assertion)];
            send(&world, path, &fields, &more, None).await
        };
        for (name, spoil) in FAULTS {
            let spoiled = assertion(&signer, now, &format!("{path}{name}"), |header, claims| spoil(header, claims, now));
            let reply = present(&spoiled).await;
            assert_eq!(error(&reply), invalid, "{path} {name}: {}", reply.text());
        }
        let good = signer.assertion(now, path);
        let (message, _) = good.rsplit_once('.').unwrap();
        for text in ["a.b.c", "a", message, &format!("{message}."), &format!("{good}x")] {
            assert_eq!(error(&present(text).await), invalid, "{path} {text}");
        }
        let first = present(&good).await;
        assert_ne!(first.status, 401, "{path}: the right one works: {}", first.text());
        assert_eq!(error(&present(&good).await), invalid, "{path}: once");
    }
}
