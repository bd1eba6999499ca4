//! The parameters that shape the answer instead of choosing resources: `_count`, `_sort`, `_include`, `_summary` and so on.
//!
//! <https://hl7.org/fhir/R4/search.html#Summary>. Reads and histories use some of them too.

use super::filter::{Rejection, points_to};
use super::{Include, SearchQuery, Shape, SortKey, Total};
use crate::definitions::{self, ParameterType, SearchParameter};
use crate::interaction::{FORMAT_NAMES, Format, is_stored};
use crate::query::echo;
use crate::types::ResourceType;

/// `_count`: a number of matches, bounded; 0 asks for the count alone.
pub(crate) fn count(value: &str) -> Result<u32, Rejection> {
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    if !digits {
        let message = format!("A whole number is accepted, from 0; more than {0} counts as {0}.", SearchQuery::MAXIMUM_COUNT);
        return Err(Rejection::value(message));
    }
    // Digits that do not fit into the type are a huge number: bounded like any other.
    Ok(value.parse::<u32>().unwrap_or(u32::MAX).min(SearchQuery::MAXIMUM_COUNT))
}

/// `_cursor`: only its length is known here.
pub(crate) fn cursor(value: &str) -> Result<Box<str>, Rejection> {
    if value.is_empty() || value.len() > SearchQuery::MAXIMUM_CURSOR_LENGTH {
        return Err(Rejection::value("Accepted is a value that a link of an earlier page has."));
    }
    Ok(value.into())
}

/// `_format`, whose meaning is that of the whole request ([`crate::interaction::answer_format`]).
pub(crate) fn format(value: &str) -> Result<(), &'static str> {
    Format::of_parameter(value).map(|_| ()).ok_or(FORMAT_NAMES)
}

/// `_summary`
pub(crate) fn summary(value: &str) -> Result<Shape, Rejection> {
    match value {
        "true" => Ok(Shape::Summary),
        "text" => Ok(Shape::Text),
        "data" => Ok(Shape::Data),
        "count" => Ok(Shape::Count),
        "false" => Ok(Shape::Whole),
        _ => Err(Rejection::value("Accepted are true, text, data, count and false.")),
    }
}

/// `_elements`: top-level elements of the type, named as the definitions name them (`value` and `valueQuantity` become `value[x]`).
pub(crate) fn elements(resource_type: ResourceType, value: &str) -> Result<Shape, Rejection> {
    let mut elements: Vec<Box<str>> = Vec::new();
    for name in value.split(',') {
        let Some(element) = element(resource_type, name) else {
            let message = format!(
                "'{}' is no element of {resource_type}; accepted are names of its top-level elements, separated by commas.",
                echo(name)
            );
            return Err(Rejection::value(message));
        };
        if !elements.iter().any(|known| **known == *element) {
            elements.push(element.into());
        }
    }
    Ok(Shape::Elements(elements))
}

fn element(resource_type: ResourceType, name: &str) -> Option<&'static str> {
    if name.starts_with('_') {
        return None;
    }
    let choice = |element: &&&str| element.strip_suffix("[x]") == Some(name) || **element == name;
    definitions::element_of_member(resource_type, name)
        .or_else(|| definitions::all_elements(resource_type).iter().find(choice).copied())
}

/// `_total`
pub(super) fn total(value: &str) -> Result<Total, Rejection> {
    match value {
        "none" => Ok(Total::None),
        "estimate" => Ok(Total::Estimate),
        "accurate" => Ok(Total::Accurate),
        _ => Err(Rejection::value("Accepted are none, estimate and accurate.")),
    }
}

/// `_sort`: names with an optional minus.
pub(super) fn sort(resource_type: ResourceType, value: &str) -> Result<Vec<SortKey>, Rejection> {
    let mut keys: Vec<SortKey> = Vec::new();
    for name in value.split(',') {
        let (code, descending) = match name.strip_prefix('-') {
            Some(code) => (code, true),
            None => (name, false),
        };
        let parameter = definitions::search_parameter(resource_type, code)
            .filter(|parameter| !matches!(parameter.parameter_type, ParameterType::Composite | ParameterType::Special));
        let Some(parameter) = parameter else {
            let message =
                format!("'{}' cannot sort {resource_type}; accepted are the names of its search parameters.", echo(code));
            return Err(Rejection::value(message));
        };
        if keys.iter().any(|key| key.parameter == parameter) {
            return Err(Rejection::value(format!("'{code}' is named twice.")));
        }
        keys.push(SortKey { parameter, descending });
    }
    if keys.len() > SearchQuery::MAXIMUM_SORT_KEYS {
        return Err(Rejection::value(format!("At most {} names are accepted.", SearchQuery::MAXIMUM_SORT_KEYS)));
    }
    Ok(keys)
}

