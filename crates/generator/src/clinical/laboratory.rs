//! Laboratory work: the order (ServiceRequest), the results (US Core laboratory Observations) and the report (DiagnosticReport).

use super::observations::LABORATORY;
use crate::chart::{Chart, Kind, Visit};
use crate::terminology::laboratory::{Analyte, BLOOD_COUNT, HEMOGLOBIN_A1C, LIPID, METABOLIC, Panel, THYROTROPIN};
use crate::terminology::systems::{DIAGNOSTIC_SERVICE, INTERPRETATION, US_CORE};
use crate::terminology::{Code, snomed};
use crate::writer::Decimal;

/// The panels that are due at an examination.
pub(crate) fn due(chart: &mut Chart<'_>, visit: &Visit<'_>) -> Vec<&'static Panel> {
    let age = chart.age_on(visit.start.date);
    let mut panels: Vec<&'static Panel> = Vec::new();
    let mut add = |wanted: bool, panel: &'static Panel| {
        if wanted {
            panels.push(panel);
        }
    };
    let (metabolic, lipid, count) = (chart.rng.percent(15), chart.rng.percent(12), chart.rng.percent(10));
    // Known disorders are followed up every other year or so.
    let (kidney, fat) = (chart.rng.percent(60), chart.rng.percent(45));
    add(age >= 30 && (metabolic || kidney && chart.has_problem("N18")), &METABOLIC);
    add(age >= 35 && (lipid || fat && chart.has_problem("E78")), &LIPID);
    add(age >= 1 && count, &BLOOD_COUNT);
    add(chart.has_problem("E11"), &HEMOGLOBIN_A1C);
    add(chart.has_problem("E03"), &THYROTROPIN);
    panels
}

/// Orders, measures and reports a panel.
pub(crate) fn record(chart: &mut Chart<'_>, visit: &Visit<'_>, panel: &'static Panel) {
    let order = order(chart, visit, panel);
    let results: Vec<String> = panel.analytes.iter().map(|analyte| result(chart, visit, analyte, &order)).collect();
    report(chart, visit, panel, (&order, &results));
}

fn order(chart: &mut Chart<'_>, visit: &Visit<'_>, panel: &Panel) -> String {
    let mut w = chart.begin(Kind::ServiceRequest);
    w.meta(&[(US_CORE, "us-core-servicerequest")], None);
    w.string("status", "completed");
    w.string("intent", "order");
    w.concepts("category", &[snomed("108252007", "Laboratory procedure")]);
    w.concept("code", &[panel.code]);
    chart.subject(&mut w);
    chart.encounter(&mut w, visit);
    w.moment("occurrenceDateTime", visit.start.plus_minutes(20));
    w.moment("authoredOn", visit.start.plus_minutes(10));
    w.practitioner("requester", visit.practitioner);
    w.organizations("performer", &chart.region.laboratory);
    chart.add(w)
}

fn result(chart: &mut Chart<'_>, visit: &Visit<'_>, analyte: &Analyte, order: &str) -> String {
    let shift = analyte.shifted_by.filter(|(category, _)| chart.has_problem(category)).map_or(0, |(_, shift)| shift);
    let value = chart.rng.around(analyte.middle + shift, analyte.spread).max(0);
    let (low, high) = analyte.range;
    let interpretation = match value {
        _ if value < low => ("L", "Low"),
        _ if value > high => ("H", "High"),
        _ => ("N", "Normal"),
    };
    let decimal = |units: i32| Decimal::new(units.into(), analyte.scale);
    let mut w = chart.begin(Kind::Observation);
    w.meta(&[(US_CORE, "us-core-observation-lab")], None);
    w.references("basedOn", "ServiceRequest", order);
    w.string("status", "final");
    w.concepts("category", &[LABORATORY]);
    w.concept("code", &[analyte.code]);
    chart.subject(&mut w);
    chart.encounter(&mut w, visit);
    w.moment("effectiveDateTime", visit.start.plus_minutes(20));
    w.moment("issued", visit.start.plus_minutes(26 * 60));
    w.organizations("performer", &chart.region.laboratory);
    w.quantity("valueQuantity", decimal(value), analyte.unit);
    w.concepts("interpretation", &[Code::new(INTERPRETATION, interpretation.0, interpretation.1)]);
    w.single("referenceRange", |range| {
        range.quantity("low", decimal(low), analyte.unit);
        range.quantity("high", decimal(high), analyte.unit);
    });
    chart.add(w)
}

fn report(chart: &mut Chart<'_>, visit: &Visit<'_>, panel: &Panel, (order, results): (&str, &[String])) {
    let mut w = chart.begin(Kind::DiagnosticReport);
    w.meta(&[(US_CORE, "us-core-diagnosticreport-lab")], None);
    w.references("basedOn", "ServiceRequest", order);
    w.string("status", "final");
    w.concepts("category", &[Code::new(DIAGNOSTIC_SERVICE, "LAB", "Laboratory")]);
    w.concept("code", &[panel.code]);
    chart.subject(&mut w);
    chart.encounter(&mut w, visit);
    w.moment("effectiveDateTime", visit.start.plus_minutes(20));
    w.moment("issued", visit.start.plus_minutes(26 * 60));
    w.organizations("performer", &chart.region.laboratory);
    w.list("result", |list| {
        for id in results {
            list.entry(|result| result.reference_members("Observation", id));
        }
    });
    chart.add(w);
}
