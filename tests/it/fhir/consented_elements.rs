//! A consent about labels holds for single elements, too: what it denies of a record that has such an element is the element, and not the record.

use http::Method;
use portcullis_fhir::redaction::inline;
use portcullis_oauth::clients::KeySource;
use portcullis_oauth::principal::ImplicitPolicy;
use portcullis_server::context::AuthorizationSettings;
use portcullis_store::Clock as _;
use portcullis_testkit::server::PASSWORD;
use portcullis_testkit::{ClientKey, Reply, TestServer};
use portcullis_verifies::verifies;
use serde_json::{Value, json};

use super::world::{World, ids};

const CONFIDENTIALITY: &str = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality";
const SENSITIVITY: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";
const SECRET: &str = "078-05-1120";

fn coding(code: &str) -> Value {
    json!({"system": if code.len() == 1 { CONFIDENTIALITY } else { SENSITIVITY }, "code": code})
}

/// Ann with an identifier that has these labels, and one without.
fn ann(codes: &[&str]) -> Value {
    let labels: Vec<Value> = codes.iter().map(|code| json!({"url": inline::INLINE_LABEL, "valueCoding": coding(code)})).collect();
    json!({"resourceType": "Patient", "id": "ann", "name": [{"text": "Test Ann"}], "text": {"status": "generated", "div": format!("<div xmlns=\"http://www.w3.org/1999/xhtml\">{SECRET}</div>")},
        "identifier": [{"extension": labels, "value": SECRET}, {"value": "open"}]})
}

fn consent(id: &str, provision: Value) -> String {
    json!({
        "resourceType": "Consent", "id": id, "status": "active", "patient": {"reference": "Patient/ann"}, "dateTime": "2020-01-01",
        "scope": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]},
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
        "policy": [{"uri": format!("https://example.org/{id}")}], "provision": provision,
    })
    .to_string()
}

/// What somebody may, or may not have, of what has this label.
fn about(effect: &str, who: Value, code: &str) -> Value {
    let role = json!({"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "IRCP"}]});
    json!({"type": effect, "actor": [{"role": role, "reference": who}], "securityLabel": [coding(code)]})
}

fn practitioner() -> Value {
    json!({"reference": "Practitioner/who"})
}

async fn get(world: &World, token: &str, path: &str) -> Reply {
    world.server.client.get(&format!("/fhir/{path}")).bearer(token).send().await
}

fn is_whole(reply: &Reply) -> bool {
    let text = reply.text();
    assert!(reply.status == 200 && text.contains("open"), "{text}");
    // Whatever is left out is marked, and so is the narrative that was made of it.
    assert_eq!(text.contains("REDACTED"), !text.contains(SECRET), "{text}");
    text.contains(SECRET)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_denial_of_a_label_keeps_the_elements_that_have_it_from_whom_it_names() {
    verifies!("FHIR-SEC-29", "LABEL-15");
    let world = World::start().await;
    world.server.import(&[ann(&["HIV"]).to_string()]).await;
    let key = ClientKey::generate("k", "ES384");
    let keys = KeySource::value(&key.jwks().to_string()).unwrap();
    let backend = world.server.add_backend("backend", "system/*.cruds", key, keys).await;
    let backend = backend.token(world.server.clock.now_seconds(), "1", "system/*.cruds").await;
    let own = world.ann().await;
    let paths = ["Patient/ann", "Patient?_id=ann", "Patient/ann/_history?_count=1", "Patient/ann/$everything"];
    for path in paths {
        assert!(is_whole(&get(&world, &backend, path).await), "{path}");
    }
    let client = json!({"identifier": {"system": &*world.server.server.settings.public_url, "value": "backend"}});
    world.server.import(&[consent("no", about("deny", client, "HIV"))]).await;
    for path in paths {
        assert!(!is_whole(&get(&world, &backend, path).await), "{path}");
        assert!(is_whole(&get(&world, &own, path).await), "{path}: it names the client alone");
    }
    assert!(ids(&get(&world, &backend, &format!("Patient?identifier={SECRET}")).await.json()).is_empty());
    // Whoever does not see all of it cannot say what all of it shall be.
    let seen = get(&world, &backend, "Patient/ann").await.json();
    let put = world.server.client.request(Method::PUT, "/fhir/Patient/ann").bearer(&backend);
    let put = put.header("content-type", "application/fhir+json").bytes(seen.to_string()).send().await;
    assert_eq!(put.status, 422, "{}", put.text());
    assert!(is_whole(&get(&world, &own, "Patient/ann").await), "nothing was lost");
    let put = world.server.client.request(Method::PUT, "/fhir/Patient/ann").bearer(&own);
    let whole = ann(&["HIV"]).to_string();
    assert_eq!(put.header("content-type", "application/fhir+json").bytes(whole).send().await.status, 200);
    // Auditors learn that something was left out, and by which consent.
    world.server.move_outbox().await;
    let auditor = world.app.access_token("user/AuditEvent.rs", "audit", PASSWORD).await;
    let decided = get(&world, &auditor, "AuditEvent?subtype=AuthZ-Consent&patient=ann&_count=100").await.text();
    assert!(decided.contains("Consent/no/_history/"), "{decided}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_labels_of_the_element_and_other_people_are_not_concerned() {
    let world = World::start().await;
    world.server.import(&[ann(&["PSY"]).to_string(), consent("no", about("deny", practitioner(), "SEX"))]).await;
    let who = world.app.access_token("user/*.rs", "who", PASSWORD).await;
    let seen = get(&world, &who, "Patient/ann").await;
    assert_eq!(seen.status, 200);
    let before = is_whole(&seen);
    world.server.import(&[consent("too", about("deny", practitioner(), "PSY"))]).await;
    assert!(!is_whole(&get(&world, &who, "Patient/ann").await));
    world.server.import(&[consent("too", about("deny", json!({"reference": "Practitioner/other"}), "PSY"))]).await;
    assert_eq!(is_whole(&get(&world, &who, "Patient/ann").await), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_permit_up_to_a_level_does_not_open_elements_above_it() {
    verifies!("LABEL-15");
    let settings = AuthorizationSettings { implicit_consent: ImplicitPolicy::Deny, ..Default::default() };
    let world = World::over(TestServer::start_with(settings).await).await;
    let who = world.app.access_token("user/*.rs", "who", PASSWORD).await;
    let permits = |level: &str| consent("yes", about("permit", practitioner(), level));
    world.server.import(&[ann(&["N"]).to_string()]).await;
    assert_eq!(get(&world, &who, "Patient/ann").await.status, 404, "without a permit nothing is open");
    // Whatever its label, an element with one is found by nobody: a consent may keep it from somebody.
    let own = world.app.access_token("launch/patient patient/*.rs", "ann", PASSWORD).await;
    let found = async |query: &str| ids(&get(&world, &own, &format!("Patient?{query}")).await.json());
    assert_eq!((found("_id=ann").await, found(&format!("identifier={SECRET}")).await), (vec!["ann".to_owned()], vec![]));
    world.server.import(&[permits("N")]).await;
    assert!(is_whole(&get(&world, &who, "Patient/ann").await));
    world.server.import(&[ann(&["R"]).to_string(), permits("N")]).await;
    assert!(!is_whole(&get(&world, &who, "Patient/ann").await), "the element is R");
}
