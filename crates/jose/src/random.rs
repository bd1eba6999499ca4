//! The source of randomness as an argument, so that tests are repeatable and pure code draws none of its own.

use crate::base64url;
use crate::secret::Secret;

/// A source of random bytes. In production it must be a cryptographically secure one.
pub trait Random {
    /// Fills the whole of `bytes`.
    fn fill(&mut self, bytes: &mut [u8]);
}

/// The bytes of an opaque secret: 256 bits, above the 160 that RFC 6749 section 10.10 asks for.
const OPAQUE_BYTES: usize = 32;

/// The bytes of an identifier that only has to be unique and not guessable by chance: 128 bits.
const IDENTIFIER_BYTES: usize = 16;

/// A new opaque secret (authorization code, refresh token, session cookie): 256 bits as 43 base64url characters.
pub fn opaque_secret(random: &mut dyn Random) -> Secret<String> {
    let mut bytes = [0; OPAQUE_BYTES];
    random.fill(&mut bytes);
    let text = base64url::encode(bytes);
    zeroize::Zeroize::zeroize(&mut bytes);
    Secret::new(text)
}

/// A new identifier: 128 bits as 22 base64url characters.
pub fn identifier(random: &mut dyn Random) -> String {
    let mut bytes = [0; IDENTIFIER_BYTES];
    random.fill(&mut bytes);
    base64url::encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counter(u8);

    impl Random for Counter {
        fn fill(&mut self, bytes: &mut [u8]) {
            for byte in bytes {
                *byte = self.0;
                self.0 = self.0.wrapping_add(1);
            }
        }
    }

    #[test]
    fn secrets_carry_every_random_byte_that_was_drawn() {
        let mut random = Counter(0);
        let secret = opaque_secret(&mut random);
        assert_eq!(base64url::decode(secret.expose()).unwrap(), (0..32).collect::<Vec<u8>>());
        assert_eq!(base64url::decode(&identifier(&mut random)).unwrap(), (32..48).collect::<Vec<u8>>());
    }
}
