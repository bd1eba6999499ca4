//! What other rules let be seen that those in force do not: such rules take two people.
//!
//! It is decided about the rules as they were compiled, and in doubt for "more": a denial that several others replace together, or criteria that say the same in
//! other words, count as widening. That costs a second person's look and never an opened record. Names, descriptions and the order of rules change nothing.

use std::fmt;
use std::sync::Arc;

use super::{Conditions, OperatorRules, Rule, RuleEffect};

/// One way in which rules let more be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Widening {
    /// The rule.
    pub rule: Arc<str>,
    /// What became of it.
    pub how: Widened,
}

/// What became of a rule that lets more be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Widened {
    /// A denial is not there any more.
    DenialGone,
    /// A denial takes less away, or holds for fewer requests.
    DenialWeaker,
    /// A denial is only tried.
    DenialTried,
    /// A permit is new.
    PermitNew,
    /// A permit opens more, or holds for more requests.
    PermitWider,
    /// A permit was only tried.
    PermitCounts,
}

impl fmt::Display for Widening {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.how {
            Widened::DenialGone => "denies nothing any more: it is gone",
            Widened::DenialWeaker => "denies less, or to fewer",
            Widened::DenialTried => "denies nothing any more: it is only tried",
            Widened::PermitNew => "permits something, and is new",
            Widened::PermitWider => "permits more, or to more",
            Widened::PermitCounts => "permits something, and was only tried",
        };
        write!(formatter, "rule '{}' {what}", self.rule)
    }
}

impl OperatorRules {
    /// In which ways these rules let more be seen than those before; none: nobody sees more.
    pub fn widen(&self, before: &Self) -> Vec<Widening> {
        let mut widenings = Vec::new();
        for denied in before.counting().filter(|rule| matches!(rule.effect, RuleEffect::Deny(_))) {
            if self.counting().any(|rule| rule.denies_as_much_as(denied)) {
                continue;
            }
            let how = match self.named(denied) {
                Some(rule) if !matches!(rule.effect, RuleEffect::Deny(_)) => Widened::DenialGone,
                Some(rule) if rule.shadow => Widened::DenialTried,
                Some(_) => Widened::DenialWeaker,
                None => Widened::DenialGone,
            };
            widenings.push(Widening { rule: Arc::clone(&denied.name), how });
        }
        for permitted in self.counting().filter(|rule| matches!(rule.effect, RuleEffect::Permit { .. })) {
            if before.counting().any(|rule| rule.permits_as_much_as(permitted)) {
                continue;
            }
            let how = match before.named(permitted) {
                Some(rule) if !matches!(rule.effect, RuleEffect::Permit { .. }) => Widened::PermitNew,
                Some(rule) if rule.shadow => Widened::PermitCounts,
                Some(_) => Widened::PermitWider,
                None => Widened::PermitNew,
            };
            widenings.push(Widening { rule: Arc::clone(&permitted.name), how });
        }
        widenings
    }

    /// The rules that are not only tried.
    fn counting(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().map(|rule| &**rule).filter(|rule| !rule.shadow)
    }

    fn named(&self, other: &Rule) -> Option<&Rule> {
        self.rules.iter().map(|rule| &**rule).find(|rule| rule.name == other.name)
    }
}

impl Rule {
    /// Whether whatever the other denial takes away this one takes away, from everybody and always.
    fn denies_as_much_as(&self, other: &Self) -> bool {
        let (RuleEffect::Deny(wider), RuleEffect::Deny(reach)) = (&self.effect, &other.effect) else { return false };
        self.when.include(&other.when)
            && excepts_within(self.unless.as_ref(), other.unless.as_ref())
            && self.letters.includes(other.letters)
            && reach.is_within(wider)
    }

    /// Whether whatever the other permit opens this one opens, to everybody and always.
    fn permits_as_much_as(&self, other: &Self) -> bool {
        let RuleEffect::Permit { relationship, types, admissions } = &self.effect else { return false };
        let RuleEffect::Permit { relationship: asked, types: opened, admissions: such } = &other.effect else { return false };
        self.when.include(&other.when)
            && excepts_within(self.unless.as_ref(), other.unless.as_ref())
            && self.letters.includes(other.letters)
            && relationship == asked
            && types.includes(opened)
            && (admissions.is_empty() || admissions == such)
    }
}

/// Whether whatever one rule excepts the other one excepts as well.
fn excepts_within(own: Option<&Conditions>, other: Option<&Conditions>) -> bool {
    match (own, other) {
        (None, _) => true,
        (Some(own), Some(other)) => other.include(own),
        (Some(_), None) => false,
    }
}
