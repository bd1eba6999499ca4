//! Behaviour over HTTPS: modules mirror URLs and user stories.

mod fhir;
mod oauth;
mod matrix;
mod tls;
