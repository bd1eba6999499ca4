//! Resource types of FHIR R4, as small copyable values.
//!
//! <https://hl7.org/fhir/R4/resourcelist.html>

use std::fmt;

/// One of the 146 concrete resource types of FHIR R4; an index into a fixed, alphabetical table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceType(u8);

/// The names of all concrete resource types in alphabetical order (binary-searched by [`ResourceType::parse`]).
static NAMES: &[&str] = &[
    "Account",
    "ActivityDefinition",
    "AdverseEvent",
    "AllergyIntolerance",
    "Appointment",
    "AppointmentResponse",
    "AuditEvent",
    "Basic",
    "Binary",
    "BiologicallyDerivedProduct",
    "BodyStructure",
    "Bundle",
    "CapabilityStatement",
    "CarePlan",
    "CareTeam",
    "CatalogEntry",
    "ChargeItem",
    "ChargeItemDefinition",
    "Claim",
    "ClaimResponse",
    "ClinicalImpression",
    "CodeSystem",
    "Communication",
    "CommunicationRequest",
    "CompartmentDefinition",
    "Composition",
    "ConceptMap",
    "Condition",
    "Consent",
    "Contract",
    "Coverage",
    "CoverageEligibilityRequest",
    "CoverageEligibilityResponse",
    "DetectedIssue",
    "Device",
    "DeviceDefinition",
    "DeviceMetric",
    "DeviceRequest",
    "DeviceUseStatement",
    "DiagnosticReport",
    "DocumentManifest",
    "DocumentReference",
    "EffectEvidenceSynthesis",
    "Encounter",
    "Endpoint",
    "EnrollmentRequest",
    "EnrollmentResponse",
    "EpisodeOfCare",
    "EventDefinition",
    "Evidence",
    "EvidenceVariable",
    "ExampleScenario",
    "ExplanationOfBenefit",
    "FamilyMemberHistory",
    "Flag",
    "Goal",
    "GraphDefinition",
    "Group",
    "GuidanceResponse",
    "HealthcareService",
    "ImagingStudy",
    "Immunization",
    "ImmunizationEvaluation",
    "ImmunizationRecommendation",
    "ImplementationGuide",
    "InsurancePlan",
    "Invoice",
    "Library",
    "Linkage",
    "List",
    "Location",
    "Measure",
    "MeasureReport",
    "Media",
    "Medication",
    "MedicationAdministration",
    "MedicationDispense",
    "MedicationKnowledge",
    "MedicationRequest",
    "MedicationStatement",
    "MedicinalProduct",
    "MedicinalProductAuthorization",
    "MedicinalProductContraindication",
    "MedicinalProductIndication",
    "MedicinalProductIngredient",
    "MedicinalProductInteraction",
    "MedicinalProductManufactured",
    "MedicinalProductPackaged",
    "MedicinalProductPharmaceutical",
    "MedicinalProductUndesirableEffect",
    "MessageDefinition",
    "MessageHeader",
    "MolecularSequence",
    "NamingSystem",
    "NutritionOrder",
    "Observation",
    "ObservationDefinition",
    "OperationDefinition",
    "OperationOutcome",
    "Organization",
    "OrganizationAffiliation",
    "Parameters",
    "Patient",
    "PaymentNotice",
    "PaymentReconciliation",
    "Person",
    "PlanDefinition",
    "Practitioner",
    "PractitionerRole",
    "Procedure",
    "Provenance",
    "Questionnaire",
    "QuestionnaireResponse",
    "RelatedPerson",
    "RequestGroup",
    "ResearchDefinition",
    "ResearchElementDefinition",
    "ResearchStudy",
    "ResearchSubject",
    "RiskAssessment",
    "RiskEvidenceSynthesis",
    "Schedule",
    "SearchParameter",
    "ServiceRequest",
    "Slot",
    "Specimen",
    "SpecimenDefinition",
    "StructureDefinition",
    "StructureMap",
    "Subscription",
    "Substance",
    "SubstanceNucleicAcid",
    "SubstancePolymer",
    "SubstanceProtein",
    "SubstanceReferenceInformation",
    "SubstanceSourceMaterial",
    "SubstanceSpecification",
    "SupplyDelivery",
    "SupplyRequest",
    "Task",
    "TerminologyCapabilities",
    "TestReport",
    "TestScript",
    "ValueSet",
    "VerificationResult",
    "VisionPrescription",
];

impl ResourceType {
    /// The type with this exact, case-sensitive name, or `None` where R4 has no such concrete type.
    pub fn parse(name: &str) -> Option<Self> {
        let position = NAMES.binary_search(&name).ok()?;
        u8::try_from(position).ok().map(Self)
    }

