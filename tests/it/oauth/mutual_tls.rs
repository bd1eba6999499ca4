//! Certificates of clients (RFC 8705): the port that asks for them, authentication by them, and tokens that are bound to them.

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
    assert!(!methods.contains(&json!("tls_client_auth")), "what is not built is not promised: no authority vouches for a client");
}
