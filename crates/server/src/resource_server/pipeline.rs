//! The way of a FHIR request, each stage a line (docs/ARCHITECTURE.md, "The life of a FHIR request").
//!
//! The whole of it runs in a task of its own: neither a disconnect nor a timeout of the peer keeps it from its record.

use std::sync::Arc;

use http::StatusCode;
use portcullis_audit::record::{Event, OperationEntry, Outcome, Record};
use portcullis_audit::{RecordId, UnfinishedRecord};
use portcullis_fhir::interaction::{self, Context, Headers, Interaction, Method, Request, RequestLine};
use portcullis_fhir::outcome::{Issue, IssueType};
use portcullis_fhir::types::LogicalId;
use portcullis_fhir::version::NewVersion;
use portcullis_oauth::principal::Principal;
use portcullis_policy::decision::{Effect, Trace};
use portcullis_policy::{Authorized, Change, Decision, Operation, Permit, PermittedOperation, WriteSet, Written, decide};
use portcullis_store::{StoreError, Subject};

use super::exchange::bounded;
use super::refusal::Refusal;
use super::respond::{self, Asked, Found};
use super::{Exchange, authenticate, named};
use crate::answer::{Answer, Draft};
use crate::context::Server;
use crate::face::Face;
use crate::listener::Incoming;
use crate::middleware::body;
use crate::middleware::refusals::{self, Admission, Standing};

/// What is known of a request when its record is written.
#[derive(Default)]
struct Account {
    principal: Option<Principal>,
    operation: Option<OperationEntry>,
    /// What a request by id is after.
    subject: Option<Subject>,
    decision: Option<String>,
    trace: Trace,
}

/// Serves one request to the FHIR base; `path` is what follows the base, still percent-encoded.
pub async fn serve(server: Arc<Server>, exchange: Exchange, path: String, body: Incoming) -> Answer {
    let mut account = Account::default();
    match stages(&server, &exchange, &path, body, &mut account).await {
        Ok(answer) => answer,
        Err(refusal) => refuse(&server, &exchange, account, &refusal).await,
    }
}

async fn stages(
    server: &Server,
    exchange: &Exchange,
    path: &str,
    body: Incoming,
    account: &mut Account,
) -> Result<Answer, Refusal> {
    // Nobody's body is read before we know whose it is.
    let (principal, credentials) = authenticate::authenticate(server, exchange).await?;
    account.principal = Some(principal);
    let body = body::read(body, body::MAXIMUM_RESOURCE).await?;
    if !body.is_empty() {
        // A body may take its time, and the access may have been taken back meanwhile.
        account.principal = Some(credentials.establish(server).await?);
    }
    let principal = account.principal.as_ref().ok_or(Refusal::Internal("a request lost its principal"))?;
    let request = server.large.run(body.len(), || parse(server, exchange, path, &body)).await?;
    let (asked, interaction) = Asked::of(request, &server.settings.fhir_base);
    let mut entry = describe(&interaction, exchange, &body);
    entry.name(named::by(&interaction));
    let entry = account.operation.insert(entry);
    account.subject = subject(&interaction);
    let operation = server.large.run(body.len(), || plan(server, interaction)).await?;
    entry.name(named::proposed(&operation));
    let (permit, permitted) = match decide(server.decision_id(), principal, operation) {
        Decision::Permit(permit, permitted) => (permit, permitted),
        Decision::Deny(denial) => {
            account.decision = Some(denial.id.to_string());
            account.trace = denial.trace.clone();
            return Err(Refusal::Denied(denial));
        }
    };
    account.decision = Some(permit.id().to_string());
    account.trace = permit.trace().clone();
    match permitted {
        PermittedOperation::Write(set) => write(server, exchange, &asked, account, (permit, set)).await,
        reading => {
            let found = execute_and_release(server, principal, &permit, reading).await?;
            let draft = respond::found(server, exchange, &asked, &found)?;
            let record = complete(server, exchange, account, (&found, draft.status())).await;
            // The draft has what it needs: what it was made of shall not wait in memory for the flush of the record.
            drop((found, asked));
            Ok(recorded(server, record, draft).await)
        }
    }
}

