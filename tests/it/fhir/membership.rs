//! `[compartments]`: what a clinician wrote about somebody who is no patient of theirs opens where the operator says so, and nothing beside it.

use http::Method;
use portcullis_oauth::principal::{Membership, Part, Parts};
use portcullis_server::context::AuthorizationSettings;
use portcullis_testkit::TestServer;
use portcullis_testkit::resources::observation;
use portcullis_testkit::server::PASSWORD;
use serde_json::{Value, json};

use super::world::{World, ids};

async fn world(practitioner: &[Part]) -> World {
    let practitioner: Parts = practitioner.iter().copied().collect();
    world_with(Membership { practitioner, ..Membership::default() }).await
}

async fn world_with(membership: Membership) -> World {
    let settings = AuthorizationSettings { membership, ..Default::default() };
    let world = World::over(TestServer::start_with(settings).await).await;
    let by = |id: &str, performer: &str| {
        let text = observation(id, "bob", "4548-4", "7.10", "2026-04-01");
        text.replacen('{', &format!(r#"{{"performer":[{{"reference":"{performer}"}}],"#), 1)
    };
    let about = json!({"resourceType": "Provenance", "id": "pr", "target": [{"reference": "Observation/by-who"}], "recorded": "2026-04-01T00:00:00Z",
        "agent": [{"who": {"reference": "Practitioner/who"}}]});
    world.server.import(&[by("by-who", "Practitioner/who"), by("by-other", "Practitioner/other"), about.to_string()]).await;
    world
}

async fn get(world: &World, token: &str, path: &str) -> (u16, Value) {
    let answer = world.server.client.get(&format!("/fhir/{path}")).bearer(token).send().await;
    (answer.status.as_u16(), answer.json())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_clinician_performed_opens_by_choice_and_shows_nothing_beside_it() {
    let off = world(&[]).await;
    let who = off.app.access_token("user/*.cruds", "who", PASSWORD).await;
    assert_eq!(get(&off, &who, "Observation/by-who").await.0, 404);
    let other_part = world(&[Part::Author, Part::Recorder]).await;
    let who = other_part.app.access_token("user/*.cruds", "who", PASSWORD).await;
    assert_eq!(get(&other_part, &who, "Observation/by-who").await.0, 404);

    let world = world(&[Part::Performer]).await;
    let who = world.app.access_token("user/*.cruds", "who", PASSWORD).await;
    for path in ["Observation/by-who", "Observation/by-who/_history", "Observation/obs-ann-1"] {
        assert_eq!(get(&world, &who, path).await.0, 200, "{path}");
    }
    for path in [
        "Observation/by-other",
        "Observation/obs-bob-1",
        "Patient/bob",
        "Patient/bob/$everything",
        "Provenance/pr",
        "Practitioner/other",
    ] {
        assert_eq!(get(&world, &who, path).await.0, 404, "{path}");
    }
    let found = async |path: &str| {
        let mut found = ids(&get(&world, &who, path).await.1);
        found.sort_unstable();
        found
    };
    assert_eq!(found("Observation").await, ["by-who", "obs-ann-1", "obs-ann-2"]);
    assert_eq!(found("Observation?subject=Patient/bob").await, ["by-who"]);
    assert_eq!(found("Observation?_include=Observation:subject&_id=by-who").await, ["by-who"], "the patient stays hidden");
    assert_eq!(found("Patient?_has:Observation:patient:_id=by-who").await, Vec::<String>::new());
    assert_eq!(found("Observation?subject:Patient.name=Bob").await, Vec::<String>::new());
    assert_eq!(get(&world, &who, "Observation?_summary=count").await.1["total"], 3);
    // To read and to search, and never to write.
    let body = get(&world, &who, "Observation/by-who").await.1.to_string();
    let put = world.server.client.request(Method::PUT, "/fhir/Observation/by-who").bearer(&who).fhir(body).send().await;
    assert!([403, 404].contains(&put.status.as_u16()), "{}", put.text());
    // The patient whom it is about has the last word.
    let types = json!([{"system": "http://hl7.org/fhir/resource-types", "code": "Observation"}]);
    let concept = |system: &str, code: &str| json!({"coding": [{"system": system, "code": code}]});
    let consent = json!({"resourceType": "Consent", "id": "c", "status": "active", "patient": {"reference": "Patient/bob"}, "dateTime": "2020-01-01",
        "scope": concept("http://terminology.hl7.org/CodeSystem/consentscope", "patient-privacy"), "category": [concept("http://loinc.org", "59284-0")],
        "policy": [{"uri": "https://example.org/c"}], "provision": {"type": "deny", "class": types}});
    world.server.import(&[consent.to_string()]).await;
    assert_eq!(get(&world, &who, "Observation/by-who").await.0, 404);
    assert_eq!(found("Observation").await, ["obs-ann-1", "obs-ann-2"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_patient_that_links_to_ones_own_opens_by_choice_and_nothing_of_that_record() {
    let bob = json!({"resourceType": "Patient", "id": "bob", "name": [{"family": "Bob"}],
        "link": [{"other": {"reference": "Patient/ann"}, "type": "seealso"}]});
    for (patient, opens) in
        [(vec![], false), (vec![Part::Author, Part::Performer, Part::Recorder], false), (vec![Part::Link], true)]
    {
        let world = world_with(Membership { patient: patient.into_iter().collect(), ..Membership::default() }).await;
        world.server.import(&[bob.to_string()]).await;
        let ann = world.app.access_token("user/*.cruds", "ann", PASSWORD).await;
        let expected = if opens { 200 } else { 404 };
        assert_eq!(get(&world, &ann, "Patient/bob").await.0, expected);
        let mut found = ids(&get(&world, &ann, "Patient").await.1);
        found.sort_unstable();
        assert_eq!(found, if opens { vec!["ann", "bob"] } else { vec!["ann"] });
        // Nor is Bob's record opened, nor Ann's to Bob, nor anything by a token about Ann alone.
        for path in ["Observation/obs-bob-1", "Encounter/enc-bob"] {
            assert_eq!(get(&world, &ann, path).await.0, 404, "{path}");
        }
        let everything = get(&world, &ann, "Patient/bob/$everything").await;
        assert_eq!((everything.0, ids(&everything.1)), (expected, if opens { vec!["bob".to_owned()] } else { Vec::new() }));
        let bobs = world.app.access_token("user/*.cruds", "bob", PASSWORD).await;
        assert_eq!(get(&world, &bobs, "Patient/ann").await.0, 404);
        let about_ann = world.ann().await;
        assert_eq!(get(&world, &about_ann, "Patient/bob").await.0, 404);
        let put = world.server.client.request(Method::PUT, "/fhir/Patient/bob").bearer(&ann).fhir(bob.to_string()).send().await;
        assert!([403, 404].contains(&put.status.as_u16()), "{}", put.text());
    }
}
