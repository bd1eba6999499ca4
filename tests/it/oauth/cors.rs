//! Which pages may read an answer: those of the client whose token or credentials came with the request, and no other client's.

use http::Method;
use portcullis_oauth::redirect_uri::RedirectUri;
use portcullis_testkit::server::PASSWORD;
use portcullis_testkit::{App, Reply};
use portcullis_verifies::verifies;

use crate::fhir::{SCOPE, World};

/// Where the pages of the tests' apps live, those of another client, and those of nobody.
const OWN: &str = "https://127.0.0.1:9";
const OTHER: &str = "https://other.example";
const STRANGER: &str = "https://evil.example";

/// The world, in which a second client has pages elsewhere, with a secret of its own.
async fn world() -> (World, App) {
    let world = World::start().await;
    let other = world.server.add_app("other", SCOPE, true).await;
    world
        .server
        .change_client("other", |client| {
            client.redirect_uris = vec![RedirectUri::parse(&format!("{OTHER}/callback")).unwrap()];
        })
        .await;
    (world, App { redirect_uri: format!("{OTHER}/callback"), ..other })
}

fn readable_by(reply: &Reply) -> &str {
    assert!(reply.header("vary").contains("Origin"), "{}", reply.header("vary"));
    assert!(!reply.headers.contains_key("access-control-allow-credentials"));
    reply.header("access-control-allow-origin")
}

