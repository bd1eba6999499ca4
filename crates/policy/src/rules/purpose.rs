//! The purpose of use: whoever asks for a purpose for which there is no leave is refused, whatever else would let them in.
//!
//! FHIR R4 "Security Labels" and UDAP Security (a token is used only for the purpose that it was given for). Which purposes there is leave for is
//! [`portcullis_oauth::purposes`]; that the break-glass purpose opens more is a rule of its own.

use portcullis_fhir::reference::LocalReference;
use portcullis_fhir::types::{LogicalId, ResourceType};
use portcullis_mutants::off;
use portcullis_oauth::principal::{Principal, PurposeOfUse};
use portcullis_oauth::users::Role;

use super::Ruling;
use crate::decision::DenialReason;

/// The rule's name in traces and records.
pub const NAME: &str = "purpose";

/// Whether it is for treatment that data is asked for: as a clinician nobody asks for anything else, whatever the person is besides.
pub fn treats(principal: &Principal) -> bool {
    PurposeOfUse::TREATMENT.includes(principal.purpose_of_use()) || off!("purpose-treatment")
}

/// Whether somebody who is a patient or a representative may act for this patient for that purpose: what patients ask for themselves is about themselves.
pub fn may_act_for(principal: &Principal, patient: &LogicalId) -> bool {
    let Some(user) = principal.user() else { return false };
    let is_own = |person: &LocalReference| person.resource_type == ResourceType::PATIENT && person.id == *patient;
    // What the family asks for is a kind of what patients ask for, and not for oneself.
    let for_oneself = principal.purpose_of_use() == PurposeOfUse::PATIENT_REQUEST;
    off!("purpose-own")
        || !for_oneself
        || !user.roles.contains(Role::Representative)
        || user.fhir_user.as_ref().is_some_and(is_own)
}

/// Applies the rule.
pub fn apply(principal: &Principal) -> Ruling {
    let purposes = principal.purposes();
    if purposes.is_allowed() || off!("purpose-leave") {
        // Leave to ask, which opens nothing by itself.
        return Ruling::Grant(Vec::new());
    }
    Ruling::Refuse(DenialReason::PurposeNotAllowed(purposes.of_use()))
}
