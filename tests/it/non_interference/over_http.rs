//! The same over HTTPS, through the whole server: fewer cases, but with status, headers and the bytes of every answer.
//!
//! Nobody sees everything over HTTP, so the same person asks two servers: one holds everything, the other what the person may see. And of everything that
//! is hidden, every route answers as it does for what does not exist.

use std::collections::BTreeMap;

use portcullis_fhir::xml;
use portcullis_store::Clock as _;
use portcullis_testkit::server::PASSWORD;
use portcullis_testkit::{Reply, TestServer};
use portcullis_verifies::verifies;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::Value;

use super::data::{self, BASE, Event, NOW, Record};
use super::people::{Context, Person, Scope};
use super::redaction;
use super::requests::{Request, requests, several};
use super::view::View;

const SCOPES: &str = "launch/patient patient/*.cruds patient/AuditEvent.rs user/*.cruds user/AuditEvent.rs";
/// As long as the ids of the data, so that lengths can be compared.
const ABSENT: &str = "z9";
/// Requests of one person at one data set.
const REQUESTS: usize = 25;
/// Pages that are followed.
const MOST_PAGES: usize = 4;

/// The people of these tests, by the name to sign in with.
pub fn people() -> [(&'static str, Person); 3] {
    let scopes = |context| vec![Scope { context, resource_type: None, letters: "cruds", criteria: None }];
    let (patient, user) = (scopes(Context::Patient), scopes(Context::User));
    [
        ("ann", Person { patients: vec!["p0"], launch: Some("p0"), scopes: patient, ..Person::default() }),
        ("rep", Person { patients: vec!["p1", "p2"], scopes: user.clone(), ..Person::default() }),
        ("doc", Person { practitioner: Some("d0"), scopes: user, ..Person::default() }),
    ]
}

/// A server that holds these records, and the tokens of the people.
pub struct World {
    /// The server.
    pub server: TestServer,
    tokens: BTreeMap<&'static str, String>,
}

/// A text with the address of this server: in references, and in what names the app.
fn here(server: &TestServer, text: &str) -> String {
    text.replace(BASE.trim_end_matches("/fhir"), server.fhir_base.trim_end_matches("/fhir"))
}

impl World {
    /// Starts it.
    pub async fn of(records: &[Record], names: &[&str]) -> Self {
        let server = TestServer::start().await;
        // Relationships have times: what is so in the view must be so now.
        server.clock.advance_seconds(NOW / 1000 - server.clock.now_seconds());
        let bodies = records.iter().flat_map(|record| &record.versions).filter_map(|version| version.body.as_ref());
        let texts: Vec<String> = bodies.map(|body| here(&server, &body.to_string())).collect();
        server.import(&texts).await;
        let app = server.add_app("app", SCOPES, false).await;
        let mut tokens = BTreeMap::new();
        for (name, person) in people().into_iter().filter(|(name, _)| names.contains(name)) {
            let own = person.launch.map(|id| format!("Patient/{id}"));
            let fhir_user = person.practitioner.map(|id| format!("Practitioner/{id}")).or(own);
            server.add_user(name, &person.roles(), fhir_user.as_deref(), &person.patients).await;
            // A wildcard does not open the audit trail.
            let scope = if person.launch.is_some() {
                "launch/patient patient/*.cruds patient/AuditEvent.rs"
            } else {
                "user/*.cruds user/AuditEvent.rs"
            };
            tokens.insert(name, app.access_token(scope, name, PASSWORD).await);
        }
        Self { server, tokens }
    }

    /// One GET.
    pub async fn get(&self, name: &str, path: &str) -> Reply {
        self.send(name, (&http::Method::GET, path), None, "").await
    }

    /// One request; a body is a search's form or FHIR JSON, which is asked for in the answer, too.
    pub async fn send(&self, name: &str, (method, path): (&http::Method, &str), if_match: Option<&str>, body: &str) -> Reply {
        let mut request = self.server.client.request(method.clone(), path).bearer(&self.tokens[name]);
        if let Some(tag) = if_match {
            request = request.header("if-match", tag);
        }
        let bytes = here(&self.server, body);
        if body.is_empty() {
            request.send().await
        } else if path.ends_with("_search") {
            request.header("content-type", "application/x-www-form-urlencoded").bytes(bytes).send().await
        } else {
            request.header("prefer", "return=representation").fhir(bytes).send().await
        }
    }

    /// All pages of an answer, without what differs between servers.
    async fn pages(&self, name: &str, path: &str) -> Vec<(u16, String)> {
        let mut path = path.to_owned();
        let mut pages = Vec::new();
        while pages.len() < MOST_PAGES {
            let reply = self.get(name, &path).await;
            pages.push((reply.status.as_u16(), self.plain(&reply)));
            if path.len().is_multiple_of(3) && !path.contains("_format") {
                self.is_the_same_in_xml(name, &path, &reply).await;
            }
            let Ok(bundle) = serde_json::from_slice::<Value>(&reply.body) else { break };
            let links = bundle["link"].as_array().cloned().unwrap_or_default();
            let Some(next) = links.iter().find(|link| link["relation"] == "next") else { break };
            let next = next["url"].as_str().unwrap();
            next.strip_prefix(&self.server.fhir_base).unwrap().clone_into(&mut path);
            path.insert_str(0, "/fhir");
        }
        pages
    }

    /// XML is made of the JSON that was released, so it says neither less nor more.
    async fn is_the_same_in_xml(&self, name: &str, path: &str, reply: &Reply) {
        let request = self.server.client.get(path).bearer(&self.tokens[name]).header("accept", "application/fhir+xml");
        let in_xml = request.send().await;
        assert_eq!(in_xml.status, reply.status, "{name} {path}");
        let tree = xml::parse(&in_xml.body).unwrap_or_else(|error| panic!("{name} {path}: {error}"));
        let [said, expected] = [&*tree.to_bytes(), &*reply.body].map(|body| {
            let mut value = serde_json::from_slice(body).unwrap();
            forget_versions(&mut value);
            value
        });
        assert_eq!(said, expected, "{name} {path}");
    }

    /// The body without port, version ids, bookmarks, and the marks that something is left out and that elements have labels.
    fn plain(&self, reply: &Reply) -> String {
        let mut body = serde_json::from_str(&reply.text().replace(&self.server.fhir_base, BASE)).unwrap();
        forget_versions(&mut body);
        body.to_string()
    }
}

fn forget_versions(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(forget_versions),
        Value::Object(members) => {
            members.remove("versionId");
            members.remove("etag");
            if let Some(Value::Array(labels)) = members.get_mut("security") {
                labels.retain(|label| !redaction::MARKS.iter().any(|mark| label["code"] == *mark));
            }
            members.retain(|name, value| name != "security" || value.as_array().is_none_or(|labels| !labels.is_empty()));
            for (name, value) in members {
                match value {
                    Value::String(url) if name == "url" => {
                        if let Some((before, _)) = url.split_once("_cursor=") {
                            *url = format!("{before}_cursor=");
                        }
                    }
                    other => forget_versions(other),
                }
            }
        }
        _ => {}
    }
}

