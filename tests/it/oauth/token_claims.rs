//! What an id_token says, and what a record says of a code that came from the wrong client.

use portcullis_audit::record::{Event, Outcome};
use portcullis_testkit::app::query_value;
use portcullis_testkit::server::PASSWORD;
use serde_json::Value;

use crate::fhir::{SCOPE, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_token_names_the_person_only_as_far_as_the_scopes_go() {
    let world = World::start().await;
    for (scope, fhir_user, name) in [
        ("openid launch/patient patient/Patient.r", false, false),
        ("openid fhirUser launch/patient patient/Patient.r", true, false),
        ("openid profile launch/patient patient/Patient.r", false, true),
    ] {
        let issued = world.app.authorize(scope, "ann", PASSWORD).await;
        let payload = issued["id_token"].as_str().unwrap().split('.').nth(1).unwrap();
        let claims: Value = serde_json::from_slice(&portcullis_jose::base64url::decode(payload).unwrap()).unwrap();
        assert_eq!((claims.get("fhirUser").is_some(), claims.get("name").is_some()), (fhir_user, name), "{scope}: {claims}");
        assert!(claims["sub"].is_string(), "{claims}");
    }
    let without = world.app.authorize("launch/patient patient/Patient.r", "ann", PASSWORD).await;
    assert!(without.get("id_token").is_none(), "{without}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_record_of_a_code_that_another_client_presents_names_nobody_whose_code_it_is() {
    let world = World::start().await;
    let other = world.server.add_app("other", SCOPE, false).await;
    let scope = "launch/patient patient/Patient.r";
    let at = world.app.sign_in(&world.app.authorization_query(scope), "ann", PASSWORD).await;
    let back = world.app.consent(&at, &scope.split(' ').collect::<Vec<_>>(), "allow").await;
    let code = query_value(&back, "code").unwrap();
    assert_eq!(other.exchange(&code).await.json()["error"], "invalid_grant");
    let records = world.server.records();
    let denied = |record: &&portcullis_audit::record::Record| record.event == Event::Token && record.outcome == Outcome::Denied;
    let record = records.iter().rfind(denied).unwrap();
    assert_eq!((record.agent.client.as_deref(), record.agent.user.as_deref()), (Some("other"), None), "{record:?}");
    assert_eq!(world.app.exchange(&code).await.status, 400, "and the code is spent");
}
