//! The one place where verdicts meet: default deny, a refusal overrides every grant.
//!
//! A token that mixes `patient/`, `user/` and `system/` scopes gets the union of what each context gives inside its own boundary; a
//! context that cannot be established refuses the whole request.

use std::sync::Arc;

use portcullis_oauth::principal::Principal;
use portcullis_oauth::scopes::{Letter, ScopeContext};

use crate::authorized::PermittedOperation;
use crate::constraint::{Constraint, Grant};
use crate::decision::{Decision, DecisionId, Denial, DenialReason, Effect, Permit, Trace, Verdict};
use crate::operation::{Change, Operation};
use crate::rules::{Ruling, operator, patient_context, system_context, user_context};

/// The name under which the scope check stands in traces.
const SCOPE: &str = "scope";
/// The name under which it stands that criteria of a scope narrow the permit.
const SCOPE_CRITERIA: &str = "scope-criteria";

type Rule = (&'static str, fn(&Principal) -> Ruling);

/// Every rule, in order of evaluation. The order does not change the result.
const RULES: &[Rule] = &[
    (patient_context::NAME, patient_context::apply),
    (user_context::NAME, user_context::apply),
    (system_context::NAME, system_context::apply),
    (operator::NAME, operator::apply),
];

/// Decides about one operation. The operation goes in and comes out authorized, so that nothing else can be executed under the permit.
pub fn decide(id: DecisionId, principal: &Principal, operation: Operation) -> Decision {
    let mut trace = Trace::default();
    let letter = match demanded_letter(principal, &operation) {
        Ok(letter) => letter,
        Err(reason) => {
            trace.0.push(Verdict { rule: SCOPE, effect: Effect::Deny });
            return Decision::Deny(Denial { id, reason, trace });
        }
    };
    trace.0.push(Verdict { rule: SCOPE, effect: Effect::Permit });
    let mut grants: Vec<Grant> = Vec::new();
    let mut refusal = None;
    for (rule, apply) in RULES {
        let effect = match apply(principal) {
            Ruling::Grant(more) => {
                grants.extend(more);
                Effect::Permit
            }
            Ruling::Refuse(reason) => {
                refusal = refusal.or(Some(reason));
                Effect::Deny
            }
            Ruling::NotApplicable => Effect::NotApplicable,
        };
        trace.0.push(Verdict { rule, effect });
    }
    if let Some(reason) = refusal {
        return Decision::Deny(Denial { id, reason, trace });
    }
    let covered =
        |grant: &Grant| operation.demands().iter().all(|(resource_type, letter)| grant.types(*letter).contains(*resource_type));
    if !grants.iter().any(covered) {
        return Decision::Deny(Denial { id, reason: DenialReason::UserNotEntitled, trace });
    }
    let Some(constraint) = Constraint::new(grants, letter).map(Arc::new) else {
        return Decision::Deny(Denial { id, reason: DenialReason::UserNotEntitled, trace });
    };
    let permitted = PermittedOperation::new(id, &constraint, operation);
    if constraint.is_qualified() {
        trace.0.push(Verdict { rule: SCOPE_CRITERIA, effect: Effect::Permit });
    }
    Decision::Permit(Permit { id, constraint, trace }, permitted)
}

/// The letter that every part of the operation needs, if some scope opens each part.
fn demanded_letter(principal: &Principal, operation: &Operation) -> Result<Letter, DenialReason> {
    let demands = operation.demands();
    let Some((_, letter)) = demands.first().copied() else {
        return Err(DenialReason::MixedChanges);
    };
    for (resource_type, demanded) in demands {
        if demanded != letter {
            return Err(DenialReason::MixedChanges);
        }
        let open = |context| principal.scopes().allows(context, resource_type, letter);
        if !ScopeContext::ALL.into_iter().any(open) && !operator::opens(principal, letter) {
            return Err(DenialReason::MissingScope(resource_type, letter));
        }
    }
    let imports =
        matches!(operation, Operation::Write(set) if set.changes.iter().any(|change| matches!(change, Change::Import(_))));
    if imports && principal.operator().is_none() {
        return Err(DenialReason::UserNotEntitled);
    }
    Ok(letter)
}
