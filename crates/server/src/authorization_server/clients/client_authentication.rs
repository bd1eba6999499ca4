//! Authentication of clients by an assertion: from what was presented to what has to be spent (RFC 7523, SMART App Launch 2.2.0); and by a
//! certificate (RFC 8705).
//!
//! The signature and the claims are checked here, with the keys of the client. That the assertion is used for the first time is found out
//! when it is spent, in the transaction of what the client asked for: [`super::client_endpoint`] puts it there.

use std::sync::Arc;

use portcullis_jose::JwtError;
use portcullis_oauth::client_assertion::{AssertionError, PresentedAssertion, Recipient, VerifiedAssertion};
use portcullis_oauth::client_certificate::{ClientProof, RegisteredCertificate};
use portcullis_oauth::clients::{Client, ClientKind, KeySource};
use portcullis_oauth::dpop::ProofError;
use portcullis_oauth::token_error::TokenError;
use portcullis_oauth::token_request::{AuthenticatedClient, ClientCredentials};
use portcullis_store::RegistryError;
use portcullis_store::registry::{ASSERTION_USED, Change, PROOF_USED};

use super::client_endpoint::Refusal;
use crate::authorization_server::discovery;
use crate::context::Server;
use crate::dpop;
use crate::listener::Untrusted;
use crate::resource_server::Exchange;

/// What a client is told whose assertion comes a second time.
const REPLAYED: TokenError = TokenError::InvalidClient("client_assertion: jti was used before");

/// Authenticates the client that these credentials name. Only [`super::client_endpoint::serve`] calls this: it sees to it that what the client has to
/// spend is spent.
pub(super) async fn authenticate(
    server: &Server,
    exchange: &Exchange,
    credentials: &ClientCredentials,
) -> Result<AuthenticatedClient, Refusal> {
    exchange.asker.is(credentials.client_id());
    // First, since it leaves nothing behind: who is told to use a nonce may send the same assertion again.
    let proof = dpop::proof(server, exchange, None).map_err(TokenError::from)?;
    let registered = server.registry.client(credentials.client_id()).await?;
    if let Some(client) = &registered {
        server.settings.authorization.capabilities.check_client(client).map_err(TokenError::InvalidClient)?;
    }
    let found = match (credentials, registered.as_ref().map(|client| (client, &client.kind))) {
        (ClientCredentials::Assertion(presented), Some((_, ClientKind::ConfidentialAsymmetric { keys, .. }))) => {
            ClientProof::Assertion(verify_with(server, exchange, presented, keys).await?)
        }
        (ClientCredentials::Public { .. }, Some((client, ClientKind::ConfidentialAsymmetric { keys, .. })))
            if client.properties.self_signed_tls_client_auth =>
        {
            let keys = server.client_keys.of(keys, server.clock.now_seconds()).await;
            let keys = keys.map_err(|_| TokenError::InvalidClient("the registered jwks_uri gave no usable JWK Set"))?;
            ClientProof::Certificate(RegisteredCertificate::check(client, &keys, exchange.peer.certificate)?)
        }
        (ClientCredentials::Public { .. }, Some((client, ClientKind::ConfidentialAsymmetric { .. })))
            if client.properties.certificate_subject.is_named() =>
        {
            ClientProof::Certificate(vouched(server, exchange, client)?)
        }
        // The checks that follow say what is wrong.
        _ => ClientProof::Nothing,
    };
    Ok(credentials.authenticate(registered, found)?.showing(proof, exchange.peer.certificate))
}

/// The proof of a certificate whose chain holds at this moment and that has the client's name (RFC 8705 section 2.1).
fn vouched(server: &Server, exchange: &Exchange, client: &Client) -> Result<RegisteredCertificate, TokenError> {
    let authorities = server.settings.authorization.client_authorities.as_ref();
    let authorities = authorities.ok_or(TokenError::InvalidClient("tls_client_auth is switched off at this server"))?;
    let names = exchange.peer.chain.as_deref().map(|chain| authorities.names(chain, server.clock.now_seconds())).transpose();
    let names = names.map_err(|untrusted| {
        TokenError::InvalidClient(match untrusted {
            Untrusted::Expired => "the certificate, or one of its chain, has expired",
            Untrusted::NotYetValid => "the certificate, or one of its chain, is not valid yet",
            Untrusted::Purpose => "the certificate is not made for client authentication",
            Untrusted::Issuer => "no certification authority of this server vouches for the certificate",
            Untrusted::Faulty => "the certificate or its chain is faulty",
        })
    })?;
    RegisteredCertificate::vouched(client, names.as_ref())
}

