//! npm `openid-client`, with which apps of other authors sign people in: discovery, PKCE, state, nonce, `iss`, the id_token, UserInfo, refresh, revocation; pushed
//! requests and DPoP.

use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use portcullis_testkit::App;
use portcullis_testkit::server::PASSWORD;
use portcullis_verifies::verifies;
use serde_json::{Value, json};

use crate::fhir::World;
use crate::foreign;

struct Talk {
    said: Lines<BufReader<ChildStdout>>,
    told: ChildStdin,
}

impl Talk {
    fn line(&mut self) -> String {
        self.said.next().and_then(Result::ok).unwrap_or_else(|| panic!("the app says nothing more"))
    }

    /// Ann goes where the app sends her, allows everything, and comes back to it.
    async fn ann_allows(&mut self, app: &App) {
        let address = self.line();
        let mut query = address.split_once('?').unwrap_or_else(|| panic!("{address}")).1.to_owned();
        // A handle of a pushed request is for one browser, and leads to its own.
        if query.contains("request_uri=") {
            let reply = app.client.get(&format!("/oauth/authorize?{query}")).send().await;
            query = reply.header("location").split_once('?').unwrap().1.to_owned();
        }
        let at = app.sign_in(&query, "ann", PASSWORD).await;
        let back = app.consent(&at, &["openid", "fhirUser", "offline_access", "patient/*.rs"], "allow").await;
        writeln!(self.told, "{}", back.header("location")).unwrap();
    }

    fn got(&mut self) -> Value {
        let line = self.line();
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn npm_openid_client_signs_in_renews_and_is_told_of_what_is_not_its_own() {
    verifies!("OIDC-01", "OIDC-03", "OAUTH-38", "FHIR-SEC-19");
    let Some(folder) = foreign::openid_client(("person.mjs", include_str!("clients/person.mjs"))) else { return };
    let world = World::start().await;
    // The library asks its own machine for the time.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    world.server.clock.advance_seconds(i64::try_from(now).unwrap() - world.server.server.clock.now_seconds());
    let app = &world.app;
    let certificate = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(certificate.path(), &world.server.certificate_pem).unwrap();
    let issuer = world.server.server.settings.public_url.to_string();
    let mut command = Command::new("node");
    command.args(["person.mjs", &issuer, &app.client_id, &app.redirect_uri, &world.server.fhir_base]).current_dir(&folder);
    command.env("NODE_EXTRA_CA_CERTS", certificate.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let said = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut talk = Talk { said, told: child.stdin.take().unwrap() };

    talk.ann_allows(app).await;
    let ann = format!("{}/Patient/ann", world.server.fhir_base);
    let expected = json!({
        "mixedUp": "OAUTH_INVALID_RESPONSE", "forged": "OAUTH_INVALID_RESPONSE", "who": ann, "info": ann,
        "stranger": "OAUTH_JSON_ATTRIBUTE_COMPARISON_FAILED", "read": "Ann",
        "scope": "launch/patient openid fhirUser offline_access patient/*.rs", "again": "invalid_grant", "ended": "invalid_grant",
    });
    assert_eq!(talk.got(), expected);
    talk.ann_allows(app).await;
    assert_eq!(talk.got(), json!({"type": "dpop", "held": "Ann", "stolen": "invalid_token", "revoked": "invalid_token"}));
    talk.ann_allows(app).await;
    assert_eq!(talk.got(), json!({"replayed": "OAUTH_JWT_CLAIM_COMPARISON_FAILED"}));
    assert!(tokio::task::spawn_blocking(move || child.wait().unwrap()).await.unwrap().success());
}
