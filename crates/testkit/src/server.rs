//! A whole server in this process, on a free loopback port, over a real SQLite file and a real ledger.

use std::net::SocketAddr;
use std::sync::Arc;

use portcullis_audit::record::Record;
use portcullis_audit::{Ledger, OperationEntry, PendingRecord, UnfinishedRecord};
use portcullis_backends::SqliteStore;
use portcullis_backends::sqlite::{AuditIndex, AuditedStore, RootKey, SqliteRegistry};
use portcullis_fhir::json::{self, Value};
use portcullis_fhir::labels::Classifier;
use portcullis_fhir::reference::LocalReference;
use portcullis_fhir::resource::Resource;
use portcullis_fhir::types::LogicalId;
use portcullis_fhir::version::NewVersion;
use portcullis_jose::{Algorithm, Secret, SigningKey};
use portcullis_oauth::clients::{Client as OauthClient, ClientKind, ClientSecretHash, GrantType, KeySource};
use portcullis_oauth::federation::Provider;
use portcullis_oauth::identifiers::{ClientId, GrantId, UserId};
use portcullis_oauth::key_ring::KeyRing;
use portcullis_oauth::principal::{Operator, OperatorOperation, Principal};
use portcullis_oauth::redirect_uri::RedirectUri;
use portcullis_oauth::scopes::ScopeSet;
use portcullis_oauth::users::{Role, User};
use portcullis_outbound::{ExemptHost, Outbound, Trust};
use portcullis_policy::{Decision, DecisionId, Operation, PermittedOperation, WriteSet, decide};
use portcullis_server::authorization_server::accounts::federation::Federation;
use portcullis_server::authorization_server::accounts::password::Passwords;
use portcullis_server::authorization_server::authorization::logos::Logos;
use portcullis_server::authorization_server::clients::client_keys::ClientKeys;
use portcullis_server::authorization_server::csrf::FormTokens;
use portcullis_server::authorization_server::signing_keys::RING_NAME;
use portcullis_server::context::{
    AuthorizationSettings, DemoNotice, DeveloperSettings, Entropy, Server, Settings, TokenKeys, token_cache,
};
use portcullis_server::listener::{
    CertificateFiles, ClientTrust, Limits, Listener, ReloadingCertificate, Shutdown, mutual_tls_config, server_config,
};
use portcullis_server::resource_server::capabilities;
use portcullis_store::registry::Change;
use portcullis_store::{Clock, FhirStore, Outbox, Registry as _, RegistryError};
use rustls_pki_types::CertificateDer;

use crate::app::App;
use crate::backend::{BackendClient, ClientKey};
use crate::client::{Client, Protocol};
use crate::clock::FakeClock;
use crate::entropy::SeededEntropy;
use crate::key_server::KeyServer;
use crate::keys::shared_rsa;
use crate::ledger::FaultySegments;
use crate::provider_server::ProviderServer;

/// The password of every user that [`TestServer::add_user`] makes.
pub const PASSWORD: &str = "correct horse battery staple";

/// A running server; it ends with its value.
pub struct TestServer {
    /// The server's own state.
    pub server: Arc<Server>,
    /// The store.
    pub store: Arc<SqliteStore>,
    /// The ledger.
    pub ledger: Arc<Ledger>,
    /// Its storage, to be made to fail.
    pub segments: FaultySegments,
    /// While it is on, reads of FHIR resources panic.
    pub reads_panic: Arc<std::sync::atomic::AtomicBool>,
    /// What reads find in place of what is stored.
    pub found_instead: Arc<std::sync::Mutex<Option<portcullis_policy::StoredVersion>>>,
    /// How often the store was searched.
    pub searches: Arc<std::sync::atomic::AtomicUsize>,
    /// Its clock.
    pub clock: Arc<FakeClock>,
    /// A client of it.
    pub client: Client,
    /// `https://localhost:PORT/fhir`
    pub fhir_base: String,
    /// Its certificate.
    pub certificate: CertificateDer<'static>,
    /// Its port where clients show a certificate, any certificate.
    pub mutual_tls_port: u16,
    /// A server of keys that this one may ask.
    pub keys: KeyServer,
    /// The same as PEM, for programs.
    pub certificate_pem: String,
    shutdown: Shutdown,
    folder: tempfile::TempDir,
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.shutdown.stop();
    }
}

