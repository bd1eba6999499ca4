//! What a browser brings back from a provider (OpenID Connect Core sections 3.1.2.5 and 3.1.2.6, RFC 9207).

use portcullis_jose::Secret;

use crate::parameters::Parameters;

/// The longest code, in bytes.
const MAXIMUM_CODE: usize = 2048;
/// The longest error code that is kept, in bytes.
const MAXIMUM_ERROR: usize = 64;

/// Why an answer brings no code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallbackError {
    /// A parameter occurs twice, is missing, or is too long.
    #[error("the answer is malformed")]
    Malformed,
    /// The answer names another provider than the one that was asked, or none although this one names itself: a mix-up.
    #[error("the answer comes from another provider")]
    OtherIssuer,
    /// The provider says no.
    #[error("the provider refused: {0}")]
    Refused(String),
}

/// An answer with a code.
#[derive(Debug)]
pub struct CodeCallback {
    /// The code.
    pub code: Secret<String>,
}

impl CodeCallback {
    /// Reads an answer whose `state` was checked. The issuer is compared before anything else, errors included (RFC 9207 section 2.4).
    pub fn parse(parameters: &Parameters, issuer: &str, names_itself: bool) -> Result<Self, CallbackError> {
        let value = |name: &str| parameters.value(name).map_err(|_| CallbackError::Malformed);
        match value("iss")? {
            Some(named) if named != issuer => return Err(CallbackError::OtherIssuer),
            None if names_itself => return Err(CallbackError::OtherIssuer),
            _ => {}
        }
        if let Some(error) = value("error")? {
            let known = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
            let shown = if error.len() <= MAXIMUM_ERROR && error.bytes().all(known) { error } else { "unreadable" };
            return Err(CallbackError::Refused(shown.to_owned()));
        }
        let code = value("code")?.filter(|code| (1..=MAXIMUM_CODE).contains(&code.len())).ok_or(CallbackError::Malformed)?;
        Ok(Self { code: Secret::new(code.to_owned()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUER: &str = "https://login.example";

    fn refusal(query: &str, names_itself: bool) -> CallbackError {
        CodeCallback::parse(&Parameters::parse(query.as_bytes()).unwrap(), ISSUER, names_itself).unwrap_err()
    }

    #[test]
    fn the_issuer_is_compared_before_anything_else() {
        assert_eq!(refusal("code=c&iss=https%3A%2F%2Fevil.example", false), CallbackError::OtherIssuer);
        assert_eq!(refusal("error=access_denied&iss=https%3A%2F%2Fevil.example", false), CallbackError::OtherIssuer);
        assert_eq!(refusal("code=c", true), CallbackError::OtherIssuer);
        assert_eq!(refusal("code=c&iss=https%3A%2F%2Flogin.example%2F", true), CallbackError::OtherIssuer, "byte for byte");
        assert!(CodeCallback::parse(&Parameters::parse(b"code=c").unwrap(), ISSUER, false).is_ok());
    }

    #[test]
    fn errors_and_malformed_answers_bring_no_code() {
        assert_eq!(refusal("error=access_denied&code=c", false), CallbackError::Refused("access_denied".into()));
        assert_eq!(refusal("error=%3Cscript%3E", false), CallbackError::Refused("unreadable".into()));
        for query in
            ["", "code=", "code=a&code=b", "error=a&error=b", "iss=a&iss=b&code=c", &format!("code={}", "c".repeat(2049))]
        {
            assert_eq!(refusal(query, false), CallbackError::Malformed, "{query}");
        }
    }
}
