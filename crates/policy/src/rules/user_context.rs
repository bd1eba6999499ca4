//! `user/` scopes: what the person may see, by role.
//!
//! A patient sees the own record, a representative the records of those represented, a clinician the patients with an Encounter
//! or CareTeam that names the clinician. Auditors and security officers see the audit trail and no clinical data; administrators neither.

use portcullis_fhir::types::ResourceType;
use portcullis_oauth::principal::Principal;
use portcullis_oauth::users::Role;

use super::{Ruling, grant};
use crate::constraint::{Boundary, NonEmpty};
use crate::decision::DenialReason;

/// The rule's name in traces and records.
pub const NAME: &str = "user-context";

/// Applies the rule.
pub fn apply(principal: &Principal) -> Ruling {
    let letters = &principal.scopes().user;
    if letters.is_empty() {
        return Ruling::NotApplicable;
    }
    let Some(user) = principal.user() else {
        return Ruling::Refuse(DenialReason::UserNotEntitled);
    };
    let is_audit = |resource_type: ResourceType| resource_type == ResourceType::AUDIT_EVENT;
    let mut grants = Vec::new();
    if user.roles.contains(Role::Patient) || user.roles.contains(Role::Representative) {
        let own = NonEmpty::of(user.patients.iter().cloned()).map(Boundary::Patients);
        grants.extend(own.map(|boundary| grant(letters, boundary, |_| true)));
    }
    if user.roles.contains(Role::Clinician) {
        let care = user.fhir_user.clone().and_then(|actor| NonEmpty::of([actor])).map(Boundary::CareRelationship);
        // Who looked at a record, colleagues included, is the patient's and the auditor's business.
        grants.extend(care.map(|boundary| grant(letters, boundary, |resource_type| !is_audit(resource_type))));
    }
    if user.roles.contains(Role::Auditor) || user.roles.contains(Role::SecurityOfficer) {
        grants.push(grant(letters, Boundary::Whole, is_audit));
    }
    if grants.is_empty() { Ruling::Refuse(DenialReason::UserNotEntitled) } else { Ruling::Grant(grants) }
}
