//! The public keys of a client, as it registered them: a JWK Set (RFC 7517) from which exactly one key is chosen for a signature.
//!
//! SMART App Launch 2.2.0, "Client Authentication: Asymmetric", signature verification: a key counts where its `kid` is the one of the
//! header and its `kty` and curve fit the algorithm; none or two of them, and the signature is refused. `use`, `key_ops` and `alg` of a
//! key are obeyed. RSA keys have 2048 bits or more (RFC 7518 section 3.3).
//!
//! Keys that we cannot use (Ed25519, encryption keys) are skipped, as RFC 7517 section 5 advises. A set that holds a private or symmetric
//! key is refused whole: whoever publishes such a key has lost it. Nothing is fetched, and a key without `kid` is never chosen.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    VerificationAlgorithm,
};
use base64::Engine as _;
use serde_json::{Map, Value};

use crate::base64url;
use crate::digest::sha256;
use crate::json::parse_object;
use crate::verify::JwtError;

/// The largest set that is looked at, in bytes.
pub const MAXIMUM_SET_BYTES: usize = 64 * 1024;

/// The most keys in a set.
pub const MAXIMUM_KEYS: usize = 32;

/// The longest `kid`, in bytes.
pub const MAXIMUM_KID_BYTES: usize = 255;

/// An algorithm with which clients sign (RFC 7518 section 3.1). SMART wants RS384 and ES384; UDAP and OpenID Connect the other two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClientAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// ECDSA with P-384 and SHA-384.
    Es384,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// ECDSA with P-256 and SHA-256.
    Es256,
}

impl ClientAlgorithm {
    /// All of them, those of SMART first.
    pub const ALL: [Self; 4] = [Self::Rs384, Self::Es384, Self::Rs256, Self::Es256];

    /// The name in `alg`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rs384 => "RS384",
            Self::Es384 => "ES384",
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
        }
    }

    /// The algorithm of this exact name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }
}

/// Why a set of keys cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum KeySetError {
    /// Longer than [`MAXIMUM_SET_BYTES`], or more than [`MAXIMUM_KEYS`] keys.
    #[error("the JWK Set is too large")]
    TooLarge,
    /// Not a JSON object with an array `keys` of objects, or a member occurs twice.
    #[error("not a JWK Set: expected {{\"keys\": [...]}} in which no member occurs twice")]
    Malformed,
    /// A private or symmetric key.
    #[error("the JWK Set holds a private or symmetric key; register the public keys alone")]
    Secret,
    /// No key with a `kid` that can verify one of our algorithms.
    #[error("the JWK Set has no usable key: RSA of 2048 bits or more, P-256 or P-384, with a kid, for signatures")]
    NoUsableKey,
}

/// A client's keys.
#[derive(Clone, Debug)]
pub struct ClientKeySet {
    keys: Vec<ClientKey>,
    /// SHA-256 of each key's own certificate.
    certificates: Vec<[u8; 32]>,
}

/// One key under one algorithm; an RSA key without `alg` stands twice.
#[derive(Clone, Debug)]
struct ClientKey {
    kid: Box<str>,
    algorithm: ClientAlgorithm,
    public: ParsedPublicKey,
}

impl ClientKeySet {
    /// Reads a JWK Set.
    pub fn parse(bytes: &[u8]) -> Result<Self, KeySetError> {
        if bytes.len() > MAXIMUM_SET_BYTES {
            return Err(KeySetError::TooLarge);
        }
        let set = parse_object(bytes).map_err(|_| KeySetError::Malformed)?;
        let Some(Value::Array(members)) = set.get("keys") else { return Err(KeySetError::Malformed) };
        if members.len() > MAXIMUM_KEYS {
            return Err(KeySetError::TooLarge);
        }
        let (mut keys, mut certificates) = (Vec::new(), Vec::new());
        for member in members {
            let Value::Object(jwk) = member else { return Err(KeySetError::Malformed) };
            if holds_secret(jwk) {
                return Err(KeySetError::Secret);
            }
            keys.extend(usable(jwk));
            certificates.extend(certificate(jwk));
        }
        if keys.is_empty() { Err(KeySetError::NoUsableKey) } else { Ok(Self { keys, certificates }) }
    }

    /// The SHA-256 of the certificates of these keys: the first of each `x5c` (RFC 7517 section 4.7).
    pub fn certificates(&self) -> &[[u8; 32]] {
        &self.certificates
    }

    /// Verifies a signature with the one key that fits.
    pub(crate) fn verify(&self, algorithm: ClientAlgorithm, kid: &str, message: &[u8], signature: &[u8]) -> Result<(), JwtError> {
        let mut named = self.keys.iter().filter(|key| &*key.kid == kid).peekable();
        if named.peek().is_none() {
            return Err(JwtError::UnknownKey);
        }
        let mut fitting = named.filter(|key| key.algorithm == algorithm);
        let key = fitting.next().ok_or(JwtError::AlgorithmMismatch)?;
        if fitting.next().is_some() {
            return Err(JwtError::AmbiguousKey);
        }
        key.public.verify_sig(message, signature).map_err(|_| JwtError::BadSignature)
    }
}

/// Whether a JWK has a member that only private or symmetric keys have.
pub(crate) fn holds_secret(jwk: &Map<String, Value>) -> bool {
    ["d", "k", "p", "q", "dp", "dq", "qi", "oth"].iter().any(|name| jwk.contains_key(*name))
}

/// The SHA-256 of a key's own certificate. Whether it is one, a handshake shows.
fn certificate(jwk: &Map<String, Value>) -> Option<[u8; 32]> {
    let first = jwk.get("x5c")?.as_array()?.first()?.as_str()?;
    Some(sha256(base64::engine::general_purpose::STANDARD.decode(first).ok()?))
}

