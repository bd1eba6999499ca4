//! The decision: a closed set of answers, each with the rules that made it.

use std::fmt;
use std::sync::Arc;

use portcullis_fhir::purpose::PurposeOfUse;
use portcullis_fhir::types::ResourceType;
use portcullis_oauth::scopes::Letter;

use crate::authorized::PermittedOperation;
use crate::constraint::Constraint;
use crate::operator_rules::{OperatorRules, Shadow, Tally};

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

/// What a decision rests on beside the principal and what is asked: its id, and the rules of the operator that hold at this moment.
#[derive(Clone, Debug)]
pub struct Basis {
    /// The decision's id.
    pub id: DecisionId,
    /// The rules.
    pub rules: Arc<OperatorRules>,
}

impl From<DecisionId> for Basis {
    /// Without rules of the operator; a server has them (the repository's tidy test holds where it makes an id).
    fn from(id: DecisionId) -> Self {
        Self { id, rules: Arc::default() }
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
    /// Rules that are tried, with what they would have hidden.
    pub(crate) shadows: Vec<Shadow>,
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
    /// There is no leave to ask for data for this purpose.
    PurposeNotAllowed(PurposeOfUse),
    /// The purpose is break-glass, and the user broke the glass for nobody, or not any more.
    GlassNotBroken,
    /// The search looks at an element that is not shown to the principal: type and parameter.
    RedactedParameter(ResourceType, &'static str),
    /// The change is of a type of which the principal is not shown everything.
    RedactedVersion(ResourceType),
    /// The request mixes changes that need different rights.
    MixedChanges,
    /// App state of a code that is not registered for the client, or about somebody whom the token is not about.
    NotOfThisApp,
}

/// The verdicts that led to a decision, in order of evaluation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace(pub Vec<Verdict>);

/// What one rule said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The rule's stable name.
    pub rule: RuleName,
    /// Whether it allowed.
    pub effect: Effect,
}

impl fmt::Display for Verdict {
    /// As audit records keep it: `name=effect`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}={}", self.rule, self.effect)
    }
}

/// The name of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleName {
    /// One of the program's own.
    BuiltIn(&'static str),
    /// One of the operator's.
    Operator(Arc<str>),
}

impl From<&'static str> for RuleName {
    fn from(name: &'static str) -> Self {
        Self::BuiltIn(name)
    }
}

impl fmt::Display for RuleName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn(name) => formatter.write_str(name),
            Self::Operator(name) => write!(formatter, "rule:{name}"),
        }
    }
}

/// A rule's effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The rule gives access, inside its boundary.
    Permit,
    /// The rule refuses; one refusal is enough.
    Deny,
    /// The rule has nothing to say about this request.
    NotApplicable,
    /// The rule takes a part away of what others give.
    Narrow,
    /// The rule is tried: it would have refused.
    WouldDeny,
    /// The rule is tried: it would have given access, inside its boundary.
    WouldPermit,
    /// The rule is tried: of what was released it would have hidden so many versions.
    WouldHide(Tally),
}

impl Effect {
    /// Whether a record says nothing of it.
    pub fn is_silent(&self) -> bool {
        match self {
            Self::NotApplicable => true,
            Self::WouldHide(tally) => tally.count() == 0,
            Self::Permit | Self::Deny | Self::Narrow | Self::WouldDeny | Self::WouldPermit => false,
        }
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Permit => "permit",
            Self::Deny => "deny",
            Self::NotApplicable => "not-applicable",
            Self::Narrow => "narrow",
            Self::WouldDeny => "would-deny",
            Self::WouldPermit => "would-permit",
            Self::WouldHide(tally) => return write!(formatter, "would-hide:{tally}"),
        })
    }
}
