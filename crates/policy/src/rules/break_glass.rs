//! Break-glass: the record of a patient for whom a clinician broke the glass, read without a care relationship, for a short time.
//!
//! FHIR R4 "Security" (break-the-glass) and "Security Labels". It holds for requests that state the purpose `BTG`, and such requests see nothing else: not the
//! clinician's other patients. It reads and searches and never writes, within the token's scopes and up to labels of its own. Who may break the glass, for whom it is
//! broken and until when comes with the token's status, so what was ended is closed for the next request.

use portcullis_fhir::labels::Clearance;
use portcullis_fhir::types::ResourceType;
use portcullis_mutants::off;
use portcullis_oauth::principal::{Principal, PurposeOfUse};
use portcullis_oauth::scopes::TypeLetters;

use super::{Ruling, grant};
use crate::constraint::{Boundary, Grant, NonEmpty, TypeSet};
use crate::decision::DenialReason;

/// The rule's name in traces and records.
pub const NAME: &str = "break-glass";

/// Whether the request is about this rule alone.
pub fn is_stated(principal: &Principal) -> bool {
    principal.purpose_of_use() == PurposeOfUse::BREAK_GLASS
}

/// Applies the rule.
pub fn apply(principal: &Principal) -> Ruling {
    if !is_stated(principal) {
        return Ruling::NotApplicable;
    }
    if principal.purposes().seeks_patient() {
        // Made for this alone, by the page where the glass is broken. Whom it finds is known to nobody before the glass is broken for them.
        let limits = (Boundary::Whole, principal.clearances().break_glass);
        return Ruling::Grant(vec![grant(&principal.scopes().user, limits, |resource_type| {
            resource_type == ResourceType::PATIENT
        })]);
    }
    let Some(patients) = NonEmpty::of(principal.purposes().broken_glass().iter().cloned()) else {
        return Ruling::Refuse(DenialReason::GlassNotBroken);
    };
    let mut grants = Vec::new();
    let launched = principal.launch().patient.as_ref().filter(|patient| patients.contains(patient));
    if let Some(patient) = launched.and_then(|patient| NonEmpty::of([patient.clone()])) {
        grants.push(reading(principal, &principal.scopes().patient, patient));
    }
    grants.push(reading(principal, &principal.scopes().user, patients));
    Ruling::Grant(grants)
}

/// What these letters read of these patients. Who looked at a record is not for whoever breaks the glass.
fn reading(principal: &Principal, letters: &TypeLetters, patients: NonEmpty<portcullis_fhir::types::LogicalId>) -> Grant {
    let clearance = if off!("glass-clearance") { Clearance::FULL } else { principal.clearances().break_glass };
    let boundary = if off!("glass-patients") { Boundary::Whole } else { Boundary::Patients(patients) };
    let limits = (boundary, clearance);
    let given = grant(letters, limits, |resource_type| resource_type != ResourceType::AUDIT_EVENT);
    if off!("glass-reads") {
        return given;
    }
    Grant { create: TypeSet::default(), update: TypeSet::default(), delete: TypeSet::default(), ..given }
}
