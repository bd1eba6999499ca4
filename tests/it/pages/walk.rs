//! The steps of every way through the pages.

use portcullis_testkit::app::hidden;
use portcullis_testkit::webdriver::Browser;
use serde_json::json;

use super::inspector::Inspector;
use super::people::Hospital;
use crate::account::Visitor;

pub const ALLOW: &str = "button[name=decision][value=allow]";
pub const CONTINUE: &str = "button[name=decision][value=continue]";

pub fn sign_in(browser: &Browser, username: &str, password: &str) {
    browser.enter_text("#username", username);
    browser.enter_text("#password", password);
    browser.click("form[action^='/login'] button[type=submit]");
}

/// Somebody signs in. The forms that lead there are looked at elsewhere: here only what they leave in the browser counts.
pub async fn enter(hospital: &Hospital, browser: &Browser, username: &str, password: &str) {
    forget(browser);
    let mut visitor = Visitor::new(&hospital.world);
    let csrf = hidden(&visitor.get("/login").await, "csrf");
    let fields = [("csrf", csrf.as_str()), ("return_to", "/me"), ("username", username), ("password", password)];
    assert_eq!(visitor.post("/login", &fields).await.status, 303, "{username}");
    wear(hospital, browser, &visitor);
}

/// The browser is that of this visitor from now on.
pub fn wear(hospital: &Hospital, browser: &Browser, visitor: &Visitor<'_>) {
    for (name, value) in &visitor.jar {
        let cookie =
            json!({"url": hospital.url("/"), "name": name, "value": value, "secure": true, "httpOnly": true, "path": "/"});
        browser.devtools("Network.setCookie", &cookie);
    }
}

/// Nobody is signed in any more.
pub fn forget(browser: &Browser) {
    browser.devtools("Network.clearBrowserCookies", &json!({}));
}

/// Opens a page and looks at it.
pub async fn open(hospital: &Hospital, inspector: &mut Inspector, name: &str, path: &str) {
    inspector.browser.goto(&hospital.url(path));
    inspector.look(name).await;
}

/// Sends the form with this button, which is refused for what is in it, and looks at what is said.
pub fn refused(inspector: &mut Inspector, name: &str, button: &str) {
    inspector.browser.click(button);
    inspector.browser.wait_for("[role=alert]");
    inspector.look_once(name);
}

/// A device with passkeys, whose owner always says yes.
pub fn device(browser: &Browser) -> String {
    let device = json!({"options": {"protocol": "ctap2", "transport": "internal", "hasResidentKey": true, "hasUserVerification": true,
        "isUserVerified": true, "automaticPresenceSimulation": true}});
    browser.devtools("WebAuthn.enable", &json!({}));
    browser.devtools("WebAuthn.addVirtualAuthenticator", &device)["authenticatorId"].as_str().unwrap().to_owned()
}
