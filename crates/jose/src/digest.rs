//! SHA-256 (FIPS 180-4).

use crate::base64url;

/// The SHA-256 of some bytes.
pub fn sha256(bytes: impl AsRef<[u8]>) -> [u8; 32] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes.as_ref());
    let mut output = [0; 32];
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
    }
}
