//! `fhirUser`: the resource that the id_token names is readable by the app that was told of it, whatever else it may see; and nothing besides.

use http::Method;
use portcullis_oauth::users::Role;
use portcullis_testkit::server::PASSWORD;
use portcullis_verifies::verifies;
use serde_json::Value;

use crate::fhir::World;

/// Everybody who can sign in, with the resource that stands for each.
const PEOPLE: [(&str, &str); 5] = [
    ("who", "Practitioner/who"),
    ("role", "PractitionerRole/ward"),
    ("carer", "RelatedPerson/mother"),
    ("person", "Person/ann-here"),
    ("ann", "Patient/ann"),
];
/// One of the same type for each, who is somebody else.
const OTHERS: [&str; 5] =
    ["Practitioner/other", "PractitionerRole/clinic", "RelatedPerson/father", "Person/bob-here", "Patient/bob"];

async fn world() -> World {
    let world = World::start().await;
    let role = |id: &str, practitioner: &str| {
        format!(
            r#"{{"resourceType":"PractitionerRole","id":"{id}","practitioner":{{"reference":"Practitioner/{practitioner}"}},"organization":{{"reference":"Organization/hospital"}}}}"#
        )
    };
    let related = |id: &str, patient: &str| {
        format!(r#"{{"resourceType":"RelatedPerson","id":"{id}","patient":{{"reference":"Patient/{patient}"}}}}"#)
    };
    let person = |id: &str| format!(r#"{{"resourceType":"Person","id":"{id}","name":[{{"family":"Somebody"}}]}}"#);
    let performed = r#"{"resourceType":"Observation","id":"performed","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/ann"},
        "performer":[{"reference":"Practitioner/who"}]}"#;
    world
        .server
        .import(&[
            role("ward", "who"),
            role("clinic", "other"),
            related("mother", "ann"),
            related("father", "bob"),
            person("ann-here"),
            person("bob-here"),
            performed.to_owned(),
        ])
        .await;
    world.server.add_user("role", &[Role::Clinician], Some("PractitionerRole/ward"), &[]).await;
    // `carer` of the world has no entry: this one has.
    world.server.add_user("mother", &[Role::Representative], Some("RelatedPerson/mother"), &["ann"]).await;
    world.server.add_user("father", &[Role::Representative], Some("RelatedPerson/father"), &[]).await;
    world.server.add_user("person", &[Role::Representative], Some("Person/ann-here"), &["ann"]).await;
    world
}

fn username(name: &'static str) -> &'static str {
    if name == "carer" { "mother" } else { name }
}

async fn status(world: &World, token: &str, path: &str) -> u16 {
    world.server.client.get(&format!("/fhir/{path}")).bearer(token).send().await.status.as_u16()
}

fn claims(response: &Value) -> Value {
    let claims = response["id_token"].as_str().unwrap().split('.').nth(1).unwrap();
    serde_json::from_slice(&portcullis_testkit::decode_base64url(claims)).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_that_may_not_know_who_the_user_is_reads_nobodys_entry() {
    let world = world().await;
    for scope in
        ["openid launch/patient patient/Patient.r", "fhirUser launch/patient patient/Patient.r", "openid profile user/Patient.r"]
    {
        let token = world.app.access_token(scope, "who", PASSWORD).await;
        for path in ["Practitioner/who", "Practitioner/other", "Practitioner/absent", "PractitionerRole/ward"] {
            assert_eq!(status(&world, &token, path).await, 403, "{scope} {path}");
        }
    }
    // Nor does the entry of somebody who is not that person any more open.
    let token = world.app.access_token("openid fhirUser", "father", PASSWORD).await;
    assert_eq!(status(&world, &token, "RelatedPerson/father").await, 403);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_knows_the_users_entry_reads_it_and_no_other() {
    verifies!("SMART-49", "SEED-CARIN-23");
    let world = world().await;
    for ((name, own), other) in PEOPLE.into_iter().zip(OTHERS) {
        for scope in ["openid fhirUser", "openid fhirUser launch/patient patient/Observation.rs"] {
            // Whoever is known by a role alone has no patients here.
            if name == "role" && scope.contains("launch/patient") {
                continue;
            }
            let response = world.app.authorize(scope, username(name), PASSWORD).await;
            let token = response["access_token"].as_str().unwrap();
            assert_eq!(claims(&response)["fhirUser"], format!("{}/{own}", world.server.fhir_base), "{name}");
            let (resource_type, _) = own.split_once('/').unwrap();
            assert_eq!(status(&world, token, own).await, 200, "{scope} {own}");
            assert_eq!(status(&world, token, &format!("{own}/_history")).await, 200, "{scope} {own}");
            assert_eq!(status(&world, token, other).await, 404, "{scope} {other}");
            assert_eq!(status(&world, token, &format!("{other}/_history")).await, 404, "{scope} {other}");
            assert_eq!(status(&world, token, &format!("{resource_type}/absent")).await, 404, "{scope}");
            // It is one resource to read, and not a type to search or to change.
            assert_eq!(status(&world, token, resource_type).await, 403, "{scope}");
            assert_eq!(
                status(&world, token, &format!("{resource_type}?_id={}", own.split_once('/').unwrap().1)).await,
                403,
                "{scope}"
            );
            for method in [Method::PUT, Method::DELETE] {
                let body = world.server.client.get(&format!("/fhir/{own}")).bearer(token).send().await.text();
                let change = world.server.client.request(method, &format!("/fhir/{own}")).bearer(token).fhir(body).send().await;
                assert_eq!(change.status, 403, "{scope} {own}");
            }
            assert_eq!(status(&world, token, "Organization/hospital").await, 403, "what it refers to is not opened by it");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clinician_with_all_of_a_patient_reads_her_own_entry_whoever_is_in_context() {
    verifies!("SMART-49");
    let world = world().await;
    world.server.add_user("new", &[Role::Clinician], Some("Practitioner/other"), &[]).await;
    for (name, own, patient) in
        [("who", "Practitioner/who", "ann"), ("new", "Practitioner/other", "bob"), ("role", "PractitionerRole/ward", "ann")]
    {
        let scope = if name == "role" { "openid fhirUser user/*.rs" } else { "openid fhirUser launch/patient patient/*.rs" };
        let response = world.app.authorize(scope, name, PASSWORD).await;
        let token = response["access_token"].as_str().unwrap();
        assert_eq!(status(&world, token, own).await, 200, "{own}");
        if name != "role" {
            assert_eq!(response["patient"], patient);
            assert_eq!(status(&world, token, &format!("Patient/{patient}")).await, 200);
        }
    }
    // Nothing comes along with a search that the scopes for searching do not show.
    let token = world.app.access_token("openid fhirUser launch/patient patient/Observation.rs", "who", PASSWORD).await;
    let found =
        world.server.client.get("/fhir/Observation?_id=performed&_include=Observation:performer").bearer(&token).send().await;
    let types: Vec<String> =
        found.json()["entry"].as_array().unwrap().iter().map(|entry| entry["resource"]["resourceType"].to_string()).collect();
    assert!(!types.iter().any(|name| name.contains("Practitioner")), "{types:?}");
    // What is gone is gone for her, too.
    let token = world.app.access_token("openid fhirUser", "role", PASSWORD).await;
    let admin = world.app.access_token("user/*.cruds", "who", PASSWORD).await;
    let removed = world.server.client.request(Method::DELETE, "/fhir/PractitionerRole/ward").bearer(&admin).send().await;
    if removed.status.is_success() {
        assert_eq!(status(&world, &token, "PractitionerRole/ward").await, 410);
    }
}
