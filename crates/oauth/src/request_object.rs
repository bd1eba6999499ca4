//! Request objects: an authorization request as a JWT that the client signed (JAR, RFC 9101; OpenID Connect Core section 6).
//!
//! The object comes by value in `request`; one that would have to be fetched from an address is refused, so that no client makes this
//! server call anybody. Only clients with registered keys can send one. "The authorization server MUST only use the parameters in the
//! Request Object" (section 6.3): what stands beside it in the query counts for nothing. Encryption is not supported.

use portcullis_jose::{ClientKeySet, JwtError, SignedClaims, UnverifiedJwt};
use serde_json::Value;
use url::form_urlencoded::Serializer;

use crate::identifiers::ClientId;
use crate::introspection::Issuer;
use crate::parameters;

/// How far `exp` may lie ahead, in seconds: an authorization request is made for now.
pub const MAXIMUM_LIFETIME_SECONDS: i64 = 3600;

/// How far a client's clock may be ahead of ours, in seconds.
const LEEWAY_SECONDS: i64 = 10;

/// The values of `typ` (RFC 9101 section 10.8); many libraries write the general one.
const HEADER_TYPES: [&str; 2] = ["oauth-authz-req+jwt", "JWT"];

/// Claims of the JWT itself, which are no parameters.
const JWT_CLAIMS: [&str; 7] = ["iss", "aud", "exp", "iat", "nbf", "jti", "sub"];

/// Why a request object counts for nothing. The text is what the client is told after `request: `.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum RequestObjectError {
    /// Form, header, key or signature.
    #[error(transparent)]
    Jwt(#[from] JwtError),
    /// `iss` or `client_id` is not the client.
    #[error("iss and client_id must be the client_id of the request")]
    NotTheClient,
    /// `sub` is there: this may be a client assertion that somebody turned round (RFC 9101 section 10.8).
    #[error("sub must be left out")]
    Subject,
    /// `jku` is not the address that is registered.
    #[error("jku is not the registered jwks_uri")]
    ForeignKeyUrl,
    /// `exp` lies too far ahead.
    #[error("exp lies more than an hour ahead")]
    LivesTooLong,
    /// It holds another request object.
    #[error("request and request_uri must not be inside")]
    Nested,
    /// Its parameters are too many or too long.
    #[error("the parameters are too many or too long")]
    TooLarge,
}

impl RequestObjectError {
    /// What the client is told, from the words of a fixed list.
    pub fn description(self) -> &'static str {
        match self {
            Self::NotTheClient => "request: iss and client_id must be the client_id of the request",
            Self::Subject => "request: sub must be left out",
            Self::ForeignKeyUrl => "request: jku must be the registered jwks_uri",
            Self::LivesTooLong => "request: exp must lie at most an hour ahead",
            Self::Nested => "request: request and request_uri must not be inside",
            Self::TooLarge => "request: the parameters are too many or too long",
            Self::Jwt(error) => match error {
                JwtError::TooLarge => "request: the JWT is too long",
                JwtError::Malformed => "request: not a compact JWS",
                JwtError::DuplicateMember => "request: a member occurs twice",
                JwtError::AlgorithmRefused => "request: alg must be RS384, ES384, RS256 or ES256",
                JwtError::CriticalExtension => "request: crit is not supported",
                JwtError::EmbeddedKey => "request: the header must not bring a key",
                JwtError::WrongType => "request: typ must be oauth-authz-req+jwt",
                JwtError::UnknownKey => "request: kid is missing or names no registered key",
                JwtError::AmbiguousKey => "request: kid names more than one registered key",
                JwtError::AlgorithmMismatch => "request: alg does not fit the registered key",
                JwtError::BadSignature => "request: the signature is wrong",
                JwtError::MissingClaim => "request: iss, aud, exp and client_id are required",
                JwtError::WrongClaimType => "request: a claim has the wrong JSON type",
                JwtError::WrongIssuer => "request: iss must be the client_id",
                JwtError::WrongAudience => "request: aud must be the issuer of this server",
                JwtError::Expired => "request: exp has passed",
                JwtError::NotYetValid => "request: nbf has not come yet",
                JwtError::ImplausibleTimes | JwtError::TooOld => "request: iat is not plausible",
            },
        }
    }
}

/// A request object as it came: well-formed, and nothing of it proven.
#[derive(Debug)]
pub struct PresentedRequestObject(UnverifiedJwt);

impl PresentedRequestObject {
    /// Reads the value of `request`.
    pub fn parse(text: &str) -> Result<Self, RequestObjectError> {
        Ok(Self(UnverifiedJwt::parse(text, &HEADER_TYPES)?))
    }

    /// Refuses a `jku` that is not the registered address.
    pub fn check_key_url(&self, registered: Option<&str>) -> Result<(), RequestObjectError> {
        match self.0.key_url() {
            None => Ok(()),
            found if found == registered => Ok(()),
            Some(_) => Err(RequestObjectError::ForeignKeyUrl),
        }
    }

