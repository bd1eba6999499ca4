//! Chains: criteria about the resources that a match refers to, or that refer to it.
//!
//! <https://hl7.org/fhir/R4/search.html#chaining> and <https://hl7.org/fhir/R4/search.html#has>. A chain is parsed from the match outwards: each step is a
//! reference parameter, and the last one an ordinary criterion of the type that is reached.

use super::filter::{self, Rejection, points_to};
use super::key::Key;
use super::{Filter, Link, SearchContext, Test};
use crate::definitions::{self, ParameterType, SearchParameter};
use crate::outcome::IssueType;
use crate::query::echo;
use crate::types::ResourceType;

/// The most steps of one chain.
const MAXIMUM_STEPS: usize = 4;
/// The most ways that the chains of a search stand for: `performer.name` is one for each type that may be a performer and has a name. Each costs the statement the
/// conditions of everything that it leads to.
const MAXIMUM_WAYS: usize = 24;

/// Where a chain is being parsed.
struct Chain<'a> {
    value: &'a str,
    context: &'a SearchContext<'a>,
    ways: &'a mut usize,
}

/// The criterion that a name of any form and its value are for resources of this type. `ways` are those of the whole search, and grow.
pub(super) fn parse(
    resource_type: ResourceType,
    name: &str,
    value: &str,
    (context, ways): (&SearchContext<'_>, &mut usize),
) -> Result<Filter, Rejection> {
    Chain { value, context, ways }.criterion(resource_type, name, 0)
}

impl Chain<'_> {
    fn criterion(&mut self, resource_type: ResourceType, name: &str, steps: usize) -> Result<Filter, Rejection> {
        if steps > MAXIMUM_STEPS {
            return Err(Rejection::Invalid(
                IssueType::TooLong,
                format!("At most {MAXIMUM_STEPS} steps are accepted in a chain."),
            ));
        }
        if resource_type == ResourceType::AUDIT_EVENT {
            return Err(Rejection::NotUnderstood("The audit trail is no part of a chain; search AuditEvent itself.".to_owned()));
        }
        match Key::parse(name) {
            Key::Plain { code, modifier } => {
                let parameter = known(resource_type, code)?;
                *self.ways += 1;
                if *self.ways > MAXIMUM_WAYS {
                    let message =
                        "The chains of a search may lead to too many types; name them, as in 'subject:Patient.name'.".to_owned();
                    return Err(Rejection::Invalid(IssueType::TooLong, message));
                }
                Ok(Filter { parameter, test: filter::parse(parameter, modifier, self.value, self.context)? })
            }
            Key::Chain { code, target, rest } => self.forward(resource_type, code, (target, rest), steps),
            Key::ReverseChain { source, parameter, rest } => self.reverse(resource_type, (source, parameter), rest, steps),
            Key::Malformed => {
                let message = "Accepted is _has:Type:parameter:name, where the parameter of that type leads here.".to_owned();
                Err(Rejection::Invalid(IssueType::Invalid, message))
            }
        }
    }

    /// `code.rest` and `code:Type.rest`
    fn forward(
        &mut self,
        resource_type: ResourceType,
        code: &str,
        (target, rest): (Option<&str>, &str),
        steps: usize,
    ) -> Result<Filter, Rejection> {
        let parameter = reference(resource_type, code)?;
        let targets: Vec<ResourceType> = match target {
            Some(name) => vec![typed(parameter, name)?],
            None if parameter.targets.is_empty() => {
                let message = format!("'{code}' may lead to any type; name one, as in '{code}:Patient.name'.");
                return Err(Rejection::Invalid(IssueType::Invalid, message));
            }
            None => parameter.targets.to_vec(),
        };
        let mut links = Vec::new();
        let mut missing = None;
        for resource_type in targets {
            match self.criterion(resource_type, rest, steps + 1) {
                Ok(criterion) => links.push(Link { resource_type, criterion }),
                // Only some of the types that a reference may lead to have the parameter.
                Err(rejection @ Rejection::NotUnderstood(_)) => missing = missing.or(Some(rejection)),
                Err(invalid) => return Err(invalid),
            }
        }
        match missing {
            Some(rejection) if links.is_empty() => Err(rejection),
            _ => Ok(Filter { parameter, test: Test::Chain(links) }),
        }
    }

    /// `_has:Type:parameter:rest`
    fn reverse(
        &mut self,
        resource_type: ResourceType,
        (source, code): (&str, &str),
        rest: &str,
        steps: usize,
    ) -> Result<Filter, Rejection> {
        let source = super::control::known_type(source)?;
        let parameter = reference(source, code)?;
        if !points_to(parameter, resource_type) {
            return Err(Rejection::value(format!("{source}:{code} does not lead to {resource_type}.")));
        }
        let criterion = self.criterion(source, rest, steps + 1)?;
        Ok(Filter { parameter, test: Test::ReverseChain(Box::new(Link { resource_type: source, criterion })) })
    }
}

/// The parameter of a type, as a chain needs it.
fn known(resource_type: ResourceType, code: &str) -> Result<&'static SearchParameter, Rejection> {
    definitions::search_parameter(resource_type, code).ok_or_else(|| {
        Rejection::NotUnderstood(format!("{resource_type}, to which the chain leads, has no search parameter '{}'.", echo(code)))
    })
}

