//! The FHIR front door: one request through its stages.

pub mod authenticate;
pub mod capabilities;
pub mod large;
pub mod pipeline;
pub mod respond;

mod exchange;
mod named;
mod refusal;

pub use exchange::Exchange;
