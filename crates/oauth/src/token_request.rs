//! The token request and the authentication of the client that makes it (RFC 6749 sections 2.3, 4.1.3 and 6, RFC 7636 section 4.5).
//!
//! Confidential clients authenticate by HTTP Basic, the one method of SMART's symmetric profile. A secret in the body is refused, since
//! RFC 6749 section 2.3.1 advises against it and nothing advertises it. Clients with keys send an assertion (RFC 7523).

use std::sync::Arc;

use portcullis_jose::Secret;

use crate::client_assertion::{PresentedAssertion, VerifiedAssertion};
use crate::client_certificate::ClientProof;
use crate::client_request::ClientRequest;
use crate::clients::{Client, ClientKind, GrantType};
use crate::confirmation::{CertificateThumbprint, Confirmation};
use crate::dpop::{ProofError, VerifiedProof};
use crate::identifiers::ClientId;
use crate::pkce;
use crate::token_error::TokenError;

/// A well-formed token request; nothing of it is checked against what is stored.
#[derive(Debug)]
pub struct TokenRequest {
    /// What the client says about itself.
    pub credentials: ClientCredentials,
    /// What it redeems.
    pub grant: TokenGrant,
}

/// How a client presents itself.
#[derive(Debug)]
pub enum ClientCredentials {
    /// By name only: `client_id` in the body.
    Public {
        /// The client.
        client_id: ClientId,
    },
    /// By HTTP Basic.
    Basic {
        /// The client.
        client_id: ClientId,
        /// Its secret.
        secret: Secret<String>,
    },
    /// By an assertion that it signed.
    Assertion(Box<PresentedAssertion>),
}

/// What a client redeems.
#[derive(Debug)]
pub enum TokenGrant {
    /// `grant_type=authorization_code`
    AuthorizationCode {
        /// The code.
        code: Secret<String>,
        /// The redirect URI of the authorization request.
        redirect_uri: String,
        /// The verifier for the challenge of the authorization request, well-formed; a client of SMART 1.0 may have none.
        code_verifier: Option<Secret<String>>,
    },
    /// `grant_type=refresh_token`
    RefreshToken {
        /// The refresh token.
        refresh_token: Secret<String>,
        /// The scopes to shrink to, if any.
        scope: Option<String>,
    },
    /// `grant_type=client_credentials`
    ClientCredentials {
        /// The scopes that it asks for.
        scope: String,
    },
}

impl TokenGrant {
    /// The grant type.
    pub fn grant_type(&self) -> GrantType {
        match self {
            Self::AuthorizationCode { .. } => GrantType::AuthorizationCode,
            Self::RefreshToken { .. } => GrantType::RefreshToken,
            Self::ClientCredentials { .. } => GrantType::ClientCredentials,
        }
    }

    /// Refuses a grant type that the client was not registered for, and a code without the verifier that the client must send.
    pub fn check_allowed(&self, client: &Client) -> Result<(), TokenError> {
        if !client.may_use(self.grant_type()) {
            return Err(TokenError::UnauthorizedClient("this client may not use this grant type"));
        }
        match self {
            Self::AuthorizationCode { code_verifier: None, .. } if !client.may_omit_challenge() => {
                Err(TokenError::InvalidRequest("code_verifier is required"))
            }
            _ => Ok(()),
        }
    }
}

/// A client whose credentials hold; only [`ClientCredentials::authenticate`] makes one.
///
/// Where it came with an assertion, that one is still inside, and whatever is stored or answered for the client must spend it.
#[derive(Debug)]
#[must_use = "what it authenticated with can be presented again until it is spent"]
pub struct AuthenticatedClient {
    client: Client,
    assertion: Option<Arc<VerifiedAssertion>>,
    proof: Option<Arc<VerifiedProof>>,
    certificate: Option<CertificateThumbprint>,
}

impl AuthenticatedClient {
    /// The client's identifier.
    pub fn id(&self) -> &ClientId {
        &self.client.id
    }

    /// The client as registered.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The same client, which has also sent a proof, or has a certificate on its connection.
    pub fn showing(self, proof: Option<VerifiedProof>, certificate: Option<CertificateThumbprint>) -> Self {
        Self { proof: proof.map(Arc::new), certificate, ..self }
    }

    /// The proof that has to be spent with what follows.
    pub fn proof(&self) -> Option<&Arc<VerifiedProof>> {
        self.proof.as_ref()
    }

    /// What it has proven to hold.
    pub fn shown(&self) -> Confirmation {
        Confirmation { key: self.proof.as_ref().map(|proof| proof.key()), certificate: self.certificate }
    }

    /// What its access tokens are bound to: the key of its proof, and its certificate where it is registered so (RFC 8705 section 3).
    pub fn confirmation(&self) -> Result<Option<Confirmation>, TokenError> {
        let properties = &self.client.properties;
        let mut confirmation = self.shown();
        if properties.dpop_bound_access_tokens && confirmation.key.is_none() {
            return Err(ProofError::Missing.into());
        }
        if !properties.tls_client_certificate_bound_access_tokens {
            confirmation.certificate = None;
        } else if confirmation.certificate.is_none() {
            return Err(TokenError::InvalidRequest(
                "this client's tokens are bound to its certificate: use the mtls_endpoint_aliases",
            ));
        }
        Ok(confirmation.bound())
    }

