//! Operations that are done together or not at all: a transaction, or a write that depends on what a search finds.
//!
//! Each step has its own permit and, where it writes, its own record. What was looked up before, to know what the steps are, is looked up again in the same
//! transaction: what they rest on is still so when they take effect.

use portcullis_audit::UnfinishedRecord;
use portcullis_fhir::search::SearchQuery;
use portcullis_fhir::types::LogicalId;
use portcullis_policy::{Authorized, HistoryPage, PermittedOperation, SearchPage, StoredVersion, Unreleased};

use crate::fhir_store::{Committed, StoreError};

/// What is done together.
#[derive(Debug)]
pub struct Together {
    /// The steps, in the order in which they are done.
    pub steps: Vec<Step>,
    /// What must still be so.
    pub guards: Vec<Guard>,
    /// Names the principal and context to which cursors are bound.
    pub binding: Vec<u8>,
}

/// One step.
#[derive(Debug)]
pub struct Step {
    /// What is done.
    pub operation: PermittedOperation,
    /// For a write: its record, as for [`crate::FhirStore::commit`]. What a step read is recorded when it is released.
    pub record: Option<UnfinishedRecord>,
}

/// A search that found these resources when the steps were made out.
#[derive(Debug)]
pub struct Guard {
    /// The search, under a permit of its own.
    pub search: Authorized<SearchQuery>,
    /// The ids that it found, ascending; at most as many as it asks for.
    pub found: Vec<LogicalId>,
    /// Whether it must find the same after the steps, too.
    pub also_after: bool,
}

/// What became of a step.
#[derive(Debug)]
pub enum Done {
    /// It wrote.
    Written(Committed),
    /// It read a version, which is there: a step that finds nothing fails.
    Version(Unreleased<Option<StoredVersion>>),
    /// It read a history.
    History(Unreleased<HistoryPage>),
    /// It searched.
    Page(Unreleased<SearchPage>),
}

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum NotDone {
    /// This step could not be.
    #[error("step {0} cannot be done")]
    Step(usize, #[source] StoreError),
    /// Others have changed what this guard finds.
    #[error("guard {0} finds something else by now")]
    Outdated(usize),
    /// The steps themselves change what this guard finds.
    #[error("the steps change what guard {0} finds")]
    Ambiguous(usize),
    /// Nothing can be done at this moment.
    #[error(transparent)]
    Store(#[from] StoreError),
}
