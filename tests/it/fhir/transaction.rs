//! Transactions: all entries or none, whatever fails, and nothing is learnt from what fails.

use portcullis_audit::Outcome;
use portcullis_oauth::clients::KeySource;
use portcullis_store::Clock;
use portcullis_testkit::Reply;
use portcullis_testkit::backend::ClientKey;
use portcullis_testkit::server::PASSWORD;
use portcullis_verifies::verifies;
use serde_json::{Value, json};

use super::batch::{ask, observed, post, records_of, statuses};
use super::world::World;

fn create(name: Option<&str>, resource: Value) -> Value {
    let resource_type = resource["resourceType"].clone();
    let mut entry = json!({"resource": resource, "request": {"method": "POST", "url": resource_type}});
    if let Some(name) = name {
        entry["fullUrl"] = json!(name);
    }
    entry
}

fn put(resource: Value) -> Value {
    let url = format!("{}/{}", resource["resourceType"].as_str().unwrap(), resource["id"].as_str().unwrap());
    json!({"resource": resource, "request": {"method": "PUT", "url": url}})
}

fn with(mut resource: Value, member: &str, value: Value) -> Value {
    resource[member] = value;
    resource
}

async fn read(world: &World, token: &str, path: &str) -> Reply {
    world.server.client.get(&format!("/fhir/{path}")).bearer(token).send().await
}

async fn total(world: &World, token: &str) -> u64 {
    read(world, token, "Observation?_summary=count").await.json()["total"].as_u64().unwrap()
}

