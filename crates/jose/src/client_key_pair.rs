//! A new key pair for a client, as JWK Sets: the public one to register, the private one to sign with (RFC 7517, RFC 7518 section 6.2).
//!
//! For demos and tests. A real client makes its own key and never shows the private half to a server; this one does not keep it either.

use aws_lc_rs::encoding::{AsBigEndian, EcPrivateKeyBin};
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};

use crate::base64url;
use crate::canonical::canonical_json;
use crate::digest::sha256_base64url;
use crate::keys::KeyError;
use crate::secret::Secret;

/// An ES384 key pair.
#[derive(Debug)]
pub struct ClientKeyPair {
    public: Value,
    private: Secret<String>,
}

impl ClientKeyPair {
    /// Generates a P-384 key. The `kid` is its thumbprint (RFC 7638).
    pub fn generate() -> Result<Self, KeyError> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).map_err(|_| KeyError::Library)?;
        let point = pair.public_key().as_ref();
        let (x, y) = point.get(1..49).zip(point.get(49..97)).ok_or(KeyError::Library)?;
        let mut jwk = json!({"crv": "P-384", "kty": "EC", "x": base64url::encode(x), "y": base64url::encode(y)});
        let kid = sha256_base64url(canonical_json(&jwk).map_err(|_| KeyError::Library)?);
        for (name, value) in [("kid", kid.as_str()), ("use", "sig"), ("alg", "ES384")] {
            set(&mut jwk, name, value);
        }
        let public = json!({"keys": [jwk.clone()]});
        let scalar: EcPrivateKeyBin<'static> = pair.private_key().as_be_bytes().map_err(|_| KeyError::Library)?;
        set(&mut jwk, "d", &base64url::encode(scalar.as_ref()));
        Ok(Self { public, private: Secret::new(json!({"keys": [jwk]}).to_string()) })
    }

    /// The public JWK Set.
    pub fn public(&self) -> &Value {
        &self.public
    }

    /// The private JWK Set as JSON text.
    pub fn private(&self) -> &Secret<String> {
        &self.private
    }
}

fn set(jwk: &mut Value, name: &str, value: &str) {
    if let Value::Object(members) = jwk {
        members.insert(name.into(), value.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client_keys::{ClientKeySet, KeySetError};

    #[test]
    fn the_public_half_can_be_registered_and_the_private_one_cannot() {
        let pair = ClientKeyPair::generate().unwrap();
        assert!(ClientKeySet::parse(pair.public().to_string().as_bytes()).is_ok());
        assert_eq!(ClientKeySet::parse(pair.private().expose().as_bytes()).unwrap_err(), KeySetError::Secret);
        let private: Value = serde_json::from_str(pair.private().expose()).unwrap();
        let (public, key) = (&pair.public()["keys"][0], &private["keys"][0]);
        assert_eq!((&public["kid"], &public["x"], public.get("d")), (&key["kid"], &key["x"], None));
        assert_eq!(base64url::decode(key["d"].as_str().unwrap()).unwrap().len(), 48);
        assert!(!format!("{pair:?}").contains(key["d"].as_str().unwrap()));
    }
}
