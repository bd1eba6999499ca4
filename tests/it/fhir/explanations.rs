//! Why somebody could or could not see a record, over HTTPS: which consent and which labels decided, who may ask, and what is on record of it.

use http::Method;
use portcullis_audit::record::Event;
use portcullis_oauth::clients::KeySource;
use portcullis_store::Clock as _;
use portcullis_testkit::server::PASSWORD;
use portcullis_testkit::{ClientKey, Reply};
use serde_json::{Value, json};

use super::break_glass::{REASON, break_glass, entitled};
use super::world::World;

const PATH: &str = "/admin/policy/explain";

async fn ask(world: &World, token: &str, question: &Value) -> Reply {
    let request = world.server.client.request(Method::POST, PATH).bearer(token);
    let reply = request.header("content-type", "application/json").bytes(question.to_string()).send().await;
    for step in reply.json()["steps"].as_array().into_iter().flatten() {
        assert!(step["because"].as_str().is_some_and(|because| !because.is_empty()), "says nothing: {step}");
    }
    reply
}

/// A token of a client that may ask, or may not.
async fn token(world: &World, id: &str, explains: bool) -> String {
    let key = ClientKey::generate("key-1", "ES384");
    let keys = KeySource::value(&key.jwks().to_string()).unwrap();
    let client = world.server.add_backend(id, "system/Location.r", key, keys).await;
    world.server.change_client(id, |client| client.properties.explains_decisions = explains).await;
    client.token(world.server.clock.now_seconds(), "1", "system/Location.r").await
}

fn question(user: &str, interaction: &str, record: &str) -> Value {
    json!({"interaction": interaction, "record": record, "user": user, "client": "app", "scopes": "user/*.cruds"})
}

fn concept(system: &str, code: &str) -> Value {
    json!({"coding": [{"system": system, "code": code}]})
}

fn consent(id: &str, provision: Value) -> Value {
    json!({
        "resourceType": "Consent",
        "id": id,
        "status": "active",
        "scope": concept("http://terminology.hl7.org/CodeSystem/consentscope", "patient-privacy"),
        "category": [concept("http://loinc.org", "59284-0")],
        "patient": {"reference": "Patient/ann"},
        "dateTime": "2020-01-01",
        "policy": [{"uri": format!("https://example.org/{id}")}],
        "provision": provision,
    })
}

fn says<'a>(explained: &'a Value, rule: &str) -> Vec<(&'a Value, &'a str)> {
    let steps = explained["steps"].as_array().unwrap().iter().filter(|step| step["rule"] == rule);
    steps.map(|step| (&step["says"], step["because"].as_str().unwrap())).collect()
}

