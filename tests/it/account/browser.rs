//! The same in Chromium, with its own virtual authenticator (WebAuthn Level 3, section 11) and our script under our policy.

use portcullis_testkit::server::PASSWORD;
use portcullis_testkit::webdriver::Browser;
use serde_json::json;

use super::links::{CHOSEN, link, reset};
use crate::fhir::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_adds_a_passkey_and_signs_in_with_it() {
    let world = World::start().await;
    let origin = world.server.server.settings.public_url.clone();
    tokio::task::spawn_blocking(move || {
        let browser = Browser::open();
        browser.devtools("WebAuthn.enable", &json!({}));
        let device = json!({"options": {"protocol": "ctap2", "transport": "internal", "hasResidentKey": true, "hasUserVerification": true,
            "isUserVerified": true, "automaticPresenceSimulation": true}});
        browser.devtools("WebAuthn.addVirtualAuthenticator", &device);
        browser.goto(&format!("{origin}/login"));
        browser.enter_text("#username", "ann");
        browser.enter_text("#password", PASSWORD);
        browser.click("form[action=\"/login\"] button");
        shows(&browser, "How you sign in");
        shots(&browser, "me");
        browser.goto(&format!("{origin}/me/authenticator"));
        shows(&browser, "Scan this with the app");
        shots(&browser, "authenticator");
        browser.goto(&format!("{origin}/me/passkey"));
        browser.enter_text("#name", "Laptop");
        shots(&browser, "new-passkey");
        browser.click("form[action=\"/me/passkey\"] button");
        shows(&browser, "Your recovery codes");
        shots(&browser, "recovery-codes");
        browser.goto(&format!("{origin}/me"));
        shows(&browser, "Laptop");
        shots(&browser, "me-passkey");
        browser.click("form[action=\"/logout\"] button");
        // Else the answer to the form may come after the next page, and take its place.
        shows(&browser, "You are signed out");
        browser.goto(&format!("{origin}/login"));
        shots(&browser, "login");
        browser.enter_text("#username", "ann");
        browser.enter_text("#password", PASSWORD);
        browser.click("form[action=\"/login\"] button");
        shows(&browser, "Use your passkey, or type a recovery code.");
        shots(&browser, "second-factor");
        browser.click("form[action=\"/login/passkey\"] button");
        shows(&browser, "Signed in with a passkey");
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_chooses_a_password_by_a_link_and_reads_what_a_recovered_account_may() {
    let world = World::start().await;
    let path = link(&world, "first", reset("ann", false)).await;
    let origin = world.server.server.settings.public_url.clone();
    tokio::task::spawn_blocking(move || {
        let browser = Browser::open();
        browser.goto(&format!("{origin}{path}"));
        shows(&browser, "Choose a password");
        shots(&browser, "new-password");
        browser.enter_text("#password", CHOSEN);
        browser.click("form[action=\"/set-password\"] button");
        shows(&browser, "Sign in");
        browser.enter_text("#username", "ann");
        browser.enter_text("#password", CHOSEN);
        browser.click("form[action=\"/login\"] button");
        shows(&browser, "Somebody gave this account back to you");
        shots(&browser, "me-recovered");
        browser.goto(&format!("{origin}/me/passkey"));
        shows(&browser, "You cannot change how you sign in yet");
        shots(&browser, "not-confirmed");
    })
    .await
    .unwrap();
}

fn shows(browser: &Browser, words: &str) {
    browser.wait_until(words, || browser.text("main").contains(words));
}

/// Every page at both sizes and in both schemes, for whoever looks.
fn shots(browser: &Browser, name: &str) {
    for size in ["phone", "desk"] {
        if size == "phone" {
            browser.be_phone()
        } else {
            browser.be_desk()
        }
        for scheme in ["light", "dark"] {
            browser.prefer_colours(scheme);
            browser.screenshot(&format!("account-{name}-{size}-{scheme}"));
        }
        let width = browser.execute("return document.documentElement.scrollWidth - document.documentElement.clientWidth");
        assert_eq!(width, 0, "{name} is wider than the {size}");
    }
}
