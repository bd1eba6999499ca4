//! One-time codes of an authenticator app (RFC 6238 over RFC 4226): six digits, SHA-1, steps of thirty seconds, as every such app knows them.
//!
//! A code counts one step before and after its own (RFC 6238 section 5.2), and each step counts once: whoever stores the factor keeps the last
//! step that was accepted.

use portcullis_jose::hmac::hmac_sha1;
use portcullis_jose::{Random, Secret, constant_time};

/// The length of a step in seconds.
pub const STEP_SECONDS: i64 = 30;
/// The bytes of a secret: 160 bits (RFC 4226 section 4, R6).
const SECRET_BYTES: usize = 20;
/// Steps before and after the present one that are accepted.
const DRIFT_STEPS: i64 = 1;

/// What server and authenticator app share.
#[derive(Debug)]
pub struct TotpSecret(Secret<Vec<u8>>);

impl TotpSecret {
    /// A new one.
    pub fn generate(random: &mut dyn Random) -> Self {
        let mut bytes = vec![0; SECRET_BYTES];
        random.fill(&mut bytes);
        Self(Secret::new(bytes))
    }

    /// One of these bytes, as stored.
    pub fn from_bytes(bytes: Vec<u8>) -> Option<Self> {
        (bytes.len() == SECRET_BYTES).then(|| Self(Secret::new(bytes)))
    }

    /// One as it was shown to its owner; white space and case do not matter.
    pub fn from_base32(text: &str) -> Option<Self> {
        Self::from_bytes(base32_decode(text)?)
    }

    /// The bytes, for sealing.
    pub fn bytes(&self) -> &[u8] {
        self.0.expose()
    }

    /// The text that an app takes in the place of a picture (RFC 4648 section 6, without padding).
    pub fn base32(&self) -> String {
        base32_encode(self.bytes())
    }

    /// What the picture says: the address that authenticator apps read.
    pub fn uri(&self, issuer: &str, account: &str) -> String {
        let encode = |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
        let (issuer, account) = (encode(issuer), encode(account));
        format!("otpauth://totp/{issuer}:{account}?secret={}&issuer={issuer}&algorithm=SHA1&digits=6&period=30", self.base32())
    }

    /// The code of a step.
    pub fn code(&self, step: i64) -> String {
        let tag = hmac_sha1(self.bytes(), &step.to_be_bytes());
        let offset = usize::from(tag[19] & 0x0f);
        let word = tag.iter().skip(offset).take(4).fold(0_u32, |word, byte| (word << 8) | u32::from(*byte));
        format!("{:06}", (word & 0x7fff_ffff) % 1_000_000)
    }

    /// The step whose code this is, if it counts at this time and no later or equal one was accepted before.
    pub fn accepts(&self, code: &str, now: i64, last_step: Option<i64>) -> Option<i64> {
        let typed: String = code.chars().filter(|character| !character.is_whitespace()).collect();
        let present = now.div_euclid(STEP_SECONDS);
        let steps = present.saturating_sub(DRIFT_STEPS)..=present.saturating_add(DRIFT_STEPS);
        // Every step is computed, so that the time does not tell which one fits.
        let fitting: Vec<i64> = steps.filter(|step| constant_time::equal(self.code(*step), &typed)).collect();
        fitting.into_iter().find(|step| last_step.is_none_or(|last| *step > last))
    }
}

const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// RFC 4648 section 6 without padding; the length must be a multiple of five bytes to be read back.
pub(crate) fn base32_encode(bytes: &[u8]) -> String {
    let mut text = String::new();
    let (mut held, mut bits) = (0_u32, 0);
    for byte in bytes {
        held = (held << 8) | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            let letter = ALPHABET.get(((held >> bits) & 31) as usize).copied().unwrap_or(b'A');
            text.push(char::from(letter));
        }
    }
    text
}

fn base32_decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let (mut held, mut bits) = (0_u32, 0);
    for character in text.bytes().filter(|byte| !byte.is_ascii_whitespace()) {
        let value = ALPHABET.iter().position(|letter| *letter == character.to_ascii_uppercase())?;
        held = ((held << 5) | u32::try_from(value).ok()?) & 0xffff;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from((held >> bits) & 0xff).ok()?);
        }
    }
    (bits == 0).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> TotpSecret {
        TotpSecret::from_bytes(b"12345678901234567890".to_vec()).unwrap()
    }

    /// RFC 6238, appendix B, SHA-1, the last six of eight digits.
    #[test]
    fn the_codes_are_those_of_rfc_6238() {
        for (time, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(secret().code(time / STEP_SECONDS), code, "{time}");
        }
    }

    #[test]
    fn a_code_counts_one_step_before_and_after_and_no_further() {
        let (now, code) = (1_111_111_111, secret().code(1_111_111_111 / 30));
        for (shift, accepted) in [(-60, false), (-31, true), (0, true), (30, true), (58, true), (60, false)] {
            assert_eq!(secret().accepts(&code, now + shift, None).is_some(), accepted, "{shift}");
        }
    }

    #[test]
    fn a_step_counts_once_and_none_before_it_counts_afterwards() {
        let now = 1_111_111_111;
        let step = now / 30;
        assert_eq!(secret().accepts(&secret().code(step), now, None), Some(step));
        assert_eq!(secret().accepts(&secret().code(step), now, Some(step)), None);
        assert_eq!(secret().accepts(&secret().code(step - 1), now, Some(step)), None);
        assert_eq!(secret().accepts(&secret().code(step + 1), now, Some(step)), Some(step + 1));
    }

    #[test]
    fn what_is_no_code_is_refused_and_spaces_do_not_matter() {
        let now = 59;
        assert_eq!(secret().accepts("287 082", now, None), Some(1));
        for text in ["", "28708", "2870822", "287082x", "٢٨٧٠٨٢", "-287082", "0287082"] {
            assert_eq!(secret().accepts(text, now, None), None, "{text}");
        }
    }

    #[test]
    fn the_secret_reads_back_from_the_text_that_its_owner_types() {
        assert_eq!(secret().base32(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        let typed = TotpSecret::from_base32("gezd gnbv gy3t qojq gezd gnbv gy3t qojq").unwrap();
        assert_eq!(typed.bytes(), secret().bytes());
        for text in ["", "GEZD", "1EZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQA"] {
            assert!(TotpSecret::from_base32(text).is_none(), "{text}");
        }
        let uri = secret().uri("Portcullis localhost:8443", "ann & bob");
        assert!(uri.starts_with("otpauth://totp/Portcullis%20localhost%3A8443:ann%20%26%20bob?secret=GEZD"), "{uri}");
        assert!(!format!("{:?}", secret()).contains("12345"));
    }
}