impl TestServer {
    /// Starts an empty server; its client speaks HTTP/1.1.
    pub async fn start() -> Self {
        Self::start_over(Protocol::Http1).await
    }

    /// Starts an empty server with a client that speaks this protocol.
    pub async fn start_over(protocol: Protocol) -> Self {
        Self::start_beside(protocol, None, AuthorizationSettings::default(), None).await
    }

    /// Starts an empty server whose operator decided this about requests and registration.
    pub async fn start_with(authorization: AuthorizationSettings) -> Self {
        Self::start_beside(Protocol::Http1, None, authorization, None).await
    }

    /// Starts an empty server whose people may sign in with accounts at this provider.
    pub async fn start_with_provider(server: &ProviderServer, provider: Provider) -> Self {
        Self::start_beside(Protocol::Http1, Some((server, provider)), AuthorizationSettings::default(), None).await
    }

    /// The same, whose start page says that it is a demo; something else is as this operator would configure it.
    pub async fn start_as_demo(
        server: &ProviderServer,
        provider: Provider,
        demo: DemoNotice,
        change: impl FnOnce(&mut Server),
    ) -> Self {
        let developers = Some(DeveloperSettings { clients_per_person: 5, anybody_may_connect: true });
        let authorization = AuthorizationSettings { developers, ..AuthorizationSettings::default() };
        Self::start_changed_beside(Protocol::Http1, Some((server, provider)), (authorization, Some(demo)), change).await
    }

    /// Starts an empty server in which something else is as an operator would configure it.
    pub async fn start_changed(change: impl FnOnce(&mut Server)) -> Self {
        Self::start_changed_beside(Protocol::Http1, None, (AuthorizationSettings::default(), None), change).await
    }

    async fn start_beside(
        protocol: Protocol,
        provider: Option<(&ProviderServer, Provider)>,
        authorization: AuthorizationSettings,
        demo: Option<DemoNotice>,
    ) -> Self {
        Self::start_changed_beside(protocol, provider, (authorization, demo), |_| {}).await
    }