    /// Verifies signature and claims with the keys of the client that the request names, and gives the parameters out as a query.
    ///
    /// `aud` is a claim of the JWT, which names the issuer, and a parameter of SMART, which names the FHIR server: an object may name both in one
    /// array, or the FHIR server in `resource` (RFC 8707).
    pub fn verify(
        &self,
        client: &ClientId,
        keys: &ClientKeySet,
        recipient: &Issuer<'_>,
        now: i64,
    ) -> Result<String, RequestObjectError> {
        let claims = self.0.verify(keys)?;
        if claims.text("iss")? != client.as_str() || claims.text("client_id")? != client.as_str() {
            return Err(RequestObjectError::NotTheClient);
        }
        if claims.members().any(|(name, _)| name == "sub") {
            return Err(RequestObjectError::Subject);
        }
        let audiences = claims.audiences()?;
        let names_base = |audience: &str| audience.strip_suffix('/').unwrap_or(audience) == recipient.fhir_base;
        // An object that also names another recipient could be presented here by that one.
        let ours = audiences.iter().all(|audience| *audience == recipient.issuer || names_base(audience));
        if !ours || !audiences.contains(&recipient.issuer) {
            return Err(JwtError::WrongAudience.into());
        }
        let base = audiences.into_iter().find(|audience| names_base(audience));
        check_times(&claims, now)?;
        query(&claims, base)
    }
}

fn check_times(claims: &SignedClaims<'_>, now: i64) -> Result<(), RequestObjectError> {
    let expires_at = claims.time("exp")?.ok_or(JwtError::MissingClaim)?;
    if now >= expires_at {
        return Err(JwtError::Expired.into());
    }
    let soon = now.saturating_add(LEEWAY_SECONDS);
    if expires_at > soon.saturating_add(MAXIMUM_LIFETIME_SECONDS) {
        return Err(RequestObjectError::LivesTooLong);
    }
    if claims.time("nbf")?.is_some_and(|not_before| not_before > soon) {
        return Err(JwtError::NotYetValid.into());
    }
    if claims.time("iat")?.is_some_and(|issued_at| issued_at > soon || issued_at >= expires_at) {
        return Err(JwtError::ImplausibleTimes.into());
    }
    Ok(())
}

/// The parameters: text as it is, whole numbers (`max_age`) in digits. Of other JSON there is no parameter that this server knows; such a
/// one is written as JSON, as section 4 has it, and ignored like any that is not recognised.
fn query(claims: &SignedClaims<'_>, base: Option<&str>) -> Result<String, RequestObjectError> {
    let mut form = Serializer::new(String::new());
    form.extend_pairs(base.map(|base| ("aud", base)));
    for (count, (name, value)) in claims.members().filter(|(name, _)| !JWT_CLAIMS.contains(name)).enumerate() {
        if count >= parameters::MAXIMUM_COUNT {
            return Err(RequestObjectError::TooLarge);
        }
        match (name, value) {
            ("request" | "request_uri", _) => return Err(RequestObjectError::Nested),
            (_, Value::String(text)) => form.append_pair(name, text),
            (_, other) => form.append_pair(name, &other.to_string()),
        };
    }
    let query = form.finish();
    if query.len() > parameters::MAXIMUM_BYTES { Err(RequestObjectError::TooLarge) } else { Ok(query) }
}

#[cfg(test)]
mod tests {
    use aws_signer::sign;
    use serde_json::json;

    use super::*;

    /// Signing with the private half of the key of RFC 7515 appendix A.3 is left to the jose crate's key pair.
    mod aws_signer {
        use portcullis_jose::base64url;
        use serde_json::Value;

        /// A JWT over a header and claims with a signature that fits no key.
        pub(super) fn sign(header: &Value, claims: &Value) -> String {
            let part = |value: &Value| base64url::encode(value.to_string());
            format!("{}.{}.{}", part(header), part(claims), base64url::encode([1; 64]))
        }
    }

    fn header() -> Value {
        json!({"alg": "ES256", "kid": "k1", "typ": "oauth-authz-req+jwt"})
    }

    #[test]
    fn what_is_no_signed_jwt_is_refused_before_its_claims_are_looked_at() {
        for (name, value, error) in [
            ("alg", json!("none"), JwtError::AlgorithmRefused),
            ("alg", json!("HS256"), JwtError::AlgorithmRefused),
            ("typ", json!("client-authentication+jwt"), JwtError::WrongType),
            ("typ", json!("at+jwt"), JwtError::WrongType),
            ("crit", json!(["exp"]), JwtError::CriticalExtension),
            ("jwk", json!({}), JwtError::EmbeddedKey),
            ("kid", json!(7), JwtError::UnknownKey),
        ] {
            let mut header = header();
            header[name] = value.clone();
            let found = PresentedRequestObject::parse(&sign(&header, &json!({}))).unwrap_err();
            assert_eq!(found, error.into(), "{name} {value}");
        }
        for text in ["", "a.b", "a.b.c.d", "https://app.example/request.jwt"] {
            assert!(PresentedRequestObject::parse(text).is_err(), "{text}");
        }
        let presented = PresentedRequestObject::parse(&sign(&header(), &json!({"iss": "app"}))).unwrap();
        let keys = ClientKeySet::parse(crate::clients::tests::KEYS.as_bytes()).unwrap();
        let recipient = Issuer { issuer: "https://as.example", fhir_base: "https://as.example/fhir" };
        let verified = presented.verify(&ClientId::parse("app").unwrap(), &keys, &recipient, 0);
        assert_eq!(verified, Err(JwtError::BadSignature.into()));
    }

    #[test]
    fn each_error_tells_what_to_change_in_plain_ascii() {
        for error in [
            RequestObjectError::NotTheClient,
            RequestObjectError::Subject,
            RequestObjectError::ForeignKeyUrl,
            RequestObjectError::LivesTooLong,
            RequestObjectError::Nested,
            RequestObjectError::TooLarge,
            JwtError::BadSignature.into(),
        ] {
            let text = error.description();
            assert!(text.starts_with("request: ") && text.bytes().all(|byte| matches!(byte, 0x20..=0x7e) && byte != b'"'));
        }
    }
}
