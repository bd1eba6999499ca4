//! Whom the audit trail names for changes and for attempts, and to whom it says so.

use http::Method;
use portcullis_testkit::resources::{encounter, observation};
use portcullis_testkit::server::PASSWORD;
use portcullis_testkit::{Client, Reply};
use portcullis_verifies::verifies;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::world::World;

const READING: &str = "launch/patient patient/*.cruds patient/AuditEvent.rs";

async fn auditor(world: &World) -> String {
    world.app.access_token("user/AuditEvent.rs", "audit", PASSWORD).await
}

async fn patient(world: &World, name: &str) -> String {
    world.app.access_token(READING, name, PASSWORD).await
}

/// The events that a search finds.
async fn events(world: &World, token: &str, query: &str) -> Vec<Value> {
    world.server.move_outbox().await;
    let reply = world.server.client.get(&format!("/fhir/AuditEvent?{query}&_count=100")).bearer(token).send().await;
    assert_eq!(reply.status, 200, "{query} {}", reply.text());
    let bundle = reply.json();
    bundle["entry"].as_array().into_iter().flatten().map(|entry| entry["resource"].clone()).collect()
}

/// What the events name, as `Type/id`.
fn entities(event: &Value) -> Vec<String> {
    let entities = event["entity"].as_array().into_iter().flatten();
    entities.filter_map(|entity| entity["what"]["reference"].as_str()).map(str::to_owned).collect()
}

