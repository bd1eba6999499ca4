//! The demo's client without a user, over kills and restarts; and clients with keys at the command line.

use std::time::{SystemTime, UNIX_EPOCH};

use portcullis_testkit::{BackendClient, ClientKey, Demo};
use portcullis_verifies::verifies;
use serde_json::Value;

use super::portcullis;
use crate::foreign;

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
}

fn backend(demo: &Demo) -> BackendClient {
    let clients = demo.description["clients"].as_array().unwrap();
    let client = clients.iter().find(|client| client["kind"] == "confidential-asymmetric").unwrap();
    let file = demo.directory.join(client["jwks_private_file"].as_str().unwrap());
    let key = ClientKey::of_private_set(&std::fs::read_to_string(file).unwrap());
    let client_id = client["client_id"].as_str().unwrap().to_owned();
    BackendClient { client: demo.client(), client_id, key, token_endpoint: format!("{}/oauth/token", demo.issuer()) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demos_backend_client_works_and_its_assertions_count_once_over_a_kill() {
    verifies!("SMART-56");
    let demo = Demo::start(&portcullis(), 2).await;
    let client = backend(&demo);
    let token = client.token(now(), "first", "system/Patient.rs").await;
    let patients = client.client.get("/fhir/Patient?_summary=count").bearer(&token).send().await;
    assert_eq!(patients.json()["total"], 2, "{}", patients.text());
    let used = client.assertion(now(), "used");
    assert_eq!(client.request(&used, "system/*.rs").await.status, 200);
    let demo = demo.kill().start().await;
    let client = backend(&demo);
    let replayed = client.request(&used, "system/*.rs").await;
    assert_eq!(
        (replayed.status.as_u16(), replayed.json()["error"].as_str()),
        (401, Some("invalid_client")),
        "{}",
        replayed.text()
    );
    assert!(replayed.text().contains("jti was used before"), "{}", replayed.text());
    client.token(now(), "fresh", "system/*.rs").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_with_keys_are_added_and_listed_and_wrong_keys_are_refused() {
    verifies!("SMART-54", "OAUTH-27");
    let demo = Demo::start(&portcullis(), 2).await;
    let key = ClientKey::generate("night", "RS384");
    let file = demo.directory.join("night.jwks.json");
    std::fs::write(&file, key.jwks().to_string()).unwrap();
    let path = file.display().to_string();
    let add = |more: &[&str]| {
        let mut arguments = vec!["clients", "add", "--json", "--name", "Night export"];
        arguments.extend(more);
        demo.run(&arguments)
    };
    let added =
        add(&["--id", "night", "--kind", "confidential-asymmetric", "--jwks", &path, "--scope", "system/*.rs"]).expect_json(0);
    assert_eq!((&added["client_id"], &added["client_secret"]), (&Value::from("night"), &Value::Null));
    let client = BackendClient { client_id: "night".into(), key, ..backend(&demo) };
    client.token(now(), "1", "system/*.rs").await;
    let by_url = ["--id", "remote", "--jwks-uri", "https://keys.example/jwks.json", "--scope", "system/Patient.rs"];
    add(&by_url).expect_json(0);
    let listed = demo.run(&["clients", "list", "--json"]).expect_json(0);
    let asymmetric = listed.as_array().unwrap().iter().filter(|client| client["kind"] == "confidential-asymmetric");
    assert_eq!(asymmetric.count(), 3, "{listed}");
    std::fs::write(&file, r#"{"keys":[{"kty":"oct","kid":"k","k":"c2VjcmV0"}]}"#).unwrap();
    for (arguments, reason) in [
        (vec!["--jwks", &path, "--scope", "system/*.rs"], "private or symmetric key"),
        (vec!["--jwks-uri", "http://keys.example/jwks", "--scope", "system/*.rs"], "https"),
        (vec!["--jwks-uri", "https://169.254.169.254/jwks", "--scope", "system/*.rs"], "not a public one"),
        (vec!["--jwks-uri", "https://localhost:8443/jwks", "--scope", "system/*.rs"], "not a public one"),
        (vec!["--jwks-uri", "https://keys.example/jwks", "--scope", "patient/*.rs"], "redirect URI"),
        (vec!["--redirect-uri", "https://app.example/cb", "--scope", "system/*.rs"], "public keys"),
        (vec!["--kind", "public", "--jwks-uri", "https://keys.example/jwks", "--scope", "system/*.rs"], "does not fit"),
    ] {
        let ended = add(&arguments);
        assert!(
            ended.code != Some(0) && format!("{}{}", ended.stdout, ended.stderr).contains(reason),
            "{arguments:?}: {} {}",
            ended.stdout,
            ended.stderr
        );
    }
}

/// npm `openid-client`, which writes the issuer as `aud` and no `typ`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_another_author_gets_a_token_by_discovery_alone() {
    let Some(folder) = foreign::openid_client(("backend.mjs", include_str!("clients/backend.mjs"))) else { return };
    let demo = Demo::start(&portcullis(), 2).await;
    let description = &demo.description["clients"][2];
    let key = demo.directory.join(description["jwks_private_file"].as_str().unwrap());
    let arguments = [&demo.issuer(), description["client_id"].as_str().unwrap(), &key.display().to_string(), &demo.fhir_base()];
    let mut command = std::process::Command::new("node");
    command.arg("backend.mjs").args(arguments).current_dir(&folder);
    command.env("NODE_EXTRA_CA_CERTS", demo.directory.join(demo.description["ca_pem"].as_str().unwrap()));
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    let expected = serde_json::json!({"expires_in": 300, "scope": "system/Patient.rs", "total": 2, "refused": "invalid_scope"});
    assert_eq!(said, expected, "{output:?}");
}
