//! The FHIR front door, as apps meet it.

mod bad_input;
mod compartment;
mod letting_in;
mod search;
mod world;
mod write;

pub use world::{SCOPE, World};
