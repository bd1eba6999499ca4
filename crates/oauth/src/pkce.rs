//! Proof Key for Code Exchange, method S256 only (RFC 7636; `plain` is refused as RFC 9700 section 2.1.1 advises).

use portcullis_jose::constant_time;
use portcullis_jose::digest::sha256_base64url;

/// The only method that is supported.
pub const METHOD: &str = "S256";

/// A `code_challenge`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeChallenge(Box<str>);

impl CodeChallenge {
    /// Parses a challenge: 43 to 128 unreserved characters (RFC 7636 section 4.2).
    pub fn parse(text: &str) -> Option<Self> {
        well_formed(text).then(|| Self(text.into()))
    }

    /// The challenge as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the verifier is the one that the challenge was made of (RFC 7636 section 4.6). An ill-formed verifier never is.
    pub fn accepts(&self, verifier: &str) -> bool {
        well_formed(verifier) && constant_time::equal(sha256_base64url(verifier), &*self.0)
    }
}

/// 43 to 128 characters of `A-Z a-z 0-9 - . _ ~`, the grammar of both challenge and verifier.
pub fn well_formed(text: &str) -> bool {
    (43..=128).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    #[test]
    fn verifiers_outside_the_grammar_are_refused_even_if_their_digest_fits() {
        for verifier in ["", "short", &"x".repeat(42), &"x".repeat(129), &format!("{}+", "x".repeat(43)), &"ä".repeat(30)] {
            let challenge = CodeChallenge::parse(&sha256_base64url(verifier)).unwrap();
            assert!(!challenge.accepts(verifier), "{verifier}");
            assert_eq!(CodeChallenge::parse(verifier), None, "{verifier}");
        }
    }

    #[test]
    fn another_verifier_and_the_challenge_itself_are_refused() {
        let challenge = CodeChallenge::parse(CHALLENGE).unwrap();
        assert!(!challenge.accepts(CHALLENGE));
        assert!(!challenge.accepts(&VERIFIER.replace('d', "e")));
    }

    #[test]
    fn the_pair_of_rfc_7636_appendix_b_is_accepted() {
        assert!(CodeChallenge::parse(CHALLENGE).unwrap().accepts(VERIFIER));
        let longest = "~".repeat(128);
        assert!(CodeChallenge::parse(&sha256_base64url(&longest)).unwrap().accepts(&longest));
    }
}
