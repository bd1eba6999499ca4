//! `/developers`: sandbox clients, how to try them, and what was refused.

use askama::Template;

use crate::ui::Language::{English, Spanish};
use crate::ui::Reader;

/// `/developers`
#[derive(Clone, Debug, Template)]
#[template(path = "developers.html")]
pub struct DevelopersPage {
    /// Who reads it.
    pub reader: Reader,
    /// Who is signed in.
    pub person_name: String,
    /// The form token of the sign-out.
    pub sign_out_csrf: String,
    /// The person's clients, the oldest first.
    pub clients: Vec<OwnSandboxClient>,
    /// Whether there may be one more.
    pub may_register: bool,
    /// How many there may be.
    pub limit: u32,
    /// Whether anybody may connect such a client, instead of developers alone.
    pub anybody_may_connect: bool,
}

/// One client in the list.
#[derive(Clone, Debug)]
pub struct OwnSandboxClient {
    /// Its name.
    pub name: String,
    /// Its id.
    pub client_id: String,
    /// Its page.
    pub href: String,
    /// "Public: keeps no secret".
    pub kind: &'static str,
    /// How many refusals are kept.
    pub refusals: usize,
}

/// `/developers/new` and `/developers/clients/ID/edit`
#[derive(Clone, Debug, Template)]
#[template(path = "sandbox_form.html")]
pub struct SandboxFormPage {
    /// Who reads it.
    pub reader: Reader,
    /// Who is signed in.
    pub person_name: String,
    /// The form token of the sign-out.
    pub sign_out_csrf: String,
    /// The form token.
    pub csrf: String,
    /// Where the form goes.
    pub action: String,
    /// Where the person goes without a change.
    pub back: String,
    /// Whether the client is new.
    pub is_new: bool,
    /// The name.
    pub name: String,
    /// Redirect URIs, one a line.
    pub redirect_uris: String,
    /// Whether this server's own page is one of them.
    pub comes_back_here: bool,
    /// The address of that page.
    pub callback: String,
    /// How the client authenticates: `public`, `confidential-symmetric` or `confidential-asymmetric`.
    pub kind: String,
    /// A JWK Set.
    pub jwks: String,
    /// The address of one.
    pub jwks_uri: String,
    /// Scopes.
    pub scope: String,
    /// What is wrong.
    pub problems: SandboxProblems,
}

/// What is wrong with the form, each beside its field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SandboxProblems {
    /// With the name.
    pub name: Option<String>,
    /// With the redirect URIs.
    pub redirect_uris: Option<String>,
    /// With the kind.
    pub kind: Option<String>,
    /// With the keys.
    pub jwks: Option<String>,
    /// With their address.
    pub jwks_uri: Option<String>,
    /// With the scopes.
    pub scope: Option<String>,
    /// With the whole.
    pub whole: Option<String>,
}

impl SandboxProblems {
    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// `/developers/clients/ID`
#[derive(Clone, Debug, Template)]
#[template(path = "sandbox_client.html")]
pub struct SandboxClientPage {
    /// Who reads it.
    pub reader: Reader,
    /// Who is signed in.
    pub person_name: String,
    /// The form token of the sign-out.
    pub sign_out_csrf: String,
    /// The form token.
    pub csrf: String,
    /// This page.
    pub href: String,
    /// The client's name.
    pub name: String,
    /// Its id.
    pub client_id: String,
    /// "Public: keeps no secret".
    pub kind: &'static str,
    /// Whether it authenticates by a secret.
    pub has_secret: bool,
    /// A secret that it just got.
    pub secret: Option<String>,
    /// Where answers may go.
    pub redirect_uris: Vec<String>,
    /// What it may ask for.
    pub scope: String,
    /// Whether anybody may connect it, instead of developers alone.
    pub anybody_may_connect: bool,
    /// The FHIR base URL.
    pub fhir_base: String,
    /// The issuer.
    pub issuer: String,
    /// Where launches begin.
    pub authorization_endpoint: String,
    /// Where codes are exchanged.
    pub token_endpoint: String,
    /// Requests that are ready to be opened.
    pub tries: Vec<SandboxTry>,
    /// The token request that follows.
    pub curl: String,
    /// The last refusals, the newest first.
    pub refusals: Vec<SandboxRefusalLine>,
}

/// A request that is ready to be opened.
#[derive(Clone, Debug)]
pub struct SandboxTry {
    /// Where its answer goes.
    pub redirect_uri: String,
    /// Its path and query.
    pub href: String,
    /// Its whole address.
    pub url: String,
    /// Whether the answer comes back to this server.
    pub comes_back_here: bool,
}

/// One refusal.
#[derive(Clone, Debug)]
pub struct SandboxRefusalLine {
    /// When: "12 March 2026 at 14:05 UTC".
    pub when: String,
    /// How often in a row.
    pub times: u32,
    /// Where: "POST /oauth/token".
    pub endpoint: String,
    /// The error code.
    pub code: String,
    /// What was wrong.
    pub wrong: String,
    /// What to change.
    pub remedy: String,
}

/// `/developers/callback`
#[derive(Clone, Debug, Template)]
#[template(path = "sandbox_callback.html")]
pub struct SandboxCallbackPage {
    /// Who reads it.
    pub reader: Reader,
    /// The client's name.
    pub client_name: String,
    /// Its page.
    pub href: String,
    /// Its id.
    pub client_id: String,
    /// Whether it authenticates by nothing.
    pub is_public: bool,
    /// The error that came.
    pub error: Option<String>,
    /// Its description.
    pub error_description: Option<String>,
    /// The code that came.
    pub code: Option<String>,
    /// The state that came.
    pub state: String,
    /// The issuer that came.
    pub issuer: Option<String>,
    /// Whether it is this server.
    pub issuer_is_ours: bool,
    /// The redirect URI of the request.
    pub redirect_uri: String,
    /// The PKCE verifier of the request.
    pub verifier: String,
    /// The token request for the shell.
    pub curl: String,
}

impl DevelopersPage {
    /// The page as HTML.
    pub fn render(&self) -> String {
        super::html(self)
    }
}

impl SandboxFormPage {
    /// The page as HTML.
    pub fn render(&self) -> String {
        super::html(self)
    }
}

impl SandboxClientPage {
    /// The page as HTML.
    pub fn render(&self) -> String {
        super::html(self)
    }
}

impl SandboxCallbackPage {
    /// The page as HTML.
    pub fn render(&self) -> String {
        super::html(self)
    }
}
