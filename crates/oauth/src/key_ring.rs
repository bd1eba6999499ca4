//! The server's signing keys over time: one that signs, perhaps one that waits, and those that only verify any more.
//!
//! Whoever verifies our tokens keeps the published JWK Set for as long as its `Cache-Control` says (OpenID Connect Core section 10.1.1). So a key is
//! published first and signs later, and one that signs no more stays until the last token with its signature has expired. What a key is for follows
//! from the times in the ring alone: nothing has to run for a change to take place, and two nodes with one ring agree.
//!
//! Generating keys draws on the randomness inside aws-lc (see [`portcullis_jose::keys`]); storing the ring is the caller's business.

use std::sync::Arc;

use portcullis_jose::{Algorithm, KeyError, Secret, SigningKey, base64url};
use serde::{Deserialize, Serialize};

use crate::access_token::MAXIMUM_LIFETIME_SECONDS;

/// For how long a fetched JWK Set may be kept, in seconds.
pub const PUBLISHED_FRESH_SECONDS: i64 = 300;
/// How long a key is published before it signs, in seconds: until the last copy of the set without it is stale, and a minute for clocks.
pub const PUBLICATION_SECONDS: i64 = PUBLISHED_FRESH_SECONDS + 60;
/// How long a key verifies after its last signature, in seconds: the life of a token, and a minute for clocks.
pub const RETENTION_SECONDS: i64 = MAXIMUM_LIFETIME_SECONDS + 60;

/// What a key is for at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// Published, and does not sign yet.
    Next,
    /// Signs.
    Active,
    /// Signs no more; what it signed still verifies.
    Retired,
    /// Neither signs nor verifies.
    Gone,
}

impl KeyState {
    /// The name that people see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Next => "next",
            Self::Active => "active",
            Self::Retired => "retired",
            Self::Gone => "gone",
        }
    }
}

/// When a new key begins to sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// When everybody can know it.
    Published,
    /// At once: clients with a copy of the set meet an unknown `kid`, and must fetch it again.
    Now,
}

/// A key in the ring.
#[derive(Clone, Debug)]
pub struct RingKey {
    /// The key.
    pub key: Arc<SigningKey>,
    /// Since when it is in the ring, and published, in seconds since the epoch.
    pub created_at: i64,
    /// From when on it signs, in seconds since the epoch.
    pub signs_from: i64,
    /// From when on its successor signs, where there is one, in seconds since the epoch.
    pub signs_until: Option<i64>,
}

impl RingKey {
    /// From when on it counts for nothing; `None` where it has no successor.
    pub fn gone_at(&self) -> Option<i64> {
        self.signs_until.map(|until| until.saturating_add(RETENTION_SECONDS))
    }

    /// What it is for.
    pub fn state(&self, now: i64) -> KeyState {
        if now < self.signs_from {
            KeyState::Next
        } else if self.signs_until.is_none_or(|until| now < until) {
            KeyState::Active
        } else if self.gone_at().is_none_or(|gone| now < gone) {
            KeyState::Retired
        } else {
            KeyState::Gone
        }
    }
}

/// Why keys could not be changed or read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyRingError {
    /// A new key waits already.
    #[error("a new key is published and does not sign yet")]
    Waiting {
        /// From when on it signs, in seconds since the epoch.
        signs_from: i64,
    },
    /// A key could not be made or read.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The stored ring is not one: it is no JSON of ours, or lacks a key for an algorithm.
    #[error("the stored keys cannot be read")]
    Unreadable,
}

/// The keys of the server, oldest first.
#[derive(Clone, Debug)]
pub struct KeyRing(Vec<RingKey>);

/// A key as it is stored.
#[derive(Serialize, Deserialize)]
struct StoredKey {
    alg: String,
    pkcs8: String,
    created_at: i64,
    signs_from: i64,
}

impl KeyRing {
    /// The algorithms of a server: access tokens and id_tokens.
    pub const ALGORITHMS: [Algorithm; 2] = [Algorithm::Es256, Algorithm::Rs256];

    /// The first ring: these keys sign at once and from ever.
    pub fn first(keys: impl IntoIterator<Item = SigningKey>, now: i64) -> Self {
        let entry = |key| RingKey { key: Arc::new(key), created_at: now, signs_from: now, signs_until: None };
        Self(keys.into_iter().map(entry).collect()).with_successors()
    }

