//! Searches of a compartment, of several types, and `$everything`: what may be seen, page by page, and what is recorded of it.

use http::Method;
use portcullis_testkit::Reply;
use portcullis_testkit::resources::observation;
use portcullis_testkit::server::PASSWORD;
use serde_json::{Value, json};

use super::batch::{ask, post, records_of, statuses};
use super::world::{World, ids};

async fn get(world: &World, token: &str, path: &str) -> Reply {
    world.server.client.get(path).bearer(token).send().await
}

/// The ids of all pages, and how many pages there were.
async fn walk(world: &World, token: &str, path: &str) -> (Vec<String>, usize) {
    let (mut found, mut pages, mut next) = (Vec::new(), 0, Some(path.to_owned()));
    while let Some(path) = next {
        let reply = get(world, token, &path).await;
        assert_eq!(reply.status, 200, "{path} {}", reply.text());
        let bundle = reply.json();
        found.extend(ids(&bundle));
        pages += 1;
        assert!(pages < 50, "the pages have no end");
        let links = bundle["link"].as_array().unwrap();
        let link = links.iter().find(|link| link["relation"] == "next").map(|link| link["url"].as_str().unwrap());
        next = link.map(|url| format!("/fhir{}", url.strip_prefix(&world.server.fhir_base).unwrap()));
    }
    (found, pages)
}

