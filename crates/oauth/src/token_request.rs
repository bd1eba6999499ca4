//! The token request and the authentication of the client that makes it (RFC 6749 sections 2.3, 4.1.3 and 6, RFC 7636 section 4.5).
//!
//! Confidential clients authenticate by HTTP Basic, the one method of SMART's symmetric profile. A secret in the body is refused, since
//! RFC 6749 section 2.3.1 advises against it and nothing advertises it. Clients with keys send an assertion (RFC 7523).

use std::sync::Arc;

use base64::Engine as _;
use portcullis_jose::Secret;

use crate::client_assertion::{ASSERTION_TYPE, PresentedAssertion, VerifiedAssertion};
use crate::client_certificate::ClientProof;
use crate::clients::{Client, ClientKind, GrantType};
use crate::confirmation::{CertificateThumbprint, Confirmation};
use crate::dpop::{ProofError, VerifiedProof};
use crate::grant::SecretHash;
use crate::identifiers::ClientId;
use crate::parameters::{Parameters, ParametersError, decode};
use crate::pkce;
use crate::token_error::TokenError;

/// The longest `Authorization` header that is looked at, in bytes.
const MAXIMUM_AUTHORIZATION_BYTES: usize = 4096;

/// A token request as it came over HTTP.
#[derive(Clone, Copy)]
pub struct TokenRequestParts<'a> {
    /// The `Content-Type` header.
    pub content_type: Option<&'a str>,
    /// The `Authorization` header.
    pub authorization: Option<&'a str>,
    /// The body.
    pub body: &'a [u8],
    /// The client to which the refresh token of [`lone_refresh_token`] was issued.
    pub implied_client: Option<&'a ClientId>,
}

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
    pub fn parse(parts: TokenRequestParts<'_>) -> Result<Self, TokenError> {
        let parameters = form(&parts)?;
        let credentials = match (credentials(parts.authorization, &parameters), parts.implied_client) {
            (Err(NOT_NAMED), Some(client)) => ClientCredentials::Public { client_id: client.clone() },
            (credentials, _) => credentials?,
        };
        Ok(Self { credentials, grant: grant(&parameters)? })
    }
}

/// The hash of the refresh token in a request to refresh that says nothing about its client.
///
/// RFC 6749 asks for `client_id` in the request for a code (section 4.1.3) and not in the one to refresh (section 6), and public clients that
/// are built on SMART's own JavaScript library leave it out there. The token says whose it is; a client that has credentials must still show them.
pub fn lone_refresh_token(parts: &TokenRequestParts<'_>) -> Option<SecretHash> {
    let parameters = form(parts).ok()?;
    let value = |name: &str| parameters.value(name).ok().flatten();
    let named = ["client_id", "client_secret", "client_assertion", "client_assertion_type"].map(value);
    let lone = parts.authorization.is_none() && named.iter().all(Option::is_none) && value("grant_type") == Some("refresh_token");
    value("refresh_token").filter(|_| lone).map(SecretHash::of)
}

/// The client that a request names, rightly or wrongly: for the record of a request that cannot be served.
pub fn claimed_client(parts: &TokenRequestParts<'_>) -> Option<ClientId> {
    let named = || ClientId::parse(Parameters::parse(parts.body).ok()?.value("client_id").ok()??);
    parts.authorization.and_then(basic).map(|(client, _)| client).or_else(named)
}

