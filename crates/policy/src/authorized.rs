//! `Authorized`: an operation that a permit covers, and the only thing that a store accepts.

use std::sync::Arc;

use portcullis_fhir::interaction::{InstanceHistory, Read, VersionRead};
use portcullis_fhir::search::SearchQuery;

use crate::constraint::Constraint;
use crate::decision::DecisionId;
use crate::operation::{Operation, WriteSet};

/// An operation with the constraint under which it may be executed. Made only in this file, only for a permit.
#[derive(Debug)]
pub struct Authorized<T> {
    decision: DecisionId,
    constraint: Arc<Constraint>,
    operation: T,
}

impl<T> Authorized<T> {
    fn new(decision: DecisionId, constraint: &Arc<Constraint>, operation: T) -> Self {
        Self { decision, constraint: Arc::clone(constraint), operation }
    }

    /// The decision that covers it.
    pub fn decision(&self) -> DecisionId {
        self.decision
    }

    /// What must be AND-ed into every statement.
    pub fn constraint(&self) -> &Constraint {
        &self.constraint
    }

    /// The operation.
    pub fn operation(&self) -> &T {
        &self.operation
    }
}

/// An authorized operation of any kind.
#[derive(Debug)]
pub enum PermittedOperation {
    /// Read the current version.
    Read(Authorized<Read>),
    /// Read one version.
    VersionRead(Authorized<VersionRead>),
    /// List versions.
    History(Authorized<InstanceHistory>),
    /// Search one type.
    Search(Authorized<SearchQuery>),
    /// Change records.
    Write(Authorized<WriteSet>),
}

impl PermittedOperation {
    pub(crate) fn new(decision: DecisionId, constraint: &Arc<Constraint>, operation: Operation) -> Self {
        match operation {
            Operation::Read(read) => Self::Read(Authorized::new(decision, constraint, read)),
            Operation::VersionRead(read) => Self::VersionRead(Authorized::new(decision, constraint, read)),
            Operation::History(history) => Self::History(Authorized::new(decision, constraint, history)),
            Operation::Search(query) => Self::Search(Authorized::new(decision, constraint, query)),
            Operation::Write(set) => Self::Write(Authorized::new(decision, constraint, set)),
        }
    }
}
