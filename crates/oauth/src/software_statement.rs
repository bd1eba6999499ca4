//! Software statements: what somebody whom the operator trusts says about a client that registers itself (RFC 7591 sections 2.3 and 3.1.1).
//!
//! A statement is a JWT whose claims are client metadata, "and these values MUST take precedence over" what the client says itself. It may be presented many
//! times, by every installation of an app, so that who has it proves nothing by that. Therefore it vouches for a client only as far as it names both what
//! people are shown and where codes go: [`vouched_by`] looks at name and redirect URIs.

use portcullis_jose::json::parse_object;
use portcullis_jose::{ClientKeySet, JwtError, UnverifiedJwt, base64url};
use serde_json::{Map, Value};

use crate::client_assertion::LEEWAY_SECONDS;
use crate::clients::{Client, KeySource};
use crate::redirect_uri::RedirectUri;
use crate::registration::{ClientMetadata, MetadataError};

/// The values of `typ`; the specification names none.
const HEADER_TYPES: [&str; 3] = ["JWT", "software-statement+jwt", "software_statement+jwt"];
/// Claims about the statement itself, and what no statement decides.
const OWN_CLAIMS: [&str; 9] = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "software_statement", "client_id"];

/// Somebody whose statements are believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatementIssuer {
    /// The `iss` of its statements.
    pub issuer: String,
    /// The name by which people are told of it.
    pub name: String,
    /// Its public keys.
    pub keys: KeySource,
}

/// A statement as it came: nothing of it is proven.
#[derive(Debug)]
pub struct PresentedStatement {
    text: Box<str>,
    issuer: Box<str>,
    jwt: UnverifiedJwt,
}

/// A statement whose signature and times hold; only [`PresentedStatement::verify`] makes one.
#[derive(Debug)]
#[must_use = "what it says takes precedence over what the client says"]
pub struct VerifiedStatement {
    text: Box<str>,
    claims: Map<String, Value>,
}

/// The text of a statement whose claims were laid over what the client says; only [`VerifiedStatement::over`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountedStatement(Box<str>);

impl CountedStatement {
    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}

fn invalid(error: JwtError) -> MetadataError {
    MetadataError::InvalidStatement(match error {
        JwtError::TooLarge => "software_statement: the JWT is too long",
        JwtError::AlgorithmRefused => "software_statement: alg must be RS384, ES384, RS256 or ES256",
        JwtError::UnknownKey => "software_statement: kid is missing or names no key of its issuer",
        JwtError::BadSignature | JwtError::AmbiguousKey | JwtError::AlgorithmMismatch => {
            "software_statement: the signature is wrong"
        }
        JwtError::MissingClaim => "software_statement: iss is required",
        JwtError::WrongAudience => "software_statement: aud, where there is one, must name this server",
        JwtError::Expired => "software_statement: exp has passed",
        JwtError::NotYetValid | JwtError::ImplausibleTimes | JwtError::TooOld => {
            "software_statement: nbf or iat has not come yet"
        }
        JwtError::WrongType => "software_statement: typ must be JWT",
        JwtError::WrongClaimType | JwtError::WrongIssuer => "software_statement: a claim has the wrong JSON type",
        JwtError::Malformed | JwtError::DuplicateMember | JwtError::CriticalExtension | JwtError::EmbeddedKey => {
            "software_statement: must be a signed JWT without crit and without a key inside"
        }
    })
}

impl PresentedStatement {
    /// Reads the member `software_statement`.
    pub fn parse(value: &Value) -> Result<Self, MetadataError> {
        let text = value.as_str().ok_or_else(|| invalid(JwtError::Malformed))?;
        let jwt = UnverifiedJwt::parse(text, &HEADER_TYPES).map_err(invalid)?;
        if jwt.key_url().is_some() {
            return Err(invalid(JwtError::EmbeddedKey));
        }
        let issuer = jwt.claimed("iss").filter(|issuer| !issuer.is_empty()).ok_or_else(|| invalid(JwtError::MissingClaim))?;
        Ok(Self { issuer: issuer.into(), text: text.into(), jwt })
    }

