//! What the history of a resource says about how each version came to be.
//!
//! <https://hl7.org/fhir/R4/http.html#history>: newest first, each entry with its request and response.

use http::Method;
use serde_json::Value;

use super::world::World;

const BODY: &str = r#"{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/ann"}}"#;

/// Method, address and status of each entry.
fn requests(bundle: &Value) -> Vec<[String; 3]> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
    let request =
        |entry: &Value| [text(&entry["request"]["method"]), text(&entry["request"]["url"]), text(&entry["response"]["status"])];
    entries.iter().map(request).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_version_says_whether_it_was_a_creation_an_update_or_a_deletion() {
    let world = World::start().await;
    let token = world.ann().await;
    let client = &world.server.client;
    let created = client.post("/fhir/Observation").bearer(&token).fhir(BODY).send().await.json();
    let id = created["id"].as_str().unwrap();
    let path = format!("/fhir/Observation/{id}");
    let body = BODY.replacen('{', &format!("{{\"id\":\"{id}\","), 1);
    for method in [Method::PUT, Method::PUT, Method::DELETE] {
        world.server.clock.advance_seconds(1);
        let reply = client.request(method.clone(), &path).bearer(&token).fhir(body.clone()).send().await;
        assert_eq!(reply.status, if method == Method::PUT { 200 } else { 204 });
    }
    // What was deleted comes back by an import alone.
    world.server.clock.advance_seconds(1);
    world.server.import(std::slice::from_ref(&body)).await;

    let instance = format!("Observation/{id}");
    let expected = [
        ["PUT", &instance, "201"],
        ["DELETE", &instance, "204"],
        ["PUT", &instance, "200"],
        ["PUT", &instance, "200"],
        ["POST", "Observation", "201"],
    ]
    .map(|entry| entry.map(str::to_owned));
    let history = client.get(&format!("{path}/_history")).bearer(&token).send().await.json();
    assert_eq!(requests(&history), expected);
    assert_eq!(history["type"], "history");
    assert_eq!(history["total"], 5);
    for entry in history["entry"].as_array().unwrap() {
        assert_eq!(entry["fullUrl"], format!("{}/{instance}", world.server.fhir_base), "not the address of a version");
        assert_eq!(entry.get("resource").is_none(), entry["request"]["method"] == "DELETE");
        assert!(entry["response"]["etag"].as_str().unwrap().starts_with("W/"), "{entry}");
        assert!(entry["response"]["lastModified"].is_string() && entry.get("search").is_none(), "{entry}");
    }
    let times: Vec<&str> =
        history["entry"].as_array().unwrap().iter().filter_map(|entry| entry["response"]["lastModified"].as_str()).collect();
    assert!(times.is_sorted_by(|newer, older| newer > older), "{times:?}");

    // A page or a start in time between two versions changes nothing about them.
    let mut paged = Vec::new();
    let mut next = Some(format!("{path}/_history?_count=1"));
    while let Some(page) = next {
        let bundle = client.get(&page).bearer(&token).send().await.json();
        paged.extend(requests(&bundle));
        let links = bundle["link"].as_array().unwrap().clone();
        let link = links.iter().find(|link| link["relation"] == "next").and_then(|link| link["url"].as_str());
        next = link.map(|url| url.split_once("/fhir").map(|(_, rest)| format!("/fhir{rest}")).unwrap());
    }
    assert_eq!(paged, expected);
    for (start, count) in (0..times.len()).map(|index| (times[index], index + 1)) {
        let bundle = client.get(&format!("{path}/_history?_since={start}")).bearer(&token).send().await.json();
        assert_eq!(requests(&bundle), expected[..count], "{start}");
    }
    let later = client.get(&format!("{path}/_history?_since=2999-01-01T00:00:00Z")).bearer(&token).send().await;
    assert_eq!((later.status.as_u16(), &later.json()["total"]), (200, &Value::from(0)));
}
