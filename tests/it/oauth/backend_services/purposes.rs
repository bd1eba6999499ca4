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

const TEXT: &str = "hl7-b2b: names and identifiers must be text of at most 255 bytes without control characters";
const POLICIES: &str =
    "hl7-b2b: consent_policy and consent_reference must be lists of at most 10 URIs, the second only with the first";

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
        let mut claims = backend.claims_with("extensions", extensions);
        claims["jti"] = json!(portcullis_jose::digest::sha256_base64url(claims.to_string()));
        backend.client.request(&backend.client.key.sign(&backend.client.key.header(), &claims), "system/*.rs").await
    };
    let mut without = extension(json!([]));
    without["hl7-b2b"].as_object_mut().unwrap().remove("purpose_of_use");
    let listed = "hl7-b2b: purpose_of_use must be a list of 1 to 10 purposes";
    let named = "hl7-b2b: purpose_of_use must name purposes of v3-ActReason, such as urn:oid:2.16.840.1.113883.5.8#TREAT";
    let registered = "hl7-b2b: this client is not registered for every purpose_of_use";
    let with = |name: &str, value: Value| {
        let mut extension = extension(json!([purpose("TREAT")]));
        extension["hl7-b2b"][name] = value;
        extension
    };
    let (long, policies) = ("x".repeat(256), POLICIES);
    for (refused, told) in [
        (without, listed),
        (extension(json!(purpose("TREAT"))), listed),
        (extension(json!([])), listed),
        (extension(json!(vec![purpose("TREAT"); 11])), listed),
        (extension(json!(["TREAT"])), named),
        (extension(json!([7])), named),
        (extension(json!([purpose("ABUSE")])), named),
        (extension(json!([purpose("HRESCH")])), registered),
        (extension(json!([purpose("TREAT"), purpose("HRESCH")])), registered),
        (extension(json!([purpose("BTG")])), registered),
        (with("version", json!(1)), "hl7-b2b: version must be \"1\", as text"),
        (with("version", Value::Null), "hl7-b2b: version must be \"1\", as text"),
        (with("organization_id", json!("payer")), "hl7-b2b: organization_id must be a URI"),
        (with("organization_id", json!(format!("urn:{long}"))), TEXT),
        (with("subject_id", json!("")), TEXT),
        (with("subject_name", json!("a\r\nb")), TEXT),
        (with("subject_role", json!(7)), TEXT),
        (with("consent_policy", json!("urn:policy")), policies),
        (with("consent_policy", json!(["policy"])), policies),
        (with("consent_reference", json!(["https://payer.example/Consent/1"])), policies),
        (json!("hl7-b2b"), "client_assertion: extensions must be an object"),
        (json!({"hl7-b2b": []}), "hl7-b2b must be an object"),
    ] {
        let reply = asked(refused.clone()).await;
        let body = reply.json();
        let found = (reply.status.as_u16(), body["error"].as_str(), body["error_description"].as_str());
        assert_eq!(found, (400, Some("invalid_grant"), Some(told)), "{refused}");
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
