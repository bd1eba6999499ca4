//! The purpose of use: whoever asks for a purpose for which there is no leave is refused, whatever else would let them in.
//!
//! FHIR R4 "Security Labels" and UDAP Security (a token is used only for the purpose that it was given for). Which purposes there is leave for is
//! [`portcullis_oauth::purposes`]; that the break-glass purpose opens more is a rule of its own.

use portcullis_oauth::principal::Principal;

use super::Ruling;
use crate::decision::DenialReason;

/// The rule's name in traces and records.
pub const NAME: &str = "purpose";

/// Applies the rule.
pub fn apply(principal: &Principal) -> Ruling {
    let purposes = principal.purposes();
    if purposes.is_allowed() {
        // Leave to ask, which opens nothing by itself.
        return Ruling::Grant(Vec::new());
    }
    Ruling::Refuse(DenialReason::PurposeNotAllowed(purposes.of_use()))
}
