//! The server's certificate, replaced without a restart when its files change.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
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

/// The look at which files that cannot be used are told of for the second time; a look is every two seconds, so this is a minute.
const FIRST_REMINDER: u32 = 30;
/// Looks between two reminders at most: an hour.
const LONGEST_SILENCE: u32 = 1800;

/// A file's time of change and length.
type Look = (SystemTime, u64);

/// A certificate that follows its files.
#[derive(Debug)]
pub struct ReloadingCertificate {
    files: CertificateFiles,
    current: ArcSwap<CertifiedKey>,
    /// What the files looked like when they were read.
    seen: ArcSwap<[Option<Look>; 2]>,
    failing: Mutex<Option<Failing>>,
}

/// Files that cannot be used, and how often that was looked at.
#[derive(Debug)]
struct Failing {
    look: [Option<Look>; 2],
    looks: u32,
    /// The number of the look at which it is told again.
    told_next: u32,
}

impl ReloadingCertificate {
    /// Loads the files.
    pub fn load(files: CertificateFiles) -> Result<Arc<Self>, CertificateError> {
        let seen = look(&files);
        let key = read(&files)?;
        Ok(Arc::new(Self {
            current: ArcSwap::from_pointee(key),
            seen: ArcSwap::from_pointee(seen),
            failing: Mutex::default(),
            files,
        }))
    }

    /// Loads the files again if one of them changed; says whether a new certificate is in use. The old one stays where the new one
    /// cannot be used. Every call tries again; the error is returned once for each change of the files and then after ever more calls, so that whoever
    /// logs it does not fill the log.
    pub fn reload_if_changed(&self) -> Result<bool, CertificateError> {
        let now = look(&self.files);
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        if **self.seen.load() == now {
            *failing = None;
            return Ok(false);
        }
        match read(&self.files) {
            Ok(key) => {
                *failing = None;
                self.current.store(Arc::new(key));
                self.seen.store(Arc::new(now));
                Ok(true)
            }
            Err(error) => {
                let told = match failing.as_mut().filter(|failing| failing.look == now) {
                    Some(failing) => failing.again(),
                    None => {
                        *failing = Some(Failing { look: now, looks: 1, told_next: FIRST_REMINDER });
                        true
                    }
                };
                if told { Err(error) } else { Ok(false) }
            }
        }
    }
}

impl Failing {
    /// One more look; says whether it is time to tell.
    fn again(&mut self) -> bool {
        self.looks = self.looks.saturating_add(1);
        if self.looks < self.told_next {
            return false;
        }
        self.told_next = self.looks.saturating_add(self.looks.min(LONGEST_SILENCE));
        true
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

#[cfg(test)]
mod tests {
    use super::*;

    fn write(files: &CertificateFiles) {
        let issued = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        fs::write(&files.key, issued.signing_key.serialize_pem()).unwrap();
        fs::write(&files.chain, issued.cert.pem()).unwrap();
    }

    #[test]
    fn files_that_cannot_be_used_are_told_of_once_a_change_and_then_ever_more_seldom() {
        let folder = tempfile::tempdir().unwrap();
        let files = CertificateFiles { chain: folder.path().join("a.pem"), key: folder.path().join("a.key") };
        write(&files);
        let certificate = ReloadingCertificate::load(files.clone()).unwrap();
        let old = certificate.current.load_full();
        assert!(matches!(certificate.reload_if_changed(), Ok(false)));

        fs::write(&files.chain, "bad").unwrap();
        let told: Vec<u32> = (1..=8000).filter(|_look| certificate.reload_if_changed().is_err()).collect();
        assert_eq!(told, [1, 30, 60, 120, 240, 480, 960, 1920, 3720, 5520, 7320]);
        fs::write(&files.chain, "worse").unwrap();
        assert!(certificate.reload_if_changed().is_err(), "another change is told at once");
        assert!(matches!(certificate.reload_if_changed(), Ok(false)));
        assert!(Arc::ptr_eq(&old, &certificate.current.load_full()), "the old one stays");

        write(&files);
        assert!(matches!(certificate.reload_if_changed(), Ok(true)), "every look tries again");
        fs::write(&files.chain, "bad").unwrap();
        assert!(certificate.reload_if_changed().is_err(), "a new failure is told at once");
    }
}
