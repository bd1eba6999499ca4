//! The FHIR front door: one request through its stages.

pub mod acceptance;
pub mod app_state;
pub mod authenticate;
pub mod capabilities;
pub mod denials;
pub mod large;
pub mod pipeline;
pub mod reply;
pub mod representation;
pub mod respond;

mod account;
mod bundles;
mod conditions;
mod exchange;
mod named;
mod patching;
mod purpose;
mod read_only;
pub(crate) mod refusal;
mod several;

pub use bundles::BundleLimits;
pub use exchange::Exchange;
