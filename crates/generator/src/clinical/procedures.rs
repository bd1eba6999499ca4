//! US Core Procedure.

use crate::chart::{Chart, Kind, Visit};
use crate::terminology::systems::US_CORE;
use crate::terminology::{Code, cpt};

/// Writes a procedure of a visit; an empty CPT code is left out.
pub(crate) fn record(chart: &mut Chart<'_>, visit: &Visit<'_>, code: &Code, cpt_code: &'static str) -> String {
    let diagnosis = visit.reason.diagnosis();
    let minutes = chart.rng.between(15, 110);
    let start = visit.start.plus_minutes(75);
    let mut w = chart.begin(Kind::Procedure);
    w.meta(&[(US_CORE, "us-core-procedure")], None);
    w.string("status", "completed");
    if cpt_code.is_empty() {
        w.concept("code", &[*code]);
    } else {
        w.concept("code", &[*code, cpt(cpt_code)]);
    }
    chart.subject(&mut w);
    chart.encounter(&mut w, visit);
    w.period_of_moments("performedPeriod", start, Some(start.plus_minutes(minutes)));
    w.single("performer", |performer| {
        performer.practitioner("actor", visit.practitioner);
        performer.organization("onBehalfOf", visit.organization);
    });
    w.location("location", visit.organization);
    w.concepts("reasonCode", &[diagnosis.snomed]);
    chart.add(w)
}
