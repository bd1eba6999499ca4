//! The own page of consents: what waits for the patient, what holds, and who may agree.

use portcullis_audit::record::Outcome;
use portcullis_oauth::principal::ImplicitPolicy;
use portcullis_oauth::users::Role;
use portcullis_server::context::AuthorizationSettings;
use portcullis_testkit::TestServer;
use portcullis_testkit::app::hidden;
use portcullis_testkit::server::PASSWORD;
use serde_json::{Value, json};

use super::Visitor;
use crate::fhir::World;

const PAGE: &str = "/me/consents";

fn concept(system: &str, code: &str) -> Value {
    json!({"coding": [{"system": system, "code": code}]})
}

fn rule(own: &str, effect: &str, class: &str) -> Value {
    let role = concept("http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "IRCP");
    json!({
        "resourceType": "Consent", "id": own, "status": "active",
        "scope": concept("http://terminology.hl7.org/CodeSystem/consentscope", "patient-privacy"),
        "category": [concept("http://loinc.org", "59284-0")],
        "patient": {"reference": "Patient/ann"}, "dateTime": "2020-01-01",
        "policy": [{"uri": format!("https://example.org/{own}")}],
        "provision": {"type": effect, "actor": [{"role": role, "reference": {"reference": "Practitioner/who", "display": "Mother Teresa"}}],
            "class": [{"system": "http://hl7.org/fhir/resource-types", "code": class}]},
    })
}

async fn world(implicit: ImplicitPolicy) -> World {
    let settings = AuthorizationSettings { implicit_consent: implicit, ..Default::default() };
    World::over(TestServer::start_with(settings).await).await
}

impl World {
    async fn stores(&self, token: &str, consent: &Value) -> Value {
        let reply = self.server.client.post("/fhir/Consent").bearer(token).fhir(consent.to_string()).send().await;
        assert_eq!(reply.status, 201, "{}", reply.text());
        reply.json()
    }

    async fn sees(&self, token: &str, path: &str) -> bool {
        self.server.client.get(&format!("/fhir/{path}")).bearer(token).send().await.status == 200
    }

    async fn agrees(&self, visitor: &mut Visitor<'_>, consent: &Value) -> portcullis_testkit::Reply {
        let page = visitor.get(PAGE).await;
        assert_eq!(page.status, 200, "{}", page.header("location"));
        let csrf = hidden(&page, "csrf");
        let version = consent["meta"]["versionId"].as_str().unwrap();
        visitor.post(PAGE, &[("csrf", &csrf), ("consent", consent["id"].as_str().unwrap()), ("version", version)]).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_app_wrote_opens_something_when_the_patient_agrees_and_not_before() {
    let world = world(ImplicitPolicy::Deny).await;
    let (ann, who) = (world.ann().await, world.app.access_token("user/*.cruds", "who", PASSWORD).await);
    let permit = world.stores(&ann, &rule("c", "permit", "Observation")).await;
    assert!(!world.sees(&who, "Observation/obs-ann-1").await);
    let mut visitor = Visitor::new(&world);
    assert!(visitor.get(PAGE).await.header("location").starts_with("/login"));
    visitor.sign_in("ann").await;
    let page = visitor.get(PAGE).await.text();
    // By the name that the server has of the person, not by what the app wrote.
    assert!(page.contains("Who may see your"), "{page}");
    assert!(!page.contains("Mother Teresa may"), "{page}");
    let forged =
        [("csrf", "x"), ("consent", permit["id"].as_str().unwrap()), ("version", permit["meta"]["versionId"].as_str().unwrap())];
    assert_eq!(visitor.post(PAGE, &forged).await.status, 403);
    assert!(!world.sees(&who, "Observation/obs-ann-1").await, "nobody made this form");
    let agreed = world.agrees(&mut visitor, &permit).await;
    let seen_after = format!("/me/consents?agreed={}", permit["id"].as_str().unwrap());
    assert_eq!((agreed.status.as_u16(), agreed.header("location")), (303, seen_after.as_str()));
    assert!(world.sees(&who, "Observation/obs-ann-1").await);
    let records = world.server.records();
    let last = records
        .iter()
        .rev()
        .find(|record| record.detail.as_deref().unwrap_or_default().starts_with("consent confirmed by the patient"));
    assert_eq!(last.unwrap().outcome, Outcome::Success);
    let page = visitor.get(agreed.header("location")).await.text();
    assert!(page.contains("You agreed."), "{page}");
    // What was confirmed and then withdrawn ends at once; the page says nothing of it any more as something that holds.
    let path = format!("/fhir/Consent/{}", permit["id"].as_str().unwrap());
    let mut withdrawn = permit.clone();
    withdrawn["status"] = "inactive".into();
    let reply = world.server.client.request(http::Method::PUT, &path).bearer(&ann).fhir(withdrawn.to_string()).send().await;
    assert_eq!(reply.status, 200);
    assert!(!world.sees(&who, "Observation/obs-ann-1").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_denied_does_not_lift_the_denial_and_the_patient_does_on_the_own_page() {
    let world = world(ImplicitPolicy::AllNormal).await;
    let (ann, who) = (world.ann().await, world.app.access_token("user/*.cruds", "who", PASSWORD).await);
    let denial = world.stores(&ann, &rule("c", "deny", "Observation")).await;
    assert!(!world.sees(&who, "Observation/obs-ann-1").await && world.sees(&who, "Patient/ann").await);
    let path = format!("/fhir/Consent/{}", denial["id"].as_str().unwrap());
    let mut withdrawn = denial.clone();
    withdrawn["status"] = "inactive".into();
    let reply = world.server.client.request(http::Method::PUT, &path).bearer(&who).fhir(withdrawn.to_string()).send().await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let withdrawn = reply.json();
    assert!(!world.sees(&who, "Observation/obs-ann-1").await, "withdrawn by whoever it denies");
    let mut bob = Visitor::new(&world);
    bob.sign_in("bob").await;
    let csrf = bob.own_csrf().await;
    let (id, version) = (withdrawn["id"].as_str().unwrap(), withdrawn["meta"]["versionId"].as_str().unwrap());
    bob.post(PAGE, &[("csrf", &csrf), ("consent", id), ("version", version)]).await;
    assert!(!world.sees(&who, "Observation/obs-ann-1").await, "Bob is another patient");
    let mut visitor = Visitor::new(&world);
    visitor.sign_in("ann").await;
    let page = visitor.get(PAGE).await.text();
    assert!(page.contains("The end of a rule") && page.contains("may not see"), "{page}");
    assert_eq!(world.agrees(&mut visitor, &denial).await.status, 409, "the version of before");
    assert_eq!(world.agrees(&mut visitor, &withdrawn).await.status, 303);
    assert!(world.sees(&who, "Observation/obs-ann-1").await);
    assert_eq!(world.server.client.request(http::Method::DELETE, &path).bearer(&who).send().await.status, 204);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_acts_for_a_patient_agrees_to_what_is_about_others() {
    let world = world(ImplicitPolicy::Deny).await;
    let ann = world.ann().await;
    let about_who = world.stores(&ann, &rule("c", "permit", "Observation")).await;
    let mut everybody = rule("d", "permit", "Condition");
    everybody["provision"].as_object_mut().unwrap().remove("actor");
    let everybody = world.stores(&ann, &everybody).await;
    world.server.add_user("aunt", &[Role::Representative], Some("RelatedPerson/aunt"), &["ann"]).await;
    let mut aunt = Visitor::new(&world);
    aunt.sign_in("aunt").await;
    assert_eq!(world.agrees(&mut aunt, &everybody).await.status, 409, "it would let the aunt in, too");
    assert_eq!(world.agrees(&mut aunt, &about_who).await.status, 409, "whether the aunt is a practitioner besides, nobody knows");
    let mut named = rule("e", "deny", "Condition");
    named["provision"]["actor"][0]["reference"] = json!({"reference": "RelatedPerson/uncle"});
    let named = world.stores(&ann, &named).await;
    assert_eq!(world.agrees(&mut aunt, &named).await.status, 303);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_works_here_is_called_as_the_account_is_where_no_record_says_a_name() {
    let world = world(ImplicitPolicy::AllNormal).await;
    let ann = world.ann().await;
    let clinician = [Role::Clinician];
    for (name, record) in [("amy", "Practitioner/amy"), ("one", "PractitionerRole/shared"), ("two", "PractitionerRole/shared")] {
        world.server.add_user(name, &clinician, Some(record), &[]).await;
    }
    world.server.add_user("zoe", &[Role::Patient], Some("Patient/zoe"), &["zoe"]).await;
    let mut consent = rule("c", "deny", "Condition");
    let actor = consent["provision"]["actor"][0].clone();
    let records = ["Practitioner/amy", "PractitionerRole/shared", "Patient/zoe", "Practitioner/who"];
    let actors = records.map(|reference| {
        let mut actor = actor.clone();
        actor["reference"] = json!({"reference": reference, "display": "Mother Teresa"});
        actor
    });
    consent["provision"]["actor"] = json!(actors);
    world.stores(&ann, &consent).await;
    let mut visitor = Visitor::new(&world);
    visitor.sign_in("ann").await;
    let page = visitor.get(PAGE).await.text();
    // Of two accounts nobody knows which is meant, other patients are named to nobody, and a record says more than an account.
    assert!(page.contains("Amy Example or PractitionerRole/shared or Patient/zoe or Who may not see"), "{page}");
}
