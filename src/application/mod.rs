//! A running instance: a data directory that belongs to this process, and everything that is built over it.
//!
//! The order matters and is the same for servers and for commands: lock, store, ledger, what the outbox still holds, keys. What a kill left behind in the
//! outbox is in the ledger before anything else is recorded.

mod in_force;
mod keys;
mod outbox;
mod rules;
mod run;
mod settings;

use std::sync::Arc;

use portcullis_audit::record::{Agent, Event, Outcome as Ended, Record, RecordId};
use portcullis_audit::{FileSegments, Ledger};
use portcullis_backends::sqlite::{AuditIndex, AuditedStore, Labelled, RootKey, SqliteRegistry};
use portcullis_backends::{DataDirectory, SqliteStore};
use portcullis_fhir::capability::Guides;
use portcullis_fhir::labels::{Classifier, Rules};
use portcullis_oauth::federation::Provider;
use portcullis_outbound::{ExemptHost, Outbound, Trust};
use portcullis_server::admin::{Caller, Service};
use portcullis_server::answer::Counters;
use portcullis_server::authorization_server::accounts::breached::BreachedPasswords;
use portcullis_server::authorization_server::accounts::federation::Federation;
use portcullis_server::authorization_server::accounts::password::Passwords;
use portcullis_server::authorization_server::authorization::logos::Logos;
use portcullis_server::authorization_server::clients::client_keys::ClientKeys;
use portcullis_server::brand::Brand;
use portcullis_server::context::{AuthorizationSettings, DemoNotice, Server, Settings, SystemEntropy, token_cache};
use portcullis_server::mail::Mail;
use portcullis_server::operator_rules::HeldRules;
use portcullis_server::resource_server::capabilities;
use portcullis_server::ui::Language;
use portcullis_store::relabelling::Relabelled;
use portcullis_store::{Clock, Registry, SystemClock};

use self::outbox::OutboxFlusher;
pub use self::run::{Listen, check_addresses, check_certificate, serve};
use crate::config::{AccessSettings, PolicySettings};
use crate::failure::{Exit, Failure, OrFail, Outcome, causes};

/// What an instance is made of.
#[derive(Debug)]
pub struct Setup {
    /// The data directory, held by this process.
    pub directory: DataDirectory,
    /// The key of keys.
    pub root_key: RootKey,
    /// Scheme, host and port under which clients reach it.
    pub public_url: String,
    /// Whose records these are.
    pub brand: Brand,
    /// Which implementation guides and profiles they follow.
    pub guides: Guides,
    /// The language of the pages for whoever asks for none.
    pub language: Language,
    /// What the operator decided about requests and registration.
    pub authorization: AuthorizationSettings,
    /// What the start page of a demo says.
    pub demo: Option<DemoNotice>,
    /// Whom this server may call.
    pub outbound: OutboundSettings,
    /// Where clients show a certificate: scheme, host and port; `None` where there is no such port.
    pub mutual_tls_url: Option<String>,
    /// A list of passwords that are not taken: SHA-1 hashes ordered by hash.
    pub breached_passwords: Option<std::path::PathBuf>,
    /// Identity providers with whose accounts people sign in here.
    pub federation: Vec<Provider>,
    /// How letters go to people.
    pub mail: Mail,
    /// What of the configuration decides who sees what, beside the rules.
    pub access: AccessSettings,
    /// Where the operator's own rules are.
    pub policy: PolicySettings,
}

/// Whom this server may call, beside public hosts with certificates of the web.
#[derive(Clone, Debug, Default)]
pub struct OutboundSettings {
    /// More certification authorities, PEM.
    pub ca_file: Option<std::path::PathBuf>,
    /// Hosts with their ports whose addresses need not be public.
    pub exempt: Vec<ExemptHost>,
}

impl OutboundSettings {
    fn client(self) -> Outcome<Outbound> {
        let web = Trust::of_the_web();
        let trust = match &self.ca_file {
            Some(path) => web.with_file(path),
            None => Ok(web),
        };
        let client = trust.and_then(|trust| Outbound::new(trust, self.exempt));
        client.map_err(|error| Failure::usage(format!("Outgoing calls cannot be set up: {}", causes(&error))))
    }
}

/// The password hasher, with the list of passwords that are not taken.
fn passwords(breached: Option<&std::path::Path>) -> Outcome<Passwords> {
    let open = |path: &std::path::Path| {
        let failed =
            |error: std::io::Error| Failure::usage(format!("breached_passwords: {} cannot be used: {error}", path.display()));
        BreachedPasswords::open(path).map_err(failed)
    };
    Ok(Passwords::default().refusing(breached.map(open).transpose()?))
}

