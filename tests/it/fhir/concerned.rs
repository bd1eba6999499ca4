//! What lies in nobody's record and is about somebody all the same: a Task, a Contract, a Group, a stored Bundle. Their consents are asked, and they learn who looked.

use http::Method;
use portcullis_oauth::clients::KeySource;
use portcullis_store::Clock as _;
use portcullis_testkit::ClientKey;
use portcullis_testkit::server::PASSWORD;
use portcullis_verifies::verifies;
use serde_json::{Value, json};

use super::world::{World, ids};

/// Records outside all compartments, each about this patient.
fn about(patient: &str) -> Vec<Value> {
    let reference = json!({"reference": format!("Patient/{patient}")});
    let id = |kind: &str| format!("{kind}-{patient}");
    let observation =
        json!({"resourceType": "Observation", "id": "inside", "status": "final", "code": {"text": "t"}, "subject": reference});
    vec![
        json!({"resourceType": "Task", "id": id("task"), "status": "requested", "intent": "order", "for": reference}),
        json!({"resourceType": "Task", "id": id("input"), "status": "requested", "intent": "order",
            "input": [{"type": {"text": "whom"}, "valueReference": reference}]}),
        json!({"resourceType": "Contract", "id": id("contract"), "subject": [reference]}),
        json!({"resourceType": "GuidanceResponse", "id": id("guidance"), "status": "success", "moduleUri": "http://example.org/m", "subject": reference}),
        json!({"resourceType": "Group", "id": id("group"), "type": "person", "actual": true, "member": [{"entity": reference}]}),
        json!({"resourceType": "Bundle", "id": id("document"), "type": "collection", "entry": [{"resource": observation}]}),
        json!({"resourceType": "Bundle", "id": id("person"), "type": "collection", "entry": [{"resource": {"resourceType": "Patient", "id": patient}}]}),
    ]
}

const DENIED: &str = "backend";

fn denial() -> String {
    json!({
        "resourceType": "Consent", "id": "no", "status": "active", "patient": {"reference": "Patient/ann"}, "dateTime": "2020-01-01",
        "scope": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]},
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
        "policy": [{"uri": "https://example.org/no"}],
        "provision": {"type": "deny", "actor": [{
            "role": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "IRCP"}]},
            "reference": {"identifier": {"system": "https://localhost:8443", "value": DENIED}},
        }]},
    })
    .to_string()
}

async fn token(world: &World, id: &str) -> String {
    let key = ClientKey::generate("k", "ES384");
    let keys = KeySource::value(&key.jwks().to_string()).unwrap();
    let backend = world.server.add_backend(id, "system/*.cruds", key, keys).await;
    backend.token(world.server.clock.now_seconds(), "1", "system/*.cruds").await
}

