//! What a person may give instead of a whole type: its parts by category, which US Core names ("SMART on FHIR Obligations and Capabilities").
//!
//! The certification companion guide of 45 CFR 170.315(g)(10) asks that whoever is asked for all of a patient's Conditions or Observations is offered
//! these parts. An app that asks in the words of SMART 1.0 could not read them in the answer, so nothing is offered instead of its scopes.

use super::parse::{Scope, ScopeContext, ScopeKind, ScopeTarget};
use crate::consent_groups::{CONDITION_CATEGORY, OBSERVATION_CATEGORY, US_CORE_CATEGORY, US_CORE_CONDITION};

/// System and code of each part of the Conditions.
const CONDITIONS: &[(&str, &str)] = &[
    (CONDITION_CATEGORY, "encounter-diagnosis"),
    (CONDITION_CATEGORY, "problem-list-item"),
    (US_CORE_CONDITION, "health-concern"),
];

/// System and code of each part of the Observations. A clinical test that is no laboratory's has the category `procedure`.
const OBSERVATIONS: &[(&str, &str)] = &[
    (OBSERVATION_CATEGORY, "laboratory"),
    (OBSERVATION_CATEGORY, "vital-signs"),
    (OBSERVATION_CATEGORY, "procedure"),
    (OBSERVATION_CATEGORY, "social-history"),
    (OBSERVATION_CATEGORY, "survey"),
    (US_CORE_CATEGORY, "sdoh"),
];

/// The scopes that may be given instead of this one; none where it is not about all of a type that has such parts.
pub fn narrower(scope: &Scope) -> Vec<Scope> {
    let ScopeKind::Resource(resource) = scope.kind() else { return Vec::new() };
    let ScopeTarget::Type(resource_type) = resource.target else { return Vec::new() };
    let parts = match (resource.context, resource_type.name()) {
        (ScopeContext::Patient, "Condition") => CONDITIONS,
        (ScopeContext::Patient, "Observation") => OBSERVATIONS,
        _ => &[],
    };
    // The words of SMART 1.0 take no criteria: such a text is no scope.
    parts.iter().filter_map(|(system, code)| Scope::parse(&format!("{scope}?category={system}|{code}")).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::Language;
    use crate::scopes::{ScopeSet, plain_words};

    fn parts(text: &str) -> Vec<Scope> {
        narrower(&Scope::parse(text).unwrap())
    }

    #[test]
    fn only_all_conditions_or_observations_of_a_patient_have_parts() {
        for text in [
            "openid",
            "launch/patient",
            "patient/*.rs",
            "patient/Patient.rs",
            "patient/Condition.read",
            "patient/Observation.*",
            "patient/Observation.rs?category=laboratory",
            "user/Observation.rs",
            "system/Observation.rs",
        ] {
            assert_eq!(parts(text), [], "{text}");
        }
        assert_eq!((parts("patient/Condition.rs").len(), parts("patient/Observation.cruds").len()), (3, 6));
    }

    #[test]
    fn each_part_is_less_than_the_whole_and_has_words_of_its_own() {
        for text in ["patient/Condition.r", "patient/Condition.rs", "patient/Observation.rs", "patient/Observation.cruds"] {
            let whole = ScopeSet::parse(text).unwrap();
            for part in parts(text) {
                assert!(part.as_str().starts_with(&format!("{text}?category=http")), "{part}");
                assert!(whole.covers(&part), "{part}");
                assert!(!ScopeSet::from_iter([part.clone()]).covers(&Scope::parse(text).unwrap()), "{part}");
                assert!(
                    !plain_words(&part, Language::English).contains("only where"),
                    "{}",
                    plain_words(&part, Language::English)
                );
            }
        }
    }
}
