//! Rules of the operator: a file that narrows what the program's own rules give, and that gives roles a boundary which they would not have.
//!
//! `docs/policy.md` says how they are written, ADR 0021 why so. They meet the other rules in `combine.rs` and nowhere else. A `deny` takes away from every
//! grant, whoever gave it, also from what a `permit` of the same file gives; the operator at the command line alone is not asked. What it takes away by content or
//! labels becomes part of the grant's [`Admission`], so that it stands in every statement and is judged again at release. A rule in
//! shadow is decided and counted, and changes nothing.

mod conditions;
mod file;
mod hours;
mod jurisdictions;
mod network;
mod shadow;
mod unreachable;
mod widening;
mod words;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use portcullis_fhir::labels::Clearance;
use portcullis_fhir::types::ResourceType;
use portcullis_mutants::off;
use portcullis_oauth::principal::Principal;
use portcullis_oauth::scopes::{Letter, LetterSet};
use portcullis_oauth::users::Role;

pub use self::conditions::{Conditions, Holds, Judged, Person};
pub use self::file::{MAXIMUM_FILE, MAXIMUM_RULES, Problem};
pub use self::hours::{Hours, Zones};
pub use self::network::Network;
pub use self::shadow::{Shadow, Tally};
pub use self::widening::{Widened, Widening};
pub use self::words::Described;
use crate::constraint::{Boundary, Grant, TypeSet};
use crate::decision::{Effect, RuleName, Trace, Verdict};
use crate::qualified::Admission;
use crate::relationship::{Actors, Relationship};
use crate::rules::{break_glass, grant};

/// The operator's rules, compiled once.
#[derive(Debug, Default)]
pub struct OperatorRules {
    rules: Vec<Arc<Rule>>,
    /// The names of those that are for other jurisdictions, and decide nothing here.
    elsewhere: Vec<Arc<str>>,
}

/// One rule.
#[derive(Debug)]
pub struct Rule {
    name: Arc<str>,
    /// Why it is there, in the operator's words.
    description: Option<String>,
    /// Where it begins in its file, from 1.
    line: usize,
    shadow: bool,
    when: Conditions,
    unless: Option<Conditions>,
    letters: LetterSet,
    /// The criteria as they were written.
    criteria: Vec<String>,
    effect: RuleEffect,
}

/// What a rule does where it applies.
#[derive(Debug)]
pub enum RuleEffect {
    /// It takes this away.
    Deny(Reach),
    /// It lets clinicians and staff reach the patients to whom they have a relationship.
    Permit {
        /// To whom.
        relationship: Relationship,
        /// Records of which types.
        types: TypeSet,
        /// Of these types only such records.
        admissions: Vec<(ResourceType, Arc<Admission>)>,
    },
}

/// What a deny takes away.
#[derive(Debug)]
pub enum Reach {
    /// Every record of these types.
    Types(TypeSet),
    /// Records of any type that this does not cover.
    Labels(Clearance),
    /// Of these types the records that this does not admit.
    Records(Vec<(ResourceType, Arc<Admission>)>),
}

impl OperatorRules {
    /// The rules in the order of their file.
    pub fn rules(&self) -> &[Arc<Rule>] {
        &self.rules
    }

    /// The names of the rules of the file that are for jurisdictions in which this server is not.
    pub fn elsewhere(&self) -> &[Arc<str>] {
        &self.elsewhere
    }

    /// Whether there is none.
    pub fn are_none(&self) -> bool {
        self.rules.is_empty()
    }

    /// Lets the rules give and take. `covered` tells whether grants still open all that is asked for. What is returned is counted at release.
    pub(crate) fn apply(
        &self,
        principal: &Principal,
        (grants, demands): (&mut Vec<Grant>, &[(ResourceType, Letter)]),
        covered: impl Fn(&[Grant]) -> bool,
        trace: &mut Trace,
    ) -> Vec<Shadow> {
        if self.rules.is_empty() || principal.operator().is_some() {
            return Vec::new();
        }
        let mut say = |rule: &Rule, effect| trace.0.push(Verdict { rule: RuleName::Operator(Arc::clone(&rule.name)), effect });
        for rule in &self.rules {
            let Some(given) = rule.opens(principal) else { continue };
            if rule.shadow {
                say(rule, Effect::WouldPermit);
            } else {
                grants.push(given);
                say(rule, Effect::Permit);
            }
        }
        let denying = || self.rules.iter().filter(|rule| matches!(rule.effect, RuleEffect::Deny(_)));
        let applying = |rule: &&Arc<Rule>| rule.applies(principal) != Holds::No;
        for rule in denying().filter(|rule| !rule.shadow && !off!("rule-deny")).filter(applying) {
            let before = covered(grants);
            rule.narrow(grants);
            if before && !covered(grants) {
                say(rule, Effect::Deny);
            } else if rule.concerns(demands) {
                say(rule, Effect::Narrow);
            }
        }
        let mut shadows = Vec::new();
        if !covered(grants) {
            return shadows;
        }
        for rule in denying().filter(|rule| rule.shadow).filter(applying) {
            let mut narrowed = grants.clone();
            rule.narrow(&mut narrowed);
            if covered(&narrowed) {
                let shadow = Shadow::of(rule);
                say(rule, Effect::WouldHide(shadow.tally()));
                shadows.push(shadow);
            } else {
                say(rule, Effect::WouldDeny);
            }
        }
        shadows
    }
}

