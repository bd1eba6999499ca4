//! Batches and transactions: each entry is an interaction of its own, decided, released and recorded on its own. There is no scope for them.
//!
//! <https://hl7.org/fhir/R4/http.html#transaction>. The request itself has a record, too, and each record of an entry names it; the answer leaves when all of
//! them are durable. Entries of a batch are done one after the other in the order in which they stand.

use std::time::Duration;

use http::header::{HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH};
use http::{StatusCode, Uri};
use portcullis_audit::record::{OperationEntry, Outcome, Record};
use portcullis_fhir::bundle::BundleWriter;
use portcullis_fhir::interaction;
use portcullis_fhir::interaction::bundle::{EntryLine, Kind};
use portcullis_fhir::labels::HighWater;
use portcullis_fhir::outcome::{Issue, IssueType};

use super::Exchange;
use super::account::{Account, IF_NONE_EXIST};
use super::authenticate::Credentials;
use super::pipeline::{Finished, Recorded, recorded_with, with_line};
use super::refusal::Refusal;
use super::reply::{FHIR_JSON, Reply, http_date};
use crate::answer::{Answer, Draft};
use crate::authorization_server::developers::refused;
use crate::context::Server;

mod batch;
mod names;
mod preparation;
mod transaction;

/// What one batch or transaction may take.
#[derive(Clone, Copy, Debug)]
pub struct BundleLimits {
    /// The most bytes that the answers to its entries carry together.
    pub bytes: usize,
    /// The longest time for entries that are done one after the other; those that are not begun by then are refused.
    pub time: Duration,
}

impl Default for BundleLimits {
    fn default() -> Self {
        Self { bytes: 32 << 20, time: Duration::from_secs(30) }
    }
}

/// The answer to a batch or transaction, and what must be durable before it leaves.
pub struct Gathered {
    draft: Draft,
    /// The record of the request.
    record: Record,
    /// The records of its entries that are not durable yet.
    entries: Vec<Record>,
}

impl Gathered {
    /// The answer, once everything is recorded.
    pub async fn answer(self, server: &Server) -> Answer {
        recorded_with(server, self.record, self.entries, self.draft).await
    }
}

/// Does what a batch or transaction asks.
pub async fn perform(
    server: &Server,
    exchange: &Exchange,
    credentials: &Credentials,
    body: &[u8],
    account: &mut Account,
) -> Result<Gathered, Refusal> {
    let read = || {
        with_line(server, exchange, "", |line, context| {
            interaction::bundle::parse(&interaction::RequestLine { body, ..line }, context)
        })
    };
    let bundle = server.large.run(body.len(), read).await?;
    let kind = bundle.kind;
    account.operation = Some(OperationEntry { interaction: kind.as_str().to_owned(), ..OperationEntry::default() });
    let finished = match kind {
        Kind::Batch => batch::perform(server, exchange, credentials, (bundle, body.len())).await,
        Kind::Transaction => match transaction::perform(server, exchange, account, (bundle, body.len())).await {
            Ok(finished) => finished,
            Err(failed) => {
                refused::at_fhir(server, exchange, account.principal.as_deref(), failed.refusal.cause()).await;
                let draft =
                    failed.refusal.draft(super::authenticate::Scheme::of(exchange), server.settings.authorization.denials);
                let record = account.refused(server, exchange, &failed.refusal, draft.status()).await;
                return Ok(Gathered { draft, record, entries: failed.records });
            }
        },
    };
    if let Some(operation) = &mut account.operation {
        operation.returned = u32::try_from(finished.len()).ok();
    }
    Ok(gather(exchange, account, kind, finished))
}

fn gather(exchange: &Exchange, account: &Account, kind: Kind, finished: Vec<Finished>) -> Gathered {
    let mut labels = HighWater::default();
    finished.iter().filter_map(|finished| finished.reply.labels()).for_each(|carried| labels.join(carried));
    let mut bundle = BundleWriter::responses(kind.response())
        .labelled(&labels)
        .with_room(finished.len(), finished.iter().map(|finished| finished.reply.length()).sum());
    let mut entries = Vec::with_capacity(finished.len());
    for Finished { reply, recorded } in finished {
        reply.write(&mut bundle);
        match recorded {
            Recorded::Durable(_receipt) => {}
            Recorded::Next(record) => entries.push(*record),
            Recorded::WithParts(record, parts) => entries.extend(parts.into_iter().chain([*record])),
        }
    }
    let draft = Draft::new(StatusCode::OK).body(FHIR_JSON, bundle.finish());
    Gathered { record: account.record(exchange, Outcome::Success, StatusCode::OK), draft, entries }
}

/// An entry as a request of its own. Its answer carries what it wrote only where the request prefers that.
fn entry_exchange(server: &Server, exchange: &Exchange, line: &EntryLine) -> Result<Exchange, Issue> {
    let method = http::Method::from_bytes(line.method_name.as_bytes())
        .map_err(|_| Issue::error(IssueType::Value, "The method is one of GET, HEAD, POST, PUT and DELETE.").at("http"))?;
    let base = exchange.target.path().trim_end_matches('/');
    let query = if line.query.is_empty() { String::new() } else { format!("?{}", line.query) };
    let target = Uri::try_from(format!("{base}{}{query}", line.path))
        .map_err(|_| Issue::error(IssueType::Value, "The address is not percent-encoded as addresses are.").at("http"))?;
    let mut headers = HeaderMap::new();
    let mut set = |name: HeaderName, place: &str, value: Option<&str>| {
        let Some(value) = value else { return Ok(()) };
        let value = HeaderValue::from_str(value);
        let value = value.map_err(|_| Issue::error(IssueType::Value, "The text is not plain.").at(format!("http.{place}")))?;
        headers.insert(name, value);
        Ok(())
    };
    set(IF_MATCH, "If-Match", line.if_match.as_deref())?;
    set(IF_NONE_MATCH, "If-None-Match", line.if_none_match.as_deref())?;
    set(IF_NONE_EXIST, "If-None-Exist", line.if_none_exist.as_deref())?;
    set(IF_MODIFIED_SINCE, "If-Modified-Since", line.if_modified_since.map(http_date).as_deref())?;
    let prefer = exchange.header(&HeaderName::from_static("prefer")).unwrap_or_default();
    // Of several the first counts.
    set(HeaderName::from_static("prefer"), "Prefer", Some(&format!("{prefer}, return=minimal")))?;
    Ok(exchange.entry(format!("{:032x}", server.random_u128()), method, target, headers))
}

/// The answer to HEAD, which carries nothing.
fn as_asked(exchange: &Exchange, reply: Reply) -> Reply {
    if exchange.method == http::Method::HEAD { reply.without_body() } else { reply }
}

/// What is said of the entry with which the answers to a transaction become too large.
fn too_large() -> Refusal {
    let message = "The answers to this transaction are too large together. Read less in one.";
    refusal_of(413, Issue::error(IssueType::TooLong, message).at("http"))
}

/// An issue of the request that an entry makes.
fn refusal_of(status: u16, issue: Issue) -> Refusal {
    Refusal::Parse(interaction::Refusal::new(status, issue))
}
