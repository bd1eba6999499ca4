//! How strongly a person must have signed in: the operator's word, per scope that an app asks for, per role of the person and per client (RFC 9470).
//!
//! A rule that names only a role holds for the pages of this server, too. Unlike `acr_values` (see [`crate::session`]) this is not voluntary: whoever cannot reach the level gives nothing, and the app is told
//! `unmet_authentication_requirements` (OpenID Connect Core Error Code unmet_authentication_requirements 1.0). A token from before the rule opens nothing
//! either: `insufficient_user_authentication` (RFC 9470 section 3).

use crate::clients::Client;
use crate::scopes::{Scope, ScopeSet, ScopeTarget};
use crate::session::{AssuranceLevel, Proven};
use crate::users::{Role, Roles};

/// One rule: whoever it concerns needs its level. What it does not name it does not ask about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssuranceRule {
    /// Concerns requests for something that this scope touches.
    pub scope: Option<Scope>,
    /// Concerns people of this role.
    pub role: Option<Role>,
    /// The level.
    pub level: AssuranceLevel,
}

/// The operator's rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AssurancePolicy(Vec<AssuranceRule>);

/// What a request needs that a sign-in has to come up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// Nothing more.
    Met,
    /// A stronger sign-in, which this person can give.
    StepUp,
    /// A stronger sign-in than this person can give.
    OutOfReach,
}

impl AssurancePolicy {
    /// These rules.
    pub fn new(rules: Vec<AssuranceRule>) -> Self {
        Self(rules)
    }

    /// Whether there are no rules.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The level that a person of these roles needs for whatever there is; `None` where any sign-in will do.
    pub fn of_roles(&self, roles: Roles) -> Option<AssuranceLevel> {
        self.highest(|rule| rule.scope.is_none() && rule.concerns(roles))
    }

    /// The level that these scopes take in the hands of a person of these roles.
    pub fn of_scopes(&self, scopes: &ScopeSet, roles: Roles) -> Option<AssuranceLevel> {
        let asked = |rule: &Scope| scopes.iter().any(|scope| touches(rule, scope));
        self.highest(|rule| rule.concerns(roles) && rule.scope.as_ref().is_none_or(asked))
    }

    /// The level that a request of this client for these scopes, by a person of these roles, takes.
    pub fn of_request(&self, client: &Client, scopes: &ScopeSet, roles: Roles) -> Option<AssuranceLevel> {
        self.of_scopes(scopes, roles).max(client.properties.required_acr)
    }

    fn highest(&self, counts: impl Fn(&AssuranceRule) -> bool) -> Option<AssuranceLevel> {
        self.0.iter().filter(|rule| counts(rule)).map(|rule| rule.level).max()
    }
}

impl AssuranceRule {
    fn concerns(&self, roles: Roles) -> bool {
        self.role.is_none_or(|role| roles.contains(role))
    }
}

/// Whether two scopes have anything in common: the same meaning, or an interaction with a type in the same context. Qualified scopes count as whole ones.
fn touches(rule: &Scope, asked: &Scope) -> bool {
    let (Some(rule_reach), Some(asked_reach)) = (rule.reach(), asked.reach()) else { return rule.kind() == asked.kind() };
    let types = match (rule_reach.target, asked_reach.target) {
        (ScopeTarget::Type(one), ScopeTarget::Type(other)) => one == other,
        (ScopeTarget::Any, ScopeTarget::Any) => true,
        (ScopeTarget::Any, ScopeTarget::Type(named)) | (ScopeTarget::Type(named), ScopeTarget::Any) => {
            ScopeTarget::Any.covers(rule_reach.context, named)
        }
    };
    rule_reach.context == asked_reach.context && types && rule_reach.letters.intersects(asked_reach.letters)
}

