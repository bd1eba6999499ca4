//! Two servers that differ only in what a person may not see cannot be told apart by that person: by status, headers, bodies, pages, what comes of writes,
//! or the audit trail.
//!
//! Hidden records differ from the start, and while the person asks, others read and write what is hidden, on one of the servers only. What is random in every
//! answer (ids of versions, of new resources and of events, bookmarks) is compared by its length.

use http::Method;
use portcullis_testkit::Reply;
use proptest::collection;
use proptest::prelude::any;
use proptest::sample::Index;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::Value;

use super::data::{self, BASE, Event, Record, Version};
use super::over_http::{World, people, target};
use super::people::Person;
use super::requests::{self, Request};
use super::stores::Answer;
use super::view::{self, View};
use super::worlds::{Other, known, other_world};
use super::writes::{self, Planned, Write};

/// Requests and writes of each person, and what others do meanwhile.
const REQUESTS: usize = 30;
const WRITES: usize = 40;
/// The tag of a version that never was.
const ABSENT_TAG: &str = "W/\"00000000000000000000000000000000\"";
/// Pages that are followed.
const MOST_PAGES: usize = 4;

struct Sample {
    records: Vec<Record>,
    other: Other,
    requests: Vec<Request>,
    /// Searches of several types: paths and queries.
    several: Vec<(String, Vec<(String, String)>)>,
    writes: Vec<Write>,
}

/// The same worlds and questions in every run: the first in which others do something hidden meanwhile and the person something, too.
fn sample(seed: u8, (number, person): (usize, &Person)) -> Sample {
    let mut runner = TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]));
    let difference = (any::<Index>(), data::any_event());
    let parts = (
        data::events(),
        collection::vec(difference, 40),
        collection::vec(requests::requests(), REQUESTS),
        collection::vec(requests::several(), REQUESTS),
        collection::vec(writes::writes(), WRITES),
    );
    // An import ends nothing: deletions come over HTTP.
    let put = |event: &Event| matches!(event, Event::Put(_));
    loop {
        let (mut events, mut differences, requests, several, writes) = parts.new_tree(&mut runner).unwrap().current();
        events.retain(put);
        differences.retain(|(_, event)| put(event));
        let differences: Vec<_> = differences.into_iter().map(|(index, event)| (index, Some(event))).collect();
        let records = data::records(&events);
        let other = other_world(&events, &differences, |records| (known(records, person), recorded(records, person)));
        let (views, _) = known(&records, person);
        if other.differences > 5 && views.iter().all(|view| view.len() > 8) && does_enough(&records, (number, person), &writes) {
            return Sample { records, other, requests, several, writes };
        }
    }
}

/// Who else may make the write of this number.
fn other_writer(number: usize, write: usize) -> (&'static str, Person) {
    let mut all = people().to_vec();
    let place = (number + 1 + write % 2) % all.len();
    all.swap_remove(place)
}

/// Whether these writes, one after the other, are some that stay hidden and some of the person's own, as the model knows it.
fn does_enough(records: &[Record], (number, person): (usize, &Person), writes: &[Write]) -> bool {
    let (mut records, mut hidden, mut own) = (records.to_vec(), 0, 0);
    for (place, write) in writes.iter().enumerate() {
        let planned = Planned::of(write, place, &records);
        match hidden_write(&records, person, &other_writer(number, place).1, &planned) {
            Some(after) => {
                records = after;
                hidden += 1;
            }
            // What is created is ended again, under a name that the server chooses.
            None if planned.letter == 'c' => {}
            None => own += u32::from(matches!(planned.apply(person, &mut records), Answer::Written(..))),
        }
    }
    hidden > 1 && own > 1
}

/// What a write of somebody else makes of the records, if the person cannot see what comes of it.
fn hidden_write(records: &[Record], person: &Person, writer: &Person, planned: &Planned) -> Option<Vec<Record>> {
    if planned.letter == 'c' || lies_in_record(records, person, (&planned.name.0, &planned.name.1)) {
        return None;
    }
    let mut after = records.to_vec();
    let is_done = matches!(planned.apply(writer, &mut after), Answer::Written(..));
    (is_done && known(&after, person) == known(records, person)).then_some(after)
}

/// Whether a record lies in the record of one of the person's patients, or lay there when it was deleted.
fn lies_in_record(records: &[Record], person: &Person, (resource_type, id): (&str, &str)) -> bool {
    let found = records.iter().find(|record| record.resource_type == resource_type && record.id == id);
    let body = found.and_then(|record| record.versions.iter().rev().find_map(|version| version.body.as_ref()));
    body.into_iter().flat_map(view::patients).any(|about| person.patients.iter().any(|patient| *patient == about))
}

