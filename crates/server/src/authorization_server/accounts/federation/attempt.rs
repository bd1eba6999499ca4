//! One attempt to sign in elsewhere, kept in a cookie of the browser that makes it.
//!
//! The cookie says where the browser went, why, and where it goes on; it carries a tag, so that nobody makes one. State, nonce and PKCE verifier are
//! keyed hashes of it: whoever does not have the cookie can bring nothing back, and an answer to another browser fits no cookie of this one. The
//! provider sees nothing of what is in it. A state counts once ([`portcullis_store::federation::FederationChange::SpendState`]).

use portcullis_jose::{base64url, constant_time};
use portcullis_oauth::grant::SecretHash;
use serde::{Deserialize, Serialize};

use crate::context::Server;
use crate::resource_server::Exchange;

/// The cookie.
const COOKIE: &str = "__Host-portcullis-federation";
/// How long a person may take at the provider, in seconds.
pub const LIFETIME_SECONDS: i64 = 900;
/// The longest cookie, in bytes: browsers keep 4096 with its name and attributes (RFC 6265bis section 5.6).
const MAXIMUM_COOKIE: usize = 3900;

/// Why a browser goes to a provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Intent {
    /// To sign in.
    SignIn,
    /// To link the account there with the one that is signed in here, in this session.
    Link(String),
}

/// An attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// The provider's id.
    #[serde(rename = "p")]
    pub provider: String,
    /// Why.
    #[serde(rename = "i")]
    pub intent: Intent,
    /// Where to go on.
    #[serde(rename = "r")]
    pub return_to: String,
    /// When it began, in seconds since the epoch.
    #[serde(rename = "t")]
    pub began_at: i64,
    /// The earliest sign-in there that counts, in seconds since the epoch.
    #[serde(rename = "e", default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<i64>,
    /// Makes it one of a kind.
    #[serde(rename = "n")]
    pub unique: String,
}

/// An attempt with what follows from its cookie.
#[derive(Debug)]
pub struct Bound {
    /// The attempt.
    pub attempt: Attempt,
    payload: String,
}

impl Bound {
    /// The attempt of this browser.
    pub fn new(attempt: Attempt) -> Option<Self> {
        let payload = base64url::encode(serde_json::to_vec(&attempt).ok()?);
        (payload.len() <= MAXIMUM_COOKIE).then_some(Self { attempt, payload })
    }

    /// The attempt that this browser's cookie holds, if it is one of ours and of this time.
    pub fn of_browser(server: &Server, exchange: &Exchange) -> Option<Self> {
        let cookie = crate::authorization_server::session::cookie(exchange, COOKIE)?;
        let (payload, tag) = cookie.split_once('.')?;
        if !constant_time::equal(derived(server, "cookie", payload), tag) {
            return None;
        }
        let attempt: Attempt = serde_json::from_slice(&base64url::decode(payload)?).ok()?;
        let age = server.clock.now_seconds().saturating_sub(attempt.began_at);
        (0..LIFETIME_SECONDS).contains(&age).then(|| Self { attempt, payload: payload.to_owned() })
    }

    /// The header that gives the browser its cookie.
    pub fn set_cookie(&self, server: &Server) -> String {
        let tag = derived(server, "cookie", &self.payload);
        format!("{COOKIE}={}.{tag}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={LIFETIME_SECONDS}", self.payload)
    }

    /// `state`.
    pub fn state(&self, server: &Server) -> String {
        derived(server, "state", &self.payload)
    }

    /// `nonce`.
    pub fn nonce(&self, server: &Server) -> String {
        derived(server, "nonce", &self.payload)
    }

    /// The PKCE verifier.
    pub fn verifier(&self, server: &Server) -> String {
        derived(server, "verifier", &self.payload)
    }

    /// What the state is remembered as once it came back.
    pub fn state_hash(&self, server: &Server) -> SecretHash {
        SecretHash::of(&self.state(server))
    }

    /// Until when the state could come back, in seconds since the epoch.
    pub fn expires_at(&self) -> i64 {
        self.attempt.began_at.saturating_add(LIFETIME_SECONDS)
    }
}

/// The header that takes the cookie away.
pub fn clear_cookie() -> String {
    format!("{COOKIE}=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0")
}

/// 43 characters that only this server can make of this cookie.
fn derived(server: &Server, kind: &str, payload: &str) -> String {
    base64url::encode(server.form_tokens.fingerprint(&format!("federation-{kind}"), payload))
}
