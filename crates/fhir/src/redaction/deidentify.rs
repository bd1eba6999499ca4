//! De-identification: a resource without what names somebody.
//!
//! After the list of HIPAA's safe harbour (45 CFR 164.514(b)(2)(i)), wherever it stands, also in contained resources, these are left out: names, identifiers, addresses
//! with all their parts, ways of contact, photographs and other attachments, signatures, narratives, notes and long texts, addresses of the web and unique numbers
//! (`url`, `oid`, `uuid`, and `id` where it is no resource's), the displays and identifiers of references, the texts of codes, and all extensions. Dates keep the year, also that of the
//! version; of `meta` stay the version id, profiles, and labels without extensions. What is no part of the definitions is left out.
//!
//! Kept are logical ids and references, so that what belongs together can be joined: the result is pseudonymous (`PSEUDED`) and not anonymous. Not judged are whether a rare
//! combination of codes and numbers points to somebody, and whether the year of a birth does because somebody is older than 89.

use super::masked::{self, Members};
use crate::definitions::{Datatype, Kind, Primitive, Structure, structure, structure_of};
use crate::instant;
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
        if element.stem == "meta" && of_type.name == "Meta" {
            of_version(members, &name);
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

/// What stays of `meta`: tags and sources may name anybody, and the time of a change says when somebody was there.
fn of_version(members: &mut Members, name: &str) {
    let Some((_, Value::Object(meta))) = members.iter_mut().find(|(own, _)| **own == *name) else { return };
    meta.retain(|(name, _)| matches!(&**name, "versionId" | "lastUpdated" | "profile" | "security"));
    for (name, value) in meta.iter_mut() {
        match (&**name, value) {
            ("lastUpdated", Value::String(text)) => {
                let moment = instant::range(text).map(|range| instant::beginning_of_year(range.low));
                *text = moment.map(instant::format).unwrap_or_default().into();
            }
            ("security", Value::Array(labels)) => labels.iter_mut().for_each(without_extensions),
            _ => {}
        }
    }
}

fn without_extensions(label: &mut Value) {
    if let Value::Object(members) = label {
        members.retain(|(name, _)| matches!(&**name, "system" | "version" | "code" | "display" | "userSelected"));
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
        Kind::Primitive(Primitive::Url | Primitive::Oid | Primitive::Uuid) => true,
        // Such as the numbers of studies and series of pictures.
        Kind::Primitive(Primitive::Id) => stem != "id",
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
