//! The developer's pages, from the first client to the answer of a try and what was refused.

use portcullis_testkit::server::PASSWORD;

use super::inspector::Inspector;
use super::people::Hospital;
use super::walk::{ALLOW, CONTINUE, enter, open, refused, sign_in};

/// Dana registers an app, tries it as Maria, and reads what was refused.
pub async fn way(hospital: &Hospital, inspector: &mut Inspector) {
    enter(hospital, &inspector.browser, "rosa", PASSWORD).await;
    open(hospital, inspector, "no-developer", "/developers").await;
    enter(hospital, &inspector.browser, "dana", PASSWORD).await;
    open(hospital, inspector, "developers-empty", "/developers").await;
    open(hospital, inspector, "developers-absent", "/developers/clients/nothing").await;
    open(hospital, inspector, "developers-other-answer", "/developers/callback?code=x&state=guessed").await;
    let client = registered(hospital, inspector).await;
    answered(hospital, inspector, &client).await;
    enter(hospital, &inspector.browser, "dana", PASSWORD).await;
    inspector.browser.goto(&hospital.url(&client));
    inspector.browser.wait_for("#refusals ~ ol .tag");
    inspector.look("developers-refusals").await;
    open(hospital, inspector, "developers", "/developers").await;
}

/// The path of the page of an app that is registered at the second attempt.
async fn registered(hospital: &Hospital, inspector: &mut Inspector) -> String {
    open(hospital, inspector, "developers-new", "/developers/new").await;
    inspector.browser.enter_text("#client_name", "Knee pain diary");
    inspector.browser.enter_text("#redirect_uris", "http://diary.example/callback");
    inspector.browser.enter_text("#scope", " patient/Everything.rs");
    inspector.browser.click("#kind-asymmetric");
    refused(inspector, "developers-new-refused", "form.fields button");
    inspector.browser.goto(&hospital.url("/developers/new"));
    inspector.browser.enter_text("#client_name", "Knee pain diary");
    inspector.browser.enter_text("#redirect_uris", "https://diary.example/callback");
    inspector.browser.click("form.fields button");
    inspector.browser.wait_for("#registered");
    inspector.look("developers-client").await;
    inspector.browser.execute("return location.pathname").as_str().unwrap().to_owned()
}

async fn answered(hospital: &Hospital, inspector: &mut Inspector, client: &str) {
    inspector.browser.click("#try ~ article a.second");
    inspector.browser.wait_for("#username");
    sign_in(&inspector.browser, "rosa", PASSWORD);
    inspector.browser.wait_for(CONTINUE);
    inspector.browser.click("input[name=patient][value=theo]");
    inspector.browser.click(CONTINUE);
    inspector.browser.wait_for(ALLOW);
    inspector.browser.click(ALLOW);
    inspector.browser.wait_for("#exchange");
    inspector.look("developers-answer").await;
    inspector.browser.click("form[action='/oauth/token'] button");
    inspector.browser.wait_until("the token answer", || inspector.browser.text("body").contains("access_token"));
    let id = client.rsplit('/').next().unwrap();
    inspector.browser.goto(&hospital.url(&format!("/oauth/authorize?client_id={id}&redirect_uri=https://diary.example/")));
}
