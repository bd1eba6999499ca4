//! The secrets of confidential clients that this server makes (RFC 6749 section 2.3.1): kept as hashes only.

use portcullis_jose::digest::sha256;
use portcullis_jose::{Random, Secret, base64url, constant_time, random};

/// The SHA-256 of a client secret.
///
/// A fast hash is right here, and only because the secret is 256 random bits of ours: there is nothing to guess. Secrets that people
/// choose are never taken.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientSecretHash([u8; 32]);

impl ClientSecretHash {
    /// Makes a new secret and its hash. The secret is shown once and kept nowhere.
    pub fn generate(source: &mut dyn Random) -> (Secret<String>, Self) {
        let secret = random::opaque_secret(source);
        let hash = Self(sha256(secret.expose()));
        (secret, hash)
    }

    /// A hash as stored.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// A hash as stored in text, as [`Self::to_text`] writes it.
    pub fn parse(text: &str) -> Option<Self> {
        base64url::decode(text)?.try_into().ok().map(Self)
    }

    /// The hash for storing in text: base64url.
    pub fn to_text(&self) -> String {
        base64url::encode(self.0)
    }

    /// The hash for storing.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether this is the hash of a secret; in constant time.
    pub fn accepts(&self, secret: &str) -> bool {
        constant_time::equal(self.0, sha256(secret))
    }
}

impl std::fmt::Debug for ClientSecretHash {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("…")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::tests::Counter;

    #[test]
    fn a_secret_is_accepted_by_its_own_hash_only() {
        let (secret, hash) = ClientSecretHash::generate(&mut Counter(0));
        let (other, _) = ClientSecretHash::generate(&mut Counter(1));
        assert!(hash.accepts(secret.expose()));
        assert!(!hash.accepts(other.expose()));
        assert!(!hash.accepts(""));
        assert_eq!(ClientSecretHash::from_bytes(*hash.as_bytes()), hash);
        assert_eq!(ClientSecretHash::parse(&hash.to_text()), Some(hash.clone()));
        assert_eq!(ClientSecretHash::parse("short"), None);
        assert_eq!(format!("{hash:?}"), "…");
    }
}