/// What a failed transaction says: the status, and the place of its first issue.
fn failure(reply: &Reply) -> (u16, String) {
    let outcome = reply.json();
    assert_eq!(outcome["resourceType"], "OperationOutcome", "{outcome}");
    (reply.status.as_u16(), outcome["issue"][0]["expression"][0].as_str().unwrap_or_default().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_entry_that_fails_undoes_all_and_is_named() {
    verifies!("FHIR-SEC-31");
    let world = World::start().await;
    let token = world.ann().await;
    let app = world.server.add_app("reader", "launch/patient patient/Observation.crs", false).await;
    let narrow = app.access_token("launch/patient patient/Observation.crs", "ann", PASSWORD).await;
    let stale = |name: &str, value: &str| {
        let mut entry = put(with(observed("ann"), "id", json!("obs-ann-1")));
        entry["request"][name] = json!(value);
        entry
    };
    for (what, token, entry, status, place) in [
        ("foreign", &token, create(None, observed("bob")), 403, "Bundle.entry[2]"),
        ("no scope", &narrow, ask("DELETE", "Observation/obs-ann-1"), 403, "Bundle.entry[2]"),
        ("forbidden read", &narrow, ask("GET", "Condition"), 403, "Bundle.entry[2]"),
        (
            "malformed",
            &token,
            create(None, json!({"resourceType": "Observation", "status": 1})),
            400,
            "Bundle.entry[2].resource.status",
        ),
        ("no request", &token, json!({"resource": observed("ann")}), 400, "Bundle.entry[2].request"),
        ("stale", &token, stale("ifMatch", "W/\"x\""), 412, "Bundle.entry[2]"),
        ("broken tag", &token, stale("ifMatch", "x"), 400, "Bundle.entry[2].request.ifMatch"),
        (
            "several",
            &token,
            with(
                create(None, observed("ann")),
                "request",
                json!({"method": "POST", "url": "Observation", "ifNoneExist": "status=final"}),
            ),
            412,
            "Bundle.entry[2].request.ifNoneExist",
        ),
        (
            "dangling",
            &token,
            create(None, with(observed("ann"), "focus", json!([{"reference": "urn:uuid:none"}]))),
            400,
            "Bundle.entry[2].resource.focus[0].reference",
        ),
        ("absent read", &token, ask("GET", "Observation/none"), 404, "Bundle.entry[2]"),
        ("absent delete", &token, ask("DELETE", "Observation/none"), 404, "Bundle.entry[2]"),
        ("trail", &token, ask("GET", "AuditEvent"), 403, "Bundle.entry[2]"),
    ] {
        let before = total(&world, token).await;
        let entries =
            json!([create(None, observed("ann")), ask("GET", "Observation?status=final"), entry, create(None, observed("ann"))]);
        let reply = post(&world, token, "transaction", entries).await;
        assert_eq!(failure(&reply), (status, place.to_owned()), "{what} {}", reply.text());
        assert_eq!(total(&world, token).await, before, "{what}: nothing is half-written");
        let (own, of_entries) = records_of(&world, &reply);
        assert_eq!((own.status, own.operations[0].interaction.as_str()), (status, "transaction"), "{what}");
        assert!(of_entries.iter().all(|record| record.outcome != Outcome::Success), "{what}");
        let failed = of_entries.iter().filter(|record| record.detail.as_deref() != Some("not done: the transaction failed"));
        assert_eq!((of_entries.len(), failed.count()), (4, 1), "{what}: every entry has a record, also behind one that is none");
    }
    let denied = post(&world, &narrow, "transaction", json!([ask("GET", "Condition")])).await;
    assert!(denied.header("www-authenticate").contains("insufficient_scope"), "{}", denied.header("www-authenticate"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_hidden_fails_a_transaction_as_what_is_absent_does() {
    let world = World::start().await;
    let token = world.ann().await;
    let pairs = |id: &'static str| {
        let referring = |reference: String| with(observed("ann"), "hasMember", json!([{"reference": reference}]));
        vec![
            ask("GET", &format!("Observation/{id}")),
            ask("GET", &format!("Observation/{id}/_history")),
            ask("DELETE", &format!("Observation/{id}")),
            put(with(observed("ann"), "id", json!(id))),
            put(with(observed("bob"), "id", json!(id))),
            create(None, referring(format!("Observation?_id={id}"))),
            create(None, referring(format!("Observation?code=4548-4&_id={id}&status=final"))),
            json!({"resource": observed("ann"), "request": {"method": "PUT", "url": format!("Observation?_id={id}"), "ifMatch": "W/\"1\""}}),
        ]
    };
    for (hidden, absent) in pairs("obs-bob-1").into_iter().zip(pairs("obs-non-1")) {
        let mut answers = Vec::new();
        for entry in [&hidden, &absent] {
            let reply = post(&world, &token, "transaction", json!([create(None, observed("ann")), entry])).await;
            assert!(reply.status.is_client_error(), "{entry} {}", reply.text());
            let (_, of_entries) = records_of(&world, &reply);
            answers.push((reply.status, reply.text(), of_entries.len()));
        }
        assert_eq!(answers[0], answers[1], "{hidden}");
    }
    let bob = world.app.access_token("launch/patient patient/*.read", "bob", PASSWORD).await;
    assert_eq!(read(&world, &bob, "Observation/obs-bob-1").await.status, 200);
    assert_eq!(total(&world, &token).await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resources_that_overlap_are_refused() {
    let world = World::start().await;
    let token = world.ann().await;
    let own = || put(with(observed("ann"), "id", json!("obs-ann-1")));
    let conditional = |method: &str, query: &str| {
        let mut entry = json!({"request": {"method": method, "url": format!("Observation?{query}")}});
        if method == "PUT" {
            entry["resource"] = observed("ann");
        }
        entry
    };
    let unless = |name| {
        with(
            create(Some(name), observed("ann")),
            "request",
            json!({"method": "POST", "url": "Observation", "ifNoneExist": "identifier=http://x|new"}),
        )
    };
    for (entries, place) in [
        (json!([own(), own()]), "Bundle.entry[1].request.url"),
        (json!([own(), ask("DELETE", "Observation/obs-ann-1")]), "Bundle.entry[1].request.url"),
        (json!([conditional("PUT", "date=2026-01-01"), own()]), "Bundle.entry[1].request.url"),
        (json!([conditional("PUT", "date=2026-01-01"), conditional("DELETE", "date=2026-01-01")]), "Bundle.entry[1].request.url"),
        (json!([unless("urn:uuid:1"), unless("urn:uuid:2")]), "Bundle.entry[1].request.url"),
        (
            json!([create(Some("urn:uuid:1"), observed("ann")), create(Some("urn:uuid:1"), observed("ann"))]),
            "Bundle.entry[1].fullUrl",
        ),
    ] {
        let reply = post(&world, &token, "transaction", entries).await;
        assert_eq!(failure(&reply), (400, place.to_owned()), "{}", reply.text());
    }
    assert_eq!(total(&world, &token).await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_are_done_in_the_order_of_the_specification_and_answered_in_their_own() {
    let world = World::start().await;
    let token = world.ann().await;
    let narrative = r#"<div xmlns="http://www.w3.org/1999/xhtml"><a href="urn:uuid:first">first</a></div>"#;
    let first = with(observed("ann"), "valueString", json!("first"));
    let second = with(observed("ann"), "hasMember", json!([{"reference": "urn:uuid:first"}]));
    let second = with(second, "text", json!({"status": "generated", "div": narrative}));
    let found = with(observed("ann"), "derivedFrom", json!([{"reference": "Observation?date=2026-01-01"}]));
    let changed = with(with(observed("ann"), "id", json!("obs-ann-1")), "hasMember", json!([{"reference": "urn:uuid:first"}]));
    let changed = with(changed, "effectiveDateTime", json!("2026-01-01"));
    let entries = json!([
        ask("GET", "Observation?_summary=count"),
        ask("GET", "Observation/obs-ann-1"),
        create(Some("urn:uuid:second"), second),
        put(changed),
        create(None, found),
        create(Some("urn:uuid:first"), first),
        ask("DELETE", "Observation/obs-ann-2"),
    ]);
    let reply = post(&world, &token, "transaction", entries).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(statuses(&reply), ["200", "200", "201", "200", "201", "201", "204"]);
    let bundle = reply.json();
    assert_eq!(bundle["type"], "transaction-response");
    assert_eq!(bundle["entry"][0]["resource"]["total"], 4, "reads see what was written: {bundle}");
    let address = |index: usize| {
        let location = bundle["entry"][index]["response"]["location"].as_str().unwrap();
        location.split("/fhir/").nth(1).unwrap().split("/_history").next().unwrap().to_owned()
    };
    let first = address(5);
    assert_eq!(bundle["entry"][1]["resource"]["hasMember"][0]["reference"], first.as_str());
    let second = read(&world, &token, &address(2)).await.json();
    assert_eq!(second["hasMember"][0]["reference"], first.as_str());
    assert!(second["text"]["div"].as_str().unwrap().contains(&format!("href=\"{first}\"")), "{second}");
    assert_eq!(read(&world, &token, &address(4)).await.json()["derivedFrom"][0]["reference"], "Observation/obs-ann-1");
    assert_eq!(read(&world, &token, "Observation/obs-ann-2").await.status, 410);
    for (index, entry) in bundle["entry"].as_array().unwrap().iter().enumerate().skip(1) {
        let response = &entry["response"];
        assert!(response["etag"].is_string() && response["lastModified"].is_string(), "{index} {response}");
    }
    let (own, of_entries) = records_of(&world, &reply);
    assert_eq!((own.operations[0].interaction.as_str(), own.operations[0].returned), ("transaction", Some(7)));
    let mut interactions: Vec<_> = of_entries.iter().map(|record| record.operations[0].interaction.as_str()).collect();
    interactions.sort_unstable();
    assert_eq!(interactions, ["create", "create", "create", "delete", "read", "search-type", "update"]);
    let written = of_entries.iter().filter(|record| matches!(record.status, 201 | 204));
    assert!(written.clone().all(|record| record.operations[0].patients == ["ann"] && record.decision.is_some()));
    assert_eq!(written.count(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conditional_reference_that_the_transaction_itself_makes_ambiguous_fails_it() {
    let world = World::start().await;
    let token = world.ann().await;
    let referring = || create(None, with(observed("ann"), "derivedFrom", json!([{"reference": "Observation?date=2026-01-01"}])));
    let second = create(None, with(observed("ann"), "effectiveDateTime", json!("2026-01-01")));
    for other in [second, ask("DELETE", "Observation/obs-ann-1")] {
        let reply = post(&world, &token, "transaction", json!([referring(), other])).await;
        assert_eq!(failure(&reply).0, 412, "{}", reply.text());
        assert_eq!(total(&world, &token).await, 2);
    }
    let nowhere = create(None, with(observed("ann"), "derivedFrom", json!([{"reference": "Observation?date=1999-01-01"}])));
    let reply = post(&world, &token, "transaction", json!([nowhere])).await;
    assert_eq!(failure(&reply), (412, "Bundle.entry[0].resource.derivedFrom[0].reference".to_owned()), "{}", reply.text());
    let unknown = create(None, with(observed("ann"), "derivedFrom", json!([{"reference": "Observation?unknown=1"}])));
    assert_eq!(post(&world, &token, "transaction", json!([unknown])).await.status, 400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_only_reads_reads_all_or_fails() {
    let world = World::start().await;
    let token = world.ann().await;
    let entries = json!([ask("GET", "Observation/obs-ann-1"), ask("GET", "Observation?code=4548-4"), ask("HEAD", "Patient/ann")]);
    let reply = post(&world, &token, "transaction", entries).await;
    assert_eq!(statuses(&reply), ["200", "200", "200"], "{}", reply.text());
    assert!(reply.json()["entry"][2].get("resource").is_none());
    for id in ["obs-bob-1", "none"] {
        let entries = json!([ask("GET", "Observation/obs-ann-1"), ask("GET", &format!("Observation/{id}"))]);
        let reply = post(&world, &token, "transaction", entries).await;
        assert_eq!(failure(&reply), (404, "Bundle.entry[1]".to_owned()), "{}", reply.text());
        assert!(!reply.text().contains("obs-ann-1"));
    }
    assert_eq!(post(&world, &token, "transaction", json!([])).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_service_stores_a_new_patient_with_records_that_refer_to_it() {
    let world = World::start().await;
    let key = ClientKey::generate("key-1", "ES384");
    let keys = KeySource::value(&key.jwks().to_string()).unwrap();
    let backend = world.server.add_backend("backend", "system/*.cruds", key, keys).await;
    let assertion = backend.assertion(world.server.clock.now_seconds(), "once");
    let token = backend.request(&assertion, "system/*.cruds").await.json()["access_token"].as_str().unwrap().to_owned();
    let patient =
        json!({"resourceType": "Patient", "identifier": [{"system": "http://x", "value": "new"}], "name": [{"family": "New"}]});
    let unless = |name: &str| {
        let mut entry = create(Some(name), patient.clone());
        entry["request"]["ifNoneExist"] = json!("identifier=http://x|new");
        entry
    };
    let mut observation = observed("ann");
    observation["subject"]["reference"] = json!("urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0");
    let entries = json!([create(None, observation), unless("urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0")]);
    let first = post(&world, &token, "transaction", entries.clone()).await;
    assert_eq!(statuses(&first), ["201", "201"], "{}", first.text());
    let again = post(&world, &token, "transaction", entries).await;
    assert_eq!(statuses(&again), ["201", "200"], "the patient is there: {}", again.text());
    let subjects = read(&world, &token, "Observation?subject:identifier=x").await;
    assert_eq!(subjects.status, 200);
    let patients = read(&world, &token, "Patient?identifier=http://x|new").await.json();
    assert_eq!(patients["entry"].as_array().unwrap().len(), 1);
    let id = patients["entry"][0]["resource"]["id"].as_str().unwrap();
    let observations = read(&world, &token, &format!("Observation?patient={id}")).await.json();
    assert_eq!(observations["entry"].as_array().unwrap().len(), 2, "{observations}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_when_the_writes_are_durable_takes_no_record_of_them_back() {
    let world = World::start().await;
    let token = world.ann().await;
    let entries = json!([
        ask("GET", "Observation/obs-ann-1"),
        ask("GET", "Patient/ann"),
        create(None, observed("ann")),
        ask("GET", "Condition")
    ]);
    world.server.reads_panic.store(true, std::sync::atomic::Ordering::Relaxed);
    let reply = post(&world, &token, "transaction", entries).await;
    world.server.reads_panic.store(false, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(failure(&reply), (500, "Bundle.entry[0]".to_owned()), "the store mixed up what was read: {}", reply.text());
    assert_eq!(total(&world, &token).await, 3, "the write is durable all the same");
    let (own, of_entries) = records_of(&world, &reply);
    assert_eq!((own.outcome, own.status), (Outcome::Failed, 500));
    let told = |interaction: &str| {
        let of_it = of_entries.iter().filter(|record| record.operations[0].interaction == interaction);
        of_it.map(|record| (record.outcome, record.detail.clone().unwrap_or_default())).collect::<Vec<_>>()
    };
    assert_eq!(told("create"), [(Outcome::Success, String::new())], "one record, which tells what happened");
    let unanswered = (Outcome::Rejected, "not answered: another entry failed".to_owned());
    assert_eq!((told("read")[1].clone(), told("search-type")), (unanswered.clone(), vec![unanswered]));
}
