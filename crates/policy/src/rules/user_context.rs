//! `user/` scopes: what the person may see, by role.
//!
//! A patient sees the own record, a representative the records of those represented, a clinician the patients with an Encounter
//! or CareTeam that names the clinician, up to the labels that clinicians are cleared for. Auditors and security officers see the audit trail and no clinical data; administrators neither.

use portcullis_fhir::labels::Clearance;
use portcullis_fhir::types::{LogicalId, ResourceType};
use portcullis_mutants::off;
use portcullis_oauth::principal::Principal;
use portcullis_oauth::representation::Limits;
use portcullis_oauth::users::Role;

use super::{Ruling, break_glass, grant, purpose, represented};
use crate::constraint::{Boundary, NonEmpty};
use crate::decision::DenialReason;
use crate::relationship::Actors;

/// The rule's name in traces and records.
pub const NAME: &str = "user-context";

/// Applies the rule.
pub fn apply(principal: &Principal) -> Ruling {
    let letters = &principal.scopes().user;
    if letters.is_empty() || break_glass::is_stated(principal) && !off!("glass-alone") {
        return Ruling::NotApplicable;
    }
    let Some(user) = principal.user() else {
        return Ruling::Refuse(DenialReason::UserNotEntitled);
    };
    let is_audit = |resource_type: ResourceType| resource_type == ResourceType::AUDIT_EVENT;
    let mut grants = Vec::new();
    if user.roles.contains(Role::Patient) || user.roles.contains(Role::Representative) {
        // Patients for whom the same limits hold share a grant.
        let mut groups: Vec<(Limits, Vec<LogicalId>)> = Vec::new();
        for patient in user.patients.iter().filter(|patient| purpose::may_act_for(principal, patient)) {
            let limits = represented::limits_of(user, patient);
            match groups.iter_mut().find(|(same, _)| *same == limits) {
                Some((_, patients)) => patients.push(patient.clone()),
                None => groups.push((limits, vec![patient.clone()])),
            }
        }
        for (limits, patients) in groups {
            let own = NonEmpty::of(patients).map(Boundary::Patients);
            let whole = |boundary| grant(letters, (boundary, principal.clearances().patient), |_| true);
            grants.extend(own.map(|boundary| represented::limited(whole(boundary), &limits)));
        }
    }
    if user.roles.contains(Role::Clinician) && purpose::treats(principal) {
        let care = user.fhir_user.clone().and_then(|actor| Actors::of(principal, actor)).map(Boundary::CareRelationship);
        // Who looked at a record, colleagues included, is the patient's and the auditor's business.
        let clearance = principal.clearances().clinician;
        grants.extend(care.map(|boundary| grant(letters, (boundary, clearance), |resource_type| !is_audit(resource_type))));
    }
    if user.roles.contains(Role::Auditor) || user.roles.contains(Role::SecurityOfficer) {
        grants.push(grant(letters, (Boundary::Whole, Clearance::FULL), is_audit));
    }
    if grants.is_empty() {
        // What staff may see is for rules of the operator to give.
        let given_elsewhere = user.roles.contains(Role::Staff);
        return if given_elsewhere { Ruling::NotApplicable } else { Ruling::Refuse(DenialReason::UserNotEntitled) };
    }
    Ruling::Grant(grants)
}
