//! Elements that are not shown, over HTTP: they are on no answer, decide nothing, and are not lost by a change of who does not see them.

use http::Method;
use portcullis_fhir::labels::{Clearance, Clearances, Confidentiality, LabelPolicy, Labels};
use portcullis_fhir::purpose::PurposeOfUse;
use portcullis_fhir::redaction::{ElementRules, inline};
use portcullis_oauth::clients::{KeySource, RegisteredClearance};
use portcullis_server::context::AuthorizationSettings;
use portcullis_store::Clock;
use portcullis_testkit::TestServer;
use portcullis_testkit::backend::ClientKey;
use portcullis_testkit::server::PASSWORD;
use portcullis_verifies::verifies;
use serde_json::{Value, json};

use super::world::{World, ids};

const CONFIDENTIALITY: &str = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality";
const LIST: &str =
    "Patient.identifier Patient.telecom -> R\nEncounter.serviceProvider -> R\nObservation.note Observation.method -> R";

async fn world(policy: LabelPolicy) -> World {
    World::over(TestServer::start_with(AuthorizationSettings { labels: policy, ..Default::default() }).await).await
}

fn listed(list: &str) -> LabelPolicy {
    LabelPolicy { elements: std::sync::Arc::new(ElementRules::parse(list).unwrap()), ..LabelPolicy::default() }
}

fn ann(more: &Value) -> Value {
    let mut ann = json!({"resourceType": "Patient", "id": "ann", "name": [{"family": "Ann"}], "birthDate": "1970-01-01"});
    ann.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    ann
}

async fn clinician(world: &World) -> String {
    world.app.access_token("user/*.cruds", "who", PASSWORD).await
}

async fn get(world: &World, token: &str, path: &str) -> (u16, Value) {
    let answer = world.server.client.get(&format!("/fhir/{path}")).bearer(token).send().await;
    (answer.status.as_u16(), answer.json())
}

fn codes(resource: &Value) -> Vec<&str> {
    let codings = resource["meta"]["security"].as_array();
    codings.into_iter().flatten().filter_map(|coding| coding["code"].as_str()).collect()
}

/// What the clinician is told, without what every version has of its own.
async fn told(world: &World, token: &str, path: &str) -> (u16, String) {
    let (status, mut body) = get(world, token, path).await;
    forget(&mut body);
    (status, body.to_string())
}