/// Searches of several types, as paths with queries.
fn searches_of_several_types(seed: u8) -> Vec<String> {
    let mut runner = TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]));
    let searches = proptest::collection::vec(several(), REQUESTS).new_tree(&mut runner).unwrap().current();
    let address = |(path, parameters): (String, Vec<(String, String)>)| {
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&parameters).finish();
        format!("{}?{query}", if path.is_empty() { "/fhir".to_owned() } else { format!("/fhir/{path}") })
    };
    searches.into_iter().map(address).collect()
}

/// The same data and requests in every run.
fn sample(seed: u8) -> (Vec<Record>, Vec<Request>) {
    let mut runner = TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]));
    let requests = proptest::collection::vec(requests(), REQUESTS).new_tree(&mut runner).unwrap().current();
    loop {
        let mut events = data::events().new_tree(&mut runner).unwrap().current();
        // Deletions and times are asked for at the store.
        // Nor is anything hidden by which a clinician is in care: here the person asks the view, too, and would not be in care there.
        let gives_care = |draft: &data::Draft| ["Encounter", "CareTeam"].contains(&draft.kind.name);
        let is_kept = |draft: &data::Draft| draft.kind.name != "Consent" && !(gives_care(draft) && draft.code == 1);
        events.retain(|event| matches!(event, Event::Put(draft) if is_kept(draft)));
        let records = data::records(&events);
        let sees = |person: &Person| View::new(&records, person, 's').records().len();
        if people().iter().all(|(_, person)| (8..records.len().saturating_sub(8)).contains(&sees(person))) {
            return (records, requests);
        }
    }
}

/// The path and the query of a request.
pub fn target(request: &Request) -> (String, String) {
    let (path, parameters) = request.path();
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&parameters).finish();
    (format!("/fhir/{path}"), query)
}