    /// The first ring with new keys.
    pub fn generate(now: i64) -> Result<Self, KeyError> {
        let keys = Self::ALGORITHMS.into_iter().map(SigningKey::generate).collect::<Result<Vec<_>, _>>()?;
        Ok(Self::first(keys, now))
    }

    /// The ring with a new key for each algorithm, and without what is gone. A key that waits is not overtaken by yet another: it can be made to sign
    /// now, or be waited for.
    pub fn rotate(&self, beginning: Beginning, now: i64) -> Result<Self, KeyRingError> {
        let mut keys: Vec<RingKey> = self.0.iter().filter(|key| key.state(now) != KeyState::Gone).cloned().collect();
        let waiting = keys.iter().filter(|key| key.state(now) == KeyState::Next).map(|key| key.signs_from).max();
        match (waiting, beginning) {
            (Some(signs_from), Beginning::Published) => return Err(KeyRingError::Waiting { signs_from }),
            (Some(_), Beginning::Now) => {
                keys.iter_mut().filter(|key| key.signs_from > now).for_each(|key| key.signs_from = now);
            }
            (None, beginning) => {
                let signs_from = match beginning {
                    Beginning::Published => now.saturating_add(PUBLICATION_SECONDS),
                    Beginning::Now => now,
                };
                for algorithm in Self::ALGORITHMS {
                    let key = Arc::new(SigningKey::generate(algorithm)?);
                    keys.push(RingKey { key, created_at: now, signs_from, signs_until: None });
                }
            }
        }
        Ok(Self(keys).with_successors())
    }

    /// Every key, oldest first.
    pub fn keys(&self) -> &[RingKey] {
        &self.0
    }

    /// The key that signs with this algorithm: the newest whose time has come. Before the first one's time (a clock that went back) it is the first.
    pub fn signing(&self, algorithm: Algorithm, now: i64) -> Option<&Arc<SigningKey>> {
        let of_algorithm = || self.0.iter().filter(|key| key.key.algorithm() == algorithm);
        let due = of_algorithm().rfind(|key| key.signs_from <= now).or_else(|| of_algorithm().next());
        due.map(|key| &key.key)
    }

    /// The keys that are published, and with which tokens verify: all but those that are gone.
    pub fn published(&self, now: i64) -> impl Iterator<Item = &Arc<SigningKey>> {
        self.0.iter().filter(move |key| key.state(now) != KeyState::Gone).map(|key| &key.key)
    }

    /// The time around `now` in which nothing changes: from the first moment to before the second.
    pub fn stands(&self, now: i64) -> (i64, i64) {
        let times = || self.0.iter().flat_map(|key| [Some(key.signs_from), key.gone_at()]).flatten();
        let since = times().filter(|time| *time <= now).max().unwrap_or(i64::MIN);
        let until = times().filter(|time| *time > now).min().unwrap_or(i64::MAX);
        (since, until)
    }

    /// The ring as it is sealed and stored.
    pub fn to_bytes(&self) -> Result<Secret<Vec<u8>>, KeyRingError> {
        let stored = |key: &RingKey| {
            let private = key.key.to_pkcs8()?;
            let (alg, pkcs8) = (key.key.algorithm().name().to_owned(), base64url::encode(private.expose()));
            Ok(StoredKey { alg, pkcs8, created_at: key.created_at, signs_from: key.signs_from })
        };
        let keys = self.0.iter().map(stored).collect::<Result<Vec<_>, KeyError>>()?;
        serde_json::to_vec(&keys).map(Secret::new).map_err(|_| KeyRingError::Unreadable)
    }

