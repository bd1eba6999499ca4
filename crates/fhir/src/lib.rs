//! FHIR R4 (4.0.1) knowledge as pure functions and values.
//!
//! Nothing in this crate reads a clock, a socket, a file or random bytes; the same input gives the same output.
//! Facts of the standard (search parameters, elements, compartments) are compact tables in `data/`, embedded at build time.

pub mod bundle;
pub mod capability;
pub mod care;
pub mod compartment;
pub mod definitions;
pub mod index;
pub mod instant;
pub mod interaction;
pub mod json;
pub mod labels;
pub mod outcome;
pub mod patch;
pub mod path;
pub mod purpose;
pub mod qualifier;
pub mod query;
pub mod redaction;
pub mod reference;
pub mod resource;
pub mod search;
pub mod shape;
pub mod types;
pub mod version;
pub mod xml;
