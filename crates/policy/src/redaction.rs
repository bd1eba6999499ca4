//! What of visible records is not shown, and what is refused because of it.
//!
//! The operator's list and de-identification are known before anything is looked up: a search over an element that they hide is refused, and so is a change of a
//! resource of which something is hidden, whatever is stored. So a redacted element decides nothing: not what is found, counted, sorted or followed, not what a
//! scope's criteria admit, and not what a change says. Labels inside a resource are known only by its body; what they may hide is not indexed at all
//! ([`portcullis_fhir::redaction::indexable`]), and a store refuses changes of such resources.
//!
//! What consents keep of a record by the labels of its elements depends on whose record it is: release asks them for each version
//! ([`crate::consulted::DeniedElements`]).

use std::sync::Arc;

use portcullis_fhir::definitions::{SearchParameter, search_parameter};
use portcullis_fhir::labels::Clearance;
use portcullis_fhir::qualifier::Qualifier;
use portcullis_fhir::redaction::{ElementPath, ElementRules, Redactions};
use portcullis_fhir::search::{Filter, SearchQuery, SortKey, Test};
use portcullis_fhir::types::ResourceType;
use portcullis_mutants::off;
use portcullis_oauth::scopes::Letter;

use crate::constraint::{Constraint, Grant, Visibility};
use crate::decision::DenialReason;
use crate::operation::{Change, Operation};
use crate::operator_rules::{Rule, RuleEffect};
use crate::relationship::Relationship;

/// The name under which it stands in traces that something is left out.
pub(crate) const NAME: &str = "redaction";

impl Constraint {
    /// What somebody who sees records up to these labels does not see of them.
    pub fn redactions(&self, clearance: Clearance) -> Redactions {
        let redactions = if off!("redaction") { Redactions::none() } else { Redactions::of(self.elements(), clearance) };
        redactions.classified_by(self.classifier())
    }

    /// What each grant leaves out that opens a type for a letter.
    fn redactions_of(&self, resource_type: ResourceType, letter: Letter) -> impl Iterator<Item = Redactions> + '_ {
        let open = self.grants().iter().filter(move |grant| grant.types(letter).contains(resource_type));
        open.map(|grant| self.redactions(grant.clearance)).filter(|redactions| !redactions.is_none())
    }

    /// Whether a parameter looks at something that one of the grants leaves out by which records of its type may be found.
    fn hides(&self, resource_type: ResourceType, parameter: &SearchParameter) -> bool {
        self.redactions_of(resource_type, Letter::Search).any(|redactions| redactions.hides_parameter(resource_type, parameter))
    }

    fn hides_texts(&self, resource_type: ResourceType) -> bool {
        self.deidentifies(resource_type, Letter::Search)
    }

    fn deidentifies(&self, resource_type: ResourceType, letter: Letter) -> bool {
        self.redactions_of(resource_type, letter).any(|redactions| redactions.is_deidentified())
    }

    /// Whether something is left out that is known beforehand.
    pub(crate) fn leaves_out(&self) -> bool {
        self.grants().iter().any(|grant| !self.redactions(grant.clearance).is_static_free())
    }
}

/// Which element of a list a rule lets people in by: whom it lets in would be told what is hidden. What no other use than that has cannot be listed at all
/// ([`portcullis_fhir::redaction::is_fixed`]).
pub fn lets_in_by<'e>(rule: &Rule, elements: &'e ElementRules) -> Option<&'e str> {
    let RuleEffect::Permit { relationship, .. } = rule.effect() else { return None };
    let (resource_type, stem) = match relationship {
        Relationship::GeneralPractitioner => (ResourceType::PATIENT, "generalPractitioner"),
        Relationship::Organization => (ResourceType::ENCOUNTER, "serviceProvider"),
        Relationship::Care | Relationship::CareTeam => return None,
    };
    elements.entries().iter().map(|entry| &entry.path).find(|path| path.begins_with(resource_type, stem)).map(ElementPath::as_str)
}

