//! SMART Backend Services: clients that sign, and act for themselves. Each rule with a request that breaks only it, and the exact error.

use http::Method;
use portcullis_audit::record::{Event, Outcome};
use portcullis_oauth::clients::KeySource;
use portcullis_oauth::users::Role;
use portcullis_store::Clock as _;
use portcullis_testkit::backend::ASSERTION_TYPE;
use portcullis_testkit::resources::{observation, patient};
use portcullis_testkit::server::PASSWORD;
use portcullis_testkit::{BackendClient, ClientKey, Reply, TestServer};
use portcullis_verifies::verifies;
use serde_json::{Value, json};

use crate::fhir::World;

mod keys;
mod purposes;

const SCOPE: &str = "system/*.cruds";

struct Backend {
    server: TestServer,
    client: BackendClient,
}

impl Backend {
    /// A server with two patients and a client that registered an ES384 key by value.
    async fn start(scope: &str) -> Self {
        let server = TestServer::start().await;
        server
            .import(&[
                patient("ann", "Ann"),
                patient("bob", "Bob"),
                observation("obs-ann", "ann", "4548-4", "5.60", "2026-01-01"),
                observation("obs-bob", "bob", "4548-4", "9.90", "2026-03-01"),
            ])
            .await;
        let key = ClientKey::generate("key-1", "ES384");
        let keys = KeySource::value(&key.jwks().to_string()).unwrap();
        let client = server.add_backend("backend", scope, key, keys).await;
        Self { server, client }
    }

    fn now(&self) -> i64 {
        self.server.clock.now_seconds()
    }

    /// The good claims with one set, or removed where the value is null.
    fn claims_with(&self, name: &str, value: Value) -> Value {
        let mut claims = self.client.claims(self.now(), &format!("jti-{name}-{value}"));
        let members = claims.as_object_mut().unwrap();
        if value.is_null() {
            members.remove(name)
        } else {
            members.insert(name.into(), value)
        };
        claims
    }

    fn header_with(&self, name: &str, value: Value) -> Value {
        let mut header = self.client.key.header();
        let members = header.as_object_mut().unwrap();
        if value.is_null() {
            members.remove(name)
        } else {
            members.insert(name.into(), value)
        };
        header
    }

    async fn presented(&self, header: &Value, claims: &Value) -> Reply {
        self.client.request(&self.client.key.sign(header, claims), "system/*.rs").await
    }

    async fn refused_claims(&self, name: &str, value: Value) -> Reply {
        self.presented(&self.client.key.header(), &self.claims_with(name, value)).await
    }
}

fn error(reply: &Reply) -> (u16, String) {
    assert_eq!((reply.header("cache-control"), reply.header("pragma")), ("no-store", "no-cache"), "{}", reply.text());
    let body = reply.json();
    assert!(body["error_description"].is_string(), "{body}");
    (reply.status.as_u16(), body["error"].as_str().unwrap_or_default().to_owned())
}