/// Other addresses of this server that an assertion may be for: the token endpoint at the port for mutual TLS (RFC 8705 section 5), and the endpoint for
/// pushed requests where it came there (RFC 9126 section 2: "the authorization server MUST accept its issuer identifier URL, token endpoint URL, or
/// pushed authorization request endpoint URL").
fn other_addresses(server: &Server, exchange: &Exchange) -> Vec<String> {
    let (settings, path) = (&server.settings, exchange.target.path());
    let mutual = settings.mutual_tls_url.as_ref();
    let pushed = [Some(&settings.public_url), mutual].into_iter().flatten().filter(|_| path == "/oauth/par");
    mutual.map(|base| format!("{base}/oauth/token")).into_iter().chain(pushed.map(|base| format!("{base}{path}"))).collect()
}

async fn verify_with(
    server: &Server,
    exchange: &Exchange,
    presented: &PresentedAssertion,
    source: &KeySource,
) -> Result<VerifiedAssertion, TokenError> {
    let now = server.clock.now_seconds();
    presented.check_key_url(match source {
        KeySource::Url(url) => Some(url),
        KeySource::Value(_) => None,
    })?;
    let keys = server.client_keys.of(source, now).await.map_err(|error| {
        tracing::info!(client = %presented.client_id(), %error, "the keys of a client could not be had");
        TokenError::InvalidClient("client_assertion: the registered jwks_uri gave no usable JWK Set")
    })?;
    let token_endpoint = discovery::endpoints(&server.settings.public_url).token;
    let also = other_addresses(server, exchange);
    let recipient = Recipient { token_endpoint: &token_endpoint, issuer: &server.settings.public_url, also: &also };
    match presented.verify(&keys, &recipient, now) {
        // The client may have new keys since ours were fetched.
        Err(AssertionError::Jwt(JwtError::UnknownKey)) => match server.client_keys.newer(source, &keys, now).await {
            Some(newer) => verify_again(presented, &newer, &recipient, now),
            None => Err(AssertionError::Jwt(JwtError::UnknownKey).into()),
        },
        other => other.map_err(TokenError::from),
    }
}

fn verify_again(
    presented: &PresentedAssertion,
    keys: &Arc<portcullis_jose::ClientKeySet>,
    recipient: &Recipient<'_>,
    now: i64,
) -> Result<VerifiedAssertion, TokenError> {
    Ok(presented.verify(keys, recipient, now)?)
}

/// Whether the client has something to spend before anything is answered.
pub(super) fn owes(client: &AuthenticatedClient) -> bool {
    client.assertion().is_some() || client.proof().is_some()
}

/// The change, and with it, or not at all, the spending of what the client authenticated with.
pub(super) fn spending(client: &AuthenticatedClient, now: i64, change: Change) -> Change {
    let change = match client.proof() {
        Some(proof) => Change::SpendProof { proof: Arc::clone(proof), now, then: Box::new(change) },
        None => change,
    };
    match client.assertion() {
        Some(assertion) => Change::SpendAssertion { assertion: Arc::clone(assertion), now, then: Box::new(change) },
        None => change,
    }
}

/// What a client is told whose assertion or proof comes a second time; `None` where a change failed for another reason.
pub(super) fn replayed(error: &RegistryError) -> Option<TokenError> {
    match error {
        RegistryError::Conflict(ASSERTION_USED) => Some(REPLAYED),
        RegistryError::Conflict(PROOF_USED) => Some(ProofError::Replayed.into()),
        _ => None,
    }
}
