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
    let launch = ("/oauth/launch", vec![("app".to_owned(), "launched".to_owned())]);
    vec![("/oauth/token", refresh), ("/oauth/revoke", token()), ("/oauth/introspect", token()), ("/oauth/par", pushed), launch]
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

const TYPE: &str = "a claim has the wrong JSON type";
const CLAIMS: &str = "iss, sub, aud, exp and jti are required";
const CLIENT: &str = "iss and sub must both be the client_id";
const ALGORITHM: &str = "alg must be RS384, ES384, RS256 or ES256";
const KEY: &str = "kid is missing or names no registered key";
const EMBEDDED: &str = "the header must not bring a key";
const AUDIENCE: &str = "aud must be the URL of the token endpoint or the issuer";
const MALFORMED: &str = "not a compact JWS";
const TIMES: &str = "iat is not plausible";

/// Each fault of an assertion with what is told of it, after `client_assertion: `.
const FAULTS: [(&str, Spoil, &str); 35] = [
    ("exp as text", |_, claims, now| claims["exp"] = json!((now + 240).to_string()), TYPE),
    ("expired", |_, claims, now| claims["exp"] = json!(now), "exp has passed"),
    ("far exp", |_, claims, now| claims["exp"] = json!(now + 360), "exp must lie at most five minutes ahead"),
    ("exp null", |_, claims, _| claims["exp"] = Value::Null, TYPE),
    ("no exp", |_, claims, _| without(claims, "exp"), CLAIMS),
    ("other aud", |_, claims, _| claims["aud"] = json!("https://elsewhere.example/oauth/token"), AUDIENCE),
    ("one aud more", |_, claims, _| claims["aud"] = json!([claims["aud"], "https://elsewhere.example/"]), AUDIENCE),
    ("aud a number", |_, claims, _| claims["aud"] = json!(7), TYPE),
    ("no aud", |_, claims, _| without(claims, "aud"), CLAIMS),
    ("iss", |_, claims, _| claims["iss"] = json!("app"), CLIENT),
    ("no iss", |_, claims, _| without(claims, "iss"), CLAIMS),
    ("sub", |_, claims, _| claims["sub"] = json!("app"), CLIENT),
    ("no sub", |_, claims, _| without(claims, "sub"), CLAIMS),
    ("jti null", |_, claims, _| claims["jti"] = Value::Null, CLAIMS),
    ("no jti", |_, claims, _| without(claims, "jti"), CLAIMS),
    ("jti a number", |_, claims, _| claims["jti"] = json!(7), TYPE),
    ("long jti", |_, claims, _| claims["jti"] = json!("x".repeat(256)), "jti may have at most 255 bytes"),
    ("nbf", |_, claims, now| claims["nbf"] = json!(now + 100), "nbf has not come yet"),
    ("nbf as text", |_, claims, now| claims["nbf"] = json!(now.to_string()), TYPE),
    ("iat", |_, claims, now| claims["iat"] = json!(now + 100), TIMES),
    ("iat as text", |_, claims, now| claims["iat"] = json!(now.to_string()), TYPE),
    ("other kid", |header, _, _| header["kid"] = json!("another"), KEY),
    ("no kid", |header, _, _| without(header, "kid"), KEY),
    ("kid a number", |header, _, _| header["kid"] = json!(7), KEY),
    ("alg none", |header, _, _| header["alg"] = json!("none"), ALGORITHM),
    ("alg HS256", |header, _, _| header["alg"] = json!("HS256"), ALGORITHM),
    ("alg HS384", |header, _, _| header["alg"] = json!("HS384"), ALGORITHM),
    ("no alg", |header, _, _| without(header, "alg"), ALGORITHM),
    ("alg of another curve", |header, _, _| header["alg"] = json!("ES256"), "alg does not fit the registered key"),
    ("typ", |header, _, _| header["typ"] = json!("at+jwt"), "typ must be JWT"),
    ("crit", |header, _, _| header["crit"] = json!(["exp"]), "crit is not supported"),
    ("jku", |header, _, _| header["jku"] = json!("https://169.254.169.254/keys"), "jku must be the registered jwks_uri"),
    ("jwk", |header, _, _| header["jwk"] = json!({"kty": "EC"}), EMBEDDED),
    ("x5u", |header, _, _| header["x5u"] = json!("https://169.254.169.254/x5u"), EMBEDDED),
    ("x5c", |header, _, _| header["x5c"] = json!(["AAAA"]), EMBEDDED),
];

