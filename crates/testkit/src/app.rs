//! An app and its person: the whole authorization code flow, over HTTPS, through the real pages.

use portcullis_jose::base64url;
use portcullis_jose::digest::sha256;
use serde_json::Value;
use url::Url;

use crate::client::{Client, Reply};

/// An app that is registered at a server, with the person who uses it.
#[derive(Clone)]
pub struct App {
    /// The server.
    pub client: Client,
    /// The app's id.
    pub client_id: String,
    /// Its secret, where it has one.
    pub secret: Option<String>,
    /// Where it is sent back to.
    pub redirect_uri: String,
    /// The FHIR base.
    pub fhir_base: String,
}

/// The verifier of every flow; tests that need another make their own requests.
pub const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk-testkit";

/// A signed-in browser at the consent screen.
pub struct AtConsent {
    /// `Cookie` header.
    pub cookies: String,
    /// The page.
    pub page: Reply,
}

impl App {
    /// The authorization request for a scope, as a query.
    pub fn authorization_query(&self, scope: &str) -> String {
        let challenge = base64url::encode(sha256(VERIFIER));
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs([
            ("response_type", "code"),
            ("client_id", &self.client_id),
            ("redirect_uri", &self.redirect_uri),
            ("scope", scope),
            ("state", "state-of-at-least-122-bits"),
            ("aud", &self.fhir_base),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
            ("nonce", "nonce-1"),
        ]);
        query.finish()
    }

    /// Signs in and arrives at the page after it (consent or patient picker).
    pub async fn sign_in(&self, query: &str, username: &str, password: &str) -> AtConsent {
        let path = format!("/oauth/authorize?{query}");
        let login = self.client.get(&path).send().await;
        assert_eq!(login.status, 200, "{} {}", login.header("location"), login.text());
        let form_cookie = cookie(&login);
        let csrf = hidden(&login, "csrf");
        let fields = [("csrf", csrf.as_str()), ("return_to", path.as_str()), ("username", username), ("password", password)];
        let signed_in = self.client.post("/login").header("cookie", &form_cookie).form(&fields).send().await;
        assert_eq!(signed_in.status, 303, "{}", signed_in.text());
        let cookies = format!("{form_cookie}; {}", cookie(&signed_in));
        let page = self.client.get(signed_in.header("location")).header("cookie", &cookies).send().await;
        AtConsent { cookies, page }
    }

    /// Answers the consent screen; the reply leads back to the app.
    pub async fn consent(&self, at: &AtConsent, scopes: &[&str], decision: &str) -> Reply {
        let (csrf, request) = (hidden(&at.page, "csrf"), hidden(&at.page, "request"));
        let mut fields = vec![("csrf", csrf.as_str()), ("request", request.as_str()), ("decision", decision)];
        fields.extend(scopes.iter().map(|scope| ("scope", *scope)));
        self.client.post("/consent").header("cookie", &at.cookies).form(&fields).send().await
    }

    /// Exchanges a code.
    pub async fn exchange(&self, code: &str) -> Reply {
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", self.redirect_uri.as_str()),
            ("code_verifier", VERIFIER),
        ];
        self.token_request(&fields).await
    }

    /// Sends a form to the token endpoint with the app's credentials.
    pub async fn token_request(&self, fields: &[(&str, &str)]) -> Reply {
        self.token_request_to("/oauth/token", fields).await
    }

    /// Sends a form to an endpoint with the app's credentials.
    pub async fn token_request_to(&self, path: &str, fields: &[(&str, &str)]) -> Reply {
        match &self.secret {
            None => {
                let mut fields = fields.to_vec();
                fields.push(("client_id", self.client_id.as_str()));
                self.client.post(path).form(&fields).send().await
            }
            Some(secret) => {
                self.client.post(path).header("authorization", &basic(&self.client_id, secret)).form(fields).send().await
            }
        }
    }

    /// The whole flow, everything ticked: the token response.
    pub async fn authorize(&self, scope: &str, username: &str, password: &str) -> Value {
        let at = self.sign_in(&self.authorization_query(scope), username, password).await;
        assert_eq!(at.page.status, 200, "{} {}", at.page.header("location"), at.page.text());
        let scopes: Vec<&str> = scope.split(' ').collect();
        let back = self.consent(&at, &scopes, "allow").await;
        let code = query_value(&back, "code").unwrap_or_else(|| panic!("{} {}", back.header("location"), back.text()));
        let token = self.exchange(&code).await;
        assert_eq!(token.status, 200, "{}", token.text());
        token.json()
    }

    /// The whole flow: the access token alone.
    pub async fn access_token(&self, scope: &str, username: &str, password: &str) -> String {
        self.authorize(scope, username, password).await["access_token"].as_str().unwrap().to_owned()
    }
}

/// A value of the query of a redirect.
pub fn query_value(reply: &Reply, name: &str) -> Option<String> {
    let location = Url::parse(reply.header("location")).ok()?;
    location.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// The first cookie that a reply sets, as `name=value`.
pub fn cookie(reply: &Reply) -> String {
    reply.header("set-cookie").split(';').next().unwrap().to_owned()
}

/// The value of a hidden field.
pub fn hidden(reply: &Reply, name: &str) -> String {
    let text = reply.text();
    let marker = format!("name=\"{name}\"");
    let tag = text
        .split('<')
        .find(|tag| tag.starts_with("input") && tag.contains(&marker))
        .unwrap_or_else(|| panic!("no field {name}: {text}"));
    let value = tag.split("value=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
    unescape(value)
}

/// The text of an attribute, as a browser reads it.
pub fn unescape(text: &str) -> String {
    let mut text = text.to_owned();
    for (escaped, plain) in [
        ("&#38;", "&"),
        ("&amp;", "&"),
        ("&#60;", "<"),
        ("&#62;", ">"),
        ("&#34;", "\""),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&#10;", "\n"),
        ("&#xA;", "\n"),
    ] {
        text = text.replace(escaped, plain);
    }
    text
}

/// The `Authorization` header of a client with a secret.
pub fn basic(client_id: &str, secret: &str) -> String {
    format!("Basic {}", standard_base64(format!("{client_id}:{secret}").as_bytes()))
}

/// Base64 with padding (RFC 4648 section 4).
pub fn standard_base64(bytes: &[u8]) -> String {
    let url = base64url::encode(bytes).replace('-', "+").replace('_', "/");
    let padding = "=".repeat((4 - url.len() % 4) % 4);
    url + &padding
}
