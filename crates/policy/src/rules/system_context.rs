//! `system/` scopes: a client on its own behalf, as far as the operator registered it for that (SMART App Launch 2.2, Backend Services).
//!
//! There is no person whose compartment or care could be the boundary, so the boundary is the registration: the token's scopes and what the
//! registration allows at this moment, both. The audit trail is never opened this way: who looked at records is for people to read.

use portcullis_fhir::types::ResourceType;
use portcullis_oauth::principal::Principal;
use portcullis_oauth::scopes::Letter;

use super::{Ruling, grant};
use crate::constraint::{Boundary, Grant, TypeSet};
use crate::decision::DenialReason;
use crate::qualified::Qualifications;

/// The rule's name in traces and records.
pub const NAME: &str = "system-context";

/// Applies the rule.
pub fn apply(principal: &Principal) -> Ruling {
    let letters = &principal.scopes().system;
    if letters.is_empty() {
        return Ruling::NotApplicable;
    }
    // A person's token cannot act for the client, whatever its scopes say.
    let Some(registered) = principal.registered().filter(|_| principal.user().is_none()) else {
        return Ruling::Refuse(DenialReason::UserNotEntitled);
    };
    let open = |resource_type: ResourceType| resource_type != ResourceType::AUDIT_EVENT;
    let asked = grant(letters, (Boundary::Whole, principal.clearances().client), open);
    let allowed = |letter: Letter, types: &TypeSet| -> TypeSet {
        types.iter().filter(|resource_type| registered.system.allows(*resource_type, letter)).collect()
    };
    Ruling::Grant(vec![Grant {
        read: allowed(Letter::Read, &asked.read),
        search: allowed(Letter::Search, &asked.search),
        create: allowed(Letter::Create, &asked.create),
        update: allowed(Letter::Update, &asked.update),
        delete: allowed(Letter::Delete, &asked.delete),
        qualifications: Qualifications::of_both(letters, &registered.system),
        ..asked
    }])
}
