//! Scopes with criteria (`patient/Observation.rs?category=...`): what they open, what they do not, and what is not understood.

use http::Method;
use portcullis_oauth::clients::KeySource;
use portcullis_testkit::app::query_value;
use portcullis_testkit::server::PASSWORD;
use portcullis_testkit::{ClientKey, Reply};
use portcullis_verifies::verifies;

use crate::fhir::World;

const CATEGORY: &str = "http://terminology.hl7.org/CodeSystem/observation-category";

/// An Observation with these categories, by this practitioner.
fn observation(id: &str, patient: &str, categories: &[&str], performer: &str) -> String {
    let coding = |code: &&str| format!(r#"{{"coding":[{{"system":"{CATEGORY}","code":"{code}"}}]}}"#);
    let categories: Vec<String> = categories.iter().map(coding).collect();
    format!(
        r#"{{"resourceType":"Observation","id":"{id}","status":"final","category":[{}],"code":{{"text":"x"}},
        "subject":{{"reference":"Patient/{patient}"}},"performer":[{{"reference":"Practitioner/{performer}"}}]}}"#,
        categories.join(",")
    )
}

fn provenance(id: &str, target: &str) -> String {
    format!(
        r#"{{"resourceType":"Provenance","id":"{id}","target":[{{"reference":"Observation/{target}"}}],"recorded":"2026-01-01T00:00:00Z",
        "agent":[{{"who":{{"reference":"Practitioner/who"}}}}]}}"#
    )
}

/// Ann's laboratory result, survey, and one that is both; and Bob's laboratory result.
async fn world() -> World {
    let world = World::start().await;
    let practitioner = |id: &str| portcullis_testkit::resources::practitioner(id, id);
    world
        .server
        .import(&[
            practitioner("chemist"),
            practitioner("asker"),
            observation("lab", "ann", &["laboratory"], "chemist"),
            observation("survey", "ann", &["survey"], "asker"),
            observation("both", "ann", &["survey", "laboratory"], "chemist"),
            observation("bobs-lab", "bob", &["laboratory"], "chemist"),
            provenance("of-lab", "lab"),
            provenance("of-survey", "survey"),
        ])
        .await;
    world
}

async fn get(world: &World, token: &str, path: &str) -> Reply {
    world.server.client.get(&format!("/fhir/{path}")).bearer(token).send().await
}

/// The ids of the matches and includes.
fn ids(bundle: &serde_json::Value) -> Vec<String> {
    let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
    entries.iter().map(|entry| entry["resource"]["id"].as_str().unwrap_or_default().to_owned()).collect()
}

