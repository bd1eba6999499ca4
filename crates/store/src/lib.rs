//! The seams to storage: traits that a backend fulfils, and the contract tests that each of them passes.
//!
//! Everything that returns or changes FHIR data takes an [`Authorized`](portcullis_policy::Authorized) operation.

pub mod app_state;
pub mod client_registration;
pub mod clock;
pub mod consent_decisions;
pub mod consents;
pub mod federation;
pub mod fhir_store;
pub mod mail;
pub mod registry;
pub mod relabelling;
pub mod safeguards;
pub mod sign_in;
pub mod together;

pub use app_state::AppStateRegistry;
pub use clock::{Clock, SystemClock};
pub use consents::ConsentRegistry;
pub use federation::FederationRegistry;
pub use fhir_store::{BoxFuture, Committed, FhirStore, Outbox, StoreError, Subject};
pub use registry::{Registry, RegistryError};
pub use safeguards::SafeguardRegistry;
pub use sign_in::SignInRegistry;
