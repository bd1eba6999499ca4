//! What the code of an app calls, and never a person: tokens, introspection, revocation, pushed requests, registration, launches.

pub mod client_authentication;
pub mod client_endpoint;
pub mod client_keys;
pub mod introspect;
mod introspect_consent;
pub mod launch;
pub mod pushed;
pub mod registration;
pub mod revoke;
pub mod software_statements;
pub mod token;
pub mod userinfo;
