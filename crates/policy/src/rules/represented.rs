//! What a representative may not: limits of a representation, applied to a grant before it is given.

use portcullis_fhir::types::LogicalId;
use portcullis_mutants::off;
use portcullis_oauth::principal::PrincipalUser;
use portcullis_oauth::representation::Limits;

use crate::constraint::{Grant, TypeSet};

/// The limits within which the user acts for this patient; none of them for the own record.
pub(super) fn limits_of(user: &PrincipalUser, patient: &LogicalId) -> Limits {
    let limiting = user.represents.iter().find(|representation| representation.patient == *patient);
    limiting.map(|representation| representation.limits.clone()).unwrap_or_default()
}

/// A grant within limits.
pub(super) fn limited(grant: Grant, limits: &Limits) -> Grant {
    if limits.are_none() || off!("limits") {
        return grant;
    }
    let open = |types: &TypeSet| -> TypeSet { types.iter().filter(|each| !limits.excluded.contains(each)).collect() };
    let written = |types: &TypeSet| if limits.read_only { TypeSet::default() } else { open(types) };
    Grant {
        read: open(&grant.read),
        search: open(&grant.search),
        create: written(&grant.create),
        update: written(&grant.update),
        delete: written(&grant.delete),
        ..grant
    }
}