/// What an import leaves in the audit trail of the person's patients: for each, what came to be theirs, changed, or ceased to be theirs, also where it is hidden
/// now. For a patient it is new where the version before was not theirs; that it went to somebody else is told, and not what it became. Whether it lies in
/// their record at last is told by the attempts of others on it.
fn recorded(records: &[Record], person: &Person) -> Vec<(&'static str, bool, Value)> {
    let is_about = |version: &Version, patient: &str| {
        version.body.as_ref().is_some_and(|body| view::patients(body).iter().any(|about| about == patient))
    };
    let mut recorded = Vec::new();
    for record in records {
        for patient in &person.patients {
            let mut is_new = true;
            for version in &record.versions {
                let is_theirs = is_about(version, patient);
                recorded.extend(version.body.clone().filter(|_| is_theirs).map(|body| (*patient, is_new, body)));
                if !is_new && !is_theirs {
                    recorded.push((*patient, false, Value::Null));
                }
                is_new = !is_theirs;
            }
            recorded.extend((!is_new).then(|| (*patient, true, Value::String(record.id.clone()))));
        }
    }
    recorded
}

/// The two servers, and what the first of them holds.
struct Pair {
    servers: [World; 2],
    records: Vec<Record>,
    asked: usize,
}

impl Pair {
    /// Sends the same to both; the answers must not differ.
    async fn ask(&mut self, name: &str, method: &Method, path: &str, body: &str) -> [Reply; 2] {
        self.ask_each(name, method, [(path, None); 2], body).await
    }

    /// The same where each server has its own name for what is asked, and its own tag for its version.
    async fn ask_each(&mut self, name: &str, method: &Method, each: [(&str, Option<&str>); 2], body: &str) -> [Reply; 2] {
        self.asked += 1;
        let [(path, tag), (other_path, other_tag)] = each;
        let [one, two] = &self.servers;
        let replies =
            [one.send(name, (method, path), tag, body).await, two.send(name, (method, other_path), other_tag, body).await];
        let told = [plain(one, &replies[0]), plain(two, &replies[1])];
        if let Some(difference) = difference(&told[0], &told[1]) {
            panic!("{name} {method} {path} {tag:?} {body}\n{difference}");
        }
        replies
    }

    /// All pages of an answer.
    async fn get(&mut self, name: &str, path: &str) -> [Reply; 2] {
        let first = self.ask(name, &Method::GET, path, "").await;
        let mut next = [next_page(&self.servers[0], &first[0]), next_page(&self.servers[1], &first[1])];
        for _ in 1..MOST_PAGES {
            let [Some(one), Some(two)] = &next else { break };
            let replies = self.ask_each(name, &Method::GET, [(one, None), (two, None)], "").await;
            next = [next_page(&self.servers[0], &replies[0]), next_page(&self.servers[1], &replies[1])];
        }
        first
    }

    /// One write of the person to both, and what can be seen of it afterwards.
    async fn write(&mut self, name: &str, person: &Person, planned: &Planned) -> bool {
        let (resource_type, id) = &planned.name;
        let body = planned.body.as_ref().map(Value::to_string).unwrap_or_default();
        if planned.letter == 'c' {
            let created = self.ask(name, &Method::POST, &format!("/fhir/{resource_type}"), &body).await;
            let is_done = created[0].status == 201;
            if is_done {
                self.end(name, &created).await;
            }
            return is_done;
        }
        let path = format!("/fhir/{resource_type}/{id}");
        let seen = self.get(name, &path).await;
        let tags = seen.each_ref().map(|reply| match planned.if_match.as_deref() {
            None => None,
            Some("other") => Some(ABSENT_TAG),
            Some(_) => Some(reply.header("etag")).filter(|tag| !tag.is_empty()).or(Some(ABSENT_TAG)),
        });
        let method = if planned.body.is_some() { Method::PUT } else { Method::DELETE };
        let replies = self.ask_each(name, &method, [(&path, tags[0]), (&path, tags[1])], &body).await;
        self.get(name, &path).await;
        self.get(name, &format!("{path}/_history")).await;
        let is_done = replies[0].status.is_success();
        // A deletion of what was ended before succeeds without a change, also in the model.
        let expected = planned.apply(person, &mut self.records);
        assert_eq!(
            is_done,
            matches!(expected, Answer::Written(..)),
            "{name} {method} {path} {}: {expected:?}",
            replies[0].status
        );
        is_done
    }

