//! The structural checks: a tree against the table of elements.
//!
//! <https://hl7.org/fhir/R4/json.html>. Every refusal names the place as a FHIRPath-like expression (`Observation.component[2].valueQuantity.value`).

use super::{Resource, narrative, primitive};
use crate::definitions::{Element, Kind, Primitive, Structure, StructureId, structure, structure_named, structure_of};
use crate::json::{MAXIMUM_DEPTH, Value};
use crate::outcome::{Issue, IssueType};
use crate::types::ResourceType;

/// The longest part of a client's text that a message repeats, in characters.
const ECHO: usize = 64;

type Members = [(Box<str>, Value)];

/// Checks a whole resource and says its type.
pub(super) fn resource(body: &Value) -> Result<ResourceType, Vec<Issue>> {
    let mut validator = Validator { issues: Vec::new(), path: Vec::new() };
    let resource_type = validator.resource(body, false);
    match resource_type {
        Some(resource_type) if validator.issues.is_empty() => Ok(resource_type),
        _ => Err(validator.issues),
    }
}

/// One step of the path to the value that is being checked.
enum Segment<'a> {
    Name(&'a str),
    Index(usize),
}

struct Validator<'a> {
    issues: Vec<Issue>,
    path: Vec<Segment<'a>>,
}

impl<'a> Validator<'a> {
    fn is_full(&self) -> bool {
        self.issues.len() >= Resource::MAXIMUM_ISSUES
    }

    fn report(&mut self, code: IssueType, diagnostics: impl Into<String>) {
        if !self.is_full() {
            let issue = Issue::error(code, diagnostics);
            let place = self.place();
            self.issues.push(if place.is_empty() { issue } else { issue.at(place) });
        }
    }

    fn report_at(&mut self, member: &'a str, code: IssueType, diagnostics: impl Into<String>) {
        self.path.push(Segment::Name(member));
        self.report(code, diagnostics);
        self.path.pop();
    }

    fn place(&self) -> String {
        let mut place = String::new();
        for segment in &self.path {
            match segment {
                Segment::Name(name) => {
                    if !place.is_empty() {
                        place.push('.');
                    }
                    place.push_str(&echo(name));
                }
                Segment::Index(index) => place.push_str(&format!("[{index}]")),
            }
        }
        place
    }

    /// Checks a resource, at the top or inside another; `contained` resources may not contain others.
    fn resource(&mut self, body: &'a Value, contained: bool) -> Option<ResourceType> {
        let Value::Object(members) = body else {
            self.report(IssueType::Structure, format!("a resource is a JSON object, not {}", body.kind()));
            return None;
        };
        let name = match body.member("resourceType") {
            Some(Value::String(name)) => name,
            Some(_) => {
                self.report_at("resourceType", IssueType::Structure, "resourceType must be a string");
                return None;
            }
            None => {
                self.report_at("resourceType", IssueType::Structure, "resourceType is missing");
                return None;
            }
        };
        let Some(resource_type) = ResourceType::parse(name) else {
            let near = nearest(name, ResourceType::all().map(|known| known.name().to_owned()));
            let unknown = format!("`{}` is not a resource type of FHIR R4{}", echo(name), suggestion(near));
            self.report_at("resourceType", IssueType::Structure, unknown);
            return None;
        };
        if self.path.is_empty() {
            self.path.push(Segment::Name(resource_type.name()));
        }
        if contained && body.member("contained").is_some() {
            self.report_at("contained", IssueType::Structure, "a contained resource cannot contain resources (invariant dom-2)");
        }
        self.members(structure_of(resource_type), members, true);
        Some(resource_type)
    }

