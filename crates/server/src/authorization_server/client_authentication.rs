//! Authentication of clients by an assertion: from what was presented to what has to be spent (RFC 7523, SMART App Launch 2.2.0).
//!
//! The signature and the claims are checked here, with the keys of the client. That the assertion is used for the first time is found out
//! when it is spent, in the transaction of what the client asked for: [`PendingAssertion::spending`] puts it there.

use std::sync::Arc;

use portcullis_jose::JwtError;
use portcullis_oauth::client_assertion::{AssertionError, PresentedAssertion, Recipient, VerifiedAssertion};
use portcullis_oauth::clients::{Client, ClientKind, KeySource};
use portcullis_oauth::token_error::TokenError;
use portcullis_oauth::token_request::ClientCredentials;
use portcullis_store::RegistryError;
use portcullis_store::registry::{ASSERTION_USED, Change};

use super::discovery;
use crate::context::Server;

/// What a client is told whose assertion comes a second time.
pub const REPLAYED: TokenError = TokenError::InvalidClient("client_assertion: jti was used before");

/// Verifies the assertion among the credentials, where there is one and the client has keys. `None` lets the checks that follow say what is
/// wrong.
pub async fn verify(
    server: &Server,
    credentials: &ClientCredentials,
    registered: Option<&Client>,
) -> Result<Option<VerifiedAssertion>, TokenError> {
    let ClientCredentials::Assertion(presented) = credentials else { return Ok(None) };
    match registered.map(|client| &client.kind) {
        Some(ClientKind::ConfidentialAsymmetric { keys, .. }) => Ok(Some(verify_with(server, presented, keys).await?)),
        _ => Ok(None),
    }
}

async fn verify_with(
    server: &Server,
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
    let recipient = Recipient { token_endpoint: &token_endpoint, issuer: &server.settings.public_url };
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

/// An assertion that was verified and not yet spent, or none.
#[derive(Debug, Default)]
pub struct PendingAssertion(Option<VerifiedAssertion>);

impl PendingAssertion {
    /// Takes what the authentication left to be spent.
    pub fn new(assertion: Option<VerifiedAssertion>) -> Self {
        Self(assertion)
    }

    /// Whether something has to be spent before anything is answered.
    pub fn is_open(&self) -> bool {
        self.0.is_some()
    }

    /// The change, and with it, or not at all, the spending of the assertion.
    pub fn spending(&mut self, now: i64, change: Change) -> Change {
        match self.0.take() {
            Some(assertion) => Change::SpendAssertion { assertion, now, then: Box::new(change) },
            None => change,
        }
    }
}

/// Whether a change failed because its assertion was used before.
pub fn is_replay(error: &RegistryError) -> bool {
    matches!(error, RegistryError::Conflict(reason) if *reason == ASSERTION_USED)
}
