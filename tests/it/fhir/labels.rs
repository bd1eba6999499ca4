//! Security labels over HTTP: a clinician who is not cleared for a label meets what it is on nowhere; the patient sees all of the own record.

use http::Method;
use portcullis_fhir::labels::{Clearance, Clearances, Confidentiality, Labels};
use portcullis_oauth::users::Role;
use portcullis_server::context::AuthorizationSettings;
use portcullis_testkit::TestServer;
use portcullis_testkit::resources::encounter;
use portcullis_testkit::server::PASSWORD;
use portcullis_verifies::verifies;
use serde_json::{Value, json};

use super::world::{World, ids};

const ICD: &str = "http://hl7.org/fhir/sid/icd-10-cm";
const CONFIDENTIALITY: &str = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality";
const ACT_CODE: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";

fn condition(id: &str, code: &str, security: &Value) -> Value {
    let mut condition = json!({
        "resourceType": "Condition", "id": id,
        "code": {"coding": [{"system": ICD, "code": code}]},
        "subject": {"reference": "Patient/ann"}, "asserter": {"reference": format!("Practitioner/of-{id}")},
        "encounter": {"reference": "Encounter/enc-ann"}, "onsetDateTime": "2026-01-05",
    });
    if *security != json!([]) {
        condition["meta"] = json!({"security": security});
    }
    condition
}

fn confidentiality(code: &str) -> Value {
    json!([{"system": CONFIDENTIALITY, "code": code}])
}

fn provenance(id: &str, target: &str) -> Value {
    json!({
        "resourceType": "Provenance", "id": id, "target": [{"reference": target}], "recorded": "2026-01-05T00:00:00Z",
        "agent": [{"who": {"reference": "Practitioner/who"}}],
    })
}

/// Ann has diabetes, and an alcohol use disorder that another practitioner has recorded.
async fn world() -> World {
    labelled(World::start().await).await
}

