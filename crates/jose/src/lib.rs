//! JSON Object Signing and Encryption as pure functions: keys, JWK, compact JWS, JWT verification.
//!
//! RFC 7515 (JWS), RFC 7517 (JWK), RFC 7518 (JWA), RFC 7519 (JWT), RFC 7638 (thumbprint), RFC 8725 (JWT best practice).
//!
//! This crate reads no clock, socket or file: the time is an argument. Its own values are never random; key generation and
//! ECDSA signing draw on the system randomness inside aws-lc, because that library offers no other way. It does no encryption
//! (JWE), no symmetric signatures (HS256 and its kin are refused by construction), and fetches no key from anywhere.

pub mod authenticator_key;
pub mod base64url;
pub mod canonical;
pub mod client_jwt;
pub mod client_key_pair;
pub mod client_keys;
pub mod constant_time;
pub mod digest;
pub mod embedded_key_jwt;
pub mod hmac;
pub mod json;
pub mod jwk;
pub mod keys;
pub mod p256;
pub mod random;
pub mod secret;
pub mod sign;
pub mod verify;

pub use client_jwt::{SignedClaims, UnverifiedJwt};
pub use client_key_pair::ClientKeyPair;
pub use client_keys::{ClientAlgorithm, ClientKeySet, KeySetError};
pub use embedded_key_jwt::{EmbeddedKeyError, EmbeddedKeyJwt};
pub use jwk::{Jwks, PublicJwk};
pub use keys::{Algorithm, KeyError, SigningKey, VerificationKey, VerificationKeys};
pub use random::Random;
pub use secret::Secret;
pub use sign::{SignError, sign};
pub use verify::{Claims, JwtError, VerifyPolicy, verify, verify_past};
