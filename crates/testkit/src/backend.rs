//! A client that signs: its keys, its assertions, and its token requests. The signatures are another library's than the product's.

use std::sync::atomic::{AtomicUsize, Ordering};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey};
use portcullis_jose::base64url;
use serde_json::{Value, json};

use crate::client::{Client, Reply};
use crate::keys::shared_rsa;

/// What `client_assertion_type` has to be.
pub const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// RSA keys that this process has used.
static RSA_KEYS: AtomicUsize = AtomicUsize::new(0);

/// A private key of a client.
pub struct ClientKey {
    /// Its id.
    pub kid: String,
    algorithm: Algorithm,
    key: EncodingKey,
}

impl ClientKey {
    /// A new key for ES384, RS384, ES256 or RS256; an RSA key is new to this process.
    pub fn generate(kid: &str, algorithm: &str) -> Self {
        let elliptic = |signing| EcdsaKeyPair::generate(signing).unwrap().to_pkcs8v1().unwrap().as_ref().to_vec();
        let (algorithm, key) = match algorithm {
            "ES384" => (Algorithm::ES384, EncodingKey::from_ec_der(&elliptic(&ECDSA_P384_SHA384_FIXED_SIGNING))),
            "ES256" => (Algorithm::ES256, EncodingKey::from_ec_der(&elliptic(&ECDSA_P256_SHA256_FIXED_SIGNING))),
            _ => {
                let der = shared_rsa(&format!("client-{}", RSA_KEYS.fetch_add(1, Ordering::Relaxed)));
                let algorithm = if algorithm == "RS384" { Algorithm::RS384 } else { Algorithm::RS256 };
                (algorithm, EncodingKey::from_rsa_der(rsa_private_key(&der)))
            }
        };
        Self { kid: kid.to_owned(), algorithm, key }
    }

    /// The ES384 key of a private JWK Set, as the demo writes one.
    pub fn of_private_set(text: &str) -> Self {
        let set: Value = serde_json::from_str(text).unwrap();
        let jwk = &set["keys"][0];
        let number = |name: &str| base64url::decode(jwk[name].as_str().unwrap()).unwrap();
        let point = [&[4][..], &number("x"), &number("y")].concat();
        let pair = EcdsaKeyPair::from_private_key_and_public_key(&ECDSA_P384_SHA384_FIXED_SIGNING, &number("d"), &point).unwrap();
        let key = EncodingKey::from_ec_der(pair.to_pkcs8v1().unwrap().as_ref());
        Self { kid: jwk["kid"].as_str().unwrap().to_owned(), algorithm: Algorithm::ES384, key }
    }

    /// A JWT of this type whose header brings the key itself, such as a DPoP proof.
    pub fn sign_with_key_inside(&self, header_type: &str, claims: &Value) -> String {
        let mut header = jsonwebtoken::Header::new(self.algorithm);
        header.typ = Some(header_type.to_owned());
        header.jwk = Some(Jwk::from_encoding_key(&self.key, self.algorithm).unwrap());
        jsonwebtoken::encode(&header, claims, &self.key).unwrap()
    }

    /// The public key as a JWK.
    pub fn jwk(&self) -> Value {
        let mut jwk = serde_json::to_value(Jwk::from_encoding_key(&self.key, self.algorithm).unwrap()).unwrap();
        jwk["kid"] = json!(self.kid);
        jwk
    }

    /// A JWK Set with this key alone.
    pub fn jwks(&self) -> Value {
        json!({"keys": [self.jwk()]})
    }

    /// The header of a good assertion.
    pub fn header(&self) -> Value {
        json!({"alg": format!("{:?}", self.algorithm), "kid": self.kid, "typ": "JWT"})
    }

    /// A compact JWS over any header and claims.
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", base64url::encode(header.to_string()), base64url::encode(claims.to_string()));
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &self.key, self.algorithm).unwrap();
        format!("{message}.{signature}")
    }
}

/// The PKCS#1 key inside a PKCS#8 one (RFC 5208): what follows the algorithm identifier, which for RSA keys of 2048 bits has a fixed length.
fn rsa_private_key(pkcs8: &[u8]) -> &[u8] {
    const PKCS8_PREFIX: usize = 26;
    &pkcs8[PKCS8_PREFIX..]
}

/// A registered client that signs.
pub struct BackendClient {
    /// The server.
    pub client: Client,
    /// Its id.
    pub client_id: String,
    /// Its key.
    pub key: ClientKey,
    /// The token endpoint.
    pub token_endpoint: String,
}

impl BackendClient {
    /// The claims of a good assertion, at a time in seconds since the epoch.
    pub fn claims(&self, now: i64, jti: &str) -> Value {
        json!({"iss": self.client_id, "sub": self.client_id, "aud": self.token_endpoint, "exp": now + 240, "jti": jti})
    }

    /// A good assertion.
    pub fn assertion(&self, now: i64, jti: &str) -> String {
        self.key.sign(&self.key.header(), &self.claims(now, jti))
    }

    /// Asks for a token.
    pub async fn request(&self, assertion: &str, scope: &str) -> Reply {
        let fields = [
            ("grant_type", "client_credentials"),
            ("scope", scope),
            ("client_assertion_type", ASSERTION_TYPE),
            ("client_assertion", assertion),
        ];
        self.client.post("/oauth/token").form(&fields).send().await
    }

    /// A token.
    pub async fn token(&self, now: i64, jti: &str, scope: &str) -> String {
        let reply = self.request(&self.assertion(now, jti), scope).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()["access_token"].as_str().unwrap().to_owned()
    }
}
