//! Sign-in, lockout, form tokens, headers.

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
        bodies.push(reply.text().replace(&csrf, "").replace(username, ""));
    }
    assert_eq!(bodies[0], bodies[1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_wrong_passwords_lock_for_a_minute() {
    let world = World::start().await;
    let client = &world.server.client;
    let login = client.get("/login").send().await;
    let (form, csrf) = (cookie(&login), hidden(&login, "csrf"));
    let attempt = |password: &'static str| {
        let fields =
            [("csrf", csrf.clone()), ("return_to", "/me".into()), ("username", "ann".into()), ("password", password.to_owned())];
        let form = form.clone();
        async move {
            let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
            client.post("/login").header("cookie", &form).form(&fields).send().await.status.as_u16()
        }
    };
    for _ in 0..5 {
        assert_eq!(attempt("wrong").await, 401);
    }
    assert_eq!(attempt(PASSWORD).await, 429);
    world.server.clock.advance_seconds(61);
    assert_eq!(attempt(PASSWORD).await, 303);
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
async fn wrong_passwords_sent_at_once_are_counted_one_after_the_other() {
    let world = World::start().await;
    let login = world.server.client.get("/login").send().await;
    let (form, csrf) = (cookie(&login), hidden(&login, "csrf"));
    let attempts = (0..12).map(|_| {
        let (client, form, csrf) = (world.server.client.clone(), form.clone(), csrf.clone());
        tokio::spawn(async move {
            let fields = [("csrf", csrf.as_str()), ("return_to", "/me"), ("username", "ann"), ("password", "wrong")];
            client.post("/login").header("cookie", &form).form(&fields).send().await.status.as_u16()
        })
    });
    let mut statuses = Vec::new();
    for attempt in attempts.collect::<Vec<_>>() {
        statuses.push(attempt.await.unwrap());
    }
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 5, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 7);
}