/// The capability statement, which needs no token, if it can be sent as the request wants it.
pub async fn check_metadata(server: &Server, exchange: &Exchange, path: &str) -> Result<Draft, Answer> {
    match parse(server, exchange, path, b"") {
        Ok(_) => Ok(Draft::new(StatusCode::OK).body(respond::FHIR_JSON, server.capability_statement.clone())),
        Err(refusal) => Err(refuse(server, exchange, Account::default(), &refusal).await),
    }
}

/// Stage 3: method, path, query, headers and body become an interaction.
fn parse(server: &Server, exchange: &Exchange, path: &str, body: &[u8]) -> Result<Request, Refusal> {
    for name in ["if-match", "if-none-match", "if-none-exist", "prefer"] {
        let mut values = exchange.headers.get_all(name).iter();
        let readable = values.next().is_none_or(|value| value.to_str().is_ok()) && values.next().is_none();
        if !readable {
            let issue = Issue::error(IssueType::Invalid, format!("The header {name} must stand once and be plain text."));
            return Err(Refusal::Parse(interaction::Refusal::new(400, issue.at(format!("http.{name}")))));
        }
    }
    // Several are one list (RFC 9110, section 5.3).
    let accept: Vec<&str> =
        exchange.headers.get_all(http::header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let accept = accept.join(",");
    let headers = Headers {
        accept: Some(&accept),
        content_type: exchange.header(&http::header::CONTENT_TYPE),
        if_match: exchange.header(&http::header::IF_MATCH),
        if_none_match: exchange.header(&http::header::IF_NONE_MATCH),
        if_none_exist: exchange.header(&http::HeaderName::from_static("if-none-exist")),
        prefer: exchange.header(&http::HeaderName::from_static("prefer")),
    };
    let line = RequestLine {
        method: Method::parse(exchange.method.as_str()),
        path,
        query: exchange.target.query().unwrap_or_default(),
        headers,
        body,
    };
    let context = Context { base_url: &server.settings.fhir_base, now_ms: exchange.received };
    interaction::parse(&line, &context).map_err(Refusal::Parse)
}

/// What the record says about the interaction.
fn describe(interaction: &Interaction, exchange: &Exchange, body: &[u8]) -> OperationEntry {
    let entry = |code: &str, resource_type: &str, id: Option<&LogicalId>| OperationEntry {
        interaction: code.to_owned(),
        resource_type: Some(resource_type.to_owned()),
        id: id.map(ToString::to_string),
        ..OperationEntry::default()
    };
    match interaction {
        Interaction::Capabilities => OperationEntry { interaction: "capabilities".to_owned(), ..OperationEntry::default() },
        Interaction::Read(read) => entry("read", read.resource_type.name(), Some(&read.id)),
        Interaction::VersionRead(read) => OperationEntry {
            version: Some(read.version.to_string()),
            ..entry("vread", read.resource_type.name(), Some(&read.id))
        },
        Interaction::InstanceHistory(history) => entry("history-instance", history.resource_type.name(), Some(&history.id)),
        Interaction::Search(query) => {
            let mut sent = exchange.target.query().unwrap_or_default().to_owned();
            if exchange.method == http::Method::POST {
                sent = format!("{sent}&{}", String::from_utf8_lossy(body));
            }
            let sent = bounded(sent.trim_start_matches('&'));
            OperationEntry { query: Some(sent), ..entry("search-type", query.resource_type.name(), None) }
        }
        Interaction::Create(create) => entry("create", create.resource.resource_type().name(), None),
        Interaction::Update(update) => entry("update", update.resource.resource_type().name(), Some(&update.id)),
        Interaction::Delete(delete) => entry("delete", delete.resource_type.name(), Some(&delete.id)),
    }
}

/// What a request by id is after.
fn subject(interaction: &Interaction) -> Option<Subject> {
    let (resource_type, id, version) = match interaction {
        Interaction::Read(read) => (read.resource_type, &read.id, None),
        Interaction::VersionRead(read) => (read.resource_type, &read.id, Some(read.version.clone())),
        Interaction::InstanceHistory(history) => (history.resource_type, &history.id, None),
        Interaction::Update(update) => (update.resource.resource_type(), &update.id, None),
        Interaction::Delete(delete) => (delete.resource_type, &delete.id, None),
        Interaction::Capabilities | Interaction::Search(_) | Interaction::Create(_) => return None,
    };
    Some(Subject { resource_type, id: id.clone(), version })
}

/// An interaction becomes an operation; what a write will store gets its identity here.
fn plan(server: &Server, interaction: Interaction) -> Result<Operation, Refusal> {
    let now = server.clock.now_milliseconds();
    let base = &server.settings.fhir_base;
    let fresh =
        || LogicalId::parse(&format!("{:032x}", server.random_u128())).ok_or(Refusal::Internal("a generated id is not valid"));
    let change = match interaction {
        // Answered before authentication; a request that gets here is one more reason to say so.
        Interaction::Capabilities => return Err(Refusal::Internal("capabilities are answered by their own route")),
        Interaction::Read(read) => return Ok(Operation::Read(read)),
        Interaction::VersionRead(read) => return Ok(Operation::VersionRead(read)),
        Interaction::InstanceHistory(history) => return Ok(Operation::History(history)),
        Interaction::Search(query) => return Ok(Operation::Search(query)),
        Interaction::Create(create) => {
            Change::Create(NewVersion::of(create.resource, fresh()?, fresh()?, now, base).map_err(unprocessable)?)
        }
        Interaction::Update(update) => {
            let version = NewVersion::of(update.resource, update.id, fresh()?, now, base).map_err(unprocessable)?;
            Change::Update { version, if_match: update.if_match }
        }
        Interaction::Delete(delete) => Change::Delete {
            resource_type: delete.resource_type,
            id: delete.id,
            version: fresh()?,
            last_updated: now,
            if_match: delete.if_match,
        },
    };
    Ok(Operation::Write(WriteSet { changes: vec![change] }))
}

/// A resource that is well-formed and cannot be stored.
fn unprocessable(issue: Issue) -> Refusal {
    Refusal::Parse(interaction::Refusal::new(422, issue))
}

/// Stages 8 and 9 of everything that reads.
async fn execute_and_release(
    server: &Server,
    principal: &Principal,
    permit: &Permit,
    permitted: PermittedOperation,
) -> Result<Found, Refusal> {
    Ok(match permitted {
        PermittedOperation::Read(read) => Found::Version(permit.release(server.store.read(read).await?)?),
        PermittedOperation::VersionRead(read) => Found::Version(permit.release(server.store.version_read(read).await?)?),
        PermittedOperation::History(history) => {
            let binding = principal.binding();
            Found::History(permit.release(server.store.history(history, &binding).await?)?)
        }
        PermittedOperation::Search(search) => {
            let binding = principal.binding();
            Found::Page(permit.release(server.store.search(search, &binding).await?)?)
        }
        PermittedOperation::Write(_) => return Err(Refusal::Internal("a write was about to be executed as a read")),
    })
}

/// Stages 8 to 11 of a write: the record is stored in the same transaction as the change.
async fn write(
    server: &Server,
    exchange: &Exchange,
    asked: &Asked,
    account: &Account,
    decided: (Permit, Authorized<WriteSet>),
) -> Result<Answer, Refusal> {
    let (permit, set) = decided;
    server.ledger.health()?;
    let record = open_record(exchange, account, Outcome::Success, respond::status_of(&set.operation().changes));
    let committed = server.store.commit(set, UnfinishedRecord::new(record)).await?;
    let (written, receipt) = committed
        .settle(&RecordId(exchange.id.clone()))
        .map_err(|_| Refusal::Internal("the store acknowledged another record than the one it was given"))?;
    let released = permit.release_written(written)?;
    let written: &[Written] = released.content();
    Ok(Answer::recorded(receipt, respond::written(server, asked, written)))
}

/// A record with what the account holds.
fn open_record(exchange: &Exchange, account: &Account, outcome: Outcome, status: StatusCode) -> Record {
    let agent = account.principal.as_ref().map_or_else(|| exchange.agent(), |principal| exchange.agent_of(principal));
    let event = if account.operation.is_some() { Event::Rest } else { Event::Refused };
    let mut record = exchange.record(event, agent, outcome, status);
    record.decision.clone_from(&account.decision);
    let applicable = account.trace.0.iter().filter(|verdict| verdict.effect != Effect::NotApplicable);
    record.rules = applicable
        .map(|verdict| format!("{}={}", verdict.rule, if verdict.effect == Effect::Permit { "permit" } else { "deny" }))
        .collect();
    record.operations = vec![account.operation.clone().unwrap_or_else(|| exchange.raw_operation())];
    record
}

/// The record of a reading request that succeeded, or found nothing.
async fn complete(server: &Server, exchange: &Exchange, account: &Account, (found, status): (&Found, StatusCode)) -> Record {
    let outcome = if status.is_client_error() { Outcome::Rejected } else { Outcome::Success };
    let mut record = open_record(exchange, account, outcome, status);
    let in_vain = status == StatusCode::NOT_FOUND;
    for operation in &mut record.operations {
        let (patients, returned) = found.summary();
        operation.named.retain(|patient| !patients.contains(patient));
        operation.patients = patients;
        operation.returned = Some(returned);
        if in_vain {
            seek(server, account, operation, true).await;
        }
    }
    record
}

/// What the record alone says of an attempt that released nothing: whether there is something, and in whose records. `in_vain`: to whoever asked, there
/// is nothing.
async fn seek(server: &Server, account: &Account, operation: &mut OperationEntry, in_vain: bool) {
    let Some(subject) = &account.subject else { return };
    match server.store.seek(subject).await {
        Ok(sought) if in_vain => operation.sought_in_vain(sought),
        Ok(sought) => operation.sought_and_refused(sought),
        // The attempt is recorded all the same, and answered as it would have been.
        Err(error) => tracing::error!(%error, "a record cannot say what was sought"),
    }
}

/// Stages 10 and 11: no answer without a durable record.
async fn recorded(server: &Server, record: Record, draft: Draft) -> Answer {
    match server.ledger.append(record).await {
        Ok(receipt) => Answer::recorded(receipt, draft),
        Err(error) => Answer::unrecorded(&error, Face::Fhir),
    }
}

async fn refuse(server: &Server, exchange: &Exchange, account: Account, refusal: &Refusal) -> Answer {
    let standing = match refusal {
        Refusal::Authentication(error) => error.standing(),
        _ => Standing::Stranger,
    };
    if account.principal.is_none()
        && let Admission::Gather(gathered) = refusals::admit(server, exchange.peer.address.ip(), standing)
    {
        return Answer::gathered(gathered, Face::Fhir);
    }
    let draft = refusal.draft(authenticate::Scheme::of(exchange));
    if refusal.outcome() == Outcome::Failed {
        // The record holds the details; a log must not name anybody's resources.
        tracing::error!(request = exchange.id, kind = refusal.kind(), "a FHIR request failed");
    }
    let mut record = open_record(exchange, &account, refusal.outcome(), draft.status());
    record.detail = Some(refusal.to_string());
    let in_vain = match refusal {
        Refusal::Store(StoreError::NotFound) => Some(true),
        Refusal::Store(StoreError::Gone | StoreError::VersionConflict | StoreError::OutsideBoundary) => Some(false),
        // A refusal by scope or role must not depend on what is stored, and the others never got to the store.
        _ => None,
    };
    if let (Some(in_vain), [operation]) = (in_vain, record.operations.as_mut_slice()) {
        seek(server, &account, operation, in_vain).await;
    }
    recorded(server, record, draft).await
}
