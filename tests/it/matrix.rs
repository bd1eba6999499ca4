//! The authorization matrix: every route with every kind of credential, over HTTP/1.1 and HTTP/2, as a reviewed text file.
//!
//! A route that is new does not compile here until [`probes`] says how to ask for it, and fails until its line is in
//! `specs/authorization-matrix.txt`. After a reviewed change: `PORTCULLIS_MATRIX=write`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use http::Method;
use portcullis_server::route::{ClientRoute, FIXED, Route};
use portcullis_testkit::Protocol;
use portcullis_testkit::client::Pending;
use portcullis_testkit::server::PASSWORD;

use crate::fhir::World;

/// FHIR interactions, one by one. `{ann}` and `{bob}` are the current versions of these patients.
const INTERACTIONS: &[(&str, &str)] = &[
    ("GET", "/fhir/metadata"),
    ("HEAD", "/fhir/Patient/ann"),
    ("GET", "/fhir/Patient/ann"),
    ("GET", "/fhir/Patient/bob"),
    ("GET", "/fhir/Patient/nobody"),
    ("GET", "/fhir/Patient/ann/_history/{ann}"),
    ("GET", "/fhir/Patient/bob/_history/{bob}"),
    ("GET", "/fhir/Patient/ann/_history/{bob}"),
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
    ("PUT", "/fhir/Observation?_id=obs-bob-1"),
    ("DELETE", "/fhir/Observation?_id=obs-bob-1"),
    ("POST", "/fhir/AuditEvent"),
    ("PATCH", "/fhir/Observation/obs-bob-1"),
    ("GET", "/fhir?_type=Observation"),
    ("POST", "/fhir/_search"),
    ("GET", "/fhir/Patient/ann/Observation"),
    ("GET", "/fhir/Patient/bob/Observation"),
    ("GET", "/fhir/Patient/ann/*"),
    ("POST", "/fhir/Patient/ann/_search"),
    ("GET", "/fhir/Patient/ann/$everything"),
    ("GET", "/fhir/Patient/bob/$everything"),
    ("GET", "/fhir/Patient/nobody/$everything"),
    ("GET", "/fhir/Encounter/enc-ann/$everything"),
    ("GET", "/fhir//Patient/ann"),
];

/// How a route is asked for; `path` is where it is found.
fn probes(path: &'static str, route: &Route) -> Vec<(&'static str, &'static str)> {
    match route {
        Route::Start
        | Route::Docs
        | Route::Language
        | Route::Static(_)
        | Route::Health
        | Route::Ready
        | Route::OpenIdConfiguration
        | Route::OAuthMetadata
        | Route::SmartConfiguration
        | Route::Brands
        | Route::Jwks
        | Route::Person
        | Route::History(_)
        | Route::Unknown => vec![("GET", path), ("DELETE", path)],
        Route::UserInfo => vec![("GET", path), ("POST", path), ("DELETE", path)],
        Route::Authorize | Route::Chart | Route::BreakGlass | Route::Security | Route::Login => {
            vec![("GET", path), ("POST", path)]
        }
        Route::Launch
        | Route::Token
        | Route::Revoke
        | Route::Introspect
        | Route::PushedRequest
        | Route::Logout
        | Route::Consent
        | Route::Explain
        | Route::PersonRevoke => {
            vec![("POST", path), ("GET", path)]
        }
        Route::Clients(ClientRoute::All) => vec![("GET", path), ("POST", path)],
        Route::Clients(ClientRoute::Register) => vec![("POST", path), ("GET", path)],
        Route::Clients(_) => vec![("GET", path), ("PUT", path), ("DELETE", path)],
        Route::Federation(page) if page.methods() == "POST" => vec![("POST", path), ("GET", path)],
        Route::Federation(_) => vec![("GET", path), ("POST", path)],
        Route::Developers(page) if page.methods() == "GET, HEAD" => vec![("GET", path), ("DELETE", path)],
        Route::Developers(_) => vec![("GET", path), ("POST", path)],
        Route::Account(page) if page.has_page() => vec![("GET", path), ("POST", path)],
        Route::Account(_) => vec![("POST", path), ("GET", path)],
        Route::AppState(_) => vec![("GET", path), ("POST", path), ("PUT", path), ("DELETE", path)],
        Route::Fhir(rest) if rest.is_empty() => vec![("GET", path), ("POST", path)],
        Route::Fhir(_) => INTERACTIONS.to_vec(),
    }
}

/// Every fixed path, and one of each kind that is not fixed.
fn routes() -> Vec<(&'static str, Route)> {
    let others = [
        "/static/style.css",
        "/nowhere",
        "/fhir/",
        "/login/federated/callback/elsewhere",
        "/admin/clients/app",
        "/oauth/register/app",
        "/developers/clients/app",
        "/app-state/Basic",
        "/app-state/Basic/1",
    ]
    .map(|path| (path, Route::of(path)));
    FIXED.iter().cloned().chain(others).collect()
}

const OBSERVATION: &str = r#"{"resourceType":"Observation","id":"obs-bob-1","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/ann"}}"#;

/// What is posted to the base address; a batch succeeds whatever becomes of its entries.
const BATCH: &str = r#"{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"GET","url":"Patient/ann"}}]}"#;

