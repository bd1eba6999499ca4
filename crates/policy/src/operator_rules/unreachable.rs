//! Rules that can never change anything because others take all that they are about: mistakes of whoever wrote them, and refused.

use std::sync::Arc;

use portcullis_fhir::types::ResourceType;

use super::{Problem, Reach, Rule, RuleEffect};
use crate::constraint::TypeSet;

/// A problem for each rule that another one makes pointless; of two that say the same, for the later one.
pub(super) fn among(rules: &[Arc<Rule>]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (place, rule) in rules.iter().enumerate() {
        let others = || rules.iter().enumerate().filter(move |(other, _)| *other != place);
        let by = others().find(|(other, by)| rule.is_covered_by(by) && (*other < place || !by.is_covered_by(rule)));
        if let Some((_, by)) = by {
            let message = format!(
                "never changes anything: rule '{}' (line {}) has all of it already; remove or narrow one",
                by.name, by.line
            );
            problems.push(rule.problem("", message));
        }
    }
    problems
}

impl Rule {
    /// Whether wherever this rule would do something, the other one has done it, or has taken it away, already.
    fn is_covered_by(&self, other: &Self) -> bool {
        if other.shadow || !other.when.include(&self.when) || !other.letters.includes(self.letters) {
            return false;
        }
        if other.unless.is_some() && other.unless != self.unless {
            return false;
        }
        match (&self.effect, &other.effect) {
            (RuleEffect::Deny(own), RuleEffect::Deny(wider)) => own.is_within(wider),
            (RuleEffect::Permit { types, .. }, RuleEffect::Deny(Reach::Types(denied))) => denied.includes(types),
            (RuleEffect::Permit { .. }, RuleEffect::Deny(Reach::Labels(_) | Reach::Records(_))) => false,
            (
                RuleEffect::Permit { relationship, types, admissions },
                RuleEffect::Permit { relationship: wider, types: more, admissions: others },
            ) => relationship == wider && more.includes(types) && (others.is_empty() || admissions == others),
            (RuleEffect::Deny(_), RuleEffect::Permit { .. }) => false,
        }
    }
}

impl Reach {
    /// Whether everything that this takes away the other takes away, as far as that can be told without looking at criteria.
    pub(super) fn is_within(&self, wider: &Self) -> bool {
        match (self, wider) {
            (Self::Types(own), Self::Types(wider)) => wider.includes(own),
            (Self::Labels(own), Self::Labels(wider)) => own.and(*wider) == *wider,
            (Self::Records(own), Self::Types(wider)) => own.iter().all(|(resource_type, _)| wider.contains(*resource_type)),
            (Self::Records(own), Self::Records(wider)) => own.iter().all(|admission| wider.contains(admission)),
            (Self::Labels(_), Self::Types(wider)) => wider.includes(&all()),
            (Self::Types(_) | Self::Records(_), Self::Labels(_)) | (Self::Types(_) | Self::Labels(_), Self::Records(_)) => false,
        }
    }
}

fn all() -> TypeSet {
    ResourceType::all().collect()
}
