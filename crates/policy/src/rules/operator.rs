//! The operator at the command line: whoever holds the data directory and its key, for the operations that the command names.

use portcullis_fhir::labels::Clearance;
use portcullis_fhir::types::ResourceType;
use portcullis_oauth::principal::{OperatorOperation, Principal};
use portcullis_oauth::scopes::Letter;

use super::Ruling;
use crate::constraint::{Boundary, Grant, TypeSet};
use crate::qualified::Qualifications;

/// The rule's name in traces and records.
pub const NAME: &str = "operator";

/// Applies the rule.
pub fn apply(principal: &Principal) -> Ruling {
    let Some(operator) = principal.operator() else {
        return Ruling::NotApplicable;
    };
    let types =
        |operation| -> TypeSet { if operator.may(operation) { ResourceType::all().collect() } else { TypeSet::default() } };
    let reading = types(OperatorOperation::ReadResources);
    Ruling::Grant(vec![Grant {
        boundary: Boundary::Whole,
        read: reading,
        search: reading,
        create: types(OperatorOperation::LoadResources),
        update: TypeSet::default(),
        delete: TypeSet::default(),
        qualifications: Qualifications::default(),
        clearance: Clearance::FULL,
    }])
}

/// Whether the operator's operations open a letter: what scopes are to everybody else.
pub fn opens(principal: &Principal, letter: Letter) -> bool {
    principal.operator().is_some_and(|operator| match letter {
        Letter::Create => operator.may(OperatorOperation::LoadResources),
        Letter::Read | Letter::Search => operator.may(OperatorOperation::ReadResources),
        Letter::Update | Letter::Delete => false,
    })
}
