//! An account that somebody else gave back: no record, no app, no factor, until a factor that was there before or a second officer confirms.

use portcullis_oauth::entitlements::Entitlement;
use portcullis_oauth::grant::SecretHash;
use portcullis_oauth::users::Role;
use portcullis_server::admin::UserRequest;
use portcullis_server::admin::protocol::{RefusalKind, Response};
use portcullis_server::authorization_server::csrf::Purpose;
use portcullis_testkit::Reply;
use portcullis_testkit::app::hidden;
use portcullis_testkit::server::PASSWORD;

use super::links::{CHOSEN, choose, details, link, operator, reset};
use super::{Visitor, in_form};
use crate::fhir::World;

async fn sign_in(visitor: &mut Visitor<'_>, return_to: &str) -> Reply {
    sign_in_as(visitor, "ann", return_to).await
}

async fn sign_in_as(visitor: &mut Visitor<'_>, username: &str, return_to: &str) -> Reply {
    let page = visitor.get("/login").await;
    let csrf = hidden(&page, "csrf");
    visitor.post("/login", &[("csrf", &csrf), ("return_to", return_to), ("username", username), ("password", CHOSEN)]).await
}

const CHART: (&str, Purpose) = ("/ehr", Purpose::Chart);
const GLASS: (&str, Purpose) = ("/break-glass", Purpose::BreakGlass);
const SECURITY: (&str, Purpose) = ("/security", Purpose::Security);
const NO_CLINICIAN: &str = "This page is for people who treat patients";
const NOT_ENTITLED: &str = "You may not open records in an emergency";
const NO_OFFICER: &str = "This page is for security officers";

