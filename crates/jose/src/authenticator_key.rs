//! Public keys of authenticators (WebAuthn Level 3, section 5.8.5; RFC 9053, RFC 8812): ES256, EdDSA with Ed25519, and RS256.
//!
//! A key is kept as bytes that tell its kind: 65 bytes are an uncompressed point of P-256, 32 are a key of Ed25519 (RFC 8032), and what begins as a DER
//! SEQUENCE is an `RSAPublicKey` (RFC 8017 appendix A.1.1). Nothing else is a key.

use aws_lc_rs::signature::{ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256};

use crate::client_keys::{rsa_public_key, strong};
use crate::p256;

/// The length of a key of Ed25519, in bytes.
const ED25519_BYTES: usize = 32;
/// The tag of a DER SEQUENCE.
const SEQUENCE: u8 = 0x30;

/// The bytes of a P-256 key, if its coordinates are a point of the curve.
pub fn of_p256(x: &[u8], y: &[u8]) -> Option<Vec<u8>> {
    let point = [&[4][..], x, y].concat();
    (x.len() == 32 && p256::is_point(&point)).then_some(point)
}

/// The bytes of an Ed25519 key. One of small order would verify what nobody signed (RFC 8032 section 5.1.7 leaves such checks to us).
pub fn of_ed25519(key: &[u8]) -> Option<Vec<u8>> {
    let usable = key.len() == ED25519_BYTES && !is_of_small_order(key) && ParsedPublicKey::new(&ED25519, key).is_ok();
    usable.then(|| key.to_vec())
}

/// The bytes of an RSA key of 2048 to 8192 bits.
pub fn of_rsa(modulus: &[u8], exponent: &[u8]) -> Option<Vec<u8>> {
    let parts = (modulus.to_vec(), exponent.to_vec());
    strong(&parts).then(|| rsa_public_key(&parts.0, &parts.1))
}

/// Whether the signature of a message is that of this key: an ASN.1 one for P-256, PKCS #1 with SHA-256 for RSA.
pub fn verify(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    match key {
        [4, ..] if key.len() == 65 => p256::verify(key, message, signature),
        _ if key.len() == ED25519_BYTES => {
            ParsedPublicKey::new(&ED25519, key).is_ok_and(|key| key.verify_sig(message, signature).is_ok())
        }
        [SEQUENCE, ..] => {
            ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key).is_ok_and(|key| key.verify_sig(message, signature).is_ok())
        }
        _ => false,
    }
}

/// The y coordinates of the points of small order: 0, 1, -1, and those of order eight, whatever the sign of x.
fn is_of_small_order(key: &[u8]) -> bool {
    const FIELD_MINUS_ONE: [u8; 32] = little_endian(0xec);
    const FIELD: [u8; 32] = little_endian(0xed);
    const FIELD_PLUS_ONE: [u8; 32] = little_endian(0xee);
    const OF_ORDER_EIGHT: [[u8; 32]; 2] = [
        [
            0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf, 0xac,
            0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
        ],
        [
            0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20, 0x53,
            0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
        ],
    ];
    let mut unsigned = key.to_vec();
    if let Some(last) = unsigned.last_mut() {
        *last &= 0x7f;
    }
    let (first, rest) = unsigned.split_first().unwrap_or((&0, &[]));
    let tiny = *first <= 1 && rest.iter().all(|byte| *byte == 0);
    let known = [FIELD_MINUS_ONE, FIELD, FIELD_PLUS_ONE].into_iter().chain(OF_ORDER_EIGHT);
    tiny || known.into_iter().any(|point| unsigned == point)
}

/// 2^255 - 19 and its neighbours differ in their lowest byte.
const fn little_endian(lowest: u8) -> [u8; 32] {
    let mut bytes = [0xff; 32];
    bytes[0] = lowest;
    bytes[31] = 0x7f;
    bytes
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256};

    use super::*;

    /// A key of each kind with its signature of a message.
    fn signed(message: &[u8]) -> [(Vec<u8>, Vec<u8>); 3] {
        let p256 = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let point = p256.public_key().as_ref();
        let ed25519 = Ed25519KeyPair::generate().unwrap();
        let rsa = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let mut of_rsa_key = vec![0; rsa.public_modulus_len()];
        rsa.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut of_rsa_key).unwrap();
        let der = rsa.public_key().as_ref().to_vec();
        assert_eq!(of_rsa(&der[9..265], &[1, 0, 1]).as_ref(), Some(&der));
        [
            (of_p256(&point[1..33], &point[33..]).unwrap(), p256.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()),
            (of_ed25519(ed25519.public_key().as_ref()).unwrap(), ed25519.sign(message).as_ref().to_vec()),
            (der, of_rsa_key),
        ]
    }

    #[test]
    fn only_the_key_that_signed_verifies_what_it_signed() {
        let [own, others] = [signed(b"message"), signed(b"message")];
        for (at, (key, signature)) in own.iter().enumerate() {
            assert!(verify(key, b"message", signature), "{at}");
            assert!(!verify(key, b"messagf", signature), "{at}");
            let mut forged = signature.clone();
            *forged.last_mut().unwrap() ^= 1;
            assert!(!verify(key, b"message", &forged) && !verify(key, b"message", b""), "{at}");
            for (other, (_, signature)) in others.iter().chain(own.iter().filter(|(known, _)| known != key)).enumerate() {
                assert!(!verify(key, b"message", signature), "{at} {other}");
            }
        }
    }

    #[test]
    fn what_is_no_key_or_a_weak_one_is_refused() {
        assert_eq!(of_p256(&[4; 32], &[4; 32]), None, "no point of the curve");
        assert_eq!(of_p256(&[4; 31], &[4; 33]), None);
        assert!(of_ed25519(&[9; 31]).is_none() && of_ed25519(&[9; 33]).is_none() && of_ed25519(&[]).is_none());
        for first in [0, 1] {
            let mut small = [0; 32];
            small[0] = first;
            assert_eq!(of_ed25519(&small), None, "of small order");
            small[31] = 0x80;
            assert_eq!(of_ed25519(&small), None, "of small order, the other sign");
        }
        for lowest in [0xec, 0xed, 0xee] {
            assert_eq!(of_ed25519(&little_endian(lowest)), None);
        }
        let modulus = |bytes: usize| [vec![0xc1; bytes - 1], vec![0x01]].concat();
        assert!(of_rsa(&modulus(256), &[1, 0, 1]).is_some());
        for (modulus, exponent) in [
            (modulus(255), &[1, 0, 1][..]),
            (modulus(128), &[1, 0, 1]),
            (modulus(1025), &[1, 0, 1]),
            (modulus(256), &[1]),
            (modulus(256), &[2]),
            (modulus(256), &[]),
            (vec![], &[1, 0, 1]),
        ] {
            assert_eq!(of_rsa(&modulus, exponent), None, "{} {exponent:?}", modulus.len());
        }
        for unknown in [&b""[..], &[4; 64], &[4; 66], &[2; 33], &[0x31; 300], &[0x30; 300]] {
            assert!(!verify(unknown, b"message", b"signature"), "{unknown:?}");
        }
    }
}