/// Opens the database with the settings that hold: what codes mean for labels must be known before anything is stored.
async fn open_store(
    directory: &DataDirectory,
    root_key: &RootKey,
    read: AccessSettings,
    now: i64,
) -> Outcome<(Arc<SqliteStore>, settings::Held)> {
    let open = |rules| {
        SqliteStore::open_labelling(&directory.database(), root_key, rules).map_err(|error| {
            Failure::failed(format!("The database {} cannot be used: {}", directory.database().display(), causes(&error)))
        })
    };
    let rules = read.label_rules();
    let store = open(Arc::clone(&rules))?;
    let access = settings::hold(&SqliteRegistry::new(&store), read, now).await?;
    let held = access.settings.label_rules();
    if *held == *rules {
        return Ok((store, access));
    }
    drop(store);
    Ok((open(held)?, access))
}

/// Adds what search finds resources by that an earlier version of this program has stored.
fn complete_index(store: &SqliteStore, base_url: &str) -> Outcome {
    let completed = store.complete_index(base_url).or_fail("The search index of the database cannot be completed")?;
    if completed > 0 {
        tracing::info!(resources = completed, "resources of an earlier version were indexed for composite parameters");
    }
    Ok(())
}

/// Makes the rows by which consents decide, where an earlier version of this program made others.
fn derive_consents(store: &SqliteStore, base_url: &str) -> Outcome {
    if store.derive_consents(base_url).or_fail("The stored consents cannot be made ready to decide")? {
        tracing::info!("the stored consents were made ready to decide");
    }
    Ok(())
}

/// Gives stored versions the labels that today's rules say, where other rules held when they were stored.
fn label_anew(store: &SqliteStore, rules: &Rules, base_url: &str) -> Outcome<Option<Relabelled>> {
    let labelled = store.label_anew(base_url).or_fail("The stored resources cannot be labelled by the rules of [labels]")?;
    if let Some(Labelled { seen, changed, unreadable, .. }) = labelled {
        tracing::info!(versions = seen, changed, unreadable, "all stored versions were labelled by the rules that hold now");
    }
    Ok(labelled.map(|labelled| labelled.told(rules)))
}

/// Records that stored versions were labelled anew at this start.
async fn record_labelling(server: &Server, labelled: &Relabelled) -> Outcome {
    let record = Record {
        id: RecordId(format!("{:032x}", server.random_u128())),
        recorded: server.clock.now_milliseconds(),
        event: Event::Administration,
        agent: Agent::default(),
        outcome: Ended::Success,
        status: 0,
        decision: None,
        rules: Vec::new(),
        request: None,
        operations: Vec::new(),
        detail: Some(format!("labelled anew at the start: {}", labelled.described())),
    };
    server.ledger.append(record).await.map(|_receipt| ()).or_fail("The audit ledger cannot be written")
}

/// An instance that is open and answers the administration service, but listens nowhere.
pub struct Instance {
    server: Arc<Server>,
    service: Arc<Service>,
    ledger: Arc<Ledger>,
    index: Arc<AuditIndex>,
    flusher: OutboxFlusher,
    policy: PolicySettings,
    access: settings::Held,
    /// Last, so that the directory is given back after all else has ended.
    directory: DataDirectory,
}

