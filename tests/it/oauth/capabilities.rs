//! Every SMART capability that is published has its proof here, and none is published without one.
//!
//! What a capability means in all its cases is tested elsewhere; this is the shortest thing that fails where it is not true.

use portcullis_oauth::capabilities::Capability;
use portcullis_testkit::app::{VERIFIER, query_value};
use portcullis_testkit::server::PASSWORD;
use portcullis_testkit::{App, ClientKey};
use portcullis_verifies::verifies;
use serde_json::{Value, json};

use super::launch::Ehr;

/// The sets of SMART App Launch 2.2.0, "Capability Sets".
const SETS: [(&str, &[&str]); 4] = [
    (
        "Patient Access for Standalone Apps",
        &[
            "launch-standalone",
            "client-public",
            "client-confidential-symmetric",
            "context-standalone-patient",
            "permission-patient",
        ],
    ),
    (
        "Patient Access for EHR Launch",
        &["launch-ehr", "client-public", "client-confidential-symmetric", "context-ehr-patient", "permission-patient"],
    ),
    (
        "Clinician Access for Standalone",
        &["launch-standalone", "client-public", "client-confidential-symmetric", "permission-user", "permission-patient"],
    ),
    (
        "Clinician Access for EHR Launch",
        &[
            "launch-ehr",
            "client-public",
            "client-confidential-symmetric",
            "context-ehr-patient",
            "context-ehr-encounter",
            "permission-user",
            "permission-patient",
        ],
    ),
];

struct Proof {
    ehr: Ehr,
    secret: App,
}

impl Proof {
    async fn standalone(&self, scope: &str, username: &str) -> Value {
        self.ehr.app.authorize(scope, username, PASSWORD).await
    }

    async fn launched(&self, fields: &[(&str, &str)]) -> Value {
        let handle = self.ehr.handle(fields).await;
        self.ehr.tokens("launch openid patient/*.rs", &handle, "who").await
    }

    async fn read(&self, tokens: &Value, path: &str) -> u16 {
        let token = tokens["access_token"].as_str().unwrap();
        self.ehr.world.server.client.get(path).bearer(token).send().await.status.as_u16()
    }

    /// Whether a capability is true.
    async fn holds(&self, capability: &str) -> bool {
        match capability {
            "launch-ehr" | "context-ehr-patient" => self.launched(&[("patient", "ann")]).await["patient"] == "ann",
            "context-ehr-encounter" => {
                self.launched(&[("patient", "ann"), ("encounter", "enc-ann")]).await["encounter"] == "enc-ann"
            }
            "context-banner" => {
                let embedded = self.launched(&[("patient", "ann"), ("need_patient_banner", "false")]).await;
                embedded["need_patient_banner"] == json!(false)
                    && self.launched(&[("patient", "ann")]).await["need_patient_banner"] == json!(true)
            }
            "context-style" => {
                let url = self.launched(&[("patient", "ann")]).await["smart_style_url"].as_str().unwrap().to_owned();
                let path = url.strip_prefix(self.ehr.world.server.server.settings.public_url.as_str()).unwrap();
                let style = self.ehr.world.server.client.get(path).send().await.json();
                style["color_text"].is_string() && style["font_family_body"].is_string() && style["dim_font_size"].is_string()
            }
            "launch-standalone" | "context-standalone-patient" | "client-public" => {
                self.standalone("launch/patient patient/*.rs", "ann").await["patient"] == "ann"
            }
            "context-standalone-encounter" => {
                self.standalone("launch/encounter patient/*.rs", "ann").await["encounter"] == "enc-ann"
            }
            "authorize-post" => self.posted().await,
            "client-confidential-symmetric" => {
                self.secret.authorize("launch/patient patient/*.rs", "ann", PASSWORD).await["access_token"].is_string()
            }
            "client-confidential-asymmetric" => self.signed().await,
            "sso-openid-connect" => self.standalone("openid fhirUser", "ann").await["id_token"].is_string(),
            "permission-offline" => {
                self.standalone("launch/patient patient/*.rs offline_access", "ann").await["refresh_token"].is_string()
            }
            "permission-online" => {
                self.standalone("launch/patient patient/*.rs online_access", "ann").await["refresh_token"].is_string()
            }
            "permission-patient" | "permission-v2" => {
                let tokens = self.standalone("launch/patient patient/Observation.rs", "ann").await;
                tokens["scope"] == "launch/patient patient/Observation.rs"
                    && self.read(&tokens, "/fhir/Observation/obs-ann-1").await == 200
                    && self.read(&tokens, "/fhir/Observation/obs-bob-1").await == 404
            }
            "permission-v1" => {
                let tokens = self.standalone("launch/patient patient/Observation.read", "ann").await;
                tokens["scope"] == "launch/patient patient/Observation.read"
                    && self.read(&tokens, "/fhir/Observation/obs-ann-1").await == 200
            }
            "permission-user" => {
                let tokens = self.standalone("user/Patient.rs", "who").await;
                tokens.get("patient").is_none() && self.read(&tokens, "/fhir/Patient/ann").await == 200
            }
            other => panic!("{other} is published and has no proof"),
        }
    }

