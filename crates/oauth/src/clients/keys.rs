//! Where the public keys of a client are: by value or at an address (SMART App Launch 2.2.0, "Client Authentication: Asymmetric").

use portcullis_jose::{ClientKeySet, KeySetError};

/// The longest `jwks_uri`, in bytes.
const MAXIMUM_KEY_URL_BYTES: usize = 2048;
/// How it is stored that there are none: a set that nothing verifies with.
const NO_KEYS: &str = r#"{"keys":[]}"#;

/// Where the public keys of a client are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// A JWK Set, as text that [`ClientKeySet::parse`] accepted.
    Value(Box<str>),
    /// The https address of a JWK Set.
    Url(Box<str>),
}

/// Why keys cannot be registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeySourceError {
    /// The set is not usable.
    #[error(transparent)]
    Set(#[from] KeySetError),
    /// The address is not an https URL with a host and without user information or fragment, of at most 2048 bytes.
    #[error("the jwks_uri must be an https URL without user information and fragment")]
    Url,
}

impl KeySource {
    /// A JWK Set.
    pub fn value(text: &str) -> Result<Self, KeySourceError> {
        ClientKeySet::parse(text.as_bytes())?;
        Ok(Self::Value(text.into()))
    }

    /// No keys: the client authenticates by a certificate that an authority vouches for.
    pub fn none() -> Self {
        Self::Value(NO_KEYS.into())
    }

    /// Whether there are no keys.
    pub fn is_none(&self) -> bool {
        *self == Self::none()
    }

    /// The address of a JWK Set. Whether the host may be connected to is asked when it is.
    pub fn url(text: &str) -> Result<Self, KeySourceError> {
        let parsed = url::Url::parse(text).map_err(|_| KeySourceError::Url)?;
        let plain = parsed.username().is_empty() && parsed.password().is_none() && parsed.fragment().is_none();
        let sound = parsed.scheme() == "https" && parsed.has_host() && plain && text.len() <= MAXIMUM_KEY_URL_BYTES;
        // What is compared with a `jku` byte for byte must have one spelling.
        if sound && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(Self::Url(text.into()))
        } else {
            Err(KeySourceError::Url)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_taken_as_a_usable_set_or_as_an_https_address() {
        assert_eq!(KeySource::value("{\"keys\":[]}"), Err(KeySourceError::Set(KeySetError::NoUsableKey)));
        for url in [
            "http://keys.example/jwks",
            "https://user@keys.example/jwks",
            "https://user:pw@keys.example/jwks",
            "https://keys.example/jwks#k",
            "https://keys.example/a b",
            "https://",
            "ftp://keys.example/jwks",
            "file:///etc/passwd",
            "keys.example/jwks",
            "",
        ] {
            assert_eq!(KeySource::url(url), Err(KeySourceError::Url), "{url}");
        }
        assert_eq!(KeySource::url(&format!("https://keys.example/{}", "x".repeat(2048))), Err(KeySourceError::Url));
        assert!(KeySource::url("https://keys.example:8443/jwks?v=1").is_ok());
        assert!(ClientKeySet::parse(NO_KEYS.as_bytes()).is_err(), "no keys verify nothing");
    }
}