    async fn start_changed_beside(
        protocol: Protocol,
        provider: Option<(&ProviderServer, Provider)>,
        (authorization, demo): (AuthorizationSettings, Option<DemoNotice>),
        change: impl FnOnce(&mut Server),
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = RootKey::generate().unwrap();
        let store = SqliteStore::open(&folder.path().join("portcullis.db"), &root).unwrap();
        let segments = FaultySegments::default();
        let ledger_folder = folder.path().join("ledger");
        std::fs::create_dir(&ledger_folder).unwrap();
        let ledger = Arc::new(Ledger::open(&ledger_folder, Arc::new(segments.clone())).unwrap());
        let (certificate, trusted) = certificate(folder.path());
        let certificate_pem = std::fs::read_to_string(folder.path().join("server.pem")).unwrap();
        let config = server_config(Arc::clone(&certificate)).unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mutual = mutual_tls_config(Arc::clone(&certificate), &ClientTrust::AnyCertificate).unwrap();
        let mutual =
            Listener::bind(address, mutual, Arc::clone(&certificate), Limits::default(), "https://localhost/").await.unwrap();
        let mutual_tls_port = mutual.local_address().unwrap().port();
        let listener = Listener::bind(address, config, certificate, Limits::default(), "https://localhost/").await.unwrap();
        let address = listener.local_address().unwrap();
        let public_url = format!("https://localhost:{}", address.port());
        let fhir_base = format!("{public_url}/fhir");
        let clock = Arc::new(FakeClock::default());
        let index =
            AuditIndex::open(&folder.path().join("audit-index.db"), Arc::clone(&ledger), &public_url, Arc::clone(store.seal()))
                .unwrap();
        let audited = Arc::new(AuditedStore::new(Arc::clone(&store), index));
        let (faulty, switches) = crate::store::FaultyStore::new(audited);
        let keys = KeyServer::start().await;
        let stores = (&*store, Arc::new(faulty) as Arc<dyn FhirStore>);
        let mut server = assemble(public_url, stores, Arc::clone(&ledger), Arc::clone(&clock), (&keys, provider));
        server.settings.authorization = authorization;
        server.settings.authorization.labels.classifier = Some(Classifier::new(&server.settings.fhir_base));
        server.settings.demo = demo;
        server.settings.mutual_tls_url = Some(format!("https://localhost:{mutual_tls_port}"));
        change(&mut server);
        server.capability_statement = capabilities::render(&server.settings);
        let server = Arc::new(server);
        let shutdown = Shutdown::default();
        tokio::spawn(listener.run(Arc::clone(&server), shutdown.clone()));
        tokio::spawn(mutual.run(Arc::clone(&server), shutdown.clone()));
        let client = Client::new(address, "localhost", std::slice::from_ref(&trusted)).over(protocol);
        Self {
            server,
            store,
            ledger,
            segments,
            reads_panic: switches.panics,
            searches: switches.searches,
            found_instead: switches.found,
            clock,
            client,
            fhir_base,
            certificate: trusted,
            mutual_tls_port,
            keys,
            certificate_pem,
            shutdown,
            folder,
        }
    }

    /// The ledger's directory.
    pub fn ledger_directory(&self) -> std::path::PathBuf {
        self.folder.path().join("ledger")
    }

    /// Stores resources as an operator's import does; each must have an id.
    pub async fn import(&self, resources: &[String]) {
        for batch in resources.chunks(200) {
            let versions = batch.iter().map(|text| self.version(text)).map(portcullis_policy::Change::Import).collect();
            let operator = Principal::command_line_operator(Operator::new("test", [OperatorOperation::LoadResources]));
            let decision =
                decide(DecisionId(self.server.random_u128()), &operator, Operation::Write(WriteSet { changes: versions }));
            let Decision::Permit(_, PermittedOperation::Write(set)) = decision else { panic!("import denied") };
            let record = Record { operations: vec![OperationEntry::default(); batch.len()], ..self.record() };
            self.store.commit(set, UnfinishedRecord::new(record)).await.unwrap();
        }
    }

    fn version(&self, text: &str) -> NewVersion {
        let resource = Resource::parse(text.as_bytes()).unwrap_or_else(|issues| panic!("{issues:?}: {text}"));
        let id = resource.id().cloned().unwrap();
        let version = LogicalId::parse(&format!("{:032x}", self.server.random_u128())).unwrap();
        NewVersion::of(resource, id, version, self.clock.now_milliseconds(), &self.fhir_base).unwrap()
    }

    fn record(&self) -> Record {
        let text = format!(
            r#"{{"id":"{:032x}","recorded":{},"event":"import","agent":{{}},"outcome":"success"}}"#,
            self.server.random_u128(),
            self.clock.now_milliseconds()
        );
        serde_json::from_str(&text).unwrap()
    }

    /// Makes a change of the registry.
    pub async fn change(&self, change: Change) {
        self.try_change(change).await.unwrap();
    }

    /// The same where it may be refused.
    pub async fn try_change(&self, change: Change) -> Result<(), RegistryError> {
        self.server.registry.apply(change, &PendingRecord::new(&self.record()).unwrap()).await.map(|_| ())
    }

