//! What the server is made of: stores, ledger, keys, clock and settings, built once at start.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use moka::sync::Cache;
use portcullis_audit::sink::RecordSink;
use portcullis_jose::Random;
use portcullis_oauth::access_token::VerifiedToken;
use portcullis_oauth::language::Language;
use portcullis_oauth::principal::Circumstances;
use portcullis_policy::{Basis, DecisionId};
use portcullis_store::registry::Registry;
use portcullis_store::{Clock, FhirStore};

use crate::answer::Counters;
pub use crate::authorization_server::signing_keys::TokenKeys;
use crate::resource_server::capabilities::CapabilityStatement;

/// URLs and texts that do not change while the server runs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Scheme, host and port, without a slash at the end: issuer and origin.
    pub public_url: String,
    /// `public_url` + `/fhir`
    pub fhir_base: String,
    /// Scheme, host and port of the same server where clients show a certificate (RFC 8705); `None` where there is no such port.
    pub mutual_tls_url: Option<String>,
    /// The product's version.
    pub version: &'static str,
    /// When this process started, milliseconds since the epoch.
    pub started: i64,
    /// Whose records these are.
    pub brand: crate::brand::Brand,
    /// The language of the pages for whoever asks for none.
    pub language: Language,
    /// What the start page of a demo says about it; `None` for `serve`.
    pub demo: Option<DemoNotice>,
    /// What the operator decided about requests and registration.
    pub authorization: AuthorizationSettings,
    /// What one batch or transaction may take.
    pub bundles: crate::resource_server::BundleLimits,
    /// Which implementation guides and profiles the records follow.
    pub guides: portcullis_fhir::capability::Guides,
}

/// What the operator decided about authorization requests and the registration of clients.
#[derive(Clone, Debug, Default)]
pub struct AuthorizationSettings {
    /// Whether every authorization request must be pushed (RFC 9126 section 5).
    pub require_pushed_authorization_requests: bool,
    /// Who may register a client by itself (RFC 7591).
    pub registration: RegistrationPolicy,
    /// The most clients that may register themselves within an hour.
    pub registrations_per_hour: u32,
    /// Who vouches for names in clients' certificates at the port for mutual TLS.
    pub client_authorities: Option<crate::listener::ClientAuthorities>,
    /// How strongly people must have signed in for what an app asks for.
    pub assurance: portcullis_oauth::assurance_policy::AssurancePolicy,
    /// Whose statements about clients that register themselves are believed.
    pub statement_issuers: Vec<portcullis_oauth::software_statement::StatementIssuer>,
    /// What of SMART is on.
    pub capabilities: portcullis_oauth::capabilities::Capabilities,
    /// Up to which security labels clinicians and clients see records, and without which elements.
    pub labels: portcullis_fhir::labels::LabelPolicy,
    /// What holds where no consent says anything.
    pub implicit_consent: portcullis_oauth::principal::ImplicitPolicy,
    /// How denials look.
    pub denials: crate::resource_server::denials::Denials,
    /// What is refused of what would be stored.
    pub acceptance: crate::resource_server::acceptance::Acceptance,
    /// Proxies that are believed when they say from where a request comes.
    pub trusted_proxies: Vec<portcullis_policy::operator_rules::Network>,
    /// By what part in a record somebody sees it who is not its subject.
    pub membership: portcullis_oauth::principal::Membership,
    /// For which changes one person is enough.
    pub two_people: portcullis_oauth::approval::TwoPeople,
    /// How long the glass stays broken, in seconds.
    pub break_glass: BreakGlassSeconds,
    /// The developer's page; `None` where it is off.
    pub developers: Option<DeveloperSettings>,
    /// Which of these were agreed to, where it takes two people.
    pub access: AccessInForce,
}

/// The sections of the configuration that decide who sees what, as they are in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessInForce {
    /// Their text, as it is kept; empty until the first that a server serves with are kept.
    pub text: Arc<OnceLock<String>>,
    /// The keys of what was read, lets more be seen and waits for a second person.
    pub waiting: Vec<&'static str>,
}

/// How long the glass stays broken, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakGlassSeconds(pub i64);

impl Default for BreakGlassSeconds {
    fn default() -> Self {
        Self(portcullis_oauth::break_glass::DEFAULT_SECONDS)
    }
}

/// What the operator decided about the developer's page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeveloperSettings {
    /// The most sandbox clients that one person may own.
    pub clients_per_person: u32,
    /// Whether anybody may connect a sandbox client, instead of developers alone: for servers whose records are all made up.
    pub anybody_may_connect: bool,
}