    /// The same request by GET and by POST has the same result.
    async fn posted(&self) -> bool {
        let client = &self.ehr.world.server.client;
        let query = self.ehr.app.authorization_query("launch/patient patient/*.rs");
        let pairs: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let fields: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let posted = client.post("/oauth/authorize").form(&fields).send().await;
        assert_eq!(posted.status, 303, "{}", posted.text());
        let path = posted.header("location").to_owned();
        let at = self.ehr.app.sign_in(path.strip_prefix("/oauth/authorize?").unwrap(), "ann", PASSWORD).await;
        let back = self.ehr.app.consent(&at, &["patient/*.rs"], "allow").await;
        self.ehr.app.exchange(&query_value(&back, "code").unwrap()).await.json()["patient"] == "ann"
    }

    /// Apps that sign with a key of their own exchange a code: one with ES384, one with RS384.
    async fn signed(&self) -> bool {
        let server = &self.ehr.world.server;
        for algorithm in ["ES384", "RS384"] {
            let id = format!("signing-{algorithm}");
            let key = ClientKey::generate("k1", algorithm);
            let (app, signer) = server.add_signing_app(&id, "launch/patient patient/*.rs", key).await;
            let at = app.sign_in(&app.authorization_query("launch/patient patient/*.rs"), "ann", PASSWORD).await;
            let code = query_value(&app.consent(&at, &["patient/*.rs"], "allow").await, "code").unwrap();
            let assertion = signer.assertion(server.server.clock.now_seconds(), &id);
            let fields = [
                ("grant_type", "authorization_code"),
                ("code", code.as_str()),
                ("redirect_uri", app.redirect_uri.as_str()),
                ("code_verifier", VERIFIER),
                ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
                ("client_assertion", assertion.as_str()),
            ];
            let tokens = server.client.post("/oauth/token").form(&fields).send().await;
            if tokens.json()["patient"] != "ann" {
                return false;
            }
        }
        true
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_published_capability_is_true() {
    verifies!("SMART-20", "SEED-CARIN-21", "SMART-36");
    let ehr = Ehr::start().await;
    let secret = ehr.world.server.add_app("secret", "launch/patient patient/*.rs", true).await;
    let proof = Proof { ehr, secret };
    let document = proof.ehr.world.server.client.get("/fhir/.well-known/smart-configuration").send().await.json();
    let published: Vec<&str> = document["capabilities"].as_array().unwrap().iter().map(|value| value.as_str().unwrap()).collect();
    let by_default = Capability::ALL.into_iter().filter(|capability| !capability.is_optional());
    assert_eq!(published, by_default.map(Capability::as_str).collect::<Vec<_>>());
    for capability in published {
        // The refusals of earlier proofs are none of this one's.
        proof.ehr.world.server.clock.advance_seconds(1);
        assert!(proof.holds(capability).await, "{capability}");
    }
}

#[test]
fn every_set_of_capabilities_is_complete() {
    verifies!("SMART-09", "USCORE-06", "SMART-10");
    for (name, set) in SETS {
        for capability in set {
            assert!(Capability::parse(capability).is_some(), "{name}: {capability}");
        }
    }
}
