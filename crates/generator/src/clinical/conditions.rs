//! US Core Condition: the problem list and encounter diagnoses.

use jiff::civil::Date;

use crate::calendar::plus_days;
use crate::chart::{Chart, Kind, ListedProblem, Visit};
use crate::terminology::problems::CHRONIC;
use crate::terminology::systems::{CONDITION_CATEGORY, CONDITION_CLINICAL, CONDITION_VERIFICATION, US_CORE};
use crate::terminology::{Code, Diagnosis};
use crate::writer::Writer;

/// Draws the patient's long-term problems and writes them down at the first examination.
pub(crate) fn problem_list(chart: &mut Chart<'_>, visit: &Visit<'_>) {
    let age = chart.age_on(visit.start.date);
    for problem in CHRONIC {
        let percent = if age >= 65 { problem.percent_from_65 } else { problem.percent };
        if chart.rng.percent(percent) && age >= problem.from_age {
            let years = chart.rng.between(0, (age - problem.from_age).min(12));
            let onset = plus_days(visit.start.date, -years * 365 - 30);
            let condition_id = problem_list_item(chart, visit, &problem.diagnosis, onset.max(chart.person.birth_date));
            chart.problems.push(ListedProblem { problem, condition_id });
        }
    }
}

/// Writes an active problem.
pub(crate) fn problem_list_item(chart: &mut Chart<'_>, visit: &Visit<'_>, diagnosis: &'static Diagnosis, onset: Date) -> String {
    let mut w = begin(chart, "us-core-condition-problems-health-concerns", "active");
    w.concepts("category", &[Code::new(CONDITION_CATEGORY, "problem-list-item", "Problem List Item")]);
    members(chart, &mut w, visit, diagnosis);
    w.date("onsetDateTime", onset);
    finish(chart, w, visit)
}

/// Writes what a visit was about; it is over by now.
pub(crate) fn encounter_diagnosis(chart: &mut Chart<'_>, visit: &Visit<'_>) -> String {
    let mut w = begin(chart, "us-core-condition-encounter-diagnosis", "resolved");
    w.concepts("category", &[Code::new(CONDITION_CATEGORY, "encounter-diagnosis", "Encounter Diagnosis")]);
    members(chart, &mut w, visit, visit.reason.diagnosis());
    let onset = plus_days(visit.start.date, -chart.rng.between(0, 6)).max(chart.person.birth_date);
    w.date("onsetDateTime", onset);
    w.date("abatementDateTime", plus_days(visit.end.date, chart.rng.between(0, 12)));
    finish(chart, w, visit)
}

/// Begins a confirmed Condition of a US Core profile with a clinical status.
pub(crate) fn begin(chart: &mut Chart<'_>, profile: &'static str, clinical_status: &'static str) -> Writer {
    let mut w = chart.begin(Kind::Condition);
    w.meta(&[(US_CORE, profile)], None);
    statuses(&mut w, clinical_status);
    w
}

/// Writes `clinicalStatus`, and `verificationStatus` as confirmed.
pub(crate) fn statuses(w: &mut Writer, clinical_status: &'static str) {
    w.single_coded("clinicalStatus", CONDITION_CLINICAL, clinical_status);
    w.single_coded("verificationStatus", CONDITION_VERIFICATION, "confirmed");
}

fn members(chart: &Chart<'_>, w: &mut Writer, visit: &Visit<'_>, diagnosis: &Diagnosis) {
    w.concept("code", &[diagnosis.snomed, diagnosis.icd10]);
    chart.subject(w);
    chart.encounter(w, visit);
}

fn finish(chart: &mut Chart<'_>, mut w: Writer, visit: &Visit<'_>) -> String {
    w.date("recordedDate", visit.start.date);
    w.practitioner("recorder", visit.practitioner);
    w.practitioner("asserter", visit.practitioner);
    chart.add(w)
}