/// In which way an include leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// `_include`: from the match.
    Forward,
    /// `_revinclude`: to the match.
    Reverse,
}

/// `_include` and `_revinclude`: `Source:parameter`, `Source:parameter:Target`, `Source:*` for every reference parameter that leads there, or `*` for those of every
/// type.
/// `searched` is the type that the include belongs to; `None` for `:iterate`, which goes on from whatever was found.
pub(super) fn include(direction: Direction, searched: Option<ResourceType>, value: &str) -> Result<Vec<Include>, Rejection> {
    let parts: Vec<&str> = value.split(':').collect();
    let (source, code, target) = match parts.as_slice() {
        ["*"] => {
            return searched.map(|searched| every_include(direction, searched)).ok_or_else(|| {
                Rejection::value("'*' alone does not go on from what was included; name a type as Source:* or Source:parameter.")
            });
        }
        [source, code] => (*source, *code, None),
        [source, code, target] => (*source, *code, Some(*target)),
        _ => return Err(Rejection::value("Accepted are Source:parameter, Source:parameter:Target, Source:* and *.")),
    };
    let source = known_type(source)?;
    let target = target.map(known_type).transpose()?;
    let leads_to = match (direction, searched) {
        (Direction::Forward, Some(searched)) if source != searched => {
            let message = format!("The search is for {searched}; an include starts there. _include:iterate starts anywhere.");
            return Err(Rejection::value(message));
        }
        (Direction::Reverse, Some(searched)) if target.is_some_and(|target| target != searched) => {
            let message =
                format!("The search is for {searched}; a reverse include ends there. _revinclude:iterate ends anywhere.");
            return Err(Rejection::value(message));
        }
        (Direction::Reverse, Some(searched)) => Some(searched),
        (Direction::Forward, _) | (Direction::Reverse, None) => target,
    };
    let iterates = searched.is_none();
    let leads = |parameter: &SearchParameter| leads_to.is_none_or(|leads_to| points_to(parameter, leads_to));
    let is_reference = |parameter: &&SearchParameter| parameter.parameter_type == ParameterType::Reference;
    if code == "*" {
        let parameters = definitions::search_parameters(source).iter().copied().filter(is_reference);
        let leading = parameters.filter(|parameter| leads(parameter));
        let includes: Vec<Include> = leading.map(|parameter| Include { source, parameter, target, iterates }).collect();
        let nowhere = || leads_to.map_or_else(|| "any resource".to_owned(), |leads_to| leads_to.to_string());
        return if includes.is_empty() {
            Err(Rejection::value(format!("No reference parameter of {source} leads to {}.", nowhere())))
        } else {
            Ok(includes)
        };
    }
    let parameter = definitions::search_parameter(source, code)
        .filter(is_reference)
        .ok_or_else(|| Rejection::value(format!("{source} has no reference parameter '{}'.", echo(code))))?;
    match leads_to {
        Some(leads_to) if !points_to(parameter, leads_to) => {
            Err(Rejection::value(format!("{source}:{} does not lead to {leads_to}.", parameter.code)))
        }
        _ => Ok(vec![Include { source, parameter, target, iterates }]),
    }
}

/// Every reference parameter that leads from the searched type, or to it. The audit trail is searched by itself.
fn every_include(direction: Direction, searched: ResourceType) -> Vec<Include> {
    let sources: Vec<ResourceType> = match direction {
        Direction::Forward => vec![searched],
        Direction::Reverse => {
            let stored = |source: &ResourceType| is_stored(*source) && *source != ResourceType::AUDIT_EVENT;
            ResourceType::all().filter(stored).collect()
        }
    };
    let leads = |parameter: &SearchParameter| {
        parameter.parameter_type == ParameterType::Reference
            && (direction == Direction::Forward || points_to(parameter, searched))
    };
    let of = |source: ResourceType| {
        let parameters = definitions::search_parameters(source).iter().copied().filter(move |parameter| leads(parameter));
        parameters.map(move |parameter| Include { source, parameter, target: None, iterates: false })
    };
    sources.into_iter().flat_map(of).collect()
}

/// The type with this name.
pub(super) fn known_type(name: &str) -> Result<ResourceType, Rejection> {
    ResourceType::parse(name).ok_or_else(|| Rejection::value(format!("'{}' is no resource type of FHIR R4.", echo(name))))
}