/// Opened and posted to, even with a form token that counts, the page answers that it is not for this person.
async fn is_closed(visitor: &mut Visitor<'_>, (path, purpose): (&str, Purpose), told: &str, forms: &[&[(&str, &str)]]) {
    let server = &visitor.world.server.server;
    let session = SecretHash::of(&visitor.jar["__Host-portcullis-session"]);
    let session = server.registry.session(&session).await.unwrap().unwrap();
    let csrf = server.form_tokens.token(purpose, session.id.as_str());
    let mut replies = vec![visitor.get(path).await];
    for form in forms {
        replies.push(visitor.post(path, &[&[("csrf", csrf.as_str())], *form].concat()).await);
    }
    for reply in replies {
        assert_eq!((reply.status.as_u16(), reply.header("location")), (403, ""), "{path}");
        assert!(reply.text().contains(told) && !reply.text().contains("Test Ann"), "{path}: {}", reply.text());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recovered_clinician_opens_no_chart_and_breaks_no_glass() {
    let world = World::start().await;
    world.entitle("who", Entitlement::BreakGlass).await;
    let mut before = Visitor::new(&world);
    before.sign_in("who").await;
    assert_eq!(before.get("/ehr").await.status, 200, "who is a clinician");
    let path = link(&world, "first", reset("who", false)).await;
    let mut who = Visitor::new(&world);
    choose(&mut who, &path, CHOSEN).await;
    assert_eq!(sign_in_as(&mut who, "who", "/me").await.status, 303);
    assert!(who.get("/me").await.text().contains("Somebody gave this account back to you"));
    let chart: [&[(&str, &str)]; 2] = [&[("name", "Ann")], &[("patient", "ann"), ("decision", "continue")]];
    is_closed(&mut who, CHART, NO_CLINICIAN, &chart).await;
    let glass: [&[(&str, &str)]; 2] =
        [&[("who", "Ann Example"), ("born", "1980-01-01"), ("reason", "Unconscious after a fall.")], &[("end", "x")]];
    is_closed(&mut who, GLASS, NOT_ENTITLED, &glass).await;
    // Only the confirmation was missing.
    let confirm = UserRequest::Confirm { username: "who".to_owned() };
    assert_eq!(details(&world, "second", confirm).await.recovered_by, None);
    assert_eq!(who.get("/ehr").await.status, 200);
    assert!(!who.get("/break-glass").await.text().contains(NOT_ENTITLED));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recovered_officer_decides_nothing() {
    let world = World::start().await;
    world.server.add_user("sam", &[Role::SecurityOfficer], None, &[]).await;
    world.entitle("sam", Entitlement::ApproveChanges).await;
    let mut before = Visitor::new(&world);
    before.sign_in("sam").await;
    assert_eq!(before.get("/security").await.status, 200, "sam is an officer");
    let path = link(&world, "first", reset("sam", false)).await;
    let mut sam = Visitor::new(&world);
    choose(&mut sam, &path, CHOSEN).await;
    assert_eq!(sign_in_as(&mut sam, "sam", "/me").await.status, 303);
    let forms: [&[(&str, &str)]; 2] = [&[("change", "x"), ("digest", "x"), ("decision", "approve")], &[("end", "x")]];
    is_closed(&mut sam, SECURITY, NO_OFFICER, &forms).await;
    is_closed(&mut sam, CHART, NO_CLINICIAN, &[]).await;
    is_closed(&mut sam, GLASS, NOT_ENTITLED, &[]).await;
    let confirm = UserRequest::Confirm { username: "sam".to_owned() };
    assert_eq!(details(&world, "second", confirm).await.recovered_by, None);
    assert_eq!(sam.get("/security").await.status, 200, "only the confirmation was missing");
}

fn confirm() -> UserRequest {
    UserRequest::Confirm { username: "ann".to_owned() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recovered_session_opens_no_record_connects_no_app_and_adds_no_factor() {
    let world = World::start().await;
    let scope = "launch/patient offline_access patient/Patient.r patient/Observation.rs";
    let app = world.app.authorize(scope, "ann", PASSWORD).await;
    let path = link(&world, "first", reset("ann", false)).await;
    let mut ann = Visitor::new(&world);
    choose(&mut ann, &path, CHOSEN).await;
    assert_eq!(sign_in(&mut ann, "/me").await.status, 303);
    let page = ann.get("/me").await;
    let me = page.text();
    // Which apps are connected, and to what, tells of an illness; that there is one, and how to stop it, does not.
    assert!(me.contains("<bdi>App 1</bdi>") && me.contains("action=\"/me/revoke\""), "{me}");
    assert!(!me.contains("App app") && !me.contains("Test Ann") && !me.contains("test results"), "{me}");
    assert!(me.contains("Somebody gave this account back to you: account:first."), "{me}");
    assert!(!me.contains("Who looked, and when") && !me.contains("How you sign in"), "{me}");
    for path in ["/me/authenticator", "/me/passkey", "/me/password"] {
        let reply = ann.get(path).await;
        assert_eq!(
            (reply.status.as_u16(), reply.text().contains("You cannot change how you sign in yet")),
            (403, true),
            "{path}"
        );
    }
    for scope in ["launch/patient patient/Patient.r", "openid fhirUser", "user/Patient.rs"] {
        let reply = ann.get(&format!("/oauth/authorize?{}", world.app.authorization_query(scope))).await;
        assert_eq!((reply.status.as_u16(), reply.text().contains("You cannot connect an app yet")), (403, true), "{scope}");
        assert!(!reply.text().contains("Test Ann"));
    }
    for path in ["/me/history.csv", "/me/history.ndjson"] {
        let reply = ann.get(path).await;
        assert_eq!((reply.status.as_u16(), reply.text().contains("You cannot have this history yet")), (403, true), "{path}");
    }
    assert!(!ann.get("/ehr").await.text().contains("Test Ann"));
    let fields = [("csrf", in_form(&page, "/me/revoke", "csrf")), ("grant", in_form(&page, "/me/revoke", "grant"))];
    let stopped = ann.post("/me/revoke", &fields.each_ref().map(|(name, value)| (*name, value.as_str()))).await;
    let told = ann.get(stopped.header("location")).await.text();
    assert!(told.contains("You stopped the access of that app.") && !told.contains("App app"), "{told}");
    let token = app["access_token"].as_str().unwrap();
    assert_eq!(world.server.client.get("/fhir/Patient/ann").bearer(token).send().await.status, 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consent_screen_that_was_open_before_the_recovery_is_not_answered_after_it() {
    let world = World::start().await;
    let mut ann = Visitor::new(&world);
    ann.sign_in("ann").await;
    let query = world.app.authorization_query("launch/patient patient/Patient.r");
    let consent = ann.get(&format!("/oauth/authorize?{query}")).await;
    let request = hidden(&consent, "request");
    let path = link(&world, "first", reset("ann", false)).await;
    choose(&mut ann, &path, CHOSEN).await;
    sign_in(&mut ann, "/me").await;
    // The token of the own page's session is not that of the consent screen; a forged one is refused before anything else.
    let session = ann.own_csrf().await;
    for csrf in [hidden(&consent, "csrf"), session] {
        let fields = [("csrf", csrf.as_str()), ("request", &request), ("scope", "patient/Patient.r"), ("decision", "allow")];
        let reply = ann.post("/consent", &fields).await;
        assert_eq!((reply.status.as_u16(), reply.header("location")), (403, ""));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_officer_confirms_and_the_first_cannot() {
    let world = World::start().await;
    let path = link(&world, "first", reset("ann", false)).await;
    let mut ann = Visitor::new(&world);
    choose(&mut ann, &path, CHOSEN).await;
    sign_in(&mut ann, "/me").await;
    let shown = details(&world, "second", UserRequest::Show { username: "ann".to_owned() }).await;
    assert_eq!(shown.recovered_by.as_deref(), Some("account:first"));
    let Response::Refused(refused) = operator(&world, "first", confirm()).await else { panic!("the first officer confirmed") };
    assert_eq!(refused.kind, RefusalKind::Conflict);
    assert!(refused.message.contains("another officer must confirm"), "{}", refused.message);
    assert!(ann.get("/me").await.text().contains("gave this account back"));
    assert_eq!(details(&world, "second", confirm()).await.recovered_by, None);
    let me = ann.get("/me").await.text();
    assert!(!me.contains("gave this account back") && me.contains("Who looked, and when"), "{me}");
    let consent =
        ann.get(&format!("/oauth/authorize?{}", world.app.authorization_query("launch/patient patient/Patient.r"))).await;
    assert!(consent.text().contains("value=\"allow\""));
    let Response::Refused(refused) = operator(&world, "second", confirm()).await else { panic!("nothing waits") };
    assert_eq!(refused.kind, RefusalKind::Conflict);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_factor_from_before_confirms_and_without_it_nobody_gets_in() {
    let world = World::start().await;
    let mut owner = Visitor::new(&world);
    owner.sign_in("ann").await;
    let (secret, _) = owner.add_authenticator().await;
    let path = link(&world, "first", reset("ann", false)).await;
    let mut ann = Visitor::new(&world);
    choose(&mut ann, &path, CHOSEN).await;
    let asked = sign_in(&mut ann, "/me").await;
    assert_eq!((asked.status.as_u16(), ann.get("/me").await.status.as_u16()), (200, 303), "the second factor is still asked for");
    world.server.clock.advance_seconds(30);
    assert_eq!(ann.second(&asked, &world.code(&secret)).await.status, 303);
    let me = ann.get("/me").await.text();
    assert!(!me.contains("gave this account back") && me.contains("Who looked, and when"), "{me}");
    assert_eq!(details(&world, "first", UserRequest::Show { username: "ann".to_owned() }).await.recovered_by, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn factors_that_are_removed_with_the_reset_leave_the_second_officer() {
    let world = World::start().await;
    let mut owner = Visitor::new(&world);
    owner.sign_in("ann").await;
    let (_, recovery) = owner.add_authenticator().await;
    let path = link(&world, "first", reset("ann", true)).await;
    assert_eq!(owner.get("/me").await.status, 303, "whoever has lost the factors may not be who is signed in");
    // Whoever knows the old password and had the factors removed has not got the account by that, whether the link is used or not.
    let mut thief = Visitor::new(&world);
    thief.sign_in("ann").await;
    let me = thief.get("/me").await.text();
    assert!(me.contains("gave this account back") && !me.contains("Who looked, and when"), "{me}");
    assert_eq!(thief.get("/me/authenticator").await.status, 403);
    let query = world.app.authorization_query("launch/patient patient/Patient.r");
    assert_eq!(thief.get(&format!("/oauth/authorize?{query}")).await.status, 403);
    let mut ann = Visitor::new(&world);
    choose(&mut ann, &path, CHOSEN).await;
    assert_eq!(sign_in(&mut ann, "/me").await.status, 303);
    assert!(ann.get("/me").await.text().contains("gave this account back"));
    let shown = details(&world, "second", confirm()).await;
    assert_eq!((shown.has_authenticator, shown.recovery_codes, shown.recovered_by), (false, 0, None));
    assert!(!recovery.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_who_lost_the_phone_gets_the_account_back_in_the_steps_of_the_operations_guide() {
    let world = World::start().await;
    let mut before = Visitor::new(&world);
    before.sign_in("ann").await;
    let token = world.ann().await;
    let (lost, codes) = before.add_authenticator().await;
    // 1. She calls. The first officer, who knows her, makes a link and takes the factors away; every session ends.
    let path = link(&world, "first", reset("ann", true)).await;
    assert_eq!(before.get("/me").await.status, 303);
    // 2. She chooses a password. The lost phone and its codes open nothing any more.
    let mut ann = Visitor::new(&world);
    assert_eq!(choose(&mut ann, &path, CHOSEN).await.status, 303);
    let page = sign_in(&mut ann, "/me").await;
    assert!(page.status == 303 && !codes.is_empty(), "no factor is asked for");
    assert!(ann.get("/me").await.text().contains("Somebody gave this account back to you: account:first."));
    let query = world.app.authorization_query("launch/patient patient/Patient.r");
    assert_eq!(ann.get(&format!("/oauth/authorize?{query}")).await.status, 403);
    assert_eq!(ann.get("/me/authenticator").await.status, 403);
    // 3. A second officer, who asked her in another way, confirms. The first cannot.
    assert!(matches!(operator(&world, "first", confirm()).await, Response::Refused(_)));
    assert_eq!(details(&world, "second", confirm()).await.recovered_by, None);
    // 4. The same session opens records again, and takes the new phone.
    assert!(ann.get(&format!("/oauth/authorize?{query}")).await.text().contains("value=\"allow\""));
    let (found, new_codes) = ann.add_authenticator().await;
    assert!(world.code(&found) != world.code(&lost) && new_codes != codes);
    let read = world.server.client.get("/fhir/Patient/ann").bearer(&token).send().await;
    assert_eq!(read.status, 200, "what she had allowed before goes on");
    let told: Vec<String> = world.server.records().into_iter().filter_map(|record| record.detail).collect();
    for step in [
        "reset link made: ann; second factors removed",
        "password set anew; recovered by account:first",
        "recovery confirmed: ann",
    ] {
        assert!(told.iter().any(|detail| detail.contains(step)), "{step}: {told:?}");
    }
}
