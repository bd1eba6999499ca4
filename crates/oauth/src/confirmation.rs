//! Confirmation: by which key or certificate the holder of a token shows to be the one that it was issued to.
//!
//! `cnf` (RFC 7800) with `jkt` (RFC 9449 section 6.1) and `x5t#S256` (RFC 8705 section 3.1). A [`Confirmation`] stands in a token; a
//! [`Possession`] is what one request has proven. [`crate::principal::Principal::establish`] asks for both.

use portcullis_jose::digest::sha256;
use portcullis_jose::{base64url, constant_time};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::dpop::VerifiedProof;

/// The SHA-256 thumbprint of a public key (RFC 7638).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyThumbprint([u8; 32]);

/// The SHA-256 of a certificate in DER (RFC 8705 section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CertificateThumbprint([u8; 32]);

impl KeyThumbprint {
    /// The thumbprint that these bytes are.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Reads base64url: 43 characters.
    pub fn parse(text: &str) -> Option<Self> {
        base64url::decode(text)?.try_into().ok().map(Self)
    }

    /// The thumbprint as base64url.
    pub fn to_text(self) -> String {
        base64url::encode(self.0)
    }
}

impl CertificateThumbprint {
    /// The thumbprint that these bytes are.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The thumbprint of a certificate in DER.
    pub fn of(certificate: &[u8]) -> Self {
        Self(sha256(certificate))
    }

    /// Reads base64url: 43 characters.
    pub fn parse(text: &str) -> Option<Self> {
        base64url::decode(text)?.try_into().ok().map(Self)
    }

    /// The thumbprint as base64url.
    pub fn to_text(self) -> String {
        base64url::encode(self.0)
    }
}

macro_rules! as_text {
    ($name:ident, $expected:literal) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.to_text().serialize(serializer)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::parse(&text).ok_or_else(|| serde::de::Error::custom($expected))
            }
        }
    };
}

as_text!(KeyThumbprint, "not a key thumbprint");
as_text!(CertificateThumbprint, "not a certificate thumbprint");

/// What a token is bound to: the content of `cnf`. Whoever presents it must prove all of it. A method of another server's making is not
/// understood, and a token that has one is none of ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confirmation {
    /// The key of DPoP proofs.
    #[serde(rename = "jkt", default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyThumbprint>,
    /// The client's certificate.
    #[serde(rename = "x5t#S256", default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateThumbprint>,
}

impl Confirmation {
    /// The confirmation, if it binds to anything.
    pub fn bound(self) -> Option<Self> {
        (self != Self::default()).then_some(self)
    }

    /// Whether all that `other` demands is in this one.
    pub fn covers(&self, other: &Self) -> bool {
        (other.key.is_none() || self.key == other.key) && (other.certificate.is_none() || self.certificate == other.certificate)
    }

    /// The value of `token_type` (RFC 6749 section 7.1, RFC 9449 section 5). A certificate leaves it as it is (RFC 8705 section 3).
    pub fn token_type(confirmation: Option<&Self>) -> &'static str {
        match confirmation {
            Some(Self { key: Some(_), .. }) => "DPoP",
            _ => "Bearer",
        }
    }
}

/// What a request has proven beside having the token.
#[derive(Debug)]
pub enum Possession<'a> {
    /// The token was presented as a bearer token: by this connection's certificate, where it has one.
    Bearer {
        /// The certificate of the connection.
        certificate: Option<CertificateThumbprint>,
    },
    /// The token was presented with a proof (`Authorization: DPoP`).
    Proven {
        /// The proof.
        proof: &'a VerifiedProof,
        /// The certificate of the connection.
        certificate: Option<CertificateThumbprint>,
    },
}

/// Why a token is not the holder's to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ConfirmationError {
    /// The token is bound to a key and came as a bearer token: "downgraded" (RFC 9449 section 7.2).
    #[error("the token is bound to a key and came without a proof")]
    ProofMissing,
    /// The proof is of another key.
    #[error("the proof was made with another key than the token's")]
    OtherKey,
    /// The proof was made for another token (`ath`).
    #[error("the proof was made for another token")]
    OtherToken,
    /// The token is bound to no key and came with a proof: whoever proves a key did not get this token with it.
    #[error("the token is bound to no key")]
    NotBound,
    /// The connection has no certificate or another one than the token's.
    #[error("the token is bound to another certificate")]
    OtherCertificate,
}