    /// Adds a user with [`PASSWORD`].
    pub async fn add_user(&self, username: &str, roles: &[Role], fhir_user: Option<&str>, patients: &[&str]) {
        let user = User {
            id: UserId::parse(&format!("user-{username}")).unwrap(),
            username: username.to_owned(),
            display_name: format!("{username} Example"),
            password_hash: Secret::new(PASSWORD_HASH.to_owned()),
            roles: roles.iter().copied().collect(),
            fhir_user: fhir_user.map(|text| LocalReference::parse(text).unwrap()),
            patients: patients.iter().map(|id| LogicalId::parse(id).unwrap()).collect(),
            represents: Vec::new(),
            created_at: self.clock.now_seconds(),
        };
        self.change(Change::AddUser(Box::new(user))).await;
    }

    /// Registers an app that may ask for these scopes.
    pub async fn add_app(&self, client_id: &str, scope: &str, confidential: bool) -> App {
        let mut random = portcullis_server::context::Borrowed(&*self.server.entropy);
        let (secret, kind) = if confidential {
            let (secret, secret_hash) = ClientSecretHash::generate(&mut random);
            (Some(secret.expose().clone()), ClientKind::ConfidentialSymmetric { secret_hash })
        } else {
            (None, ClientKind::Public)
        };
        let redirect_uri = "https://127.0.0.1:9/callback".to_owned();
        let client = OauthClient {
            id: ClientId::parse(client_id).unwrap(),
            name: format!("App {client_id}"),
            kind,
            redirect_uris: vec![RedirectUri::parse(&redirect_uri).unwrap()],
            scope: ScopeSet::parse(scope).unwrap(),
            grant_types: vec![GrantType::AuthorizationCode, GrantType::RefreshToken],
            created_at: self.clock.now_seconds(),
            properties: Default::default(),
        };
        self.change(Change::AddClient(Box::new(client))).await;
        App {
            client: self.client.clone(),
            client_id: client_id.to_owned(),
            secret,
            redirect_uri,
            fhir_base: self.fhir_base.clone(),
        }
    }

    /// Registers a public app with something else about it.
    pub async fn add_app_with(&self, client_id: &str, scope: &str, change: impl FnOnce(&mut OauthClient)) -> App {
        let app = self.add_app(client_id, scope, false).await;
        let mut client = self.server.registry.client(&ClientId::parse(client_id).unwrap()).await.unwrap().unwrap();
        change(&mut client);
        self.change(Change::ReplaceClient(Box::new(client))).await;
        app
    }

    /// Registers a client that signs and may act for itself within these scopes.
    pub async fn add_backend(&self, client_id: &str, scope: &str, key: ClientKey, keys: KeySource) -> BackendClient {
        let grant_types = vec![GrantType::ClientCredentials];
        self.change(Change::AddClient(Box::new(self.asymmetric(client_id, scope, keys, grant_types)))).await;
        self.backend(client_id, key)
    }

    /// Registers a client that signs and is let in by people, too, within these scopes.
    pub async fn add_signing_app(&self, client_id: &str, scope: &str, key: ClientKey) -> (App, BackendClient) {
        let keys = KeySource::value(&key.jwks().to_string()).unwrap();
        let redirect_uri = "https://127.0.0.1:9/callback".to_owned();
        let mut client = self.asymmetric(client_id, scope, keys, GrantType::WITH_PERSON.to_vec());
        client.redirect_uris = vec![RedirectUri::parse(&redirect_uri).unwrap()];
        self.change(Change::AddClient(Box::new(client))).await;
        let (secret, fhir_base) = (None, self.fhir_base.clone());
        let app = App { client: self.client.clone(), client_id: client_id.to_owned(), secret, redirect_uri, fhir_base };
        (app, self.backend(client_id, key))
    }

    /// Changes a client's registration.
    pub async fn change_client(&self, client_id: &str, change: impl FnOnce(&mut OauthClient)) {
        let id = ClientId::parse(client_id).unwrap();
        let mut client = self.server.registry.client(&id).await.unwrap().unwrap();
        change(&mut client);
        client.check().unwrap();
        self.change(Change::ReplaceClient(Box::new(client))).await;
    }

