//! Vital signs: US Core profiles of Observation, with values that fit age, build and problems.

use super::observations::{self, Topic, VITAL_SIGNS, Value};
use crate::calendar::days_between;
use crate::chart::{Chart, Visit};
use crate::terminology::{Code, Unit, loinc};
use crate::writer::Decimal;

const MILLIMETRES: Unit = Unit::new("mmHg", "mm[Hg]");
const PER_MINUTE: Unit = Unit::same("/min");

/// How much is measured.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Blood pressure, pulse, height, weight and body mass index.
    Full,
    /// Temperature and pulse.
    Brief,
    /// Blood pressure, pulse, respiration and oxygen saturation.
    Acute,
}

/// Measures at a visit.
pub(crate) fn record(chart: &mut Chart<'_>, visit: &Visit<'_>, extent: Extent) {
    let age = chart.age_on(visit.start.date);
    let pulse = if age < 12 { chart.rng.around(104 - age * 2, 18) } else { chart.rng.around(73, 16) };
    measure(chart, visit, "us-core-heart-rate", &[loinc("8867-4", "Heart rate")], (Decimal::new(pulse.into(), 0), PER_MINUTE));
    match extent {
        Extent::Full => {
            if age >= 3 {
                blood_pressure(chart, visit, age);
            }
            body(chart, visit, age);
        }
        Extent::Brief => {
            let temperature = Decimal::new(chart.rng.around(374, 10).into(), 1);
            let code = loinc("8310-5", "Body temperature");
            measure(chart, visit, "us-core-body-temperature", &[code], (temperature, Unit::new("Cel", "Cel")));
        }
        Extent::Acute => {
            if age >= 3 {
                blood_pressure(chart, visit, age);
            }
            let rate = Decimal::new(chart.rng.around(if age < 12 { 22 } else { 16 }, 5).into(), 0);
            measure(chart, visit, "us-core-respiratory-rate", &[loinc("9279-1", "Respiratory rate")], (rate, PER_MINUTE));
            let saturation = Decimal::new(chart.rng.between(91, 100).into(), 0);
            let codes = [
                loinc("59408-5", "Oxygen saturation in Arterial blood by Pulse oximetry"),
                loinc("2708-6", "Oxygen saturation in Arterial blood"),
            ];
            measure(chart, visit, "us-core-pulse-oximetry", &codes, (saturation, Unit::same("%")));
        }
    }
}

fn measure(chart: &mut Chart<'_>, visit: &Visit<'_>, profile: &'static str, codes: &[Code], value: (Decimal, Unit)) {
    let topic = Topic { profile, category: VITAL_SIGNS, codes, moment: visit.start.plus_minutes(5) };
    observations::record(chart, visit, &topic, Value::Quantity(value.0, value.1), |_| {});
}

fn blood_pressure(chart: &mut Chart<'_>, visit: &Visit<'_>, age: i32) {
    let raised = if chart.has_problem("I10") { 17 } else { 0 };
    let systolic = chart.rng.around(100 + (age / 3).min(22) + raised, 15);
    let diastolic = chart.rng.around(62 + (age / 5).min(12) + raised / 2, 9).min(systolic - 20);
    let topic = Topic {
        profile: "us-core-blood-pressure",
        category: VITAL_SIGNS,
        codes: &[loinc("85354-9", "Blood pressure panel with all children optional")],
        moment: visit.start.plus_minutes(5),
    };
    observations::record(chart, visit, &topic, Value::Absent, |w| {
        w.list("component", |list| {
            for (code, value) in
                [(loinc("8480-6", "Systolic blood pressure"), systolic), (loinc("8462-4", "Diastolic blood pressure"), diastolic)]
            {
                list.entry(|component| {
                    component.concept("code", &[code]);
                    component.quantity("valueQuantity", Decimal::new(value.into(), 0), MILLIMETRES);
                });
            }
        });
    });
}

/// Height, weight and the body mass index that follows from them.
fn body(chart: &mut Chart<'_>, visit: &Visit<'_>, age: i32) {
    let months = days_between(chart.person.birth_date, visit.start.date) * 12 / 365;
    let height_cm = height_cm(months, chart.build.adult_height_cm);
    let middle = if age < 18 { 158 + age * 4 } else { chart.build.bmi_tenths };
    let bmi_drawn = chart.rng.around(middle, 6);
    // Weight in units of 100 g; the index is then computed from what is written down, as a reader would.
    let weight = bmi_drawn * height_cm * height_cm / 10_000;
    let index = weight * 10_000 / (height_cm * height_cm);
    let one_place = |value: i32| Decimal::new(value.into(), 1);
    measure(
        chart,
        visit,
        "us-core-body-height",
        &[loinc("8302-2", "Body height")],
        (Decimal::new(height_cm.into(), 0), Unit::same("cm")),
    );
    measure(chart, visit, "us-core-body-weight", &[loinc("29463-7", "Body weight")], (one_place(weight), Unit::same("kg")));
    let unit = Unit::new("kg/m2", "kg/m2");
    measure(chart, visit, "us-core-bmi", &[loinc("39156-5", "Body mass index (BMI) [Ratio]")], (one_place(index), unit));
}

/// Growth between known points of age in months and height in per mille of the adult height.
fn height_cm(months: i32, adult_height_cm: i32) -> i32 {
    const POINTS: [(i32, i32); 8] = [(0, 295), (12, 440), (24, 510), (48, 605), (84, 715), (132, 850), (168, 945), (204, 1000)];
    let per_mille = POINTS
        .windows(2)
        .find_map(|pair| match pair {
            [(from, low), (to, high)] if months < *to => Some(low + (high - low) * (months - from).max(0) / (to - from)),
            _ => None,
        })
        .unwrap_or(1000);
    adult_height_cm * per_mille / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_grow_and_adults_do_not() {
        assert_eq!(height_cm(0, 170), 50);
        assert!((0..204).all(|month| height_cm(month, 170) <= height_cm(month + 1, 170)));
        assert_eq!(height_cm(400, 170), 170);
    }
}
