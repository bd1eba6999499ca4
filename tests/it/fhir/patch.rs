//! PATCH: what it changes, whom it lets, and what it tells.

use http::Method;
use portcullis_testkit::Reply;
use portcullis_testkit::server::PASSWORD;
use serde_json::{Value, json};

use super::batch::{post, statuses};
use super::world::World;

const OBSERVATION: &str = "/fhir/Observation/obs-ann-1";

async fn patch_with(world: &World, token: &str, path: &str, document: &Value, headers: &[(&str, &str)]) -> Reply {
    let mut request = world.server.client.request(Method::PATCH, path).bearer(token);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    request.bytes(document.to_string()).send().await
}

async fn patch(world: &World, token: &str, path: &str, document: &Value) -> Reply {
    patch_with(world, token, path, document, &[("content-type", "application/json-patch+json")]).await
}

fn amended() -> Value {
    json!([{"op": "test", "path": "/status", "value": "final"}, {"op": "replace", "path": "/status", "value": "amended"}])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_patch_of_something_hidden_answers_as_one_of_something_absent() {
    let world = World::start().await;
    let ann = world.ann().await;
    for document in [amended(), json!([]), json!([{"op": "test", "path": "/status", "value": "amended"}])] {
        let hidden = patch(&world, &ann, "/fhir/Observation/obs-bob-1", &document).await;
        let absent = patch(&world, &ann, "/fhir/Observation/obs-non-1", &document).await;
        assert_eq!((hidden.status.as_u16(), hidden.text(), hidden.headers.len()), (404, absent.text(), absent.headers.len()));
        let hidden = patch(&world, &ann, "/fhir/Observation?_id=obs-bob-1", &document).await;
        let absent = patch(&world, &ann, "/fhir/Observation?_id=obs-non-1", &document).await;
        assert_eq!((hidden.status.as_u16(), hidden.text()), (404, absent.text()));
    }
    let stolen = json!([{"op": "replace", "path": "/subject/reference", "value": "Patient/bob"}]);
    let away = patch(&world, &ann, OBSERVATION, &stolen).await;
    assert_eq!(away.status, 403, "{}", away.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_patch_needs_the_rights_to_read_and_to_update() {
    let world = World::start().await;
    let ann = world.ann().await;
    let app = world.server.add_app("letters", "launch/patient patient/Observation.cruds", false).await;
    for (letters, direct, conditional) in
        [("r", 403, 403), ("u", 403, 403), ("cds", 403, 403), ("ru", 200, 403), ("rus", 200, 200)]
    {
        let token = app.access_token(&format!("launch/patient patient/Observation.{letters}"), "ann", PASSWORD).await;
        let document = json!([{"op": "add", "path": "/language", "value": letters}]);
        for (path, expected) in [(OBSERVATION, direct), ("/fhir/Observation?_id=obs-ann-1", conditional)] {
            let reply = patch(&world, &token, path, &document).await;
            assert_eq!(reply.status, expected, "{letters} {path} {}", reply.text());
        }
        let absent = patch(&world, &token, "/fhir/Observation/obs-none", &document).await;
        assert_eq!(absent.status, if direct == 200 { 404 } else { 403 }, "{letters}");
    }
    assert!(world.server.client.get(OBSERVATION).bearer(&ann).send().await.text().contains(r#""language":"rus""#));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_patch_makes_one_further_version_and_keeps_decimals_as_written() {
    let world = World::start().await;
    let ann = world.ann().await;
    let client = &world.server.client;
    let before = client.get(OBSERVATION).bearer(&ann).send().await;
    let patched = patch(&world, &ann, OBSERVATION, &amended()).await;
    assert_eq!(patched.status, 200, "{}", patched.text());
    assert!(patched.text().contains(r#""amended""#) && patched.text().contains("5.60"), "{}", patched.text());
    assert_ne!(patched.header("etag"), before.header("etag"));
    let history = client.get(&format!("{OBSERVATION}/_history")).bearer(&ann).send().await;
    assert_eq!(history.json()["total"], 2);
    let failed = patch(&world, &ann, OBSERVATION, &amended()).await;
    assert_eq!((failed.status.as_u16(), failed.json()["issue"][0]["code"].as_str()), (422, Some("processing")));
    for (header, status) in [(before.header("etag"), 412), (patched.header("etag"), 200), ("W/\"other\"", 412)] {
        let headers = [("content-type", "application/json-patch+json"), ("if-match", header)];
        let document = json!([{"op": "add", "path": "/language", "value": "es"}]);
        let reply = patch_with(&world, &ann, OBSERVATION, &document, &headers).await;
        assert_eq!(reply.status, status, "{header} {}", reply.text());
    }
    let record =
        world.server.records().into_iter().rfind(|record| record.status == 200 && record.operations[0].interaction == "update");
    let operation = &record.unwrap().operations[0];
    assert_eq!((operation.id.as_deref(), operation.patients.clone()), (Some("obs-ann-1"), vec!["ann".to_owned()]));
    assert_eq!(client.request(Method::DELETE, OBSERVATION).bearer(&ann).send().await.status, 204);
    assert_eq!(patch(&world, &ann, OBSERVATION, &json!([])).await.status, 410);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_patch_that_cannot_be_is_refused_with_what_would_be_accepted() {
    let world = World::start().await;
    let ann = world.ann().await;
    for (document, status) in [
        (json!([{"op": "replace", "path": "/id", "value": "x"}]), 422),
        (json!([{"op": "remove", "path": "/meta/versionId"}]), 422),
        (json!([{"op": "replace", "path": "/resourceType", "value": "Patient"}]), 422),
        (json!([{"op": "remove", "path": "/status"}]), 422),
        (json!([{"op": "add", "path": "/nothing", "value": 1}]), 422),
        (json!([{"op": "explode", "path": "/status"}]), 400),
        (json!({"op": "remove", "path": "/status"}), 400),
        (json!([{"op": "remove", "path": "/language"}]), 422),
    ] {
        let reply = patch(&world, &ann, OBSERVATION, &document).await;
        assert_eq!(reply.status, status, "{document} {}", reply.text());
        assert!(reply.json()["issue"][0]["diagnostics"].is_string(), "{document}");
    }
    let body = json!({"resourceType": "Parameters", "parameter": []});
    let fhirpath = patch_with(&world, &ann, OBSERVATION, &body, &[("content-type", "application/fhir+json")]).await;
    assert!(fhirpath.status == 415 && fhirpath.text().contains("FHIRPath"), "{}", fhirpath.text());
    let several = patch(&world, &ann, "/fhir/Observation?code=4548-4", &amended()).await;
    assert_eq!(several.status, 412, "{}", several.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_patch_stands_in_a_batch_or_transaction_as_a_binary() {
    let world = World::start().await;
    let ann = world.ann().await;
    let entry = |id: &str, document: &Value| {
        let data = portcullis_testkit::app::standard_base64(document.to_string().as_bytes());
        json!({"resource": {"resourceType": "Binary", "contentType": "application/json-patch+json", "data": data},
            "request": {"method": "PATCH", "url": format!("Observation/{id}")}})
    };
    let entries = json!([entry("obs-ann-1", &amended()), entry("obs-bob-1", &amended())]);
    let batch = post(&world, &ann, "batch", entries).await;
    assert_eq!(statuses(&batch), ["200", "404"], "{}", batch.text());
    let failing = json!([entry("obs-ann-2", &amended()), entry("obs-ann-1", &amended())]);
    let transaction = post(&world, &ann, "transaction", failing).await;
    assert_eq!(transaction.status, 422, "{}", transaction.text());
    let read = world.server.client.get("/fhir/Observation/obs-ann-2").bearer(&ann).send().await;
    assert_eq!(read.json()["status"], "final", "nothing of it was done");
    let transaction = post(&world, &ann, "transaction", json!([entry("obs-ann-2", &amended())])).await;
    assert_eq!(transaction.status, 200, "{}", transaction.text());
}
