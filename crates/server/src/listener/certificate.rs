//! The server's certificate, replaced without a restart when its files change.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// Where the certificate chain and its key lie, both PEM.
#[derive(Clone, Debug)]
pub struct CertificateFiles {
    /// The chain, leaf first.
    pub chain: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not PEM, or holds no certificate or key.
    #[error("{path} holds no usable PEM: {reason}")]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The key does not fit the certificate, or its kind is not supported.
    #[error("the certificate and its key cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
}

/// A file's time of change and length.
type Look = (SystemTime, u64);

/// A certificate that follows its files.
#[derive(Debug)]
pub struct ReloadingCertificate {
    files: CertificateFiles,
    current: ArcSwap<CertifiedKey>,
    /// What the files looked like when they were read.
    seen: ArcSwap<[Option<Look>; 2]>,
}

impl ReloadingCertificate {
    /// Loads the files.
    pub fn load(files: CertificateFiles) -> Result<Arc<Self>, CertificateError> {
        let seen = look(&files);
        let key = read(&files)?;
        Ok(Arc::new(Self { current: ArcSwap::from_pointee(key), seen: ArcSwap::from_pointee(seen), files }))
    }

    /// Loads the files again if one of them changed; says whether a new certificate is in use. The old one stays where the new one
    /// cannot be used.
    pub fn reload_if_changed(&self) -> Result<bool, CertificateError> {
        let now = look(&self.files);
        if **self.seen.load() == now {
            return Ok(false);
        }
        self.current.store(Arc::new(read(&self.files)?));
        self.seen.store(Arc::new(now));
        Ok(true)
    }
}

impl ResolvesServerCert for ReloadingCertificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

fn look(files: &CertificateFiles) -> [Option<Look>; 2] {
    [&files.chain, &files.key].map(|path| {
        let metadata = fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    })
}

fn read(files: &CertificateFiles) -> Result<CertifiedKey, CertificateError> {
    let bytes = |path: &PathBuf| fs::read(path).map_err(|source| CertificateError::Read { path: path.clone(), source });
    let pem_error =
        |path: &PathBuf, reason: &dyn std::fmt::Display| CertificateError::Pem { path: path.clone(), reason: reason.to_string() };
    let chain = CertificateDer::pem_slice_iter(&bytes(&files.chain)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| pem_error(&files.chain, &error))?;
    if chain.is_empty() {
        return Err(pem_error(&files.chain, &"no certificate"));
    }
    let key = PrivateKeyDer::from_pem_slice(&bytes(&files.key)?).map_err(|error| pem_error(&files.key, &error))?;
    Ok(CertifiedKey::from_der(chain, key, &super::tls::provider())?)
}
