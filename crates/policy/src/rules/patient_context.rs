//! `patient/` scopes: the compartment of the patient in the launch context, as far as the user may act for that patient.
//!
//! SMART App Launch 2.2, scopes for requesting clinical data. An absent launch patient refuses: an absent boundary is not "no boundary".

use portcullis_fhir::types::ResourceType;
use portcullis_mutants::off;
use portcullis_oauth::principal::Principal;
use portcullis_oauth::users::Role;

use super::{Ruling, break_glass, grant, purpose, represented};
use crate::constraint::{Boundary, NonEmpty};
use crate::decision::DenialReason;
use crate::relationship::Actors;

/// The rule's name in traces and records.
pub const NAME: &str = "patient-context";

/// Applies the rule.
pub fn apply(principal: &Principal) -> Ruling {
    let letters = &principal.scopes().patient;
    if letters.is_empty() || break_glass::is_stated(principal) && !off!("glass-alone") {
        return Ruling::NotApplicable;
    }
    let Some(patient) = principal.launch().patient.clone() else {
        return Ruling::Refuse(DenialReason::NoLaunchPatient);
    };
    let Some(user) = principal.user() else {
        return Ruling::Refuse(DenialReason::UserNotEntitled);
    };
    let represents = user.roles.contains(Role::Patient) || user.roles.contains(Role::Representative);
    let limits = represented::limits_of(user, &patient);
    let is_theirs = user.patients.contains(&patient) || off!("acts-for");
    let acts_for = represents && is_theirs && purpose::may_act_for(principal, &patient);
    let care_actor = user.fhir_user.clone().filter(|_| user.roles.contains(Role::Clinician) && purpose::treats(principal));
    let boundary = match (acts_for, care_actor) {
        (true, _) if off!("launch") => NonEmpty::of(user.patients.clone()).map(Boundary::Patients),
        (true, _) => NonEmpty::of([patient]).map(Boundary::Patients),
        (false, Some(actor)) => NonEmpty::of([patient])
            .zip(Actors::of(principal, actor))
            .map(|(patients, actors)| Boundary::PatientsInCare(patients, actors)),
        (false, None) => None,
    };
    let Some(boundary) = boundary else {
        return Ruling::Refuse(DenialReason::UserNotEntitled);
    };
    // Who looked at a record is the patient's business, not that of a clinician who opened it.
    let clearance = if acts_for { principal.clearances().patient } else { principal.clearances().clinician };
    let given = grant(letters, (boundary, clearance), |resource_type| acts_for || resource_type != ResourceType::AUDIT_EVENT);
    // A clinician in care of the patient has the limits of the representation only where it is what lets the clinician in.
    Ruling::Grant(vec![if acts_for { represented::limited(given, &limits) } else { given }])
}