    /// Who made it, by its own word: good for finding the keys.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Verifies signature and claims with the keys of the issuer; `ours` are the URLs that name this server.
    pub fn verify(&self, keys: &ClientKeySet, ours: &[&str], now: i64) -> Result<VerifiedStatement, JwtError> {
        let claims = self.jwt.verify(keys)?;
        match claims.audiences() {
            Err(JwtError::MissingClaim) => {}
            Err(error) => return Err(error),
            Ok(audiences) if audiences.iter().any(|audience| ours.contains(audience)) => {}
            Ok(_) => return Err(JwtError::WrongAudience),
        }
        if claims.time("exp")?.is_some_and(|expires_at| now >= expires_at) {
            return Err(JwtError::Expired);
        }
        let soon = now.saturating_add(LEEWAY_SECONDS);
        for name in ["nbf", "iat"] {
            if claims.time(name)?.is_some_and(|from| from > soon) {
                return Err(JwtError::NotYetValid);
            }
        }
        let metadata = claims.members().filter(|(name, value)| !OWN_CLAIMS.contains(name) && !value.is_null());
        let claims = metadata.map(|(name, value)| (name.to_owned(), value.clone())).collect();
        Ok(VerifiedStatement { text: self.text.clone(), claims })
    }

    /// What a client is told whose statement does not hold.
    pub fn refusal(error: JwtError) -> MetadataError {
        invalid(error)
    }
}

impl VerifiedStatement {
    /// The metadata of a client that says this of itself: the statement's word counts where both speak.
    pub fn over(self, mut members: Map<String, Value>) -> Result<ClientMetadata, MetadataError> {
        members.remove("software_statement");
        members.extend(self.claims);
        let mut metadata = ClientMetadata::from_members(members)?;
        metadata.verified_statement = Some(CountedStatement(self.text));
        Ok(metadata)
    }
}

/// Who vouches for a client at this time, in seconds since the epoch: the issuer of the statement that it registered with, as long as it is trusted, the statement has
/// not expired, and the client's name and redirect URIs are those in it.
pub fn vouched_by<'a>(client: &Client, issuers: &'a [StatementIssuer], now: i64) -> Option<&'a StatementIssuer> {
    let text = client.properties.software_statement.as_deref()?;
    let payload = base64url::decode(text.split('.').nth(1)?)?;
    let claims = parse_object(&payload).ok()?;
    let expired = claims.get("exp").is_some_and(|exp| exp.as_f64().is_none_or(|exp| exp <= now as f64));
    let redirect_uris: Vec<&str> = client.redirect_uris.iter().map(RedirectUri::as_str).collect();
    let named = claims.get("client_name").and_then(Value::as_str) == Some(client.name.as_str());
    let stated = claims.get("redirect_uris")?.as_array()?.iter().map(Value::as_str).collect::<Option<Vec<_>>>()?;
    let issuer = claims.get("iss")?.as_str()?;
    issuers.iter().find(|known| known.issuer == issuer).filter(|_| !expired && named && stated == redirect_uris)
}

#[cfg(test)]
mod tests {
    use portcullis_jose::{Algorithm, Jwks, SigningKey, sign};
    use serde_json::json;

    use super::*;
    use crate::clients::tests::{Counter, public_client};
    use crate::identifiers::ClientId;
    use crate::registration::Registrar;

    const NOW: i64 = 1_800_000_000;
    const US: [&str; 1] = ["https://localhost:8443"];

    /// Somebody who makes statements.
    struct Signer(SigningKey);

    impl Signer {
        fn new() -> Self {
            Self(SigningKey::generate(Algorithm::Es256).unwrap())
        }

        fn sign(&self, claims: &Value) -> String {
            sign(&self.0, "JWT", claims).unwrap()
        }

        fn keys(&self) -> ClientKeySet {
            ClientKeySet::parse(Jwks::of([&self.0]).to_json().to_string().as_bytes()).unwrap()
        }
    }

    fn claims() -> Value {
        json!({"iss": "https://vendors.example", "client_name": "Growth chart", "redirect_uris": ["https://growth.example/cb"],
            "exp": NOW + 1000})
    }

    fn with(name: &str, value: Value) -> Value {
        let mut claims = claims();
        claims[name] = value;
        claims
    }

    fn verified(claims: &Value) -> Result<VerifiedStatement, JwtError> {
        let signer = Signer::new();
        let statement = PresentedStatement::parse(&json!(signer.sign(claims))).unwrap();
        statement.verify(&signer.keys(), &US, NOW)
    }

