//! Imports: resources keep the ids of their source, replace what is stored under them, and are recorded in the transaction that stores them.
//!
//! A batch is one commit. Where it fails, its halves are tried, and their halves, so that one resource that cannot be stored keeps no other from
//! being stored. What cannot be read as a resource is refused before anything is written. The resources of a transaction are stored together or not at
//! all: one that is refused refuses them all, and none is tried again alone. References are stored as they are.

use std::time::Duration;

use portcullis_audit::UnfinishedRecord;
use portcullis_audit::record::{Event, OperationEntry, Outcome};
use portcullis_fhir::interaction;
use portcullis_fhir::json;
use portcullis_fhir::outcome::Issue;
use portcullis_fhir::resource::Resource;
use portcullis_fhir::types::LogicalId;
use portcullis_fhir::version::NewVersion;
use portcullis_jose::digest::sha256;
use portcullis_oauth::principal::Principal;
use portcullis_policy::{Change, Decision, Operation, PermittedOperation, WriteSet, Written, decide};
use portcullis_store::StoreError;

use super::protocol::{
    ImportBatch, ImportReport, ImportResource, MAXIMUM_TRANSACTION_BYTES, MAXIMUM_TRANSACTION_RESOURCES, Reason, RefusalKind,
    Refused, RefusedResource, transaction_limit,
};
use super::service::{Description, record_of};
use crate::context::Server;
use crate::resource_server::acceptance;

/// The largest resource, in bytes.
pub const MAXIMUM_RESOURCE: usize = 16 * 1024 * 1024;
/// How often a batch is tried while the store is busy.
const ATTEMPTS: u32 = 6;
/// The wait before the second attempt; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(50);

/// What is stored, or not, on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Each resource.
    Resource,
    /// The whole batch, which is a transaction.
    Batch,
}

/// A batch of which every resource has been read: ready to be stored, or refused.
#[derive(Debug)]
pub struct Prepared {
    batch: ImportBatch,
    unit: Unit,
    versions: Vec<(usize, NewVersion)>,
    refused: Vec<RefusedResource>,
}

/// Why a set was not stored.
enum NotStored {
    /// One of its resources cannot be.
    Resource(Reason),
    /// Nothing can be at this moment.
    Everything(Refused),
}

/// Reads every resource of a batch. Takes a core for some milliseconds: not for async threads.
pub fn prepare(server: &Server, batch: ImportBatch, unit: Unit) -> Prepared {
    let mut prepared = Prepared { versions: Vec::with_capacity(batch.resources.len()), refused: Vec::new(), batch, unit };
    for index in 0..prepared.batch.resources.len() {
        match version(server, &prepared.batch, index) {
            Ok(version) => prepared.versions.push((index, version)),
            Err(reasons) => prepared.refused.push(RefusedResource { index, reasons }),
        }
    }
    prepared
}

/// Stores what was prepared.
pub async fn store(server: &Server, principal: &Principal, prepared: Prepared) -> Result<ImportReport, Refused> {
    let report = match prepared.unit {
        Unit::Resource => store_each(server, principal, &prepared.batch, (prepared.versions, prepared.refused)).await?,
        Unit::Batch => store_together(server, principal, &prepared.batch, (prepared.versions, prepared.refused)).await?,
    };
    if !report.refused.is_empty() || report.transaction.is_some() {
        record_refusals(server, principal, &prepared.batch, &report).await?;
    }
    Ok(report)
}

/// What was read of a batch, and what could not be.
type Read = (Vec<(usize, NewVersion)>, Vec<RefusedResource>);

/// All that can be stored.
async fn store_each(
    server: &Server,
    principal: &Principal,
    batch: &ImportBatch,
    (versions, refused): Read,
) -> Result<ImportReport, Refused> {
    let mut report = ImportReport { refused, ..ImportReport::default() };
    let mut waiting = vec![versions];
    while let Some(versions) = waiting.pop() {
        let indexes: Vec<usize> = versions.iter().map(|(index, _)| *index).collect();
        if indexes.is_empty() {
            continue;
        }
        match commit_when_possible(server, principal, batch, versions).await {
            Ok(written) => count(&mut report, &written),
            Err(NotStored::Everything(reason)) => return Err(reason),
            Err(NotStored::Resource(reason)) => match indexes.as_slice() {
                [index] => report.refused.push(RefusedResource { index: *index, reasons: vec![reason] }),
                _ => {
                    let (first, second) = indexes.split_at(indexes.len() / 2);
                    // The first half is stored first: of two versions of a resource the later one must win.
                    waiting.push(again(server, batch, second));
                    waiting.push(again(server, batch, first));
                }
            },
        }
    }
    report.refused.sort_unstable_by_key(|resource| resource.index);
    Ok(report)
}

