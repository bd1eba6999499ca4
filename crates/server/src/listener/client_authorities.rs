//! Certification authorities that vouch for the names in clients' certificates (RFC 8705 section 2.1).
//!
//! RFC 5280 section 6: the chain ends at a configured authority, every certificate in it is valid at the time of the request, and the client's own is made for
//! client authentication. It is verified when a client authenticates and not in the handshake: a connection may outlive a certificate, and the port is
//! also for clients whose certificates nobody vouches for. Revocation lists are not looked at: whoever leaves is removed as a client.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use portcullis_oauth::certificate_names::CertificateNames;
use rustls::server::danger::ClientCertVerifier;
use rustls::{CertificateError, Error, RootCertStore};
use rustls_pki_types::{CertificateDer, UnixTime};

use super::client_certificate::{ClientTrust, ClientTrustError, read_roots};

/// The authorities.
#[derive(Clone, Debug)]
pub struct ClientAuthorities(Arc<dyn ClientCertVerifier>);

/// Why no name in a certificate counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Untrusted {
    /// It, or one of its chain, has expired.
    #[error("the certificate, or one of its chain, has expired")]
    Expired,
    /// It, or one of its chain, is not valid yet.
    #[error("the certificate, or one of its chain, is not valid yet")]
    NotYetValid,
    /// Its extended key usage leaves client authentication out.
    #[error("the certificate is not made for client authentication")]
    Purpose,
    /// Its chain ends nowhere that is known here.
    #[error("no certification authority of this server vouches for the certificate")]
    Issuer,
    /// Anything else.
    #[error("the certificate or its chain is faulty")]
    Faulty,
}

impl ClientAuthorities {
    /// Those of a PEM file.
    pub fn read(path: &Path) -> Result<Self, ClientTrustError> {
        Self::of(read_roots(path)?)
    }

    /// These.
    pub fn of(roots: RootCertStore) -> Result<Self, ClientTrustError> {
        let verifier = ClientTrust::Authorities(Arc::new(roots)).verifier();
        verifier.map(Self).map_err(|error| ClientTrustError(error.to_string()))
    }

    /// The names in the first certificate of a chain that holds at this time, in seconds since the epoch.
    pub fn names(&self, chain: &[CertificateDer<'_>], now: i64) -> Result<CertificateNames, Untrusted> {
        let (leaf, intermediates) = chain.split_first().ok_or(Untrusted::Faulty)?;
        let now = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(now).map_err(|_| Untrusted::Faulty)?));
        self.0.verify_client_cert(leaf, intermediates, now).map_err(|error| match error {
            Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => Untrusted::Expired,
            Error::InvalidCertificate(CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. }) => {
                Untrusted::NotYetValid
            }
            Error::InvalidCertificate(CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. }) => {
                Untrusted::Purpose
            }
            Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => Untrusted::Issuer,
            _ => Untrusted::Faulty,
        })?;
        CertificateNames::of_trusted(leaf).ok_or(Untrusted::Faulty)
    }
}
