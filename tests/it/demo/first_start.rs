//! What `portcullis demo` makes, says and serves; and that a second start finds it again.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use portcullis_audit::record::{Event, OperationEntry, Outcome, Record};
use portcullis_testkit::process::Stopped;
use portcullis_testkit::{Demo, Reply};
use portcullis_verifies::verifies;
use serde_json::Value;

use super::{APP_SCOPE, portcullis, records, token, token_of};

const ROLES: [&str; 7] = ["patient", "representative", "clinician", "auditor", "security-officer", "administrator", "developer"];

fn strings(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o777
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_start_makes_everything_and_later_ones_reuse_it() {
    let demo = Demo::start(&portcullis(), 50).await;
    println!("first start with 50 patients: {:?}, then {} KiB resident", demo.started_in, demo.running.resident_bytes() / 1024);
    assert!(demo.started_in < Duration::from_secs(45), "{:?}", demo.started_in);
    the_description_is_complete(&demo);
    the_greeting_says_how_to_go_on(&demo);
    the_printed_command_gets_a_token_once(&demo).await;
    the_directory_is_private(&demo.directory);
    start_page_metadata_and_app_are_served(&demo).await;
    let patient = demo.person("patient");
    let response = demo.app("demo-app").authorize(APP_SCOPE, &patient.username, &patient.password).await;
    assert_eq!(response["patient"], patient.id());
    let head = super::head(&["--data-dir", &demo.directory.display().to_string()]);
    let before = demo.description.clone();

    let demo = demo.stop().start().await;
    println!("second start: {:?}, then {} KiB resident", demo.started_in, demo.running.resident_bytes() / 1024);
    assert!(demo.started_in < Duration::from_secs(5), "{:?}", demo.started_in);
    assert_eq!(demo.description, before, "the same people, passwords, clients and secrets");
    let read = demo.client().get("/fhir/Patient?_summary=count").bearer(&token(&demo, &patient).await).send().await;
    assert_eq!(read.json()["total"], 1, "{}", read.text());
    demo.run(&["audit", "verify", "--expect", &head]).expect(0);

    another_port_moves_every_address(demo.stop(), &before).await;
}

fn the_description_is_complete(demo: &Demo) {
    let description = &demo.description;
    let port = demo.port;
    assert_eq!(description["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(description["issuer"], format!("https://localhost:{port}"));
    assert_eq!(description["fhir_base"], format!("https://localhost:{port}/fhir"));
    assert_eq!(description["app_url"], format!("https://127.0.0.1:{}", port + 1));
    assert_eq!(strings(&description["patients"]).len(), 50);
    for role in ROLES {
        assert_eq!(demo.people(role).len(), if role == "patient" { 2 } else { 1 }, "{role}");
    }
    let kinds: Vec<&str> =
        description["clients"].as_array().unwrap().iter().map(|client| client["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["public", "confidential-symmetric", "confidential-asymmetric"]);
    let keys = demo.directory.join(description["clients"][2]["jwks_private_file"].as_str().unwrap());
    assert_eq!(mode(&keys), 0o600);
    assert!(description["clients"][0].get("client_secret").is_none() && description["clients"][1]["client_secret"].is_string());
    assert!(demo.directory.join(description["ca_pem"].as_str().unwrap()).exists(), "paths are relative to the directory");
    for absent in ["admin_url", "udap"] {
        assert!(description.get(absent).is_none(), "{absent} is not built, so it is not named");
    }
}

fn the_greeting_says_how_to_go_on(demo: &Demo) {
    let greeting = demo.running.stdout();
    let said = |text: &Value| greeting.contains(text.as_str().unwrap());
    let description = &demo.description;
    assert!(said(&description["issuer"]) && said(&description["fhir_base"]) && said(&description["app_url"]), "{greeting}");
    for user in description["users"].as_array().unwrap() {
        assert!(said(&user["username"]) && said(&user["password"]), "{greeting}");
    }
    assert!(greeting.contains("demo.json") && greeting.contains("ca.pem") && greeting.contains("Ctrl-C"), "{greeting}");
    assert_eq!(demo.running.stderr(), "", "nothing to worry about");
    // After the first fill the program begins anew: it is still this process that holds the directory, and it says all of this once.
    assert_eq!(greeting.matches("Start here").count(), 1, "{greeting}");
    let lock = fs::read_to_string(demo.directory.join("lock")).unwrap();
    assert_eq!(lock, format!("{}\ndemo\n", demo.running.pid()));
}

async fn the_printed_command_gets_a_token_once(demo: &Demo) {
    let greeting = demo.running.stdout();
    let from = greeting.lines().skip_while(|line| !line.trim_start().starts_with("curl "));
    let lines: Vec<&str> =
        from.scan(true, |goes_on, line| std::mem::replace(goes_on, line.ends_with('\\')).then_some(line)).collect();
    let run = || std::process::Command::new("sh").arg("-c").arg(lines.join("\n")).output().unwrap();
    let output = run();
    if output.status.code() == Some(127) {
        return crate::foreign::absent("there is no curl to run the printed command with");
    }
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{lines:?}: {output:?}"));
    let token = answer["access_token"].as_str().unwrap_or_else(|| panic!("{lines:?}: {answer}"));
    let patient = demo.client().get("/fhir/Patient").bearer(token).send().await;
    assert_eq!(patient.json()["total"].as_u64().unwrap_or(1), 1, "{}", patient.text());
    let again: Value = serde_json::from_slice(&run().stdout).unwrap();
    assert_eq!(again["error"], "invalid_grant", "it says that it serves once");
}

fn the_directory_is_private(directory: &Path) {
    assert_eq!(mode(directory), 0o700);
    for name in ["demo.json", "root.key", "portcullis.db", "admin.sock", "tls/server.key"] {
        assert_eq!(mode(&directory.join(name)), 0o600, "{name}");
    }
    let names: Vec<String> =
        fs::read_dir(directory.join("tls")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert!(!names.iter().any(|name| name.contains("ca") && name.ends_with(".key")), "the CA's key is not kept: {names:?}");
    assert!(!directory.join("demo.unfinished.json").exists());
}

async fn start_page_metadata_and_app_are_served(demo: &Demo) {
    let client = demo.client();
    let page = client.get("/").send().await;
    assert_eq!((page.status.as_u16(), page.header("content-type")), (200, "text/html; charset=utf-8"));
    let text = page.text();
    let app_url = demo.description["app_url"].as_str().unwrap();
    for link in
        ["href=\"/login\"", "href=\"/docs\"", "href=\"/fhir/metadata\"", &format!("href=\"{app_url}\""), &demo.fhir_base()]
    {
        assert!(text.contains(link), "{link}: {text}");
    }
    for user in demo.description["users"].as_array().unwrap() {
        assert!(!text.contains(user["password"].as_str().unwrap()), "the start page names nobody's password");
    }
    for path in ["/docs", "/login"] {
        assert_eq!(client.get(path).send().await.status, 200, "{path}");
    }
    let metadata = client.get("/fhir/metadata").send().await.json();
    assert_eq!(metadata["resourceType"], "CapabilityStatement");
    assert_eq!(metadata["implementation"]["url"], demo.fhir_base());
    let app = demo.app_client();
    assert!(app.get("/").send().await.header("content-security-policy").contains("default-src 'none'"));
    assert_eq!(app.get("/fhir/metadata").send().await.status, 404, "the app's origin serves no data");
}

async fn another_port_moves_every_address(stopped: Stopped, before: &Value) {
    let demo = stopped.start_on_any_port(&[]).await;
    let moved = &demo.description;
    assert_ne!(moved["issuer"], before["issuer"]);
    assert_eq!(moved["users"], before["users"]);
    assert!(moved["clients"][0]["redirect_uris"][0].as_str().unwrap().contains(&format!(":{}", demo.port + 1)), "{moved}");
    let client = demo.client();
    let configuration = client.get("/fhir/.well-known/smart-configuration").send().await.json();
    assert_eq!(configuration["issuer"], moved["issuer"]);
    let patient = demo.person("patient");
    let token = token(&demo, &patient).await;
    let read = client.get(&format!("/fhir/Patient/{}", patient.id())).bearer(&token).send().await;
    assert_eq!(read.status, 200, "{}", read.text());
    let settings = demo.app_client().get("/config.json").send().await.json();
    assert_eq!((&settings["issuer"], &settings["fhir_base"]), (&moved["issuer"], &moved["fhir_base"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_start_that_is_killed_goes_on_where_it_was() {
    let portcullis = portcullis();
    let whole = Demo::start(&portcullis, 6).await;
    let expected = count_of_everything(&whole).await;
    drop(whole);
    let stopped = Stopped::absent(&portcullis);
    let directory = stopped.directory.display().to_string();
    for (round, milliseconds) in [5, 60, 150, 300, 450].into_iter().enumerate() {
        let port = portcullis_testkit::process::free_ports().to_string();
        let running = portcullis.start(&["demo", "--data-dir", &directory, "--patients", "6", "--port", &port]);
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
        let ended = running.kill();
        assert!(ended.stderr.is_empty(), "round {round}: {}", ended.stderr);
    }
    let demo = stopped.start_on_any_port(&["--patients", "6"]).await;
    the_directory_is_private(&demo.directory);
    assert_eq!(demo.description["patients"].as_array().unwrap().len(), 6);
    assert_eq!(count_of_everything(&demo).await, expected);
    let confidential = demo.app("demo-confidential");
    token_of(&confidential, "launch/patient patient/*.rs", &demo.person("patient")).await;
    demo.run(&["audit", "verify"]).expect(0);
}

/// How many resources of some types the clinician and the two patients see, which covers all data that the first start loads for them.
async fn count_of_everything(demo: &Demo) -> Vec<(String, Value)> {
    let mut counts = Vec::new();
    for person in demo.people("patient") {
        let token = token(demo, &person).await;
        for kind in ["ExplanationOfBenefit", "Coverage", "Observation", "Encounter", "Condition"] {
            let reply = demo.client().get(&format!("/fhir/{kind}?_summary=count&_total=accurate")).bearer(&token).send().await;
            counts.push((format!("{} {kind}", person.id()), reply.json()["total"].clone()));
        }
    }
    counts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_gets_nothing_of_another_patient_and_every_attempt_is_recorded() {
    verifies!("SEED-CARIN-02", "FHIR-SEC-38");
    let demo = Demo::start(&portcullis(), 4).await;
    let client = demo.client();
    let [mine, other] = <[_; 2]>::try_from(demo.people("patient")).unwrap();
    let (my_token, other_token) = (token(&demo, &mine).await, token(&demo, &other).await);
    let (me, them) = (mine.id(), other.id());
    let own = client.get(&format!("/fhir/Observation?patient={them}&_count=1")).bearer(&other_token).send().await.json();
    let observation = own["entry"][0]["resource"]["id"].as_str().unwrap();
    let version = own["entry"][0]["resource"]["meta"]["versionId"].as_str().unwrap();

    let claims = client.get("/fhir/ExplanationOfBenefit?_count=1").bearer(&other_token).send().await.json();
    let claim = format!("/fhir/ExplanationOfBenefit/{}", claims["entry"][0]["resource"]["id"].as_str().unwrap());
    without_a_token_nothing_is_answered(&demo, &claim).await;
    let hidden = [
        (claim, "/fhir/ExplanationOfBenefit/eob-9999".to_owned()),
        (format!("/fhir/Patient/{them}"), "/fhir/Patient/pat-9999".to_owned()),
        (format!("/fhir/Observation/{observation}"), "/fhir/Observation/obs-9999".to_owned()),
        (format!("/fhir/Observation/{observation}/_history"), "/fhir/Observation/obs-9999/_history".to_owned()),
        (format!("/fhir/Observation/{observation}/_history/{version}"), format!("/fhir/Observation/obs-9999/_history/{version}")),
    ];
    let mut attempts = Vec::new();
    for (theirs, absent) in &hidden {
        let refused = client.get(theirs).bearer(&my_token).send().await;
        let unknown = client.get(absent).bearer(&my_token).send().await;
        assert_eq!((refused.status.as_u16(), unknown.status.as_u16()), (404, 404), "{theirs}: {}", refused.text());
        let (theirs, absent) = (theirs.rsplit("/fhir/").next().unwrap(), absent.rsplit("/fhir/").next().unwrap());
        let neutral = |text: String, path: &str| path.split('/').fold(text, |text, part| text.replace(part, "_"));
        assert_eq!(neutral(refused.text(), theirs), neutral(unknown.text(), absent));
        assert_eq!(lasting_headers(&refused), lasting_headers(&unknown), "{theirs}");
        attempts.push(refused.header("x-request-id").to_owned());
    }
    let searches = [
        format!("/fhir/Observation?patient={them}"),
        format!("/fhir/Observation?subject=Patient/{them}"),
        format!("/fhir/Observation?_id={observation}"),
        format!("/fhir/Patient?_id={them}"),
        format!("/fhir/Patient?_id={them}&_revinclude=Observation:subject"),
        format!("/fhir/ExplanationOfBenefit?patient={them}"),
        format!("/fhir/Coverage?beneficiary=Patient/{them}"),
        format!("/fhir/Encounter?patient={them}&_include=Encounter:subject"),
    ];
    for search in &searches {
        let reply = client.get(search).bearer(&my_token).send().await;
        assert!(
            !reply.text().contains(&format!("\"{observation}\"")) && !reply.text().contains(&format!("\"id\":\"{them}\"")),
            "{search}"
        );
        let entries = reply.json()["entry"].as_array().cloned().unwrap_or_default();
        let matches = entries.iter().filter(|entry| entry["search"]["mode"] != "outcome").count();
        assert!(matches == 0, "{search}: {} {}", reply.status, reply.text());
        attempts.push(reply.header("x-request-id").to_owned());
    }
    let visible = client.get("/fhir/Observation?_count=200").bearer(&my_token).send().await.json();
    for entry in visible["entry"].as_array().unwrap() {
        assert_eq!(entry["resource"]["subject"]["reference"], format!("Patient/{me}"));
    }

    let records = records(&demo.directory);
    for (index, attempt) in attempts.iter().enumerate() {
        let record = records.iter().find(|record| record.id.0 == *attempt).unwrap_or_else(|| panic!("no record of {attempt}"));
        assert_eq!((record.agent.client.as_deref(), record.event), (Some("demo-app"), Event::Rest));
        // What was hidden is on the record with its patient, which no answer told.
        let hidden: &[&str] = if index < hidden.len() { &[them] } else { &[] };
        let told = |operation: &OperationEntry| operation.patients == hidden;
        assert!(record.agent.user.is_some() && record.operations.iter().all(told), "{record:?}");
    }
    let denied: Vec<&Record> = records.iter().filter(|record| attempts[..1].contains(&record.id.0)).collect();
    assert_ne!(denied[0].outcome, Outcome::Success, "the record knows what the answer hides");
    the_auditor_finds_the_attempts(&demo, &attempts).await;
}

/// The headers that do not differ from one request to the next.
fn lasting_headers(reply: &Reply) -> http::HeaderMap {
    let mut headers = reply.headers.clone();
    headers.remove("date");
    headers.remove("x-request-id");
    headers
}

async fn without_a_token_nothing_is_answered(demo: &Demo, claim: &str) {
    let reply = demo.client().get(claim).send().await;
    assert_eq!(reply.status, 401);
    assert!(reply.header("www-authenticate").starts_with("Bearer"), "{:?}", reply.headers);
    let mut plain = std::net::TcpStream::connect(demo.client().address()).unwrap();
    std::io::Write::write_all(&mut plain, format!("GET {claim} HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes()).unwrap();
    let mut answer = Vec::new();
    std::io::Read::read_to_end(&mut plain, &mut answer).unwrap();
    assert!(answer.is_empty(), "{}", String::from_utf8_lossy(&answer));
}

async fn the_auditor_finds_the_attempts(demo: &Demo, attempts: &[String]) {
    let confidential = demo.app("demo-confidential");
    let token = token_of(&confidential, "user/AuditEvent.rs", &demo.person("auditor")).await;
    let since = Instant::now();
    let mut found = Vec::new();
    let mut next = Some("/fhir/AuditEvent?_count=200".to_owned());
    while let Some(path) = next {
        let reply = demo.client().get(&path).bearer(&token).send().await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let page = reply.json();
        found.extend(page["entry"].as_array().unwrap().iter().map(|entry| entry["resource"]["id"].as_str().unwrap().to_owned()));
        let links = page["link"].as_array().unwrap();
        let link = links.iter().find(|link| link["relation"] == "next").map(|link| link["url"].as_str().unwrap().to_owned());
        next = link.map(|url| url.split_once("/fhir").map(|(_, rest)| format!("/fhir{rest}")).unwrap());
        assert!(since.elapsed() < Duration::from_secs(20));
    }
    for attempt in attempts {
        assert!(found.iter().any(|id| id.contains(attempt)), "the auditor does not find {attempt}");
    }
    let clinical = demo.client().get("/fhir/Patient").bearer(&token).send().await;
    assert_eq!(clinical.status, 403, "{}", clinical.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_cookie_opens_pages_and_no_data() {
    verifies!("FHIR-SEC-48");
    let demo = Demo::start(&portcullis(), 2).await;
    let (app, person) = (demo.app("demo-app"), demo.person("patient"));
    let at = app.sign_in(&app.authorization_query("launch/patient patient/*.rs"), &person.username, &person.password).await;
    let get = async |path: &str| demo.client().get(path).header("cookie", &at.cookies).send().await;
    assert!(get("/me").await.text().contains("Who can see your record"), "the cookie is good");
    for path in [format!("/fhir/Patient/{}", person.id()), "/fhir/Observation".to_owned(), "/fhir/AuditEvent".to_owned()] {
        assert_eq!(get(&path).await.status, 401, "{path}");
    }
    let token = token(&demo, &person).await;
    for path in [format!("/fhir/Patient/{}", person.id()), "/fhir/Patient/nobody".to_owned(), "/fhir/Dragon".to_owned()] {
        let reply = demo.client().get(&path).bearer(&token).header("cookie", &at.cookies).send().await;
        assert_eq!(reply.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(reply.header("referrer-policy"), "no-referrer", "{path}");
        assert!(reply.header("content-security-policy").starts_with("default-src 'none'"), "{path}: {:?}", reply.headers);
        assert!(!reply.headers.contains_key("set-cookie"), "{path}");
    }
}
