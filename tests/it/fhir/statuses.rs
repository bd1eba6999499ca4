//! What each answer says and does not say: statuses, media types, headers, and the record that each leaves.

use http::Method;
use portcullis_testkit::resources::observation;
use portcullis_testkit::server::PASSWORD;
use portcullis_testkit::{App, Reply};
use portcullis_verifies::verifies;

use super::world::{World, ids};

const BODY: &str = r#"{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/ann"}}"#;

/// A token of Ann's with these scopes, from an app that may ask for no others.
async fn narrow(world: &World, name: &str, scope: &str) -> String {
    let app: App = world.server.add_app(name, &format!("launch/patient {scope}"), false).await;
    app.access_token(&format!("launch/patient {scope}"), "ann", PASSWORD).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_refusal_has_its_status_a_plain_outcome_and_a_record() {
    verifies!("FHIR-SEC-13", "FHIR-SEC-14", "FHIR-SEC-04", "USCORE-04", "USCORE-05", "SEED-USCORE-12");
    let world = World::start().await;
    let token = world.ann().await;
    let reader = narrow(&world, "reader", "patient/Observation.rs").await;
    let client = &world.server.client;
    let delete = client.request(Method::DELETE, "/fhir/Observation/obs-ann-2").bearer(&token).send().await;
    assert_eq!(delete.status, 204, "{}", delete.text());
    let get = |path: &str, token: Option<&str>| {
        let request = client.get(path);
        let request = match token {
            Some(token) => request.bearer(token),
            None => request,
        };
        async move { request.send().await }
    };
    let put = client.request(Method::PUT, "/fhir/Observation/obs-ann-1").bearer(&token);
    let stale = put.header("if-match", "W/\"none\"").fhir(observation("obs-ann-1", "ann", "1-1", "1", "2026-01-01"));
    let mut refusals: Vec<(&str, u16, Reply)> = vec![
        ("nobody", 401, get("/fhir/Observation/obs-ann-1", None).await),
        ("not a token", 401, get("/fhir/Observation/obs-ann-1", Some("x")).await),
        ("no scope", 403, get("/fhir/Patient/ann", Some(&reader)).await),
        ("unknown", 404, get("/fhir/Observation/none", Some(&token)).await),
        ("hidden", 404, get("/fhir/Observation/obs-bob-1", Some(&token)).await),
        ("unknown type", 404, get("/fhir/Dragon/1", Some(&token)).await),
        ("deleted", 410, get("/fhir/Observation/obs-ann-2", Some(&token)).await),
        ("wrong value", 400, get("/fhir/Patient?birthdate=abc", Some(&token)).await),
        ("wrong method", 405, client.post("/fhir/Patient/ann").bearer(&token).fhir("{}").send().await),
        ("stale", 412, stale.send().await),
    ];
    let html = client.get("/fhir/Observation/none?_format=json").header("accept", "text/html").bearer(&token).send().await;
    refusals.push(("a browser", html.status.as_u16(), html));
    let records = world.server.records();
    for (name, status, reply) in refusals {
        assert_eq!(reply.status, status, "{name} {}", reply.text());
        assert_eq!(reply.header("content-type"), "application/fhir+json; charset=utf-8", "{name}");
        let outcome = reply.json();
        assert_eq!(outcome["resourceType"], "OperationOutcome", "{name}");
        assert!(outcome["issue"][0]["code"].is_string() && outcome["issue"][0]["diagnostics"].is_string(), "{name} {outcome}");
        assert_eq!(reply.headers.contains_key("www-authenticate"), matches!(status, 401 | 403), "{name}");
        for header in ["server", "x-powered-by", "via"] {
            assert!(!reply.headers.contains_key(header), "{name} {header}");
        }
        let said = reply.text().to_lowercase();
        for telling in ["sqlite", "select ", "panicked", ".rs:", "/home/", "/tmp/", "127.0.0.1", "rusqlite", "stack"] {
            assert!(!said.contains(telling), "{name}: {said}");
        }
        let id = reply.header("x-request-id");
        let record = records.iter().find(|record| record.id.0 == id).unwrap_or_else(|| panic!("{name} has no record"));
        assert_eq!(record.status, status, "{name}");
        assert_ne!(record.outcome, portcullis_audit::Outcome::Success, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_interaction_that_succeeds_leaves_one_record() {
    verifies!("SEED-USCORE-11", "SEED-SKIN-08", "USCORE-01");
    let world = World::start().await;
    let token = world.ann().await;
    let client = &world.server.client;
    let created = client.post("/fhir/Observation").bearer(&token).fhir(BODY).send().await;
    let (location, id) = (created.header("location").to_owned(), created.json()["id"].as_str().unwrap().to_owned());
    let (path, version) = (format!("/fhir/Observation/{id}"), location.rsplit('/').next().unwrap().to_owned());
    let changed = BODY.replacen('{', &format!(r#"{{"id":"{id}","#), 1);
    let mut answers = vec![("create", created)];
    for (interaction, path) in [
        ("read", path.clone()),
        ("vread", format!("{path}/_history/{version}")),
        ("history-instance", format!("{path}/_history")),
        ("search-type", "/fhir/Observation?patient=ann".to_owned()),
    ] {
        answers.push((interaction, client.get(&path).bearer(&token).send().await));
    }
    answers.push(("search-type", client.post("/fhir/Observation/_search").bearer(&token).form(&[("code", "x")]).send().await));
    answers.push(("update", client.request(Method::PUT, &path).bearer(&token).fhir(changed).send().await));
    answers.push(("delete", client.request(Method::DELETE, &path).bearer(&token).send().await));
    world.server.move_outbox().await;
    let records = world.server.records();
    for (interaction, reply) in answers {
        assert!(reply.status.is_success(), "{interaction} {}", reply.text());
        let id = reply.header("x-request-id");
        let found: Vec<_> = records.iter().filter(|record| record.id.0 == id).collect();
        let [record] = found.as_slice() else { panic!("{interaction} has {} records", found.len()) };
        assert_eq!(record.outcome, portcullis_audit::Outcome::Success, "{interaction}");
        assert_eq!(record.operations[0].interaction, interaction);
        assert_eq!(record.agent.client.as_deref(), Some("app"), "{interaction}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_letter_of_a_scope_opens_its_interactions_on_ones_own_records_and_no_others() {
    verifies!("FHIR-SEC-25", "FHIR-SEC-22", "SPM-01", "SMART-37");
    let world = World::start().await;
    let client = &world.server.client;
    let version = |reply: &Reply| reply.header("etag").to_owned();
    let all = world.ann().await;
    let before = version(&client.get("/fhir/Observation/obs-ann-1").bearer(&all).send().await);
    for letter in ["c", "r", "u", "d", "s"] {
        let token = narrow(&world, &format!("only-{letter}"), &format!("patient/Observation.{letter}")).await;
        // A fresh record to change and delete, so that what one letter did does not change what the next finds.
        let own = format!("own-{letter}");
        world.server.import(&[observation(&own, "ann", "1-1", "1", "2026-01-01")]).await;
        for (id, hidden) in [(own.as_str(), false), ("obs-bob-1", true)] {
            let path = format!("/fhir/Observation/{id}");
            let body = observation(id, "ann", "1-1", "2", "2026-01-01");
            let status = |own: u16| if hidden { 404 } else { own };
            let current = client.get(&path).bearer(&all).send().await;
            let number = version(&current).split('"').nth(1).unwrap_or("1").to_owned();
            let absent = "/fhir/Observation/not-there-yet".to_owned();
            let created = observation("not-there-yet", "ann", "1-1", "2", "2026-01-01");
            for (needs, method, path, body, allowed) in [
                ("r", Method::GET, path.clone(), None, status(200)),
                ("r", Method::GET, format!("{path}/_history"), None, status(200)),
                ("r", Method::GET, format!("{path}/_history/{number}"), None, status(200)),
                // An update makes no resource here, whatever the scope says.
                ("u", Method::PUT, absent, Some(created), 404),
                ("u", Method::PUT, path.clone(), Some(body), status(200)),
                ("d", Method::DELETE, path.clone(), None, status(204)),
            ] {
                let request = client.request(method.clone(), &path).bearer(&token);
                let reply = match body {
                    Some(body) => request.fhir(body).send().await,
                    None => request.send().await,
                };
                let expected = if needs == letter { allowed } else { 403 };
                assert_eq!(reply.status, expected, "{letter}: {method} {path} {}", reply.text());
            }
        }
        let created = client.post("/fhir/Observation").bearer(&token).fhir(BODY).send().await;
        assert_eq!(created.status, if letter == "c" { 201 } else { 403 }, "{letter} {}", created.text());
        let into = client.post("/fhir/Observation").bearer(&token).fhir(BODY.replace("ann", "bob")).send().await;
        assert_eq!(into.status, 403, "{letter} {}", into.text());
        let search = client.get("/fhir/Observation?_id=obs-ann-1").bearer(&token).send().await;
        assert_eq!(search.status, if letter == "s" { 200 } else { 403 }, "{letter} {}", search.text());
        let posted = client.post("/fhir/Observation/_search").bearer(&token).form(&[("_id", "obs-ann-1")]).send().await;
        assert_eq!(posted.status, if letter == "s" { 200 } else { 403 }, "{letter} {}", posted.text());
        // What is not built is open to nobody.
        for (method, path) in
            [(Method::GET, "Observation/_history"), (Method::GET, "_history"), (Method::PATCH, "Observation/obs-ann-1")]
        {
            let reply = client.request(method.clone(), &format!("/fhir/{path}")).bearer(&token).send().await;
            assert!(reply.status.is_client_error(), "{letter}: {method} {path} {}", reply.status);
        }
    }
    let after = client.get("/fhir/Observation/obs-ann-1").bearer(&all).send().await;
    assert_eq!(version(&after), before, "nothing was written by what was refused");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_sets_identity_and_time_and_an_update_makes_no_resource() {
    verifies!("FHIR-SEC-16", "FHIR-SEC-17");
    let world = World::start().await;
    let token = world.ann().await;
    let client = &world.server.client;
    let put = |path: &'static str, body: String| {
        let request = client.request(Method::PUT, path).bearer(&token).fhir(body);
        async move { request.send().await }
    };
    let own = |id: &str| observation(id, "ann", "1-1", "1", "2026-01-01");
    let other = put("/fhir/Observation/obs-ann-1", own("obs-ann-2")).await;
    assert_eq!(other.status, 400, "{}", other.text());
    let forged = own("obs-ann-1").replacen('{', r#"{"meta":{"versionId":"mine","lastUpdated":"1999-01-01T00:00:00Z"},"#, 1);
    let updated = put("/fhir/Observation/obs-ann-1", forged).await;
    assert_eq!(updated.status, 200, "{}", updated.text());
    let meta = updated.json()["meta"].clone();
    assert_ne!(meta["versionId"], "mine");
    assert!(!meta["lastUpdated"].as_str().unwrap().starts_with("1999"), "{meta}");
    let hidden = put("/fhir/Observation/obs-bob-1", own("obs-bob-1")).await;
    let fresh = put("/fhir/Observation/obs-non-1", own("obs-non-1")).await;
    assert_eq!((hidden.status.as_u16(), fresh.status.as_u16()), (404, 404));
    assert_eq!(hidden.text().replace("obs-bob-1", ""), fresh.text().replace("obs-non-1", ""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_resource_is_gone_from_reads_and_searches_and_its_history_says_so() {
    verifies!("SAFE-09");
    let world = World::start().await;
    let token = world.ann().await;
    let client = &world.server.client;
    assert_eq!(client.request(Method::DELETE, "/fhir/Observation/obs-ann-1").bearer(&token).send().await.status, 204);
    let get = |path: &'static str| {
        let request = client.get(path).bearer(&token);
        async move { request.send().await }
    };
    assert_eq!(get("/fhir/Observation/obs-ann-1").await.status, 410);
    for search in ["patient=ann", "code=4548-4", "_id=obs-ann-1,obs-ann-2", "value-quantity=ge1", "date=2026", "code:not=x"] {
        let path = format!("/fhir/Observation?{search}");
        let found = client.get(&path).bearer(&token).send().await;
        assert_eq!(ids(&found.json()), ["obs-ann-2"], "{search}");
    }
    let history = get("/fhir/Observation/obs-ann-1/_history").await.json();
    assert_eq!((&history["entry"][0]["request"]["method"], &history["total"]), (&"DELETE".into(), &2.into()), "{history}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_cannot_ask_what_may_not_be_read() {
    verifies!("FHIR-SEC-26", "FHIR-SEC-27", "FHIR-SEC-37");
    let world = World::start().await;
    let token = narrow(&world, "reader", "patient/Observation.rs patient/Encounter.rs").await;
    let client = &world.server.client;
    let text = |query: String| {
        let request = client.get(&format!("/fhir/{query}")).bearer(&token);
        async move {
            let reply = request.send().await;
            assert_eq!(reply.status, 200, "{}", reply.text());
            reply.text()
        }
    };
    // What is named exists, is hidden, or is nowhere: the answers differ in nothing.
    for (query, values) in [
        ("Observation?subject:Patient.name=@", ["Ann", "Bob", "Zzz"]),
        ("Observation?patient.birthdate=@", ["1970", "1980", "2999"]),
        ("Observation?patient.general-practitioner.name=@", ["who", "other", "none"]),
        ("Observation?_has:Condition:evidence-detail:code=@", ["a", "b", "c"]),
        ("Encounter?_has:Condition:encounter:code=@", ["a", "b", "c"]),
        ("Observation?encounter.patient.name=@", ["Ann", "Bob", "Zzz"]),
        (
            "Observation?_include:iterate=Observation:subject&_revinclude:iterate=Condition:subject&subject.name=@",
            ["Ann", "Bob", "Zzz"],
        ),
    ] {
        let mut answers = Vec::new();
        for value in values {
            // The self link repeats the question.
            answers.push(text(query.replace('@', value)).await.replace(&format!("={value}\""), "=@\""));
        }
        assert!(!answers[0].contains("\"entry\""), "{query} {}", answers[0]);
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{query} {answers:#?}");
    }
    let (hidden, absent) =
        (text("Observation?_id=obs-bob-1".to_owned()).await, text("Observation?_id=obs-non-1".to_owned()).await);
    assert_eq!(hidden.replace("obs-bob-1", ""), absent.replace("obs-non-1", ""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_writes_audit_events() {
    verifies!("FHIR-SEC-43");
    let world = World::start().await;
    world.ann().await;
    let client = &world.server.client;
    for (username, scope) in
        [("ann", "launch/patient patient/AuditEvent.rs"), ("audit", "user/AuditEvent.rs"), ("officer", "user/AuditEvent.rs")]
    {
        let token = world.app.access_token(scope, username, PASSWORD).await;
        let trail = client.get("/fhir/AuditEvent?_count=1").bearer(&token).send().await.json();
        let event = trail["entry"][0]["resource"].clone();
        let path = format!("/fhir/AuditEvent/{}", event["id"].as_str().unwrap_or("none"));
        for (method, path) in [(Method::PUT, path.as_str()), (Method::DELETE, path.as_str()), (Method::POST, "/fhir/AuditEvent")]
        {
            let reply = client.request(method.clone(), path).bearer(&token).fhir(event.to_string()).send().await;
            assert!(matches!(reply.status.as_u16(), 403 | 405), "{username} {method} {} {}", reply.status, reply.text());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn browsers_of_registered_origins_may_use_the_whole_interface_and_no_others() {
    verifies!("SEED-RT-08", "FHIR-SEC-09", "FHIR-SEC-10");
    let world = World::start().await;
    let client = &world.server.client;
    let preflight = |origin: &'static str, method: &'static str| {
        let request = client.request(Method::OPTIONS, "/fhir/Encounter").header("origin", origin);
        let request = request.header("access-control-request-method", method);
        async move { request.header("access-control-request-headers", "authorization, content-type, if-match, prefer").send().await }
    };
    for method in ["GET", "POST", "PUT", "DELETE"] {
        let allowed = preflight("https://127.0.0.1:9", method).await;
        assert!(allowed.status.is_success(), "{}", allowed.status);
        assert_eq!(allowed.header("access-control-allow-origin"), "https://127.0.0.1:9");
        assert!(allowed.header("access-control-allow-methods").contains(method), "{method}");
        let headers = allowed.header("access-control-allow-headers").to_lowercase();
        for header in ["authorization", "content-type", "if-match", "prefer"] {
            assert!(headers.contains(header), "{header}");
        }
        let stranger = preflight("https://evil.example", method).await;
        assert!(!stranger.headers.contains_key("access-control-allow-origin"));
    }
    let token = world.ann().await;
    for origin in ["https://127.0.0.1:9", "https://evil.example", "null"] {
        let reply = client.get("/fhir/Patient/ann").bearer(&token).header("origin", origin).send().await;
        let echoed = reply.header("access-control-allow-origin");
        assert_eq!(echoed, if origin == "https://127.0.0.1:9" { origin } else { "" });
        assert!(!reply.headers.contains_key("access-control-allow-credentials"));
        assert!(reply.header("vary").contains("Origin"), "{}", reply.header("vary"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn media_types_are_stated_and_others_refused() {
    verifies!("FHIR-SEC-15", "FHIR-SEC-02", "TLS-12");
    let world = World::start().await;
    let token = world.ann().await;
    let client = &world.server.client;
    for path in ["/fhir/metadata", "/fhir/Patient/ann", "/fhir/Observation", "/fhir/Patient/ann/_history"] {
        let reply = client.get(path).bearer(&token).send().await;
        assert_eq!(reply.header("content-type"), "application/fhir+json; charset=utf-8", "{path}");
        let seconds =
            reply.header("strict-transport-security").trim_start_matches("max-age=").split(';').next().unwrap_or_default();
        assert!(seconds.parse::<u64>().is_ok_and(|seconds| seconds >= 31_536_000), "{seconds}");
        let body = reply.json();
        for link in body["link"].as_array().into_iter().flatten() {
            assert!(link["url"].as_str().unwrap().starts_with("https://"), "{link}");
        }
        if path == "/fhir/metadata" {
            assert!(body["implementation"]["url"].as_str().unwrap().starts_with("https://"));
        }
    }
    let turtle = client.post("/fhir/Observation").bearer(&token).header("content-type", "text/turtle").bytes("<x/>");
    assert_eq!(turtle.send().await.status, 415);
    let accept = client.get("/fhir/Patient/ann").bearer(&token).header("accept", "text/turtle").send().await;
    assert_eq!(accept.status, 406);
}
