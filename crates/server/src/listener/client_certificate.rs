//! Client certificates on the port for mutual TLS (RFC 8446 section 4.4.2, RFC 8705).
//!
//! A certificate counts here as a key that the client holds: the handshake proves that, and the thumbprint is what tokens are bound to. Whether
//! somebody vouches for it is the operator's choice: with certification authorities configured, others end the handshake; without, any
//! certificate is taken, as "self-signed" clients need (RFC 8705 section 2.2). Names and validity of a self-signed one say nothing, so
//! nothing reads them. A connection without a certificate ends.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, UnixTime};

use super::tls::provider;

/// The longest certificate that is looked at, in bytes.
const MAXIMUM_CERTIFICATE_BYTES: usize = 16 * 1024;

/// Which client certificates are taken.
#[derive(Clone, Debug)]
pub enum ClientTrust {
    /// Any: who it is says what is registered about it.
    AnyCertificate,
    /// Those of these certification authorities.
    Authorities(Arc<RootCertStore>),
}

/// The file of certification authorities cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the file of client certification authorities cannot be used: {0}")]
pub struct ClientTrustError(pub(super) String);

impl ClientTrust {
    /// The certification authorities of a PEM file.
    pub fn read(path: &Path) -> Result<Self, ClientTrustError> {
        Ok(Self::Authorities(Arc::new(read_roots(path)?)))
    }

    pub(super) fn verifier(&self) -> Result<Arc<dyn ClientCertVerifier>, Error> {
        match self {
            Self::AnyCertificate => Ok(Arc::new(AnyCertificate(provider().signature_verification_algorithms))),
            Self::Authorities(roots) => WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), Arc::new(provider()))
                .build()
                .map_err(|error| Error::General(error.to_string())),
        }
    }
}

/// The certificates of a PEM file, one at least.
pub(super) fn read_roots(path: &Path) -> Result<RootCertStore, ClientTrustError> {
    let wrong = |error: &dyn std::fmt::Display| ClientTrustError(error.to_string());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| wrong(&error))? {
        roots.add(certificate.map_err(|error| wrong(&error))?).map_err(|error| wrong(&error))?;
    }
    if roots.is_empty() {
        return Err(wrong(&"it holds no certificate"));
    }
    Ok(roots)
}

/// Takes any certificate whose key the client proves to hold.
#[derive(Debug)]
struct AnyCertificate(WebPkiSupportedAlgorithms);

impl ClientCertVerifier for AnyCertificate {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if end_entity.len() > MAXIMUM_CERTIFICATE_BYTES {
            return Err(Error::InvalidCertificate(CertificateError::BadEncoding));
        }
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
