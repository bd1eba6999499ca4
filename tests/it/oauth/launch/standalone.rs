//! Standalone launch: the person chooses a patient and one of the patient's visits.

use portcullis_testkit::app::query_value;
use portcullis_testkit::resources::{encounter, patient};
use portcullis_testkit::server::PASSWORD;
use portcullis_verifies::verifies;
use serde_json::json;

use super::{Ehr, send, told};

const SCOPE: &str = "launch/encounter patient/*.rs";

fn visit(id: &str, patient: &str, day: &str) -> String {
    encounter(id, patient, "who", "hospital").replace("2026-01-05", day)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_that_asks_for_a_visit_gets_the_patient_with_it() {
    verifies!("SMART-43", "SMART-46");
    let ehr = Ehr::start().await;
    // Ann has one visit: nobody is asked.
    let tokens = ehr.app.authorize(SCOPE, "ann", PASSWORD).await;
    assert_eq!((&tokens["patient"], &tokens["encounter"], &tokens["scope"]), (&json!("ann"), &json!("enc-ann"), &json!(SCOPE)));
    assert_eq!(tokens["need_patient_banner"], json!(true));
    let style = tokens["smart_style_url"].as_str().unwrap().to_owned();
    let path = style.strip_prefix(ehr.world.server.server.settings.public_url.as_str()).unwrap();
    let style = ehr.world.server.client.get(path).header("origin", "https://any.example").send().await;
    assert_eq!((style.status.as_u16(), style.header("access-control-allow-origin")), (200, "*"));
    assert_eq!(style.header("content-type"), "application/json");
    assert!(style.json()["color_background"].as_str().unwrap().starts_with('#'));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_visits_are_offered_newest_first_page_by_page() {
    let ehr = Ehr::start().await;
    let visits: Vec<String> = (1..=28).map(|day| visit(&format!("v-{day:02}"), "ann", &format!("2026-02-{day:02}"))).collect();
    ehr.world.server.import(&visits).await;
    let at = ehr.app.sign_in(&ehr.app.authorization_query(SCOPE), "ann", PASSWORD).await;
    let offered = |text: &str| -> Vec<String> {
        text.split("name=\"encounter\" value=\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
    };
    let text = at.page.text();
    assert!(
        text.contains("Which visit is this about?") && text.contains("28 February 2026") && text.contains("Visit to a clinic"),
        "{text}"
    );
    let first = offered(&text);
    assert_eq!((first.len(), first[0].as_str(), first[24].as_str()), (25, "v-28", "v-04"));
    let page = portcullis_testkit::app::hidden(&at.page, "page");
    let later = offered(&send(&ehr, &at, &[("decision", "more"), ("page", &page)]).await.text());
    assert_eq!(later, ["v-03", "v-02", "v-01", "enc-ann"]);
    let forged = send(&ehr, &at, &[("decision", "more"), ("page", "nonsense")]).await;
    assert_eq!((forged.status.as_u16(), offered(&forged.text()).len()), (200, 0));
    let unchosen = send(&ehr, &at, &[("decision", "continue")]).await;
    assert_eq!(offered(&unchosen.text()).len(), 25, "nothing was chosen: the choice is shown again");
    for other in ["enc-bob", "nothing", "../x"] {
        let refused = send(&ehr, &at, &[("decision", "continue"), ("encounter", other)]).await;
        assert_eq!(told(&refused), ("access_denied".to_owned(), "this person may not open that record".to_owned()), "{other}");
    }
    let consent = send(&ehr, &at, &[("decision", "continue"), ("encounter", "v-07")]).await;
    assert!(consent.text().contains("Know which visit you chose"), "{}", consent.text());
    let at = portcullis_testkit::app::AtConsent { cookies: at.cookies, page: consent };
    let back = ehr.app.consent(&at, &["patient/*.rs"], "allow").await;
    let tokens = ehr.app.exchange(&query_value(&back, "code").unwrap()).await.json();
    assert_eq!((&tokens["encounter"], &tokens["scope"]), (&json!("v-07"), &json!(SCOPE)), "what is context cannot be unticked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clinician_chooses_the_patient_and_then_the_visit() {
    let ehr = Ehr::start().await;
    ehr.world.server.import(&[patient("zoe", "Zoe"), visit("z-1", "zoe", "2026-02-01"), visit("z-2", "zoe", "2026-02-02")]).await;
    let at = ehr.app.sign_in(&ehr.app.authorization_query(SCOPE), "who", PASSWORD).await;
    assert!(at.page.text().contains("Whose record is this about?"), "{}", at.page.text());
    let visits = send(&ehr, &at, &[("decision", "continue"), ("patient", "zoe")]).await;
    assert!(
        visits.text().contains("z-1") && visits.text().contains("z-2") && !visits.text().contains("enc-ann"),
        "{}",
        visits.text()
    );
    let at = portcullis_testkit::app::AtConsent { cookies: at.cookies, page: visits };
    let consent = send(&ehr, &at, &[("decision", "continue"), ("encounter", "z-1")]).await;
    let at = portcullis_testkit::app::AtConsent { cookies: at.cookies, page: consent };
    let back = ehr.app.consent(&at, &["patient/*.rs"], "allow").await;
    let tokens = ehr.app.exchange(&query_value(&back, "code").unwrap()).await.json();
    assert_eq!((&tokens["patient"], &tokens["encounter"]), (&json!("zoe"), &json!("z-1")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_any_visit_the_page_says_so_and_the_app_gets_none() {
    let ehr = Ehr::start().await;
    ehr.world.server.import(&[patient("new", "New")]).await;
    ehr.world.server.add_user("new", &[portcullis_oauth::users::Role::Patient], Some("Patient/new"), &["new"]).await;
    let at = ehr.app.sign_in(&ehr.app.authorization_query(SCOPE), "new", PASSWORD).await;
    assert!(at.page.text().contains("There is no visit on record that you may share."), "{}", at.page.text());
    let consent = send(&ehr, &at, &[("decision", "without")]).await;
    let at = portcullis_testkit::app::AtConsent { cookies: at.cookies, page: consent };
    let back = ehr.app.consent(&at, &["patient/*.rs"], "allow").await;
    let tokens = ehr.app.exchange(&query_value(&back, "code").unwrap()).await.json();
    assert_eq!((&tokens["patient"], tokens.get("encounter"), &tokens["scope"]), (&json!("new"), None, &json!("patient/*.rs")));
}
