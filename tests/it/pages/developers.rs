//! The developer's pages, from the first client to the answer of a try and what was refused.

use portcullis_testkit::server::PASSWORD;

use super::Inspector;
use super::people::Hospital;
use super::walk::{ALLOW, forget, open, shows, sign_in};

/// Dana registers an app, tries it as Maria, and reads what was refused.
pub fn developers(hospital: &Hospital, inspector: &mut Inspector) {
    forget(hospital, &inspector.browser);
    inspector.browser.goto(&hospital.url("/developers"));
    sign_in(&inspector.browser, "dana", PASSWORD);
    shows(&inspector.browser, "You have registered no app yet");
    inspector.look("developers-empty");
    open(hospital, inspector, "developers-new", "/developers/new");
    inspector.browser.enter_text("#client_name", "Knee pain diary");
    inspector.browser.enter_text("#redirect_uris", "http://diary.example/callback");
    inspector.browser.enter_text("#scope", " patient/Everything.rs");
    inspector.browser.click("#kind-asymmetric");
    inspector.browser.click("form.fields button");
    inspector.browser.wait_for("[role=alert]");
    inspector.look("developers-new-refused");
    open(hospital, inspector, "developers-new-again", "/developers/new");
    inspector.browser.enter_text("#client_name", "Knee pain diary");
    inspector.browser.enter_text("#redirect_uris", "https://diary.example/callback");
    inspector.browser.click("form.fields button");
    shows(&inspector.browser, "What is registered");
    inspector.look("developers-client");
    let client = inspector.browser.execute("return location.pathname");
    inspector.browser.click("#try ~ article a.second");
    inspector.browser.wait_for("#username");
    sign_in(&inspector.browser, "rosa", PASSWORD);
    inspector.browser.wait_for("button[name=decision][value=continue]");
    inspector.browser.click("input[name=patient][value=theo]");
    inspector.browser.click("button[name=decision][value=continue]");
    inspector.browser.wait_for(ALLOW);
    inspector.browser.click(ALLOW);
    shows(&inspector.browser, "The launch worked");
    inspector.look("developers-answer");
    inspector.browser.click("form[action='/oauth/token'] button");
    inspector.browser.wait_until("the token answer", || inspector.browser.text("body").contains("access_token"));
    inspector
        .browser
        .goto(&hospital.url(&format!("/oauth/authorize?client_id={}&redirect_uri=https://diary.example/", id(&client))));
    forget(hospital, &inspector.browser);
    inspector.browser.goto(&hospital.url(client.as_str().unwrap()));
    sign_in(&inspector.browser, "dana", PASSWORD);
    shows(&inspector.browser, "What to change");
    inspector.look("developers-refusals");
    open(hospital, inspector, "developers", "/developers");
    forget(hospital, &inspector.browser);
}

fn id(client: &serde_json::Value) -> &str {
    client.as_str().unwrap().rsplit('/').next().unwrap()
}