impl Rule {
    /// The name, of which there is one in a file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is only tried.
    pub fn is_shadow(&self) -> bool {
        self.shadow
    }

    /// Where it begins in its file.
    pub fn line(&self) -> usize {
        self.line
    }

    /// What it does.
    pub fn effect(&self) -> &RuleEffect {
        &self.effect
    }

    /// What must be so.
    pub fn when(&self) -> &Conditions {
        &self.when
    }

    /// What must not all be so.
    pub fn unless(&self) -> Option<&Conditions> {
        self.unless.as_ref()
    }

    /// Whether it applies to a request of this principal. Of what is unknown a deny takes the worst, and a permit, too.
    pub fn applies(&self, principal: &Principal) -> Holds {
        let unless = self.unless.as_ref().filter(|_| !off!("rule-unless"));
        let excepted = unless.map_or(Holds::No, |unless| unless.hold(principal));
        let holds = if off!("rule-conditions") { Holds::Yes } else { self.when.hold(principal) };
        holds.and(excepted.negated())
    }

    /// What it gives to this principal: nothing where anything is unknown, or where the glass was broken, for then nothing else opens a record.
    pub fn opens(&self, principal: &Principal) -> Option<Grant> {
        let RuleEffect::Permit { relationship, types, admissions } = &self.effect else { return None };
        let user = principal.user().filter(|user| user.roles.contains(Role::Clinician) || user.roles.contains(Role::Staff))?;
        if break_glass::is_stated(principal) || self.applies(principal) != Holds::Yes {
            return None;
        }
        let is_actor = |actor: &portcullis_fhir::reference::LocalReference| {
            matches!(actor.resource_type, ResourceType::PRACTITIONER | ResourceType::PRACTITIONER_ROLE)
        };
        let actor = user.fhir_user.clone().filter(is_actor)?;
        let boundary = Boundary::Related(*relationship, Actors::of(principal, actor)?);
        let mut given = grant(&principal.scopes().user, (boundary, principal.clearances().clinician), |resource_type| {
            types.contains(resource_type)
        });
        for letter in Letter::ALL {
            if !self.letters.contains(letter) && !off!("rule-letters") {
                *given.types_mut(letter) = TypeSet::default();
            }
        }
        narrow_records(&mut given, self.letters, admissions);
        Letter::ALL.into_iter().any(|letter| !given.types(letter).is_empty()).then_some(given)
    }

    /// Whether it takes all records of a type away, where it applies.
    pub fn takes(&self, resource_type: ResourceType, letter: Letter) -> bool {
        matches!(&self.effect, RuleEffect::Deny(Reach::Types(types)) if types.contains(resource_type))
            && self.letters.contains(letter)
    }

    /// Takes away from grants what it denies.
    fn narrow(&self, grants: &mut Vec<Grant>) {
        let RuleEffect::Deny(reach) = &self.effect else { return };
        match reach {
            Reach::Types(types) if !off!("rule-deny-types") => {
                for grant in grants {
                    for letter in Letter::ALL.into_iter().filter(|letter| self.letters.contains(*letter)) {
                        let open = grant.types_mut(letter);
                        *open = open.without(types);
                    }
                }
            }
            Reach::Records(admissions) if !off!("rule-deny-records") => {
                grants.iter_mut().for_each(|grant| narrow_records(grant, self.letters, admissions));
            }
            Reach::Labels(clearance) if !off!("rule-deny-labels") => {
                let untouched = grants.iter().cloned().filter_map(|mut grant| {
                    for letter in Letter::ALL.into_iter().filter(|letter| self.letters.contains(*letter)) {
                        *grant.types_mut(letter) = TypeSet::default();
                    }
                    Letter::ALL.into_iter().any(|letter| !grant.types(letter).is_empty()).then_some(grant)
                });
                let untouched: Vec<Grant> = untouched.collect();
                for grant in grants.iter_mut() {
                    grant.clearance = grant.clearance.and(*clearance);
                    for letter in Letter::ALL.into_iter().filter(|letter| !self.letters.contains(*letter)) {
                        *grant.types_mut(letter) = TypeSet::default();
                    }
                }
                grants.extend(untouched);
            }
            // Only in builds with mutants.
            Reach::Types(_) | Reach::Records(_) | Reach::Labels(_) => {}
        }
    }

    /// Whether it is about something that is asked for.
    fn concerns(&self, demands: &[(ResourceType, Letter)]) -> bool {
        demands.iter().any(|(resource_type, letter)| self.letters.contains(*letter) && self.reaches(*resource_type))
    }

    /// Whether it says something about records of this type.
    fn reaches(&self, resource_type: ResourceType) -> bool {
        match &self.effect {
            RuleEffect::Deny(Reach::Types(types)) | RuleEffect::Permit { types, .. } => types.contains(resource_type),
            RuleEffect::Deny(Reach::Labels(_)) => true,
            RuleEffect::Deny(Reach::Records(admissions)) => admissions.iter().any(|(of, _)| *of == resource_type),
        }
    }
}

fn narrow_records(grant: &mut Grant, letters: LetterSet, admissions: &[(ResourceType, Arc<Admission>)]) {
    for letter in Letter::ALL.into_iter().filter(|letter| letters.contains(*letter)) {
        for (resource_type, admission) in admissions {
            if grant.types(letter).contains(*resource_type) {
                grant.qualifications.narrow(*resource_type, letter, admission);
            }
        }
    }
}
