//! How the consent screen groups what an app asks for, and what each resource type is called in plain words.
//!
//! One table, so that a reviewer or translator reads it in one place. The nouns follow "your ..." and stand at a reading level of
//! about grade 8. This knows nothing of pages; it only says in which group a scope belongs.

use portcullis_fhir::types::ResourceType;

use crate::scopes::{Scope, ScopeKind, ScopeTarget};

/// A group of lines on the consent screen, in the order of the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConsentGroup {
    /// Name, address, identity.
    WhoYouAre,
    /// Observations, reports, images, questionnaires.
    TestsAndMeasurements,
    /// Diagnoses, allergies, risks.
    Conditions,
    /// Prescriptions and vaccinations.
    Medicines,
    /// Encounters, appointments, procedures.
    Visits,
    /// Insurance and money.
    ClaimsAndCoverage,
    /// The people and places that give care, and their plans.
    CareTeam,
    /// Documents, files, messages, decisions.
    Documents,
    /// Whatever has no group of its own, and scopes over everything.
    EverythingElse,
}

impl ConsentGroup {
    /// All groups in the order of the screen.
    pub const ALL: [Self; 9] = [
        Self::WhoYouAre,
        Self::TestsAndMeasurements,
        Self::Conditions,
        Self::Medicines,
        Self::Visits,
        Self::ClaimsAndCoverage,
        Self::CareTeam,
        Self::Documents,
        Self::EverythingElse,
    ];

    /// The heading of the group.
    pub fn title(self) -> &'static str {
        match self {
            Self::WhoYouAre => "Who you are",
            Self::TestsAndMeasurements => "Tests and measurements",
            Self::Conditions => "Conditions",
            Self::Medicines => "Medicines",
            Self::Visits => "Visits",
            Self::ClaimsAndCoverage => "Claims and coverage",
            Self::CareTeam => "Care team",
            Self::Documents => "Documents",
            Self::EverythingElse => "Everything else",
        }
    }

    /// The group of a scope; `None` for `offline_access` and `online_access`, which belong to the question "for how long".
    pub fn of(scope: &Scope) -> Option<Self> {
        match scope.kind() {
            ScopeKind::OfflineAccess | ScopeKind::OnlineAccess => None,
            ScopeKind::OpenId | ScopeKind::FhirUser | ScopeKind::Profile | ScopeKind::Launch | ScopeKind::LaunchPatient => {
                Some(Self::WhoYouAre)
            }
            ScopeKind::LaunchEncounter => Some(Self::Visits),
            ScopeKind::Resource(resource) | ScopeKind::Qualified(resource) => Some(match resource.target {
                ScopeTarget::Any => Self::EverythingElse,
                ScopeTarget::Type(resource_type) => Self::of_type(resource_type),
            }),
        }
    }

    /// The group of a resource type.
    pub fn of_type(resource_type: ResourceType) -> Self {
        entry(resource_type).map_or(Self::EverythingElse, |(_, group, _)| *group)
    }
}

/// What a resource type is called after "your"; `None` for types that no patient's record usually has.
pub fn noun(resource_type: ResourceType) -> Option<&'static str> {
    entry(resource_type).map(|(_, _, noun)| *noun)
}

/// What the resources of one category are called after "your": the categories by which US Core divides types (its "SMART on FHIR Obligations and
/// Capabilities"), and others of the same code systems.
pub fn category_noun(resource_type: ResourceType, system: &str, code: &str) -> Option<&'static str> {
    let is_it = |row: &&(&str, &str, &str, &str)| row.0 == resource_type.name() && row.1 == system && row.2 == code;
    CATEGORIES.iter().find(is_it).map(|row| row.3)
}

fn entry(resource_type: ResourceType) -> Option<&'static (&'static str, ConsentGroup, &'static str)> {
    TYPES.iter().find(|(name, _, _)| *name == resource_type.name())
}

use ConsentGroup::{
    CareTeam, ClaimsAndCoverage, Conditions, Documents, EverythingElse, Medicines, TestsAndMeasurements, Visits, WhoYouAre,
};

