//! Clients that authenticate by a name in a certificate of a trusted authority (RFC 8705 section 2.1, `tls_client_auth`).

use std::time::Duration;

use portcullis_oauth::clients::{Client as Registered, ClientKind, GrantType, KeySource};
use portcullis_oauth::identifiers::{ClientId, GrantId};
use portcullis_oauth::scopes::ScopeSet;
use portcullis_server::context::{AuthorizationSettings, RegistrationPolicy};
use portcullis_server::listener::ClientAuthorities;
use portcullis_store::Clock as _;
use portcullis_store::registry::Change;
use portcullis_testkit::TestServer;
use portcullis_testkit::client::{Client, Reply};
use portcullis_verifies::verifies;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType, date_time_ymd,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};

/// A certification authority.
struct Authority {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = Self::parameters(name).self_signed(&key).unwrap().der().clone();
        Self { certificate, issuer: Issuer::new(Self::parameters(name), key) }
    }

    fn parameters(name: &str) -> CertificateParams {
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters
    }

    /// An authority below this one.
    fn below(&self, name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = Self::parameters(name).signed_by(&key, &self.issuer).unwrap().der().clone();
        Self { certificate, issuer: Issuer::new(Self::parameters(name), key) }
    }

    /// A connection that shows a certificate of this authority with all kinds of names.
    fn client(&self, server: &TestServer, change: impl FnOnce(&mut CertificateParams)) -> Client {
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.distinguished_name = rcgen::DistinguishedName::new();
        parameters.distinguished_name.push(DnType::CountryName, "US");
        parameters.distinguished_name.push(DnType::OrganizationName, "Example Health");
        parameters.distinguished_name.push(DnType::CommonName, "Night export");
        parameters.subject_alt_names = vec![
            SanType::DnsName("export.example.org".try_into().unwrap()),
            SanType::URI("https://export.example.org/client".try_into().unwrap()),
            SanType::IpAddress([10, 0, 0, 7].into()),
            SanType::Rfc822Name("export@example.org".try_into().unwrap()),
        ];
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut parameters);
        let key = KeyPair::generate().unwrap();
        let leaf = parameters.signed_by(&key, &self.issuer).unwrap().der().clone();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        server.client.showing_chain(server.mutual_tls_port, Some((vec![leaf, self.certificate.clone()], key)))
    }
}

struct Trusting {
    server: TestServer,
    authority: Authority,
}

impl Trusting {
    async fn start() -> Self {
        let authority = Authority::new("Health CA");
        let mut roots = rustls::RootCertStore::empty();
        roots.add(authority.certificate.clone()).unwrap();
        let client_authorities = Some(ClientAuthorities::of(roots).unwrap());
        let registration = RegistrationPolicy::Open;
        let settings =
            AuthorizationSettings { client_authorities, registration, registrations_per_hour: 20, ..Default::default() };
        Self { server: TestServer::start_with(settings).await, authority }
    }

    /// Registers a client by a name in its certificate.
    async fn register(&self, id: &str, member: &str, name: &str) {
        let mut client = Registered {
            id: ClientId::parse(id).unwrap(),
            name: "Night export".into(),
            kind: ClientKind::ConfidentialAsymmetric {
                registration: GrantId::parse(&format!("registration-{id}")).unwrap(),
                keys: KeySource::none(),
            },
            redirect_uris: Vec::new(),
            scope: ScopeSet::parse("system/*.rs").unwrap(),
            grant_types: vec![GrantType::ClientCredentials],
            created_at: self.server.clock.now_seconds(),
            properties: serde_json::from_value(json!({member: name})).unwrap(),
        };
        client.properties.tls_client_certificate_bound_access_tokens = true;
        client.check().unwrap();
        self.server.change(Change::AddClient(Box::new(client))).await;
    }
}

async fn token(client: &Client, id: &str) -> Reply {
    let fields = [("grant_type", "client_credentials"), ("scope", "system/*.rs"), ("client_id", id)];
    client.post("/oauth/token").form(&fields).send().await
}

fn told(reply: &Reply) -> (u16, String, String) {
    let json = reply.json();
    let text = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
    (reply.status.as_u16(), text("error"), text("error_description"))
}

