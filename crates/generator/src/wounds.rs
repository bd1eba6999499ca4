//! Lower Extremity Skin Wound Assessment 0.1.0: a pressure ulcer of the heel or ankle, or a diabetic foot ulcer, assessed weekly.
//!
//! The guide forbids `bodySite` on its wound Condition and puts the place into an extension; so a second Condition of US Core carries
//! the ulcer on the problem list, with `bodySite` and laterality, as a record system would.

use crate::calendar::{Moment, plus_days};
use crate::chart::{Chart, Kind, Reason, Visit};
use crate::clinical::observations::{EXAM, Value, members, write_value};
use crate::clinical::{conditions, encounters, provenance};
use crate::terminology::systems::{CONDITION_CATEGORY, WOUND, WOUND_OBSERVATION};
use crate::terminology::{Code, Diagnosis, Unit, loinc, snomed};
use crate::writer::{Decimal, Writer};

const CENTIMETRES: Unit = Unit::same("cm");

/// A wound as it may be found.
struct Wound {
    /// The wound type of the guide.
    kind: Code,
    etiology: Code,
    site: Code,
    left: bool,
    diagnosis: Diagnosis,
}

const HEEL: Code = snomed("84607009", "Skin structure of heel");
const ANKLE: Code = snomed("67269001", "Skin structure of ankle");
const FOOT: Code = snomed("60496002", "Skin structure of foot");
const PRESSURE: Code = snomed("399912005", "Pressure sore");
const PRESSURE_POINT: Code = snomed("449753006", "Pressure point of skin");

static PRESSURE_ULCERS: &[Wound] = &[
    Wound {
        kind: PRESSURE,
        etiology: PRESSURE_POINT,
        site: HEEL,
        left: true,
        diagnosis: Diagnosis::new(("420324007", "Pressure ulcer stage 2"), ("L89.622", "Pressure ulcer of left heel, stage 2")),
    },
    Wound {
        kind: PRESSURE,
        etiology: PRESSURE_POINT,
        site: HEEL,
        left: false,
        diagnosis: Diagnosis::new(("420324007", "Pressure ulcer stage 2"), ("L89.612", "Pressure ulcer of right heel, stage 2")),
    },
    Wound {
        kind: PRESSURE,
        etiology: PRESSURE_POINT,
        site: ANKLE,
        left: true,
        diagnosis: Diagnosis::new(("420324007", "Pressure ulcer stage 2"), ("L89.522", "Pressure ulcer of left ankle, stage 2")),
    },
];

static FOOT_ULCERS: &[Wound] = &[Wound {
    kind: snomed("403601003", "Neuropathic ulcer"),
    etiology: snomed("64572001", "Disease"),
    site: FOOT,
    left: false,
    diagnosis: Diagnosis::new(
        ("371087003", "Ulcer of foot due to diabetes mellitus"),
        ("E11.621", "Type 2 diabetes mellitus with foot ulcer"),
    ),
}];

static BEDS: &[Code] = &[
    snomed("421306004", "Necrotic eschar"),
    snomed("449746002", "Wound slough"),
    snomed("225541009", "Granulation of tissue"),
    snomed("449743005", "Wound epithelialization"),
];
static BED_COLORS: &[Code] = &[
    snomed("371252007", "Black color"),
    snomed("371244009", "Yellow color"),
    snomed("371240000", "Red color"),
    snomed("371243003", "Pink color"),
];
static EDGES: &[Code] = &[
    snomed("449751008", "Rolled wound edge"),
    snomed("449749009", "Wound edge diffuse"),
    snomed("449748001", "Wound edges attached"),
    snomed("449741007", "Wound edges approximated"),
];
static EXUDATE_AMOUNTS: &[Code] =
    &[snomed("255509001", "Large"), snomed("6736007", "Moderate"), snomed("255507004", "Small"), snomed("263865001", "Scanty")];
static EXUDATES: &[Code] = &[
    snomed("225550006", "Purulent discharge from wound"),
    snomed("449756003", "Serosanguineous discharge from wound"),
    snomed("447112000", "Serous discharge from wound"),
    snomed("447112000", "Serous discharge from wound"),
];
static SHAPES: &[Code] =
    &[snomed("84360004", "Ovoid shape"), snomed("42700002", "Round shape"), snomed("36394000", "Funnel shape")];