/// Who may register a client by itself (RFC 7591 section 1.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RegistrationPolicy {
    /// Nobody.
    #[default]
    Off,
    /// Whoever has an initial access token of the operator.
    Token,
    /// Whoever has a software statement of an issuer that the operator trusts.
    Statement,
    /// Anybody.
    Open,
}

/// What the start page of a demo shows.
#[derive(Clone, Debug)]
pub struct DemoNotice {
    /// The demo app.
    pub app_url: String,
    /// Names to sign in with, and who they are.
    pub users: Vec<(String, String)>,
}

/// A source of random bytes that many requests share.
pub trait Entropy: Send + Sync {
    /// Fills all bytes.
    fn fill(&self, bytes: &mut [u8]);
}

/// The operating system's generator, by way of aws-lc.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[expect(
        clippy::expect_used,
        reason = "aws-lc aborts or blocks where the system has no randomness; there is nothing safe to go on with"
    )]
    fn fill(&self, bytes: &mut [u8]) {
        aws_lc_rs::rand::fill(bytes).expect("system randomness");
    }
}

/// Lends shared entropy to pure code.
pub struct Borrowed<'a>(pub &'a dyn Entropy);

impl Random for Borrowed<'_> {
    fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill(bytes);
    }
}

/// Verified access tokens by the SHA-256 of their text. Only the signature and the claims are cached, never a principal: status is
/// read for every request.
pub type TokenCache = Cache<[u8; 32], Arc<VerifiedToken>>;

/// Entries of the token cache.
const CACHED_TOKENS: u64 = 10_000;
/// How long an unused token stays in the cache.
const CACHED_IDLE: Duration = Duration::from_secs(300);

/// A new token cache.
pub fn token_cache() -> TokenCache {
    Cache::builder().max_capacity(CACHED_TOKENS).time_to_idle(CACHED_IDLE).build()
}

/// The server.
pub struct Server {
    /// URLs and texts.
    pub settings: Settings,
    /// FHIR resources.
    pub store: Arc<dyn FhirStore>,
    /// Users, clients, grants, sessions.
    pub registry: Arc<dyn Registry>,
    /// The audit ledger.
    pub ledger: Arc<dyn RecordSink>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Signing keys.
    pub keys: TokenKeys,
    /// Verified tokens.
    pub tokens: TokenCache,
    /// Password hashing, off the async threads and bounded.
    pub passwords: crate::authorization_server::accounts::password::Passwords,
    /// Tokens of forms.
    pub form_tokens: crate::authorization_server::csrf::FormTokens,
    /// Nonces of DPoP proofs, and the proofs that came.
    pub proof_nonces: crate::dpop::ProofNonces,
    /// Public keys of clients.
    pub client_keys: crate::authorization_server::clients::client_keys::ClientKeys,
    /// Providers elsewhere, with whose accounts people sign in here.
    pub federation: crate::authorization_server::accounts::federation::Federation,
    /// Mail to people.
    pub mail: crate::mail::Mail,
    /// Logos of clients.
    pub logos: crate::authorization_server::authorization::logos::Logos,
    /// Refusals of strangers.
    pub refusals: crate::middleware::refusals::Refusals,
    /// The last refusals of sandbox clients, for their owners.
    pub sandbox_refusals: crate::authorization_server::developers::refusals::SandboxRefusals,
    /// Work on large bodies.
    pub large: crate::resource_server::large::LargeBodies,
    /// The disk of the data directory.
    pub disk: crate::health::Disk,
    /// The operator's rules.
    pub operator_rules: crate::operator_rules::HeldRules,
    /// Counted routes.
    pub counters: Counters,
    /// The capability statement, rendered once.
    pub capability_statement: CapabilityStatement,
}

impl Server {
    /// 128 random bits.
    pub fn random_u128(&self) -> u128 {
        let mut bytes = [0; 16];
        self.entropy.fill(&mut bytes);
        u128::from_be_bytes(bytes)
    }

    /// Under what circumstances consents are asked at this moment.
    pub fn circumstances(&self) -> Circumstances {
        Circumstances {
            address: crate::peer_address::current(),
            now: self.clock.now_milliseconds(),
            base_url: self.settings.fhir_base.as_str().into(),
            implicit: self.settings.authorization.implicit_consent,
            membership: self.settings.authorization.membership,
        }
    }

    /// What a decision rests on: a new id, and the operator's rules that hold now.
    pub fn basis(&self) -> Basis {
        Basis { id: DecisionId(self.random_u128()), rules: self.operator_rules.current() }
    }
}
