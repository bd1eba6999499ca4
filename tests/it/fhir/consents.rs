//! Consents that a patient's app writes: what could not be obeyed is refused, with its place and a reason.

use http::Method;
use portcullis_fhir::resource::Resource;
use portcullis_generator::{DEMO_SEED, Options, generate};
use portcullis_policy::rules::consent::{Context, check};
use portcullis_testkit::server::PASSWORD;
use portcullis_verifies::verifies;
use serde_json::{Value, json};

use super::world::{World, ids};
use super::xml::of_xml;

fn concept(system: &str, code: &str) -> Value {
    json!({"coding": [{"system": system, "code": code}]})
}

fn consent(members: Value) -> String {
    let mut consent = json!({
        "resourceType": "Consent",
        "status": "active",
        "scope": concept("http://terminology.hl7.org/CodeSystem/consentscope", "patient-privacy"),
        "category": [concept("http://loinc.org", "59284-0")],
        "patient": {"reference": "Patient/ann"},
        "policy": [{"uri": "https://example.org/policy"}],
        "provision": {"type": "permit", "provision": [{"type": "deny",
            "purpose": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HMARKT"}]}]},
    });
    for (name, value) in members.as_object().unwrap() {
        match value {
            Value::Null => consent.as_object_mut().unwrap().remove(name),
            _ => consent.as_object_mut().unwrap().insert(name.clone(), value.clone()),
        };
    }
    consent.to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consent_that_could_not_be_obeyed_is_refused_with_its_place() {
    verifies!("CONSENT-02");
    let world = World::start().await;
    let token = world.ann().await;
    let client = &world.server.client;
    let post = |body: String| {
        let request = client.post("/fhir/Consent").bearer(&token).fhir(body);
        async move { request.send().await }
    };
    let opt_in = concept("http://terminology.hl7.org/CodeSystem/v3-ActCode", "OPTIN");
    let narrowed = json!({"class": [{"system": "http://hl7.org/fhir/resource-types", "code": "Observation"}]});
    let recipient = concept("http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "IRCP");
    let elsewhere = json!({"role": recipient, "reference": {"reference": "https://other.example/Organization/o"}});
    let modifier = json!([{"url": "https://example.org/not", "valueBoolean": true}]);
    let cases = [
        (json!({"policy": null}), "Consent.policyRule"),
        (json!({"scope": {"text": "all"}}), "Consent.scope"),
        (json!({"patient": null}), "Consent.patient"),
        (json!({"provision": narrowed, "policyRule": opt_in}), "Consent.provision.type"),
        (json!({"provision": {"type": "permit", "actor": [elsewhere]}}), "Consent.provision.actor[0].reference"),
        (json!({"performer": [{"reference": "Patient/bob"}]}), "Consent.performer[0]"),
        (json!({"modifierExtension": modifier}), "Consent.modifierExtension"),
    ];
    for (members, place) in cases {
        let reply = post(consent(members.clone())).await;
        assert_eq!(reply.status, 422, "{members}: {}", reply.text());
        let outcome = reply.json();
        assert_eq!(outcome["issue"][0]["expression"][0], place, "{outcome}");
        assert!(outcome["issue"][0]["diagnostics"].as_str().is_some_and(|reason| reason.len() > 20), "{outcome}");
    }
    let found = client.get("/fhir/Consent?patient=ann").bearer(&token).send().await;
    assert_eq!(ids(&found.json()), [""; 0], "{}", found.text());

    let created = post(consent(json!({"policyRule": opt_in}))).await;
    assert_eq!(created.status, 201, "{}", created.text());
    let mut stored = created.json();
    let path = format!("/fhir/Consent/{}", stored["id"].as_str().unwrap());
    stored["provision"]["type"] = "deny".into();
    let reply = client.request(Method::PUT, &path).bearer(&token).fhir(stored.to_string()).send().await;
    assert_eq!((reply.status.as_u16(), &reply.json()["issue"][0]["expression"][0]), (422, &json!("Consent.provision.type")));
    // What is taken back may be wrong.
    stored["status"] = "inactive".into();
    assert_eq!(client.request(Method::PUT, &path).bearer(&token).fhir(stored.to_string()).send().await.status, 200);
    let transaction = json!({"resourceType": "Bundle", "type": "transaction", "entry": [
        {"resource": serde_json::from_str::<Value>(&consent(json!({"policy": null}))).unwrap(), "request": {"method": "POST", "url": "Consent"}}]});
    let reply = client.post("/fhir").bearer(&token).fhir(transaction.to_string()).send().await;
    assert_eq!(reply.status, 422, "{}", reply.text());
    let bobs = world.app.access_token("launch/patient patient/*.cruds", "bob", PASSWORD).await;
    let reply = client.post("/fhir/Consent").bearer(&bobs).fhir(consent(json!({}))).send().await;
    assert!(matches!(reply.status.as_u16(), 403 | 404), "a consent for somebody else: {}", reply.text());
}

/// What PCF asks of a Consent Registry (ITI-108): create, read, vread, update, delete and search, in JSON and XML.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consents_are_searched_by_patient_status_actor_id_and_time_by_get_and_post() {
    verifies!("CONSENT-15");
    let world = World::start().await;
    let token = world.ann().await;
    let client = &world.server.client;
    let ann = json!({"resourceType": "Patient", "id": "ann", "identifier": [{"system": "urn:mrn", "value": "a-1"}], "name": [{"family": "A"}]});
    world.server.import(&[ann.to_string()]).await;
    let recipient = concept("http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "IRCP");
    let who = json!({"type": "deny", "actor": [{"role": recipient, "reference": {"reference": "Practitioner/who"}}]});
    let mut made = Vec::new();
    for members in [json!({"provision": who}), json!({"status": "inactive"})] {
        let reply = client.post("/fhir/Consent").bearer(&token).fhir(consent(members)).send().await;
        assert_eq!(reply.status, 201, "{}", reply.text());
        made.push(reply.json()["id"].as_str().unwrap().to_owned());
    }
    let both = {
        let mut both = made.clone();
        both.sort();
        both
    };
    for whose in ["patient=ann", "patient=Patient/ann", "patient.identifier=urn:mrn%7Ca-1"] {
        for (more, expected) in [
            ("", both.clone()),
            ("&status=active", vec![made[0].clone()]),
            ("&status=inactive", vec![made[1].clone()]),
            ("&actor=Practitioner/who", vec![made[0].clone()]),
            ("&actor=Practitioner/other", vec![]),
            (&format!("&_id={}", made[1]), vec![made[1].clone()]),
            ("&_lastUpdated=ge2020", both.clone()),
            ("&_lastUpdated=lt2020", vec![]),
            ("&status=active&_lastUpdated=ge2020", vec![made[0].clone()]),
        ] {
            let query = format!("{whose}{more}");
            let got = client.get(&format!("/fhir/Consent?{query}")).bearer(&token).send().await;
            let posted = client.post("/fhir/Consent/_search").bearer(&token);
            let posted = posted.header("content-type", "application/x-www-form-urlencoded").bytes(query.clone()).send().await;
            for reply in [&got, &posted] {
                assert_eq!(reply.status, 200, "{query}: {}", reply.text());
                let mut found = ids(&reply.json());
                found.sort();
                assert_eq!(found, expected, "{query}");
            }
            assert_eq!(got.json(), posted.json(), "{query}");
            let in_xml = client.get(&format!("/fhir/Consent?{query}")).bearer(&token).header("accept", "application/fhir+xml");
            assert_eq!(of_xml(&in_xml.send().await), got.json(), "{query}");
        }
    }
    let path = format!("/fhir/Consent/{}", made[0]);
    let read = client.get(&path).bearer(&token).send().await.json();
    let version = read["meta"]["versionId"].as_str().unwrap();
    assert_eq!(client.get(&format!("{path}/_history/{version}")).bearer(&token).send().await.json(), read);
    let xml = "application/fhir+xml";
    for path in [path.clone(), format!("{path}/_history/{version}")] {
        let reply = client.get(&path).bearer(&token).header("accept", xml).send().await;
        assert_eq!((reply.status.as_u16(), of_xml(&reply)), (200, read.clone()), "{path}");
    }
    // The same in XML alone: made, changed, taken away.
    let send = |method, path: &str, body: Vec<u8>| {
        let request = client.request(method, path).bearer(&token).header("accept", xml).header("content-type", xml);
        async move { request.bytes(body).send().await }
    };
    let of_json = |text: String| portcullis_fhir::xml::from_json(text.as_bytes()).unwrap();
    let made = send(Method::POST, "/fhir/Consent", of_json(consent(json!({})))).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let mut made = of_xml(&made);
    let path = format!("/fhir/Consent/{}", made["id"].as_str().unwrap());
    made["status"] = "inactive".into();
    let changed = send(Method::PUT, &path, of_json(made.to_string())).await;
    assert_eq!((changed.status.as_u16(), &of_xml(&changed)["status"]), (200, &json!("inactive")));
    assert_eq!(client.get(&path).bearer(&token).send().await.json(), of_xml(&changed));
    assert_eq!(send(Method::DELETE, &path, Vec::new()).await.status, 204);
    assert_eq!(client.get(&path).bearer(&token).header("accept", xml).send().await.status, 410);
}

#[test]
fn the_consents_of_synthetic_patients_can_be_obeyed() {
    let options = Options { patients: 40, seed: DEMO_SEED, as_of: "2026-01-31".parse().unwrap() };
    let context = Context { base_url: "https://fhir.example/fhir", issuer: "https://fhir.example" };
    let consents: Vec<_> = generate(&options).filter(|resource| resource.resource_type == "Consent").collect();
    assert!(consents.iter().any(|consent| consent.json.contains("consentAdvanced")), "{}", consents.len());
    assert!(consents.iter().any(|consent| consent.json.contains("consentBasic")), "{}", consents.len());
    for consent in consents {
        assert_eq!(check(&Resource::parse(consent.json.as_bytes()).unwrap(), &context, None), [], "{}", consent.json);
    }
}
