//! US Core AllergyIntolerance.

use crate::calendar::plus_days;
use crate::chart::{Chart, Kind, Visit};
use crate::terminology::allergies::{ALLERGENS, Allergen, REACTIONS};
use crate::terminology::snomed;
use crate::terminology::systems::{ALLERGY_CLINICAL, ALLERGY_VERIFICATION, US_CORE};

/// Writes the patient's allergies, or that none is known.
pub(crate) fn record(chart: &mut Chart<'_>, visit: &Visit<'_>) {
    let first = chart.rng.below(ALLERGENS.len() as u32) as usize;
    let count = match chart.rng.below(100) {
        0..=54 => 0,
        55..=86 => 1,
        _ => 2,
    };
    if count == 0 {
        none_known(chart, visit);
    }
    for allergen in ALLERGENS.iter().cycle().skip(first).take(count) {
        allergy(chart, visit, allergen);
    }
}

fn allergy(chart: &mut Chart<'_>, visit: &Visit<'_>, allergen: &Allergen) {
    let (manifestation, severity) = chart.rng.pick(REACTIONS);
    let days = chart.rng.between(100, 3000);
    let onset = plus_days(visit.start.date, -days).max(chart.person.birth_date);
    let mut w = chart.begin(Kind::AllergyIntolerance);
    w.meta(&[(US_CORE, "us-core-allergyintolerance")], None);
    w.single_coded("clinicalStatus", ALLERGY_CLINICAL, "active");
    w.single_coded("verificationStatus", ALLERGY_VERIFICATION, "confirmed");
    w.string("type", "allergy");
    w.strings("category", &[allergen.category]);
    w.string("criticality", if *severity == "severe" { "high" } else { "low" });
    w.concept("code", &[allergen.code]);
    w.reference("patient", "Patient", &chart.person.id);
    chart.encounter(&mut w, visit);
    w.date("onsetDateTime", onset);
    w.date("recordedDate", visit.start.date);
    w.practitioner("recorder", visit.practitioner);
    w.single("reaction", |reaction| {
        reaction.concepts("manifestation", &[*manifestation]);
        reaction.string("severity", severity);
    });
    chart.add(w);
}

fn none_known(chart: &mut Chart<'_>, visit: &Visit<'_>) {
    let mut w = chart.begin(Kind::AllergyIntolerance);
    w.meta(&[(US_CORE, "us-core-allergyintolerance")], None);
    w.single_coded("clinicalStatus", ALLERGY_CLINICAL, "active");
    w.single_coded("verificationStatus", ALLERGY_VERIFICATION, "confirmed");
    w.concept("code", &[snomed("716186003", "No known allergy")]);
    w.reference("patient", "Patient", &chart.person.id);
    w.date("recordedDate", visit.start.date);
    w.practitioner("recorder", visit.practitioner);
    chart.add(w);
}
