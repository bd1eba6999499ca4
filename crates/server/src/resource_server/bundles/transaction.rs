//! A transaction: entries that succeed or fail together.
//!
//! <https://hl7.org/fhir/R4/http.html#transaction>. The order is that of the specification: DELETE, POST, PUT, then GET and HEAD, which see what was written. All
//! of it, and the records of the writes, are one transaction of the store. Where an entry fails, nothing is written, and the answer says which one it was.

use std::time::Instant;

use http::{Method, StatusCode};
use portcullis_audit::UnfinishedRecord;
use portcullis_audit::record::{Outcome, Record};
use portcullis_fhir::interaction::bundle::BundleRequest;
use portcullis_fhir::outcome::{Issue, IssueType};
use portcullis_policy::{Permit, PermittedOperation};
use portcullis_store::StoreError;
use portcullis_store::together::{Done, NotDone, Step, Together};

use super::super::Exchange;
use super::super::account::Account;
use super::super::authenticate::Scheme;
use super::super::conditions;
use super::super::pipeline::{Finished, Recorded, execute_and_release, settle, written};
use super::super::purpose;
use super::super::refusal::Refusal;
use super::super::respond::{self, Asked, Found};
use super::preparation::{Coming, Entry, Prepared, at, prepare};
use super::{BundleLimits, as_asked, refusal_of, too_large};
use crate::context::Server;

/// The most searches and histories in a transaction that writes: they are done while everybody else waits to write.
const MAXIMUM_SEARCHES: usize = 20;

/// A transaction that failed.
pub struct Failed {
    /// Why, and at which entry.
    pub refusal: Refusal,
    /// What is to be recorded of its entries.
    pub records: Vec<Record>,
}

/// Does all entries, or none.
pub async fn perform(
    server: &Server,
    exchange: &Exchange,
    account: &Account,
    (bundle, length): (BundleRequest, usize),
) -> Result<Vec<Finished>, Failed> {
    let mut entries = Vec::with_capacity(bundle.entries.len());
    let attempt = async {
        let prepared = prepare(server, exchange, account, (bundle, length), &mut entries).await?;
        carry_out(server, account, prepared, &mut entries).await
    };
    match attempt.await {
        Ok(finished) => Ok(finished),
        Err(refusal) => Err(Failed { records: records_of_failure(server, exchange, &entries, &refusal).await, refusal }),
    }
}

/// One record for each entry: of the one that failed why, of the others that it was not done. What failed after the writes were durable took none of them back,
/// and their records are durable with them.
async fn records_of_failure(server: &Server, exchange: &Exchange, entries: &[Entry], refusal: &Refusal) -> Vec<Record> {
    let status = refusal.draft(Scheme::of(exchange), server.settings.authorization.denials).status();
    let after_writes = entries.iter().any(|entry| entry.durable);
    let why = if after_writes { "not answered: another entry failed" } else { "not done: the transaction failed" };
    let mut records = Vec::with_capacity(entries.len());
    for (index, entry) in entries.iter().enumerate().filter(|(_, entry)| !entry.durable) {
        records.push(match refusal {
            Refusal::Entry(failed, cause) if *failed == index => {
                let record = entry.account.refused(server, &entry.exchange, cause, status).await;
                if purpose::is_alert(cause)
                    && purpose::alerted(server, entry.account.principal.as_deref(), &record).await.is_some()
                {
                    continue;
                }
                record
            }
            _ => {
                let mut record = entry.account.record(&entry.exchange, Outcome::Rejected, status);
                record.detail = Some(why.to_owned());
                record
            }
        });
    }
    records
}

/// What is left to answer of an entry that is permitted.
struct Open {
    index: usize,
    asked: Asked,
    permit: Permit,
}

async fn carry_out(
    server: &Server,
    account: &Account,
    prepared: Prepared,
    entries: &mut [Entry],
) -> Result<Vec<Finished>, Refusal> {
    let Prepared { coming, guards } = prepared;
    let mut finished: Vec<Option<Finished>> = coming.iter().map(|_| None).collect();
    let mut permitted: Vec<(Open, PermittedOperation)> = Vec::with_capacity(coming.len());
    for (index, ((asked, coming), entry)) in coming.into_iter().zip(entries.iter_mut()).enumerate() {
        match coming {
            Coming::Permitted(permit, operation) => permitted.push((Open { index, asked, permit }, *operation)),
            Coming::Settled(settled) => {
                let done = settle(server, &entry.exchange, (&asked, &mut entry.account), &settled).await;
                put(&mut finished, index, done);
            }
        }
    }
    permitted.sort_by_key(|(open, operation)| (turn(entries.get(open.index), operation), open.index));
    if permitted.iter().any(|(_, operation)| matches!(operation, PermittedOperation::Write(_))) {
        check_searches(&permitted)?;
        let (open, operations): (Vec<Open>, Vec<PermittedOperation>) = permitted.into_iter().unzip();
        let (places, guards): (Vec<usize>, Vec<_>) = guards.into_iter().unzip();
        let steps = open.iter().zip(operations).map(|(open, operation)| step(entries.get(open.index), operation)).collect();
        let together = Together { steps, guards, binding: account.principal()?.binding() };
        server.ledger.health()?;
        let done = server.store.commit_together(together).await.map_err(|error| not_done(error, &open, &places))?;
        for (open, done) in open.iter().zip(&done) {
            if let (Some(entry), Done::Written(_)) = (entries.get_mut(open.index), done) {
                entry.durable = true;
            }
        }
        for (open, done) in open.into_iter().zip(done) {
            let Some(entry) = entries.get(open.index) else { continue };
            put(&mut finished, open.index, release(server, entry, &open, done).await.map_err(at(open.index))?);
        }
    } else {
        read_all(server, account, (permitted, entries), &mut finished).await?;
    }
    finished.into_iter().map(|done| done.ok_or(Refusal::Internal("an entry has no answer"))).collect()
}

