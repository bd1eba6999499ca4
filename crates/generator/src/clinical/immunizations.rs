//! US Core Immunization: yearly influenza, childhood series, adult boosters.

use crate::chart::{Chart, Kind, Visit};
use crate::terminology::vaccines::{ADULT, CHILDHOOD, COVID_19, INFLUENZA, OLDER};
use crate::terminology::{Code, Unit, snomed};
use crate::writer::Decimal;

/// Vaccinates at an examination.
pub(crate) fn record(chart: &mut Chart<'_>, visit: &Visit<'_>, first: bool) {
    let age = chart.age_on(visit.start.date);
    if chart.rng.percent(58) {
        immunization(chart, visit, &INFLUENZA, "completed");
    } else if chart.rng.percent(12) {
        immunization(chart, visit, &INFLUENZA, "not-done");
    }
    match age {
        ..=6 => {
            for _ in 0..2 {
                let vaccine = chart.rng.pick(CHILDHOOD);
                immunization(chart, visit, vaccine, "completed");
            }
        }
        _ if !first => {}
        7..=64 => {
            let vaccine = chart.rng.pick(ADULT);
            immunization(chart, visit, vaccine, "completed");
        }
        _ => {
            let vaccine = chart.rng.pick(OLDER);
            immunization(chart, visit, vaccine, "completed");
        }
    }
    if first && age >= 12 && chart.rng.percent(70) {
        immunization(chart, visit, &COVID_19, "completed");
    }
}

fn immunization(chart: &mut Chart<'_>, visit: &Visit<'_>, vaccine: &Code, status: &'static str) {
    let lot = format!("{:05X}", chart.rng.below(0xf_ffff));
    let mut w = chart.begin(Kind::Immunization);
    w.meta(&[(crate::terminology::systems::US_CORE, "us-core-immunization")], None);
    w.string("status", status);
    if status == "not-done" {
        let refusal = Code::new("http://terminology.hl7.org/CodeSystem/v3-ActReason", "PATOBJ", "patient objection");
        w.concept("statusReason", &[refusal]);
    }
    w.concept("vaccineCode", &[*vaccine]);
    w.reference("patient", "Patient", &chart.person.id);
    chart.encounter(&mut w, visit);
    w.date("occurrenceDateTime", visit.start.date);
    w.boolean("primarySource", true);
    w.location("location", visit.organization);
    if status == "completed" {
        w.string("lotNumber", &lot);
        w.concept("site", &[snomed("368208006", "Left upper arm structure")]);
        w.quantity("doseQuantity", Decimal::new(5, 1), Unit::same("mL"));
    }
    w.single("performer", |performer| performer.practitioner("actor", visit.practitioner));
    chart.add(w);
}
