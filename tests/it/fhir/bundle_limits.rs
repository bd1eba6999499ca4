//! What one batch or transaction may take: time, bytes, searches, conditions. Beyond, it is refused, and a transaction with all that it would have done.

use std::time::Duration;

use portcullis_audit::Outcome;
use portcullis_server::resource_server::BundleLimits;
use portcullis_testkit::{Reply, TestServer};
use serde_json::{Value, json};

use super::batch::{ask, observed, post, records_of, statuses};
use super::world::World;

async fn limited(change: impl FnOnce(&mut BundleLimits)) -> World {
    World::over(TestServer::start_changed(|server| change(&mut server.settings.bundles)).await).await
}

fn creation(condition: Option<&str>) -> Value {
    let mut entry = json!({"resource": observed("ann"), "request": {"method": "POST", "url": "Observation"}});
    if let Some(condition) = condition {
        entry["request"]["ifNoneExist"] = json!(condition);
    }
    entry
}

/// What all entries were refused for: the status, the place, the code.
fn refused(reply: &Reply) -> (u16, String, String) {
    let issue = reply.json()["issue"][0].clone();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (reply.status.as_u16(), text(&issue["expression"][0]), text(&issue["code"]))
}

async fn total(world: &World, token: &str) -> u64 {
    world.server.client.get("/fhir/Observation?_summary=count").bearer(token).send().await.json()["total"].as_u64().unwrap()
}

fn too_long(index: usize, place: &str) -> (u16, String, String) {
    (413, format!("Bundle.entry[{index}].request.{place}"), "too-long".to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_writes_searches_twenty_times_at_most() {
    let world = World::start().await;
    let token = world.ann().await;
    let with = |others: Vec<Value>| Value::Array([vec![creation(None)], others].concat());
    let search = || ask("GET", "Observation?code=none");
    let twenty = post(&world, &token, "transaction", with(vec![search(); 20])).await;
    assert_eq!(statuses(&twenty).len(), 21, "{}", twenty.text());
    let reads = post(&world, &token, "transaction", with(vec![ask("GET", "Patient/ann"); 21])).await;
    assert_eq!(statuses(&reads).len(), 22, "reads are cheap: {}", reads.text());
    let before = total(&world, &token).await;
    for one_more in [search(), ask("GET", "Patient/ann/_history")] {
        let reply = post(&world, &token, "transaction", with([vec![search(); 20], vec![one_more]].concat())).await;
        assert_eq!(refused(&reply), too_long(21, "url"));
    }
    assert_eq!(total(&world, &token).await, before);
    let reading = post(&world, &token, "transaction", Value::Array(vec![search(); 21])).await;
    assert_eq!(statuses(&reading).len(), 21, "whoever only reads keeps nobody from writing: {}", reading.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_has_a_hundred_conditions_at_most_wherever_they_stand() {
    let world = World::start().await;
    let token = world.ann().await;
    let condition = |number: usize| format!("identifier=http://x|{number}");
    let creations = |count: usize| (0..count).map(|number| creation(Some(&condition(number)))).collect::<Vec<_>>();
    let hundred = post(&world, &token, "transaction", Value::Array(creations(100))).await;
    assert_eq!(statuses(&hundred), vec!["201"; 100], "{}", hundred.text());
    let before = total(&world, &token).await;
    let more = post(&world, &token, "transaction", Value::Array(creations(101))).await;
    assert_eq!(refused(&more), too_long(100, "url"));
    let referring = |number: usize| {
        let mut entry = creation(Some(&condition(number)));
        entry["resource"]["derivedFrom"] = json!([{"reference": format!("Observation?_id=obs-ann-1&code:not=x{number}")}]);
        entry
    };
    let both = post(&world, &token, "transaction", Value::Array((0..51).map(referring).collect())).await;
    let (status, place, code) = refused(&both);
    assert_eq!((status, code.as_str()), (413, "too-long"), "{}", both.text());
    assert!(place.starts_with("Bundle.entry[49]") || place.starts_with("Bundle.entry[50]"), "{place}");
    assert_eq!(total(&world, &token).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_are_too_large_together_are_refused() {
    let world = limited(|limits| limits.bytes = 2_000).await;
    let token = world.ann().await;
    let mut large = observed("ann");
    large["identifier"] = json!([{"system": "http://x", "value": "large"}]);
    large["note"] = json!([{"text": "x".repeat(900)}]);
    let create = json!({"resource": large, "request": {"method": "POST", "url": "Observation"}});
    let stored = post(&world, &token, "batch", json!([create])).await;
    assert_eq!(statuses(&stored), ["201"]);
    let url = "Observation?identifier=http://x|large";
    let batch = post(&world, &token, "batch", json!([ask("GET", url), ask("GET", url), ask("HEAD", url), creation(None)])).await;
    assert_eq!(statuses(&batch), ["200", "413", "200", "201"], "{}", batch.text());
    assert_eq!(batch.text().matches("xxxx").count(), 900 / 4);
    let (_, of_entries) = records_of(&world, &batch);
    let told = of_entries.iter().find(|record| record.status == 413).unwrap();
    assert_eq!((told.outcome, told.operations[0].interaction.as_str()), (Outcome::Rejected, "search-type"));
    assert!(told.operations[0].patients.is_empty(), "nothing of it left");
    let of_types = "?_type=Observation,Condition&identifier=http://x|large";
    let several = post(&world, &token, "batch", json!([ask("GET", of_types), ask("GET", of_types)])).await;
    assert_eq!(statuses(&several), ["200", "413"], "{}", several.text());
    let reading = post(&world, &token, "transaction", json!([ask("GET", url), ask("GET", url)])).await;
    assert_eq!(refused(&reading), too_long(1, "url"));
    // What a conditional create finds is answered, too.
    let unless = |number: usize| {
        let condition = format!("identifier=http://x|large&code:not=x{number}");
        json!({"resource": large, "request": {"method": "POST", "url": "Observation", "ifNoneExist": condition}})
    };
    let one = post(&world, &token, "transaction", json!([unless(0)])).await;
    assert_eq!(statuses(&one), ["200"], "{}", one.text());
    let before = total(&world, &token).await;
    let several = post(&world, &token, "transaction", json!([creation(None), unless(0), unless(1)])).await;
    assert_eq!(refused(&several), too_long(2, "url"));
    assert_eq!(total(&world, &token).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_that_are_not_begun_in_time_are_refused() {
    let world = limited(|limits| limits.time = Duration::ZERO).await;
    let token = world.ann().await;
    let batch = post(&world, &token, "batch", json!([creation(None), ask("GET", "Patient/ann")])).await;
    assert_eq!(statuses(&batch), ["503", "503"], "{}", batch.text());
    assert!(records_of(&world, &batch).1.iter().all(|record| record.outcome == Outcome::Rejected));
    let reading = post(&world, &token, "transaction", json!([ask("GET", "Patient/ann")])).await;
    assert_eq!(refused(&reading), (503, "Bundle.entry[0].request.url".to_owned(), "transient".to_owned()));
    assert_eq!(total(&world, &token).await, 2);
    let writing = post(&world, &token, "transaction", json!([creation(None)])).await;
    assert_eq!(statuses(&writing), ["201"], "writes have the time of the store");
}
