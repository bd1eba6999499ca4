//! Rules of the operator over HTTP: by role, client, network, hours, purpose and content; what is tried; what a reload changes; and why, explained.

use std::sync::Arc;

use portcullis_audit::record::Record;
use portcullis_oauth::principal::ImplicitPolicy;
use portcullis_oauth::users::Role;
use portcullis_policy::OperatorRules;
use portcullis_server::admin::protocol::{Request, Response};
use portcullis_server::admin::{Caller, Comes, ExplainRequest, Explained, Service};
use portcullis_server::context::AuthorizationSettings;
use portcullis_server::operator_rules::Held;
use portcullis_testkit::resources::encounter;
use portcullis_testkit::server::{PASSWORD, TestServer};
use portcullis_verifies::verifies;
use serde_json::{Value, json};

use super::world::{World, ids};

/// From the next request on, these rules hold.
fn hold(world: &World, text: &str) {
    let rules = OperatorRules::parse(text, &world.server.fhir_base, &|_| None).unwrap_or_else(|problems| panic!("{problems:?}"));
    world.server.server.operator_rules.exchange(Held { rules: Arc::new(rules), text: String::new(), digest: "test".to_owned() });
}

fn deny(world: &World, more: &str) {
    hold(world, &format!("[[rule]]\nname = 'r'\neffect = 'deny'\n{more}\n"));
}

async fn get(world: &World, token: &str, path: &str) -> (u16, Value) {
    let answer = world.server.client.get(&format!("/fhir/{path}")).bearer(token).send().await;
    (answer.status.as_u16(), answer.json())
}

