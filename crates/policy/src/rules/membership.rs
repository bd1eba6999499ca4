//! What somebody wrote, did or recorded about another: opened only where the operator chose so (`[compartments]`; docs/adr/0024-membership-by-choice.md).
//!
//! The R4 compartment definitions say by which parameters a record belongs to a Practitioner, a RelatedPerson or a Patient; of these only those count that the operator
//! named. The grant opens every record of such a type that names the user so, to read and to search, as criteria of a scope would: in each statement, and per version.
//! Labels, consents of the patient whom it is about, and rules of the operator are asked as always. What such records refer to is not opened by them.

use std::sync::Arc;

use portcullis_fhir::definitions::{CompartmentType, compartment_parameters, search_parameter};
use portcullis_fhir::labels::Clearance;
use portcullis_fhir::qualifier::Qualifier;
use portcullis_fhir::redaction::Redactions;
use portcullis_fhir::reference::LocalReference;
use portcullis_fhir::types::ResourceType;
use portcullis_oauth::principal::{Parts, Principal};
use portcullis_oauth::scopes::Letter;
use portcullis_oauth::users::Role;

use super::{Ruling, break_glass, grant, purpose, represented};
use crate::constraint::{Boundary, Grant, TypeSet};
use crate::qualified::Admission;

/// The rule's name in traces and records.
pub const NAME: &str = "membership";

/// What this rule never opens: who looked, what follows others, and what is many people's.
const NEVER: [ResourceType; 3] = [ResourceType::AUDIT_EVENT, ResourceType::PROVENANCE, ResourceType::BINARY];

/// Applies the rule.
pub fn apply(principal: &Principal) -> Ruling {
    let letters = &principal.scopes().user;
    let Some(circumstances) = principal.circumstances() else { return Ruling::NotApplicable };
    if letters.is_empty() || break_glass::is_stated(principal) {
        return Ruling::NotApplicable;
    }
    let Some((own, parts, compartment, clearance)) = part_of(principal) else { return Ruling::NotApplicable };
    let redactions = Redactions::of(principal.elements(), clearance);
    let mut admissions: Vec<(ResourceType, Arc<Admission>)> = Vec::new();
    for resource_type in ResourceType::all().filter(|resource_type| is_about_patients(*resource_type)) {
        let named = |code: &&'static str| parts.iter().any(|part| part.code() == *code);
        // What is not shown of a record finds none.
        let is_shown = |code: &&'static str| {
            search_parameter(resource_type, code).is_some_and(|parameter| !redactions.hides_parameter(resource_type, parameter))
        };
        let codes = compartment_parameters(compartment, resource_type).iter().copied().filter(named).filter(is_shown);
        let criteria: Vec<Arc<Qualifier>> =
            codes.filter_map(|code| Qualifier::parse(resource_type, &format!("{code}={own}")).map(Arc::new)).collect();
        if !criteria.is_empty() {
            admissions.push((resource_type, Arc::new(Admission::of_parts(criteria, &circumstances.base_url))));
        }
    }
    let given =
        grant(letters, (Boundary::Whole, clearance), |resource_type| admissions.iter().any(|(of, _)| *of == resource_type));
    let given = within_limits(principal, own, given);
    let mut given = Grant { create: TypeSet::default(), update: TypeSet::default(), delete: TypeSet::default(), ..given };
    for (resource_type, admission) in &admissions {
        for letter in [Letter::Read, Letter::Search] {
            if given.types(letter).contains(*resource_type) {
                given.qualifications.narrow(*resource_type, letter, admission);
            }
        }
    }
    if given.read.is_empty() && given.search.is_empty() { Ruling::NotApplicable } else { Ruling::Grant(vec![given]) }
}

/// Who the user is, by which parts that opens records, in whose compartment, and up to which labels; `None`: it opens none.
fn part_of(principal: &Principal) -> Option<(&LocalReference, Parts, CompartmentType, Clearance)> {
    let user = principal.user()?;
    let own = user.fhir_user.as_ref()?;
    let (chosen, clearances) = (principal.circumstances()?.membership, principal.clearances());
    let found = match own.resource_type {
        ResourceType::PRACTITIONER | ResourceType::PRACTITIONER_ROLE => {
            let treats = user.roles.contains(Role::Clinician) && purpose::treats(principal);
            treats.then_some((chosen.practitioner, CompartmentType::Practitioner, clearances.clinician))
        }
        ResourceType::RELATED_PERSON => {
            // Whose representation has ended is nobody's any more.
            let acts =
                user.roles.contains(Role::Representative) && user.patients.iter().any(|of| purpose::may_act_for(principal, of));
            acts.then_some((chosen.related_person, CompartmentType::RelatedPerson, clearances.patient))
        }
        ResourceType::PATIENT => {
            let is_own = user.roles.contains(Role::Patient) && user.patients.contains(&own.id);
            is_own.then_some((chosen.patient, CompartmentType::Patient, clearances.patient))
        }
        _ => None,
    };
    let (parts, compartment, clearance) = found.filter(|(parts, ..)| !parts.are_none())?;
    Some((own, parts, compartment, clearance))
}

/// Without what is excluded from any representation: a record by a relative says nothing of the patient for whom it was made.
pub(super) fn within_limits(principal: &Principal, own: &LocalReference, given: Grant) -> Grant {
    let represents = principal.user().filter(|_| own.resource_type == ResourceType::RELATED_PERSON);
    let limits = represents.into_iter().flat_map(|user| &user.represents).map(|representation| &representation.limits);
    limits.fold(given, represented::limited)
}

/// Whether records of a type are about patients, so that there is somebody who is asked for consent.
fn is_about_patients(resource_type: ResourceType) -> bool {
    let is_about =
        resource_type == ResourceType::PATIENT || !portcullis_fhir::compartment::membership_parameters(resource_type).is_empty();
    !NEVER.contains(&resource_type) && is_about
}