/// What pages of the three origins may read of the answer to this request, which has this status for each.
async fn readers<'a>(status: u16, send: impl AsyncFn(&'a str) -> Reply) -> Vec<&'a str> {
    let mut readers = Vec::new();
    for origin in [OWN, OTHER, STRANGER] {
        let reply = send(origin).await;
        assert_eq!(reply.status.as_u16(), status, "{}", reply.text());
        match readable_by(&reply) {
            "" => {}
            echoed => {
                assert_eq!(echoed, origin);
                readers.push(origin);
            }
        }
    }
    readers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_about_data_is_read_by_pages_of_the_client_of_the_token_alone() {
    verifies!("SMART-16", "FHIR-SEC-10");
    let (world, other) = world().await;
    let client = &world.server.client;
    let scope = "openid fhirUser launch/patient patient/*.rs";
    let (own_token, other_token) = (world.ann().await, other.access_token(scope, "ann", PASSWORD).await);
    let batch = r#"{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"GET","url":"Patient/ann"}}]}"#;
    for (token, reader) in [(&own_token, OWN), (&other_token, OTHER)] {
        // What is found, what is not, what is not understood, what is not permitted, and several requests in one.
        for (path, status) in [
            ("/fhir/Patient/ann", 200),
            ("/fhir/Observation", 200),
            ("/fhir/Patient/bob", 404),
            ("/fhir/Patient?birthdate=abc", 400),
            ("/fhir/AuditEvent", 403),
        ] {
            let send = async |origin| client.get(path).bearer(token).header("origin", origin).send().await;
            assert_eq!(readers(status, send).await, [reader], "{path}");
        }
        let send = async |origin| client.post("/fhir").bearer(token).header("origin", origin).fhir(batch).send().await;
        assert_eq!(readers(200, send).await, [reader]);
        // The token is known to be this client's, whatever else is wrong with it.
        let send = async |origin| {
            let request = client.get("/fhir/Patient/ann").header("authorization", &format!("DPoP {token}"));
            request.header("origin", origin).send().await
        };
        assert_eq!(readers(401, send).await, [reader]);
        let form = [("token", token.as_str())];
        let send =
            async |origin| client.post("/oauth/introspect").bearer(token).header("origin", origin).form(&form).send().await;
        let reply = send(reader).await;
        assert_eq!(readers(reply.status.as_u16(), send).await, [reader], "{}", reply.text());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_of_the_token_endpoint_and_its_like_is_read_by_pages_of_the_client_that_asks_alone() {
    verifies!("SMART-16");
    let (world, other) = world().await;
    let client = &world.server.client;
    let secret = portcullis_testkit::app::basic("other", other.secret.as_deref().unwrap());
    let refused = [
        ("grant_type", "authorization_code"),
        ("code", "none"),
        ("redirect_uri", "x"),
        ("code_verifier", portcullis_testkit::app::VERIFIER),
    ];
    let token = [("token", "none")];
    for (path, fields, status) in [
        ("/oauth/token", &refused[..], 400),
        ("/oauth/token", &[("grant_type", "password")], 400),
        ("/oauth/revoke", &token, 200),
        ("/oauth/par", &[("response_type", "code")], 400),
    ] {
        let named = [fields, &[("client_id", "app")]].concat();
        let send = async |origin| client.post(path).header("origin", origin).form(&named).send().await;
        assert_eq!(readers(status, send).await, [OWN], "{path} {fields:?}");
        let send =
            async |origin| client.post(path).header("authorization", &secret).header("origin", origin).form(fields).send().await;
        assert_eq!(readers(status, send).await, [OTHER], "{path} {fields:?}");
    }
    let send = async |origin| {
        client.post("/oauth/introspect").header("authorization", &secret).header("origin", origin).form(&token).send().await
    };
    assert_eq!(readers(200, send).await, [OTHER]);
    // Wrong credentials of a client are told to its own pages.
    let wrong = portcullis_testkit::app::basic("other", "guessed");
    let send = async |origin| {
        client.post("/oauth/token").header("authorization", &wrong).header("origin", origin).form(&refused).send().await
    };
    assert_eq!(readers(401, send).await, [OTHER]);

    // And tokens themselves.
    for (app, own, foreign) in [(&world.app, OWN, OTHER), (&other, OTHER, OWN)] {
        let issued = app.authorize("openid launch/patient patient/Patient.rs offline_access", "ann", PASSWORD).await;
        let mut refresh = issued["refresh_token"].as_str().unwrap().to_owned();
        for (origin, echoed) in [(own, own), (foreign, ""), (STRANGER, "")] {
            let fields = [("grant_type", "refresh_token"), ("refresh_token", refresh.as_str())];
            let request = client.post("/oauth/token").header("origin", origin);
            let reply = match &app.secret {
                None => request.form(&[&fields[..], &[("client_id", app.client_id.as_str())]].concat()).send().await,
                Some(_) => request.header("authorization", &secret).form(&fields).send().await,
            };
            assert_eq!((reply.status.as_u16(), readable_by(&reply)), (200, echoed), "{}", reply.text());
            refresh = reply.json()["refresh_token"].as_str().unwrap().to_owned();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nobody_is_known_every_client_may_read_what_is_wrong_and_strangers_nothing() {
    let (world, _) = world().await;
    let client = &world.server.client;
    for path in ["/fhir/Patient/ann", "/oauth/token", "/oauth/revoke", "/oauth/introspect", "/oauth/par"] {
        let send = async |origin| {
            let request = client.request(Method::OPTIONS, path).header("origin", origin);
            request.header("access-control-request-method", "POST").send().await
        };
        assert_eq!(readers(204, send).await, [OWN, OTHER], "{path}");
    }
    let send = async |origin| client.get("/fhir/Patient/ann").header("origin", origin).send().await;
    assert_eq!(readers(401, send).await, [OWN, OTHER]);
    let send = async |origin| client.get("/fhir/Patient/ann").bearer("forged").header("origin", origin).send().await;
    assert_eq!(readers(401, send).await, [OWN, OTHER]);
    let send = async |origin| client.post("/oauth/token").header("origin", origin).form(&[("grant_type", "x")]).send().await;
    let status = send(OWN).await.status.as_u16();
    assert_eq!(readers(status, send).await, [OWN, OTHER]);
    let nobody = [("grant_type", "refresh_token"), ("refresh_token", "x"), ("client_id", "nobody")];
    let send = async |origin| client.post("/oauth/token").header("origin", origin).form(&nobody).send().await;
    assert_eq!(readers(401, send).await, [OWN, OTHER]);
    // Pages for people are read by none, and discovery by all.
    for path in ["/login", "/me", "/consent", "/oauth/authorize", "/oauth/register", "/admin/clients"] {
        assert_eq!(client.get(path).header("origin", OWN).send().await.header("access-control-allow-origin"), "", "{path}");
    }
    for path in ["/fhir/metadata", "/fhir/.well-known/smart-configuration", "/oauth/jwks"] {
        let token = world.ann().await;
        let reply = client.get(path).bearer(&token).header("origin", STRANGER).send().await;
        assert_eq!(reply.header("access-control-allow-origin"), "*", "{path}");
    }
}

fn listed(reply: &Reply, name: &str) -> Vec<String> {
    reply.header(name).split(", ").map(str::to_lowercase).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_may_send_what_the_server_reads_and_read_what_it_sends() {
    let (world, _) = world().await;
    let client = &world.server.client;
    let token = world.app.access_token("launch/patient patient/*.cruds", "ann", PASSWORD).await;
    let preflight = client.request(Method::OPTIONS, "/fhir/Patient/ann").header("origin", OWN);
    let preflight = preflight.header("access-control-request-method", "GET").send().await;
    let accepted = listed(&preflight, "access-control-allow-headers");
    let sent = [
        "authorization",
        "dpop",
        "content-type",
        "accept",
        "if-match",
        "if-none-match",
        "if-none-exist",
        "if-modified-since",
        "prefer",
        "category",
        "x-requested-with",
        "x-request-id",
    ];
    assert_eq!(accepted, sent);
    assert_eq!(listed(&preflight, "access-control-allow-methods"), ["get", "head", "post", "put", "patch", "delete"]);
    // What libraries send with everything changes nothing.
    let plain = client.get("/fhir/Patient/ann").bearer(&token).send().await;
    let dressed = client.get("/fhir/Patient/ann").bearer(&token).header("x-requested-with", "XMLHttpRequest");
    let dressed = dressed.header("x-request-id", "of-the-app").send().await;
    assert_eq!((dressed.status, dressed.text()), (plain.status, plain.text()));
    assert!(
        !dressed.header("x-request-id").is_empty() && dressed.header("x-request-id") != "of-the-app",
        "it is our name for it"
    );

    let mut seen = std::collections::BTreeSet::new();
    let exposed = listed(&plain_with_origin(&world, &token).await, "access-control-expose-headers");
    let mut note = |reply: &Reply| {
        assert_eq!(listed(reply, "access-control-expose-headers"), exposed);
        seen.extend(exposed.iter().filter(|name| reply.headers.contains_key(name.as_str())).cloned());
    };
    note(&plain_with_origin(&world, &token).await);
    let encounter = client.get("/fhir/Encounter/enc-ann").bearer(&token).send().await.text();
    let body = encounter.replace("\"id\":\"enc-ann\",", "");
    note(&client.post("/fhir/Encounter").bearer(&token).header("origin", OWN).fhir(body).send().await);
    note(
        &client.request(Method::PUT, "/fhir/Encounter/enc-ann").bearer(&token).header("origin", OWN).fhir(encounter).send().await,
    );
    note(&client.get("/fhir/Patient/ann").header("origin", OWN).header("dpop", "x").send().await);
    note(&client.get("/oauth/token").header("origin", OWN).send().await);
    for _ in 0..100 {
        client.get("/fhir/Patient/ann").send().await;
    }
    let gathered = client.get("/fhir/Patient/ann").header("origin", OWN).send().await;
    assert_eq!(gathered.status, 429);
    note(&gathered);
    let unseen: Vec<&String> = exposed.iter().filter(|name| !seen.contains(*name)).collect();
    assert!(unseen.is_empty(), "never sent: {unseen:?}");
}

async fn plain_with_origin(world: &World, token: &str) -> Reply {
    world.server.client.get("/fhir/Patient/ann").bearer(token).header("origin", OWN).send().await
}
