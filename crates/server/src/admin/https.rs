//! Clients over HTTPS: `/admin/clients`, JSON as RFC 7591 names it, with the rules of `portcullis clients`.
//!
//! Whoever asks is a program: a client that the operator registered as an administrator, with an access token of its own. A person's token never
//! manages clients, whoever the person is: the app that holds it was not given that. Every request is recorded with its client and token.

use std::sync::Arc;

use http::{Method, StatusCode, header};
use portcullis_audit::record::{Agent, Event, Outcome};
use portcullis_oauth::clients::{Client, ClientKind, KeySource};
use portcullis_oauth::identifiers::ClientId;
use portcullis_oauth::principal::Principal;
use portcullis_oauth::registration::{ClientMetadata, MetadataError, Registered, Registrar, described};
use portcullis_store::RegistryError;
use portcullis_store::client_registration::RegistrationChange;
use portcullis_store::registry::Change;
use serde_json::{Value, json};

use crate::answer::{Answer, Draft};
use crate::authorization_server::clients::software_statements;
use crate::authorization_server::reply::{self, Account};
use crate::client_route::ClientRoute;
use crate::context::{Borrowed, Server};
use crate::listener::Incoming;
use crate::middleware::body;
use crate::resource_server::{Exchange, authenticate};

/// What a request ends in that changes nothing.
pub struct Fault {
    status: StatusCode,
    code: &'static str,
    description: String,
}

impl Fault {
    /// A fault with the code and the description of its JSON.
    pub fn new(status: StatusCode, code: &'static str, description: impl Into<String>) -> Self {
        Self { status, code, description: description.into() }
    }

    /// The answer.
    pub fn draft(&self) -> Draft {
        json_draft(self.status, &json!({"error": self.code, "error_description": self.description}))
    }

    /// What the record says.
    pub fn detail(&self) -> String {
        format!("{}: {}", self.code, self.description)
    }

    /// Whether the method was wrong.
    pub fn is_method(&self) -> bool {
        self.status == StatusCode::METHOD_NOT_ALLOWED
    }

    /// How the exchange ended.
    pub fn outcome(&self) -> Outcome {
        match self.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Outcome::Denied,
            status if status.is_server_error() => Outcome::Failed,
            _ => Outcome::Rejected,
        }
    }
}

impl From<RegistryError> for Fault {
    fn from(error: RegistryError) -> Self {
        match error {
            RegistryError::Conflict(what) => Self::new(StatusCode::CONFLICT, "conflict", what),
            other => {
                tracing::error!(error = %other, "the registry failed at an endpoint for clients");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", "try again later")
            }
        }
    }
}

/// A JSON answer that nobody keeps.
pub fn json_draft(status: StatusCode, body: &Value) -> Draft {
    Draft::new(status).body("application/json", body.to_string()).with(header::PRAGMA, "no-cache")
}

/// What somebody is told who registers the name of a certificate where nobody vouches for any.
pub const NO_AUTHORITIES: &str =
    "tls_client_auth takes certification authorities: mutual_tls.client_authorities of the server's configuration";

/// Reads metadata and makes a client of it, under the rules for this registrar.
pub async fn metadata(
    server: &Server,
    exchange: &Exchange,
    incoming: Incoming,
    (id, before): (ClientId, Option<&Client>),
    registrar: Registrar,
) -> Result<Registered, Fault> {
    let bad = |code, description: String| Fault::new(StatusCode::BAD_REQUEST, code, description);
    let content_type = exchange.header(&header::CONTENT_TYPE).unwrap_or_default();
    if !content_type.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json") {
        return Err(bad("invalid_request", "the body must be application/json".into()));
    }
    let bytes = body::read(incoming, body::MAXIMUM_FORM).await;
    let bytes = bytes.map_err(|_| bad("invalid_request", "the body is too large or incomplete".into()))?;
    let now = server.clock.now_seconds();
    let metadata = read(server, &bytes, registrar).await;
    let registered = metadata
        .and_then(|metadata| metadata.client((id, before), registrar, &mut Borrowed(&*server.entropy), now))
        .map_err(|error| bad(error.code(), error.to_string()))?;
    if registered.client.properties.certificate_subject.is_named() && server.settings.authorization.client_authorities.is_none() {
        return Err(bad("invalid_client_metadata", NO_AUTHORITIES.into()));
    }
    if let ClientKind::ConfidentialAsymmetric { keys: KeySource::Url(url), .. } = &registered.client.kind
        && let Err(error) = server.client_keys.check_url(url)
    {
        return Err(bad("invalid_client_metadata", format!("jwks_uri cannot be used: {error}")));
    }
    Ok(registered)
}

/// The metadata in a body, with what a software statement says instead. An operator knows whom he registers and takes nobody's word for it.
async fn read(server: &Server, bytes: &[u8], registrar: Registrar) -> Result<ClientMetadata, MetadataError> {
    let members = ClientMetadata::members_of(bytes)?;
    match members.get("software_statement").filter(|value| registrar == Registrar::Dynamic && !value.is_null()) {
        Some(statement) => software_statements::verified(server, statement).await?.over(members),
        None => ClientMetadata::from_members(members),
    }
}