/// All or none, in one commit: "a set of actions that succeed or fail together" (<https://hl7.org/fhir/R4/http.html#transaction>).
async fn store_together(
    server: &Server,
    principal: &Principal,
    batch: &ImportBatch,
    (versions, refused): Read,
) -> Result<ImportReport, Refused> {
    let mut report = ImportReport { refused, ..ImportReport::default() };
    report.transaction = too_large(batch);
    if report.transaction.is_some() || !report.refused.is_empty() || versions.is_empty() {
        return Ok(report);
    }
    match commit_when_possible(server, principal, batch, versions).await {
        Ok(written) => count(&mut report, &written),
        Err(NotStored::Everything(reason)) => return Err(reason),
        Err(NotStored::Resource(reason)) => report.transaction = Some(reason),
    }
    Ok(report)
}

fn too_large(batch: &ImportBatch) -> Option<Reason> {
    let bytes: usize = batch.resources.iter().map(|resource| resource.resource.get().len()).sum();
    let fits = batch.resources.len() <= MAXIMUM_TRANSACTION_RESOURCES && bytes <= MAXIMUM_TRANSACTION_BYTES;
    (!fits).then(|| Reason { path: None, message: transaction_limit(), line: None })
}

fn count(report: &mut ImportReport, written: &[Written]) {
    for one in written {
        if matches!(one, Written::Unchanged(_)) {
            report.unchanged += 1;
            continue;
        }
        *report.stored.entry(one.version().resource_type.name().to_owned()).or_default() += 1;
        report.replaced += u64::from(matches!(one, Written::Updated(_)));
    }
}

fn again(server: &Server, batch: &ImportBatch, indexes: &[usize]) -> Vec<(usize, NewVersion)> {
    indexes.iter().filter_map(|index| Some((*index, version(server, batch, *index).ok()?))).collect()
}

/// Reads one resource and derives everything that is stored of it.
fn version(server: &Server, batch: &ImportBatch, index: usize) -> Result<NewVersion, Vec<Reason>> {
    let refused = |message: String| vec![Reason { path: None, message, line: None }];
    let source = batch.resources.get(index).ok_or_else(|| refused("The batch has no such resource.".to_owned()))?;
    let text = source.resource.get().as_bytes();
    if text.len() > MAXIMUM_RESOURCE {
        return Err(refused(format!("The resource has {} bytes; at most {MAXIMUM_RESOURCE} can be stored.", text.len())));
    }
    let value = json::parse(text).map_err(|error| vec![Reason::not_json(&error)])?;
    let resource = Resource::from_value(value).map_err(|issues| issues.into_iter().map(reason).collect::<Vec<_>>())?;
    if !interaction::client_may_write(resource.resource_type()) {
        return Err(refused(format!("Resources of type {} are not stored by clients.", resource.resource_type())));
    }
    let issues = acceptance::issues(server, &resource);
    if !issues.is_empty() {
        return Err(issues.into_iter().map(reason).collect());
    }
    let id = match (resource.id(), &source.id) {
        (Some(id), _) => id.clone(),
        (None, Some(id)) => LogicalId::parse(id).ok_or_else(|| refused(format!("'{id}' is not a FHIR id.")))?,
        (None, None) => derived_id(batch, index, source).ok_or_else(|| refused("No id could be made.".to_owned()))?,
    };
    let fresh = LogicalId::parse(&format!("{:032x}", server.random_u128()))
        .ok_or_else(|| refused("No version could be made.".to_owned()))?;
    NewVersion::of(resource, id, fresh, server.clock.now_milliseconds(), &server.settings.fhir_base)
        .map_err(|issue| vec![reason(issue)])
}

/// The id of a resource that has none: the same source gives the same ids, so that loading it twice stores it once.
fn derived_id(batch: &ImportBatch, index: usize, resource: &ImportResource) -> Option<LogicalId> {
    let ordinal = batch.first + u64::try_from(index).ok()?;
    let content = sha256(resource.resource.get());
    let digest = sha256([batch.source.as_bytes(), &[0], &ordinal.to_be_bytes(), &content].concat());
    let digits: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    LogicalId::parse(&digits)
}

