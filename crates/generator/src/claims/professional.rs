//! C4BB ExplanationOfBenefit Professional and Non-Clinician: the practitioner's own services.

use super::amounts::Amounts;
use super::explanation::{self, BENEFIT_STATUS, BILLING_STATUS, Claim, Detail, Line, RENDERING_STATUS, Support};
use crate::chart::{Chart, Reason, Visit};
use crate::directory;
use crate::patient::record_number;
use crate::terminology::laboratory::Panel;
use crate::terminology::systems::{C4BB_DIAGNOSIS, C4BB_ROLE, CARE_TEAM_ROLE, DIAGNOSIS_TYPE};
use crate::terminology::{Code, cpt};

const OFFICE: (&str, &str) = ("11", "Office");
const HOSPITAL: (&str, &str) = ("21", "Inpatient Hospital");

/// Writes the practitioner's claim for a visit and the laboratory work ordered at it.
pub(crate) fn record(chart: &mut Chart<'_>, visit: &Visit<'_>, panels: &[&Panel]) {
    let coverage_id = chart.medical_coverage.clone();
    let date = visit.start.date;
    let claim = Claim {
        profile: "C4BB-ExplanationOfBenefit-Professional-NonClinician|2.0.0",
        kind: ("professional", "Professional"),
        sub_type: None,
        payer: directory::medical_payer(chart.person.payer),
        coverage_id: &coverage_id,
        provider: visit.organization,
        period: (date, date),
    };
    let (code, low, copay) = service(chart, visit);
    let place = if matches!(visit.reason, Reason::Stay(_)) { HOSPITAL } else { OFFICE };
    let price = chart.rng.between(low, low * 3 / 2).into();
    let mut lines = vec![Line::new(cpt(code), date, Amounts::adjudicate(price, copay)).at(place)];
    for panel in panels {
        lines.push(Line::new(cpt(panel.cpt), date, Amounts::adjudicate(panel.price_cents, 0)).at(place));
    }
    let encounter_id = chart.encounter_id(visit);
    let mut diagnoses = vec![(visit.reason.diagnosis().icd10, Code::new(DIAGNOSIS_TYPE, "principal", "Principal Diagnosis"))];
    let secondary = Code::new(C4BB_DIAGNOSIS, "secondary", "Secondary");
    if matches!(visit.reason, Reason::Examination(_)) {
        diagnoses.extend(chart.problems.iter().take(3).map(|listed| (listed.problem.diagnosis.icd10, secondary)));
    }
    let mut w = explanation::begin(chart, &claim);
    let mut team = vec![(visit.practitioner, Code::new(C4BB_ROLE, "rendering", "Rendering provider"))];
    if matches!(visit.reason, Reason::Specialist(_)) {
        team.push((chart.primary(), Code::new(C4BB_ROLE, "referring", "Referring")));
    } else if visit.practitioner.id != chart.primary().id {
        team.push((chart.primary(), Code::new(CARE_TEAM_ROLE, "primary", "Primary provider")));
    }
    explanation::care_team(&mut w, &team);
    explanation::supporting(
        &mut w,
        &claim,
        &[
            ("clmrecvddate", Support::Received),
            ("servicefacility", Support::Facility(visit.organization.id.clone())),
            ("patientaccountnumber", Support::Text(format!("A{}", record_number(chart.person)))),
        ],
    );
    explanation::diagnoses(&mut w, &diagnoses, false);
    let total = explanation::items(&mut w, &lines, Detail::LinesWithStatus, Some(&encounter_id));
    explanation::adjudication(&mut w, &[BENEFIT_STATUS, BILLING_STATUS, RENDERING_STATUS], None);
    explanation::finish(chart, w, &claim, &total);
}

/// The CPT code of a visit, its lowest price and the patient's fixed share, in cents.
fn service(chart: &Chart<'_>, visit: &Visit<'_>) -> (&'static str, i32, i64) {
    match visit.reason {
        Reason::Examination(_) => match chart.age_on(visit.start.date) {
            ..=0 => ("99391", 11_200, 0),
            1..=4 => ("99392", 11_900, 0),
            5..=11 => ("99393", 11_900, 0),
            12..=17 => ("99394", 13_000, 0),
            18..=39 => ("99395", 13_300, 0),
            40..=64 => ("99396", 14_200, 0),
            _ => ("99397", 15_300, 0),
        },
        Reason::Stay(_) => ("99223", 20_500, 0),
        Reason::Specialist(_) => ("99214", 13_100, 4_000),
        Reason::Acute(_) | Reason::Emergency(_) => ("99213", 9_200, 2_500),
    }
}
