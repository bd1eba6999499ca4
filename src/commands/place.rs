//! Which server a command is about: a configuration file, or the data directory of a demo.

use std::num::NonZero;
use std::path::{Path, PathBuf};

use portcullis_backends::DataDirectory;
use portcullis_backends::sqlite::RootKey;
use portcullis_fhir::capability::Guides;
use portcullis_server::brand::Brand;
use portcullis_server::context::AuthorizationSettings;
use portcullis_server::listener::ClientAuthorities;
use portcullis_server::resource_server::acceptance::Acceptance;
use portcullis_server::ui::Language;
use tokio::runtime::{Builder, Runtime};

use crate::application::{OutboundSettings, Setup};
use crate::args::Target;
use crate::config::{Configuration, Configured, FederationProvider, MailSettings, PolicySettings, StatementIssuerEntry};
use crate::demo::Description;
use crate::failure::{Exit, Failure, OrFail, Outcome, causes};

/// The most threads of the async runtime. There are no more than processors that it may use: threads that share one only wake and interrupt each other.
const WORKERS: usize = 2;

/// A server, named but not opened.
#[derive(Clone, Debug)]
pub struct Place {
    /// Its data directory.
    pub directory: PathBuf,
    root_key: PathBuf,
    public_url: String,
    demo: bool,
    brand: Brand,
    guides: Guides,
    language: Language,
    authorization: AuthorizationSettings,
    outbound: OutboundSettings,
    breached_passwords: Option<PathBuf>,
    mutual_tls_url: Option<String>,
    client_authorities: Option<PathBuf>,
    statement_issuers: Vec<StatementIssuerEntry>,
    federation: Vec<FederationProvider>,
    mail: Option<MailSettings>,
    access: Configured,
    policy: PolicySettings,
}

impl Place {
    /// The server that the arguments name.
    pub fn of(target: &Target) -> Outcome<Self> {
        match (&target.config, &target.data_dir) {
            (Some(path), _) => Ok(Self::configured(&configuration(path)?)),
            (None, Some(directory)) => Self::of_demo(directory),
            (None, None) => Err(Failure::usage("No server was named").advise("Add --config FILE, or --data-dir DIR for a demo.")),
        }
    }

    /// The server of a configuration.
    pub fn configured(configuration: &Configuration) -> Self {
        Self {
            directory: configuration.data_dir.clone(),
            root_key: configuration.root_key_file.clone(),
            public_url: configuration.public_url.clone(),
            demo: false,
            brand: configuration.brand.clone(),
            // What is wrong was refused when the file was read.
            guides: configuration.conformance.guides().unwrap_or_default(),
            language: configuration.ui.language,
            authorization: AuthorizationSettings {
                developers: configuration.developers.settings(),
                assurance: configuration.assurance.clone(),
                capabilities: configuration.capabilities,
                denials: configuration.denials.settings(),
                acceptance: Acceptance {
                    modifiers: configuration.conformance.modifiers(),
                    consent_profile: configuration.consent.profile(),
                },
                ..configuration.clients.settings()
            },
            outbound: configuration.outbound.settings(),
            federation: configuration.federation.clone(),
            mail: configuration.mail.clone(),
            access: Configured::of(configuration),
            policy: configuration.policy.clone(),
            breached_passwords: configuration.breached_passwords.clone(),
            mutual_tls_url: configuration.mutual_tls.as_ref().map(|mutual| mutual.public_url.clone()),
            statement_issuers: configuration.software_statements.clone(),
            client_authorities: configuration
                .mutual_tls
                .as_ref()
                .and_then(|mutual| mutual.client_authorities.clone().or_else(|| mutual.client_ca_file.clone())),
        }
    }

