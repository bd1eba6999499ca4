//! To whose record a resource belongs: the Patient compartment.
//!
//! <https://hl7.org/fhir/R4/compartmentdefinition-patient.html>, narrowed: a resource belongs to the patient whom it is *about*. The published definition also
//! lets in whoever wrote, performed, asked for or paid for it (`performer`, `author`, `recorder`, `asserter`, `requester`, `sender`, `recipient`, `source`,
//! `participant`, `receiver`, `payee`, `payor`, `policy-holder`), so that a patient who once recorded something about another would see it. Here:
//!
//! - where a type has a parameter for its subject, only that gives membership;
//! - Coverage: the beneficiary and the subscriber, not who pays;
//! - Group: nobody, since each member would see the others;
//! - Patient: itself, not the records that it links to;
//! - AuditEvent: the patients who are its entities, not those who acted;
//! - Provenance: only where its target is the Patient resource itself;
//! - Binary: where its security context is the Patient; with another security context it is visible with that.
//!
//! And widened once: a Device belongs to its `patient` (docs/adr/0012-device-in-the-patient-compartment.md).
//!
//! What lies outside (a Task, a Contract, a Group, a stored Bundle) is in nobody's record and opened by no patient. It may concern patients all the same:
//! all whom it names. Their consents are asked before anybody has it, and its exchanges are theirs to know of.

use std::collections::BTreeSet;

use crate::definitions::{CompartmentType, compartment_parameters};
use crate::index::{IndexEntry, IndexValue};
use crate::reference::{LocalReference, Reference};
use crate::resource::Resource;
use crate::types::{LogicalId, ResourceType};

/// Directory types, which are nobody's and are named by somebody's records. A Device is both: somebody's where it names a patient.
pub const DIRECTORY_TYPES: &[ResourceType] = &[
    ResourceType::DEVICE,
    ResourceType::LOCATION,
    ResourceType::MEDICATION,
    ResourceType::ORGANIZATION,
    ResourceType::PRACTITIONER,
    ResourceType::PRACTITIONER_ROLE,
];

/// The parameters of the published compartment that name whom a resource is about.
const SUBJECTS: [&str; 7] = ["subject", "patient", "beneficiary", "subscriber", "individual", "actor", "member"];

/// Whether resources of this type can lie in patient compartments: that of a Binary is that of its security context.
pub fn is_inside(resource_type: ResourceType) -> bool {
    matches!(resource_type, ResourceType::PATIENT | ResourceType::BINARY) || !membership_parameters(resource_type).is_empty()
}

/// Whether resources of this type may concern patients: but for the directory all do that may name one.
pub fn may_concern(resource_type: ResourceType) -> bool {
    is_inside(resource_type) || !DIRECTORY_TYPES.contains(&resource_type)
}

/// The patients whom the resource concerns, each once and in order: those in whose compartment it lies, and those whom it names where its type is outside.
/// `index` and `references` are what [`crate::index::extract`] and [`crate::index::references`] gave for the resource.
///
/// A Patient without id belongs to nobody yet.
pub fn patients(resource: &Resource, index: &[IndexEntry], references: &[LocalReference]) -> Vec<LogicalId> {
    let resource_type = resource.resource_type();
    if !is_inside(resource_type) {
        return if may_concern(resource_type) { named(references) } else { Vec::new() };
    }
    if resource_type == ResourceType::PATIENT {
        return resource.id().cloned().into_iter().collect();
    }
    if resource_type == ResourceType::BINARY {
        let context = security_context(resource).filter(|context| context.resource_type == ResourceType::PATIENT);
        return context.map(|context| context.id).into_iter().collect();
    }
    let parameters = membership_parameters(resource_type);
    let targets = index.iter().filter(|entry| parameters.contains(&entry.parameter.code)).filter_map(local);
    let mut patients: Vec<LogicalId> =
        targets.filter(|target| target.resource_type == ResourceType::PATIENT).map(|target| target.id.clone()).collect();
    patients.sort_unstable();
    patients.dedup();
    patients
}

/// The patients among these.
fn named(references: &[LocalReference]) -> Vec<LogicalId> {
    let patients = references.iter().filter(|reference| reference.resource_type == ResourceType::PATIENT);
    patients.map(|reference| reference.id.clone()).collect::<BTreeSet<_>>().into_iter().collect()
}

/// The resource of this server whose access a Binary follows (<https://hl7.org/fhir/R4/binary.html#security-context>).
pub fn security_context(resource: &Resource) -> Option<LocalReference> {
    let context = resource.body().member("securityContext").filter(|_| resource.resource_type() == ResourceType::BINARY)?;
    LocalReference::parse(context.member("reference")?.as_str()?)
}

