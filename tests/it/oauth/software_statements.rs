//! Software statements (RFC 7591 sections 2.3 and 3.1.1): each rule with a statement that breaks only it, and what people are told of who vouches.

use portcullis_oauth::clients::KeySource;
use portcullis_oauth::software_statement::StatementIssuer;
use portcullis_server::context::{AuthorizationSettings, RegistrationPolicy};
use portcullis_store::Clock as _;
use portcullis_testkit::server::PASSWORD;
use portcullis_testkit::{App, ClientKey, Reply, TestServer};
use portcullis_verifies::verifies;
use serde_json::{Value, json};

use crate::fhir::World;

const ISSUER: &str = "https://vendors.example";
const REDIRECT: &str = "https://growth.example/cb";

struct Vendors {
    world: World,
    key: ClientKey,
}

impl Vendors {
    async fn start(registration: RegistrationPolicy) -> Self {
        let key = ClientKey::generate("vendors-1", "ES256");
        let keys = KeySource::value(&key.jwks().to_string()).unwrap();
        let issuer = StatementIssuer { issuer: ISSUER.into(), name: "Vendors of Health".into(), keys };
        let settings = AuthorizationSettings {
            statement_issuers: vec![issuer],
            registration,
            registrations_per_hour: 100,
            ..Default::default()
        };
        Self { world: World::over(TestServer::start_with(settings).await).await, key }
    }

    fn claims(&self) -> Value {
        let now = self.world.server.clock.now_seconds();
        json!({"iss": ISSUER, "iat": now, "exp": now + 3600, "software_id": "growth", "client_name": "Growth chart",
            "redirect_uris": [REDIRECT]})
    }

    fn with(&self, name: &str, value: Value) -> String {
        let mut claims = self.claims();
        claims[name] = value;
        self.key.sign(&self.key.header(), &claims)
    }

    async fn register(&self, statement: &Value) -> Reply {
        let body = json!({"client_name": "What it likes", "redirect_uris": ["https://evil.example/cb"], "software_statement": statement,
            "scope": "launch/patient patient/Patient.r", "token_endpoint_auth_method": "none"});
        let request = self.world.server.client.post("/oauth/register").header("content-type", "application/json");
        request.bytes(body.to_string()).send().await
    }

    /// The status and the error of a registration.
    async fn refusal(&self, statement: Value) -> (u16, String) {
        let reply = self.register(&statement).await;
        assert_eq!(reply.header("cache-control"), "no-store");
        (reply.status.as_u16(), reply.json()["error"].as_str().unwrap_or_default().to_owned())
    }

