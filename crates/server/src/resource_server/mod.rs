//! The FHIR front door: one request through its stages.

pub mod authenticate;
pub mod capabilities;
pub mod large;
pub mod pipeline;
pub mod reply;
pub mod respond;

mod account;
mod bundles;
mod conditions;
mod exchange;
mod named;
pub(crate) mod refusal;

pub use exchange::Exchange;
