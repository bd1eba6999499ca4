//! The configuration file: TOML, unknown keys refused, secrets by file.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use portcullis_oauth::assurance_policy::AssurancePolicy;
use portcullis_oauth::capabilities::Capabilities;
use portcullis_outbound::ExemptHost;
use portcullis_server::brand::Brand;
use portcullis_server::ui::Language;
use serde::Deserialize;

use crate::application::OutboundSettings;

mod access;
mod clients;
mod compartments;
mod conformance;
mod consent;
mod denials;
mod developers;
mod federation;
mod labels;
mod mail;
mod policy;
mod required_acr;
mod safeguards;
mod smart;
mod software_statements;

pub use access::{AccessSettings, Configured, KeptSettings};
pub use clients::Clients;
pub use compartments::CompartmentSettings;
pub use conformance::ConformanceSettings;
pub use consent::ConsentSettings;
pub use denials::DenialSettings;
pub use developers::Developers;
pub use federation::FederationProvider;
pub use labels::LabelSettings;
pub use mail::MailSettings;
pub use policy::{PolicySettings, kept_rules};
use required_acr::RequiredAcr;
pub use safeguards::{BreakGlassSettings, TwoPeopleSettings};
use smart::Smart;
pub use software_statements::StatementIssuerEntry;

/// A configuration file, checked.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Configuration {
    /// The URL under which clients reach this server: scheme, host and port, no path. Fixes issuer, FHIR base, links and `aud`.
    pub public_url: String,
    /// The address to listen on.
    pub listen: SocketAddr,
    /// The data directory.
    pub data_dir: PathBuf,
    /// The file with the root key (64 hexadecimal digits, readable by its owner only); not in the data directory.
    pub root_key_file: PathBuf,
    /// The server's certificate.
    pub tls: Tls,
    /// Limits; each has a default.
    #[serde(default)]
    pub limits: Limits,
    /// Whom this server may call.
    #[serde(default)]
    pub outbound: OutboundCalls,
    /// Identity providers with whose accounts people sign in here.
    #[serde(default)]
    pub federation: Vec<FederationProvider>,
    /// The server by which letters go to people.
    pub mail: Option<MailSettings>,
    /// A list of passwords that nobody may choose: SHA-1 hashes in hexadecimal, ordered by hash, as Pwned Passwords are.
    pub breached_passwords: Option<PathBuf>,
    /// A second port, where clients show a certificate (RFC 8705).
    pub mutual_tls: Option<MutualTls>,
    /// Who may register a client, and how authorization requests must come.
    #[serde(default)]
    pub clients: Clients,
    /// The page on which people who build apps register sandbox clients.
    #[serde(default)]
    pub developers: Developers,
    /// What of SMART App Launch is switched off.
    #[serde(default)]
    smart: Smart,
    /// The same, checked.
    #[serde(skip)]
    pub capabilities: Capabilities,
    /// How strongly people must have signed in for what an app asks for.
    #[serde(default)]
    required_acr: Vec<RequiredAcr>,
    /// The same, checked.
    #[serde(skip)]
    pub assurance: AssurancePolicy,
    /// Whose statements about clients that register themselves are believed.
    #[serde(default)]
    pub software_statements: Vec<StatementIssuerEntry>,
    /// Whose records these are, for apps to show (user-access brand).
    #[serde(default)]
    pub brand: Brand,
    /// Which implementation guides and profiles they follow.
    #[serde(default)]
    pub conformance: ConformanceSettings,
    /// How denials look.
    #[serde(default)]
    pub denials: DenialSettings,
    /// How pages are shown.
    #[serde(default)]
    pub ui: Ui,
    /// What holds where no consent of a patient says anything.
    #[serde(default)]
    pub consent: ConsentSettings,
    /// By what part in a record somebody sees it who is not its subject.
    #[serde(default)]
    pub compartments: CompartmentSettings,
    /// Security labels: what assigns them, and up to which ones who sees records.
    #[serde(default)]
    pub labels: LabelSettings,
    /// The operator's own rules.
    #[serde(default)]
    pub policy: PolicySettings,
    /// For which changes one person is enough.
    #[serde(default)]
    pub two_people: TwoPeopleSettings,
    /// How long a record stays open in an emergency.
    #[serde(default)]
    pub break_glass: BreakGlassSettings,
}

/// `[ui]`
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ui {
    /// The language for whoever asks for none: `en` or `es`.
    pub language: Language,
}

