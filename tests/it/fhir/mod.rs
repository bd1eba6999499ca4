//! The FHIR front door, as apps meet it.

mod audit_trail;
mod bad_input;
mod batch;
mod carin;
mod compartment;
mod conditional;
mod device;
mod guides;
mod history;
mod letting_in;
mod search;
mod statuses;
mod transaction;
mod world;
mod write;

pub use world::{SCOPE, World};