    /// The name as the specification spells it.
    pub fn name(self) -> &'static str {
        NAMES.get(usize::from(self.0)).copied().unwrap_or_default()
    }

    /// A small number that is stable within a build and across builds of the same FHIR version; used as a storage key.
    pub fn code(self) -> u8 {
        self.0
    }

    /// The type with this storage key.
    pub fn from_code(code: u8) -> Option<Self> {
        (usize::from(code) < NAMES.len()).then_some(Self(code))
    }

    /// Every concrete type, in alphabetical order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..u8::try_from(NAMES.len()).unwrap_or(u8::MAX)).map(Self)
    }
}

impl fmt::Display for ResourceType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl fmt::Debug for ResourceType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Types that code names directly.
macro_rules! known {
    ($($constant:ident = $name:literal),* $(,)?) => {
        impl ResourceType {
            $(
                #[doc = concat!("`", $name, "`")]
                pub const $constant: Self = Self(position($name));
            )*
        }
    };
}

known! {
    AUDIT_EVENT = "AuditEvent",
    BASIC = "Basic",
    BINARY = "Binary",
    BUNDLE = "Bundle",
    CARE_TEAM = "CareTeam",
    CONDITION = "Condition",
    CONSENT = "Consent",
    COVERAGE = "Coverage",
    DEVICE = "Device",
    ENCOUNTER = "Encounter",
    EXPLANATION_OF_BENEFIT = "ExplanationOfBenefit",
    EPISODE_OF_CARE = "EpisodeOfCare",
    HEALTHCARE_SERVICE = "HealthcareService",
    LOCATION = "Location",
    MEDICATION = "Medication",
    OBSERVATION = "Observation",
    OPERATION_OUTCOME = "OperationOutcome",
    ORGANIZATION = "Organization",
    PATIENT = "Patient",
    PERSON = "Person",
    PRACTITIONER = "Practitioner",
    PRACTITIONER_ROLE = "PractitionerRole",
    PROVENANCE = "Provenance",
    RELATED_PERSON = "RelatedPerson",
}

/// The position of a name in the table, at compile time; a name that is absent does not compile.
#[expect(clippy::indexing_slicing, clippy::panic, reason = "evaluated at compile time only")]
const fn position(name: &str) -> u8 {
    let mut index = 0;
    while index < NAMES.len() {
        if equal(NAMES[index].as_bytes(), name.as_bytes()) {
            return index as u8;
        }
        index += 1;
    }
    panic!("no such resource type")
}

#[expect(clippy::indexing_slicing, reason = "the index is below both lengths")]
const fn equal(left: &[u8], right: &[u8]) -> bool {
    if left.len() != right.len() {
        return false;
    }
    let mut index = 0;
    while index < left.len() {
        if left[index] != right[index] {
            return false;
        }
        index += 1;
    }
    true
}

/// The `id` of a resource: 1 to 64 characters of `A-Z a-z 0-9 - .` (<https://hl7.org/fhir/R4/datatypes.html#id>).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogicalId(Box<str>);

impl LogicalId {
    /// The longest id that FHIR allows, in characters.
    pub const MAXIMUM_LENGTH: usize = 64;

    /// Parses an id; `None` where a character or the length is not allowed.
    pub fn parse(text: &str) -> Option<Self> {
        if text.is_empty() || text.len() > Self::MAXIMUM_LENGTH {
            return None;
        }
        // All bytes are looked at, which the compiler turns into vector instructions.
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() | (byte == b'-') | (byte == b'.');
        let valid = text.bytes().fold(true, |valid, byte| valid & is_allowed(byte));
        valid.then(|| Self(text.into()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LogicalId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for LogicalId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_parses_to_itself_and_the_table_is_sorted() {
        assert_eq!(ResourceType::all().count(), NAMES.len());
        assert!(NAMES.is_sorted());
        for resource_type in ResourceType::all() {
            assert_eq!(ResourceType::parse(resource_type.name()), Some(resource_type));
            assert_eq!(ResourceType::from_code(resource_type.code()), Some(resource_type));
        }
    }

    #[test]
    fn abstract_and_unknown_types_are_refused() {
        for name in ["Resource", "DomainResource", "patient", "Patient ", "", "Foo"] {
            assert_eq!(ResourceType::parse(name), None, "{name}");
        }
    }

    #[test]
    fn ids_outside_the_grammar_are_refused() {
        for id in ["", "a/b", "a b", "ä", &"x".repeat(65), "a_b", "\0"] {
            assert_eq!(LogicalId::parse(id), None, "{id}");
        }
        assert!(LogicalId::parse(&"x".repeat(64)).is_some());
    }
}
