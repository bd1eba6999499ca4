//! The attempts of `specs/bypass.json` to get past the access control: what other systems let through, asked of ours over HTTPS.
//!
//! The file knows nothing of this server, so that any other can be asked the same. What it says of answers stands in its `about`.

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use portcullis_oauth::clients::KeySource;
use portcullis_oauth::users::Role;
use portcullis_store::Clock as _;
use portcullis_testkit::app::query_value;
use portcullis_testkit::server::PASSWORD;
use portcullis_testkit::{App, ClientKey, Reply, TestServer};
use serde::Deserialize;
use serde_json::{Value, json};

const CORPUS: &str = include_str!("../../specs/bypass.json");
/// Who sees everything.
const CONTROL: &str = "everything";
/// Who may get no token at all.
const NO_PATIENT: &str = "nobody";
/// Pages that are followed at most.
const PAGES: usize = 40;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Corpus {
    #[serde(rename = "about")]
    _about: Vec<String>,
    secrets: Vec<String>,
    hidden: String,
    world: Vec<Value>,
    changes: Vec<Value>,
    askers: BTreeMap<String, Asker>,
    attempts: Vec<Attempt>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asker {
    person: Option<String>,
    scope: Option<String>,
    system: Option<String>,
    #[serde(rename = "means")]
    _means: String,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Attempt {
    name: String,
    lesson: u8,
    says: String,
    #[serde(rename = "as")]
    askers: Vec<String>,
    steps: Vec<Step>,
    #[serde(default)]
    instead: BTreeMap<String, String>,
    #[serde(default)]
    unchanged: Vec<String>,
    #[serde(default)]
    words: Vec<String>,
    #[serde(default)]
    shows: Vec<String>,
    #[serde(default)]
    writes: bool,
    unsupported: Option<String>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Step {
    get: Option<String>,
    form: Option<String>,
    post: Option<String>,
    put: Option<String>,
    patch: Option<String>,
    delete: Option<String>,
    body: Value,
    headers: BTreeMap<String, String>,
    follow: bool,
    refused: bool,
}

impl Step {
    fn request(&self) -> (Method, &str) {
        let ways = [
            (Method::GET, &self.get),
            (Method::POST, &self.form),
            (Method::POST, &self.post),
            (Method::PUT, &self.put),
            (Method::PATCH, &self.patch),
            (Method::DELETE, &self.delete),
        ];
        ways.into_iter().find_map(|(method, path)| Some((method, path.as_deref()?))).unwrap()
    }
}

impl Attempt {
    /// Whether it would change something, were it allowed to.
    fn writes(&self) -> bool {
        let changes = |step: &Step| step.put.is_some() || step.patch.is_some() || step.delete.is_some() || step.refused;
        self.writes || self.steps.iter().any(changes)
    }

    /// The same with other names.
    fn renamed(&self) -> Self {
        let swap = |text: &str| renamed(text, &self.instead);
        let steps = self.steps.iter().map(|step| Step {
            get: step.get.as_deref().map(swap),
            form: step.form.as_deref().map(swap),
            post: step.post.as_deref().map(swap),
            put: step.put.as_deref().map(swap),
            patch: step.patch.as_deref().map(swap),
            delete: step.delete.as_deref().map(swap),
            body: serde_json::from_str(&swap(&step.body.to_string())).unwrap(),
            ..step.clone()
        });
        Self { steps: steps.collect(), ..self.clone() }
    }

    /// All that its requests say.
    fn said(&self) -> String {
        let step = |step: &Step| format!("{} {}", step.request().1, step.body);
        self.steps.iter().map(step).collect::<Vec<_>>().join(" ")
    }
}

fn renamed(text: &str, names: &BTreeMap<String, String>) -> String {
    names.iter().fold(text.to_owned(), |text, (name, other)| text.replace(name, other))
}

/// The server with the world of the corpus, and a token of every asker who gets one.
struct Asked {
    corpus: Corpus,
    server: TestServer,
    tokens: BTreeMap<String, String>,
}

impl Asked {
    async fn start() -> Self {
        let corpus: Corpus = serde_json::from_str(CORPUS).unwrap();
        let server = TestServer::start().await;
        let texts = |resources: &[Value]| resources.iter().map(Value::to_string).collect::<Vec<_>>();
        server.import(&texts(&corpus.world)).await;
        server.clock.advance_seconds(60);
        server.import(&texts(&corpus.changes)).await;
        server.add_user("ann", &[Role::Patient], Some("Patient/ann"), &["ann"]).await;
        server.add_user("who", &[Role::Clinician], Some("Practitioner/who"), &[]).await;
        server.add_user("nobody", &[Role::Patient], None, &[]).await;
        let mut asked = Self { corpus, server, tokens: BTreeMap::new() };
        for name in asked.corpus.askers.keys().cloned().collect::<Vec<_>>() {
            let token = asked.token(&name).await;
            assert!(token.is_some() || name == NO_PATIENT, "{name} gets a token");
            asked.tokens.extend(token.map(|token| (name, token)));
        }
        asked
    }

    async fn token(&self, name: &str) -> Option<String> {
        let asker = &self.corpus.askers[name];
        if let Some(scope) = &asker.system {
            let key = ClientKey::generate("key", "ES256");
            let keys = KeySource::value(&key.jwks().to_string()).unwrap();
            let backend = self.server.add_backend(name, scope, key, keys).await;
            return Some(backend.token(self.server.clock.now_seconds(), "once", scope).await);
        }
        let (person, scope) = (asker.person.as_deref().unwrap(), asker.scope.as_deref().unwrap());
        let app = self.server.add_app(name, scope, false).await;
        person_token(&app, scope, person).await
    }

    async fn send(&self, token: &str, step: &Step) -> Vec<Reply> {
        let (method, path) = step.request();
        let path = self.filled(path).await;
        let at = format!("/fhir{}{path}", if path.starts_with('?') || path.is_empty() { "" } else { "/" });
        let mut replies = vec![self.once(token, step, (method, &at)).await];
        while step.follow && replies.len() < PAGES {
            let links = replies.last().unwrap().json()["link"].as_array().cloned().unwrap_or_default();
            let Some(next) = links.iter().find(|link| link["relation"] == "next") else { break };
            let next = next["url"].as_str().unwrap().strip_prefix(&self.server.fhir_base).unwrap().to_owned();
            replies.push(self.once(token, step, (Method::GET, &format!("/fhir{next}"))).await);
        }
        assert!(replies.len() < PAGES, "{path}: pages without end");
        replies
    }

    async fn once(&self, token: &str, step: &Step, (method, path): (Method, &str)) -> Reply {
        let mut request = self.server.client.request(method, path).bearer(token);
        for (name, value) in &step.headers {
            request = request.header(name, value);
        }
        let request = match (&step.form, &step.patch, &step.body) {
            (Some(_), ..) => {
                let form = step.body.as_str().unwrap_or_default().to_owned();
                request.header("content-type", "application/x-www-form-urlencoded").bytes(form)
            }
            (_, Some(_), body) => request.header("content-type", "application/json-patch+json").bytes(body.to_string()),
            (_, _, Value::Null) => request,
            (_, _, body) => request.fhir(body.to_string()),
        };
        request.send().await
    }

    /// With the base and the version ids that only who sees everything is told.
    async fn filled(&self, path: &str) -> String {
        let path = path.replace("{base}", &self.server.fhir_base);
        let Some((before, rest)) = path.split_once("{version:") else { return path };
        let (wanted, after) = rest.split_once('}').unwrap();
        let (record, number) = wanted.rsplit_once(':').unwrap();
        let history = self.server.client.get(&format!("/fhir/{record}/_history")).bearer(&self.tokens[CONTROL]).send().await;
        let entries = history.json()["entry"].as_array().cloned().unwrap();
        let version = &entries[entries.len() - number.parse::<usize>().unwrap()]["resource"]["meta"]["versionId"];
        format!("{before}{}{after}", version.as_str().unwrap())
    }

    async fn versions(&self, attempt: &Attempt) -> Vec<Value> {
        let mut versions = Vec::new();
        for record in &attempt.unchanged {
            let reply = self.server.client.get(&format!("/fhir/{record}")).bearer(&self.tokens[CONTROL]).send().await;
            assert_eq!(reply.status, 200, "{record}");
            versions.push(reply.json()["meta"]["versionId"].clone());
        }
        versions
    }

    /// What is wrong with the answers that somebody gets to an attempt.
    async fn problems(&self, attempt: &Attempt, token: &str) -> Vec<String> {
        let before = self.versions(attempt).await;
        let mut problems = Vec::new();
        let (mut answers, mut shown) = (Vec::new(), String::new());
        for step in &attempt.steps {
            for reply in self.send(token, step).await {
                problems.extend(self.told(attempt, &reply).into_iter().map(|word| format!("{:?} tells {word}", step.request())));
                if step.refused && reply.status.as_u16() < 400 && !all_entries_refused(&reply) {
                    problems.push(format!("{:?} is answered {}", step.request(), reply.status));
                }
                shown += &reply.text();
                answers.push(digest(&reply, &attempt.instead));
            }
        }
        if self.versions(attempt).await != before {
            problems.push(format!("one of {:?} changed", attempt.unchanged));
        }
        problems.extend(attempt.shows.iter().filter(|word| !shown.contains(*word)).map(|word| format!("{word} is not shown")));
        if !attempt.instead.is_empty() {
            let mut others = Vec::new();
            for step in &attempt.renamed().steps {
                others.extend(self.send(token, step).await.iter().map(|reply| digest(reply, &attempt.instead)));
            }
            let differing = answers.iter().zip(&others).filter(|(one, other)| one != other);
            problems.extend(differing.map(|(one, other)| format!("hidden and absent differ: {one} and {other}")));
        }
        problems
    }

    /// What a reply tells and its requests did not.
    fn told(&self, attempt: &Attempt, reply: &Reply) -> BTreeSet<String> {
        let (text, said) = (reply.text(), attempt.said());
        let hidden = self.corpus.world.iter().filter_map(|resource| resource["id"].as_str());
        let hidden = hidden.filter(|id| id.starts_with(&self.corpus.hidden) && !said.contains(id));
        // A visible record may name a hidden one: that it does is part of it.
        let ids = hidden.filter(|id| text.contains(&format!("\"id\":\"{id}\"")));
        let words = self.corpus.secrets.iter().chain(&attempt.words).map(String::as_str);
        ids.chain(words.filter(|word| text.contains(word))).map(str::to_owned).collect()
    }
}

async fn person_token(app: &App, scope: &str, person: &str) -> Option<String> {
    let at = app.sign_in(&app.authorization_query(scope), person, PASSWORD).await;
    if at.page.status != 200 {
        return None;
    }
    let back = app.consent(&at, &scope.split(' ').collect::<Vec<_>>(), "allow").await;
    let reply = app.exchange(&query_value(&back, "code")?).await;
    Some(reply.json()["access_token"].as_str()?.to_owned())
}

/// Whether a batch or transaction answered every entry with a refusal.
fn all_entries_refused(reply: &Reply) -> bool {
    let entries = reply.json()["entry"].as_array().cloned().unwrap_or_default();
    let refused = |entry: &Value| entry["response"]["status"].as_str().is_some_and(|status| status.starts_with('4'));
    !entries.is_empty() && entries.iter().all(refused)
}

/// What an answer tells, without what every answer has of its own.
fn digest(reply: &Reply, names: &BTreeMap<String, String>) -> String {
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or(Value::Null);
    let entries = body["entry"].as_array().cloned().unwrap_or_default();
    let entries: Vec<Value> = entries
        .iter()
        .map(|entry| {
            json!([
                entry["resource"]["resourceType"],
                entry["resource"]["id"],
                entry["search"]["mode"],
                entry["response"]["status"],
                entry["response"]["outcome"]
            ])
        })
        .collect();
    let headers: Vec<String> = ["etag", "last-modified", "www-authenticate", "content-type", "allow"]
        .iter()
        .map(|name| reply.header(name).to_owned())
        .collect();
    let told = json!([reply.status.as_u16(), headers, body["resourceType"], body["total"], entries, body["issue"]]);
    renamed(&told.to_string(), names)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_attempt_of_the_bypass_corpus_gets_past_the_access_control() {
    let asked = Asked::start().await;
    let mut problems = Vec::new();
    for attempt in &asked.corpus.attempts {
        for asker in &attempt.askers {
            let Some(token) = asked.tokens.get(asker) else { continue };
            let found = asked.problems(attempt, token).await;
            let head = format!("{} (lesson {}: {}) as {asker}", attempt.name, attempt.lesson, attempt.says);
            problems.extend(found.into_iter().map(|problem| format!("{head}: {problem}")));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_attempt_of_the_bypass_corpus_would_notice_a_server_without_access_control() {
    let asked = Asked::start().await;
    let mut blind = Vec::new();
    for attempt in asked.corpus.attempts.iter().filter(|attempt| !attempt.writes() && attempt.shows.is_empty()) {
        let noticed = !asked.problems(attempt, &asked.tokens[CONTROL]).await.is_empty();
        if !noticed && attempt.unsupported.is_none() {
            blind.push(attempt.name.as_str());
        }
    }
    assert_eq!(blind, Vec::<&str>::new());
}

#[test]
fn the_bypass_corpus_has_every_lesson_on_data_that_escaped() {
    let corpus: Corpus = serde_json::from_str(CORPUS).unwrap();
    let lessons: BTreeSet<u8> = corpus.attempts.iter().map(|attempt| attempt.lesson).collect();
    assert_eq!(lessons, (1..=15).chain([23]).collect());
    let names: BTreeSet<&str> = corpus.attempts.iter().map(|attempt| attempt.name.as_str()).collect();
    assert_eq!(names.len(), corpus.attempts.len(), "each has a name of its own");
    for asker in corpus.attempts.iter().flat_map(|attempt| &attempt.askers) {
        assert!(corpus.askers.contains_key(asker), "{asker}");
    }
}
