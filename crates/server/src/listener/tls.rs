//! TLS configuration: versions, cipher suites and groups of NIST SP 800-52r2, with the hybrid post-quantum group first.
//!
//! TLS 1.3 and 1.2 only. No ChaCha20 (not NIST-approved), no CBC, no RSA key exchange, no X25519 alone, no early data.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{self, cipher_suite, kx_group};
use rustls::server::NoServerSessionStorage;
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, SupportedProtocolVersion};

use super::certificate::ReloadingCertificate;
use super::client_certificate::ClientTrust;

/// The TLS configuration is impossible.
#[derive(Debug, thiserror::Error)]
#[error("TLS configuration: {0}")]
pub struct TlsError(#[from] rustls::Error);

/// The cryptography that this server offers and accepts.
pub fn provider() -> CryptoProvider {
    CryptoProvider {
        cipher_suites: vec![
            cipher_suite::TLS13_AES_256_GCM_SHA384,
            cipher_suite::TLS13_AES_128_GCM_SHA256,
            cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
            cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
            cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
            cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        ],
        kx_groups: vec![kx_group::X25519MLKEM768, kx_group::SECP256R1, kx_group::SECP384R1],
        ..aws_lc_rs::default_provider()
    }
}

/// The versions, the newest first.
const VERSIONS: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];

/// What is in force on every connection, for whoever has to list it (SMART App Launch 2.2.0, best practices): versions, cipher suites, groups.
pub fn in_force() -> [String; 3] {
    let provider = provider();
    let versions: Vec<String> = VERSIONS.iter().map(|version| format!("{:?}", version.version)).collect();
    let suites: Vec<String> = provider.cipher_suites.iter().map(|suite| format!("{:?}", suite.suite())).collect();
    let groups: Vec<String> = provider.kx_groups.iter().map(|group| format!("{:?}", group.name())).collect();
    [("versions", versions), ("cipher suites", suites), ("groups", groups)]
        .map(|(what, names)| format!("{what}: {}", names.join(", ")))
}

/// The configuration of the listener.
pub fn server_config(certificate: Arc<ReloadingCertificate>) -> Result<ServerConfig, TlsError> {
    let config = ServerConfig::builder_with_provider(Arc::new(provider()))
        .with_protocol_versions(VERSIONS)?
        .with_no_client_auth()
        .with_cert_resolver(certificate);
    Ok(common(config))
}

/// The configuration of the listener for mutual TLS: clients without a certificate do not get through the handshake. A session is not taken up
/// again, so that every connection proves the key anew.
pub fn mutual_tls_config(certificate: Arc<ReloadingCertificate>, trust: &ClientTrust) -> Result<ServerConfig, TlsError> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider()))
        .with_protocol_versions(VERSIONS)?
        .with_client_cert_verifier(trust.verifier()?)
        .with_cert_resolver(certificate);
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(common(config))
}

fn common(mut config: ServerConfig) -> ServerConfig {
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.require_ems = true;
    config.max_early_data_size = 0;
    config
}