/// `[outbound]`: calls that this server makes, such as for the keys of a client at its `jwks_uri`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OutboundCalls {
    /// Certification authorities that are trusted for these calls beside those of the web, PEM.
    pub ca_file: Option<PathBuf>,
    /// Hosts with their ports, `host:port`, that may be called though their addresses are not public.
    pub exempt: Vec<String>,
}

impl OutboundCalls {
    /// The settings; what is no `host:port` was refused when the file was read.
    pub fn settings(&self) -> OutboundSettings {
        OutboundSettings {
            ca_file: self.ca_file.clone(),
            exempt: self.exempt.iter().filter_map(|text| ExemptHost::parse(text)).collect(),
        }
    }
}

/// `[tls]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificate chain, PEM, leaf first.
    pub certificate: PathBuf,
    /// The private key, PEM.
    pub key: PathBuf,
}

/// `[mutual_tls]`: a port of its own, so that no browser is asked for a certificate.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MutualTls {
    /// The URL under which clients reach this port: scheme, host and port, no path.
    pub public_url: String,
    /// The address to listen on.
    pub listen: SocketAddr,
    /// Certification authorities whose client certificates are let in, PEM; without, every certificate is, and counts as the key that it holds.
    pub client_ca_file: Option<PathBuf>,
    /// Certification authorities that vouch for the names in clients' certificates (`tls_client_auth`), PEM; without, those of `client_ca_file`.
    pub client_authorities: Option<PathBuf>,
}

/// `[limits]`
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Open connections.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 4096 }
    }
}

/// Why a configuration cannot be used. Each message names the key and what would be accepted.
#[derive(Debug, thiserror::Error)]
pub enum ConfigurationError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML, or a key is unknown, missing or of the wrong type.
    #[error("{path}: {}", where_and_what(reason))]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and what.
        reason: Box<toml::de::Error>,
    },
    /// A value cannot be used.
    #[error("{key}: {problem}")]
    Value {
        /// The key.
        key: &'static str,
        /// What is wrong and what would be accepted.
        problem: String,
    },
}

/// What is wrong, with the line that it is in. What is missing is in no line: the first one would be shown, and be innocent.
fn where_and_what(error: &toml::de::Error) -> String {
    match error.message() {
        message if message.starts_with("missing field") && error.span().is_none_or(|span| span.start == 0) => message.to_owned(),
        _ => error.to_string(),
    }
}

impl Configuration {
    /// Reads and checks a file. Relative paths in it are relative to the file's folder.
    pub fn read(path: &Path) -> Result<Self, ConfigurationError> {
        let text = fs::read_to_string(path).map_err(|source| ConfigurationError::Read { path: path.to_owned(), source })?;
        let mut configuration: Self = toml::from_str(&text)
            .map_err(|source| ConfigurationError::Syntax { path: path.to_owned(), reason: Box::new(source) })?;
        let folder = path.parent().unwrap_or(Path::new("."));
        for relative in [
            &mut configuration.data_dir,
            &mut configuration.root_key_file,
            &mut configuration.tls.certificate,
            &mut configuration.tls.key,
        ] {
            *relative = folder.join(&*relative);
        }
        configuration.breached_passwords = configuration.breached_passwords.map(|path| folder.join(path));
        if let Some(mutual) = &mut configuration.mutual_tls {
            mutual.client_ca_file = mutual.client_ca_file.take().map(|path| folder.join(path));
            mutual.client_authorities = mutual.client_authorities.take().map(|path| folder.join(path));
        }
        configuration.outbound.ca_file = configuration.outbound.ca_file.map(|path| folder.join(path));
        configuration.mail.iter_mut().for_each(|mail| mail.relative_to(folder));
        configuration.federation.iter_mut().for_each(|provider| provider.relative_to(folder));
        configuration.assurance = RequiredAcr::policy(&configuration.required_acr)
            .map_err(|(key, problem)| ConfigurationError::Value { key, problem })?;
        let capabilities = configuration.smart.capabilities();
        configuration.capabilities =
            capabilities.map_err(|problem| ConfigurationError::Value { key: "smart.disabled", problem })?;
        configuration.software_statements.iter_mut().for_each(|entry| entry.relative_to(folder));
        configuration.labels.relative_to(folder);
        configuration.policy.relative_to(folder);
        configuration.policy.beside(configuration.labels.elements());
        configuration.check()?;
        Ok(configuration)
    }

