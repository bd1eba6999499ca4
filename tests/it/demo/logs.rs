//! Logs and files of a server that tells as much as it can: what somebody looked for stands in the audit trail, and nowhere else.

use std::os::unix::fs::PermissionsExt;

use portcullis_testkit::{App, Client, dump};
use portcullis_verifies::verifies;

use super::serve::Site;

/// What is looked for; nobody is called that.
const MARKER: &str = "Zzmarker";
const SECRET: &str = "correct horse battery staple";

/// A patient with an app, as an operator adds them.
fn app(site: &Site, client: &Client) -> App {
    site.run(&["load", "-"], b"{\"resourceType\":\"Patient\",\"id\":\"ann\"}\n").expect(0);
    let user =
        ["users", "add", "ann", "--display-name", "Ann", "--role", "patient", "--patient", "ann", "--fhir-user", "Patient/ann"];
    site.run(&user, SECRET.as_bytes()).expect(0);
    let uri = "https://app.example.org/callback";
    let added = site.run(
        &["clients", "add", "--name", "App", "--redirect-uri", uri, "--scope", "launch/patient patient/*.rs", "--json"],
        b"",
    );
    App {
        client: client.clone(),
        client_id: added.expect_json(0)["client_id"].as_str().unwrap().to_owned(),
        secret: None,
        redirect_uri: uri.to_owned(),
        fhir_base: format!("https://localhost:{}/fhir", site.port),
    }
}

/// Looks for the marker in each way; no answer but that to who asks for it says it.
async fn search(client: &Client, app: &App) {
    let token = app.access_token("launch/patient patient/*.rs", "ann", SECRET).await;
    let query = format!("name={MARKER}");
    let found = client.get(&format!("/fhir/Patient?{query}")).bearer(&token).send().await;
    assert_eq!(found.status, 200, "{}", found.text());
    assert!(found.text().contains(MARKER), "the self link says what was asked");
    let posted = client.post("/fhir/Patient/_search").bearer(&token).form(&[("name", MARKER)]).send().await;
    assert_eq!(posted.status, 200, "{}", posted.text());
    for path in [
        format!("/fhir/Patient?{query}&birthdate=wrong"),
        format!("/fhir/AuditEvent?entity-name={MARKER}"),
        format!("/fhir/Patient/{MARKER}"),
        format!("/oauth/authorize?state={MARKER}"),
        format!("/nowhere/{MARKER}?{query}"),
    ] {
        client.get(&path).bearer(&token).send().await;
    }
    // Without a token.
    assert_eq!(client.get(&format!("/fhir/Patient?{query}")).send().await.status, 401);
    let next = client.get("/fhir/Patient").bearer(&token).send().await;
    assert!(!next.text().contains(MARKER), "{}", next.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_looked_for_is_in_no_log_and_in_no_file_but_the_audit_trail() {
    verifies!("FHIR-SEC-08", "FHIR-SEC-42");
    for log in ["", "trace"] {
        let site = Site::new();
        let running = site.serve_logging(log).await;
        let client = site.client(&site.certificate);
        let app = app(&site, &client);
        search(&client, &app).await;
        let ended = running.terminate();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert!(ended.stderr.contains("serving"), "{log}: {}", ended.stderr);
        for (name, written) in [("standard output", &ended.stdout), ("standard error", &ended.stderr)] {
            assert!(!written.contains(MARKER), "{log} {name}: {written}");
            // There is no log of requests at all.
            assert!(!written.contains("/fhir/Patient") && !written.contains("birthdate"), "{log} {name}: {written}");
        }
        let data = site.folder.path().join("data");
        let mut is_recorded = false;
        for (name, bytes) in dump::files(&data) {
            let is_of_trail = name.contains("/ledger/") || name.contains("/audit-index.db");
            let has = dump::contains(&bytes, MARKER.as_bytes());
            assert!(is_of_trail || !has, "{log}: {name}");
            is_recorded |= is_of_trail && has;
            let mode = std::fs::metadata(&name).unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{name} can be read by others: {mode:o}");
        }
        assert!(is_recorded, "{log}: the trail has what was asked");
    }
}
