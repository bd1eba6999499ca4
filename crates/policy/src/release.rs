//! Release: the second judgement, after the store has answered and before anything leaves.
//!
//! [`Unreleased`] can be opened only here, only by the permit of the same decision. Each version is judged again from its
//! authenticated columns. A version that should not be there is a [`Disagreement`]: an internal error, never a silent drop.

use portcullis_fhir::redaction::{Redactions, Showing};
use portcullis_fhir::types::{LogicalId, ResourceType};
use portcullis_mutants::off;
use portcullis_oauth::scopes::Letter;

use crate::app_state::{AppState, AppStatePermit};
use crate::constraint::{Boundary, Constraint, Sources, Visibility};
use crate::consulted::{Consulted, DeniedElements};
use crate::decision::{DecisionId, Permit};
use crate::relationship::{InCare, Relationship};
use crate::rules::consent::{Question, Verdicts};
use crate::stored::{HistoryPage, SearchPage, StoredVersion, Written};

/// A store's answer that nobody has judged yet.
#[derive(Debug)]
pub struct Unreleased<T> {
    decision: DecisionId,
    /// Patients of the answer with whom the constraint's actors have a care relationship, as read by a statement of its own.
    in_care: InCare,
    /// The consents of the patients of the answer, as read by statements of their own.
    consulted: Consulted,
    /// What consents deny of patients of whom nothing is in the answer, as far as the store knows it.
    denied: Verdicts,
    content: T,
}

impl<T> Unreleased<T> {
    /// Wraps what a store found for an authorized operation. `in_care` names those patients of the content with whom the constraint's
    /// actors have a care relationship (empty where no boundary asks for one).
    pub fn new(decision: DecisionId, in_care: InCare, content: T) -> Self {
        Self { decision, in_care, consulted: Consulted::default(), denied: Verdicts::default(), content }
    }

    /// The same with the consents of the patients of the content. Without them nothing that is somebody's is released where consents are asked.
    #[must_use]
    pub fn consulting(self, consulted: Consulted) -> Self {
        Self { consulted, ..self }
    }

    /// The same with what consents deny besides: for the record alone.
    #[must_use]
    pub fn denying(self, denied: Verdicts) -> Self {
        Self { denied, ..self }
    }
}

/// Content that a permit has judged and that may leave.
#[derive(Debug)]
pub struct Released<T> {
    /// What consents decided about the content, and what they deny besides.
    verdicts: Verdicts,
    redacted: u32,
    content: T,
}

impl<T> Released<T> {
    /// The content.
    pub fn content(&self) -> &T {
        &self.content
    }

    /// What consents decided about it: for the record alone, since it tells what was denied, too.
    pub fn verdicts(&self) -> &Verdicts {
        &self.verdicts
    }

    /// Of how many resources something was left out: for the record alone.
    pub fn redacted(&self) -> u32 {
        self.redacted
    }

    /// The content, owned.
    pub fn into_content(self) -> T {
        self.content
    }
}

/// The store and the policy do not agree: a bug or tampering. The answer is an internal error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Disagreement {
    /// The content belongs to another decision.
    #[error("content of decision {found} offered to the permit of decision {expected}")]
    OtherDecision {
        /// The permit's decision.
        expected: DecisionId,
        /// The content's decision.
        found: DecisionId,
    },
    /// A version is outside the constraint.
    #[error("the store returned {0}, which the permit does not cover")]
    NotCovered(String),
    /// The body of a version has labels and cannot be read.
    #[error("the store returned {0}, whose labels cannot be shown")]
    Unreadable(String),
}

/// Content that release knows how to judge.
pub trait Releasable {
    /// The versions whose visibility must be confirmed, and whose labels are shown.
    fn versions(&mut self) -> Vec<&mut StoredVersion>;
}

impl Releasable for Option<StoredVersion> {
    fn versions(&mut self) -> Vec<&mut StoredVersion> {
        self.iter_mut().collect()
    }
}

impl Releasable for SearchPage {
    fn versions(&mut self) -> Vec<&mut StoredVersion> {
        self.matches.iter_mut().chain(&mut self.included).collect()
    }
}

