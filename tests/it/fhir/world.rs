//! Two patients, a clinician who treats one of them, and an app.

use portcullis_oauth::users::Role;
use portcullis_testkit::resources::{encounter, observation, organization, patient, practitioner};
use portcullis_testkit::server::PASSWORD;
use portcullis_testkit::{App, Protocol, TestServer};

/// Every scope that the app of the tests may ask for.
pub const SCOPE: &str = "openid fhirUser profile launch/patient offline_access patient/*.cruds patient/*.read patient/AuditEvent.rs \
    user/*.cruds user/AuditEvent.rs patient/Observation.rs patient/Patient.r patient/Organization.read patient/Practitioner.read";

/// A server with people and records.
pub struct World {
    /// The server.
    pub server: TestServer,
    /// A public app.
    pub app: App,
}

impl World {
    /// Ann (with observations, an encounter with Dr. Who at Hospital), Bob (the same elsewhere), and their users.
    pub async fn start() -> Self {
        Self::start_over(Protocol::Http1).await
    }

    /// The same, where the apps speak this protocol.
    pub async fn start_over(protocol: Protocol) -> Self {
        Self::over(TestServer::start_over(protocol).await).await
    }

    /// The same over a server that is set up otherwise.
    pub async fn over(server: TestServer) -> Self {
        server
            .import(&[
                organization("hospital", "Hospital"),
                organization("elsewhere", "Elsewhere"),
                practitioner("who", "Who"),
                practitioner("other", "Other"),
                patient("ann", "Ann"),
                patient("bob", "Bob"),
                encounter("enc-ann", "ann", "who", "hospital"),
                encounter("enc-bob", "bob", "other", "elsewhere"),
                observation("obs-ann-1", "ann", "4548-4", "5.60", "2026-01-01"),
                observation("obs-ann-2", "ann", "4548-4", "6.10", "2026-02-01"),
                observation("obs-bob-1", "bob", "4548-4", "9.90", "2026-03-01"),
            ])
            .await;
        server.add_user("ann", &[Role::Patient], Some("Patient/ann"), &["ann"]).await;
        server.add_user("bob", &[Role::Patient], Some("Patient/bob"), &["bob"]).await;
        server.add_user("who", &[Role::Clinician], Some("Practitioner/who"), &[]).await;
        server.add_user("audit", &[Role::Auditor], None, &[]).await;
        server.add_user("officer", &[Role::SecurityOfficer], None, &[]).await;
        server.add_user("carer", &[Role::Representative], None, &["ann"]).await;
        server.add_user("admin", &[Role::Administrator], None, &[]).await;
        let app = server.add_app("app", SCOPE, false).await;
        Self { server, app }
    }

    /// A token of Ann's with every reading scope.
    pub async fn ann(&self) -> String {
        self.app.access_token("launch/patient patient/*.cruds", "ann", PASSWORD).await
    }
}

/// The ids of the matches and includes of a searchset, in order.
pub fn ids(bundle: &serde_json::Value) -> Vec<String> {
    let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
    entries.iter().map(|entry| entry["resource"]["id"].as_str().unwrap_or_default().to_owned()).collect()
}
