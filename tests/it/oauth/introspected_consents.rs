//! What introspection tells resource servers of the consents of the patient in context (IHE PCF, extension `ihe_pcf`), and nobody else.

use portcullis_testkit::App;
use portcullis_testkit::server::PASSWORD;
use portcullis_verifies::verifies;
use serde_json::{Value, json};

use crate::fhir::World;

const ACT_REASON: &str = "http://terminology.hl7.org/CodeSystem/v3-ActReason";

fn concept(system: &str, code: &str) -> Value {
    json!({"coding": [{"system": system, "code": code}]})
}

/// A consent of Ann's by the profiles of PCF.
fn consent(id: &str, provision: Value) -> String {
    json!({
        "resourceType": "Consent", "id": id, "status": "active", "dateTime": "2020-01-01",
        "scope": concept("http://terminology.hl7.org/CodeSystem/consentscope", "patient-privacy"),
        "category": [concept("http://loinc.org", "59284-0")],
        "patient": {"reference": "Patient/ann"},
        "policy": [{"uri": "https://example.org/policies/basic"}],
        "provision": provision,
    })
    .to_string()
}

async fn asked(resource_server: &App, token: &str) -> Value {
    let reply = resource_server.token_request_to("/oauth/introspect", &[("token", token)]).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resource_server_is_told_what_consents_leave_and_a_client_is_not() {
    verifies!("CONSENT-16");
    let world = World::start().await;
    let server = &world.server;
    let resource_server = server.add_app("resource-server", "launch/patient patient/*.rs", true).await;
    server.change_client("resource-server", |client| client.properties.resource_server = true).await;
    let app = server.add_app("own", "launch/patient patient/*.rs user/*.rs", true).await;
    let base = &server.fhir_base;
    let at_chart = app.access_token("launch/patient patient/*.rs", "who", PASSWORD).await;
    let own = app.access_token("launch/patient patient/*.rs", "ann", PASSWORD).await;
    let without_patient = app.access_token("user/*.rs", "who", PASSWORD).await;

    let before = asked(&resource_server, &at_chart).await;
    assert_eq!(
        before["extensions"]["ihe_pcf"],
        json!({"patient_id": format!("{base}/Patient/ann")}),
        "nothing is forbidden: {before}"
    );
    let label = json!([{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "PSY"}]);
    let denied = json!([
        {"type": "deny", "securityLabel": label},
        {"type": "deny", "dataPeriod": {"start": "2019-01-01", "end": "2019-12-31"}},
        {"type": "deny", "data": [{"meaning": "related", "reference": {"reference": "Encounter/enc-ann"}}]},
        {"type": "deny", "purpose": [{"system": ACT_REASON, "code": "HRESCH"}]},
    ]);
    server.import(&[consent("c", json!({"type": "permit", "provision": denied}))]).await;
    let told = asked(&resource_server, &at_chart).await;
    assert_eq!(told["active"], true, "{told}");
    assert_eq!(told["extensions"]["ihe_iua"], json!({"purpose_of_use": [{"system": ACT_REASON, "code": "TREAT"}]}));
    assert_eq!(
        told["extensions"]["ihe_pcf"],
        json!({
            "patient_id": format!("{base}/Patient/ann"),
            "doc_id": [format!("{base}/Consent/c")],
            "acp": ["https://example.org/policies/basic"],
            "residual": [
                {"type": "forbid", "securityLabel": label},
                {"type": "forbid", "dataPeriod": {"start": "2019-01-01T00:00:00.000Z", "end": "2019-12-31T23:59:59.999Z"}},
                {"type": "forbid", "data": [{"meaning": "related", "reference": {"reference": format!("{base}/Encounter/enc-ann")}}]},
            ],
        })
    );
    // What a permit leaves out is forbidden, and what it names permitted all the same.
    let period = json!({"start": "2026-01-15", "end": "2026-02-15"});
    server.import(&[consent("c", json!({"type": "deny", "provision": [{"type": "permit", "dataPeriod": period}]}))]).await;
    let told = asked(&resource_server, &at_chart).await;
    let times = json!({"start": "2026-01-15T00:00:00.000Z", "end": "2026-02-15T23:59:59.999Z"});
    let expected = json!([{"type": "forbid"}, {"type": "permit", "dataPeriod": times}]);
    assert_eq!(told["extensions"]["ihe_pcf"]["residual"], expected);
    // It says the same as this server does.
    let found = server.client.get("/fhir/Observation?_sort=_id").bearer(&at_chart).send().await.json();
    assert_eq!(crate::fhir::ids(&found), ["obs-ann-2"]);

    // Patients have their own records whatever they have said about others.
    let told = asked(&resource_server, &own).await;
    assert_eq!(told["extensions"]["ihe_pcf"].get("residual"), None, "{told}");
    // No patient in context, nothing to say; and the client itself is told nothing.
    let told = asked(&resource_server, &without_patient).await;
    assert_eq!((&told["active"], told.get("extensions")), (&json!(true), None), "{told}");
    let told = asked(&app, &at_chart).await;
    assert_eq!((&told["active"], told.get("extensions")), (&json!(true), None), "{told}");
}
