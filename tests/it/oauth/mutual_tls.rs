//! Certificates of clients (RFC 8705): the port that asks for them, authentication by them, and tokens that are bound to them.

use portcullis_store::Clock as _;
use portcullis_testkit::ClientKey;
use portcullis_testkit::backend::ASSERTION_TYPE;
use portcullis_testkit::client::{Client, Reply};
use portcullis_verifies::verifies;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};

use crate::fhir::{SCOPE, World};

const ANN: &str = "/fhir/Patient/ann";

/// A self-signed certificate with its key, as PKCS#8.
struct Identity {
    certificate: CertificateDer<'static>,
    key: Vec<u8>,
}

impl Identity {
    fn new() -> Self {
        let issued = rcgen::generate_simple_self_signed(vec!["client.example".to_owned()]).unwrap();
        Self { certificate: issued.cert.der().clone(), key: issued.signing_key.serialize_der() }
    }

    fn client(&self, world: &World) -> Client {
        let key = PrivateKeyDer::try_from(self.key.clone()).unwrap();
        world.server.client.showing(world.server.mutual_tls_port, Some((self.certificate.clone(), key)))
    }
}

async fn token(client: &Client, client_id: &str) -> Reply {
    let fields = [("grant_type", "client_credentials"), ("scope", "system/*.rs"), ("client_id", client_id)];
    client.post("/oauth/token").form(&fields).send().await
}

fn told(reply: &Reply) -> (u16, String, String) {
    let json = reply.json();
    let text = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
    (reply.status.as_u16(), text("error"), text("error_description"))
}