impl Instance {
    /// Opens everything. Needs a Tokio runtime.
    pub async fn open(setup: Setup) -> Outcome<Self> {
        let Setup {
            directory,
            root_key,
            public_url,
            brand,
            guides,
            language,
            authorization,
            demo,
            outbound,
            mutual_tls_url,
            breached_passwords,
            federation,
            mail,
            access,
            policy,
        } = setup;
        let rules = rules::load(&policy, &public_url)?;
        let outbound = Arc::new(outbound.client()?);
        let client_keys = ClientKeys::new(Arc::clone(&outbound));
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let (store, access) = open_store(&directory, &root_key, access, clock.now_seconds()).await?;
        let authorization = AuthorizationSettings { access: access.shown()?, ..access.settings.apply(authorization) };
        let mut settings =
            Settings { brand, guides, language, authorization, mutual_tls_url, ..settings(public_url, demo, &*clock) };
        settings.authorization.labels.classifier = Some(Classifier::new(&settings.fhir_base));
        let labelling = access.settings.label_rules();
        complete_index(&store, &settings.fhir_base)?;
        let labelled = if access.understood { label_anew(&store, &labelling, &settings.fhir_base)? } else { None };
        derive_consents(&store, &settings.fhir_base)?;
        check_that_nothing_is_missing(&directory)?;
        let ledger = Arc::new(open_ledger(&directory)?);
        let outbox = Arc::clone(&store) as Arc<dyn portcullis_store::Outbox>;
        let flusher = OutboxFlusher::start(outbox, Arc::clone(&ledger)).await?;
        let registry: Arc<dyn Registry> = Arc::new(SqliteRegistry::new(&store));
        let observer = settings.public_url.as_str();
        let index = AuditIndex::open(&directory.audit_index(), Arc::clone(&ledger), observer, Arc::clone(store.seal()))
            .or_fail("The search index of the audit trail cannot be opened")?;
        index.follow_when_idle().or_fail("The search index of the audit trail cannot follow the ledger")?;
        let store = Arc::new(AuditedStore::new(store, Arc::clone(&index)));
        let capability_statement = capabilities::render(&settings);
        let server = Arc::new(Server {
            keys: keys::token_keys(&*registry, clock.now_seconds())?,
            proof_nonces: Default::default(),
            form_tokens: keys::form_tokens(&*registry)?,
            store,
            registry,
            ledger: Arc::clone(&ledger) as Arc<dyn portcullis_audit::RecordSink>,
            client_keys,
            federation: Federation::new(federation, Arc::clone(&outbound)),
            logos: Logos::new(outbound),
            mail,
            clock,
            entropy: Arc::new(SystemEntropy),
            tokens: token_cache(),
            passwords: passwords(breached_passwords.as_deref())?,
            refusals: Default::default(),
            sandbox_refusals: Default::default(),
            large: Default::default(),
            disk: portcullis_server::health::Disk::of(directory.root().to_owned()),
            counters: Counters::default(),
            capability_statement,
            operator_rules: HeldRules::new(rules),
            settings,
        });
        rules::hold(&server).await?;
        if let Some(labelled) = &labelled {
            record_labelling(&server, labelled).await?;
        }
        let service = Arc::new(Service::new(Arc::clone(&server)));
        Ok(Self { server, service, ledger, index, flusher, policy, access, directory })
    }

    /// The server.
    pub fn server(&self) -> &Arc<Server> {
        &self.server
    }

    /// The administration service.
    pub fn service(&self) -> &Arc<Service> {
        &self.service
    }

    /// The data directory.
    pub fn directory(&self) -> &DataDirectory {
        &self.directory
    }

    /// Moves what the outbox holds into the ledger, closes it, and gives the directory back.
    pub async fn close(self) -> Outcome {
        self.flusher.stop().await?;
        self.ledger.close().await.or_fail("The audit ledger could not be closed")?;
        self.index.note_seen().or_fail("It could not be noted how far the audit ledger reaches")
    }
}

/// The ledger must reach as far as was noted beside it. Asked before anything of it is opened, which would begin an empty one anew.
fn check_that_nothing_is_missing(directory: &DataDirectory) -> Outcome {
    let (ledger, index) = (directory.ledger(), directory.audit_index());
    let Some(seen) = AuditIndex::seen(&index) else { return Ok(()) };
    if portcullis_audit::reaches(&ledger, seen.position, &seen.head.chain).or_fail("The audit ledger cannot be read")? {
        return Ok(());
    }
    let what = format!(
        "The audit ledger {} is not what was written: {} records were durable up to {}, and they are not there any more",
        ledger.display(),
        seen.head.records,
        seen.position
    );
    Err(Failure::new(Exit::Integrity, what).advise(format!(
        "Keep the files as they are, compare them with a backup, and treat this as an incident. Only where an older ledger was brought back on \
         purpose: remove {} (it is made again) and start anew.",
        index.display()
    )))
}

fn open_ledger(directory: &DataDirectory) -> Outcome<Ledger> {
    Ledger::open(&directory.ledger(), Arc::new(FileSegments)).map_err(|error| {
        let exit = if matches!(error, portcullis_audit::LedgerError::Damaged(_)) { Exit::Integrity } else { Exit::Failed };
        Failure::new(exit, format!("The audit ledger {} cannot be opened: {}", directory.ledger().display(), causes(&error)))
            .advise(format!("Look at it first: portcullis audit verify --data-dir {}", directory.root().display()))
    })
}

fn settings(public_url: String, demo: Option<DemoNotice>, clock: &dyn Clock) -> Settings {
    Settings {
        fhir_base: format!("{public_url}/fhir"),
        mutual_tls_url: None,
        public_url,
        version: env!("CARGO_PKG_VERSION"),
        started: clock.now_milliseconds(),
        brand: Brand::default(),
        language: Language::default(),
        demo,
        authorization: Default::default(),
        bundles: Default::default(),
        guides: Default::default(),
    }
}

/// The account that runs this process.
pub fn account() -> Caller {
    // The owner of what this process may see of itself is the account that it runs as.
    let uid = std::fs::metadata("/proc/self").map(|metadata| std::os::unix::fs::MetadataExt::uid(&metadata));
    uid.map_or_else(|_| Caller::named(&std::env::var("USER").unwrap_or_else(|_| "unknown".to_owned())), Caller::of_uid)
}

#[cfg(test)]
mod tests;
