//! What AuditEvents are searched by: they are rendered from the ledger and have an index of their own, which knows fewer parameters than R4 lists.

use super::filter::Rejection;
use super::{SortKey, Test};
use crate::outcome::IssueType;
use crate::types::ResourceType;

/// The parameters; there are no includes.
pub(crate) const PARAMETERS: [&str; 9] =
    ["_id", "_lastUpdated", "action", "agent", "date", "entity", "outcome", "patient", "subtype"];

/// Whether searches of this type can have this parameter, as far as AuditEvent is concerned.
pub(crate) fn offers(resource_type: ResourceType, code: &str) -> bool {
    resource_type != ResourceType::AUDIT_EVENT || PARAMETERS.contains(&code)
}

/// Refuses includes: nothing is kept beside the events.
pub(super) fn check_include(resource_type: ResourceType) -> Result<(), Rejection> {
    if resource_type == ResourceType::AUDIT_EVENT {
        return Err(Rejection::NotUnderstood("Searches of AuditEvent have no includes.".to_owned()));
    }
    Ok(())
}

/// Refuses a form of a parameter that the index cannot answer.
pub(super) fn check_form(resource_type: ResourceType, code: &str, test: &Test) -> Result<(), Rejection> {
    if resource_type != ResourceType::AUDIT_EVENT {
        return Ok(());
    }
    let answered = match test {
        Test::Id(_) | Test::LastUpdated(_) | Test::Date(_) | Test::Reference(_) | Test::Token(_) | Test::TokenNot(_) => true,
        Test::Missing(_) => matches!(code, "_id" | "_lastUpdated"),
        Test::ReferenceIdentifier(_) => code == "agent",
        _ => false,
    };
    if answered {
        return Ok(());
    }
    let message = format!("Searches of AuditEvent do not have '{code}' with this modifier; send it without one.");
    Err(Rejection::Invalid(IssueType::NotSupported, message))
}

/// Refuses other orders than that of time.
pub(super) fn check_order(resource_type: ResourceType, keys: &[SortKey]) -> Result<(), Rejection> {
    let by_time = matches!(keys, [key] if matches!(key.parameter.code, "date" | "_lastUpdated"));
    if resource_type != ResourceType::AUDIT_EVENT || by_time {
        return Ok(());
    }
    Err(Rejection::value("AuditEvents have one order: date, -date, _lastUpdated or -_lastUpdated is accepted."))
}