    /// The ring that was stored.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyRingError> {
        let stored: Vec<StoredKey> = serde_json::from_slice(bytes).map_err(|_| KeyRingError::Unreadable)?;
        let read = |stored: StoredKey| {
            let algorithm = Algorithm::parse(&stored.alg).ok_or(KeyRingError::Unreadable)?;
            let der = Secret::new(base64url::decode(&stored.pkcs8).ok_or(KeyRingError::Unreadable)?);
            let key = Arc::new(SigningKey::from_pkcs8(algorithm, der.expose())?);
            Ok(RingKey { key, created_at: stored.created_at, signs_from: stored.signs_from, signs_until: None })
        };
        let ring = Self(stored.into_iter().map(read).collect::<Result<Vec<_>, KeyRingError>>()?);
        let complete = Self::ALGORITHMS.into_iter().all(|algorithm| ring.0.iter().any(|key| key.key.algorithm() == algorithm));
        if complete { Ok(ring.with_successors()) } else { Err(KeyRingError::Unreadable) }
    }

    /// Who signs next ends who signs now.
    fn with_successors(mut self) -> Self {
        self.0.sort_by_key(|key| key.signs_from);
        let begins: Vec<(Algorithm, i64)> = self.0.iter().map(|key| (key.key.algorithm(), key.signs_from)).collect();
        for (index, key) in self.0.iter_mut().enumerate() {
            let later = begins.iter().skip(index + 1).find(|(algorithm, _)| *algorithm == key.key.algorithm());
            key.signs_until = later.map(|(_, from)| *from);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn states(ring: &KeyRing, now: i64) -> Vec<&'static str> {
        let access = ring.keys().iter().filter(|key| key.key.algorithm() == Algorithm::Es256);
        access.map(|key| key.state(now).as_str()).collect()
    }

    fn signer(ring: &KeyRing, now: i64) -> String {
        ring.signing(Algorithm::Es256, now).unwrap().kid().to_owned()
    }

    #[test]
    fn a_new_key_is_published_before_it_signs_and_verifies_until_its_last_token_has_expired() {
        let first = KeyRing::generate(NOW).unwrap();
        let old = signer(&first, NOW);
        let ring = first.rotate(Beginning::Published, NOW + 100).unwrap();
        let signs = NOW + 100 + PUBLICATION_SECONDS;
        for (now, expected) in [
            (NOW + 100, ["active", "next"]),
            (signs - 1, ["active", "next"]),
            (signs, ["retired", "active"]),
            (signs + RETENTION_SECONDS - 1, ["retired", "active"]),
            (signs + RETENTION_SECONDS, ["gone", "active"]),
        ] {
            assert_eq!(states(&ring, now), expected, "{}", now - NOW);
        }
        assert_eq!(signer(&ring, signs - 1), old);
        assert_ne!(signer(&ring, signs), old);
        assert_eq!(ring.published(signs + RETENTION_SECONDS - 1).count(), 4);
        let left: Vec<&str> = ring.published(signs + RETENTION_SECONDS).map(|key| key.kid()).collect();
        assert!(left.len() == 2 && !left.contains(&old.as_str()));
        assert_eq!(ring.stands(signs + 5), (signs, signs + RETENTION_SECONDS));
        assert_eq!(ring.stands(NOW + 100), (NOW, signs));
    }

    #[test]
    fn a_waiting_key_is_not_overtaken_and_can_be_made_to_sign_now() {
        let ring = KeyRing::generate(NOW).unwrap().rotate(Beginning::Published, NOW + 10).unwrap();
        let signs_from = NOW + 10 + PUBLICATION_SECONDS;
        assert_eq!(ring.rotate(Beginning::Published, NOW + 20).unwrap_err(), KeyRingError::Waiting { signs_from });
        let hurried = ring.rotate(Beginning::Now, NOW + 20).unwrap();
        assert_eq!(states(&hurried, NOW + 20), ["retired", "active"]);
        assert_eq!(signer(&hurried, NOW + 20), signer(&ring, signs_from));
        let again = hurried.rotate(Beginning::Now, NOW + 30).unwrap();
        assert_eq!(states(&again, NOW + 30), ["retired", "retired", "active"]);
        assert_eq!(
            again.rotate(Beginning::Now, NOW + 30 + RETENTION_SECONDS).unwrap().keys().len(),
            4,
            "what is gone is dropped"
        );
    }

    #[test]
    fn a_stored_ring_comes_back_and_anything_else_does_not() {
        let ring = KeyRing::generate(NOW).unwrap().rotate(Beginning::Published, NOW).unwrap();
        let again = KeyRing::from_bytes(ring.to_bytes().unwrap().expose()).unwrap();
        let told = |ring: &KeyRing| -> Vec<_> {
            ring.keys().iter().map(|key| (key.key.kid().to_owned(), key.created_at, key.signs_from, key.signs_until)).collect()
        };
        assert_eq!(told(&again), told(&ring));
        for bytes in [&b""[..], b"[]", b"{}", br#"[{"alg":"HS256","pkcs8":"","created_at":0,"signs_from":0}]"#] {
            assert_eq!(KeyRing::from_bytes(bytes).unwrap_err(), KeyRingError::Unreadable);
        }
    }

    #[test]
    fn a_clock_that_went_back_still_finds_a_key_that_verifies() {
        let ring = KeyRing::generate(NOW).unwrap();
        let kid = signer(&ring, NOW - 1000);
        assert!(ring.published(NOW - 1000).any(|key| key.kid() == kid));
    }
}
