//! The one place where verdicts meet: default deny, a refusal overrides every grant.
//!
//! A token that mixes `patient/`, `user/` and `system/` scopes gets the union of what each context gives inside its own boundary; a
//! context that cannot be established refuses the whole request.

use std::sync::Arc;

use portcullis_fhir::types::ResourceType;
use portcullis_mutants::off;
use portcullis_oauth::principal::Principal;
use portcullis_oauth::scopes::{Letter, ScopeContext};

use crate::authorized::PermittedOperation;
use crate::constraint::{Constraint, Grant};
use crate::decision::{Basis, Decision, Denial, DenialReason, Effect, Permit, RuleName, Trace, Verdict};
use crate::operation::{Change, Operation};
use crate::operator_rules::{OperatorRules, Shadow};
use crate::redaction;
use crate::rules::consent::Question;
use crate::rules::{
    Ruling, break_glass, membership, operator, own_entry, patient_context, purpose, system_context, user_context,
};

/// The name under which the scope check stands in traces.
const SCOPE: &str = "scope";
/// What stands in a trace where no scope opens what is asked.
const SCOPE_DENIES: Verdict = Verdict { rule: RuleName::BuiltIn(SCOPE), effect: Effect::Deny };
/// The name under which it stands that criteria of a scope narrow the permit.
const SCOPE_CRITERIA: &str = "scope-criteria";

