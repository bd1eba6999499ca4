//! Modifier extensions and implicit rules: what may change the meaning of a record is stored only where the operator has named it.

use http::Method;
use portcullis_server::context::AuthorizationSettings;
use portcullis_server::resource_server::acceptance::Acceptance;
use portcullis_testkit::TestServer;
use portcullis_verifies::verifies;
use serde_json::{Value, json};

use super::world::World;

const KNOWN: &str = "https://example.org/fhir/StructureDefinition/known";

fn observation(members: &Value) -> Value {
    let mut body =
        json!({"resourceType": "Observation", "status": "final", "code": {"text": "x"}, "subject": {"reference": "Patient/ann"}});
    body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    body
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changes_the_meaning_and_is_not_known_is_not_stored_by_any_way_of_writing() {
    verifies!("SAFE-02");
    let acceptance = Acceptance { modifiers: [KNOWN.into()].into(), ..Default::default() };
    let settings = AuthorizationSettings { acceptance, ..Default::default() };
    let world = World::over(TestServer::start_with(settings).await).await;
    let (token, client) = (world.ann().await, &world.server.client);
    let modifier = |url: &str| json!([{"url": url, "valueBoolean": true}]);
    let unknown = modifier("https://example.org/fhir/StructureDefinition/not");
    let entry = |body: &Value| json!({"resourceType": "Bundle", "type": "transaction", "entry": [{"resource": body, "request": {"method": "POST", "url": "Observation"}}]});
    for (members, place) in [
        (json!({"modifierExtension": unknown}), "modifierExtension[0]"),
        (json!({"component": [{"code": {"text": "y"}, "modifierExtension": unknown}]}), "component[0].modifierExtension[0]"),
        (
            json!({"contained": [{"resourceType": "Device", "id": "d", "modifierExtension": unknown}], "device": {"reference": "#d"}}),
            "contained[0].modifierExtension[0]",
        ),
        (json!({"implicitRules": "https://example.org/rules"}), "implicitRules"),
    ] {
        let body = observation(&members);
        let mut update = body.clone();
        update["id"] = "obs-ann-1".into();
        let operations: Vec<Value> = members
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| json!({"op": "add", "path": format!("/{name}"), "value": value}))
            .collect();
        let requests = [
            (Method::POST, "/fhir/Observation", body.to_string(), "application/fhir+json", "Observation."),
            (Method::PUT, "/fhir/Observation/obs-ann-1", update.to_string(), "application/fhir+json", "Observation."),
            (
                Method::PATCH,
                "/fhir/Observation/obs-ann-1",
                json!(operations).to_string(),
                "application/json-patch+json",
                "Observation.",
            ),
            (Method::POST, "/fhir", entry(&body).to_string(), "application/fhir+json", "Bundle.entry[0].resource."),
        ];
        for (method, path, sent, media_type, prefix) in requests {
            let request = client.request(method.clone(), path).bearer(&token).header("content-type", media_type);
            let reply = request.bytes(sent).send().await;
            assert_eq!(reply.status, 422, "{method} {path} {members}: {}", reply.text());
            let issue = &reply.json()["issue"][0];
            let told = issue["expression"][0].as_str().unwrap();
            assert_eq!(told, format!("{prefix}{place}"), "{method} {path}");
            assert!(issue["diagnostics"].as_str().unwrap().contains("[conformance] modifiers"), "{issue}");
        }
    }
    let known = observation(&json!({"modifierExtension": modifier(KNOWN), "implicitRules": KNOWN}));
    let reply = client.post("/fhir/Observation").bearer(&token).fhir(known.to_string()).send().await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    let path = format!("/fhir/Observation/{}?_elements=status", reply.json()["id"].as_str().unwrap());
    let shown = client.get(&path).bearer(&token).send().await.json();
    assert_eq!(
        (&shown["modifierExtension"], &shown["implicitRules"]),
        (&modifier(KNOWN), &json!(KNOWN)),
        "no summary leaves them out: {shown}"
    );
}