/// Type, group, and what follows "your".
#[rustfmt::skip]
static TYPES: &[(&str, ConsentGroup, &str)] = &[
    ("Patient", WhoYouAre, "name, birth date, address and contact details"),
    ("Person", WhoYouAre, "name and contact details as other places know them"),
    ("RelatedPerson", WhoYouAre, "relatives and others who help with your care"),

    ("Observation", TestsAndMeasurements, "test results, vital signs and answers to health questions"),
    ("DiagnosticReport", TestsAndMeasurements, "reports about tests and scans"),
    ("Specimen", TestsAndMeasurements, "blood, tissue and other samples"),
    ("ImagingStudy", TestsAndMeasurements, "scans and X-rays"),
    ("Media", TestsAndMeasurements, "clinical photos, videos and recordings"),
    ("MolecularSequence", TestsAndMeasurements, "genetic test data"),
    ("BodyStructure", TestsAndMeasurements, "body sites that were examined"),
    ("QuestionnaireResponse", TestsAndMeasurements, "answers to forms and surveys"),
    ("RiskAssessment", TestsAndMeasurements, "estimates of health risks"),
    ("VisionPrescription", TestsAndMeasurements, "glasses and lens prescriptions"),

    ("Condition", Conditions, "health problems and diagnoses"),
    ("AllergyIntolerance", Conditions, "allergies and intolerances"),
    ("FamilyMemberHistory", Conditions, "family's health history"),
    ("ClinicalImpression", Conditions, "assessments made by clinicians"),
    ("AdverseEvent", Conditions, "harmful events during care"),
    ("DetectedIssue", Conditions, "safety warnings, such as medicines that do not mix"),
    ("Flag", Conditions, "alerts for the people who treat you"),

    ("MedicationRequest", Medicines, "prescriptions"),
    ("MedicationDispense", Medicines, "medicines handed out by a pharmacy"),
    ("MedicationAdministration", Medicines, "medicines given to you by others"),
    ("MedicationStatement", Medicines, "medicines that you say you take"),
    ("Medication", Medicines, "medicines and what is in them"),
    ("Immunization", Medicines, "vaccinations"),
    ("ImmunizationEvaluation", Medicines, "checks on whether vaccinations count"),
    ("ImmunizationRecommendation", Medicines, "vaccinations that are due"),

    ("Encounter", Visits, "visits and hospital stays"),
    ("EpisodeOfCare", Visits, "periods of care with one provider"),
    ("Appointment", Visits, "appointments"),
    ("AppointmentResponse", Visits, "replies to appointments"),
    ("Schedule", Visits, "appointment calendars"),
    ("Procedure", Visits, "operations and treatments"),
    ("ServiceRequest", Visits, "referrals and orders"),

    ("ExplanationOfBenefit", ClaimsAndCoverage, "insurance claims: visits, prescriptions, what was paid"),
    ("Coverage", ClaimsAndCoverage, "insurance plans"),
    ("Claim", ClaimsAndCoverage, "claims sent to an insurer"),
    ("ClaimResponse", ClaimsAndCoverage, "insurer's answers to claims"),
    ("CoverageEligibilityRequest", ClaimsAndCoverage, "questions to an insurer about cover"),
    ("CoverageEligibilityResponse", ClaimsAndCoverage, "insurer's answers about cover"),
    ("Account", ClaimsAndCoverage, "billing accounts"),
    ("ChargeItem", ClaimsAndCoverage, "charges for care"),
    ("Invoice", ClaimsAndCoverage, "bills"),
    ("EnrollmentRequest", ClaimsAndCoverage, "requests to join an insurance plan"),
    ("EnrollmentResponse", ClaimsAndCoverage, "answers about joining an insurance plan"),
    ("PaymentNotice", ClaimsAndCoverage, "payment notices"),
    ("PaymentReconciliation", ClaimsAndCoverage, "payments matched to claims"),
    ("InsurancePlan", ClaimsAndCoverage, "insurer's offers"),
    ("Contract", ClaimsAndCoverage, "contracts"),

    ("CareTeam", CareTeam, "care team"),
    ("CarePlan", CareTeam, "care plans"),
    ("Goal", CareTeam, "health goals"),
    ("Practitioner", CareTeam, "doctors, nurses and other clinicians"),
    ("PractitionerRole", CareTeam, "clinicians' roles and places of work"),
    ("Organization", CareTeam, "hospitals, practices and insurers"),
    ("Location", CareTeam, "places of care"),
    ("HealthcareService", CareTeam, "health services"),

    ("DocumentReference", Documents, "documents and clinical notes"),
    ("DocumentManifest", Documents, "collections of documents"),
    ("Composition", Documents, "health summaries"),
    ("Binary", Documents, "files"),
    ("Communication", Documents, "messages about your care"),
    ("CommunicationRequest", Documents, "requests to send messages about your care"),
    ("Consent", Documents, "privacy choices"),

    ("AuditEvent", EverythingElse, "access history: who looked at your record and when, with names of staff"),
    ("Provenance", EverythingElse, "record's sources: who wrote each entry and when"),
    ("Device", EverythingElse, "medical devices and implants"),
    ("DeviceRequest", EverythingElse, "orders for medical devices"),
    ("DeviceUseStatement", EverythingElse, "use of medical devices"),
    ("NutritionOrder", EverythingElse, "diet orders"),
    ("SupplyRequest", EverythingElse, "orders for medical supplies"),
    ("SupplyDelivery", EverythingElse, "deliveries of medical supplies"),
    ("ResearchSubject", EverythingElse, "part in research studies"),
    ("MeasureReport", EverythingElse, "results on quality measures"),
    ("RequestGroup", EverythingElse, "groups of orders"),
    ("Group", EverythingElse, "memberships in groups of patients"),
    ("List", EverythingElse, "lists kept by clinicians"),
    ("Task", EverythingElse, "tasks in care"),
    ("Basic", EverythingElse, "entries of other kinds"),
];

