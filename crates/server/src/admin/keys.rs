//! Signing keys: listed, and rotated without a client that notices (`portcullis keys`).

use portcullis_jose::digest::sha256;
use portcullis_oauth::key_ring::{Beginning, KeyRing, KeyRingError, RingKey};
use portcullis_store::registry::Change;
use serde::{Deserialize, Serialize};

use super::protocol::{RefusalKind, Refused, Response};
use super::service::{Service, Task};
use crate::authorization_server::signing_keys::RING_NAME;

/// A signing key in a listing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeySummary {
    /// The key id.
    pub kid: String,
    /// The algorithm: ES256 signs access tokens, RS256 id_tokens.
    pub algorithm: String,
    /// `next`, `active` or `retired`.
    pub state: String,
    /// Since when it is published, in seconds since the epoch.
    pub created_at: i64,
    /// From when on it signs, in seconds since the epoch.
    pub signs_from: i64,
    /// Until when it verifies, where a successor is there, in seconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verifies_until: Option<i64>,
}

impl KeySummary {
    fn of(key: &RingKey, now: i64) -> Self {
        Self {
            kid: key.key.kid().to_owned(),
            algorithm: key.key.algorithm().name().to_owned(),
            state: key.state(now).as_str().to_owned(),
            created_at: key.created_at,
            signs_from: key.signs_from,
            verifies_until: key.gone_at(),
        }
    }
}

impl Service {
    /// Lists the keys that count.
    pub(super) async fn list_keys(&self, task: &Task) -> Result<Response, Refused> {
        self.change(task, Change::Nothing).await?;
        Ok(self.keys())
    }

    /// Adds a new key for each algorithm. The ring is stored together with the record; only then does it count.
    pub(super) async fn rotate_keys(&self, task: &Task, beginning: Beginning) -> Result<Response, Refused> {
        let server = &self.server;
        let _turn = server.keys.turn().await;
        let now = server.clock.now_seconds();
        let before = server.keys.at(now).ring().as_ref().clone();
        let failed = |error: &dyn std::fmt::Display| Refused::new(RefusalKind::Internal, format!("Not done: {error}."));
        let stored = before.to_bytes().map_err(|error| failed(&error))?;
        let rotating = tokio::task::spawn_blocking(move || before.rotate(beginning, now));
        let ring: KeyRing = rotating.await.map_err(|error| failed(&error))?.map_err(|error| match error {
            KeyRingError::Waiting { signs_from } => Refused::new(
                RefusalKind::Conflict,
                format!(
                    "A new key is published and signs in {} seconds. Wait for it, or make it sign at once with --now.",
                    signs_from.saturating_sub(now)
                ),
            ),
            other => failed(&other),
        })?;
        let after = ring.to_bytes().map_err(|error| failed(&error))?;
        let change = Change::ReplaceSecret { name: RING_NAME, before: sha256(stored.expose()), after };
        self.change(task, change).await?;
        server.keys.replace(ring, now);
        // What was verified with keys that are gone is verified anew.
        server.tokens.invalidate_all();
        Ok(self.keys())
    }

    fn keys(&self) -> Response {
        let now = self.server.clock.now_seconds();
        let current = self.server.keys.at(now);
        let counting = |key: &&RingKey| key.state(now) != portcullis_oauth::key_ring::KeyState::Gone;
        Response::Keys(current.ring().keys().iter().filter(counting).map(|key| KeySummary::of(key, now)).collect())
    }
}
