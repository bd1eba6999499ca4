//! The root key: 32 random bytes in a file of their own, from which every other key of a store is derived.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use aws_lc_rs::hkdf;

/// The key of keys. It is never shown and never stored in the database.
#[derive(Clone)]
pub struct RootKey([u8; 32]);

/// Why there is no root key.
#[derive(Debug, thiserror::Error)]
pub enum RootKeyError {
    /// The file cannot be read or written.
    #[error("cannot read or write the root key file")]
    File(#[from] io::Error),
    /// Others than the owner may read the file.
    #[error("the root key file may be read by others than its owner: chmod 600")]
    Exposed,
    /// The file holds something else.
    #[error("the root key file does not hold 64 hexadecimal digits")]
    Malformed,
    /// The system has no random numbers.
    #[error("no random numbers")]
    NoRandomness,
    /// The cryptographic library refused.
    #[error("no key can be derived")]
    Underivable,
}

impl RootKey {
    /// A new random key.
    pub fn generate() -> Result<Self, RootKeyError> {
        let mut bytes = [0; 32];
        aws_lc_rs::rand::fill(&mut bytes).map_err(|_| RootKeyError::NoRandomness)?;
        Ok(Self(bytes))
    }

    /// Reads the key from a file that only its owner may read.
    pub fn read_file(path: &Path) -> Result<Self, RootKeyError> {
        if fs::metadata(path)?.mode() & 0o077 != 0 {
            return Err(RootKeyError::Exposed);
        }
        let text = fs::read(path)?;
        let digits = text.trim_ascii();
        let mut bytes = [0; 32];
        if digits.len() != 2 * bytes.len() {
            return Err(RootKeyError::Malformed);
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let pair = str::from_utf8(pair).map_err(|_| RootKeyError::Malformed)?;
            let valid = pair.bytes().all(|digit| digit.is_ascii_hexdigit());
            *byte = u8::from_str_radix(pair, 16).ok().filter(|_| valid).ok_or(RootKeyError::Malformed)?;
        }
        Ok(Self(bytes))
    }

    /// Writes the key to a new file (mode 0600) and flushes it; a file that exists is left alone and an error.
    pub fn write_file(&self, path: &Path) -> Result<(), RootKeyError> {
        let mut text: String = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
        text.push('\n');
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        Ok(())
    }

    /// The key for one purpose (HKDF-SHA-256, RFC 5869).
    pub fn derive(&self, purpose: &str) -> Result<[u8; 32], RootKeyError> {
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"portcullis store");
        let mut key = [0; 32];
        let filled = salt.extract(&self.0).expand(&[purpose.as_bytes()], Length).and_then(|output| output.fill(&mut key));
        filled.map(|()| key).map_err(|_| RootKeyError::Underivable)
    }
}

/// The length of a derived key.
struct Length;

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        32
    }
}

impl fmt::Debug for RootKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("…")
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_survives_its_file_and_the_file_is_private() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("root.key");
        let key = RootKey::generate().unwrap();
        key.write_file(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(RootKey::read_file(&path).unwrap().0, key.0);
        assert!(key.write_file(&path).is_err(), "an existing key is never replaced");
    }

    #[test]
    fn an_exposed_or_malformed_file_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("root.key");
        RootKey::generate().unwrap().write_file(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(RootKey::read_file(&path), Err(RootKeyError::Exposed)));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        for text in ["", "00", &"g".repeat(64), &"+1".repeat(32), &"0".repeat(65)] {
            fs::write(&path, text).unwrap();
            assert!(matches!(RootKey::read_file(&path), Err(RootKeyError::Malformed)), "{text}");
        }
    }

    #[test]
    fn purposes_have_different_keys_and_a_key_is_never_shown() {
        let key = RootKey([7; 32]);
        let derive = |purpose| key.derive(purpose).unwrap();
        assert_eq!(derive("a"), derive("a"));
        assert_ne!(derive("a"), derive("b"));
        assert_ne!(derive("a"), [0; 32]);
        assert_eq!(format!("{key:?}"), "…");
    }
}