fn reference(resource_type: ResourceType, code: &str) -> Result<&'static SearchParameter, Rejection> {
    let parameter = known(resource_type, code)?;
    if parameter.parameter_type == ParameterType::Reference {
        return Ok(parameter);
    }
    Err(Rejection::Invalid(
        IssueType::Invalid,
        format!("'{code}' of {resource_type} is no reference; a chain cannot go on from it."),
    ))
}

fn typed(parameter: &SearchParameter, name: &str) -> Result<ResourceType, Rejection> {
    ResourceType::parse(name).filter(|target| points_to(parameter, *target)).ok_or_else(|| {
        let mut accepted = String::new();
        parameter.targets.iter().for_each(|target| accepted.extend([" :", target.name()]));
        filter::unknown_modifier(
            parameter.code,
            name,
            if accepted.is_empty() { "a resource type" } else { accepted.trim_start() },
        )
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_refused, strict, test_of};
    use super::super::{Include, SearchQuery};
    use super::*;

    #[test]
    fn a_chain_is_a_criterion_for_each_type_that_it_may_lead_to() {
        let query = strict("Observation", "subject.name:exact=Ann,Bob");
        let Test::Chain(links) = &query.filters[0].test else { panic!("no chain") };
        assert_eq!(query.filters[0].parameter.code, "subject");
        // Of Device, Group, Location and Patient, Group has no name.
        let types: Vec<&str> = links.iter().map(|link| link.resource_type.name()).collect();
        assert!(types.contains(&"Patient") && types.contains(&"Location") && !types.contains(&"Group"), "{types:?}");
        assert!(links.iter().all(|link| link.criterion.test == Test::StringExact(vec!["Ann".into(), "Bob".into()])));
        let Test::Chain(links) = test_of("Observation", "subject:Patient.organization.name=x") else { panic!("no chain") };
        let [Link { resource_type: ResourceType::PATIENT, criterion }] = links.as_slice() else { panic!("{links:?}") };
        assert!(matches!(&criterion.test, Test::Chain(links) if links[0].resource_type == ResourceType::ORGANIZATION));
        let Test::ReverseChain(link) = test_of("Patient", "_has:Observation:patient:code=a") else { panic!("no chain") };
        assert_eq!((link.resource_type, &link.criterion.test), (ResourceType::OBSERVATION, &test_of("Observation", "code=a")));
        let Test::Chain(links) = test_of("Encounter", "patient._has:Group:member:_id=g") else { panic!("no chain") };
        assert!(matches!(links[0].criterion.test, Test::ReverseChain(_)));
    }

    #[test]
    fn a_chain_that_cannot_be_followed_is_an_error_under_any_handling() {
        for (resource_type, text, place) in [
            ("Observation", "subject:Practitioner.name=x", "http.subject"),
            ("Observation", "subject:Nothing.name=x", "http.subject"),
            ("Observation", "subject:.name=x", "http.subject"),
            ("Observation", "subject:Patient.birthdate=x", "http.subject"),
            ("Observation", "subject:Patient.name:above=x", "http.subject"),
            ("Observation", "code.name=x", "http.code.name"),
            ("Observation", "focus.name=x", "http.focus.name"),
            ("Patient", "_has=x", "http._has"),
            ("Patient", "_has:Observation:patient=x", "http._has"),
            ("Patient", "_has:Nothing:patient:code=x", "http._has"),
            ("Patient", "_has:Observation:code:code=x", "http._has"),
            ("Patient", "_has:Observation:encounter:code=x", "http._has"),
            ("Patient", "link.link.link.link.link.link.name=x", "http.link.link.link.link.link.link.name"),
            (
                "Observation",
                "performer.organization.partof.partof.partof.name=x",
                "http.performer.organization.partof.partof.partof.name",
            ),
        ] {
            assert_refused(resource_type, text, place);
        }
        let many = "subject:Patient.name=a&".repeat(SearchQuery::MAXIMUM_CHAINS);
        assert_eq!(strict("Observation", many.trim_end_matches('&')).filters.len(), SearchQuery::MAXIMUM_CHAINS);
        assert_refused("Observation", &format!("{many}subject:Patient.name=a"), "http.subject");
        let wide = "has-member.patient.general-practitioner.identifier=a";
        assert_eq!(strict("Observation", &format!("{wide}&{wide}")).filters.len(), 2);
        assert_refused(
            "Observation",
            &format!("{wide}&{wide}&{wide}"),
            "http.has-member.patient.general-practitioner.identifier",
        );
    }

    #[test]
    fn an_include_that_iterates_starts_and_ends_anywhere() {
        let query = strict(
            "Observation",
            "_include:iterate=Patient:organization&_include:recurse=Organization:partof&_revinclude:iterate=Group:member",
        );
        assert!(query.includes.iter().chain(&query.reverse_includes).all(|include| include.iterates));
        let names = |includes: &[Include]| includes.iter().map(|include| include.parameter.code).collect::<Vec<_>>();
        assert_eq!((names(&query.includes), names(&query.reverse_includes)), (vec!["organization", "partof"], vec!["member"]));
        assert_refused("Observation", "_include=Patient:organization", "http._include");
        assert_refused("Observation", "_include:iterate=Patient:name", "http._include");
        assert_refused("Observation", "_include:other=Observation:subject", "http._include");
        assert_ne!(
            strict("Patient", "_include:iterate=Patient:link").canonical(),
            strict("Patient", "_include=Patient:link").canonical()
        );
    }
}
