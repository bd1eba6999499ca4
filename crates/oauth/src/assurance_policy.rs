//! How strongly a person must have signed in for what an app asks for: the operator's word, per scope and per client (RFC 9470).
//!
//! Unlike `acr_values` (see [`crate::session`]) this is not voluntary: whoever cannot reach the level gives nothing, and the app is told
//! `unmet_authentication_requirements` (OpenID Connect Core Error Code unmet_authentication_requirements 1.0). A token from before the rule opens nothing
//! either: `insufficient_user_authentication` (RFC 9470 section 3).

use crate::clients::Client;
use crate::scopes::{Scope, ScopeSet, ScopeTarget};
use crate::session::{AssuranceLevel, Proven};

/// The operator's rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AssurancePolicy(Vec<(Scope, AssuranceLevel)>);

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
    /// These rules: whoever asks for something that a scope touches needs its level.
    pub fn new(rules: Vec<(Scope, AssuranceLevel)>) -> Self {
        Self(rules)
    }

    /// Whether there are no rules.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The level that these scopes take; `None` where any sign-in will do.
    pub fn of_scopes(&self, scopes: &ScopeSet) -> Option<AssuranceLevel> {
        let touching = self.0.iter().filter(|(rule, _)| scopes.iter().any(|scope| touches(rule, scope)));
        touching.map(|(_, level)| *level).max()
    }

    /// The level that a request of this client for these scopes takes.
    pub fn of_request(&self, client: &Client, scopes: &ScopeSet) -> Option<AssuranceLevel> {
        self.of_scopes(scopes).max(client.properties.required_acr)
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
        AssurancePolicy::new(rules.iter().map(|(scope, level)| (Scope::parse(scope).unwrap(), *level)).collect())
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
            assert_eq!(policy(&[(rule, TWO)]).of_scopes(&scopes), touched.then_some(TWO), "{rule} {asked}");
        }
        assert_eq!(AssurancePolicy::default().of_scopes(&ScopeSet::parse("user/*.cruds").unwrap()), None);
    }

    #[test]
    fn the_highest_level_of_rules_and_client_counts() {
        let rules = policy(&[("patient/*.rs", TWO), ("patient/Observation.rs", AssuranceLevel::PhishingResistant)]);
        let (all, one) = (ScopeSet::parse("patient/*.rs").unwrap(), ScopeSet::parse("patient/Patient.r").unwrap());
        assert_eq!(rules.of_scopes(&all), Some(AssuranceLevel::PhishingResistant));
        let mut client = public_client();
        assert_eq!(rules.of_request(&client, &one), Some(TWO));
        client.properties.required_acr = Some(AssuranceLevel::PhishingResistant);
        assert_eq!(rules.of_request(&client, &one), Some(AssuranceLevel::PhishingResistant));
        assert_eq!(AssurancePolicy::default().of_request(&client, &one), Some(AssuranceLevel::PhishingResistant));
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