/// Ann forbids what Dr. Who does not need; her record of an infection is labelled by its code.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_explanation_names_the_consent_its_version_and_provision_and_each_label_with_its_reason() {
    let world = World::start().await;
    let types = "http://hl7.org/fhir/resource-types";
    let conditions = json!({"type": "deny", "class": [{"system": types, "code": "Observation"}]});
    let actor = json!([{"role": concept("http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "IRCP"), "reference": {"reference": "Practitioner/who"}}]);
    let infection = json!({"resourceType": "Condition", "id": "infection", "subject": {"reference": "Patient/ann"},
        "code": concept("http://hl7.org/fhir/sid/icd-10-cm", "B20"),
        "meta": {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "PSY"}]}});
    world
        .server
        .import(&[
            consent("c", json!({"type": "permit", "actor": actor, "provision": [conditions]})).to_string(),
            consent("silent", json!({"type": "deny", "purpose": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HRESCH"}]}))
                .to_string(),
            infection.to_string(),
        ])
        .await;
    let token = token(&world, "explainer", true).await;
    let stored = world.server.client.get("/fhir/Consent/c").bearer(&world.ann().await).send().await.json();
    let version = stored["meta"]["versionId"].as_str().unwrap();

    let denied = ask(&world, &token, &question("who", "read", "Observation/obs-ann-1")).await.json();
    assert_eq!(denied["comes"], "hidden", "{denied}");
    let told = denied["consents"].as_array().unwrap();
    let deciding: Vec<&Value> = told.iter().filter(|consent| consent["decided"] == true).collect();
    assert_eq!(deciding.len(), 1);
    let expected = ["Consent/c", version, "Patient/ann", "confirmed", "deny", "Consent.provision.provision[0]"];
    let members = ["consent", "version", "patient", "standing", "says", "provision"];
    assert_eq!(members.map(|member| deciding[0][member].as_str().unwrap()), expected);
    let silent = told.iter().find(|consent| consent["consent"] == "Consent/silent").unwrap();
    assert!(silent["says"].is_null() && silent["decided"] == false, "{silent}");
    let [(no, because)] = says(&denied, "consent")[..] else { panic!("{denied}") };
    assert!(
        *no == json!(false) && because.contains("Consent/c") && because.contains("Consent.provision.provision[0]"),
        "{because}"
    );
    assert!(denied["plain"].as_str().unwrap().contains("consent does not allow it (Consent/c)"), "{denied}");
    assert!(
        denied["plain_spanish"].as_str().unwrap().contains("el consentimiento del paciente no lo permite (Consent/c)"),
        "{denied}"
    );

    let permitted = ask(&world, &token, &question("who", "read", "Encounter/enc-ann")).await.json();
    assert_eq!(permitted["comes"], "permit", "{permitted}");
    let deciding = permitted["consents"].as_array().unwrap().iter().find(|consent| consent["decided"] == true).unwrap();
    assert_eq!((&deciding["consent"], &deciding["provision"]), (&json!("Consent/c"), &json!("Consent.provision")));
    assert!(permitted["plain"].as_str().unwrap().ends_with("and the consent Consent/c allows it."), "{permitted}");

    let own = ask(&world, &token, &question("ann", "read", "Observation/obs-ann-1")).await.json();
    assert_eq!(own["comes"], "permit");
    assert!(says(&own, "consent")[0].1.contains("own record"), "{own}");

    let labelled = ask(&world, &token, &question("who", "read", "Condition/infection")).await.json();
    let of = |code: &str| labelled["labels"].as_array().unwrap().iter().find(|label| label["code"] == code).unwrap().clone();
    let why = |code: &str| of(code)["why"][0].as_str().unwrap().to_owned();
    assert!(why("HIV").contains("http://hl7.org/fhir/sid/icd-10-cm|B20"), "{labelled}");
    assert!(why("R").contains("B20"), "{labelled}");
    assert_eq!(why("PSY"), "whoever wrote the record gave it");
    assert_eq!(of("HIV")["cleared"], labelled["comes"] == "permit");
    assert_eq!(says(&labelled, "label:HIV").len(), 1);
}

/// The same question decides as the request does, and a consent about writing counts for writing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_explanation_comes_to_what_the_request_comes_to() {
    let world = World::start().await;
    let actions = json!([concept("http://terminology.hl7.org/CodeSystem/consentaction", "correct")]);
    world.server.import(&[consent("c", json!({"type": "deny", "action": actions})).to_string()]).await;
    let token = token(&world, "explainer", true).await;
    let who = world.app.access_token("user/*.cruds", "who", PASSWORD).await;
    for (record, interaction, comes) in [
        ("Observation/obs-ann-1", "read", "permit"),
        ("Observation/obs-ann-1", "search", "permit"),
        ("Observation/obs-ann-1", "update", "hidden"),
        ("Observation/obs-bob-1", "read", "hidden"),
        ("Practitioner/who", "read", "permit"),
        ("Practitioner/other", "read", "hidden"),
        ("Observation/none", "read", "absent"),
        ("AuditEvent", "search", "deny"),
    ] {
        let explained = ask(&world, &token, &question("who", interaction, record)).await.json();
        assert_eq!(explained["comes"], comes, "{interaction} {record}: {explained}");
        if interaction == "read" {
            let status = world.server.client.get(&format!("/fhir/{record}")).bearer(&who).send().await.status;
            assert_eq!(status == 200, comes == "permit", "{record}");
        }
        if comes == "permit" {
            let ways = explained["ways"].as_array().unwrap();
            let all = |way: &Value| way.as_array().unwrap().iter().all(|step| step["says"] == true);
            assert!(ways.iter().any(all), "some way shows it: {explained}");
        }
    }
    // A change is explained as a change, and not as a read that would come before it.
    for (user, interaction, record, scopes, comes) in [
        ("ann", "update", "Observation/obs-ann-1", "user/Observation.u", "permit"),
        ("ann", "update", "Observation/obs-ann-1", "user/Observation.rs", "deny"),
        ("ann", "delete", "Observation/obs-ann-1", "user/Observation.d", "permit"),
        ("ann", "update", "Observation/obs-bob-1", "user/*.cruds", "hidden"),
        ("ann", "update", "Observation/none", "user/Observation.u", "absent"),
        ("ann", "create", "Observation", "user/Observation.c", "permit"),
        ("ann", "create", "Observation", "user/Observation.rs", "deny"),
        ("who", "delete", "Observation/obs-ann-1", "user/Observation.d", "hidden"),
    ] {
        let asked = json!({"interaction": interaction, "record": record, "user": user, "client": "app", "scopes": scopes});
        let explained = ask(&world, &token, &asked).await.json();
        assert_eq!(explained["comes"], comes, "{asked}: {explained}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_programs_that_are_registered_for_it_ask_and_each_explanation_is_an_access_on_record() {
    let world = World::start().await;
    let asked = question("who", "read", "Observation/obs-bob-1");
    let ordinary = token(&world, "ordinary", false).await;
    let explainer = token(&world, "explainer", true).await;
    let officer = world.app.access_token("user/*.cruds", "officer", PASSWORD).await;
    let admin = world.app.access_token("user/*.cruds", "admin", PASSWORD).await;
    for (token, status) in [(ordinary.as_str(), 403), (&officer, 403), (&admin, 403), ("x.y.z", 401)] {
        let reply = ask(&world, token, &asked).await;
        assert_eq!(reply.status, status, "{}", reply.text());
        let absent = ask(&world, token, &question("who", "read", "Observation/none")).await;
        assert_eq!((absent.status, absent.text()), (reply.status, reply.text()), "whatever is stored");
    }
    let get = world.server.client.get(PATH).bearer(&explainer).send().await;
    assert_eq!((get.status.as_u16(), get.header("allow")), (405, "POST"));
    for wrong in [
        json!({}),
        json!([]),
        json!({"interaction": "read"}),
        question("who", "look", "Patient/ann"),
        question("who", "read", "Patients/ann"),
        json!({"interaction": "read", "record": "Patient/ann", "client": "app", "scopes": "user/*.rs", "user": "who", "more": 1}),
    ] {
        assert_eq!(ask(&world, &explainer, &wrong).await.status, 400, "{wrong}");
    }
    assert_eq!(ask(&world, &explainer, &question("nobody", "read", "Patient/ann")).await.status, 404);
    let reply = ask(&world, &explainer, &asked).await;
    assert_eq!((reply.status.as_u16(), reply.header("cache-control")), (200, "no-store"));
    let record = world.server.records().into_iter().rfind(|record| record.event == Event::Administration).unwrap();
    assert_eq!((record.agent.client.as_deref(), record.agent.user.as_deref()), (Some("explainer"), None));
    assert!(record.agent.token.is_some());
    let detail = record.detail.unwrap();
    assert!(detail.contains("who through app, read observation/obs-bob-1: hidden"), "{detail}");
    let operation = &record.operations[0];
    assert_eq!((operation.resource_type.as_deref(), operation.id.as_deref()), (Some("Observation"), Some("obs-bob-1")));
    assert_eq!(operation.patients, ["bob"], "Bob's trail says who asked about his record");
    world.server.change_client("explainer", |client| client.properties.explains_decisions = false).await;
    assert_eq!(ask(&world, &explainer, &asked).await.status, 403, "ended with the request before");
}

/// Whatever hides a record, whoever asks for it learns what one learns of a record that is not there: only an explanation tells them apart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_to_whoever_is_kept_out_differs_and_each_explanation_does() {
    let world = World::start().await;
    let observed = |id: &str, more: &str| {
        format!(
            r#"{{"resourceType":"Observation","id":"{id}","status":"final","code":{{"text":"x"}},"subject":{{"reference":"Patient/ann"}}{more}}}"#
        )
    };
    let very = r#","meta":{"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"V"}]}"#;
    let types = json!([{"system": "http://hl7.org/fhir/resource-types", "code": "Observation"}]);
    let data = json!([{"meaning": "instance", "reference": {"reference": "Observation/by-consent"}}]);
    world
        .server
        .import(&[
            observed("by-label-x", very),
            observed("by-consent", ""),
            observed("by-rule-xx", r#","effectiveDateTime":"1999-01-01""#),
            observed("of-another", "").replace("Patient/ann", "Patient/bob"),
            consent("c", json!({"type": "deny", "class": types, "data": data})).to_string(),
        ])
        .await;
    let rules = "[[rule]]\nname = 'old'\neffect = 'deny'\ntypes = ['Observation']\ncriteria = ['date=1999']\nwhen = { roles = ['clinician'] }\n";
    let rules = portcullis_policy::OperatorRules::parse(rules, &world.server.fhir_base, &|_| None).unwrap();
    let held = portcullis_server::operator_rules::Held { rules: rules.into(), ..Default::default() };
    world.server.server.operator_rules.exchange(held);
    let explainer = token(&world, "explainer", true).await;
    let who = world.app.access_token("user/*.cruds", "who", PASSWORD).await;
    let answers = async |id: &str| {
        let mut all = Vec::new();
        for path in [
            "Observation/@",
            "Observation/@/_history",
            "Observation/@/_history/1",
            "Observation?_id=@&_total=accurate",
            "Observation?_id=@&_summary=count",
        ] {
            let reply = world.server.client.get(&format!("/fhir/{}", path.replace('@', id))).bearer(&who).send().await;
            let mut headers: Vec<String> = reply.headers.keys().map(ToString::to_string).collect();
            headers.sort_unstable();
            // A Bundle has an id of its own and a moment.
            let mut body = reply.json();
            for member in ["id", "meta", "timestamp"] {
                body.as_object_mut().unwrap().remove(member);
            }
            all.push((reply.status.as_u16(), headers, body.to_string().replace(id, "@")));
        }
        let body = observed(id, "");
        let put =
            world.server.client.request(Method::PUT, &format!("/fhir/Observation/{id}")).bearer(&who).fhir(body).send().await;
        let delete = world.server.client.request(Method::DELETE, &format!("/fhir/Observation/{id}")).bearer(&who).send().await;
        all.extend([put, delete].map(|reply| (reply.status.as_u16(), Vec::new(), reply.text().replace(id, "@"))));
        all
    };
    let absent = answers("not-there-").await;
    let mut reasons = Vec::new();
    for id in ["by-label-x", "by-consent", "by-rule-xx", "of-another"] {
        assert_eq!(answers(id).await, absent, "{id}");
        let explained = ask(&world, &explainer, &question("who", "read", &format!("Observation/{id}"))).await.json();
        assert_eq!(explained["comes"], "hidden", "{id}: {explained}");
        let plain = explained["plain"].as_str().unwrap().to_owned();
        assert!(!reasons.contains(&plain), "{id}: {plain}");
        reasons.push(plain);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_broke_the_glass_is_told_so_for_that_patient_and_as_long_as_it_is_broken() {
    let world = World::start().await;
    let token = token(&world, "explainer", true).await;
    world
        .server
        .import(&[
            json!({"resourceType": "Patient", "id": "cleo", "name": [{"given": ["Cleo"], "family": "Miller"}], "birthDate": "1970-01-01"}).to_string()
        ])
        .await;
    let asked = async |at: Option<i64>, record: &str| {
        let mut question = question("who", "read", record);
        question["purpose"] = "BTG".into();
        question["at"] = at.into();
        ask(&world, &token, &question).await.json()["comes"].clone()
    };
    assert_eq!(asked(None, "Patient/cleo").await, "deny", "not entitled");
    let (mut who, _) = entitled(&world).await;
    assert_eq!(asked(None, "Patient/cleo").await, "deny", "entitled, and not broken");
    let reply = break_glass(&mut who, ["Cleo Miller", "1970-01-01", REASON]).await;
    assert_eq!(reply.status, 303, "{}", reply.text());
    assert_eq!(asked(None, "Patient/cleo").await, "permit");
    assert_eq!(asked(None, "Patient/bob").await, "hidden");
    let now = world.server.clock.now_seconds();
    for at in [now - 60, now + 24 * 3600] {
        assert_eq!(asked(Some(at), "Patient/cleo").await, "deny", "before and after");
    }
}
