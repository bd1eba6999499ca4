//! How denials look, by the operator's choice: hidden and absent answer alike in every style, and the record is that of a denial.

use http::Method;
use portcullis_audit::{Outcome, Presence};
use portcullis_server::context::AuthorizationSettings;
use portcullis_server::resource_server::denials::{BeyondInclude, BeyondSearch, Denials, Hidden};
use portcullis_testkit::resources::observation;
use portcullis_testkit::server::PASSWORD;
use portcullis_testkit::{Reply, TestServer};
use portcullis_verifies::verifies;
use serde_json::Value;

use super::world::{World, ids};

async fn world(denials: Denials) -> World {
    let settings = AuthorizationSettings { denials, ..Default::default() };
    World::over(TestServer::start_with(settings).await).await
}

/// Ann's app with these scopes.
async fn narrow(world: &World, scope: &str) -> String {
    let app = world.server.add_app("narrow", &format!("launch/patient {scope}"), false).await;
    app.access_token(&format!("launch/patient {scope}"), "ann", PASSWORD).await
}

impl World {
    async fn get(&self, token: &str, path: &str) -> Reply {
        self.server.client.get(&format!("/fhir/{path}")).bearer(token).send().await
    }

    fn outcome_of(&self, reply: &Reply) -> Outcome {
        let id = reply.header("x-request-id");
        self.server.records().into_iter().find(|record| record.id.0 == id).unwrap().outcome
    }
}

