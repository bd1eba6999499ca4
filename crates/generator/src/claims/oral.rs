//! C4BB ExplanationOfBenefit Oral: a dental examination, and sometimes a filling.

use super::amounts::Amounts;
use super::explanation::{self, BENEFIT_STATUS, BILLING_STATUS, Claim, Detail, Line, RENDERING_STATUS, Support};
use crate::calendar::plus_days;
use crate::chart::Chart;
use crate::directory;
use crate::patient::record_number;
use crate::terminology::Code;
use crate::terminology::problems::DENTAL_EXAMINATION;
use crate::terminology::systems::{C4BB_ROLE, C4BB_SURFACE, CDT, DIAGNOSIS_TYPE};

const OFFICE: (&str, &str) = ("11", "Office");

/// Permanent molars, of which one may need a filling.
static MOLARS: &[&str] = &["3", "14", "19", "30"];

/// Writes the claim of the last dental visit; the smallest children and some others have none.
pub(crate) fn record(chart: &mut Chart<'_>) {
    let wanted = chart.rng.percent(78) || chart.person.number == 1;
    let date = plus_days(chart.end(), -chart.rng.between(20, 340));
    let age = chart.age_on(date);
    if !wanted || age < 3 {
        return;
    }
    let coverage_id = chart.dental_coverage.clone();
    let region = chart.region;
    let claim = Claim {
        profile: "C4BB-ExplanationOfBenefit-Oral|2.0.0",
        kind: ("oral", "Oral"),
        sub_type: None,
        payer: &directory::BRIGHTSIDE,
        coverage_id: &coverage_id,
        provider: &region.dental,
        period: (date, date),
    };
    let mut line = |code: &'static str, display: &'static str, low: i32| {
        let price = chart.rng.between(low, low * 3 / 2).into();
        Line::new(Code::new(CDT, code, display), date, Amounts::adjudicate(price, 0)).at(OFFICE)
    };
    let prophylaxis = if age < 14 { ("D1120", "Prophylaxis - child") } else { ("D1110", "Prophylaxis - adult") };
    let mut lines = vec![line("D0120", "Periodic oral evaluation", 5_400), line(prophylaxis.0, prophylaxis.1, 8_900)];
    let filling = line("D2391", "Resin-based composite - one surface, posterior", 17_800);
    if age >= 14 && chart.rng.percent(25) {
        let surface = Code::new(C4BB_SURFACE, "O", "Occlusal");
        lines.push(Line { tooth: Some((chart.rng.choose(MOLARS), surface)), ..filling });
    }
    let mut w = explanation::begin(chart, &claim);
    explanation::care_team(&mut w, &[(&region.dentist, Code::new(C4BB_ROLE, "rendering", "Rendering provider"))]);
    explanation::supporting(
        &mut w,
        &claim,
        &[
            ("clmrecvddate", Support::Received),
            ("servicefacility", Support::Facility(region.dental.id.clone())),
            ("patientaccountnumber", Support::Text(format!("D{}", record_number(chart.person)))),
        ],
    );
    let principal = Code::new(DIAGNOSIS_TYPE, "principal", "Principal Diagnosis");
    explanation::diagnoses(&mut w, &[(DENTAL_EXAMINATION, principal)], false);
    let total = explanation::items(&mut w, &lines, Detail::LinesWithStatus, None);
    explanation::adjudication(&mut w, &[BENEFIT_STATUS, BILLING_STATUS, RENDERING_STATUS], None);
    explanation::finish(chart, w, &claim, &total);
}