async fn credentials(world: &World) -> Vec<(&'static str, Option<String>)> {
    let app = &world.app;
    let token = |scope: &'static str, user: &'static str| app.access_token(scope, user, PASSWORD);
    let expired = token("launch/patient patient/*.cruds", "ann").await;
    world.server.clock.advance_seconds(3601);
    let revoked = app.authorize("launch/patient offline_access patient/*.cruds", "ann", PASSWORD).await;
    app.token_request_to("/oauth/revoke", &[("token", revoked["refresh_token"].as_str().unwrap())]).await;
    vec![
        ("nobody", None),
        ("not-a-token", Some("x.y.z".to_owned())),
        ("expired", Some(expired)),
        ("revoked", Some(revoked["access_token"].as_str().unwrap().to_owned())),
        ("patient-read", Some(token("launch/patient patient/*.read", "ann").await)),
        ("patient-all", Some(token("launch/patient patient/*.cruds", "ann").await)),
        ("user-patient", Some(token("user/*.cruds", "ann").await)),
        ("clinician", Some(token("user/*.cruds user/AuditEvent.rs", "who").await)),
        ("representative", Some(token("user/*.cruds user/AuditEvent.rs", "carer").await)),
        ("officer", Some(token("user/*.cruds user/AuditEvent.rs", "officer").await)),
        ("auditor", Some(token("user/*.cruds user/AuditEvent.rs", "audit").await)),
        ("administrator", Some(token("user/*.cruds user/AuditEvent.rs", "admin").await)),
        // Last: it deletes what is Bob's.
        ("other-patient", Some(token("launch/patient patient/*.cruds", "bob").await)),
    ]
}

/// The current versions of both patients.
async fn versions(world: &World, credentials: &[(&'static str, Option<String>)]) -> BTreeMap<&'static str, String> {
    let mut versions = BTreeMap::new();
    for (patient, credential) in [("ann", "patient-all"), ("bob", "other-patient")] {
        let (_, token) = credentials.iter().find(|(name, _)| *name == credential).unwrap();
        let path = format!("/fhir/Patient/{patient}");
        let reply = world.server.client.get(&path).bearer(token.as_deref().unwrap()).send().await;
        versions.insert(patient, reply.header("etag").trim_start_matches("W/").trim_matches('"').to_owned());
    }
    versions
}

fn request<'a>(world: &'a World, method: &str, path: &str, token: Option<&str>) -> Pending<'a> {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let mut request = world.server.client.request(method.clone(), path);
    if method == Method::POST || method == Method::PUT {
        let form = path.ends_with("/_search") || !path.starts_with("/fhir");
        let body = if path == "/fhir" { BATCH } else { OBSERVATION };
        request = if form { request.form(&[]) } else { request.fhir(body) };
    }
    if method == Method::PATCH {
        request = request.header("content-type", "application/json-patch+json").bytes("[]");
    }
    match token {
        Some(token) => request.bearer(token),
        None => request,
    }
}

/// One route with each credential: over HTTP/1.1 on a connection each, over HTTP/2 on one connection.
async fn statuses(world: &World, requests: Vec<Pending<'_>>) -> Vec<u16> {
    if world.server.client.protocol() == Protocol::Http2 {
        let replies = world.server.client.send_in_turn(requests).await;
        return replies.iter().map(|reply| reply.status.as_u16()).collect();
    }
    let mut statuses = Vec::new();
    for request in requests {
        statuses.push(request.send().await.status.as_u16());
    }
    statuses
}

async fn matrix(protocol: Protocol) -> String {
    let world = World::start_over(protocol).await;
    let credentials = credentials(&world).await;
    let versions = versions(&world, &credentials).await;
    let mut matrix = String::from(
        "# Status of every route for every kind of credential. Reviewed like code; written by tests/it/matrix.rs (PORTCULLIS_MATRIX=write).\n",
    );
    let names: Vec<&str> = credentials.iter().map(|(name, _)| *name).collect();
    writeln!(matrix, "# {:<46} {}", "route", names.join(" ")).unwrap();
    for (method, template) in routes().iter().flat_map(|(path, route)| probes(path, route)) {
        // Refusals are recorded one by one up to a limit per second.
        world.server.clock.advance_seconds(1);
        write!(matrix, "{:<48}", format!("{method} {template}")).unwrap();
        let path = template.replace("{ann}", &versions["ann"]).replace("{bob}", &versions["bob"]);
        let requests = credentials.iter().map(|(_, token)| request(&world, method, &path, token.as_deref())).collect();
        for ((name, _), status) in credentials.iter().zip(statuses(&world, requests).await) {
            write!(matrix, " {status:>width$}", width = name.len()).unwrap();
        }
        matrix.push('\n');
    }
    matrix
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_matrix_is_as_reviewed() {
    let matrix = matrix(Protocol::Http1).await;
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("specs/authorization-matrix.txt");
    if std::env::var("PORTCULLIS_MATRIX").as_deref() == Ok("write") {
        std::fs::write(&file, &matrix).unwrap();
    }
    let reviewed = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(matrix, reviewed, "the matrix has changed: review it, then run with PORTCULLIS_MATRIX=write");
    assert_eq!(self::matrix(Protocol::Http2).await, reviewed, "over HTTP/2 the answers are others");
}
