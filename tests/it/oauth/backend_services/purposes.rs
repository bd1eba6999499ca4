//! Purposes of use that a client states in the extension `hl7-b2b` of its assertion: within its registration, and for that token alone.

use portcullis_oauth::clients::ClientProperties;
use portcullis_oauth::principal::PurposeOfUse;
use portcullis_oauth::purposes::RegisteredPurpose;

use super::*;

const ISSUED: &str = "for COC by https://payer.example, subject urn:oid:2.16.840.1.113883.4.6#1234567890, as the client states";

fn extension(purposes: Value) -> Value {
    json!({"hl7-b2b": {
        "version": "1",
        "organization_id": "https://payer.example",
        "subject_id": "urn:oid:2.16.840.1.113883.4.6#1234567890",
        "purpose_of_use": purposes,
    }})
}

fn purpose(code: &str) -> String {
    format!("urn:oid:2.16.840.1.113883.5.8#{code}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stated_purpose_is_within_the_registration_and_the_token_serves_for_it_alone() {
    verifies!("SPM-04");
    let backend = Backend::start("system/*.rs").await;
    let purposes = ["TREAT", "HPAYMT"].map(|code| RegisteredPurpose(PurposeOfUse::parse(code).unwrap())).to_vec();
    backend.server.set_properties("backend", ClientProperties { purposes, ..ClientProperties::default() }).await;
    let asked = async |extensions: Value| {
        let claims = backend.claims_with("extensions", extensions);
        backend.client.request(&backend.client.key.sign(&backend.client.key.header(), &claims), "system/*.rs").await
    };
    let mut without = extension(json!([]));
    without["hl7-b2b"].as_object_mut().unwrap().remove("purpose_of_use");
    for refused in [
        without,
        extension(json!(purpose("TREAT"))),
        extension(json!(["TREAT"])),
        extension(json!([purpose("HRESCH")])),
        extension(json!([purpose("TREAT"), purpose("HRESCH")])),
        extension(json!([purpose("BTG")])),
        json!("hl7-b2b"),
    ] {
        let reply = asked(refused.clone()).await;
        assert_eq!((reply.status.as_u16(), reply.json()["error"].as_str()), (400, Some("invalid_grant")), "{refused}");
    }
    let reply = asked(extension(json!([purpose("COC")]))).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let record = backend.server.records().into_iter().rfind(|record| record.event == Event::Token).unwrap();
    assert_eq!(record.agent.purpose.as_deref(), Some("COC"));
    assert!(record.detail.as_ref().is_some_and(|detail| detail.contains(ISSUED)), "{:?}", record.detail);
    let token = reply.json()["access_token"].as_str().unwrap().to_owned();
    let read = async |category: Option<&str>| {
        let request = backend.server.client.get("/fhir/Patient/ann").bearer(&token);
        let request = match category {
            Some(code) => request.header("category", &format!("http://terminology.hl7.org/CodeSystem/v3-ActReason#{code}")),
            None => request,
        };
        request.send().await.status.as_u16()
    };
    assert_eq!(read(None).await, 200);
    let record = backend.server.records().into_iter().rfind(|record| record.event == Event::Rest).unwrap();
    assert_eq!(record.agent.purpose.as_deref(), Some("COC"), "it reappears in the trail");
    // Also what the client is registered for is another purpose than that of this token.
    assert_eq!([read(Some("COC")).await, read(Some("TREAT")).await, read(Some("HPAYMT")).await], [200, 403, 403]);
    let form = [("token", token.as_str())];
    let introspected = backend.server.client.post("/oauth/introspect").bearer(&token).form(&form).send().await.json();
    assert_eq!(introspected["purpose_of_use"], json!([purpose("COC")]), "{introspected}");
    // The registration of the moment counts.
    let purposes = vec![RegisteredPurpose(PurposeOfUse::PAYMENT)];
    backend.server.set_properties("backend", ClientProperties { purposes, ..ClientProperties::default() }).await;
    assert_eq!([read(None).await, read(Some("HPAYMT")).await], [403, 403]);
}
