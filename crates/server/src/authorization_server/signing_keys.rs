//! The signing keys as they stand at a moment: who signs, with what tokens verify, and what is published.
//!
//! The times in the ring ([`portcullis_oauth::key_ring`]) say all of that; what follows from them is kept until the next of these times.

use std::sync::{Arc, PoisonError, RwLock};

use portcullis_jose::{Algorithm, Jwks, SigningKey, VerificationKeys};
use portcullis_oauth::key_ring::KeyRing;
use tokio::sync::{Mutex, MutexGuard, Semaphore};

/// RSA signatures that may be made at once.
const CONCURRENT_RSA: usize = 2;

/// The name under which the ring is stored among the secrets of the server.
pub const RING_NAME: &str = "signing keys";

/// Keys that sign tokens.
pub struct TokenKeys {
    current: RwLock<Arc<CurrentKeys>>,
    /// How many id_tokens may be signed at once.
    pub identity_turns: Arc<Semaphore>,
    changing: Mutex<()>,
}

/// The keys in a time in which nothing about them changes.
pub struct CurrentKeys {
    ring: Arc<KeyRing>,
    since: i64,
    until: i64,
    /// ES256: access tokens.
    pub access: Arc<SigningKey>,
    /// RS256: id_tokens.
    pub identity: Arc<SigningKey>,
    /// What access tokens are verified with.
    pub verification: VerificationKeys,
    /// What id_tokens are verified with.
    pub identities: VerificationKeys,
    /// What is published.
    pub jwks: Jwks,
}

impl CurrentKeys {
    fn of(ring: Arc<KeyRing>, now: i64) -> Option<Self> {
        let (since, until) = ring.stands(now);
        Some(Self {
            since,
            until,
            access: Arc::clone(ring.signing(Algorithm::Es256, now)?),
            identity: Arc::clone(ring.signing(Algorithm::Rs256, now)?),
            verification: verification(&ring, Algorithm::Es256, now),
            identities: verification(&ring, Algorithm::Rs256, now),
            jwks: Jwks::of(ring.published(now).map(|key| &**key)),
            ring,
        })
    }

    /// The ring that these keys are of.
    pub fn ring(&self) -> &Arc<KeyRing> {
        &self.ring
    }
}

fn verification(ring: &KeyRing, algorithm: Algorithm, now: i64) -> VerificationKeys {
    VerificationKeys::of(ring.published(now).map(|key| &**key).filter(|key| key.algorithm() == algorithm))
}

impl TokenKeys {
    /// The keys of a ring; `None` where it lacks a key for an algorithm.
    pub fn of(ring: KeyRing, now: i64) -> Option<Self> {
        let current = CurrentKeys::of(Arc::new(ring), now)?;
        Some(Self {
            current: RwLock::new(Arc::new(current)),
            identity_turns: Arc::new(Semaphore::new(CONCURRENT_RSA)),
            changing: Mutex::new(()),
        })
    }

    /// The keys at a time in seconds since the epoch.
    pub fn at(&self, now: i64) -> Arc<CurrentKeys> {
        let current = Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner));
        if (current.since..current.until).contains(&now) {
            return current;
        }
        match CurrentKeys::of(Arc::clone(&current.ring), now) {
            None => current,
            Some(next) => {
                let next = Arc::new(next);
                let mut kept = self.current.write().unwrap_or_else(PoisonError::into_inner);
                // Whoever came first with another ring in between knows better.
                if Arc::ptr_eq(&kept.ring, &next.ring) {
                    *kept = Arc::clone(&next);
                    return next;
                }
                Arc::clone(&kept)
            }
        }
    }

    /// The turn of whoever changes the ring.
    pub async fn turn(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().await
    }

    /// Goes on with another ring, which is stored.
    pub fn replace(&self, ring: KeyRing, now: i64) {
        if let Some(next) = CurrentKeys::of(Arc::new(ring), now) {
            *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
        }
    }
}