/// What a person who has proven this must do where a level is required.
pub fn demand(required: Option<AssuranceLevel>, proven: &Proven) -> Demand {
    let reachable = match (proven.has_passkey, proven.has_second_factor) {
        (true, _) => AssuranceLevel::PhishingResistant,
        (false, true) => AssuranceLevel::TwoFactors,
        (false, false) => AssuranceLevel::OneFactor,
    };
    match required {
        Some(level) if proven.methods.level() >= level => Demand::Met,
        Some(level) if reachable >= level => Demand::StepUp,
        Some(_) => Demand::OutOfReach,
        None => Demand::Met,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::tests::public_client;
    use crate::session::{Method, Methods};

    const TWO: AssuranceLevel = AssuranceLevel::TwoFactors;

    fn policy(rules: &[(&str, AssuranceLevel)]) -> AssurancePolicy {
        let rule = |scope: &str, level| AssuranceRule { scope: Some(Scope::parse(scope).unwrap()), role: None, level };
        AssurancePolicy::new(rules.iter().map(|(scope, level)| rule(scope, *level)).collect())
    }

    #[test]
    fn whatever_a_rule_touches_takes_its_level() {
        for (rule, asked, touched) in [
            ("patient/*.cud", "patient/Observation.cruds", true),
            ("patient/*.cud", "patient/*.write", true),
            ("patient/*.cud", "patient/Observation.rs", false),
            ("patient/*.cud", "user/Observation.c", false),
            ("patient/Observation.rs", "patient/*.read", true),
            ("patient/Observation.rs", "patient/Observation.rs?category=x", true),
            ("patient/Observation.rs?category=x", "patient/Observation.r", true),
            ("patient/Observation.rs", "patient/Patient.rs", false),
            // A wildcard reaches no audit records, so that a rule about those does not concern it.
            ("user/AuditEvent.rs", "user/*.rs", false),
            ("offline_access", "offline_access", true),
            ("offline_access", "online_access", false),
            ("openid", "patient/*.rs", false),
        ] {
            let scopes = ScopeSet::parse(&format!("launch/patient {asked}")).unwrap();
            assert_eq!(policy(&[(rule, TWO)]).of_scopes(&scopes, Roles::NONE), touched.then_some(TWO), "{rule} {asked}");
        }
        assert_eq!(AssurancePolicy::default().of_scopes(&ScopeSet::parse("user/*.cruds").unwrap(), Roles::NONE), None);
    }

    #[test]
    fn the_highest_level_of_rules_and_client_counts() {
        let rules = policy(&[("patient/*.rs", TWO), ("patient/Observation.rs", AssuranceLevel::PhishingResistant)]);
        let (all, one) = (ScopeSet::parse("patient/*.rs").unwrap(), ScopeSet::parse("patient/Patient.r").unwrap());
        assert_eq!(rules.of_scopes(&all, Roles::NONE), Some(AssuranceLevel::PhishingResistant));
        let mut client = public_client();
        assert_eq!(rules.of_request(&client, &one, Roles::NONE), Some(TWO));
        client.properties.required_acr = Some(AssuranceLevel::PhishingResistant);
        assert_eq!(rules.of_request(&client, &one, Roles::NONE), Some(AssuranceLevel::PhishingResistant));
        assert_eq!(AssurancePolicy::default().of_request(&client, &one, Roles::NONE), Some(AssuranceLevel::PhishingResistant));
    }

    #[test]
    fn a_rule_of_a_role_concerns_who_has_it_and_with_a_scope_only_for_that() {
        let rule = |scope: Option<&str>, role, level| AssuranceRule {
            scope: scope.map(|scope| Scope::parse(scope).unwrap()),
            role,
            level,
        };
        let rules = AssurancePolicy::new(vec![
            rule(None, Some(Role::Clinician), TWO),
            rule(Some("user/Observation.rs"), Some(Role::Clinician), AssuranceLevel::PhishingResistant),
        ]);
        let (patient, clinician) = (Roles::NONE.with(Role::Patient), Roles::NONE.with(Role::Staff).with(Role::Clinician));
        let (reading, other) = (ScopeSet::parse("user/*.rs").unwrap(), ScopeSet::parse("user/Patient.rs").unwrap());
        for (roles, of_roles, of_reading, of_other) in [
            (Roles::NONE, None, None, None),
            (patient, None, None, None),
            (clinician, Some(TWO), Some(AssuranceLevel::PhishingResistant), Some(TWO)),
        ] {
            assert_eq!(rules.of_roles(roles), of_roles, "{roles:?}");
            assert_eq!(rules.of_scopes(&reading, roles), of_reading, "{roles:?}");
            assert_eq!(rules.of_scopes(&other, roles), of_other, "{roles:?}");
        }
        // Who asks for no scope at all that there is a rule about is concerned all the same.
        assert_eq!(rules.of_scopes(&ScopeSet::parse("openid").unwrap(), clinician), Some(TWO));
    }

    #[test]
    fn who_cannot_reach_the_level_is_told_and_who_can_steps_up() {
        let proven =
            |methods, has_second_factor, has_passkey| Proven { methods, second_factor_at: None, has_second_factor, has_passkey };
        let password = Methods::of([Method::Password]);
        assert_eq!(demand(None, &proven(password, false, false)), Demand::Met);
        assert_eq!(demand(Some(AssuranceLevel::OneFactor), &proven(password, false, false)), Demand::Met);
        assert_eq!(demand(Some(TWO), &proven(password, false, false)), Demand::OutOfReach);
        assert_eq!(demand(Some(TWO), &proven(password, true, false)), Demand::StepUp);
        assert_eq!(demand(Some(TWO), &proven(password.with(Method::Totp), true, false)), Demand::Met);
        let strongest = Some(AssuranceLevel::PhishingResistant);
        assert_eq!(demand(strongest, &proven(password.with(Method::Totp), true, false)), Demand::OutOfReach);
        assert_eq!(demand(strongest, &proven(password, true, true)), Demand::StepUp);
        assert_eq!(demand(strongest, &proven(Methods::of([Method::Passkey]), true, true)), Demand::Met);
        // Somebody else's word for two factors counts, too.
        assert_eq!(demand(Some(TWO), &proven(Methods::of([Method::FederatedFactors]), false, false)), Demand::Met);
    }
}
