//! The scopes that CARIN Blue Button names, one by one: what each opens of the own record, and that it opens nothing else.

use portcullis_testkit::server::PASSWORD;
use portcullis_testkit::{App, Reply};
use portcullis_verifies::verifies;

use super::world::World;

/// A claim of this member, with insurer and provider, and the coverage that paid it.
fn claims(owner: &str, insurer: &str, provider: &str) -> [String; 2] {
    [
        format!(
            r#"{{"resourceType":"ExplanationOfBenefit","id":"eob-{owner}","status":"active","type":{{"text":"x"}},"use":"claim","outcome":"complete",
            "patient":{{"reference":"Patient/{owner}"}},"created":"2026-01-01","insurer":{{"reference":"Organization/{insurer}"}},
            "provider":{{"reference":"Practitioner/{provider}"}},"insurance":[{{"focal":true,"coverage":{{"reference":"Coverage/cov-{owner}"}}}}]}}"#
        ),
        format!(
            r#"{{"resourceType":"Coverage","id":"cov-{owner}","status":"active","beneficiary":{{"reference":"Patient/{owner}"}},"payor":[{{"reference":"Organization/{insurer}"}}]}}"#
        ),
    ]
}

/// What is Ann's and what is Bob's, by type.
const RECORDS: [(&str, &str, &str); 5] = [
    ("ExplanationOfBenefit", "eob-ann", "eob-bob"),
    ("Coverage", "cov-ann", "cov-bob"),
    ("Patient", "ann", "bob"),
    ("Organization", "hospital", "elsewhere"),
    ("Practitioner", "who", "other"),
];

async fn world() -> World {
    let world = World::start().await;
    world.server.import(&[claims("ann", "hospital", "who"), claims("bob", "elsewhere", "other")].concat()).await;
    world
}

async fn get(world: &World, token: &str, path: &str) -> Reply {
    world.server.client.get(&format!("/fhir/{path}")).bearer(token).send().await
}

async fn app(world: &World, scope: &str) -> App {
    world.server.add_app(&format!("app-{}", scope.replace(|sign: char| !sign.is_ascii_alphanumeric(), "-")), scope, false).await
}

