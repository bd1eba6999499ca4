//! HMAC-SHA-1 (RFC 2104), for the one use that prescribes it: one-time passwords (RFC 4226, RFC 6238).
//!
//! Nothing else of ours may use SHA-1. As a keyed hash it is still sound; authenticator apps know no other.

/// The HMAC-SHA-1 of a message.
pub fn hmac_sha1(key: &[u8], message: &[u8]) -> [u8; 20] {
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key);
    let tag = aws_lc_rs::hmac::sign(&key, message);
    let mut output = [0; 20];
    output.copy_from_slice(tag.as_ref());
    output
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_is_the_one_of_rfc_2202() {
        let tag = hmac_sha1(b"Jefe", b"what do ya want for nothing?");
        assert_eq!(crate::base64url::encode(tag), "7_zfauXrL6LSdBbV8YTfnCWafHk");
    }
}
