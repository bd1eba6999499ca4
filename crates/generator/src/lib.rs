//! Deterministic synthetic FHIR R4 data: a shared directory of payers, hospitals and practitioners, then patient after patient
//! with clinical history, claims, re-assessment timepoints, wound assessments and, for about a fifth of them, sensitive conditions.
//!
//! Same [`Options`] give the same bytes on every machine: only integers, one seeded random stream per patient, no clock. A patient's
//! chart does not depend on how many patients are asked for. Resources come as JSON text, one patient in memory at a time; an average
//! patient has about 119 resources (see [`generate()`]).
//!
//! Profiles: US Core, CARIN Blue Button 2.0.0, PACIO Re-Assessment Timepoints 1.0.0, Lower Extremity Skin Wound Assessment 0.1.0.
//! Codes are published codes; persons, towns, organizations and identifiers are invented. Nothing is labelled: a labeller's work is
//! to find the sensitive codes.

mod calendar;
mod chart;
mod claims;
mod clinical;
mod consents;
mod datatypes;
mod directory;
mod generate;
mod mark;
mod names;
mod patient;
mod people;
mod places;
mod profiles;
mod rng;
mod sensitive;
mod terminology;
#[cfg(test)]
mod tests;
mod timepoints;
mod wounds;
mod writer;

pub use jiff::civil::Date;

pub use crate::generate::{GeneratedResource, Options, chart, directory, generate};
pub use crate::mark::DEMO_SEED;
pub use crate::people::{PersonSummary, RelatedPersonSummary, people};
pub use crate::profiles::profiles;

pub use crate::directory::{PractitionerSummary, practitioner_ids, practitioners};
