//! id_tokens: who signed in, told to the client (OpenID Connect Core section 2; SMART App Launch 2.2.0, "Scopes for requesting identity
//! data").
//!
//! Signed with RS256, which every client must know (OpenID Connect Core section 15.1).

use portcullis_jose::{JwtError, SignError, SigningKey, VerificationKeys, VerifyPolicy, base64url, digest, verify_past};
use serde::Serialize;

use crate::identifiers::{ClientId, UserId};

/// The `typ` of an id_token. It differs from that of an access token, so neither passes as the other.
pub const HEADER_TYPE: &str = "JWT";

/// The claims of an id_token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct IdTokenClaims {
    /// The issuer, byte for byte the one of the metadata.
    #[serde(rename = "iss")]
    pub issuer: String,
    /// The user.
    #[serde(rename = "sub")]
    pub subject: UserId,
    /// The client.
    #[serde(rename = "aud")]
    pub audience: ClientId,
    /// The end of validity, in seconds since the epoch.
    #[serde(rename = "exp")]
    pub expires_at: i64,
    /// The time of issue, in seconds since the epoch.
    #[serde(rename = "iat")]
    pub issued_at: i64,
    /// When the user signed in, in seconds since the epoch.
    #[serde(rename = "auth_time")]
    pub authenticated_at: i64,
    /// How sure it is that it was this person; see [`crate::session::AssuranceLevel`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acr: Option<&'static str>,
    /// How the user signed in (RFC 8176).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub amr: Vec<&'static str>,
    /// The nonce of the request; it must be there if one was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    /// The absolute URL of the FHIR resource that is the user, with scope `fhirUser`.
    #[serde(rename = "fhirUser", skip_serializing_if = "Option::is_none")]
    pub fhir_user: Option<String>,
    /// The user's name, with scope `profile`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The hash of the access token that comes with it; see [`access_token_hash`].
    #[serde(rename = "at_hash", skip_serializing_if = "Option::is_none")]
    pub access_token_hash: Option<String>,
}

impl IdTokenClaims {
    /// Signs the token; the key must be an RS256 one.
    pub fn sign(&self, key: &SigningKey) -> Result<String, SignError> {
        portcullis_jose::sign(key, HEADER_TYPE, self)
    }
}

/// `at_hash`: the left half of the SHA-256 of the access token's text (OpenID Connect Core section 3.1.3.6).
pub fn access_token_hash(access_token: &str) -> String {
    let digest = digest::sha256(access_token);
    base64url::encode(digest.first_chunk::<16>().unwrap_or(&[0; 16]))
}

/// The user whom an id_token names that this server issued to this client, however long ago it ended, while its key is published (`id_token_hint`, OpenID Connect Core section 3.1.2.1).
pub fn user_of_past(
    token: &str,
    keys: &VerificationKeys,
    (issuer, client): (&str, &ClientId),
    now: i64,
) -> Result<UserId, JwtError> {
    let policy = VerifyPolicy {
        keys,
        header_type: HEADER_TYPE,
        issuer,
        audience: client.as_str(),
        now,
        leeway_seconds: 0,
        maximum_age_seconds: None,
        required_claims: &["sub"],
    };
    let claims = verify_past(token, &policy)?;
    claims.text("sub").and_then(UserId::parse).ok_or(JwtError::WrongClaimType)
}

#[cfg(test)]
mod tests {
    use portcullis_jose::Algorithm;
    use serde_json::json;

    use super::*;

    fn claims() -> IdTokenClaims {
        IdTokenClaims {
            issuer: "https://localhost:8443".into(),
            subject: UserId::parse("u-ann").unwrap(),
            audience: ClientId::parse("demo-app").unwrap(),
            expires_at: 400,
            issued_at: 100,
            authenticated_at: 90,
            acr: None,
            amr: Vec::new(),
            nonce: None,
            fhir_user: None,
            name: None,
            access_token_hash: None,
        }
    }

    #[test]
    fn what_was_not_asked_for_is_not_told() {
        let expected = json!({
            "iss": "https://localhost:8443", "sub": "u-ann", "aud": "demo-app", "exp": 400, "iat": 100, "auth_time": 90
        });
        assert_eq!(serde_json::to_value(claims()).unwrap(), expected);
    }

    #[test]
    fn optional_claims_have_their_names_on_the_wire() {
        let full = IdTokenClaims {
            acr: Some("phr"),
            amr: vec!["pop", "mfa"],
            nonce: Some("n".into()),
            fhir_user: Some("https://localhost:8443/fhir/Patient/p1".into()),
            name: Some("Ann".into()),
            access_token_hash: Some("h".into()),
            ..claims()
        };
        let json = serde_json::to_value(full).unwrap();
        assert_eq!((&json["acr"], &json["amr"]), (&json!("phr"), &json!(["pop", "mfa"])));
        assert_eq!(
            (&json["nonce"], &json["fhirUser"], &json["name"], &json["at_hash"]),
            (&json!("n"), &json!("https://localhost:8443/fhir/Patient/p1"), &json!("Ann"), &json!("h"))
        );
    }

    #[test]
    fn a_past_id_token_names_its_user_to_its_own_client_alone() {
        let key = SigningKey::generate(Algorithm::Rs256).unwrap();
        let other = SigningKey::generate(Algorithm::Rs256).unwrap();
        let keys = VerificationKeys::of([&key]);
        let ask = |token: &str, client: &str, now| {
            user_of_past(token, &keys, ("https://localhost:8443", &ClientId::parse(client).unwrap()), now)
        };
        let token = claims().sign(&key).unwrap();
        for now in [100, 399, 400, 400_000_000] {
            assert_eq!(ask(&token, "demo-app", now), Ok(claims().subject), "{now}");
        }
        assert_eq!(ask(&token, "other", 100), Err(JwtError::WrongAudience));
        assert_eq!(ask(&token, "demo-app", 99), Err(JwtError::ImplausibleTimes));
        assert_eq!(ask(&claims().sign(&other).unwrap(), "demo-app", 100), Err(JwtError::UnknownKey));
        let access = portcullis_jose::sign(&key, "at+jwt", &claims()).unwrap();
        assert_eq!(ask(&access, "demo-app", 100), Err(JwtError::WrongType));
        let unsigned = format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{}.", token.split('.').nth(1).unwrap());
        assert_eq!(ask(&unsigned, "demo-app", 100), Err(JwtError::AlgorithmRefused));
    }

    #[test]
    fn the_access_token_hash_is_half_a_digest() {
        // SHA-256 of "abc" begins with ba7816bf 8f01cfea 414140de 5dae2223.
        assert_eq!(access_token_hash("abc"), "ungWv48Bz-pBQUDeXa4iIw");
    }
}
