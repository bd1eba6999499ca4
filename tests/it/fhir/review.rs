//! What officers review: denials, what consents decided, and where the glass was broken.

use std::sync::Arc;

use portcullis_audit::record::Event;
use portcullis_server::admin::protocol::{Request, Response};
use portcullis_server::admin::{Caller, ReviewRequest, Reviewed, ReviewedEvent, Service};
use portcullis_testkit::server::PASSWORD;
use portcullis_verifies::verifies;
use serde_json::{Value, json};

use super::break_glass::{BTG, REASON, break_glass, entitled};
use super::world::World;

async fn review(world: &World, request: ReviewRequest) -> Response {
    world.server.move_outbox().await;
    let service = Service::new(Arc::clone(&world.server.server));
    service.answer(&Caller::named("test"), Request::Review(request)).await
}

async fn reviewed(world: &World, request: ReviewRequest) -> Reviewed {
    match review(world, request).await {
        Response::Reviewed(reviewed) => reviewed,
        other => panic!("{other:?}"),
    }
}

fn of<'a>(reviewed: &'a Reviewed, kind: &str) -> Vec<&'a ReviewedEvent> {
    reviewed.events.iter().filter(|event| event.kind == kind).collect()
}

fn concept(system: &str, code: &str) -> Value {
    json!({"coding": [{"system": system, "code": code}]})
}

/// Ann keeps Dr. Who out.
fn denial() -> String {
    let role = concept("http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "IRCP");
    json!({
        "resourceType": "Consent",
        "id": "c",
        "status": "active",
        "scope": concept("http://terminology.hl7.org/CodeSystem/consentscope", "patient-privacy"),
        "category": [concept("http://loinc.org", "59284-0")],
        "patient": {"reference": "Patient/ann"},
        "dateTime": "2020-01-01",
        "policy": [{"uri": "https://example.org/c"}],
        "provision": {"type": "deny", "actor": [{"role": role, "reference": {"reference": "Practitioner/who"}}]},
    })
    .to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_denied_access_and_a_use_of_break_glass_are_in_the_review_and_are_decisions_about_consent() {
    verifies!("CONSENT-17");
    let world = World::start().await;
    let token = world.app.access_token("user/*.cruds", "who", PASSWORD).await;
    let narrow = world.app.access_token("user/Patient.rs", "who", PASSWORD).await;
    let ann = world.ann().await;
    let (mut who, _) = entitled(&world).await;
    assert_eq!(break_glass(&mut who, ["Test Bob", "1970-01-01", REASON]).await.status, 303);
    // Events of one instant are in no order.
    world.server.clock.advance_seconds(1);
    assert_eq!(world.asking(&token, "Observation/obs-bob-1", BTG).await.status, 200);
    world.server.import(&[denial()]).await;
    let read = async |token: &str, path: &str| {
        world.server.clock.advance_seconds(1);
        world.server.client.get(&format!("/fhir/{path}")).bearer(token).send().await.status.as_u16()
    };
    assert_eq!(read(&token, "Observation/obs-ann-1").await, 404, "by a consent");
    assert_eq!(read(&token, "Observation/obs-bob-1").await, 404, "not in care, and no longer an emergency");
    assert_eq!(read(&token, "Observation/nothing").await, 404);
    assert_eq!(read(&narrow, "Observation/obs-ann-1").await, 403, "beyond the scopes");
    assert_eq!(read(&ann, "Observation/obs-ann-1").await, 200);

    let all = reviewed(&world, ReviewRequest::default()).await;
    let [denied] = of(&all, "consent-denied")[..] else { panic!("{all:?}") };
    assert_eq!((denied.user.as_deref(), denied.client.as_deref()), (Some("Practitioner/who"), Some("app")));
    assert!(denied.about[0] == "Patient/ann" && denied.about[1].starts_with("Consent/c/_history/"), "{denied:?}");
    assert_eq!(denied.codes, ["110113", "AuthZ-Consent"]);
    let glass = of(&all, "break-glass");
    let codes: Vec<&str> = glass.iter().map(|event| event.codes.last().unwrap().as_str()).collect();
    assert_eq!(codes, ["110127", "AuthZ-Consent"], "{glass:?}");
    assert!(glass.iter().all(|event| event.about.contains(&"Patient/bob".to_owned())), "{glass:?}");
    assert_eq!((glass[1].purpose.as_deref(), glass[1].user.as_deref()), (Some("BTG"), Some("Practitioner/who")));
    let hidden: Vec<_> = of(&all, "hidden").into_iter().map(|event| event.about.last().unwrap().clone()).collect();
    assert_eq!(hidden, ["Observation/obs-ann-1", "Observation/obs-bob-1"]);
    assert!(of(&all, "denied").iter().any(|event| event.about.contains(&"Observation/obs-ann-1".to_owned())), "{all:?}");
    assert!(!all.more);

    // Of one patient, and of a time.
    let bobs = reviewed(&world, ReviewRequest { patient: Some("bob".into()), ..ReviewRequest::default() }).await;
    assert!(of(&bobs, "consent-denied").is_empty() && of(&bobs, "break-glass").len() == 2, "{bobs:?}");
    let later = ReviewRequest { since: Some("2020-11-22".into()), ..ReviewRequest::default() };
    assert_eq!(reviewed(&world, later).await, Reviewed::default());
    let until = ReviewRequest { until: Some("2020-11-21".into()), ..ReviewRequest::default() };
    assert_eq!(reviewed(&world, until).await, all, "and a review is none of them");
    for request in [
        ReviewRequest { since: Some("yesterday".into()), ..ReviewRequest::default() },
        ReviewRequest { patient: Some("a b".into()), ..ReviewRequest::default() },
    ] {
        assert!(matches!(review(&world, request).await, Response::Refused(_)));
    }
    // Whoever reviews is on record, with whom it was about.
    let records = world.server.records();
    let record = records.iter().rfind(|record| {
        record.event == Event::Administration
            && record.detail.as_deref() == Some("denials and break-glass reviewed of Patient/bob")
    });
    assert_eq!(record.unwrap().operations[0].patients, ["bob"]);
}
