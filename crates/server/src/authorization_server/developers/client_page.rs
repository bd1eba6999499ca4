//! One sandbox client: what is registered, how to try it, and its last refusals.

use http::StatusCode;
use portcullis_oauth::clients::{Client, ClientKind};
use portcullis_oauth::identifiers::ClientId;
use portcullis_oauth::redirect_uri::RedirectUri;

use super::access::{Developer, absent, guarded, shown};
use super::refusals::SandboxRefusal;
use super::try_it::{self, Try};
use crate::answer::{Answer, Draft};
use crate::authorization_server::discovery;
use crate::authorization_server::reply;
use crate::authorization_server::session::FormBinding;
use crate::context::Server;
use crate::resource_server::Exchange;
use crate::route::DevelopersRoute;
use crate::ui::Reader;
use crate::ui::pages::{SandboxClientPage, SandboxRefusalLine};

/// The most refusals on the page, so that it stays small; `portcullis clients show` tells all that are kept.
const SHOWN: usize = 25;

/// The kind of a client as people say it.
pub fn kind_in_words(reader: &Reader, kind: &ClientKind) -> &'static str {
    match kind {
        ClientKind::Public => reader.say("Public: keeps no secret", "Pública: no guarda ningún secreto"),
        ClientKind::ConfidentialSymmetric { .. } => reader.say("Confidential: keeps a secret", "Confidencial: guarda un secreto"),
        ClientKind::ConfidentialAsymmetric { .. } => {
            reader.say("Confidential: signs with a key", "Confidencial: firma con una clave")
        }
    }
}

/// `GET /developers/clients/ID`
pub async fn show(server: &Server, exchange: &Exchange, id: &ClientId) -> Answer {
    guarded(server, exchange, async |developer: Developer| {
        let Some(client) = developer.own(server, id).await? else { return Ok(absent(server, exchange, &developer).await) };
        let draft = draft(server, exchange, &developer, &client, None);
        Ok(shown(server, exchange, &developer, Some(id), draft).await)
    })
    .await
}

/// The page, with a secret that the client just got.
pub fn draft(server: &Server, exchange: &Exchange, developer: &Developer, client: &Client, secret: Option<&String>) -> Draft {
    let binding = FormBinding::of(server, exchange);
    let one = Try::new(server, &binding.value, &client.id);
    let endpoints = discovery::endpoints(&server.settings.public_url);
    let settings = server.settings.authorization.developers;
    let redirect_uri = client.redirect_uris.first().map(RedirectUri::as_str).unwrap_or_default();
    let reader = exchange.reader();
    let html = SandboxClientPage {
        person_name: developer.0.user.display_name.clone(),
        sign_out_csrf: developer.sign_out_csrf(server),
        csrf: developer.csrf(server),
        href: DevelopersRoute::page_of(&client.id),
        name: client.name.clone(),
        client_id: client.id.as_str().to_owned(),
        kind: kind_in_words(&reader, &client.kind),
        has_secret: matches!(client.kind, ClientKind::ConfidentialSymmetric { .. }),
        secret: secret.cloned(),
        redirect_uris: client.redirect_uris.iter().map(|uri| uri.as_str().to_owned()).collect(),
        scope: client.scope.to_string(),
        anybody_may_connect: settings.is_some_and(|settings| settings.anybody_may_connect),
        fhir_base: server.settings.fhir_base.clone(),
        issuer: endpoints.issuer,
        authorization_endpoint: endpoints.authorization,
        token_endpoint: endpoints.token,
        curl: try_it::curl(server, client, ("CODE", redirect_uri), &one),
        tries: try_it::requests(server, client, &one),
        refusals: server.sandbox_refusals.of(&client.id).into_iter().take(SHOWN).map(|refusal| line(&reader, refusal)).collect(),
        reader,
    };
    binding.kept(reply::page(StatusCode::OK, html.render(), None))
}

fn line(reader: &Reader, refusal: SandboxRefusal) -> SandboxRefusalLine {
    let SandboxRefusal { at, times, endpoint, code, wrong, remedy } = refusal;
    SandboxRefusalLine { when: reader.moment(at), times, endpoint, code, wrong, remedy }
}
