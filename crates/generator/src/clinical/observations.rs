//! What all Observations share.

use crate::calendar::Moment;
use crate::chart::{Chart, Kind, Visit};
use crate::terminology::systems::{OBSERVATION_CATEGORY, US_CORE};
use crate::terminology::{Code, Unit};
use crate::writer::{Decimal, Writer};

pub(crate) const VITAL_SIGNS: Code = Code::new(OBSERVATION_CATEGORY, "vital-signs", "Vital Signs");
pub(crate) const LABORATORY: Code = Code::new(OBSERVATION_CATEGORY, "laboratory", "Laboratory");
pub(crate) const SOCIAL_HISTORY: Code = Code::new(OBSERVATION_CATEGORY, "social-history", "Social History");
pub(crate) const SURVEY: Code = Code::new(OBSERVATION_CATEGORY, "survey", "Survey");
pub(crate) const EXAM: Code = Code::new(OBSERVATION_CATEGORY, "exam", "Exam");

/// What an Observation is about, before its value.
pub(crate) struct Topic<'c> {
    pub(crate) profile: &'static str,
    pub(crate) category: Code,
    pub(crate) codes: &'c [Code],
    pub(crate) moment: Moment,
}

/// The value of an Observation.
#[derive(Clone, Copy)]
pub(crate) enum Value {
    Quantity(Decimal, Unit),
    Concept(Code),
    Integer(i64),
    /// Panels have members or components instead.
    Absent,
}

/// Writes an Observation of a US Core profile; `more` adds what the topic and value do not say.
pub(crate) fn record(
    chart: &mut Chart<'_>,
    visit: &Visit<'_>,
    topic: &Topic<'_>,
    value: Value,
    more: impl FnOnce(&mut Writer),
) -> String {
    let mut w = chart.begin(Kind::Observation);
    w.meta(&[(US_CORE, topic.profile)], None);
    more(&mut w);
    w.string("status", "final");
    w.concepts("category", &[topic.category]);
    w.concept("code", topic.codes);
    chart.subject(&mut w);
    chart.encounter(&mut w, visit);
    w.moment("effectiveDateTime", topic.moment);
    w.practitioners("performer", visit.practitioner);
    write_value(&mut w, value);
    chart.add(w)
}

/// Writes `value[x]`.
pub(crate) fn write_value(w: &mut Writer, value: Value) {
    match value {
        Value::Quantity(number, unit) => w.quantity("valueQuantity", number, unit),
        Value::Concept(code) => w.concept("valueCodeableConcept", &[code]),
        Value::Integer(number) => w.integer("valueInteger", number),
        Value::Absent => {}
    }
}

/// Writes `hasMember`.
pub(crate) fn members(w: &mut Writer, ids: &[String]) {
    w.list("hasMember", |list| {
        for id in ids {
            list.entry(|member| member.reference_members("Observation", id));
        }
    });
}
