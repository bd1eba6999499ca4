//! De-identification: a resource without what names somebody.
//!
//! Left out, wherever they are, also in contained resources: names, identifiers, addresses, ways of contact, photographs and other attachments, signatures,
//! narratives, notes and long texts, the displays and identifiers of references, the texts of codes, and all extensions. Dates keep the year. Logical ids and references stay, so
//! that what belongs together can be joined: the result is pseudonymous (`PSEUDED`) and not anonymous. Whether a rare combination of codes still points to
//! somebody is not judged.

use super::masked::{self, Members};
use crate::definitions::{Datatype, Kind, Primitive, Structure, structure, structure_of};
use crate::json::Value;
use crate::types::ResourceType;

/// Takes it all out of a resource.
pub(super) fn deidentify(resource: &mut Value) {
    let resource_type = resource.member("resourceType").and_then(Value::as_str).and_then(ResourceType::parse);
    let (Some(resource_type), Value::Object(members)) = (resource_type, resource) else { return };
    // What is no part of the definitions may be anything.
    members.retain(|(name, _)| &**name == "resourceType" || is_known(resource_type, name));
    object(members, structure(structure_of(resource_type)));
}

fn is_known(resource_type: ResourceType, name: &str) -> bool {
    structure(structure_of(resource_type)).member(name.strip_prefix('_').unwrap_or(name)).is_some()
}

fn object(members: &mut Members, of: &'static Structure) {
    let names: Vec<Box<str>> = members.iter().map(|(name, _)| name.clone()).collect();
    for name in names {
        let Some((element, of_type)) = of.member(name.strip_prefix('_').unwrap_or(&name)) else { continue };
        // What the server says of a version, and the labels.
        if element.stem == "meta" && of_type.name == "Meta" {
            continue;
        }
        let inner = structure(of_type.structure);
        if leaves_out(of, element.stem, inner) {
            masked::withhold(members, element);
        } else if name.starts_with('_') {
            // Beside a primitive stand extensions.
            members.retain(|(own, _)| *own != name);
        } else if let Some((_, value)) = members.iter_mut().find(|(own, _)| *own == name) {
            inside(value, inner);
        }
    }
}

fn inside(value: &mut Value, of: &'static Structure) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| inside(item, of)),
        Value::String(text) if is_date(of) => *text = text.get(..4).unwrap_or_default().into(),
        Value::Object(_) if matches!(of.kind, Kind::AnyResource) => deidentify(value),
        Value::Object(members) => {
            object(members, of);
            if members.is_empty() {
                *value = masked::mark();
            }
        }
        _ => {}
    }
}

fn is_date(of: &Structure) -> bool {
    matches!(of.kind, Kind::Primitive(Primitive::Date | Primitive::DateTime))
}

/// Whether an element of this structure is left out.
fn leaves_out(of: &Structure, stem: &str, inner: &Structure) -> bool {
    match inner.kind {
        Kind::Datatype(Datatype::Address | Datatype::ContactPoint | Datatype::HumanName | Datatype::Identifier) => true,
        Kind::Primitive(Primitive::Markdown | Primitive::Xhtml | Primitive::Instant | Primitive::Base64Binary) => true,
        // What is written by hand: a code's text and the display of a reference may name anybody, a string anything.
        Kind::Primitive(Primitive::String) => {
            !matches!((of.name, stem), ("Coding", "display" | "version") | ("Quantity", "unit") | ("Reference", "reference"))
        }
        Kind::Complex => {
            matches!(inner.name, "Extension" | "Attachment" | "Signature" | "Annotation" | "Narrative" | "ContactDetail")
        }
        _ => false,
    }
}

/// Whether a value of this type, found by a search parameter, says something that stays.
pub(super) fn stays(of: &Structure) -> bool {
    match of.kind {
        Kind::Datatype(
            Datatype::CodeableConcept
            | Datatype::Coding
            | Datatype::Quantity
            | Datatype::Range
            | Datatype::Reference
            | Datatype::Money,
        ) => true,
        Kind::Primitive(primitive) => matches!(
            primitive,
            Primitive::Boolean
                | Primitive::Canonical
                | Primitive::Code
                | Primitive::Decimal
                | Primitive::Integer
                | Primitive::PositiveInt
                | Primitive::UnsignedInt
        ),
        // It has no one value by which it would be found.
        Kind::Complex => of.name == "SampledData",
        _ => false,
    }
}
