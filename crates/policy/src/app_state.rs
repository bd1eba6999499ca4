//! The decision about app state: which cells of it a request may reach, and the only values that a store of it accepts.
//!
//! SMART App Launch 2.2.0, "Persisting App State". State lies in cells: a code, and the person or record that it is about, or nobody. A permit holds the
//! cells that are open to this token for one letter, written out: those of the codes that an operator registered for the client, crossed with the
//! patient in context (scopes of `patient/`), the user (scopes of `user/`), and nobody ("global app configuration"). Another app's state, another person's,
//! and another record's are in no cell. Whatever refuses the same letter on Basic to this principal refuses it here, and what rules of the operator take away of Basic
//! they take away here, from administrators too. The consents of the patient whom a cell is about are asked as for a record. State is no part of
//! the clinical store: no search there finds it.

mod narrowed;

use std::sync::Arc;

use portcullis_fhir::json::Value;
use portcullis_fhir::qualifier;
use portcullis_fhir::reference::LocalReference;
use portcullis_fhir::types::{LogicalId, ResourceType};
use portcullis_mutants::off;
use portcullis_oauth::clients::{AppStateAccess, AppStateCode, AppStateEntitlement};
use portcullis_oauth::principal::Principal;
use portcullis_oauth::scopes::{Letter, Opening, ScopeContext, TypeLetters};
use portcullis_oauth::users::Role;

use crate::combine;
use crate::decision::{Basis, DecisionId, Denial, DenialReason, Effect, RuleName, Trace, Verdict};
use crate::rules::{Ruling, patient_context, user_context};

pub use self::narrowed::Unasked;

/// The rule's name in traces and records.
pub const NAME: &str = "app-state";

/// What state may be about ("The EHR SHALL support at least Patient, Practitioner, PractitionerRole, RelatedPerson, Person").
pub const SUBJECTS: [ResourceType; 5] = [
    ResourceType::PATIENT,
    ResourceType::PRACTITIONER,
    ResourceType::PRACTITIONER_ROLE,
    ResourceType::RELATED_PERSON,
    ResourceType::PERSON,
];

/// Where a state lies. There is one state in a cell at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppStateCell {
    /// The kind of state.
    pub code: AppStateCode,
    /// What it is about; `None`: the same for everybody.
    pub subject: Option<LocalReference>,
}

/// A state as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppState {
    /// The id.
    pub id: LogicalId,
    /// The version.
    pub version: LogicalId,
    /// When it was written, in milliseconds since the epoch.
    pub last_updated: i64,
    /// Where it lies.
    pub cell: AppStateCell,
    /// The `Basic` resource as JSON, with id and meta.
    pub body: Vec<u8>,
}

/// What is looked for: everything in the cells, or what of it has this id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppStateLookup {
    /// The id.
    pub id: Option<LogicalId>,
}

/// A change of one state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppStateWrite {
    /// A state in an empty cell.
    Create(AppState),
    /// A new version in the same cell under the same id; this version must be current.
    Update(AppState, LogicalId),
    /// The end of a state, of which this version must be current.
    Delete {
        /// The id.
        id: LogicalId,
        /// Where it lies.
        cell: AppStateCell,
        /// The version.
        if_match: LogicalId,
    },
}

impl AppStateWrite {
    fn cell(&self) -> &AppStateCell {
        match self {
            Self::Create(state) | Self::Update(state, _) => &state.cell,
            Self::Delete { cell, .. } => cell,
        }
    }

    fn letter(&self) -> Letter {
        match self {
            Self::Create(_) => Letter::Create,
            Self::Update(..) => Letter::Update,
            Self::Delete { .. } => Letter::Delete,
        }
    }
}

/// What has to be known beside the principal.
#[derive(Clone, Copy, Debug)]
pub struct AppStateFacts<'a> {
    /// What is registered for the client at this moment.
    pub entitlements: &'a [AppStateEntitlement],
    /// The patient in context, where the user may see that patient today. A fact about another patient opens nothing.
    pub patient_in_reach: Option<&'a LogicalId>,
}

