//! What a patient's token opens, and what it does not, by every route.

use portcullis_testkit::server::PASSWORD;
use portcullis_verifies::verifies;

use super::world::{World, ids};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_patients_records_answer_exactly_as_absent_ones() {
    verifies!("SEED-RT-02", "SMART-40");
    let world = World::start().await;
    let token = world.ann().await;
    let client = &world.server.client;
    for (hidden, absent) in [
        ("/fhir/Patient/bob", "/fhir/Patient/nobody"),
        ("/fhir/Observation/obs-bob-1", "/fhir/Observation/obs-none"),
        ("/fhir/Observation/obs-bob-1/_history", "/fhir/Observation/obs-none/_history"),
        ("/fhir/Organization/elsewhere", "/fhir/Organization/nowhere"),
        ("/fhir/Practitioner/other", "/fhir/Practitioner/none"),
    ] {
        let hidden_reply = client.get(hidden).bearer(&token).send().await;
        let absent_reply = client.get(absent).bearer(&token).send().await;
        assert_eq!(hidden_reply.status, 404, "{hidden} {}", hidden_reply.text());
        assert_eq!(hidden_reply.body, absent_reply.body, "{hidden}");
        let names = |reply: &portcullis_testkit::Reply| {
            let mut names: Vec<String> = reply.headers.keys().map(ToString::to_string).collect();
            names.sort();
            names
        };
        assert_eq!(names(&hidden_reply), names(&absent_reply), "{hidden}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ones_own_records_are_found_by_read_and_search() {
    let world = World::start().await;
    let token = world.ann().await;
    let client = &world.server.client;
    let read = client.get("/fhir/Observation/obs-ann-1").bearer(&token).send().await;
    assert_eq!(read.status, 200, "{}", read.text());
    assert!(read.text().contains("5.60"), "decimals stay as written: {}", read.text());
    assert!(read.header("etag").starts_with("W/\""));
    let search = client.get("/fhir/Observation").bearer(&token).send().await;
    assert_eq!(search.status, 200, "{}", search.text());
    assert_eq!(ids(&search.json()), ["obs-ann-2", "obs-ann-1"]);
    for query in ["?patient=bob", "?subject=Patient/bob", "?_id=obs-bob-1", "?value-quantity=9.90", "?patient=Patient/nobody"] {
        let search = client.get(&format!("/fhir/Observation{query}&_total=accurate")).bearer(&token).send().await;
        assert_eq!(search.status, 200, "{query} {}", search.text());
        assert_eq!(search.json()["total"], 0, "{query} {}", search.text());
        assert!(ids(&search.json()).is_empty(), "{query}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_directory_shows_only_whom_ones_own_records_name() {
    portcullis_verifies::verifies!("SEED-CARIN-28", "SEED-CARIN-29");
    let world = World::start().await;
    let token = world.app.access_token("launch/patient patient/*.read", "ann", PASSWORD).await;
    let client = &world.server.client;
    for (path, status) in [
        ("/fhir/Organization/hospital", 200),
        ("/fhir/Practitioner/who", 200),
        ("/fhir/Organization/elsewhere", 404),
        ("/fhir/Practitioner/other", 404),
    ] {
        let reply = client.get(path).bearer(&token).send().await;
        assert_eq!(reply.status, status, "{path} {}", reply.text());
    }
    let all = client.get("/fhir/Practitioner").bearer(&token).send().await;
    assert_eq!(ids(&all.json()), ["who"]);
    let included = client.get("/fhir/Encounter?_include=Encounter:service-provider").bearer(&token).send().await;
    assert_eq!(ids(&included.json()), ["enc-ann", "hospital"], "{}", included.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clinician_sees_the_patients_in_care_and_nobody_else() {
    let world = World::start().await;
    let token = world.app.access_token("user/*.cruds", "who", PASSWORD).await;
    let client = &world.server.client;
    let patients = client.get("/fhir/Patient").bearer(&token).send().await;
    assert_eq!(ids(&patients.json()), ["ann"], "{}", patients.text());
    assert_eq!(client.get("/fhir/Patient/bob").bearer(&token).send().await.status, 404);
    let observations = client.get("/fhir/Observation?_revinclude=Provenance:target").bearer(&token).send().await;
    assert_eq!(ids(&observations.json()), ["obs-ann-2", "obs-ann-1"], "{}", observations.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_attempt_is_recorded_with_its_outcome() {
    portcullis_verifies::verifies!("SEED-USCORE-12");
    let world = World::start().await;
    let token = world.ann().await;
    let client = &world.server.client;
    for path in ["/fhir/Patient/bob", "/fhir/Patient/ann", "/fhir/Observation?patient=bob", "/fhir/Nonsense/1"] {
        client.get(path).bearer(&token).send().await;
    }
    client.get("/fhir/Patient/ann").send().await;
    let records = world.server.records();
    let of_fhir = records.iter().filter(|record| {
        record.operations.iter().any(|operation| {
            operation.resource_type.is_some() || operation.query.as_ref().is_some_and(|query| query.contains("/fhir/"))
        })
    });
    let statuses: Vec<u16> = of_fhir.map(|record| record.status).collect();
    assert_eq!(statuses, [404, 200, 200, 404, 401], "{records:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_record_nothing_clinical_leaves() {
    let world = World::start().await;
    let token = world.ann().await;
    world.server.segments.fail();
    let reply = world.server.client.get("/fhir/Patient/ann").bearer(&token).send().await;
    assert_eq!(reply.status, 503);
    assert!(!reply.text().contains("Ann"), "{}", reply.text());
    let body = r#"{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/ann"}}"#;
    let write = world.server.client.post("/fhir/Observation").bearer(&token).fhir(body).send().await;
    assert_eq!(write.status, 503, "{}", write.text());
}