fn put(finished: &mut [Option<Finished>], index: usize, done: Finished) {
    if let Some(place) = finished.get_mut(index) {
        *place = Some(done);
    }
}

/// When an entry is done.
fn turn(entry: Option<&Entry>, operation: &PermittedOperation) -> u8 {
    let method = entry.map(|entry| &entry.exchange.method);
    match operation {
        PermittedOperation::Write(_) if method == Some(&Method::DELETE) => 0,
        PermittedOperation::Write(_) if method == Some(&Method::POST) => 1,
        PermittedOperation::Write(_) => 2,
        _ => 3,
    }
}

fn check_searches(permitted: &[(Open, PermittedOperation)]) -> Result<(), Refusal> {
    let searches = permitted
        .iter()
        .filter(|(_, operation)| matches!(operation, PermittedOperation::Search(_) | PermittedOperation::History(_)));
    let Some((open, _)) = searches.into_iter().nth(MAXIMUM_SEARCHES) else { return Ok(()) };
    let message = format!(
        "At most {MAXIMUM_SEARCHES} searches and histories are accepted in a transaction that writes. Use a batch for the rest."
    );
    Err(at(open.index)(conditions::refusal(StatusCode::PAYLOAD_TOO_LARGE, IssueType::TooLong, &message)))
}

fn step(entry: Option<&Entry>, operation: PermittedOperation) -> Step {
    let record = match (&operation, entry) {
        (PermittedOperation::Write(set), Some(entry)) => {
            let status = respond::status_of(&set.operation().changes);
            Some(UnfinishedRecord::new(entry.account.record(&entry.exchange, Outcome::Success, status)))
        }
        _ => None,
    };
    Step { operation, record }
}

fn not_done(error: NotDone, open: &[Open], places: &[usize]) -> Refusal {
    let of_entry = |index: Option<usize>, refusal: Refusal| match index {
        Some(index) => at(index)(refusal),
        None => refusal,
    };
    match error {
        NotDone::Step(step, error) => of_entry(open.get(step).map(|open| open.index), Refusal::Store(error)),
        NotDone::Outdated(guard) => of_entry(places.get(guard).copied(), conditions::outdated()),
        NotDone::Ambiguous(guard) => {
            let message = "The transaction itself changes what a conditional reference finds. Refer to the entry by its fullUrl, or to the resource by its id.";
            let refusal = conditions::refusal(StatusCode::PRECONDITION_FAILED, IssueType::Conflict, message);
            of_entry(places.get(guard).copied(), refusal)
        }
        NotDone::Store(error) => Refusal::Store(error),
    }
}

/// Stage 9 of one entry: by its own permit.
async fn release(server: &Server, entry: &Entry, open: &Open, done: Done) -> Result<Finished, Refusal> {
    let found = match done {
        Done::Written(committed) => {
            let (reply, receipt) = written(server, &entry.exchange, &open.asked, (&open.permit, committed))?;
            return Ok(Finished { reply, recorded: Recorded::Durable(receipt) });
        }
        Done::Version(version) => Found::Version(open.permit.release(version)?),
        Done::History(history) => Found::History(open.permit.release(history)?),
        Done::Page(page) => Found::Page(open.permit.release(page)?),
    };
    found_reply(server, entry, &open.asked, &found).await
}

async fn found_reply(server: &Server, entry: &Entry, asked: &Asked, found: &Found) -> Result<Finished, Refusal> {
    let reply = as_asked(&entry.exchange, respond::found(server, &entry.exchange, asked, found)?);
    match reply.status() {
        // What was permitted and found nothing, by either style of denials.
        StatusCode::NOT_FOUND | StatusCode::FORBIDDEN => return Err(Refusal::Store(StoreError::NotFound)),
        StatusCode::GONE => return Err(Refusal::Store(StoreError::Gone)),
        _ => {}
    }
    let record = entry.account.completed(server, &entry.exchange, found.summary(), reply.status()).await;
    Ok(Finished { reply, recorded: Recorded::Next(Box::new(record)) })
}

/// A transaction that writes nothing needs nobody to wait: its entries are read as any others are.
async fn read_all(
    server: &Server,
    account: &Account,
    (permitted, entries): (Vec<(Open, PermittedOperation)>, &[Entry]),
    finished: &mut [Option<Finished>],
) -> Result<(), Refusal> {
    let principal = account.principal()?;
    let BundleLimits { bytes: most, time } = server.settings.bundles;
    let end = Instant::now() + time;
    let mut bytes = 0;
    for (open, operation) in permitted {
        let Some(entry) = entries.get(open.index) else { continue };
        if Instant::now() > end {
            let message = "The transaction has taken too long before this entry. Read less in one, or send a batch.";
            let issue = Issue::error(IssueType::Transient, message).at("http");
            return Err(at(open.index)(refusal_of(503, issue)));
        }
        let read = async {
            let found = execute_and_release(server, &principal, &open.permit, operation).await?;
            found_reply(server, entry, &open.asked, &found).await
        };
        let done = read.await.map_err(at(open.index))?;
        bytes += done.reply.length();
        if bytes > most {
            return Err(at(open.index)(too_large()));
        }
        put(finished, open.index, done);
    }
    Ok(())
}
