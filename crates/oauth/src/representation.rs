//! Acting for a patient: from when, until when, and within which limits.
//!
//! A personal representative (45 CFR 164.502(g)) or caregiver acts for somebody for a time, and perhaps not for everything. What stands here is judged
//! anew for every request: outside its time a representation is as if it were not there.

use std::fmt;

use portcullis_fhir::types::{LogicalId, ResourceType};

/// The most types that a representation leaves out.
pub const MAXIMUM_EXCLUDED: usize = 32;

/// What a representative may not, though the patient could.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Whether nothing may be written.
    pub read_only: bool,
    /// The types of records that stay closed, in alphabetical order.
    pub excluded: Vec<ResourceType>,
}

impl Limits {
    /// Limits of these; the types in any order.
    pub fn new(read_only: bool, excluded: impl IntoIterator<Item = ResourceType>) -> Self {
        let mut excluded: Vec<ResourceType> = excluded.into_iter().collect();
        excluded.sort_unstable_by_key(ToString::to_string);
        excluded.dedup();
        Self { read_only, excluded }
    }

    /// Whether there are none.
    pub fn are_none(&self) -> bool {
        !self.read_only && self.excluded.is_empty()
    }
}

/// One person acts for one patient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Representation {
    /// The patient.
    pub patient: LogicalId,
    /// The beginning, in seconds since the epoch.
    pub from: i64,
    /// The end, in seconds since the epoch; `None` where none is set.
    pub until: Option<i64>,
    /// What is left out.
    pub limits: Limits,
}

impl Representation {
    /// Whether it holds at a time in seconds since the epoch: from its beginning to before its end.
    pub fn holds(&self, now: i64) -> bool {
        self.from <= now && self.until.is_none_or(|until| now < until)
    }

    /// One line of text, as [`Representation::parse`] reads it: patient, beginning, end or `-`, `ro` or `rw`, types or `-`.
    pub fn parse(line: &str) -> Option<Self> {
        let mut parts = line.split(' ');
        let (patient, from, until, letters, excluded) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        let until = if until == "-" { None } else { Some(until.parse().ok()?) };
        let read_only = match letters {
            "ro" => true,
            "rw" => false,
            _ => return None,
        };
        let types =
            if excluded == "-" { Vec::new() } else { excluded.split(',').map(ResourceType::parse).collect::<Option<_>>()? };
        Some(Self { patient: LogicalId::parse(patient)?, from: from.parse().ok()?, until, limits: Limits::new(read_only, types) })
    }

    /// The types that are left out, as one word: `-` where there are none.
    pub fn excluded_text(&self) -> String {
        if self.limits.excluded.is_empty() {
            return "-".to_owned();
        }
        self.limits.excluded.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
    }
}

impl fmt::Display for Representation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let until = self.until.map_or_else(|| "-".to_owned(), |until| until.to_string());
        let letters = if self.limits.read_only { "ro" } else { "rw" };
        write!(formatter, "{} {} {until} {letters} {}", self.patient, self.from, self.excluded_text())
    }
}

/// The patients for whom a person acts at a time, in the order in which they were given: those without an end, then those represented.
pub fn acting_for(own: &[LogicalId], represents: &[Representation], now: i64) -> Vec<LogicalId> {
    let mut patients = own.to_vec();
    for representation in represents.iter().filter(|representation| representation.holds(now)) {
        if !patients.contains(&representation.patient) {
            patients.push(representation.patient.clone());
        }
    }
    patients
}

#[cfg(test)]
mod tests {
    use super::*;

    fn representation(line: &str) -> Representation {
        Representation::parse(line).unwrap()
    }

    #[test]
    fn a_representation_holds_from_its_beginning_to_before_its_end() {
        let limited = representation("p1 100 200 ro Observation");
        for (now, holds) in [(99, false), (100, true), (199, true), (200, false)] {
            assert_eq!(limited.holds(now), holds, "{now}");
        }
        assert!(representation("p1 100 - rw -").holds(i64::MAX));
    }

    #[test]
    fn lines_come_back_and_others_are_refused() {
        for line in ["p1 100 200 ro AuditEvent,Observation", "p1 100 - rw -", "p-2 -5 7 rw Condition"] {
            assert_eq!(representation(line).to_string(), line);
        }
        for line in
            ["", "p1 100 200 ro", "p1 100 200 r -", "p1 x - rw -", "p1 1 - rw Nothing", "p1 1 - rw - more", "p 1 1 - rw -"]
        {
            assert_eq!(Representation::parse(line), None, "{line}");
        }
    }

    #[test]
    fn own_patients_stand_beside_those_whose_time_it_is() {
        let own = [LogicalId::parse("p1").unwrap()];
        let represents = [representation("p1 0 - ro -"), representation("p2 0 50 ro -"), representation("p3 90 - ro -")];
        let names = |now| acting_for(&own, &represents, now).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(
            (names(10), names(60), names(90)),
            (vec!["p1".into(), "p2".into()], vec!["p1".into()], vec!["p1".into(), "p3".into()])
        );
    }
}
