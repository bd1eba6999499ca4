//! Where an element is: a type and the names that lead to it, as the specification names them.
//!
//! `Patient.address.line`, `Observation.value[x]`, `Patient.extension('http://example.org/race')`. A path means every element there, also in the repetitions of a
//! structure inside itself (`QuestionnaireResponse.item.answer` at any depth). There are no other functions, indices or wildcards.

use crate::definitions::{Datatype, Kind, StructureId, structure, structure_of};
use crate::types::ResourceType;

/// A path that leads somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElementPath {
    resource_type: ResourceType,
    segments: Vec<Segment>,
    text: Box<str>,
}

/// One name of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// Without `[x]`.
    pub stem: Box<str>,
    /// Only extensions with this url.
    pub url: Option<Box<str>>,
    /// The structures in which the name is looked up: of a choice there are several.
    pub parents: Vec<StructureId>,
}

impl Segment {
    /// Whether it is mandatory and nothing can stand in its place: an attribute in XML has neither extensions nor absence.
    fn is_needed(&self) -> bool {
        let is_needed = |parent: &StructureId| {
            let of = structure(*parent);
            of.element(&self.stem).is_some_and(|element| element.mandatory && of.has_as_attribute(element))
        };
        self.parents.iter().any(is_needed)
    }
}

/// Why a text is no path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ElementPathError {
    /// It does not begin with a type.
    #[error("'{0}' is no resource type")]
    Type(String),
    /// A name that is not there.
    #[error("there is no element '{0}'")]
    Element(String),
    /// It names a type alone.
    #[error("the path names no element")]
    Empty,
    /// The element must stay: see [`super::is_fixed`].
    #[error("'{0}' cannot be redacted: it identifies the resource, says whose it is, or by which time it stands in order")]
    Fixed(String),
    /// What something must have to mean anything, and what can be said to be masked in no format.
    #[error("'{0}' cannot be redacted alone: an extension without its url says nothing, so name the extension")]
    Needed(String),
}

impl ElementPath {
    /// Reads a path.
    pub fn parse(text: &str) -> Result<Self, ElementPathError> {
        let (name, rest) = text.split_once('.').unwrap_or((text, ""));
        let resource_type = ResourceType::parse(name).ok_or_else(|| ElementPathError::Type(name.to_owned()))?;
        let mut segments = Vec::new();
        let mut parents = vec![structure_of(resource_type)];
        let mut rest = rest;
        while !rest.is_empty() {
            let (name, url, after) = first_segment(rest).ok_or_else(|| ElementPathError::Element(rest.to_owned()))?;
            let stem = name.strip_suffix("[x]").unwrap_or(name);
            let elements: Vec<_> = parents.iter().filter_map(|parent| structure(*parent).element(stem)).collect();
            if elements.is_empty() || (url.is_some() && stem != "extension") {
                return Err(ElementPathError::Element(name.to_owned()));
            }
            let next = elements.iter().flat_map(|element| element.types()).map(|one| one.structure).collect();
            segments.push(Segment {
                stem: stem.into(),
                url: url.map(Into::into),
                parents: std::mem::replace(&mut parents, next),
            });
            rest = after;
        }
        let Some(first) = segments.first() else { return Err(ElementPathError::Empty) };
        if super::is_fixed(resource_type, &first.stem) {
            return Err(ElementPathError::Fixed(text.to_owned()));
        }
        if segments.last().is_some_and(Segment::is_needed) {
            return Err(ElementPathError::Needed(text.to_owned()));
        }
        Ok(Self { resource_type, segments, text: text.into() })
    }

    /// The type that it begins with.
    pub fn resource_type(&self) -> ResourceType {
        self.resource_type
    }

    /// Whether it leads to this element of a type, or into it.
    pub fn begins_with(&self, resource_type: ResourceType, stem: &str) -> bool {
        self.resource_type == resource_type && self.segments.first().is_some_and(|first| *first.stem == *stem)
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub(super) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Whether a reference may be what it leads to, or be in there.
    pub(super) fn may_hold_references(&self) -> bool {
        let Some(last) = self.segments.last() else { return false };
        let elements = last.parents.iter().filter_map(|parent| structure(*parent).element(&last.stem));
        elements.flat_map(|element| element.types()).any(|one| holds_references(one.structure, 0))
    }
}

/// The deepest nesting of structures that is looked into; the tables have none deeper.
const MAXIMUM_NESTING: usize = 8;

fn holds_references(id: StructureId, depth: usize) -> bool {
    let of = structure(id);
    match of.kind {
        Kind::Datatype(Datatype::Reference) | Kind::AnyResource | Kind::Resource(_) => true,
        Kind::Primitive(_) => false,
        // An extension may hold anything; only those that a path names count.
        Kind::Complex if of.name == "Extension" => depth == 0,
        Kind::Datatype(_) | Kind::Complex if depth > MAXIMUM_NESTING => true,
        Kind::Datatype(_) | Kind::Complex => {
            let elements = of.elements().filter(|element| !matches!(element.stem, "extension" | "modifierExtension"));
            elements
                .flat_map(|element| element.types())
                .any(|one| one.structure != id && holds_references(one.structure, depth + 1))
        }
    }
}

/// `name`, or `extension('url')`, with what follows the dot after it.
fn first_segment(text: &str) -> Option<(&str, Option<&str>, &str)> {
    if let Some(after) = text.strip_prefix("extension('") {
        let (url, after) = after.split_once("')")?;
        let rest = if after.is_empty() { after } else { after.strip_prefix('.').filter(|rest| !rest.is_empty())? };
        return (!url.is_empty()).then_some(("extension", Some(url), rest));
    }
    match text.split_once('.') {
        Some((name, rest)) => (!name.is_empty() && !rest.is_empty()).then_some((name, None, rest)),
        None => Some((text, None, "")),
    }
}