impl Possession<'_> {
    /// Nothing beside the token, over a connection without a certificate.
    pub const NOTHING: Possession<'static> = Possession::Bearer { certificate: None };

    /// Checks that the request proves all that the token is bound to. `token_hash` is the SHA-256 of the token as it was presented.
    pub(crate) fn confirms(&self, bound: Option<&Confirmation>, token_hash: &[u8; 32]) -> Result<(), ConfirmationError> {
        let bound = bound.copied().unwrap_or_default();
        let certificate = match (self, bound.key) {
            (Self::Bearer { .. }, Some(_)) => return Err(ConfirmationError::ProofMissing),
            (Self::Proven { .. }, None) => return Err(ConfirmationError::NotBound),
            (Self::Bearer { certificate }, None) => certificate,
            (Self::Proven { proof, certificate }, Some(key)) => {
                if proof.key() != key {
                    return Err(ConfirmationError::OtherKey);
                }
                if !proof.token_hash().is_some_and(|hash| constant_time::equal(hash, token_hash)) {
                    return Err(ConfirmationError::OtherToken);
                }
                certificate
            }
        };
        match bound.certificate {
            Some(wanted) if *certificate != Some(wanted) => Err(ConfirmationError::OtherCertificate),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use portcullis_jose::{Algorithm, SigningKey};

    use super::*;
    use crate::dpop::tests::{proof_for, thumbprint_of};

    const TOKEN: &str = "an.access.token";

    #[test]
    fn a_token_is_its_holders_alone() {
        let [own, other] = [(), ()].map(|()| SigningKey::generate(Algorithm::Es256).unwrap());
        let [certificate, foreign] = [1, 2].map(|byte| CertificateThumbprint::from_bytes([byte; 32]));
        let to_key = Confirmation { key: Some(thumbprint_of(&own)), certificate: None };
        let to_certificate = Confirmation { key: None, certificate: Some(certificate) };
        let to_both = Confirmation { certificate: Some(certificate), ..to_key };
        let (proof, stolen, elsewhere) = (proof_for(&own, TOKEN), proof_for(&other, TOKEN), proof_for(&own, "another"));
        let bearer = |certificate| Possession::Bearer { certificate };
        let proven = |proof, certificate| Possession::Proven { proof, certificate };
        use ConfirmationError::{NotBound, OtherCertificate, OtherKey, OtherToken, ProofMissing};
        for (bound, possession, result) in [
            (None, bearer(None), Ok(())),
            (None, bearer(Some(certificate)), Ok(())),
            (None, proven(&proof, None), Err(NotBound)),
            (Some(to_key), bearer(None), Err(ProofMissing)),
            (Some(to_key), bearer(Some(certificate)), Err(ProofMissing)),
            (Some(to_key), proven(&stolen, None), Err(OtherKey)),
            (Some(to_key), proven(&elsewhere, None), Err(OtherToken)),
            (Some(to_key), proven(&proof, None), Ok(())),
            (Some(to_certificate), bearer(None), Err(OtherCertificate)),
            (Some(to_certificate), bearer(Some(foreign)), Err(OtherCertificate)),
            (Some(to_certificate), bearer(Some(certificate)), Ok(())),
            (Some(to_certificate), proven(&proof, Some(certificate)), Err(NotBound)),
            (Some(to_both), proven(&proof, None), Err(OtherCertificate)),
            (Some(to_both), bearer(Some(certificate)), Err(ProofMissing)),
            (Some(to_both), proven(&proof, Some(certificate)), Ok(())),
        ] {
            assert_eq!(possession.confirms(bound.as_ref(), &sha256(TOKEN)), result, "{bound:?} {possession:?}");
        }
    }

    #[test]
    fn a_cnf_that_is_not_understood_is_not_read() {
        let text = KeyThumbprint::from_bytes([7; 32]).to_text();
        let read = |text: String| serde_json::from_str::<Confirmation>(&text);
        assert_eq!(read(format!(r#"{{"jkt":"{text}"}}"#)).unwrap().key, KeyThumbprint::parse(&text));
        for faulty in [r#"{"jwk":{}}"#.to_owned(), r#"{"jkt":"short"}"#.to_owned(), format!(r#"{{"jkt":"{text}","kid":"x"}}"#)] {
            assert!(read(faulty.clone()).is_err(), "{faulty}");
        }
        assert_eq!(Confirmation::default().bound(), None);
    }
}
