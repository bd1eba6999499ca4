//! The keys of the server: made once, sealed in the registry.

use portcullis_jose::{Algorithm, Secret, SigningKey};
use portcullis_server::authorization_server::csrf::FormTokens;
use portcullis_server::context::{Entropy, SystemEntropy, TokenKeys};
use portcullis_store::Registry;

use crate::failure::{OrFail, Outcome};

/// The keys that sign tokens: ES256 for access tokens, RS256 for id_tokens.
pub fn token_keys(registry: &dyn Registry) -> Outcome<TokenKeys> {
    let access = signing_key(registry, "access token signing key", Algorithm::Es256)?;
    let identity = signing_key(registry, "id_token signing key", Algorithm::Rs256)?;
    Ok(TokenKeys::new(access, identity))
}

fn signing_key(registry: &dyn Registry, name: &'static str, algorithm: Algorithm) -> Outcome<SigningKey> {
    let generate = || SigningKey::generate(algorithm).and_then(|key| key.to_pkcs8()).ok().map(|key| key.expose().clone());
    let key: Secret<Vec<u8>> = registry.server_secret(name, &generate).or_fail("A signing key cannot be read or made")?;
    SigningKey::from_pkcs8(algorithm, key.expose()).or_fail("A stored signing key cannot be used")
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
