//! What a search says of time, and of records that were entered in error.

use portcullis_testkit::resources::observation;
use portcullis_testkit::server::PASSWORD;
use portcullis_verifies::verifies;

use super::world::{World, ids};
use crate::account::Visitor;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_date_with_a_zone_matches_equal_instants_whatever_zone_they_are_written_in() {
    verifies!("SAFE-07");
    let world = World::start().await;
    let dated = |id: &str, date: &str| observation(id, "ann", "1-1", "1", date);
    world
        .server
        .import(&[
            dated("utc", "2026-02-28T19:00:00Z"),
            dated("east", "2026-03-01T00:00:00+05:00"),
            dated("west", "2026-02-28T14:00:00-05:00"),
            dated("half", "2026-03-01T00:30:00+05:30"),
            dated("later", "2026-02-28T19:00:01Z"),
            dated("same-digits", "2026-03-01T00:00:00Z"),
            dated("same-digits-west", "2026-03-01T00:00:00-05:00"),
            dated("day", "2026-03-01"),
        ])
        .await;
    let token = world.ann().await;
    let found = async |date: &str| {
        let path = format!("/fhir/Observation?code=1-1&_sort=_id&date={date}");
        let reply = world.server.client.get(&path).bearer(&token).send().await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        ids(&reply.json())
    };
    for same in
        ["2026-03-01T00:00:00%2B05:00", "2026-02-28T19:00:00Z", "2026-02-28T14:00:00-05:00", "2026-03-01T03:00:00%2B08:00"]
    {
        assert_eq!(found(same).await, ["east", "half", "utc", "west"], "{same}");
        assert_eq!(found(&format!("gt{same}")).await, ["day", "later", "same-digits", "same-digits-west"], "{same}");
    }
    assert_eq!(found("2026-03-01T00:00:00Z").await, ["same-digits"]);
    assert_eq!(found("lt2026-02-28T19:00:00Z").await, [""; 0]);

    // People read the name of the month.
    let mut ann = Visitor::new(&world);
    ann.sign_in("ann").await;
    let page = ann.get("/me").await.text();
    assert!(page.contains("21 November 2020"), "{page}");
    assert!(!page.contains("2020-11-21") && !page.contains("11/21") && !page.contains("21.11."), "{page}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_entered_in_error_is_found_unless_left_out_and_the_self_link_says_which() {
    verifies!("SAFE-01");
    let world = World::start().await;
    let wrong = observation("wrong", "ann", "1-1", "1", "2026-01-01").replace("\"final\"", "\"entered-in-error\"");
    world.server.import(&[wrong, observation("right", "ann", "1-1", "1", "2026-01-01")]).await;
    let token = world.app.access_token("launch/patient patient/*.cruds", "ann", PASSWORD).await;
    let found = async |query: &str| {
        let reply = world.server.client.get(&format!("/fhir/Observation?{query}")).bearer(&token).send().await;
        let bundle = reply.json();
        let links = bundle["link"].as_array().unwrap();
        let own = links.iter().find(|link| link["relation"] == "self").unwrap()["url"].as_str().unwrap().to_owned();
        (ids(&bundle), own.split_once('?').unwrap().1.to_owned())
    };
    // Nothing is left out in silence: the self link has every criterion that counted, and there is none about the status.
    let (all, link) = found("patient=ann&code=1-1&_sort=_id").await;
    assert_eq!(all, ["right", "wrong"]);
    assert!(link.contains("patient=") && link.contains("code=") && !link.contains("status"), "{link}");
    let (right, link) = found("patient=ann&code=1-1&status:not=entered-in-error").await;
    assert_eq!(right, ["right"]);
    assert!(link.contains("status:not=entered-in-error") || link.contains("status%3Anot=entered-in-error"), "{link}");
    let metadata = world.server.client.get("/fhir/metadata").send().await.json();
    let told = metadata["rest"][0]["documentation"].as_str().unwrap();
    assert!(told.contains("entered in error") && told.contains("status:not=entered-in-error"), "{told}");
}
