//! App state over HTTPS (SMART App Launch 2.2.0, "Persisting App State"): off by default, and where it is on an app sees and changes its own state alone.

use http::Method;
use portcullis_audit::record::Outcome;
use portcullis_oauth::capabilities::{Capabilities, Capability};
use portcullis_oauth::clients::{AppStateEntitlement, ClientProperties};
use portcullis_server::context::AuthorizationSettings;
use portcullis_testkit::client::Reply;
use portcullis_testkit::server::PASSWORD;
use portcullis_testkit::{App, TestServer};
use portcullis_verifies::verifies;
use serde_json::{Value, json};

use crate::fhir::World;

const SCOPE: &str = "launch/patient patient/Basic.cuds user/Basic.cuds patient/Basic.s patient/*.rs";
const PREFERENCES: &str = "https://app.example|preferences";
const KEYS: &str = "https://app.example|keys";

/// A server with app state switched on, and an app with a code of its own.
struct Keeping {
    world: World,
    app: App,
}

impl Keeping {
    async fn start() -> Self {
        let capabilities = Capabilities::default().and([Capability::SmartAppState]);
        let settings = AuthorizationSettings { capabilities, ..AuthorizationSettings::default() };
        let world = World::over(TestServer::start_with(settings).await).await;
        let app =
            Self::app(&world, "keeper", &["modify=https://app.example|preferences", "modify=https://app.example|keys"]).await;
        Self { world, app }
    }

    async fn app(world: &World, id: &str, codes: &[&str]) -> App {
        let app = world.server.add_app(id, SCOPE, false).await;
        let app_state = codes.iter().map(|code| AppStateEntitlement::parse(code).unwrap()).collect();
        world.server.set_properties(id, ClientProperties { app_state, ..ClientProperties::default() }).await;
        app
    }

    async fn ann(&self) -> String {
        self.app.access_token("launch/patient patient/Basic.cuds", "ann", PASSWORD).await
    }

    /// The absolute reference that a subject is.
    fn absolute(&self, reference: &str) -> String {
        format!("{}/{reference}", self.world.server.fhir_base)
    }

    /// A state with a text.
    fn state(&self, code: &str, subject: Option<&str>, text: &str) -> Value {
        let (system, code) = code.split_once('|').unwrap();
        let mut state = json!({"resourceType": "Basic", "code": {"coding": [{"system": system, "code": code}]},
            "extension": [{"url": "https://app.example/state", "valueString": text}]});
        if let Some(subject) = subject {
            state["subject"] = json!({"reference": self.absolute(subject)});
        }
        state
    }

    async fn send(&self, token: &str, (method, path): (Method, &str), if_match: Option<&str>, body: Option<&Value>) -> Reply {
        let client = &self.world.server.client;
        let mut request = client.request(method, path).bearer(token);
        if let Some(body) = body {
            request = request.fhir(body.to_string());
        }
        if let Some(tag) = if_match {
            request = request.header("if-match", tag);
        }
        request.send().await
    }

    async fn create(&self, token: &str, state: &Value) -> Reply {
        self.send(token, (Method::POST, "/app-state/Basic"), None, Some(state)).await
    }

    async fn created(&self, token: &str, state: &Value) -> Value {
        let reply = self.create(token, state).await;
        assert_eq!(reply.status, 201, "{}", reply.text());
        reply.json()
    }

    async fn search(&self, token: &str, query: &str) -> Reply {
        self.send(token, (Method::GET, &format!("/app-state/Basic?{query}")), None, None).await
    }

    fn about(&self, code: &str, subject: Option<&str>) -> String {
        let subject =
            subject.map_or_else(|| "subject:missing=true".to_owned(), |subject| format!("subject={}", self.absolute(subject)));
        format!("code={}&{subject}", code.replace('|', "%7C"))
    }

    /// The texts that a search finds.
    async fn found(&self, token: &str, code: &str, subject: Option<&str>) -> Vec<String> {
        let reply = self.search(token, &self.about(code, subject)).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let entries = reply.json()["entry"].as_array().cloned().unwrap_or_default();
        entries.iter().map(|entry| entry["resource"]["extension"][0]["valueString"].as_str().unwrap().to_owned()).collect()
    }
}

fn tag(state: &Value) -> String {
    format!("W/\"{}\"", state["meta"]["versionId"].as_str().unwrap())
}