    /// The assertion that has to be spent with what follows; none for other credentials.
    pub fn assertion(&self) -> Option<&Arc<VerifiedAssertion>> {
        self.assertion.as_ref()
    }
}

impl TokenRequest {
    /// Reads a token request.
    pub fn parse(request: &ClientRequest<'_>) -> Result<Self, TokenError> {
        Ok(Self { credentials: request.credentials_or_implied()?, grant: grant(request)? })
    }
}

/// What a client presents to the revocation endpoint (RFC 7009 section 2.1): who it is, and the token.
pub fn parse_revocation(request: &ClientRequest<'_>) -> Result<(ClientCredentials, Secret<String>), TokenError> {
    let token = request.required("token", "token is required")?;
    Ok((request.credentials()?, Secret::new(token.to_owned())))
}

impl ClientCredentials {
    /// Authenticates the client, given what is registered under the name that it presents, and what was found about its
    /// assertion or certificate with the keys of that client.
    ///
    /// That a name is unknown is not hidden in time: client ids are public. Secrets are compared in constant time.
    pub fn authenticate(&self, registered: Option<Client>, proof: ClientProof) -> Result<AuthenticatedClient, TokenError> {
        const FAILED: TokenError = TokenError::InvalidClient("client authentication failed");
        let client = registered.filter(|client| client.id == *self.client_id()).ok_or(FAILED)?;
        let (assertion, certificate) = match proof {
            ClientProof::Nothing => (None, None),
            ClientProof::Assertion(assertion) => (Some(assertion), None),
            ClientProof::Certificate(certificate) => (None, Some(certificate)),
        };
        match (self, &client.kind) {
            (ClientCredentials::Public { .. }, ClientKind::ConfidentialAsymmetric { .. })
                if client.authenticates_by_certificate()
                    && certificate.as_ref().is_some_and(|certificate| *certificate.client() == client.id) => {}
            (_, ClientKind::ConfidentialAsymmetric { .. }) if client.authenticates_by_certificate() => {
                return Err(TokenError::InvalidClient("this client must authenticate by its certificate and client_id"));
            }
            (ClientCredentials::Assertion(_), ClientKind::ConfidentialAsymmetric { .. })
                if assertion.as_ref().is_some_and(|assertion| *assertion.client() == client.id) => {}
            (ClientCredentials::Assertion(_), ClientKind::ConfidentialAsymmetric { .. }) => return Err(FAILED),
            (ClientCredentials::Assertion(_), _) => {
                return Err(TokenError::InvalidClient("this client has no registered keys and cannot send an assertion"));
            }
            (_, ClientKind::ConfidentialAsymmetric { .. }) => {
                return Err(TokenError::InvalidClient("this client must authenticate by client_assertion"));
            }
            (ClientCredentials::Public { .. }, ClientKind::Public) => {}
            (ClientCredentials::Basic { secret, .. }, ClientKind::ConfidentialSymmetric { secret_hash })
                if secret_hash.accepts(secret.expose()) => {}
            (ClientCredentials::Basic { .. }, ClientKind::ConfidentialSymmetric { .. }) => return Err(FAILED),
            (ClientCredentials::Public { .. }, ClientKind::ConfidentialSymmetric { .. }) => {
                return Err(TokenError::InvalidClient("this client must authenticate by HTTP Basic"));
            }
            (ClientCredentials::Basic { .. }, ClientKind::Public) => {
                return Err(TokenError::InvalidClient("this client is public and must send client_id without a secret"));
            }
        }
        Ok(AuthenticatedClient { client, assertion: assertion.map(Arc::new), proof: None, certificate: None })
    }

    /// The name that the client presents, by which it is looked up.
    pub fn client_id(&self) -> &ClientId {
        match self {
            Self::Public { client_id } | Self::Basic { client_id, .. } => client_id,
            Self::Assertion(assertion) => assertion.client_id(),
        }
    }
}

fn grant(request: &ClientRequest<'_>) -> Result<TokenGrant, TokenError> {
    let secret = |text: &str| Secret::new(text.to_owned());
    match request.required("grant_type", "grant_type is required")? {
        "authorization_code" => {
            let code = secret(request.required("code", "code is required")?);
            let redirect_uri = request.required("redirect_uri", "redirect_uri is required")?.to_owned();
            let verifier = request.optional("code_verifier")?;
            if verifier.is_some_and(|verifier| !pkce::well_formed(verifier)) {
                return Err(TokenError::InvalidRequest("code_verifier must have 43 to 128 unreserved characters"));
            }
            Ok(TokenGrant::AuthorizationCode { code, redirect_uri, code_verifier: verifier.map(secret) })
        }
        "refresh_token" => {
            let refresh_token = secret(request.required("refresh_token", "refresh_token is required")?);
            let scope = request.optional("scope")?.map(str::to_owned);
            Ok(TokenGrant::RefreshToken { refresh_token, scope })
        }
        "client_credentials" => {
            let scope = request.required("scope", "scope is required")?.to_owned();
            Ok(TokenGrant::ClientCredentials { scope })
        }
        _ => Err(TokenError::UnsupportedGrantType("grant_type must be authorization_code, refresh_token or client_credentials")),
    }
}

#[cfg(test)]
mod tests;