/// Records a wound and its assessments: the first older patient, four in ten of those over 65, and a quarter of those with diabetes.
pub(crate) fn record(chart: &mut Chart<'_>) {
    let diabetic = chart.has_problem("E11");
    let older = chart.age() >= 65;
    let drawn = chart.rng.percent(if older { 40 } else { 25 });
    let wanted = chart.person.number == 4 || (drawn && (older || diabetic));
    if !wanted {
        return;
    }
    let wound = chart.rng.pick(if diabetic && !older { FOOT_ULCERS } else { PRESSURE_ULCERS });
    let region = chart.region;
    let first_day = plus_days(chart.end(), -chart.rng.between(40, 260));
    let length = chart.rng.between(28, 60);
    let shape = chart.rng.choose(SHAPES);
    for week in 0..4 {
        let start = Moment::at(plus_days(first_day, week * 7), 10, 0);
        let reason = Reason::Specialist(&wound.diagnosis);
        let visit = Visit::new(reason, (start, start.plus_minutes(30)), &region.wound_nurse, &region.skilled_nursing);
        let mark = chart.len();
        let visit = encounters::record(chart, visit);
        let panel = assess(chart, &visit, week, (length, shape));
        if week == 0 {
            problem(chart, &visit, wound);
        }
        if week == 3 {
            assert_wound(chart, &visit, wound, &panel);
        }
        provenance::record(chart, &visit, mark);
    }
}

/// Writes one assessment: size, bed, edge, shape and exudate, and the panel that holds them. Wounds heal week by week.
fn assess(chart: &mut Chart<'_>, visit: &Visit<'_>, week: i32, (length, shape): (i32, Code)) -> String {
    let stage = |table: &'static [Code]| table.get(week.unsigned_abs() as usize).copied().unwrap_or(shape);
    let size = size(chart, visit, length - week * length / 6);
    let percent = Decimal::new(chart.rng.between(11, 19).into(), 0);
    let covered = |w: &mut Writer, code: Code| {
        w.single("component", |component| {
            component.concept("code", &[code]);
            component.quantity("valueQuantity", Decimal::new(percent.units * 5, 0), Unit::same("%"));
        });
    };
    let appearance = observe(
        chart,
        visit,
        ("WoundBedAppearance", loinc("72371-8", "Appearance of Wound base")),
        Value::Concept(stage(BEDS)),
        |w| {
            covered(w, loinc("72370-0", "Area of identified wound bed appearance/Area of wound bed of Wound base"));
        },
    );
    let color = observe(
        chart,
        visit,
        ("WoundBedColor", loinc("39132-6", "Color of Wound base")),
        Value::Concept(stage(BED_COLORS)),
        |w| {
            covered(w, loinc("89255-4", "Wound bed area identified by color/Area of wound bed"));
        },
    );
    let bed = panel(chart, visit, ("WoundBed", loinc("89254-7", "Wound bed panel")), &[appearance, color]);
    let topic = ("WoundEdgeDescription", loinc("72304-9", "Edge of wound description"));
    let description = observe(chart, visit, topic, Value::Concept(stage(EDGES)), |_| {});
    let edge = panel(chart, visit, ("WoundEdge", loinc("89256-2", "Wound edge panel")), &[description]);
    let topic = ("WoundShape", Code::new(WOUND_OBSERVATION, "woundshape", "Shape of Wound"));
    let shape = observe(chart, visit, topic, Value::Concept(shape), |_| {});
    let topic = ("WoundExudateAmountDescription", loinc("39116-9", "Drainage amount of Wound"));
    let amount = observe(chart, visit, topic, Value::Concept(stage(EXUDATE_AMOUNTS)), |_| {});
    let topic = ("WoundExudateAppearance", loinc("72290-0", "Appearance of Exudate from wound"));
    let exudate = observe(chart, visit, topic, Value::Concept(stage(EXUDATES)), |_| {});
    let topic = ("WoundRelatedObservationsPanel", loinc("39135-9", "Wound assessment panel"));
    panel(chart, visit, topic, &[size, bed, edge, shape, amount, exudate])
}

/// Writes the size: length, width, depth and area. Numbers are in tenths of a centimetre.
fn size(chart: &mut Chart<'_>, visit: &Visit<'_>, length: i32) -> String {
    let width = length * 2 / 3;
    let depth = (length / 8).max(1);
    let topic = ("WoundSize", loinc("72287-6", "Wound size panel"));
    observe(chart, visit, topic, Value::Absent, |w| {
        w.list("component", |list| {
            let mut component = |code: Code, value: Decimal, unit: Unit| {
                list.entry(|component| {
                    component.concept("code", &[code]);
                    component.quantity("valueQuantity", value, unit);
                });
            };
            component(loinc("39126-8", "Length of Wound"), Decimal::new(length.into(), 1), CENTIMETRES);
            component(loinc("39125-0", "Width of Wound"), Decimal::new(width.into(), 1), CENTIMETRES);
            component(loinc("39127-6", "Depth of Wound"), Decimal::new(depth.into(), 1), CENTIMETRES);
            component(loinc("89260-4", "Area of wound"), Decimal::new((length * width).into(), 2), Unit::same("cm2"));
        });
    })
}