/// Why an operation is refused, because it asks for what is not shown or would change it.
pub(crate) fn refusal(constraint: &Constraint, operation: &Operation) -> Option<DenialReason> {
    if !constraint.leaves_out() {
        return None;
    }
    let hides = |of: ResourceType, parameter: &SearchParameter| constraint.hides(of, parameter);
    let hides_texts = |of: ResourceType| constraint.hides_texts(of);
    // What is opened by a hidden element is opened so for each letter: a read, too, would tell what the element says.
    let hides_by_any = |of: ResourceType, parameter: &SearchParameter| {
        let of_letter = |letter| constraint.redactions_of(of, letter).any(|redactions| redactions.hides_parameter(of, parameter));
        Letter::ALL.into_iter().any(of_letter)
    };
    let texts_by_any = |of: ResourceType| Letter::ALL.into_iter().any(|letter| constraint.deidentifies(of, letter));
    let qualifiers = constraint.grants().iter().flat_map(|grant| grant.qualifications.qualifiers());
    let by_scope = || {
        qualifiers.clone().find_map(|qualifier| {
            Redactions::hidden_in_criteria(qualifier.resource_type(), qualifier.filters(), &hides_by_any, &texts_by_any)
        })
    };
    let by_operation = match operation {
        Operation::Search(query) if !off!("redacted-parameter") => Redactions::hidden_in(query, &hides, &hides_texts),
        Operation::Search(_) => None,
        Operation::Read(_) | Operation::VersionRead(_) | Operation::History(_) | Operation::Write(_) => None,
    };
    let parameter = by_operation.map(|(of, parameter)| DenialReason::RedactedParameter(of, parameter.code));
    let parameter = parameter.or_else(|| since(constraint, operation));
    let scope = || {
        by_scope()
            .filter(|_| !off!("redacted-criteria"))
            .map(|(of, parameter)| DenialReason::RedactedParameter(of, parameter.code))
    };
    parameter.or_else(scope).or_else(|| changed(constraint, operation))
}

/// A moment in the history of a resource of which only the years are shown.
fn since(constraint: &Constraint, operation: &Operation) -> Option<DenialReason> {
    let Operation::History(history) = operation else { return None };
    let is_asked = history.since.is_some() && constraint.deidentifies(history.resource_type, Letter::Read);
    is_asked.then_some(DenialReason::RedactedParameter(history.resource_type, "_since"))
}

/// What is de-identified stands in the order of the ids, and not in that of times of which only the year is shown. AuditEvents have one order, which their own records give.
fn in_shown_order(constraint: &Constraint, query: &mut SearchQuery) {
    let of = query.resource_type;
    if of != ResourceType::AUDIT_EVENT
        && constraint.deidentifies(of, Letter::Search)
        && let Some(parameter) = search_parameter(of, "_id")
    {
        query.sort.push(SortKey { parameter, descending: false });
    }
}

/// Takes from the grants what is opened by a part in records that somebody is not shown: an author that is hidden opens nothing. It is asked when all rules have had their say,
/// and of all grants that open the type, since the answer would tell by any of them.
pub(crate) fn without_hidden_parts(elements: &Arc<ElementRules>, grants: &mut [Grant]) {
    if elements.entries().is_empty() || !grants.iter().any(|grant| grant.qualifications.are_by_part()) {
        return;
    }
    let open: Vec<(Grant, Redactions)> =
        grants.iter().map(|grant| (grant.clone(), Redactions::of(elements, grant.clearance))).collect();
    // By any letter: a read tells what the element says as a search does.
    let opens = |grant: &Grant, of: ResourceType| Letter::ALL.into_iter().any(|letter| grant.types(letter).contains(of));
    let hides = |of: ResourceType, parameter: &SearchParameter| {
        open.iter().any(|(grant, redactions)| opens(grant, of) && redactions.hides_parameter(of, parameter))
    };
    let hides_texts = |of: ResourceType| open.iter().any(|(grant, redactions)| opens(grant, of) && redactions.is_deidentified());
    let is_shown = |qualifier: &Qualifier| {
        Redactions::hidden_in_criteria(qualifier.resource_type(), qualifier.filters(), &hides, &hides_texts).is_none()
    };
    for grant in grants {
        for (resource_type, letter) in grant.qualifications.without_hidden_parts(&is_shown) {
            grant.close(resource_type, letter);
        }
    }
}

