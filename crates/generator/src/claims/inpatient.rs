//! C4BB ExplanationOfBenefit Inpatient Institutional: a stay in hospital.

use super::amounts::Amounts;
use super::explanation::{self, BENEFIT_STATUS, BILLING_STATUS, Claim, Detail, Line, Support};
use crate::calendar::days_between;
use crate::chart::{Chart, Visit};
use crate::directory;
use crate::patient::record_number;
use crate::terminology::problems::Stay;
use crate::terminology::systems::{
    C4BB_DIAGNOSIS, C4BB_PROCEDURE, C4BB_ROLE, C4BB_SUBTYPE, DIAGNOSIS_TYPE, NUBC_BILL, NUBC_DISCHARGE, NUBC_ORIGIN,
    NUBC_PRIORITY,
};
use crate::terminology::{Code, cpt};
use crate::writer::Writer;

const PRINCIPAL: Code = Code::new(DIAGNOSIS_TYPE, "principal", "Principal Diagnosis");
const OTHER: Code = Code::new(C4BB_DIAGNOSIS, "other", "Other");

/// Writes the hospital's claim.
pub(crate) fn record(chart: &mut Chart<'_>, visit: &Visit<'_>, stay: &'static Stay) {
    let coverage_id = chart.medical_coverage.clone();
    let (start, end) = (visit.start.date, visit.end.date);
    let claim = Claim {
        profile: "C4BB-ExplanationOfBenefit-Inpatient-Institutional|2.0.0",
        kind: ("institutional", "Institutional"),
        sub_type: Some(Code::new(C4BB_SUBTYPE, "inpatient", "Inpatient")),
        payer: directory::medical_payer(chart.person.payer),
        coverage_id: &coverage_id,
        provider: visit.organization,
        period: (start, end),
    };
    let lines = lines(chart, visit);
    let encounter_id = chart.encounter_id(visit);
    let mut diagnoses = vec![(stay.diagnosis.icd10, PRINCIPAL)];
    diagnoses.extend(chart.problems.iter().take(3).map(|listed| (listed.problem.diagnosis.icd10, OTHER)));
    let mut w = explanation::begin(chart, &claim);
    let attending = Code::new(C4BB_ROLE, "attending", "Attending");
    let operating = Code::new(C4BB_ROLE, "operating", "Operating");
    explanation::care_team(&mut w, &[(visit.practitioner, attending), (&chart.region.surgeon, operating)]);
    supporting(chart, &mut w, &claim, stay);
    explanation::diagnoses(&mut w, &diagnoses, true);
    w.single("procedure", |procedure| {
        procedure.integer("sequence", 1);
        procedure.concepts("type", &[Code::new(C4BB_PROCEDURE, "principal", "Principal")]);
        procedure.date("date", start);
        procedure.concept("procedureCodeableConcept", &[stay.procedure_pcs]);
    });
    let total = explanation::items(&mut w, &lines, Detail::Head, Some(&encounter_id));
    explanation::adjudication(&mut w, &[BENEFIT_STATUS, BILLING_STATUS], Some(&total));
    explanation::finish(chart, w, &claim, &total);
}

fn lines(chart: &mut Chart<'_>, visit: &Visit<'_>) -> Vec<Line> {
    let start = visit.start.date;
    let nights = i64::from(days_between(start, visit.end.date).max(1));
    let mut line = |revenue: (&'static str, &'static str), code: &'static str, low: i32, units: i64| {
        let price = i64::from(chart.rng.between(low, low * 2)) * units;
        Line::new(cpt(code), start, Amounts::adjudicate(price, 0)).under(revenue).times(units)
    };
    vec![
        line(("0120", "Room & Board - Semiprivate"), "99231", 118_000, nights),
        line(("0250", "Pharmacy"), "99231", 21_500, nights),
        line(("0300", "Laboratory"), "80048", 4_300, nights),
        line(("0320", "Radiology - Diagnostic"), "71046", 23_900, 1),
        line(("0360", "Operating Room Services"), "99231", 310_000, 1),
    ]
}

fn supporting(chart: &Chart<'_>, w: &mut Writer, claim: &Claim<'_>, stay: &Stay) {
    let discharge = if stay.rehabilitation { "03" } else { "01" };
    let elements = [
        ("admissionperiod", Support::Period(claim.period.0, claim.period.1)),
        ("clmrecvddate", Support::Received),
        ("typeofbill", Support::Code(Code::new(NUBC_BILL, "0111", ""))),
        ("pointoforigin", Support::Code(Code::new(NUBC_ORIGIN, "1", ""))),
        ("admtype", Support::Code(Code::new(NUBC_PRIORITY, "1", ""))),
        ("discharge-status", Support::Code(Code::new(NUBC_DISCHARGE, discharge, ""))),
        ("drg", Support::Code(stay.drg)),
        ("medicalrecordnumber", Support::Text(record_number(chart.person))),
        ("patientaccountnumber", Support::Text(format!("A{}", record_number(chart.person)))),
    ];
    explanation::supporting(w, claim, &elements);
}