fn refused(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_signs_gets_a_token_for_five_minutes_and_nothing_else() {
    verifies!("SMART-28", "SMART-54", "SMART-62", "SMART-64", "SMART-65", "OAUTH-29");
    let backend = Backend::start(SCOPE).await;
    for (number, algorithm) in ["ES384", "RS384", "ES256", "RS256"].into_iter().enumerate() {
        let key = ClientKey::generate("k", algorithm);
        let keys = KeySource::value(&key.jwks().to_string()).unwrap();
        let client = backend.server.add_backend(&format!("backend-{number}"), SCOPE, key, keys).await;
        let reply = client.request(&client.assertion(backend.now(), "first"), "system/Patient.rs system/Observation.read").await;
        assert_eq!(reply.status, 200, "{algorithm} {}", reply.text());
        assert_eq!((reply.header("cache-control"), reply.header("pragma")), ("no-store", "no-cache"));
        let body = reply.json();
        let names: Vec<&String> = body.as_object().unwrap().keys().collect();
        assert_eq!(names, ["access_token", "expires_in", "scope", "token_type"]);
        assert_eq!((&body["token_type"], &body["expires_in"]), (&json!("Bearer"), &json!(300)));
        assert_eq!(body["scope"], "system/Patient.rs system/Observation.read", "in the spelling that was asked for");
        let token = body["access_token"].as_str().unwrap();
        let claims: Value =
            serde_json::from_slice(&portcullis_testkit::decode_base64url(token.split('.').nth(1).unwrap())).unwrap();
        assert_eq!((&claims["sub"], &claims["client_id"]), (&json!(client.client_id), &json!(client.client_id)));
        let found = client.client.get("/fhir/Observation").bearer(token).send().await;
        assert_eq!((found.status.as_u16(), found.json()["entry"].as_array().map(Vec::len)), (200, Some(2)), "{}", found.text());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_faulty_assertion_is_an_invalid_client() {
    verifies!("SMART-55", "SMART-59", "SMART-57", "SMART-67");
    let backend = Backend::start(SCOPE).await;
    let now = backend.now();
    let invalid = refused(401, "invalid_client");
    for (name, value) in [
        ("iss", json!("other")),
        ("iss", Value::Null),
        ("sub", json!("other")),
        ("sub", Value::Null),
        ("aud", json!("https://localhost/oauth/token")),
        ("aud", json!(backend.server.fhir_base)),
        ("aud", json!([backend.client.token_endpoint, "https://evil.example/token"])),
        ("aud", Value::Null),
        ("exp", json!(now)),
        ("exp", json!(now - 1)),
        ("exp", json!(now + 360)),
        ("exp", json!(now + 3600)),
        ("exp", json!((now + 240).to_string())),
        ("exp", json!([now + 240])),
        ("exp", Value::Null),
        ("nbf", json!(now + 100)),
        ("iat", json!(now + 100)),
        ("iat", json!("now")),
        ("jti", Value::Null),
        ("jti", json!("")),
        ("jti", json!(7)),
        ("jti", json!("x".repeat(256))),
    ] {
        let reply = backend.refused_claims(name, value.clone()).await;
        assert_eq!(error(&reply), invalid, "{name} {value}: {}", reply.text());
    }
    for (name, value) in [
        ("alg", json!("none")),
        ("alg", json!("HS256")),
        ("alg", json!("HS384")),
        ("alg", json!("ES256")),
        ("alg", json!("RS384")),
        ("alg", json!("PS384")),
        ("alg", Value::Null),
        ("kid", json!("key-2")),
        ("kid", json!("KEY-1")),
        ("kid", Value::Null),
        ("typ", json!("at+jwt")),
        ("typ", json!("dpop+jwt")),
        ("crit", json!(["exp"])),
        ("jwk", backend.client.key.jwk()),
        ("x5u", json!(backend.server.keys.url())),
        ("x5c", json!(["MIIB"])),
        ("jku", json!(backend.server.keys.url())),
        ("jku", json!("https://169.254.169.254/latest")),
    ] {
        let claims = backend.client.claims(now, &format!("header-{name}-{value}"));
        let reply = backend.presented(&backend.header_with(name, value.clone()), &claims).await;
        assert_eq!(error(&reply), invalid, "{name} {value}: {}", reply.text());
    }
    assert_eq!(backend.server.keys.calls(), 0, "nothing in a header is fetched");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signatures_that_are_none_symmetric_foreign_or_damaged_are_refused() {
    verifies!("SMART-59");
    let backend = Backend::start(SCOPE).await;
    let good = backend.client.assertion(backend.now(), "good");
    let (message, signature) = good.rsplit_once('.').unwrap();
    let claims = message.split_once('.').unwrap().1;
    let header = |value: Value| portcullis_jose::base64url::encode(value.to_string());
    let unsigned = format!("{}.{claims}.", header(json!({"alg": "none"})));
    // The trick: the public key as the secret of an HMAC.
    let secret = jsonwebtoken::EncodingKey::from_secret(backend.client.key.jwk().to_string().as_bytes());
    let mac_message = format!("{}.{claims}", header(json!({"alg": "HS256", "kid": "key-1", "typ": "JWT"})));
    let mac = jsonwebtoken::crypto::sign(mac_message.as_bytes(), &secret, jsonwebtoken::Algorithm::HS256).unwrap();
    let stranger = ClientKey::generate("key-1", "ES384");
    let foreign = stranger.sign(&stranger.header(), &backend.client.claims(backend.now(), "foreign"));
    let damaged = format!("{message}.{}", signature.chars().rev().collect::<String>());
    for assertion in [
        unsigned,
        format!("{mac_message}.{mac}"),
        foreign,
        damaged,
        format!("{message}."),
        message.to_owned(),
        "x".to_owned(),
        format!("{good}.x"),
        format!("{good}="),
    ] {
        let reply = backend.client.request(&assertion, "system/*.rs").await;
        assert_eq!(error(&reply), refused(401, "invalid_client"), "{assertion}: {}", reply.text());
    }
    let twice = portcullis_jose::base64url::encode(r#"{"alg":"none","alg":"ES384","kid":"key-1"}"#);
    let reply = backend.client.request(&format!("{twice}.{claims}.{signature}"), "system/*.rs").await;
    assert_eq!(error(&reply), refused(401, "invalid_client"));
    assert_eq!(backend.client.request(&good, "system/*.rs").await.status, 200, "the good one was not spent by the bad ones");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_jti_counts_once_and_again_only_when_no_assertion_with_it_can_live() {
    verifies!("SMART-56");
    let backend = Backend::start(SCOPE).await;
    let assertion = backend.client.assertion(backend.now(), "once");
    assert_eq!(backend.client.request(&assertion, "system/*.rs").await.status, 200);
    let invalid = refused(401, "invalid_client");
    assert_eq!(error(&backend.client.request(&assertion, "system/*.rs").await), invalid);
    // The same jti in another assertion is the same jti.
    backend.server.clock.advance_seconds(100);
    let again = backend.client.assertion(backend.now(), "once");
    assert_eq!(error(&backend.client.request(&again, "system/*.rs").await), invalid);
    // A request that fails for another reason has used its jti, too.
    let wasted = backend.client.assertion(backend.now(), "wasted");
    assert_eq!(error(&backend.client.request(&wasted, "openid").await), refused(400, "invalid_scope"));
    assert_eq!(error(&backend.client.request(&wasted, "system/*.rs").await), invalid);
    // Another client may use the same text.
    let key = ClientKey::generate("k", "ES256");
    let keys = KeySource::value(&key.jwks().to_string()).unwrap();
    let other = backend.server.add_backend("other", SCOPE, key, keys).await;
    assert_eq!(other.request(&other.assertion(backend.now(), "once"), "system/*.rs").await.status, 200);
    backend.server.clock.advance_seconds(400);
    let later = backend.client.assertion(backend.now(), "once");
    assert_eq!(backend.client.request(&later, "system/*.rs").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_present_one_assertion_at_once_one_gets_a_token() {
    verifies!("SMART-56");
    let backend = Backend::start(SCOPE).await;
    let assertion = backend.client.assertion(backend.now(), "race");
    let requests: Vec<_> = (0..20).map(|_| backend.client.request(&assertion, "system/*.rs")).collect();
    let mut granted = 0;
    for reply in join_all(requests).await {
        granted += usize::from(reply.status == 200);
        assert!(reply.status == 200 || error(&reply) == refused(401, "invalid_client"), "{}", reply.text());
    }
    assert_eq!(granted, 1);
}

/// Drives futures side by side.
async fn join_all<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        let mut pending = false;
        for (future, output) in &mut futures {
            if output.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(value) => *output = Some(value),
                    std::task::Poll::Pending => pending = true,
                }
            }
        }
        if pending { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
    })
    .await;
    futures.into_iter().filter_map(|(_, output)| output).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_mixed_and_repeated_requests_get_their_exact_error() {
    verifies!("OAUTH-03", "OAUTH-04", "OAUTH-06", "SMART-61", "SMART-62");
    let backend = Backend::start(SCOPE).await;
    let app = backend.server.add_app("shop", "openid patient/*.rs", true).await;
    let assertion = backend.client.assertion(backend.now(), "unused");
    let base = [
        ("grant_type", "client_credentials"),
        ("scope", "system/*.rs"),
        ("client_assertion_type", ASSERTION_TYPE),
        ("client_assertion", assertion.as_str()),
    ];
    let with = |name: &'static str, value: &'static str| {
        let mut fields: Vec<(&str, &str)> = base.iter().copied().filter(|(key, _)| *key != name).collect();
        if !value.is_empty() {
            fields.push((name, value));
        }
        fields
    };
    let long = "x".repeat(17 * 1024);
    let invalid = |told| (400, "invalid_request", told);
    let jwt_bearer = "client_assertion_type must be urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    let grant_types = "grant_type must be authorization_code, refresh_token or client_credentials";
    let outside = "scope names no system/ scope that this client is registered for";
    let mut problems = Vec::new();
    let mut judge = |what: String, reply: &Reply, expected: (u16, &str, &str)| {
        let body = reply.json();
        let got = (reply.status.as_u16(), body["error"].as_str().unwrap_or(""), body["error_description"].as_str().unwrap_or(""));
        if got != expected {
            problems.push(format!("{what}: expected {expected:?}, got {got:?}"));
        }
    };
    for (fields, expected) in [
        (with("grant_type", ""), invalid("grant_type is required")),
        (with("grant_type", "not_a_grant_type"), (400, "unsupported_grant_type", grant_types)),
        (with("scope", ""), invalid("scope is required")),
        (with("client_assertion_type", ""), invalid(jwt_bearer)),
        (with("client_assertion_type", "not_an_assertion_type"), invalid(jwt_bearer)),
        (with("client_assertion", ""), invalid("client_assertion is required")),
        (with("client_id", "shop"), (401, "invalid_client", "client_id differs from the sub of client_assertion")),
        (with("client_secret", "guess"), invalid("only one way of client authentication may be used")),
        ([base.to_vec(), vec![("scope", "system/*.rs")]].concat(), invalid("scope is repeated")),
        ([base.to_vec(), vec![("client_assertion", "x")]].concat(), invalid("client_assertion is repeated")),
        ([base.to_vec(), vec![("grant_type", "client_credentials")]].concat(), invalid("grant_type is repeated")),
        ([base.to_vec(), vec![("anything", long.as_str())]].concat(), invalid("the request has too many or too long parameters")),
    ] {
        let reply = backend.client.client.post("/oauth/token").form(&fields).send().await;
        judge(format!("{fields:?}"), &reply, expected);
    }
    for scope in ["patient/*.rs openid", "system/Nonsense.rs", "system/*", "offline_access"] {
        let reply = backend.client.request(&backend.client.assertion(backend.now(), scope), scope).await;
        judge(scope.to_owned(), &reply, (400, "invalid_scope", outside));
    }
    let basic = backend.client.client.post("/oauth/token").header("authorization", "Basic c2hvcDp4").form(&base).send().await;
    judge("two ways of authentication".into(), &basic, invalid("only one way of client authentication may be used"));
    let symmetric = app.token_request(&[("grant_type", "client_credentials"), ("scope", "system/*.rs")]).await;
    let no_leave = (400, "unauthorized_client", "this client may not use this grant type");
    judge("a secret is not for backend services".into(), &symmetric, no_leave);
    let named = [("grant_type", "client_credentials"), ("scope", "system/*.rs"), ("client_id", "backend")];
    let bare = backend.client.client.post("/oauth/token").form(&named).send().await;
    judge("no credentials".into(), &bare, (401, "invalid_client", "this client must authenticate by client_assertion"));
    let percent = format!("{}&client_id=%ff", url::form_urlencoded::Serializer::new(String::new()).extend_pairs(base).finish());
    let request = backend.client.client.post("/oauth/token").header("content-type", "application/x-www-form-urlencoded");
    judge("wrong encoding".into(), &request.bytes(percent).send().await, invalid("the body is not valid form data"));
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    let get = backend.client.client.request(Method::GET, "/oauth/token").send().await;
    assert_eq!((get.status.as_u16(), get.header("allow")), (405, "POST"));
    let json = backend.client.client.post("/oauth/token").header("content-type", "application/json").bytes("{}").send().await;
    assert_eq!(error(&json), refused(400, "invalid_request"));
    assert_eq!(backend.client.request(&assertion, "system/*.rs").await.status, 200, "none of these has used the assertion");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_and_public_clients_cannot_authenticate_by_assertion() {
    verifies!("SMART-59");
    let backend = Backend::start(SCOPE).await;
    backend.server.add_app("public", "openid", false).await;
    for client_id in ["nobody", "public"] {
        let claims = json!({"iss": client_id, "sub": client_id, "aud": backend.client.token_endpoint, "exp": backend.now() + 60, "jti": "x"});
        let reply = backend.presented(&backend.client.key.header(), &claims).await;
        assert_eq!(error(&reply), refused(401, "invalid_client"), "{client_id}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_granted_lies_within_the_registration_now_and_later() {
    verifies!("SMART-63", "SMART-66", "USCORE-13");
    let backend = Backend::start("system/Patient.rs system/Observation.r").await;
    let (client, now) = (&backend.client, backend.now());
    let granted =
        client.request(&client.assertion(now, "1"), "system/*.rs system/Patient.read openid system/Observation.cruds").await;
    assert_eq!((granted.status.as_u16(), granted.json()["scope"].as_str()), (200, Some("system/Patient.read")));
    let wide = client.request(&client.assertion(now, "2"), "system/*.cruds").await;
    assert_eq!(error(&wide), refused(400, "invalid_scope"));
    let token = client.token(now, "3", "system/Patient.rs system/Observation.r").await;
    let status = |method: Method, path: &'static str| {
        let request = client.client.request(method, path).bearer(&token);
        async move { request.send().await.status.as_u16() }
    };
    assert_eq!(status(Method::GET, "/fhir/Patient/bob").await, 200);
    assert_eq!(status(Method::GET, "/fhir/Observation/obs-bob").await, 200);
    assert_eq!(status(Method::GET, "/fhir/Observation").await, 403);
    assert_eq!(status(Method::GET, "/fhir/AuditEvent").await, 403);
    assert_eq!(status(Method::GET, "/fhir/Encounter").await, 403);
    assert_eq!(status(Method::DELETE, "/fhir/Patient/bob").await, 403);
    backend.server.clock.advance_seconds(300);
    assert_eq!(status(Method::GET, "/fhir/Patient/bob").await, 401, "after five minutes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_on_its_own_behalf_writes_reads_and_never_sees_the_audit_trail() {
    let backend = Backend::start("system/*.cruds system/AuditEvent.rs").await;
    let token = backend.client.token(backend.now(), "1", "system/*.cruds system/AuditEvent.rs").await;
    let send = |method: Method, path: &str, body: &str| {
        let request = backend.client.client.request(method, path).bearer(&token).fhir(body.to_owned());
        async move { request.send().await }
    };
    let created = send(
        Method::POST,
        "/fhir/Observation",
        &observation("x", "ann", "4548-4", "7.10", "2026-04-01").replace("\"id\":\"x\",", ""),
    )
    .await;
    assert_eq!(created.status, 201, "{}", created.text());
    let id = created.json()["id"].as_str().unwrap().to_owned();
    let path = format!("/fhir/Observation/{id}");
    let updated = send(Method::PUT, &path, &observation(&id, "bob", "4548-4", "7.20", "2026-04-01")).await;
    assert_eq!(updated.status, 200, "{}", updated.text());
    assert_eq!(backend.client.client.get(&path).bearer(&token).send().await.status, 200);
    let history = backend.client.client.get(&format!("{path}/_history")).bearer(&token).send().await;
    assert_eq!(history.json()["entry"].as_array().map(Vec::len), Some(2), "{}", history.text());
    let deleted = backend.client.client.request(Method::DELETE, &path).bearer(&token).send().await;
    assert!(deleted.status.is_success(), "{}", deleted.text());
    let audit = backend.client.client.get("/fhir/AuditEvent").bearer(&token).send().await;
    assert_eq!(audit.status, 403, "{}", audit.text());
    // An auditor does see it, and who did what.
    backend.server.move_outbox().await;
    backend.server.add_user("audit", &[Role::Auditor], None, &[]).await;
    let auditor = backend
        .server
        .add_app("auditing", "user/AuditEvent.rs", false)
        .await
        .access_token("user/AuditEvent.rs", "audit", PASSWORD)
        .await;
    let trail = backend.client.client.get("/fhir/AuditEvent?_count=50").bearer(&auditor).send().await;
    assert_eq!(trail.status, 200, "{}", trail.text());
    let events = trail.json();
    let by_backend = |event: &&Value| event["resource"]["agent"].to_string().contains("backend");
    let events: Vec<&Value> = events["entry"].as_array().unwrap().iter().filter(by_backend).collect();
    assert!(events.len() >= 6, "token, create, update, read, history, delete: {events:?}");
    let read = backend.server.records().into_iter().find(|record| record.event == Event::Token).unwrap();
    assert_eq!((read.agent.client.as_deref(), read.agent.user), (Some("backend"), None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revoked_tokens_and_removed_registrations_end_at_once() {
    verifies!("OAUTH-11");
    let backend = Backend::start(SCOPE).await;
    let (client, now) = (&backend.client, backend.now());
    let (first, second) = (client.token(now, "1", "system/*.rs").await, client.token(now, "2", "system/*.rs").await);
    let read = |token: &str| {
        let request = client.client.get("/fhir/Patient/ann").bearer(token);
        async move { request.send().await.status.as_u16() }
    };
    assert_eq!((read(&first).await, read(&second).await), (200, 200));
    let revoke = |assertion: String| {
        let fields =
            [("token", first.clone()), ("client_assertion_type", ASSERTION_TYPE.to_owned()), ("client_assertion", assertion)];
        async move {
            let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
            client.client.post("/oauth/revoke").form(&fields).send().await
        }
    };
    let used = client.assertion(now, "1");
    assert_eq!(revoke(used).await.json()["error"], "invalid_client", "a used assertion revokes nothing");
    assert_eq!(read(&first).await, 200);
    assert_eq!(revoke(client.assertion(now, "3")).await.status, 200);
    assert_eq!((read(&first).await, read(&second).await), (401, 200), "one token alone");
    backend.server.remove_client("backend").await;
    assert_eq!(read(&second).await, 401);
    // The same id again is another registration, for which the old token was not issued.
    let key = ClientKey::generate("key-1", "ES384");
    let keys = KeySource::value(&key.jwks().to_string()).unwrap();
    backend.server.add_backend("backend", SCOPE, key, keys).await;
    assert_eq!(read(&second).await, 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_that_signs_redeems_codes_and_refreshes_with_an_assertion_each_time() {
    verifies!("SMART-53", "OAUTH-06");
    let world = World::start().await;
    let scope = "launch/patient offline_access patient/*.rs";
    let (app, signer) = world.server.add_signing_app("signer", scope, ClientKey::generate("k", "RS384")).await;
    let now = world.server.clock.now_seconds();
    let at = app.sign_in(&app.authorization_query(scope), "ann", PASSWORD).await;
    let scopes: Vec<&str> = scope.split(' ').collect();
    let back = app.consent(&at, &scopes, "allow").await;
    let code = portcullis_testkit::app::query_value(&back, "code").unwrap();
    let post = |fields: Vec<(&'static str, String)>, assertion: Option<String>| {
        let client = world.server.client.clone();
        async move {
            let mut fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
            if let Some(assertion) = &assertion {
                fields.extend([("client_assertion_type", ASSERTION_TYPE), ("client_assertion", assertion.as_str())]);
            }
            client.post("/oauth/token").form(&fields).send().await
        }
    };
    let redeem = || {
        vec![
            ("grant_type", "authorization_code".to_owned()),
            ("code", code.clone()),
            ("redirect_uri", app.redirect_uri.clone()),
            ("code_verifier", portcullis_testkit::app::VERIFIER.to_owned()),
        ]
    };
    let mut by_name = redeem();
    by_name.push(("client_id", "signer".to_owned()));
    assert_eq!(error(&post(by_name, None).await), refused(401, "invalid_client"), "whoever has keys uses them");
    let first = post(redeem(), Some(signer.assertion(now, "1"))).await;
    assert_eq!(first.status, 200, "{}", first.text());
    let refresh =
        |token: &Value| vec![("grant_type", "refresh_token".to_owned()), ("refresh_token", token.as_str().unwrap().to_owned())];
    let first = first.json();
    assert_eq!(first["patient"], "ann");
    let replayed = post(refresh(&first["refresh_token"]), Some(signer.assertion(now, "1"))).await;
    assert_eq!(error(&replayed), refused(401, "invalid_client"));
    // The replay has changed nothing: the refresh token is still good, and the grant stands.
    let second = post(refresh(&first["refresh_token"]), Some(signer.assertion(now, "2"))).await;
    assert_eq!(second.status, 200, "{}", second.text());
    // A replayed assertion does not let anybody end the grant by presenting an old token either.
    let old = post(refresh(&first["refresh_token"]), Some(signer.assertion(now, "2"))).await;
    assert_eq!(error(&old), refused(401, "invalid_client"));
    let third = post(refresh(&second.json()["refresh_token"]), Some(signer.assertion(now, "3"))).await;
    assert_eq!(third.status, 200, "{}", third.text());
    let system = post(
        vec![("grant_type", "client_credentials".to_owned()), ("scope", "system/*.rs".to_owned())],
        Some(signer.assertion(now, "4")),
    )
    .await;
    assert_eq!(error(&system), refused(400, "unauthorized_client"), "people let it in; it was not registered to act for itself");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_has_its_record_and_no_record_an_assertion() {
    verifies!("BALP-15");
    let backend = Backend::start(SCOPE).await;
    let assertion = backend.client.assertion(backend.now(), "1");
    backend.client.request(&assertion, "system/*.rs").await;
    backend.client.request(&assertion, "system/*.rs").await;
    backend.client.request("x", "system/*.rs").await;
    let records: Vec<_> = backend.server.records().into_iter().filter(|record| record.event == Event::Token).collect();
    let outcomes: Vec<Outcome> = records.iter().map(|record| record.outcome).collect();
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Outcome::Success).count(), 1, "{outcomes:?}");
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Outcome::Denied).count(), 2, "{outcomes:?}");
    let text = serde_json::to_string(&records).unwrap();
    assert!(!text.contains(assertion.rsplit_once('.').unwrap().1) && text.contains("jti was used before"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metadata_names_the_ways_that_work() {
    verifies!("SMART-53", "USCORE-07");
    let backend = Backend::start(SCOPE).await;
    for path in
        ["/fhir/.well-known/smart-configuration", "/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"]
    {
        let document = backend.client.client.get(path).send().await.json();
        assert!(document["token_endpoint_auth_methods_supported"].to_string().contains("private_key_jwt"), "{document}");
        assert_eq!(document["token_endpoint_auth_signing_alg_values_supported"], json!(["RS384", "ES384", "RS256", "ES256"]));
        assert!(document["grant_types_supported"].to_string().contains("client_credentials"), "{document}");
        assert!(document["scopes_supported"].to_string().contains("system/*.rs"), "{document}");
    }
    let smart = backend.client.client.get("/fhir/.well-known/smart-configuration").send().await.json();
    assert!(smart["capabilities"].to_string().contains("client-confidential-asymmetric"), "{smart}");
}
