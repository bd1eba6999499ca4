//! A client that proves with each request that it holds a key (RFC 9449).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use portcullis_jose::digest::sha256_base64url;
use serde_json::{Value, json};

use crate::app::{App, VERIFIER, query_value};
use crate::backend::ClientKey;
use crate::client::Reply;
use crate::server::{PASSWORD, TestServer};

/// A key for proofs, and how often it was used.
#[derive(Clone)]
pub struct ProofKey {
    key: Arc<ClientKey>,
    used: Arc<AtomicUsize>,
}

impl ProofKey {
    /// A new key for ES256, ES384 or RS256.
    pub fn generate(algorithm: &str) -> Self {
        Self { key: Arc::new(ClientKey::generate("proof", algorithm)), used: Arc::default() }
    }

    /// Its thumbprint (RFC 7638), of elliptic keys.
    pub fn thumbprint(&self) -> String {
        let jwk = self.key.jwk();
        sha256_base64url(format!(r#"{{"crv":{},"kty":"EC","x":{},"y":{}}}"#, jwk["crv"], jwk["x"], jwk["y"]))
    }

    /// The claims of a good proof for a request to this server.
    pub fn claims(&self, server: &TestServer, method: &str, path: &str, access_token: Option<&str>) -> Value {
        let state = &server.server;
        let now = state.clock.now_seconds();
        let mut claims = json!({
            "jti": format!("{}", self.used.fetch_add(1, Ordering::SeqCst)),
            "htm": method,
            "htu": format!("{}{path}", state.settings.public_url),
            "iat": now,
            "nonce": state.proof_nonces.current(&*state.entropy, now),
        });
        if let Some(token) = access_token {
            claims["ath"] = json!(sha256_base64url(token));
        }
        claims
    }

    /// A proof with these claims.
    pub fn sign(&self, claims: &Value) -> String {
        self.key.sign_with_key_inside("dpop+jwt", claims)
    }

    /// A good proof.
    pub fn proof(&self, server: &TestServer, method: &str, path: &str, access_token: Option<&str>) -> String {
        self.sign(&self.claims(server, method, path, access_token))
    }

    /// Sends an app's form to the token endpoint with a good proof.
    pub async fn token_request(&self, server: &TestServer, app: &App, fields: &[(&str, &str)]) -> Reply {
        self.token_request_with(&self.proof(server, "POST", "/oauth/token", None), app, fields).await
    }

    /// The same with this proof.
    pub async fn token_request_with(&self, proof: &str, app: &App, fields: &[(&str, &str)]) -> Reply {
        let mut fields = fields.to_vec();
        fields.push(("client_id", app.client_id.as_str()));
        app.client.post("/oauth/token").header("dpop", proof).form(&fields).send().await
    }

    /// The code flow of a public app with this key: the token response.
    pub async fn authorize(&self, server: &TestServer, app: &App, scope: &str, username: &str) -> Value {
        let code = code(app, scope, username, &[]).await;
        let reply = self.token_request(server, app, &redemption(app, &code)).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()
    }

    /// Reads with an access token and this proof.
    pub async fn get_with(&self, proof: &str, server: &TestServer, path: &str, access_token: &str) -> Reply {
        let request = server.client.get(path).header("authorization", &format!("DPoP {access_token}"));
        request.header("dpop", proof).send().await
    }

    /// Reads with an access token and a good proof.
    pub async fn get(&self, server: &TestServer, path: &str, access_token: &str) -> Reply {
        self.get_with(&self.proof(server, "GET", path, Some(access_token)), server, path, access_token).await
    }
}

/// A code for an app, by a request with more parameters.
pub async fn code(app: &App, scope: &str, username: &str, more: &[(&str, &str)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(app.authorization_query(scope));
    query.extend_pairs(more);
    let at = app.sign_in(&query.finish(), username, PASSWORD).await;
    assert_eq!(at.page.status, 200, "{} {}", at.page.header("location"), at.page.text());
    let back = app.consent(&at, &scope.split(' ').collect::<Vec<_>>(), "allow").await;
    query_value(&back, "code").unwrap_or_else(|| panic!("{} {}", back.header("location"), back.text()))
}

/// The fields that redeem a code.
pub fn redemption<'a>(app: &'a App, code: &'a str) -> [(&'a str, &'a str); 4] {
    [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", app.redirect_uri.as_str()),
        ("code_verifier", VERIFIER),
    ]
}