fn path(resource: &Value) -> String {
    format!("{}/{}", resource["resourceType"].as_str().unwrap(), resource["id"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_denial_holds_for_what_lies_outside_the_record_too() {
    verifies!("FHIR-SEC-29");
    let world = World::start().await;
    let all: Vec<Value> = ["ann", "bob"].iter().flat_map(|patient| about(patient)).collect();
    world.server.import(&all.iter().map(Value::to_string).collect::<Vec<_>>()).await;
    let issuer = world.server.server.settings.public_url.to_string();
    let (denied, other) = (token(&world, DENIED).await, token(&world, "other").await);
    let status =
        async |token: &str, path: &str| world.server.client.get(&format!("/fhir/{path}")).bearer(token).send().await.status;
    for resource in &all {
        assert_eq!(status(&denied, &path(resource)).await, 200, "{resource}");
    }
    world.server.import(&[denial().replace("https://localhost:8443", &issuer)]).await;
    for resource in about("ann") {
        let path = path(&resource);
        assert_eq!((status(&denied, &path).await.as_u16(), status(&other, &path).await.as_u16()), (404, 200), "{path}");
        assert_eq!(status(&denied, &format!("{path}/_history")).await, 404, "{path}");
        // Nor is it changed, or made.
        let put = world.server.client.request(Method::PUT, &format!("/fhir/{path}")).bearer(&denied);
        let put = put.header("content-type", "application/fhir+json").bytes(resource.to_string()).send().await;
        assert!(put.status.is_client_error(), "{path} {}", put.text());
    }
    for resource in about("bob") {
        assert_eq!(status(&denied, &path(&resource)).await, 200, "{resource}");
    }
    for (search, seen) in [
        ("Task", vec!["input-bob", "task-bob"]),
        ("Task?patient=Patient/ann", vec![]),
        ("Contract?subject=Patient/ann", vec![]),
        ("GuidanceResponse?patient=Patient/ann", vec![]),
        ("Group?member=Patient/ann", vec![]),
        ("Group", vec!["group-bob"]),
        ("Bundle", vec!["document-bob", "person-bob"]),
    ] {
        let found = world.server.client.get(&format!("/fhir/{search}")).bearer(&denied).send().await;
        let mut found = ids(&found.json());
        found.sort();
        assert_eq!(found, seen, "{search}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_opens_no_record_and_is_open_to_nobody_by_it() {
    let world = World::start().await;
    let mut all: Vec<Value> = ["ann", "bob"].iter().flat_map(|patient| about(patient)).collect();
    let secret = json!({"resourceType": "Location", "id": "refuge", "name": "Refuge"});
    all[4]["managingEntity"] = json!({"reference": "Organization/hidden"});
    all.push(json!({"resourceType": "Organization", "id": "hidden", "name": "Hidden"}));
    all.push(secret);
    all[0]["location"] = json!({"reference": "Location/refuge"});
    world.server.import(&all.iter().map(Value::to_string).collect::<Vec<_>>()).await;
    let ann = world.app.access_token("launch/patient patient/*.cruds", "ann", PASSWORD).await;
    let who = world.app.access_token("user/*.cruds", "who", PASSWORD).await;
    for token in [&ann, &who] {
        for resource in &all {
            let reply = world.server.client.get(&format!("/fhir/{}", path(resource))).bearer(token).send().await;
            assert_eq!(reply.status, 404, "{resource}");
        }
        for resource in about("ann") {
            let mut new = resource.clone();
            new.as_object_mut().unwrap().remove("id");
            let kind = resource["resourceType"].as_str().unwrap();
            for (method, path, body) in [
                (Method::POST, kind.to_owned(), &new),
                (Method::PUT, path(&resource), &resource),
                (Method::PUT, format!("{kind}/fresh"), &resource),
            ] {
                let body = if path.ends_with("fresh") {
                    body.to_string().replace(resource["id"].as_str().unwrap(), "fresh")
                } else {
                    body.to_string()
                };
                let request = world.server.client.request(method.clone(), &format!("/fhir/{path}")).bearer(token);
                let reply = request.header("content-type", "application/fhir+json").bytes(body).send().await;
                assert!([403, 404].contains(&reply.status.as_u16()), "{method} {path} {} {}", reply.status, reply.text());
            }
        }
        for search in ["Task", "Group", "Bundle", "Contract", "GuidanceResponse"] {
            let reply = world.server.client.get(&format!("/fhir/{search}")).bearer(token).send().await;
            assert!(ids(&reply.json()).is_empty(), "{search}: {}", reply.text());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_patients_learn_who_looked() {
    let world = World::start().await;
    world.server.import(&about("ann").iter().map(Value::to_string).collect::<Vec<_>>()).await;
    let backend = token(&world, "backend").await;
    assert_eq!(world.server.client.get("/fhir/Task/task-ann").bearer(&backend).send().await.status, 200);
    assert_eq!(world.server.client.get("/fhir/Bundle/document-ann").bearer(&backend).send().await.status, 200);
    world.server.move_outbox().await;
    let of = async |user: &str| {
        let token = world.app.access_token("launch/patient patient/AuditEvent.rs", user, PASSWORD).await;
        let reply = world.server.client.get("/fhir/AuditEvent?_count=200").bearer(&token).send().await;
        reply.text().matches("\"backend\"").count()
    };
    assert!(of("ann").await >= 2);
    assert_eq!(of("bob").await, 0);
}
