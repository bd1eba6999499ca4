//! Client authentication by a certificate that the client registered: `self_signed_tls_client_auth` (RFC 8705 section 2.2).
//!
//! The certificate stands in the client's JWK Set as the `x5c` of a key. That the client holds its key was proven by the handshake; that it is the
//! registered one is found here. Nobody vouches for it, and neither its names nor its dates are read.

use portcullis_jose::ClientKeySet;

use crate::clients::Client;
use crate::confirmation::CertificateThumbprint;
use crate::identifiers::ClientId;
use crate::token_error::TokenError;

/// A certificate of the connection that a client registered; only [`RegisteredCertificate::check`] makes one.
#[derive(Debug)]
pub struct RegisteredCertificate {
    client: ClientId,
}

impl RegisteredCertificate {
    /// Checks the certificate of a connection against the keys of a client.
    pub fn check(client: &Client, keys: &ClientKeySet, shown: Option<CertificateThumbprint>) -> Result<Self, TokenError> {
        let shown = shown.ok_or(TokenError::InvalidClient(
            "this client must authenticate by its certificate; use the mtls_endpoint_aliases",
        ))?;
        if keys.certificates().iter().any(|registered| shown == CertificateThumbprint::from_bytes(*registered)) {
            Ok(Self { client: client.id.clone() })
        } else {
            Err(TokenError::InvalidClient("the certificate is not the x5c of a registered key"))
        }
    }

    /// Whose it is.
    pub fn client(&self) -> &ClientId {
        &self.client
    }
}

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
