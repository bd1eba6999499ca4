//! To whose record a resource belongs: the Patient compartment, and the people who care.
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

use portcullis_mutants::off;

use crate::definitions::{CompartmentType, compartment_parameters};
use crate::index::{IndexEntry, IndexValue};
use crate::instant;
use crate::json::Value;
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

/// Who has to do with the patients of a resource by what it says, each once: the practitioners and roles that an Encounter (`participant.individual`) or CareTeam
/// (`participant.member`) names, the general practitioners of a Patient, and the organisation that provides an Encounter or manages a Patient or EpisodeOfCare.
/// What did not take place, was entered in error, or is a team that is not at work or whose period is over at `now`, says nothing; nor does it of members whose time in the team is over at `now`,
/// in milliseconds since the epoch. What lets whom in is for rules to say. `index` is what [`crate::index::extract`] gave for the resource.
pub fn care_actors(resource: &Resource, index: &[IndexEntry], (base_url, now): (&str, i64)) -> Vec<LocalReference> {
    const PEOPLE: &[ResourceType] = &[ResourceType::PRACTITIONER, ResourceType::PRACTITIONER_ROLE];
    const ORGANISATIONS: &[ResourceType] = &[ResourceType::ORGANIZATION];
    let named: &[(&str, &[ResourceType])] = match resource.resource_type() {
        ResourceType::ENCOUNTER => &[("participant", PEOPLE), ("service-provider", ORGANISATIONS)],
        ResourceType::CARE_TEAM => &[("participant", PEOPLE)],
        ResourceType::PATIENT => &[("general-practitioner", PEOPLE), ("organization", ORGANISATIONS)],
        ResourceType::EPISODE_OF_CARE => &[("organization", ORGANISATIONS)],
        _ => return Vec::new(),
    };
    if is_void(resource) && !off!("care-void")
        || resource.resource_type() == ResourceType::CARE_TEAM && is_over(resource.body(), now)
    {
        return Vec::new();
    }
    let is_actor = |entry: &IndexEntry, target: &LocalReference| {
        named.iter().any(|(code, types)| entry.parameter.code == *code && types.contains(&target.resource_type))
    };
    let targets = index.iter().filter_map(|entry| Some((entry, local(entry)?)));
    let mut actors: Vec<LocalReference> =
        targets.filter(|(entry, target)| is_actor(entry, target)).map(|(_, target)| target.clone()).collect();
    actors.sort_unstable();
    actors.dedup();
    if resource.resource_type() == ResourceType::CARE_TEAM {
        actors.retain(|actor| !has_left(resource, actor, (base_url, now)));
    }
    actors
}

/// Whether a record of care is about none: an Encounter or EpisodeOfCare that did not take place, and a CareTeam that is not at work.
fn is_void(resource: &Resource) -> bool {
    let status = resource.body().member("status").and_then(Value::as_str);
    match (resource.resource_type(), status) {
        (ResourceType::CARE_TEAM, status) => !matches!(status, None | Some("active")),
        (_, status) => matches!(status, Some("cancelled" | "entered-in-error")),
    }
}

/// Whether a team names somebody as its member for times alone that are over.
fn has_left(team: &Resource, member: &LocalReference, (base_url, now): (&str, i64)) -> bool {
    let participants = team.body().member("participant").map(Value::items).unwrap_or_default();
    let own = participants.iter().filter(|participant| {
        let reference = participant.member("member").and_then(|member| member.member("reference")).and_then(Value::as_str);
        matches!(reference.and_then(|text| Reference::parse(text, base_url)), Some(Reference::Local(found)) if found == *member)
    });
    let mut own = own.peekable();
    own.peek().is_some() && own.all(|participant| is_over(participant, now))
}

