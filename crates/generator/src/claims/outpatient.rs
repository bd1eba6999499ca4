//! C4BB ExplanationOfBenefit Outpatient Institutional: an emergency department visit.

use super::amounts::Amounts;
use super::explanation::{self, BENEFIT_STATUS, BILLING_STATUS, Claim, Detail, Line, Support};
use crate::chart::{Chart, Visit};
use crate::directory;
use crate::patient::record_number;
use crate::terminology::laboratory::Panel;
use crate::terminology::problems::EmergencyProblem;
use crate::terminology::systems::{
    C4BB_DIAGNOSIS, C4BB_ROLE, C4BB_SUBTYPE, DIAGNOSIS_TYPE, NUBC_BILL, NUBC_DISCHARGE, NUBC_ORIGIN, NUBC_PRIORITY,
};
use crate::terminology::{Code, cpt};

/// Writes the hospital's claim for the visit, the procedure and laboratory work.
pub(crate) fn record(chart: &mut Chart<'_>, visit: &Visit<'_>, problem: &'static EmergencyProblem, panels: &[&Panel]) {
    let coverage_id = chart.medical_coverage.clone();
    let date = visit.start.date;
    let claim = Claim {
        profile: "C4BB-ExplanationOfBenefit-Outpatient-Institutional|2.0.0",
        kind: ("institutional", "Institutional"),
        sub_type: Some(Code::new(C4BB_SUBTYPE, "outpatient", "Outpatient")),
        payer: directory::medical_payer(chart.person.payer),
        coverage_id: &coverage_id,
        provider: visit.organization,
        period: (date, visit.end.date),
    };
    let room = chart.rng.between(48_000, 132_000).into();
    let procedure = chart.rng.between(9_000, 41_000).into();
    let mut lines = vec![
        Line::new(cpt("99284"), date, Amounts::adjudicate(room, 15_000)).under(("0450", "Emergency Room")),
        Line::new(cpt(problem.procedure_cpt), date, Amounts::adjudicate(procedure, 0)).under(("0450", "Emergency Room")),
    ];
    for panel in panels {
        let amounts = Amounts::adjudicate(panel.price_cents * 2, 0);
        lines.push(Line::new(cpt(panel.cpt), date, amounts).under(("0300", "Laboratory")));
    }
    let encounter_id = chart.encounter_id(visit);
    let diagnosis = problem.diagnosis.icd10;
    let principal = Code::new(DIAGNOSIS_TYPE, "principal", "Principal Diagnosis");
    let reason = Code::new(C4BB_DIAGNOSIS, "patientreasonforvisit", "Patient Reason for Visit");
    let mut w = explanation::begin(chart, &claim);
    explanation::care_team(&mut w, &[(visit.practitioner, Code::new(C4BB_ROLE, "rendering", "Rendering provider"))]);
    explanation::supporting(
        &mut w,
        &claim,
        &[
            ("clmrecvddate", Support::Received),
            ("typeofbill", Support::Code(Code::new(NUBC_BILL, "0131", ""))),
            ("pointoforigin", Support::Code(Code::new(NUBC_ORIGIN, "1", ""))),
            ("admtype", Support::Code(Code::new(NUBC_PRIORITY, "1", ""))),
            ("discharge-status", Support::Code(Code::new(NUBC_DISCHARGE, "01", ""))),
            ("medicalrecordnumber", Support::Text(record_number(chart.person))),
        ],
    );
    explanation::diagnoses(&mut w, &[(diagnosis, principal), (diagnosis, reason)], false);
    let total = explanation::items(&mut w, &lines, Detail::Lines, Some(&encounter_id));
    explanation::adjudication(&mut w, &[BENEFIT_STATUS, BILLING_STATUS], None);
    explanation::finish(chart, w, &claim, &total);
}
