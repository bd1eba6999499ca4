//! Imports: resources keep the ids of their source, replace what is stored under them, and are recorded in the transaction that stores them.
//!
//! A batch is one transaction. Where it fails, its halves are tried, and their halves, so that one resource that cannot be stored keeps no other from
//! being stored. What cannot be read as a resource is refused before anything is written. References are stored as they are.

use std::collections::BTreeMap;
use std::time::Duration;

use portcullis_audit::PendingRecord;
use portcullis_audit::record::{Event, OperationEntry, Outcome};
use portcullis_fhir::interaction;
use portcullis_fhir::outcome::Issue;
use portcullis_fhir::resource::Resource;
use portcullis_fhir::types::LogicalId;
use portcullis_fhir::version::NewVersion;
use portcullis_jose::digest::sha256;
use portcullis_oauth::principal::Principal;
use portcullis_policy::{Change, Decision, Operation, PermittedOperation, WriteSet, decide};
use portcullis_store::StoreError;

use super::protocol::{ImportBatch, ImportReport, ImportResource, Reason, RefusalKind, Refused, RefusedResource};
use super::service::{Description, record_of};
use crate::context::Server;

/// The largest resource, in bytes.
pub const MAXIMUM_RESOURCE: usize = 16 * 1024 * 1024;
/// How often a batch is tried while the store is busy.
const ATTEMPTS: u32 = 6;
/// The wait before the second attempt; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(50);

/// A batch of which every resource has been read: ready to be stored, or refused.
#[derive(Debug)]
pub struct Prepared {
    batch: ImportBatch,
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
pub fn prepare(server: &Server, batch: ImportBatch) -> Prepared {
    let mut prepared = Prepared { versions: Vec::with_capacity(batch.resources.len()), refused: Vec::new(), batch };
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
    let Prepared { batch, versions, mut refused } = prepared;
    let mut stored = BTreeMap::new();
    let mut waiting = vec![versions];
    while let Some(versions) = waiting.pop() {
        let indexes: Vec<usize> = versions.iter().map(|(index, _)| *index).collect();
        if indexes.is_empty() {
            continue;
        }
        let types: Vec<&'static str> = versions.iter().map(|(_, version)| version.resource_type.name()).collect();
        match commit_when_possible(server, principal, &batch, versions).await {
            Ok(()) => types.into_iter().for_each(|name| *stored.entry(name.to_owned()).or_default() += 1),
            Err(NotStored::Everything(reason)) => return Err(reason),
            Err(NotStored::Resource(reason)) => match indexes.as_slice() {
                [index] => refused.push(RefusedResource { index: *index, reasons: vec![reason] }),
                _ => {
                    let (first, second) = indexes.split_at(indexes.len() / 2);
                    // The first half is stored first: of two versions of a resource the later one must win.
                    waiting.push(again(server, &batch, second));
                    waiting.push(again(server, &batch, first));
                }
            },
        }
    }
    refused.sort_unstable_by_key(|resource| resource.index);
    if !refused.is_empty() {
        record_refusals(server, principal, &batch, &refused).await?;
    }
    Ok(ImportReport { stored, refused })
}

fn again(server: &Server, batch: &ImportBatch, indexes: &[usize]) -> Vec<(usize, NewVersion)> {
    indexes.iter().filter_map(|index| Some((*index, version(server, batch, *index).ok()?))).collect()
}

/// Reads one resource and derives everything that is stored of it.
fn version(server: &Server, batch: &ImportBatch, index: usize) -> Result<NewVersion, Vec<Reason>> {
    let refused = |message: String| vec![Reason { path: None, message }];
    let source = batch.resources.get(index).ok_or_else(|| refused("The batch has no such resource.".to_owned()))?;
    let text = source.resource.get().as_bytes();
    if text.len() > MAXIMUM_RESOURCE {
        return Err(refused(format!("The resource has {} bytes; at most {MAXIMUM_RESOURCE} can be stored.", text.len())));
    }
    let resource = Resource::parse(text).map_err(|issues| issues.into_iter().map(reason).collect::<Vec<_>>())?;
    if !interaction::client_may_write(resource.resource_type()) {
        return Err(refused(format!("Resources of type {} are not stored by clients.", resource.resource_type())));
    }
    let id = match (resource.id(), &source.id) {
        (Some(id), _) => id.clone(),
        (None, Some(id)) => LogicalId::parse(id).ok_or_else(|| refused(format!("'{id}' is not a FHIR id.")))?,
        (None, None) => derived_id(batch, index, source).ok_or_else(|| refused("No id could be made.".to_owned()))?,
    };
    let fresh = LogicalId::parse(&format!("{:032x}", server.random_u128()))
        .ok_or_else(|| refused("No version could be made.".to_owned()))?;
    Ok(NewVersion::of(resource, id, fresh, server.clock.now_milliseconds(), &server.settings.fhir_base))
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
    Reason { path: issue.expression, message: issue.diagnostics }
}

async fn commit_when_possible(
    server: &Server,
    principal: &Principal,
    batch: &ImportBatch,
    versions: Vec<(usize, NewVersion)>,
) -> Result<(), NotStored> {
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
    Ok(())
}

/// One transaction: the changes and their record.
async fn commit(server: &Server, principal: &Principal, source: &str, set: WriteSet) -> Result<(), NotStored> {
    let internal = |message: &str| NotStored::Everything(Refused::new(RefusalKind::Internal, message));
    let operations = set.changes.iter().filter_map(Change::proposed).map(entry).collect();
    let (permit, permitted) = match decide(server.decision_id(), principal, Operation::Write(set)) {
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
    let pending = PendingRecord::new(&record).map_err(|_| internal("An audit record cannot be written as JSON."))?;
    let committed = server.store.commit(permitted, &pending).await.map_err(not_stored)?;
    permit.release_written(committed.written).map_err(|error| internal(&error.to_string()))?;
    pending.receipt(&committed.acknowledgement).map_err(|error| internal(&error.to_string()))?;
    Ok(())
}

fn entry(version: &NewVersion) -> OperationEntry {
    OperationEntry {
        interaction: "create".to_owned(),
        resource_type: Some(version.resource_type.name().to_owned()),
        id: Some(version.id.to_string()),
        version: Some(version.version.to_string()),
        patients: version.patients.iter().map(ToString::to_string).collect(),
        ..OperationEntry::default()
    }
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
        | StoreError::InvalidCursor
        | StoreError::NotSupported(_)
        | StoreError::Corrupt(_) => {
            NotStored::Resource(Reason { path: None, message: format!("The store refused it: {error}.") })
        }
    }
}

/// What was refused is recorded too: which places of which source, never the content.
async fn record_refusals(
    server: &Server,
    principal: &Principal,
    batch: &ImportBatch,
    refused: &[RefusedResource],
) -> Result<(), Refused> {
    let places: Vec<String> = refused
        .iter()
        .map(|resource| batch.first.saturating_add(u64::try_from(resource.index).unwrap_or(u64::MAX)).to_string())
        .collect();
    let detail = format!("{}: {} resources refused, numbers {}", batch.source, refused.len(), places.join(", "));
    let record = record_of(server, principal, &Description { event: Event::Import, outcome: Outcome::Rejected, detail });
    match server.ledger.append(record).await {
        Ok(_receipt) => Ok(()),
        Err(error) => Err(Refused::new(RefusalKind::Unavailable, format!("The audit ledger cannot be written: {error}."))),
    }
}
