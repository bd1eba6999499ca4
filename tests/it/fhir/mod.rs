//! The FHIR front door, as apps meet it.

mod audit_trail;
mod bad_input;
mod batch;
mod bundle_limits;
mod carin;
mod compartment;
mod conditional;
mod consents;
mod device;
mod guides;
mod history;
mod labels;
mod letting_in;
mod patch;
mod search;
mod searching_several;
mod statuses;
mod transaction;
mod world;
mod write;

pub use world::{SCOPE, World};
