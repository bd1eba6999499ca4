//! A backend service of another author: PyPI `cumulus-fhir-support`, which finds the token endpoint by `.well-known/smart-configuration` alone.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use portcullis_oauth::clients::KeySource;
use portcullis_testkit::ClientKey;
use serde_json::{Value, json};

use crate::fhir::World;
use crate::foreign;

const PACKAGES: [&str; 3] = ["cumulus-fhir-support==1.8.0", "httpx==0.28.1", "jwcrypto==1.6.1"];
const ALGORITHMS: [&str; 2] = ["ES384", "RS384"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pypi_cumulus_fhir_support_reads_patients_with_either_algorithm() {
    let install = ["bin/python", "-m", "pip", "install", "--quiet"];
    let [library, needed @ ..] = &PACKAGES;
    let alone = [&install[..], &["--no-deps", library]].concat();
    let commands: [&[&str]; 3] = [&["python3", "-m", "venv", "."], &alone, &[&install[..], needed].concat()];
    let Some(folder) = foreign::had("pypi-cumulus-fhir-support-1.8.0", &[], &commands) else { return };
    let world = World::start().await;
    // The library asks its own machine for the time.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    world.server.clock.advance_seconds(i64::try_from(now).unwrap() - world.server.server.clock.now_seconds());
    let certificate = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(certificate.path(), &world.server.certificate_pem).unwrap();
    let mut command = Command::new(folder.join("bin/python"));
    command.args(["-c", include_str!("clients/backend.py"), &world.server.fhir_base]).args(ALGORITHMS);
    command.env("SSL_CERT_FILE", certificate.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut running = command.spawn().unwrap();
    let (mut into, mut out) = (running.stdin.take().unwrap(), BufReader::new(running.stdout.take().unwrap()));
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    let keys: Vec<Value> = serde_json::from_str(&line).unwrap();
    for (algorithm, key) in ALGORITHMS.into_iter().zip(keys) {
        let source = KeySource::value(&json!({"keys": [key]}).to_string()).unwrap();
        world.server.add_backend(algorithm, "system/Patient.read", ClientKey::generate("unused", "ES384"), source).await;
    }
    writeln!(into, "{}", json!(ALGORITHMS)).unwrap();
    let said = tokio::task::spawn_blocking(move || {
        let mut said = String::new();
        out.read_line(&mut said).unwrap();
        assert!(running.wait().unwrap().success());
        said
    });
    let said: Value = serde_json::from_str(&said.await.unwrap()).unwrap();
    let refused = "[400] scope names no system/ scope that this client is registered for";
    let one = json!({"total": 2, "family": "Ann", "refused": refused});
    assert_eq!(said, json!([one, one]));
}
