//! `portcullis generate` and `portcullis load`: every form, every refusal with its place, and interruptions at any moment.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use portcullis_audit::record::Event;
use portcullis_testkit::Demo;
use portcullis_testkit::process::{Person, Running, Stopped};
use serde_json::{Value, json};

use super::{portcullis, records, token};

fn patient(id: &str) -> Value {
    json!({"resourceType": "Patient", "id": id, "birthDate": "1970-01-01"})
}

fn observation(id: &str, subject: &str) -> Value {
    json!({"resourceType": "Observation", "id": id, "status": "final", "code": {"text": "x"}, "subject": {"reference": subject}})
}

fn lines(resources: &[Value]) -> String {
    resources.iter().map(|resource| format!("{resource}\n")).collect()
}

fn packed(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// A folder with every form that is taken: ten resources about the patient `loaded`.
fn write_every_form(folder: &Path) {
    let transaction = json!({"resourceType": "Bundle", "type": "transaction", "entry": [
        {"fullUrl": "urn:uuid:6f1b0a52-8d0d-4a2e-9c63-0d3f6a1c2b11", "resource": observation("", "urn:uuid:9d0c6a3e-5b1f-4d7a-8e22-7c4b9a0f1e33"),
         "request": {"method": "POST", "url": "Observation"}},
        {"fullUrl": "urn:uuid:9d0c6a3e-5b1f-4d7a-8e22-7c4b9a0f1e33", "resource": patient("loaded"),
         "request": {"method": "PUT", "url": "Patient/loaded"}},
    ]});
    let mut transaction = transaction;
    transaction["entry"][0]["resource"].as_object_mut().unwrap().remove("id");
    fs::write(folder.join("1-transaction.json"), format!("{transaction:#}")).unwrap();
    for (number, kind) in ["batch", "collection", "searchset"].into_iter().enumerate() {
        let entry = |id: String| {
            let mut entry = json!({"fullUrl": format!("https://example.org/Observation/{id}"), "resource": observation(&id, "Patient/loaded")});
            if kind == "batch" {
                entry["request"] = json!({"method": "PUT", "url": format!("Observation/{id}")});
            }
            entry
        };
        let bundle =
            json!({"resourceType": "Bundle", "type": kind, "entry": [entry(format!("{kind}-1")), entry(format!("{kind}-2"))]});
        fs::write(folder.join(format!("{}-{kind}.json", number + 2)), bundle.to_string()).unwrap();
    }
    fs::create_dir(folder.join("more")).unwrap();
    fs::write(folder.join("more/plain.ndjson"), lines(&[observation("plain", "Patient/loaded")])).unwrap();
    fs::write(folder.join("more/packed.ndjson.gz"), packed(&lines(&[observation("packed", "Patient/loaded")]))).unwrap();
    fs::write(folder.join("more/readme.txt"), "not data").unwrap();
}

async fn observations_of(demo: &Demo, person: &Person) -> BTreeSet<String> {
    let reply = demo.client().get("/fhir/Observation?_count=100").bearer(&token(demo, person).await).send().await;
    let bundle = reply.json();
    let ids = bundle["entry"].as_array().unwrap_or_else(|| panic!("{bundle}")).iter();
    ids.map(|entry| entry["resource"]["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_form_is_taken_beside_a_running_server_and_every_refusal_is_named() {
    let demo = Demo::start(&portcullis(), 2).await;
    let folder = tempfile::tempdir().unwrap();
    write_every_form(folder.path());
    let summary = demo.run(&["load", "--json", &folder.path().display().to_string()]).expect_json(0);
    assert_eq!(
        (&summary["loaded"], &summary["refused"], &summary["complete"]),
        (&json!(10), &json!(0), &json!(true)),
        "{summary}"
    );
    assert_eq!(summary["by_type"], json!({"Patient": 1, "Observation": 9}));
    let person = add_patient(&demo, "loaded");
    let ids = observations_of(&demo, &person).await;
    for id in ["batch-1", "collection-2", "searchset-1", "plain", "packed"] {
        assert!(ids.contains(id), "{id}: {ids:?}");
    }
    assert_eq!(ids.len(), 9, "the urn of the transaction became the patient's id: {ids:?}");
    refusals_have_file_line_path_and_reason(&demo, folder.path());
    assert_eq!(observations_of(&demo, &person).await.len(), 11, "what stands around a refusal is stored");
    a_pipe_is_read(&demo);
    let text = demo.run(&["load", &folder.path().join("more/plain.ndjson").display().to_string()]).expect(0);
    assert!(text.contains("Loaded 0 resources ") && text.contains("; 1 unchanged."), "{text}");
    assert!(records(&demo.directory).iter().any(|record| {
        record.event == Event::Import && record.operations.iter().any(|operation| operation.id.as_deref() == Some("packed"))
    }));
}

/// Adds somebody who is this patient.
fn add_patient(demo: &Demo, id: &str) -> Person {
    let reference = format!("Patient/{id}");
    let add = ["users", "add", id, "--display-name", "Somebody", "--role", "patient", "--patient", id, "--fhir-user", &reference];
    demo.run_with(&add, b"correct horse battery staple\n").expect(0);
    Person { username: id.to_owned(), password: "correct horse battery staple".to_owned(), fhir_user: Some(reference) }
}

fn refusals_have_file_line_path_and_reason(demo: &Demo, folder: &Path) {
    let path = folder.join("broken.ndjson");
    let wrong_date = json!({"resourceType": "Patient", "id": "b2", "birthDate": "1970-13-41"});
    let unknown = json!({"resourceType": "Dragon", "id": "b3"});
    let scope = json!({"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]});
    let idle = json!({"resourceType": "Consent", "id": "b6", "status": "active", "scope": scope, "category": [{"text": "x"}],
        "patient": {"reference": "Patient/loaded"}, "policy": [{"uri": "https://example.org/policy"}]});
    let text = [
        observation("whole-1", "Patient/loaded").to_string(),
        r#"{"resourceType":"Patient","id":"b1""#.to_owned(),
        wrong_date.to_string(),
        unknown.to_string(),
        r#"{"resourceType":"Patient","id":"b4","id":"b5"}"#.to_owned(),
        r#"["not a resource"]"#.to_owned(),
        observation("whole-2", "Patient/loaded").to_string(),
        idle.to_string(),
    ];
    fs::write(&path, text.join("\n")).unwrap();
    let ended = demo.run(&["load", "--json", &path.display().to_string()]);
    let summary: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(
        (&summary["loaded"], &summary["refused"], &summary["complete"]),
        (&json!(2), &json!(6), &json!(true)),
        "{}",
        ended.stderr
    );
    let told = ended.expect_failure(1);
    for (line, words) in
        [(2, "not valid JSON"), (3, "Patient.birthDate"), (4, "Dragon"), (5, "id"), (6, ""), (8, "decides nothing")]
    {
        let place = format!("{}:{line}: ", path.display());
        assert!(told.lines().any(|said| said.starts_with(&place) && said.contains(words)), "{place}{words}\n{told}");
    }
    assert!(!told.contains(":1: ") && !told.contains(":7: "), "{told}");
    let listed = |line: u64| {
        let refusals = summary["refusals"].as_array().unwrap().iter();
        refusals.filter(|refusal| refusal["line"] == line && refusal["file"] == path.display().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(listed(3)[0]["path"], "Patient.birthDate");
    assert_eq!(listed(4)[0]["path"], "resourceType");
    // What the reader of lines finds and what the import finds have one form.
    for line in [2, 5] {
        let reason = listed(line)[0]["reason"].as_str().unwrap();
        assert!(reason.starts_with("This is not valid JSON at column "), "{reason}");
    }
    assert_eq!(listed(5)[0]["path"], "Patient.id");
    assert_eq!((listed(1).len(), listed(6).len(), &summary["refusals_not_listed"]), (0, 1, &json!(0)));
}

fn a_pipe_is_read(demo: &Demo) {
    let portcullis = portcullis();
    let arguments = ["generate", "--patients", "2", "--seed", "9", "--as-of", "2026-01-31"];
    let count = portcullis.run(&arguments).expect(0).lines().count();
    assert_eq!(portcullis.run(&arguments).expect(0).lines().count(), count, "the same seed and day give the same data");
    let mut generate = portcullis.command(&arguments).stdout(Stdio::piped()).spawn().unwrap();
    let [flag, directory] = demo.target();
    let mut load = portcullis.command(&["load", "-", "--json", &flag, &directory]);
    load.stdin(generate.stdout.take().unwrap());
    let summary = Running::start(load).wait().expect_json(0);
    assert!(generate.wait().unwrap().success());
    assert_eq!((&summary["loaded"], &summary["refused"]), (&json!(count), &json!(0)));
}

fn put(resource: Value) -> Value {
    let url = format!("{}/{}", resource["resourceType"].as_str().unwrap(), resource["id"].as_str().unwrap());
    json!({"resource": resource, "request": {"method": "PUT", "url": url}})
}

fn transaction(entries: Vec<Value>) -> Value {
    json!({"resourceType": "Bundle", "type": "transaction", "entry": entries})
}

/// The ids of everything that was imported, by the audit records, each as often as it was stored.
fn imported(directory: &Path) -> Vec<String> {
    let imports = records(directory).into_iter().filter(|record| record.event == Event::Import);
    imports.flat_map(|record| record.operations.into_iter().filter_map(|operation| operation.id)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_is_stored_whole_or_not_at_all() {
    let stopped = Demo::start(&portcullis(), 2).await.stop();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("transactions.ndjson");
    let wrong_date = json!({"resourceType": "Patient", "id": "t-wrong", "birthDate": "1970-13-41"});
    let text = [
        transaction(vec![put(patient("t-1")), put(observation("t-2", "Patient/t-1"))]),
        // The import refuses the second entry.
        transaction(vec![put(patient("t-3")), put(wrong_date), put(observation("t-4", "Patient/t-3"))]),
        // The load itself refuses the first.
        transaction(vec![json!({"request": {"method": "DELETE", "url": "Patient/t-1"}}), put(patient("t-5"))]),
        transaction(vec![put(observation("t-6", "Patient/t-1"))]),
        patient("t-7"),
    ];
    fs::write(&path, lines(&text)).unwrap();
    let ended = stopped.run(&["load", "--json", &path.display().to_string()]);
    let summary: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!((&summary["loaded"], &summary["refused"]), (&json!(4), &json!(5)), "{}", ended.stderr);
    let told = ended.expect_failure(1);
    let place = |line: u32| format!("{}:{line}: ", path.display());
    for (line, words) in [(2, "Bundle.entry[1].resource.birthDate"), (3, "Bundle.entry[0].request.method")] {
        assert!(told.lines().any(|said| said.starts_with(&place(line)) && said.contains(words)), "{words}\n{told}");
        assert!(
            told.lines().any(|said| said.starts_with(&place(line)) && said.contains("stored whole or not at all")),
            "{line}\n{told}"
        );
    }
    assert!(told.contains("5 refusals (among them every entry of 2 transactions)"), "{told}");
    assert!(told.contains("everything else is stored"), "{told}");
    what_stores_nothing_says_so(&stopped, folder.path());
    let ids: BTreeSet<String> = imported(&stopped.directory).into_iter().filter(|id| id.starts_with("t-")).collect();
    assert_eq!(ids.iter().map(String::as_str).collect::<Vec<_>>(), ["t-1", "t-2", "t-6", "t-7"]);
    let again = stopped.run(&["load", "--json", &path.display().to_string()]);
    let summary: Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!((&summary["loaded"], &summary["unchanged"]), (&json!(0), &json!(4)), "{summary}");
    synthetic_data_of_another_seed_replaces_nothing_of_the_demo(&stopped);
}

fn what_stores_nothing_says_so(stopped: &Stopped, folder: &Path) {
    let path = folder.join("one.json").display().to_string();
    let unknown = json!({"resourceType": "Dragon", "id": "t-dragon"});
    fs::write(&path, transaction(vec![put(patient("t-8")), put(unknown)]).to_string()).unwrap();
    let told = stopped.run(&["load", &path]).expect_failure(1);
    assert!(told.contains("nothing is stored") && !told.contains("everything else"), "{told}");
    fs::write(&path, "").unwrap();
    let ended = stopped.run(&["load", "--json", &path]);
    let summary: Value = serde_json::from_str(&ended.stdout).unwrap();
    let refusal =
        json!({"file": path, "line": null, "path": null, "reason": "The file is empty: there is nothing to load from it."});
    assert_eq!((&summary["loaded"], &summary["refusals"]), (&json!(0), &json!([refusal])));
    let told = ended.expect_failure(1);
    assert!(told.contains(&format!("{path}: The file is empty")) && told.contains("nothing is stored"), "{told}");
    let nothing = folder.join("nothing");
    fs::create_dir(&nothing).unwrap();
    fs::write(nothing.join("readme.txt"), "not data").unwrap();
    let told = stopped.run(&["load", &nothing.display().to_string()]).expect_failure(1);
    assert!(told.contains("holds no .json, .ndjson or .gz file"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_load_stores_no_half_transaction() {
    let stopped = Demo::start(&portcullis(), 2).await.stop();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("many.ndjson");
    let entries = 40;
    let bundle = |number: usize| {
        transaction((0..entries).map(|entry| put(observation(&format!("half-{number}-{entry}"), "Patient/pat-0001"))).collect())
    };
    let bundles = 100;
    fs::write(&path, lines(&(0..bundles).map(bundle).collect::<Vec<_>>())).unwrap();
    let whole = |ids: &[String]| {
        let mut counts = std::collections::BTreeMap::new();
        for id in ids.iter().filter_map(|id| id.strip_prefix("half-")) {
            *counts.entry(id.split('-').next().unwrap().to_owned()).or_insert(0) += 1;
        }
        assert!(counts.values().all(|count| count % entries == 0), "{counts:?}");
        counts.len()
    };
    for _ in 0..2 {
        interrupt(&stopped, &path, "KILL").await;
        // Opening moves what still waits into the ledger.
        stopped.run(&["users", "list"]).expect(0);
        whole(&imported(&stopped.directory));
    }
    let summary = stopped.run(&["load", "--json", &path.display().to_string()]).expect_json(0);
    // What was stored and not yet marked as done when the load was killed is there again, unchanged.
    let loaded = summary["loaded"].as_u64().unwrap() + summary["unchanged"].as_u64().unwrap();
    let before = summary["loaded_before"].as_u64().unwrap();
    assert!(loaded + before == (bundles * entries) as u64 && before > 0, "{summary}");
    assert_eq!(before % entries as u64, 0, "it goes on between two transactions: {summary}");
    assert_eq!(whole(&imported(&stopped.directory)), bundles);
}

fn synthetic_data_of_another_seed_replaces_nothing_of_the_demo(stopped: &Stopped) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("synthetic.ndjson");
    fs::write(&path, portcullis().run(&["generate", "--patients", "2"]).expect(0)).unwrap();
    let load = || stopped.run(&["load", "--json", &path.display().to_string()]).expect_json(0);
    let first = load();
    assert_eq!((&first["replaced"], &first["new"]), (&json!(0), &first["loaded"]), "{first}");
    let second = load();
    assert_eq!((&second["loaded"], &second["unchanged"]), (&json!(0), &first["loaded"]), "{second}");
    let text = fs::read_to_string(&path).unwrap();
    let (first_line, rest) = text.split_once('\n').unwrap();
    let mut changed: Value = serde_json::from_str(first_line).unwrap();
    changed["meta"]["tag"] = json!([{"code": "changed"}]);
    fs::write(&path, format!("{changed}\n{rest}")).unwrap();
    let text = stopped.run(&["load", &path.display().to_string()]).expect(0);
    assert!(text.contains("; 0 new, 1 replaced what was there; ") && text.contains(" unchanged"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupted_load_goes_on_where_it_stopped_and_loses_nothing() {
    let portcullis = portcullis();
    let stopped = Demo::start(&portcullis, 2).await.stop();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("many.ndjson");
    // Enough for a load to be still on its way when the signal comes, also on a busy machine.
    let many = 8000;
    let all: Vec<Value> = (0..many).map(|number| observation(&format!("many-{number}"), "Patient/pat-0001")).collect();
    fs::write(&path, lines(&all)).unwrap();

    let interrupted = interrupt(&stopped, &path, "INT").await;
    assert!(interrupted.stderr.contains("goes on where it stopped"), "{}", interrupted.stderr);
    let first: Value = serde_json::from_str(&interrupted.stdout).unwrap();
    assert_eq!(first["complete"], false);
    interrupted.expect(1);
    interrupt(&stopped, &path, "KILL").await;
    let summary = stopped.run(&["load", "--json", &path.display().to_string()]).expect_json(0);
    // What was stored and not yet marked as done when the load was killed is there again, unchanged.
    let loaded = summary["loaded"].as_u64().unwrap() + summary["unchanged"].as_u64().unwrap();
    let before = summary["loaded_before"].as_u64().unwrap();
    assert_eq!(loaded + before, many, "{summary}");
    assert!(before >= first["loaded"].as_u64().unwrap() && before > 0, "{first} {summary}");
    assert!(!stopped.directory.join("load-progress").exists(), "a finished load leaves no bookmarks");

    stopped.run(&["audit", "verify"]).expect(0);
    let imported: BTreeSet<String> = records(&stopped.directory)
        .into_iter()
        .filter(|record| record.event == Event::Import)
        .flat_map(|record| record.operations.into_iter().filter_map(|operation| operation.id))
        .filter(|id| id.starts_with("many-"))
        .collect();
    assert_eq!(imported.len() as u64, many, "every resource has its record");
    let demo = stopped.start().await;
    let person = demo.people("patient").into_iter().find(|person| person.id() == "pat-0001").unwrap();
    let token = token(&demo, &person).await;
    for id in ["many-0", "many-4001", "many-7999"] {
        assert_eq!(demo.client().get(&format!("/fhir/Observation/{id}")).bearer(&token).send().await.status, 200, "{id}");
    }
}

/// Starts a load and ends it by a signal, once some of it is done.
async fn interrupt(stopped: &Stopped, path: &Path, signal: &str) -> portcullis_testkit::process::Ended {
    let (path, directory) = (path.display().to_string(), stopped.directory.display().to_string());
    let running = stopped.portcullis.start(&["load", "--json", &path, "--data-dir", &directory]);
    let progress = stopped.directory.join("load-progress");
    let bookmark = || fs::read_dir(&progress).ok()?.next()?.ok().and_then(|file| fs::read_to_string(file.path()).ok());
    let before = bookmark();
    for _ in 0..500 {
        if bookmark() != before {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    if signal == "KILL" {
        return running.kill();
    }
    running.signal(signal);
    running.wait()
}