/// The right to one letter in some cells.
#[derive(Debug)]
pub struct AppStatePermit {
    pub(crate) id: DecisionId,
    pub(crate) cells: Arc<[AppStateCell]>,
    /// Cells that a consent hides: nothing is found there, and nothing can be made.
    withheld: Vec<AppStateCell>,
    letter: Letter,
    trace: Trace,
}

/// An operation on app state that a permit covers. Made only in this file, only by a permit.
#[derive(Debug)]
pub struct AuthorizedAppState<T> {
    decision: DecisionId,
    cells: Vec<AppStateCell>,
    operation: T,
}

impl<T> AuthorizedAppState<T> {
    /// The decision that covers it.
    pub fn decision(&self) -> DecisionId {
        self.decision
    }

    /// The cells outside of which nothing may be found.
    pub fn cells(&self) -> &[AppStateCell] {
        &self.cells
    }

    /// The operation.
    pub fn operation(&self) -> &T {
        &self.operation
    }
}

impl AppStatePermit {
    /// The decision's id.
    pub fn id(&self) -> DecisionId {
        self.id
    }

    /// Which rules decided.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// A lookup in those cells that are wanted; denied where none of these is open, whatever is stored.
    pub fn lookup(
        &self,
        lookup: AppStateLookup,
        wanted: impl Fn(&AppStateCell) -> bool,
    ) -> Result<AuthorizedAppState<AppStateLookup>, Denial> {
        let cells: Vec<AppStateCell> = self.cells.iter().filter(|cell| wanted(cell)).cloned().collect();
        if cells.is_empty() && !self.withheld.iter().any(wanted) {
            return Err(self.not_covered());
        }
        Ok(AuthorizedAppState { decision: self.id, cells, operation: lookup })
    }

    /// A change in one of the cells, by the letter that was decided.
    pub fn write(&self, write: AppStateWrite) -> Result<AuthorizedAppState<AppStateWrite>, Denial> {
        if write.letter() != self.letter || !self.cells.contains(write.cell()) {
            return Err(self.not_covered());
        }
        Ok(AuthorizedAppState { decision: self.id, cells: vec![write.cell().clone()], operation: write })
    }

    fn not_covered(&self) -> Denial {
        let mut trace = self.trace.clone();
        trace.0.push(Verdict { rule: NAME.into(), effect: Effect::Deny });
        Denial { id: self.id, reason: DenialReason::NotOfThisApp, trace }
    }
}

