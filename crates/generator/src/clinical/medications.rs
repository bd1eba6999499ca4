//! US Core MedicationRequest, and the pharmacy claims that follow from it.

use crate::chart::{Chart, Kind, Visit};
use crate::claims::pharmacy;
use crate::terminology::medications::Medication;
use crate::terminology::systems::{MEDICATION_REQUEST_CATEGORY, US_CORE};
use crate::terminology::{Code, Unit};
use crate::writer::{Decimal, Writer};

/// How long a prescription lasts, and how it stands.
#[derive(Clone, Copy)]
pub(crate) struct Supply {
    pub(crate) days: i64,
    pub(crate) refills: i64,
    pub(crate) status: &'static str,
}

/// Prescribes the medication of every listed problem at the first examination; later examinations renew about half of them.
pub(crate) fn renew(chart: &mut Chart<'_>, visit: &Visit<'_>, first: bool) {
    let current = crate::calendar::days_between(visit.start.date, chart.end()) < 365;
    let status = if current && chart.person.deceased.is_none() { "active" } else { "completed" };
    let listed: Vec<(&'static Medication, String)> = chart
        .problems
        .iter()
        .filter_map(|listed| listed.problem.medication.map(|medication| (medication, listed.condition_id.clone())))
        .collect();
    for (medication, condition) in listed {
        if !first && !chart.rng.percent(45) {
            continue;
        }
        prescribe(chart, visit, (medication, &condition), Supply { days: 90, refills: 3, status });
    }
}

/// Prescribes a short course for an illness.
pub(crate) fn course(chart: &mut Chart<'_>, visit: &Visit<'_>, medication: &'static Medication, condition: &str) {
    prescribe(chart, visit, (medication, condition), Supply { days: 10, refills: 0, status: "completed" });
}

/// Writes a prescription for a condition, and a claim for its first fill.
pub(crate) fn prescribe(chart: &mut Chart<'_>, visit: &Visit<'_>, what: (&'static Medication, &str), supply: Supply) {
    let (medication, condition) = what;
    let mut w = chart.begin(Kind::MedicationRequest);
    w.meta(&[(US_CORE, "us-core-medicationrequest")], None);
    w.string("status", supply.status);
    w.string("intent", "order");
    w.concepts("category", &[Code::new(MEDICATION_REQUEST_CATEGORY, "outpatient", "Outpatient")]);
    w.boolean("reportedBoolean", false);
    if medication.by_reference {
        w.object("medicationReference", |reference| {
            reference.reference_members("Medication", medication.id);
            reference.string("display", medication.rxnorm.display);
        });
    } else {
        w.concept("medicationCodeableConcept", &[medication.rxnorm]);
    }
    chart.subject(&mut w);
    chart.encounter(&mut w, visit);
    w.moment("authoredOn", visit.end);
    w.practitioner("requester", visit.practitioner);
    w.references("reasonReference", "Condition", condition);
    dosage(&mut w, medication);
    w.object("dispenseRequest", |request| {
        request.integer("numberOfRepeatsAllowed", supply.refills);
        request.quantity("quantity", Decimal::new(supply.days * medication.frequency, 0), medication.unit);
        request.quantity("expectedSupplyDuration", Decimal::new(supply.days, 0), Unit::new("days", "d"));
    });
    let request_id = chart.add(w);
    pharmacy::record(chart, visit, (medication, &request_id), supply);
}

fn dosage(w: &mut Writer, medication: &Medication) {
    let frequency = medication.frequency;
    w.single("dosageInstruction", |dosage| {
        let times = if frequency == 1 { "once" } else { "several times" };
        dosage.joined("text", &["1 ", medication.unit.unit, " ", times, " a day"]);
        dosage.object("timing", |timing| {
            timing.object("repeat", |repeat| {
                repeat.integer("frequency", frequency);
                repeat.integer("period", 1);
                repeat.string("periodUnit", "d");
            });
        });
        dosage.single("doseAndRate", |dose| dose.quantity("doseQuantity", Decimal::new(1, 0), medication.unit));
    });
}
