//! A device that keeps a passkey, in software: it answers challenges as an authenticator does (WebAuthn Level 3), and lies where a test asks it to.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use portcullis_jose::base64url;
use portcullis_jose::digest::sha256;

/// A device with one key pair.
pub struct Authenticator {
    key: EcdsaKeyPair,
    /// The credential's id.
    pub id: Vec<u8>,
    /// The page that it believes to be on.
    pub origin: String,
    /// The relying party.
    pub relying_party: String,
    /// Flags: user present, user verified, and so on.
    pub flags: u8,
    /// The counter; it grows with each signature, and after its highest value is 0, which means that the device does not count.
    pub count: u32,
}

impl Authenticator {
    /// A new one on this origin, at `localhost`.
    pub fn new(origin: &str, id: &str) -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let (origin, relying_party) = (origin.to_owned(), "localhost".to_owned());
        Self { key, id: id.as_bytes().to_vec(), origin, relying_party, flags: 5, count: 0 }
    }

    fn client_data(&self, kind: &str, challenge: &str) -> Vec<u8> {
        format!(r#"{{"type":"{kind}","challenge":"{challenge}","origin":"{}","crossOrigin":false}}"#, self.origin).into_bytes()
    }

    fn data(&self, flags: u8) -> Vec<u8> {
        [&sha256(&self.relying_party)[..], &[flags], &self.count.to_be_bytes()].concat()
    }

    /// The fields of a registration.
    pub fn register(&mut self, challenge: &str) -> Vec<(&'static str, String)> {
        self.count = self.count.wrapping_add(1);
        let point = self.key.public_key().as_ref();
        let key = [b"\xa5\x01\x02\x03\x26\x20\x01\x21\x58\x20", &point[1..33], b"\x22\x58\x20", &point[33..]].concat();
        let length = u16::try_from(self.id.len()).unwrap().to_be_bytes();
        let data = [&self.data(self.flags | 0x40)[..], &[0; 16], &length, &self.id, &key].concat();
        let size = u16::try_from(data.len()).unwrap().to_be_bytes();
        let object = [b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x59", &size[..], &data].concat();
        let client_data = self.client_data("webauthn.create", challenge);
        vec![("client_data", base64url::encode(client_data)), ("attestation", base64url::encode(object))]
    }

    /// The fields of a sign-in.
    pub fn sign_in(&mut self, challenge: &str, user_handle: &[u8]) -> Vec<(&'static str, String)> {
        self.count = self.count.wrapping_add(1);
        let (client_data, data) = (self.client_data("webauthn.get", challenge), self.data(self.flags));
        let message = [&data[..], &sha256(&client_data)].concat();
        let signature = self.key.sign(&SystemRandom::new(), &message).unwrap();
        vec![
            ("credential", base64url::encode(&self.id)),
            ("client_data", base64url::encode(client_data)),
            ("authenticator_data", base64url::encode(data)),
            ("signature", base64url::encode(signature.as_ref())),
            ("user_handle", base64url::encode(user_handle)),
        ]
    }
}
