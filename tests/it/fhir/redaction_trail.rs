//! What the trail says of resources that were shown in part.

use portcullis_fhir::redaction::inline;
use portcullis_testkit::server::PASSWORD;
use serde_json::{Value, json};

use super::world::World;

const CONFIDENTIALITY: &str = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_trail_lists_the_labels_of_what_was_shown_and_tells_auditors_of_how_many_something_was_left_out() {
    let world = World::start().await;
    let label = json!([{"url": inline::INLINE_LABEL, "valueCoding": {"system": CONFIDENTIALITY, "code": "R"}}]);
    let ann = json!({"resourceType": "Patient", "id": "ann", "name": [{"text": "Test Ann"}], "birthDate": "1970-01-01",
        "identifier": [{"extension": label, "value": "078-05-1120"}, {"value": "open"}]});
    world.server.import(&[ann.to_string()]).await;
    let who = world.app.access_token("user/*.cruds", "who", PASSWORD).await;
    let auditor = world.app.access_token("user/AuditEvent.rs", "audit", PASSWORD).await;
    let own = world.app.access_token("launch/patient patient/*.cruds patient/AuditEvent.rs", "ann", PASSWORD).await;
    let get = async |token: &str, path: &str| -> Value {
        let reply = world.server.client.get(&format!("/fhir/{path}")).bearer(token).send().await;
        assert_eq!(reply.status, 200, "{path} {}", reply.text());
        reply.json()
    };
    let seen = get(&who, "Patient?_id=ann").await;
    assert!(!seen.to_string().contains("078-05"), "{seen}");
    let whole = get(&own, "Patient?_id=ann").await;
    assert!(whole.to_string().contains("078-05"), "{whole}");
    let entities = async |token: &str, by: &str| -> Vec<Value> {
        let found = get(token, &format!("AuditEvent?subtype=search-type&patient=ann&agent:identifier=user-{by}")).await;
        let events: Vec<&Value> = found["entry"].as_array().unwrap().iter().map(|entry| &entry["resource"]).collect();
        let of_patients = events.into_iter().find(|event| event["entity"].to_string().contains("\"query\"")).unwrap();
        of_patients["entity"].as_array().unwrap().clone()
    };
    let details = |entities: &[Value]| -> Vec<(String, String)> {
        let details = entities.iter().flat_map(|entity| entity["detail"].as_array().cloned().unwrap_or_default());
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        details.map(|detail| (text(&detail["type"]), text(&detail["valueString"]))).collect()
    };
    let redacted = ("redacted".to_owned(), "1".to_owned());
    let by_who = entities(&auditor, "who").await;
    assert!(details(&by_who).contains(&redacted), "{by_who:?}");
    let labels: Vec<&str> = by_who
        .iter()
        .flat_map(|entity| entity["securityLabel"].as_array().into_iter().flatten())
        .map(|label| label["code"].as_str().unwrap())
        .collect();
    assert!(labels.contains(&"PROCESSINLINELABEL"), "{by_who:?}");
    assert!(!details(&entities(&own, "who").await).contains(&redacted), "for auditors alone");
    assert!(!details(&entities(&auditor, "ann").await).iter().any(|(name, _)| name == "redacted"), "nothing was left out");
}
