//! `kill -9` at any moment, clients that hang up, and a full disk: what was acknowledged is there, everything has its record, nothing is half-written.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::Method;
use portcullis_audit::record::{Event, Outcome, Record};
use portcullis_testkit::process::{Stopped, free_ports};
use portcullis_testkit::{Client, Demo, Reply};

use super::{portcullis, records, token_of, verified_records};

const WRITING: &str = "launch/patient patient/*.cruds";
const PATIENT: &str = "pat-0001";

fn observation(id: Option<&str>, mark: &str) -> String {
    let id = id.map(|id| format!("\"id\":\"{id}\",")).unwrap_or_default();
    format!(
        r#"{{"resourceType":"Observation",{id}"status":"final","identifier":[{{"system":"urn:test:storm","value":"{mark}"}}],"code":{{"text":"storm"}},"subject":{{"reference":"Patient/{PATIENT}"}}}}"#
    )
}

async fn writer(demo: &Demo) -> String {
    let person = demo.people("patient").into_iter().find(|person| person.id() == PATIENT).unwrap();
    token_of(&demo.app("demo-confidential"), WRITING, &person).await
}

/// What the clients of a storm were told.
#[derive(Default)]
struct Told {
    /// `Type/id` of each acknowledged create, with the mark that it was given.
    created: BTreeMap<String, String>,
    /// The last acknowledged mark of each updated resource.
    updated: BTreeMap<String, u64>,
    /// The request ids of all answers.
    answered: Vec<String>,
    /// The marks of files whose load ended well.
    loaded: Vec<String>,
}

/// Clients and loads that write until they are told to stop, or the server is gone.
struct Storm {
    client: Client,
    token: String,
    told: Arc<Mutex<Told>>,
    next: Arc<AtomicU64>,
}

