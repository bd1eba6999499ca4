//! Consents by the profiles of IHE PCF: what a server that wants a profile refuses, and what consents of the Intermediate profile do for whom they name.

use portcullis_oauth::principal::ImplicitPolicy;
use portcullis_policy::rules::consent::Profile;
use portcullis_server::context::AuthorizationSettings;
use portcullis_server::resource_server::acceptance::Acceptance;
use portcullis_testkit::resources::{encounter, observation};
use portcullis_testkit::server::PASSWORD;
use portcullis_testkit::{Reply, TestServer};
use portcullis_verifies::verifies;
use serde_json::{Value, json};

use super::world::{World, ids};

const BASIC: &str = "https://profiles.ihe.net/ITI/PCF/StructureDefinition/IHE.PCF.consentBasic";
const REASON: &str = "http://terminology.hl7.org/CodeSystem/v3-ActReason";

fn concept(system: &str, code: &str) -> Value {
    json!({"coding": [{"system": system, "code": code}]})
}

fn recipient(reference: &str) -> Value {
    json!({"role": concept("http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "IRCP"), "reference": {"reference": reference}})
}

/// Everything that the Basic profile asks for.
fn basic() -> Value {
    json!({
        "resourceType": "Consent",
        "status": "active",
        "scope": concept("http://terminology.hl7.org/CodeSystem/consentscope", "patient-privacy"),
        "category": [concept("http://loinc.org", "59284-0")],
        "patient": {"reference": "Patient/ann"},
        "dateTime": "2020-06-01",
        "performer": [{"reference": "Patient/ann"}],
        "organization": [{"reference": "Organization/hospital"}],
        "sourceAttachment": {"title": "The terms of consent"},
        "policy": [{"uri": "https://example.org/policies/basic"}],
        "provision": {
            "type": "permit",
            "period": {"start": "2020-06-01", "end": "2030-06-01"},
            "actor": [recipient("Organization/hospital")],
            "purpose": [{"system": REASON, "code": "TREAT"}],
        },
    })
}

/// The consent without the element at this place, or with another value of it.
fn changed(place: &str, value: Option<Value>) -> Value {
    let mut consent = basic();
    let (parent, name) = place.rsplit_once('/').unwrap();
    let parent = consent.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    match value {
        Some(value) => parent.insert(name.to_owned(), value),
        None => parent.remove(name),
    };
    consent
}

async fn stores(world: &World, token: &str, consent: &Value) -> Reply {
    world.server.client.post("/fhir/Consent").bearer(token).fhir(consent.to_string()).send().await
}

async fn wanting(profile: Option<Profile>) -> World {
    let settings =
        AuthorizationSettings { acceptance: Acceptance { consent_profile: profile, ..Default::default() }, ..Default::default() };
    World::over(TestServer::start_with(settings).await).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_wants_the_basic_profile_refuses_what_is_missing_and_what_is_too_much() {
    verifies!("CONSENT-12");
    let world = wanting(Some(Profile::Basic)).await;
    let token = world.ann().await;
    for effect in ["permit", "deny"] {
        for purpose in ["TREAT", "HPAYMT", "HOPERAT"] {
            let mut consent = basic();
            consent["provision"]["type"] = effect.into();
            consent["provision"]["purpose"][0]["code"] = purpose.into();
            let reply = stores(&world, &token, &consent).await;
            assert_eq!(reply.status, 201, "{effect} {purpose}: {}", reply.text());
        }
    }
    let act = |code| concept("http://terminology.hl7.org/CodeSystem/consentaction", code);
    let nested = json!([{"type": "deny", "purpose": [{"system": REASON, "code": "HPAYMT"}]}]);
    let class = json!([{"system": "http://hl7.org/fhir/resource-types", "code": "Observation"}]);
    let label = json!([{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}]);
    let delegate = json!([{"role": concept("http://terminology.hl7.org/CodeSystem/v3-RoleCode", "DELEGATEE"), "reference": {"reference": "Organization/hospital"}}]);
    let cases = [
        ("/status", None, "Consent.status"),
        ("/scope", None, "Consent.scope"),
        ("/category", None, "Consent.category"),
        ("/patient", None, "Consent.patient"),
        ("/dateTime", None, "Consent.dateTime"),
        ("/performer", None, "Consent.performer"),
        ("/organization", None, "Consent.organization"),
        ("/sourceAttachment", None, "Consent.source"),
        ("/policy", None, "Consent.policy.uri"),
        ("/policy", Some(json!([{"authority": "https://example.org"}])), "Consent.policy.uri"),
        ("/provision", None, "Consent.provision.type"),
        ("/provision/type", None, "Consent.provision.type"),
        ("/policyRule", Some(concept("http://terminology.hl7.org/CodeSystem/v3-ActCode", "OPTIN")), "Consent.policyRule"),
        ("/verification", Some(json!([{"verified": true}])), "Consent.verification"),
        ("/provision/provision", Some(nested), "Consent.provision.provision"),
        ("/provision/action", Some(json!([act("access")])), "Consent.provision.action"),
        ("/provision/class", Some(class), "Consent.provision.class"),
        ("/provision/code", Some(json!([concept("http://loinc.org", "4548-4")])), "Consent.provision.code"),
        ("/provision/securityLabel", Some(label), "Consent.provision.securityLabel"),
        ("/provision/actor", Some(delegate), "Consent.provision.actor.role"),
        ("/provision/purpose", Some(json!([{"system": REASON, "code": "HMARKT"}])), "Consent.provision.purpose"),
        ("/provision/dataPeriod", Some(json!({"start": "2020-01-01"})), "Consent.provision.dataPeriod"),
        (
            "/provision/data",
            Some(json!([{"meaning": "instance", "reference": {"reference": "Observation/obs-ann-1"}}])),
            "Consent.provision.data",
        ),
    ];
    // The same of whoever claims the profile at a server that wants none; whoever claims none is held to R4 there.
    let lenient = wanting(None).await;
    let other = lenient.ann().await;
    for (place, value, expression) in cases {
        let consent = changed(place, value);
        let mut claiming = consent.clone();
        claiming["meta"] = json!({"profile": [BASIC]});
        for (world, token, consent) in [(&world, &token, &consent), (&lenient, &other, &claiming)] {
            let reply = stores(world, token, consent).await;
            // "400: resource could not be parsed or failed basic FHIR validation rules", 422 where a profile or a rule of the server is violated
            // (https://hl7.org/fhir/R4/http.html#create).
            let status = if ["/status", "/scope", "/category"].contains(&place) { 400 } else { 422 };
            assert_eq!(reply.status, status, "{place}: {} {consent}", reply.text());
            let outcome = reply.json();
            let places: Vec<&str> =
                outcome["issue"].as_array().unwrap().iter().filter_map(|issue| issue["expression"][0].as_str()).collect();
            assert!(places.contains(&expression), "{place}: {outcome}");
        }
    }
    for place in ["/dateTime", "/performer", "/organization", "/sourceAttachment"] {
        assert_eq!(stores(&lenient, &other, &changed(place, None)).await.status, 201, "{place}");
    }
}

/// A consent of Ann's by the Intermediate profile, as it is imported.
fn intermediate(own: &str, effect: &str, nested: Value) -> String {
    let mut consent = basic();
    consent["id"] = own.into();
    consent["meta"] = json!({"profile": ["https://profiles.ihe.net/ITI/PCF/StructureDefinition/IHE.PCF.consentIntermediate"]});
    consent["provision"] = json!({"type": effect, "provision": [nested]});
    consent.to_string()
}

/// What Dr. Who sees of Ann's, by this consent; the server lets nobody in without one.
async fn seen_by(consent: String, purpose: Option<&str>) -> Vec<String> {
    let settings = AuthorizationSettings {
        implicit_consent: ImplicitPolicy::Deny,
        acceptance: Acceptance { consent_profile: Some(Profile::Intermediate), ..Default::default() },
        ..Default::default()
    };
    let world = World::over(TestServer::start_with(settings).await).await;
    let of = |id: &str, members: Value| {
        let mut text: Value = serde_json::from_str(&observation(id, "ann", "8867-4", "70", "2026-02-15")).unwrap();
        text.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        text.to_string()
    };
    let imported = [
        encounter("enc-later", "ann", "who", "hospital"),
        of("by-who", json!({"performer": [{"reference": "Practitioner/who"}]})),
        of("by-other", json!({"performer": [{"reference": "Practitioner/other"}]})),
        of("at-encounter", json!({"encounter": {"reference": "Encounter/enc-ann"}})),
        consent,
    ];
    world.server.import(&imported).await;
    let token = world.app.access_token("user/*.cruds", "who", PASSWORD).await;
    let request = world.server.client.get("/fhir/Observation?patient=ann&_sort=_id").bearer(&token);
    let request = match purpose {
        Some(purpose) => request.header("x-purpose-of-use", purpose),
        None => request,
    };
    let reply = request.send().await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    ids(&reply.json())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consents_of_the_intermediate_profile_give_whom_they_name_the_data_that_they_name() {
    verifies!("CONSENT-13");
    let who = json!([recipient("Practitioner/who")]);
    let data = |meaning: &str, reference: &str| json!([{"meaning": meaning, "reference": {"reference": reference}}]);
    let all = ["at-encounter", "by-other", "by-who", "obs-ann-1", "obs-ann-2"];
    let cases: [(&str, &str, Value, Vec<&str>); 8] = [
        ("everything to a practitioner", "deny", json!({"type": "permit", "actor": who}), all.to_vec()),
        ("to somebody else", "deny", json!({"type": "permit", "actor": [recipient("Practitioner/other")]}), Vec::new()),
        (
            "of a time",
            "deny",
            json!({"type": "permit", "actor": who, "dataPeriod": {"start": "2026-01-15", "end": "2026-02-10"}}),
            vec!["obs-ann-2"],
        ),
        (
            "but for a time",
            "permit",
            json!({"type": "deny", "actor": who, "dataPeriod": {"start": "2026-01-15", "end": "2026-02-10"}}),
            vec!["at-encounter", "by-other", "by-who", "obs-ann-1"],
        ),
        (
            "one record",
            "deny",
            json!({"type": "permit", "actor": who, "data": data("instance", "Observation/obs-ann-1")}),
            vec!["obs-ann-1"],
        ),
        (
            "all but one record",
            "permit",
            json!({"type": "deny", "actor": who, "data": data("instance", "Observation/obs-ann-1")}),
            vec!["at-encounter", "by-other", "by-who", "obs-ann-2"],
        ),
        (
            "what belongs to an encounter",
            "deny",
            json!({"type": "permit", "actor": who, "data": data("related", "Encounter/enc-ann")}),
            vec!["at-encounter"],
        ),
        (
            "what somebody has written",
            "deny",
            json!({"type": "permit", "actor": who, "data": data("authoredby", "Practitioner/other")}),
            vec!["by-other"],
        ),
    ];
    for (told, effect, nested, expected) in cases {
        assert_eq!(seen_by(intermediate("c", effect, nested), None).await, expected, "{told}");
    }
}
