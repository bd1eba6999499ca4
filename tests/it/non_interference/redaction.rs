//! Elements that an operator hides, told a second time. Only such as a resource need not have.

use std::sync::Arc;

use portcullis_fhir::redaction::ElementRules;
use serde_json::Value;

use super::data::id;
use super::elements;
use super::people::Person;
use super::requests::Request;
use super::stores::Answer;

/// An element of the list.
#[derive(Debug)]
pub struct Element {
    path: &'static str,
    /// The type.
    pub name: &'static str,
    member: &'static str,
    /// Who is not cleared for this confidentiality does not see it.
    pub label: &'static str,
    /// Whether something in it may refer to others: then records of the type show nothing to whoever does not see it.
    pub refers: bool,
}

const fn element(path: &'static str, name: &'static str, member: &'static str, label: &'static str, refers: bool) -> Element {
    Element { path, name, member, label, refers }
}

/// Lists of operators; the first is the usual one.
pub static LISTS: [&[Element]; 3] = [
    &[],
    &[
        element("Observation.value[x]", "Observation", "valueQuantity", "R", false),
        element("Observation.performer", "Observation", "performer", "R", true),
        // By its assigner.
        element("Patient.identifier", "Patient", "identifier", "R", true),
    ],
    &[
        element("Condition.evidence", "Condition", "evidence", "R", true),
        element("MedicationRequest.requester", "MedicationRequest", "requester", "V", true),
        element("Organization.name", "Organization", "name", "R", false),
        element("ExplanationOfBenefit.disposition", "ExplanationOfBenefit", "disposition", "V", false),
    ],
];

/// What a record says that has elements with labels, or elements that are left out.
pub const MARKS: [&str; 2] = ["REDACTED", "PROCESSINLINELABEL"];

/// A list as the product has it.
pub fn compiled(list: usize) -> Arc<ElementRules> {
    let line = |element: &Element| format!("{} -> {}\n", element.path, element.label);
    Arc::new(ElementRules::parse(&LISTS[list].iter().map(line).collect::<String>()).unwrap())
}

/// A body without these elements, and without the text that was made of all of it.
pub fn without(body: &mut Value, elements: &[&Element]) {
    let Some(members) = body.as_object_mut().filter(|_| !elements.is_empty()) else { return };
    members.remove("text");
    for element in elements {
        members.remove(element.member);
        members.remove(&format!("_{}", element.member));
    }
}

/// A body in one order of its members, without the marks that something is left out and that elements have labels where that may be: for a person with a list, and
/// of a resource one of whose elements has a label.
pub fn comparable(body: &str, has_list: bool) -> String {
    let mut body: Value = serde_json::from_str(body).unwrap();
    let slot = body["id"].as_str().and_then(|id| id.get(1..)?.parse().ok());
    if !has_list && !slot.is_some_and(|slot| elements::has_label(body["resourceType"].as_str().unwrap(), slot)) {
        return body.to_string();
    }
    if let Some(Value::Array(labels)) = body.pointer_mut("/meta/security") {
        labels.retain(|label| !MARKS.iter().any(|mark| label["code"] == *mark));
        labels.sort_by_key(ToString::to_string);
        labels.iter_mut().filter_map(Value::as_object_mut).for_each(|label| drop(label.remove("display")));
    }
    if body.pointer("/meta/security") == Some(&Value::Array(Vec::new())) {
        body["meta"].as_object_mut().unwrap().remove("security");
    }
    body.to_string()
}

impl Person {
    /// Whether an answer is the expected one. Where something is hidden, what asks for it or would change it is refused, by words alone.
    pub fn may_be_answered(&self, found: &Answer, expected: &Answer) -> bool {
        let is_refused = || !LISTS[self.hidden].is_empty() && *found == Answer::Denied;
        let has_list = !LISTS[self.hidden].is_empty();
        let comparable = |answer: &Answer| answer.clone().comparable(has_list);
        found == expected || is_refused() || comparable(found) == comparable(expected)
    }

    /// The request by those ways into a compartment that the list leaves, for everybody: an element that is hidden from somebody in one part of what they may see
    /// leads nobody who has that part anywhere, also where another part shows it.
    pub fn by_shown_ways(&self, request: &Request) -> Option<Request> {
        let Request::Search { within: Some((owner, slot)), resource_type: "Observation", parameters } = request else {
            return None;
        };
        let is_hidden = LISTS[self.hidden].iter().any(|element| element.path == "Observation.performer");
        if owner.name != "Patient" || !is_hidden {
            return None;
        }
        let subject = ("subject".to_owned(), format!("Patient/{}", id(*owner, *slot)));
        let parameters = parameters.iter().cloned().chain([subject]).collect();
        Some(Request::Search { within: None, resource_type: "Observation", parameters })
    }
}
