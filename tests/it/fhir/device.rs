//! A Device follows its patient, version by version.

use portcullis_testkit::resources::{encounter, observation};
use portcullis_testkit::server::PASSWORD;

use super::world::{World, ids};

fn device(id: &str, patient: &str) -> String {
    format!(
        r#"{{"resourceType":"Device","id":"{id}","patient":{{"reference":"Patient/{patient}"}},"lotNumber":"for {patient}"}}"#
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_changes_hands_shows_each_patient_the_own_versions_alone() {
    let world = World::start().await;
    let shared = r#"{"resourceType":"Device","id":"pump","lotNumber":"for nobody"}"#.to_owned();
    let uses =
        observation("o-pump", "bob", "1-1", "1", "2026-01-01").replacen('{', r#"{"device":{"reference":"Device/pump"},"#, 1);
    world.server.import(&[shared, uses]).await;
    let [ann, bob] = ["ann", "bob"].map(|name| world.app.access_token("launch/patient patient/*.cruds", name, PASSWORD));
    let (ann, bob) = (ann.await, bob.await);
    let get = |token: &str, path: &str| {
        let request = world.server.client.get(path).bearer(token);
        async move { request.send().await }
    };
    assert_eq!(get(&ann, "/fhir/Device/pump").await.status, 404);
    let first = get(&bob, "/fhir/Device/pump").await;
    assert_eq!(first.status, 200, "Bob's record uses it: {}", first.text());
    let first_version = first.json()["meta"]["versionId"].as_str().unwrap().to_owned();

    world.server.import(&[device("pump", "ann")]).await;
    let anns = get(&ann, "/fhir/Device/pump").await;
    assert_eq!(anns.status, 200, "{}", anns.text());
    let anns_version = anns.json()["meta"]["versionId"].as_str().unwrap().to_owned();
    assert_eq!(get(&bob, "/fhir/Device/pump").await.status, 404, "a reference does not show another patient's device");
    assert_eq!(get(&bob, &format!("/fhir/Device/pump/_history/{first_version}")).await.status, 404);
    let history = get(&ann, "/fhir/Device/pump/_history").await;
    assert_eq!(
        history.json()["total"],
        1,
        "the version that was nobody's is shown to whoever uses the device: {}",
        history.text()
    );
    assert_eq!(ids(&get(&ann, "/fhir/Device?patient=ann").await.json()), ["pump"]);

    world.server.import(&[device("pump", "bob")]).await;
    assert_eq!(get(&ann, "/fhir/Device/pump").await.status, 404);
    let history = get(&bob, "/fhir/Device/pump/_history").await;
    assert!(!history.text().contains("for ann"), "{}", history.text());
    assert_eq!(history.json()["total"], 2, "the own version, and the one of a device in use: {}", history.text());
    assert_eq!(get(&bob, &format!("/fhir/Device/pump/_history/{anns_version}")).await.status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_writes_a_device_for_its_patient_and_no_other() {
    let world = World::start().await;
    let token = world.ann().await;
    let client = &world.server.client;
    let post = |body: String| {
        let request = client.post("/fhir/Device").bearer(&token).fhir(body);
        async move { request.send().await.status.as_u16() }
    };
    assert_eq!(post(device("x", "ann")).await, 201);
    let refused = post(device("x", "bob")).await;
    assert!(matches!(refused, 403 | 404), "{refused}");
    let nobodys = post(r#"{"resourceType":"Device"}"#.to_owned()).await;
    assert!(matches!(nobodys, 403 | 404), "{nobodys}");
    world.server.import(&[encounter("enc-2", "ann", "who", "hospital")]).await;
    let clinician = world.app.access_token("user/*.cruds", "who", PASSWORD).await;
    let found = client.get("/fhir/Device?patient=Patient/ann").bearer(&clinician).send().await;
    assert_eq!(ids(&found.json()).len(), 1, "{}", found.text());
}
