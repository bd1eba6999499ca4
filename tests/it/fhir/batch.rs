//! Batches: each entry stands alone, is decided on its own, and has a record of its own.

use portcullis_audit::Outcome;
use portcullis_audit::record::Record;
use portcullis_testkit::Reply;
use portcullis_testkit::server::PASSWORD;
use portcullis_verifies::verifies;
use serde_json::{Value, json};

use super::world::World;

/// Posts a Bundle of this type.
pub async fn post(world: &World, token: &str, bundle_type: &str, entries: Value) -> Reply {
    let bundle = json!({"resourceType": "Bundle", "type": bundle_type, "entry": entries});
    world.server.client.post("/fhir").bearer(token).fhir(bundle.to_string()).send().await
}

/// An entry that asks without a resource.
pub fn ask(method: &str, url: &str) -> Value {
    json!({"request": {"method": method, "url": url}})
}

/// The statuses of the entries.
pub fn statuses(reply: &Reply) -> Vec<String> {
    let bundle = reply.json();
    let entries = bundle["entry"].as_array().unwrap_or_else(|| panic!("{bundle}"));
    entries.iter().map(|entry| entry["response"]["status"].as_str().unwrap().to_owned()).collect()
}

/// An observation of this patient, without id.
pub fn observed(patient: &str) -> Value {
    json!({"resourceType": "Observation", "status": "final", "code": {"text": "x"}, "subject": {"reference": format!("Patient/{patient}")}})
}

