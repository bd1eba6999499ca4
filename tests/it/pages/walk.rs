//! The way through every page, as the people of a hospital go it.

use portcullis_testkit::server::PASSWORD;
use portcullis_testkit::webdriver::Browser;
use serde_json::json;

use super::Inspector;
use super::developers::developers;
use super::people::Hospital;
use crate::account::Visitor;
use crate::account::links::{CHOSEN, choose, link, reset};

pub const ALLOW: &str = "button[name=decision][value=allow]";
const CONTINUE: &str = "button[name=decision][value=continue]";

/// Everything, in an order that needs few sign-ins: Argon2 takes its time.
pub async fn every_page(hospital: &Hospital, inspector: &mut Inspector) {
    strangers(hospital, inspector).await;
    signing_in(hospital, inspector);
    an_own_page(hospital, inspector).await;
    ways_to_sign_in(hospital, inspector);
    asked_by_apps(hospital, inspector);
    in_the_demo_app(hospital, inspector);
    for_others(hospital, inspector);
    charts(hospital, inspector);
    developers(hospital, inspector);
    given_back(hospital, inspector).await;
}

pub fn sign_in(browser: &Browser, username: &str, password: &str) {
    browser.enter_text("#username", username);
    browser.enter_text("#password", password);
    browser.click("form[action='/login'] button[type=submit]");
}

pub fn shows(browser: &Browser, words: &str) {
    browser.wait_until(words, || browser.has("main") && browser.text("main").contains(words));
}

/// Nobody is signed in any more.
pub fn forget(hospital: &Hospital, browser: &Browser) {
    browser.goto(&hospital.url("/docs"));
    browser.command("DELETE", "/cookie", None).unwrap();
}

pub fn open(hospital: &Hospital, inspector: &mut Inspector, name: &str, path: &str) {
    inspector.browser.goto(&hospital.url(path));
    inspector.look(name);
}

async fn strangers(hospital: &Hospital, inspector: &mut Inspector) {
    open(hospital, inspector, "start", "/");
    open(hospital, inspector, "docs", "/docs");
    open(hospital, inspector, "not-found", "/nowhere");
    open(hospital, inspector, "unknown-app", "/oauth/authorize?client_id=nobody");
    let path = link(&hospital.world, "first", reset("lost", false)).await;
    open(hospital, inspector, "new-password", &path);
    inspector.browser.execute("document.querySelector('main form').noValidate = true");
    inspector.browser.enter_text("#password", "short");
    inspector.browser.click("form[action='/set-password'] button");
    inspector.browser.wait_for("[role=alert]");
    inspector.look("new-password-refused");
    choose(&mut Visitor::new(&hospital.world), &path, CHOSEN).await;
    open(hospital, inspector, "link-used", &path);
}

fn signing_in(hospital: &Hospital, inspector: &mut Inspector) {
    open(hospital, inspector, "login", "/login");
    inspector.browser.goto(&hospital.asks(&hospital.growth, "launch/patient patient/Patient.r"));
    inspector.look("login-for-an-app");
    sign_in(&inspector.browser, "maria", "not the password");
    inspector.browser.wait_for("[role=alert]");
    inspector.look("login-refused");
    inspector.browser.goto(&hospital.url("/login"));
    sign_in(&inspector.browser, "maria", PASSWORD);
    shows(&inspector.browser, "You have allowed no app");
    inspector.look("me-empty");
}

async fn an_own_page(hospital: &Hospital, inspector: &mut Inspector) {
    hospital.things_happen().await;
    // The clock went on for a day: the session of before may have ended.
    forget(hospital, &inspector.browser);
    inspector.browser.goto(&hospital.url("/login"));
    sign_in(&inspector.browser, "maria", PASSWORD);
    shows(&inspector.browser, "Growth Chart");
    inspector.look("me");
    inspector.print("me");
    inspector.browser.click("form[action='/me/revoke'] button");
    inspector.browser.wait_for(".note.good");
    inspector.look("me-stopped");
}

fn ways_to_sign_in(hospital: &Hospital, inspector: &mut Inspector) {
    open(hospital, inspector, "federation", "/me/federation");
    open(hospital, inspector, "own-password", "/me/password");
    open(hospital, inspector, "authenticator", "/me/authenticator");
    inspector.browser.enter_text("#code", "000000");
    inspector.browser.click("form[action='/me/authenticator'] button");
    inspector.browser.wait_for("[role=alert]");
    inspector.look("authenticator-refused");
    let device = json!({"options": {"protocol": "ctap2", "transport": "internal", "hasResidentKey": true, "hasUserVerification": true,
        "isUserVerified": true, "automaticPresenceSimulation": true}});
    inspector.browser.devtools("WebAuthn.enable", &json!({}));
    inspector.browser.devtools("WebAuthn.addVirtualAuthenticator", &device);
    open(hospital, inspector, "new-passkey", "/me/passkey");
    inspector.browser.enter_text("#name", "My laptop");
    inspector.browser.click("form[action='/me/passkey'] button");
    shows(&inspector.browser, "Your recovery codes");
    inspector.look("recovery-codes");
    inspector.print("recovery-codes");
    open(hospital, inspector, "me-passkey", "/me");
    inspector.browser.click("form[action='/logout'] button");
    shows(&inspector.browser, "You are signed out");
    inspector.look("signed-out");
    inspector.browser.goto(&hospital.url("/login"));
    sign_in(&inspector.browser, "maria", PASSWORD);
    inspector.browser.wait_for("#code");
    inspector.look("second-factor");
    inspector.browser.enter_text("#code", "wrong-code");
    inspector.browser.click("form[action='/login/second'] button");
    inspector.browser.wait_for("[role=alert]");
    inspector.look("second-factor-refused");
    inspector.browser.click("form[action='/login/passkey'] button");
    shows(&inspector.browser, "Signed in with a passkey");
}