/// A world in which Bob has once performed an observation of Ann's, and a token of each.
async fn two() -> (World, String, String) {
    let world = World::start().await;
    let performed = observation("obs-by-bob", "ann", "8867-4", "7", "2026-04-01");
    let performed = performed.replacen('{', r#"{"performer":[{"reference":"Patient/bob"}],"#, 1);
    world.server.import(&[performed]).await;
    let ann = world.ann().await;
    let bob = world.app.access_token("launch/patient patient/*.cruds", "bob", PASSWORD).await;
    (world, ann, bob)
}

/// An answer about somebody, with another name.
fn about(reply: &Reply, name: &str, other: &str) -> (u16, String, usize) {
    (reply.status.as_u16(), reply.text().replace(name, other), reply.headers.len())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_compartment_of_somebody_hidden_answers_as_that_of_nobody() {
    let (world, ann, bob) = two().await;
    for path in [
        "/fhir/Patient/@/Observation?_total=accurate",
        "/fhir/Patient/@/Observation?code=4548-4&_include=*&_revinclude=*",
        "/fhir/Patient/@/Patient",
        "/fhir/Patient/@/*?_total=accurate",
        "/fhir/Patient/@/$everything",
        "/fhir/Patient/@/$everything?_type=Observation&_count=1",
    ] {
        // Whoever performed something of Ann's is known to her by that.
        let of = |name: &str| get(&world, &bob, Box::leak(path.replace('@', name).into_boxed_str()));
        let (hidden, absent) = (of("ann").await, of("nob").await);
        assert_eq!(about(&hidden, "ann", "nob"), about(&absent, "nob", "nob"), "{path}");
        assert!(ids(&hidden.json()).is_empty(), "{path} {}", hidden.text());
    }
    for kind in ["Encounter/enc-ann", "Practitioner/who"] {
        let of = |name: &str| format!("/fhir/{name}/*?_total=accurate");
        let hidden = get(&world, &bob, &of(kind)).await;
        let (resource_type, id) = kind.split_once('/').unwrap();
        let absent = "x".repeat(id.len());
        let other = get(&world, &bob, &of(&format!("{resource_type}/{absent}"))).await;
        assert_eq!(about(&hidden, id, &absent), about(&other, "", ""), "{kind}");
    }
    let own = get(&world, &ann, "/fhir/Patient/bob/Observation").await;
    assert_eq!(ids(&own.json()), ["obs-by-bob"], "her own record names him");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compartment_is_what_the_definition_says_within_what_may_be_seen() {
    let (world, ann, bob) = two().await;
    let found = |token: String, path: &'static str| {
        let world = &world;
        async move { ids(&get(world, &token, path).await.json()) }
    };
    assert_eq!(found(ann.clone(), "/fhir/Patient/ann/Observation").await, ["obs-by-bob", "obs-ann-2", "obs-ann-1"]);
    assert_eq!(found(ann.clone(), "/fhir/Patient/ann/Observation?code=4548-4&_sort=date").await, ["obs-ann-1", "obs-ann-2"]);
    assert_eq!(found(ann.clone(), "/fhir/Patient/ann/Patient").await, ["ann"]);
    assert_eq!(found(ann.clone(), "/fhir/Practitioner/who/Encounter").await, ["enc-ann"]);
    assert_eq!(found(bob.clone(), "/fhir/Patient/bob/Observation").await, ["obs-bob-1"], "not what he did for Ann");
    assert_eq!(found(bob.clone(), "/fhir/Practitioner/who/Encounter").await, Vec::<String>::new());
    let form = world.server.client.post("/fhir/Patient/ann/Observation/_search").bearer(&ann).form(&[("code", "4548-4")]);
    assert_eq!(ids(&form.send().await.json()), ["obs-ann-2", "obs-ann-1"]);
    let reply = get(&world, &ann, "/fhir/Patient/ann/Observation?_count=2").await;
    let link = reply.json()["link"][0]["url"].as_str().unwrap().to_owned();
    assert!(link.ends_with("/Patient/ann/Observation?_count=2"), "{link}");
    assert_eq!(
        walk(&world, &ann, "/fhir/Patient/ann/Observation?_count=2").await,
        (vec!["obs-by-bob".into(), "obs-ann-2".into(), "obs-ann-1".into()], 2)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_type_that_is_named_must_be_open_and_others_are_left_out() {
    let (world, ..) = two().await;
    let narrow = world.app.access_token("launch/patient patient/Observation.rs patient/Patient.r", "ann", PASSWORD).await;
    for path in ["/fhir?_type=Observation,Encounter", "/fhir/Patient/ann/*?_type=Encounter", "/fhir?_type=Patient"] {
        let reply = get(&world, &narrow, path).await;
        assert_eq!(reply.status, 403, "{path} {}", reply.text());
        let elsewhere = get(&world, &narrow, &path.replace("ann", "nobody")).await;
        assert_eq!((elsewhere.status.as_u16(), elsewhere.text()), (403, reply.text()), "{path}");
    }
    let without_search = world.app.access_token("launch/patient patient/Patient.r", "ann", PASSWORD).await;
    assert_eq!(get(&world, &without_search, "/fhir?_id=ann").await.status, 403);
    for path in ["/fhir?_type=Observation&_total=accurate", "/fhir?_lastUpdated=ge2000", "/fhir/Patient/ann/*"] {
        let found = ids(&get(&world, &narrow, path).await.json());
        assert_eq!(found, ["obs-by-bob", "obs-ann-2", "obs-ann-1"], "{path}");
    }
    let everything = get(&world, &narrow, "/fhir/Patient/ann/$everything").await;
    assert_eq!(ids(&everything.json()), ["ann", "obs-by-bob", "obs-ann-2", "obs-ann-1"], "{}", everything.text());
    assert_eq!(ids(&get(&world, &without_search, "/fhir/Patient/ann/$everything").await.json()), ["ann"]);
    let refused = get(&world, &narrow, "/fhir/Patient/ann/$everything?_type=Observation,Encounter").await;
    assert_eq!(refused.status, 403, "{}", refused.text());
    let no_patient = world.app.access_token("launch/patient patient/Observation.rs", "ann", PASSWORD).await;
    // Whoever may read no Patient is given the rest, and not told which Patients there are.
    let rest = get(&world, &no_patient, "/fhir/Patient/ann/$everything").await;
    assert_eq!(ids(&rest.json()), ["obs-by-bob", "obs-ann-2", "obs-ann-1"], "{}", rest.text());
    for (other, of_other) in [("bob", &["obs-by-bob"][..]), ("nobody", &[])] {
        for part in ["$everything", "*"] {
            let reply = get(&world, &no_patient, &format!("/fhir/Patient/{other}/{part}")).await;
            assert_eq!(
                (reply.status.as_u16(), ids(&reply.json())),
                (200, of_other.iter().map(|id| (*id).to_owned()).collect()),
                "{other}/{part}: {}",
                reply.text()
            );
        }
    }
    for named in ["Patient", "Patient,Observation", "Encounter"] {
        let refused = get(&world, &no_patient, &format!("/fhir/Patient/ann/$everything?_type={named}")).await;
        assert_eq!(refused.status, 403, "{named}: {}", refused.text());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_several_types_show_everything_once_in_the_order_of_the_types() {
    let (world, ann, bob) = two().await;
    let all = ["enc-ann", "obs-by-bob", "obs-ann-2", "obs-ann-1", "hospital", "ann", "who"].map(str::to_owned).to_vec();
    for count in 1..=8 {
        let (found, pages) = walk(&world, &ann, &format!("/fhir?_lastUpdated=ge2000&_count={count}")).await;
        assert_eq!((found, pages), (all.clone(), all.len().div_ceil(count)), "{count}");
        let (found, pages) = walk(&world, &ann, &format!("/fhir/Patient/ann/$everything?_count={count}")).await;
        let mut everything = vec!["ann".to_owned()];
        everything.extend(all.iter().filter(|id| *id != "ann").cloned());
        assert_eq!((found, pages), (everything, all.len().div_ceil(count)), "{count}");
    }
    let counted = get(&world, &ann, "/fhir?_type=Observation,Encounter&_total=accurate&_count=1").await.json();
    assert_eq!((&counted["total"], ids(&counted)), (&json!(4), vec!["enc-ann".to_owned()]));
    let counted = get(&world, &ann, "/fhir?_type=Observation,Encounter&_summary=count").await.json();
    assert_eq!((&counted["total"], counted.get("entry")), (&json!(4), None));
    let first = get(&world, &ann, "/fhir?_lastUpdated=ge2000&_count=1").await.json();
    let next = first["link"][1]["url"].as_str().unwrap().strip_prefix(&world.server.fhir_base).unwrap().to_owned();
    let cursor = next.split("_cursor=").nth(1).unwrap();
    for (token, path) in [
        (&bob, format!("/fhir{next}")),
        (&ann, format!("/fhir?_lastUpdated=ge2001&_count=1&_cursor={cursor}")),
        (&ann, format!("/fhir/Patient/ann/*?_lastUpdated=ge2000&_cursor={cursor}")),
        (&ann, format!("/fhir/Observation?_cursor={cursor}")),
        (&ann, "/fhir?_lastUpdated=ge2000&_cursor=é".to_owned()),
        (&ann, "/fhir?_lastUpdated=ge2000&_cursor=043".to_owned()),
        (&ann, format!("/fhir?_lastUpdated=ge2000&_cursor=000{}", &cursor[3..])),
    ] {
        let path = path.replace('é', "%C3%A9");
        let refused = get(&world, token, &path).await;
        assert_eq!(refused.status, 400, "{path} {}", refused.text());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_is_narrowed_by_its_parameters_and_asked_by_get_and_post() {
    let (world, ann, bob) = two().await;
    let base = "/fhir/Patient/ann/$everything";
    for (query, expected) in [
        ("?_type=Observation", vec!["obs-by-bob", "obs-ann-2", "obs-ann-1"]),
        ("?_type=Practitioner&_type=Organization", vec!["hospital", "who"]),
        ("?start=2026-02-01&end=2026-03-31&_type=Observation", vec!["obs-ann-2"]),
        ("?end=2026-01-31&_type=Observation,Encounter,Practitioner", vec!["enc-ann", "obs-ann-1", "who"]),
        ("?_since=2999-01-01T00:00:00Z", vec!["ann"]),
        ("?_type=Patient", vec!["ann"]),
        ("?_type=Immunization", vec![]),
    ] {
        assert_eq!(ids(&get(&world, &ann, &format!("{base}{query}")).await.json()), expected, "{query}");
    }
    let parameters = json!({"resourceType": "Parameters", "parameter": [
        {"name": "start", "valueDate": "2026-02-01"}, {"name": "_type", "valueCode": "Observation"}]});
    let posted = world.server.client.post(base).bearer(&ann).fhir(parameters.to_string()).send().await;
    assert_eq!(ids(&posted.json()), ["obs-by-bob", "obs-ann-2"], "{}", posted.text());
    let encounter = get(&world, &ann, "/fhir/Encounter/enc-ann/$everything").await;
    assert_eq!(ids(&encounter.json()), ["enc-ann", "hospital", "ann", "who"], "{}", encounter.text());
    assert_eq!(get(&world, &bob, "/fhir/Encounter/enc-ann/$everything").await.status, 404);
    let who = world.app.access_token("user/*.cruds", "who", PASSWORD).await;
    let clinician = get(&world, &who, base).await;
    assert_eq!(ids(&clinician.json()).len(), 7, "{}", clinician.text());
    assert_eq!(get(&world, &who, "/fhir/Patient/bob/$everything").await.status, 404);
    assert_eq!(world.server.client.request(Method::DELETE, "/fhir/Patient/ann").bearer(&ann).send().await.status, 204);
    assert_eq!(get(&world, &ann, base).await.status, 410);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_type_of_which_something_is_shown_has_a_record_of_its_own() {
    let (world, ann, bob) = two().await;
    let reply = get(&world, &ann, "/fhir/Patient/ann/$everything").await;
    let (own, parts) = records_of(&world, &reply);
    assert_eq!((own.operations[0].interaction.as_str(), own.operations[0].id.as_deref()), ("operation", Some("ann")));
    assert_eq!((own.operations[0].patients.clone(), own.operations[0].returned), (vec!["ann".to_owned()], Some(7)));
    let types: Vec<&str> = parts.iter().map(|part| part.operations[0].resource_type.as_deref().unwrap()).collect();
    assert_eq!(types, ["Encounter", "Observation", "Organization", "Practitioner"]);
    assert!(parts.iter().all(|part| part.decision.is_some() && part.operations[0].interaction == "search-type"));
    assert_eq!(parts[1].operations[0].patients, ["ann"]);
    let reply = get(&world, &bob, "/fhir/Patient/ann/*?_tag=x").await;
    let (own, parts) = records_of(&world, &reply);
    assert_eq!(
        (own.operations[0].interaction.as_str(), own.operations[0].named.clone()),
        ("search-system", vec!["ann".to_owned()])
    );
    assert_eq!((own.operations[0].query.as_deref(), parts.len()), (Some("Patient/ann/*?_tag=x"), 0));
    let reply = get(&world, &bob, "/fhir/Patient/ann/$everything").await;
    let (own, parts) = records_of(&world, &reply);
    assert_eq!((own.status, own.operations[0].presence.is_some(), parts.len()), (404, true, 0), "{own:?}");
    world.server.segments.fail();
    let reply = get(&world, &ann, "/fhir/Patient/ann/$everything").await;
    assert!(reply.status == 503 && !reply.text().contains("obs-ann"), "{}", reply.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_types_are_searched_in_a_batch_and_not_in_a_transaction() {
    let (world, ann, _) = two().await;
    let entries =
        || json!([ask("GET", "?_type=Observation"), ask("GET", "Patient/ann/$everything?_count=2"), ask("GET", "Patient/ann/*")]);
    let batch = post(&world, &ann, "batch", entries()).await;
    assert_eq!(statuses(&batch), ["200"; 3], "{}", batch.text());
    let searchset: Value = batch.json()["entry"][0]["resource"].clone();
    assert_eq!(ids(&searchset), ["obs-by-bob", "obs-ann-2", "obs-ann-1"]);
    let transaction = post(&world, &ann, "transaction", entries()).await;
    assert_eq!(transaction.status, 400, "{}", transaction.text());
    assert_eq!(transaction.json()["issue"][0]["code"], "not-supported");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wildcard_includes_what_may_be_seen_in_both_directions() {
    let (world, ann, _) = two().await;
    let found = ids(&get(&world, &ann, "/fhir/Encounter?_include=*").await.json());
    assert_eq!(found, ["enc-ann", "who", "ann", "hospital"].map(str::to_owned));
    let mut found = ids(&get(&world, &ann, "/fhir/Patient?_id=ann&_revinclude=*").await.json());
    found.sort();
    assert_eq!(found, ["ann", "enc-ann", "obs-ann-1", "obs-ann-2", "obs-by-bob"]);
    let iterated = get(&world, &ann, "/fhir/Patient?_revinclude:iterate=*").await;
    assert_eq!(iterated.status, 400, "{}", iterated.text());
}

/// A search of all types costs a statement about which there are, and one of each of these: not one of each that could be asked, nor two.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_of_all_types_asks_the_store_once_about_each_type_that_it_holds() {
    let world = World::start().await;
    let who = world.app.access_token("user/*.cruds", "who", PASSWORD).await;
    let searches = || world.server.searches.swap(0, std::sync::atomic::Ordering::Relaxed);
    // Organization, Practitioner, Patient, Encounter and Observation; who looked is not among what a clinician may search.
    searches();
    let reply = get(&world, &who, "/fhir?_lastUpdated=gt2000&_total=accurate").await;
    let all = ids(&reply.json());
    assert_eq!((reply.status.as_u16(), all.len()), (200, 6), "{all:?}");
    assert_eq!(reply.json()["total"], 6);
    assert_eq!(searches(), 5);
    assert_eq!(get(&world, &who, "/fhir?_lastUpdated=gt2000&_summary=count").await.json()["total"], 6);
    assert_eq!(searches(), 5);
    // Page by page, each type that has ended is not asked for again, but for the total.
    let (found, pages) = walk(&world, &who, "/fhir?_lastUpdated=gt2000&_count=2").await;
    assert_eq!((found, pages), (all, 3));
    assert!(searches() <= 15);
    assert_eq!(walk(&world, &who, "/fhir?_lastUpdated=gt2000&_count=2&_total=accurate").await.1, 3);
    assert!(searches() <= 30);
    let nothing = get(&world, &who, "/fhir?_lastUpdated=gt2000&_type=Condition,Goal&_total=accurate").await.json();
    assert_eq!((nothing["total"].as_u64(), searches()), (Some(0), 0));
}