    #[test]
    fn a_statement_that_does_not_hold_is_refused() {
        for (claims, error) in [
            (with("exp", json!(NOW)), JwtError::Expired),
            (with("exp", json!("tomorrow")), JwtError::WrongClaimType),
            (with("nbf", json!(NOW + 60)), JwtError::NotYetValid),
            (with("iat", json!(NOW + 60)), JwtError::NotYetValid),
            (with("aud", json!("https://elsewhere.example")), JwtError::WrongAudience),
            (with("aud", json!([])), JwtError::WrongAudience),
        ] {
            assert_eq!(verified(&claims).unwrap_err(), error, "{claims}");
        }
        let foreign = Signer::new();
        let statement = PresentedStatement::parse(&json!(Signer::new().sign(&claims()))).unwrap();
        assert!(statement.verify(&foreign.keys(), &US, NOW).is_err());
        for value in [
            json!(7),
            json!(""),
            json!("a.b.c"),
            json!({"iss": "https://vendors.example"}),
            json!(Signer::new().sign(&json!({}))),
        ] {
            assert_eq!(PresentedStatement::parse(&value).unwrap_err().code(), "invalid_software_statement", "{value}");
        }
        assert!(verified(&with("aud", json!(["https://localhost:8443", "x"]))).is_ok() && verified(&claims()).is_ok());
    }

    fn registered(claims: &Value, plain: Value) -> Result<Client, MetadataError> {
        let Value::Object(members) = plain else { panic!("an object") };
        let metadata = verified(claims).unwrap().over(members)?;
        metadata.client((ClientId::parse("c").unwrap(), None), Registrar::Dynamic, &mut Counter(0), NOW).map(|made| made.client)
    }

    #[test]
    fn the_statement_counts_where_the_client_says_otherwise_and_gives_no_entitlement() {
        let plain = json!({"client_name": "Another", "redirect_uris": ["https://evil.example/cb"], "software_statement": "spoof",
            "token_endpoint_auth_method": "none"});
        let client = registered(&claims(), plain.clone()).unwrap();
        assert_eq!((client.name.as_str(), client.redirect_uris[0].as_str()), ("Growth chart", "https://growth.example/cb"));
        assert!(client.properties.software_statement.as_deref().is_some_and(|text| text.starts_with("ey")));
        for (name, value) in
            [("verified", json!(true)), ("administrator", json!(true)), ("grant_types", json!(["client_credentials"]))]
        {
            assert_eq!(registered(&with(name, value), plain.clone()).unwrap_err().code(), "invalid_client_metadata", "{name}");
        }
    }

    #[test]
    fn nobody_vouches_for_what_the_statement_does_not_say() {
        let issuer = StatementIssuer {
            issuer: "https://vendors.example".into(),
            name: "Vendors".into(),
            keys: KeySource::url("https://vendors.example/jwks").unwrap(),
        };
        let issuers = [issuer];
        let plain = json!({"client_name": "Growth chart", "redirect_uris": ["https://growth.example/cb"],
            "token_endpoint_auth_method": "none"});
        let client = registered(&claims(), plain.clone()).unwrap();
        assert_eq!(vouched_by(&client, &issuers, NOW).map(|issuer| issuer.name.as_str()), Some("Vendors"));
        assert_eq!(vouched_by(&client, &issuers, NOW + 1000), None, "it has expired");
        assert_eq!(vouched_by(&client, &[], NOW), None, "its issuer is trusted no more");
        assert_eq!(vouched_by(&public_client(), &issuers, NOW), None);
        for change in [
            (|client: &mut Client| client.name.push('s')) as fn(&mut Client),
            |client| client.redirect_uris = vec![RedirectUri::parse("https://evil.example/cb").unwrap()],
            |client| client.redirect_uris.push(RedirectUri::parse("https://evil.example/cb").unwrap()),
        ] {
            let mut changed = client.clone();
            change(&mut changed);
            assert_eq!(vouched_by(&changed, &issuers, NOW), None);
        }
        for silent in ["client_name", "redirect_uris"] {
            let client = registered(&with(silent, Value::Null), plain.clone()).unwrap();
            assert_eq!(vouched_by(&client, &issuers, NOW), None, "the statement leaves {silent} to whoever holds it");
        }
    }
}
