//! C4BB ExplanationOfBenefit Pharmacy: the fill of a prescription.

use super::amounts::Amounts;
use super::explanation::{self, BENEFIT_STATUS, BILLING_STATUS, Claim, Detail, Line, Support};
use crate::calendar::plus_days;
use crate::chart::{Chart, Visit};
use crate::clinical::medications::Supply;
use crate::directory;
use crate::terminology::Code;
use crate::terminology::medications::Medication;
use crate::terminology::systems::{C4BB_ROLE, NCPDP_BRAND, NCPDP_COMPOUND, NCPDP_ORIGIN, NCPDP_WRITTEN};

/// Writes the pharmacy's claim for the first fill of a prescription.
pub(crate) fn record(chart: &mut Chart<'_>, visit: &Visit<'_>, what: (&'static Medication, &str), supply: Supply) {
    let (medication, request_id) = what;
    let coverage_id = chart.medical_coverage.clone();
    let date = plus_days(visit.end.date, chart.rng.between(0, 3));
    let claim = Claim {
        profile: "C4BB-ExplanationOfBenefit-Pharmacy|2.0.0",
        kind: ("pharmacy", "Pharmacy"),
        sub_type: None,
        payer: directory::medical_payer(chart.person.payer),
        coverage_id: &coverage_id,
        provider: &chart.region.pharmacy,
        period: (date, date),
    };
    let price = medication.monthly_cents * supply.days / 30 + i64::from(chart.rng.between(0, 99));
    let line = Line::new(medication.ndc, date, Amounts::adjudicate(price, 1_000)).times(supply.days * medication.frequency);
    let mut w = explanation::begin(chart, &claim);
    w.reference("prescription", "MedicationRequest", request_id);
    explanation::care_team(&mut w, &[(visit.practitioner, Code::new(C4BB_ROLE, "prescribing", "Prescribing provider"))]);
    explanation::supporting(
        &mut w,
        &claim,
        &[
            ("dayssupply", Support::Quantity(supply.days, None)),
            ("dawcode", Support::Code(Code::new(NCPDP_WRITTEN, "0", ""))),
            ("refillnum", Support::Quantity(0, None)),
            ("refillsauthorized", Support::Quantity(supply.refills, None)),
            ("brandgenericindicator", Support::Code(Code::new(NCPDP_BRAND, "2", ""))),
            ("rxorigincode", Support::Code(Code::new(NCPDP_ORIGIN, "3", ""))),
            ("compoundcode", Support::Code(Code::new(NCPDP_COMPOUND, "1", ""))),
            ("clmrecvddate", Support::Received),
        ],
    );
    let total = explanation::items(&mut w, &[line], Detail::Lines, None);
    explanation::adjudication(&mut w, &[BENEFIT_STATUS, BILLING_STATUS], None);
    explanation::finish(chart, w, &claim, &total);
}