impl Storm {
    fn mark(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    async fn send(&self, method: Method, path: &str, body: String) -> Option<Reply> {
        let request = self.client.request(method, path).bearer(&self.token).fhir(body);
        request.try_send().await.ok()
    }

    async fn create(self) {
        loop {
            let mark = format!("create-{}", self.mark());
            let Some(reply) = self.send(Method::POST, "/fhir/Observation", observation(None, &mark)).await else { return };
            assert_eq!(reply.status, 201, "{}", reply.text());
            let location = reply.header("location").split("/fhir/").nth(1).unwrap().split("/_history").next().unwrap().to_owned();
            let mut told = self.told.lock().unwrap();
            told.created.insert(location, mark);
            told.answered.push(reply.header("x-request-id").to_owned());
        }
    }

    async fn update(self, id: &'static str) {
        loop {
            let mark = self.mark();
            let path = format!("/fhir/Observation/{id}");
            let Some(reply) = self.send(Method::PUT, &path, observation(Some(id), &format!("update-{mark}"))).await else {
                return;
            };
            assert_eq!(reply.status, 200, "{}", reply.text());
            let mut told = self.told.lock().unwrap();
            told.updated.insert(id.to_owned(), mark);
            told.answered.push(reply.header("x-request-id").to_owned());
        }
    }

    async fn read(self) {
        loop {
            let path = format!("/fhir/Observation?identifier=urn:test:storm|create-{}", self.mark() / 2);
            let Some(reply) = self.send(Method::GET, &path, String::new()).await else { return };
            self.told.lock().unwrap().answered.push(reply.header("x-request-id").to_owned());
        }
    }
}

/// Loads small files beside the server, one after the other, until it is gone.
fn load_until_it_is_gone(directory: &Path, folder: &Path, storm: &Storm, is_gone: &AtomicBool) {
    while !is_gone.load(Ordering::Relaxed) {
        let mark = format!("load-{}", storm.mark());
        let file = folder.join(format!("{mark}.ndjson"));
        let lines: Vec<String> = (0..40).map(|number| observation(Some(&format!("{mark}-{number}")), &mark)).collect();
        fs::write(&file, lines.join("\n")).unwrap();
        let ended = portcullis().run(&["load", &file.display().to_string(), "--data-dir", &directory.display().to_string()]);
        // The last one may find the server gone, or take the directory that it left. Both are fine.
        if ended.code == Some(0) {
            storm.told.lock().unwrap().loaded.push(mark);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_any_moment_loses_nothing_that_was_acknowledged() {
    let mut demo = Demo::start(&portcullis(), 2).await;
    let folder = tempfile::tempdir().unwrap();
    let told = Arc::new(Mutex::new(Told::default()));
    let next = Arc::new(AtomicU64::new(0));
    let token = writer(&demo).await;
    for id in ["counter-1", "counter-2"] {
        let file = folder.path().join(format!("{id}.ndjson"));
        fs::write(&file, observation(Some(id), "update-0")).unwrap();
        demo.run(&["load", &file.display().to_string()]).expect(0);
    }
    for milliseconds in [350, 900, 60, 1400, 650] {
        let storm = || Storm { client: demo.client(), token: token.clone(), told: Arc::clone(&told), next: Arc::clone(&next) };
        let mut clients = tokio::task::JoinSet::new();
        clients.spawn(storm().create());
        clients.spawn(storm().create());
        clients.spawn(storm().update("counter-1"));
        clients.spawn(storm().update("counter-2"));
        clients.spawn(storm().read());
        let is_gone = Arc::new(AtomicBool::new(false));
        let (directory, path, loader, flag) = (demo.directory.clone(), folder.path().to_owned(), storm(), Arc::clone(&is_gone));
        let loading = tokio::task::spawn_blocking(move || load_until_it_is_gone(&directory, &path, &loader, &flag));
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
        let stopped = demo.kill();
        is_gone.store(true, Ordering::Relaxed);
        while let Some(ended) = clients.join_next().await {
            ended.unwrap();
        }
        loading.await.unwrap();
        verified_records(&stopped.directory);
        demo = stopped.start().await;
        assert_eq!(demo.running.stderr(), "", "recovery has nothing to complain about");
    }
    let told = std::mem::take(&mut *told.lock().unwrap());
    everything_told_is_true(&demo, &told, &token).await;
}

async fn everything_told_is_true(demo: &Demo, told: &Told, token: &str) {
    println!("{} creates, {} loads, {} answers", told.created.len(), told.loaded.len(), told.answered.len());
    assert!(told.created.len() > 10 && told.answered.len() > 30, "the storm was a breeze");
    let all = stored(demo, token).await;
    for (location, mark) in &told.created {
        assert_eq!(all.get(location), Some(mark), "{location} was acknowledged");
    }
    for (id, mark) in &told.updated {
        let now: u64 = all[&format!("Observation/{id}")].strip_prefix("update-").unwrap().parse().unwrap();
        assert!(now >= *mark, "{id} went back from {mark} to {now}");
    }
    for mark in &told.loaded {
        let count = all.values().filter(|stored| *stored == mark).count();
        assert_eq!(count, 40, "{mark} was loaded");
    }
    demo.run(&["audit", "verify"]).expect(0);
    let records = records(&demo.directory);
    let ids: BTreeSet<&str> = records.iter().map(|record| record.id.0.as_str()).collect();
    assert_eq!(ids.len(), records.len(), "no record is there twice");
    for answered in &told.answered {
        assert!(ids.contains(answered.as_str()), "{answered} was answered and has no record");
    }
    written_and_recorded_are_the_same(&records, all.keys().map(String::as_str));
}

/// Each stored resource has the record of its write, also of one that nobody was told of; and each recorded create is stored.
fn written_and_recorded_are_the_same<'a>(records: &[Record], stored: impl Iterator<Item = &'a str>) {
    let successes = records.iter().filter(|record| record.outcome == Outcome::Success);
    let writes: BTreeSet<String> = successes
        .flat_map(|record| &record.operations)
        .filter(|operation| matches!(operation.interaction.as_str(), "create" | "update"))
        .filter_map(|operation| Some(format!("{}/{}", operation.resource_type.as_ref()?, operation.id.as_ref()?)))
        .collect();
    let stored: BTreeSet<String> = stored.map(str::to_owned).collect();
    let mut unrecorded = stored.difference(&writes);
    assert_eq!(unrecorded.next(), None, "it is stored without a record");
    let created: BTreeSet<String> = records
        .iter()
        .filter(|record| record.event == Event::Rest && record.outcome == Outcome::Success)
        .flat_map(|record| &record.operations)
        .filter(|operation| operation.interaction == "create")
        .map(|operation| format!("Observation/{}", operation.id.as_deref().unwrap()))
        .collect();
    assert_eq!(created.difference(&stored).next(), None, "its record says that it was created");
}

/// Everything that a storm has stored, with its mark.
async fn stored(demo: &Demo, token: &str) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let mut next = Some("/fhir/Observation?identifier=urn:test:storm|&_count=500".to_owned());
    while let Some(path) = next {
        let page = demo.client().get(&path).bearer(token).send().await.json();
        for entry in page["entry"].as_array().into_iter().flatten() {
            let resource = &entry["resource"];
            let key = format!("{}/{}", resource["resourceType"].as_str().unwrap(), resource["id"].as_str().unwrap());
            all.insert(key, resource["identifier"][0]["value"].as_str().unwrap().to_owned());
        }
        let links = page["link"].as_array().unwrap_or_else(|| panic!("{page}"));
        let link = links.iter().find(|link| link["relation"] == "next").and_then(|link| link["url"].as_str());
        next = link.map(|url| url[url.find("/fhir").unwrap()..].to_owned());
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_hangs_up_leaves_a_record_and_nothing_half_written() {
    let demo = Demo::start(&portcullis(), 2).await;
    let token = writer(&demo).await;
    let client = demo.client();
    let rounds = 12;
    let mut held = Vec::new();
    for round in 0..rounds {
        let head = |request: &str, length: usize| {
            format!(
                "{request} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\norigin: https://127.0.0.1:{}\r\n\
                 content-type: application/fhir+json\r\ncontent-length: {length}\r\n\r\n",
                demo.port + 1
            )
        };
        let body = observation(None, &format!("hang-up-{round}"));
        let whole = format!("{}{body}", head("POST /fhir/Observation", body.len()));
        let half = format!("{}{}", head(&format!("PUT /fhir/Observation/half-{round}"), body.len()), &body[..body.len() / 2]);
        let none = head(&format!("PUT /fhir/Observation/none-{round}"), body.len());
        let read = head(&format!("GET /fhir/Observation/read-{round}"), 0);
        let search = head(&format!("GET /fhir/Observation?identifier=search-{round}"), 0);
        for request in [whole, half, none, read, search] {
            // The socket stays open for a while: were it closed with answers unread, the kernel could throw the request away.
            held.push(client.hang_up_after(request.as_bytes()).await);
        }
    }
    let expected = ["half-", "none-", "read-", "search-"];
    let since = Instant::now();
    loop {
        let records = records(&demo.directory);
        let named = |name: &str| {
            let names = |operation: &portcullis_audit::record::OperationEntry| {
                operation.id.as_deref() == Some(name) || operation.query.as_deref().is_some_and(|query| query.ends_with(name))
            };
            records.iter().any(|record| record.operations.iter().any(names))
        };
        let creates = records.iter().filter(|record| record.operations.iter().any(|operation| operation.interaction == "create"));
        let creates = creates.filter(|record| record.event == Event::Rest).count();
        let missing: Vec<String> =
            (0..rounds).flat_map(|round| expected.map(|kind| format!("{kind}{round}"))).filter(|name| !named(name)).collect();
        if missing.is_empty() && creates == rounds {
            break;
        }
        assert!(since.elapsed() < Duration::from_secs(10), "without a record: {missing:?}; {creates} creates of {rounds}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drop(held);
    let all = stored(&demo, &token).await;
    assert_eq!(all.len(), rounds, "whole requests are carried out, half ones are not: {all:?}");
    written_and_recorded_are_the_same(&records(&demo.directory), all.keys().map(String::as_str));
    assert_eq!(demo.client().get("/fhir/Patient").bearer(&token).send().await.status, 200);
    demo.run(&["audit", "verify"]).expect(0);
}

/// A small file system of its own; unmounted with its value.
struct SmallDisk {
    folder: tempfile::TempDir,
}

impl SmallDisk {
    fn mount() -> Option<Self> {
        let disk = Self { folder: tempfile::tempdir().unwrap() };
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=48m,mode=0700", "tmpfs"]).arg(disk.folder.path()).output();
        mounted.is_ok_and(|output| output.status.success()).then_some(disk)
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Takes all the room that is left.
    fn fill(&self) -> PathBuf {
        use std::io::Write;
        let path = self.path().join("filler");
        let mut file = fs::File::create(&path).unwrap();
        for size in [65536, 4096, 512, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A folder that was never mounted cannot be unmounted.
        let _ = Command::new("umount").arg("--lazy").arg(self.path()).output();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_answers_503_and_shows_nothing() {
    let Some(disk) = SmallDisk::mount() else {
        println!("skipped: no file system can be mounted here (not root, or not allowed)");
        return;
    };
    let mut stopped = Stopped::absent(&portcullis());
    stopped.directory = disk.path().join("demo");
    stopped.port = free_ports();
    let demo = stopped.start_on_any_port(&["--patients", "2"]).await;
    let token = writer(&demo).await;
    let client = demo.client();
    let read = async || client.get(&format!("/fhir/Patient/{PATIENT}")).bearer(&token).send().await;
    let write = async |mark: &str| client.post("/fhir/Observation").bearer(&token).fhir(observation(None, mark)).send().await;
    assert_eq!((read().await.status, write("before").await.status.as_u16()), (http::StatusCode::OK, 201));

    let filler = disk.fill();
    let mut refusals = 0;
    for _ in 0..400 {
        let reply = read().await;
        if reply.status == 200 {
            // There may be a last page of room in files that were already longer than their content.
            continue;
        }
        refused_without_data(&reply);
        refusals += 1;
        if refusals == 5 {
            break;
        }
    }
    assert_eq!(refusals, 5, "the disk is full, and everything is answered as if it were not");
    refused_without_data(&write("during").await);
    for path in ["/fhir/Observation?_count=5", "/fhir/Observation?identifier=urn:test:storm|before", "/fhir/AuditEvent"] {
        refused_without_data(&client.get(path).bearer(&token).send().await);
    }
    assert!(client.get("/").send().await.status.as_u16() == 200, "pages that say nothing of anybody stay");

    fs::remove_file(filler).unwrap();
    // Whether it goes on by itself or waits for a new start is the ledger's choice; that it tells nothing unrecorded is not.
    println!("with room again, before a new start: {}", read().await.status);
    let demo = demo.kill().start().await;
    let marks: Vec<String> = stored(&demo, &token).await.into_values().collect();
    assert_eq!(marks, ["before"], "what was refused is not stored");
    demo.run(&["audit", "verify"]).expect(0);
}

fn refused_without_data(reply: &Reply) {
    assert_eq!(reply.status, 503, "{}", reply.text());
    let outcome = reply.json();
    assert_eq!(outcome["resourceType"], "OperationOutcome");
    for clinical in [PATIENT, "birthDate", "family", "storm", "subject"] {
        assert!(!reply.text().contains(clinical), "{}", reply.text());
    }
}