/// LESSONS 4 as well: a form finds what a query string finds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_answers_as_one_that_holds_only_what_the_person_may_see() {
    verifies!("SEED-USCORE-01");
    let (records, requests) = sample(1);
    let whole = World::of(&records, &people().map(|(name, _)| name)).await;
    for (name, person) in people() {
        let view = World::of(&View::new(&records, &person, 's').records(), &[name]).await;
        for request in &requests {
            let (path, query) = target(request);
            let address = format!("{path}?{query}");
            let found = whole.pages(name, &address).await;
            assert_eq!(found, view.pages(name, &address).await, "{name} {address}");
            if let Request::Search { parameters, .. } = request {
                let pairs: Vec<(&str, &str)> = parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
                let form =
                    whole.server.client.post(&format!("{path}/_search")).bearer(&whole.tokens[name]).form(&pairs).send().await;
                assert_eq!((form.status.as_u16(), whole.plain(&form)), found[0], "{name} {address} as a form");
            }
        }
        let mut found = 0;
        for address in searches_of_several_types(1) {
            let pages = whole.pages(name, &address).await;
            assert_eq!(pages, view.pages(name, &address).await, "{name} {address}");
            found += usize::from(pages.iter().any(|(_, body)| body.contains("fullUrl")));
        }
        assert!(found > 3, "{name} found something by {found} searches of several types");
        for bundle_type in ["batch", "transaction"] {
            let body = together(bundle_type, &requests);
            let found = whole.server.client.post("/fhir").bearer(&whole.tokens[name]).fhir(body.clone()).send().await;
            let expected = view.server.client.post("/fhir").bearer(&view.tokens[name]).fhir(body).send().await;
            let told = (found.status, whole.plain(&found));
            assert_eq!(told, (expected.status, view.plain(&expected)), "{name}: all of them as a {bundle_type}");
        }
    }
}

