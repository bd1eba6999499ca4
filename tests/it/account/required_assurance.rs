//! The operator's rules about how strongly people sign in: per scope, per client, and against tokens from before the rule (RFC 9470).

use portcullis_audit::record::Event;
use portcullis_fhir::types::LogicalId;
use portcullis_oauth::assurance_policy::{AssurancePolicy, AssuranceRule};
use portcullis_oauth::grant::{AuthorizationCode, Grant, SecretHash};
use portcullis_oauth::identifiers::{ClientId, GrantId, UserId};
use portcullis_oauth::pkce::CodeChallenge;
use portcullis_oauth::scopes::{Scope, ScopeSet};
use portcullis_oauth::session::AssuranceLevel;
use portcullis_server::context::{AuthorizationSettings, Borrowed};
use portcullis_store::Clock as _;
use portcullis_store::registry::Change;
use portcullis_testkit::app::{VERIFIER, hidden, query_value};
use portcullis_testkit::server::PASSWORD;
use portcullis_testkit::{App, Reply, TestServer};
use portcullis_verifies::verifies;
use serde_json::Value;

use super::Visitor;
use crate::fhir::World;

const AAL1: &str = "http://idmanagement.gov/ns/assurance/aal/1";
const AAL2: &str = "http://idmanagement.gov/ns/assurance/aal/2";
const READING: &str = "openid launch/patient patient/Patient.rs";
const LABS: &str = "openid launch/patient patient/Observation.rs";

async fn world(rules: &[(&str, AssuranceLevel)]) -> World {
    let rule = |scope: &str, level| AssuranceRule { scope: Some(Scope::parse(scope).unwrap()), role: None, level };
    let rules = rules.iter().map(|(scope, level)| rule(scope, *level)).collect();
    let settings = AuthorizationSettings { assurance: AssurancePolicy::new(rules), ..Default::default() };
    World::over(TestServer::start_with(settings).await).await
}

pub(super) fn path(app: &App, scope: &str) -> String {
    format!("/oauth/authorize?{}", app.authorization_query(scope))
}

pub(super) fn asks_for_factor(page: &Reply) -> bool {
    page.status == 200 && page.text().contains("This needs a fresh check that it is you.")
}

pub(super) fn asks_for_consent(page: &Reply) -> bool {
    page.status == 200 && page.text().contains("value=\"allow\"")
}

pub(super) fn error(reply: &Reply) -> Option<String> {
    query_value(reply, "error")
}

/// The tokens that the answer yes to a consent screen gives.
pub(super) async fn allowed(person: &mut Visitor<'_>, app: &App, page: &Reply, scope: &str) -> Value {
    let (csrf, request) = (hidden(page, "csrf"), hidden(page, "request"));
    let fields = [("csrf", csrf.as_str()), ("request", &request), ("scope", "openid"), ("scope", scope), ("decision", "allow")];
    let back = person.post("/consent", &fields).await;
    app.exchange(&query_value(&back, "code").unwrap_or_else(|| panic!("{} {}", back.header("location"), back.text())))
        .await
        .json()
}

pub(super) fn acr(id_token: &Value) -> Value {
    let payload = id_token.as_str().unwrap().split('.').nth(1).unwrap();
    serde_json::from_slice::<Value>(&portcullis_jose::base64url::decode(payload).unwrap()).unwrap()["acr"].clone()
}

