//! `openid fhirUser`: the one resource that stands for the person who signed in, to read.
//!
//! "When the `openid` scope is requested, apps can also request the `fhirUser` scope to obtain a FHIR resource representation of the current user" (SMART App
//! Launch 2.2.0, "Scopes for requesting identity data"): the URL in the id_token must lead somewhere, whatever else the app may see. It opens that resource by
//! its id and nothing by search, nobody else's, and none that stands for somebody whom the user is not, or not any more. Labels, consents of the patient whom it
//! is about, and rules of the operator are asked as always.

use portcullis_fhir::labels::Clearance;
use portcullis_fhir::reference::LocalReference;
use portcullis_fhir::types::ResourceType;
use portcullis_mutants::off;
use portcullis_oauth::principal::Principal;
use portcullis_oauth::scopes::Letter;
use portcullis_oauth::users::Role;

use super::{Ruling, break_glass, membership, purpose};
use crate::constraint::{Boundary, Grant, TypeSet};
use crate::qualified::Qualifications;

/// The rule's name in traces and records.
pub const NAME: &str = "own-entry";

/// Applies the rule.
pub fn apply(principal: &Principal) -> Ruling {
    if break_glass::is_stated(principal) {
        return Ruling::NotApplicable;
    }
    let Some((own, clearance)) = entry_of(principal) else { return Ruling::NotApplicable };
    let given = Grant {
        boundary: Boundary::Itself(own.clone()),
        read: [own.resource_type].into_iter().collect(),
        search: TypeSet::default(),
        create: TypeSet::default(),
        update: TypeSet::default(),
        delete: TypeSet::default(),
        qualifications: Qualifications::default(),
        clearance,
    };
    Ruling::Grant(vec![membership::within_limits(principal, own, given)])
}

/// Whether the scopes open a letter of a type for this: what a scope of the type is to everything else.
pub fn opens(principal: &Principal, resource_type: ResourceType, letter: Letter) -> bool {
    letter == Letter::Read && entry_of(principal).is_some_and(|(own, _)| own.resource_type == resource_type)
}

/// What stands for the user, and up to which labels it is shown; `None` where the app may not know who that is.
fn entry_of(principal: &Principal) -> Option<(&LocalReference, Clearance)> {
    let user = principal.user().filter(|_| principal.scopes().identity.names_user() || off!("own-entry-scope"))?;
    let own = user.fhir_user.as_ref()?;
    let clearances = principal.clearances();
    match own.resource_type {
        ResourceType::PRACTITIONER | ResourceType::PRACTITIONER_ROLE => Some(clearances.clinician),
        ResourceType::PERSON => Some(clearances.patient),
        ResourceType::PATIENT => {
            let is_own = user.roles.contains(Role::Patient) && user.patients.contains(&own.id);
            is_own.then_some(clearances.patient)
        }
        ResourceType::RELATED_PERSON => {
            // Whose representation has ended is nobody's any more.
            let acts =
                user.roles.contains(Role::Representative) && user.patients.iter().any(|of| purpose::may_act_for(principal, of));
            acts.then_some(clearances.patient)
        }
        _ => None,
    }
    .map(|clearance| (own, clearance))
}