    /// Reads and ends what was created under names that the servers chose, which would stand in any order in what follows.
    async fn end(&mut self, name: &str, created: &[Reply; 2]) {
        let path = |reply: &Reply, world: &World| {
            let location = reply.header("location").strip_prefix(&world.server.fhir_base).unwrap();
            format!("/fhir{}", location.split("/_history").next().unwrap())
        };
        let paths = [path(&created[0], &self.servers[0]), path(&created[1], &self.servers[1])];
        let paths = [paths[0].as_str(), paths[1].as_str()];
        let tags = created.each_ref().map(|reply| Some(reply.header("etag")));
        self.ask_each(name, &Method::GET, paths.map(|path| (path, None)), "").await;
        let ended = self.ask_each(name, &Method::DELETE, [(paths[0], tags[0]), (paths[1], tags[1])], "").await;
        // A Provenance can be written about what its writer does not see; then it is not found.
        assert!([204, 404].contains(&ended[0].status.as_u16()), "{} {}", ended[0].status, ended[0].text());
        let histories = paths.map(|path| format!("{path}/_history"));
        self.ask_each(name, &Method::GET, [(&histories[0], None), (&histories[1], None)], "").await;
    }

    /// Somebody else reads: what the person sees, or lies in their record without being seen, on both servers (they are told who tried), anything else on the first
    /// only, and a whole type on both, with what else each holds.
    async fn let_read(&self, person: &Person, name: &str, request: &Request) {
        let (path, _) = target(request);
        let mut parts = path.split('/').skip(2);
        let (resource_type, id) = (parts.next().unwrap_or_default(), parts.next());
        let views = View::new(&self.records, person, 'r').records();
        let is_seen = views.iter().any(|record| record.resource_type == resource_type && Some(record.id.as_str()) == id);
        let lies_there = id.is_some_and(|id| lies_in_record(&self.records, person, (resource_type, id)));
        for server in if id.is_some() && !is_seen && !lies_there { &self.servers[..1] } else { &self.servers[..] } {
            let address =
                id.map_or_else(|| format!("/fhir/{resource_type}?_count=100"), |id| format!("/fhir/{resource_type}/{id}"));
            server.get(name, &address).await;
        }
    }

    /// A write of somebody else on the first server only, if the person cannot see what comes of it.
    async fn write_hidden(&mut self, person: &Person, (name, writer): (&str, &Person), planned: &Planned) -> bool {
        let Some(records) = hidden_write(&self.records, person, writer, planned) else { return false };
        let method = if planned.body.is_some() { Method::PUT } else { Method::DELETE };
        let path = format!("/fhir/{}/{}", planned.name.0, planned.name.1);
        let body = planned.body.as_ref().map(Value::to_string).unwrap_or_default();
        let reply = self.servers[0].send(name, (&method, &path), None, &body).await;
        assert!(reply.status.is_success(), "{name} {method} {path}: {} {}", reply.status, reply.text());
        self.records = records;
        true
    }
}

fn next_page(world: &World, reply: &Reply) -> Option<String> {
    let bundle: Value = serde_json::from_slice(&reply.body).ok()?;
    let next = bundle["link"].as_array()?.iter().find(|link| link["relation"] == "next")?["url"].as_str()?.to_owned();
    Some(format!("/fhir{}", next.strip_prefix(&world.server.fhir_base).unwrap()))
}

/// Status, headers and body without what is random, a line each.
fn plain(world: &World, reply: &Reply) -> String {
    let own = ["date", "x-request-id", "content-length"];
    let address = world.server.fhir_base.trim_end_matches("/fhir");
    let headers = reply.headers.iter().filter(|(name, _)| !own.contains(&name.as_str()));
    let mut headers: Vec<String> = headers.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    headers.sort();
    let text = format!("{}\n{}\n{}", reply.status, reply.text(), headers.join("\n"));
    without_random(&text.replace(address, BASE.trim_end_matches("/fhir")))
}

/// Where two answers begin to differ.
fn difference(one: &str, two: &str) -> Option<String> {
    let (one, two): (Vec<char>, Vec<char>) = (one.chars().collect(), two.chars().collect());
    let same = one.iter().zip(&two).take_while(|(one, two)| one == two).count();
    let around = |text: &[char]| text.iter().skip(same.saturating_sub(600)).take(900).collect::<String>();
    (one != two).then(|| format!("{}\n--- and on the other server\n{}", around(&one), around(&two)))
}

/// Bookmarks, ids of tokens, and the ids that a server chose become as many stars.
fn without_random(text: &str) -> String {
    let text = ["_cursor=", "oauth:jti:"].iter().fold(text.to_owned(), |text, name| without_value(&text, name));
    without_ids(&text)
}

fn without_value(text: &str, name: &str) -> String {
    let mut parts = text.split(name);
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|letter: char| !letter.is_ascii_alphanumeric() && !"-_".contains(letter)).unwrap_or(part.len());
        plain += &format!("{name}{}{}", "*".repeat(end), &part[end..]);
    }
    plain
}