/// With this scope and one for claims, through which the directory becomes visible: the own record of the type and not the other's, no other type.
async fn opens_its_type_alone(world: &World, context: &str, username: &str) {
    for (name, own, other) in RECORDS {
        let launch = if context == "patient" { "launch/patient " } else { "" };
        let is_shared = matches!(name, "Organization" | "Practitioner");
        let beside = if is_shared { format!(" {context}/ExplanationOfBenefit.read") } else { String::new() };
        let scope = format!("{launch}{context}/{name}.read{beside}");
        let app = app(world, &scope).await;
        let response = app.authorize(&scope, username, PASSWORD).await;
        assert_eq!(response["scope"], *scope, "scopes are granted as they were asked for");
        if context == "patient" {
            assert_eq!(response["patient"], "ann");
        }
        let token = response["access_token"].as_str().unwrap();
        assert_eq!(get(world, token, &format!("{name}/{own}")).await.status, 200, "{scope}");
        assert_eq!(get(world, token, &format!("{name}/{other}")).await.status, 404, "{scope}");
        let found = get(world, token, name).await;
        assert_eq!(found.status, 200, "{scope}");
        assert_eq!(super::world::ids(&found.json()), [own], "{scope}");
        for (closed, theirs, _) in RECORDS {
            if closed != name && !(is_shared && closed == "ExplanationOfBenefit") {
                assert_eq!(get(world, token, &format!("{closed}/{theirs}")).await.status, 403, "{scope} {closed}");
            }
        }
        let body = get(world, token, &format!("{name}/{own}")).await.text();
        let put = world.server.client.request(http::Method::PUT, &format!("/fhir/{name}/{own}")).bearer(token).fhir(body);
        assert_eq!(put.send().await.status, 403, "{scope} reads and does not write");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_patient_scope_of_carin_opens_its_type_of_the_own_record() {
    verifies!(
        "SEED-CARIN-17",
        "SEED-CARIN-19",
        "SEED-CARIN-24",
        "SEED-CARIN-25",
        "SEED-CARIN-26",
        "SEED-CARIN-27",
        "SEED-CARIN-28",
        "SEED-CARIN-29",
        "SMART-36"
    );
    let world = world().await;
    opens_its_type_alone(&world, "patient", "ann").await;
    let scope = "launch/patient patient/*.read";
    let token = world.app.access_token(scope, "ann", PASSWORD).await;
    let found = get(&world, &token, "ExplanationOfBenefit?patient=ann").await;
    assert_eq!(super::world::ids(&found.json()), ["eob-ann"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_user_scope_of_carin_opens_its_type_of_the_records_of_whom_one_represents() {
    verifies!("SEED-CARIN-20", "SEED-CARIN-31", "SEED-CARIN-32", "SEED-CARIN-33", "SEED-CARIN-34", "SEED-CARIN-35");
    let world = world().await;
    opens_its_type_alone(&world, "user", "carer").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scope_that_is_named_twice_is_granted_once() {
    verifies!("SEED-CARIN-30");
    let world = world().await;
    let scope = "launch/patient patient/Coverage.read";
    let app = app(&world, scope).await;
    let response = app.authorize(&format!("{scope} patient/Coverage.read"), "ann", PASSWORD).await;
    assert_eq!(response["scope"], scope);
    let token = response["access_token"].as_str().unwrap();
    assert_eq!(get(&world, token, "Coverage/cov-ann").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_capabilities_and_scopes_of_carin_are_published() {
    verifies!("SEED-CARIN-10", "SEED-CARIN-11", "SEED-CARIN-13", "SEED-CARIN-22", "SEED-CARIN-23", "SMART-09", "USCORE-06");
    let world = world().await;
    let document = world.server.client.get("/fhir/.well-known/smart-configuration").send().await.json();
    for endpoint in ["authorization_endpoint", "token_endpoint"] {
        assert!(document[endpoint].as_str().unwrap().starts_with("https://"), "{endpoint}");
    }
    for capability in [
        "launch-standalone",
        "client-public",
        "client-confidential-symmetric",
        "sso-openid-connect",
        "context-standalone-patient",
        "permission-offline",
        "permission-patient",
        "permission-user",
        "permission-v1",
        "permission-v2",
    ] {
        assert!(document["capabilities"].as_array().unwrap().contains(&capability.into()), "{capability}");
    }
    let scopes: Vec<&str> = document["scopes_supported"].as_array().unwrap().iter().filter_map(|scope| scope.as_str()).collect();
    for scope in ["openid", "fhirUser", "launch/patient"] {
        assert!(scopes.contains(&scope), "{scope} in {scopes:?}");
    }
    let response = world.app.authorize("openid fhirUser launch/patient patient/Patient.r", "ann", PASSWORD).await;
    assert!(response["scope"].as_str().unwrap().starts_with("openid fhirUser "));
    let claims = response["id_token"].as_str().unwrap().split('.').nth(1).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&portcullis_testkit::decode_base64url(claims)).unwrap();
    let user = claims["fhirUser"].as_str().unwrap().split_once("/fhir/").unwrap().1;
    assert_eq!(get(&world, response["access_token"].as_str().unwrap(), user).await.status, 200, "{user}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_published_scope_is_granted_to_whom_it_is_for() {
    verifies!("SMART-07", "USCORE-09");
    let world = world().await;
    let document = world.server.client.get("/fhir/.well-known/smart-configuration").send().await.json();
    let scopes: Vec<&str> = document["scopes_supported"].as_array().unwrap().iter().filter_map(|scope| scope.as_str()).collect();
    assert!(scopes.len() > 5, "{scopes:?}");
    // The types that US Core 7.0.0 demands scopes for; the granular ones are in tests/it/oauth/qualified_scopes.rs.
    for name in "AllergyIntolerance CarePlan CareTeam Condition Coverage Device DiagnosticReport DocumentReference Encounter Goal Immunization \
        Location Medication MedicationDispense MedicationRequest Observation Organization Patient Practitioner PractitionerRole Procedure \
        Provenance QuestionnaireResponse RelatedPerson ServiceRequest Specimen"
        .split_whitespace()
    {
        let scope = format!("patient/{name}.rs");
        assert!(scopes.contains(&scope.as_str()), "{scope}");
    }
    // `launch` needs a launch from an EHR: tests/it/oauth/launch.rs.
    for asked in scopes.into_iter().filter(|scope| !scope.starts_with("system/") && *scope != "launch") {
        // What says nothing of data is asked for beside a scope that does.
        let beside = if asked.starts_with("user/") { "openid" } else { "launch/patient patient/Patient.r" };
        let scope = format!("{beside} {asked}");
        let app = app(&world, &scope).await;
        let granted = app.authorize(&scope, "ann", PASSWORD).await;
        assert!(granted["scope"].as_str().unwrap_or_default().split(' ').any(|one| one == asked), "{asked}: {granted}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_access_to_a_claim_has_an_event_that_the_auditor_finds() {
    verifies!("SEED-CARIN-39");
    let world = world().await;
    let token = world.app.access_token("launch/patient patient/*.read", "ann", PASSWORD).await;
    for _ in 0..3 {
        assert_eq!(get(&world, &token, "ExplanationOfBenefit/eob-ann").await.status, 200);
    }
    let auditor = world.app.access_token("user/AuditEvent.rs", "audit", PASSWORD).await;
    let search = "AuditEvent?entity=ExplanationOfBenefit/eob-ann&action=R&_total=accurate";
    assert_eq!(get(&world, &auditor, search).await.json()["total"], 3);
}