/// Whether the `period` of something ended before a time in milliseconds since the epoch.
fn is_over(value: &Value, now: i64) -> bool {
    let end = value.member("period").and_then(|period| period.member("end")).and_then(Value::as_str);
    end.and_then(instant::range).is_some_and(|end| end.high < now)
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
    /// 2027-01-15T08:00:00Z
    const NOW: i64 = 1_800_000_000_000;

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

    #[test]
    fn care_that_did_not_take_place_or_is_over_says_nothing_of_who_cares() {
        let actors = |text: &str| {
            let (resource, index) = resource(text);
            care_actors(&resource, &index, (BASE, NOW)).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        for (status, cares) in
            [("planned", true), ("in-progress", true), ("finished", true), ("cancelled", false), ("entered-in-error", false)]
        {
            let visit = format!(
                r#"{{"resourceType":"Encounter","status":"{status}","class":{{"code":"AMB"}},"subject":{{"reference":"Patient/p"}},
                "participant":[{{"individual":{{"reference":"Practitioner/b"}},"period":{{"end":"2020-01-01"}}}}],"serviceProvider":{{"reference":"Organization/o"}}}}"#
            );
            assert_eq!(!actors(&visit).is_empty(), cares, "{status}");
        }
        for (status, cares) in
            [("active", true), ("proposed", false), ("suspended", false), ("inactive", false), ("entered-in-error", false)]
        {
            let team = format!(
                r#"{{"resourceType":"CareTeam","status":"{status}","subject":{{"reference":"Patient/p"}},"participant":[{{"member":{{"reference":"Practitioner/c"}}}}]}}"#
            );
            assert_eq!(!actors(&team).is_empty(), cares, "{status}");
        }
        for (period, cares) in
            [(r#""start":"2019-01-01""#, true), (r#""end":"2027-01-15""#, true), (r#""end":"2027-01-14""#, false)]
        {
            let team = format!(
                r#"{{"resourceType":"CareTeam","status":"active","period":{{{period}}},"subject":{{"reference":"Patient/p"}},"participant":[{{"member":{{"reference":"Practitioner/c"}}}}]}}"#
            );
            assert_eq!(!actors(&team).is_empty(), cares, "{period}");
        }
        let member = |participants: &str| {
            actors(&format!(
                r#"{{"resourceType":"CareTeam","subject":{{"reference":"Patient/p"}},"participant":[{participants}]}}"#
            ))
        };
        let until =
            |who: &str, end: &str| format!(r#"{{"member":{{"reference":"{who}"}},"period":{{"start":"2019-01-01"{end}}}}}"#);
        assert_eq!(member(&until("Practitioner/c", "")), ["Practitioner/c"]);
        assert_eq!(member(&until("Practitioner/c", r#","end":"2027-01-15""#)), ["Practitioner/c"], "today");
        assert!(member(&until("Practitioner/c", r#","end":"2027-01-14""#)).is_empty());
        assert!(member(&until("https://example.org/fhir/Practitioner/c/_history/1", r#","end":"2020""#)).is_empty());
        let again = format!("{},{}", until("Practitioner/c", r#","end":"2020""#), until("Practitioner/c", ""));
        assert_eq!(member(&again), ["Practitioner/c"], "who came back is a member");
        let other =
            format!("{},{}", until("Practitioner/c", r#","end":"2020""#), until("https://other.example/fhir/Practitioner/c", ""));
        assert!(member(&other).is_empty(), "somebody of the same name elsewhere is somebody else");
    }

    #[test]
    fn who_has_to_do_with_a_patient_is_named_by_few_types_and_elements() {
        let actors = |text: &str| {
            let (resource, index) = resource(text);
            care_actors(&resource, &index, (BASE, NOW)).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let encounter = r#"{"resourceType":"Encounter","status":"finished","class":{"code":"AMB"},"subject":{"reference":"Patient/p"},"participant":[
            {"individual":{"reference":"Practitioner/b"}},{"individual":{"reference":"PractitionerRole/r"}},{"individual":{"reference":"RelatedPerson/x"}},
            {"individual":{"reference":"https://other.example/fhir/Practitioner/z"}},{"individual":{"reference":"Practitioner/b"}}]}"#;
        assert_eq!(actors(encounter), ["Practitioner/b", "PractitionerRole/r"]);
        let team = r#"{"resourceType":"CareTeam","subject":{"reference":"Patient/p"},"participant":[{"member":{"reference":"Practitioner/c"}},
            {"member":{"reference":"Patient/p"}},{"member":{"reference":"Organization/o"},"onBehalfOf":{"reference":"Organization/p"}}]}"#;
        assert_eq!(actors(team), ["Practitioner/c"]);
        let provided = r#"{"resourceType":"Encounter","status":"finished","class":{"code":"AMB"},"subject":{"reference":"Patient/p"},
            "serviceProvider":{"reference":"Organization/o"}}"#;
        assert_eq!(actors(provided), ["Organization/o"]);
        let patient = r#"{"resourceType":"Patient","id":"p","managingOrganization":{"reference":"Organization/o"},"contact":[{"organization":{"reference":"Organization/x"}}],
            "generalPractitioner":[{"reference":"Practitioner/g"},{"reference":"Organization/q"}]}"#;
        assert_eq!(actors(patient), ["Organization/o", "Practitioner/g"]);
        let observation =
            r#"{"resourceType":"Observation","status":"final","code":{"text":"x"},"performer":[{"reference":"Practitioner/d"}]}"#;
        assert!(actors(observation).is_empty());
    }
}
