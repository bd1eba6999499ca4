//! Sensitive requests and `acr_values`: those who have a second factor give it again; those who have none go on.

use portcullis_oauth::totp::TotpSecret;
use portcullis_testkit::Reply;
use portcullis_testkit::app::{hidden, query_value};

use super::{Visitor, in_form};
use crate::fhir::World;

const AAL2: &str = "http%3A%2F%2Fidmanagement.gov%2Fns%2Fassurance%2Faal%2F2";
const WRITING: &str = "launch/patient patient/Observation.cruds";

async fn owner(world: &World) -> (Visitor<'_>, TotpSecret) {
    let mut owner = Visitor::new(world);
    owner.sign_in("ann").await;
    let (secret, _) = owner.add_authenticator().await;
    (owner, secret)
}

fn asks_for_factor(page: &Reply) -> bool {
    page.status == 200 && page.text().contains("This needs a fresh check that it is you.")
}

fn asks_for_consent(page: &Reply) -> bool {
    page.status == 200 && page.text().contains("value=\"allow\"")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sensitive_request_asks_for_the_second_factor_again_after_a_quarter_of_an_hour() {
    let world = World::start().await;
    let (mut owner, secret) = owner(&world).await;
    let path = |scope: &str| format!("/oauth/authorize?{}", world.app.authorization_query(scope));
    assert!(asks_for_consent(&owner.get(&path(WRITING)).await), "it was given a moment ago");
    let open = owner.get(&path(WRITING)).await;
    world.server.clock.advance_seconds(901);
    assert!(asks_for_consent(&owner.get(&path("launch/patient patient/*.rs")).await), "reading is not sensitive");
    let asked = owner.get(&path(WRITING)).await;
    assert!(asks_for_factor(&asked), "{}", asked.text());
    assert!(asks_for_factor(&owner.get(&path("user/*.rs offline_access")).await));
    let before = owner.jar["__Host-portcullis-session"].clone();
    let wrong = owner.second(&asked, "000000").await;
    assert_eq!(wrong.status, 401);
    let field = |name| in_form(&asked, "/login/second", name);
    let forged = [("csrf", "x"), ("pending", ""), ("return_to", &*field("return_to")), ("code", &*world.code(&secret))];
    assert_eq!(owner.post("/login/second", &forged).await.status, 403, "the form of another site");
    let given = owner.second(&asked, &world.code(&secret)).await;
    assert_eq!((given.status.as_u16(), given.header("location")), (303, path(WRITING).as_str()));
    assert_ne!(owner.jar["__Host-portcullis-session"], before, "the cookie is a new one");
    assert!(asks_for_consent(&owner.get(&path(WRITING)).await));
    // A consent screen that was open since before is answered only while the factor counts twice over.
    let allow = |page: &Reply| {
        let (csrf, request) = (hidden(page, "csrf"), hidden(page, "request"));
        vec![("csrf", csrf), ("request", request), ("scope", "patient/Observation.cruds".into()), ("decision", "allow".into())]
    };
    let fields = allow(&open);
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    world.server.clock.advance_seconds(1801);
    let late = owner.post("/consent", &fields).await;
    assert_eq!((late.status.as_u16(), late.header("location")), (303, path(WRITING).as_str()), "back to the request");
    assert!(asks_for_factor(&owner.get(&path(WRITING)).await));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_no_second_factor_is_not_locked_out() {
    let world = World::start().await;
    let mut bob = Visitor::new(&world);
    bob.sign_in("bob").await;
    world.server.clock.advance_seconds(1000);
    let query = world.app.authorization_query(WRITING);
    assert!(asks_for_consent(&bob.get(&format!("/oauth/authorize?{query}&acr_values={AAL2}")).await));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acr_values_are_kept_as_far_as_the_person_can() {
    let world = World::start().await;
    let mut owner = Visitor::new(&world);
    owner.sign_in("ann").await;
    let query = world.app.authorization_query("openid launch/patient patient/Patient.r");
    // Another browser of hers got in before there was a second factor.
    let mut early = Visitor::new(&world);
    early.sign_in("ann").await;
    let (secret, _) = owner.add_authenticator().await;
    assert!(asks_for_consent(&early.get(&format!("/oauth/authorize?{query}")).await));
    assert!(asks_for_consent(&early.get(&format!("/oauth/authorize?{query}&acr_values=unknown")).await));
    let strong = format!("/oauth/authorize?{query}&acr_values=unknown%20{AAL2}");
    let asked = early.get(&strong).await;
    assert!(asks_for_factor(&asked), "{}", asked.text());
    world.server.clock.advance_seconds(30);
    assert_eq!(early.second(&asked, &world.code(&secret)).await.status, 303);
    let consent = early.get(&strong).await;
    assert!(asks_for_consent(&consent));
    let (csrf, request) = (hidden(&consent, "csrf"), hidden(&consent, "request"));
    let fields = [
        ("csrf", csrf.as_str()),
        ("request", &request),
        ("scope", "openid"),
        ("scope", "patient/Patient.r"),
        ("decision", "allow"),
    ];
    assert!(query_value(&early.post("/consent", &fields).await, "code").is_some());
    let too_long = format!("/oauth/authorize?{query}&acr_values={}", "a".repeat(600));
    let reply = early.get(&too_long).await;
    assert!(reply.header("location").contains("error=invalid_request"), "{}", reply.header("location"));
    let none = early.get(&format!("/oauth/authorize?{query}&prompt=none&acr_values=phr")).await;
    assert!(none.header("location").contains("error=consent_required"), "{}", none.header("location"));
}
