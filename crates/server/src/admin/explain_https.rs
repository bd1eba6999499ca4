//! `POST /admin/policy/explain`: the explanation of a decision over HTTPS, JSON in and out, as `portcullis policy explain --json` has it.
//!
//! Whoever asks is a program: a client that the operator registered for it (`explains_decisions`), with an access token of its own. A person's token never
//! explains anything, whoever the person is: what an app is told about its own request does not change. An explanation tells what is in a record's labels and in the
//! consents of its patients, so it is on record as an access to the record, with its patients, the client, the token and the question.

use std::sync::Arc;

use http::{Method, StatusCode, header};
use portcullis_audit::record::{Event, OperationEntry, Outcome};
use portcullis_oauth::identifiers::ClientId;
use portcullis_oauth::principal::OperatorOperation;

use super::explain::{ExplainRequest, Explained};
use super::https::{Fault, asking, json_draft};
use super::protocol::{RefusalKind, Refused};
use super::service::{Caller, Service, Task};
use crate::answer::Answer;
use crate::authorization_server::reply::{self, Account};
use crate::context::Server;
use crate::listener::Incoming;
use crate::middleware::body;
use crate::resource_server::Exchange;

/// Serves one request.
pub async fn serve(server: &Arc<Server>, exchange: &Exchange, incoming: Incoming) -> Answer {
    let (principal, agent) = match asking(server, exchange).await {
        Ok(asking) => asking,
        Err(answer) => return answer,
    };
    let own = principal.registered().is_some();
    match explained(server, exchange, (principal.client(), own), incoming).await {
        Ok((detail, explained, about)) => {
            let body = serde_json::to_value(&explained).unwrap_or_default();
            let draft = json_draft(StatusCode::OK, &body);
            let account = Account::new(Event::Administration, agent, Outcome::Success, detail);
            reply::recorded_about(server, exchange, (account, about), draft).await
        }
        Err(fault) => {
            let draft = if fault.is_method() { fault.draft().with(header::ALLOW, "POST") } else { fault.draft() };
            let account = Account::new(Event::Administration, agent, fault.outcome(), fault.detail());
            reply::recorded(server, exchange, account, draft).await
        }
    }
}

async fn explained(
    server: &Arc<Server>,
    exchange: &Exchange,
    (client, acts_for_itself): (&ClientId, bool),
    incoming: Incoming,
) -> Result<(String, Explained, Vec<OperationEntry>), Fault> {
    // The registration of this moment decides, so that a right that is taken away ends with the request before.
    let registered = server.registry.client(client).await?;
    if !acts_for_itself || !registered.is_some_and(|client| client.properties.explains_decisions) {
        let description = "this takes a token of its own of a client that is registered with explains_decisions";
        return Err(Fault::new(StatusCode::FORBIDDEN, "access_denied", description));
    }
    if exchange.method != Method::POST {
        return Err(Fault::new(StatusCode::METHOD_NOT_ALLOWED, "invalid_request", "the method must be POST"));
    }
    let request = read(exchange, incoming).await?;
    let caller = Caller::named(&format!("client:{client}"));
    let task = Task::new(&caller, Some(OperatorOperation::ExplainDecision), request.described());
    let (explained, about) = Service::new(Arc::clone(server)).explanation(&task, &request).await?;
    let detail = format!("{}: {:?}", task.described(), explained.comes).to_lowercase();
    Ok((detail, explained, about))
}

async fn read(exchange: &Exchange, incoming: Incoming) -> Result<ExplainRequest, Fault> {
    let bad = |description: String| Fault::new(StatusCode::BAD_REQUEST, "invalid_request", description);
    let content_type = exchange.header(&header::CONTENT_TYPE).unwrap_or_default();
    if !content_type.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json") {
        return Err(bad("the body must be application/json".into()));
    }
    let bytes = body::read(incoming, body::MAXIMUM_FORM).await;
    let bytes = bytes.map_err(|_| bad("the body is too large or incomplete".into()))?;
    serde_json::from_slice(&bytes).map_err(|error| bad(format!("the body is no question: {error}")))
}

impl From<Refused> for Fault {
    fn from(refused: Refused) -> Self {
        let (status, code) = match refused.kind {
            RefusalKind::Invalid | RefusalKind::Conflict => (StatusCode::BAD_REQUEST, "invalid_request"),
            RefusalKind::NotFound => (StatusCode::NOT_FOUND, "not_found"),
            RefusalKind::Denied => (StatusCode::FORBIDDEN, "access_denied"),
            RefusalKind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable"),
            RefusalKind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "server_error"),
        };
        Self::new(status, code, refused.message)
    }
}
