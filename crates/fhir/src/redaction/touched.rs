//! Which search parameters look at which elements.

use std::sync::{LazyLock, OnceLock};

use super::deidentify;
use super::element_path::ElementPath;
use crate::compartment::membership_parameters;
use crate::definitions::{ParameterType, SearchParameter, search_parameter, structure};
use crate::index::CLINICAL_TIME;
use crate::path::Path;
use crate::search::{Filter, Test};
use crate::types::ResourceType;

/// Whether a top-level element of a type is never redacted: it identifies the resource, says whose record it is or whom it lets in, or gives the time by which
/// records stand in order. What it decides would tell what it says.
pub fn is_fixed(resource_type: ResourceType, stem: &str) -> bool {
    if matches!(stem, "resourceType" | "id" | "meta" | "implicitRules") {
        return true;
    }
    // The name of a Provenance's targets, of who takes part in care, and of what a Binary's access follows.
    match resource_type {
        // The trail is rendered anew for each reader.
        ResourceType::AUDIT_EVENT => return true,
        ResourceType::PROVENANCE if stem == "target" => return true,
        ResourceType::ENCOUNTER | ResourceType::CARE_TEAM if stem == "participant" => return true,
        ResourceType::BINARY if stem == "securityContext" => return true,
        // By these a rule of the operator may let somebody in.
        ResourceType::PATIENT if stem == "managingOrganization" => return true,
        ResourceType::EPISODE_OF_CARE if stem == "managingOrganization" => return true,
        ResourceType::PRACTITIONER_ROLE if matches!(stem, "active" | "practitioner" | "organization") => return true,
        _ => {}
    }
    deciding_elements(resource_type).contains(&stem)
}

/// The elements of a type that say whose record it is, or by what time it stands in order. Worked out once for each type: paths are compiled for it.
fn deciding_elements(resource_type: ResourceType) -> &'static [&'static str] {
    static OF_TYPES: LazyLock<Vec<OnceLock<Vec<&'static str>>>> =
        LazyLock::new(|| ResourceType::all().map(|_| OnceLock::new()).collect());
    let found = || {
        let times = CLINICAL_TIME.iter().copied();
        let deciding: Vec<&'static SearchParameter> = membership_parameters(resource_type)
            .into_iter()
            .chain(times)
            .filter_map(|code| search_parameter(resource_type, code))
            .collect();
        let stems = structure(crate::definitions::structure_of(resource_type)).elements().map(|element| element.stem);
        stems.filter(|stem| deciding.iter().any(|parameter| begins_with(resource_type, parameter, stem))).collect()
    };
    OF_TYPES.get(usize::from(resource_type.code())).map_or(&[], |of_type| of_type.get_or_init(found))
}

fn begins_with(resource_type: ResourceType, parameter: &'static SearchParameter, stem: &str) -> bool {
    let Some(element) = structure(crate::definitions::structure_of(resource_type)).element(stem) else { return false };
    let Some(path) = path_of(resource_type, parameter) else { return true };
    let is_element = |names: &Vec<&str>| names.iter().any(|name| element.type_of_member(name).is_some());
    path.routes().iter().any(|route| route.first().is_some_and(is_element))
}

/// The path of a parameter; of a composite that of its elements.
fn path_of(resource_type: ResourceType, parameter: &SearchParameter) -> Option<Path> {
    let elements = parameter.expression.split('$').next().unwrap_or_default().trim();
    Path::compile(elements, resource_type).ok()
}

/// Whether a parameter looks at an element, or at one that is in it, or at one in which it is. What cannot be understood does.
pub(super) fn touches(path: &ElementPath, parameter: &SearchParameter) -> bool {
    let Some(looked_at) = path_of(path.resource_type(), parameter) else { return true };
    looked_at.routes().iter().any(|route| {
        let mut both = route.iter().zip(path.segments());
        both.all(|(names, segment)| {
            let elements: Vec<_> =
                segment.parents.iter().filter_map(|parent| structure(*parent).element(&segment.stem)).collect();
            names.iter().any(|name| elements.iter().any(|element| element.type_of_member(name).is_some()))
        })
    })
}

/// Whether a parameter looks at something that de-identification leaves out or makes coarser.
pub(super) fn identifies(resource_type: ResourceType, parameter: &SearchParameter) -> bool {
    if parameter.base.is_none() {
        // What stays of `meta` may be asked for.
        return !matches!(parameter.code, "_id" | "_profile" | "_security");
    }
    match (parameter.parameter_type, path_of(resource_type, parameter)) {
        (ParameterType::Composite, _) | (_, None) => true,
        (_, Some(path)) => !path.types().all(|of| deidentify::stays(structure(of))),
    }
}

/// The first parameter in a criterion of a type that is hidden. `hides_texts`: whether displays, texts and identifiers of references are, too.
pub(super) fn hidden_filter<'q>(
    resource_type: ResourceType,
    filter: &'q Filter,
    hides: &dyn Fn(ResourceType, &SearchParameter) -> bool,
    hides_texts: &dyn Fn(ResourceType) -> bool,
) -> Option<(ResourceType, &'q SearchParameter)> {
    let parameter: &'q SearchParameter = filter.parameter;
    let own = |of| hides(of, parameter).then_some((of, parameter));
    let within = |of, filter| hidden_filter(of, filter, hides, hides_texts);
    match &filter.test {
        Test::Either(either) => either.iter().find_map(|one| within(resource_type, one)),
        Test::Pairs(pairs) => pairs.iter().flatten().find_map(|one| within(resource_type, one)),
        Test::Chain(links) => {
            own(resource_type).or_else(|| links.iter().find_map(|link| within(link.resource_type, &link.criterion)))
        }
        Test::ReverseChain(link) => own(link.resource_type).or_else(|| within(link.resource_type, &link.criterion)),
        Test::TokenText(_) | Test::ReferenceIdentifier(_) if hides_texts(resource_type) => Some((resource_type, parameter)),
        _ => own(resource_type),
    }
}
