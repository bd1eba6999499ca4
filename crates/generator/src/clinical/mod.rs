//! The clinical history after US Core: visits in order of time, and what is found, done and written down at each.

pub(crate) mod allergies;
pub(crate) mod care_team;
pub(crate) mod conditions;
pub(crate) mod documents;
pub(crate) mod encounters;
pub(crate) mod immunizations;
pub(crate) mod laboratory;
pub(crate) mod medications;
pub(crate) mod observations;
pub(crate) mod plans;
pub(crate) mod procedures;
pub(crate) mod provenance;
pub(crate) mod surveys;
pub(crate) mod visits;
pub(crate) mod vital_signs;

use crate::chart::{Chart, Reason, Visit};
use crate::claims::{inpatient, outpatient, professional};
use crate::terminology::laboratory::{BLOOD_COUNT, METABOLIC, Panel};
use crate::terminology::problems::{EmergencyProblem, Stay};

/// Records every visit with its content, and gives the visits.
pub(crate) fn record<'a>(chart: &mut Chart<'a>) -> Vec<Visit<'a>> {
    let planned = visits::plan(chart);
    let mut recorded = Vec::with_capacity(planned.len());
    let mut examined = false;
    for visit in planned {
        let mark = chart.len();
        let visit = encounters::record(chart, visit);
        match visit.reason {
            Reason::Examination(_) => {
                examination(chart, &visit, !examined);
                examined = true;
            }
            Reason::Acute(problem) => {
                vital_signs::record(chart, &visit, vital_signs::Extent::Brief);
                let condition = conditions::encounter_diagnosis(chart, &visit);
                if let Some(medication) = problem.medication {
                    medications::course(chart, &visit, medication, &condition);
                }
                professional::record(chart, &visit, &[]);
            }
            Reason::Emergency(problem) => emergency(chart, &visit, problem),
            Reason::Stay(stay) => hospital_stay(chart, &visit, stay),
            Reason::Specialist(_) => {}
        }
        documents::note(chart, &visit);
        provenance::record(chart, &visit, mark);
        recorded.push(visit);
    }
    recorded
}

/// A regular examination; the first one also takes down the problem list and allergies.
fn examination(chart: &mut Chart<'_>, visit: &Visit<'_>, first: bool) {
    if first {
        conditions::problem_list(chart, visit);
        allergies::record(chart, visit);
    }
    vital_signs::record(chart, visit, vital_signs::Extent::Full);
    if chart.age_on(visit.start.date) >= 18 {
        surveys::smoking_status(chart, visit);
        if first {
            surveys::exercise(chart, visit);
        }
    }
    let panels = laboratory::due(chart, visit);
    for panel in &panels {
        laboratory::record(chart, visit, panel);
    }
    immunizations::record(chart, visit, first);
    medications::renew(chart, visit, first);
    professional::record(chart, visit, &panels);
}

fn emergency(chart: &mut Chart<'_>, visit: &Visit<'_>, problem: &'static EmergencyProblem) {
    vital_signs::record(chart, visit, vital_signs::Extent::Acute);
    conditions::encounter_diagnosis(chart, visit);
    let panels: &[&Panel] = if chart.rng.percent(60) { &[&BLOOD_COUNT] } else { &[] };
    for panel in panels {
        laboratory::record(chart, visit, panel);
    }
    let procedure = procedures::record(chart, visit, &problem.procedure, problem.procedure_cpt);
    outpatient::record(chart, visit, problem, panels);
    documents::imaging_report(chart, visit, &procedure);
}

fn hospital_stay(chart: &mut Chart<'_>, visit: &Visit<'_>, stay: &'static Stay) {
    let condition = conditions::encounter_diagnosis(chart, visit);
    vital_signs::record(chart, visit, vital_signs::Extent::Acute);
    for panel in [&METABOLIC, &BLOOD_COUNT] {
        laboratory::record(chart, visit, panel);
    }
    let procedure = procedures::record(chart, visit, &stay.procedure, "");
    documents::imaging_report(chart, visit, &procedure);
    plans::discharge(chart, visit, &condition);
    inpatient::record(chart, visit, stay);
    professional::record(chart, visit, &[]);
}