fn forget(value: &mut Value) {
    match value {
        Value::Object(members) => {
            ["versionId", "lastUpdated", "etag"].iter().for_each(|name| drop(members.remove(*name)));
            members.values_mut().for_each(forget);
        }
        Value::Array(items) => items.iter_mut().for_each(forget),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_listed_is_on_no_answer_and_nothing_tells_whether_it_was_there() {
    let secret = json!({"identifier": [{"system": "urn:ssn", "value": "078-05-1120"}], "telecom": [{"system": "phone", "value": "555-0100"}]});
    let paths = [
        "Patient/ann",
        "Patient/ann/_history",
        "Patient?name=Ann",
        "Patient?_summary=true",
        "Patient?_elements=identifier",
        "Observation?_id=obs-ann-1&_include=Observation:patient",
        "Patient?_id=ann&_revinclude=Observation:patient",
        "Patient/ann/$everything",
        "Patient/ann/*",
        "Organization/hospital",
        "Organization",
    ];
    let mut answers = Vec::new();
    for more in [secret.clone(), json!({})] {
        let world = world(listed(LIST)).await;
        world.server.import(&[ann(&more).to_string()]).await;
        let (ann_token, who) = (world.ann().await, clinician(&world).await);
        let (_, own) = get(&world, &ann_token, "Patient/ann").await;
        assert_eq!(own["identifier"], *more.get("identifier").unwrap_or(&Value::Null), "the own record is whole");
        assert!(codes(&own).is_empty());
        let (status, seen) = get(&world, &who, "Patient/ann").await;
        assert_eq!((status, codes(&seen)), (200, vec!["REDACTED"]), "{seen}");
        // What only a hidden reference leads to is not there; it is for the patient.
        assert_eq!(get(&world, &who, "Organization/hospital").await.0, 404);
        assert_eq!(get(&world, &ann_token, "Organization/hospital").await.0, 200);
        let port = world.server.fhir_base.clone();
        let mut of_world = Vec::new();
        for path in paths {
            let (status, text) = told(&world, &who, path).await;
            assert_eq!(status, if path == "Organization/hospital" { 404 } else { 200 }, "{path}: {text}");
            assert!(!text.contains("078-05") && !text.contains("555-0100"), "{path}: {text}");
            of_world.push((path, status, text.replace(&port, "BASE")));
        }
        let batch =
            json!({"resourceType": "Bundle", "type": "batch", "entry": [{"request": {"method": "GET", "url": "Patient/ann"}}]});
        let answer = world.server.client.post("/fhir").bearer(&who).fhir(batch.to_string()).send().await;
        assert!(answer.text().contains("REDACTED") && !answer.text().contains("078-05"), "{}", answer.text());
        answers.push(of_world);
    }
    let [with, without] = answers.as_slice() else { panic!() };
    for (one, other) in with.iter().zip(without) {
        // The page's bookmark and the ids of the server are the only things that may differ; neither is there.
        assert_eq!(one, other);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_over_what_is_not_shown_is_refused_wherever_it_stands_and_whatever_is_stored() {
    let world = world(listed(LIST)).await;
    world.server.import(&[ann(&json!({"identifier": [{"value": "078-05-1120"}]})).to_string()]).await;
    let (ann_token, who) = (world.ann().await, clinician(&world).await);
    assert_eq!(ids(&get(&world, &ann_token, "Patient?identifier=078-05-1120").await.1), ["ann"]);
    for (path, parameter) in [
        ("Patient?identifier=078-05-1120", "identifier of Patient"),
        ("Patient?identifier=other", "identifier of Patient"),
        ("Patient?identifier:missing=true", "identifier of Patient"),
        ("Patient?_sort=identifier", "identifier of Patient"),
        ("Patient?email=x", "email of Patient"),
        ("Observation?patient.identifier=078-05-1120", "identifier of Patient"),
        ("Observation?subject:Patient.identifier=other", "identifier of Patient"),
        ("Organization?_has:Encounter:service-provider:status=finished", "service-provider of Encounter"),
        ("Encounter?_include=Encounter:service-provider", "service-provider of Encounter"),
        ("Observation?method=x", "method of Observation"),
    ] {
        let (status, outcome) = get(&world, &who, path).await;
        let text = outcome["issue"][0]["diagnostics"].as_str().unwrap_or_default();
        assert_eq!(status, 403, "{path}: {outcome}");
        assert!(text.contains(parameter), "{path}: {text}");
        assert_eq!(get(&world, &ann_token, path).await.0, 200, "{path}");
    }
    // Conditions are searches, too.
    let create = world.server.client.post("/fhir/Patient").bearer(&who).header("if-none-exist", "identifier=078-05-1120");
    assert_eq!(create.fhir(ann(&json!({})).to_string()).send().await.status, 403);
    let put = world.server.client.request(Method::PUT, "/fhir/Patient?identifier=other").bearer(&who);
    assert_eq!(put.fhir(ann(&json!({})).to_string()).send().await.status, 403);
    // So are the criteria of a scope.
    let scoped = world.app.access_token("user/Patient.rs?identifier=078-05-1120", "who", PASSWORD).await;
    for path in ["Patient", "Patient/ann"] {
        assert_eq!(get(&world, &scoped, path).await.0, 403, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_see_all_of_a_resource_does_not_replace_it() {
    verifies!("FHIR-SEC-35");
    let world = world(listed(LIST)).await;
    let (ann_token, who) = (world.ann().await, clinician(&world).await);
    let note = json!({"resourceType": "Observation", "id": "obs-ann-1", "status": "amended", "code": {"text": "c"}, "subject": {"reference": "Patient/ann"}});
    let path = "/fhir/Observation/obs-ann-1";
    let client = &world.server.client;
    let before = get(&world, &ann_token, "Observation/obs-ann-1").await.1;
    let put = client.request(Method::PUT, path).bearer(&who).fhir(note.to_string()).send().await;
    assert_eq!(put.status, 422, "{}", put.text());
    assert!(put.text().contains("would be lost"), "{}", put.text());
    let seen = get(&world, &who, "Observation/obs-ann-1").await.1;
    assert!(codes(&seen).contains(&"REDACTED"), "{seen}");
    let back = client.request(Method::PUT, path).bearer(&who).fhir(seen.to_string()).send().await;
    assert_eq!(back.status, 422, "as it was shown: {}", back.text());
    let document = json!([{"op": "replace", "path": "/status", "value": "amended"}]);
    let patch = client.request(Method::PATCH, path).bearer(&who).header("content-type", "application/json-patch+json");
    assert_eq!(patch.bytes(document.to_string()).send().await.status, 422);
    let conditional =
        client.request(Method::PUT, "/fhir/Observation?_id=obs-ann-1").bearer(&who).fhir(note.to_string()).send().await;
    assert_eq!(conditional.status, 422);
    let put = json!({"resource": note, "request": {"method": "PUT", "url": "Observation/obs-ann-1"}});
    let transaction = json!({"resourceType": "Bundle", "type": "transaction", "entry": [put]});
    assert_eq!(client.post("/fhir").bearer(&who).fhir(transaction.to_string()).send().await.status, 422);
    assert_eq!(get(&world, &ann_token, "Observation/obs-ann-1").await.1, before);
    // What somebody makes comes back as a read would show it.
    let mut new = note.clone();
    new.as_object_mut().unwrap().remove("id");
    new["note"] = json!([{"text": "seen by the writer alone"}]);
    let made = client.post("/fhir/Observation").bearer(&who).fhir(new.to_string()).send().await;
    assert_eq!((made.status.as_u16(), made.json()["note"].clone()), (201, Value::Null), "{}", made.text());
    assert!(codes(&made.json()).contains(&"REDACTED"));
    // A type of which nothing is hidden is not concerned, and who sees everything changes everything.
    assert_eq!(client.request(Method::PUT, path).bearer(&ann_token).fhir(note.to_string()).send().await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_element_with_a_label_of_its_own_is_for_who_is_cleared_and_found_by_nobody() {
    verifies!("LABEL-15");
    let world = world(LabelPolicy::default()).await;
    let (ann_token, who) = (world.ann().await, clinician(&world).await);
    let label = |code| json!([{"url": inline::INLINE_LABEL, "valueCoding": {"system": CONFIDENTIALITY, "code": code}}]);
    let labelled =
        ann(&json!({"identifier": [{"extension": label("R"), "value": "078-05-1120"}, {"value": "open"}], "generalPractitioner":
        [{"extension": label("R"), "reference": "Practitioner/other"}]}));
    let client = &world.server.client;
    let put = client.request(Method::PUT, "/fhir/Patient/ann").bearer(&ann_token).fhir(labelled.to_string()).send().await;
    assert_eq!(put.status, 200, "{}", put.text());
    let (_, own) = get(&world, &ann_token, "Patient/ann").await;
    assert_eq!((own["identifier"].as_array().unwrap().len(), codes(&own)), (2, vec!["R", "PROCESSINLINELABEL"]), "{own}");
    for path in ["Patient/ann", "Patient?name=Ann", "Patient/ann/_history?_count=1"] {
        let (status, seen) = get(&world, &who, path).await;
        let text = seen.to_string();
        assert!(
            status == 200 && !text.contains("078-05") && text.contains("open") && text.contains("REDACTED"),
            "{path}: {text}"
        );
    }
    for token in [&ann_token, &who] {
        assert!(ids(&get(&world, token, "Patient?identifier=078-05-1120").await.1).is_empty());
        assert!(ids(&get(&world, token, "Patient?general-practitioner=Practitioner/other").await.1).is_empty());
        assert_eq!(ids(&get(&world, token, "Patient?identifier=open").await.1), ["ann"]);
    }
    // The reference shows its target to nobody.
    assert_eq!(get(&world, &who, "Practitioner/other").await.0, 404);
    let put = client.request(Method::PUT, "/fhir/Patient/ann").bearer(&who).fhir(ann(&json!({})).to_string()).send().await;
    assert_eq!(put.status, 422, "{}", put.text());
    // A label that is left out counts for the whole from then on.
    let bare = ann(&json!({"identifier": [{"value": "078-05-1120"}]}));
    assert_eq!(
        client.request(Method::PUT, "/fhir/Patient/ann").bearer(&ann_token).fhir(bare.to_string()).send().await.status,
        200
    );
    assert_eq!(codes(&get(&world, &ann_token, "Patient/ann").await.1), ["R"]);
    assert_eq!(get(&world, &who, "Patient/ann").await.0, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_record_is_more_confidential_for_who_sees_more_of_it() {
    verifies!("LABEL-16");
    let world = world(LabelPolicy::default()).await;
    let psychiatry = json!([{"system": CONFIDENTIALITY, "code": "N"}, {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "NOREUSE"}]);
    let label = json!([{"url": inline::INLINE_LABEL, "valueCoding": {"system": CONFIDENTIALITY, "code": "V"}}]);
    let labelled = ann(&json!({"meta": {"security": psychiatry}, "identifier": [{"extension": label, "value": "x"}]}));
    world.server.import(&[labelled.to_string()]).await;
    let (ann_token, who) = (world.ann().await, clinician(&world).await);
    let (_, own) = get(&world, &ann_token, "Patient/ann").await;
    let (_, seen) = get(&world, &who, "Patient/ann").await;
    assert_eq!(codes(&own), ["V", "NOREUSE", "PROCESSINLINELABEL"]);
    assert_eq!(codes(&seen), ["N", "NOREUSE", "PROCESSINLINELABEL", "REDACTED"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purpose_that_wants_no_names_gets_none_and_cannot_search_by_them() {
    verifies!("SPM-11");
    let general = Clearances::default();
    let research = Clearances { client: general.client.deidentified(), clinician: general.clinician.deidentified(), ..general };
    let policy = LabelPolicy { purposes: [(PurposeOfUse::RESEARCH, research)].into(), ..LabelPolicy::default() };
    let world = world(policy).await;
    let key = ClientKey::generate("k", "ES384");
    let keys = KeySource::value(&key.jwks().to_string()).unwrap();
    let backend = world.server.add_backend("research", "system/*.rs", key, keys).await;
    let purposes = ["HRESCH", "HOPERAT"].map(|code| serde_json::from_value(json!(code)).unwrap());
    world.server.change_client("research", |client| client.properties.purposes = purposes.to_vec()).await;
    let token = backend.token(world.server.clock.now_seconds(), "1", "system/*.rs").await;
    let ask = |path: &'static str, purpose: &'static str| {
        let category = format!("http://terminology.hl7.org/CodeSystem/v3-ActReason#{purpose}");
        world.server.client.get(&format!("/fhir/{path}")).bearer(&token).header("category", &category).send()
    };
    let named = ask("Patient/ann", "HOPERAT").await;
    assert!(named.status == 200 && named.text().contains("\"family\":\"Ann\""), "{}", named.text());
    for path in ["Patient/ann", "Patient?_id=ann", "Patient?gender:missing=true", "Patient/ann/$everything"] {
        for purpose in ["HRESCH", "CLINTRCH"] {
            let answer = ask(path, purpose).await;
            let text = answer.text();
            assert_eq!(answer.status, 200, "{path}: {text}");
            assert!(
                !text.contains("Ann") && !text.contains("1970-01-01") && text.contains("\"1970\"") && text.contains("PSEUDED"),
                "{path}: {text}"
            );
        }
    }
    for path in [
        "Patient?name=Ann",
        "Patient?birthdate=1970-01-01",
        "Observation?patient.family=Ann",
        "Patient?_sort=birthdate",
        "Observation?_lastUpdated=gt2000-01-01",
        "Observation?_sort=-_lastUpdated",
        "Observation?_tag=t",
        "Patient/ann/_history?_since=2000-01-01T00:00:00Z",
    ] {
        assert_eq!(ask(path, "HRESCH").await.status, 403, "{path}");
        assert_eq!(ask(path, "HOPERAT").await.status, 200, "{path}");
    }
    // Of no time more than the year is told: not by what stands first, nor by what a version says of itself.
    for (purpose, order) in [("HOPERAT", ["obs-ann-2", "obs-ann-1"]), ("HRESCH", ["obs-ann-1", "obs-ann-2"])] {
        let first = ask("Observation?patient=ann&_count=1", purpose).await.json();
        assert_eq!(ids(&first), order[..1], "{purpose}");
        let next = first["link"].as_array().unwrap().iter().find(|link| link["relation"] == "next").unwrap();
        let next = next["url"].as_str().unwrap().split_once("/fhir").unwrap().1;
        let category = format!("http://terminology.hl7.org/CodeSystem/v3-ActReason#{purpose}");
        let request = world.server.client.get(&format!("/fhir{next}")).bearer(&token).header("category", &category);
        assert_eq!(ids(&request.send().await.json()), order[1..], "{purpose}");
    }
    let category = "http://terminology.hl7.org/CodeSystem/v3-ActReason#HRESCH";
    for path in ["/fhir/Patient/ann", "/fhir/Patient/ann/_history", "/fhir/Observation?patient=ann"] {
        let request = world.server.client.get(path).bearer(&token).header("category", category);
        let answer = request.header("if-modified-since", "Sat, 21 Nov 2020 20:00:00 GMT").send().await;
        let (status, text) = (answer.status.as_u16(), answer.text());
        assert!(status == 200 && !text.contains("2020-11") && text.contains("2020-01-01T00:00:00"), "{path}: {status} {text}");
        let modified = answer.headers.get("last-modified").map(|value| value.to_str().unwrap());
        assert!(modified.is_none_or(|modified| modified == "Wed, 01 Jan 2020 00:00:00 GMT"), "{modified:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_gets_what_both_its_user_and_its_registration_are_cleared_for() {
    let labels = |codes: &[&str]| codes.iter().fold(Labels::NONE, |labels, code| labels | Labels::named(code).unwrap());
    let clinician_cleared = Clearance::up_to(Confidentiality::Restricted, labels(&["HIV", "PSY"]));
    let world = world(Clearances { clinician: clinician_cleared, ..Clearances::default() }.into()).await;
    let condition = |id: &str, code: &str| {
        json!({"resourceType": "Condition", "id": id, "subject": {"reference": "Patient/ann"},
            "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": code}]}})
    };
    let records = [condition("open", "E11.9"), condition("hiv", "B20"), condition("psy", "F32.1"), condition("sud", "F11.20")];
    world.server.import(&records.map(|record| record.to_string())).await;
    for (registered, by_patient, by_clinician) in [
        (None, vec!["hiv", "open", "psy", "sud"], vec!["hiv", "open", "psy"]),
        (Some("R,HIV,OPIOIDUD"), vec!["hiv", "open", "sud"], vec!["hiv", "open"]),
        (Some("N"), vec!["open"], vec!["open"]),
        (Some("V,*"), vec!["hiv", "open", "psy", "sud"], vec!["hiv", "open", "psy"]),
    ] {
        let clearance = registered.map(|text| RegisteredClearance::parse(text).unwrap());
        let (ann_token, who) = (world.ann().await, clinician(&world).await);
        // It counts for tokens that were issued before.
        world.server.change_client("app", |client| client.properties.clearance = clearance).await;
        for (token, expected) in [(&ann_token, &by_patient), (&who, &by_clinician)] {
            let (status, found) = get(&world, token, "Condition?_sort=_id").await;
            assert_eq!((status, ids(&found)), (200, expected.iter().map(|id| (*id).to_owned()).collect()), "{registered:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_label_that_nobody_understands_withholds_or_not_as_the_operator_says() {
    verifies!("LABEL-05");
    let general = Clearances::default();
    for (clinician_cleared, expected) in [(general.clinician, 404), (general.clinician.with_unknown(), 200)] {
        let world = world(Clearances { clinician: clinician_cleared, ..general }.into()).await;
        let label = json!([{"system": "urn:own", "code": "SECRET"}]);
        world.server.import(&[ann(&json!({"meta": {"security": label}})).to_string()]).await;
        let (ann_token, who) = (world.ann().await, clinician(&world).await);
        let (status, seen) = get(&world, &who, "Patient/ann").await;
        assert_eq!(status, expected);
        if expected == 200 {
            assert_eq!(codes(&seen), ["SECRET"]);
        }
        assert_eq!(codes(&get(&world, &ann_token, "Patient/ann").await.1), ["SECRET"]);
        // Either way there is a record of it.
        let attempts = world
            .server
            .records()
            .into_iter()
            .filter(|record| record.operations.iter().any(|one| one.id.as_deref() == Some("ann")));
        assert!(attempts.filter(|record| record.agent.user.is_some()).count() >= 2);
    }
}
