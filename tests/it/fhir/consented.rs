//! Consents decide: on the next request, whoever asks, in every kind of request, and when somebody has confirmed them.

use http::Method;
use portcullis_oauth::identifiers::UserId;
use portcullis_oauth::principal::ImplicitPolicy;
use portcullis_server::context::AuthorizationSettings;
use portcullis_store::consents::{ConsentConfirmation, How, NAMED_IN_IT, NOT_CURRENT, NOT_STANDING, OWN_WORK};
use portcullis_store::registry::{Change, RegistryError};
use portcullis_store::sign_in::SignInChange;
use portcullis_testkit::TestServer;
use portcullis_testkit::resources::observation;
use portcullis_testkit::server::PASSWORD;
use portcullis_verifies::verifies;
use serde_json::{Value, json};

use super::world::{World, ids};

const ACT_CODE: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";
const CONFIDENTIALITY: &str = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality";

fn concept(system: &str, code: &str) -> Value {
    json!({"coding": [{"system": system, "code": code}]})
}

fn actor(reference: Value) -> Value {
    json!({"role": concept("http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "IRCP"), "reference": reference})
}

/// An active privacy consent of Ann.
fn consent(own: &str, provision: Value) -> Value {
    json!({
        "resourceType": "Consent",
        "id": own,
        "status": "active",
        "scope": concept("http://terminology.hl7.org/CodeSystem/consentscope", "patient-privacy"),
        "category": [concept("http://loinc.org", "59284-0")],
        "patient": {"reference": "Patient/ann"},
        "dateTime": "2020-01-01",
        "policy": [{"uri": format!("https://example.org/{own}")}],
        "provision": provision,
    })
}

/// What denies Dr. Who everything.
fn without_who() -> Value {
    json!({"type": "deny", "actor": [actor(json!({"reference": "Practitioner/who"}))]})
}

fn with(mut consent: Value, member: &str, value: Value) -> Value {
    consent[member] = value;
    consent
}

async fn world(implicit: ImplicitPolicy) -> World {
    let settings = AuthorizationSettings { implicit_consent: implicit, ..Default::default() };
    World::over(TestServer::start_with(settings).await).await
}

impl World {
    async fn status(&self, token: &str, path: &str) -> u16 {
        self.server.client.get(&format!("/fhir/{path}")).bearer(token).send().await.status.as_u16()
    }

    async fn found(&self, token: &str, path: &str) -> Vec<String> {
        let reply = self.server.client.get(&format!("/fhir/{path}")).bearer(token).send().await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        ids(&reply.json())
    }

    /// Ann's app stores a consent; the answer, where the app may see it.
    async fn says(&self, token: &str, consent: &Value) -> Value {
        let reply = self.server.client.post("/fhir/Consent").bearer(token).fhir(consent.to_string()).send().await;
        assert_eq!(reply.status, 201, "{}", reply.text());
        if reply.body.is_empty() { Value::Null } else { reply.json() }
    }

    async fn replaces(&self, token: &str, consent: &Value) -> Value {
        let path = format!("/fhir/Consent/{}", consent["id"].as_str().unwrap());
        let reply = self.server.client.request(Method::PUT, &path).bearer(token).fhir(consent.to_string()).send().await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()
    }

    async fn confirm(&self, consent: &Value, by: &str, person: Option<&str>) -> Result<(), RegistryError> {
        let id = |value: &Value| portcullis_fhir::types::LogicalId::parse(value.as_str().unwrap()).unwrap();
        let confirmation = ConsentConfirmation {
            consent: id(&consent["id"]),
            version: id(&consent["meta"]["versionId"]),
            by: UserId::parse(by).unwrap(),
            person: person.map(ToOwned::to_owned),
            how: How::Paper,
        };
        self.server.try_change(Change::ConfirmConsent(Box::new(confirmation))).await
    }

    async fn token_of(&self, user: &str) -> String {
        self.app.access_token("user/*.cruds", user, PASSWORD).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consent_counts_on_the_next_request_of_a_token_that_is_there_already() {
    verifies!("CONSENT-09");
    verifies!("SAFE-10");
    let world = world(ImplicitPolicy::AllNormal).await;
    let (ann, who, carer) = (world.ann().await, world.token_of("who").await, world.token_of("carer").await);
    assert_eq!(world.status(&who, "Observation/obs-ann-1").await, 200);
    let denial = world.says(&ann, &consent("c", without_who())).await;
    assert_eq!(world.status(&who, "Observation/obs-ann-1").await, 404);
    assert!(world.found(&who, "Observation?patient=ann").await.is_empty());
    assert!(world.found(&who, "Patient").await.is_empty());
    for token in [&ann, &carer] {
        assert_eq!(world.status(token, "Observation/obs-ann-1").await, 200, "of others nothing was said");
    }
    // Nobody had confirmed it: it goes as it came.
    world.replaces(&ann, &with(denial, "status", "inactive".into())).await;
    assert_eq!(world.status(&who, "Observation/obs-ann-1").await, 200);
    // The app in her own hands.
    let app = json!({"identifier": {"system": world.server.server.settings.public_url, "value": "app"}});
    world.says(&ann, &consent("d", json!({"type": "deny", "actor": [actor(app)]}))).await;
    for token in [&ann, &who, &carer] {
        assert_eq!(world.status(token, "Observation/obs-ann-1").await, 404);
        assert!(world.found(token, "Observation?patient=ann").await.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_permit_ends_with_the_request_that_withdraws_it() {
    verifies!("CONSENT-09");
    let world = world(ImplicitPolicy::Deny).await;
    let permit = consent("c", json!({"type": "permit", "actor": [actor(json!({"reference": "Practitioner/who"}))]}));
    world.server.import(&[permit.to_string()]).await;
    let (ann, who) = (world.ann().await, world.token_of("who").await);
    assert_eq!(world.status(&who, "Observation/obs-ann-1").await, 200);
    world.replaces(&ann, &with(permit, "status", "inactive".into())).await;
    assert_eq!(world.status(&who, "Observation/obs-ann-1").await, 404);
    assert_eq!(world.status(&ann, "Observation/obs-ann-1").await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_widens_waits_for_somebody_else_to_confirm_it() {
    let world = world(ImplicitPolicy::AllNormal).await;
    world.server.import(&[consent("c", without_who()).to_string()]).await;
    let (ann, who) = (world.ann().await, world.token_of("who").await);
    let withdrawn = world.replaces(&ann, &with(consent("c", without_who()), "status", "inactive".into())).await;
    assert_eq!(world.status(&who, "Observation/obs-ann-1").await, 404, "the withdrawal is not confirmed");
    let conflict = |result: Result<(), RegistryError>, reason: &str| {
        assert!(matches!(&result, Err(RegistryError::Conflict(found)) if *found == reason), "{result:?}");
    };
    conflict(world.confirm(&withdrawn, "user-ann", None).await, OWN_WORK);
    conflict(world.confirm(&withdrawn, "user-who", Some("Practitioner/who")).await, NAMED_IN_IT);
    let again = world.replaces(&ann, &withdrawn).await;
    conflict(world.confirm(&withdrawn, "user-officer", None).await, NOT_CURRENT);
    assert_eq!(world.status(&who, "Observation/obs-ann-1").await, 404);
    conflict(world.confirm(&again, "user-officer", None).await, NAMED_IN_IT);
    // Nor whoever could not sign in to say so.
    let sign_in = async |change: SignInChange| world.server.change(Change::SignIn(Box::new(change))).await;
    sign_in(SignInChange::Lock(UserId::parse("user-officer").unwrap())).await;
    conflict(world.confirm(&again, "user-officer", Some("Practitioner/desk")).await, NOT_STANDING);
    sign_in(SignInChange::Unlock(UserId::parse("user-officer").unwrap())).await;
    world.confirm(&again, "user-officer", Some("Practitioner/desk")).await.unwrap();
    assert_eq!(world.status(&who, "Observation/obs-ann-1").await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_an_active_consent_within_its_period_counts() {
    verifies!("CONSENT-01");
    let world = world(ImplicitPolicy::AllNormal).await;
    let who = world.token_of("who").await;
    let period = |period: Value| {
        let mut provision = without_who();
        provision["period"] = period;
        consent("c", provision)
    };
    let status = |status: &str| with(consent("c", without_who()), "status", status.into());
    for (consent, seen) in [
        (status("active"), 404),
        (status("inactive"), 200),
        (status("rejected"), 200),
        (status("entered-in-error"), 200),
        (status("draft"), 200),
        (status("proposed"), 200),
        (period(json!({"start": "2020-01-01"})), 404),
        (period(json!({"end": "2020-11-20"})), 200),
        (period(json!({"start": "2021-01-01"})), 200),
        (period(json!({"start": "2020-11-21", "end": "2020-11-21"})), 404),
    ] {
        world.server.import(&[consent.to_string()]).await;
        assert_eq!(world.status(&who, "Observation/obs-ann-1").await, seen, "{consent}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nobody_says_anything_the_implicit_policy_decides() {
    verifies!("CONSENT-07");
    for (implicit, clinician, relative) in [
        (ImplicitPolicy::AllNormal, 200, 200),
        (ImplicitPolicy::BasicNormal, 200, 404),
        (ImplicitPolicy::BreakGlassOnly, 404, 404),
        (ImplicitPolicy::Deny, 404, 404),
    ] {
        let world = world(implicit).await;
        let status = async |user: &str| world.status(&world.token_of(user).await, "Observation/obs-ann-1").await;
        assert_eq!(status("who").await, clinician, "{implicit:?}");
        assert_eq!(status("carer").await, relative, "{implicit:?}");
        assert_eq!(status("ann").await, 200, "{implicit:?}: the own record");
        assert_eq!(status("bob").await, 404, "{implicit:?}: it lets nobody in whom other rules do not");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_consents_one_denial_is_enough_unless_a_newer_one_took_its_place() {
    verifies!("CONSENT-08");
    let world = world(ImplicitPolicy::Deny).await;
    let who = world.token_of("who").await;
    let permit = json!({"type": "permit"});
    world.server.import(&[consent("permit", permit.clone()).to_string()]).await;
    assert_eq!(world.status(&who, "Observation/obs-ann-1").await, 200);
    world.server.import(&[consent("deny", without_who()).to_string()]).await;
    assert_eq!(world.status(&who, "Observation/obs-ann-1").await, 404, "a conflict");
    let of_series = |own: &str, provision: Value, given: &str| {
        let organization = json!([{"reference": "Organization/hospital"}]);
        let consent = with(consent(own, provision), "policy", json!([{"uri": "https://example.org/series"}]));
        with(with(consent, "organization", organization), "dateTime", given.into()).to_string()
    };
    world.server.import(&[of_series("deny", without_who(), "2020-02-01"), of_series("newer", permit, "2020-03-01")]).await;
    assert_eq!(world.status(&who, "Observation/obs-ann-1").await, 200, "replaced");
    world.server.import(&[of_series("deny", without_who(), "2020-04-01")]).await;
    assert_eq!(world.status(&who, "Observation/obs-ann-1").await, 404, "the denial is the newer one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_consent_forbids_is_in_no_bundle_and_no_total() {
    verifies!("CONSENT-10");
    let world = world(ImplicitPolicy::AllNormal).await;
    let who = world.token_of("who").await;
    let everything = world.found(&who, "Patient/ann/$everything").await;
    assert!(everything.contains(&"obs-ann-1".to_owned()) && everything.contains(&"obs-ann-2".to_owned()));
    let one = json!({"type": "deny", "data": [{"meaning": "instance", "reference": {"reference": "Observation/obs-ann-1"}}]});
    world.server.import(&[consent("c", one).to_string()]).await;
    let total = world.server.client.get("/fhir/Observation?patient=ann&_total=accurate").bearer(&who).send().await.json();
    assert_eq!((ids(&total), &total["total"]), (vec!["obs-ann-2".to_owned()], &json!(1)));
    let everything = world.found(&who, "Patient/ann/$everything").await;
    assert!(!everything.contains(&"obs-ann-1".to_owned()) && everything.contains(&"obs-ann-2".to_owned()), "{everything:?}");
    let found = world.found(&who, "Encounter?_id=enc-ann&_revinclude=Observation:encounter").await;
    assert!(!found.contains(&"obs-ann-1".to_owned()), "{found:?}");
    assert_eq!(world.status(&who, "Observation/obs-ann-1/_history").await, 404);
    let get = |url: &str| json!({"request": {"method": "GET", "url": url}});
    let batch = json!({"resourceType": "Bundle", "type": "batch",
        "entry": [get("Observation/obs-ann-1"), get("Observation/obs-ann-2"), get("Observation?patient=ann")]});
    let reply = world.server.client.post("/fhir").bearer(&who).fhir(batch.to_string()).send().await.json();
    let status = |number: usize| reply["entry"][number]["response"]["status"].as_str().unwrap()[..3].to_owned();
    assert_eq!([status(0), status(1), status(2)], ["404", "200", "200"], "{reply}");
    assert_eq!(ids(&reply["entry"][2]["resource"]), ["obs-ann-2"]);
    let transaction = with(batch, "type", "transaction".into());
    let reply = world.server.client.post("/fhir").bearer(&who).fhir(transaction.to_string()).send().await;
    assert_eq!(reply.status, 404, "{}", reply.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_label_of_the_advanced_profile_can_be_kept_back() {
    verifies!("CONSENT-14");
    let world = world(ImplicitPolicy::AllNormal).await;
    let carer = world.token_of("carer").await;
    let labels = [
        (CONFIDENTIALITY, "N"),
        (CONFIDENTIALITY, "R"),
        (ACT_CODE, "ETH"),
        (ACT_CODE, "ETHUD"),
        (ACT_CODE, "OPIOIDUD"),
        (ACT_CODE, "PSY"),
        (ACT_CODE, "SDV"),
        (ACT_CODE, "HIV"),
    ];
    let labelled = |(system, code): &(&str, &str)| {
        let plain = observation(&format!("labelled-{code}"), "ann", "8867-4", "70", "2020-03-01");
        let plain: Value = serde_json::from_str(&plain).unwrap();
        with(plain, "meta", json!({"security": [{"system": system, "code": code}]})).to_string()
    };
    world.server.import(&labels.iter().map(labelled).collect::<Vec<_>>()).await;
    for (system, code) in labels {
        assert_eq!(world.status(&carer, &format!("Observation/labelled-{code}")).await, 200, "{code}");
        let denial = consent("c", json!({"type": "deny", "securityLabel": [{"system": system, "code": code}]}));
        world.server.import(&[denial.to_string()]).await;
        assert_eq!(world.status(&carer, &format!("Observation/labelled-{code}")).await, 404, "{code}");
        let found = world.found(&carer, "Observation?patient=ann").await;
        assert!(!found.contains(&format!("labelled-{code}")) && found.contains(&"obs-ann-1".to_owned()), "{code}: {found:?}");
        world.server.import(&[with(denial, "status", "inactive".into()).to_string()]).await;
    }
}