fn without(members: &mut Value, name: &str) {
    members.as_object_mut().unwrap().remove(name);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faulty_and_replayed_assertions_are_invalid_at_every_endpoint() {
    verifies!("SMART-55", "SMART-56", "SMART-59");
    let world = World::start().await;
    let (app, signer) = world.server.add_signing_app("signer", SCOPE, ClientKey::generate("k", "ES384")).await;
    let mut problems = Vec::new();
    for (path, fields) in requests(&app) {
        world.server.clock.advance_seconds(1);
        let now = world.server.clock.now_seconds();
        let present = async |assertion: &str| {
            let more = [("client_assertion_type", ASSERTION_TYPE), ("client_assertion", assertion)];
            send(&world, path, &fields, &more, None).await
        };
        let told = |told: &str| (401, "invalid_client".to_owned(), format!("client_assertion: {told}"));
        let found = super::answered;
        for (name, spoil, expected) in FAULTS {
            let spoiled = assertion(&signer, now, &format!("{path}{name}"), |header, claims| spoil(header, claims, now));
            let reply = found(&present(&spoiled).await);
            if reply != told(expected) {
                problems.push(format!("{path} {name}: expected {expected}, got {reply:?}"));
            }
        }
        let spoil = |_: &mut Value, claims: &mut Value| claims["more"] = json!("x".repeat(16 * 1024));
        let reply = found(&present(&assertion(&signer, now, path, spoil)).await);
        let long = (400, "invalid_request".to_owned(), "the request has too many or too long parameters".to_owned());
        assert_eq!(reply, long, "{path}: longer than any form");
        let good = signer.assertion(now, path);
        let (message, signature) = good.rsplit_once('.').unwrap();
        let (header, claims) = message.split_once('.').unwrap();
        let twice = |part: &str| {
            let text = String::from_utf8(portcullis_testkit::decode_base64url(part)).unwrap();
            let name = if text.contains("\"kid\"") { "kid" } else { "jti" };
            portcullis_jose::base64url::encode(text.replacen('{', &format!("{{\"{name}\":\"x\","), 1))
        };
        let other = signer.assertion(now, "another");
        let (_, foreign) = other.rsplit_once('.').unwrap();
        for (text, expected) in [
            ("a.b.c".to_owned(), MALFORMED),
            ("a".to_owned(), MALFORMED),
            (message.to_owned(), MALFORMED),
            (format!("{good}.{signature}"), MALFORMED),
            (format!("{good}="), MALFORMED),
            (format!("{message}.{foreign}"), "the signature is wrong"),
            (format!("{message}."), "the signature is wrong"),
            (format!("{}.{claims}.{signature}", twice(header)), "a member occurs twice"),
            (format!("{header}.{}.{signature}", twice(claims)), "a member occurs twice"),
        ] {
            let reply = found(&present(&text).await);
            if reply != told(expected) {
                problems.push(format!("{path} {text:.50}: expected {expected}, got {reply:?}"));
            }
        }
        let first = present(&good).await;
        assert_ne!(first.status, 401, "{path}: the right one works: {}", first.text());
        assert_eq!(found(&present(&good).await), told("jti was used before"), "{path}: once");
        let again = signer.assertion(now, &format!("{path} again"));
        let kind = "client_assertion_type must be urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        let differs = "client_id differs from the sub of client_assertion";
        let (typed, asserted) = (("client_assertion_type", ASSERTION_TYPE), ("client_assertion", again.as_str()));
        for (more, status, code, told) in [
            (&[asserted][..], 400, "invalid_request", kind),
            (&[typed], 400, "invalid_request", "client_assertion is required"),
            (
                &[asserted, ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer")],
                400,
                "invalid_request",
                kind,
            ),
            (&[asserted, typed, ("client_id", "app")], 401, "invalid_client", differs),
            (&[("client_id", "signer")], 401, "invalid_client", "this client must authenticate by client_assertion"),
        ] {
            let reply = found(&send(&world, path, &fields, more, None).await);
            assert_eq!(reply, (status, code.to_owned(), told.to_owned()), "{path}");
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
