//! The patient picker: looking for a name, going on to the next page, and whose records are offered.

use portcullis_oauth::users::Role;
use portcullis_testkit::app::{AtConsent, hidden, query_value};
use portcullis_testkit::resources::{encounter, patient};
use portcullis_testkit::server::PASSWORD;
use portcullis_testkit::{App, Reply};

use crate::fhir::World;

const SCOPE: &str = "launch/patient patient/Patient.r";

/// Sends the picker's form.
async fn send(world: &World, at: &AtConsent, more: &[(&str, &str)]) -> Reply {
    let (csrf, request) = (hidden(&at.page, "csrf"), hidden(&at.page, "request"));
    let fields: Vec<(&str, &str)> = [&[("csrf", csrf.as_str()), ("request", request.as_str())], more].concat();
    world.server.client.post("/consent").header("cookie", &at.cookies).form(&fields).send().await
}

fn offered(page: &Reply) -> usize {
    page.text().matches("type=\"radio\"").count()
}

/// Sixty patients of Dr. Who: `Test A00` to `Test A59`.
async fn crowded() -> World {
    let world = World::start().await;
    for number in 0..60 {
        let id = format!("crowd-{number:02}");
        let body = [patient(&id, &format!("A{number:02}")), encounter(&format!("enc-{id}"), &id, "who", "hospital")];
        world.server.import(&body).await;
    }
    world
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clinician_with_many_patients_goes_through_pages_and_finds_a_name() {
    let world = crowded().await;
    let at = world.app.sign_in(&world.app.authorization_query(SCOPE), "who", PASSWORD).await;
    assert_eq!(offered(&at.page), 25);
    assert!(at.page.text().contains("Test A00") && at.page.text().contains("born 1 January 1970"), "{}", at.page.text());

    let mut seen = offered(&at.page);
    let mut page = send(&world, &at, &[("decision", "more"), ("page", &hidden(&at.page, "page"))]).await;
    while page.text().contains("name=\"page\"") {
        seen += offered(&page);
        page = send(&world, &at, &[("decision", "more"), ("page", &hidden(&page, "page"))]).await;
    }
    assert_eq!(seen + offered(&page), 61, "sixty, and Ann");

    let found = send(&world, &at, &[("decision", "search"), ("name", "test a5")]).await;
    assert_eq!(offered(&found), 10, "{}", found.text());
    assert!(found.text().contains("value=\"test a5\""), "what was looked for stays in the field");
    let none = send(&world, &at, &[("decision", "search"), ("name", "Bob")]).await;
    assert_eq!(offered(&none), 0);
    assert!(none.text().contains("Nobody here matches “<bdi>Bob</bdi>”"), "{}", none.text());
    let odd = send(&world, &at, &[("decision", "search"), ("name", "a,b|$\\ <x>")]).await;
    assert_eq!((odd.status.as_u16(), offered(&odd)), (200, 0));
    let forged = send(&world, &at, &[("decision", "more"), ("page", "nonsense")]).await;
    assert_eq!((forged.status.as_u16(), offered(&forged)), (200, 0));

    let consent = send(&world, &at, &[("decision", "continue"), ("patient", "crowd-57")]).await;
    assert!(consent.text().contains("<bdi>Test A57</bdi>"), "{}", consent.text());
    let unchosen = send(&world, &at, &[("decision", "continue")]).await;
    assert_eq!(offered(&unchosen), 25, "nothing was chosen: the choice is shown again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_may_open_no_record_is_told_so_and_the_app_gets_nothing() {
    let world = World::start().await;
    world.server.add_user("new", &[Role::Clinician], Some("Practitioner/new"), &[]).await;
    for username in ["new", "audit"] {
        let at = world.app.sign_in(&world.app.authorization_query(SCOPE), username, PASSWORD).await;
        assert_eq!((at.page.status.as_u16(), offered(&at.page)), (200, 0), "{}", at.page.text());
        assert!(at.page.text().contains("There is no record that you may share."), "{}", at.page.text());
        assert!(!at.page.text().contains("value=\"continue\"") && at.page.text().contains("value=\"deny\""));
        let again = send(&world, &at, &[("decision", "continue")]).await;
        assert!(again.text().contains("There is no record that you may share."), "{}", again.text());
        // No, yes to nobody, and what no form of ours says.
        for more in [
            &[("decision", "deny")][..],
            &[("decision", "allow"), ("scope", "patient/Patient.r")],
            &[("decision", "continue"), ("patient", "ann")],
            &[("decision", "allow"), ("patient", "ann"), ("scope", "patient/Patient.r")],
        ] {
            let back = send(&world, &at, more).await;
            assert_eq!(query_value(&back, "error").as_deref(), Some("access_denied"), "{more:?}: {}", back.text());
            assert!(query_value(&back, "code").is_none());
        }
        let unseen = format!("{}&prompt=none", world.app.authorization_query(SCOPE));
        let silent = world.server.client.get(&format!("/oauth/authorize?{unseen}")).header("cookie", &at.cookies).send().await;
        assert_eq!(query_value(&silent, "error").as_deref(), Some("consent_required"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clinician_who_is_a_patient_too_chooses_between_both() {
    let world = World::start().await;
    world.server.add_user("both", &[Role::Clinician, Role::Patient], Some("Practitioner/who"), &["bob"]).await;
    let at = world.app.sign_in(&world.app.authorization_query(SCOPE), "both", PASSWORD).await;
    assert_eq!(offered(&at.page), 2);
    assert!(at.page.text().contains("Test Ann") && at.page.text().contains("Test Bob"), "{}", at.page.text());
    for id in ["ann", "bob"] {
        let consent = send(&world, &at, &[("decision", "continue"), ("patient", id)]).await;
        let back =
            world.app.consent(&AtConsent { cookies: at.cookies.clone(), page: consent }, &["patient/Patient.r"], "allow").await;
        let token = world.app.exchange(&query_value(&back, "code").unwrap()).await.json();
        assert_eq!(token["patient"], id);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_scope_about_a_patient_there_is_no_patient_in_context_whatever_the_form_says() {
    let world = World::start().await;
    let app: &App = &world.app;
    let scope = "openid user/Patient.r";
    let query = app.authorization_query(&scope.replace("user/Patient.r", "user/*.cruds"));
    let at = app.sign_in(&query, "ann", PASSWORD).await;
    let csrf = hidden(&at.page, "csrf");
    let request = format!("bob\n{query}");
    let fields = [
        ("csrf", csrf.as_str()),
        ("request", request.as_str()),
        ("scope", "openid"),
        ("scope", "user/*.cruds"),
        ("decision", "allow"),
    ];
    let back = world.server.client.post("/consent").header("cookie", &at.cookies).form(&fields).send().await;
    let token = app.exchange(&query_value(&back, "code").unwrap()).await.json();
    assert!(token["access_token"].is_string());
    assert_eq!(token.get("patient"), None, "{token}");
}