/// Who asks by a token, and as whom the record names them; otherwise the answer that asks for a token, recorded.
pub(super) async fn asking(server: &Arc<Server>, exchange: &Exchange) -> Result<(Principal, Agent), Answer> {
    let principal = match authenticate::authenticate(server, exchange).await {
        Ok(authenticated) => authenticated.beside_fhir(),
        Err(error) => {
            let (outcome, draft) = reply::not_authenticated(&error);
            let account = Account::new(Event::Administration, exchange.agent(), outcome, error.to_string());
            return Err(reply::recorded(server, exchange, account, draft).await);
        }
    };
    let agent = Agent {
        client: Some(principal.client().as_str().to_owned()),
        token: principal.token_id().map(|token| token.as_str().to_owned()),
        user: principal.user().map(|user| user.id.as_str().to_owned()),
        ..exchange.agent()
    };
    Ok((principal, agent))
}

/// Serves one request.
pub async fn serve(server: &Arc<Server>, exchange: &Exchange, route: ClientRoute, incoming: Incoming) -> Answer {
    let (principal, agent) = match asking(server, exchange).await {
        Ok(asking) => asking,
        Err(answer) => return answer,
    };
    let fault = match allowed(server, principal.client(), principal.registered().is_some()).await {
        Ok(()) => match act(server, exchange, (&route, incoming), &agent).await {
            Ok(answer) => return answer,
            Err(fault) => fault,
        },
        Err(fault) => fault,
    };
    let draft = match fault.status {
        StatusCode::METHOD_NOT_ALLOWED => fault.draft().with(header::ALLOW, allow(&route)),
        _ => fault.draft(),
    };
    let account = Account::new(Event::Administration, agent, fault.outcome(), fault.detail());
    reply::recorded(server, exchange, account, draft).await
}

/// The registration of this moment decides, so that an entitlement that is taken away ends with the request before.
async fn allowed(server: &Server, client: &ClientId, acts_for_itself: bool) -> Result<(), Fault> {
    let registered = server.registry.client(client).await?;
    if acts_for_itself && registered.is_some_and(|client| client.properties.administrator) {
        return Ok(());
    }
    Err(Fault::new(
        StatusCode::FORBIDDEN,
        "access_denied",
        "this takes a token of its own of a client that is registered as an administrator",
    ))
}

fn allow(route: &ClientRoute) -> &'static str {
    match route {
        ClientRoute::One(_) => "GET, PUT, DELETE",
        _ => "GET, POST",
    }
}

async fn act(
    server: &Arc<Server>,
    exchange: &Exchange,
    (route, incoming): (&ClientRoute, Incoming),
    agent: &Agent,
) -> Result<Answer, Fault> {
    let told = |detail: String| Account::new(Event::Administration, agent.clone(), Outcome::Success, detail);
    let path = |client: &Client| format!("/admin/clients/{}", client.id);
    match (route, &exchange.method) {
        (ClientRoute::All, &Method::GET) => {
            let clients: Vec<Value> =
                server.registry.clients().await?.iter().map(|client| Value::Object(described(client))).collect();
            let draft = json_draft(StatusCode::OK, &json!({"clients": clients}));
            Ok(reply::recorded(server, exchange, told("clients listed".into()), draft).await)
        }
        (ClientRoute::All, &Method::POST) => {
            let id = ClientId::generate(&mut Borrowed(&*server.entropy));
            let Registered { client, secret } = metadata(server, exchange, incoming, (id, None), Registrar::Operator).await?;
            let draft =
                json_draft(StatusCode::CREATED, &with_secret(&client, secret.as_ref().map(|secret| secret.expose().as_str())));
            let draft = draft.with_text(header::LOCATION, &path(&client));
            let account = told(format!("client added: {}", client.id));
            Ok(reply::changed(server, exchange, Change::AddClient(Box::new(client)), account, draft).await?)
        }
        (ClientRoute::One(id), method) => {
            let absent = || Fault::new(StatusCode::NOT_FOUND, "not_found", "there is no such client");
            let before = server.registry.client(id).await?.ok_or_else(absent)?;
            match *method {
                Method::GET => {
                    let draft = json_draft(StatusCode::OK, &Value::Object(described(&before)));
                    Ok(reply::recorded(server, exchange, told(format!("client shown: {id}")), draft).await)
                }
                Method::PUT => {
                    let known = (id.clone(), Some(&before));
                    let Registered { client, secret } = metadata(server, exchange, incoming, known, Registrar::Operator).await?;
                    let body = with_secret(&client, secret.as_ref().map(|secret| secret.expose().as_str()));
                    let change = RegistrationChange::replacing(before, client);
                    let draft = json_draft(StatusCode::OK, &body);
                    Ok(reply::changed(server, exchange, change, told(format!("client changed: {id}")), draft).await?)
                }
                Method::DELETE => {
                    let account = told(format!("client removed: {id}"));
                    let draft = Draft::new(StatusCode::NO_CONTENT);
                    Ok(reply::changed(server, exchange, Change::RemoveClient(id.clone()), account, draft).await?)
                }
                _ => Err(other_method(route)),
            }
        }
        (ClientRoute::All | ClientRoute::Register | ClientRoute::Registration(_), _) => Err(other_method(route)),
    }
}

fn other_method(route: &ClientRoute) -> Fault {
    Fault::new(StatusCode::METHOD_NOT_ALLOWED, "invalid_request", format!("the method must be one of {}", allow(route)))
}

/// A client as it is told, with a secret that it just got.
fn with_secret(client: &Client, secret: Option<&str>) -> Value {
    let mut members = described(client);
    if let Some(secret) = secret {
        members.insert("client_secret".into(), secret.into());
        members.insert("client_secret_expires_at".into(), json!(0));
    }
    Value::Object(members)
}