/// The record of the request, and those of its entries.
pub fn records_of(world: &World, reply: &Reply) -> (Record, Vec<Record>) {
    let id = reply.header("x-request-id");
    let records = world.server.records();
    let own = records.iter().find(|record| record.id.0 == id).cloned().unwrap_or_else(|| panic!("no record"));
    let of_it = |record: &&Record| record.request.as_ref().is_some_and(|request| request.0 == id);
    (own, records.iter().filter(of_it).cloned().collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_entry_of_a_batch_is_decided_on_its_own() {
    verifies!("SMART-39");
    let world = World::start().await;
    let app = world.server.add_app("reader", "launch/patient patient/Observation.rs", false).await;
    let token = app.access_token("launch/patient patient/Observation.rs", "ann", PASSWORD).await;
    let entries = json!([
        ask("GET", "Observation?code=4548-4"),
        ask("GET", "Condition"),
        ask("GET", "Observation/obs-ann-1"),
        ask("GET", "Observation/obs-bob-1"),
        ask("GET", "Observation/none"),
        ask("GET", "Patient/ann"),
        {"resource": observed("ann"), "request": {"method": "POST", "url": "Observation"}},
        ask("DELETE", "Observation/obs-ann-1"),
        ask("HEAD", "Observation/obs-ann-1"),
    ]);
    let reply = post(&world, &token, "batch", entries).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(statuses(&reply), ["200", "403", "200", "404", "404", "403", "403", "403", "200"]);
    let bundle = reply.json();
    assert_eq!(bundle["type"], "batch-response");
    assert_eq!(bundle["entry"][0]["resource"]["entry"].as_array().unwrap().len(), 2, "{bundle}");
    assert!(!reply.text().contains("9.90") && !reply.text().contains("Patient/bob"));
    let (hidden, absent) = (bundle["entry"][3].to_string(), bundle["entry"][4].to_string());
    assert_eq!(hidden.replace("entry[3]", ""), absent.replace("entry[4]", ""));
    assert_eq!(bundle["entry"][2]["response"]["etag"].as_str().map(|etag| etag.starts_with("W/\"")), Some(true));
    assert!(bundle["entry"][8].get("resource").is_none(), "HEAD carries nothing");
    let single = world.server.client.get("/fhir/Observation/obs-ann-1").bearer(&token).send().await;
    assert_eq!(single.status, 200, "nothing was deleted");
    assert_eq!(bundle["entry"][2]["resource"], single.json());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_entry_of_a_batch_has_a_record_of_its_own_that_names_the_request() {
    let world = World::start().await;
    let token = world.ann().await;
    let entries = json!([
        ask("GET", "Observation/obs-ann-1"),
        ask("GET", "Observation/obs-bob-1"),
        {"resource": observed("ann"), "request": {"method": "POST", "url": "Observation"}},
        {"resource": {"resourceType": "Observation"}, "request": {"method": "POST", "url": "Observation"}},
        1,
    ]);
    let reply = post(&world, &token, "batch", entries).await;
    assert_eq!(statuses(&reply), ["200", "404", "201", "400", "400"], "{}", reply.text());
    let (own, of_entries) = records_of(&world, &reply);
    assert_eq!((own.operations[0].interaction.as_str(), own.operations[0].returned, own.status), ("batch", Some(5), 200));
    let mut seen: Vec<(String, Outcome, u16)> =
        of_entries.iter().map(|record| (record.operations[0].interaction.clone(), record.outcome, record.status)).collect();
    seen.sort_by_key(|(interaction, _, status)| (interaction.clone(), *status));
    assert_eq!(
        seen,
        [
            ("create".to_owned(), Outcome::Success, 201),
            ("read".to_owned(), Outcome::Success, 200),
            ("read".to_owned(), Outcome::Rejected, 404),
            ("unparsed".to_owned(), Outcome::Rejected, 400),
            ("unparsed".to_owned(), Outcome::Rejected, 400),
        ]
    );
    let hidden = of_entries.iter().find(|record| record.status == 404).unwrap();
    assert_eq!(hidden.operations[0].patients, ["bob"], "the trail of whoever was tried knows");
    assert!(of_entries.iter().all(|record| record.agent.user == own.agent.user && own.agent.user.is_some()));
    let decisions: std::collections::BTreeSet<_> = of_entries.iter().filter_map(|record| record.decision.clone()).collect();
    assert_eq!(decisions.len(), 3, "each has a decision of its own");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_that_fails_takes_no_other_with_it() {
    let world = World::start().await;
    let token = world.ann().await;
    let create = |patient: &str| json!({"resource": observed(patient), "request": {"method": "POST", "url": "Observation"}});
    let stale = json!({"resource": {"resourceType": "Patient", "id": "ann"}, "request": {"method": "PUT", "url": "Patient/ann", "ifMatch": "W/\"x\""}});
    let dangling =
        json!({"fullUrl": "urn:uuid:1", "resource": observed("ann"), "request": {"method": "POST", "url": "Observation"}});
    let mut referring = create("ann");
    referring["resource"]["focus"] = json!([{"reference": "urn:uuid:1"}]);
    let entries = json!([create("bob"), create("ann"), stale, dangling, referring, ask("GET", "Observation?_summary=count")]);
    let reply = post(&world, &token, "batch", entries).await;
    assert_eq!(statuses(&reply), ["403", "201", "412", "201", "400", "200"], "{}", reply.text());
    let bundle = reply.json();
    assert_eq!(bundle["entry"][5]["resource"]["total"], 4);
    assert!(bundle["entry"][1].get("resource").is_none(), "what was written is sent only where it is preferred");
    let location = bundle["entry"][1]["response"]["location"].as_str().unwrap();
    assert!(location.contains("/fhir/Observation/") && location.contains("/_history/"), "{location}");
    let place = &bundle["entry"][4]["response"]["outcome"]["issue"][0]["expression"][0];
    assert_eq!(place, "Bundle.entry[4].resource.focus[0].reference");
    assert_eq!(bundle["entry"][2]["response"]["outcome"]["issue"][0]["expression"][0], "Bundle.entry[2]", "{bundle}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_batch_is_refused_as_a_whole_and_nested_ones_alone() {
    let world = World::start().await;
    let token = world.ann().await;
    let send = |body: String, media_type: &'static str| {
        let request = world.server.client.post("/fhir").bearer(&token).header("content-type", media_type);
        async move { request.bytes(body).send().await }
    };
    let json_type = "application/fhir+json";
    let many = vec![ask("GET", "Patient/ann"); 501];
    for (body, media_type, status, place) in [
        (String::new(), json_type, 400, "Bundle"),
        ("{".to_owned(), json_type, 400, "Bundle"),
        ("[]".to_owned(), json_type, 400, "Bundle"),
        (observed("ann").to_string(), json_type, 400, "Bundle"),
        (json!({"resourceType": "Bundle", "type": "document"}).to_string(), json_type, 400, "Bundle.type"),
        (json!({"resourceType": "Bundle"}).to_string(), json_type, 400, "Bundle.type"),
        (json!({"resourceType": "Bundle", "type": "batch", "entry": many}).to_string(), json_type, 413, "Bundle.entry"),
        ("<Bundle/>".to_owned(), "text/turtle", 415, "http.Content-Type"),
        ("<Bundle/>".to_owned(), "application/fhir+xml", 400, "Bundle"),
    ] {
        let reply = send(body, media_type).await;
        assert_eq!(reply.status, status, "{}", reply.text());
        assert_eq!(reply.json()["issue"][0]["expression"][0], place, "{}", reply.text());
    }
    let nested = json!({"resource": {"resourceType": "Bundle", "type": "batch"}, "request": {"method": "POST", "url": ""}});
    let entries = json!([
        nested,
        ask("PATCH", "Patient/ann"),
        ask("TRACE", "Patient/ann"),
        ask("GE T", "Patient/ann"),
        ask("GET", "https://elsewhere.example/fhir/Patient/ann"),
        ask("GET", "../oauth/authorize"),
        ask("GET", "Patient//ann"),
        ask("GET", "Dragon/1"),
        ask("GET", "Patient/ann?_format=xml"),
        ask("GET", "AuditEvent?_count=1"),
        {"request": {"method": "POST", "url": "Observation"}},
        {"resource": observed("ann"), "request": {"method": "GET", "url": "Patient/ann"}},
    ]);
    let reply = post(&world, &token, "batch", entries).await;
    let expected = ["400", "400", "405", "400", "400", "404", "404", "404", "406", "403", "400", "400"];
    assert_eq!(statuses(&reply), expected, "{}", reply.text());
    for (index, entry) in reply.json()["entry"].as_array().unwrap().iter().enumerate() {
        let issue = &entry["response"]["outcome"]["issue"][0];
        let place = issue["expression"][0].as_str().unwrap_or("Bundle.entry");
        assert!(place.starts_with("Bundle.entry") && issue["diagnostics"].is_string(), "{index} {entry}");
    }
    assert_eq!(post(&world, &token, "batch", json!([])).await.json().get("entry"), None);
    let nobody = world.server.client.post("/fhir").fhir("{}").send().await;
    assert_eq!(nobody.status, 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conditions_of_reads_hold_for_entries_too() {
    let world = World::start().await;
    let token = world.ann().await;
    let read = world.server.client.get("/fhir/Observation/obs-ann-1").bearer(&token).send().await;
    let etag = read.header("etag").to_owned();
    let conditional = |name: &str, value: &str| {
        let mut entry = ask("GET", "Observation/obs-ann-1");
        entry["request"][name] = json!(value);
        entry
    };
    let entries = json!([
        conditional("ifNoneMatch", &etag),
        conditional("ifNoneMatch", "W/\"other\""),
        conditional("ifModifiedSince", "2999-01-01T00:00:00Z"),
        conditional("ifModifiedSince", "1999-01-01T00:00:00Z"),
    ]);
    let reply = post(&world, &token, "batch", entries).await;
    assert_eq!(statuses(&reply), ["304", "200", "304", "200"], "{}", reply.text());
    let since = |value: &'static str| {
        let request = world.server.client.get("/fhir/Observation/obs-ann-1").bearer(&token).header("if-modified-since", value);
        async move { request.send().await.status.as_u16() }
    };
    assert_eq!(since("Tue, 01 Jan 2999 00:00:00 GMT").await, 304);
    assert_eq!(since("Fri, 01 Jan 1999 00:00:00 GMT").await, 200);
    assert_eq!(since("tomorrow").await, 200, "what is no date is no condition");
    let hidden = world.server.client.get("/fhir/Observation/obs-bob-1").bearer(&token);
    assert_eq!(hidden.header("if-modified-since", "Tue, 01 Jan 2999 00:00:00 GMT").send().await.status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_ledger_a_batch_says_nothing_and_writes_nothing() {
    let world = World::start().await;
    let token = world.ann().await;
    world.server.segments.fail();
    for bundle_type in ["batch", "transaction"] {
        let create = json!({"resource": observed("ann"), "request": {"method": "POST", "url": "Observation"}});
        let reply = post(&world, &token, bundle_type, json!([create, ask("GET", "Observation/obs-ann-1")])).await;
        assert_eq!(reply.status, 503, "{bundle_type} {}", reply.text());
        assert!(!reply.text().contains("obs-ann-1"), "{}", reply.text());
    }
}
