//! What apps ask for, and the demo app with what it got.

use portcullis_testkit::server::PASSWORD;

use super::inspector::Inspector;
use super::people::Hospital;
use super::walk::{ALLOW, enter};

/// Maria is asked by an app that is known, by one that nobody knows, and by the demo app.
pub async fn way(hospital: &Hospital, inspector: &mut Inspector) {
    enter(hospital, &inspector.browser, "maria", PASSWORD).await;
    asked(hospital, inspector).await;
    in_the_demo_app(hospital, inspector).await;
}

async fn asked(hospital: &Hospital, inspector: &mut Inspector) {
    let scope = "launch/patient openid fhirUser offline_access patient/Patient.r patient/Observation.rs patient/Condition.rs \
        patient/MedicationRequest.rs patient/Encounter.rs patient/ExplanationOfBenefit.rs patient/Observation.rs?code=1|2&x=3 patient/Nothing.rs";
    inspector.browser.goto(&hospital.asks(&hospital.growth, scope));
    inspector.browser.wait_for(ALLOW);
    assert!(inspector.browser.shows(".logo img"));
    assert!(inspector.browser.shows("code.scope"), "what is left out is named");
    inspector.look("consent").await;
    let scope = "launch/patient online_access patient/Patient.r patient/Observation.cud patient/*.cruds";
    inspector.browser.goto(&hospital.asks(&hospital.meals, scope));
    inspector.browser.wait_for(ALLOW);
    assert!(inspector.browser.shows(".tag.warn"));
    inspector.look_once("consent-unverified");
    inspector.browser.execute("for (const box of document.querySelectorAll('input[type=checkbox]:checked')) box.click()");
    inspector.look_once("consent-nothing");
    inspector.look_in_spanish("consent-unverified").await;
    // What ends before anybody is asked leads nowhere by itself.
    inspector.browser.goto(&hospital.asks(&hospital.meals, "nothing/here"));
    inspector.browser.wait_for("a[rel=noreferrer]");
    inspector.look("going-back").await;
    inspector.browser.goto(&hospital.asks(&hospital.growth, "launch/patient launch/encounter patient/Encounter.rs"));
    inspector.browser.wait_for("input[name=encounter]");
    inspector.look("visits").await;
}

async fn in_the_demo_app(hospital: &Hospital, inspector: &mut Inspector) {
    let browser = &inspector.browser;
    browser.goto(&hospital.app_url);
    browser.wait_until("the button can be pressed", || {
        browser.execute(
            "return document.getElementById('connect').checkVisibility() && !document.getElementById('connect').disabled",
        ) == true
    });
    inspector.look_once("app-first");
    inspector.browser.click("#connect");
    inspector.browser.wait_for(ALLOW);
    inspector.look("consent-demo").await;
    inspector.browser.click(ALLOW);
    inspector.browser.wait_for("#record[data-state=loaded]");
    inspector.look_once("app-record");
    inspector.browser.click("#developer summary");
    inspector.browser.enter_text("#other-id", "theo");
    inspector.browser.click("#try-other");
    inspector.browser.wait_for("#other-answer[data-status='404']");
    inspector.look_once("app-other-patient");
    inspector.browser.goto(&format!("{}/callback?code=x&state=guessed&iss={}", hospital.app_url, hospital.url("")));
    inspector.browser.wait_for("#problem");
    inspector.look_once("app-problem");
}
