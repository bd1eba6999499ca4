//! Passkeys: registration and sign-in with a key pair that a person's device keeps (WebAuthn Level 3, sections 7.1 and 7.2).
//!
//! ES256, which nearly every authenticator has, EdDSA with Ed25519, and RS256 for the others. The device must have verified its owner (UV): a passkey may be the only proof. The attestation
//! statement is not looked at, since nothing here depends on who made a device; what is asked for is `none`. Tokens bindings, extensions and cross-origin
//! frames are not built, and refused where they would matter.

mod cbor;

use portcullis_jose::digest::sha256;
use portcullis_jose::{authenticator_key, base64url, constant_time};
use serde::Deserialize;

/// The longest credential id, in bytes (WebAuthn Level 3, section 4).
pub const MAXIMUM_CREDENTIAL_ID: usize = 1023;
/// The longest part of an answer that is read, in bytes.
pub const MAXIMUM_PART: usize = 8 * 1024;

/// Why an answer of a device is refused. A person learns only that it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasskeyError {
    /// A part is missing, too long, or not of its form.
    #[error("the answer of the device cannot be read")]
    Malformed,
    /// `clientDataJSON.type` is that of the other ceremony.
    #[error("the answer is for another ceremony")]
    WrongType,
    /// It answers another challenge.
    #[error("the answer is for another challenge")]
    WrongChallenge,
    /// It was made on a page of somebody else, or in a frame.
    #[error("the answer was made for another origin")]
    WrongOrigin,
    /// It was made for another relying party.
    #[error("the answer was made for another relying party")]
    WrongRelyingParty,
    /// The device did not see or not verify its owner.
    #[error("the device did not verify its owner")]
    OwnerNotVerified,
    /// The key is none of ES256, EdDSA or RS256, or too weak.
    #[error("the key is of a kind that is not used here")]
    UnsupportedKey,
    /// The signature is not that of the key.
    #[error("the signature is wrong")]
    WrongSignature,
    /// The counter went back: there may be a copy of the key.
    #[error("the counter of the key went back")]
    CounterWentBack,
}

/// What an answer must be made for.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The challenge as the page had it, base64url.
    pub challenge: &'a str,
    /// Scheme, host and port of the page.
    pub origin: &'a str,
    /// The host alone.
    pub relying_party: &'a str,
}

/// What is kept of a passkey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasskeyKey {
    /// The credential's id.
    pub id: Vec<u8>,
    /// The public key, in bytes that tell its kind ([`authenticator_key`]).
    pub public_key: Vec<u8>,
    /// The last counter; 0 where the device does not count.
    pub sign_count: u32,
    /// Whether it is copied to other devices of its owner.
    pub backed_up: bool,
}

/// What a device answers at sign-in.
#[derive(Clone, Copy, Debug)]
pub struct Assertion<'a> {
    /// `clientDataJSON`
    pub client_data: &'a [u8],
    /// `authenticatorData`
    pub authenticator_data: &'a [u8],
    /// `signature`
    pub signature: &'a [u8],
}

/// The host of an origin such as `https://localhost:8443`, which is the relying party's id.
pub fn relying_party(origin: &str) -> &str {
    let authority = origin.split_once("://").map_or(origin, |(_, authority)| authority);
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    }
}

/// The handle by which a device knows a person: 32 bytes that tell nobody anything.
pub fn user_handle(user: &str) -> [u8; 32] {
    sha256(format!("portcullis user handle\0{user}"))
}

/// Reads the answer to a registration.
pub fn register(client_data: &[u8], attestation_object: &[u8], expected: &Expected<'_>) -> Result<PasskeyKey, PasskeyError> {
    check_client_data(client_data, "webauthn.create", expected)?;
    if attestation_object.len() > MAXIMUM_PART {
        return Err(PasskeyError::Malformed);
    }
    let (object, rest) = cbor::read(attestation_object).ok_or(PasskeyError::Malformed)?;
    let data = object.named("authData").and_then(cbor::Value::bytes).filter(|_| rest.is_empty());
    let data = AuthenticatorData::read(data.ok_or(PasskeyError::Malformed)?)?;
    data.check(expected)?;
    let (id, key) = data.credential.as_ref().ok_or(PasskeyError::Malformed)?;
    let public_key = public_key(key).ok_or(PasskeyError::UnsupportedKey)?;
    Ok(PasskeyKey { id: id.to_vec(), public_key, sign_count: data.sign_count, backed_up: data.has(FLAG_BACKED_UP) })
}

/// Checks the answer to a sign-in and returns the new counter.
pub fn verify(assertion: &Assertion<'_>, key: &PasskeyKey, expected: &Expected<'_>) -> Result<u32, PasskeyError> {
    check_client_data(assertion.client_data, "webauthn.get", expected)?;
    let data = AuthenticatorData::read(assertion.authenticator_data)?;
    data.check(expected)?;
    let mut signed = assertion.authenticator_data.to_vec();
    signed.extend_from_slice(&sha256(assertion.client_data));
    if !authenticator_key::verify(&key.public_key, &signed, assertion.signature) {
        return Err(PasskeyError::WrongSignature);
    }
    // "If authData.signCount is nonzero or credentialRecord.signCount is nonzero" (section 7.2, step 22).
    let counts = data.sign_count != 0 || key.sign_count != 0;
    if counts && data.sign_count <= key.sign_count {
        return Err(PasskeyError::CounterWentBack);
    }
    Ok(data.sign_count)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClientData<'a> {
    #[serde(borrow, rename = "type")]
    kind: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    challenge: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    origin: std::borrow::Cow<'a, str>,
    #[serde(default)]
    cross_origin: bool,
    #[serde(default)]
    top_origin: Option<String>,
}

