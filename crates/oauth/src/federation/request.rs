//! What this server sends to a provider, and what its token endpoint answers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis_jose::digest::sha256_base64url;
use portcullis_jose::json::parse_object;
use portcullis_jose::{Secret, SignError, sign};
use serde::Serialize;
use serde_json::Value;
use url::form_urlencoded::Serializer;

use super::metadata::ProviderMetadata;
use super::provider::{Provider, ProviderAuthentication};

/// How long a client assertion holds, in seconds.
const ASSERTION_SECONDS: i64 = 60;

/// What the browser takes to a provider.
#[derive(Debug)]
pub struct AuthorizationOrder<'a> {
    /// Where it comes back to.
    pub redirect_uri: &'a str,
    /// Binds the answer to the browser.
    pub state: &'a str,
    /// Binds the id_token to the browser.
    pub nonce: &'a str,
    /// The PKCE verifier, of which the challenge is made.
    pub verifier: &'a str,
    /// Whether the provider is to ask again who it is.
    pub again: bool,
    /// How old the sign-in there may be, in seconds; this also makes the provider say when it was (OpenID Connect Core section 3.1.2.1).
    pub maximum_age_seconds: i64,
    /// The name that the app suggests.
    pub login_hint: Option<&'a str>,
}

impl AuthorizationOrder<'_> {
    /// The URL of the authentication request.
    pub fn url(&self, provider: &Provider, metadata: &ProviderMetadata) -> String {
        let mut url = metadata.authorization_endpoint.clone();
        let scope: Vec<&str> = ["openid"].into_iter().chain(provider.scopes.iter().map(String::as_str)).collect();
        let mut query = url.query_pairs_mut();
        query
            .append_pair("response_type", "code")
            .append_pair("client_id", &provider.client_id)
            .append_pair("redirect_uri", self.redirect_uri)
            .append_pair("scope", &scope.join(" "))
            .append_pair("state", self.state)
            .append_pair("nonce", self.nonce)
            .append_pair("code_challenge", &sha256_base64url(self.verifier))
            .append_pair("code_challenge_method", "S256")
            .append_pair("max_age", &self.maximum_age_seconds.to_string());
        if self.again {
            query.append_pair("prompt", "login");
        }
        if let Some(hint) = self.login_hint {
            query.append_pair("login_hint", hint);
        }
        drop(query);
        url.into()
    }
}

/// A code that is to be exchanged.
#[derive(Debug)]
pub struct CodeOrder<'a> {
    /// The code.
    pub code: &'a Secret<String>,
    /// The redirect URI of the request.
    pub redirect_uri: &'a str,
    /// The PKCE verifier.
    pub verifier: &'a str,
    /// Names the client assertion, where one is made.
    pub assertion_id: &'a str,
    /// Now, in seconds since the epoch.
    pub now: i64,
}

/// The form for a token endpoint.
#[derive(Debug)]
pub struct TokenForm {
    /// The body.
    pub body: Secret<String>,
    /// The `Authorization` header, where the secret goes there.
    pub authorization: Option<Secret<String>>,
}

#[derive(Serialize)]
struct Assertion<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    jti: &'a str,
    iat: i64,
    exp: i64,
}

impl CodeOrder<'_> {
    /// The form, with this server's credentials at the provider.
    pub fn form(&self, provider: &Provider, metadata: &ProviderMetadata) -> Result<TokenForm, SignError> {
        let mut body = Serializer::new(String::new());
        body.append_pair("grant_type", "authorization_code")
            .append_pair("code", self.code.expose())
            .append_pair("redirect_uri", self.redirect_uri)
            .append_pair("code_verifier", self.verifier);
        let mut authorization = None;
        match &provider.authentication {
            ProviderAuthentication::Secret(secret) if metadata.secret_in_form => {
                body.append_pair("client_id", &provider.client_id).append_pair("client_secret", secret.expose());
            }
            ProviderAuthentication::Secret(secret) => {
                // Both are form-encoded before they are joined (RFC 6749 section 2.3.1).
                let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
                let pair = Secret::new(format!("{}:{}", encoded(&provider.client_id), encoded(secret.expose())));
                authorization = Some(Secret::new(format!("Basic {}", STANDARD.encode(pair.expose()))));
            }
            ProviderAuthentication::PrivateKey(key) => {
                let id = provider.client_id.as_str();
                let (iat, exp) = (self.now, self.now.saturating_add(ASSERTION_SECONDS));
                let claims = Assertion { iss: id, sub: id, aud: &metadata.token_endpoint, jti: self.assertion_id, iat, exp };
                body.append_pair("client_id", id)
                    .append_pair("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
                    .append_pair("client_assertion", &sign(key, "JWT", &claims)?);
            }
        }
        Ok(TokenForm { body: Secret::new(body.finish()), authorization })
    }
}

/// Why a token endpoint's answer brings no tokens.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenAnswerError {
    /// An error of RFC 6749 section 5.2.
    #[error("the provider refused the code: {0}")]
    Refused(String),
    /// Something else.
    #[error("the provider's answer is not one of a token endpoint")]
    Malformed,
}