    fn check(&self) -> Result<(), ConfigurationError> {
        let wrong = |key, problem: &str| Err(ConfigurationError::Value { key, problem: problem.to_owned() });
        let mutual = self.mutual_tls.as_ref().map(|mutual| ("mutual_tls.public_url", &mutual.public_url));
        for (key, url) in [Some(("public_url", &self.public_url)), mutual].into_iter().flatten() {
            let Some(authority) = url.strip_prefix("https://") else {
                return wrong(key, "must begin with https://, for example https://fhir.example.org");
            };
            if authority.is_empty() || authority.contains(['/', '?', '#', '@', ' ']) {
                return wrong(key, "must be scheme, host and port only, without a path or a slash at the end");
            }
        }
        if mutual.is_some_and(|(_, url)| *url == self.public_url) {
            return wrong("mutual_tls.public_url", "must be another URL than public_url: browsers come there");
        }
        if self.limits.connections == 0 {
            return wrong("limits.connections", "must be at least 1");
        }
        if self.outbound.exempt.iter().any(|text| ExemptHost::parse(text).is_none()) {
            return wrong("outbound.exempt", "must be a list of \"host:port\", for example [\"keys.example.org:8443\"]");
        }
        if let Err((key, problem)) = self.brand.check(&self.public_url) {
            return wrong(key, problem);
        }
        if let Err((key, problem)) = FederationProvider::check(&self.federation) {
            return wrong(key, problem);
        }
        if let Some(Err((key, problem))) = self.mail.as_ref().map(MailSettings::check) {
            return wrong(key, problem);
        }
        if let Err((key, problem)) = StatementIssuerEntry::check(&self.software_statements) {
            return wrong(key, problem);
        }
        if let Err((key, problem)) = self.labels.check() {
            return wrong(key, &problem);
        }
        if let Err((key, problem)) = self.conformance.guides() {
            return wrong(key, &problem);
        }
        if let Err((key, problem)) = self.two_people.check().and_then(|()| self.break_glass.check()) {
            return wrong(key, &problem);
        }
        if inside(&self.root_key_file, &self.data_dir) {
            return wrong("root_key_file", "must not lie in data_dir: whoever copies the data must not get the key with it");
        }
        Ok(())
    }
}

/// Whether a file lies in a folder, also by way of links, as far as both exist.
fn inside(file: &Path, folder: &Path) -> bool {
    let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let parent = file.parent().map(real).unwrap_or_default();
    parent.starts_with(real(folder)) || real(file).starts_with(real(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "public_url = 'https://fhir.example.org'\nlisten = '127.0.0.1:8443'\ndata_dir = 'data'\nroot_key_file = 'root.key'\n[tls]\ncertificate = 'c.pem'\nkey = 'k.pem'\n";

    fn read(text: &str) -> Result<Configuration, ConfigurationError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("portcullis.toml");
        fs::write(&path, text).unwrap();
        Configuration::read(&path)
    }

    #[test]
    fn a_complete_file_is_accepted_and_its_paths_are_relative_to_it() {
        assert!(read(GOOD).unwrap().data_dir.is_absolute());
        let brand = "[brand]\nname = 'General'\ncategories = ['clinical']\nidentifiers = [{ system = 'http://hl7.org/fhir/sid/us-npi', value = '1' }]\n\
                     [[brand.addresses]]\ncity = 'Boston'\n[tls]";
        assert_eq!(read(&GOOD.replace("[tls]", brand)).unwrap().brand.name.as_deref(), Some("General"));
        assert_eq!(read(GOOD).unwrap().ui.language, Language::English);
        assert_eq!(read(&GOOD.replace("[tls]", "[ui]\nlanguage = 'es'\n[tls]")).unwrap().ui.language, Language::Spanish);
    }

    #[test]
    fn each_mistake_is_named_by_its_key() {
        for (from, to, named) in [
            ("https://fhir.example.org", "http://fhir.example.org", "public_url"),
            ("https://fhir.example.org", "https://fhir.example.org/", "public_url"),
            ("'root.key'", "'data/root.key'", "root_key_file"),
            ("listen", "lissten", "lissten"),
            ("127.0.0.1:8443", "nowhere", "listen"),
            ("key = 'k.pem'", "", "key"),
            ("[tls]", "[outbound]\nexempt = ['keys.example.org']\n[tls]", "outbound.exempt"),
            ("[tls]", "[outbound]\nproxy = 'x'\n[tls]", "proxy"),
            ("[tls]", "[brand]\nwebsite = 'http://hospital.example'\n[tls]", "brand.website"),
            ("[tls]", "[ui]\nlanguage = 'fr'\n[tls]", "language"),
            ("[tls]", "[brand]\nnames = []\n[tls]", "names"),
            ("[tls]", "[smart]\ndisabled = ['launch-her']\n[tls]", "smart.disabled"),
        ] {
            let error = read(&GOOD.replace(from, to)).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }
}
