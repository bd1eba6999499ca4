//! Consents of patients in the store (docs/adr/0018-consent-storage.md): as a condition of each statement, as rows that it joins, and as release reads them.
//!
//! - [`condition`]: the question of a request as SQL, over the rows that [`derive`] makes of each Consent that counts.
//! - [`sight`]: who asks besides (organisations, care teams), and the Consents themselves, opened in the same snapshot, by which release decides again.
//! - [`denials`]: which Consents kept something from somebody, for the audit record of the attempt.
//! - [`memory`]: what those Consents say, once read; a version never changes.
//! - `limits`: how many of them a patient may have.
//! - [`derive`]: those rows, written with the Consent or with the record that they cover; [`verification`]: who has confirmed which version; [`held`]: whose denials
//!   hold although somebody has changed them; [`parties`]: who is of the teams, groups and devices that they name.
//!
//! What a rule says about the content of resources is never written a second time in SQL: the functions that `decide` calls say which resources it covers.

pub mod condition;
pub mod denials;
pub mod derive;
pub mod held;
mod limits;
pub mod load;
pub mod memory;
pub mod parties;
pub mod sight;
#[cfg(test)]
mod tests;
pub mod verification;
mod write;
