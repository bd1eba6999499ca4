//! base64url without padding (RFC 4648 section 5, RFC 7515 section 2).
//!
//! Decoding is strict: padding, white space, the standard alphabet and non-zero trailing bits are refused, so that one value has
//! exactly one spelling and a token cannot be respelled into another cache key.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Encodes bytes without padding.
pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Appends the encoding of `bytes` to `text`.
pub fn encode_into(bytes: impl AsRef<[u8]>, text: &mut String) {
    URL_SAFE_NO_PAD.encode_string(bytes, text);
}

/// Decodes text; `None` where it is not the one canonical spelling of some bytes.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_spellings_of_the_same_bytes_are_refused() {
        assert_eq!(decode("Zg"), Some(b"f".to_vec()));
        for text in ["Zg==", "Zh", "Z g", "Z", "+w", "/w", "Zg\n"] {
            assert_eq!(decode(text), None, "{text:?}");
        }
        assert_eq!(encode([0xfb, 0xff]), "-_8");
    }
}
