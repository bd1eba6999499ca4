//! How an element looks that was there and is not shown.
//!
//! What a resource can do without is gone. What it must have says that it is masked (<https://hl7.org/fhir/R4/extension-data-absent-reason.html>): a reader that
//! checks cardinalities can still read it.

use crate::definitions::{Element, Kind, structure};
use crate::json::Value;

const DATA_ABSENT_REASON: &str = "http://hl7.org/fhir/StructureDefinition/data-absent-reason";

/// The members of an object.
pub(super) type Members = Vec<(Box<str>, Value)>;

/// What stands in place of a value.
pub(super) fn mark() -> Value {
    let reason = Value::object([("url", DATA_ABSENT_REASON.into()), ("valueCode", "masked".into())]);
    Value::object([("extension", Value::Array(vec![reason]))])
}

/// Takes an element out of the object that has it, in whatever type it is there; where it is mandatory a mark stays.
pub(super) fn withhold(members: &mut Members, element: &Element) {
    let names = element.member_names();
    let is_element = |name: &str| names.iter().any(|own| own == name.strip_prefix('_').unwrap_or(name));
    if !element.mandatory {
        members.retain(|(name, _)| !is_element(name));
        return;
    }
    let was_there = members.iter().any(|(name, _)| is_element(name));
    members.retain(|(name, _)| !is_element(name));
    // Of a choice the first type: which one it was is a part of what is not shown.
    if let Some(name) = names.first().filter(|_| was_there) {
        put_mark(members, element, name);
    }
}

/// Puts a mark where the member of this name was.
pub(super) fn put_mark(members: &mut Members, element: &Element, name: &str) {
    let is_primitive =
        element.type_of_member(name).is_some_and(|one| matches!(structure(one.structure).kind, Kind::Primitive(_)));
    let mark = if element.repeats { Value::Array(vec![mark()]) } else { mark() };
    let name = if is_primitive { format!("_{name}") } else { name.to_owned() };
    members.push((name.into(), mark));
}
