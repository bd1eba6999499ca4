//! The authenticator app and recovery codes: added, asked for, counted once, guessed at, taken away.

use portcullis_audit::record::{Event, Outcome};
use portcullis_testkit::app::query_value;
use portcullis_testkit::server::PASSWORD;

use super::{Visitor, codes, in_form};
use crate::fhir::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_alone_no_longer_signs_in_and_a_code_counts_once() {
    let world = World::start().await;
    let mut owner = Visitor::new(&world);
    owner.sign_in("ann").await;
    let (secret, recovery) = owner.add_authenticator().await;
    assert_eq!(recovery.len(), 10);
    assert_eq!(world.last(Event::Credential), (Outcome::Success, "authenticator app added; recovery codes made".to_owned()));
    let me = owner.get("/me").await.text();
    assert!(me.contains("On since 21 November 2020") && me.contains("You have 10 left."), "{me}");

    let mut elsewhere = Visitor::new(&world);
    let asked = elsewhere.password("ann", "/me").await;
    assert_eq!(asked.status, 200);
    assert!(asked.text().contains("<h1>One more step</h1>") && asked.header("set-cookie").is_empty(), "{}", asked.text());
    assert_eq!(elsewhere.get("/me").await.status, 303, "nobody is signed in yet");
    let spent = elsewhere.second(&asked, &world.code(&secret)).await;
    assert_eq!(spent.status, 401, "the code that confirmed the app was its first use");
    world.server.clock.advance_seconds(30);
    let code = world.code(&secret);
    assert_eq!(elsewhere.second(&asked, &code).await.status, 303);
    assert_eq!(world.last(Event::Login), (Outcome::Success, "signed in: password totp".to_owned()));
    assert!(elsewhere.get("/me").await.text().contains("Signed in with a password and an authenticator app"));
    let mut third = Visitor::new(&world);
    let asked = third.password("ann", "/me").await;
    let replayed = third.second(&asked, &code).await;
    assert_eq!(replayed.status, 401);
    assert!(replayed.text().contains("This code does not work."));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_counts_one_step_early_and_late_and_no_further() {
    let world = World::start().await;
    let mut owner = Visitor::new(&world);
    owner.sign_in("ann").await;
    let (secret, _) = owner.add_authenticator().await;
    let step = || world.server.server.clock.now_seconds() / 30;
    for (shift, status) in [(-2, 401), (2, 401), (-1, 303), (1, 303)] {
        world.server.clock.advance_seconds(120);
        let mut visitor = Visitor::new(&world);
        let asked = visitor.password("ann", "/me").await;
        let reply = visitor.second(&asked, &secret.code(step() + shift)).await;
        assert_eq!(reply.status.as_u16(), status, "{shift}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recovery_code_opens_once_and_new_ones_end_the_old() {
    let world = World::start().await;
    let mut owner = Visitor::new(&world);
    owner.sign_in("ann").await;
    let (_, recovery) = owner.add_authenticator().await;
    for (code, status) in [(recovery[0].to_lowercase(), 303), (recovery[0].clone(), 401), ("AAAAA-AAAAA-AAAAA".to_owned(), 401)] {
        let mut visitor = Visitor::new(&world);
        let asked = visitor.password("ann", "/me").await;
        assert_eq!(visitor.second(&asked, &code).await.status.as_u16(), status, "{code}");
    }
    assert!(owner.get("/me").await.text().contains("You have 9 left."));
    let csrf = owner.own_csrf().await;
    let fresh = owner.post("/me/recovery-codes", &[("csrf", &csrf)]).await;
    let renewed = codes(&fresh);
    assert_eq!((renewed.len(), renewed.iter().any(|code| recovery.contains(code))), (10, false));
    let mut visitor = Visitor::new(&world);
    let asked = visitor.password("ann", "/me").await;
    assert_eq!(visitor.second(&asked, &recovery[1]).await.status, 401, "an old code");
    assert_eq!(visitor.second(&asked, &renewed[1]).await.status, 303);
    let rows = world.server.records().into_iter().filter_map(|record| record.detail).collect::<Vec<_>>().join("\n");
    assert!(recovery.iter().chain(&renewed).all(|code| !rows.contains(code.as_str())), "no code is in a record");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guessed_codes_wait_as_guessed_passwords_do_and_the_right_password_does_not_begin_the_count_anew() {
    let world = World::start().await;
    let mut owner = Visitor::new(&world);
    owner.sign_in("ann").await;
    let (secret, _) = owner.add_authenticator().await;
    world.server.clock.advance_seconds(30);
    let mut stranger = Visitor::new(&world);
    let mut asked = stranger.password("ann", "/me").await;
    for guess in 0..5 {
        if guess == 3 {
            asked = stranger.password("ann", "/me").await;
        }
        assert_eq!(stranger.second(&asked, "000000").await.status, 401, "{guess}");
    }
    let waiting = stranger.second(&asked, &world.code(&secret)).await;
    assert_eq!((waiting.status.as_u16(), waiting.header("retry-after")), (429, "60"));
    assert!(waiting.text().contains("Please wait one minute"));
    assert_eq!(stranger.password("ann", "/me").await.status, 429, "the password waits with it");
    assert_eq!(owner.password("ann", "/me").await.status, 200, "the owner does not");
    world.server.clock.advance_seconds(61);
    assert_eq!(stranger.second(&asked, &world.code(&secret)).await.status, 303);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_proof_of_a_password_is_for_one_browser_one_person_and_five_minutes() {
    let world = World::start().await;
    let mut owner = Visitor::new(&world);
    owner.sign_in("ann").await;
    let (secret, _) = owner.add_authenticator().await;
    let mut first = Visitor::new(&world);
    let asked = first.password("ann", "/me").await;
    let pending = in_form(&asked, "/login/second", "pending");
    let csrf = in_form(&asked, "/login/second", "csrf");
    world.server.clock.advance_seconds(30);
    let code = world.code(&secret);
    let bob = pending.replace("user-ann", "user-bob");
    let later = pending.replacen(".1", ".2", 1);
    for forged in ["", "x", "..", bob.as_str(), later.as_str()] {
        let reply =
            first.post("/login/second", &[("csrf", &csrf), ("pending", forged), ("return_to", "/me"), ("code", &code)]).await;
        assert_eq!(reply.status, 403, "{forged}");
        assert!(reply.text().contains("This page was open for too long."), "{}", reply.text());
    }
    let mut other = Visitor::new(&world);
    let own = other.get("/login").await;
    let other_csrf = portcullis_testkit::app::hidden(&own, "csrf");
    for csrf in [csrf.as_str(), other_csrf.as_str(), ""] {
        let fields = [("csrf", csrf), ("pending", pending.as_str()), ("return_to", "/me"), ("code", code.as_str())];
        assert_eq!(other.post("/login/second", &fields).await.status, 403, "another browser");
    }
    world.server.clock.advance_seconds(271);
    assert_eq!(first.second(&asked, &world.code(&secret)).await.status, 403, "five minutes are over");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_is_added_only_with_a_code_of_the_secret_that_was_shown_here() {
    let world = World::start().await;
    let mut owner = Visitor::new(&world);
    owner.sign_in("ann").await;
    let page = owner.get("/me/authenticator").await;
    let text = page.text();
    assert!(text.contains("<svg class=\"qr\"") && text.contains("otpauth://totp/"), "{text}");
    assert!(!page.header("content-security-policy").contains("script-src"));
    for wrong in ["000000", "", "12345"] {
        let reply = owner.authenticator_form(&page, wrong).await;
        assert_eq!((reply.status.as_u16(), reply.text().contains("This code does not match.")), (400, true), "{wrong}");
    }
    let field = |name| in_form(&page, "/me/authenticator", name);
    let (csrf, proof, own) = (field("csrf"), field("proof"), field("secret"));
    let chosen = portcullis_oauth::totp::TotpSecret::from_bytes(vec![7; 20]).unwrap();
    let (code, base32) = (world.code(&chosen), chosen.base32());
    let fields = [("csrf", csrf.as_str()), ("secret", base32.as_str()), ("proof", proof.as_str()), ("code", code.as_str())];
    let reply = owner.post("/me/authenticator", &fields).await;
    assert_eq!(
        (reply.status.as_u16(), reply.header("location")),
        (303, "/me/authenticator"),
        "a secret that somebody else chose"
    );
    let secret = portcullis_oauth::totp::TotpSecret::from_base32(&own).unwrap();
    let code = world.code(&secret);
    let fields = [("csrf", "x"), ("secret", own.as_str()), ("proof", proof.as_str()), ("code", code.as_str())];
    assert_eq!(owner.post("/me/authenticator", &fields).await.status, 403, "the form of another page");
    assert!(owner.get("/me").await.text().contains("Off. An app on your phone"), "nothing was added");
    assert_eq!(owner.authenticator_form(&page, &code).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_need_a_fresh_sign_in_with_the_second_factor() {
    let world = World::start().await;
    let mut owner = Visitor::new(&world);
    owner.sign_in("ann").await;
    let (secret, _) = owner.add_authenticator().await;
    let csrf = owner.own_csrf().await;
    world.server.clock.advance_seconds(901);
    for path in ["/me/authenticator", "/me/passkey", "/me/password"] {
        let reply = owner.get(path).await;
        assert_eq!((reply.status.as_u16(), reply.header("location")), (303, format!("/login?return_to={path}").as_str()));
    }
    let removed = owner.post("/me/authenticator/remove", &[("csrf", &csrf)]).await;
    assert_eq!(removed.header("location"), "/login?return_to=/me");
    let again = owner.get("/login?return_to=/me/authenticator").await;
    assert!(again.text().contains("Sign in once more."), "{}", again.text());
    let asked = owner.password("ann", "/me/authenticator").await;
    assert_eq!(owner.second(&asked, &world.code(&secret)).await.header("location"), "/me/authenticator");
    let csrf = owner.own_csrf().await;
    assert_eq!(owner.post("/me/authenticator/remove", &[("csrf", "x")]).await.status, 403);
    assert!(owner.get("/me").await.text().contains("On since"), "a form of another site changes nothing");
    owner.post("/me/authenticator/remove", &[("csrf", &csrf)]).await;
    let me = owner.get("/me").await.text();
    assert!(me.contains("Off. An app on your phone") && !me.contains("Recovery codes"), "{me}");
    assert_eq!(Visitor::new(&world).password("ann", "/me").await.status, 303);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_id_token_says_how_the_person_signed_in() {
    let world = World::start().await;
    let scope = "openid launch/patient patient/Patient.r";
    let plain = claims(world.app.authorize(scope, "ann", PASSWORD).await["id_token"].as_str().unwrap());
    assert_eq!(
        (&plain["amr"], &plain["acr"]),
        (&serde_json::json!(["pwd"]), &"http://idmanagement.gov/ns/assurance/aal/1".into())
    );
    let mut owner = Visitor::new(&world);
    owner.sign_in("ann").await;
    let (_, recovery) = owner.add_authenticator().await;
    let mut at = Visitor::new(&world);
    let path = format!("/oauth/authorize?{}", world.app.authorization_query(scope));
    let login = at.get(&path).await;
    let csrf = portcullis_testkit::app::hidden(&login, "csrf");
    let asked = at.post("/login", &[("csrf", &csrf), ("return_to", &path), ("username", "ann"), ("password", PASSWORD)]).await;
    assert!(
        asked.header("content-security-policy").contains("form-action 'self' https://127.0.0.1:9"),
        "the app waits behind it"
    );
    let go_on = at.second(&asked, &recovery[0]).await.header("location").to_owned();
    let consent = at.get(&go_on).await;
    let (csrf, request) =
        (portcullis_testkit::app::hidden(&consent, "csrf"), portcullis_testkit::app::hidden(&consent, "request"));
    let fields = [
        ("csrf", csrf.as_str()),
        ("request", &request),
        ("scope", "openid"),
        ("scope", "patient/Patient.r"),
        ("decision", "allow"),
    ];
    let back = at.post("/consent", &fields).await;
    let token = world.app.exchange(&query_value(&back, "code").unwrap()).await.json();
    let strong = claims(token["id_token"].as_str().unwrap());
    assert_eq!(
        (&strong["amr"], &strong["acr"]),
        (&serde_json::json!(["pwd", "mfa"]), &"http://idmanagement.gov/ns/assurance/aal/2".into())
    );
}

fn claims(token: &str) -> serde_json::Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&portcullis_jose::base64url::decode(payload).unwrap()).unwrap()
}
