//! Whether somebody who wants to confirm a consent is among those whom it is about: an officer confirms nothing that names the officer, a relative nothing that
//! concerns the relative.
//!
//! What nobody knows counts as yes: somebody without a person on record, or whose organisations and teams are not known, may be anybody whom a consent names.

use portcullis_fhir::reference::{LocalReference, Reference};
use portcullis_fhir::types::ResourceType;

use super::compiled::CompiledConsent;
use super::question::Memberships;
use super::rows::rows;

/// Somebody who wants to confirm a consent.
#[derive(Clone, Copy, Debug)]
pub struct Confirming<'a> {
    /// Who, as a resource.
    pub person: Option<&'a LocalReference>,
    /// What the person is besides.
    pub memberships: &'a Memberships,
}

impl Confirming<'_> {
    /// Whether the consent names the person, or what the person is or may be besides.
    pub fn is_named_in(&self, consent: &CompiledConsent) -> bool {
        consent.is_unreadable() || consent.actors().into_iter().any(|actor| self.may_be(actor))
    }

    /// Whether the consent says anything about the person, by name or about everybody, or about an app or a device, which the person may use.
    pub fn is_concerned_by(&self, consent: &CompiledConsent) -> bool {
        let may_act_as = |actor: &Reference| is_program(actor) || self.may_be(actor);
        rows(consent).map_or(true, |rows| rows.iter().any(|row| row.actors.iter().all(may_act_as)))
    }

    fn may_be(&self, actor: &Reference) -> bool {
        if self.memberships.actors.contains(actor) || self.memberships.wider.contains(actor) {
            return true;
        }
        // A client or a device is no person.
        let Reference::Local(local) = actor else { return false };
        if self.person == Some(local) {
            return true;
        }
        let of_person = [
            ResourceType::PRACTITIONER,
            ResourceType::PRACTITIONER_ROLE,
            ResourceType::ORGANIZATION,
            ResourceType::RELATED_PERSON,
            ResourceType::PATIENT,
        ];
        match self.person {
            None => of_person.contains(&local.resource_type) || is_group(local),
            // Whoever is known by one record may have another one as a practitioner, and an employer.
            Some(person) => {
                let as_practitioner =
                    local.resource_type == ResourceType::PRACTITIONER && person.resource_type != ResourceType::PRACTITIONER;
                let known = self.memberships.known.contains(local.resource_type) || self.memberships.excludes(actor);
                let by_membership = [ResourceType::PRACTITIONER_ROLE, ResourceType::ORGANIZATION].contains(&local.resource_type)
                    || is_group(local);
                as_practitioner || by_membership && !known
            }
        }
    }
}

/// Whether an actor is an app or a device, and no person.
fn is_program(actor: &Reference) -> bool {
    match actor {
        Reference::Local(local) => local.resource_type.name() == "Device",
        _ => true,
    }
}

fn is_group(local: &LocalReference) -> bool {
    local.resource_type == ResourceType::CARE_TEAM || local.resource_type.name() == "Group"
}