/// What the last record says of the operator's rules.
fn said(world: &World) -> Vec<String> {
    let last: Record = world.server.records().into_iter().rfind(|record| !record.rules.is_empty()).unwrap();
    last.rules.into_iter().filter(|rule| rule.starts_with("rule:")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_denies_by_each_attribute_of_a_request_and_the_client_learns_no_more_than_before() {
    let world = World::start().await;
    let who = world.app.access_token("user/*.cruds", "who", PASSWORD).await;
    let ann = world.ann().await;
    assert_eq!(get(&world, &who, "Observation/obs-ann-1").await.0, 200);
    let (_, refused) = get(&world, &world.app.access_token("user/*.rs", "admin", PASSWORD).await, "Observation/obs-ann-1").await;
    // The clock of the tests stands at ten on a Saturday, and they come from this machine.
    for (text, denied) in [
        ("types = ['Observation']\nwhen = { roles = ['clinician'] }", true),
        ("types = ['Condition']\nwhen = { roles = ['clinician'] }", false),
        ("when = { roles = ['patient'] }", false),
        ("when = { clients = ['app'], roles = ['clinician'] }", true),
        ("when = { clients = ['other'] }", false),
        ("when = { users = ['Practitioner/who'] }", true),
        ("when = { networks = ['127.0.0.0/8', '::1'], roles = ['clinician'] }", true),
        ("when = { networks = ['10.0.0.0/8'] }", false),
        ("when = { roles = ['clinician'] }\nunless = { networks = ['127.0.0.0/8', '::1'] }", false),
        ("when = { roles = ['clinician'] }\nunless = { networks = ['10.0.0.0/8'] }", true),
        ("when = { roles = ['clinician'], hours = { days = ['sat'], from = '09:00', to = '11:00', zone = 'UTC' } }", true),
        ("when = { roles = ['clinician'], hours = { days = ['sat'], from = '09:00', to = '11:00', zone = '+02:00' } }", false),
        (
            "when = { roles = ['clinician'] }\nunless = { hours = { days = ['mon-fri'], from = '00:00', to = '24:00', zone = 'UTC' } }",
            true,
        ),
        ("when = { purpose = ['TREAT'], roles = ['clinician'] }", true),
        ("when = { roles = ['clinician'] }\nunless = { purpose = ['TREAT'] }", false),
        ("interactions = 's'\nwhen = { roles = ['clinician'] }", false),
    ] {
        deny(&world, text);
        let (status, body) = get(&world, &who, "Observation/obs-ann-1").await;
        assert_eq!(status, if denied { 403 } else { 200 }, "{text}");
        if denied {
            assert_eq!(body, refused, "{text}");
            assert_eq!(said(&world), ["rule:r=deny"], "{text}");
        }
        assert_eq!(
            get(&world, &ann, "Observation/obs-ann-1").await.0,
            if text.contains("'patient'") { 403 } else { 200 },
            "{text}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_a_rule_hides_is_met_nowhere_and_answers_as_one_that_is_absent() {
    let world = World::start().await;
    let who = world.app.access_token("user/*.cruds", "who", PASSWORD).await;
    deny(&world, "types = ['Observation']\ncriteria = ['date=2026-01-01']\nwhen = { roles = ['clinician'] }");
    let absent = |value: Value| value.to_string().replace("obs-ann-1", "obs-no-one");
    for path in ["Observation/obs-ann-1", "Observation/obs-ann-1/_history"] {
        let (status, hidden) = get(&world, &who, path).await;
        let (nothing, other) = get(&world, &who, &path.replace("obs-ann-1", "obs-no-one")).await;
        assert_eq!((status, absent(hidden)), (nothing, absent(other)), "{path}");
        assert_eq!(status, 404);
    }
    assert_eq!(ids(&get(&world, &who, "Observation").await.1), ["obs-ann-2"]);
    assert_eq!(get(&world, &who, "Observation?_summary=count").await.1["total"], 1);
    assert_eq!(ids(&get(&world, &who, "Patient?_has:Observation:patient:date=2026-01-01").await.1), Vec::<String>::new());
    let everything = ids(&get(&world, &who, "Patient/ann/$everything").await.1);
    assert!(everything.contains(&"obs-ann-2".to_owned()) && !everything.contains(&"obs-ann-1".to_owned()), "{everything:?}");
    assert_eq!(ids(&get(&world, &world.ann().await, "Observation").await.1).len(), 2, "the patient sees both");
    let body = json!({"resourceType": "Observation", "id": "obs-ann-1", "status": "final", "code": {"text": "x"}, "subject": {"reference": "Patient/ann"}, "effectiveDateTime": "2026-01-01"});
    for (path, id) in [("Observation/obs-ann-1", "obs-ann-1"), ("Observation/obs-no-one", "obs-no-one")] {
        let mut body = body.clone();
        body["id"] = json!(id);
        let answer = world
            .server
            .client
            .request(http::Method::PUT, &format!("/fhir/{path}"))
            .bearer(&who)
            .fhir(body.to_string())
            .send()
            .await;
        assert_eq!(answer.status.as_u16(), 404, "{path}: {}", answer.text());
    }
    let answer = world.server.client.post("/fhir/Observation").bearer(&who).fhir(body.to_string()).send().await;
    assert_eq!(answer.status.as_u16(), 403, "what would be hidden cannot be written");
}

/// The front desk of the hospital: demographics of its patients, and nothing else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_front_desk_sees_demographics_of_the_patients_of_its_organisation_and_nothing_else() {
    let world = World::start().await;
    world.server.add_user("desk", &[Role::Staff], Some("Practitioner/desk"), &[]).await;
    let role = json!({"resourceType": "PractitionerRole", "id": "desk", "practitioner": {"reference": "Practitioner/desk"}, "organization": {"reference": "Organization/hospital"}});
    world.server.import(&[role.to_string()]).await;
    let desk = world.app.access_token("user/*.cruds", "desk", PASSWORD).await;
    assert_eq!(get(&world, &desk, "Patient/ann").await.0, 403, "nothing without a rule");
    hold(
        &world,
        "[[rule]]\nname = 'front-desk'\neffect = 'permit'\nrelationship = 'organization'\ntypes = ['Patient', 'Encounter']\n\
         interactions = 'rs'\nwhen = { roles = ['staff'] }\n",
    );
    assert_eq!(get(&world, &desk, "Patient/ann").await.0, 200);
    assert_eq!(said(&world), ["rule:front-desk=permit"]);
    assert_eq!(get(&world, &desk, "Patient/bob").await, (404, get(&world, &desk, "Patient/bob").await.1));
    assert_eq!(ids(&get(&world, &desk, "Patient").await.1), ["ann"]);
    assert_eq!(ids(&get(&world, &desk, "Encounter").await.1), ["enc-ann"]);
    assert_eq!(get(&world, &desk, "Condition").await.0, 403);
    assert_eq!(get(&world, &desk, "Observation/obs-ann-1").await.0, 403);
    let written = world
        .server
        .client
        .request(http::Method::PUT, "/fhir/Patient/ann")
        .bearer(&desk)
        .fhir(json!({"resourceType": "Patient", "id": "ann"}).to_string())
        .send()
        .await;
    assert_eq!(written.status.as_u16(), 403);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_that_is_tried_is_on_record_and_changes_no_answer() {
    let world = World::start().await;
    let who = world.app.access_token("user/*.cruds", "who", PASSWORD).await;
    let paths = ["Observation?_sort=_id", "Observation/obs-ann-1", "Patient/ann"];
    let mut before = Vec::new();
    for path in paths {
        before.push(get(&world, &who, path).await);
    }
    for (text, told) in [
        ("types = ['Observation']", ["rule:r=would-deny", "rule:r=would-deny", ""]),
        ("types = ['Observation']\ncriteria = ['date=2026-01-01']", ["rule:r=would-hide:1", "rule:r=would-hide:1", ""]),
        ("when = { clients = ['other'] }", ["", "", ""]),
    ] {
        deny(&world, &format!("shadow = true\n{text}"));
        for ((path, before), told) in paths.iter().zip(&before).zip(told) {
            let (status, body) = get(&world, &who, path).await;
            assert_eq!(
                (status, ids(&body), body["id"].clone()),
                (before.0, ids(&before.1), before.1["id"].clone()),
                "{text} {path}"
            );
            let expected: Vec<&str> = Some(told).filter(|told| !told.is_empty()).into_iter().collect();
            assert_eq!(said(&world), expected, "{text} {path}");
        }
    }
}

/// A page of this server asks for the same rules, and for the address that its browser has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_about_networks_holds_on_pages_too() {
    let world = World::start().await;
    deny(&world, "when = { roles = ['clinician'] }\nunless = { networks = ['127.0.0.0/8', '::1'] }");
    let at_chart = world.app.authorize("launch/patient patient/*.rs", "who", PASSWORD).await;
    assert_eq!(at_chart["patient"], "ann", "the only patient in care is chosen");
}

async fn explain(world: &World, request: ExplainRequest) -> Explained {
    let service = Service::new(Arc::clone(&world.server.server));
    match service.answer(&Caller::named("root"), Request::Explain(Box::new(request))).await {
        Response::Explained(explained) => *explained,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_decision_is_explained_rule_by_rule_and_the_explanation_is_on_record() {
    let world = World::start().await;
    let of = |user: &str, record: &str| ExplainRequest {
        interaction: "read".to_owned(),
        record: record.to_owned(),
        user: Some(user.to_owned()),
        client: "app".to_owned(),
        scopes: "user/*.rs".to_owned(),
        patient: None,
        purpose: None,
        address: None,
        at: None,
    };
    let said = |explained: &Explained, rule: &str| {
        let all = explained.steps.iter().chain(explained.ways.iter().flatten());
        all.filter(|step| step.rule == rule).find_map(|step| step.says)
    };
    let seen = explain(&world, of("who", "Observation/obs-ann-1")).await;
    assert_eq!((seen.comes, said(&seen, "scope"), said(&seen, "boundary")), (Comes::Permit, Some(true), Some(true)));
    let care = seen.steps.iter().find(|step| step.rule == "relationship:care").unwrap();
    assert!(care.because.contains("Encounter/enc-ann"), "{care:?}");
    assert!(seen.plain.starts_with("Yes"), "{}", seen.plain);
    // A visit that did not take place is no reason, and is not told as one.
    world.server.import(&[encounter("enc-bob", "bob", "who", "hospital").replace("finished", "cancelled")]).await;
    let hidden = explain(&world, of("who", "Observation/obs-bob-1")).await;
    let care = hidden.steps.iter().find(|step| step.rule == "relationship:care").unwrap();
    assert_eq!((care.says, care.because.contains("enc-bob")), (None, false), "{care:?}");
    let change = |record| ExplainRequest { interaction: "update".into(), scopes: "user/*.cruds".into(), ..of("who", record) };
    assert_eq!(explain(&world, change("Observation/obs-ann-1")).await.comes, Comes::Permit);
    assert_eq!(explain(&world, change("Observation/obs-bob-1")).await.comes, Comes::Hidden);
    assert_eq!((hidden.comes, said(&hidden, "boundary")), (Comes::Hidden, Some(false)));
    assert!(hidden.plain.contains("has to do with this patient"), "{}", hidden.plain);
    assert_eq!(explain(&world, of("who", "Observation/nothing")).await.comes, Comes::Absent);
    let scopes =
        explain(&world, ExplainRequest { scopes: "user/Condition.rs".into(), ..of("who", "Observation/obs-ann-1") }).await;
    assert_eq!((scopes.comes, said(&scopes, "scope")), (Comes::Deny, Some(false)));
    deny(&world, "types = ['Observation']\ncriteria = ['date=2026-01-01']\nunless = { networks = ['10.0.0.0/8'] }");
    let ruled = explain(&world, of("who", "Observation/obs-ann-1")).await;
    assert_eq!((ruled.comes, said(&ruled, "rule:r"), said(&ruled, "criteria")), (Comes::Hidden, Some(false), Some(false)));
    assert!(ruled.plain.contains("a rule of the organisation"), "{}", ruled.plain);
    let from = ExplainRequest { address: Some("10.0.0.7".parse().unwrap()), ..of("who", "Observation/obs-ann-1") };
    assert_eq!(explain(&world, from).await.comes, Comes::Permit);
    deny(&world, "types = ['Observation']");
    let ruled = explain(&world, ExplainRequest { interaction: "update".into(), ..of("who", "Observation/obs-ann-1") }).await;
    assert_eq!((ruled.comes, said(&ruled, "rule:r")), (Comes::Deny, Some(false)));
    let last = world
        .server
        .records()
        .into_iter()
        .rfind(|record| record.detail.as_deref().is_some_and(|detail| detail.contains("explained")));
    let detail = last.unwrap().detail.unwrap();
    assert!(detail.contains("who through app, update") && detail.contains("deny"), "{detail}");
    let service = Service::new(Arc::clone(&world.server.server));
    for request in [
        ExplainRequest { user: Some("nobody".into()), ..of("who", "Patient/ann") },
        of("who", "Patients/ann"),
        ExplainRequest { client: "none".into(), ..of("who", "Patient/ann") },
    ] {
        let refused = service.answer(&Caller::named("root"), Request::Explain(Box::new(request))).await;
        assert!(matches!(refused, Response::Refused(_)), "{refused:?}");
    }
}

/// The law of a state, the policy of a house, and what patients have said.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_obeys_the_law_of_its_place_its_implicit_policy_and_what_patients_said() {
    verifies!("SEED-SKIN-14");
    verifies!("SEED-USCORE-23");
    let concept = |system: &str, code: &str| json!({"coding": [{"system": system, "code": code}]});
    let consent = |effect: &str| {
        json!({
            "resourceType": "Consent", "id": "c", "status": "active", "patient": {"reference": "Patient/ann"}, "dateTime": "2020-01-01",
            "scope": concept("http://terminology.hl7.org/CodeSystem/consentscope", "patient-privacy"),
            "category": [concept("http://loinc.org", "59284-0")], "policy": [{"uri": "https://example.org/c"}], "provision": {"type": effect},
        })
    };
    let of_place = |place: &str| {
        let rule = |name: &str, place: &str, denied: &str| {
            format!("[[rule]]\nname = '{name}'\neffect = 'deny'\njurisdictions = ['{place}']\ntypes = ['{denied}']\n")
        };
        let rules = [("texas", "US-TX", "Observation"), ("california", "US-CA", "Encounter")];
        format!("jurisdictions = ['{place}']\n{}", rules.map(|(name, place, denied)| rule(name, place, denied)).concat())
    };
    for (implicit, unsaid) in [(ImplicitPolicy::AllNormal, 200), (ImplicitPolicy::Deny, 404)] {
        let settings = AuthorizationSettings { implicit_consent: implicit, ..Default::default() };
        let world = World::over(TestServer::start_with(settings).await).await;
        let who = world.app.access_token("user/*.rs", "who", PASSWORD).await;
        for (said, otherwise) in [(None, unsaid), (Some("permit"), 200), (Some("deny"), 404)] {
            if let Some(effect) = said {
                world.server.import(&[consent(effect).to_string()]).await;
            }
            for (place, observation, encounter) in
                [("US-TX", 403, otherwise), ("US-CA", otherwise, 403), ("US-NY", otherwise, otherwise)]
            {
                hold(&world, &of_place(place));
                let came = (get(&world, &who, "Observation/obs-ann-1").await.0, get(&world, &who, "Encounter/enc-ann").await.0);
                assert_eq!(came, (observation, encounter), "{place}, {implicit:?}, {said:?}");
            }
        }
    }
}
