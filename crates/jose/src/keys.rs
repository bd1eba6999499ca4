//! Signing keys and verification keys, each fixed to one algorithm (RFC 8725 section 3.1, RFC 7518 section 3).
//!
//! ES256 signs our access tokens: small and quick to make. RS256 signs id_tokens, because OpenID Connect obliges every client to
//! know it. Key generation takes system randomness inside aws-lc, which offers no way to pass a source in.

use std::fmt;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, ParsedPublicKey,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair,
};

use crate::jwk::{Jwks, PublicJwk};
use crate::secret::Secret;

/// A signature algorithm (RFC 7518 section 3.1). There is no `none` and no symmetric one, so none can be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// ECDSA with P-256 and SHA-256.
    Es256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
}

impl Algorithm {
    /// The name in `alg`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
        }
    }

    /// The algorithm of this exact name.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "ES256" => Some(Self::Es256),
            "RS256" => Some(Self::Rs256),
            _ => None,
        }
    }
}

/// Why a key could not be made, read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The library could not generate or export a key.
    #[error("the cryptographic library failed")]
    Library,
    /// The bytes are not a PKCS#8 private key that fits the algorithm (P-256, or RSA of 2048 bits and more).
    #[error("not a private key for this algorithm")]
    Rejected,
}

/// A private key with its one algorithm and its key id.
pub struct SigningKey {
    pair: Pair,
    jwk: PublicJwk,
    verification: VerificationKey,
}

enum Pair {
    Es256(EcdsaKeyPair),
    Rs256(RsaKeyPair),
}

impl SigningKey {
    /// Generates a key: P-256 for ES256, RSA of 2048 bits for RS256 (which takes up to a second).
    pub fn generate(algorithm: Algorithm) -> Result<Self, KeyError> {
        let pair = match algorithm {
            Algorithm::Es256 => {
                EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map(Pair::Es256).map_err(|_| KeyError::Library)?
            }
            Algorithm::Rs256 => RsaKeyPair::generate(KeySize::Rsa2048).map(Pair::Rs256).map_err(|_| KeyError::Library)?,
        };
        Self::from_pair(pair)
    }

    /// Reads a key from unencrypted PKCS#8 (RFC 5208) DER.
    pub fn from_pkcs8(algorithm: Algorithm, der: &[u8]) -> Result<Self, KeyError> {
        let pair = match algorithm {
            Algorithm::Es256 => EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der).map(Pair::Es256),
            Algorithm::Rs256 => RsaKeyPair::from_pkcs8(der).map(Pair::Rs256),
        };
        Self::from_pair(pair.map_err(|_| KeyError::Rejected)?)
    }

    /// Writes the private key as unencrypted PKCS#8 DER; the caller seals it.
    pub fn to_pkcs8(&self) -> Result<Secret<Vec<u8>>, KeyError> {
        let bytes = match &self.pair {
            Pair::Es256(pair) => pair.to_pkcs8v1().map_err(|_| KeyError::Library)?.as_ref().to_vec(),
            Pair::Rs256(pair) => {
                let der: Pkcs8V1Der<'static> = pair.as_der().map_err(|_| KeyError::Library)?;
                der.as_ref().to_vec()
            }
        };
        Ok(Secret::new(bytes))
    }

    /// The one algorithm that this key signs with.
    pub fn algorithm(&self) -> Algorithm {
        self.jwk.algorithm()
    }

    /// The key id: the thumbprint of the public key (RFC 7638).
    pub fn kid(&self) -> &str {
        self.jwk.kid()
    }

    /// The public key for publication.
    pub fn public_jwk(&self) -> &PublicJwk {
        &self.jwk
    }

    /// The public key for verification.
    pub fn verification_key(&self) -> VerificationKey {
        self.verification.clone()
    }

    /// The raw signature of `message` as JWS wants it: r||s for ES256 (not DER), the modulus length for RS256.
    pub(crate) fn sign_bytes(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        // aws-lc ignores this argument and uses its own generator.
        let system = SystemRandom::new();
        match &self.pair {
            Pair::Es256(pair) => {
                pair.sign(&system, message).map(|signature| signature.as_ref().to_vec()).map_err(|_| KeyError::Library)
            }
            Pair::Rs256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &system, message, &mut signature).map_err(|_| KeyError::Library)?;
                Ok(signature)
            }
        }
    }

    fn from_pair(pair: Pair) -> Result<Self, KeyError> {
        let (jwk, parsed) = match &pair {
            Pair::Es256(pair) => {
                let point = pair.public_key().as_ref();
                let (x, y) = coordinates(point).ok_or(KeyError::Rejected)?;
                (PublicJwk::elliptic_curve(x, y), ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point))
            }
            Pair::Rs256(pair) => {
                let der = pair.public_key().as_ref();
                let (modulus, exponent) = rsa_components(der).ok_or(KeyError::Rejected)?;
                (PublicJwk::rsa(modulus, exponent), ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, der))
            }
        };
        let verification = VerificationKey {
            kid: jwk.kid().into(),
            algorithm: jwk.algorithm(),
            public: parsed.map_err(|_| KeyError::Rejected)?,
        };
        Ok(Self { pair, jwk, verification })
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SigningKey")
            .field("algorithm", &self.algorithm())
            .field("kid", &self.kid())
            .finish_non_exhaustive()
    }
}

