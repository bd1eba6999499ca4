//! The profiles that generated resources name in `meta.profile`, so that a server of such data can say which ones it has.

use crate::terminology::systems::{CARIN, PACIO_RT, PCF, US_CORE, WOUND};

/// A type, the guide that its profiles are of, and their names there.
type Row = (&'static str, &'static str, &'static [&'static str]);

const ROWS: &[Row] = &[
    ("AllergyIntolerance", US_CORE, &["us-core-allergyintolerance"]),
    ("CarePlan", US_CORE, &["us-core-careplan"]),
    ("CareTeam", US_CORE, &["us-core-careteam"]),
    ("Condition", US_CORE, &["us-core-condition-encounter-diagnosis", "us-core-condition-problems-health-concerns"]),
    ("Condition", WOUND, &["WoundAssert"]),
    ("Consent", PCF, &["IHE.PCF.consentAdvanced", "IHE.PCF.consentBasic"]),
    ("Coverage", US_CORE, &["us-core-coverage"]),
    ("Coverage", CARIN, &["C4BB-Coverage|2.0.0"]),
    ("DiagnosticReport", US_CORE, &["us-core-diagnosticreport-lab", "us-core-diagnosticreport-note"]),
    ("DocumentReference", US_CORE, &["us-core-documentreference"]),
    ("Encounter", US_CORE, &["us-core-encounter"]),
    ("Encounter", PACIO_RT, &["reassessment-timepoints-encounter"]),
    (
        "ExplanationOfBenefit",
        CARIN,
        &[
            "C4BB-ExplanationOfBenefit-Inpatient-Institutional|2.0.0",
            "C4BB-ExplanationOfBenefit-Oral|2.0.0",
            "C4BB-ExplanationOfBenefit-Outpatient-Institutional|2.0.0",
            "C4BB-ExplanationOfBenefit-Pharmacy|2.0.0",
            "C4BB-ExplanationOfBenefit-Professional-NonClinician|2.0.0",
        ],
    ),
    ("Goal", US_CORE, &["us-core-goal"]),
    ("Immunization", US_CORE, &["us-core-immunization"]),
    ("Location", US_CORE, &["us-core-location"]),
    ("Medication", US_CORE, &["us-core-medication"]),
    ("MedicationRequest", US_CORE, &["us-core-medicationrequest"]),
    (
        "Observation",
        US_CORE,
        &[
            "us-core-blood-pressure",
            "us-core-bmi",
            "us-core-body-height",
            "us-core-body-temperature",
            "us-core-body-weight",
            "us-core-heart-rate",
            "us-core-observation-lab",
            "us-core-observation-screening-assessment",
            "us-core-pulse-oximetry",
            "us-core-respiratory-rate",
            "us-core-smokingstatus",
        ],
    ),
    (
        "Observation",
        WOUND,
        &[
            "WoundBed",
            "WoundBedAppearance",
            "WoundBedColor",
            "WoundEdge",
            "WoundEdgeDescription",
            "WoundExudateAmountDescription",
            "WoundExudateAppearance",
            "WoundRelatedObservationsPanel",
            "WoundShape",
            "WoundSize",
        ],
    ),
    ("Organization", US_CORE, &["us-core-organization"]),
    ("Organization", CARIN, &["C4BB-Organization|2.0.0"]),
    ("Patient", US_CORE, &["us-core-patient"]),
    ("Patient", CARIN, &["C4BB-Patient|2.0.0"]),
    ("Practitioner", US_CORE, &["us-core-practitioner"]),
    ("Practitioner", CARIN, &["C4BB-Practitioner|2.0.0"]),
    ("PractitionerRole", US_CORE, &["us-core-practitionerrole"]),
    ("Procedure", US_CORE, &["us-core-procedure"]),
    ("Provenance", US_CORE, &["us-core-provenance"]),
    ("RelatedPerson", US_CORE, &["us-core-relatedperson"]),
    ("RelatedPerson", CARIN, &["C4BB-RelatedPerson|2.0.0"]),
    ("ServiceRequest", US_CORE, &["us-core-servicerequest"]),
];

/// Each type with a profile that its generated resources follow.
pub fn profiles() -> impl Iterator<Item = (&'static str, String)> {
    ROWS.iter().flat_map(|(resource_type, guide, names)| names.iter().map(move |name| (*resource_type, format!("{guide}{name}"))))
}