fn names(event: &Value, entity: &str) -> bool {
    entities(event).iter().any(|named| named == entity || named.starts_with(&format!("{entity}/_history/")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_is_found_by_its_patient_and_so_is_one_that_was_in_vain() {
    verifies!("BALP-04");
    let world = World::start().await;
    let (ann, auditor) = (patient(&world, "ann").await, auditor(&world).await);
    let path = "/fhir/Observation/obs-ann-1";
    for _ in 0..2 {
        assert_eq!(world.server.client.request(Method::DELETE, path).bearer(&ann).send().await.status, 204);
    }
    for token in [&auditor, &ann] {
        let found = events(&world, token, "patient=ann&action=D").await;
        assert_eq!(found.len(), 2, "{found:?}");
        for event in &found {
            assert!(names(event, "Patient/ann") && names(event, "Observation/obs-ann-1"), "{event}");
            assert!(event["meta"]["profile"][0].as_str().unwrap().ends_with("PatientDelete"), "{event}");
        }
        assert_eq!(entities(&found[0])[1], entities(&found[1])[1], "the second one names the same deletion");
    }
    assert!(events(&world, &auditor, "patient=bob&action=D").await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_that_moves_a_record_is_found_by_both_patients_and_is_a_create_for_whom_it_is_new() {
    let world = World::start().await;
    world.server.import(&[encounter("enc-bob-2", "bob", "who", "hospital")]).await;
    let who = world.app.access_token("user/*.cruds", "who", PASSWORD).await;
    let auditor = auditor(&world).await;
    let moved = observation("obs-ann-1", "bob", "4548-4", "5.60", "2026-01-01");
    let reply = world.server.client.request(Method::PUT, "/fhir/Observation/obs-ann-1").bearer(&who).fhir(moved).send().await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let (ann, bob) = (patient(&world, "ann").await, patient(&world, "bob").await);
    for (name, own, shown, other) in [("ann", &ann, ["U", "update"], "bob"), ("bob", &bob, ["C", "create"], "ann")] {
        for (token, [action, interaction]) in [(&auditor, ["U", "update"]), (own, shown)] {
            let of_record = "entity=Observation/obs-ann-1&action=C,U&agent:identifier=user-who";
            let all = events(&world, token, &format!("patient={name}&{of_record}")).await;
            let found = events(&world, token, &format!("patient={name}&{of_record}&action={action}")).await;
            assert_eq!((found.len(), &found), (1, &all), "{name}");
            assert_eq!((&found[0]["action"], &found[0]["subtype"][0]["code"]), (&action.into(), &interaction.into()), "{name}");
            assert!(names(&found[0], &format!("Patient/{name}")) && names(&found[0], "Observation/obs-ann-1"));
            assert!(!found[0].to_string().contains(&format!("Patient/{other}")), "{}", found[0]);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_change_is_recorded_as_refused_with_its_patient() {
    let world = World::start().await;
    let (ann, auditor) = (patient(&world, "ann").await, auditor(&world).await);
    let text = observation("obs-ann-1", "ann", "4548-4", "5.60", "2026-01-01");
    let client = &world.server.client;
    let stale =
        client.request(Method::PUT, "/fhir/Observation/obs-ann-1").bearer(&ann).header("if-match", "W/\"none\"").fhir(text);
    assert_eq!(stale.send().await.status, 412);
    let stale = client.request(Method::DELETE, "/fhir/Observation/obs-ann-1").bearer(&ann).header("if-match", "W/\"none\"");
    assert_eq!(stale.send().await.status, 412);
    let foreign = observation("obs-ann-1", "bob", "4548-4", "5.60", "2026-01-01");
    let moved = client.request(Method::PUT, "/fhir/Observation/obs-ann-1").bearer(&ann).fhir(foreign);
    assert_eq!(moved.send().await.status, 403);
    // The last one has two: of the record, and of Bob, whom the content names; there Ann is who asked.
    for (query, expected) in
        [("action=U&outcome=4", 1), ("action=D&outcome=4", 1), ("action=U&outcome=8", 2), ("outcome=0&action=U,D", 0)]
    {
        let found = events(&world, &auditor, &format!("patient=ann&{query}")).await;
        assert_eq!(found.len(), expected, "{query} {found:?}");
        assert!(found.iter().all(|event| names(event, "Observation/obs-ann-1")), "{found:?}");
    }
}

/// Every way to ask for one observation by its id.
async fn attempts(client: &Client, token: &str, id: &str) -> Vec<Reply> {
    let path = format!("/fhir/Observation/{id}");
    let mut replies = Vec::new();
    for suffix in ["", "/_history", "/_history/1"] {
        replies.push(client.get(&format!("{path}{suffix}")).bearer(token).send().await);
    }
    let text = observation(id, "bob", "4548-4", "5.60", "2026-01-01");
    replies.push(client.request(Method::PUT, &path).bearer(token).fhir(text).send().await);
    replies.push(client.request(Method::DELETE, &path).bearer(token).send().await);
    replies
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attempts_on_a_hidden_record_are_found_by_its_patient_and_tell_whoever_tried_nothing() {
    verifies!("SEED-USCORE-12");
    let world = World::start().await;
    let (ann, bob, auditor) = (patient(&world, "ann").await, patient(&world, "bob").await, auditor(&world).await);
    let hidden = attempts(&world.server.client, &bob, "obs-ann-1").await;
    let seen_after_hidden = events(&world, &bob, "outcome=4").await;
    let absent = attempts(&world.server.client, &bob, "obs-ann-9").await;
    let seen_after_absent = events(&world, &bob, "outcome=4").await;
    for (hidden, absent) in hidden.iter().zip(&absent) {
        assert_eq!((hidden.status, hidden.text()), (absent.status, absent.text()));
        assert_eq!(hidden.status, 404);
    }

    let presence = |event: &Value| {
        let details =
            event["entity"].as_array().unwrap().iter().flat_map(|entity| entity["detail"].as_array().into_iter().flatten());
        details.filter(|detail| detail["type"] == "presence").map(|detail| detail["valueString"].to_string()).collect::<String>()
    };
    for token in [&auditor, &ann] {
        let found = events(&world, token, "patient=ann&outcome=4").await;
        assert_eq!(found.len(), 5, "{found:?}");
        assert!(found.iter().all(|event| names(event, "Observation/obs-ann-1") && names(event, "Patient/ann")), "{found:?}");
        let told = if std::ptr::eq(token, &auditor) { "\"hidden\"" } else { "" };
        // The version 1 was never there.
        assert_eq!(
            found.iter().filter(|event| presence(event) == told).count(),
            if told.is_empty() { 5 } else { 4 },
            "{found:?}"
        );
        assert_eq!(found.iter().any(|event| event.to_string().contains("Patient/bob")), !told.is_empty(), "{found:?}");
    }
    let absent = events(&world, &auditor, "entity=Observation/obs-ann-9&outcome=4").await;
    assert_eq!(absent.iter().map(presence).collect::<Vec<_>>(), vec!["\"absent\""; 5]);

    assert!(events(&world, &bob, "patient=ann").await.is_empty(), "no event names another patient to whoever tried");
    assert_eq!((seen_after_hidden.len(), seen_after_absent.len()), (5, 10));
    let shape = |events: &[Value]| {
        let alike = |event: &Value| {
            let mut event = event.clone();
            let id = event["id"].as_str().unwrap().to_owned();
            let [record, owner, _] = id.split('-').collect::<Vec<_>>()[..] else { panic!("{id}") };
            event["recorded"] = "then".into();
            let text = event.to_string().replace(record, "the-record").replace(owner, "the-owner");
            text.replace("obs-ann-1", "the-id").replace("obs-ann-9", "the-id")
        };
        events.iter().map(alike).collect::<Vec<_>>()
    };
    assert_eq!(shape(&seen_after_hidden), shape(&seen_after_absent[..5]), "the own trail does not tell hidden from absent");
    assert_eq!(shape(&seen_after_hidden), shape(&seen_after_absent[5..]));
    for query in ["entity=Patient/ann", "_id=x", "patient=bob"] {
        let hidden = events(&world, &bob, &format!("{query}&entity=Observation/obs-ann-1")).await;
        let absent = events(&world, &bob, &format!("{query}&entity=Observation/obs-ann-9")).await;
        assert_eq!(shape(&hidden), shape(&absent), "{query}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_a_request_names_finds_it_and_whoever_tried_sees_the_same_for_nobody() {
    let world = World::start().await;
    let (ann, bob, auditor) = (patient(&world, "ann").await, patient(&world, "bob").await, auditor(&world).await);
    let narrow = world.app.access_token("launch/patient patient/Patient.rs patient/AuditEvent.rs", "bob", PASSWORD).await;
    let client = &world.server.client;
    let tries = async |name: &str| {
        let mut statuses = Vec::new();
        for path in
            [format!("Observation?patient={name}"), format!("Observation?subject=Patient/{name}"), format!("Patient?_id={name}")]
        {
            statuses.push(client.get(&format!("/fhir/{path}")).bearer(&bob).send().await.status.as_u16());
        }
        let form = client.request(Method::POST, "/fhir/Observation/_search").bearer(&bob).form(&[("patient", name)]);
        statuses.push(form.send().await.status.as_u16());
        let text = observation("obs-new", name, "4548-4", "5.60", "2026-01-01").replace("\"id\":\"obs-new\",", "");
        let create = client.request(Method::POST, "/fhir/Observation").bearer(&bob).fhir(text);
        statuses.push(create.send().await.status.as_u16());
        let text = observation("obs-new", name, "4548-4", "5.60", "2026-01-01");
        let update = client.request(Method::PUT, "/fhir/Observation/obs-new").bearer(&narrow).fhir(text);
        statuses.push(update.send().await.status.as_u16());
        let delete = client.request(Method::DELETE, &format!("/fhir/Patient/{name}")).bearer(&narrow);
        statuses.push(delete.send().await.status.as_u16());
        statuses
    };
    assert_eq!(tries("ann").await, [200, 200, 200, 200, 403, 403, 403]);
    let after_existing = events(&world, &bob, "agent=Patient/bob").await;
    tries("nobody").await;
    let both = events(&world, &bob, "agent=Patient/bob").await;
    let by_bob = "patient=ann&agent=Patient/bob";
    let found = events(&world, &auditor, by_bob).await;
    // One more for the deletion: what it was after is itself the patient, so that the event in the own record of whoever tried is found, too.
    assert_eq!(found.len(), 8, "{} events", found.len());
    for (query, expected) in
        [("action=E&outcome=0", 4), ("action=C&outcome=8", 1), ("action=U&outcome=8", 1), ("action=D&outcome=8", 2)]
    {
        assert_eq!(events(&world, &auditor, &format!("{by_bob}&{query}")).await.len(), expected, "{query}");
    }
    let own = events(&world, &ann, "patient=ann&entity=Patient/ann").await;
    let own: Vec<&Value> = own.iter().filter(|event| event.to_string().contains("named by the request")).collect();
    assert_eq!(own.len(), 7, "{own:?}");
    for event in own {
        assert!(event.to_string().contains("another patient") && !event.to_string().contains("bob"), "{event}");
        assert!(!event.to_string().contains("obs-new"), "{event}");
    }
    // The search for the first ones is recorded between the two.
    let rest = |events: Vec<Value>| events.into_iter().filter(|event| event["type"]["code"] == "rest").collect::<Vec<_>>();
    let (after_existing, both) = (rest(after_existing), rest(both));
    assert_eq!((after_existing.len(), both.len()), (7, 15));
    let shape = |events: &[Value], name: &str| {
        let alike = |event: &Value| {
            let mut event = event.clone();
            let parts: Vec<String> = event["id"].as_str().unwrap().split('-').map(str::to_owned).collect();
            event["recorded"] = "then".into();
            event
                .to_string()
                .replace(&parts[0], "the-record")
                .replace(&parts[1], "the-owner")
                .replace(&format!("Patient/{name}"), "the-patient")
        };
        events.iter().map(alike).collect::<Vec<String>>()
    };
    assert_eq!(shape(&both[..7], "nobody"), shape(&after_existing[..7], "ann"), "the own trail does not tell who is there");
    assert!(events(&world, &bob, "patient=ann").await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_and_what_was_not_understood_are_shown_as_they_were_sent() {
    let world = World::start().await;
    let (ann, auditor) = (world.ann().await, auditor(&world).await);
    let client = &world.server.client;
    client.get("/fhir/Observation?code=http://loinc.org|1").bearer(&ann).send().await;
    assert!(client.get("/fhir/Patient/%70at-0002").bearer(&ann).send().await.status.is_client_error());
    let shown = events(&world, &auditor, "action=E").await;
    let entities = shown.iter().flat_map(|event| event["entity"].as_array().unwrap());
    let queries: Vec<&str> = entities.filter_map(|entity| entity["query"].as_str()).collect();
    // Base64 of Observation?code=http://loinc.org|1 and of GET /fhir/Patient/%70at-0002
    for sent in ["T2JzZXJ2YXRpb24/Y29kZT1odHRwOi8vbG9pbmMub3JnfDE=", "R0VUIC9maGlyL1BhdGllbnQvJTcwYXQtMDAwMg=="] {
        assert!(queries.contains(&sent), "{queries:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn access_that_is_revoked_while_the_body_arrives_changes_nothing() {
    let world = World::start().await;
    let token = world.ann().await;
    let body = r#"{"resourceType":"Observation","status":"final","code":{"text":"slow"},"subject":{"reference":"Patient/ann"}}"#;
    let head = format!(
        "POST /fhir/Observation HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Type: application/fhir+json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    for (revoked, status) in [(false, "201"), (true, "401")] {
        let mut stream = world.server.client.connect().await.unwrap();
        stream.write_all(format!("{head}{}", &body[..20]).as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        // Long enough for the request to be authenticated.
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        if revoked {
            assert_eq!(world.app.token_request_to("/oauth/revoke", &[("token", &token)]).await.status, 200);
        }
        stream.write_all(&body.as_bytes()[20..]).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
    }
    let records = world.server.records();
    let last = records.iter().rfind(|record| record.status == 401).unwrap();
    assert_eq!(last.agent.user.as_deref(), Some("user-ann"), "the record knows whose access it was");
    assert_eq!(
        records
            .iter()
            .filter(|record| record.operations.iter().any(|one| one.interaction == "create"
                && one.version.is_some()
                && one.patients == ["ann"]
                && record.status == 201))
            .count(),
        1
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_a_bug_ends_is_recorded_and_the_next_one_is_served() {
    let world = World::start().await;
    let token = world.ann().await;
    let switch = |on| world.server.reads_panic.store(on, std::sync::atomic::Ordering::Relaxed);
    switch(true);
    let reply = world.server.client.get("/fhir/Patient/ann").bearer(&token).send().await;
    switch(false);
    assert_eq!((reply.status.as_u16(), reply.json()["issue"][0]["code"].as_str()), (503, Some("exception")), "{}", reply.text());
    let records = world.server.records();
    let record = records.iter().find(|record| record.status == 503).unwrap();
    assert_eq!((record.status, record.detail.as_deref()), (503, Some("ended by an internal error")));
    assert_eq!(reply.header("x-request-id"), record.id.0);
    assert_eq!(record.operations[0].query.as_deref(), Some("GET /fhir/Patient/ann"));
    assert_eq!(world.server.client.get("/fhir/Patient/ann").bearer(&token).send().await.status, 200);
    switch(true);
    world.server.segments.fail();
    let reply = world.server.client.get("/fhir/Patient/ann").bearer(&token).send().await;
    assert_eq!((reply.status.as_u16(), reply.json()["issue"][0]["code"].as_str()), (503, Some("transient")));
}