    /// Replaces the properties of a client.
    pub async fn set_properties(&self, client_id: &str, properties: portcullis_oauth::clients::ClientProperties) {
        let id = ClientId::parse(client_id).unwrap();
        let client = self.server.registry.client(&id).await.unwrap().unwrap();
        self.change(Change::ReplaceClient(Box::new(OauthClient { properties, ..client }))).await;
    }

    /// Replaces where a client's browser is sent back to.
    pub async fn set_redirect_uris(&self, client_id: &str, redirect_uris: &[&str]) {
        let id = ClientId::parse(client_id).unwrap();
        let client = self.server.registry.client(&id).await.unwrap().unwrap();
        let redirect_uris = redirect_uris.iter().map(|uri| RedirectUri::parse(uri).unwrap()).collect();
        self.change(Change::ReplaceClient(Box::new(OauthClient { redirect_uris, ..client }))).await;
    }

    /// Registers a client that acts for itself and authenticates by this certificate.
    pub async fn add_certified(&self, client_id: &str, scope: &str, certificate: &CertificateDer<'static>) {
        use base64::Engine as _;
        let mut set = ClientKey::generate("key-1", "ES256").jwks();
        set["keys"][0]["x5c"] = serde_json::json!([base64::engine::general_purpose::STANDARD.encode(certificate)]);
        let keys = KeySource::value(&set.to_string()).unwrap();
        let mut client = self.asymmetric(client_id, scope, keys, vec![GrantType::ClientCredentials]);
        client.properties.self_signed_tls_client_auth = true;
        client.properties.tls_client_certificate_bound_access_tokens = true;
        self.change(Change::AddClient(Box::new(client))).await;
    }

    /// Takes a client's registration back.
    pub async fn remove_client(&self, client_id: &str) {
        self.change(Change::RemoveClient(ClientId::parse(client_id).unwrap())).await;
    }

    fn backend(&self, client_id: &str, key: ClientKey) -> BackendClient {
        let token_endpoint = format!("{}/oauth/token", self.server.settings.public_url);
        BackendClient { client: self.client.clone(), client_id: client_id.to_owned(), key, token_endpoint }
    }

    fn asymmetric(&self, client_id: &str, scope: &str, keys: KeySource, grant_types: Vec<GrantType>) -> OauthClient {
        let mut random = portcullis_server::context::Borrowed(&*self.server.entropy);
        OauthClient {
            id: ClientId::parse(client_id).unwrap(),
            name: format!("Backend {client_id}"),
            kind: ClientKind::ConfidentialAsymmetric { registration: GrantId::generate(&mut random), keys },
            redirect_uris: Vec::new(),
            scope: ScopeSet::parse(scope).unwrap(),
            grant_types,
            created_at: self.clock.now_seconds(),
            properties: Default::default(),
        }
    }

    /// Every record that is durable: the ledger's, then those that still wait in the outbox.
    pub fn records(&self) -> Vec<Record> {
        let reader = self.ledger.reader();
        let from = portcullis_audit::Position::START;
        let mut records: Vec<Record> =
            reader.records(from, Some(self.ledger.position())).map(|located| located.unwrap().record).collect();
        let waiting = self.store.waiting(100_000).unwrap();
        records.extend(waiting.iter().map(|(_, bytes)| serde_json::from_slice::<Record>(bytes).unwrap()));
        records
    }

    /// Moves what waits in the outbox into the ledger, as a running application does all the time.
    pub async fn move_outbox(&self) {
        let waiting = self.store.waiting(100_000).unwrap();
        let moved: Vec<_> = waiting.iter().map(|(id, _)| id.clone()).collect();
        self.ledger.import_outbox(waiting).await.unwrap();
        let store = Arc::clone(&self.store);
        tokio::task::spawn_blocking(move || store.remove(&moved).unwrap()).await.unwrap();
    }