const OBSERVATION_CATEGORY: &str = "http://terminology.hl7.org/CodeSystem/observation-category";
const CONDITION_CATEGORY: &str = "http://terminology.hl7.org/CodeSystem/condition-category";
const US_CORE_CONDITION: &str = "http://hl7.org/fhir/us/core/CodeSystem/condition-category";
const US_CORE_CATEGORY: &str = "http://hl7.org/fhir/us/core/CodeSystem/us-core-category";
const US_CORE_DOCUMENT: &str = "http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category";
const DIAGNOSTIC_SERVICE: &str = "http://terminology.hl7.org/CodeSystem/v2-0074";

/// Type, system and code of a category, and what follows "your".
#[rustfmt::skip]
static CATEGORIES: &[(&str, &str, &str, &str)] = &[
    ("Observation", OBSERVATION_CATEGORY, "laboratory", "lab results"),
    ("Observation", OBSERVATION_CATEGORY, "vital-signs", "vital signs, such as blood pressure and weight"),
    ("Observation", OBSERVATION_CATEGORY, "social-history", "habits and social history, such as smoking"),
    ("Observation", OBSERVATION_CATEGORY, "survey", "answers to surveys and screenings"),
    ("Observation", OBSERVATION_CATEGORY, "imaging", "findings from scans and X-rays"),
    ("Observation", OBSERVATION_CATEGORY, "procedure", "findings from procedures"),
    ("Observation", OBSERVATION_CATEGORY, "exam", "findings from examinations"),
    ("Observation", OBSERVATION_CATEGORY, "therapy", "findings from therapy"),
    ("Observation", OBSERVATION_CATEGORY, "activity", "physical activity"),
    ("Observation", US_CORE_CATEGORY, "sdoh", "living situation, such as food, housing and transport"),
    ("Condition", CONDITION_CATEGORY, "encounter-diagnosis", "diagnoses from visits"),
    ("Condition", CONDITION_CATEGORY, "problem-list-item", "problem list"),
    ("Condition", US_CORE_CONDITION, "health-concern", "health concerns"),
    ("Condition", US_CORE_CATEGORY, "sdoh", "problems with your living situation, such as food, housing and transport"),
    ("DocumentReference", US_CORE_DOCUMENT, "clinical-note", "clinical notes"),
    ("DiagnosticReport", DIAGNOSTIC_SERVICE, "LAB", "lab reports"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_names_a_resource_type_of_r4_and_only_once() {
        let mut seen = std::collections::BTreeSet::new();
        for (name, _, noun) in TYPES {
            assert!(ResourceType::parse(name).is_some(), "{name}");
            assert!(seen.insert(name), "{name} twice");
            assert!(!noun.is_empty() && !noun.starts_with("your"), "{noun}");
        }
    }

    #[test]
    fn every_category_names_a_type_with_that_parameter() {
        for (name, system, code, noun) in CATEGORIES {
            let resource_type = ResourceType::parse(name).unwrap();
            let scope = format!("patient/{name}.rs?category={system}|{code}");
            assert!(Scope::parse(&scope).is_ok(), "{scope}");
            assert_eq!(category_noun(resource_type, system, code), Some(*noun));
        }
        assert_eq!(category_noun(ResourceType::PATIENT, OBSERVATION_CATEGORY, "laboratory"), None);
        // The table of US Core misspells this system once; a misspelling is not known.
        assert_eq!(
            category_noun(
                ResourceType::OBSERVATION,
                "http://terminology.hl7.org//CodeSystem-observation-category",
                "social-history"
            ),
            None
        );
    }

    #[test]
    fn every_group_has_a_line_and_a_heading() {
        for group in ConsentGroup::ALL {
            assert!(!group.title().is_empty());
            assert!(TYPES.iter().any(|(_, found, _)| *found == group), "{group:?}");
        }
    }

    #[test]
    fn scopes_fall_into_the_groups_of_the_screen() {
        for (scope, group) in [
            ("openid", Some(WhoYouAre)),
            ("offline_access", None),
            ("online_access", None),
            ("launch/encounter", Some(Visits)),
            ("patient/Observation.read", Some(TestsAndMeasurements)),
            ("patient/*.rs", Some(EverythingElse)),
            ("user/Coverage.rs", Some(ClaimsAndCoverage)),
            ("patient/StructureMap.rs", Some(EverythingElse)),
        ] {
            assert_eq!(ConsentGroup::of(&Scope::parse(scope).unwrap()), group, "{scope}");
        }
    }
}
