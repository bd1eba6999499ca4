//! What can be asked through references: chained parameters, `_has`, and includes that go on from what was included.

/// Chained criteria of this type. `#` becomes a digit.
pub fn chains(name: &str) -> &'static [&'static str] {
    match name {
        "Patient" => &[
            "general-practitioner.name=adams",
            "general-practitioner:Practitioner.family=smith",
            "organization.name:contains=on",
            "organization.partof.name=smith",
            "link:Patient.gender=female",
            "_has:Observation:patient:code=4548-4",
            "_has:Observation:subject:value-quantity=gt5",
            "_has:Observation:patient:performer:Practitioner.family=smith",
            "_has:Encounter:patient:practitioner=d#",
            "_has:Encounter:patient:_has:Observation:encounter:status=final",
            "_has:CareTeam:participant:status=active",
            "_has:Group:member:type=person",
            "_has:Provenance:target:agent=Practitioner/d#",
            "_has:Coverage:payor:_id=v#",
        ],
        "Observation" => &[
            "patient.gender=female",
            "patient.family:exact=Smith",
            "subject.name=smith",
            "subject:Patient.general-practitioner:Practitioner.name=adams",
            "performer.name=smith",
            "performer:Organization.name=adams",
            "focus:Condition.code=4548-4",
            "focus:Condition.subject:Patient.gender=female",
            "encounter.participant:Practitioner.family=smith",
            "encounter.service-provider.name=adams",
            "encounter.diagnosis:Condition.code=4548-4",
            "has-member:Observation.code=4548-4",
            "has-member.patient.gender:not=female",
            "device.type=4548-4",
            "device.patient.gender=female",
            "_has:Observation:has-member:code=4548-4",
            "_has:Condition:evidence-detail:asserter:missing=true",
            "_has:Provenance:target:agent:missing=false",
            "patient._has:CareTeam:patient:status=active",
            "subject:Group.type=person",
        ],
        "Condition" => &[
            "patient.family=smith",
            "encounter.location.name=smith",
            "asserter:Patient.gender=female",
            "evidence-detail:Observation.code=4548-4",
            "_has:Encounter:diagnosis:status=finished",
            "_has:Observation:focus:status=final",
        ],
        "Encounter" => &[
            "patient.gender=female",
            "practitioner.name=adams",
            "part-of.class=AMB",
            "part-of.part-of.status=finished",
            "location.organization.name=adams",
            "diagnosis:Condition.code:text=text",
            "_has:Observation:encounter:code=4548-4",
            "_has:Encounter:part-of:patient=p#",
            "_has:CareTeam:encounter:participant=Practitioner/d#",
        ],
        "Coverage" => &["payor.name=adams", "payor:Patient.gender=female", "_has:ExplanationOfBenefit:coverage:status=active"],
        "ExplanationOfBenefit" => &["provider.name=adams", "coverage.payor.name=smith", "payee:Patient.gender=female"],
        "Provenance" => &["target:Observation.code=4548-4", "agent:Practitioner.name=adams", "patient.gender=female"],
        "Organization" => &[
            "partof.name=smith",
            "_has:Patient:organization:gender=female",
            "_has:Encounter:service-provider:patient=p#",
            "_has:Observation:performer:code=4548-4",
            "_has:Organization:partof:name=adams",
        ],
        "Practitioner" => &[
            "_has:Encounter:participant:patient=p#",
            "_has:Observation:performer:code=4548-4",
            "_has:PractitionerRole:practitioner:organization.name=adams",
            "_has:Patient:general-practitioner:gender=female",
        ],
        "MedicationRequest" => &["medication:Medication.code=4548-4", "requester:Patient.gender=female", "encounter.class=AMB"],
        "PractitionerRole" => &["practitioner.family=smith", "_has:MedicationRequest:requester:status=active"],
        "Device" => &["patient.gender=female", "_has:Observation:device:code=4548-4"],
        "Location" => &["organization.name=adams", "_has:Encounter:location:status=finished"],
        "CareTeam" => &["participant:Practitioner.name=adams", "patient.gender=female", "encounter.status=finished"],
        "Appointment" => &["actor:Patient.gender=female", "practitioner.family=smith"],
        _ => &[],
    }
}

/// Values of `_include:iterate`: whatever was found may lead on.
pub const ITERATED: [&str; 8] = [
    "Encounter:participant",
    "Encounter:part-of",
    "Patient:organization",
    "Patient:link",
    "Organization:partof",
    "PractitionerRole:organization",
    "Observation:has-member",
    "Location:organization",
];
/// Values of `_revinclude:iterate`.
pub const REVERSE_ITERATED: [&str; 5] =
    ["Observation:encounter", "Provenance:target", "Observation:has-member", "Organization:partof", "Patient:link"];

#[test]
fn every_chain_is_accepted_by_the_grammar() {
    use portcullis_fhir::search::{Handling, SearchContext, parse};
    use portcullis_fhir::types::ResourceType;
    let context = SearchContext { base_url: "https://localhost:8443/fhir", handling: Handling::Strict, now_ms: 0 };
    for kind in super::data::KINDS {
        let iterated = ITERATED.map(|value| ("_include:iterate", value.to_owned()));
        let reverse = REVERSE_ITERATED.map(|value| ("_revinclude:iterate", value.to_owned()));
        let criteria = chains(kind.name).iter().map(|text| text.split_once('=').unwrap());
        let criteria = criteria.map(|(name, value)| (name, value.replace('#', "1")));
        for (name, value) in criteria.chain(iterated).chain(reverse) {
            let resource_type = ResourceType::parse(kind.name).unwrap();
            let parsed = parse(resource_type, &[(name.to_owned(), value.clone())], &context);
            assert!(parsed.is_ok(), "{} {name}={value}: {parsed:?}", kind.name);
        }
    }
}
