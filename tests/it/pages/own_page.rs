//! What people see of their own: who looked, what they allowed, and how they sign in.

use portcullis_oauth::language::Language::{English, Spanish};
use portcullis_testkit::server::PASSWORD;

use super::inspector::Inspector;
use super::people::Hospital;
use super::walk::{device, enter, forget, open, refused, sign_in};

/// Maria sees that nothing happened yet, and later what did; she stops an app, and says where she reads letters.
pub async fn way(hospital: &Hospital, inspector: &mut Inspector) {
    enter(hospital, &inspector.browser, "maria", PASSWORD).await;
    open(hospital, inspector, "me-empty", "/me").await;
    hospital.things_happen().await;
    // The clock went on for a day: the session of before may have ended.
    enter(hospital, &inspector.browser, "maria", PASSWORD).await;
    open(hospital, inspector, "me", "/me").await;
    inspector.print("me");
    inspector.browser.click("form[action='/me/revoke'] button");
    inspector.browser.wait_for(".note.good");
    inspector.look("me-stopped").await;
    open(hospital, inspector, "rules-none", "/me/consents").await;
    hospital.rules_are_made().await;
    open(hospital, inspector, "rules", "/me/consents").await;
    inspector.browser.click("form[action='/me/consents'] button");
    inspector.browser.wait_for(".note.good");
    inspector.look_once("rules-agreed");
    open(hospital, inspector, "history-refused", "/me/history.csv?before=yesterday").await;
    open(hospital, inspector, "federation", "/me/federation").await;
    hospital.link_elsewhere("maria").await;
    open(hospital, inspector, "federation-linked", "/me/federation").await;
    open(hospital, inspector, "own-password", "/me/password").await;
    open(hospital, inspector, "mail", "/me/mail").await;
    inspector.browser.enter_text("#address", "maria@example.org");
    inspector.browser.click("form[action='/me/mail'] button");
    inspector.browser.wait_for("#code");
    inspector.look_once("mail-code");
    inspector.browser.enter_text("#code", "wrong");
    refused(inspector, "mail-code-refused", "form[action='/me/mail'] button");
}

/// She adds what protects her account, and signs in with it.
pub async fn way_in(hospital: &Hospital, inspector: &mut Inspector) {
    enter(hospital, &inspector.browser, "maria", PASSWORD).await;
    open(hospital, inspector, "authenticator", "/me/authenticator").await;
    inspector.browser.enter_text("#code", "000000");
    refused(inspector, "authenticator-refused", "form[action='/me/authenticator'] button");
    passkey(hospital, inspector).await;
    second_factor(hospital, inspector);
    passkey_unknown(hospital, inspector);
}

async fn passkey(hospital: &Hospital, inspector: &mut Inspector) {
    device(&inspector.browser);
    open(hospital, inspector, "new-passkey", "/me/passkey").await;
    inspector.browser.goto(&hospital.url("/me/passkey"));
    inspector.browser.enter_text("#name", "My laptop");
    inspector.browser.click("form[action='/me/passkey'] button");
    inspector.browser.wait_for(".codes");
    inspector.look_once("recovery-codes");
    inspector.print("recovery-codes");
    // The device has one for this account already.
    inspector.browser.goto(&hospital.url("/me/passkey"));
    refused(inspector, "new-passkey-refused", "form[action='/me/passkey'] button");
    open(hospital, inspector, "me-passkey", "/me").await;
    inspector.read(Spanish);
    inspector.browser.click("form[action='/me/recovery-codes'] button");
    inspector.browser.wait_for(".codes");
    inspector.look_at_words("recovery-codes");
    inspector.read(English);
    inspector.browser.click("form[action='/logout'] button");
    inspector.browser.wait_for("main a[href='/login']");
    inspector.look_once("signed-out");
}

fn second_factor(hospital: &Hospital, inspector: &mut Inspector) {
    for language in [Spanish, English] {
        inspector.read(language);
        inspector.browser.goto(&hospital.url("/login"));
        sign_in(&inspector.browser, "maria", PASSWORD);
        inspector.browser.wait_for("#code");
        if language == Spanish {
            inspector.look_at_words("second-factor");
        }
    }
    inspector.look_once("second-factor");
    inspector.browser.enter_text("#code", "wrong-code");
    refused(inspector, "second-factor-refused", "form[action^='/login/second'] button");
    inspector.browser.click("form[action^='/login/passkey'] button");
    inspector.browser.wait_for("form[action='/me/passkey/remove']");
}

/// The device still has the passkey that the account does not have any more.
fn passkey_unknown(hospital: &Hospital, inspector: &mut Inspector) {
    inspector.browser.click("form[action='/me/passkey/remove'] button");
    inspector.browser.wait_for("#method-passkeys + p");
    forget(&inspector.browser);
    inspector.browser.goto(&hospital.url("/login"));
    refused(inspector, "login-passkey-refused", "form[action^='/login/passkey'] button");
}
