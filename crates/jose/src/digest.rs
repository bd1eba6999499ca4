//! SHA-256, and SHA-1 where FHIR asks for it (FIPS 180-4).

use crate::base64url;

/// The SHA-256 of some bytes.
pub fn sha256(bytes: impl AsRef<[u8]>) -> [u8; 32] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes.as_ref());
    let mut output = [0; 32];
    output.copy_from_slice(digest.as_ref());
    output
}

/// The SHA-1 of some bytes: what `Attachment.hash` of FHIR R4 is. It tells damage, and protects from nobody.
pub fn sha1(bytes: impl AsRef<[u8]>) -> [u8; 20] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, bytes.as_ref());
    let mut output = [0; 20];
    output.copy_from_slice(digest.as_ref());
    output
}

/// The SHA-256 of some bytes as base64url text (43 characters), the form that PKCE and JWK thumbprints use.
pub fn sha256_base64url(bytes: impl AsRef<[u8]>) -> String {
    base64url::encode(sha256(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_abc_is_the_one_of_fips_180() {
        assert_eq!(sha256_base64url("abc"), "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0");
        assert_eq!(base64url::encode(sha1("abc")), "qZk-NkcGgWq6PiVxeFDCbJzQ2J0");
    }
}