type Rule = (&'static str, fn(&Principal) -> Ruling);

/// Every rule, in order of evaluation. The order does not change the result.
const RULES: &[Rule] = &[
    (purpose::NAME, purpose::apply),
    (patient_context::NAME, patient_context::apply),
    (user_context::NAME, user_context::apply),
    (system_context::NAME, system_context::apply),
    (membership::NAME, membership::apply),
    (own_entry::NAME, own_entry::apply),
    (break_glass::NAME, break_glass::apply),
    (operator::NAME, operator::apply),
];

/// Decides about one operation. The operation goes in and comes out authorized, so that nothing else can be executed under the permit.
pub fn decide(basis: impl Into<Basis>, principal: &Principal, operation: Operation) -> Decision {
    let Basis { id, rules } = basis.into();
    let demands = operation.demands();
    let judged = demanded_letter(&demands).and_then(|letter| {
        open(principal, &demands)?;
        let entitled = !imports(&operation) || principal.operator().is_some();
        if entitled { Ok(letter) } else { Err(DenialReason::UserNotEntitled) }
    });
    let letter = match judged {
        Ok(letter) => letter,
        Err(reason) => return Decision::Deny(Denial { id, reason, trace: Trace(vec![SCOPE_DENIES]) }),
    };
    let mut trace = Trace(vec![Verdict { rule: SCOPE.into(), effect: Effect::Permit }]);
    let Granted { grants, is_qualified, shadows } = match grants(principal, (&demands, &rules), &mut trace) {
        Ok(granted) => granted,
        Err(reason) => return Decision::Deny(Denial { id, reason, trace }),
    };
    let constraint = constraint(principal, grants, letter);
    let Some(constraint) = constraint else {
        return Decision::Deny(Denial { id, reason: DenialReason::UserNotEntitled, trace });
    };
    let operation = redaction::by_shown_ways(&constraint, operation);
    if let Some(reason) = redaction::refusal(&constraint, &operation) {
        trace.0.push(Verdict { rule: redaction::NAME.into(), effect: Effect::Deny });
        return Decision::Deny(Denial { id, reason, trace });
    }
    if constraint.leaves_out() {
        trace.0.push(Verdict { rule: redaction::NAME.into(), effect: Effect::Narrow });
    }
    let permitted = PermittedOperation::new(id, &constraint, operation);
    if is_qualified {
        trace.0.push(Verdict { rule: SCOPE_CRITERIA.into(), effect: Effect::Permit });
    }
    Decision::Permit(Permit { id, constraint, trace, shadows }, permitted)
}

/// The grants with what the consents of patients are asked. An operator alone asks nobody; whoever else cannot be asked for is let in nowhere.
fn constraint(principal: &Principal, grants: Vec<Grant>, letter: Letter) -> Option<Arc<Constraint>> {
    let question = match principal.operator() {
        Some(_) => None,
        None => Some(Arc::new(Question::of(principal)?)),
    };
    let shown = |constraint: Constraint| constraint.without_elements(principal.elements()).classified_by(principal.classifier());
    Constraint::new(grants, letter, question).map(|constraint| Arc::new(shown(constraint)))
}

/// The denial of the first of these parts that would be denied, if one would. A conditional request asks for all that it may come to before anything is
/// looked up: which part it comes to depends on what is stored, and whether it is denied must not. Each part is then decided on its own.
pub fn denial(basis: impl Into<Basis>, principal: &Principal, parts: &[(ResourceType, Letter)]) -> Option<Denial> {
    let Basis { id, rules } = basis.into();
    let judged = if off!("parts") { parts.get(..1).unwrap_or_default() } else { parts };
    judged.iter().find_map(|part| {
        let part = std::slice::from_ref(part);
        if let Err(reason) = open(principal, part) {
            return Some(Denial { id, reason, trace: Trace(vec![SCOPE_DENIES]) });
        }
        let mut trace = Trace(vec![Verdict { rule: SCOPE.into(), effect: Effect::Permit }]);
        let reason = grants(principal, (part, &rules), &mut trace).err()?;
        Some(Denial { id, reason, trace })
    })
}

/// Under what a change of records of a type would be decided, for an explanation. Nothing can be executed under it: no operation comes out authorized.
pub fn decide_change(basis: impl Into<Basis>, principal: &Principal, part: (ResourceType, Letter)) -> Result<Permit, Denial> {
    let Basis { id, rules } = basis.into();
    let denied = |reason, trace| Denial { id, reason, trace };
    open(principal, &[part]).map_err(|reason| denied(reason, Trace(vec![SCOPE_DENIES])))?;
    let mut trace = Trace(vec![Verdict { rule: SCOPE.into(), effect: Effect::Permit }]);
    let given = match grants(principal, (&[part], &rules), &mut trace) {
        Ok(given) => given,
        Err(reason) => return Err(denied(reason, trace)),
    };
    let Some(constraint) = constraint(principal, given.grants, part.1) else {
        return Err(denied(DenialReason::UserNotEntitled, trace));
    };
    if let Some(reason) = redaction::refusal_of_change(&constraint, part) {
        trace.0.push(Verdict { rule: redaction::NAME.into(), effect: Effect::Deny });
        return Err(denied(reason, trace));
    }
    Ok(Permit { id, constraint, trace, shadows: given.shadows })
}

/// What is granted, after the operator's rules have taken away from it.
struct Granted {
    grants: Vec<Grant>,
    /// Whether criteria of a scope narrow it.
    is_qualified: bool,
    shadows: Vec<Shadow>,
}

/// What the rules give, if one of them covers all that is demanded and none refuses.
fn grants(
    principal: &Principal,
    (demands, rules): (&[(ResourceType, Letter)], &OperatorRules),
    trace: &mut Trace,
) -> Result<Granted, DenialReason> {
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
        trace.0.push(Verdict { rule: (*rule).into(), effect });
    }
    if let Some(reason) = refusal.filter(|_| !off!("refusal-overrides")) {
        return Err(reason);
    }
    let is_qualified = grants.iter().any(|grant| !grant.qualifications.is_empty());
    let covers = |grant: &Grant| demands.iter().all(|(resource_type, letter)| grant.types(*letter).contains(*resource_type));
    let covered = |grants: &[Grant]| grants.iter().any(covers);
    let shadows = rules.apply(principal, (&mut grants, demands), covered, trace);
    redaction::without_hidden_parts(principal.elements(), &mut grants);
    if covered(&grants) { Ok(Granted { grants, is_qualified, shadows }) } else { Err(DenialReason::UserNotEntitled) }
}

/// The one letter that every part of the operation needs.
fn demanded_letter(demands: &[(ResourceType, Letter)]) -> Result<Letter, DenialReason> {
    let letter = demands.first().map(|(_, letter)| *letter);
    letter.filter(|letter| demands.iter().all(|(_, other)| other == letter)).ok_or(DenialReason::MixedChanges)
}

/// Whether some scope opens each part.
fn open(principal: &Principal, demands: &[(ResourceType, Letter)]) -> Result<(), DenialReason> {
    for (resource_type, letter) in demands {
        let open = |context| principal.scopes().allows(context, *resource_type, *letter);
        let beside_scopes = || operator::opens(principal, *letter) || own_entry::opens(principal, *resource_type, *letter);
        if !ScopeContext::ALL.into_iter().any(open) && !beside_scopes() {
            return Err(DenialReason::MissingScope(*resource_type, *letter));
        }
    }
    Ok(())
}

fn imports(operation: &Operation) -> bool {
    matches!(operation, Operation::Write(set) if set.changes.iter().any(|change| matches!(change, Change::Import(_))))
}
