//! The command line: help, exit codes, listings, commands beside a running server, and the check of the ledger.

use std::fs;
use std::path::Path;

use portcullis_audit::record::{Event, Outcome};
use portcullis_testkit::Demo;
use portcullis_testkit::app::query_value;
use portcullis_testkit::process::{Stopped, free_ports};
use portcullis_verifies::verifies;
use serde_json::Value;

use super::{head, portcullis, records, token, verified_records};

const COMMANDS: [&[&str]; 12] = [
    &[],
    &["demo"],
    &["serve"],
    &["load"],
    &["generate"],
    &["audit", "verify"],
    &["clients", "add"],
    &["clients", "list"],
    &["clients", "remove"],
    &["users", "add"],
    &["users", "list"],
    &["config", "check"],
];

#[test]
fn the_help_of_every_command_shows_an_example_and_fits_the_screen() {
    for command in COMMANDS {
        let mut arguments = command.to_vec();
        arguments.push("--help");
        let help = portcullis().run(&arguments).expect(0);
        let example = format!("  portcullis {}", command.join(" "));
        assert!(help.contains("Example") && help.lines().any(|line| line.starts_with(example.trim_end())), "{command:?}\n{help}");
        for line in help.lines() {
            assert!(line.chars().count() <= 80, "{command:?}: {line}");
        }
    }
    let groups = ["audit", "clients", "users", "config"];
    for group in groups {
        let help = portcullis().run(&[group, "--help"]).expect(0);
        assert!(help.contains("Commands:") && help.contains("Example"), "{group}\n{help}");
    }
    let help = portcullis().run(&["--help"]).expect(0);
    assert!(help.contains("Exit codes") && groups.iter().all(|group| help.contains(group)), "{help}");
    assert!(portcullis().run(&["--version"]).expect(0).contains(env!("CARGO_PKG_VERSION")));
}

/// ADR 0023: switches are in no build but the one of `cargo xtask mutants`.
#[test]
fn nothing_in_the_program_switches_a_rule_of_the_access_control_off() {
    let program = env!("CARGO_BIN_EXE_portcullis");
    let holds = |word: &str| {
        std::process::Command::new("grep").args(["--quiet", "--text", "--fixed-strings", "-e", word, program]).status().unwrap()
    };
    assert_eq!(holds("portcullis serve --config").code(), Some(0), "this looks into the program");
    for word in ["PORTCULLIS_MUTANT", "clearance-of-sources", "consent-in-statements"] {
        assert_eq!(holds(word).code(), Some(1), "{word}");
    }
}

#[test]
fn what_was_typed_wrongly_ends_with_2_and_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let absent = folder.path().join("absent").display().to_string();
    let config = folder.path().join("portcullis.toml").display().to_string();
    fs::write(&config, "public_url = 'https://localhost'\nlissten = '127.0.0.1:1'\n").unwrap();
    let cases: [(&[&str], &str); 12] = [
        (&[], "Usage"),
        (&["dmeo"], "demo"),
        (&["demo", "--port", "70000"], "1..=65534"),
        (&["demo", "--port", "65535"], "1..=65534"),
        (&["demo", "--patients", "many"], "--patients"),
        (&["load", "x.ndjson"], "--data-dir"),
        (&["load", "x.ndjson", "--data-dir", &absent], "portcullis demo"),
        (&["audit", "verify", "--data-dir", &absent], "data directory"),
        (&["audit", "verify", "--data-dir", &absent, "--expect", "soon"], "--expect"),
        (&["generate", "--as-of", "tomorrow"], "2026-01-31"),
        (&["serve", "--config", &absent], "portcullis config check"),
        (&["config", "check", &config], "lissten"),
    ];
    for (arguments, words) in cases {
        let told = portcullis().run(arguments).expect_failure(2);
        assert!(told.contains(words) && !told.contains("panicked"), "{arguments:?}\n{told}");
    }
}

#[test]
fn a_demo_whose_ports_are_taken_makes_no_directory() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("data");
    let port = free_ports();
    // The port of the server, and that of the demo app.
    for taken in [port, port + 1] {
        let listener = std::net::TcpListener::bind(("127.0.0.1", taken)).unwrap();
        let arguments = ["demo", "--port", &port.to_string(), "--data-dir", &directory.display().to_string()];
        let told = portcullis().run(&arguments).expect_failure(1);
        assert!(told.contains(&format!("127.0.0.1:{taken}")) && told.contains("--port"), "{told}");
        assert!(!directory.exists(), "{taken}");
        drop(listener);
    }
}