/// Decides which cells are open to a principal for a letter, as far as the patients consent whom they are about.
pub fn decide(
    basis: impl Into<Basis>,
    principal: &Principal,
    letter: Letter,
    facts: AppStateFacts<'_>,
) -> Result<Unasked, Denial> {
    let basis = basis.into();
    let (id, rules) = (basis.id, Arc::clone(&basis.rules));
    let denied = |reason| Denial { id, reason, trace: Trace(vec![Verdict { rule: NAME.into(), effect: Effect::Deny }]) };
    let Some(user) = principal.user() else {
        return Err(denied(DenialReason::UserNotEntitled));
    };
    let administers = user.roles.contains(Role::Administrator);
    // What the same letter on Basic meets: scopes first, then every rule.
    let global_only = match combine::denial(basis, principal, &[(ResourceType::BASIC, letter)]) {
        None => false,
        // Administrators have no records at all, which is no reason why they should not configure an app.
        Some(denial) if administers && refused_by_none_but(&denial.trace, user_context::NAME) => true,
        Some(denial) => return Err(denial),
    };
    let patient = principal.launch().patient.as_ref().filter(|patient| {
        !global_only && (facts.patient_in_reach == Some(*patient) || off!("app-state-reach")) && gives_patient(principal, letter)
    });
    let patient = patient.map(|patient| LocalReference { resource_type: ResourceType::PATIENT, id: patient.clone() });
    let own = user.fhir_user.clone().filter(|own| !global_only && SUBJECTS.contains(&own.resource_type));
    let subjects = [
        patient.map(|subject| (ScopeContext::Patient, Some(subject))),
        own.map(|subject| (ScopeContext::User, Some(subject))),
        Some((ScopeContext::User, None)),
    ];
    let mut cells: Vec<AppStateCell> = Vec::new();
    for entitlement in facts.entitlements {
        for (context, subject) in subjects.iter().flatten() {
            let may = match (letter, subject) {
                _ if off!("app-state-access") => true,
                (Letter::Search | Letter::Read, _) => true,
                (_, Some(_)) => entitlement.access >= AppStateAccess::Modify,
                (_, None) => entitlement.access >= AppStateAccess::Administer && administers,
            };
            let cell = AppStateCell { code: entitlement.code.clone(), subject: subject.clone() };
            if may && opens(principal.scopes().context(*context), letter, &cell) && !cells.contains(&cell) {
                cells.push(cell);
            }
        }
    }
    if cells.is_empty() {
        return Err(denied(DenialReason::NotOfThisApp));
    }
    let mut trace = Trace(vec![Verdict { rule: NAME.into(), effect: Effect::Permit }]);
    let cells = narrowed::left_by_rules(&rules, (principal, letter), cells, &mut trace);
    if cells.is_empty() {
        return Err(Denial { id, reason: DenialReason::UserNotEntitled, trace });
    }
    let permit = AppStatePermit { id, cells: cells.into(), withheld: Vec::new(), letter, trace };
    Unasked::of(permit, (principal, letter)).ok_or_else(|| denied(DenialReason::UserNotEntitled))
}

/// Whether no other rule than this one refused or took something away.
fn refused_by_none_but(trace: &Trace, rule: &'static str) -> bool {
    let takes = |effect: &Effect| matches!(effect, Effect::Deny | Effect::Narrow);
    trace.0.iter().all(|verdict| !takes(&verdict.effect) || verdict.rule == RuleName::BuiltIn(rule))
}

/// Whether the rule of the patient in context gives this letter on Basic, within the limits of a representation.
fn gives_patient(principal: &Principal, letter: Letter) -> bool {
    match patient_context::apply(principal) {
        Ruling::Grant(grants) => grants.iter().any(|grant| grant.types(letter).contains(ResourceType::BASIC)),
        Ruling::Refuse(_) | Ruling::NotApplicable => false,
    }
}

/// Whether the scopes of a context open a cell. Criteria are judged on what is the same in every state of the cell.
fn opens(letters: &TypeLetters, letter: Letter, cell: &AppStateCell) -> bool {
    match letters.opening(ResourceType::BASIC, letter) {
        Opening::Closed => false,
        Opening::Whole => true,
        Opening::Qualified(qualifiers) => {
            let body = outline(cell, letters.base_url()).to_bytes();
            let entries = qualifier::entries(qualifiers.iter().map(Arc::as_ref), &body, letters.base_url());
            entries.is_some_and(|entries| qualifiers.iter().any(|qualifier| qualifier.admits(&entries)))
        }
    }
}

/// What every state of a cell has.
fn outline(cell: &AppStateCell, base_url: &str) -> Value {
    let coding = Value::object([("system", Value::from(cell.code.system())), ("code", Value::from(cell.code.code()))]);
    let code = Value::object([("coding", Value::array([coding]))]);
    match &cell.subject {
        None => Value::object([("resourceType", Value::from("Basic")), ("id", Value::from("state")), ("code", code)]),
        Some(subject) => {
            let reference = Value::object([("reference", Value::from(format!("{base_url}/{subject}")))]);
            let [basic, state] = ["Basic", "state"].map(Value::from);
            Value::object([("resourceType", basic), ("id", state), ("code", code), ("subject", reference)])
        }
    }
}
