//! Published resources of US Core and CARIN Blue Button: they load, come back as they were written, and are found by all that they say.
//!
//! The resources are not part of the repository; where `../shared/data` is absent these tests say so and prove nothing.

#![expect(clippy::panic, reason = "a test that cannot be set up has failed")]

mod applies;
mod by_hand;
mod composites;
mod examples;
mod https;
mod mass;
mod queries;
mod store;
mod tree;
