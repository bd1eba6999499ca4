//! The configuration file: TOML, unknown keys refused, secrets by file.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use portcullis_outbound::ExemptHost;
use serde::Deserialize;

use crate::application::OutboundSettings;

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
    #[error("{path}: {source}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and what.
        source: Box<toml::de::Error>,
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

impl Configuration {
    /// Reads and checks a file. Relative paths in it are relative to the file's folder.
    pub fn read(path: &Path) -> Result<Self, ConfigurationError> {
        let text = fs::read_to_string(path).map_err(|source| ConfigurationError::Read { path: path.to_owned(), source })?;
        let mut configuration: Self = toml::from_str(&text)
            .map_err(|source| ConfigurationError::Syntax { path: path.to_owned(), source: Box::new(source) })?;
        let folder = path.parent().unwrap_or(Path::new("."));
        for relative in [
            &mut configuration.data_dir,
            &mut configuration.root_key_file,
            &mut configuration.tls.certificate,
            &mut configuration.tls.key,
        ] {
            *relative = folder.join(&*relative);
        }
        configuration.outbound.ca_file = configuration.outbound.ca_file.map(|path| folder.join(path));
        configuration.check()?;
        Ok(configuration)
    }

    fn check(&self) -> Result<(), ConfigurationError> {
        let wrong = |key, problem: &str| Err(ConfigurationError::Value { key, problem: problem.to_owned() });
        let Some(authority) = self.public_url.strip_prefix("https://") else {
            return wrong("public_url", "must begin with https://, for example https://fhir.example.org");
        };
        if authority.is_empty() || authority.contains(['/', '?', '#', '@', ' ']) {
            return wrong("public_url", "must be scheme, host and port only, without a path or a slash at the end");
        }
        if self.limits.connections == 0 {
            return wrong("limits.connections", "must be at least 1");
        }
        if self.outbound.exempt.iter().any(|text| ExemptHost::parse(text).is_none()) {
            return wrong("outbound.exempt", "must be a list of \"host:port\", for example [\"keys.example.org:8443\"]");
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
        ] {
            let error = read(&GOOD.replace(from, to)).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }
}
