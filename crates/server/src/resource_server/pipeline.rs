//! The way of a FHIR request, each stage a line (docs/ARCHITECTURE.md, "The life of a FHIR request").
//!
//! The whole of it runs in a task of its own: neither a disconnect nor a timeout of the peer keeps it from its record.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use http::StatusCode;
use portcullis_audit::record::{Outcome, Record};
use portcullis_audit::{AuditReceipt, LedgerError, RecordId, UnfinishedRecord};
use portcullis_fhir::interaction::{self, Context, Headers, Interaction, Method, Request, RequestLine};
use portcullis_fhir::json::Value;
use portcullis_fhir::outcome::{Issue, IssueType};
use portcullis_fhir::types::LogicalId;
use portcullis_fhir::version::NewVersion;
use portcullis_oauth::principal::Principal;
use portcullis_policy::{Authorized, Change, Operation, Permit, PermittedOperation, WriteSet, Written};
use portcullis_store::Committed;
use portcullis_store::together::{Done, Guard, NotDone, Step, Together};

use super::account::{Account, IF_NONE_EXIST};
use super::conditions::{self, Resolved, Settled};
use super::refusal::Refusal;
use super::reply::{self, Reply};
use super::respond::{self, Asked, Found};
use super::{Exchange, acceptance, authenticate, bundles, patching, purpose, read_only, representation, several};
use crate::answer::{Answer, Draft};
use crate::authorization_server::developers::refused;
use crate::context::Server;
use crate::face::Face;
use crate::listener::Incoming;
use crate::middleware::body;
use crate::middleware::refusals::{self, Admission, Standing};

/// Serves one request to the FHIR base; `path` is what follows the base, still percent-encoded.
pub async fn serve(server: Arc<Server>, exchange: Exchange, path: String, body: Incoming) -> Answer {
    let mut account = Account::default();
    let result = stages(&server, &exchange, &path, body, &mut account).await;
    let format = account.format.unwrap_or_else(|| representation::asked(&exchange, b""));
    let answer = match result {
        Ok(answer) => answer,
        Err(refusal) => refuse(&server, &exchange, account, &refusal).await,
    };
    representation::given(&server, &exchange, format, answer).await
}

async fn stages(
    server: &Server,
    exchange: &Exchange,
    path: &str,
    body: Incoming,
    account: &mut Account,
) -> Result<Answer, Refusal> {
    // Nobody's body is read before we know whose it is.
    let credentials = authenticate::authenticate(server, exchange).await?.stating(account)?;
    let body = body::read(body, body::MAXIMUM_RESOURCE).await?;
    account.format = Some(representation::asked(exchange, &body));
    if !body.is_empty() {
        // A body may take its time, and the access may have been taken back meanwhile.
        account.principal = Some(Arc::new(credentials.establish(server).await?));
    }
    if interaction::bundle::is_posted(Method::parse(exchange.method.as_str()), path) {
        // Boxed, since every request has room for the largest way that it could have taken.
        let gathered = Box::pin(bundles::perform(server, exchange, &credentials, &body, account)).await?;
        return Ok(gathered.answer(server).await);
    }
    let Finished { reply, recorded } = interact(server, exchange, (path, Sent::Body(&body)), account).await?;
    match recorded {
        Recorded::Durable(receipt) => Ok(Answer::recorded(receipt, reply.into_draft())),
        Recorded::Next(record) => Ok(self::recorded(server, *record, reply.into_draft()).await),
        Recorded::WithParts(record, parts) => Ok(recorded_with(server, *record, parts, reply.into_draft()).await),
    }
}

/// What comes with a request line.
pub enum Sent<'a> {
    /// A body.
    Body(&'a [u8]),
    /// The resource of an entry of a batch or transaction whose body has so many bytes.
    Resource(Option<Value>, usize),
}

/// One interaction with its answer, and its record.
pub struct Finished {
    /// The answer, which may not leave before the record is durable.
    pub reply: Reply,
    /// The record.
    pub recorded: Recorded,
}

/// A record: of a write it is durable with the change, of a read it comes next.
pub enum Recorded {
    /// It is.
    Durable(AuditReceipt),
    /// It shall be.
    Next(Box<Record>),
    /// It shall be, and so shall those of what the interaction consisted of.
    WithParts(Box<Record>, Vec<Record>),
}

