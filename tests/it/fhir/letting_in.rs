//! A writer cannot let anybody in: not themselves to a hidden directory entry, not others to a record.

use portcullis_testkit::resources::encounter;
use portcullis_testkit::server::PASSWORD;

use super::world::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn naming_a_hidden_practitioner_does_not_make_it_visible() {
    let world = World::start().await;
    let token = world.ann().await;
    let client = &world.server.client;
    let body = |practitioner: &str| {
        format!(
            r#"{{"resourceType":"Observation","status":"final","code":{{"text":"x"}},"subject":{{"reference":"Patient/ann"}},"performer":[{{"reference":"Practitioner/{practitioner}"}}]}}"#
        )
    };
    for practitioner in ["other", "nobody"] {
        let created = client.post("/fhir/Observation").bearer(&token).fhir(body(practitioner)).send().await;
        assert_eq!(created.status, 201, "{practitioner} {}", created.text());
        let read = client.get(&format!("/fhir/Practitioner/{practitioner}")).bearer(&token).send().await;
        assert_eq!(read.status, 404, "{practitioner}");
    }
    assert_eq!(client.get("/fhir/Practitioner/who").bearer(&token).send().await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_encounter_written_by_an_app_gives_no_clinician_access() {
    let world = World::start().await;
    world.server.add_user("other", &[portcullis_oauth::users::Role::Clinician], Some("Practitioner/other"), &[]).await;
    let token = world.ann().await;
    let client = &world.server.client;
    let written = client.post("/fhir/Encounter").bearer(&token).fhir(encounter("x", "ann", "other", "hospital")).send().await;
    assert_eq!(written.status, 201, "{}", written.text());
    let clinician = world.app.access_token("user/*.cruds", "other", PASSWORD).await;
    assert_eq!(client.get("/fhir/Patient/ann").bearer(&clinician).send().await.status, 404);
    assert_eq!(client.get("/fhir/Patient/bob").bearer(&clinician).send().await.status, 200);
}
