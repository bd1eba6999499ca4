//! The rules. Each gives grants inside a boundary, refuses, or has nothing to say; they meet only in `combine.rs`.

pub mod break_glass;
pub mod consent;
pub mod membership;
pub mod operator;
pub mod own_entry;
pub mod patient_context;
pub mod purpose;
mod represented;
pub mod system_context;
pub mod user_context;

use portcullis_fhir::labels::Clearance;
use portcullis_fhir::types::ResourceType;
use portcullis_oauth::scopes::{Letter, LetterSet, TypeLetters};

use crate::constraint::{Boundary, Grant, TypeSet};
use crate::decision::DenialReason;
use crate::qualified::Qualifications;

/// What one rule says about a request.
#[derive(Debug)]
pub enum Ruling {
    /// Access inside these boundaries.
    Grant(Vec<Grant>),
    /// No, whatever others say.
    Refuse(DenialReason),
    /// The rule does not apply.
    NotApplicable,
}

/// A grant of the types that the scopes open and that `open` lets through, up to the labels of the clearance.
pub(crate) fn grant(
    letters: &TypeLetters,
    (boundary, clearance): (Boundary, Clearance),
    open: impl Fn(ResourceType) -> bool,
) -> Grant {
    let granted: Vec<(ResourceType, LetterSet)> = ResourceType::all()
        .map(|resource_type| (resource_type, letters.granted(resource_type)))
        .filter(|(resource_type, granted)| *granted != LetterSet::NONE && open(*resource_type))
        .collect();
    let types = |letter: Letter| -> TypeSet {
        granted.iter().filter(|(_, granted)| granted.contains(letter)).map(|(resource_type, _)| *resource_type).collect()
    };
    Grant {
        boundary,
        read: types(Letter::Read),
        search: types(Letter::Search),
        create: types(Letter::Create),
        update: types(Letter::Update),
        delete: types(Letter::Delete),
        qualifications: Qualifications::of(letters),
        clearance,
    }
}
