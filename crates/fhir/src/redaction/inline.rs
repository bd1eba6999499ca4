//! Labels on single elements: the extension `inline-sec-label` (DS4P, "Inline Security Labels").
//!
//! The labelled element is the object that has the extension; of a primitive it is the value whose `_name` has it. Whoever is not cleared for all of its labels
//! does not see the element, and one with a label that this server does not understand is shown only to who is cleared for everything. What may be hidden from
//! somebody is searched by nobody, so that no answer depends on it. Where an element cannot be left out ([`super::is_fixed`], or the resource itself) its
//! labels count for the whole resource.

use portcullis_mutants::off;

use super::deidentify;
use super::masked::{self, Members};
use super::touched::is_fixed;
use crate::definitions::{Element, Kind, Structure, structure, structure_of};
use crate::json::Value;
use crate::labels::{Labels, body};
use crate::types::ResourceType;

/// The extension.
pub const INLINE_LABEL: &str = "http://hl7.org/fhir/uv/security-label-ds4p/StructureDefinition/extension-inline-sec-label";

/// The labels of one element.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ElementLabels {
    /// Those that are understood.
    pub labels: Labels,
    /// Whether one is not understood.
    pub unknown: bool,
    /// Whether it is to be masked, also where it could be left out.
    pub mask: bool,
}

impl ElementLabels {
    /// All labels that count, where they count for a whole resource.
    fn raised(self) -> Labels {
        if self.unknown { self.labels | Labels::UNKNOWN } else { self.labels }
    }
}

/// What the labels of elements mean for the resource that has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inline {
    /// Whether there are some.
    pub present: bool,
    /// Those that count for the whole, because their element cannot be left out.
    pub raised: Labels,
}

/// The labels that an element with these extensions carries; `None` where it has none of its own.
fn labels_of(extensions: &Value) -> Option<ElementLabels> {
    let mut found: Option<ElementLabels> = None;
    for extension in extensions.items() {
        if extension.member("url").and_then(Value::as_str) != Some(INLINE_LABEL) {
            continue;
        }
        let labels = found.get_or_insert_default();
        let text = |name| extension.member("valueCoding").and_then(|coding| coding.member(name)).and_then(Value::as_str);
        match (text("system"), text("code")) {
            (Some(system), Some(code)) => match body::meaning(system, code) {
                Some(known) => labels.labels = labels.labels | known,
                None => {
                    labels.unknown = true;
                    labels.mask |= code == "MASK";
                }
            },
            _ => labels.unknown = true,
        }
    }
    found
}

fn own_labels(value: &Value) -> Option<ElementLabels> {
    value.member("extension").and_then(labels_of)
}

/// All labels that a value carries itself.
pub(super) fn labels_of_value(value: &Value) -> Option<Labels> {
    own_labels(value).map(ElementLabels::raised)
}

/// Finds the labels of the elements of a resource.
pub fn find(resource: &Value) -> Inline {
    let mut inline = Inline::default();
    find_in(resource, &|| false, &mut inline);
    inline
}

/// `stays`: whether the whole of it is a part of something that is never left out; asked only where there is a label, which is seldom.
fn find_in(resource: &Value, stays: &dyn Fn() -> bool, inline: &mut Inline) {
    if let Some(labels) = own_labels(resource) {
        *inline = Inline { present: true, raised: inline.raised | labels.raised() };
    }
    let resource_type = resource.member("resourceType").and_then(Value::as_str).and_then(ResourceType::parse);
    for (name, value) in resource.as_object().unwrap_or_default() {
        let name = name.strip_prefix('_').unwrap_or(name);
        let stays = || stays() || resource_type.is_none_or(|of| is_fixed(of, stem_of(of, name)));
        collect(value, &stays, inline);
    }
}

/// The name of the element to which a member belongs, without the type of a choice.
fn stem_of(resource_type: ResourceType, member: &str) -> &str {
    structure(structure_of(resource_type)).member(member).map_or(member, |(element, _)| element.stem)
}

fn collect(value: &Value, stays: &dyn Fn() -> bool, inline: &mut Inline) {
    match value {
        // A contained resource is referred to, and cannot be left out: as with any resource its own labels count for the whole.
        Value::Object(_) if is_resource(value) => find_in(value, stays, inline),
        Value::Object(members) => {
            if let Some(labels) = own_labels(value) {
                inline.present = true;
                if stays() {
                    inline.raised = inline.raised | labels.raised();
                }
            }
            members.iter().for_each(|(_, value)| collect(value, stays, inline));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, stays, inline)),
        _ => {}
    }
}

fn is_resource(value: &Value) -> bool {
    value.member("resourceType").is_some()
}

/// The resource without what somebody who may see it might not be shown, for the index of a search; `None` where that is the resource itself. Also asked for a
/// stored body, whose labels are where they were when it was stored.
pub fn indexable(resource: &Value) -> Option<Value> {
    let obliged = body::obliges(resource);
    if !obliged && !find(resource).present {
        return None;
    }
    let mut resource = resource.clone();
    // Whatever the label: a consent may keep what every clearance reaches.
    redact(&mut resource, &mut |_| !off!("element-index"));
    if obliged {
        deidentify::deidentify(&mut resource);
    }
    Some(resource)
}

