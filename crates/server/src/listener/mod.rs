//! The listener: sockets, TLS and connections, up to the first parsed request.
//!
//! RFC 9110, RFC 9112, RFC 9113; TLS per NIST SP 800-52r2. It knows nothing about FHIR or OAuth.

mod accept;
mod certificate;
mod client_authorities;
mod client_certificate;
mod connection;
mod incoming;
mod tls;

pub use accept::{Limits, Listener, Shutdown};
pub use certificate::{CertificateError, CertificateFiles, ReloadingCertificate};
pub use client_authorities::{ClientAuthorities, Untrusted};
pub use client_certificate::{ClientTrust, ClientTrustError};
pub use connection::{Handler, Peer};
pub use incoming::Incoming;
pub use tls::{TlsError, in_force as transport_in_force, mutual_tls_config, server_config};
