//! The decision: a closed set of answers, each with the rules that made it.

use std::fmt;
use std::sync::Arc;

use portcullis_fhir::types::ResourceType;
use portcullis_oauth::scopes::Letter;

use crate::authorized::PermittedOperation;
use crate::constraint::Constraint;

/// Names one decision; 128 random bits from the server's generator. What was authorized under one id cannot be released under another.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DecisionId(pub u128);

impl fmt::Display for DecisionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:032x}", self.0)
    }
}

impl fmt::Debug for DecisionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// The answer.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a decision is matched at once and never stored")]
pub enum Decision {
    /// Allowed, as far as the constraint reaches.
    Permit(Permit, PermittedOperation),
    /// Refused.
    Deny(Denial),
}

/// The right to execute one operation and to release its result.
#[derive(Debug)]
pub struct Permit {
    pub(crate) id: DecisionId,
    pub(crate) constraint: Arc<Constraint>,
    pub(crate) trace: Trace,
}

impl Permit {
    /// The decision's id.
    pub fn id(&self) -> DecisionId {
        self.id
    }

    /// Which rules decided.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// The decision's id.
    pub id: DecisionId,
    /// Why.
    pub reason: DenialReason,
    /// Which rules decided.
    pub trace: Trace,
}

/// Why something was refused. None of these depends on what is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DenialReason {
    /// No scope of the token opens this type for this letter.
    MissingScope(ResourceType, Letter),
    /// The token has `patient/` scopes and no patient in its launch context.
    NoLaunchPatient,
    /// The scopes would allow it, the user's own rights do not.
    UserNotEntitled,
    /// The content of a write would lie outside what the principal may reach.
    OutsideBoundary,
    /// The request mixes changes that need different rights.
    MixedChanges,
}

/// The verdicts that led to a decision, in order of evaluation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace(pub Vec<Verdict>);

/// What one rule said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The rule's stable name.
    pub rule: &'static str,
    /// Whether it allowed.
    pub effect: Effect,
}

/// A rule's effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The rule gives access, inside its boundary.
    Permit,
    /// The rule refuses; one refusal is enough.
    Deny,
    /// The rule has nothing to say about this request.
    NotApplicable,
}
