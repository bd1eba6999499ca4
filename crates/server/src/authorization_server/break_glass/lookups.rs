//! Look-ups that fit nobody: whoever goes on guessing waits, longer each time, and security officers are told.
//!
//! Counted for each person, wherever they sit; after an hour without one the count begins anew. What was typed is kept nowhere.

use portcullis_oauth::lockout::{AttemptCounter, AttemptKey, Lockout};
use portcullis_oauth::users::User;
use portcullis_store::RegistryError;
use portcullis_store::registry::Change;

use crate::authorization_server::session::SignedIn;
use crate::context::Server;
use crate::mail::alerts;

const COUNTER: AttemptCounter = AttemptCounter::EmergencyLookup;

/// The look-ups of a person that fit nobody, as they are counted.
pub struct Lookups {
    key: AttemptKey,
    counted: Lockout,
}

impl Lookups {
    /// Those of whoever is signed in.
    pub async fn of(server: &Server, signed_in: &SignedIn) -> Result<Self, RegistryError> {
        let key = AttemptKey::from_bytes(server.form_tokens.fingerprint("emergency-lookup", signed_in.user.id.as_str()));
        let counted = server.registry.lockouts(&[key]).await?.into_iter().next().unwrap_or_default();
        Ok(Self { key, counted })
    }

    /// How long nobody is looked up, in seconds from a time in seconds since the epoch.
    pub fn wait_seconds(&self, now: i64) -> Option<i64> {
        self.counted.wait_seconds(now)
    }

    /// One more: counted, and told to security officers where there were several.
    pub async fn missed(self, server: &Server, user: &User) -> Result<Change, RegistryError> {
        let now = server.clock.now_seconds();
        let waits = self.counted.after_failure(COUNTER.limit(), now).wait_seconds(now).is_some();
        let counted = Change::CountFailure { counters: vec![(COUNTER, self.key)], now };
        if waits { alerts::of_searched_glass(server, user, counted).await } else { Ok(counted) }
    }
}