    /// Checks the members of an object against a structure.
    fn members(&mut self, id: StructureId, members: &'a Members, is_resource: bool) {
        if members.is_empty() {
            return self.report(IssueType::Structure, "an object cannot be empty");
        }
        if self.path.len() > 2 * MAXIMUM_DEPTH {
            return self.report(IssueType::Structure, "elements are nested too deeply");
        }
        let structure = structure(id);
        let mut present = Present::default();
        for (name, value) in members {
            if self.is_full() {
                return;
            }
            if is_resource && &**name == "resourceType" {
                continue;
            }
            self.member(structure, members, (name, value), &mut present);
        }
        for (position, element) in structure.elements().enumerate() {
            if element.mandatory && !present.has(position) {
                self.report_at(element.stem, IssueType::Required, format!("the required element `{}` is missing", element.name));
            }
        }
    }

    fn member(
        &mut self,
        structure: &Structure,
        members: &'a Members,
        (name, value): (&'a str, &'a Value),
        present: &mut Present<'a>,
    ) {
        let (base, is_sibling) = name.strip_prefix('_').map_or((name, false), |base| (base, true));
        let found = structure
            .elements()
            .enumerate()
            .find_map(|(position, element)| Some((position, element, element.type_of_member(base)?)));
        let Some((position, element, element_type)) = found else {
            return self.unknown(structure, name);
        };
        let kind = crate::definitions::structure(element_type.structure).kind;
        if is_sibling && (!matches!(kind, Kind::Primitive(_)) || structure.has_as_attribute(element)) {
            return self.unknown(structure, name);
        }
        if let Some(other) = present.mark(position, base) {
            let message = format!("only one of `{}` may be present, and `{}` is too", element.name, echo(other));
            self.report_at(name, IssueType::Structure, message);
        }
        self.path.push(Segment::Name(name));
        if is_sibling {
            self.sibling(element, value, lookup(members, base));
        } else if element.repeats {
            let sibling = matches!(kind, Kind::Primitive(_)).then(|| lookup_sibling(members, base)).flatten();
            self.array(element_type.structure, value, sibling);
        } else {
            self.single(element, element_type.structure, value);
        }
        self.path.pop();
    }

    fn unknown(&mut self, structure: &Structure, name: &'a str) {
        let near = nearest(name, structure.elements().flat_map(Element::member_names));
        let message = format!("{} has no element `{}`{}", structure.name, echo(name), suggestion(near));
        self.report_at(name, IssueType::Structure, message);
    }

    fn single(&mut self, element: &Element, id: StructureId, value: &'a Value) {
        if matches!(value, Value::Array(_)) {
            return self
                .report(IssueType::Structure, format!("`{}` occurs at most once, so it cannot be an array", element.name));
        }
        self.value(id, value);
    }

    /// "An array cannot be empty"; null stands only where a primitive is given by its extensions.
    fn array(&mut self, id: StructureId, value: &'a Value, sibling: Option<&'a [Value]>) {
        let Value::Array(items) = value else {
            return self
                .report(IssueType::Structure, format!("the element repeats, so it must be an array, not {}", value.kind()));
        };
        if items.is_empty() {
            return self.report(IssueType::Structure, "an array cannot be empty");
        }
        if sibling.is_some_and(|sibling| sibling.len() != items.len()) {
            self.report(IssueType::Structure, "the array and its `_` array must have the same length");
        }
        for (index, item) in items.iter().enumerate() {
            if self.is_full() {
                return;
            }
            self.path.push(Segment::Index(index));
            if *item != Value::Null {
                self.value(id, item);
            } else if sibling.and_then(|sibling| sibling.get(index)).is_none_or(|extra| *extra == Value::Null) {
                self.report(IssueType::Structure, "null is allowed only where the `_` array has an object at the same place");
            }
            self.path.pop();
        }
    }

    /// The `_name` beside a primitive: an Element with `id` or `extension` (<https://hl7.org/fhir/R4/json.html#primitive>).
    fn sibling(&mut self, element: &Element, value: &'a Value, base: Option<&'a Value>) {
        let Some(id) = structure_named("Element") else { return };
        if !element.repeats {
            return self.single(element, id, value);
        }
        let Value::Array(items) = value else {
            return self
                .report(IssueType::Structure, format!("the element repeats, so it must be an array, not {}", value.kind()));
        };
        if items.is_empty() {
            return self.report(IssueType::Structure, "an array cannot be empty");
        }
        for (index, item) in items.iter().enumerate() {
            if self.is_full() {
                return;
            }
            self.path.push(Segment::Index(index));
            if *item != Value::Null {
                self.value(id, item);
            } else if base.is_none() {
                self.report(IssueType::Structure, "null is allowed only where the primitive has a value at the same place");
            }
            self.path.pop();
        }
    }

