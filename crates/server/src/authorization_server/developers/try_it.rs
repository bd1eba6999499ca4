//! Trying a sandbox client: the authorization request, ready-made, and the page to which its answer comes back.
//!
//! RFC 6749 section 4.1, RFC 7636. Nothing is stored for a try: state and PKCE verifier are keyed hashes of a value that only this browser holds, so the page
//! shows the verifier in no other browser. The code is exchanged by the person: with curl, or, for a public client, by a form that this browser sends to the token
//! endpoint. No token gets to these pages.

use http::StatusCode;
use portcullis_audit::record::{Event, Outcome};
use portcullis_jose::base64url;
use portcullis_jose::digest::sha256;
use portcullis_oauth::clients::{Client, ClientKind};
use portcullis_oauth::identifiers::ClientId;
use portcullis_oauth::pkce;
use portcullis_oauth::redirect_uri::RedirectUri;
use portcullis_oauth::scopes::{Scope, ScopeKind, ScopeSet};

use super::registration_form::callback;
use crate::answer::Answer;
use crate::authorization_server::authorization::authorize::PATH;
use crate::authorization_server::discovery;
use crate::authorization_server::page_query;
use crate::authorization_server::reply::{self, Account};
use crate::authorization_server::session;
use crate::context::Server;
use crate::resource_server::Exchange;
use crate::route::DevelopersRoute;
use crate::ui::pages::{SandboxCallbackPage, SandboxTry};

/// The longest value of an answer that is shown, in characters.
const LONGEST_SHOWN: usize = 512;

/// One try in one browser.
pub struct Try {
    /// `state` of the request: the client, a random value, and a tag that only this server makes.
    pub state: String,
    /// The PKCE verifier.
    pub verifier: String,
}

impl Try {
    /// A new one.
    pub fn new(server: &Server, binding: &str, client: &ClientId) -> Self {
        Self::of(server, binding, client, &format!("{:032x}", server.random_u128()))
    }

    fn of(server: &Server, binding: &str, client: &ClientId, nonce: &str) -> Self {
        let text = format!("{binding}\0{client}\0{nonce}");
        let keyed = |kind: &str| base64url::encode(server.form_tokens.fingerprint(kind, &text));
        Self { state: format!("{client}.{nonce}.{}", keyed("sandbox-state")), verifier: keyed("sandbox-verifier") }
    }

    /// The client and the try that an answer belongs to, if it began in this browser.
    fn answered(server: &Server, binding: &str, state: &str) -> Option<(ClientId, Self)> {
        let (rest, _) = state.rsplit_once('.')?;
        let (client, nonce) = rest.rsplit_once('.')?;
        let client = ClientId::parse(client)?;
        let expected = Self::of(server, binding, &client, nonce);
        let genuine = portcullis_jose::constant_time::equal(expected.state.as_bytes(), state.as_bytes());
        genuine.then_some((client, expected))
    }
}

/// The requests that are ready to be opened: one for each redirect URI.
pub fn requests(server: &Server, client: &Client, one: &Try) -> Vec<SandboxTry> {
    let here = callback(server);
    let ready = |uri: &RedirectUri| SandboxTry {
        redirect_uri: uri.as_str().to_owned(),
        href: request(server, client, one, uri.as_str()),
        url: format!("{}{}", server.settings.public_url, request(server, client, one, uri.as_str())),
        comes_back_here: uri.as_str() == here,
    };
    let mut requests: Vec<SandboxTry> = client.redirect_uris.iter().map(ready).collect();
    requests.sort_by_key(|request| !request.comes_back_here);
    requests
}

/// Path and query of a standalone launch.
fn request(server: &Server, client: &Client, one: &Try, redirect_uri: &str) -> String {
    // Without an EHR there is no launch.
    let scope: ScopeSet = client.scope.retaining(|scope: &Scope| scope.kind() != ScopeKind::Launch);
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs([
        ("response_type", "code"),
        ("client_id", client.id.as_str()),
        ("redirect_uri", redirect_uri),
        ("scope", &scope.to_string()),
        ("state", &one.state),
        ("aud", &server.settings.fhir_base),
        ("code_challenge", &base64url::encode(sha256(&one.verifier))),
        ("code_challenge_method", pkce::METHOD),
    ]);
    format!("{PATH}{}", query.finish())
}

