//! The decision, pure: who may do what to which records, and the types that make it impossible to forget.
//!
//! A request's [`Operation`] meets a [`Principal`](portcullis_oauth::principal::Principal) in [`decide`] and becomes a [`Decision`]. A permit
//! hands out the [`Authorized`] operation that a store accepts; what a store returns is [`Unreleased`] until the
//! same [`Permit`] turns it into [`Released`]. No clock, randomness or I/O.

pub mod app_state;
pub mod authorized;
pub mod combine;
pub mod constraint;
pub mod consulted;
pub mod decision;
pub mod explanation;
pub mod operation;
pub mod operator_rules;
pub mod qualified;
pub mod redaction;
pub mod relationship;
pub mod release;
pub mod rules;
pub mod stored;

#[cfg(test)]
mod tests;

pub use app_state::{AppState, AppStateLookup, AppStatePermit, AppStateWrite, AuthorizedAppState};
pub use authorized::{Authorized, PermittedOperation};
pub use combine::{decide, decide_change, denial};
pub use constraint::{Boundary, Constraint, Visibility, WriteBoundary};
pub use consulted::{ConsentsOf, Consulted, DeniedElements};
pub use decision::{Basis, Decision, DecisionId, Denial, Permit};
pub use operation::{Change, Operation, WriteSet};
pub use operator_rules::OperatorRules;
pub use qualified::{Admission, Exclusion};
pub use relationship::{Actors, InCare, Relationship, StatedRelationship};
pub use release::{Disagreement, Released, Unreleased};
pub use stored::{HistoryPage, Predecessor, SearchPage, StoredVersion, Written};