fn check_client_data(bytes: &[u8], kind: &str, expected: &Expected<'_>) -> Result<(), PasskeyError> {
    if bytes.len() > MAXIMUM_PART {
        return Err(PasskeyError::Malformed);
    }
    let data: ClientData<'_> = serde_json::from_slice(bytes).map_err(|_| PasskeyError::Malformed)?;
    if data.kind != kind {
        return Err(PasskeyError::WrongType);
    }
    if !constant_time::equal(data.challenge.as_bytes(), expected.challenge) {
        return Err(PasskeyError::WrongChallenge);
    }
    if data.origin != expected.origin || data.cross_origin || data.top_origin.is_some() {
        return Err(PasskeyError::WrongOrigin);
    }
    Ok(())
}

const FLAG_PRESENT: u8 = 1;
const FLAG_VERIFIED: u8 = 1 << 2;
const FLAG_MAY_BE_BACKED_UP: u8 = 1 << 3;
const FLAG_BACKED_UP: u8 = 1 << 4;
const FLAG_CREDENTIAL: u8 = 1 << 6;
const FLAG_EXTENSIONS: u8 = 1 << 7;

/// Authenticator data (section 6.1).
struct AuthenticatorData<'a> {
    relying_party_hash: &'a [u8],
    flags: u8,
    sign_count: u32,
    /// The id and the COSE key.
    credential: Option<(&'a [u8], cbor::Value<'a>)>,
}

impl<'a> AuthenticatorData<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, PasskeyError> {
        Self::parse(bytes).ok_or(PasskeyError::Malformed)
    }

    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (relying_party_hash, rest) = bytes.split_at_checked(32)?;
        let (flags, rest) = rest.split_first()?;
        let (count, mut rest) = rest.split_first_chunk::<4>()?;
        let mut credential = None;
        if flags & FLAG_CREDENTIAL != 0 {
            let (_aaguid, after) = rest.split_at_checked(16)?;
            let (length, after) = after.split_first_chunk::<2>()?;
            let length = usize::from(u16::from_be_bytes(*length));
            let (id, after) = after.split_at_checked(length).filter(|_| (1..=MAXIMUM_CREDENTIAL_ID).contains(&length))?;
            let (key, after) = cbor::read(after)?;
            credential = Some((id, key));
            rest = after;
        }
        if flags & FLAG_EXTENSIONS != 0 {
            (_, rest) = cbor::read(rest)?;
        }
        rest.is_empty().then_some(Self { relying_party_hash, flags: *flags, sign_count: u32::from_be_bytes(*count), credential })
    }

    fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    fn check(&self, expected: &Expected<'_>) -> Result<(), PasskeyError> {
        if self.relying_party_hash != sha256(expected.relying_party) {
            return Err(PasskeyError::WrongRelyingParty);
        }
        if !self.has(FLAG_PRESENT) || !self.has(FLAG_VERIFIED) {
            return Err(PasskeyError::OwnerNotVerified);
        }
        // "If the BE bit of the flags in authData is not set, verify that the BS bit is not set" (section 7.1, step 17).
        if self.has(FLAG_BACKED_UP) && !self.has(FLAG_MAY_BE_BACKED_UP) {
            return Err(PasskeyError::Malformed);
        }
        Ok(())
    }
}

/// The key in a COSE key (RFC 9052 section 7). Kind, algorithm and curve must fit each other: EC2 with ES256 on P-256, OKP with EdDSA on Ed25519 (RFC 9053
/// sections 2 and 7), or RSA with RS256 (RFC 8230 section 4, RFC 8812).
fn public_key(key: &cbor::Value<'_>) -> Option<Vec<u8>> {
    let number = |label| match key.numbered(label) {
        Some(cbor::Value::Integer(number)) => Some(*number),
        _ => None,
    };
    let bytes = |label| key.numbered(label).and_then(cbor::Value::bytes);
    match (number(1)?, number(3)?, number(-1)) {
        (2, -7, Some(1)) => authenticator_key::of_p256(bytes(-2)?, bytes(-3)?),
        (1, -8, Some(6)) => authenticator_key::of_ed25519(bytes(-2)?),
        (3, -257, None) => authenticator_key::of_rsa(bytes(-1)?, bytes(-2)?),
        _ => None,
    }
}

/// A credential id as it travels in forms.
pub fn read_credential_id(text: &str) -> Option<Vec<u8>> {
    base64url::decode(text).filter(|id| (1..=MAXIMUM_CREDENTIAL_ID).contains(&id.len()))
}

#[cfg(test)]
mod tests;