/// The answer without what differs between any two.
fn comparable(reply: &Reply, id: &str) -> (u16, String, bool) {
    (reply.status.as_u16(), reply.text().replace(id, "ID"), reply.headers.contains_key("www-authenticate"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hidden_and_absent_records_answer_alike_in_each_style() {
    verifies!("FHIR-SEC-36");
    for (hidden, status) in [(Hidden::NotFound, 404), (Hidden::Forbidden, 403)] {
        let world = world(Denials { hidden, ..Denials::default() }).await;
        let token = world.ann().await;
        let client = &world.server.client;
        for path in ["Observation/ID", "Observation/ID/_history", "Observation/ID/_history/1", "Encounter/ID/$everything"] {
            let [of_hidden, of_absent] = [("obs-bob-1", "enc-bob"), ("none", "none")].map(|(observation, encounter)| {
                path.replace("ID", if path.starts_with("Encounter") { encounter } else { observation })
            });
            let (of_hidden, of_absent) = (world.get(&token, &of_hidden).await, world.get(&token, &of_absent).await);
            assert_eq!(of_hidden.status, status, "{path}: {}", of_hidden.text());
            assert_eq!(comparable(&of_hidden, "obs-bob-1"), comparable(&of_absent, "none"), "{path}");
            let code = if status == 404 { "not-found" } else { "forbidden" };
            assert_eq!(of_hidden.json()["issue"][0]["code"], code, "{path}");
        }
        let change = |method: Method, id: &'static str| {
            let request = client.request(method.clone(), &format!("/fhir/Observation/{id}")).bearer(&token);
            let body = observation(id, "ann", "4548-4", "1", "2026-01-01");
            async move { if method == Method::PUT { request.fhir(body).send().await } else { request.send().await } }
        };
        for method in [Method::PUT, Method::DELETE] {
            let (of_hidden, of_absent) = (change(method.clone(), "obs-bob-1").await, change(method.clone(), "none").await);
            assert_eq!(of_hidden.status, status, "{method}: {}", of_hidden.text());
            assert_eq!(comparable(&of_hidden, "obs-bob-1"), comparable(&of_absent, "none"), "{method}");
        }
        let entry = |id: &str| format!(r#"{{"request":{{"method":"GET","url":"Observation/{id}"}}}}"#);
        for kind in ["batch", "transaction"] {
            let bundle = |id: &str| format!(r#"{{"resourceType":"Bundle","type":"{kind}","entry":[{}]}}"#, entry(id));
            let [of_hidden, of_absent] = ["obs-bob-1", "none"].map(|id| client.post("/fhir").bearer(&token).fhir(bundle(id)));
            let (of_hidden, of_absent) = (of_hidden.send().await, of_absent.send().await);
            assert_eq!(comparable(&of_hidden, "obs-bob-1"), comparable(&of_absent, "none"), "{kind}");
            let told = if kind == "batch" {
                of_hidden.json()["entry"][0]["response"]["status"].as_str().unwrap().split(' ').next().unwrap().to_owned()
            } else {
                of_hidden.status.as_u16().to_string()
            };
            assert_eq!(told, status.to_string(), "{kind}: {}", of_hidden.text());
        }
        // The audit trail says whose record it was in either style.
        let tried = world.get(&token, "Observation/obs-bob-1").await;
        let records = world.server.records();
        let record = records.iter().find(|record| record.id.0 == tried.header("x-request-id")).unwrap();
        assert_eq!(record.operations[0].presence, Some(Presence::Hidden), "{record:?}");
        assert_eq!(world.get(&token, "Observation/obs-ann-1").await.status, 200);
        assert_eq!(world.get(&token, "Dragon/1").await.status, 404, "there is no such type for anybody");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_beyond_the_scopes_is_refused_or_finds_nothing_and_is_recorded_as_denied() {
    verifies!("FHIR-SEC-36");
    for (search, status) in [(BeyondSearch::Refuse, 403), (BeyondSearch::Empty, 200)] {
        let world = world(Denials { search, ..Denials::default() }).await;
        let token = narrow(&world, "patient/Observation.rs").await;
        for path in ["Encounter", "Encounter?_total=accurate", "Patient/ann/Encounter", "Encounter?_summary=count"] {
            let reply = world.get(&token, path).await;
            assert_eq!(reply.status, status, "{path}: {}", reply.text());
            assert_eq!(world.outcome_of(&reply), Outcome::Denied, "{path}");
            if status == 200 {
                let bundle = reply.json();
                assert_eq!((&bundle["type"], bundle["entry"].is_array()), (&Value::from("searchset"), false), "{path}: {bundle}");
                assert_eq!(bundle["total"].as_u64(), path.contains('_').then_some(0), "{path}: {bundle}");
            }
        }
        let one = world.get(&token, "Encounter/enc-ann").await;
        assert_eq!(one.status, 403, "a read is no search");
        assert_eq!(ids(&world.get(&token, "Observation").await.json()).len(), 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_include_beyond_the_scopes_is_left_out_refused_or_makes_the_search_find_nothing() {
    verifies!("SPM-02");
    let beyond = [
        "Observation?_include=Observation:subject",
        "Observation?_include=Observation:subject:Patient",
        "Observation?_revinclude=Provenance:target",
    ];
    let styles = [(BeyondInclude::LeaveOut, 200, 2), (BeyondInclude::Refuse, 403, 0), (BeyondInclude::Empty, 200, 0)];
    for (include, status, found) in styles {
        let world = world(Denials { include, ..Denials::default() }).await;
        let token = narrow(&world, "patient/Observation.rs patient/Practitioner.rs").await;
        for path in beyond {
            let reply = world.get(&token, path).await;
            assert_eq!(reply.status, status, "{path}: {}", reply.text());
            if status == 200 {
                assert_eq!(ids(&reply.json()).len(), found, "{path}");
            }
            let expected = if found == 0 { Outcome::Denied } else { Outcome::Success };
            assert_eq!(world.outcome_of(&reply), expected, "{path}");
        }
        // One type of those that may come is open, and so is the search.
        for path in ["Observation?_include=Observation:performer", "Observation"] {
            let reply = world.get(&token, path).await;
            assert_eq!((reply.status.as_u16(), ids(&reply.json()).len()), (200, 2), "{path}: {}", reply.text());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_gives_advice_only_where_the_operator_wants_it_and_only_to_whoever_is_known() {
    verifies!("FHIR-SEC-39");
    for advice in [true, false] {
        let world = world(Denials { advice, ..Denials::default() }).await;
        let token = narrow(&world, "patient/Observation.rs").await;
        let stranger = world.server.client.get("/fhir/Encounter").send().await;
        assert_eq!(stranger.status, 401);
        assert!(!stranger.header("www-authenticate").contains("insufficient_scope"), "{}", stranger.header("www-authenticate"));
        assert!(!stranger.text().contains("Encounter"), "{}", stranger.text());
        let create = world.server.client.post("/fhir/Observation").bearer(&token);
        let created = create.fhir(observation("x", "ann", "1", "1", "2026-01-01").replace(r#""id":"x","#, "")).send().await;
        for reply in [world.get(&token, "Encounter").await, world.get(&token, "Patient/ann").await, created] {
            assert_eq!((reply.status.as_u16(), &reply.json()["issue"][0]["code"]), (403, &Value::from("forbidden")));
            let challenge = reply.header("www-authenticate");
            assert!(challenge.contains(r#"error="insufficient_scope""#), "{challenge}");
            assert_eq!(challenge.contains("scope=\"patient/"), advice, "{challenge}");
            let told = reply.json()["issue"][0]["diagnostics"].as_str().unwrap().to_owned();
            assert_eq!(told == "This access does not allow that.", !advice, "{told}");
        }
        let both = world.ann().await;
        let outside = world.server.client.post("/fhir/Observation").bearer(&both);
        let outside = outside.fhir(observation("x", "bob", "1", "1", "2026-01-01").replace(r#""id":"x","#, "")).send().await;
        assert_eq!((outside.status.as_u16(), outside.text().contains("Name a patient")), (403, advice), "{}", outside.text());
    }
}
