//! The keys of the server: made once, sealed in the registry.

use portcullis_jose::{Algorithm, Secret, SigningKey};
use portcullis_oauth::key_ring::KeyRing;
use portcullis_server::authorization_server::csrf::FormTokens;
use portcullis_server::authorization_server::signing_keys::RING_NAME;
use portcullis_server::context::{Entropy, SystemEntropy, TokenKeys};
use portcullis_store::{Registry, RegistryError};

use crate::failure::{Failure, OrFail, Outcome};

/// Where earlier versions kept one key for each algorithm; they become the first ring.
const EARLIER: [(&str, Algorithm); 2] =
    [("access token signing key", Algorithm::Es256), ("id_token signing key", Algorithm::Rs256)];

/// The keys that sign tokens: ES256 for access tokens, RS256 for id_tokens.
pub fn token_keys(registry: &dyn Registry, now: i64) -> Outcome<TokenKeys> {
    let generate = || {
        let ring = first_ring(registry, now)?;
        Some(ring.to_bytes().ok()?.expose().clone())
    };
    let stored: Secret<Vec<u8>> =
        registry.server_secret(RING_NAME, &generate).or_fail("The signing keys cannot be read or made")?;
    let ring = KeyRing::from_bytes(stored.expose()).or_fail("The stored signing keys cannot be used")?;
    TokenKeys::of(ring, now).ok_or_else(|| Failure::failed("The stored signing keys cannot be used: one is missing"))
}

/// The keys of an earlier version, or new ones. A stored key that cannot be opened is an error and never a reason for a new one.
fn first_ring(registry: &dyn Registry, now: i64) -> Option<KeyRing> {
    let mut keys = Vec::new();
    for (name, algorithm) in EARLIER {
        match registry.server_secret(name, &|| None) {
            Ok(key) => keys.push(SigningKey::from_pkcs8(algorithm, key.expose()).ok()?),
            // There is none, and none was made.
            Err(RegistryError::Unavailable(_)) => return KeyRing::generate(now).ok(),
            Err(_) => return None,
        }
    }
    Some(KeyRing::first(keys, now))
}

/// The key that binds forms to browsers.
pub fn form_tokens(registry: &dyn Registry) -> Outcome<FormTokens> {
    let generate = || {
        let mut key = [0; 32];
        SystemEntropy.fill(&mut key);
        Some(key.to_vec())
    };
    let key = registry.server_secret("form token key", &generate).or_fail("The key of forms cannot be read or made")?;
    Ok(FormTokens::new(key.expose()))
}
