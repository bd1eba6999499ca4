//! The authorization matrix: every route with every kind of credential, as a reviewed text file.
//!
//! A route that is new fails here until its line is in `specs/authorization-matrix.txt`. After a reviewed change: `PORTCULLIS_MATRIX=write`.

use std::fmt::Write as _;

use http::Method;
use portcullis_testkit::server::PASSWORD;

use crate::fhir::World;

/// Every route of `crates/server/src/route.rs`, with what a request to it looks like. FHIR interactions stand one by one.
const ROUTES: &[(&str, &str)] = &[
    ("GET", "/"),
    ("GET", "/docs"),
    ("GET", "/static/style.css"),
    ("GET", "/health"),
    ("GET", "/.well-known/openid-configuration"),
    ("GET", "/.well-known/oauth-authorization-server"),
    ("GET", "/oauth/jwks"),
    ("GET", "/oauth/authorize"),
    ("POST", "/oauth/authorize"),
    ("POST", "/oauth/token"),
    ("POST", "/oauth/revoke"),
    ("GET", "/login"),
    ("POST", "/login"),
    ("POST", "/logout"),
    ("POST", "/consent"),
    ("GET", "/me"),
    ("POST", "/me/revoke"),
    ("GET", "/nowhere"),
    ("GET", "/fhir/.well-known/smart-configuration"),
    ("GET", "/fhir/metadata"),
    ("HEAD", "/fhir/Patient/ann"),
    ("GET", "/fhir/Patient/ann"),
    ("GET", "/fhir/Patient/bob"),
    ("GET", "/fhir/Patient/ann/_history"),
    ("GET", "/fhir/Patient/bob/_history"),
    ("GET", "/fhir/Observation"),
    ("POST", "/fhir/Observation/_search"),
    ("GET", "/fhir/Organization/hospital"),
    ("GET", "/fhir/Organization/elsewhere"),
    ("GET", "/fhir/AuditEvent"),
    ("POST", "/fhir/Observation"),
    ("PUT", "/fhir/Observation/obs-bob-1"),
    ("DELETE", "/fhir/Observation/obs-bob-1"),
    ("POST", "/fhir"),
    ("GET", "/fhir"),
];

const OBSERVATION: &str = r#"{"resourceType":"Observation","id":"obs-bob-1","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/ann"}}"#;

async fn credentials(world: &World) -> Vec<(&'static str, Option<String>)> {
    let app = &world.app;
    let token = |scope: &'static str, user: &'static str| app.access_token(scope, user, PASSWORD);
    let revoked = app.authorize("launch/patient offline_access patient/*.cruds", "ann", PASSWORD).await;
    app.token_request_to("/oauth/revoke", &[("token", revoked["refresh_token"].as_str().unwrap())]).await;
    vec![
        ("nobody", None),
        ("not-a-token", Some("x.y.z".to_owned())),
        ("revoked", Some(revoked["access_token"].as_str().unwrap().to_owned())),
        ("patient-read", Some(token("launch/patient patient/*.read", "ann").await)),
        ("patient-all", Some(token("launch/patient patient/*.cruds", "ann").await)),
        ("user-patient", Some(token("user/*.cruds", "ann").await)),
        ("clinician", Some(token("user/*.cruds user/AuditEvent.rs", "who").await)),
        ("representative", Some(token("user/*.cruds user/AuditEvent.rs", "carer").await)),
        ("officer", Some(token("user/*.cruds user/AuditEvent.rs", "officer").await)),
        ("auditor", Some(token("user/*.cruds user/AuditEvent.rs", "audit").await)),
        ("administrator", Some(token("user/*.cruds user/AuditEvent.rs", "admin").await)),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_matrix_is_as_reviewed() {
    let world = World::start().await;
    let credentials = credentials(&world).await;
    let mut matrix = String::from(
        "# Status of every route for every kind of credential. Reviewed like code; written by tests/it/matrix.rs (PORTCULLIS_MATRIX=write).\n",
    );
    let names: Vec<&str> = credentials.iter().map(|(name, _)| *name).collect();
    writeln!(matrix, "# {:<46} {}", "route", names.join(" ")).unwrap();
    for (method, path) in ROUTES {
        write!(matrix, "{:<48}", format!("{method} {path}")).unwrap();
        for (name, token) in &credentials {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let mut request = world.server.client.request(method.clone(), path);
            request = match (
                method == Method::GET || method == Method::HEAD,
                path.starts_with("/fhir/Observation/_search"),
                path.starts_with("/fhir"),
            ) {
                (true, ..) => request,
                (false, true, _) => request.form(&[]),
                (false, false, true) => request.fhir(OBSERVATION),
                (false, false, false) => request.form(&[]),
            };
            if let Some(token) = token {
                request = request.bearer(token);
            }
            write!(matrix, " {:>width$}", request.send().await.status.as_u16(), width = name.len()).unwrap();
        }
        matrix.push('\n');
    }
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("specs/authorization-matrix.txt");
    if std::env::var("PORTCULLIS_MATRIX").as_deref() == Ok("write") {
        std::fs::write(&file, &matrix).unwrap();
    }
    let reviewed = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(matrix, reviewed, "the matrix has changed: review it, then run with PORTCULLIS_MATRIX=write");
}
