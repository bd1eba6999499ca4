//! Where refusals are noted for the owner of a sandbox client: at the authorization endpoint, where clients authenticate, and at the FHIR endpoint.
//!
//! Whoever is refused need not have proven to be the client: then the client is the one that the request names. A page that shows this to the owner tells
//! nothing that whoever sent the request was not told.

use http::header;
use portcullis_jose::base64url;
use portcullis_oauth::authorize::claimed_client;
use portcullis_oauth::identifiers::ClientId;
use portcullis_oauth::parameters::Parameters;
use portcullis_oauth::principal::Principal;
use portcullis_oauth::token_error::TokenError;
use serde_json::Value;

use super::refusals::SandboxRefusal;
use super::{remedies, remedies_of_fhir};
use crate::authorization_server::authorization::stop::Stop;
use crate::context::Server;
use crate::middleware::refusals::Standing;
use crate::resource_server::Exchange;
use crate::resource_server::refusal::Refusal;

/// What a client was told, and what to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The error code.
    pub code: String,
    /// What was wrong.
    pub wrong: String,
    /// What to change.
    pub remedy: String,
}

/// Notes a refusal of an endpoint at which clients authenticate.
pub async fn at_client_endpoint(server: &Server, exchange: &Exchange, client: Option<&ClientId>, error: TokenError) {
    let (Some(client), true) = (client, error.status() < 500) else { return };
    let told =
        Told { code: error.code().to_owned(), wrong: error.to_string(), remedy: remedies::of_token_error(error).to_owned() };
    note(server, client, place(exchange), told).await;
}

/// Notes a refusal of the authorization endpoint or of the pages that follow it.
pub async fn at_authorization(server: &Server, exchange: &Exchange, client: Option<&str>, stop: &Stop) {
    if server.settings.authorization.developers.is_none() {
        return;
    }
    let (code, wrong, remedy) = match stop {
        Stop::Page(error) => ("invalid_request", error.to_string(), remedies::of_page_error(*error)),
        Stop::Redirect(response) => (
            response.error.code(),
            response.description.to_owned(),
            remedies::of_authorization_error(response.error, response.description),
        ),
        Stop::NotConfirmed | Stop::Registry(_) => return,
    };
    let named = || {
        let query = Parameters::parse(exchange.target.query().unwrap_or_default().as_bytes()).ok()?;
        claimed_client(&query).ok()
    };
    let Some(client) = client.map_or_else(named, ClientId::parse) else { return };
    let told = Told { code: code.to_owned(), wrong, remedy: remedy.to_owned() };
    note(server, &client, place(exchange), told).await;
}

/// Notes a refusal of the FHIR endpoint.
pub async fn at_fhir(server: &Server, exchange: &Exchange, principal: Option<&Principal>, refusal: &Refusal) {
    if server.settings.authorization.developers.is_none() {
        return;
    }
    let client = match (principal, refusal) {
        (Some(principal), _) => Some(principal.client().clone()),
        (None, Refusal::Authentication(error)) if error.standing() == Standing::Former => client_of_former(exchange),
        (None, _) => None,
    };
    if let (Some(client), Some(told)) = (client, remedies_of_fhir::of(refusal)) {
        note(server, &client, fhir_place(exchange), told).await;
    }
}

/// The client of a token that is ours and good no more. Its signature was verified before it was found to be so: only then the refusal is of this kind.
fn client_of_former(exchange: &Exchange) -> Option<ClientId> {
    let (_, token) = exchange.header(&header::AUTHORIZATION)?.split_once(' ')?;
    let claims: Value = serde_json::from_slice(&base64url::decode(token.split('.').nth(1)?)?).ok()?;
    ClientId::parse(claims.get("client_id")?.as_str()?)
}

async fn note(server: &Server, client: &ClientId, endpoint: String, Told { code, wrong, remedy }: Told) {
    if server.settings.authorization.developers.is_none() {
        return;
    }
    // Where the registry does not answer, a line of help is missing; nothing else depends on it.
    let owned = server.registry.client(client).await.ok().flatten().is_some_and(|client| client.properties.owner.is_some());
    if owned {
        let refusal = SandboxRefusal { at: server.clock.now_seconds(), times: 1, endpoint, code, wrong, remedy };
        server.sandbox_refusals.note(client, refusal);
    }
}

/// Method and path. The paths of these endpoints have no part that varies.
fn place(exchange: &Exchange) -> String {
    format!("{} {}", exchange.method, exchange.target.path())
}

/// Method and resource type: an id or a query may name a patient.
fn fhir_place(exchange: &Exchange) -> String {
    let mut segments = exchange.target.path().trim_start_matches("/fhir").split('/').skip(1);
    let is_type = |name: &&str| {
        name.starts_with(|letter: char| letter.is_ascii_uppercase())
            && portcullis_fhir::types::ResourceType::parse(name).is_some()
    };
    match segments.next().filter(is_type) {
        Some(name) => format!("{} /fhir/{name}", exchange.method),
        None => format!("{} /fhir", exchange.method),
    }
}
