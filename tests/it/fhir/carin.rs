//! The scopes that CARIN Blue Button names, one by one: what each opens of the own record, and that it opens nothing else.

use portcullis_oauth::clients::KeySource;
use portcullis_store::Clock as _;
use portcullis_testkit::server::PASSWORD;
use portcullis_testkit::{App, ClientKey, Reply};
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
    // `launch` needs a launch from an EHR: tests/it/oauth/launch.rs.
    for asked in
        scopes.iter().copied().filter(|scope| !scope.starts_with("system/") && *scope != "launch" && !is_of_us_core(scope))
    {
        // What says nothing of data is asked for beside a scope that does.
        let beside = if asked.starts_with("user/") { "openid" } else { "launch/patient patient/Patient.r" };
        let scope = format!("{beside} {asked}");
        let app = app(&world, &scope).await;
        let granted = app.authorize(&scope, "ann", PASSWORD).await;
        assert!(granted["scope"].as_str().unwrap_or_default().split(' ').any(|one| one == asked), "{asked}: {granted}");
    }
    // Those of US Core are many, and asked for together: whole types apart from parts of types, of which less would be left beside the whole.
    for (context, is_part) in [("patient", false), ("patient", true), ("user", false), ("user", true)] {
        let of_context = |scope: &&&str| scope.starts_with(context) && scope.contains('?') == is_part && is_of_us_core(scope);
        let asked: Vec<&str> = scopes.iter().filter(of_context).copied().collect();
        assert_eq!(asked.len(), if is_part { 9 } else { 26 }, "{asked:?}");
        let scope = format!("{} {}", if context == "user" { "openid" } else { "launch/patient" }, asked.join(" "));
        let app = world.server.add_app(&format!("core-{context}-{is_part}"), &scope, false).await;
        assert_eq!(app.authorize(&scope, "ann", PASSWORD).await["scope"], *scope, "as it was asked for");
    }
    let system: Vec<&str> = scopes.iter().filter(|scope| scope.starts_with("system/")).copied().collect();
    assert_eq!(system.len(), 4 + 26 + 9, "{system:?}");
    let key = ClientKey::generate("k", "ES384");
    let keys = KeySource::value(&key.jwks().to_string()).unwrap();
    let backend = world.server.add_backend("backend", &system.join(" "), key, keys).await;
    for (number, asked) in system.into_iter().enumerate() {
        let assertion = backend.assertion(world.server.clock.now_seconds(), &format!("jti-{number}"));
        let granted = backend.request(&assertion, asked).await;
        assert_eq!((granted.status.as_u16(), granted.json()["scope"].as_str()), (200, Some(asked)), "{}", granted.text());
    }
}

/// Whether a scope is a whole type in the words of SMART 2, or a part of one.
fn is_of_us_core(scope: &str) -> bool {
    scope.contains('?') || scope.split_once('/').is_some_and(|(_, rest)| rest.ends_with(".rs") && rest != "*.rs")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_scopes_that_us_core_demands_are_published_in_every_context() {
    verifies!("USCORE-09", "USCORE-10");
    let world = World::start().await;
    let document = world.server.client.get("/fhir/.well-known/smart-configuration").send().await.json();
    let scopes: Vec<&str> = document["scopes_supported"].as_array().unwrap().iter().filter_map(|scope| scope.as_str()).collect();
    // US Core 7.0.0, "SMART on FHIR Obligations and Capabilities": the types, and the granular scopes that servers SHALL support; last the one
    // that they SHOULD.
    let types = "AllergyIntolerance CarePlan CareTeam Condition Coverage Device DiagnosticReport DocumentReference Encounter Goal Immunization \
        Location Medication MedicationDispense MedicationRequest Observation Organization Patient Practitioner PractitionerRole Procedure \
        Provenance QuestionnaireResponse RelatedPerson ServiceRequest Specimen";
    let granular = [
        "Condition.rs?category=http://terminology.hl7.org/CodeSystem/condition-category|encounter-diagnosis",
        "Condition.rs?category=http://terminology.hl7.org/CodeSystem/condition-category|problem-list-item",
        "Condition.rs?category=http://hl7.org/fhir/us/core/CodeSystem/condition-category|health-concern",
        "Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category|laboratory",
        "Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category|social-history",
        "Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category|survey",
        "Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category|vital-signs",
        "Observation.rs?category=http://hl7.org/fhir/us/core/CodeSystem/us-core-category|sdoh",
        "DocumentReference.rs?category=http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category|clinical-note",
    ];
    let whole = types.split_whitespace().map(|name| format!("{name}.rs"));
    let mut demanded: Vec<String> = whole.chain(granular.map(str::to_owned)).collect();
    demanded.sort();
    for context in ["patient", "user", "system"] {
        let of_context = |scope: &&str| scope.strip_prefix(context)?.strip_prefix('/').map(str::to_owned);
        let mut published: Vec<String> = scopes.iter().filter(|scope| is_of_us_core(scope)).filter_map(of_context).collect();
        published.sort();
        assert_eq!(published, demanded, "{context}");
    }
}
