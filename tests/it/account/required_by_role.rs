//! The operator's rules about how strongly people of a role sign in: for apps, on pages, and against tokens from before the rule (RFC 9470).

use portcullis_oauth::assurance_policy::{AssurancePolicy, AssuranceRule};
use portcullis_oauth::identifiers::UserId;
use portcullis_oauth::session::AssuranceLevel;
use portcullis_oauth::users::Role;
use portcullis_server::authorization_server::csrf::Purpose;
use portcullis_server::context::AuthorizationSettings;
use portcullis_store::Clock as _;
use portcullis_testkit::TestServer;
use portcullis_testkit::server::PASSWORD;
use portcullis_verifies::verifies;
use serde_json::json;

use super::Visitor;
use super::required_assurance::{acr, allowed, asks_for_consent, asks_for_factor, error, path, token_from_before};
use crate::fhir::World;
use crate::fhir::break_glass::entitled;

const AAL2: &str = "http://idmanagement.gov/ns/assurance/aal/2";
const READING: &str = "openid user/Observation.rs";

async fn world(rules: &[(Role, AssuranceLevel)]) -> World {
    let rule = |(role, level): &(Role, AssuranceLevel)| AssuranceRule { scope: None, role: Some(*role), level: *level };
    let settings =
        AuthorizationSettings { assurance: AssurancePolicy::new(rules.iter().map(rule).collect()), ..Default::default() };
    World::over(TestServer::start_with(settings).await).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_the_role_is_asked_for_the_factor_by_any_app_and_nobody_else_is() {
    verifies!("FHIR-SEC-21", "SPM-03");
    let world = world(&[(Role::Clinician, AssuranceLevel::TwoFactors)]).await;
    let resource_server = world.server.add_app("resource-server", READING, true).await;
    world.server.change_client("resource-server", |client| client.properties.resource_server = true).await;
    let mut ann = Visitor::new(&world);
    ann.sign_in("ann").await;
    assert!(asks_for_consent(&ann.get(&path(&world.app, "openid launch/patient patient/Observation.rs")).await));
    let mut who = Visitor::new(&world);
    who.sign_in("who").await;
    for scope in [READING, "openid fhirUser"] {
        let refused = who.get(&path(&world.app, scope)).await;
        assert_eq!(error(&refused).as_deref(), Some("unmet_authentication_requirements"), "{scope}: {}", refused.text());
    }
    let mut elsewhere = Visitor::new(&world);
    elsewhere.sign_in("who").await;
    let (secret, _) = elsewhere.add_authenticator().await;
    let asked = who.get(&path(&world.app, READING)).await;
    assert!(asks_for_factor(&asked), "{}", asked.text());
    world.server.clock.advance_seconds(60);
    assert_eq!(who.second(&asked, &world.code(&secret)).await.status, 303);
    let page = who.get(&path(&world.app, READING)).await;
    assert!(asks_for_consent(&page), "{}", page.text());
    let tokens = allowed(&mut who, &world.app, &page, "user/Observation.rs").await;
    assert_eq!(acr(&tokens["id_token"]), AAL2);
    let token = tokens["access_token"].as_str().unwrap();
    let read = world.server.client.get("/fhir/Observation/obs-ann-1").bearer(token).send().await;
    assert_eq!(read.status, 200, "{}", read.text());
    // Who decides elsewhere by the same token learns how strong the sign-in was, and what the person is.
    let told = resource_server.token_request_to("/oauth/introspect", &[("token", token)]).await.json();
    let role = json!(["http://terminology.hl7.org/CodeSystem/v3-RoleClass#PROV"]);
    assert_eq!((&told["acr"], &told["roles"]), (&json!(AAL2), &role), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_from_before_the_rule_about_its_person_is_challenged_and_others_serve() {
    verifies!("FHIR-SEC-21", "SPM-03");
    let world = world(&[(Role::Clinician, AssuranceLevel::TwoFactors)]).await;
    let resource_server = world.server.add_app("resource-server", READING, true).await;
    world.server.change_client("resource-server", |client| client.properties.resource_server = true).await;
    let anns = world.app.access_token("launch/patient patient/Observation.rs", "ann", PASSWORD).await;
    assert_eq!(world.server.client.get("/fhir/Observation/obs-ann-1").bearer(&anns).send().await.status, 200);
    Visitor::new(&world).sign_in("who").await;
    let old = token_from_before(&world, "who", None, READING).await;
    for path in ["/fhir/Observation/obs-ann-1", "/fhir/Observation?patient=ann", "/oauth/userinfo"] {
        let challenged = world.server.client.get(path).bearer(&old).send().await;
        let challenge = challenged.header("www-authenticate");
        assert_eq!(challenged.status, 401, "{path}: {}", challenged.text());
        let wanted = format!("acr_values=\"{AAL2}\"");
        assert!(challenge.contains("error=\"insufficient_user_authentication\"") && challenge.contains(&wanted), "{challenge}");
    }
    let told = resource_server.token_request_to("/oauth/introspect", &[("token", &old)]).await;
    assert_eq!(told.text(), r#"{"active":false}"#);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_ask_who_has_the_role_for_the_factor_and_say_what_is_missing() {
    verifies!("FHIR-SEC-21");
    let roles = [Role::Clinician, Role::SecurityOfficer, Role::Patient].map(|role| (role, AssuranceLevel::TwoFactors));
    let world = world(&roles).await;
    for (name, page) in [("who", "/ehr"), ("officer", "/security"), ("ann", "/me")] {
        let mut person = Visitor::new(&world);
        person.sign_in(name).await;
        let own = person.get("/me").await;
        assert_eq!((own.status.as_u16(), own.header("location")), (303, "/me/authenticator"), "{name}");
        if page != "/me" {
            let refused = person.get(page).await;
            assert_eq!(refused.status, 403, "{name}: {}", refused.text());
            assert!(refused.text().contains("People with your role sign in with two steps here."), "{}", refused.text());
        }
        let mut elsewhere = Visitor::new(&world);
        elsewhere.sign_in(name).await;
        let (secret, _) = elsewhere.add_authenticator().await;
        for path in [page, "/me", "/me/history.csv"] {
            let asked = person.get(path).await;
            assert!(asks_for_factor(&asked), "{name} {path}: {}", asked.text());
        }
        let asked = person.get(page).await;
        world.server.clock.advance_seconds(60);
        let given = person.second(&asked, &world.code(&secret)).await;
        assert_eq!((given.status.as_u16(), given.header("location")), (303, page));
        for path in [page, "/me"] {
            let open = person.get(path).await;
            assert!(open.status == 200 && !asks_for_factor(&open), "{name} {path}: {}", open.text());
        }
    }
    // No rule is about representatives.
    let mut carer = Visitor::new(&world);
    carer.sign_in("carer").await;
    let own = carer.get("/me").await;
    assert!(own.status == 200 && !asks_for_factor(&own));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_that_takes_a_passkey_is_led_to_where_one_is_added() {
    let world = world(&[(Role::SecurityOfficer, AssuranceLevel::PhishingResistant)]).await;
    let mut officer = Visitor::new(&world);
    officer.sign_in("officer").await;
    officer.add_authenticator().await;
    assert_eq!(officer.get("/me").await.header("location"), "/me/passkey");
    let refused = officer.get("/security").await;
    assert_eq!(refused.status, 403);
    assert!(refused.text().contains("People with your role sign in with a passkey here."), "{}", refused.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_form_of_a_page_does_anything_for_a_sign_in_that_is_too_weak_for_the_role() {
    verifies!("FHIR-SEC-21");
    let world = world(&[Role::SecurityOfficer, Role::Clinician].map(|role| (role, AssuranceLevel::PhishingResistant))).await;
    // Password and authenticator app, which would do elsewhere; the form token is the right one.
    let (mut who, _) = entitled(&world).await;
    let mut officer = Visitor::new(&world);
    officer.sign_in("officer").await;
    officer.add_authenticator().await;
    let csrf = async |name: &str, purpose: Purpose| {
        let user = UserId::parse(&format!("user-{name}")).unwrap();
        let sessions = world.server.server.registry.sessions_of(&user, world.server.clock.now_seconds()).await.unwrap();
        world.server.server.form_tokens.token(purpose, sessions[0].id.as_str())
    };
    let glass = [("who", "Test Bob"), ("born", "1970-01-01"), ("reason", "Unconscious after a fall.")];
    let chart = [("patient", "ann")];
    let decision = [("change", "x"), ("decision", "agree")];
    for (person, name, path, purpose, fields) in [
        (&mut who, "who", "/break-glass", Purpose::BreakGlass, &glass[..]),
        (&mut officer, "officer", "/security", Purpose::Security, &decision),
    ] {
        let csrf = csrf(name, purpose).await;
        let reply = person.post(path, &[&[("csrf", csrf.as_str())], fields].concat()).await;
        assert_eq!(reply.status, 403, "{path}: {}", reply.text());
        assert!(reply.text().contains("People with your role sign in with a passkey here."), "{path}: {}", reply.text());
    }
    let csrf = csrf("who", Purpose::Chart).await;
    let reply = who.post("/ehr", &[&[("csrf", csrf.as_str())], &chart[..]].concat()).await;
    assert!(reply.status == 403 && reply.text().contains("sign in with a passkey here."), "{}", reply.text());
    assert!(!reply.text().contains("Test Ann"), "{}", reply.text());
    let open = world.server.server.registry.broken_glass(world.server.clock.now_seconds()).await.unwrap();
    assert!(open.is_empty(), "{open:?}");
    assert_eq!(who.get("/me").await.header("location"), "/me/passkey", "codes are no passkey");
}
