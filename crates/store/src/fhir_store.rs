//! The FHIR store: methods that each take what a permit covers and return what nobody may use before release, and one whose answer goes into audit
//! records only.

use std::future::Future;
use std::pin::Pin;

use portcullis_audit::{Acknowledgement, AuditReceipt, OtherBytes, PendingRecord, RecordId, Sought, UnfinishedRecord};
use portcullis_fhir::interaction::{InstanceHistory, Read, VersionRead};
use portcullis_fhir::search::SearchQuery;
use portcullis_fhir::types::{LogicalId, ResourceType};
use portcullis_policy::constraint::TypeSet;
use portcullis_policy::explanation::Evidence;
use portcullis_policy::{
    Authorized, Constraint, Consulted, HistoryPage, SearchPage, StatedRelationship, StoredVersion, Unreleased, WriteSet, Written,
};

use crate::relabelling::{RelabelPart, Relabelled};
use crate::together::{Done, NotDone, Together};

/// A future behind `dyn`.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Why a store could not do what it was asked. None of these says more about hidden records than about absent ones.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Nothing visible has this type and id.
    #[error("not found")]
    NotFound,
    /// The visible resource was deleted.
    #[error("deleted")]
    Gone,
    /// `If-Match` names another version than the current one.
    #[error("version conflict")]
    VersionConflict,
    /// A create or import under an id that exists (imports replace; a collision of server-chosen ids).
    #[error("the id is taken")]
    IdTaken,
    /// The content of a write lies outside the boundary.
    #[error("outside the boundary")]
    OutsideBoundary,
    /// The principal is not shown all of the version that a change would replace.
    #[error("redacted")]
    Redacted,
    /// There is so much of something already that more would make every decision slow; what to do about it.
    #[error("too many: {0}")]
    TooMany(String),
    /// The page bookmark is not one of ours for this principal and query.
    #[error("invalid cursor")]
    InvalidCursor,
    /// The store understands the query but cannot answer it.
    #[error("not supported: {0}")]
    NotSupported(String),
    /// The store is full, locked or unreachable: try again later.
    #[error("unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A stored row fails its authentication or cannot be read.
    #[error("corrupt: {0}")]
    Corrupt(String),
}

/// What a commit returns.
#[derive(Debug)]
pub struct Committed {
    /// What became of each change, in order.
    pub written: Unreleased<Vec<Written>>,
    /// The record as it was completed inside the transaction.
    pub record: PendingRecord,
    /// The backend's word about the record stored in the same transaction.
    pub acknowledgement: Acknowledgement,
}

impl Committed {
    /// What was written, and the receipt: if the record of this id was stored, in exactly the bytes into which it was completed.
    pub fn settle(self, id: &RecordId) -> Result<(Unreleased<Vec<Written>>, AuditReceipt), OtherBytes> {
        if self.record.id() != id {
            return Err(OtherBytes);
        }
        let receipt = self.record.receipt(&self.acknowledgement)?;
        Ok((self.written, receipt))
    }
}

/// What a request by id was after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The type.
    pub resource_type: ResourceType,
    /// The id.
    pub id: LogicalId,
    /// The version, where one was asked for.
    pub version: Option<LogicalId>,
}

/// Storage of FHIR resources.
pub trait FhirStore: Send + Sync {
    /// The current version, also when it is a deletion; `None` where nothing is visible.
    fn read(&self, read: Authorized<Read>) -> BoxFuture<'_, Result<Unreleased<Option<StoredVersion>>, StoreError>>;

    /// One version; `None` unless both it and the current (or last) one are visible.
    fn version_read(&self, read: Authorized<VersionRead>)
    -> BoxFuture<'_, Result<Unreleased<Option<StoredVersion>>, StoreError>>;

    /// The versions of one resource, newest first; none unless the current (or last) one is visible. `binding` as for a search.
    fn history<'a>(
        &'a self,
        history: Authorized<InstanceHistory>,
        binding: &'a [u8],
    ) -> BoxFuture<'a, Result<Unreleased<HistoryPage>, StoreError>>;

    /// One page of a search. `binding` names the principal and context to which cursors are bound.
    fn search<'a>(
        &'a self,
        search: Authorized<SearchQuery>,
        binding: &'a [u8],
    ) -> BoxFuture<'a, Result<Unreleased<SearchPage>, StoreError>>;

    /// Stores all changes and the record, or nothing. The record has one operation per change, which the store completes with the id, the version and
    /// the patients before and after. Resolves after the transaction is durable.
    fn commit(&self, set: Authorized<WriteSet>, record: UnfinishedRecord) -> BoxFuture<'_, Result<Committed, StoreError>>;

    /// Does all steps in one transaction, or none. AuditEvents are in no such transaction. Resolves after it is durable.
    fn commit_together(&self, together: Together) -> BoxFuture<'_, Result<Vec<Done>, NotDone>>;

    /// What is there, for the record of an attempt that released nothing; never for an answer. The work is the same whether something is there or not.
    /// Between the attempt and this, others may have written: the record says what is so now. `asked` is the constraint of the attempt, where one was decided: then it is
    /// said, too, which consents alone kept it from whoever asked.
    fn seek<'a>(&'a self, subject: &'a Subject, asked: Option<&'a Constraint>) -> BoxFuture<'a, Result<Sought, StoreError>>;

    /// The types of which anything is stored: for work that can be left out, never for an answer.
    fn stored_types(&self) -> BoxFuture<'_, Result<TypeSet, StoreError>>;

    /// The consents of these patients for the question of a constraint, as release consults them, for what lies outside the FHIR tables and is somebody's.
    fn consult<'a>(&'a self, asked: &'a Constraint, patients: &'a [LogicalId]) -> BoxFuture<'a, Result<Consulted, StoreError>>;

    /// What decides beside rows whether somebody may see a record: `read` is the right to know what is there, `asked` what that somebody may see. For explanations,
    /// never for an answer; `base_url` tells local references from foreign ones.
    fn evidence<'a>(
        &'a self,
        read: Authorized<Read>,
        asked: &'a Constraint,
        base_url: &'a str,
    ) -> BoxFuture<'a, Result<Evidence, StoreError>>;

    /// For each of these patients and each relationship that a constraint asks for one record that states it, where any does. For explanations, never for an answer.
    fn relationships<'a>(
        &'a self,
        asked: &'a Constraint,
        patients: &'a [LogicalId],
    ) -> BoxFuture<'a, Result<Vec<StatedRelationship>, StoreError>>;

    /// Labels the next stored versions anew by the rules of this store, or says what that would do; `base_url` tells local references from foreign ones.
    fn relabel<'a>(&'a self, part: RelabelPart, base_url: &'a str) -> BoxFuture<'a, Result<Relabelled, StoreError>>;
}

/// Records that were stored with their change and wait to be moved into the ledger.
pub trait Outbox: Send + Sync {
    /// Up to `limit` records in order of storage.
    fn waiting(&self, limit: usize) -> Result<Vec<(RecordId, Vec<u8>)>, StoreError>;

    /// Resolves when records were stored since the last time that it did: at once where that is so already.
    fn filled(&self) -> BoxFuture<'_, ()>;

    /// Removes records that are durable in the ledger.
    fn remove(&self, moved: &[RecordId]) -> Result<(), StoreError>;
}
