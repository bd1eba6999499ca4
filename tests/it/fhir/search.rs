//! Search answers as Bundles: links, totals, pages, shapes, POST.

use portcullis_testkit::resources::observation;
use portcullis_testkit::server::PASSWORD;

use portcullis_verifies::verifies;

use super::world::{World, ids};

fn link(bundle: &serde_json::Value, relation: &str) -> Option<String> {
    let links = bundle["link"].as_array()?;
    let link = links.iter().find(|link| link["relation"] == relation)?;
    Some(link["url"].as_str()?.split("/fhir/").nth(1).map(|rest| format!("/fhir/{rest}"))?.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_follow_each_other_without_gaps_and_only_for_whom_they_were_made() {
    let world = World::start().await;
    let many: Vec<String> = (0..25)
        .map(|day| observation(&format!("o-{day:02}"), "ann", "8867-4", "70", &format!("2025-01-{:02}", day + 1)))
        .collect();
    world.server.import(&many).await;
    let token = world.ann().await;
    let mut path = "/fhir/Observation?code=http://loinc.org%7C8867-4&_count=10&_sort=date&_total=accurate".to_owned();
    let mut found = Vec::new();
    let mut pages = 0;
    let mut second = None;
    loop {
        let reply = world.server.client.get(&path).bearer(&token).send().await;
        assert_eq!(reply.status, 200, "{path} {}", reply.text());
        let bundle = reply.json();
        assert_eq!(bundle["total"], 25);
        found.extend(ids(&bundle));
        pages += 1;
        let Some(next) = link(&bundle, "next") else { break };
        second.get_or_insert_with(|| next.clone());
        path = next;
    }
    let expected: Vec<String> = (0..25).map(|day| format!("o-{day:02}")).collect();
    assert_eq!((pages, found), (3, expected));
    let bob = world.app.access_token("launch/patient patient/*.read", "bob", PASSWORD).await;
    let stolen = world.server.client.get(&second.unwrap()).bearer(&bob).send().await;
    assert_eq!(stolen.status, 400, "a bookmark of somebody else is no bookmark: {}", stolen.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn post_search_is_narrowed_as_get_is() {
    portcullis_verifies::verifies!("IG-06");
    let world = World::start().await;
    let token = world.ann().await;
    let post = world.server.client.post("/fhir/Observation/_search").bearer(&token).form(&[("_total", "accurate")]).send().await;
    assert_eq!(post.status, 200, "{}", post.text());
    assert_eq!(ids(&post.json()), ["obs-ann-2", "obs-ann-1"]);
    assert_eq!(post.json()["total"], 2);
    let other = world.server.client.post("/fhir/Observation/_search").bearer(&token).form(&[("patient", "bob")]).send().await;
    assert!(ids(&other.json()).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn elements_and_summaries_leave_out_and_say_so() {
    portcullis_verifies::verifies!("LABEL-10");
    let world = World::start().await;
    let token = world.ann().await;
    let get = |path: &str| {
        let request = world.server.client.get(path).bearer(&token);
        async move { request.send().await.json() }
    };
    let elements = get("/fhir/Observation?_elements=status").await;
    let first = &elements["entry"][0]["resource"];
    assert!(first["status"].is_string() && first["valueQuantity"].is_null(), "{first}");
    assert!(first["meta"]["tag"].to_string().contains("SUBSETTED"));
    // "The list of elements does not apply to included resources." A summary does.
    let included =
        get("/fhir/Observation?_id=obs-ann-1&_elements=status&_include=Observation:subject&_revinclude=Provenance:target").await;
    let [matched, patient] = included["entry"].as_array().unwrap().as_slice() else { panic!("{included}") };
    assert_eq!((&matched["search"]["mode"], &patient["search"]["mode"]), (&"match".into(), &"include".into()));
    assert!(matched["resource"]["code"].is_object() && matched["resource"]["valueQuantity"].is_null(), "{matched}");
    assert_eq!(matched["resource"]["meta"]["tag"][0]["code"], "SUBSETTED");
    assert!(patient["resource"]["name"][0]["family"].is_string() && patient["resource"]["meta"]["tag"].is_null(), "{patient}");
    let summary = get("/fhir/Observation?_id=obs-ann-1&_summary=true&_include=Observation:subject").await;
    assert!(summary["entry"][1]["resource"]["meta"]["tag"].to_string().contains("SUBSETTED"), "{summary}");
    let count = get("/fhir/Observation?_summary=count").await;
    assert_eq!((&count["total"], count["entry"].is_null()), (&serde_json::json!(2), true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_audit_trail_is_for_the_auditor_and_for_oneself() {
    verifies!("SEED-USCORE-09", "FHIR-SEC-41", "SPM-06", "SAFE-11");
    let world = World::start().await;
    let token = world.ann().await;
    world.server.client.get("/fhir/Observation/obs-ann-1").bearer(&token).send().await;
    world.server.client.get("/fhir/Observation/obs-bob-1").bearer(&token).send().await;
    let wildcard = world.server.client.get("/fhir/AuditEvent").bearer(&token).send().await;
    assert_eq!(wildcard.status, 403, "a wildcard does not open the audit trail");

    let auditor = world.app.access_token("user/AuditEvent.rs", "audit", PASSWORD).await;
    let search = |token: &str, query: &str| {
        let request = world.server.client.get(&format!("/fhir/AuditEvent?{query}")).bearer(token);
        async move {
            let reply = request.send().await;
            assert_eq!(reply.status, 200, "{}", reply.text());
            reply.json()
        }
    };
    let trail = search(&auditor, "_count=1000&_total=accurate").await;
    assert!(trail["total"].as_u64().is_some_and(|total| total >= 4), "{trail}");
    let of_ann = search(&auditor, "patient=Patient/ann&action=R").await.to_string();
    assert!(of_ann.contains("obs-ann-1"), "{of_ann}");
    let denied = search(&auditor, "outcome=4&agent=Patient/ann").await.to_string();
    assert!(denied.contains("obs-bob-1"), "the attempt on another record is there: {denied}");
    assert_eq!(search(&auditor, "date=lt2020-01-01&_total=accurate").await["total"], 0);

    let own = world.app.access_token("launch/patient patient/AuditEvent.rs", "ann", PASSWORD).await;
    world.server.client.get("/fhir/Observation/obs-ann-1").bearer(&token).send().await;
    let mine = search(&own, "_count=1000").await.to_string();
    assert!(mine.contains("obs-ann-1") && !mine.contains("Patient/bob"), "{mine}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn composites_hold_within_one_element_and_never_across_patients() {
    let world = World::start().await;
    let pressure = |id: &str, patient: &str, systolic: i64, diastolic: i64| {
        let component = |code: &str, value: i64| {
            serde_json::json!({"code": {"coding": [{"system": "http://loinc.org", "code": code}]},
                "valueQuantity": {"value": value, "unit": "mmHg", "system": "http://unitsofmeasure.org", "code": "mm[Hg]"}})
        };
        serde_json::json!({"resourceType": "Observation", "id": id, "status": "final", "subject": {"reference": format!("Patient/{patient}")},
            "code": {"coding": [{"system": "http://loinc.org", "code": "85354-9"}]},
            "component": [component("8480-6", systolic), component("8462-4", diastolic)]})
        .to_string()
    };
    let records =
        [pressure("bp-ann-1", "ann", 160, 80), pressure("bp-ann-2", "ann", 100, 60), pressure("bp-bob-1", "bob", 170, 90)];
    world.server.import(&records).await;
    let token = world.ann().await;
    let get = |query: &'static str| {
        let request = world.server.client.get(&format!("/fhir/Observation?{query}")).bearer(&token);
        async move { request.send().await }
    };
    for (query, expected) in [
        ("component-code-value-quantity=http://loinc.org%7C8480-6$gt140", &["bp-ann-1"][..]),
        ("component-code-value-quantity=8462-4$gt140", &[]),
        (
            "component-code-value-quantity=8462-4$60,8480-6$ge160%7Chttp://unitsofmeasure.org%7Cmm[Hg]&_sort=_id",
            &["bp-ann-1", "bp-ann-2"],
        ),
        ("combo-code-value-quantity=8480-6$gt165", &[]),
        ("combo-code-value-quantity=4548-4$gt6,8462-4$80&_sort=_id", &["bp-ann-1", "obs-ann-2"]),
        ("code-value-quantity=4548-4$gt6", &["obs-ann-2"]),
    ] {
        let reply = get(query).await;
        assert_eq!(reply.status, 200, "{query} {}", reply.text());
        let bundle = reply.json();
        assert_eq!(ids(&bundle), expected, "{query}");
        assert!(link(&bundle, "self").unwrap().contains("code-value-quantity="), "what was understood is in the self link");
    }
    for query in
        ["component-code-value-quantity=8480-6", "component-code-value-quantity:not=a$1", "combo-code-value-quantity=a$b$c"]
    {
        let reply = get(query).await;
        assert_eq!(reply.status, 400, "{query} {}", reply.text());
        assert_eq!(reply.json()["issue"][0]["expression"][0], format!("http.{}", query.split([':', '=']).next().unwrap()));
    }
}
