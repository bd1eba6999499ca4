//! DPoP proofs: a client shows with each request that it holds the key that its tokens are bound to.
//!
//! RFC 9449 sections 4.2, 4.3 and 8. A proof becomes a [`VerifiedProof`] by signature and claims. That it comes for the first time is not known
//! here: at the token endpoint it is spent in the transaction of the token, at the resource server by the nonce that it carries. A nonce
//! of this server is always demanded, so that no proof can be made long before it is used.

use portcullis_jose::digest::sha256;
use portcullis_jose::{ClientAlgorithm, EmbeddedKeyError, EmbeddedKeyJwt, JwtError, base64url, constant_time};
use url::Url;

use crate::confirmation::KeyThumbprint;
use crate::token_error::TokenError;

/// The `typ` of a proof.
pub const HEADER_TYPE: &str = "dpop+jwt";

/// The algorithms of proofs (`dpop_signing_alg_values_supported`).
pub const ALGORITHMS: [ClientAlgorithm; 3] = [ClientAlgorithm::Es256, ClientAlgorithm::Es384, ClientAlgorithm::Rs256];

/// How old a proof may be, in seconds. The nonce is the narrower bound; this one is for clocks that go wrong.
pub const MAXIMUM_AGE_SECONDS: i64 = 300;

/// How far a client's clock may be ahead of ours, in seconds.
pub const LEEWAY_SECONDS: i64 = 60;

/// The longest proof, in bytes: a key and a signature of RSA with 8192 bits fit.
pub const MAXIMUM_PROOF_BYTES: usize = 6 * 1024;

/// The longest `jti`, in bytes.
pub const MAXIMUM_TOKEN_ID_BYTES: usize = 255;

/// Why a proof proves nothing. None of these carries content of the proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ProofError {
    /// "There is not more than one DPoP HTTP request header field" (section 4.3).
    #[error("DPoP: the header must stand once")]
    NotOneHeader,
    /// A proof is needed and there is none.
    #[error("DPoP: a proof is required")]
    Missing,
    /// Form, header, key or signature.
    #[error("DPoP: {}", explain(*.0))]
    Jwt(#[from] EmbeddedKeyError),
    /// `jti` is longer than [`MAXIMUM_TOKEN_ID_BYTES`].
    #[error("DPoP: jti may have at most 255 bytes")]
    TokenIdTooLong,
    /// `htm` is another method.
    #[error("DPoP: htm must be the method of the request")]
    WrongMethod,
    /// `htu` is another address.
    #[error("DPoP: htu must be the URL of the request without query and fragment")]
    WrongUrl,
    /// `iat` lies too far back.
    #[error("DPoP: iat is too old")]
    TooOld,
    /// `iat` lies in the future.
    #[error("DPoP: iat lies in the future")]
    InTheFuture,
    /// `ath` is not the hash of the token that the proof came with.
    #[error("DPoP: ath must be the SHA-256 of the access token")]
    WrongToken,
    /// The authorization request names another key (section 10.1).
    #[error("DPoP: the proof was made with another key than dpop_jkt")]
    OtherKey,
    /// It was used before.
    #[error("DPoP: jti was used before")]
    Replayed,
    /// There is no `nonce`, or one that is not ours or is too old.
    #[error("DPoP: nonce must be the one of the DPoP-Nonce header")]
    Nonce,
}

fn explain(error: EmbeddedKeyError) -> &'static str {
    match error {
        EmbeddedKeyError::NoKey => "jwk must be a public RSA key of 2048 bits or more, or one of P-256 or P-384",
        EmbeddedKeyError::PrivateKey => "jwk must not hold a private key",
        EmbeddedKeyError::Jwt(error) => match error {
            JwtError::TooLarge => "the proof is too long",
            JwtError::Malformed => "the proof is not a compact JWS",
            JwtError::DuplicateMember => "a member occurs twice",
            JwtError::AlgorithmRefused => "alg must be ES256, ES384 or RS256",
            JwtError::CriticalExtension => "crit is not supported",
            JwtError::EmbeddedKey => "the header must not lead to another key",
            JwtError::WrongType => "typ must be dpop+jwt",
            JwtError::AlgorithmMismatch => "alg does not fit the jwk",
            JwtError::BadSignature => "the signature is wrong",
            JwtError::MissingClaim => "jti, htm, htu and iat are required",
            JwtError::WrongClaimType => "a claim has the wrong JSON type",
            _ => "the proof is not valid",
        },
    }
}

/// What a client is told at the token endpoint (sections 5 and 8).
impl From<ProofError> for TokenError {
    fn from(error: ProofError) -> Self {
        Self::Dpop(error)
    }
}

