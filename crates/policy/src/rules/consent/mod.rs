//! Consent: what a patient allows and forbids about the own record, as a FHIR R4 Consent says it.
//!
//! <https://hl7.org/fhir/R4/consent.html>, IHE Privacy Consent on FHIR (<https://profiles.ihe.net/ITI/PCF/>). Pure: [`ConsentDocument`] reads a resource,
//! [`check()`] says what a write refuses, [`CompiledConsent`] is what a decision needs of it, [`decide()`] decides about one resource, and [`rows()`] says the same
//! as flat rows for searches. Nothing here stores, looks up or tells the time. Whether a consent was verified is the server's knowledge ([`Standing`]),
//! never read from the resource. What is asked for one request is a [`Question`]; a store
//! answers it in its statements, and release asks [`decide()`] again (docs/adr/0018-consent-storage.md).

mod blanket;
mod check;
mod compiled;
mod confirming;
mod criteria;
mod document;
mod evaluate;
mod explained;
mod facts;
mod implicit;
mod profiles;
mod question;
mod residual;
mod rows;
#[cfg(test)]
mod tests;
mod verdicts;
mod vocabulary;

pub use check::check;
pub use compiled::{CompiledConsent, Context, Standing};
pub use confirming::Confirming;
pub use criteria::{Class, CodeKey, DataCriterion, LabelCriterion, Match};
pub use document::{ConsentDocument, Effect, Interval, Meaning, Status};
pub use evaluate::{Ground, Verdict, decide};
pub use explained::{Answered, DecidedBy, PassedOver, Said};
pub use facts::{Request, ResourceFacts};
pub use implicit::ImplicitPolicy;
pub use profiles::Profile;
pub use question::{Memberships, Question, actions_of, own_records};
pub use residual::{Residual, ResidualRule};
pub use rows::{ConsentRow, NotCompilable, decide_by_rows, rows};
pub use verdicts::{PatientsVerdict, Verdicts};
pub use vocabulary::{Actions, Purpose};
