//! Behaviour over HTTPS: modules mirror URLs and user stories.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot be set up has failed")]

mod demo;
mod fhir;
mod matrix;
mod non_interference;
mod oauth;
mod published;
mod tls;