async fn found(world: &World, token: &str, path: &str) -> Vec<String> {
    let reply = get(world, token, path).await;
    assert_eq!(reply.status, 200, "{path} {}", reply.text());
    let mut found = ids(&reply.json());
    found.sort();
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scope_with_criteria_opens_what_fulfils_them_in_every_reading_interaction_and_nothing_else() {
    verifies!("SMART-41", "SMART-35", "USCORE-12");
    let world = world().await;
    let scope = format!(
        "launch/patient patient/Observation.rs?category={CATEGORY}|laboratory patient/Patient.rs patient/Practitioner.rs patient/Provenance.rs"
    );
    let response = world.app.authorize(&scope, "ann", PASSWORD).await;
    assert_eq!(response["scope"], *scope);
    let token = response["access_token"].as_str().unwrap();
    for (id, status) in [("lab", 200), ("both", 200), ("survey", 404), ("obs-ann-1", 404), ("bobs-lab", 404), ("absent", 404)] {
        for path in [format!("Observation/{id}"), format!("Observation/{id}/_history")] {
            assert_eq!(get(&world, token, &path).await.status, status, "{path}");
        }
    }
    assert_eq!(found(&world, token, "Observation").await, ["both", "lab"]);
    assert_eq!(get(&world, token, "Observation?_total=accurate&_count=1").await.json()["total"], 2);
    assert_eq!(found(&world, token, &format!("Observation?category={CATEGORY}%7Csurvey")).await, ["both"]);
    assert!(found(&world, token, "Observation?_id=survey").await.is_empty());
    assert_eq!(found(&world, token, "Patient?_revinclude=Observation:subject").await, ["ann", "both", "lab"]);
    assert_eq!(found(&world, token, "Observation?_include=Observation:performer").await, ["both", "chemist", "lab"]);
    // What only a hidden record refers to, or is about a hidden record, is hidden, too.
    assert_eq!(found(&world, token, "Practitioner").await, ["chemist"]);
    assert_eq!(get(&world, token, "Practitioner/asker").await.status, 404);
    assert_eq!(found(&world, token, "Provenance").await, ["of-lab"]);
    assert_eq!(found(&world, token, "Observation?_revinclude=Provenance:target").await, ["both", "lab", "of-lab"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_scopes_of_one_type_open_the_union_and_several_parameters_the_intersection() {
    let world = world().await;
    for (scope, expected) in [
        (
            format!("patient/Observation.rs?category={CATEGORY}|laboratory patient/Observation.rs?category={CATEGORY}|survey"),
            vec!["both", "lab", "survey"],
        ),
        (format!("patient/Observation.rs?category={CATEGORY}|laboratory,{CATEGORY}|survey"), vec!["both", "lab", "survey"]),
        (format!("patient/Observation.rs?category={CATEGORY}|laboratory&category={CATEGORY}|survey"), vec!["both"]),
        (format!("patient/Observation.rs?category={CATEGORY}|laboratory&status=preliminary"), vec![]),
        (
            format!("patient/Observation.rs?category={CATEGORY}|laboratory patient/Observation.rs"),
            vec!["both", "lab", "obs-ann-1", "obs-ann-2", "survey"],
        ),
    ] {
        let token = world.app.access_token(&format!("launch/patient {scope}"), "ann", PASSWORD).await;
        assert_eq!(found(&world, &token, "Observation").await, expected, "{scope}");
    }
    // The letters of each scope count for its own criteria.
    let scope = format!(
        "launch/patient patient/Observation.r?category={CATEGORY}|survey patient/Observation.s?category={CATEGORY}|laboratory"
    );
    let token = world.app.access_token(&scope, "ann", PASSWORD).await;
    assert_eq!(found(&world, &token, "Observation").await, ["both", "lab"]);
    assert_eq!(get(&world, &token, "Observation/survey").await.status, 200);
    assert_eq!(get(&world, &token, "Observation/lab").await.status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_is_shown_where_it_and_the_current_one_fulfil_the_criteria() {
    verifies!("SMART-41");
    let world = world().await;
    world.server.import(&[observation("moved", "ann", &["laboratory"], "chemist")]).await;
    world.server.import(&[observation("moved", "ann", &["survey"], "chemist")]).await;
    world.server.import(&[observation("moved", "ann", &["laboratory"], "asker")]).await;
    let all = world.ann().await;
    let history = get(&world, &all, "Observation/moved/_history").await.json();
    let versions: Vec<String> = history["entry"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["resource"]["meta"]["versionId"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(versions.len(), 3);
    let scope = |code: &str| format!("launch/patient patient/Observation.rs?category={CATEGORY}|{code}");
    let lab = world.app.access_token(&scope("laboratory"), "ann", PASSWORD).await;
    let shown = get(&world, &lab, "Observation/moved/_history").await.json();
    assert_eq!((shown["total"].as_u64(), shown["entry"].as_array().unwrap().len()), (Some(2), 2));
    for (version, status) in versions.iter().zip([200, 404, 200]) {
        assert_eq!(get(&world, &lab, &format!("Observation/moved/_history/{version}")).await.status, status);
    }
    let survey = world.app.access_token(&scope("survey"), "ann", PASSWORD).await;
    for version in &versions {
        assert_eq!(get(&world, &survey, &format!("Observation/moved/_history/{version}")).await.status, 404);
    }
    assert_eq!(get(&world, &survey, "Observation/moved/_history").await.status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_must_fulfil_the_criteria_before_and_after() {
    verifies!("SMART-41");
    let world = world().await;
    let scope = format!("launch/patient patient/Observation.cruds?category={CATEGORY}|survey");
    let token = world.app.access_token(&scope, "ann", PASSWORD).await;
    let send = async |method: Method, path: &str, body: String| {
        let reply = world.server.client.request(method, &format!("/fhir/{path}")).bearer(&token).fhir(body).send().await;
        reply.status.as_u16()
    };
    let lab = || observation("lab", "ann", &["laboratory"], "chemist");
    assert_eq!(send(Method::POST, "Observation", lab()).await, 403);
    assert_eq!(
        send(Method::PUT, "Observation/lab", observation("lab", "ann", &["survey"], "chemist")).await,
        404,
        "it is hidden"
    );
    assert_eq!(
        send(Method::DELETE, "Observation/lab", String::new()).await,
        send(Method::DELETE, "Observation/absent", String::new()).await
    );
    assert_eq!(send(Method::PUT, "Observation/survey", lab().replace("\"lab\"", "\"survey\"")).await, 403, "it would leave");
    assert_eq!(send(Method::POST, "Observation", observation("x", "bob", &["survey"], "chemist")).await, 403, "not hers");
    assert_eq!(send(Method::POST, "Observation", observation("x", "ann", &["survey"], "chemist")).await, 201);
    assert_eq!(send(Method::PUT, "Observation/survey", observation("survey", "ann", &["survey", "exam"], "asker")).await, 200);
    let all = world.ann().await;
    assert_eq!(get(&world, &all, "Observation/lab").await.status, 200);
    assert_eq!(send(Method::DELETE, "Observation/survey", String::new()).await, 204);
    // A deletion has no content that could be judged: afterwards it is as if it had never been.
    assert_eq!(get(&world, &token, "Observation/survey").await.status, 404);
    assert_eq!(get(&world, &all, "Observation/survey").await.status, 410);
    // Nor do criteria let it be seen that ask for something not to be there.
    for criteria in [format!("category:not={CATEGORY}|laboratory"), "date:missing=true".to_owned()] {
        let without = world.app.access_token(&format!("launch/patient patient/Observation.rs?{criteria}"), "ann", PASSWORD).await;
        assert_eq!(get(&world, &without, "Observation/survey").await.status, 404, "{criteria}");
        assert_eq!(get(&world, &without, "Observation/survey/_history").await.status, 404, "{criteria}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_granular_scope_of_us_core_is_granted_as_it_was_asked_for() {
    verifies!("USCORE-10");
    let world = world().await;
    let condition = "http://terminology.hl7.org/CodeSystem/condition-category";
    let us_core = "http://hl7.org/fhir/us/core/CodeSystem";
    let scopes = [
        format!("patient/Condition.rs?category={condition}|encounter-diagnosis"),
        format!("patient/Condition.rs?category={condition}|problem-list-item"),
        format!("patient/Condition.rs?category={us_core}/condition-category|health-concern"),
        format!("patient/Observation.rs?category={CATEGORY}|laboratory"),
        format!("patient/Observation.rs?category={CATEGORY}|social-history"),
        format!("patient/Observation.rs?category={CATEGORY}|vital-signs"),
        format!("patient/Observation.rs?category={CATEGORY}|survey"),
        format!("patient/Observation.rs?category={us_core}/us-core-category|sdoh"),
        // The same meaning, escaped as some clients do.
        format!("patient/Observation.rs?category={CATEGORY}%7Claboratory"),
        "patient/Observation.rs?category=a%26b".to_owned(),
        "patient/Observation.rs?category=a+b".to_owned(),
    ];
    let scope = format!("launch/patient {}", scopes.join(" "));
    let response = world.app.authorize(&scope, "ann", PASSWORD).await;
    assert_eq!(response["scope"], *scope);
    let token = response["access_token"].as_str().unwrap();
    assert_eq!(found(&world, token, "Observation").await, ["both", "lab", "survey"]);
    let at = world.app.sign_in(&world.app.authorization_query(&scope), "ann", PASSWORD).await;
    let page = at.page.text();
    for words in ["Your lab results only", "Your health concerns only", "Your problem list only"] {
        assert!(page.contains(words), "{words}: {page}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn criteria_that_are_not_understood_are_left_out_and_named_and_alone_they_are_an_invalid_scope() {
    verifies!("SMART-42");
    let world = world().await;
    for bad in [
        "patient/Observation.rs?unknown=1",
        "patient/Observation.rs?category=",
        "patient/Observation.rs?category",
        "patient/Observation.rs?",
        "patient/Observation.rs?category:in=http://example.org/vs",
        "patient/Observation.rs?category=a&_count=1",
        "patient/Observation.rs?_count=1",
        "patient/Observation.rs?category=a&unknown=1",
        "patient/Observation.rs?patient.name=x",
        "patient/Observation.rs?_has:Provenance:target:agent=x",
        "patient/Observation.rs?subject=https://elsewhere.example/Patient/1",
        "patient/Observation.rs?category=a%",
        "patient/Observation.rs?category=%00",
        "patient/Observation.rs?category=a%0Ab",
        "patient/Observation.rs?category=%C3%28",
        "patient/Observation.rs?date=yesterday",
        "patient/Observation.rs?date=ap2024",
        "patient/Observation.read?category=a",
        "patient/*.rs?category=a",
        "patient/AuditEvent.rs?action=R",
    ] {
        let named: String = bad.chars().take(60).collect();
        let beside = world.app.authorization_query(&format!("launch/patient patient/Patient.r {bad}"));
        let at = world.app.sign_in(&beside, "ann", PASSWORD).await;
        let page = at.page.text();
        assert!(page.contains(&named.replace('&', "&#38;")), "{bad} is named: {page}");
        assert!(page.contains("which this server cannot give"), "{bad}");
        let back = world.app.consent(&at, &["patient/Patient.r", bad], "allow").await;
        let token = world.app.exchange(&query_value(&back, "code").unwrap()).await.json();
        assert_eq!(token["scope"], "launch/patient patient/Patient.r", "{bad}");

        let alone = world.server.client.get(&format!("/oauth/authorize?{}", world.app.authorization_query(bad))).send().await;
        assert_eq!(query_value(&alone, "error").as_deref(), Some("invalid_scope"), "{bad} {}", alone.text());
        let description = query_value(&alone, "error_description");
        assert_eq!(description.as_deref(), Some("none of the requested scopes can be granted to this client"), "{bad}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scope_of_ten_kilobytes_is_an_invalid_scope_and_of_three_is_named_in_short() {
    let world = world().await;
    let long = |bytes: usize| format!("patient/Observation.rs?category={}", "a".repeat(bytes));
    let alone =
        world.server.client.get(&format!("/oauth/authorize?{}", world.app.authorization_query(&long(10_000)))).send().await;
    assert_eq!(query_value(&alone, "error").as_deref(), Some("invalid_scope"), "{} {}", alone.status, alone.text());
    let scope = format!("launch/patient patient/Patient.r {}", long(3_000));
    let at = world.app.sign_in(&world.app.authorization_query(&scope), "ann", PASSWORD).await;
    let page = at.page.text();
    assert!(
        page.contains(&format!("{}…</code>, which this server cannot give", &long(3_000)[..199])),
        "{} {page}",
        at.page.status
    );
    let back = world.app.consent(&at, &["patient/Patient.r"], "allow").await;
    let token = world.app.exchange(&query_value(&back, "code").unwrap()).await.json();
    assert_eq!(token["scope"], "launch/patient patient/Patient.r");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_cannot_shed_the_criteria() {
    verifies!("SMART-31");
    let world = world().await;
    let lab = format!("patient/Observation.rs?category={CATEGORY}|laboratory");
    let first = world.app.authorize(&format!("launch/patient offline_access {lab}"), "ann", PASSWORD).await;
    let refresh = first["refresh_token"].as_str().unwrap();
    for wider in ["patient/Observation.rs".to_owned(), format!("{lab},{CATEGORY}|survey"), lab.replace(".rs?", ".cruds?")] {
        let fields = [("grant_type", "refresh_token"), ("refresh_token", refresh), ("scope", wider.as_str())];
        let reply = world.app.token_request(&fields).await;
        assert_eq!((reply.status.as_u16(), reply.json()["error"].as_str()), (400, Some("invalid_scope")), "{wider}");
    }
    let fields = [("grant_type", "refresh_token"), ("refresh_token", refresh)];
    let again = world.app.token_request(&fields).await.json();
    assert!(again["scope"].as_str().unwrap().contains(&lab), "{again}");
    assert_eq!(found(&world, again["access_token"].as_str().unwrap(), "Observation").await, ["both", "lab"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_on_its_own_behalf_sees_what_its_token_and_its_registration_both_admit() {
    let world = world().await;
    let registered = format!("system/Observation.rs?category={CATEGORY}|laboratory system/Patient.rs");
    let key = ClientKey::generate("k1", "ES384");
    let keys = KeySource::value(&key.jwks().to_string()).unwrap();
    let backend = world.server.add_backend("lab-export", &registered, key, keys).await;
    let now = world.server.server.clock.now_seconds();
    let refused = backend.request(&backend.assertion(now, "j1"), "system/Observation.rs").await;
    assert_eq!((refused.status.as_u16(), refused.json()["error"].as_str()), (400, Some("invalid_scope")));
    let asked = format!("system/Observation.rs?category={CATEGORY}|laboratory&subject=Patient/bob");
    let token = backend.token(now, "j2", &asked).await;
    assert_eq!(found(&world, &token, "Observation").await, ["bobs-lab"]);
    let token = backend.token(now, "j3", &registered).await;
    assert_eq!(found(&world, &token, "Observation").await, ["bobs-lab", "both", "lab"]);
    assert_eq!(get(&world, &token, "Observation/survey").await.status, 404);
}