/// Stages 5 to 9 of one interaction, alone or in a batch; of a write also stage 10.
pub async fn interact(
    server: &Server,
    exchange: &Exchange,
    (path, sent): (&str, Sent<'_>),
    account: &mut Account,
) -> Result<Finished, Refusal> {
    let principal = account.principal()?;
    let (form, length) = match &sent {
        Sent::Body(body) => (*body, body.len()),
        Sent::Resource(_, length) => (&[][..], *length),
    };
    let request = server.large.run(length, || parse(server, exchange, path, sent)).await?;
    let (asked, interaction) = Asked::of(request, &server.settings.fhir_base);
    account.describe(exchange, &interaction, form);
    let overtaken = patching::names_no_version(&interaction);
    let (interaction, guard) = match conditions::resolve(server, &principal, account, interaction).await? {
        // Boxed, since every request has room for the largest way that it could have taken.
        Resolved::Plain(Interaction::SearchOfTypes(search)) => {
            return Box::pin(several::perform(server, exchange, (&asked, account), *search)).await;
        }
        Resolved::Plain(interaction) => (interaction, None),
        Resolved::Guarded(interaction, guard) => (*interaction, Some(guard)),
        // Nothing changes, so it does not matter whether the guard still holds.
        Resolved::Settled(settled, _) => return Ok(settle(server, exchange, (&asked, account), &settled).await),
    };
    let operation = server.large.run(length, || plan(server, interaction, None)).await?;
    account.name_proposed(&operation);
    let style = server.settings.authorization.denials;
    let beyond = style.of_includes(server, &principal, &operation);
    let (by_include, counts) = (beyond.is_some(), respond::counts_matches(&operation));
    let decided = match beyond {
        Some(denial) => Err(account.denied(denial)),
        None => account.decide(server, &principal, operation),
    };
    let (permit, permitted) = match (decided, counts) {
        (Err(refusal), Some(counts)) if style.are_empty(&refusal, by_include) => {
            let reply = respond::no_match(server, &asked, counts)?;
            let record = account.refused(server, exchange, &refusal, reply.status()).await;
            return Ok(Finished { reply, recorded: Recorded::Next(Box::new(record)) });
        }
        (decided, _) => decided?,
    };
    match permitted {
        PermittedOperation::Write(set) => {
            let changed = read_only::changed(set.operation());
            match write(server, exchange, (&asked, account), (permit, set, guard)).await {
                Ok(finished) => Ok(finished),
                Err(refusal) => {
                    let refusal = if overtaken { patching::overtaken(refusal) } else { refusal };
                    Err(read_only::refused(server, &principal, changed, refusal).await)
                }
            }
        }
        reading => {
            let found = execute_and_release(server, &principal, &permit, reading).await?;
            let reply = respond::found(server, exchange, &asked, &found)?;
            let record = account.completed(server, exchange, found.summary(), reply.status()).await;
            Ok(Finished { reply, recorded: Recorded::Next(Box::new(record)) })
        }
    }
}

/// The capability statement, which needs no token, if it can be sent as the request wants it.
pub async fn check_metadata(server: &Server, exchange: &Exchange, path: &str) -> Result<Draft, Answer> {
    let format = representation::asked(exchange, b"");
    match parse(server, exchange, path, Sent::Body(b"")) {
        Ok(_) => Ok(server.capability_statement.draft(format)),
        Err(refusal) => {
            let answer = refuse(server, exchange, Account::default(), &refusal).await;
            Err(representation::given(server, exchange, format, answer).await)
        }
    }
}

/// Stage 3: method, path, query, headers and body become an interaction.
pub fn parse(server: &Server, exchange: &Exchange, path: &str, sent: Sent<'_>) -> Result<Request, Refusal> {
    with_line(server, exchange, path, |line, context| match sent {
        Sent::Body(body) => interaction::parse(&RequestLine { body, ..line }, context),
        Sent::Resource(resource, _) => interaction::parse_entry(&line, resource, context),
    })
}

/// Reads a request, without its body, by this parser.
pub fn with_line<T>(
    server: &Server,
    exchange: &Exchange,
    path: &str,
    read: impl FnOnce(RequestLine<'_>, &Context<'_>) -> Result<T, interaction::Refusal>,
) -> Result<T, Refusal> {
    for name in ["if-match", "if-none-match", "if-none-exist", "if-modified-since", "prefer"] {
        let mut values = exchange.headers.get_all(name).iter();
        let readable = values.next().is_none_or(|value| value.to_str().is_ok()) && values.next().is_none();
        if !readable {
            let issue = Issue::error(IssueType::Invalid, format!("The header {name} must stand once and be plain text."));
            return Err(Refusal::Parse(interaction::Refusal::new(400, issue.at(format!("http.{name}")))));
        }
    }
    let accept = representation::accepted(exchange);
    let headers = Headers {
        accept: Some(&accept),
        content_type: exchange.header(&http::header::CONTENT_TYPE),
        if_match: exchange.header(&http::header::IF_MATCH),
        if_none_match: exchange.header(&http::header::IF_NONE_MATCH),
        if_none_exist: exchange.header(&IF_NONE_EXIST),
        if_modified_since: exchange.header(&http::header::IF_MODIFIED_SINCE).and_then(reply::of_http_date),
        prefer: exchange.header(&http::HeaderName::from_static("prefer")),
    };
    let method = Method::parse(exchange.method.as_str());
    let line = RequestLine { method, path, query: exchange.target.query().unwrap_or_default(), headers, body: b"" };
    let context = context(server, exchange);
    read(line, &context).map_err(Refusal::Parse)
}

/// What parsing a request needs to know besides it.
pub fn context<'a>(server: &'a Server, exchange: &Exchange) -> Context<'a> {
    Context { base_url: &server.settings.fhir_base, now_ms: exchange.received }
}

