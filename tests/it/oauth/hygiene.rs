//! What the security best current practice (RFC 9700) and SMART ask of every exchange: secrets that nobody guesses, a verifier for every app, the issuer in
//! every answer, a server that proves who it is, and nothing that leaves without a person's word.

use std::collections::BTreeSet;

use portcullis_audit::record::{Event, Outcome};
use portcullis_oauth::grant::SecretHash;
use portcullis_server::context::{Borrowed, SystemEntropy};
use portcullis_testkit::app::{VERIFIER, basic, query_value};
use portcullis_testkit::server::PASSWORD;
use portcullis_testkit::{App, Client, Reply};
use portcullis_verifies::verifies;
use serde_json::Value;

use crate::fhir::World;

const SCOPE: &str = "launch/patient offline_access patient/Patient.r";

async fn code(app: &App) -> String {
    let at = app.sign_in(&app.authorization_query(SCOPE), "ann", PASSWORD).await;
    let back = app.consent(&at, &SCOPE.split(' ').collect::<Vec<_>>(), "allow").await;
    query_value(&back, "code").unwrap_or_else(|| panic!("{} {}", back.header("location"), back.text()))
}

fn error(reply: &Reply) -> (u16, String) {
    (reply.status.as_u16(), reply.json()["error"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn codes_and_tokens_are_256_random_bits_and_secrets_cannot_be_tried_for_long() {
    verifies!("OAUTH-07");
    let secrets: BTreeSet<String> =
        (0..1000).map(|_| SecretHash::generate(&mut Borrowed(&SystemEntropy)).0.expose().clone()).collect();
    assert_eq!(secrets.len(), 1000);
    assert!(secrets.iter().all(|secret| secret.len() == 43));
    for place in 0..43 {
        let signs: BTreeSet<u8> = secrets.iter().map(|secret| secret.as_bytes()[place]).collect();
        // 42 signs of six bits, and one of four.
        let expected = if place == 42 { 16 } else { 60 };
        assert!(signs.len() >= expected, "sign {place} has only {} values", signs.len());
    }
    let world = World::start().await;
    let code = code(&world.app).await;
    let tokens = world.app.exchange(&code).await.json();
    assert_eq!((code.len(), tokens["refresh_token"].as_str().unwrap().len()), (43, 43), "they are made that way");

    let shop = world.server.add_app("shop", SCOPE, true).await;
    world.server.clock.advance_seconds(1);
    let mut statuses = Vec::new();
    for attempt in 0..120 {
        let guess = App { secret: Some(format!("guess-{attempt}")), ..shop.clone() };
        statuses.push(guess.token_request(&[("grant_type", "refresh_token"), ("refresh_token", "x")]).await.status.as_u16());
    }
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 100, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 20, "{statuses:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_app_sends_a_challenge_and_shows_its_verifier() {
    verifies!("SMART-14", "OAUTH-15", "OAUTH-24");
    let world = World::start().await;
    let confidential = world.server.add_app("shop", SCOPE, true).await;
    for app in [&world.app, &confidential] {
        let query = app.authorization_query(SCOPE);
        let bare: String = query.split('&').filter(|pair| !pair.starts_with("code_challenge")).collect::<Vec<_>>().join("&");
        let refused = app.client.get(&format!("/oauth/authorize?{bare}")).send().await;
        assert_eq!(query_value(&refused, "error").as_deref(), Some("invalid_request"));
        let redeem = async |code: &str, verifier: &str| {
            let mut fields = vec![("grant_type", "authorization_code"), ("code", code), ("redirect_uri", &app.redirect_uri)];
            fields.push(("code_verifier", verifier));
            error(&app.token_request(&fields).await)
        };
        for (verifier, expected) in [("", "invalid_request"), (&VERIFIER.replace('d', "e"), "invalid_grant")] {
            let code = code(app).await;
            assert_eq!(redeem(&code, verifier).await, (400, expected.to_owned()), "{verifier:?}");
            if expected == "invalid_grant" {
                assert_eq!(redeem(&code, VERIFIER).await, (400, "invalid_grant".to_owned()), "a wrong verifier spends the code");
            }
        }
        assert_eq!(app.exchange(&code(app).await).await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_to_an_app_names_the_issuer_and_no_form_is_sent_on() {
    verifies!("OAUTH-22", "OAUTH-26");
    let world = World::start().await;
    let issuer = world.server.server.settings.public_url.clone();
    let query = world.app.authorization_query(SCOPE);
    let at = world.app.sign_in(&query, "ann", PASSWORD).await;
    let allowed = world.app.consent(&at, &["patient/Patient.r"], "allow").await;
    let at = world.app.sign_in(&query, "ann", PASSWORD).await;
    let denied = world.app.consent(&at, &[], "deny").await;
    let faulty = world.app.client.get(&format!("/oauth/authorize?{query}&prompt=none")).send().await;
    let answers = [(&allowed, None), (&denied, Some("access_denied")), (&faulty, Some("login_required"))];
    for (reply, error) in answers {
        assert_eq!(query_value(reply, "iss").as_deref(), Some(&*issuer), "{error:?}");
        assert_eq!(query_value(reply, "error").as_deref(), error);
        assert_eq!(reply.status, 303, "a 307 would send the form with its password on");
    }
    for path in ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"] {
        let document = world.server.client.get(path).send().await.json();
        assert_eq!(document["authorization_response_iss_parameter_supported"], true, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_checks_knows_whom_it_talks_to() {
    verifies!("BP-02");
    let world = World::start().await;
    let address = world.server.client.address();
    let trusted = [world.server.certificate.clone()];
    assert_eq!(Client::new(address, "localhost", &trusted).get("/health").send().await.status, 200);
    for (name, client) in [
        ("another name", Client::new(address, "elsewhere.example", &trusted)),
        ("nobody is trusted", Client::new(address, "localhost", &[])),
    ] {
        let failure = client.get("/health").try_send().await.err().map(|error| error.to_string());
        assert!(failure.as_ref().is_some_and(|text| text.contains("certificate")), "{name}: {failure:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_halves_of_basic_are_form_encoded_and_no_other_place_takes_a_secret() {
    verifies!("SMART-60");
    let world = World::start().await;
    let app = world.server.add_app("shop", SCOPE, true).await;
    let secret = app.secret.clone().unwrap();
    let all_escaped = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    let fields = [("grant_type", "refresh_token"), ("refresh_token", "x")];
    let with = async |name: &str, secret: &str| {
        let header = basic(name, secret);
        error(&world.server.client.post("/oauth/token").header("authorization", &header).form(&fields).send().await)
    };
    let let_in = (400, "invalid_grant".to_owned());
    assert_eq!(with("shop", &secret).await, let_in);
    assert_eq!(with(&all_escaped("shop"), &all_escaped(&secret)).await, let_in, "RFC 6749 section 2.3.1");
    for wrong in [format!("{secret}:"), format!("{secret}+"), format!("{secret}%20"), format!("{secret}%"), format!(":{secret}")]
    {
        assert_eq!(with("shop", &wrong).await, (401, "invalid_client".to_owned()), "{wrong}");
    }
    let in_body = [fields[0], fields[1], ("client_id", "shop"), ("client_secret", &secret)];
    let reply = world.server.client.post("/oauth/token").form(&in_body).send().await;
    assert_eq!(error(&reply), (401, "invalid_client".to_owned()));
    let document = world.server.client.get("/fhir/.well-known/smart-configuration").send().await.json();
    let methods = document["token_endpoint_auth_methods_supported"].to_string();
    assert!(methods.contains("client_secret_basic") && !methods.contains("client_secret_post"), "{methods}");
}

/// Whether a name is one of a specification's, or says that it is none by being a URI or by two underscores.
fn is_reserved_or_extension(name: &str, reserved: &[&str]) -> bool {
    reserved.contains(&name) || name.contains("://") || name.starts_with("__")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_scope_or_parameter_of_ours_takes_a_name_that_is_not_ours() {
    verifies!("SMART-52");
    let world = World::start().await;
    let document = world.server.client.get("/fhir/.well-known/smart-configuration").send().await.json();
    let plain =
        ["openid", "fhirUser", "profile", "launch", "launch/patient", "launch/encounter", "offline_access", "online_access"];
    for scope in document["scopes_supported"].as_array().unwrap() {
        let scope = scope.as_str().unwrap();
        let is_clinical = ["patient/", "user/", "system/"].iter().any(|context| scope.starts_with(context));
        assert!(is_clinical || is_reserved_or_extension(scope, &plain), "{scope}");
    }
    let parameters = [
        "access_token",
        "token_type",
        "expires_in",
        "scope",
        "refresh_token",
        "id_token",
        "patient",
        "encounter",
        "fhirContext",
        "need_patient_banner",
        "intent",
        "smart_style_url",
        "tenant",
    ];
    let response = world.app.authorize("openid fhirUser launch/patient offline_access patient/*.rs", "ann", PASSWORD).await;
    for name in response.as_object().unwrap().keys() {
        assert!(is_reserved_or_extension(name, &parameters), "{name}");
    }
    // A plain name that nobody defined is none of ours either: it is not registered, and never granted.
    assert!(portcullis_oauth::scopes::Scope::parse("foo").is_err());
    let query = world.app.authorization_query("foo");
    let reply = world.server.client.get(&format!("/oauth/authorize?{query}")).send().await;
    assert_eq!(query_value(&reply, "error").as_deref(), Some("invalid_scope"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_record_leaves_before_its_member_said_yes_and_the_yes_is_recorded() {
    verifies!("SEED-CARIN-01");
    let world = World::start().await;
    let app = &world.app;
    let client = &world.server.client;
    let read = async |token: &str| client.get("/fhir/Patient/ann").bearer(token).send().await.status.as_u16();
    let consents = |outcome: Outcome| {
        let records = world.server.records();
        records.iter().filter(|record| record.event == Event::Consent && record.outcome == outcome).count()
    };
    assert_eq!(client.get("/fhir/Patient/ann").send().await.status, 401);
    // Signing in gives a page that asks, and no code; no earlier yes answers for her.
    for _ in 0..2 {
        let at = app.sign_in(&app.authorization_query(SCOPE), "ann", PASSWORD).await;
        assert!(at.page.status == 200 && at.page.text().contains("value=\"allow\""), "{}", at.page.text());
        let cookies = &at.cookies;
        let again = client.get(&format!("/oauth/authorize?{}&prompt=none", app.authorization_query(SCOPE)));
        let silent = again.header("cookie", cookies).send().await;
        assert_eq!(query_value(&silent, "error").as_deref(), Some("consent_required"));
        let before = consents(Outcome::Success);
        let code = query_value(&app.consent(&at, &["patient/Patient.r"], "allow").await, "code").unwrap();
        assert_eq!(consents(Outcome::Success), before + 1);
        let token = app.exchange(&code).await.json();
        assert_eq!(read(token["access_token"].as_str().unwrap()).await, 200);
    }
    let at = app.sign_in(&app.authorization_query(SCOPE), "ann", PASSWORD).await;
    let back = app.consent(&at, &[], "deny").await;
    assert_eq!((query_value(&back, "error").as_deref(), query_value(&back, "code")), (Some("access_denied"), None));
    // What she left out is not shared.
    let scope = "launch/patient patient/Observation.rs patient/Patient.r";
    let at = app.sign_in(&app.authorization_query(scope), "ann", PASSWORD).await;
    let code = query_value(&app.consent(&at, &["patient/Observation.rs"], "allow").await, "code").unwrap();
    let token: Value = app.exchange(&code).await.json();
    assert_eq!(read(token["access_token"].as_str().unwrap()).await, 403);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_token_that_nobody_used_ends_and_each_access_token_is_for_this_fhir_server_alone() {
    verifies!("OAUTH-25");
    let world = World::start().await;
    let first = world.app.exchange(&code(&world.app).await).await.json();
    let claims = portcullis_testkit::decode_base64url(first["access_token"].as_str().unwrap().split('.').nth(1).unwrap());
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!((&claims["aud"], &claims["scope"]), (&Value::from(world.server.fhir_base.as_str()), &Value::from(SCOPE)));
    let idle = portcullis_oauth::grant::REFRESH_IDLE_LIFETIME_SECONDS;
    // A use in time starts the time anew.
    world.server.clock.advance_seconds(idle - 1);
    let refresh = async |token: &Value| {
        let fields = [("grant_type", "refresh_token"), ("refresh_token", token["refresh_token"].as_str().unwrap())];
        world.app.token_request(&fields).await
    };
    let second = refresh(&first).await;
    assert_eq!(second.status, 200, "{}", second.text());
    world.server.clock.advance_seconds(idle);
    assert_eq!(error(&refresh(&second.json()).await), (400, "invalid_grant".to_owned()));
}