    /// The consent screen of a client.
    async fn consent(&self, client_id: &str, redirect_uri: &str) -> String {
        let app = App { client_id: client_id.into(), redirect_uri: redirect_uri.into(), ..self.world.app.clone() };
        let at = app.sign_in(&app.authorization_query("launch/patient patient/Patient.r"), "ann", PASSWORD).await;
        at.page.text()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_that_does_not_hold_or_comes_from_a_stranger_registers_nobody() {
    verifies!("OAUTH-13");
    let vendors = Vendors::start(RegistrationPolicy::Open).await;
    let now = vendors.world.server.clock.now_seconds();
    let invalid = (400, "invalid_software_statement".to_owned());
    let good = vendors.with("x", json!(1));
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let (first, rest) = signature.split_at(1);
    let forged = format!("{signed}.{}{rest}", if first == "A" { "B" } else { "A" });
    let unsigned = "eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL3ZlbmRvcnMuZXhhbXBsZSJ9.";
    let hmac = "eyJhbGciOiJIUzI1NiIsImtpZCI6InZlbmRvcnMtMSJ9.eyJpc3MiOiJodHRwczovL3ZlbmRvcnMuZXhhbXBsZSJ9.AAAA";
    for statement in [
        json!(7),
        json!(""),
        json!("a.b.c"),
        json!(unsigned),
        json!(hmac),
        json!(forged),
        json!(vendors.with("exp", json!(now))),
        json!(vendors.with("exp", json!((now + 60).to_string()))),
        json!(vendors.with("nbf", json!(now + 600))),
        json!(vendors.with("aud", json!("https://elsewhere.example"))),
        json!(vendors.with("iss", json!(7))),
        // Another key of the same name, and none of that name.
        json!(ClientKey::generate("vendors-1", "ES256").sign(&vendors.key.header(), &vendors.claims())),
        json!({ "iss": ISSUER }),
    ] {
        assert_eq!(vendors.refusal(statement.clone()).await, invalid, "{statement}");
    }
    let stranger = vendors.with("iss", json!("https://strangers.example"));
    assert_eq!(vendors.refusal(json!(stranger)).await, (400, "unapproved_software_statement".to_owned()));
    // What it says must be what anybody may register, and gives no entitlement.
    let redirect = vendors.with("redirect_uris", json!(["http://growth.example/cb"]));
    assert_eq!(vendors.refusal(json!(redirect)).await, (400, "invalid_redirect_uri".to_owned()));
    for (name, value) in
        [("verified", json!(true)), ("administrator", json!(true)), ("grant_types", json!(["client_credentials"]))]
    {
        let statement = vendors.with(name, value);
        assert_eq!(vendors.refusal(json!(statement)).await, (400, "invalid_client_metadata".to_owned()), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_statement_takes_precedence_is_told_unmodified_and_the_consent_screen_says_who_vouches() {
    verifies!("OAUTH-13");
    let vendors = Vendors::start(RegistrationPolicy::Open).await;
    let public_url = vendors.world.server.server.settings.public_url.clone();
    let statement = vendors.with("aud", json!(public_url));
    let reply = vendors.register(&json!(statement)).await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    let registered = reply.json();
    assert_eq!((&registered["client_name"], &registered["redirect_uris"]), (&json!("Growth chart"), &json!([REDIRECT])));
    assert_eq!(registered["software_statement"], json!(statement), "unmodified (section 3.2.1)");

    let id = registered["client_id"].as_str().unwrap();
    let text = vendors.consent(id, REDIRECT).await;
    assert!(text.contains("with a statement of <bdi>Vendors of Health</bdi>") && text.contains("Vouched for"), "{text}");
    assert!(!text.contains("Not verified") && !text.contains(">Verified<"));

    // The same statement may come back with an update (RFC 7592); an update without it is the client's own word again.
    let manage = registered["registration_client_uri"].as_str().unwrap().strip_prefix(&public_url).unwrap();
    let token = registered["registration_access_token"].as_str().unwrap();
    let update = async |body: &Value| {
        let request = vendors.world.server.client.request(http::Method::PUT, manage).bearer(token);
        request.header("content-type", "application/json").bytes(body.to_string()).send().await
    };
    let mut body = registered.clone();
    for name in ["client_id_issued_at", "registration_access_token", "registration_client_uri"] {
        body.as_object_mut().unwrap().remove(name);
    }
    assert_eq!(update(&body).await.json()["software_statement"], json!(statement));
    // Time passes, and what the issuer said holds no more.
    vendors.world.server.clock.advance_seconds(3600);
    assert!(vendors.consent(id, REDIRECT).await.contains("Not verified"));
    assert_eq!(update(&body).await.json()["error"], "invalid_software_statement");
    body.as_object_mut().unwrap().remove("software_statement");
    let updated = update(&body).await;
    assert_eq!((updated.status.as_u16(), updated.json().get("software_statement").cloned()), (200, None), "{}", updated.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_a_statement_lets_clients_in_no_update_gets_rid_of_it() {
    let vendors = Vendors::start(RegistrationPolicy::Statement).await;
    let refused = (400, "invalid_software_statement".to_owned());
    assert_eq!(vendors.refusal(Value::Null).await, refused, "here nobody registers without");
    let registered = vendors.register(&json!(vendors.with("x", json!(1)))).await.json();
    let public_url = &vendors.world.server.server.settings.public_url;
    let manage = registered["registration_client_uri"].as_str().unwrap().strip_prefix(public_url.as_str()).unwrap();
    let own_word = json!({"client_name": "What it likes", "redirect_uris": ["https://evil.example/cb"],
        "token_endpoint_auth_method": "none", "scope": "launch/patient patient/Patient.r"});
    let request = vendors.world.server.client.request(http::Method::PUT, manage);
    let request = request.bearer(registered["registration_access_token"].as_str().unwrap());
    let reply = request.header("content-type", "application/json").bytes(own_word.to_string()).send().await;
    assert_eq!(
        (reply.status.as_u16(), reply.json()["error"].as_str().unwrap_or_default().to_owned()),
        refused,
        "{}",
        reply.text()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_vouches_for_an_address_that_the_statement_does_not_name() {
    let vendors = Vendors::start(RegistrationPolicy::Open).await;
    // Whoever has the statement of an app could take its name for an address of his own.
    let reply = vendors.register(&json!(vendors.with("redirect_uris", Value::Null))).await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    let text = vendors.consent(reply.json()["client_id"].as_str().unwrap(), "https://evil.example/cb").await;
    assert!(text.contains("Growth chart") && text.contains("Not verified") && !text.contains("Vendors of Health"), "{text}");
}