/// A new id, of a resource or a version.
pub fn fresh(server: &Server) -> Result<LogicalId, Refusal> {
    LogicalId::parse(&format!("{:032x}", server.random_u128())).ok_or(Refusal::Internal("a generated id is not valid"))
}

/// An interaction becomes an operation; what a write will store gets its identity here, where it has none yet.
pub fn plan(server: &Server, interaction: Interaction, new: Option<LogicalId>) -> Result<Operation, Refusal> {
    let now = server.clock.now_milliseconds();
    let base = &server.settings.fhir_base;
    let fresh = || fresh(server);
    let change = match interaction {
        // Answered before authentication; a request that gets here is one more reason to say so.
        Interaction::Capabilities => return Err(Refusal::Internal("capabilities are answered by their own route")),
        Interaction::Read(read) => return Ok(Operation::Read(read)),
        Interaction::VersionRead(read) => return Ok(Operation::VersionRead(read)),
        Interaction::InstanceHistory(history) => return Ok(Operation::History(history)),
        Interaction::Search(query) => return Ok(Operation::Search(query)),
        Interaction::SearchOfTypes(_) => {
            let message =
                "A search of several types and $everything are no part of a transaction. Send them alone or in a batch.";
            return Err(Refusal::Parse(interaction::Refusal::new(
                400,
                Issue::error(IssueType::NotSupported, message).at("http"),
            )));
        }
        Interaction::ConditionalUpdate(_)
        | Interaction::ConditionalDelete(_)
        | Interaction::Patch(_)
        | Interaction::ConditionalPatch(_) => {
            return Err(Refusal::Internal("a condition was not looked up"));
        }
        Interaction::Create(create) => {
            acceptance::acceptable(server, &create.resource)?;
            let id = new.map_or_else(fresh, Ok)?;
            Change::Create(NewVersion::of(create.resource, id, fresh()?, now, base).map_err(unprocessable)?)
        }
        Interaction::Update(update) => {
            acceptance::acceptable(server, &update.resource)?;
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
pub async fn execute_and_release(
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

/// Stages 8 to 10 of a write: the record is stored in the same transaction as the change.
async fn write(
    server: &Server,
    exchange: &Exchange,
    (asked, account): (&Asked, &Account),
    (permit, set, guard): (Permit, Authorized<WriteSet>, Option<Guard>),
) -> Result<Finished, Refusal> {
    server.ledger.health()?;
    let record = account.record(exchange, Outcome::Success, respond::status_of(&set.operation().changes));
    let record = UnfinishedRecord::new(record);
    let committed = match guard {
        None => server.store.commit(set, record).await?,
        Some(guard) => commit_guarded(server, set, record, guard).await?,
    };
    let (reply, receipt) = written(server, exchange, asked, (&permit, committed))?;
    Ok(Finished { reply, recorded: Recorded::Durable(receipt) })
}

/// A write that takes effect only while its condition finds what it found.
async fn commit_guarded(
    server: &Server,
    set: Authorized<WriteSet>,
    record: UnfinishedRecord,
    guard: Guard,
) -> Result<Committed, Refusal> {
    let step = Step { operation: PermittedOperation::Write(set), record: Some(record) };
    let together = Together { steps: vec![step], guards: vec![guard], binding: Vec::new() };
    let done = server.store.commit_together(together).await.map_err(|error| match error {
        NotDone::Step(_, error) | NotDone::Store(error) => Refusal::Store(error),
        NotDone::Outdated(_) | NotDone::Ambiguous(_) => conditions::outdated(),
    })?;
    match done.into_iter().next() {
        Some(Done::Written(committed)) => Ok(committed),
        _ => Err(Refusal::Internal("a write came back as something else")),
    }
}

/// Stages 9 and 10 of a write that is durable.
pub fn written(
    server: &Server,
    exchange: &Exchange,
    asked: &Asked,
    (permit, committed): (&Permit, Committed),
) -> Result<(Reply, AuditReceipt), Refusal> {
    let (written, receipt) = committed
        .settle(&RecordId(exchange.id.clone()))
        .map_err(|_| Refusal::Internal("the store acknowledged another record than the one it was given"))?;
    let released = permit.release_written(written)?;
    let written: &[Written] = released.content();
    Ok((respond::written(server, asked, written), receipt))
}

/// The end of a conditional interaction that changes nothing.
pub async fn settle(
    server: &Server,
    exchange: &Exchange,
    (asked, account): (&Asked, &mut Account),
    settled: &Settled,
) -> Finished {
    let Some(version) = settled.version() else {
        let reply = Reply::new(StatusCode::NO_CONTENT);
        let record = account.completed(server, exchange, (Vec::new(), 0), reply.status()).await;
        return Finished { reply, recorded: Recorded::Next(Box::new(record)) };
    };
    if let Some(operation) = &mut account.operation {
        operation.id = Some(version.id.to_string());
        operation.version = Some(version.version.to_string());
    }
    let reply = respond::existing(server, asked, version);
    let record = account.completed(server, exchange, respond::Summary::of([version]), reply.status()).await;
    Finished { reply, recorded: Recorded::Next(Box::new(record)) }
}

/// Stages 10 and 11: no answer without a durable record.
pub(super) async fn recorded(server: &Server, record: Record, draft: Draft) -> Answer {
    match server.ledger.append(record).await {
        Ok(receipt) => Answer::recorded(receipt, draft),
        Err(error) => Answer::unrecorded(&error, Face::Fhir),
    }
}

/// The same with the records of what the request consisted of: all of them are durable before anything is answered. They are written at one go.
pub async fn recorded_with(server: &Server, record: Record, others: Vec<Record>, draft: Draft) -> Answer {
    match append_all(server, others.into_iter().chain([record])).await {
        Ok(receipts) => match receipts.into_iter().next_back() {
            Some(receipt) => Answer::recorded(receipt, draft),
            None => Answer::unrecorded(&LedgerError::Stopped, Face::Fhir),
        },
        Err(error) => Answer::unrecorded(&error, Face::Fhir),
    }
}

/// Hands all records to the ledger in their order before it waits for any: they share its flushes.
async fn append_all(server: &Server, records: impl Iterator<Item = Record>) -> Result<Vec<AuditReceipt>, LedgerError> {
    let mut waiting: Vec<_> = records.map(|record| (server.ledger.append(record), None)).collect();
    poll_fn(|context| {
        let mut pending = false;
        for (append, receipt) in &mut waiting {
            if receipt.is_none() {
                match append.as_mut().poll(context) {
                    Poll::Ready(result) => *receipt = Some(result),
                    Poll::Pending => pending = true,
                }
            }
        }
        if pending { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    waiting.into_iter().map(|(_, receipt)| receipt.unwrap_or(Err(LedgerError::Stopped))).collect()
}

pub(super) async fn refuse(server: &Server, exchange: &Exchange, account: Account, refusal: &Refusal) -> Answer {
    let standing = match refusal {
        Refusal::Authentication(error) => error.standing(),
        _ => Standing::Stranger,
    };
    if account.principal.is_none()
        && let Admission::Gather(gathered) = refusals::admit(server, exchange.peer.address.ip(), standing)
    {
        return Answer::gathered(gathered, Face::Fhir);
    }
    refused::at_fhir(server, exchange, account.principal.as_deref(), refusal).await;
    let draft = refusal.draft(authenticate::Scheme::of(exchange), server.settings.authorization.denials);
    let record = account.refused(server, exchange, refusal, draft.status()).await;
    if purpose::is_alert(refusal)
        && let Some(receipt) = purpose::alerted(server, account.principal.as_deref(), &record).await
    {
        return Answer::recorded(receipt, draft);
    }
    recorded(server, record, draft).await
}
