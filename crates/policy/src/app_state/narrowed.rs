//! What the rules of the operator and the consents of patients leave of the cells of app state.
//!
//! A rule takes away what it takes away of Basic resources. Criteria are judged on what is the same in every state of a cell; a rule that looks at something else
//! closes the cell, since it might be about any state there. What a consent denies is as if it were not there: it is not found, and cannot be made.

use std::sync::Arc;

use portcullis_fhir::labels::{Clearance, Labels, Security};
use portcullis_fhir::qualifier;
use portcullis_fhir::reference::LocalReference;
use portcullis_fhir::types::{LogicalId, ResourceType};
use portcullis_mutants::off;
use portcullis_oauth::principal::Principal;
use portcullis_oauth::scopes::Letter;

use super::{AppStateCell, AppStatePermit, outline};
use crate::constraint::{Boundary, Constraint, Grant, TypeSet};
use crate::consulted::Consulted;
use crate::decision::Trace;
use crate::operator_rules::OperatorRules;
use crate::qualified::{Admission, Qualifications};
use crate::rules::consent::Question;

/// The search parameters of Basic by which the states of one cell do not differ: what they say, or that they say nothing.
const SAME_IN_A_CELL: [&str; 7] = ["code", "subject", "patient", "author", "created", "identifier", "_tag"];

/// The cells that the rules leave, with what they say.
pub(super) fn left_by_rules(
    rules: &OperatorRules,
    (principal, letter): (&Principal, Letter),
    cells: Vec<AppStateCell>,
    trace: &mut Trace,
) -> Vec<AppStateCell> {
    let open: TypeSet = [ResourceType::BASIC].into_iter().collect();
    let whole = Grant {
        boundary: Boundary::Whole,
        read: open,
        search: open,
        create: open,
        update: open,
        delete: open,
        qualifications: Qualifications::default(),
        clearance: Clearance::FULL,
    };
    let opens = |grant: &Grant| grant.types(letter).contains(ResourceType::BASIC);
    let mut grants = vec![whole];
    rules.apply(principal, (&mut grants, &[(ResourceType::BASIC, letter)]), |grants| grants.iter().any(opens), trace);
    // What a rule permits besides is no state.
    let left = grants.iter().filter(|grant| grant.boundary == Boundary::Whole && opens(grant));
    let admissions: Vec<Option<&Admission>> = left.map(|grant| grant.admission(ResourceType::BASIC, letter)).collect();
    let base_url = principal.circumstances().map(|circumstances| Arc::clone(&circumstances.base_url)).unwrap_or_default();
    let is_left = |cell: &AppStateCell| {
        let left = |admission: &Option<&Admission>| admission.is_none_or(|admission| admits(admission, cell, &base_url));
        off!("app-state-rules") || admissions.iter().any(left)
    };
    cells.into_iter().filter(is_left).collect()
}

fn admits(admission: &Admission, cell: &AppStateCell, base_url: &str) -> bool {
    let mut criteria = admission.alternatives().iter().flatten();
    let mut excluding = admission.exclusions().iter().flat_map(|exclusion| exclusion.criteria());
    let is_same = |qualifier: &Arc<qualifier::Qualifier>| {
        qualifier.filters().iter().all(|filter| SAME_IN_A_CELL.contains(&filter.parameter.code))
    };
    if !criteria.all(is_same) || !excluding.all(is_same) {
        return false;
    }
    let criteria = admission.alternatives().iter().flatten();
    let excluding = admission.exclusions().iter().flat_map(|exclusion| exclusion.criteria());
    let body = outline(cell, base_url).to_bytes();
    let entries = qualifier::entries(criteria.chain(excluding).map(Arc::as_ref), &body, base_url);
    entries.is_some_and(|entries| admission.admits_with(&entries, (ResourceType::BASIC, Security::NONE)))
}

/// A permit about which the patients of its cells have not been asked yet.
#[derive(Debug)]
#[must_use]
pub struct Unasked {
    permit: AppStatePermit,
    /// What is asked of their consents, for a store.
    asking: Option<(Constraint, Vec<LogicalId>)>,
}

impl Unasked {
    /// A permit whose cells about patients ask the consents of these; `None` where it cannot be asked for the principal.
    pub(super) fn of(permit: AppStatePermit, (principal, letter): (&Principal, Letter)) -> Option<Self> {
        let question = Arc::new(Question::of(principal)?);
        let mut patients: Vec<LogicalId> = permit.cells.iter().filter_map(patient).cloned().collect();
        patients.sort_unstable();
        patients.dedup();
        let open: TypeSet = [ResourceType::BASIC].into_iter().collect();
        let grant = |boundary| Grant {
            boundary,
            read: open,
            search: open,
            create: open,
            update: open,
            delete: open,
            qualifications: Qualifications::default(),
            clearance: Clearance::FULL,
        };
        let boundary = crate::constraint::NonEmpty::of(patients.iter().cloned()).map(Boundary::Patients);
        let constraint = boundary.and_then(|boundary| Constraint::new(vec![grant(boundary)], letter, Some(question)));
        Some(Self { permit, asking: constraint.map(|constraint| (constraint, patients)) })
    }

    /// Whose consents are asked, and what; `None`: nobody's.
    pub fn asking(&self) -> Option<(&Constraint, &[LogicalId])> {
        self.asking.as_ref().map(|(constraint, patients)| (constraint, patients.as_slice()))
    }

    /// The permit, without the cells about patients whose consents do not let the request in. Without anything that was read of them it has none of these.
    pub fn consented(self, consulted: &Consulted) -> AppStatePermit {
        let Self { mut permit, asking } = self;
        let Some((constraint, _)) = asking else { return permit };
        let Some(question) = constraint.question().map(|question| question.joined(&consulted.memberships)) else { return permit };
        let letter = permit.letter;
        let is_open = |cell: &AppStateCell| {
            let Some(patient) = patient(cell).filter(|_| !off!("app-state-consents")) else { return true };
            let target = LocalReference { resource_type: ResourceType::BASIC, id: patient.clone() };
            let body = outline(cell, question.context().base_url).to_bytes();
            let facts = || consulted.facts(&question, (target.clone(), Labels::NONE), Some(&body));
            consulted.permit(&question, letter, (std::slice::from_ref(patient), &facts))
        };
        let (open, withheld): (Vec<AppStateCell>, Vec<AppStateCell>) = permit.cells.iter().cloned().partition(is_open);
        permit.cells = open.into();
        permit.withheld = withheld;
        permit
    }
}

fn patient(cell: &AppStateCell) -> Option<&LogicalId> {
    cell.subject.as_ref().filter(|subject| subject.resource_type == ResourceType::PATIENT).map(|subject| &subject.id)
}
