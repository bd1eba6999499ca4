//! What people see who act for others: relatives and clinicians.

use portcullis_oauth::language::Language::{English, Spanish};
use portcullis_testkit::server::PASSWORD;

use super::emergencies;
use super::inspector::Inspector;
use super::people::Hospital;
use super::walk::{ALLOW, CONTINUE, enter, open};

/// Rosa acts for two children; Amy treats thirty people, and Sam nobody yet.
pub async fn way(hospital: &Hospital, inspector: &mut Inspector) {
    let scope = "launch/patient patient/Patient.r patient/Immunization.rs";
    enter(hospital, &inspector.browser, "rosa", PASSWORD).await;
    inspector.browser.goto(&hospital.asks(&hospital.growth, scope));
    inspector.browser.wait_for(CONTINUE);
    inspector.look("patients-few").await;
    enter(hospital, &inspector.browser, "amy", PASSWORD).await;
    inspector.browser.goto(&hospital.asks(&hospital.growth, scope));
    inspector.browser.wait_for(CONTINUE);
    inspector.look("patients-search").await;
    inspector.browser.enter_text("#name", "Nobody of this name");
    inspector.browser.click("button[value=search]");
    inspector.browser.wait_for("main .note");
    inspector.look_once("patients-nobody");
    inspector.browser.goto(&hospital.asks(&hospital.growth, "openid fhirUser user/*.rs user/Observation.cud"));
    inspector.browser.wait_for(ALLOW);
    inspector.look("consent-clinician").await;
    charts(hospital, inspector, scope).await;
    emergencies::way(hospital, inspector).await;
}

fn opened(inspector: &Inspector) {
    inspector.browser.click("input[name=patient][value=maria]");
    inspector.browser.click(CONTINUE);
    inspector.browser.wait_for("#visits");
}

async fn charts(hospital: &Hospital, inspector: &mut Inspector, scope: &str) {
    open(hospital, inspector, "charts", "/ehr").await;
    opened(inspector);
    inspector.look_once("chart");
    inspector.read(Spanish);
    inspector.browser.goto(&hospital.url("/ehr"));
    opened(inspector);
    inspector.look_at_words("chart");
    inspector.read(English);
    open(hospital, inspector, "me-clinician", "/me").await;
    enter(hospital, &inspector.browser, "new", PASSWORD).await;
    open(hospital, inspector, "charts-nobody", "/ehr").await;
    inspector.browser.goto(&hospital.asks(&hospital.growth, scope));
    inspector.browser.wait_for("main .note");
    inspector.look_once("patients-none");
    enter(hospital, &inspector.browser, "rosa", PASSWORD).await;
    open(hospital, inspector, "no-clinician", "/ehr").await;
}
