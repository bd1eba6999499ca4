//! People who act for several patients, for a time and within limits. What changes counts for the next request.

use portcullis_audit::record::Outcome;
use portcullis_oauth::users::Role;
use portcullis_server::admin::people::UserRepresents;
use portcullis_server::admin::protocol::{Request, Response};
use portcullis_server::admin::{Caller, Service};
use portcullis_store::Clock as _;
use portcullis_testkit::server::PASSWORD;

use crate::fhir::World;

async fn represent(world: &World, change: impl FnOnce(&mut UserRepresents)) -> Response {
    let mut asked = UserRepresents {
        username: "daughter".into(),
        patient: "ann".into(),
        from: None,
        until: None,
        read_only: false,
        excluded: Vec::new(),
        end: false,
    };
    change(&mut asked);
    Service::new(std::sync::Arc::clone(&world.server.server)).answer(&Caller::named("test"), Request::Represent(asked)).await
}

async fn daughter(world: &World) {
    world.server.add_user("daughter", &[Role::Representative], Some("RelatedPerson/d"), &["bob"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_representation_opens_and_closes_a_record_with_the_next_request() {
    let world = World::start().await;
    daughter(&world).await;
    let before =
        world.app.sign_in(&world.app.authorization_query("launch/patient patient/Patient.r"), "daughter", PASSWORD).await;
    assert!(!before.page.text().contains("name=\"patient\""), "one patient only: there is no picker");
    let now = world.server.clock.now_seconds();
    assert!(matches!(represent(&world, |asked| asked.until = Some(now + 600)).await, Response::Done));
    let at = world.app.sign_in(&world.app.authorization_query("launch/patient patient/*.rs"), "daughter", PASSWORD).await;
    assert!(at.page.text().contains("Ann") && at.page.text().contains("Bob"), "{}", at.page.text());
    let user = world.app.access_token("user/*.rs", "daughter", PASSWORD).await;
    let status = async |path: &str| world.server.client.get(path).bearer(&user).send().await.status.as_u16();
    assert_eq!((status("/fhir/Observation/obs-ann-1").await, status("/fhir/Observation/obs-bob-1").await), (200, 200));
    world.server.clock.advance_seconds(600);
    assert_eq!(
        (status("/fhir/Observation/obs-ann-1").await, status("/fhir/Observation/obs-bob-1").await),
        (404, 200),
        "its time is over"
    );
    let after = world.app.sign_in(&world.app.authorization_query("launch/patient patient/*.rs"), "daughter", PASSWORD).await;
    assert!(!after.page.text().contains("Ann"), "gone from the choice");
    assert!(matches!(represent(&world, |_| {}).await, Response::Done));
    assert_eq!(status("/fhir/Observation/obs-ann-1").await, 200);
    assert!(matches!(represent(&world, |asked| asked.end = true).await, Response::Done));
    assert_eq!(status("/fhir/Observation/obs-ann-1").await, 404, "ended by hand");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_limits_of_a_representation_hold_for_reading_searching_and_writing() {
    let world = World::start().await;
    daughter(&world).await;
    let limits = |asked: &mut UserRepresents| (asked.read_only, asked.excluded) = (true, vec!["Encounter".into()]);
    assert!(matches!(represent(&world, limits).await, Response::Done));
    let token = world.app.access_token("user/*.cruds", "daughter", PASSWORD).await;
    let get = async |path: &str| world.server.client.get(path).bearer(&token).send().await;
    assert_eq!(get("/fhir/Observation/obs-ann-1").await.status, 200);
    assert_eq!(get("/fhir/Encounter/enc-ann").await.status, 404, "left out");
    assert_eq!(get("/fhir/Encounter/enc-bob").await.status, 200, "of the other patient");
    assert_eq!(get("/fhir/Encounter?_summary=count").await.json()["total"], 1);
    let put = async |id: &str| {
        let read = get(&format!("/fhir/Observation/{id}")).await;
        let request = world.server.client.request(http::Method::PUT, &format!("/fhir/Observation/{id}"));
        request.bearer(&token).header("if-match", read.header("etag")).fhir(read.text()).send().await.status.as_u16()
    };
    assert_eq!(put("obs-bob-1").await, 200);
    assert_eq!(put("obs-ann-1").await, 403, "read only");
    // Whatever the change is, and however it finds the record; what is hidden is absent all the same.
    let shown = get("/fhir/Observation/obs-ann-1").await.text();
    let visit = r#"{"resourceType":"Encounter","id":"ID","status":"finished","class":{"code":"AMB"},"subject":{"reference":"Patient/ann"}}"#;
    let patch = r#"[{"op":"replace","path":"/status","value":"amended"}]"#;
    let send = async |method: http::Method, path: &str, media_type: &str, body: &str| {
        let request = world.server.client.request(method, &format!("/fhir/{path}")).bearer(&token);
        let reply = request.header("content-type", media_type).bytes(body.to_owned()).send().await;
        (reply.status.as_u16(), reply.json()["issue"][0]["diagnostics"].as_str().unwrap_or_default().to_owned())
    };
    let fhir = "application/fhir+json";
    let refused = "This access may read the record and not change it. Whoever gave it can say what else it covers.";
    for (method, path, media_type, body) in [
        (http::Method::DELETE, "Observation/obs-ann-1", fhir, ""),
        (http::Method::PATCH, "Observation/obs-ann-1", "application/json-patch+json", patch),
        (http::Method::PUT, "Observation/obs-ann-1", fhir, shown.as_str()),
    ] {
        assert_eq!(send(method.clone(), path, media_type, body).await, (403, refused.to_owned()), "{method} {path}");
    }
    let mut told = Vec::new();
    for id in ["enc-ann", "nothing"] {
        let body = visit.replace("ID", id);
        let path = format!("Encounter/{id}");
        for (method, media_type, body) in [
            (http::Method::PUT, fhir, body.as_str()),
            (http::Method::DELETE, fhir, ""),
            (http::Method::PATCH, "application/json-patch+json", patch),
        ] {
            told.push(send(method, &path, media_type, body).await);
        }
    }
    assert!(told.iter().all(|told| told.0 == 404) && told[..3] == told[3..], "left out, and absent: {told:?}");
    assert_eq!(get("/fhir/Observation/obs-ann-1").await.text(), shown);
    let record =
        world.server.records().into_iter().find(|record| record.detail.as_deref() == Some("may be read and not changed"));
    assert_eq!(record.unwrap().outcome, Outcome::Denied);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_representation_that_makes_no_sense_is_refused_with_the_reason() {
    let world = World::start().await;
    daughter(&world).await;
    let message = async |change: fn(&mut UserRepresents)| match represent(&world, change).await {
        Response::Refused(refused) => refused.message,
        other => panic!("{other:?}"),
    };
    for (change, expected) in [
        ((|asked| asked.username = "nobody".into()) as fn(&mut UserRepresents), "There is no user 'nobody'."),
        (|asked| asked.username = "who".into(), "Only a user with the role representative or patient acts for a patient."),
        (|asked| asked.patient = "bob".into(), "The user was added for this patient, without an end and without limits."),
        (|asked| asked.patient = "a b".into(), "'a b' is not the id of a patient."),
        (|asked| (asked.from, asked.until) = (Some(9), Some(9)), "The end must come after the beginning."),
        (|asked| asked.excluded = vec!["Nothing".into()], "'Nothing' is no resource type of FHIR R4."),
        (
            |asked| asked.excluded = vec!["Patient".into()],
            "At most 32 types can be left out, and Patient cannot: nobody could be chosen.",
        ),
    ] {
        assert_eq!(message(change).await, expected);
    }
    assert_eq!(message(|asked| asked.end = true).await, "Not done: there is no such representation that has not ended.");
}
