//! RSA keys that test processes share: to find two primes takes a good part of a second, and every test is a process of its own.
//!
//! They are made by whichever process needs one first, and kept in Cargo's target directory. They are random, so nothing may depend on their numbers;
//! tests that are about making keys make their own.

use std::io::Write as _;
use std::path::PathBuf;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};

/// The PKCS#8 form (RFC 5208) of the RSA key of 2048 bits that has this name.
pub fn shared_rsa(name: &str) -> Vec<u8> {
    let file = folder().join(format!("{name}.der"));
    if let Ok(known) = std::fs::read(&file) {
        return known;
    }
    let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let der: Pkcs8V1Der<'static> = pair.as_der().unwrap();
    let mut new = tempfile::NamedTempFile::new_in(folder()).unwrap();
    new.write_all(der.as_ref()).unwrap();
    // Where another process was faster, both go on with its key.
    let _ = new.persist_noclobber(&file);
    std::fs::read(&file).unwrap()
}

/// `tmp/keys` in the target directory, in which a test's program lies in `PROFILE/deps`.
fn folder() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    let folder = program.ancestors().nth(3).unwrap().join("tmp/keys");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

#[cfg(test)]
mod tests {
    use super::{KeyPair, shared_rsa};

    #[test]
    fn a_name_is_one_key_and_two_names_are_two() {
        assert_eq!(shared_rsa("first"), shared_rsa("first"));
        assert_ne!(shared_rsa("first"), shared_rsa("second"));
        assert!(KeyPair::from_pkcs8(&shared_rsa("first")).is_ok());
    }
}
