//! When and why a patient is seen: yearly examinations, short illnesses, emergencies and stays in hospital.

use jiff::civil::Date;

use crate::calendar::{Moment, plus_days};
use crate::chart::{Chart, Reason, Visit};
use crate::terminology::problems::{ACUTE, ADULT_EXAMINATION, CHILD_EXAMINATION, EMERGENCY, STAYS, Stay};

/// How many years a history goes back at most.
const HISTORY_YEARS: i32 = 4;

/// Plans the visits of a history in order of time; none overlaps with a stay in hospital.
pub(crate) fn plan<'a>(chart: &mut Chart<'a>) -> Vec<Visit<'a>> {
    let mut reasons: Vec<(Date, Reason)> = Vec::new();
    let years = chart.age().clamp(1, HISTORY_YEARS);
    for year in 0..years {
        let age = chart.age() - year;
        let examination = if age < 18 { &CHILD_EXAMINATION } else { &ADULT_EXAMINATION };
        reasons.push((day_in_year(chart, year), Reason::Examination(examination)));
        if chart.rng.percent(62) {
            let problem = chart.rng.pick(ACUTE);
            reasons.push((day_in_year(chart, year), Reason::Acute(problem)));
        }
        if chart.rng.percent(14) {
            let problem = chart.rng.pick(EMERGENCY);
            reasons.push((day_in_year(chart, year), Reason::Emergency(problem)));
        }
    }
    if let Some(stay) = stay(chart) {
        reasons.push((day_in_year(chart, 0), Reason::Stay(stay)));
    }
    if chart.person.number == 1 {
        complete_first(chart, &mut reasons);
    }
    reasons.retain(|(date, _)| *date >= chart.person.birth_date);
    reasons.sort_by_key(|(date, _)| *date);
    let mut visits: Vec<Visit<'a>> = Vec::with_capacity(reasons.len());
    for (date, reason) in reasons {
        let free = visits.last().map_or(date, |last| plus_days(last.end.date, 1));
        visits.push(visit(chart, date.max(free), reason));
    }
    visits
}

/// The first patient is who demonstrations look at: adds what gives this chart every kind of claim.
fn complete_first(chart: &mut Chart<'_>, reasons: &mut Vec<(Date, Reason)>) {
    if let Some(problem) = EMERGENCY.first() {
        reasons.push((day_in_year(chart, 1), Reason::Emergency(problem)));
    }
    if let Some(problem) = ACUTE.iter().find(|problem| problem.medication.is_some()) {
        reasons.push((day_in_year(chart, 2), Reason::Acute(problem)));
    }
}

/// A day in the year that ended so many years before the end of the history; never in its last month, so that claims are settled.
fn day_in_year(chart: &mut Chart<'_>, years_before: i32) -> Date {
    let days = years_before * 365 + chart.rng.between(30, 340);
    plus_days(chart.end(), -days)
}

/// Whether, and for what, there was a stay in hospital in the last year. The first patient always has one and so has the first older
/// patient, so that small data sets show every kind of claim and a rehabilitation.
fn stay(chart: &mut Chart<'_>) -> Option<&'static Stay> {
    let age = chart.age();
    let drawn = chart.rng.percent(if age >= 65 { 45 } else { 6 });
    let fitting: Vec<&'static Stay> = STAYS.iter().filter(|stay| stay.from_age <= age).collect();
    match chart.person.number {
        4 => fitting.into_iter().find(|stay| stay.rehabilitation),
        1 => fitting.first().copied(),
        _ if drawn && !fitting.is_empty() => Some(chart.rng.choose(&fitting)),
        _ => None,
    }
}

fn visit<'a>(chart: &mut Chart<'a>, date: Date, reason: Reason) -> Visit<'a> {
    let region = chart.region;
    let rng = &mut chart.rng;
    let opening = Moment::at(date, 8, 0);
    let office = opening.plus_minutes(rng.between(0, 31) * 15);
    match reason {
        Reason::Emergency(_) => {
            let start = opening.plus_minutes(rng.between(-450, 900));
            let period = (start, start.plus_minutes(rng.between(90, 400)));
            Visit::new(reason, period, rng.pick(&region.emergency), rng.pick(&region.hospitals))
        }
        Reason::Stay(stay) => {
            let start = opening.plus_minutes(rng.between(-120, 720));
            let end = Moment::at(plus_days(start.date, rng.between(stay.days.0, stay.days.1)), 11, 30);
            Visit::new(reason, (start, end), rng.pick(&region.hospitalists), region.main_hospital())
        }
        Reason::Examination(_) | Reason::Acute(_) | Reason::Specialist(_) => {
            let minutes = rng.between(15, 40);
            let colleague = (chart.person.primary.0, rng.below(3));
            // A colleague of the practice stands in now and then.
            let covering = rng.percent(22);
            let practitioner = if covering { region.primary(colleague) } else { chart.primary() };
            Visit::new(reason, (office, office.plus_minutes(minutes)), practitioner, chart.practice())
        }
    }
}