impl Releasable for HistoryPage {
    fn versions(&mut self) -> Vec<&mut StoredVersion> {
        self.versions.iter_mut().collect()
    }
}

impl Permit {
    /// Judges a store's answer to a read, search or history.
    pub fn release<T: Releasable>(&self, unreleased: Unreleased<T>) -> Result<Released<T>, Disagreement> {
        self.same_decision(unreleased.decision)?;
        let Unreleased { in_care, consulted, denied, mut content, .. } = unreleased;
        let mut judge = Judge::new(&self.constraint, self.constraint.letter(), (&in_care, &consulted));
        let mut redacted = 0;
        for version in content.versions() {
            let Some(shown) = judge.judge(version) else {
                return Err(Disagreement::NotCovered(name(version)));
            };
            self.shadows.iter().for_each(|shadow| shadow.note(version, self.constraint.letter()));
            let Some(is_redacted) = shown.of(version) else {
                return Err(Disagreement::Unreadable(name(version)));
            };
            redacted += u32::from(is_redacted);
            let noted = shown.denied.as_ref().map(DeniedElements::noted);
            drop(shown);
            noted.iter().for_each(|noted| judge.verdicts.join(noted));
        }
        let mut verdicts = judge.verdicts;
        verdicts.join(&denied);
        Ok(Released { verdicts, redacted, content })
    }

    /// Judges what a store wrote. The body stays only where the same principal could read it; the rest of the answer says no more
    /// than the client sent.
    pub fn release_written(&self, unreleased: Unreleased<Vec<Written>>) -> Result<Released<Vec<Written>>, Disagreement> {
        self.same_decision(unreleased.decision)?;
        let Unreleased { in_care, consulted, mut content, .. } = unreleased;
        let letter = if off!("write-answer") { self.constraint.letter() } else { Letter::Read };
        let mut judge = Judge::new(&self.constraint, letter, (&in_care, &consulted));
        for written in &mut content {
            let version = written.version_mut();
            let shown = judge.judge(version);
            self.shadows.iter().for_each(|shadow| shadow.note(version, self.constraint.letter()));
            let Some(shown) = shown else {
                version.body = None;
                continue;
            };
            if shown.of(version).is_none() {
                return Err(Disagreement::Unreadable(name(version)));
            }
        }
        // What decided is in the record already, which was stored with the change.
        Ok(Released { verdicts: Verdicts::default(), redacted: 0, content })
    }

    fn same_decision(&self, found: DecisionId) -> Result<(), Disagreement> {
        if found == self.id { Ok(()) } else { Err(Disagreement::OtherDecision { expected: self.id, found }) }
    }
}

impl AppStatePermit {
    /// Judges what a store found: everything must lie in a cell of the permit.
    pub fn release(&self, unreleased: Unreleased<Vec<AppState>>) -> Result<Released<Vec<AppState>>, Disagreement> {
        let Unreleased { decision, content, .. } = unreleased;
        if decision != self.id {
            return Err(Disagreement::OtherDecision { expected: self.id, found: decision });
        }
        match content.iter().find(|state| !self.cells.contains(&state.cell)) {
            Some(outside) => Err(Disagreement::NotCovered(format!("the app state {}", outside.id))),
            None => Ok(Released { verdicts: Verdicts::default(), redacted: 0, content }),
        }
    }
}

fn name(version: &StoredVersion) -> String {
    format!("{}/{}", version.resource_type, version.id)
}

/// Judges one version after the other. What a type's visibility is, is worked out once for versions of the same type that follow each other.
struct Judge<'a> {
    constraint: &'a Constraint,
    letter: Letter,
    in_care: &'a [(Relationship, LogicalId)],
    consulted: &'a Consulted,
    /// What the consents are asked, by somebody of whom is known what the store has found out.
    question: Option<Question>,
    /// What they decided.
    verdicts: Verdicts,
    of_type: Option<(ResourceType, Vec<Visibility<'a>>)>,
}

impl<'a> Judge<'a> {
    fn new(
        constraint: &'a Constraint,
        letter: Letter,
        (in_care, consulted): (&'a [(Relationship, LogicalId)], &'a Consulted),
    ) -> Self {
        let question = constraint.question().map(|question| question.joined(&consulted.memberships));
        Self { constraint, letter, in_care, consulted, question, verdicts: Verdicts::default(), of_type: None }
    }

