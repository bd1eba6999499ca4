//! SMART clients of other authors: npm `fhirclient` in Chromium, served from an origin of its own, and PyPI `fhirclient`.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use portcullis_oauth::clients::ClientProperties;
use portcullis_testkit::Browser;
use portcullis_testkit::server::PASSWORD;
use portcullis_verifies::verifies;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::launch::SCOPE;
use crate::fhir::World;
use crate::foreign;

const NPM_PACKAGE: &str = "fhirclient@2.6.3";
const PYPI_PACKAGE: &str = "fhirclient==4.4.0";
const PAGE: &str = "<!DOCTYPE html><meta charset=utf-8><title>app</title><pre id=said></pre>\
                    <script src=/fhir-client.js></script><script src=/smart.js></script>";
const ALLOW: &str = "button[name=decision][value=allow]";

fn npm_fhirclient() -> Option<String> {
    let pack: &[&str] = &["npm", "pack", "--silent", NPM_PACKAGE];
    let folder = foreign::had("npm-fhirclient-2.6.3", &[], &[pack, &["sh", "-c", "tar -xzf *.tgz"]])?;
    Some(std::fs::read_to_string(folder.join("package/build/fhir-client.min.js")).unwrap())
}

/// Serves the app on plain HTTP, as a developer's machine does; returns its origin.
async fn serve_app(library: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = vec![0; 16 * 1024];
            let read = stream.read(&mut head).await.unwrap_or(0);
            let path = String::from_utf8_lossy(&head[..read]).split([' ', '?']).nth(1).unwrap_or_default().to_owned();
            let (status, media_type, body) = match path.as_str() {
                "/fhir-client.js" => ("200 OK", "text/javascript", library.as_str()),
                "/smart.js" => ("200 OK", "text/javascript", include_str!("clients/smart.js")),
                "/standalone.html" | "/launch.html" | "/index.html" => ("200 OK", "text/html", PAGE),
                _ => ("404 Not Found", "text/plain", ""),
            };
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status}\r\ncontent-type: {media_type}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
            );
            let _ = stream.write_all(head.as_bytes()).await;
            let _ = stream.write_all(body.as_bytes()).await;
        }
    });
    origin
}

/// A world in which the app at this origin is registered.
async fn world_with(origin: &str) -> World {
    let world = World::start().await;
    world.server.add_app("fhirclient", SCOPE, false).await;
    world.server.set_redirect_uris("fhirclient", &[&format!("{origin}/index.html")]).await;
    let properties = ClientProperties { launch_urls: vec![format!("{origin}/launch.html")], ..ClientProperties::default() };
    world.server.set_properties("fhirclient", properties).await;
    world
}

fn sign_in(browser: &Browser, username: &str) {
    browser.wait_for("#username");
    browser.enter_text("#username", username);
    browser.enter_text("#password", PASSWORD);
    browser.click("form[action='/login'] button[type=submit]");
}

/// Allows everything, and says what the app got.
fn allowed(browser: &Browser) -> Value {
    browser.wait_for(ALLOW);
    browser.click(ALLOW);
    browser.wait_for("#said[data-done=yes]");
    serde_json::from_str(&browser.text("#said")).unwrap_or_else(|_| browser.fail("the app says nothing"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn npm_fhirclient_launches_standalone_and_from_a_chart() {
    verifies!("SMART-13", "SMART-15", "SMART-16", "SEED-RT-11");
    let Some(library) = npm_fhirclient() else { return };
    let origin = serve_app(library).await;
    let world = world_with(&origin).await;
    let issuer = &world.server.server.settings.public_url;

    let browser = Browser::open();
    browser.goto(&format!("{origin}/standalone.html?base={}", world.server.fhir_base));
    sign_in(&browser, "ann");
    let got = allowed(&browser);
    let expected = json!({
        "patient": "ann", "family": "Ann", "encounter": "enc-ann", "observations": 2,
        "scope": "launch/patient launch/encounter openid fhirUser offline_access patient/*.rs",
        "user": "Patient/ann", "need_patient_banner": true, "styled": true, "renewed": true,
    });
    assert_eq!(got, expected);
    drop(browser);

    let browser = Browser::open();
    browser.goto(&format!("{issuer}/ehr"));
    sign_in(&browser, "who");
    browser.wait_for("input[name=patient][value=ann]");
    browser.screenshot("ehr-patients");
    browser.click("input[name=patient][value=ann]");
    browser.click("button[value=continue]");
    browser.wait_for("input[name=encounter][value=enc-ann]");
    browser.click("input[name=encounter][value=enc-ann]");
    browser.screenshot("ehr-chart");
    browser.click("button[name=app][value='fhirclient 0']");
    let got = allowed(&browser);
    let expected = json!({
        "patient": "ann", "family": "Ann", "encounter": "enc-ann", "observations": 2, "scope": "launch openid fhirUser patient/*.rs",
        "user": "Practitioner/who", "need_patient_banner": true, "styled": true, "renewed": false,
    });
    assert_eq!(got, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pypi_fhirclient_launches_standalone_by_the_capability_statement() {
    verifies!("SMART-11");
    let commands: [&[&str]; 2] =
        [&["python3", "-m", "venv", "."], &["bin/python", "-m", "pip", "install", "--quiet", PYPI_PACKAGE]];
    let Some(folder) = foreign::had("pypi-fhirclient-4.4.0", &[], &commands) else { return };
    let world = World::start().await;
    let app = &world.app;
    let certificate = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(certificate.path(), &world.server.certificate_pem).unwrap();
    let mut command = Command::new(folder.join("bin/python"));
    command.args(["-c", include_str!("clients/smart.py"), &world.server.fhir_base, &app.client_id, &app.redirect_uri]);
    command.env("REQUESTS_CA_BUNDLE", certificate.path()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let Some(Ok(address)) = lines.next() else { panic!("{:?}", child.wait_with_output()) };
    let query = address.split_once('?').unwrap().1;
    let at = app.sign_in(query, "ann", PASSWORD).await;
    let back = app.consent(&at, &["openid", "fhirUser", "patient/*.rs"], "allow").await;
    writeln!(child.stdin.take().unwrap(), "{}", back.header("location")).unwrap();
    let Some(Ok(said)) = lines.next() else { panic!("{:?}", child.wait_with_output()) };
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&said["patient"], &said["family"]), (&json!("ann"), &json!("Ann")));
    assert_eq!(said["launch"]["need_patient_banner"], json!(true), "{said}");
}
