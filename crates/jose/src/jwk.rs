//! Public keys as JSON Web Keys (RFC 7517), their thumbprints (RFC 7638), and sets of them.
//!
//! Only public members exist in these types, so a private key cannot be published by mistake.

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::base64url;
use crate::canonical::canonical_json;
use crate::digest::sha256_base64url;
use crate::keys::Algorithm;

/// A public signature key with its key id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicJwk {
    kid: Box<str>,
    parameters: Parameters,
}

/// The members that differ by key type (RFC 7518 section 6), as base64url.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Parameters {
    /// A point of P-256.
    EllipticCurve { x: String, y: String },
    /// An RSA modulus and exponent.
    Rsa { n: String, e: String },
}

impl PublicJwk {
    /// A P-256 key from its coordinates, each 32 bytes.
    pub(crate) fn elliptic_curve(x: &[u8], y: &[u8]) -> Self {
        Self::with_thumbprint(Parameters::EllipticCurve { x: base64url::encode(x), y: base64url::encode(y) })
    }

    /// An RSA key from its modulus and exponent, big-endian without leading zeros.
    pub(crate) fn rsa(modulus: &[u8], exponent: &[u8]) -> Self {
        Self::with_thumbprint(Parameters::Rsa { n: base64url::encode(modulus), e: base64url::encode(exponent) })
    }

    fn with_thumbprint(parameters: Parameters) -> Self {
        Self { kid: thumbprint(&parameters).into(), parameters }
    }

    /// The key id: the thumbprint of the key (RFC 7638 with SHA-256).
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The one algorithm that this key is for.
    pub fn algorithm(&self) -> Algorithm {
        match self.parameters {
            Parameters::EllipticCurve { .. } => Algorithm::Es256,
            Parameters::Rsa { .. } => Algorithm::Rs256,
        }
    }

    /// The key as a JSON object with `kty`, `use`, `alg`, `kid` and the public members.
    pub fn to_json(&self) -> Value {
        let mut value = required_members(&self.parameters);
        if let Value::Object(members) = &mut value {
            members.insert("use".into(), "sig".into());
            members.insert("alg".into(), self.algorithm().name().into());
            members.insert("kid".into(), (*self.kid).into());
        }
        value
    }
}

impl Serialize for PublicJwk {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}

/// A set of public keys as published at the `jwks_uri` (RFC 7517 section 5).
#[derive(Clone, Debug, Serialize)]
pub struct Jwks {
    keys: Vec<PublicJwk>,
}

impl Jwks {
    /// A set of these keys, in this order.
    pub fn new(keys: impl IntoIterator<Item = PublicJwk>) -> Self {
        Self { keys: keys.into_iter().collect() }
    }

    /// The keys.
    pub fn keys(&self) -> &[PublicJwk] {
        &self.keys
    }

    /// The document, `{"keys":[...]}`.
    pub fn to_json(&self) -> Value {
        json!({"keys": self.keys.iter().map(PublicJwk::to_json).collect::<Vec<_>>()})
    }
}

/// Exactly the members that a thumbprint covers (RFC 7638 section 3.2).
fn required_members(parameters: &Parameters) -> Value {
    match parameters {
        Parameters::EllipticCurve { x, y } => json!({"kty": "EC", "crv": "P-256", "x": x, "y": y}),
        Parameters::Rsa { n, e } => json!({"kty": "RSA", "n": n, "e": e}),
    }
}

fn thumbprint(parameters: &Parameters) -> String {
    // The members are strings, and only numbers can fail; the empty text would be no one's thumbprint.
    sha256_base64url(canonical_json(&required_members(parameters)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thumbprint_is_the_one_of_rfc_7638_section_3_1() {
        let modulus = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiF\
                       V4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9\
                       c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1\
                       jF44-csFCur-kEgU8awapJzKnqDKgw";
        let jwk = PublicJwk::rsa(&base64url::decode(modulus).unwrap(), &[1, 0, 1]);
        assert_eq!(jwk.kid(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }

    #[test]
    fn a_published_key_has_the_public_members_and_no_other() {
        let names = |jwk: &PublicJwk| jwk.to_json().as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&PublicJwk::elliptic_curve(&[1; 32], &[2; 32])), ["alg", "crv", "kid", "kty", "use", "x", "y"]);
        assert_eq!(names(&PublicJwk::rsa(&[3; 256], &[1, 0, 1])), ["alg", "e", "kid", "kty", "n", "use"]);
    }
}