fn panel(chart: &mut Chart<'_>, visit: &Visit<'_>, topic: (&'static str, Code), ids: &[String]) -> String {
    observe(chart, visit, topic, Value::Absent, |w| members(w, ids))
}

/// Writes an Observation of a profile of the guide, by its name and code.
fn observe(
    chart: &mut Chart<'_>,
    visit: &Visit<'_>,
    (profile, code): (&'static str, Code),
    value: Value,
    more: impl FnOnce(&mut Writer),
) -> String {
    let mut w = chart.begin(Kind::Observation);
    w.meta(&[(WOUND, profile)], None);
    w.string("status", "final");
    w.concepts("category", &[EXAM]);
    w.concept("code", &[code]);
    chart.subject(&mut w);
    chart.encounter(&mut w, visit);
    w.moment("effectiveDateTime", visit.start.plus_minutes(10));
    w.practitioners("performer", visit.practitioner);
    write_value(&mut w, value);
    more(&mut w);
    chart.add(w)
}

/// Writes the ulcer on the problem list, with its place.
fn problem(chart: &mut Chart<'_>, visit: &Visit<'_>, wound: &'static Wound) {
    let side = if wound.left { snomed("7771000", "Left") } else { snomed("24028007", "Right") };
    let mut w = conditions::begin(chart, "us-core-condition-problems-health-concerns", "active");
    w.concepts("category", &[Code::new(CONDITION_CATEGORY, "problem-list-item", "Problem List Item")]);
    w.concept("code", &[wound.diagnosis.snomed, wound.diagnosis.icd10]);
    w.list("bodySite", |list| {
        for site in [wound.site, side] {
            list.entry(|concept| concept.concept_members(&[site]));
        }
    });
    chart.subject(&mut w);
    chart.encounter(&mut w, visit);
    w.date("onsetDateTime", plus_days(visit.start.date, -5));
    w.date("recordedDate", visit.start.date);
    w.practitioner("recorder", visit.practitioner);
    chart.add(w);
}

/// Writes the wound as the guide describes it, pointing to the latest panel.
fn assert_wound(chart: &mut Chart<'_>, visit: &Visit<'_>, wound: &'static Wound, panel: &str) {
    let mut w = chart.begin(Kind::Condition);
    w.meta(&[(WOUND, "WoundAssert")], None);
    w.list("extension", |list| {
        coded_extension(list, "PresentOnAdmissionExt", &snomed("373066001", "Yes"));
        if wound.kind.code == PRESSURE.code {
            coded_extension(list, "PressureUlcerAssociationExt", &PRESSURE_POINT);
        }
        coded_extension(list, "EpisodeExt", &snomed("884001", "Initial"));
        coded_extension(list, "TrendExt", &snomed("390771008", "Improvement of status"));
        coded_extension(list, "PeriwoundConditionExt", &snomed("444884003", "Intact skin"));
        coded_extension(list, "WoundTypeEtiologyExt", &wound.etiology);
        list.entry(|extension| {
            extension.joined("url", &[WOUND, "WoundRelatedObservationsPanelExt"]);
            extension.reference("valueReference", "Observation", panel);
        });
        list.entry(|extension| {
            extension.list("extension", |parts| {
                let left = snomed("31156008", "Structure of left half of body");
                let right = snomed("85421007", "Structure of right half of body");
                coded_extension(parts, "AnatomicLocationExt", &wound.site);
                coded_extension(parts, "BodySideExt", if wound.left { &left } else { &right });
            });
            extension.joined("url", &[WOUND, "BodyLocationExt"]);
        });
    });
    conditions::statuses(&mut w, "active");
    w.concepts("category", &[Code::new(CONDITION_CATEGORY, "problem-list-item", "Problem List Item")]);
    w.concept("code", &[wound.kind]);
    chart.subject(&mut w);
    chart.encounter(&mut w, visit);
    w.date("onsetDateTime", plus_days(visit.start.date, -26));
    w.date("recordedDate", visit.start.date);
    w.practitioner("recorder", visit.practitioner);
    chart.add(w);
}

fn coded_extension(list: &mut Writer, name: &'static str, code: &Code) {
    list.entry(|extension| {
        extension.joined("url", &[WOUND, name]);
        extension.concept("valueCodeableConcept", &[*code]);
    });
}