fn without_ids(text: &str) -> String {
    let is_outside = |letter: char| !letter.is_ascii_alphanumeric();
    let plain = |piece: &str| {
        let word = piece.trim_end_matches(is_outside);
        // The id of an event ends in 16 digits that depend on the record's id, and in a number, which must be the same.
        let is_id = [16, 32].contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_id { piece.replace(word, &"*".repeat(word.len())) } else { piece.to_owned() }
    };
    text.split_inclusive(is_outside).map(plain).collect()
}

/// What a person asks the audit trail.
fn trail(person: &Person) -> Vec<String> {
    let mut queries: Vec<String> = [
        "",
        "_sort=date&_count=3",
        "_total=accurate&_count=2",
        "_summary=count",
        "action=R",
        "action=U&_total=accurate",
        "action:not=E&_count=5",
        "outcome=4",
        "agent=Practitioner/d0",
        "agent:identifier=user-doc",
        "agent:identifier=user-rep&_total=accurate",
        "agent=Device/app&_count=1",
        "patient=p3&_total=accurate",
        "entity=Practitioner/d0",
        "_lastUpdated=ge2020",
    ]
    .map(str::to_owned)
    .into();
    queries.extend((0..10).map(|slot| format!("entity=Observation/o{slot}&_total=accurate")));
    queries.extend(person.patients.iter().map(|patient| format!("patient={patient}&_sort=-date&_count=4")));
    queries
}

async fn cannot_be_told_apart(name: &'static str) {
    let all = people();
    let (seed, (_, person)) = all.iter().enumerate().find(|(_, (other, _))| *other == name).unwrap();
    let Sample { records, other, requests, several, writes } = sample(u8::try_from(seed).unwrap() + 10, (seed, person));
    let names = all.each_ref().map(|(name, _)| *name);
    let servers = [World::of(&records, &names).await, World::of(&other.records, &names).await];
    let mut pair = Pair { servers, records, asked: 0 };
    let (mut hidden_writes, mut written) = (0, 0);
    for (number, write) in writes.iter().enumerate() {
        let request = &requests[number % requests.len()];
        let (path, query) = target(request);
        pair.get(name, &format!("{path}?{query}")).await;
        let others = all.iter().filter(|(other, _)| *other != name);
        for (other, _) in others {
            pair.let_read(person, other, request).await;
        }
        if let Request::Search { .. } = request {
            pair.ask(name, &Method::POST, &format!("{path}/_search"), &query).await;
        }
        let (path, parameters) = &several[number % several.len()];
        let path = if path.is_empty() { "/fhir".to_owned() } else { format!("/fhir/{path}") };
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        pair.get(name, &format!("{path}?{query}")).await;
        let planned = Planned::of(write, number, &pair.records);
        let (other, writer) = other_writer(seed, number);
        if pair.write_hidden(person, (other, &writer), &planned).await {
            hidden_writes += 1;
        } else {
            written += u32::from(pair.write(name, person, &planned).await);
        }
    }
    for server in &pair.servers {
        server.server.move_outbox().await;
    }
    let mut events = 0;
    for query in trail(person) {
        let found = pair.get(name, &format!("/fhir/AuditEvent?{query}")).await;
        let bundles = found.each_ref().map(Reply::json);
        for (one, two) in entries(&bundles[0]).iter().zip(&entries(&bundles[1])).take(3) {
            pair.ask_each(name, &Method::GET, [(one, None), (two, None)], "").await;
            let histories = [one, two].map(|path| format!("{path}/_history"));
            pair.ask_each(name, &Method::GET, [(&histories[0], None), (&histories[1], None)], "").await;
            events += 1;
        }
    }
    let tally = format!(
        "{name}: {} questions, {} hidden differences, {hidden_writes} hidden writes, {written} own, {events} events",
        pair.asked, other.differences
    );
    eprintln!("{tally}");
    assert!(hidden_writes > 0 && written > 0, "{tally}");
    assert!(events > 10 || name == "doc", "{tally}");
}

/// The paths of a bundle's entries.
fn entries(bundle: &Value) -> Vec<String> {
    let ids = bundle["entry"].as_array().into_iter().flatten().filter_map(|entry| entry["resource"]["id"].as_str());
    ids.map(|id| format!("/fhir/AuditEvent/{id}")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_patient_cannot_tell_worlds_apart_that_differ_in_what_is_hidden() {
    cannot_be_told_apart("ann").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_representative_cannot_tell_worlds_apart_that_differ_in_what_is_hidden() {
    cannot_be_told_apart("rep").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clinician_cannot_tell_worlds_apart_that_differ_in_what_is_hidden() {
    cannot_be_told_apart("doc").await;
}