/// A parsed public key with its one algorithm and its key id.
#[derive(Clone, Debug)]
pub struct VerificationKey {
    kid: Box<str>,
    algorithm: Algorithm,
    public: ParsedPublicKey,
}

impl VerificationKey {
    /// The key id.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The one algorithm that this key verifies.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether `signature` is this key's signature of `message`.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.public.verify_sig(message, signature).is_ok()
    }
}

/// The keys that a verifier trusts, found by key id. A set is small (the current key and those not yet retired).
#[derive(Clone, Debug, Default)]
pub struct VerificationKeys(Vec<VerificationKey>);

impl VerificationKeys {
    /// The verification keys of these signing keys.
    pub fn of<'a>(keys: impl IntoIterator<Item = &'a SigningKey>) -> Self {
        Self(keys.into_iter().map(SigningKey::verification_key).collect())
    }

    /// The key with this id.
    pub fn find(&self, kid: &str) -> Option<&VerificationKey> {
        self.0.iter().find(|key| key.kid() == kid)
    }
}

impl FromIterator<VerificationKey> for VerificationKeys {
    fn from_iter<I: IntoIterator<Item = VerificationKey>>(keys: I) -> Self {
        Self(keys.into_iter().collect())
    }
}

impl Jwks {
    /// The public side of these signing keys.
    pub fn of<'a>(keys: impl IntoIterator<Item = &'a SigningKey>) -> Self {
        Self::new(keys.into_iter().map(|key| key.public_jwk().clone()))
    }
}

/// The coordinates of an uncompressed P-256 point: 0x04, x, y (SEC 1 section 2.3.3).
fn coordinates(point: &[u8]) -> Option<(&[u8], &[u8])> {
    let (0x04, xy) = point.split_first().map(|(first, rest)| (*first, rest))? else { return None };
    (xy.len() == 64).then(|| xy.split_at(32))
}

/// The modulus and the exponent of an `RSAPublicKey` in DER (RFC 8017 appendix A.1.1), without leading zeros.
///
/// The library hands out the components only with a feature that the rest of the workspace does not use.
fn rsa_components(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (sequence, rest) = der_element(der, 0x30)?;
    let (modulus, after) = der_element(sequence, 0x02)?;
    let (exponent, end) = der_element(after, 0x02)?;
    let valid = rest.is_empty() && end.is_empty();
    valid.then(|| (without_leading_zeros(modulus), without_leading_zeros(exponent)))
}

/// The content of the element with this tag at the start of `der`, and what follows it.
fn der_element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, after_tag) = der.split_first()?;
    let (&first, after_first) = after_tag.split_first()?;
    if found != tag {
        return None;
    }
    let (length, content) = if first < 0x80 {
        (usize::from(first), after_first)
    } else {
        // Keys up to 8192 bits need two length octets.
        let count = usize::from(first & 0x7f);
        if !(1..=2).contains(&count) {
            return None;
        }
        let (octets, content) = after_first.split_at_checked(count)?;
        (octets.iter().fold(0, |length, octet| length << 8 | usize::from(*octet)), content)
    };
    content.split_at_checked(length)
}

fn without_leading_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.get(zeros..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_another_kind_is_rejected() {
        let elliptic = SigningKey::generate(Algorithm::Es256).unwrap().to_pkcs8().unwrap();
        assert_eq!(SigningKey::from_pkcs8(Algorithm::Rs256, elliptic.expose()).unwrap_err(), KeyError::Rejected);
        for bytes in [&b""[..], b"\x30\x00", b"not a key"] {
            assert_eq!(SigningKey::from_pkcs8(Algorithm::Es256, bytes).unwrap_err(), KeyError::Rejected);
            assert_eq!(SigningKey::from_pkcs8(Algorithm::Rs256, bytes).unwrap_err(), KeyError::Rejected);
        }
    }

    #[test]
    fn a_damaged_public_key_has_no_components() {
        for der in [
            &b""[..],
            b"\x30",
            b"\x30\x80",
            b"\x30\x83\x01\x00\x00",
            b"\x30\x03\x02\x01\x05",
            b"\x31\x06\x02\x01\x05\x02\x01\x03",
        ] {
            assert_eq!(rsa_components(der), None, "{der:?}");
        }
        assert_eq!(rsa_components(b"\x30\x06\x02\x01\x05\x02\x01\x03"), Some((&[5][..], &[3][..])));
        assert_eq!(coordinates(&[2; 65]), None);
        assert_eq!(coordinates(&[4; 64]), None);
    }

    #[test]
    fn exported_keys_come_back_as_the_same_key() {
        for algorithm in [Algorithm::Es256, Algorithm::Rs256] {
            let key = SigningKey::generate(algorithm).unwrap();
            let again = SigningKey::from_pkcs8(algorithm, key.to_pkcs8().unwrap().expose()).unwrap();
            assert_eq!(again.kid(), key.kid());
            assert_eq!(again.public_jwk(), key.public_jwk());
            assert_eq!(again.algorithm(), algorithm);
            assert_eq!(Algorithm::parse(algorithm.name()), Some(algorithm));
        }
    }

    #[test]
    fn debug_output_names_the_key_and_hides_it() {
        let key = SigningKey::generate(Algorithm::Es256).unwrap();
        assert_eq!(format!("{key:?}"), format!("SigningKey {{ algorithm: Es256, kid: \"{}\", .. }}", key.kid()));
    }
}