/// The operation without those of several ways into a compartment (`$everything`, `Practitioner/1/*`) that go by what is not shown: they lead nowhere, as over a
/// store that holds only what is shown. Where no way is left the search is refused. What is de-identified is ordered by what is shown.
pub(crate) fn by_shown_ways(constraint: &Constraint, operation: Operation) -> Operation {
    let Operation::Search(mut query) = operation else { return operation };
    if constraint.leaves_out() {
        in_shown_order(constraint, &mut query);
        let hides = |of: ResourceType, parameter: &SearchParameter| constraint.hides(of, parameter);
        let hides_texts = |of: ResourceType| constraint.hides_texts(of);
        for filter in &mut query.filters {
            let Test::Either(ways) = &mut filter.test else { continue };
            let leads = |way: &Filter| matches!(way.test, Test::Reference(_) | Test::Chain(_) | Test::ReverseChain(_));
            let is_shown = |way: &Filter| {
                Redactions::hidden_in_criteria(query.resource_type, std::slice::from_ref(way), &hides, &hides_texts).is_none()
            };
            if ways.iter().all(leads) && ways.iter().any(is_shown) {
                ways.retain(is_shown);
            }
        }
    }
    Operation::Search(query)
}

/// Whoever does not see all of a resource cannot say what all of it shall be.
fn changed(constraint: &Constraint, operation: &Operation) -> Option<DenialReason> {
    let Operation::Write(set) = operation else { return None };
    let mut updated = set.changes.iter().filter(|change| matches!(change, Change::Update { .. })).map(Change::resource_type);
    updated.find_map(|resource_type| refusal_of_change(constraint, (resource_type, Letter::Update)))
}

/// Why a change of records of a type is refused whatever it says.
pub(crate) fn refusal_of_change(
    constraint: &Constraint,
    (resource_type, letter): (ResourceType, Letter),
) -> Option<DenialReason> {
    let is_partly_seen = letter == Letter::Update
        && !off!("redacted-update")
        && constraint.redactions_of(resource_type, Letter::Update).any(|redactions| redactions.concerns(resource_type));
    is_partly_seen.then_some(DenialReason::RedactedVersion(resource_type))
}

/// The same way without records that refer to others by what is not shown of them: such a reference makes nothing visible.
pub(crate) fn by_shown_references<'a>(mut way: Visibility<'a>, elements: &Arc<ElementRules>) -> Visibility<'a> {
    if !elements.entries().is_empty() && !off!("redacted-references") {
        hide_references(&mut way, elements);
    }
    way
}

fn hide_references(way: &mut Visibility<'_>, elements: &Arc<ElementRules>) {
    match way {
        Visibility::Qualified { way, .. } | Visibility::Cleared { way, .. } | Visibility::Consented { way, .. } => {
            hide_references(way, elements);
        }
        Visibility::ReferencedFrom { sources, .. } => {
            let redactions = Redactions::of(elements, sources.clearance);
            sources.whole = sources.whole.iter().filter(|source| !redactions.hides_references(*source)).collect();
            sources.qualified.retain(|(source, _)| !redactions.hides_references(*source));
        }
        Visibility::Compartment(_)
        | Visibility::About { .. }
        | Visibility::Itself(_)
        | Visibility::Every
        | Visibility::AboutNothingHidden { .. } => {}
    }
}