/// A token of a grant from before there was a rule, given in the first session of this person: only the registry can make such a grant now.
pub(super) async fn token_from_before(world: &World, username: &str, patient: Option<&str>, scope: &str) -> String {
    let user = UserId::parse(&format!("user-{username}")).unwrap();
    let now = world.server.clock.now_seconds();
    let session = world.server.server.registry.sessions_of(&user, now).await.unwrap().remove(0);
    let scopes = ScopeSet::parse(scope).unwrap();
    let (code, hash) = SecretHash::generate(&mut Borrowed(&*world.server.server.entropy));
    let grant = Grant {
        id: GrantId::parse("grant-before").unwrap(),
        client: ClientId::parse("app").unwrap(),
        user: user.clone(),
        patient: patient.and_then(LogicalId::parse),
        context: Default::default(),
        scopes: scopes.clone(),
        session: session.id.clone(),
        authenticated_at: now,
        created_at: now,
        revoked_at: None,
    };
    let waiting = AuthorizationCode {
        hash,
        grant: grant.id.clone(),
        client: grant.client.clone(),
        redirect_uri: world.app.redirect_uri.clone(),
        challenge: CodeChallenge::parse(&portcullis_jose::digest::sha256_base64url(VERIFIER)),
        key: None,
        scopes,
        user,
        patient: grant.patient.clone(),
        nonce: None,
        authenticated_at: now,
        expires_at: now + 60,
    };
    world.server.change(Change::AddGrant(Box::new(grant), Box::new(waiting))).await;
    world.app.exchange(code.expose()).await.json()["access_token"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_cannot_sign_in_as_strongly_as_a_scope_takes_gives_nothing_and_whoever_can_steps_up() {
    verifies!("SAFE-15");
    let world = world(&[("patient/Observation.rs", AssuranceLevel::TwoFactors)]).await;
    let mut ann = Visitor::new(&world);
    ann.sign_in("ann").await;
    assert!(asks_for_consent(&ann.get(&path(&world.app, READING)).await), "there is no rule about this scope");
    for scope in [LABS, "launch/patient patient/*.read", "launch/patient patient/Observation.rs?category=x"] {
        let refused = ann.get(&path(&world.app, scope)).await;
        assert_eq!(error(&refused).as_deref(), Some("unmet_authentication_requirements"), "{scope}: {}", refused.text());
        assert!(query_value(&refused, "state").is_some() && query_value(&refused, "iss").is_some());
    }
    // Somebody who has a second factor is asked for it; the session was made before there was one.
    let mut elsewhere = Visitor::new(&world);
    elsewhere.sign_in("ann").await;
    let (secret, _) = elsewhere.add_authenticator().await;
    let asked = ann.get(&path(&world.app, LABS)).await;
    assert!(asks_for_factor(&asked), "{}", asked.text());
    world.server.clock.advance_seconds(60);
    assert_eq!(ann.second(&asked, &world.code(&secret)).await.status, 303);
    let page = ann.get(&path(&world.app, LABS)).await;
    assert!(asks_for_consent(&page));
    let tokens = allowed(&mut ann, &world.app, &page, "patient/Observation.rs").await;
    assert_eq!(acr(&tokens["id_token"]), AAL2);
    let read =
        world.server.client.get("/fhir/Observation/obs-ann-1").bearer(tokens["access_token"].as_str().unwrap()).send().await;
    assert_eq!(read.status, 200, "{}", read.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_may_take_a_level_of_its_own_and_may_ask_for_one_by_default() {
    verifies!("SAFE-15");
    let world = world(&[]).await;
    let strict = world.server.add_app_with("strict", READING, |client| {
        client.properties.required_acr = Some(AssuranceLevel::TwoFactors);
    });
    let strict = strict.await;
    let asking = world.server.add_app_with("asking", READING, |client| {
        client.properties.default_acr_values = vec!["unknown".into(), AAL2.into()];
    });
    let asking = asking.await;
    let mut early = Visitor::new(&world);
    early.sign_in("ann").await;
    assert_eq!(error(&early.get(&path(&strict, READING)).await).as_deref(), Some("unmet_authentication_requirements"));
    assert!(asks_for_consent(&early.get(&path(&asking, READING)).await), "default_acr_values lock nobody out");
    let mut elsewhere = Visitor::new(&world);
    elsewhere.sign_in("ann").await;
    elsewhere.add_authenticator().await;
    assert!(asks_for_factor(&early.get(&path(&strict, READING)).await));
    assert!(asks_for_factor(&early.get(&path(&asking, READING)).await));
    let weaker = format!("{}&acr_values={}", path(&asking, READING), AAL1.replace(':', "%3A").replace('/', "%2F"));
    assert!(asks_for_consent(&early.get(&weaker).await), "what the request says takes the place of what is registered");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_of_a_weaker_sign_in_than_its_scopes_take_is_challenged_and_introspection_tells_the_level() {
    verifies!("SAFE-15");
    let world = world(&[("patient/Observation.rs", AssuranceLevel::TwoFactors)]).await;
    let resource_server = world.server.add_app("resource-server", READING, true).await;
    world.server.change_client("resource-server", |client| client.properties.resource_server = true).await;
    let tokens = world.app.authorize(READING, "ann", PASSWORD).await;
    let weak = tokens["access_token"].as_str().unwrap();
    assert_eq!(acr(&tokens["id_token"]), AAL1);
    let told = resource_server.token_request_to("/oauth/introspect", &[("token", weak)]).await.json();
    assert_eq!((&told["acr"], told["auth_time"].is_i64()), (&Value::from(AAL1), true), "{told}");
    assert_eq!(world.server.client.get("/fhir/Patient/ann").bearer(weak).send().await.status, 200);

    let old = token_from_before(&world, "ann", Some("ann"), LABS).await;
    let old = old.as_str();
    for path in ["/fhir/Observation/obs-ann-1", "/fhir/Patient/ann"] {
        let challenged = world.server.client.get(path).bearer(old).send().await;
        assert_eq!(challenged.status, 401, "{path}");
        let challenge = format!(
            "Bearer realm=\"fhir\", error=\"insufficient_user_authentication\", error_description=\"A stronger sign-in is required\", acr_values=\"{AAL2}\""
        );
        assert_eq!(challenged.header("www-authenticate"), challenge);
    }
    // Other servers that protect data do not know the operator's rules: to them it is no token at all.
    let told = resource_server.token_request_to("/oauth/introspect", &[("token", old)]).await;
    assert_eq!(told.text(), r#"{"active":false}"#);
    world.server.move_outbox().await;
    let records = world.server.records();
    let detail = records.iter().rfind(|record| record.event == Event::Introspection).unwrap().detail.as_deref().unwrap();
    assert!(detail.starts_with("inactive: ") && detail.contains(AAL2), "{detail}");
}