/// What a client presents to the revocation endpoint (RFC 7009 section 2.1): who it is, and the token.
pub fn parse_revocation(parts: TokenRequestParts<'_>) -> Result<(ClientCredentials, Secret<String>), TokenError> {
    let parameters = form(&parts)?;
    let token = required(&parameters, "token", "token is required")?;
    Ok((credentials(parts.authorization, &parameters)?, Secret::new(token.to_owned())))
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
                if client.properties.self_signed_tls_client_auth
                    && certificate.as_ref().is_some_and(|certificate| *certificate.client() == client.id) => {}
            (_, ClientKind::ConfidentialAsymmetric { .. }) if client.properties.self_signed_tls_client_auth => {
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

const NOT_NAMED: TokenError = TokenError::InvalidClient("client_id or HTTP Basic is required");
const REPEATED: TokenError = TokenError::InvalidRequest("a parameter is repeated");

fn is_form(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// The parameters of a request, each at most once.
pub(crate) fn form(parts: &TokenRequestParts<'_>) -> Result<Parameters, TokenError> {
    if !parts.content_type.is_some_and(is_form) {
        return Err(TokenError::InvalidRequest("the body must be application/x-www-form-urlencoded"));
    }
    let parameters = Parameters::parse(parts.body).map_err(|error| match error {
        ParametersError::TooLarge => TokenError::InvalidRequest("the request has too many or too long parameters"),
        ParametersError::Malformed => TokenError::InvalidRequest("the body is not valid form data"),
    })?;
    if parameters.has_repeated() {
        return Err(REPEATED);
    }
    Ok(parameters)
}

fn optional<'a>(parameters: &'a Parameters, name: &str) -> Result<Option<&'a str>, TokenError> {
    parameters.value(name).map_err(|_| REPEATED)
}

pub(crate) fn required<'a>(parameters: &'a Parameters, name: &str, problem: &'static str) -> Result<&'a str, TokenError> {
    optional(parameters, name)?.ok_or(TokenError::InvalidRequest(problem))
}

/// "The client MUST NOT use more than one authentication method in each request" (RFC 6749 section 2.3).
pub(crate) fn credentials(authorization: Option<&str>, parameters: &Parameters) -> Result<ClientCredentials, TokenError> {
    let named = optional(parameters, "client_id")?;
    let in_body = optional(parameters, "client_secret")?.is_some();
    let (assertion_text, assertion_type) =
        (optional(parameters, "client_assertion")?, optional(parameters, "client_assertion_type")?);
    let assertion = assertion_text.is_some() || assertion_type.is_some();
    if usize::from(authorization.is_some()) + usize::from(in_body) + usize::from(assertion) > 1 {
        return Err(TokenError::InvalidRequest("only one way of client authentication may be used"));
    }
    if in_body {
        return Err(TokenError::InvalidClient("send the client secret by HTTP Basic, not in the body"));
    }
    if assertion {
        return Ok(ClientCredentials::Assertion(Box::new(presented(assertion_text, assertion_type, named)?)));
    }
    let Some(header) = authorization else {
        let name = named.ok_or(NOT_NAMED)?;
        let client_id = ClientId::parse(name).ok_or(TokenError::InvalidClient("client authentication failed"))?;
        return Ok(ClientCredentials::Public { client_id });
    };
    let (client_id, secret) =
        basic(header).ok_or(TokenError::InvalidClient("the Authorization header is not valid HTTP Basic"))?;
    if named.is_some_and(|named| named != client_id.as_str()) {
        return Err(TokenError::InvalidRequest("client_id differs from the one in the Authorization header"));
    }
    Ok(ClientCredentials::Basic { client_id, secret })
}

/// A client assertion. Where `client_id` is sent, too, it must name the same client (RFC 7521 section 4.2).
fn presented(text: Option<&str>, kind: Option<&str>, named: Option<&str>) -> Result<PresentedAssertion, TokenError> {
    if kind != Some(ASSERTION_TYPE) {
        return Err(TokenError::InvalidRequest(
            "client_assertion_type must be urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        ));
    }
    let assertion = PresentedAssertion::parse(text.ok_or(TokenError::InvalidRequest("client_assertion is required"))?)?;
    if named.is_some_and(|named| named != assertion.client_id().as_str()) {
        return Err(TokenError::InvalidClient("client_id differs from the sub of client_assertion"));
    }
    Ok(assertion)
}

/// HTTP Basic (RFC 7617), whose two halves are form-encoded first (RFC 6749 section 2.3.1).
fn basic(header: &str) -> Option<(ClientId, Secret<String>)> {
    if header.len() > MAXIMUM_AUTHORIZATION_BYTES {
        return None;
    }
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = Secret::new(base64::engine::general_purpose::STANDARD.decode(encoded.trim_start_matches(' ')).ok()?);
    let colon = decoded.expose().iter().position(|byte| *byte == b':')?;
    let (name, secret) = decoded.expose().split_at_checked(colon)?;
    let client_id = ClientId::parse(&decode(name).ok()?)?;
    Some((client_id, Secret::new(decode(secret.get(1..)?).ok()?)))
}

fn grant(parameters: &Parameters) -> Result<TokenGrant, TokenError> {
    let secret = |text: &str| Secret::new(text.to_owned());
    match required(parameters, "grant_type", "grant_type is required")? {
        "authorization_code" => {
            let code = secret(required(parameters, "code", "code is required")?);
            let redirect_uri = required(parameters, "redirect_uri", "redirect_uri is required")?.to_owned();
            let verifier = optional(parameters, "code_verifier")?;
            if verifier.is_some_and(|verifier| !pkce::well_formed(verifier)) {
                return Err(TokenError::InvalidRequest("code_verifier must have 43 to 128 unreserved characters"));
            }
            Ok(TokenGrant::AuthorizationCode { code, redirect_uri, code_verifier: verifier.map(secret) })
        }
        "refresh_token" => {
            let refresh_token = secret(required(parameters, "refresh_token", "refresh_token is required")?);
            let scope = optional(parameters, "scope")?.map(str::to_owned);
            Ok(TokenGrant::RefreshToken { refresh_token, scope })
        }
        "client_credentials" => {
            let scope = required(parameters, "scope", "scope is required")?.to_owned();
            Ok(TokenGrant::ClientCredentials { scope })
        }
        _ => Err(TokenError::UnsupportedGrantType("grant_type must be authorization_code, refresh_token or client_credentials")),
    }
}

#[cfg(test)]
mod tests;
