//! The patients whom a request names itself: in a search, as an id, or in the content that it wants stored.
//!
//! They go into the record of the request, so that an attempt on somebody's record is found by that patient though nothing of it was touched. Nothing
//! stored is asked: it is what was sent, and whoever sent it knows it.

use std::collections::HashSet;

use portcullis_fhir::interaction::Interaction;
use portcullis_fhir::reference::Reference;
use portcullis_fhir::search::{Filter, ReferenceMatch, SearchOfTypes, SearchQuery, Test};
use portcullis_fhir::types::{LogicalId, ResourceType};
use portcullis_policy::{Change, Operation};

/// The patients whom the interaction names, without those of a resource's content.
pub fn by(interaction: &Interaction) -> Vec<String> {
    let (resource_type, id) = match interaction {
        Interaction::Search(query) => return searched(query),
        Interaction::SearchOfTypes(search) => return searched_types(search),
        Interaction::Patch(patch) => (patch.resource_type, &patch.id),
        Interaction::ConditionalPatch(patch) => return searched(&patch.condition),
        Interaction::Read(read) => (read.resource_type, &read.id),
        Interaction::VersionRead(read) => (read.resource_type, &read.id),
        Interaction::InstanceHistory(history) => (history.resource_type, &history.id),
        Interaction::Update(update) => (update.resource.resource_type(), &update.id),
        Interaction::Delete(delete) => (delete.resource_type, &delete.id),
        Interaction::Create(create) => return create.condition.as_ref().map(searched).unwrap_or_default(),
        Interaction::ConditionalUpdate(update) => return searched(&update.condition),
        Interaction::ConditionalDelete(delete) => return searched(&delete.condition),
        Interaction::Capabilities => return Vec::new(),
    };
    if resource_type == ResourceType::PATIENT { vec![id.to_string()] } else { Vec::new() }
}

/// The patients in whose records the proposed content would lie.
pub fn proposed(operation: &Operation) -> Vec<String> {
    let Operation::Write(set) = operation else { return Vec::new() };
    let name = |change: &Change| match change {
        // The id of a new Patient is ours; nobody has sent it.
        Change::Create(version) if version.resource_type == ResourceType::PATIENT => Vec::new(),
        change => change.proposed().map(|version| texts(&version.patients)).unwrap_or_default(),
    };
    set.changes.iter().flat_map(name).collect()
}

/// The patients whom a search of several types names: most names are in each of its parts.
fn searched_types(search: &SearchOfTypes) -> Vec<String> {
    let focus = search.place.focus().filter(|focus| focus.resource_type == ResourceType::PATIENT);
    let named = focus.map(|focus| focus.id.to_string()).into_iter().chain(search.parts.iter().flat_map(searched));
    let mut seen = HashSet::new();
    named.filter(|patient| seen.insert(patient.clone())).collect()
}

/// The patients whom a search names.
pub fn searched(query: &SearchQuery) -> Vec<String> {
    let mut named: Vec<String> = query.filters.iter().flat_map(|filter| in_filter(query.resource_type, filter)).collect();
    // A chain names them once for each type that it may lead through.
    let mut seen = HashSet::new();
    named.retain(|patient| seen.insert(patient.clone()));
    named
}

fn in_filter(searched: ResourceType, filter: &Filter) -> Vec<String> {
    match &filter.test {
        Test::Id(ids) if searched == ResourceType::PATIENT => texts(ids),
        Test::Reference(references) => references.iter().filter_map(|reference| patient(filter, reference)).collect(),
        Test::Chain(links) => links.iter().flat_map(|link| in_filter(link.resource_type, &link.criterion)).collect(),
        Test::Either(filters) => filters.iter().flat_map(|filter| in_filter(searched, filter)).collect(),
        Test::ReverseChain(link) => in_filter(link.resource_type, &link.criterion),
        _ => Vec::new(),
    }
}

fn patient(filter: &Filter, reference: &ReferenceMatch) -> Option<String> {
    match reference {
        ReferenceMatch::Exact(Reference::Local(local)) => {
            (local.resource_type == ResourceType::PATIENT).then(|| local.id.to_string())
        }
        ReferenceMatch::Exact(_) => None,
        ReferenceMatch::AnyType(id) => filter.parameter.targets.contains(&ResourceType::PATIENT).then(|| id.to_string()),
    }
}

fn texts(ids: &[LogicalId]) -> Vec<String> {
    ids.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use portcullis_fhir::search::{self, Handling, SearchContext};

    use super::*;

    fn named(resource_type: ResourceType, name: &str, value: &str) -> Vec<String> {
        let context = SearchContext { base_url: "https://h/fhir", handling: Handling::Strict, now_ms: 0 };
        searched(&search::parse(resource_type, &[(name.to_owned(), value.to_owned())], &context).unwrap())
    }

    #[test]
    fn whoever_a_chain_names_is_named() {
        assert_eq!(named(ResourceType::OBSERVATION, "patient", "p1"), ["p1"]);
        assert_eq!(named(ResourceType::OBSERVATION, "subject:Patient._id", "p1,p2"), ["p1", "p2"]);
        assert_eq!(named(ResourceType::OBSERVATION, "encounter.patient", "Patient/p1"), ["p1"]);
        assert_eq!(named(ResourceType::PATIENT, "_has:Observation:subject:encounter.patient._id", "p1"), ["p1"]);
        assert!(named(ResourceType::OBSERVATION, "encounter._id", "p1").is_empty());
    }
}
