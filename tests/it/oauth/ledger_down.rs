//! The ledger refuses: whoever asks is told so in the form that it reads, and nothing else.

use portcullis_testkit::app::{cookie, hidden};
use portcullis_testkit::server::PASSWORD;
use serde_json::Value;

use crate::fhir::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_answer_with_a_page_apps_with_an_oauth_error_and_fhir_with_an_outcome() {
    let world = World::start().await;
    let client = &world.server.client;
    let token = world.ann().await;
    let login = client.get("/login").send().await;
    let (form, csrf) = (cookie(&login), hidden(&login, "csrf"));
    world.server.segments.fail();

    let authorize = format!("/oauth/authorize?{}", world.app.authorization_query("launch/patient patient/Patient.r"));
    for path in ["/login", "/me", "/nowhere", authorize.as_str()] {
        let reply = client.get(path).send().await;
        assert_eq!(reply.status, 503, "{path}");
        assert!(reply.header("content-type").starts_with("text/html"), "{path} {}", reply.header("content-type"));
        assert!(reply.text().contains("<h1>We cannot do this right now</h1>"), "{path}");
        assert!(reply.header("content-security-policy").contains("style-src 'self'"), "{path}");
        assert_eq!((reply.header("cache-control"), reply.header("retry-after")), ("no-store", "10"), "{path}");
    }
    let fields = [("csrf", csrf.as_str()), ("return_to", "/me"), ("username", "ann"), ("password", PASSWORD)];
    let signed_in = client.post("/login").header("cookie", &form).form(&fields).send().await;
    assert_eq!(signed_in.status, 503);
    assert!(signed_in.text().contains("<h1>") && !signed_in.headers.contains_key("set-cookie"));

    let redeeming = [("grant_type", "refresh_token"), ("refresh_token", "x")];
    for reply in [world.app.token_request(&redeeming).await, world.app.token_request_to("/oauth/revoke", &[("token", "x")]).await]
    {
        assert_eq!(reply.status, 503);
        assert_eq!(reply.header("content-type"), "application/json");
        assert_eq!(reply.json()["error"], "temporarily_unavailable");
        assert_eq!((reply.header("cache-control"), reply.header("pragma")), ("no-store", "no-cache"));
    }

    let reply = client.get("/fhir/Patient/ann").bearer(&token).send().await;
    assert_eq!((reply.status.as_u16(), reply.header("content-type")), (503, "application/fhir+json; charset=utf-8"));
    assert_eq!(reply.json()["resourceType"], Value::from("OperationOutcome"));
}