    fn of_demo(directory: &Path) -> Outcome<Self> {
        if !DataDirectory::exists(directory) {
            return Err(Failure::usage(format!("{} is not a data directory of Portcullis", directory.display())).advise(
                "`portcullis demo --data-dir DIR` makes one; a server with a configuration is named with --config FILE.",
            ));
        }
        let description = Description::read(directory).map_err(|_| {
            Failure::usage(format!("{} was not made by `portcullis demo`, or its demo.json is gone", directory.display())).advise(
                "Name the server with --config FILE; a demo whose first start was interrupted is completed by `portcullis demo`.",
            )
        })?;
        Ok(Self {
            directory: directory.to_owned(),
            root_key: directory.join("root.key"),
            brand: crate::demo::brand(&description.issuer),
            guides: crate::demo::guides(),
            language: Language::default(),
            authorization: AuthorizationSettings::default(),
            public_url: description.issuer,
            demo: true,
            outbound: OutboundSettings::default(),
            federation: Vec::new(),
            mail: None,
            access: Configured::default(),
            policy: PolicySettings::default(),
            breached_passwords: None,
            mutual_tls_url: None,
            client_authorities: None,
            statement_issuers: Vec::new(),
        })
    }

    /// What an instance is made of, with the data directory that this process holds now.
    pub fn setup(&self, directory: DataDirectory) -> Outcome<Setup> {
        if directory.is_demo() != self.demo {
            return Err(Failure::usage(format!("{} was made by `portcullis demo`", self.directory.display()))
                .advise("A demo's key lies beside its data, so it is never served: choose another data_dir."));
        }
        let (public_url, outbound) = (self.public_url.clone(), self.outbound.clone());
        let federation = self.federation.iter().map(FederationProvider::load).collect::<Outcome<_>>()?;
        let mut authorization = self.authorization.clone();
        authorization.client_authorities = self.client_authorities.as_deref().map(client_authorities).transpose()?;
        authorization.statement_issuers =
            self.statement_issuers.iter().map(StatementIssuerEntry::load).collect::<Outcome<_>>()?;
        Ok(Setup {
            directory,
            root_key: root_key(&self.root_key)?,
            public_url,
            brand: self.brand.clone(),
            guides: self.guides.clone(),
            language: self.language,
            authorization,
            demo: None,
            mutual_tls_url: self.mutual_tls_url.clone(),
            breached_passwords: self.breached_passwords.clone(),
            outbound,
            federation,
            mail: self.mail.as_ref().map(MailSettings::load).transpose()?.unwrap_or_default(),
            access: self.access.read().map_err(Failure::usage)?,
            policy: self.policy.clone(),
        })
    }
}

/// Reads a configuration file.
pub fn configuration(path: &Path) -> Outcome<Configuration> {
    Configuration::read(path).map_err(|error| {
        Failure::usage(causes(&error).trim_end())
            .advise(format!("Correct the file, then check it: portcullis config check {}", path.display()))
    })
}

/// Reads the authorities that vouch for names in clients' certificates.
pub fn client_authorities(path: &Path) -> Outcome<ClientAuthorities> {
    ClientAuthorities::read(path)
        .map_err(|error| Failure::usage(format!("mutual_tls.client_authorities ({}): {}", path.display(), causes(&error))))
}

/// Reads a root key.
pub fn root_key(path: &Path) -> Outcome<RootKey> {
    RootKey::read_file(path).map_err(|error| {
        Failure::usage(format!("The root key {} cannot be used: {}", path.display(), causes(&error))).advise(
            "It is a file that only you can read (chmod 600) with 64 hexadecimal digits, for example from: openssl rand -hex 32",
        )
    })
}

/// The async runtime of a command.
pub fn runtime() -> Outcome<Runtime> {
    let workers = std::thread::available_parallelism().map_or(1, NonZero::get).min(WORKERS);
    Builder::new_multi_thread().worker_threads(workers).enable_all().build().or_fail("Cannot start the async runtime")
}

/// The failure of a command that needs a directory which another process holds.
pub fn held(directory: &Path, pid: u32, command: &str) -> Failure {
    let who = if pid == 0 { "another process".to_owned() } else { format!("process {pid} ({command})") };
    Failure::new(Exit::Locked, format!("The data directory {} is in use by {who}", directory.display()))
}