#[test]
fn a_reader_that_goes_away_ends_generate_quietly() {
    let binary = env!("CARGO_BIN_EXE_portcullis");
    let script = format!("'{binary}' generate --patients 20 | head -n 1; echo ${{PIPESTATUS:-}}");
    let output = std::process::Command::new("sh").arg("-c").arg(script).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let first: Value = serde_json::from_slice(output.stdout.split(|byte| *byte == b'\n').next().unwrap()).unwrap();
    assert!(first["resourceType"].is_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_and_users_are_managed_beside_a_running_server() {
    let demo = Demo::start(&portcullis(), 2).await;
    a_second_process_is_told_who_holds_the_directory(&demo);
    listings_are_json_and_tables(&demo);
    wrong_values_are_refused(&demo);
    a_removed_client_has_nothing_any_more(&demo).await;
    a_new_user_can_sign_in(&demo).await;
    a_user_of_a_patient_who_is_not_stored_is_added_with_a_warning(&demo);
    a_holder_that_is_stopped_is_not_waited_for(&demo);
    // A stop moves what still waits in the outbox into the ledger.
    let stopped = demo.stop();
    let told: Vec<String> = records(&stopped.directory)
        .into_iter()
        .filter(|record| record.event == Event::Administration && record.outcome == Outcome::Success)
        .filter_map(|record| record.detail)
        .collect();
    for done in
        ["client added: Temporary", "client removed: temporary", "user added: new.person", "clients listed", "users listed"]
    {
        assert!(told.iter().any(|detail| detail == done), "{done}: {told:?}");
    }
}

fn a_second_process_is_told_who_holds_the_directory(demo: &Demo) {
    let told = demo.run(&["demo", "--port", "1"]).expect_failure(4);
    assert!(told.contains(&format!("process {} (demo)", demo.running.pid())) && told.contains(&demo.issuer()), "{told}");
}

fn a_user_of_a_patient_who_is_not_stored_is_added_with_a_warning(demo: &Demo) {
    let add = ["users", "add", "early", "--display-name", "Early", "--role", "patient", "--json"];
    let stored = demo.person("patient").id().to_owned();
    let who = ["--patient", "nobody-yet", "--patient", stored.as_str(), "--fhir-user", "Patient/nobody-yet"];
    let ended = demo.run_with(&[&add[..], &who].concat(), b"correct horse battery staple\n");
    assert!(
        ended.stderr.contains("warning: Patient/nobody-yet is not stored yet") && !ended.stderr.contains(&stored),
        "{}",
        ended.stderr
    );
    assert_eq!(ended.expect_json(0)["absent"], serde_json::json!(["Patient/nobody-yet"]));
}

fn a_holder_that_is_stopped_is_not_waited_for(demo: &Demo) {
    demo.running.signal("STOP");
    let ended = demo.run(&["users", "list"]);
    demo.running.signal("CONT");
    let told = ended.expect_failure(4);
    assert!(told.contains(&format!("process {} (demo)", demo.running.pid())) && told.contains("within 5 seconds"), "{told}");
    demo.run(&["users", "list"]).expect(0);
}

fn listings_are_json_and_tables(demo: &Demo) {
    let clients = demo.run(&["clients", "list", "--json"]).expect_json(0);
    let ids: Vec<&str> = clients.as_array().unwrap().iter().map(|client| client["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["demo-app", "demo-backend", "demo-confidential"]);
    let users = demo.run(&["users", "list", "--json"]).expect_json(0);
    assert_eq!(users.as_array().unwrap().len(), 8);
    for text in [clients.to_string(), users.to_string()] {
        assert!(!text.contains("password") && !text.contains("secret_hash") && !text.contains("$argon2"), "{text}");
    }
    for listing in ["clients", "users"] {
        let table = demo.run(&[listing, "list"]).expect(0);
        assert!(table.lines().count() > 2 && !table.contains('…'), "nothing is cut in a pipe:\n{table}");
        for width in [80, 120] {
            let table = on_a_terminal(demo, width, &format!("{listing} list"));
            assert!(table.lines().count() > 2 && table.lines().all(|line| line.chars().count() <= width), "{width}:\n{table}");
            assert!(!table.contains('…'), "{width}:\n{table}");
        }
    }
}

/// What a command says on a terminal of this width.
pub fn on_a_terminal(demo: &Demo, width: usize, command: &str) -> String {
    let [option, directory] = demo.target();
    let command = format!("stty cols {width} rows 24; '{}' {command} {option} '{directory}'", env!("CARGO_BIN_EXE_portcullis"));
    let output = std::process::Command::new("script").args(["-qec", &command, "/dev/null"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().replace('\r', "")
}

fn wrong_values_are_refused(demo: &Demo) {
    let client = |redirect: &str, scope: &str| {
        demo.run(&["clients", "add", "--name", "Wrong", "--redirect-uri", redirect, "--scope", scope])
    };
    for redirect in ["http://app.example.org/", "javascript:alert(1)", "/callback", "https://app.example.org/#fragment"] {
        client(redirect, "patient/*.rs").expect_failure(2);
    }
    client("https://app.example.org/", "patient/Dragon.rs").expect_failure(2);
    let user = |name: &str, role: &str, password: &str| {
        demo.run_with(&["users", "add", name, "--display-name", "Wrong", "--role", role], password.as_bytes())
    };
    user("wrong.one", "patient", "short").expect_failure(2);
    user("wrong.two", "king", "correct horse battery staple").expect_failure(2);
    user(&demo.person("auditor").username, "auditor", "correct horse battery staple").expect_failure(1);
    demo.run(&["clients", "remove", "nobody"]).expect_failure(1);
    demo.run(&["load", "absent.ndjson"]).expect_failure(1);
    assert_eq!(demo.run(&["clients", "list", "--json"]).expect_json(0).as_array().unwrap().len(), 3);
    assert_eq!(demo.run(&["users", "list", "--json"]).expect_json(0).as_array().unwrap().len(), 8);
}

async fn a_removed_client_has_nothing_any_more(demo: &Demo) {
    let uri = "https://127.0.0.1:9/back";
    let add = ["clients", "add", "--id", "temporary", "--name", "Temporary", "--redirect-uri", uri, "--confidential", "--json"];
    let scope = "launch/patient offline_access patient/*.rs";
    let added = demo.run(&[&add[..], &["--scope", scope]].concat()).expect_json(0);
    assert_eq!(added["client_id"], "temporary");
    let mut app = demo.app("demo-confidential");
    app.client_id = "temporary".to_owned();
    app.secret = Some(added["client_secret"].as_str().unwrap().to_owned());
    app.redirect_uri = uri.to_owned();
    let person = demo.person("patient");
    let tokens = app.authorize(scope, &person.username, &person.password).await;
    let at = app.sign_in(&app.authorization_query(scope), &person.username, &person.password).await;
    let waiting = query_value(&app.consent(&at, &scope.split(' ').collect::<Vec<_>>(), "allow").await, "code").unwrap();
    let (access, refresh) = (tokens["access_token"].as_str().unwrap(), tokens["refresh_token"].as_str().unwrap());
    let read = || async { demo.client().get("/fhir/Patient").bearer(access).send().await.status.as_u16() };
    assert_eq!(read().await, 200);
    demo.run(&["clients", "remove", "temporary"]).expect(0);
    assert_eq!(read().await, 401, "the very next request is refused");
    let again = app.token_request(&[("grant_type", "refresh_token"), ("refresh_token", refresh)]).await;
    assert_eq!((again.status.as_u16(), again.json()["error"].as_str()), (401, Some("invalid_client")));
    assert_eq!(app.exchange(&waiting).await.status, 401, "a code that was not redeemed yet is worth nothing");
    let page = demo.client().get(&format!("/oauth/authorize?{}", app.authorization_query(scope))).send().await;
    assert_eq!((page.status.as_u16(), page.header("location")), (400, ""), "nobody is sent to an app that is not registered");
}

async fn a_new_user_can_sign_in(demo: &Demo) {
    let id = demo.person("patient").id().to_owned();
    let reference = format!("Patient/{id}");
    let add = ["users", "add", "new.person", "--display-name", "New Person", "--role", "patient", "--json"];
    let who = ["--fhir-user", reference.as_str(), "--patient", id.as_str()];
    let added = demo.run_with(&[&add[..], &who].concat(), "pass\u{fc}hrase with spaces \nsecond line".as_bytes()).expect_json(0);
    assert_eq!(added["username"], "new.person");
    let mut person = demo.person("patient");
    person.username = "new.person".to_owned();
    person.password = "pass\u{fc}hrase with spaces ".to_owned();
    token(demo, &person).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_check_of_the_ledger_proves_what_it_says() {
    verifies!("SPM-05");
    let demo = Demo::start(&portcullis(), 2).await;
    let text = demo.run(&["audit", "verify"]).expect(0);
    assert!(
        text.contains("Records") && text.contains("Head") && text.contains("Proved: the files agree with themselves"),
        "{text}"
    );
    let shown = text.lines().last().unwrap().trim_start();
    assert!(shown.starts_with("portcullis audit verify --data-dir ") && shown.contains(" --expect "), "{shown}");
    let again: Vec<&str> = shown.split(' ').skip(1).collect();
    let proved = portcullis().run(&again).expect(0);
    assert!(proved.contains("the expected head stands"), "the command that is shown works as it stands: {proved}");
    let target = demo.target();
    let early = head(&target.each_ref().map(String::as_str));
    assert!(text.contains(early.split(':').nth(1).unwrap()) || verified_records(&demo.directory) > 10, "{text}");
    let person = demo.person("patient");
    token(&demo, &person).await;
    let proved = demo.run(&["audit", "verify", "--json", "--expect", &early]).expect_json(0);
    assert_eq!(proved["proved"], "nothing-before-expected-changed");
    assert!(proved["records"].as_u64().unwrap() > early.split(':').next().unwrap().parse().unwrap(), "{proved} {early}");

    let stopped = demo.stop();
    let last = head(&["--data-dir", &stopped.directory.display().to_string()]);
    a_forged_head_is_refused(&stopped, &last);
    every_change_of_the_files_is_found(&stopped, &last);
    stopped.run(&["audit", "verify", "--expect", &early]).expect(0);
    stopped.start().await.run(&["audit", "verify", "--expect", &last]).expect(0);
}

fn a_forged_head_is_refused(stopped: &Stopped, head: &str) {
    let (count, hash) = head.split_once(':').unwrap();
    let digit = if hash.starts_with('0') { "1" } else { "0" };
    let forged = format!("{count}:{digit}{}", &hash[1..]);
    let more = format!("{}:{hash}", count.parse::<u64>().unwrap() + 1);
    for wrong in [forged, more] {
        let told = stopped.run(&["audit", "verify", "--expect", &wrong]).expect_failure(3);
        assert!(told.contains("incident"), "{told}");
        let json = stopped.run(&["audit", "verify", "--json", "--expect", &wrong]);
        assert_eq!(json.expect_json(3)["proved"], "nothing");
    }
}

fn every_change_of_the_files_is_found(stopped: &Stopped, head: &str) {
    let segment = stopped.directory.join("ledger/00000001.segment");
    let whole = fs::read(&segment).unwrap();
    let verify = |arguments: &[&str]| stopped.run(&[&["audit", "verify"], arguments].concat());
    for place in [0, 9, whole.len() / 3, whole.len() / 2, whole.len() - 40] {
        let mut changed = whole.clone();
        changed[place] ^= 1;
        write(&segment, &changed);
        let told = verify(&[]).expect_failure(3);
        assert!(told.contains("damaged at") && told.contains("whole records"), "byte {place}: {told}");
    }
    write(&segment, &whole[..whole.len() / 2]);
    verify(&["--expect", head]).expect_failure(3);
    assert!(verify(&[]).expect_failure(3).contains("cut: "), "the directory knows how far the ledger reached");
    let index = stopped.directory.join("audit-index.db");
    let aside = stopped.directory.join("aside.db");
    fs::rename(&index, &aside).unwrap();
    let torn = verify(&["--json"]).expect_json(0);
    assert!(torn["being_written_bytes"].as_u64().unwrap_or(1) > 0, "without any head only the torn tail shows: {torn}");
    assert!(verify(&[]).expect(0).contains("Not proved: that nothing is missing at the end"));
    fs::rename(&aside, &index).unwrap();
    let away = stopped.directory.join("away");
    fs::rename(&segment, &away).unwrap();
    assert!(verify(&[]).expect_failure(3).contains("cut: 0 of"));
    let told = stopped.run(&["users", "list"]).expect_failure(3);
    assert!(told.contains("records were durable up to segment 1") && told.contains("incident"), "{told}");
    assert!(!segment.exists(), "nothing is begun anew over what is missing");
    let ledger = stopped.directory.join("ledger");
    fs::remove_dir(&ledger).unwrap();
    assert!(verify(&[]).expect_failure(3).contains("is gone"));
    fs::create_dir(&ledger).unwrap();
    fs::set_permissions(&ledger, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    fs::rename(&away, &segment).unwrap();
    write(&segment, &whole);
    verify(&["--expect", head]).expect(0);
}

/// Writes into the file that is there, so that its mode and owner stay.
fn write(path: &Path, bytes: &[u8]) {
    use std::io::Write;
    let mut file = fs::OpenOptions::new().write(true).truncate(true).open(path).unwrap();
    file.write_all(bytes).unwrap();
}
