//! Administration: one service behind the socket in the data directory and behind commands that hold the directory themselves.
//!
//! Every request is made by an operator principal that may do exactly this one thing, and leaves an audit record; a change and its record are
//! stored together. Imports pass the same decision as any other write. Nothing here speaks HTTP.

mod import;
mod preapproval;
pub mod protocol;
mod service;
pub mod socket;

pub use import::MAXIMUM_RESOURCE;
pub use service::{Caller, MINIMUM_PASSWORD, Service};