    /// One value that is not an array.
    fn value(&mut self, id: StructureId, value: &'a Value) {
        match (structure(id).kind, value) {
            (Kind::Primitive(Primitive::Xhtml), Value::String(text)) => {
                if let Err(error) = narrative::check(text) {
                    self.report(IssueType::Invariant, error.to_string());
                }
            }
            (Kind::Primitive(kind), _) => {
                if let Err(error) = primitive::check(kind, value) {
                    self.report(error.code(), error.to_string());
                }
            }
            (Kind::AnyResource, _) => {
                let contained = matches!(self.path.iter().rev().nth(1), Some(Segment::Name("contained")));
                self.resource(value, contained);
            }
            // Only Bundle.entry.response.outcome names one type.
            (Kind::Resource(expected), Value::Object(_)) => {
                if self.resource(value, false).is_some_and(|found| found != expected) {
                    self.report(IssueType::Structure, format!("expected the resource type {expected}"));
                }
            }
            (_, Value::Object(members)) => self.members(id, members, false),
            (_, other) => {
                self.report(IssueType::Structure, format!("{} is a JSON object, not {}", structure(id).name, other.kind()))
            }
        }
    }
}

/// Which elements of one object have been met, by their position in the structure.
#[derive(Default)]
struct Present<'a> {
    mask: u128,
    choices: Vec<(usize, &'a str)>,
}

impl<'a> Present<'a> {
    fn has(&self, position: usize) -> bool {
        self.mask & (1 << position) != 0
    }

    /// Notes the element; gives the other member of the same choice if there was one.
    fn mark(&mut self, position: usize, base: &'a str) -> Option<&'a str> {
        let other = self.has(position).then(|| self.choices.iter().find(|(known, member)| *known == position && *member != base));
        self.mask |= 1 << position;
        let other = other.flatten().map(|(_, member)| *member);
        self.choices.push((position, base));
        other
    }
}

fn lookup<'a>(members: &'a Members, name: &str) -> Option<&'a Value> {
    members.iter().find(|(known, _)| &**known == name).map(|(_, value)| value)
}

fn lookup_sibling<'a>(members: &'a Members, base: &str) -> Option<&'a [Value]> {
    members.iter().find(|(known, _)| known.strip_prefix('_') == Some(base)).and_then(|(_, value)| value.as_array())
}

/// A bounded, printable copy of a client's text.
fn echo(text: &str) -> String {
    text.chars().take(ECHO).map(|character| if character.is_control() { '\u{fffd}' } else { character }).collect()
}

pub(crate) fn suggestion(near: Option<String>) -> String {
    near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"))
}

/// The known name that differs least, if it differs little.
pub(crate) fn nearest(name: &str, known: impl Iterator<Item = String>) -> Option<String> {
    if name.len() > ECHO {
        return None;
    }
    let limit = (name.len() / 2).clamp(1, 3);
    let candidates = known.map(|candidate| (distance(&name.to_lowercase(), &candidate.to_lowercase()), candidate));
    candidates.filter(|(distance, _)| *distance <= limit).min().map(|(_, candidate)| candidate)
}

/// How many characters must be added, removed or replaced (Levenshtein).
fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.chars().count()).collect();
    for (line, left_character) in left.chars().enumerate() {
        let mut diagonal = line;
        let mut previous = line + 1;
        for (cell, right_character) in row.iter_mut().skip(1).zip(right.chars()) {
            let replaced = diagonal + usize::from(left_character != right_character);
            diagonal = *cell;
            *cell = replaced.min(previous + 1).min(diagonal + 1);
            previous = *cell;
        }
        if let Some(first) = row.first_mut() {
            *first = line + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}
