//! Create, update, delete, history, preferences and preconditions.

use http::Method;
use portcullis_testkit::resources::observation;
use portcullis_testkit::server::PASSWORD;

use super::world::World;

const BODY: &str = r#"{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/ann"},"valueQuantity":{"value":1.10}}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resource_lives_from_creation_to_deletion_and_its_history_remains() {
    let world = World::start().await;
    let token = world.ann().await;
    let client = &world.server.client;
    let created = client.post("/fhir/Observation").bearer(&token).fhir(BODY).send().await;
    assert_eq!(created.status, 201, "{}", created.text());
    let location = created.header("location").to_owned();
    assert!(location.contains("/_history/"), "{location}");
    let body = created.json();
    let id = body["id"].as_str().unwrap().to_owned();
    let path = format!("/fhir/Observation/{id}");
    assert!(created.text().contains("1.10"), "decimals stay as written");
    assert_eq!(client.get(&path).bearer(&token).send().await.text(), created.text());

    let etag = created.header("etag").to_owned();
    let changed = BODY.replacen('{', &format!(r#"{{"id":"{id}","#), 1).replace("1.10", "2.50");
    let put = |etag: &str, body: &str| {
        let request = client.request(Method::PUT, &path).bearer(&token).header("if-match", etag).fhir(body.to_owned());
        async move { request.send().await }
    };
    let stale = put("W/\"none\"", &changed).await;
    assert_eq!(stale.status, 412, "{}", stale.text());
    let updated = put(&etag, &changed).await;
    assert_eq!(updated.status, 200, "{}", updated.text());
    assert_ne!(updated.header("etag"), etag);
    assert_eq!(put(&etag, &changed).await.status, 412, "the old version is no longer current");

    let unchanged = client.get(&path).bearer(&token).header("if-none-match", updated.header("etag")).send().await;
    assert_eq!((unchanged.status.as_u16(), unchanged.body.len()), (304, 0));

    let first = location.split("/fhir").nth(1).map(|rest| format!("/fhir{rest}")).unwrap();
    assert!(client.get(&first).bearer(&token).send().await.text().contains("1.10"));
    assert_eq!(client.request(Method::DELETE, &path).bearer(&token).send().await.status, 204);
    assert_eq!(client.get(&path).bearer(&token).send().await.status, 410);
    let history = client.get(&format!("{path}/_history")).bearer(&token).send().await.json();
    assert_eq!(history["total"], 3, "{history}");
    assert_eq!(history["entry"][0]["request"]["method"], "DELETE");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_written_into_or_moved_to_another_record() {
    let world = World::start().await;
    let token = world.ann().await;
    let client = &world.server.client;
    let foreign = BODY.replace("Patient/ann", "Patient/bob");
    let created = client.post("/fhir/Observation").bearer(&token).fhir(foreign).send().await;
    assert_eq!(created.status, 403, "{}", created.text());
    let nobody = BODY.replace(r#","subject":{"reference":"Patient/ann"}"#, "");
    assert_eq!(client.post("/fhir/Observation").bearer(&token).fhir(nobody).send().await.status, 403);
    let moved = observation("obs-ann-1", "bob", "4548-4", "5.60", "2026-01-01");
    let reply = client.request(Method::PUT, "/fhir/Observation/obs-ann-1").bearer(&token).fhir(moved).send().await;
    assert_eq!(reply.status, 403, "{}", reply.text());
    let hidden = observation("obs-bob-1", "ann", "4548-4", "5.60", "2026-01-01");
    let absent = observation("obs-none", "ann", "4548-4", "5.60", "2026-01-01");
    for (path, body) in [("/fhir/Observation/obs-bob-1", hidden), ("/fhir/Observation/obs-none", absent)] {
        let put = client.request(Method::PUT, path).bearer(&token).fhir(body).send().await;
        assert_eq!(put.status, 404, "{path} {}", put.text());
        assert_eq!(client.request(Method::DELETE, path).bearer(&token).send().await.status, 404);
    }
    assert!(
        client
            .post("/fhir/Organization")
            .bearer(&token)
            .fhir(r#"{"resourceType":"Organization","name":"x"}"#)
            .send()
            .await
            .status
            .is_client_error()
    );
    let bob = world.app.access_token("launch/patient patient/*.read", "bob", PASSWORD).await;
    assert_eq!(client.get("/fhir/Observation/obs-bob-1").bearer(&bob).send().await.status, 200);
    let refused = client.request(Method::DELETE, "/fhir/Observation/obs-bob-1").bearer(&bob).send().await;
    assert_eq!(refused.status, 403, "reading is not deleting");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_answer_to_a_write_is_what_was_preferred_and_never_more_than_may_be_read() {
    let world = World::start().await;
    let token = world.ann().await;
    let client = &world.server.client;
    let create = |prefer: &'static str| {
        let request = client.post("/fhir/Observation").bearer(&token).header("prefer", prefer).fhir(BODY);
        async move { request.send().await }
    };
    assert_eq!(create("return=minimal").await.body.len(), 0);
    assert_eq!(create("return=OperationOutcome").await.json()["resourceType"], "OperationOutcome");
    assert_eq!(create("return=representation").await.json()["resourceType"], "Observation");
    let writer = world.server.add_app("writer", "launch/patient patient/Observation.c", false).await;
    let blind = writer.access_token("launch/patient patient/Observation.c", "ann", PASSWORD).await;
    let reply = client.post("/fhir/Observation").bearer(&blind).fhir(BODY).send().await;
    assert_eq!((reply.status.as_u16(), reply.body.len()), (201, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_and_its_record_are_stored_together() {
    let world = World::start().await;
    let token = world.ann().await;
    let reply = world.server.client.post("/fhir/Observation").bearer(&token).fhir(BODY).send().await.json();
    let id = reply["id"].as_str().unwrap();
    let records = world.server.records();
    let record =
        records.iter().find(|record| record.operations.iter().any(|operation| operation.id.as_deref() == Some(id))).unwrap();
    assert_eq!(record.operations[0].interaction, "create");
    assert_eq!(record.operations[0].patients, ["ann"]);
    assert!(record.decision.is_some() && !record.rules.is_empty());
}
