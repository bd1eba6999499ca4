//! The same in Chromium, with its own virtual authenticator (WebAuthn Level 3, section 11) and our script under our policy.

use portcullis_testkit::server::PASSWORD;
use portcullis_testkit::webdriver::Browser;
use serde_json::json;

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
        browser.goto(&format!("{origin}/login"));
        shots(&browser, "login");
        browser.click("form[action=\"/login/passkey\"] button");
        shows(&browser, "Signed in with a passkey");
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
    }
}
