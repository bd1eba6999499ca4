//! Pages for people who are not signed in, or whose account is not theirs again yet.

use portcullis_oauth::language::Language::{English, Spanish};
use portcullis_server::admin::UserRequest;
use portcullis_testkit::server::PASSWORD;

use super::inspector::Inspector;
use super::people::Hospital;
use super::walk::{device, enter, open, refused, sign_in};
use crate::account::Visitor;
use crate::account::links::{CHOSEN, choose, link, operator, reset};

/// A visitor reads, comes in vain, has forgotten the password, and gets the account back that is not hers again yet.
pub async fn way(hospital: &Hospital, inspector: &mut Inspector) {
    open(hospital, inspector, "start", "/").await;
    open(hospital, inspector, "docs", "/docs").await;
    open(hospital, inspector, "not-found", "/nowhere").await;
    open(hospital, inspector, "unknown-app", "/oauth/authorize?client_id=nobody").await;
    signing_in(hospital, inspector).await;
    forgotten(hospital, inspector).await;
    given_back(hospital, inspector).await;
}

async fn signing_in(hospital: &Hospital, inspector: &mut Inspector) {
    open(hospital, inspector, "login", "/login").await;
    open(hospital, inspector, "login-elsewhere-not-begun", "/login/federated/callback/elsewhere?state=x&code=y").await;
    inspector.browser.goto(&hospital.asks(&hospital.growth, "launch/patient patient/Patient.r"));
    inspector.look("login-for-an-app").await;
    sign_in(&inspector.browser, "maria", "not the password");
    inspector.browser.wait_for("[role=alert]");
    inspector.look_once("login-refused");
    operator(&hospital.world, "root", UserRequest::Lock { username: "locked".into() }).await;
    sign_in(&inspector.browser, "locked", PASSWORD);
    inspector.browser.wait_for("#username[value=locked]");
    inspector.look_once("login-locked");
    // A device that has no passkey of this site says so at once.
    device(&inspector.browser);
    inspector.browser.goto(&hospital.url("/login"));
    refused(inspector, "login-no-passkey", "form[action^='/login/passkey'] button");
}

async fn forgotten(hospital: &Hospital, inspector: &mut Inspector) {
    open(hospital, inspector, "forgotten", "/login/forgotten").await;
    asked_for_a_link(inspector);
    inspector.look_once("forgotten-sent");
    inspector.read(Spanish);
    inspector.browser.goto(&hospital.url("/login/forgotten"));
    asked_for_a_link(inspector);
    inspector.look_at_words("forgotten-sent");
    inspector.read(English);
}

fn asked_for_a_link(inspector: &Inspector) {
    inspector.browser.enter_text("#username", "maria");
    inspector.browser.click("main form button");
    inspector.browser.wait_until("the answer", || !inspector.browser.has("#username"));
}

async fn given_back(hospital: &Hospital, inspector: &mut Inspector) {
    let path = link(&hospital.world, "first", reset("lost", false)).await;
    open(hospital, inspector, "new-password", &path).await;
    inspector.browser.execute("document.querySelector('main form').noValidate = true");
    inspector.browser.enter_text("#password", "short");
    refused(inspector, "new-password-refused", "form[action='/set-password'] button");
    choose(&mut Visitor::new(&hospital.world), &path, CHOSEN).await;
    open(hospital, inspector, "link-used", &path).await;
    enter(hospital, &inspector.browser, "lost", CHOSEN).await;
    open(hospital, inspector, "me-recovered", "/me").await;
    open(hospital, inspector, "not-confirmed", "/me/passkey").await;
    inspector.browser.goto(&hospital.asks(&hospital.growth, "launch/patient patient/Patient.r"));
    inspector.look("connecting-not-confirmed").await;
}
