//! What holds other things: access to it gives none to what it names, and what is in it counts for it.

use portcullis_fhir::labels::{Clearance, Clearances, Confidentiality, LabelPolicy, Labels};
use portcullis_oauth::clients::KeySource;
use portcullis_server::context::AuthorizationSettings;
use portcullis_store::Clock;
use portcullis_testkit::TestServer;
use portcullis_testkit::backend::ClientKey;
use portcullis_testkit::server::PASSWORD;
use portcullis_verifies::verifies;
use serde_json::{Value, json};

use super::world::{World, ids};

const ICD: &str = "http://hl7.org/fhir/sid/icd-10-cm";

fn condition(id: &str, code: &str) -> Value {
    json!({"resourceType": "Condition", "id": id, "subject": {"reference": "Patient/ann"}, "code": {"coding": [{"system": ICD, "code": code}]}})
}

async fn clinician(world: &World) -> String {
    world.app.access_token("user/*.cruds", "who", PASSWORD).await
}

async fn get(world: &World, token: &str, path: &str) -> (u16, Value) {
    let answer = world.server.client.get(&format!("/fhir/{path}")).bearer(token).send().await;
    (answer.status.as_u16(), answer.json())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_sees_a_container_sees_what_it_names_only_by_the_own_right() {
    verifies!("FHIR-SEC-29");
    let world = World::start().await;
    let reference = |text: &str| json!({"reference": text});
    let of_bob = json!({"resourceType": "Observation", "id": "obs-bob-1", "status": "final", "code": {"text": "of Bob"}, "subject": reference("Patient/bob")});
    let containers = [
        json!({"resourceType": "Bundle", "id": "both", "type": "collection", "entry": [
            {"resource": {"resourceType": "Patient", "id": "ann"}}, {"resource": of_bob}]}),
        json!({"resourceType": "List", "id": "own", "status": "current", "mode": "working", "subject": reference("Patient/ann"), "entry": [
            {"item": reference("Observation/obs-bob-1")}, {"item": reference("Observation/obs-ann-1")}]}),
        json!({"resourceType": "Composition", "id": "own", "status": "final", "type": {"text": "t"}, "subject": reference("Patient/ann"), "date": "2026-01-01",
            "author": [reference("Practitioner/who")], "title": "T", "section": [{"entry": [reference("Observation/obs-bob-1"), reference("Observation/obs-ann-1")]}]}),
        json!({"resourceType": "Group", "id": "all", "type": "person", "actual": true, "member": [{"entity": reference("Patient/ann")}, {"entity": reference("Patient/bob")}]}),
    ];
    world.server.import(&containers.map(|container| container.to_string())).await;
    let (ann, who) = (world.ann().await, clinician(&world).await);
    for token in [&ann, &who] {
        for path in ["Bundle/both", "Group/all"] {
            let (hidden, body) = get(&world, token, path).await;
            let (_, absent) = get(&world, token, &format!("{}/nothing", path.split('/').next().unwrap())).await;
            assert_eq!((hidden, body), (404, absent), "{path}");
        }
        assert!(ids(&get(&world, token, "Bundle").await.1).is_empty());
        for path in ["List/own", "Composition/own"] {
            assert_eq!(get(&world, token, path).await.0, 200, "{path}");
        }
        assert_eq!(get(&world, token, "Observation/obs-bob-1").await.0, 404);
        for path in ["List?_include=List:item", "Composition?_include=Composition:entry"] {
            assert_eq!(ids(&get(&world, token, path).await.1), ["own", "obs-ann-1"], "{path}");
        }
        assert!(ids(&get(&world, token, "List?item:Observation.code:text=of").await.1).is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_is_as_confidential_as_what_is_in_it() {
    let normal = Clearance::up_to(Confidentiality::Normal, Labels::NONE);
    let policy = LabelPolicy::from(Clearances { client: normal, ..Clearances::default() });
    let world = World::over(TestServer::start_with(AuthorizationSettings { labels: policy, ..Default::default() }).await).await;
    let restricted = json!({"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}]});
    let bundle = |id: &str, resource: Value| json!({"resourceType": "Bundle", "id": id, "type": "collection", "entry": [{"resource": resource}]});
    let holding = |id: &str, code: &str| {
        let mut inside = condition("c", code);
        inside.as_object_mut().unwrap().remove("id");
        inside["id"] = "inside".into();
        json!({"resourceType": "Observation", "id": id, "status": "final", "code": {"text": "t"}, "subject": {"reference": "Patient/ann"}, "contained": [inside]})
    };
    let mut labelled = condition("x", "E11.9");
    labelled["meta"] = restricted;
    let resources = [
        bundle("by-label", labelled),
        bundle("by-code", condition("y", "B20")),
        bundle("open", condition("z", "E11.9")),
        holding("contains-hiv", "B20"),
        holding("contains-diabetes", "E11.9"),
    ];
    world.server.import(&resources.map(|resource| resource.to_string())).await;
    let key = ClientKey::generate("k", "ES384");
    let keys = KeySource::value(&key.jwks().to_string()).unwrap();
    let backend = world.server.add_backend("backend", "system/*.rs", key, keys).await;
    let token = backend.token(world.server.clock.now_seconds(), "1", "system/*.rs").await;
    for (path, expected) in [
        ("Bundle/by-label", 404),
        ("Bundle/by-code", 404),
        ("Bundle/open", 200),
        ("Observation/contains-hiv", 404),
        ("Observation/contains-diabetes", 200),
    ] {
        assert_eq!(get(&world, &token, path).await.0, expected, "{path}");
    }
    let who = clinician(&world).await;
    assert_eq!(get(&world, &who, "Observation/contains-hiv").await.0, 404);
    assert_eq!(get(&world, &who, "Observation/contains-diabetes").await.0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_binary_is_for_whoever_sees_its_security_context() {
    verifies!("FHIR-SEC-34");
    let world = World::start().await;
    let binary = |id: &str, context: Option<&str>| {
        let mut binary = json!({"resourceType": "Binary", "id": id, "contentType": "text/plain", "data": "eA=="});
        if let Some(context) = context {
            binary["securityContext"] = json!({"reference": context});
        }
        binary
    };
    let resources = [
        condition("hiv", "B20"),
        binary("of-ann", Some("Patient/ann")),
        binary("of-bob", Some("Patient/bob")),
        binary("of-record", Some("Observation/obs-ann-1")),
        binary("of-bobs-record", Some("Observation/obs-bob-1")),
        binary("of-hiv", Some("Condition/hiv")),
        binary("of-nothing", Some("Observation/nothing")),
        binary("of-nobody", None),
    ];
    world.server.import(&resources.map(|resource| resource.to_string())).await;
    let (ann, who) = (world.ann().await, clinician(&world).await);
    for (token, seen) in [(&ann, vec!["of-ann", "of-record", "of-hiv"]), (&who, vec!["of-ann", "of-record"])] {
        for id in ["of-ann", "of-bob", "of-record", "of-bobs-record", "of-hiv", "of-nothing", "of-nobody"] {
            let expected = if seen.contains(&id) { 200 } else { 404 };
            for path in [format!("Binary/{id}"), format!("Binary/{id}/_history")] {
                assert_eq!(get(&world, token, &path).await.0, expected, "{path}");
            }
        }
        let mut found = ids(&get(&world, token, "Binary").await.1);
        let mut expected = seen.clone();
        found.sort();
        expected.sort();
        assert_eq!(found, expected);
    }
    // What its context was before does not let anybody see what it is now, nor the other way round.
    world.server.import(&[binary("of-record", Some("Observation/obs-bob-1")).to_string()]).await;
    assert_eq!(get(&world, &ann, "Binary/of-record").await.0, 404);
    assert_eq!(get(&world, &ann, "Binary/of-record/_history").await.0, 404);
    world.server.import(&[binary("of-bobs-record", Some("Observation/obs-ann-1")).to_string()]).await;
    let (_, history) = get(&world, &ann, "Binary/of-bobs-record/_history").await;
    assert_eq!(ids(&history).len(), 1, "{history}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_to_be_deleted_after_use_is_kept_in_no_copy() {
    verifies!("LABEL-07");
    let world = World::start().await;
    let delete = json!([{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "DELAU"}]);
    let record = json!({"resourceType": "Observation", "id": "used-once", "meta": {"security": delete}, "status": "final",
        "code": {"text": "a-word-that-is-nowhere-else"}, "subject": {"reference": "Patient/ann"}});
    world.server.import(&[record.to_string()]).await;
    let ann = world.ann().await;
    for path in ["Observation/used-once", "Observation?_id=used-once"] {
        let answer = world.server.client.get(&format!("/fhir/{path}")).bearer(&ann).send().await;
        assert!(answer.text().contains("a-word-that-is-nowhere-else") && answer.text().contains("DELAU"), "{}", answer.text());
        assert!(answer.header("cache-control").contains("no-store"));
    }
    world.server.move_outbox().await;
    let mut kept = Vec::new();
    for entry in std::fs::read_dir(world.server.ledger_directory()).unwrap() {
        kept.extend(std::fs::read(entry.unwrap().path()).unwrap());
    }
    let holds = |word: &str| kept.windows(word.len()).any(|window| window == word.as_bytes());
    assert!(holds("used-once"), "the records are there");
    assert!(!holds("a-word-that-is-nowhere-else"));
    let (_, events) = get(&world, &ann, "AuditEvent?_count=50").await;
    assert!(!events.to_string().contains("a-word-that-is-nowhere-else"));
}