fn path(state: &Value) -> String {
    format!("/app-state/Basic/{}", state["id"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn app_state_is_not_there_unless_it_is_switched_on() {
    let world = World::start().await;
    let app = Keeping::app(&world, "keeper", &["modify=https://app.example|preferences"]).await;
    let token = app.access_token("launch/patient patient/Basic.cuds", "ann", PASSWORD).await;
    let document = world.server.client.get("/fhir/.well-known/smart-configuration").send().await.json();
    assert!(!document.to_string().contains("app-state") && document.get("associated_endpoints").is_none());
    for (method, path) in
        [(Method::POST, "/app-state/Basic"), (Method::GET, "/app-state/Basic?code=https://app.example|preferences")]
    {
        let reply = world.server.client.request(method, path).bearer(&token).fhir("{}").send().await;
        assert_eq!(reply.status, 404);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_keeps_changes_finds_and_removes_its_state_of_a_patient_a_user_and_of_all() {
    verifies!("SMART-74");
    let keeping = Keeping::start().await;
    let document = keeping.world.server.client.get("/fhir/.well-known/smart-configuration").send().await.json();
    let base = document["associated_endpoints"][0]["url"].as_str().unwrap();
    assert_eq!(base, format!("{}/app-state", keeping.world.server.server.settings.public_url));
    assert!(document["capabilities"].as_array().unwrap().contains(&json!("smart-app-state")));

    let ann = keeping.ann().await;
    let state = keeping.state(PREFERENCES, Some("Patient/ann"), "dark");
    let reply = keeping.create(&ann, &state).await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    let first = reply.json();
    assert_eq!((reply.header("etag"), reply.header("cache-control")), (tag(&first).as_str(), "no-store"));
    assert_eq!(reply.header("location"), format!("{base}/Basic/{}", first["id"].as_str().unwrap()));
    assert_eq!(
        (&first["code"], &first["subject"], &first["extension"]),
        (&state["code"], &state["subject"], &state["extension"])
    );
    assert_eq!(keeping.found(&ann, PREFERENCES, Some("Patient/ann")).await, ["dark"]);
    assert_eq!(keeping.create(&ann, &state).await.status, 409, "one state of a code and subject");
    let other = keeping.created(&ann, &keeping.state(KEYS, Some("Patient/ann"), "key")).await;

    // "requiring the presence of If-Match", "412 if the version does not reflect the most recent one, or if subject or code does not match".
    let change = |subject: Option<&str>, text: &str| {
        let mut state = keeping.state(PREFERENCES, subject, text);
        state["id"] = first["id"].clone();
        state
    };
    let light = change(Some("Patient/ann"), "light");
    let put = |if_match: Option<String>, body: Value| {
        let (keeping, ann, place) = (&keeping, &ann, path(&first));
        async move { keeping.send(ann, (Method::PUT, &place), if_match.as_deref(), Some(&body)).await }
    };
    assert_eq!(put(None, light.clone()).await.status, 400);
    assert_eq!(put(Some("W/\"elsewhere\"".into()), light.clone()).await.status, 412);
    assert_eq!(put(Some(tag(&first)), change(None, "light")).await.status, 412);
    let mut moved = keeping.state(KEYS, Some("Patient/ann"), "light");
    moved["id"] = first["id"].clone();
    assert_eq!(put(Some(tag(&first)), moved).await.status, 412);
    let reply = put(Some(tag(&first)), light.clone()).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let second = reply.json();
    assert_eq!((reply.header("etag"), &second["id"]), (tag(&second).as_str(), &first["id"]));
    assert_ne!(tag(&second), tag(&first));
    assert_eq!(put(Some(tag(&first)), light.clone()).await.status, 412, "the version before");
    assert_eq!(keeping.found(&ann, PREFERENCES, Some("Patient/ann")).await, ["light"]);

    let delete = |if_match: Option<String>| {
        let (keeping, ann, place) = (&keeping, &ann, path(&first));
        async move { keeping.send(ann, (Method::DELETE, &place), if_match.as_deref(), None).await.status }
    };
    assert_eq!(delete(None).await, 400);
    assert_eq!(delete(Some(tag(&first))).await, 412);
    assert_eq!(delete(Some(tag(&second))).await, 204);
    assert_eq!(delete(Some(tag(&second))).await, 412, "whatever is asked about a state that is gone fails its precondition");
    assert_eq!(put(Some(tag(&second)), light).await.status, 412);
    assert!(keeping.found(&ann, PREFERENCES, Some("Patient/ann")).await.is_empty());
    assert_eq!(keeping.found(&ann, KEYS, Some("Patient/ann")).await, ["key"], "{other}");

    // A user's, and what is the same for all.
    let who = keeping.app.access_token("user/Basic.cuds", "who", PASSWORD).await;
    keeping.created(&who, &keeping.state(PREFERENCES, Some("Practitioner/who"), "doctor")).await;
    assert_eq!(keeping.found(&who, PREFERENCES, Some("Practitioner/who")).await, ["doctor"]);
    let administering = Keeping::app(&keeping.world, "manager", &["administer=https://app.example|preferences"]).await;
    let admin = administering.access_token("user/Basic.cuds", "admin", PASSWORD).await;
    assert_eq!(keeping.create(&who, &keeping.state(PREFERENCES, None, "all")).await.status, 403);
    keeping.created(&admin, &keeping.state(PREFERENCES, None, "all")).await;
    assert_eq!(keeping.found(&who, PREFERENCES, None).await, ["all"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neither_another_app_nor_another_person_learns_of_a_state_or_changes_it() {
    verifies!("SMART-74");
    let keeping = Keeping::start().await;
    let ann = keeping.ann().await;
    let state = keeping.created(&ann, &keeping.state(PREFERENCES, Some("Patient/ann"), "secret-of-ann")).await;

    // Another app of the same person: without the code, and with one that only looks like it.
    for (id, codes) in [
        ("stranger", &[][..]),
        ("alike", &["modify=https://app.example.org|preferences", "modify=https://app.example|Preferences"]),
    ] {
        let app = Keeping::app(&keeping.world, id, codes).await;
        let token = app.access_token("launch/patient patient/Basic.cuds user/Basic.cuds", "ann", PASSWORD).await;
        let query = keeping.about(PREFERENCES, Some("Patient/ann"));
        assert_eq!(keeping.search(&token, &query).await.status, 403, "{id}");
        assert_eq!(keeping.create(&token, &keeping.state(PREFERENCES, Some("Patient/ann"), "x")).await.status, 403, "{id}");
        // By its id: what is there answers as what is not.
        for place in [path(&state), "/app-state/Basic/nothing".to_owned()] {
            let expected = if codes.is_empty() { 403 } else { 412 };
            assert_eq!(
                keeping.send(&token, (Method::DELETE, &place), Some(&tag(&state)), None).await.status,
                expected,
                "{id} {place}"
            );
        }
    }

    // Another person with the same app; a patient in context does not open the user's, nor the other way round.
    let bob = keeping.app.access_token("launch/patient patient/Basic.cuds user/Basic.cuds", "bob", PASSWORD).await;
    assert!(keeping.found(&bob, PREFERENCES, Some("Patient/bob")).await.is_empty());
    assert_eq!(keeping.search(&bob, &keeping.about(PREFERENCES, Some("Patient/ann"))).await.status, 403);
    let hidden = keeping.send(&bob, (Method::DELETE, &path(&state)), Some(&tag(&state)), None).await;
    let absent = keeping.send(&bob, (Method::DELETE, "/app-state/Basic/nothing"), Some(&tag(&state)), None).await;
    assert_eq!((hidden.status, hidden.text()), (absent.status, absent.text()), "hidden and absent answer the same");
    assert_eq!(hidden.status, 412);
    let mut overwritten = keeping.state(PREFERENCES, Some("Patient/bob"), "x");
    overwritten["id"] = state["id"].clone();
    assert_eq!(keeping.send(&bob, (Method::PUT, &path(&state)), Some(&tag(&state)), Some(&overwritten)).await.status, 412);
    keeping.created(&bob, &keeping.state(PREFERENCES, Some("Patient/bob"), "of-bob")).await;
    let of_the_user = keeping.app.access_token("user/Basic.cuds", "who", PASSWORD).await;
    assert_eq!(keeping.search(&of_the_user, &keeping.about(PREFERENCES, Some("Patient/ann"))).await.status, 403);
    let any = keeping.search(&of_the_user, "code=https://app.example%7Cpreferences").await;
    assert_eq!((any.status.as_u16(), any.json()["total"].as_u64()), (200, Some(0)), "{}", any.text());

    // What is clinical finds nothing of it.
    assert_eq!(keeping.found(&ann, PREFERENCES, Some("Patient/ann")).await, ["secret-of-ann"]);
    let reader = keeping.world.ann().await;
    for path in [
        "/fhir/Basic".to_owned(),
        format!("/fhir/Basic/{}", state["id"].as_str().unwrap()),
        "/fhir/Patient/ann/$everything".into(),
    ] {
        let reply = keeping.world.server.client.get(&path).bearer(&reader).send().await;
        assert!(!reply.text().contains("secret-of-ann"), "{path}: {}", reply.text());
    }
    // Two apps with the same code share what is kept under it, and a companion only looks.
    let companion = Keeping::app(&keeping.world, "companion", &["query=https://app.example|preferences"]).await;
    let token = companion.access_token("launch/patient patient/Basic.cuds", "ann", PASSWORD).await;
    assert_eq!(keeping.found(&token, PREFERENCES, Some("Patient/ann")).await, ["secret-of-ann"]);
    assert_eq!(keeping.send(&token, (Method::DELETE, &path(&state)), Some(&tag(&state)), None).await.status, 403);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_requests_about_app_state_say_what_is_wrong_and_every_request_leaves_a_record() {
    let keeping = Keeping::start().await;
    let ann = keeping.ann().await;
    let good = keeping.state(PREFERENCES, Some("Patient/ann"), "x");
    assert_eq!(keeping.world.server.client.post("/app-state/Basic").fhir(good.to_string()).send().await.status, 401);
    let read_only = keeping.app.access_token("launch/patient patient/Basic.s", "ann", PASSWORD).await;
    let refused = keeping.create(&read_only, &good).await;
    assert_eq!(refused.status, 403);
    assert!(refused.header("www-authenticate").contains("insufficient_scope"), "{}", refused.header("www-authenticate"));
    for (change, status) in [
        (json!({"subject": {"reference": "Patient/ann"}}), 422),
        (json!({"code": {"text": "preferences"}}), 422),
        (json!({"extension": [{"url": "https://app.example/x", "valueBoolean": true}]}), 422),
        (json!({"author": {"reference": "Practitioner/who"}}), 422),
        (json!({"subject": {"reference": keeping.absolute("Patient/bob")}}), 403),
        (json!({"resourceType": "Observation"}), 400),
    ] {
        let mut state = good.clone();
        state.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let reply = keeping.create(&ann, &state).await;
        assert_eq!(reply.status, status, "{change}: {}", reply.text());
        assert_eq!(reply.json()["resourceType"], "OperationOutcome");
    }
    let large = keeping.state(PREFERENCES, Some("Patient/ann"), &"x".repeat(256 * 1024));
    assert_eq!(keeping.create(&ann, &large).await.status, 413);
    let largest = keeping.state(PREFERENCES, Some("Patient/ann"), "");
    let room = 256 * 1024 - largest.to_string().len();
    let kept = keeping.created(&ann, &keeping.state(PREFERENCES, Some("Patient/ann"), &"x".repeat(room))).await;
    for (method, path, status, allow) in [
        (Method::GET, path(&kept), 405, "PUT, DELETE"),
        (Method::GET, "/app-state/Basic".into(), 400, ""),
        (Method::GET, "/app-state/Basic?subject:missing=true".into(), 400, ""),
        (Method::GET, "/app-state/Basic?code=https://app.example|preferences&subject=Patient/ann".into(), 400, ""),
        (Method::GET, "/app-state/Patient/ann".into(), 404, ""),
        (Method::GET, "/app-state/Patient".into(), 404, ""),
        (Method::GET, "/app-state/Basic/_history".into(), 404, ""),
        (Method::GET, "/app-state/".into(), 404, ""),
    ] {
        let reply = keeping.send(&ann, (method, &path), None, None).await;
        assert_eq!((reply.status.as_u16(), reply.header("allow")), (status, allow), "{path}: {}", reply.text());
    }
    keeping.world.server.move_outbox().await;
    let records = keeping.world.server.records();
    let kept_record =
        records.iter().find(|record| record.operations.iter().any(|one| one.id.as_deref() == kept["id"].as_str())).unwrap();
    assert_eq!((kept_record.outcome, kept_record.agent.client.as_deref()), (Outcome::Success, Some("keeper")));
    assert_eq!(
        (kept_record.operations[0].interaction.as_str(), &kept_record.operations[0].patients),
        ("create", &vec!["ann".to_owned()])
    );
    assert!(kept_record.rules.iter().any(|rule| rule == "app-state=permit"), "{:?}", kept_record.rules);
    let denied = records
        .iter()
        .filter(|record| record.outcome == Outcome::Denied && record.operations.iter().any(|one| one.interaction == "create"));
    assert_eq!(denied.count(), 2, "the missing scope and Bob's subject");
}

/// A clinician keeps state about the patient in context for as long as that patient's record may be opened: a token that was given before says nothing of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clinician_reaches_the_state_about_a_patient_in_context_while_in_care_of_them() {
    let keeping = Keeping::start().await;
    let (of_ann, server) = (Some("Patient/ann"), &keeping.world.server);
    let who = keeping.app.access_token("launch/patient patient/Basic.cuds", "who", PASSWORD).await;
    let state = keeping.created(&who, &keeping.state(PREFERENCES, of_ann, "layout")).await;
    assert_eq!(keeping.found(&who, PREFERENCES, of_ann).await, ["layout"]);
    // The encounter was with somebody else.
    server.import(&[portcullis_testkit::resources::encounter("enc-ann", "ann", "other", "hospital")]).await;
    assert_eq!(keeping.search(&who, &keeping.about(PREFERENCES, of_ann)).await.status, 403);
    assert_eq!(keeping.create(&who, &keeping.state(PREFERENCES, of_ann, "x")).await.status, 403);
    assert_eq!(keeping.send(&who, (Method::DELETE, &path(&state)), Some(&tag(&state)), None).await.status, 403);
    let other = keeping.app.access_token("launch/patient patient/Basic.cuds", "ann", PASSWORD).await;
    assert_eq!(keeping.found(&other, PREFERENCES, of_ann).await, ["layout"], "it is there for whoever may");
}

/// Ann forbids the app her data: it finds its state no more, as if there were none, and can make none. A rule of the operator closes a code for everybody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consents_and_rules_of_the_operator_decide_about_state_as_about_records() {
    let keeping = Keeping::start().await;
    let (ann, server) = (keeping.ann().await, &keeping.world.server);
    let of_ann = Some("Patient/ann");
    let first = keeping.created(&ann, &keeping.state(PREFERENCES, of_ann, "dark")).await;
    let rules = "[[rule]]\nname = 'r'\neffect = 'deny'\ntypes = ['Basic']\ncriteria = ['code=https://app.example|keys']\n";
    let rules = portcullis_policy::OperatorRules::parse(rules, &server.fhir_base, &|_| None).unwrap();
    let held = portcullis_server::operator_rules::Held { rules: rules.into(), ..Default::default() };
    server.server.operator_rules.exchange(held);
    assert_eq!(keeping.create(&ann, &keeping.state(KEYS, of_ann, "k")).await.status, 403);
    assert_eq!(keeping.search(&ann, &keeping.about(KEYS, of_ann)).await.status, 403);
    assert_eq!(keeping.found(&ann, PREFERENCES, of_ann).await, ["dark"], "another code");
    server.server.operator_rules.exchange(Default::default());
    keeping.created(&ann, &keeping.state(KEYS, of_ann, "k")).await;

    let concept = |system: &str, code: &str| json!({"coding": [{"system": system, "code": code}]});
    let app = json!({"role": concept("http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "IRCP"),
        "reference": {"identifier": {"system": server.server.settings.public_url, "value": "keeper"}}});
    let consent = json!({"resourceType": "Consent", "id": "c", "status": "active", "patient": {"reference": "Patient/ann"}, "dateTime": "2020-01-01",
        "scope": concept("http://terminology.hl7.org/CodeSystem/consentscope", "patient-privacy"), "category": [concept("http://loinc.org", "59284-0")],
        "policy": [{"uri": "https://example.org/c"}], "provision": {"type": "deny", "actor": [app]}});
    server.import(&[consent.to_string()]).await;
    assert!(keeping.found(&ann, PREFERENCES, of_ann).await.is_empty(), "as if there were none");
    let mut light = keeping.state(PREFERENCES, of_ann, "light");
    light["id"] = first["id"].clone();
    let put = keeping.send(&ann, (Method::PUT, &path(&first)), Some(&tag(&first)), Some(&light)).await;
    assert_eq!(put.status, 412, "{}", put.text());
    assert_eq!(keeping.create(&ann, &keeping.state(PREFERENCES, of_ann, "light")).await.status, 403);
}
