//! Who is told when a record is opened in an emergency, when somebody tries without the right, and when a change waits for a second person.

use portcullis_oauth::entitlements::Entitlement;
use portcullis_oauth::users::Role;
use portcullis_outbound::MailSecurity;
use portcullis_server::admin::protocol::{Request, Response};
use portcullis_server::admin::{Caller, SafeguardRequest, Service};
use portcullis_testkit::server::PASSWORD;
use portcullis_verifies::verifies;

use serde_json::json;

use super::{Arrived, Smtp, address, deliver, world};
use crate::account::{Visitor, in_form};
use crate::fhir::World;

const BTG: &str = "http://terminology.hl7.org/CodeSystem/v3-ActReason#BTG";
const REASON: &str = "Unconscious after a fall, no relatives here";

async fn letters(world: &World, smtp: &Smtp, count: usize) -> Vec<Arrived> {
    deliver(world).await.unwrap();
    let mut arrived: Vec<Arrived> = (0..count).map(|_| smtp.next()).collect();
    assert!(smtp.is_quiet());
    arrived.sort_by(|one, other| one.to.cmp(&other.to));
    arrived
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn emergency_access_is_told_to_the_patient_and_to_security_officers_without_its_reason() {
    verifies!("FHIR-SEC-32");
    let smtp = Smtp::start(MailSecurity::StartTls);
    let world = world(smtp.mail()).await;
    address(&world, "officer", "officer@example.org").await;
    let token = world.app.access_token("user/*.rs", "who", PASSWORD).await;
    let asking = || world.server.client.get("/fhir/Patient/ann").bearer(&token).header("category", BTG).send();
    assert_eq!(asking().await.status, 403);
    let alert = letters(&world, &smtp, 1).await;
    assert!(
        alert[0].to.contains("officer@") && alert[0].text.contains("who Example pidió acceso de emergencia"),
        "{}",
        alert[0].text
    );
    assert_eq!(asking().await.status, 403);
    letters(&world, &smtp, 0).await;
    // Somebody else's link to the page tells nobody; a batch tells as a single request does, and whom others were told of does not keep it back.
    world.server.add_user("other", &[Role::Clinician], Some("Practitioner/third"), &[]).await;
    let mut other = Visitor::new(&world);
    other.sign_in("other").await;
    assert_eq!(other.get("/break-glass").await.status, 403);
    letters(&world, &smtp, 0).await;
    let others = world.app.access_token("user/*.rs", "other", PASSWORD).await;
    let entry = json!({"request": {"method": "GET", "url": "Patient/ann"}});
    let batch = json!({"resourceType": "Bundle", "type": "batch", "entry": [entry.clone(), entry]});
    let reply = world.server.client.post("/fhir").bearer(&others).header("category", BTG).fhir(batch.to_string()).send().await;
    assert_eq!(reply.json()["entry"][1]["response"]["status"].as_str().unwrap()[..3], *"403", "{}", reply.text());
    let alert = letters(&world, &smtp, 1).await;
    assert!(alert[0].text.contains("other Example pidió acceso de emergencia"), "{}", alert[0].text);
    world.entitle("who", Entitlement::BreakGlass).await;
    let mut who = Visitor::new(&world);
    who.sign_in("who").await;
    who.add_authenticator().await;
    let csrf = in_form(&who.get("/break-glass").await, "/break-glass", "csrf");
    let typed = [("csrf", &*csrf), ("who", "Test Ann"), ("born", "1970-01-01"), ("reason", REASON)];
    for _ in 0..5 {
        let missed = [("csrf", &*csrf), ("who", "Nobody Here"), ("born", "1970-01-01"), ("reason", REASON)];
        assert_eq!(who.post("/break-glass", &missed).await.status, 422);
    }
    let alert = letters(&world, &smtp, 1).await;
    assert!(alert[0].to.contains("officer@") && alert[0].text.contains("who Example buscó varias veces"), "{}", alert[0].text);
    world.server.clock.advance_seconds(60);
    assert_eq!(who.post("/break-glass", &typed).await.status, 303);
    let told = letters(&world, &smtp, 2).await;
    let [patient, officer] = told.as_slice() else { panic!("{}", told.len()) };
    assert!(patient.to.contains("ann@") && patient.text.contains("por una emergencia"), "{}", patient.text);
    assert!(officer.to.contains("officer@") && officer.text.contains("El motivo está en la página"), "{}", officer.text);
    for letter in &told {
        assert!(
            letter.text.contains("who Example") && !letter.text.contains("fall") && !letter.text.contains("://"),
            "{}",
            letter.text
        );
    }
    assert_eq!(asking().await.status, 200);
    let auditor = world.app.access_token("user/AuditEvent.rs", "audit", PASSWORD).await;
    world.server.move_outbox().await;
    let found =
        world.server.client.get("/fhir/AuditEvent?patient=Patient/ann&outcome=0&_count=100").bearer(&auditor).send().await.json();
    let events = found["entry"].as_array().unwrap().iter().map(|entry| &entry["resource"]);
    let emergency = events.filter(|event| event["purposeOfEvent"][0]["coding"][0]["code"] == "BTG");
    let types: Vec<_> = emergency.map(|event| event["subtype"][0]["code"].as_str().unwrap().to_owned()).collect();
    assert!(types.contains(&"110127".to_owned()) && types.contains(&"read".to_owned()), "{types:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proposal_is_told_to_those_who_may_agree_to_it() {
    let smtp = Smtp::start(MailSecurity::StartTls);
    let world = world(smtp.mail()).await;
    address(&world, "officer", "officer@example.org").await;
    world.entitle("officer", Entitlement::ApproveChanges).await;
    let service = Service::new(std::sync::Arc::clone(&world.server.server));
    let request = SafeguardRequest::Entitle { username: "who".into(), right: "break-glass".into() };
    let response = service.answer(&Caller::named("root"), Request::Safeguard(request)).await;
    assert!(matches!(response, Response::Safeguard(_)), "{response:?}");
    let told = letters(&world, &smtp, 1).await;
    assert!(told[0].to.contains("officer@") && told[0].text.contains("necesita dos personas"), "{}", told[0].text);
}
