//! The FHIR front door, as apps meet it.

mod compartment;
mod world;

pub use world::{SCOPE, World};
