//! The consent screen against apps that pretend: who asks, where it leads, what it had before; and logos from nowhere but here.

use portcullis_oauth::redirect_uri::RedirectUri;
use portcullis_testkit::app::query_value;
use portcullis_testkit::server::PASSWORD;
use portcullis_verifies::verifies;

use crate::fhir::World;

async fn page(app: &portcullis_testkit::App, scope: &str) -> String {
    let at = app.sign_in(&app.authorization_query(scope), "ann", PASSWORD).await;
    assert_eq!(at.page.status, 200, "{}", at.page.text());
    at.page.text()
}

/// A PNG of 32 by 32 pixels with the comment "tracking", in base64url.
const PICTURE: &str = "iVBORw0KGgoAAAANSUhEUgAAACAAAAAgCAYAAABzenr0AAAAEHRFWHRDb21tZW50AHRyYWNraW5niuyeIwAAAC5JREFUeNrtziEBAAAIA7A7Or5_D4iBmZhf\
    pt1PERAQEBAQEBAQEBAQEBAQ-A4cAzToW9dFN6EAAAAASUVORK5CYII";
const SCOPE: &str = "launch/patient patient/Patient.r";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_says_who_registered_the_app_whether_that_is_verified_and_where_it_leads() {
    verifies!("SEED-CARIN-04");
    let world = World::start().await;
    let unverified = page(&world.app, SCOPE).await;
    assert!(unverified.contains("the people who run this server") && unverified.contains("Not verified"));
    assert!(unverified.contains("<code>127.0.0.1:9</code>"), "{unverified}");
    assert!(unverified.contains("Health privacy law, such as HIPAA, may not cover the app afterwards."));
    assert!(!unverified.contains("Look twice") && !unverified.contains("<img"));

    let verified = world.server.add_app_with("verified", SCOPE, |client| client.properties.verified = true).await;
    let text = page(&verified, SCOPE).await;
    assert!(text.contains(">Verified<") && !text.contains("Not verified"));

    let own = world
        .server
        .add_app_with("own", SCOPE, |client| {
            client.properties.dynamic = true;
            client.properties.policy_uri = Some("https://app.example/privacy?x=\"><script>".to_owned());
            client.properties.client_uri = Some("https://\u{430}pple.example/".to_owned());
        })
        .await;
    let text = page(&own, SCOPE).await;
    assert!(text.contains("the app itself. Nobody here looked"), "{text}");
    assert!(text.contains("Privacy policy at app.example") && text.contains("Website at xn--pple-43d.example"), "{text}");
    assert!(!text.contains("<script>"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_as_long_as_one_may_be_passes_every_page_and_each_scope_of_it_can_be_ticked() {
    let world = World::start().await;
    let app = world.server.add_app("long", "launch/patient patient/*.rs", false).await;
    let category = "http://terminology.hl7.org/CodeSystem/observation-category";
    let mut scopes = vec!["launch/patient".to_owned()];
    while app.authorization_query(&scopes.join(" ")).len() < 15 * 1024 {
        scopes.push(format!("patient/Observation.rs?category={category}|part-{}", scopes.len()));
    }
    assert!(scopes.len() > 100, "{}", scopes.len());
    let asked = scopes.join(" ");
    let at = app.sign_in(&app.authorization_query(&asked), "ann", PASSWORD).await;
    assert_eq!(at.page.status, 200, "{}", at.page.text());
    let back = app.consent(&at, &asked.split(' ').collect::<Vec<_>>(), "allow").await;
    let code = query_value(&back, "code").unwrap_or_else(|| panic!("{} {}", back.status, back.text()));
    assert_eq!(app.exchange(&code).await.json()["scope"], asked);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_and_a_host_cannot_look_like_others() {
    let world = World::start().await;
    let host = "xn--pple-43d.example";
    let mut lookalike = world
        .server
        .add_app_with("lookalike", SCOPE, |client| {
            // Registered before such names were refused.
            client.name = "Hospital\u{202E}evil\u{200B}\u{2066} app".to_owned();
            client.redirect_uris = vec![RedirectUri::parse(&format!("https://{host}/callback")).unwrap()];
        })
        .await;
    lookalike.redirect_uri = format!("https://{host}/callback");
    let text = page(&lookalike, SCOPE).await;
    assert!(text.contains("<bdi>Hospitalevil app</bdi>"), "{text}");
    assert!(!text.contains('\u{202E}') && !text.contains('\u{200B}'));
    assert!(text.contains(&format!("<code>{host}</code>")) && text.contains("Look twice"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_logo_is_fetched_once_and_comes_from_this_server_encoded_anew() {
    let world = World::start().await;
    let picture = portcullis_testkit::decode_base64url(PICTURE);
    world.server.keys.publish_file(&picture);
    let (calls, url) = (world.server.keys.calls(), world.server.keys.url());
    let app = world.server.add_app_with("with-logo", SCOPE, |client| client.properties.logo_uri = Some(url.clone())).await;
    let text = page(&app, SCOPE).await;
    let address = text.split("<img src=\"").nth(1).unwrap_or_else(|| panic!("{text}")).split('"').next().unwrap().to_owned();
    assert!(address.starts_with("/static/logo-") && !text.contains("localhost:"), "{address}");
    assert!(page(&app, SCOPE).await.contains(&address));
    assert_eq!(world.server.keys.calls(), calls + 1, "it was fetched once");
    let served = world.server.client.get(&address).send().await;
    assert_eq!((served.status.as_u16(), served.header("content-type")), (200, "image/png"));
    assert_eq!(served.header("cache-control"), "public, max-age=31536000, immutable");
    assert!(!served.body.windows(8).any(|part| part == b"tracking"), "only pixels come through");
    assert_eq!(world.server.client.get("/static/logo-0.png").send().await.status, 404);

    for (name, file) in
        [("html", &b"<html><script>"[..]), ("svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>"), ("large", &[0; 1_100_000])]
    {
        world.server.keys.publish_file(file);
        let other = format!("{url}?{name}");
        let app = world.server.add_app_with(name, SCOPE, |client| client.properties.logo_uri = Some(other)).await;
        assert!(!page(&app, SCOPE).await.contains("<img"), "{name}");
    }
    // An address inside is not asked.
    let inside = "https://127.0.0.1:1/logo.png".to_owned();
    let app = world.server.add_app_with("inside", SCOPE, |client| client.properties.logo_uri = Some(inside)).await;
    assert!(!page(&app, SCOPE).await.contains("<img"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_marks_what_the_app_had_before_and_says_what_a_wildcard_covers() {
    verifies!("SMART-45");
    let world = World::start().await;
    world.app.authorize("launch/patient patient/Patient.r", "ann", PASSWORD).await;
    let text = page(&world.app, "launch/patient patient/Patient.r patient/*.read").await;
    assert_eq!(text.matches("New since last time").count(), 1, "{text}");
    let line =
        |words: &str| text.lines().find(|line| line.contains(words)).unwrap_or_else(|| panic!("{words}: {text}")).to_owned();
    assert!(line("patient/Patient.r").contains("Had before"));
    assert!(line("patient/*.read").contains("New since last time"));
    assert!(line("patient/*.read").contains("that may be added later"));
    assert!(!line("patient/Patient.r\"").contains("later"));
}
