//! Sign-in, form tokens, headers, methods.

use portcullis_testkit::app::{cookie, hidden};
use portcullis_testkit::server::PASSWORD;

use portcullis_verifies::verifies;

use crate::fhir::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_and_an_unknown_name_look_the_same() {
    let world = World::start().await;
    let client = &world.server.client;
    let mut bodies = Vec::new();
    for username in ["ann", "zed"] {
        let login = client.get("/login").send().await;
        let csrf = hidden(&login, "csrf");
        let fields = [("csrf", csrf.as_str()), ("return_to", "/me"), ("username", username), ("password", "wrong")];
        let reply = client.post("/login").header("cookie", &cookie(&login)).form(&fields).send().await;
        assert_eq!(reply.status, 401);
        // Each page has a passkey challenge of its own.
        let challenge = hidden(&reply, "challenge");
        bodies.push(reply.text().replace(&csrf, "").replace(&challenge, "").replace(username, ""));
    }
    assert_eq!(bodies[0], bodies[1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_form_of_another_browser_is_refused() {
    verifies!("OAUTH-08");
    let world = World::start().await;
    let client = &world.server.client;
    let login = client.get("/login").send().await;
    let csrf = hidden(&login, "csrf");
    let fields = [("csrf", csrf.as_str()), ("return_to", "/me"), ("username", "ann"), ("password", PASSWORD)];
    assert_eq!(client.post("/login").form(&fields).send().await.status, 403);
    let other = cookie(&client.get("/login").send().await);
    assert_eq!(client.post("/login").header("cookie", &other).form(&fields).send().await.status, 403);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_carries_the_security_headers() {
    let world = World::start().await;
    for path in ["/", "/login", "/fhir/metadata", "/fhir/Patient/1", "/nowhere", "/health", "/oauth/token"] {
        let reply = world.server.client.get(path).send().await;
        for (name, part) in [
            ("strict-transport-security", "max-age="),
            ("x-content-type-options", "nosniff"),
            ("content-security-policy", "default-src 'none'"),
            ("x-request-id", ""),
        ] {
            assert!(reply.headers.contains_key(name) && reply.header(name).contains(part), "{path} {name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clinician_chooses_a_patient_in_care_and_nobody_else() {
    let world = World::start().await;
    world.server.import(&[portcullis_testkit::resources::patient("cid", "Cid")]).await;
    world.server.import(&[portcullis_testkit::resources::encounter("enc-cid", "cid", "who", "hospital")]).await;
    let query = world.app.authorization_query("launch/patient patient/Patient.r");
    let at = world.app.sign_in(&query, "who", PASSWORD).await;
    assert!(at.page.text().contains("Test Ann") && at.page.text().contains("Test Cid"), "{}", at.page.text());
    assert!(!at.page.text().contains("Test Bob"));
    let (csrf, request) = (hidden(&at.page, "csrf"), hidden(&at.page, "request"));
    let choose = |patient: &'static str| {
        let fields = [
            ("csrf", csrf.clone()),
            ("request", request.clone()),
            ("patient", patient.to_owned()),
            ("decision", "continue".to_owned()),
        ];
        let client = world.server.client.clone();
        let cookies = at.cookies.clone();
        async move {
            let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
            client.post("/consent").header("cookie", &cookies).form(&fields).send().await
        }
    };
    let page = choose("cid").await;
    assert!(page.text().contains("Test Cid"), "{}", page.text());
    let back = world
        .app
        .consent(&portcullis_testkit::app::AtConsent { cookies: at.cookies.clone(), page }, &["patient/Patient.r"], "allow")
        .await;
    let code = portcullis_testkit::app::query_value(&back, "code").unwrap();
    let token = world.app.exchange(&code).await.json();
    assert_eq!(token["patient"], "cid");
    let access = token["access_token"].as_str().unwrap();
    assert_eq!(world.server.client.get("/fhir/Patient/cid").bearer(access).send().await.status, 200);
    assert_eq!(world.server.client.get("/fhir/Patient/ann").bearer(access).send().await.status, 404);
    assert_eq!(choose("bob").await.status, 303, "a patient who is not in care goes back to the app as access_denied");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_method_is_refused_with_a_page_that_names_the_right_ones() {
    let world = World::start().await;
    let client = &world.server.client;
    for (path, allow) in [
        ("/consent", "POST"),
        ("/logout", "POST"),
        ("/me/revoke", "POST"),
        ("/me", "GET, HEAD"),
        ("/login", "GET, HEAD, POST"),
        ("/oauth/authorize", "GET, HEAD, POST"),
        ("/", "GET, HEAD"),
        ("/docs", "GET, HEAD"),
    ] {
        let reply = client.request("DELETE".parse().unwrap(), path).send().await;
        assert_eq!((reply.status.as_u16(), reply.header("allow")), (405, allow), "{path}");
        assert!(reply.header("content-type").starts_with("text/html") && reply.text().contains("<h1>"), "{path}");
    }
    let reply = client.get("/oauth/token").send().await;
    assert_eq!(
        (reply.status.as_u16(), reply.header("allow"), reply.json()["error"].as_str()),
        (405, "POST", Some("invalid_request"))
    );
}