    /// What is shown of a version; `None` where it is not covered.
    fn judge(&mut self, version: &StoredVersion) -> Option<Shown<'_>> {
        let ways = match &mut self.of_type {
            Some((known, ways)) if *known == version.resource_type => ways,
            other => {
                let ways = self.constraint.visibility_for(version.resource_type, self.letter);
                &mut other.insert((version.resource_type, ways)).1
            }
        };
        let (consulted, letter, in_care) = (self.consulted, self.letter, self.in_care);
        let (question, verdicts) = (self.question.as_ref(), &mut self.verdicts);
        let mut consented =
            || question.is_none_or(|question| consulted.permits_noting(question, letter, version, &mut *verdicts));
        let mut judged = |way: &Visibility<'_>| shows(way, version, in_care) && (way.asking().is_none() || consented());
        let mut showing = ways.iter().filter(|way| off!("release") || judged(way));
        let first = self.constraint.redactions(showing.next()?.clearance());
        // Where one way shows everything, the others do not matter.
        let others = match first.is_none() {
            true => Vec::new(),
            false => showing.map(|way| self.constraint.redactions(way.clearance())).collect(),
        };
        let asked = question.filter(|_| ways.iter().any(|way| way.asking().is_some()));
        let denied = asked.and_then(|question| DeniedElements::of(consulted, (question, letter), version));
        Some(Shown { first, others, denied })
    }
}

/// What the ways leave out that show a version, and what its patients keep of it. Made by a judgement alone: a body cannot be shown without one.
struct Shown<'a> {
    first: Redactions,
    others: Vec<Redactions>,
    denied: Option<DeniedElements<'a>>,
}

impl Shown<'_> {
    /// Leaves of a version what is shown; whether something was left out, and `None` where it cannot be read.
    fn of(&self, version: &mut StoredVersion) -> Option<bool> {
        let mut showing = Showing::by(&self.first);
        self.others.iter().for_each(|other| showing.or(other));
        match &self.denied {
            Some(denied) if !off!("consent-elements") => version.show(&showing.but_for(&|labels| denied.hold(labels))),
            _ => version.show(&showing),
        }
    }
}

fn shows(way: &Visibility<'_>, version: &StoredVersion, in_care: &[(Relationship, LogicalId)]) -> bool {
    match way {
        // Whether a target is hidden is the store's word, from a statement of its own; the labels of targets are also its own.
        Visibility::Every | Visibility::AboutNothingHidden { .. } => true,
        Visibility::Itself(record) => record.resource_type == version.resource_type && record.id == version.id,
        Visibility::Compartment(boundary) => inside(boundary, &version.patients, in_care),
        Visibility::ReferencedFrom { boundary, sources } => {
            version.patients.is_empty() && grounded(boundary, sources, version, in_care)
        }
        Visibility::About { boundary, targets } => grounded(boundary, targets, version, in_care),
        Visibility::Qualified { way, admission } => shows(way, version, in_care) && admission.admits_version(version),
        // Asked where all ways are tried.
        Visibility::Consented { way, .. } => shows(way, version, in_care),
        Visibility::Cleared { way, clearance } => clearance.covers(version.security.labels) && shows(way, version, in_care),
    }
}

/// What the grounds say of themselves is judged. Whether they are admitted by their own content is the store's word, from a statement of its own.
fn grounded(boundary: &Boundary, types: &Sources<'_>, version: &StoredVersion, in_care: &[(Relationship, LogicalId)]) -> bool {
    version.grounds.iter().any(|grounds| {
        types.contains(grounds.record.resource_type)
            && types.clearance == grounds.clearance
            && types.clearance.covers(grounds.labels)
            && inside(boundary, &grounds.patients, in_care)
    })
}

fn inside(boundary: &Boundary, patients: &[LogicalId], in_care: &[(Relationship, LogicalId)]) -> bool {
    // What lies in nobody's compartment is inside only where nothing is outside.
    *boundary == Boundary::Whole || patients.iter().any(|patient| boundary.contains(patient, in_care))
}
