//! References from one resource to another.
//!
//! <https://hl7.org/fhir/R4/references.html>. Only literal references are read here; nothing is resolved.

use crate::types::{LogicalId, ResourceType};

/// Where a `Reference.reference` or canonical points.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reference {
    /// A resource on this server (`Patient/1`, or absolute under the server's own base).
    Local(LocalReference),
    /// Anything else: another server's resource, a canonical URL, a `urn:`.
    Absolute(Box<str>),
    /// A business identifier (`Reference.identifier`) as `system|value`.
    Identifier {
        /// The identifier's system; empty where it has none.
        system: Box<str>,
        /// The identifier's value.
        value: Box<str>,
    },
}

impl Reference {
    /// Reads `Reference.reference` or a reference in a query: local where it is relative or absolute under `base_url` (the server's own base,
    /// without a slash at the end); `None` for `#contained` and for the empty text. A version in the reference is not kept.
    pub fn parse(text: &str, base_url: &str) -> Option<Self> {
        if text.is_empty() || text.starts_with('#') {
            return None;
        }
        let relative = under_base(text, base_url).unwrap_or(text);
        Some(LocalReference::parse(relative).map_or_else(|| Self::Absolute(text.into()), Self::Local))
    }
}

fn under_base<'a>(text: &'a str, base_url: &str) -> Option<&'a str> {
    if base_url.is_empty() {
        return None;
    }
    text.strip_prefix(base_url)?.strip_prefix('/')
}

/// The type that a literal reference names, also where the target is on another server; `None` for `urn:` and contained references.
pub fn referenced_type(text: &str) -> Option<ResourceType> {
    let mut parts = text.rsplit('/');
    let last = parts.next()?;
    let mut before = parts.next()?;
    let mut id = last;
    if before == "_history" {
        id = parts.next()?;
        before = parts.next()?;
    }
    LogicalId::parse(id)?;
    ResourceType::parse(before)
}

/// A type and id on this server.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LocalReference {
    /// The type of the target.
    pub resource_type: ResourceType,
    /// The id of the target.
    pub id: LogicalId,
}

impl std::fmt::Display for LocalReference {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}/{}", self.resource_type, self.id)
    }
}

impl LocalReference {
    /// Parses `Type/id` or `Type/id/_history/version`; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('/');
        let resource_type = ResourceType::parse(parts.next()?)?;
        let id = LogicalId::parse(parts.next()?)?;
        match (parts.next(), parts.next(), parts.next()) {
            (None, None, None) => {}
            (Some("_history"), Some(version), None) if LogicalId::parse(version).is_some() => {}
            _ => return None,
        }
        Some(Self { resource_type, id })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "https://example.org/fhir";

    fn local(text: &str) -> Option<Reference> {
        LocalReference::parse(text).map(Reference::Local)
    }

    #[test]
    fn relative_and_own_absolute_references_are_local() {
        for text in [
            "Patient/1",
            "Patient/1/_history/2",
            "https://example.org/fhir/Patient/1",
            "https://example.org/fhir/Patient/1/_history/a",
        ] {
            assert_eq!(Reference::parse(text, BASE), local("Patient/1"), "{text}");
        }
    }

    #[test]
    fn nothing_else_is_local() {
        let texts = [
            "https://example.org/fhir2/Patient/1",
            "https://example.org/fhirPatient/1",
            "https://example.org/Patient/1",
            "http://example.org/fhir/Patient/1",
            "https://example.org/fhir/Patient/1/",
            "https://example.org/fhir//Patient/1",
            "patient/1",
            "Patient/",
            "Patient",
            "Foo/1",
            "/Patient/1",
            "Patient/1?x=y",
            "Patient/1#x",
            "Patient/a b",
            "Patient/../Patient/1",
            "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0",
            "Patient/1/_history",
            "Patient/1/_history/",
            "Patient/1/_history/1/x",
            "https://example.org/fhir",
        ];
        for text in texts {
            assert_eq!(Reference::parse(text, BASE), Some(Reference::Absolute(text.into())), "{text}");
        }
        assert_eq!(Reference::parse("#p", BASE), None);
        assert_eq!(Reference::parse("", BASE), None);
        assert_eq!(Reference::parse("/Patient/1", ""), Some(Reference::Absolute("/Patient/1".into())));
    }

    #[test]
    fn the_type_of_a_reference_is_read_from_its_path() {
        let patient = Some(ResourceType::PATIENT);
        for text in [
            "Patient/1",
            "Patient/1/_history/2",
            "https://other.example/x/Patient/1",
            "https://other.example/Patient/1/_history/3",
        ] {
            assert_eq!(referenced_type(text), patient, "{text}");
        }
        for text in ["#p", "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0", "Patient", "Patient?identifier=1", "patient/1", ""] {
            assert_eq!(referenced_type(text), None, "{text}");
        }
    }
}