/// What a JWK with a `kid` can verify; nothing where it is not for us.
fn usable(jwk: &Map<String, Value>) -> Vec<ClientKey> {
    let kid = jwk.get("kid").and_then(Value::as_str).filter(|kid| (1..=MAXIMUM_KID_BYTES).contains(&kid.len()));
    let Some(kid) = kid else { return Vec::new() };
    let keys = public_keys(jwk).into_iter();
    keys.map(|(algorithm, public)| ClientKey { kid: kid.into(), algorithm, public }).collect()
}

/// The public key of a JWK under each algorithm that it can verify.
pub(crate) fn public_keys(jwk: &Map<String, Value>) -> Vec<(ClientAlgorithm, ParsedPublicKey)> {
    let text = |name: &str| jwk.get(name).and_then(Value::as_str);
    if !for_signatures(jwk) {
        return Vec::new();
    }
    let number = |name: &str| text(name).and_then(base64url::decode).filter(|bytes| !bytes.is_empty());
    let candidates: Vec<(ClientAlgorithm, Vec<u8>)> = match (text("kty"), text("crv")) {
        (Some("RSA"), None) => number("n").zip(number("e")).filter(strong).map_or_else(Vec::new, |(modulus, exponent)| {
            let der = rsa_public_key(&modulus, &exponent);
            vec![(ClientAlgorithm::Rs384, der.clone()), (ClientAlgorithm::Rs256, der)]
        }),
        (Some("EC"), Some("P-256")) => {
            point(number("x"), number("y"), 32).map(|point| (ClientAlgorithm::Es256, point)).into_iter().collect()
        }
        (Some("EC"), Some("P-384")) => {
            point(number("x"), number("y"), 48).map(|point| (ClientAlgorithm::Es384, point)).into_iter().collect()
        }
        _ => Vec::new(),
    };
    let restricted = jwk.get("alg");
    candidates
        .into_iter()
        .filter(|(algorithm, _)| restricted.is_none_or(|alg| alg.as_str() == Some(algorithm.name())))
        .filter_map(|(algorithm, bytes)| Some((algorithm, ParsedPublicKey::new(parameters(algorithm), bytes).ok()?)))
        .collect()
}

/// `use` must be "sig" and `key_ops` must hold "verify" where they are there (RFC 7517 sections 4.2 and 4.3).
fn for_signatures(jwk: &Map<String, Value>) -> bool {
    let used = jwk.get("use").is_none_or(|value| value.as_str() == Some("sig"));
    let operations = jwk.get("key_ops").is_none_or(|value| {
        value.as_array().is_some_and(|operations| operations.iter().any(|operation| operation.as_str() == Some("verify")))
    });
    used && operations
}

fn parameters(algorithm: ClientAlgorithm) -> &'static dyn VerificationAlgorithm {
    match algorithm {
        ClientAlgorithm::Rs384 => &RSA_PKCS1_2048_8192_SHA384,
        ClientAlgorithm::Es384 => &ECDSA_P384_SHA384_FIXED,
        ClientAlgorithm::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
        ClientAlgorithm::Es256 => &ECDSA_P256_SHA256_FIXED,
    }
}

/// Whether a modulus has 2048 to 8192 bits, and an exponent is odd, above 1, and short enough to be quick. The library looks at the size
/// only when it verifies, and then the client would learn no more than that its signature is wrong.
pub(crate) fn strong((modulus, exponent): &(Vec<u8>, Vec<u8>)) -> bool {
    let digits = |bytes: &[u8]| bytes.iter().skip_while(|byte| **byte == 0).copied().collect::<Vec<u8>>();
    let (modulus, exponent) = (digits(modulus), digits(exponent));
    let bits = modulus.first().map_or(0, |first| modulus.len() * 8 - first.leading_zeros() as usize);
    let odd = |bytes: &[u8]| bytes.last().is_some_and(|last| last % 2 == 1);
    (2048..=8192).contains(&bits) && odd(&modulus) && odd(&exponent) && exponent.len() <= 4 && exponent != [1]
}

/// An uncompressed point (SEC 1 section 2.3.3); each coordinate has the full length of the field (RFC 7518 section 6.2.1.2).
fn point(x: Option<Vec<u8>>, y: Option<Vec<u8>>, length: usize) -> Option<Vec<u8>> {
    let (x, y) = x.zip(y)?;
    (x.len() == length && y.len() == length).then(|| [&[4][..], &x, &y].concat())
}

/// `RSAPublicKey` in DER (RFC 8017 appendix A.1.1).
pub(crate) fn rsa_public_key(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    der(0x30, &[der_integer(modulus), der_integer(exponent)].concat())
}

/// A positive INTEGER: no superfluous zeros, and one where the first bit would be a sign.
fn der_integer(bytes: &[u8]) -> Vec<u8> {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let digits = bytes.get(zeros..).unwrap_or_default();
    match digits.first() {
        Some(first) if *first < 0x80 => der(0x02, digits),
        _ => der(0x02, &[&[0][..], digits].concat()),
    }
}

fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let octets: Vec<u8> = length.to_be_bytes().into_iter().skip_while(|octet| *octet == 0).collect();
    let mut element = vec![tag];
    match u8::try_from(length) {
        Ok(short @ 0..0x80) => element.push(short),
        _ => {
            element.push(0x80 | u8::try_from(octets.len()).unwrap_or(u8::MAX));
            element.extend_from_slice(&octets);
        }
    }
    element.extend_from_slice(content);
    element
}

#[cfg(test)]
mod tests;
