//! ECDSA over P-256 with SHA-256 as authenticators use it (WebAuthn Level 3, section 6.5.5): an uncompressed point and an ASN.1 signature.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ParsedPublicKey};

/// Whether the bytes are an uncompressed point of the curve.
pub fn is_point(point: &[u8]) -> bool {
    point.len() == 65 && point.first() == Some(&4) && ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).is_ok()
}

/// Whether the signature of a message is that of this key.
pub fn verify(point: &[u8], message: &[u8], signature: &[u8]) -> bool {
    is_point(point)
        && ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).is_ok_and(|key| key.verify_sig(message, signature).is_ok())
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};

    use super::*;

    #[test]
    fn only_the_key_that_signed_verifies_what_it_signed() {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let other = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let signature = pair.sign(&SystemRandom::new(), b"message").unwrap();
        let point = pair.public_key().as_ref();
        assert!(verify(point, b"message", signature.as_ref()));
        assert!(!verify(point, b"messagf", signature.as_ref()));
        assert!(!verify(other.public_key().as_ref(), b"message", signature.as_ref()));
        assert!(!is_point(&[4; 65]), "no point of the curve");
        assert!(!is_point(&point[..64]));
    }
}