fn claims(token: &str) -> Value {
    serde_json::from_slice(&portcullis_jose::base64url::decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_authenticates_by_its_registered_certificate_and_its_token_works_over_no_other() {
    verifies!("OAUTH-18");
    let world = World::start().await;
    let (own, other) = (Identity::new(), Identity::new());
    world.server.add_certified("machine", "system/*.rs", &own.certificate).await;
    let issued = token(&own.client(&world), "machine").await;
    assert_eq!((issued.status.as_u16(), issued.json()["token_type"].as_str()), (200, Some("Bearer")), "{}", issued.text());
    let token_text = issued.json()["access_token"].as_str().unwrap().to_owned();
    let thumbprint = portcullis_jose::digest::sha256_base64url(&own.certificate);
    assert_eq!(claims(&token_text)["cnf"], json!({"x5t#S256": thumbprint}));
    assert_eq!(own.client(&world).get(ANN).bearer(&token_text).send().await.status, 200);

    // Stolen, it is worth nothing: over the port for browsers, or with another certificate.
    for client in [world.server.client.clone(), other.client(&world)] {
        let stolen = client.get(ANN).bearer(&token_text).send().await;
        assert_eq!(stolen.status, 401);
        let challenge = "Bearer realm=\"fhir\", error=\"invalid_token\", error_description=\"Not confirmed: the token is bound to another certificate\"";
        assert_eq!(stolen.header("www-authenticate"), challenge);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_wrong_way_to_authenticate_with_a_certificate_has_its_error() {
    verifies!("OAUTH-18");
    let world = World::start().await;
    let (own, other) = (Identity::new(), Identity::new());
    world.server.add_certified("machine", "system/*.rs", &own.certificate).await;
    let refused = |text: &str| (401, "invalid_client".to_owned(), text.to_owned());
    assert_eq!(
        told(&token(&other.client(&world), "machine").await),
        refused("the certificate is not the x5c of a registered key")
    );
    let without = token(&world.server.client, "machine").await;
    assert_eq!(told(&without), refused("this client must authenticate by its certificate; use the mtls_endpoint_aliases"));
    // A certificate is no credential of somebody who registered none, and nobody else's name comes with it.
    assert_eq!(told(&token(&own.client(&world), "stranger").await).1, "invalid_client");
    let basic = own.client(&world);
    let fields = [("grant_type", "client_credentials"), ("scope", "system/*.rs")];
    let basic = basic.post("/oauth/token").header("authorization", "Basic bWFjaGluZTp4").form(&fields).send().await;
    assert_eq!(told(&basic), refused("this client must authenticate by its certificate and client_id"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_port_for_mutual_tls_takes_no_connection_without_a_certificate_and_the_other_asks_for_none() {
    let world = World::start().await;
    let bare = world.server.client.showing(world.server.mutual_tls_port, None);
    assert!(bare.get("/health").try_send().await.is_err());
    assert_eq!(world.server.client.get("/health").send().await.status, 200);
    assert_eq!(Identity::new().client(&world).get("/health").send().await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_claims_a_certificate_in_a_header_has_none() {
    verifies!("OAUTH-19");
    let world = World::start().await;
    let own = Identity::new();
    world.server.add_certified("machine", "system/*.rs", &own.certificate).await;
    let issued = token(&own.client(&world), "machine").await.json();
    let bound = issued["access_token"].as_str().unwrap();
    let text = portcullis_testkit::app::standard_base64(&own.certificate);
    let hash = portcullis_jose::digest::sha256_base64url(&own.certificate);
    let fields = [("grant_type", "client_credentials"), ("scope", "system/*.rs"), ("client_id", "machine")];
    let other = Identity::new().client(&world);
    for (name, value) in [
        ("x-forwarded-client-cert", format!("Hash={hash};Cert=\"{text}\"")),
        ("client-cert", format!(":{text}:")),
        ("x-client-cert", text.clone()),
        ("x-ssl-client-cert", text.clone()),
        ("ssl-client-cert", text.clone()),
        ("x-forwarded-tls-client-cert", text.clone()),
    ] {
        for client in [&world.server.client, &other] {
            let read = client.get(ANN).bearer(bound).header(name, &value).send().await;
            assert_eq!(read.status, 401, "{name}");
            let asked = client.post("/oauth/token").header(name, &value).form(&fields).send().await;
            assert_eq!((asked.status.as_u16(), told(&asked).1.as_str()), (401, "invalid_client"), "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_public_app_that_is_registered_for_it_gets_bound_tokens_over_the_mutual_port_alone() {
    let world = World::start().await;
    let own = Identity::new();
    let app =
        world.server.add_app_with("native", SCOPE, |client| client.properties.tls_client_certificate_bound_access_tokens = true);
    let app = app.await;
    let code = portcullis_testkit::dpop::code(&app, "launch/patient offline_access patient/Patient.rs", "ann", &[]).await;
    let refused = app.exchange(&code).await;
    assert_eq!(told(&refused).2, "this client's tokens are bound to its certificate: use the mtls_endpoint_aliases");
    let over = portcullis_testkit::app::App { client: own.client(&world), ..app.clone() };
    let issued = over.exchange(&code).await.json();
    let bound = issued["access_token"].as_str().unwrap();
    assert_eq!(world.server.client.get(ANN).bearer(bound).send().await.status, 401);
    assert_eq!(own.client(&world).get(ANN).bearer(bound).send().await.status, 200);
    let refreshing = [("grant_type", "refresh_token"), ("refresh_token", issued["refresh_token"].as_str().unwrap())];
    let thief = portcullis_testkit::app::App { client: Identity::new().client(&world), ..app };
    assert_eq!(told(&thief.token_request(&refreshing).await).1, "invalid_grant", "the refresh token is bound, too");
    assert_eq!(over.token_request(&refreshing).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metadata_names_the_other_port() {
    let world = World::start().await;
    let document = world.server.client.get("/.well-known/oauth-authorization-server").send().await.json();
    let base = format!("https://localhost:{}", world.server.mutual_tls_port);
    assert_eq!(document["mtls_endpoint_aliases"]["token_endpoint"], format!("{base}/oauth/token"));
    assert_eq!(document["tls_client_certificate_bound_access_tokens"], true);
    let methods = document["token_endpoint_auth_methods_supported"].as_array().unwrap();
    assert!(methods.contains(&json!("self_signed_tls_client_auth")));
    assert!(!methods.contains(&json!("tls_client_auth")), "no authority vouches for a client");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_assertion_may_be_for_the_token_endpoint_of_this_port_and_for_no_other_path_of_it() {
    let world = World::start().await;
    let scope = "launch/patient patient/*.rs";
    let (app, signer) = world.server.add_signing_app("signer", scope, ClientKey::generate("key-1", "ES384")).await;
    let (base, public) = (world.server.mutual_tls_port, &world.server.server.settings.public_url);
    let base = format!("https://localhost:{base}");
    let asked = std::sync::atomic::AtomicU32::new(0);
    let over = Identity::new().client(&world);
    let ask = async |client: &Client, path: &str, audience: &str| {
        let number = asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let mut claims = signer.claims(world.server.clock.now_seconds(), &format!("jti-{number}"));
        claims["aud"] = json!(audience);
        let query = app.authorization_query(scope);
        let mut fields: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        fields.push(("client_assertion_type".into(), ASSERTION_TYPE.into()));
        fields.push(("client_assertion".into(), signer.key.sign(&signer.key.header(), &claims)));
        fields.push(("grant_type".into(), "refresh_token".into()));
        fields.push(("refresh_token".into(), "unknown".into()));
        fields.push(("token".into(), "unknown".into()));
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let reply = client.post(path).form(&fields).send().await;
        (reply.status.as_u16(), told(&reply).1)
    };
    let (token, par) = ("/oauth/token", "/oauth/par");
    let (wrong, right) = ((401, "invalid_client".to_owned()), (400, "invalid_grant".to_owned()));
    for path in ["", "/oauth/introspect", par, "/oauth/token/"] {
        assert_eq!(ask(&over, token, &format!("{base}{path}")).await, wrong, "{path}");
    }
    for client in [&world.server.client, &over] {
        assert_eq!(ask(client, token, &format!("{base}{token}")).await, right);
        assert_eq!(ask(client, token, &format!("{public}{token}")).await, right);
        // The endpoint for pushed requests takes its own address, too (RFC 9126 section 2), and no other endpoint does.
        assert_eq!(ask(client, token, &format!("{public}{par}")).await, wrong);
        assert_eq!(ask(client, "/oauth/revoke", &format!("{public}/oauth/revoke")).await, wrong);
        for audience in [format!("{public}{par}"), format!("{base}{par}"), format!("{base}{token}"), public.clone()] {
            assert_eq!(ask(client, par, &audience).await.0, 201, "{audience}");
        }
    }
}