/// All of these requests as entries of one.
fn together(bundle_type: &str, requests: &[Request]) -> String {
    let entry = |request: &Request| {
        let (path, query) = target(request);
        let url = format!("{}?{query}", path.trim_start_matches("/fhir/"));
        serde_json::json!({"request": {"method": "GET", "url": url}})
    };
    let entries: Vec<Value> = requests.iter().map(entry).collect();
    serde_json::json!({"resourceType": "Bundle", "type": bundle_type, "entry": entries}).to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_hidden_answers_as_what_does_not_exist_by_every_route() {
    verifies!("SEED-USCORE-01", "FHIR-SEC-33");
    let (mut records, _) = sample(2);
    // Of nobody who asks.
    records.extend(data::records_of(&[
        r#"{"resourceType":"Binary","id":"z8","contentType":"text/plain","data":"aGk=","securityContext":{"reference":"Patient/zz"}}"#,
    ]));
    let names = people().map(|(name, _)| name);
    let whole = World::of(&records, &names).await;
    for (name, person) in people() {
        let visible = View::new(&records, &person, 'r').records();
        let is_shown =
            |record: &Record| visible.iter().any(|one| one.resource_type == record.resource_type && one.id == record.id);
        // One of each type is enough.
        let hidden: BTreeMap<&str, &Record> =
            records.iter().filter(|record| !is_shown(record)).map(|record| (record.resource_type.as_str(), record)).collect();
        let said: String = visible
            .iter()
            .flat_map(|record| &record.versions)
            .filter_map(|version| Some(version.body.as_ref()?.to_string()))
            .collect();
        let mut asked = 0;
        for record in hidden.into_values() {
            // Whom a visible record names is known, and found by that name.
            let known = said.contains(&format!("{}/{}", record.resource_type, record.id));
            for (method, path, body) in routes(record, !known) {
                let send = |id: &str| {
                    let absent = |text: &str| text.replace(&format!("@{}", record.id), id).replace('@', "");
                    let (path, body) = (absent(&path), body.as_deref().map(absent));
                    let request = whole.server.client.request(method.clone(), &path).bearer(&whole.tokens[name]);
                    async move {
                        match body {
                            Some(body) if path.ends_with("_search") => {
                                request.header("content-type", "application/x-www-form-urlencoded").bytes(body).send().await
                            }
                            Some(body) if body.starts_with('[') => {
                                request.header("content-type", "application/json-patch+json").bytes(body).send().await
                            }
                            Some(body) => request.fhir(body).send().await,
                            None => request.send().await,
                        }
                    }
                };
                let (of_hidden, of_absent) = (send(&record.id).await, send(ABSENT).await);
                // An id may also stand by chance in that of a version.
                let expected = comparable(&of_absent).replace(&record.id, ABSENT);
                assert_eq!(comparable(&of_hidden).replace(&record.id, ABSENT), expected, "{name} {method} {path}");
                asked += 1;
            }
            // "If-None-Exist" finds nothing hidden: what is created has a name and times of its own.
            let mut body = record.last_stated().clone();
            body.as_object_mut().unwrap().remove("id");
            let create = |id: &str| {
                let request = whole.server.client.post(&format!("/fhir/{}", record.resource_type)).bearer(&whole.tokens[name]);
                request.header("if-none-exist", &format!("_id={id}")).fhir(body.to_string()).send()
            };
            let told = |reply: &Reply| {
                let has_body = !reply.body.is_empty();
                (reply.status, reply.header("location").len(), has_body.then(|| reply.json()["issue"].clone()))
            };
            assert_eq!(told(&create(&record.id).await), told(&create(ABSENT).await), "{name} creates {}", record.resource_type);
        }
        assert!(asked > 50, "{name} was refused {asked} times");
    }
}

/// Requests that name a record, with `@` before each place of its id: method, path, body. Where nothing visible names it, also searches by reference.
fn routes(record: &Record, unknown: bool) -> Vec<(http::Method, String, Option<String>)> {
    use http::Method;
    let Record { resource_type, id, .. } = record;
    let base = format!("/fhir/{resource_type}");
    let mut body = record.last_stated().clone();
    body["id"] = format!("@{id}").into();
    let mut routes = vec![
        (Method::GET, format!("{base}/@{id}"), None),
        (Method::HEAD, format!("{base}/@{id}"), None),
        (Method::GET, format!("{base}/@{id}?_summary=true"), None),
        (Method::GET, format!("{base}/@{id}/_history"), None),
        (Method::GET, format!("{base}/@{id}/_history/v1"), None),
        (Method::GET, format!("{base}?_id=@{id}&_total=accurate"), None),
        (Method::GET, format!("{base}?_id=@{id}&_revinclude=Provenance:target"), None),
        (Method::POST, format!("{base}/_search"), Some(format!("_id=@{id}&_total=accurate"))),
        (Method::PUT, format!("{base}/@{id}"), Some(body.to_string())),
        (Method::DELETE, format!("{base}/@{id}"), None),
        (Method::PUT, format!("{base}?_id=@{id}"), Some(body.to_string())),
        (Method::DELETE, format!("{base}?_id=@{id}"), None),
        (Method::PATCH, format!("{base}/@{id}"), Some("[]".to_owned())),
        (Method::PATCH, format!("{base}?_id=@{id}"), Some("[]".to_owned())),
        (Method::GET, format!("/fhir?_type={resource_type}&_id=@{id}&_total=accurate"), None),
        (Method::GET, format!("/fhir?_id=@{id}&_total=accurate"), None),
        (Method::GET, format!("{base}?_id=@{id}&_revinclude=*&_include=*"), None),
        (Method::GET, format!("{base}/@{id}/$everything"), None),
        (Method::POST, format!("{base}/@{id}/$everything"), None),
        (Method::GET, format!("{base}/@{id}?_elements=id"), None),
        (Method::GET, format!("{base}?_id=@{id}&_elements=id&_sort=-_lastUpdated&_total=accurate"), None),
        (Method::GET, format!("{base}?_id=@{id}&_summary=count"), None),
        (Method::GET, format!("{base}?_id=@{id}&_contained=both"), None),
        (Method::GET, format!("{base}?_filter=_id%20eq%20@{id}"), None),
        (Method::GET, format!("{base}/@{id}/$graphql?query=%7Bid%7D"), None),
        (Method::POST, "/fhir/$graphql".to_owned(), Some(format!(r#"{{"query":"{{{resource_type}(id:\"@{id}\"){{id}}}}"}}"#))),
        (
            Method::POST,
            "/fhir/Subscription".to_owned(),
            Some(format!(
                r#"{{"resourceType":"Subscription","status":"requested","reason":"r","criteria":"{resource_type}?_id=@{id}","channel":{{"type":"rest-hook"}}}}"#
            )),
        ),
    ];
    for bundle_type in ["batch", "transaction"] {
        for (method, url) in [
            ("GET", format!("{resource_type}/@{id}")),
            ("GET", format!("{resource_type}/@{id}/_history")),
            ("GET", format!("{resource_type}?_id=@{id}")),
            ("DELETE", format!("{resource_type}/@{id}")),
            ("DELETE", format!("{resource_type}?_id=@{id}")),
            ("PUT", format!("{resource_type}/@{id}")),
            ("PUT", format!("{resource_type}?_id=@{id}")),
        ] {
            let mut entry = serde_json::json!({"request": {"method": method, "url": url}});
            if method == "PUT" {
                entry["resource"] = body.clone();
            }
            let bundle = serde_json::json!({"resourceType": "Bundle", "type": bundle_type, "entry": [entry]});
            routes.push((Method::POST, "/fhir".to_owned(), Some(bundle.to_string())));
        }
    }
    if unknown && ["Patient", "Encounter", "Practitioner", "Device"].contains(&resource_type.as_str()) {
        routes.extend([
            (Method::GET, format!("{base}/@{id}/*?_total=accurate"), None),
            (Method::GET, format!("{base}/@{id}/Observation?_total=accurate&_sort=date"), None),
            (Method::POST, format!("{base}/@{id}/Observation/_search"), Some("_total=accurate".to_owned())),
        ]);
    }
    if unknown {
        routes.extend([
            (Method::GET, format!("/fhir/Observation?subject={resource_type}/@{id}&_sort=subject"), None),
            (Method::GET, format!("/fhir/Observation?performer=@{id}&_total=accurate"), None),
            (
                Method::GET,
                format!("/fhir/Provenance?target={resource_type}/@{id}&_total=accurate&_include=Provenance:target"),
                None,
            ),
        ]);
    }
    routes
}

/// Status, headers and body; what each answer has of its own is left out.
fn comparable(reply: &Reply) -> String {
    let own = ["date", "x-request-id"];
    let mut headers: Vec<String> = reply.headers.iter().map(|(name, value)| format!("{name}: {value:?}")).collect();
    headers.retain(|header| !own.iter().any(|name| header.starts_with(&format!("{name}:"))));
    headers.sort();
    format!("{}\n{}\n{}", reply.status, headers.join("\n"), reply.text())
}

/// What a request may come to must all be open, whatever is stored; what is open is searched; and a bookmark is for whom it was given.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_denied_or_searched_depends_on_the_token_alone() {
    let observation = |id: &str, patient: &str| {
        format!(
            r#"{{"resourceType":"Observation","id":"{id}","status":"final","code":{{"text":"x"}},"subject":{{"reference":"Patient/{patient}"}}}}"#
        )
    };
    let patient = |id: &str| format!(r#"{{"resourceType":"Patient","id":"{id}"}}"#);
    let texts = [patient("p0"), patient("p1"), observation("o0", "p0"), observation("o1", "p0"), observation("o2", "p1")];
    let records = data::records_of(&texts.each_ref().map(String::as_str));
    let world = World::of(&records, &["ann", "rep"]).await;
    let app = world.server.add_app("narrow", "launch/patient patient/Observation.us patient/Observation.rs", false).await;
    let changing = app.access_token("launch/patient patient/Observation.us", "ann", PASSWORD).await;
    let put = |id: &str| {
        let body = observation("o0", "p0").replace(r#""id":"o0","#, "");
        let path = format!("/fhir/Observation?_id={id}");
        world.server.client.request(http::Method::PUT, &path).bearer(&changing).fhir(body).send()
    };
    assert_eq!(put("o0").await.status, 403);
    assert_eq!(comparable(&put("o0").await), comparable(&put(ABSENT).await));
    let reading = app.access_token("launch/patient patient/Observation.rs", "ann", PASSWORD).await;
    let found = world.server.client.get("/fhir?_id=o0,o2,p0").bearer(&reading).send().await;
    let ids: Vec<Value> = found.json()["entry"].as_array().unwrap().iter().map(|entry| entry["resource"]["id"].clone()).collect();
    assert_eq!((found.status.as_u16(), ids), (200, vec!["o0".into()]));
    let first = world.get("ann", "/fhir?_type=Observation,Patient&_count=2").await.json();
    let links = first["link"].as_array().unwrap();
    let next = links.iter().find(|link| link["relation"] == "next").unwrap()["url"].as_str().unwrap();
    let next = format!("/fhir{}", next.strip_prefix(&world.server.fhir_base).unwrap());
    assert_eq!((world.get("ann", &next).await.status.as_u16(), world.get("rep", &next).await.status.as_u16()), (200, 400));
}
