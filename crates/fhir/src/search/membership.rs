//! Membership in a compartment as a criterion of a search.
//!
//! <https://hl7.org/fhir/R4/http.html#vsearch>, <https://hl7.org/fhir/R4/compartmentdefinition.html>: "GET [base]/Patient/[id]/Condition" finds what a search of
//! Condition by the parameters of the published definition would, one of which must lead to that Patient. It grants nothing: what may be seen is a
//! condition beside it, and is narrower (`crate::compartment`). A resource lies in its own compartment.

use super::{Filter, ReferenceMatch, SearchQuery, Test};
use crate::definitions::{CompartmentType, compartment_parameters, search_parameter};
use crate::reference::{LocalReference, Reference};
use crate::types::{LogicalId, ResourceType};

/// The same search within a compartment; `None` where the type has no place in such compartments.
pub fn within(query: SearchQuery, compartment: CompartmentType, id: &LogicalId) -> Option<SearchQuery> {
    let mut query = query;
    query.filters.insert(0, membership(compartment, id, query.resource_type)?);
    query.compartment = Some(LocalReference { resource_type: compartment.resource_type(), id: id.clone() });
    Some(query)
}

/// What holds for the resources of a type that lie in this compartment; `None` where none can.
pub(super) fn membership(compartment: CompartmentType, id: &LogicalId, resource_type: ResourceType) -> Option<Filter> {
    let owner = compartment.resource_type();
    let refers = |code: &&'static str| {
        let target = LocalReference { resource_type: owner, id: id.clone() };
        let test = Test::Reference(vec![ReferenceMatch::Exact(Reference::Local(target))]);
        Some(Filter { parameter: search_parameter(resource_type, code)?, test })
    };
    let mut ways: Vec<Filter> = compartment_parameters(compartment, resource_type).iter().filter_map(refers).collect();
    if resource_type == owner {
        let own = search_parameter(resource_type, "_id");
        ways.extend(own.map(|parameter| Filter { parameter, test: Test::Id(vec![id.clone()]) }));
    }
    one_of(ways)
}

/// One of these holds; `None` where there are none.
pub(super) fn one_of(mut ways: Vec<Filter>) -> Option<Filter> {
    let parameter = ways.first()?.parameter;
    if ways.len() == 1 {
        return ways.pop();
    }
    Some(Filter { parameter, test: Test::Either(ways) })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{strict, test_of};
    use super::*;

    fn id(text: &str) -> LogicalId {
        LogicalId::parse(text).unwrap()
    }

    fn of(compartment: CompartmentType, name: &str) -> Option<Filter> {
        membership(compartment, &id("x"), ResourceType::parse(name).unwrap())
    }

    #[test]
    fn a_type_that_no_parameter_puts_into_a_compartment_has_no_place_there() {
        for (compartment, name) in [
            (CompartmentType::Patient, "Organization"),
            (CompartmentType::Patient, "Binary"),
            (CompartmentType::Encounter, "Patient"),
            (CompartmentType::Encounter, "Immunization"),
            (CompartmentType::Device, "Patient"),
            (CompartmentType::RelatedPerson, "Immunization"),
            (CompartmentType::Practitioner, "Coverage"),
        ] {
            assert!(of(compartment, name).is_none(), "{compartment:?} {name}");
        }
    }

    #[test]
    fn membership_is_any_of_the_published_parameters_and_being_it() {
        let Test::Either(ways) = of(CompartmentType::Patient, "Observation").unwrap().test else { panic!("one way") };
        assert_eq!(ways.iter().map(|way| way.parameter.code).collect::<Vec<_>>(), ["subject", "performer"]);
        assert!(ways.iter().all(|way| way.test == test_of("Observation", "subject=Patient/x")));
        let Test::Either(ways) = of(CompartmentType::Patient, "Patient").unwrap().test else { panic!("one way") };
        assert_eq!(ways.iter().map(|way| way.parameter.code).collect::<Vec<_>>(), ["link", "_id"]);
        for compartment in
            [CompartmentType::Encounter, CompartmentType::RelatedPerson, CompartmentType::Practitioner, CompartmentType::Device]
        {
            let own = membership(compartment, &id("x"), compartment.resource_type()).unwrap();
            let is_own = |way: &Filter| way.test == Test::Id(vec![id("x")]);
            assert!(is_own(&own) || matches!(&own.test, Test::Either(ways) if ways.iter().any(is_own)), "{own:?}");
        }
    }

    #[test]
    fn a_search_in_a_compartment_is_another_search_and_says_so() {
        let query = strict("Observation", "code=a");
        let inside = within(query.clone(), CompartmentType::Patient, &id("p")).unwrap();
        assert_eq!(inside.filters.len(), 2);
        assert_ne!(inside.canonical(), query.canonical());
        let other = within(query, CompartmentType::Patient, &id("q")).unwrap();
        assert_ne!(inside.canonical(), other.canonical());
        assert_eq!(inside.self_link("https://h"), "https://h/Patient/p/Observation?code=a");
    }
}
