//! US Core Goal and CarePlan: one goal per long-term problem, a plan that holds them, and a plan on discharge from hospital.

use jiff::civil::Date;

use crate::calendar::plus_days;
use crate::chart::{Chart, Kind, Visit};
use crate::terminology::snomed;
use crate::terminology::systems::{CAREPLAN_CATEGORY, US_CORE};
use crate::terminology::{Code, systems};
use crate::writer::Writer;

/// Writes the goals of the problem list and the plan to reach them; with no problem, a plan to stay healthy.
pub(crate) fn record(chart: &mut Chart<'_>) {
    let start = plus_days(chart.end(), -150).max(chart.person.birth_date);
    let mut problems: Vec<(&'static str, Option<String>)> =
        chart.problems.iter().take(3).map(|listed| (listed.problem.goal, Some(listed.condition_id.clone()))).collect();
    if problems.is_empty() {
        problems.push(("Stay active and up to date with vaccinations", None));
    }
    let goals: Vec<String> = problems.iter().map(|(text, condition)| goal(chart, start, text, condition.as_deref())).collect();
    let mut w = begin(chart, if chart.person.deceased.is_some() { "completed" } else { "active" });
    w.string("title", "Care plan of the primary care team");
    chart.subject(&mut w);
    w.period("period", start, None);
    w.practitioner("author", chart.primary());
    let conditions: Vec<&String> = problems.iter().filter_map(|(_, condition)| condition.as_ref()).collect();
    if !conditions.is_empty() {
        w.list("addresses", |list| {
            for condition in conditions {
                list.entry(|reference| reference.reference_members("Condition", condition));
            }
        });
    }
    w.list("goal", |list| {
        for goal in &goals {
            list.entry(|reference| reference.reference_members("Goal", goal));
        }
    });
    activity(&mut w, &snomed("390906007", "Follow-up encounter"), "scheduled");
    chart.add(w);
}

/// Writes the plan with which a patient leaves the hospital.
pub(crate) fn discharge(chart: &mut Chart<'_>, visit: &Visit<'_>, condition: &str) {
    let mut w = begin(chart, "completed");
    w.string("title", "Discharge plan");
    chart.subject(&mut w);
    chart.encounter(&mut w, visit);
    w.period("period", visit.end.date, Some(plus_days(visit.end.date, 14)));
    w.practitioner("author", visit.practitioner);
    w.references("addresses", "Condition", condition);
    activity(&mut w, &snomed("91251008", "Physical therapy procedure"), "completed");
    chart.add(w);
}

fn begin(chart: &mut Chart<'_>, status: &'static str) -> Writer {
    let mut w = chart.begin(Kind::CarePlan);
    w.meta(&[(US_CORE, "us-core-careplan")], None);
    w.string("status", status);
    w.string("intent", "plan");
    w.concepts("category", &[Code::new(CAREPLAN_CATEGORY, "assess-plan", "Assessment and Plan of Treatment")]);
    w
}

fn activity(w: &mut Writer, code: &Code, status: &'static str) {
    w.single("activity", |activity| {
        activity.object("detail", |detail| {
            detail.concept("code", &[*code]);
            detail.string("status", status);
        });
    });
}

fn goal(chart: &mut Chart<'_>, start: Date, text: &'static str, condition: Option<&str>) -> String {
    let mut w = chart.begin(Kind::Goal);
    w.meta(&[(systems::US_CORE, "us-core-goal")], None);
    w.string("lifecycleStatus", if chart.person.deceased.is_some() { "completed" } else { "active" });
    w.object("description", |description| description.string("text", text));
    chart.subject(&mut w);
    w.date("startDate", start);
    w.single("target", |target| target.date("dueDate", plus_days(start, 365)));
    w.reference("expressedBy", "Patient", &chart.person.id);
    if let Some(condition) = condition {
        w.references("addresses", "Condition", condition);
    }
    chart.add(w)
}