/// Takes out of a resource the elements whose labels `hides` says to hide; whether any was. The labels of elements that stay come back.
pub fn redact(resource: &mut Value, hides: &mut dyn FnMut(ElementLabels) -> bool) -> (bool, Labels) {
    let mut walk = Walk { hides, removed: false, shown: Labels::NONE };
    walk.resource(resource);
    (walk.removed, walk.shown)
}

/// The labels of an element; a resource in another one is no element.
fn labels_of_element(value: &Value) -> Option<ElementLabels> {
    if is_resource(value) { None } else { own_labels(value) }
}

/// A structure with extensions and nothing that an extension cannot have.
fn extensions() -> Option<&'static Structure> {
    let (_, of) = structure(structure_of(ResourceType::PATIENT)).member("extension")?;
    Some(structure(of.structure))
}

struct Walk<'a> {
    hides: &'a mut dyn FnMut(ElementLabels) -> bool,
    removed: bool,
    shown: Labels,
}

impl Walk<'_> {
    fn resource(&mut self, resource: &mut Value) {
        let resource_type = resource.member("resourceType").and_then(Value::as_str).and_then(ResourceType::parse);
        let Some(resource_type) = resource_type else { return };
        let Value::Object(members) = resource else { return };
        let of = structure(structure_of(resource_type));
        self.members(members, of, &|stem| is_fixed(resource_type, stem));
    }

    /// `stays` says of the name of an element that it is never left out, nor anything in it.
    fn members(&mut self, members: &mut Members, of: &'static Structure, stays: &dyn Fn(&str) -> bool) {
        let names: Vec<Box<str>> = members.iter().map(|(name, _)| name.clone()).collect();
        let mut done: Vec<&'static str> = Vec::new();
        for name in names {
            let plain = name.strip_prefix('_').unwrap_or(&name).to_owned();
            let Some((element, of_type)) = of.member(&plain) else { continue };
            if done.contains(&element.name) || stays(element.stem) {
                continue;
            }
            done.push(element.name);
            if matches!(structure(of_type.structure).kind, Kind::Primitive(_)) {
                self.primitive(members, element, &plain);
            } else {
                self.complex(members, element, (&plain, structure(of_type.structure)));
            }
        }
    }

    fn judged(&mut self, labels: Option<ElementLabels>) -> Option<ElementLabels> {
        let labels = labels?;
        if (self.hides)(labels) {
            self.removed = true;
            return Some(labels);
        }
        self.shown = self.shown | labels.labels;
        None
    }

    fn complex(&mut self, members: &mut Members, element: &'static Element, (name, of): (&str, &'static Structure)) {
        let Some(position) = members.iter().position(|(own, _)| **own == *name) else { return };
        let Some((_, value)) = members.get_mut(position) else { return };
        let mut mask = false;
        match value {
            Value::Array(items) => {
                items.retain_mut(|item| match self.judged(labels_of_element(item)) {
                    Some(labels) => {
                        mask |= labels.mask;
                        false
                    }
                    None => {
                        self.inside(item, of);
                        true
                    }
                });
                if !items.is_empty() && !mask {
                    return;
                }
                if !items.is_empty() {
                    items.push(masked::mark());
                    return;
                }
            }
            single => match self.judged(labels_of_element(single)) {
                None => return self.inside(single, of),
                Some(labels) => mask = labels.mask,
            },
        }
        members.remove(position);
        if mask || element.mandatory {
            masked::put_mark(members, element, name);
        }
    }

    fn inside(&mut self, value: &mut Value, of: &'static Structure) {
        if is_resource(value) {
            return self.resource(value);
        }
        if let Value::Object(members) = value {
            self.members(members, of, &|_| false);
        }
    }

    /// A primitive, whose extensions stand beside it: one value, or several in step with theirs.
    fn primitive(&mut self, members: &mut Members, element: &'static Element, name: &str) {
        let beside = format!("_{name}");
        let Some(position) = members.iter().position(|(own, _)| **own == *beside) else { return };
        let Some((_, extended)) = members.get_mut(position) else { return };
        // What stands in its extensions has labels of its own.
        if let Some(of) = extensions() {
            let each = if let Value::Array(items) = extended { items.as_mut_slice() } else { std::slice::from_mut(extended) };
            for item in each {
                self.inside(item, of);
            }
        }
        let hidden: Vec<Option<ElementLabels>> =
            extended.items().to_vec().iter().map(|item| self.judged(own_labels(item))).collect();
        if hidden.iter().all(Option::is_none) {
            return;
        }
        let mask = hidden.iter().flatten().any(|labels| labels.mask);
        let left = hidden.iter().filter(|hidden| hidden.is_none()).count();
        if let (true, Value::Array(_)) = (left > 0, &extended) {
            self.keep(members, name, &hidden);
            self.keep(members, &beside, &hidden);
        } else {
            let values = members.iter().find(|(own, _)| **own == *name).map_or(0, |(_, value)| value.items().len());
            members.retain(|(own, _)| **own != *name && **own != *beside);
            // Values behind the last extension have none.
            if mask || element.mandatory || values > hidden.len() {
                masked::put_mark(members, element, name);
            }
        }
    }

    fn keep(&self, members: &mut Members, name: &str, hidden: &[Option<ElementLabels>]) {
        if let Some((_, Value::Array(items))) = members.iter_mut().find(|(own, _)| **own == *name) {
            let mut hidden = hidden.iter();
            items.retain(|_| hidden.next().is_none_or(Option::is_none));
        }
    }
}