fn refused(text: &str) -> (u16, String, String) {
    (401, "invalid_client".to_owned(), text.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_does_not_hold_or_is_somebody_elses_authenticates_nobody() {
    verifies!("OAUTH-18");
    let trusting = Trusting::start().await;
    let (server, authority) = (&trusting.server, &trusting.authority);
    trusting.register("export", "tls_client_auth_san_dns", "export.example.org").await;

    let stranger = Authority::new("Health CA");
    let unknown = "no certification authority of this server vouches for the certificate";
    assert_eq!(told(&token(&stranger.client(server, |_| {}), "export").await), refused(unknown));
    let other = |parameters: &mut CertificateParams| {
        parameters.subject_alt_names = vec![SanType::DnsName("import.example.org".try_into().unwrap())];
        // A name of another kind is not a DNS name.
        parameters.distinguished_name.push(DnType::CommonName, "export.example.org");
    };
    let wrong_name = "the certificate does not have the registered name";
    assert_eq!(told(&token(&authority.client(server, other), "export").await), refused(wrong_name));
    let wildcard = |parameters: &mut CertificateParams| {
        parameters.subject_alt_names = vec![SanType::DnsName("*.example.org".try_into().unwrap())];
    };
    assert_eq!(told(&token(&authority.client(server, wildcard), "export").await), refused(wrong_name));
    let serving = |parameters: &mut CertificateParams| {
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    };
    let purpose = "the certificate is not made for client authentication";
    assert_eq!(told(&token(&authority.client(server, serving), "export").await), refused(purpose));
    let early = |parameters: &mut CertificateParams| parameters.not_before = date_time_ymd(2020, 11, 22);
    let not_yet = "the certificate, or one of its chain, is not valid yet";
    assert_eq!(told(&token(&authority.client(server, early), "export").await), refused(not_yet));
    // Its connection outlives the certificate, which counts at the time of each request.
    let short =
        |parameters: &mut CertificateParams| parameters.not_after = date_time_ymd(2020, 11, 21) + Duration::from_secs(11 * 3600);
    let short = authority.client(server, short);
    assert_eq!(token(&short, "export").await.status, 200);
    server.clock.advance_seconds(3601);
    assert_eq!(told(&token(&short, "export").await), refused("the certificate, or one of its chain, has expired"));

    let without = "this client must authenticate by its certificate; use the mtls_endpoint_aliases";
    assert_eq!(told(&token(&server.client, "export").await), refused(without));
    assert_eq!(told(&token(&authority.client(server, |_| {}), "nobody").await).1, "invalid_client");
    let fields = [("grant_type", "client_credentials"), ("scope", "system/*.rs")];
    let basic = authority.client(server, |_| {});
    let basic = basic.post("/oauth/token").header("authorization", "Basic ZXhwb3J0Ong=").form(&fields).send().await;
    assert_eq!(told(&basic), refused("this client must authenticate by its certificate and client_id"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_kind_of_name_authenticates_and_the_token_is_bound_to_the_certificate() {
    verifies!("OAUTH-18");
    let trusting = Trusting::start().await;
    let (server, authority) = (&trusting.server, &trusting.authority);
    for (id, member, name) in [
        ("by-dn", "tls_client_auth_subject_dn", "CN=night export,O=Example Health,C=US"),
        ("by-dns", "tls_client_auth_san_dns", "export.example.org"),
        ("by-uri", "tls_client_auth_san_uri", "https://export.example.org/client"),
        ("by-ip", "tls_client_auth_san_ip", "10.0.0.7"),
        ("by-email", "tls_client_auth_san_email", "export@example.org"),
    ] {
        trusting.register(id, member, name).await;
        let issued = token(&authority.client(server, |_| {}), id).await;
        assert_eq!(issued.status, 200, "{id}: {}", issued.text());
    }
    // A certificate of an authority below the trusted one, and a renewed one: the name counts, not the key.
    let below = authority.below("Clinics CA");
    let client = below.client(server, |_| {});
    let issued = token(&client, "by-dns").await.json();
    let bound = issued["access_token"].as_str().unwrap();
    assert_eq!(client.get("/fhir/Patient/none").bearer(bound).send().await.status, 404);
    assert_eq!(authority.client(server, |_| {}).get("/fhir/Patient/none").bearer(bound).send().await.status, 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_offered_and_registered_only_where_an_authority_is_configured() {
    let trusting = Trusting::start().await;
    let settings =
        AuthorizationSettings { registration: RegistrationPolicy::Open, registrations_per_hour: 20, ..Default::default() };
    let without = TestServer::start_with(settings).await;
    let body = json!({"client_name": "Native", "redirect_uris": ["https://app.example/cb"], "scope": "launch/patient patient/*.rs",
        "token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_san_dns": "export.example.org"});
    let register = async |server: &TestServer, body: &Value| {
        let request = server.client.post("/oauth/register").header("content-type", "application/json");
        request.bytes(body.to_string()).send().await
    };
    for (server, offered) in [(&trusting.server, true), (&without, false)] {
        let document = server.client.get("/.well-known/oauth-authorization-server").send().await.json();
        for endpoint in ["token", "revocation", "introspection"] {
            let methods = document[format!("{endpoint}_endpoint_auth_methods_supported")].as_array().unwrap().clone();
            assert_eq!(methods.contains(&json!("tls_client_auth")), offered, "{endpoint}");
        }
        let reply = register(server, &body).await;
        assert_eq!(reply.status, if offered { 201 } else { 400 }, "{}", reply.text());
    }
    let mut two = body.clone();
    two["tls_client_auth_san_ip"] = json!("10.0.0.7");
    let mut none = body.clone();
    none.as_object_mut().unwrap().remove("tls_client_auth_san_dns");
    for wrong in [two, none] {
        let reply = register(&trusting.server, &wrong).await;
        assert_eq!((reply.status.as_u16(), reply.json()["error"].clone()), (400, json!("invalid_client_metadata")));
    }
}