async fn labelled(world: World) -> World {
    let resources = [
        json!({"resourceType": "Practitioner", "id": "of-plain", "name": [{"family": "Plain"}]}),
        json!({"resourceType": "Practitioner", "id": "of-sud", "name": [{"family": "Addiction"}]}),
        condition("plain", "E11.9", &json!([])),
        condition("sud", "F10.20", &json!([])),
        provenance("about-plain", "Condition/plain"),
        provenance("about-sud", "Condition/sud"),
    ];
    world.server.import(&resources.map(|resource| resource.to_string())).await;
    world
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clinician_without_clearance_meets_nothing_of_a_sensitive_condition_and_the_patient_all() {
    verifies!("SEED-USCORE-22");
    let world = world().await;
    let (ann, who) = (world.ann().await, clinician(&world).await);
    let labels = get(&world, &ann, "Condition/sud").await.1["meta"]["security"].clone();
    for (system, code) in [(CONFIDENTIALITY, "R"), (ACT_CODE, "ETHUD")] {
        let has = labels.as_array().unwrap().iter().any(|label| label["system"] == system && label["code"] == code);
        assert!(has, "{system}|{code}: {labels}");
    }
    for path in ["Condition/sud", "Condition/sud/_history", "Practitioner/of-sud", "Provenance/about-sud"] {
        assert_eq!(get(&world, &ann, path).await.0, 200, "{path}");
        let (hidden, body) = get(&world, &who, path).await;
        let (absent, other) = get(&world, &who, &path.replace("sud", "nothing")).await;
        assert_eq!((hidden, &body), (404, &other), "{path}");
        assert_eq!(absent, 404);
    }
    // Each search with what the patient finds, and what the clinician finds.
    let searches: [(&str, &[&str], &[&str]); 10] = [
        ("Condition?_sort=_id", &["plain", "sud"], &["plain"]),
        ("Condition?code=F10.20", &["sud"], &[]),
        ("Condition?asserter=Practitioner/of-sud", &["sud"], &[]),
        ("Condition?_security=R", &["sud"], &[]),
        ("Condition?_security=ETHUD", &["sud"], &[]),
        (
            "Condition?encounter=Encounter/enc-ann&_include=Condition:asserter&_sort=_id",
            &["plain", "sud", "of-plain", "of-sud"],
            &["plain", "of-plain"],
        ),
        (
            "Condition?_sort=_id&_revinclude=Provenance:target",
            &["plain", "sud", "about-plain", "about-sud"],
            &["plain", "about-plain"],
        ),
        ("Patient?_has:Condition:patient:code=F10.20", &["ann"], &[]),
        ("Provenance?target=Condition/sud", &["about-sud"], &[]),
        ("Practitioner?name=Addiction", &["of-sud"], &[]),
    ];
    for (path, by_patient, by_clinician) in searches {
        let (status, found) = get(&world, &ann, path).await;
        assert_eq!((status, ids(&found)), (200, by_patient.iter().map(|id| (*id).to_owned()).collect()), "{path}");
        let (status, found) = get(&world, &who, path).await;
        assert_eq!((status, ids(&found)), (200, by_clinician.iter().map(|id| (*id).to_owned()).collect()), "{path}");
    }
    let (_, counted) = get(&world, &who, "Condition?_summary=count").await;
    assert_eq!(counted["total"], 1);
    let (_, counted) = get(&world, &ann, "Condition?_summary=count").await;
    assert_eq!(counted["total"], 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_to_what_is_hidden_answers_as_one_to_what_is_absent_and_none_goes_above_the_clearance() {
    let world = world().await;
    let who = clinician(&world).await;
    let client = &world.server.client;
    for id in ["sud", "nothing"] {
        let put = client
            .request(Method::PUT, &format!("/fhir/Condition/{id}"))
            .bearer(&who)
            .fhir(condition(id, "E11.9", &json!([])).to_string());
        assert_eq!(put.send().await.status, 404, "{id}");
        assert_eq!(
            client.request(Method::DELETE, &format!("/fhir/Condition/{id}")).bearer(&who).send().await.status,
            404,
            "{id}"
        );
    }
    for body in [condition("x", "B20", &json!([])), condition("x", "E11.9", &confidentiality("R"))] {
        let post = client.post("/fhir/Condition").bearer(&who).fhir(body.to_string()).send().await;
        assert_eq!(post.status, 403, "{}", post.text());
    }
    let put = client
        .request(Method::PUT, "/fhir/Condition/plain")
        .bearer(&who)
        .fhir(condition("plain", "F11.20", &json!([])).to_string());
    assert_eq!(put.send().await.status, 403);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_label_that_was_given_comes_back_and_no_update_takes_it_away() {
    verifies!("LABEL-01");
    let world = world().await;
    let ann = world.ann().await;
    let client = &world.server.client;
    let put = |security: Value, code: &'static str| {
        client
            .request(Method::PUT, "/fhir/Condition/plain")
            .bearer(&ann)
            .fhir(condition("plain", code, &security).to_string())
            .send()
    };
    let other = json!({"system": "http://example.org/labels", "code": "OWN", "display": "Of our own"});
    let mut given = confidentiality("R");
    given.as_array_mut().unwrap().push(other.clone());
    assert_eq!(put(given, "E11.9").await.status, 200);
    let (_, read) = get(&world, &ann, "Condition/plain").await;
    let security = read["meta"]["security"].as_array().unwrap();
    assert!(security.iter().any(|coding| coding["system"] == CONFIDENTIALITY && coding["code"] == "R"), "{read}");
    assert!(security.contains(&other), "{read}");
    let (_, found) = get(&world, &ann, &format!("Condition?_security={CONFIDENTIALITY}|R&code=E11.9")).await;
    assert_eq!(ids(&found), ["plain"]);
    for security in [confidentiality("N"), json!([])] {
        assert_eq!(put(security, "E11.9").await.status, 200);
        let (_, read) = get(&world, &ann, "Condition/plain").await;
        assert_eq!(codes(&read), ["OWN", "R"], "{read}");
    }
    // What was read may be written back: nothing is there twice.
    let (_, read) = get(&world, &ann, "Condition/sud").await;
    assert_eq!(codes(&read), ["R", "ETHUD"]);
    let again = client.request(Method::PUT, "/fhir/Condition/sud").bearer(&ann).fhir(read.to_string()).send().await;
    assert_eq!((again.status.as_u16(), codes(&again.json())), (200, vec!["R", "ETHUD"]));
    let (_, history) = get(&world, &ann, "Condition/plain/_history").await;
    let versions: Vec<Vec<&str>> = history["entry"].as_array().unwrap().iter().map(|entry| codes(&entry["resource"])).collect();
    assert_eq!(versions, [vec!["OWN", "R"], vec!["OWN", "R"], vec!["OWN", "R"], vec![]]);
}

/// A sensitivity, a confidentiality, a refrain and an obligation, given when a record is made.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn labels_that_a_record_was_made_with_are_on_every_answer_and_in_the_records_of_who_read_it() {
    // There is no export.
    verifies!("LABEL-02");
    let world = world().await;
    let ann = world.ann().await;
    let client = &world.server.client;
    let coding = |code: &str| json!({"system": ACT_CODE, "code": code});
    let given = json!([{"system": CONFIDENTIALITY, "code": "R"}, coding("PSY"), coding("NORDSCLCD"), coding("NORELINK"), coding("CPLYPOL")]);
    let expected = ["R", "PSY", "NORDSCLCD", "NORELINK", "CPLYPOL"];
    let whole = ["R", "CPLYPOL", "NORDSCLCD", "NORELINK"];
    let sorted = |resource: &Value| {
        let mut codes: Vec<String> = codes(resource).into_iter().map(str::to_owned).collect();
        codes.sort_by_key(|code| expected.iter().position(|one| one == code));
        codes
    };
    let mut new = condition("x", "I10", &given);
    new.as_object_mut().unwrap().remove("id");
    let made = client.post("/fhir/Condition").bearer(&ann).fhir(new.to_string()).send().await;
    assert_eq!(made.status, 201, "{}", made.text());
    let id = made.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(sorted(&made.json()), expected);
    let path = format!("Condition/{id}");
    // Left out and lowered: by nobody.
    for security in [json!([]), confidentiality("N"), json!([coding("NORELINK")])] {
        let mut lower = condition(&id, "I10", &security);
        lower["note"] = json!([{"text": security.to_string()}]);
        let put = client.request(Method::PUT, &format!("/fhir/{path}")).bearer(&ann).fhir(lower.to_string()).send().await;
        assert_eq!((put.status.as_u16(), sorted(&put.json())), (200, expected.map(str::to_owned).to_vec()), "{security}");
    }
    let document = json!([{"op": "remove", "path": "/meta/security"}]).to_string();
    let patch = client
        .request(Method::PATCH, &format!("/fhir/{path}"))
        .bearer(&ann)
        .header("content-type", "application/json-patch+json");
    assert_eq!(sorted(&patch.bytes(document).send().await.json()), expected);
    let (_, read) = get(&world, &ann, &path).await;
    assert_eq!(sorted(&read), expected);
    let version = read["meta"]["versionId"].as_str().unwrap();
    assert_eq!(sorted(&get(&world, &ann, &format!("{path}/_history/{version}")).await.1), expected);
    let batch =
        json!({"resourceType": "Bundle", "type": "batch", "entry": [{"request": {"method": "GET", "url": path}}]}).to_string();
    let answers = [
        get(&world, &ann, &format!("{path}/_history")).await.1,
        get(&world, &ann, &format!("Condition?_id={id}")).await.1,
        get(&world, &ann, "Encounter?_id=enc-ann&_revinclude=Condition:encounter&_revinclude:iterate=Provenance:target").await.1,
        get(&world, &ann, &format!("?_type=Condition&_id={id}")).await.1,
        get(&world, &ann, "Patient/ann/$everything").await.1,
        get(&world, &ann, "Patient/ann/*").await.1,
        client.post("/fhir").bearer(&ann).fhir(batch).send().await.json(),
    ];
    for (number, bundle) in answers.iter().enumerate() {
        let entries = bundle["entry"].as_array().unwrap().iter().map(|entry| &entry["resource"]);
        let ours: Vec<&Value> = entries.filter(|resource| resource["id"] == id.as_str()).collect();
        assert!(!ours.is_empty() && ours.iter().all(|resource| sorted(resource) == expected), "{number}: {bundle}");
        // On the whole one confidentiality, and what is to be done with any of it.
        assert_eq!(codes(bundle), whole, "{number}");
    }
    let summary = get(&world, &ann, &format!("Condition?_id={id}&_summary=true")).await.1;
    assert_eq!(codes(&summary), whole);
    let counted = get(&world, &ann, &format!("Condition?_id={id}&_summary=count")).await.1;
    assert!(codes(&counted).is_empty());
    // The records say it of what was made, changed and read, as AuditEvents as well.
    let of = |interaction: &str| -> Vec<Vec<String>> {
        let records = world.server.records();
        let operations = records.iter().flat_map(|record| &record.operations);
        let ours = operations.filter(|one| one.interaction == interaction && one.id.as_deref() == Some(&id));
        ours.map(|one| one.labels.clone()).collect()
    };
    for (interaction, count) in [("create", 1), ("update", 4), ("read", 2), ("vread", 1), ("history-instance", 1)] {
        let found = of(interaction);
        assert_eq!(found.len(), count, "{interaction}: {found:?}");
        assert!(found.iter().all(|labels| labels == &["R", "PSY", "NORDSCLCD"]), "{interaction}: {found:?}");
    }
    let trail = world.app.access_token("launch/patient patient/*.cruds patient/AuditEvent.rs", "ann", PASSWORD).await;
    world.server.move_outbox().await;
    let (_, events) = get(&world, &trail, "AuditEvent?_count=100").await;
    let labels = |event: &Value| {
        let entities = event["resource"]["entity"].as_array().cloned().unwrap_or_default();
        let own =
            entities.into_iter().find(|entity| entity["what"]["reference"].as_str().is_some_and(|what| what.contains(&path)));
        own.map(|entity| entity["securityLabel"].clone())
    };
    let labels: Vec<Value> = events["entry"].as_array().unwrap().iter().filter_map(labels).collect();
    let shown = json!([{"system": CONFIDENTIALITY, "code": "R"}, {"system": ACT_CODE, "code": "NORDSCLCD"}]);
    assert!(labels.len() >= 9 && labels.iter().all(|label| *label == shown), "{labels:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bundle_has_the_highest_confidentiality_of_what_it_shows() {
    verifies!("LABEL-03");
    let world = world().await;
    let (ann, who) = (world.ann().await, clinician(&world).await);
    let normal = condition("normal", "I10", &confidentiality("N"));
    let very = condition("very", "I10", &confidentiality("V"));
    world.server.import(&[normal.to_string(), very.to_string()]).await;
    for (token, path, expected) in [
        (&ann, "Condition", vec!["V"]),
        (&ann, "Condition?code=F10.20,I10&_id=sud,normal", vec!["R"]),
        (&ann, "Condition?_id=plain", vec![]),
        (&ann, "Condition?_summary=count", vec![]),
        (&ann, "Condition/very/_history", vec!["V"]),
        (&ann, "Condition?_id=plain&_revinclude=Provenance:target", vec![]),
        (&ann, "Provenance?target=Condition/sud", vec!["R"]),
        (&who, "Condition", vec!["N"]),
    ] {
        let (status, bundle) = get(&world, token, path).await;
        assert_eq!((status, codes(&bundle)), (200, expected), "{path}");
    }
    let read = |path| json!({"request": {"method": "GET", "url": path}});
    let batch =
        json!({"resourceType": "Bundle", "type": "batch", "entry": [read("Condition/normal"), read("Condition?_id=sud")]});
    let answer = world.server.client.post("/fhir").bearer(&ann).fhir(batch.to_string()).send().await;
    assert_eq!((answer.status.as_u16(), codes(&answer.json())), (200, vec!["R"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_contained_resource_with_a_label_is_refused() {
    verifies!("LABEL-09");
    let world = world().await;
    let ann = world.ann().await;
    let mut body = condition("x", "E11.9", &json!([]));
    body["contained"] =
        json!([{"resourceType": "Organization", "id": "o", "name": "O", "meta": {"security": confidentiality("N")}}]);
    let answer = world.server.client.post("/fhir/Condition").bearer(&ann).fhir(body.to_string()).send().await;
    assert_eq!(answer.status, 422);
    assert!(answer.text().contains("Condition.contained[0].meta.security"), "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clinician_sees_what_the_operator_clears_clinicians_for() {
    verifies!("LABEL-06");
    verifies!("SAFE-16");
    let cleared = |highest, codes: &[&str]| {
        Clearance::up_to(highest, codes.iter().fold(Labels::NONE, |labels, code| labels | Labels::named(code).unwrap()))
    };
    for (clinician_cleared, expected) in [
        (cleared(Confidentiality::Restricted, &["ETHUD"]), 200),
        (cleared(Confidentiality::Restricted, &["HIV"]), 404),
        (cleared(Confidentiality::Normal, &["ETHUD"]), 404),
    ] {
        let clearances = Clearances { clinician: clinician_cleared, ..Clearances::default() };
        let server = TestServer::start_with(AuthorizationSettings { labels: clearances.into(), ..Default::default() }).await;
        let world = labelled(World::over(server).await).await;
        let no_reuse = json!({"system": ACT_CODE, "code": "NOREUSE"});
        world.server.import(&[condition("sud", "F10.20", &json!([no_reuse])).to_string()]).await;
        let who = clinician(&world).await;
        let (status, read) = get(&world, &who, "Condition/sud").await;
        assert_eq!(status, expected, "{clinician_cleared:?}");
        assert_eq!(get(&world, &who, "Practitioner/of-sud").await.0, expected);
        if expected == 200 {
            let codings = read["meta"]["security"].as_array().unwrap();
            assert!(codings.iter().any(|label| label["system"] == ACT_CODE && label["code"] == "ETHUD"), "{read}");
            assert!(codings.contains(&no_reuse), "what is to be done with it is passed on: {read}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn test_data_is_hidden_where_the_operator_wants_it_and_found_by_its_mark() {
    verifies!("SPM-12");
    let clinician_cleared = Clearances::default().clinician.without_test_data();
    for (cleared, expected) in [(clinician_cleared, 0), (Clearances::default().clinician, 1)] {
        let clearances = Clearances { clinician: cleared, ..Clearances::default() };
        let server = TestServer::start_with(AuthorizationSettings { labels: clearances.into(), ..Default::default() }).await;
        let world = World::over(server).await;
        let mark = json!({"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HTEST"});
        let zoe = json!({"resourceType": "Patient", "id": "zoe", "meta": {"security": [mark]}, "name": [{"family": "Zoe"}]});
        world.server.import(&[zoe.to_string(), encounter("enc-zoe", "zoe", "who", "hospital")]).await;
        let tester = "zoe-tester";
        world.server.add_user(tester, &[Role::Patient], Some("Patient/zoe"), &["zoe"]).await;
        let (who, tester) =
            (clinician(&world).await, world.app.access_token("launch/patient patient/*.cruds", tester, PASSWORD).await);
        for path in ["Patient?name=Zoe", "Patient?_security=http://terminology.hl7.org/CodeSystem/v3-ActReason|HTEST"] {
            assert_eq!(ids(&get(&world, &who, path).await.1).len(), expected, "{path}");
            assert_eq!(ids(&get(&world, &tester, path).await.1), ["zoe"], "{path}");
        }
    }
}

const CLASSIFIER: &str = "http://hl7.org/fhir/uv/security-label-ds4p/StructureDefinition/extension-sec-label-classifier";

fn by(device: &Value) -> Value {
    json!({"url": CLASSIFIER, "valueReference": device})
}

/// Each label with who assigned it, as far as it says.
fn classified(resource: &Value) -> Vec<(String, Vec<Value>)> {
    let labels = resource["meta"]["security"].as_array().cloned().unwrap_or_default();
    let of_label = |label: &Value| {
        let extensions = label["extension"].as_array().cloned().unwrap_or_default();
        let classifiers = extensions.into_iter().filter(|extension| extension["url"] == CLASSIFIER);
        let told = classifiers.map(|extension| extension["valueReference"].clone()).collect();
        (label["code"].as_str().unwrap().to_owned(), told)
    };
    labels.iter().map(of_label).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn labels_that_the_server_assigned_name_it_and_no_client_can_say_so_or_deny_it() {
    verifies!("LABEL-14");
    let world = world().await;
    let ann = world.ann().await;
    let server = json!({"type": "Device", "identifier": {"system": "urn:ietf:rfc:3986", "value": world.server.fhir_base}});
    let lab = json!({"reference": "https://lab.example/fhir/Device/7"});
    let own = |code: &str| (code.to_owned(), vec![server.clone()]);
    let (status, labelled) = get(&world, &ann, "Condition/sud").await;
    assert_eq!(status, 200);
    let all = vec![own("R"), own("ETHUD")];
    assert_eq!(classified(&labelled), all, "{labelled}");
    // Within a searchset, and one element alone.
    let found = get(&world, &ann, "Condition?_id=sud&_elements=meta").await.1;
    assert_eq!(classified(&found["entry"][0]["resource"]), all);
    // Sent back as it came, or with somebody else's word, or the client's own: it stays the server's.
    for who in [&server, &lab, &json!({"display": "me"})] {
        let mut body = labelled.clone();
        for label in body["meta"]["security"].as_array_mut().unwrap() {
            label["extension"] = json!([by(who)]);
        }
        let put =
            world.server.client.request(Method::PUT, "/fhir/Condition/sud").bearer(&ann).fhir(body.to_string()).send().await;
        assert_eq!(put.status, 200, "{}", put.text());
        let mut again = classified(&get(&world, &ann, "Condition/sud").await.1);
        again.sort_by(|one, other| one.0.cmp(&other.0));
        let mut expected = all.clone();
        expected.sort_by(|one, other| one.0.cmp(&other.0));
        assert_eq!(again, expected, "{who}");
    }
    // What a client gives, the server did not assign, whoever is said to have: in this version and in those that keep it.
    for (id, claim) in [("forged", &server), ("labs", &lab)] {
        let security = json!([
            {"extension": [by(claim)], "system": ACT_CODE, "code": "PSY"},
            {"extension": [by(claim)], "system": "urn:own", "code": "LOCAL"},
        ]);
        world.server.import(&[condition(id, "E11.9", &security).to_string()]).await;
        let told: Vec<Value> = if claim == &lab { vec![lab.clone()] } else { Vec::new() };
        let expected: Vec<(String, Vec<Value>)> = ["LOCAL", "PSY"].map(|code| (code.to_owned(), told.clone())).to_vec();
        for _ in 0..2 {
            let (_, shown) = get(&world, &ann, &format!("Condition/{id}")).await;
            let mut labels = classified(&shown);
            labels.sort_by(|one, other| one.0.cmp(&other.0));
            assert_eq!(labels, expected, "{shown}");
            // The next version leaves them out, and has them.
            let put = world.server.client.request(Method::PUT, &format!("/fhir/Condition/{id}")).bearer(&ann);
            let put = put.fhir(condition(id, "E11.9", &json!([])).to_string()).send().await;
            assert_eq!(put.status, 200, "{}", put.text());
        }
        // Whoever says it or not, it is the same label.
        assert!(ids(&get(&world, &ann, "Condition?_security=PSY&_sort=_id").await.1).contains(&id.to_owned()));
    }
    assert_eq!(ids(&get(&world, &ann, "Condition?_security=ETHUD").await.1), ["sud"]);
    let who = clinician(&world).await;
    assert_eq!(get(&world, &who, "Condition/sud").await.0, 404);
}