    /// A stored body as a tree, without its `meta`.
    pub fn without_meta(body: &[u8]) -> Value {
        let Value::Object(members) = json::parse(body).unwrap() else { panic!("not an object") };
        Value::Object(members.into_iter().filter(|(name, _)| &**name != "meta").collect())
    }
}

/// The hash of [`PASSWORD`] with one pass over 64 KiB, because every test signs somebody in. What a password costs that somebody chooses is not
/// decided here, and a name that does not exist costs as much as ever.
pub const PASSWORD_HASH: &str = "$argon2id$v=19$m=64,t=1,p=1$AwMDAwMDAwMDAwMDAwMDAw$R6Mh7Of2A97pavadqopofYLY8Itwpgwmjt+d2aDPxrA";

pub(crate) fn certificate(folder: &std::path::Path) -> (Arc<ReloadingCertificate>, CertificateDer<'static>) {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let issued = rcgen::generate_simple_self_signed(names).unwrap();
    let files = CertificateFiles { chain: folder.join("server.pem"), key: folder.join("server.key") };
    std::fs::write(&files.chain, issued.cert.pem()).unwrap();
    std::fs::write(&files.key, issued.signing_key.serialize_pem()).unwrap();
    (ReloadingCertificate::load(files).unwrap(), issued.cert.der().clone())
}

fn assemble(
    public_url: String,
    (sqlite, store): (&SqliteStore, Arc<dyn FhirStore>),
    ledger: Arc<Ledger>,
    clock: Arc<FakeClock>,
    (keys, provider): (&KeyServer, Option<(&ProviderServer, Provider)>),
) -> Server {
    let mut trust = Trust::of_the_web().with(keys.certificate.clone()).unwrap();
    let mut exempt = vec![ExemptHost::parse(&keys.authority()).unwrap()];
    if let Some((server, _)) = &provider {
        trust = trust.with(server.certificate.clone()).unwrap();
        exempt.push(ExemptHost::parse(&server.authority()).unwrap());
    }
    let outbound = Arc::new(Outbound::new(trust, exempt).unwrap());
    let fhir_base = format!("{public_url}/fhir");
    let entropy = SeededEntropy::new(u64::from(std::process::id()));
    let mut form_key = [0; 32];
    entropy.fill(&mut form_key);
    let started = clock.now_milliseconds();
    let registry = SqliteRegistry::new(sqlite);
    let elliptic = SigningKey::generate(Algorithm::Es256).unwrap();
    let rsa = SigningKey::from_pkcs8(Algorithm::Rs256, &shared_rsa("server")).unwrap();
    let ring = KeyRing::first([elliptic, rsa], started.div_euclid(1000));
    // As the application stores them, so that they can be rotated.
    registry.server_secret(RING_NAME, &|| ring.to_bytes().ok().map(|bytes| bytes.expose().clone())).unwrap();
    let settings = Settings {
        public_url,
        fhir_base,
        mutual_tls_url: None,
        version: "0.0.0",
        started,
        brand: Default::default(),
        language: Default::default(),
        demo: None,
        authorization: Default::default(),
        bundles: Default::default(),
        guides: Default::default(),
    };
    Server {
        capability_statement: capabilities::render(&settings),
        operator_rules: Default::default(),
        settings,
        registry: Arc::new(registry),
        store,
        ledger,
        clock,
        entropy: Arc::new(entropy),
        keys: TokenKeys::of(ring, started.div_euclid(1000)).unwrap(),
        tokens: token_cache(),
        passwords: Passwords::default(),
        proof_nonces: Default::default(),
        refusals: Default::default(),
        sandbox_refusals: Default::default(),
        large: Default::default(),
        disk: Default::default(),
        client_keys: ClientKeys::new(Arc::clone(&outbound)),
        federation: Federation::new(provider.map(|(_, provider)| provider).into_iter().collect(), Arc::clone(&outbound)),
        logos: Logos::new(outbound),
        mail: Default::default(),
        form_tokens: FormTokens::new(&form_key),
        counters: Default::default(),
    }
}
