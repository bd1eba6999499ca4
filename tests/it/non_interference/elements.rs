//! Labels on single elements, told a second time: some resources have one on an element that they always have, in every version.
//!
//! Who is not cleared for it, or from whom a consent keeps what has it, sees the resource without the element. Nobody finds the resource by it, whatever the clearance:
//! a store that holds no more than is seen finds the same. What becomes of a record whose elements somebody would change without seeing them is not asked here
//! (`fhir::redaction`).

use serde_json::{Value, json};

use super::bodies::label;
use super::data::Draft;
use super::labels::Labels;

/// The extension.
const URL: &str = "http://hl7.org/fhir/uv/security-label-ds4p/StructureDefinition/extension-inline-sec-label";

/// An element with a label.
pub struct Labelled {
    name: &'static str,
    slot: u8,
    member: &'static str,
    shape: Shape,
    label: &'static str,
}

/// Where the extensions of an element stand.
enum Shape {
    /// Beside a primitive.
    Beside,
    /// In the first of a list.
    InFirst,
    /// In the element.
    Inside,
}

/// That of a Medication is no label of what refers to it.
static LABELLED: [Labelled; 5] = [
    Labelled { name: "Patient", slot: 1, member: "name", shape: Shape::InFirst, label: "R" },
    Labelled { name: "Coverage", slot: 2, member: "class", shape: Shape::InFirst, label: "HIV" },
    Labelled { name: "ExplanationOfBenefit", slot: 0, member: "disposition", shape: Shape::Beside, label: "R" },
    Labelled { name: "Medication", slot: 0, member: "code", shape: Shape::Inside, label: "R" },
    Labelled { name: "Device", slot: 0, member: "deviceName", shape: Shape::InFirst, label: "HIV" },
];

/// Whether the resources with this number have one.
pub fn has_label(name: &str, slot: u8) -> bool {
    LABELLED.iter().any(|labelled| labelled.name == name && labelled.slot == slot)
}

/// Puts the label on the element of a draft that is to have one.
pub fn put(body: &mut Value, draft: &Draft) {
    let slot = draft.slot % draft.kind.slots;
    let Some(labelled) = LABELLED.iter().find(|labelled| labelled.name == draft.kind.name && labelled.slot == slot) else {
        return;
    };
    let extension = json!([{"url": URL, "valueCoding": label(labelled.label)}]);
    match labelled.shape {
        Shape::Beside => body[format!("_{}", labelled.member)] = json!({"extension": extension}),
        Shape::InFirst => body[labelled.member][0]["extension"] = extension,
        Shape::Inside => body[labelled.member]["extension"] = extension,
    }
}

impl Labelled {
    /// The one that a resource has.
    pub fn of(body: &Value) -> Option<&'static Self> {
        let has = |labelled: &&Self| {
            let extensions = match labelled.shape {
                Shape::Beside => &body[format!("_{}", labelled.member)]["extension"],
                Shape::InFirst => &body[labelled.member][0]["extension"],
                Shape::Inside => &body[labelled.member]["extension"],
            };
            body["resourceType"] == labelled.name && extensions.is_array()
        };
        LABELLED.iter().find(has)
    }

    /// Its label.
    pub fn code(&self) -> &'static str {
        self.label
    }

    /// The same as labels of a record.
    pub fn labels(&self) -> Labels {
        Labels::default().and(&json!({"meta": {"security": [label(self.label)]}}))
    }

    /// A body without it.
    pub fn leave_out(&self, body: &mut Value) {
        let Some(members) = body.as_object_mut() else { return };
        members.remove(self.member);
        members.remove(&format!("_{}", self.member));
    }
}
