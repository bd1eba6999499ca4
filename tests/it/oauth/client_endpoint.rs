//! What holds at every endpoint at which clients authenticate.

use portcullis_store::Clock;
use portcullis_testkit::app::{VERIFIER, query_value};
use portcullis_testkit::backend::{ASSERTION_TYPE, ClientKey};
use portcullis_testkit::server::PASSWORD;
use portcullis_verifies::verifies;

use crate::fhir::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_assertion_is_spent_also_where_what_was_asked_for_conflicts_or_changes_nothing() {
    verifies!("SMART-56");
    let world = World::start().await;
    let scope = "launch/patient patient/Patient.r";
    let (app, signer) = world.server.add_signing_app("signer", scope, ClientKey::generate("k", "ES384")).await;
    let at = app.sign_in(&app.authorization_query(scope), "ann", PASSWORD).await;
    let back = app.consent(&at, &scope.split(' ').collect::<Vec<_>>(), "allow").await;
    let code = query_value(&back, "code").unwrap();
    // Ann takes the access back before the app comes with its code.
    let page = world.server.client.get("/me").header("cookie", &at.cookies).send().await;
    let (csrf, grant) = (portcullis_testkit::app::hidden(&page, "csrf"), portcullis_testkit::app::hidden(&page, "grant"));
    let fields = [("csrf", csrf.as_str()), ("grant", grant.as_str())];
    assert_eq!(world.server.client.post("/me/revoke").header("cookie", &at.cookies).form(&fields).send().await.status, 303);

    let post = |path: &'static str, mut fields: Vec<(&'static str, String)>, id: &str| {
        fields.push(("client_assertion_type", ASSERTION_TYPE.to_owned()));
        fields.push(("client_assertion", signer.assertion(world.server.clock.now_seconds(), id)));
        let client = world.server.client.clone();
        async move {
            let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let reply = client.post(path).form(&fields).send().await;
            let error = if reply.body.is_empty() { None } else { reply.json()["error"].as_str().map(str::to_owned) };
            (reply.status.as_u16(), error.unwrap_or_default())
        }
    };
    let redeem = |verifier: &str| {
        vec![
            ("grant_type", "authorization_code".to_owned()),
            ("code", code.clone()),
            ("redirect_uri", app.redirect_uri.clone()),
            ("code_verifier", verifier.to_owned()),
        ]
    };
    let nonsense = || vec![("token", "nonsense".to_owned())];
    let invalid = |status, error: &str| (status, error.to_owned());
    // A wrong verifier spends the code, which cannot be spent any more, since its grant has ended.
    assert_eq!(post("/oauth/token", redeem(&VERIFIER.replace('d', "e")), "1").await, invalid(400, "invalid_grant"));
    assert_eq!(post("/oauth/revoke", nonsense(), "1").await, invalid(401, "invalid_client"), "spent with the conflict");
    assert_eq!(post("/oauth/revoke", nonsense(), "2").await, invalid(200, ""));
    assert_eq!(post("/oauth/token", redeem(VERIFIER), "2").await, invalid(401, "invalid_client"), "spent with nothing");
    assert_eq!(
        post("/oauth/token", vec![("grant_type", "client_credentials".to_owned()), ("scope", "x".to_owned())], "3").await,
        invalid(400, "unauthorized_client")
    );
    assert_eq!(post("/oauth/revoke", nonsense(), "3").await, invalid(401, "invalid_client"), "spent with a refusal");
}