fn reason(issue: Issue) -> Reason {
    Reason { path: issue.expression, message: issue.diagnostics, line: None }
}

async fn commit_when_possible(
    server: &Server,
    principal: &Principal,
    batch: &ImportBatch,
    versions: Vec<(usize, NewVersion)>,
) -> Result<Vec<Written>, NotStored> {
    let indexes: Vec<usize> = versions.iter().map(|(index, _)| *index).collect();
    let mut next = versions;
    let mut wait = FIRST_WAIT;
    for attempt in 1.. {
        let set = WriteSet { changes: next.into_iter().map(|(_, version)| Change::Import(version)).collect() };
        match commit(server, principal, &batch.source, set).await {
            Err(NotStored::Everything(refused)) if refused.kind == RefusalKind::Unavailable && attempt < ATTEMPTS => {
                tokio::time::sleep(wait).await;
                wait *= 2;
                next = again(server, batch, &indexes);
            }
            outcome => return outcome,
        }
    }
    Ok(Vec::new())
}

/// One transaction: the changes and their record.
async fn commit(server: &Server, principal: &Principal, source: &str, set: WriteSet) -> Result<Vec<Written>, NotStored> {
    let internal = |message: &str| NotStored::Everything(Refused::new(RefusalKind::Internal, message));
    let operations = set.changes.iter().filter_map(Change::proposed).map(entry).collect();
    let (permit, permitted) = match decide(server.basis(), principal, Operation::Write(set)) {
        Decision::Permit(permit, PermittedOperation::Write(set)) => (permit, set),
        Decision::Permit(..) => return Err(internal("Another operation was permitted than the one that was asked for.")),
        Decision::Deny(_) => {
            return Err(NotStored::Everything(Refused::new(RefusalKind::Denied, "Policy does not let this command import.")));
        }
    };
    let mut record =
        record_of(server, principal, &Description { event: Event::Import, outcome: Outcome::Success, detail: source.to_owned() });
    record.decision = Some(permit.id().to_string());
    record.operations = operations;
    let id = record.id.clone();
    let committed = server.store.commit(permitted, UnfinishedRecord::new(record)).await.map_err(not_stored)?;
    let (written, _receipt) = committed.settle(&id).map_err(|error| internal(&error.to_string()))?;
    let released = permit.release_written(written).map_err(|error| internal(&error.to_string()))?;
    Ok(released.into_content())
}

/// The store completes it with id, version and patients.
fn entry(version: &NewVersion) -> OperationEntry {
    OperationEntry { resource_type: Some(version.resource_type.name().to_owned()), ..OperationEntry::default() }
}

fn not_stored(error: StoreError) -> NotStored {
    match error {
        StoreError::Unavailable(source) => {
            let message = format!("The store cannot be written: {source}.");
            NotStored::Everything(Refused::new(RefusalKind::Unavailable, message))
        }
        StoreError::NotFound
        | StoreError::Gone
        | StoreError::VersionConflict
        | StoreError::IdTaken
        | StoreError::OutsideBoundary
        | StoreError::Redacted
        | StoreError::TooMany(_)
        | StoreError::InvalidCursor
        | StoreError::NotSupported(_)
        | StoreError::Corrupt(_) => {
            NotStored::Resource(Reason { path: None, message: format!("The store refused it: {error}."), line: None })
        }
    }
}

/// What was refused is recorded too: which places of which source, never the content.
async fn record_refusals(
    server: &Server,
    principal: &Principal,
    batch: &ImportBatch,
    report: &ImportReport,
) -> Result<(), Refused> {
    let places: Vec<String> = report
        .refused
        .iter()
        .map(|resource| batch.first.saturating_add(u64::try_from(resource.index).unwrap_or(u64::MAX)).to_string())
        .collect();
    let detail = match &report.transaction {
        None => format!("{}: {} resources refused, numbers {}", batch.source, places.len(), places.join(", ")),
        Some(_) => {
            format!("{}: a transaction of {} resources refused, from number {}", batch.source, batch.resources.len(), batch.first)
        }
    };
    let record = record_of(server, principal, &Description { event: Event::Import, outcome: Outcome::Rejected, detail });
    match server.ledger.append(record).await {
        Ok(_receipt) => Ok(()),
        Err(error) => Err(Refused::new(RefusalKind::Unavailable, format!("The audit ledger cannot be written: {error}."))),
    }
}
