//! `/me/history.csv`, `/me/history.ndjson`: the own access history, to keep.

use portcullis_audit::record::Event;
use portcullis_oauth::users::Role;
use portcullis_testkit::Reply;
use portcullis_testkit::server::PASSWORD;
use serde_json::Value;

use super::Visitor;
use crate::fhir::World;

async fn fetched(visitor: &mut Visitor<'_>, path: &str) -> Reply {
    visitor.world.server.move_outbox().await;
    visitor.get(path).await
}

fn events(reply: &Reply) -> Vec<Value> {
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A world in which a clinician looked at Ann's record and Bob at the own, and Bob tried Ann's.
async fn looked_at() -> World {
    let world = World::start().await;
    let read = async |token: &str, path: &str, status: u16| {
        assert_eq!(world.server.client.get(path).bearer(token).send().await.status, status, "{path}");
    };
    let clinician = world.app.access_token("user/*.cruds", "who", PASSWORD).await;
    read(&clinician, "/fhir/Encounter/enc-ann", 200).await;
    let bob = world.app.access_token("launch/patient patient/*.read", "bob", PASSWORD).await;
    read(&bob, "/fhir/Observation/obs-bob-1", 200).await;
    read(&bob, "/fhir/Patient/ann", 404).await;
    world
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_takes_the_own_history_away_and_that_is_on_record() {
    let world = looked_at().await;
    let mut ann = Visitor::new(&world);
    ann.sign_in("ann").await;
    assert!(fetched(&mut ann, "/me").await.text().contains("href=\"/me/history.csv\""));
    let table = fetched(&mut ann, "/me/history.csv").await;
    assert_eq!(table.status, 200, "{}", table.text());
    assert_eq!(table.header("content-type"), "text/csv; charset=utf-8; header=present");
    assert_eq!(table.header("content-disposition"), "attachment; filename=\"access-history.csv\"");
    assert_eq!((table.header("cache-control"), table.header("link")), ("no-store", ""));
    let text = table.text();
    let row = text.split("\r\n").find(|row| row.contains("Encounter/enc-ann")).unwrap_or_else(|| panic!("{text}"));
    for words in
        ["\"2020-11-21T10:0", "\"read\",\"done\",\"Patient/ann\"", "\"App app\",\"app\",\"who Example\"", "\"127.0.0.1\""]
    {
        assert!(row.contains(words), "{words}: {row}");
    }
    assert!(!text.contains("obs-bob") && !text.contains("bob Example") && !text.contains("Patient/bob"), "{text}");
    assert!(text.contains("another patient"), "that somebody tried is told, and not who: {text}");

    let file = fetched(&mut ann, "/me/history.ndjson").await;
    assert_eq!(file.header("content-type"), "application/fhir+ndjson");
    let told = events(&file);
    assert!(told.len() > 3 && told.iter().all(|event| event["resourceType"] == "AuditEvent"));
    assert!(told.is_sorted_by(|one, next| one["recorded"].as_str() >= next["recorded"].as_str()), "newest first");
    assert!(!file.text().contains("bob"), "{}", file.text());
    let records: Vec<_> = world.server.records().into_iter().filter(|record| record.event == Event::Page).collect();
    let noted = records.iter().filter(|record| {
        record.detail.as_deref().is_some_and(|detail| detail.starts_with("access history downloaded: "))
            && record.agent.user.is_some()
            && record.operations[0].patients == ["ann"]
    });
    assert_eq!(noted.count(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_gets_the_history_of_another_and_a_clinician_or_auditor_none() {
    let world = looked_at().await;
    // Whoever audits may read the whole trail elsewhere, but the own history stays the own.
    world.server.add_user("both", &[Role::Patient, Role::Auditor], Some("Patient/bob"), &["bob"]).await;
    for name in ["who", "audit", "admin", "officer"] {
        let mut visitor = Visitor::new(&world);
        visitor.sign_in(name).await;
        assert_eq!(events(&fetched(&mut visitor, "/me/history.ndjson").await), Vec::<Value>::new(), "{name}");
        let table = fetched(&mut visitor, "/me/history.csv").await.text();
        assert_eq!(table.lines().count(), 1, "{table}");
    }
    for name in ["bob", "both"] {
        let mut visitor = Visitor::new(&world);
        visitor.sign_in(name).await;
        let file = fetched(&mut visitor, "/me/history.ndjson").await;
        assert!(file.text().contains("Observation/obs-bob-1") && !file.text().contains("enc-ann"), "{name}: {}", file.text());
        for event in events(&file) {
            let entities = event["entity"].as_array().cloned().unwrap_or_default();
            assert!(!entities.iter().any(|entity| entity["what"]["reference"] == "Patient/ann"), "{name}: {event}");
        }
    }
    let mut carer = Visitor::new(&world);
    carer.sign_in("carer").await;
    let file = fetched(&mut carer, "/me/history.ndjson").await;
    assert!(file.text().contains("enc-ann") && !file.text().contains("obs-bob"), "{}", file.text());
    let mut stranger = Visitor::new(&world);
    assert_eq!(stranger.get("/me/history.csv").await.header("location"), "/login?return_to=/me");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn older_parts_are_asked_for_by_a_moment() {
    let world = looked_at().await;
    world.server.clock.advance_seconds(60);
    let mut ann = Visitor::new(&world);
    ann.sign_in("ann").await;
    let all = events(&fetched(&mut ann, "/me/history.ndjson").await);
    let ids = |events: &[Value]| events.iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    let from = all.iter().position(|event| event.to_string().contains("enc-ann")).unwrap();
    let moment = all[from]["recorded"].as_str().unwrap();
    let part = events(&fetched(&mut ann, &format!("/me/history.ndjson?before={moment}")).await);
    let first = all.iter().position(|event| event["recorded"].as_str() <= Some(moment)).unwrap();
    assert!(first > 0, "the sign-in was later: {all:#?}");
    assert_eq!(ids(&part), ids(&all[first..]), "from {moment} on, itself included, so that no event is lost");
    let none = events(&fetched(&mut ann, "/me/history.ndjson?before=2020-01-01T00:00:00Z").await);
    assert_eq!(none, Vec::<Value>::new());
    for wrong in ["before=yesterday", "before=2020-11-21", "before=le2026-11-21T10:00:00Z", "before=%ff"] {
        let reply = ann.get(&format!("/me/history.csv?{wrong}")).await;
        assert_eq!((reply.status.as_u16(), reply.header("content-disposition")), (400, ""), "{wrong}");
    }
}
