//! Client authentication by a certificate that the client registered (RFC 8705 section 2).
//!
//! `tls_client_auth` (section 2.1): a name in the certificate is registered, and an authority that the operator configured vouches for it; the caller
//! verifies the chain, which takes a clock and the authorities, and hands over the names.
//!
//! `self_signed_tls_client_auth` (section 2.2): the certificate stands in the client's JWK Set as the `x5c` of a key. That the client holds its key was proven by the handshake; that it is the
//! registered one is found here. Nobody vouches for it, and neither its names nor its dates are read.

use portcullis_jose::ClientKeySet;

use crate::certificate_names::CertificateNames;
use crate::clients::Client;
use crate::confirmation::CertificateThumbprint;
use crate::identifiers::ClientId;
use crate::token_error::TokenError;

/// A certificate of the connection that a client registered; only [`RegisteredCertificate::check`] and [`RegisteredCertificate::vouched`] make one.
#[derive(Debug)]
pub struct RegisteredCertificate {
    client: ClientId,
}

impl RegisteredCertificate {
    /// Checks the certificate of a connection against the keys of a client.
    pub fn check(client: &Client, keys: &ClientKeySet, shown: Option<CertificateThumbprint>) -> Result<Self, TokenError> {
        let shown = shown.ok_or(NO_CERTIFICATE)?;
        if keys.certificates().iter().any(|registered| shown == CertificateThumbprint::from_bytes(*registered)) {
            Ok(Self { client: client.id.clone() })
        } else {
            Err(TokenError::InvalidClient("the certificate is not the x5c of a registered key"))
        }
    }

    /// Checks the names of a certificate of the connection, whose chain was verified, against the one that is registered; `None` where the
    /// connection has no certificate.
    pub fn vouched(client: &Client, names: Option<&CertificateNames>) -> Result<Self, TokenError> {
        let names = names.ok_or(NO_CERTIFICATE)?;
        match client.properties.certificate_subject.expected() {
            Ok(Some(expected)) if expected.is_in(names) => Ok(Self { client: client.id.clone() }),
            Ok(Some(_)) => Err(TokenError::InvalidClient("the certificate does not have the registered name")),
            Ok(None) | Err(_) => Err(TokenError::InvalidClient("no name of a certificate is registered for this client")),
        }
    }

    /// Whose it is.
    pub fn client(&self) -> &ClientId {
        &self.client
    }
}

const NO_CERTIFICATE: TokenError =
    TokenError::InvalidClient("this client must authenticate by its certificate; use the mtls_endpoint_aliases");

/// What was found about the credentials of a client before it is authenticated.
#[derive(Debug, Default)]
pub enum ClientProof {
    /// Nothing: they speak for themselves.
    #[default]
    Nothing,
    /// An assertion that verified with the keys of the client.
    Assertion(crate::client_assertion::VerifiedAssertion),
    /// A certificate that the client registered.
    Certificate(RegisteredCertificate),
}