/// The parameters that put a resource of this type into a Patient compartment; none where the type is outside.
pub fn membership_parameters(resource_type: ResourceType) -> Vec<&'static str> {
    match resource_type.name() {
        "Patient" | "Group" => Vec::new(),
        "AuditEvent" => vec!["entity"],
        _ => {
            let published = compartment_parameters(CompartmentType::Patient, resource_type);
            published.iter().copied().filter(|code| SUBJECTS.contains(code)).collect()
        }
    }
}

fn local(entry: &IndexEntry) -> Option<&LocalReference> {
    match &entry.value {
        IndexValue::Reference(Reference::Local(target)) => Some(target),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::extract;

    const BASE: &str = "https://example.org/fhir";

    fn resource(text: &str) -> (Resource, Vec<IndexEntry>) {
        let resource = Resource::parse(text.as_bytes()).unwrap_or_else(|issues| panic!("{text}: {issues:?}"));
        let index = extract(&resource, BASE);
        (resource, index)
    }

    fn members(text: &str) -> Vec<String> {
        let (resource, index) = resource(text);
        patients(&resource, &index, &crate::index::references(&resource, BASE)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_resource_belongs_to_the_patient_it_is_about_and_not_to_who_took_part() {
        portcullis_verifies::verifies!("SMART-44", "SAFE-04");
        let table: [(&str, &[&str]); 13] = [
            (r#"{"resourceType":"Patient","id":"p","link":[{"other":{"reference":"Patient/q"},"type":"seealso"}]}"#, &["p"]),
            (r#"{"resourceType":"Patient","active":true}"#, &[]),
            (
                r#"{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/p"},"performer":[{"reference":"Patient/q"}]}"#,
                &["p"],
            ),
            (
                r#"{"resourceType":"Observation","status":"final","code":{"text":"x"},"performer":[{"reference":"Patient/q"}]}"#,
                &[],
            ),
            (
                r#"{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"Group/p"},"focus":[{"reference":"Patient/q"}]}"#,
                &[],
            ),
            (
                r#"{"resourceType":"AllergyIntolerance","patient":{"reference":"https://example.org/fhir/Patient/p"},"recorder":{"reference":"Patient/q"}}"#,
                &["p"],
            ),
            (
                r#"{"resourceType":"Coverage","status":"active","beneficiary":{"reference":"Patient/p"},"subscriber":{"reference":"Patient/s"},
                    "policyHolder":{"reference":"Patient/h"},"payor":[{"reference":"Patient/y"}]}"#,
                &["p", "s"],
            ),
            (
                r#"{"resourceType":"AuditEvent","type":{"code":"rest"},"recorded":"2024-01-01T00:00:00Z","source":{"observer":{"display":"x"}},
                    "agent":[{"who":{"reference":"Patient/a"},"requestor":true}],"entity":[{"what":{"reference":"Patient/p"}},{"what":{"reference":"Observation/o"}}]}"#,
                &["p"],
            ),
            (
                r#"{"resourceType":"Provenance","target":[{"reference":"Observation/o"},{"reference":"Patient/p"}],"recorded":"2024-01-01T00:00:00Z",
                    "agent":[{"who":{"reference":"Patient/q"}}]}"#,
                &["p"],
            ),
            (
                r#"{"resourceType":"Appointment","status":"booked","participant":[{"actor":{"reference":"Patient/q"},"status":"accepted"},
                    {"actor":{"reference":"Patient/p"},"status":"accepted"},{"actor":{"reference":"Patient/q"},"status":"accepted"}]}"#,
                &["p", "q"],
            ),
            (r#"{"resourceType":"Device","patient":{"reference":"Patient/p"},"owner":{"reference":"Organization/o"}}"#, &["p"]),
            (r#"{"resourceType":"Device","owner":{"reference":"Organization/o"}}"#, &[]),
            (
                r#"{"resourceType":"Organization","name":"x","extension":[{"url":"u","valueReference":{"reference":"Patient/p"}}]}"#,
                &[],
            ),
        ];
        for (text, expected) in table {
            assert_eq!(members(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_outside_every_record_concerns_all_whom_it_names() {
        let table: [(&str, &[&str]); 9] = [
            (
                r#"{"resourceType":"Bundle","type":"collection","entry":[
                    {"fullUrl":"https://other.example/fhir/Patient/a","resource":{"resourceType":"Patient","id":"a"}},
                    {"fullUrl":"https://other.example/fhir/Observation/b","resource":{"resourceType":"Observation","status":"final","code":{"text":"x"},
                        "subject":{"reference":"Patient/a"},"performer":[{"reference":"https://example.org/fhir/Patient/own"}]}},
                    {"fullUrl":"https://other.example/fhir/Bundle/c","resource":{"resourceType":"Bundle","type":"collection","entry":[
                        {"resource":{"resourceType":"Patient","id":"a"}},
                        {"fullUrl":"https://example.org/fhir/Patient/back","resource":{"resourceType":"Patient"}}]}}]}"#,
                &["back", "own"],
            ),
            (
                r#"{"resourceType":"Bundle","type":"collection","entry":[
                    {"fullUrl":"https://example.org/fhir/Patient/p","resource":{"resourceType":"Patient","active":true}},
                    {"fullUrl":"urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0","resource":{"resourceType":"Patient","id":"q"}},
                    {"fullUrl":"https://other.example/whatever","resource":{"resourceType":"Patient","id":"r","link":[
                        {"other":{"reference":"Patient/s"},"type":"seealso"}]}}]}"#,
                &["p", "q", "r", "s"],
            ),
            (
                r#"{"resourceType":"Task","status":"requested","intent":"order","for":{"reference":"Patient/p"},"requester":{"reference":"Patient/q"},
                    "input":[{"type":{"text":"x"},"valueReference":{"reference":"https://example.org/fhir/Patient/r/_history/1"}}]}"#,
                &["p", "q", "r"],
            ),
            (r#"{"resourceType":"Contract","subject":[{"reference":"Patient/p"},{"reference":"Patient/p"}]}"#, &["p"]),
            (
                r#"{"resourceType":"Group","type":"person","actual":true,"member":[{"entity":{"reference":"Patient/p"}},{"entity":{"reference":"Patient/a"}}]}"#,
                &["a", "p"],
            ),
            (
                r#"{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Patient","id":"p"}},
                    {"resource":{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/q"}}},
                    {"resource":{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Patient","id":"r"}}]}}]}"#,
                &["p", "q", "r"],
            ),
            (
                r#"{"resourceType":"Task","status":"requested","intent":"order","for":{"reference":"https://other.example/fhir/Patient/p"}}"#,
                &[],
            ),
            (
                r#"{"resourceType":"Location","name":"x","extension":[{"url":"u","valueReference":{"reference":"Patient/p"}}]}"#,
                &[],
            ),
            (r#"{"resourceType":"ValueSet","status":"active"}"#, &[]),
        ];
        for (text, expected) in table {
            assert_eq!(members(text), expected, "{text}");
        }
        for name in ["Task", "Group", "Bundle", "Contract", "GuidanceResponse", "ValueSet"] {
            let outside = ResourceType::parse(name).unwrap();
            assert!(!is_inside(outside) && may_concern(outside), "{name}");
        }
        for name in ["Patient", "Observation", "Binary", "Device", "Consent", "Provenance"] {
            let inside = ResourceType::parse(name).unwrap();
            assert!(is_inside(inside) && may_concern(inside), "{name}");
        }
        assert!(!may_concern(ResourceType::ORGANIZATION) && !is_inside(ResourceType::ORGANIZATION));
    }

    #[test]
    fn references_that_are_not_to_this_server_give_no_membership() {
        for subject in [
            "https://other.example/fhir/Patient/p",
            "#p",
            "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0",
            "patient/p",
            "Patient?identifier=1",
        ] {
            let text = format!(
                r#"{{"resourceType":"Condition","subject":{{"reference":"{subject}"}},"contained":[{{"resourceType":"Patient","id":"p"}}]}}"#
            );
            assert!(members(&text).is_empty(), "{subject}");
        }
    }

    #[test]
    fn every_type_of_the_published_compartment_keeps_a_parameter_for_its_subject() {
        for resource_type in ResourceType::all() {
            let published = compartment_parameters(CompartmentType::Patient, resource_type);
            let kept = membership_parameters(resource_type);
            let exempt = published.is_empty() || ["Patient", "Group"].contains(&resource_type.name());
            assert_eq!(kept.is_empty(), exempt, "{resource_type}: {published:?}");
            for code in [
                "performer",
                "author",
                "recorder",
                "asserter",
                "requester",
                "sender",
                "recipient",
                "source",
                "participant",
                "payor",
                "policy-holder",
                "payee",
            ] {
                assert!(!kept.contains(&code), "{resource_type} {code}");
            }
        }
    }
}