fn asked_by_apps(hospital: &Hospital, inspector: &mut Inspector) {
    let scope = "launch/patient openid fhirUser offline_access patient/Patient.r patient/Observation.rs patient/Condition.rs \
        patient/MedicationRequest.rs patient/Encounter.rs patient/ExplanationOfBenefit.rs patient/Observation.rs?code=1|2&x=3 patient/Nothing.rs";
    inspector.browser.goto(&hospital.asks(&hospital.growth, scope));
    inspector.browser.wait_for(ALLOW);
    assert!(inspector.browser.shows(".logo img"));
    assert!(inspector.browser.shows("code.scope"), "what is left out is named");
    inspector.look("consent");
    let scope = "launch/patient online_access patient/Patient.r patient/Observation.cud patient/*.cruds";
    inspector.browser.goto(&hospital.asks(&hospital.meals, scope));
    inspector.browser.wait_for(ALLOW);
    assert!(inspector.browser.shows(".tag.warn"));
    inspector.look("consent-unverified");
    inspector.browser.execute("for (const box of document.querySelectorAll('input[type=checkbox]:checked')) box.click()");
    inspector.look("consent-nothing");
    inspector.browser.goto(&hospital.asks(&hospital.growth, "launch/patient launch/encounter patient/Encounter.rs"));
    shows(&inspector.browser, "Which visit");
    inspector.look("visits");
}

fn in_the_demo_app(hospital: &Hospital, inspector: &mut Inspector) {
    let browser = &inspector.browser;
    browser.goto(&hospital.app_url);
    browser.wait_until("the button can be pressed", || {
        browser.execute(
            "return document.getElementById('connect').checkVisibility() && !document.getElementById('connect').disabled",
        ) == true
    });
    inspector.look("app-first");
    inspector.browser.click("#connect");
    inspector.browser.wait_for(ALLOW);
    inspector.look("consent-demo");
    inspector.browser.click(ALLOW);
    inspector.browser.wait_for("#record[data-state=loaded]");
    inspector.look("app-record");
    inspector.browser.click("#developer summary");
    inspector.browser.enter_text("#other-id", "theo");
    inspector.browser.click("#try-other");
    inspector.browser.wait_for("#other-answer[data-status='404']");
    inspector.look("app-other-patient");
    inspector.browser.goto(&format!("{}/callback?code=x&state=guessed&iss={}", hospital.app_url, hospital.url("")));
    inspector.browser.wait_for("#problem");
    inspector.look("app-problem");
}

fn for_others(hospital: &Hospital, inspector: &mut Inspector) {
    forget(hospital, &inspector.browser);
    let scope = "launch/patient patient/Patient.r patient/Immunization.rs";
    inspector.browser.goto(&hospital.asks(&hospital.growth, scope));
    sign_in(&inspector.browser, "rosa", PASSWORD);
    inspector.browser.wait_for(CONTINUE);
    inspector.look("patients-few");
    forget(hospital, &inspector.browser);
    inspector.browser.goto(&hospital.asks(&hospital.growth, scope));
    sign_in(&inspector.browser, "amy", PASSWORD);
    inspector.browser.wait_for(CONTINUE);
    inspector.look("patients-search");
    inspector.browser.enter_text("#name", "Nobody of this name");
    inspector.browser.click("button[value=search]");
    shows(&inspector.browser, "Nobody here fits");
    inspector.look("patients-nobody");
    inspector.browser.goto(&hospital.asks(&hospital.growth, "openid fhirUser user/*.rs user/Observation.cud"));
    inspector.browser.wait_for(ALLOW);
    inspector.look("consent-clinician");
}

fn charts(hospital: &Hospital, inspector: &mut Inspector) {
    open(hospital, inspector, "charts", "/ehr");
    inspector.browser.click("input[name=patient][value=maria]");
    inspector.browser.click("button[value=continue]");
    shows(&inspector.browser, "Open another chart");
    inspector.look("chart");
    open(hospital, inspector, "me-clinician", "/me");
}

async fn given_back(hospital: &Hospital, inspector: &mut Inspector) {
    forget(hospital, &inspector.browser);
    inspector.browser.goto(&hospital.url("/login"));
    sign_in(&inspector.browser, "lost", CHOSEN);
    shows(&inspector.browser, "Somebody gave this account back to you");
    inspector.look("me-recovered");
    open(hospital, inspector, "not-confirmed", "/me/passkey");
}