/// What a proof must be made for.
#[derive(Clone, Copy, Debug)]
pub struct ProofTerms<'a> {
    /// The method of the request.
    pub method: &'a str,
    /// The URL of the request as a client knows it, without query and fragment.
    pub url: &'a str,
    /// The nonces that count.
    pub nonces: &'a [&'a str],
    /// The access token that the proof came with; none at the token endpoint.
    pub access_token: Option<&'a str>,
    /// The time, in seconds since the epoch.
    pub now: i64,
}

/// A proof whose signature and claims hold, and which counts once.
///
/// It is neither cloned nor made from parts; only [`VerifiedProof::verify`] makes one.
#[derive(Debug)]
#[must_use = "a proof that is not spent can be presented again"]
pub struct VerifiedProof {
    key: KeyThumbprint,
    token_id_hash: [u8; 32],
    token_hash: Option<[u8; 32]>,
    nonce: Box<str>,
    remembered_until: i64,
}

impl VerifiedProof {
    /// Verifies the proof of a request.
    pub fn verify(proof: &str, terms: &ProofTerms<'_>) -> Result<Self, ProofError> {
        let proof = EmbeddedKeyJwt::verify(proof, HEADER_TYPE, &ALGORITHMS, MAXIMUM_PROOF_BYTES)?;
        let claims = proof.claims();
        let wrong = |error: JwtError| ProofError::Jwt(EmbeddedKeyError::Jwt(error));
        let text = |name: &str| claims.text(name).map_err(wrong);
        let token_id = text("jti")?;
        if token_id.len() > MAXIMUM_TOKEN_ID_BYTES {
            return Err(ProofError::TokenIdTooLong);
        }
        if text("htm")? != terms.method {
            return Err(ProofError::WrongMethod);
        }
        if !same_url(text("htu")?, terms.url) {
            return Err(ProofError::WrongUrl);
        }
        let issued_at = claims.time("iat").map_err(wrong)?.ok_or(wrong(JwtError::MissingClaim))?;
        if issued_at > terms.now.saturating_add(LEEWAY_SECONDS) {
            return Err(ProofError::InTheFuture);
        }
        if issued_at < terms.now.saturating_sub(MAXIMUM_AGE_SECONDS) {
            return Err(ProofError::TooOld);
        }
        let token_hash = terms.access_token.map(sha256);
        if let Some(hash) = token_hash
            && !constant_time::equal(text("ath").unwrap_or_default(), base64url::encode(hash))
        {
            return Err(ProofError::WrongToken);
        }
        let nonce = text("nonce").map_err(|_| ProofError::Nonce)?;
        if !terms.nonces.iter().any(|accepted| constant_time::equal(accepted, nonce)) {
            return Err(ProofError::Nonce);
        }
        Ok(Self {
            key: KeyThumbprint::from_bytes(*proof.thumbprint()),
            token_id_hash: sha256(token_id),
            token_hash,
            nonce: nonce.into(),
            // From the latest `iat` that is accepted now until it is too old.
            remembered_until: terms.now.saturating_add(LEEWAY_SECONDS + MAXIMUM_AGE_SECONDS),
        })
    }

    /// The key that it was made with.
    pub fn key(&self) -> KeyThumbprint {
        self.key
    }

    /// SHA-256 of its `jti`.
    pub fn token_id_hash(&self) -> &[u8; 32] {
        &self.token_id_hash
    }

    /// SHA-256 of the access token that it was made for, where it came with one.
    pub fn token_hash(&self) -> Option<&[u8; 32]> {
        self.token_hash.as_ref()
    }

    /// The nonce that it was made with.
    pub fn nonce(&self) -> &str {
        &self.nonce
    }

    /// Until when the same `jti` of the same key must be refused, in seconds since the epoch.
    pub fn remembered_until(&self) -> i64 {
        self.remembered_until
    }
}

/// Whether two URLs are the same after normalisation, "ignoring any query and fragment parts" (section 4.3; RFC 3986 sections 6.2.2 and
/// 6.2.3).
fn same_url(found: &str, wanted: &str) -> bool {
    let normal = |text: &str| {
        let url = Url::parse(text).ok().filter(|url| url.username().is_empty() && url.password().is_none())?;
        Some((url.scheme().to_owned(), url.host_str()?.to_owned(), url.port_or_known_default(), unescaped(url.path())))
    };
    normal(found).is_some_and(|found| normal(wanted) == Some(found))
}

/// A path in which unreserved characters stand for themselves and escapes are upper case (RFC 3986 section 6.2.2).
fn unescaped(path: &str) -> String {
    let mut normal = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('%') {
        normal.push_str(before);
        match after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => normal.push(char::from(byte)),
            Some(byte) => normal.push_str(&format!("%{byte:02X}")),
            // Not an escape; it stays, and is equal to itself alone.
            None => {
                normal.push('%');
                rest = after;
                continue;
            }
        }
        rest = after.get(2..).unwrap_or_default();
    }
    normal + rest
}

#[cfg(test)]
pub(crate) mod tests;