/// The answer of a token endpoint, as far as it is needed.
#[derive(Debug)]
pub struct TokenAnswer {
    /// Who signed in.
    pub id_token: Secret<String>,
    /// The access token; nothing is done with it but to compare `at_hash`.
    pub access_token: Option<Secret<String>>,
}

impl TokenAnswer {
    /// Reads an answer with its status.
    pub fn parse(status: u16, body: &[u8]) -> Result<Self, TokenAnswerError> {
        let document = parse_object(body).map_err(|_| TokenAnswerError::Malformed)?;
        let text = |name: &str| document.get(name).and_then(Value::as_str);
        if status != 200 {
            let known = |error: &&str| error.len() <= 64 && error.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            return Err(text("error")
                .filter(known)
                .map_or(TokenAnswerError::Malformed, |error| TokenAnswerError::Refused(error.to_owned())));
        }
        let id_token = text("id_token").ok_or(TokenAnswerError::Malformed)?;
        Ok(Self {
            id_token: Secret::new(id_token.to_owned()),
            access_token: text("access_token").map(|token| Secret::new(token.to_owned())),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_jose::{Algorithm, SigningKey};

    fn provider(authentication: ProviderAuthentication) -> Provider {
        Provider {
            id: "p".into(),
            name: "P".into(),
            issuer: "https://login.example".into(),
            client_id: "us:er".into(),
            authentication,
            scopes: vec!["profile".into()],
            trusted_amr: Vec::new(),
            trusted_acr: Vec::new(),
            fhir_user_claim: None,
        }
    }

    fn metadata(methods: &str) -> ProviderMetadata {
        let text = format!(
            r#"{{"issuer":"https://login.example","authorization_endpoint":"https://login.example/a?t=1","token_endpoint":"https://login.example/t",
            "jwks_uri":"https://login.example/j","token_endpoint_auth_methods_supported":["{methods}"]}}"#
        );
        ProviderMetadata::parse(text.as_bytes()).unwrap()
    }

    fn order(code: &Secret<String>) -> CodeOrder<'_> {
        CodeOrder { code, redirect_uri: "https://us.example/cb", verifier: "v", assertion_id: "j1", now: 1000 }
    }

    #[test]
    fn the_request_keeps_what_the_endpoint_had_and_asks_with_pkce_nonce_and_age() {
        let order = AuthorizationOrder {
            redirect_uri: "https://us.example/cb",
            state: "s",
            nonce: "n",
            verifier: "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
            again: true,
            maximum_age_seconds: 60,
            login_hint: Some("ann"),
        };
        let url = order.url(&provider(ProviderAuthentication::Secret(Secret::new("x".into()))), &metadata("client_secret_basic"));
        assert_eq!(
            url,
            "https://login.example/a?t=1&response_type=code&client_id=us%3Aer&redirect_uri=https%3A%2F%2Fus.example%2Fcb\
             &scope=openid+profile&state=s&nonce=n&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM\
             &code_challenge_method=S256&max_age=60&prompt=login&login_hint=ann"
        );
    }

    #[test]
    fn a_secret_is_encoded_for_its_header_or_stands_in_the_form_and_a_key_signs() {
        let code = Secret::new("c".to_owned());
        let with_secret = provider(ProviderAuthentication::Secret(Secret::new("s:/ä".into())));
        let basic = order(&code).form(&with_secret, &metadata("client_secret_basic")).unwrap();
        assert_eq!(basic.authorization.unwrap().expose(), "Basic dXMlM0FlcjpzJTNBJTJGJUMzJUE0");
        assert!(!basic.body.expose().contains("secret"));
        let posted = order(&code).form(&with_secret, &metadata("client_secret_post")).unwrap();
        assert!(posted.authorization.is_none() && posted.body.expose().contains("client_secret=s%3A%2F%C3%A4"));
        let key = Box::new(SigningKey::generate(Algorithm::Es256).unwrap());
        let signed = order(&code).form(&provider(ProviderAuthentication::PrivateKey(key)), &metadata("private_key_jwt")).unwrap();
        assert!(signed.authorization.is_none() && signed.body.expose().contains("client_assertion=ey"));
    }

    #[test]
    fn only_a_whole_answer_brings_an_id_token() {
        assert!(TokenAnswer::parse(200, br#"{"id_token":"a.b.c","access_token":"x"}"#).is_ok());
        let refused = TokenAnswer::parse(400, br#"{"error":"invalid_grant","error_description":"no"}"#).unwrap_err();
        assert_eq!(refused, TokenAnswerError::Refused("invalid_grant".into()));
        for (status, body) in [(200, "{}"), (200, "<html>"), (400, "{}"), (400, r#"{"error":"<b>"}"#), (200, r#"{"id_token":1}"#)]
        {
            assert_eq!(TokenAnswer::parse(status, body.as_bytes()).unwrap_err(), TokenAnswerError::Malformed, "{body}");
        }
    }
}
