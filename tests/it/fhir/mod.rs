//! The FHIR front door, as apps meet it.

mod audit_trail;
mod bad_input;
mod batch;
mod break_glass;
mod bundle_limits;
mod carin;
mod communications;
mod compartment;
mod conditional;
mod consent_profiles;
mod consented;
mod consents;
mod containers;
mod denials;
mod device;
mod explanations;
mod guides;
mod history;
mod labels;
mod letting_in;
mod membership;
mod modifiers;
mod operator_rules;
mod patch;
mod redaction;
mod search;
mod searching_several;
mod statuses;
mod timing;
mod transaction;
mod world;
mod write;
mod xml;

pub use world::{SCOPE, World, ids};