/// The token request for the shell.
pub fn curl(server: &Server, client: &Client, (code, redirect_uri): (&str, &str), one: &Try) -> String {
    let endpoints = discovery::endpoints(&server.settings.public_url);
    let mut lines = vec![format!("curl {}", quoted(&endpoints.token))];
    match &client.kind {
        ClientKind::Public => lines.push(form("client_id", client.id.as_str())),
        ClientKind::ConfidentialSymmetric { .. } => {
            lines.push(format!("--user {}", quoted(&format!("{}:CLIENT_SECRET", client.id))))
        }
        ClientKind::ConfidentialAsymmetric { .. } => {
            lines.push(form("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"));
            lines.push(form("client_assertion", "JWT_THAT_YOU_SIGNED"));
        }
    }
    lines.push(form("grant_type", "authorization_code"));
    lines.push(form("code", code));
    lines.push(form("redirect_uri", redirect_uri));
    lines.push(form("code_verifier", &one.verifier));
    lines.join(" \\\n  ")
}

fn form(name: &str, value: &str) -> String {
    format!("--data-urlencode {}", quoted(&format!("{name}={value}")))
}

/// One word of a shell, whatever is in it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// `GET /developers/callback`. Whoever signed in meanwhile may be another person than the owner of the client: it is the browser that counts.
pub async fn come_back(server: &Server, exchange: &Exchange) -> Answer {
    let answer = match page_query::received(server, exchange, &["state", "code", "iss", "error", "error_description"]).await {
        Ok(answer) => answer,
        Err(answer) => return answer,
    };
    let value = |name: &str| answer.value(name).ok().flatten().map(|text| text.chars().take(LONGEST_SHOWN).collect::<String>());
    let state = value("state").unwrap_or_default();
    let begun = session::form_binding(exchange).and_then(|binding| Try::answered(server, binding, &state));
    let found = match begun {
        None => None,
        Some((id, one)) => match server.registry.client(&id).await {
            Ok(client) => client.filter(|client| client.properties.owner.is_some()).map(|client| (client, one)),
            Err(error) => return server.record_page(exchange, Outcome::Failed, reply::unavailable(exchange, &error)).await,
        },
    };
    let Some((client, one)) = found else {
        let draft = reply::error(
            exchange,
            StatusCode::BAD_REQUEST,
            [
                "This answer belongs to no try of yours",
                "The state of this answer was not made for this browser.",
                "Nothing was exchanged.",
                "Open the page of your app under /developers, and start the launch there, in this browser.",
            ],
            [
                "Esta respuesta no es de ninguna prueba suya",
                "El “state” de esta respuesta no se creó para este navegador.",
                "No se intercambió nada.",
                "Abra la página de su aplicación en /developers y empiece la prueba allí, en este navegador.",
            ],
        );
        return server.record_page(exchange, Outcome::Rejected, draft).await;
    };
    let code = value("code");
    let issuer = value("iss");
    let redirect_uri = callback(server);
    let endpoints = discovery::endpoints(&server.settings.public_url);
    let html = SandboxCallbackPage {
        reader: exchange.reader(),
        client_name: client.name.clone(),
        href: DevelopersRoute::page_of(&client.id),
        client_id: client.id.as_str().to_owned(),
        is_public: client.kind == ClientKind::Public,
        error: value("error"),
        error_description: value("error_description"),
        curl: code.as_deref().map(|code| curl(server, &client, (code, &redirect_uri), &one)).unwrap_or_default(),
        code,
        issuer_is_ours: issuer.as_deref() == Some(endpoints.issuer.as_str()),
        issuer,
        state,
        redirect_uri,
        verifier: one.verifier,
    };
    let agent = portcullis_audit::record::Agent { client: Some(client.id.as_str().to_owned()), ..exchange.agent() };
    let account = Account::new(Event::Page, agent, Outcome::Success, "answer of a try");
    reply::recorded(server, exchange, account, reply::page(StatusCode::OK, html.render(), None)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_came_stays_one_word_of_the_shell() {
        assert_eq!(quoted("a'; rm -rf / #"), "'a'\\''; rm -rf / #'");
        assert_eq!(form("code", "x$(id)"), "--data-urlencode 'code=x$(id)'");
    }
}
