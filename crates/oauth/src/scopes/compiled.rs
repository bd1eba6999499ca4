//! Scopes in the form in which requests are decided: letters per context and resource type, looked up without parsing.

use std::fmt;

use portcullis_fhir::types::ResourceType;

use super::letters::{Letter, LetterSet};
use super::parse::{ResourceScope, ScopeContext};

/// Room for every storage key of a resource type.
const TYPE_SLOTS: usize = 256;

/// For each resource type, the letters that are granted.
#[derive(Clone, PartialEq, Eq)]
pub struct TypeLetters(Box<[LetterSet; TYPE_SLOTS]>);

impl TypeLetters {
    fn none() -> Self {
        Self(Box::new([LetterSet::NONE; TYPE_SLOTS]))
    }

    /// The letters that are granted for a type.
    pub fn of(&self, resource_type: ResourceType) -> LetterSet {
        self.0.get(usize::from(resource_type.code())).copied().unwrap_or(LetterSet::NONE)
    }

    /// Whether a letter is granted for a type.
    pub fn allows(&self, resource_type: ResourceType, letter: Letter) -> bool {
        self.of(resource_type).contains(letter)
    }

    /// The types for which a letter is granted, in alphabetical order.
    pub fn types_with(&self, letter: Letter) -> impl Iterator<Item = ResourceType> + '_ {
        ResourceType::all().filter(move |resource_type| self.allows(*resource_type, letter))
    }

    /// Whether nothing at all is granted.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|letters| *letters == LetterSet::NONE)
    }

    fn add(&mut self, scope: ResourceScope) {
        for resource_type in ResourceType::all().filter(|candidate| scope.target.covers(scope.context, *candidate)) {
            if let Some(letters) = self.0.get_mut(usize::from(resource_type.code())) {
                *letters = letters.union(scope.letters);
            }
        }
    }

    fn includes(&self, other: &Self) -> bool {
        self.0.iter().zip(other.0.iter()).all(|(own, others)| own.includes(*others))
    }
}

impl fmt::Debug for TypeLetters {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let granted = ResourceType::all().map(|each| (each, self.of(each))).filter(|(_, letters)| *letters != LetterSet::NONE);
        formatter.debug_map().entries(granted).finish()
    }
}

/// What a set of scopes allows, per context. Several scopes for one type add up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompiledScopes {
    /// Within the compartment of the patient in context.
    pub patient: TypeLetters,
    /// Whatever the user may do.
    pub user: TypeLetters,
    /// Whatever the client may do.
    pub system: TypeLetters,
}

impl CompiledScopes {
    /// Nothing is allowed.
    pub fn none() -> Self {
        Self { patient: TypeLetters::none(), user: TypeLetters::none(), system: TypeLetters::none() }
    }

    /// Everything that any of these scopes allows.
    pub fn of(scopes: impl IntoIterator<Item = ResourceScope>) -> Self {
        let mut compiled = Self::none();
        for scope in scopes {
            match scope.context {
                ScopeContext::Patient => compiled.patient.add(scope),
                ScopeContext::User => compiled.user.add(scope),
                ScopeContext::System => compiled.system.add(scope),
            }
        }
        compiled
    }

    /// The letters per type in one context.
    pub fn context(&self, context: ScopeContext) -> &TypeLetters {
        match context {
            ScopeContext::Patient => &self.patient,
            ScopeContext::User => &self.user,
            ScopeContext::System => &self.system,
        }
    }

    /// Whether a letter is granted for a type in one context.
    pub fn allows(&self, context: ScopeContext, resource_type: ResourceType, letter: Letter) -> bool {
        self.context(context).allows(resource_type, letter)
    }

    /// The contexts in which a letter is granted for a type; none means that the scopes do not suffice.
    pub fn contexts_allowing(&self, resource_type: ResourceType, letter: Letter) -> impl Iterator<Item = ScopeContext> + '_ {
        ScopeContext::ALL.into_iter().filter(move |context| self.allows(*context, resource_type, letter))
    }

    /// Whether everything that `other` allows is allowed here, context by context.
    pub fn includes(&self, other: &Self) -> bool {
        ScopeContext::ALL.into_iter().all(|context| self.context(context).includes(other.context(context)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scopes::ScopeSet;

    fn compiled(text: &str) -> CompiledScopes {
        ScopeSet::parse(text).unwrap().compiled()
    }

    #[test]
    fn a_scope_grants_no_other_type_context_or_letter() {
        let scopes = compiled("patient/Observation.r");
        for context in ScopeContext::ALL {
            for resource_type in ResourceType::all() {
                for letter in Letter::ALL {
                    let expected =
                        context == ScopeContext::Patient && resource_type == ResourceType::OBSERVATION && letter == Letter::Read;
                    assert_eq!(scopes.allows(context, resource_type, letter), expected, "{context:?} {resource_type} {letter:?}");
                }
            }
        }
    }

    #[test]
    fn a_wildcard_leaves_out_audit_events_until_they_are_named() {
        assert!(!compiled("patient/*.cruds").patient.allows(ResourceType::AUDIT_EVENT, Letter::Read));
        assert!(compiled("patient/*.rs patient/AuditEvent.rs").patient.allows(ResourceType::AUDIT_EVENT, Letter::Search));
        assert_eq!(compiled("patient/*.rs").patient.types_with(Letter::Read).count(), ResourceType::all().count() - 1);
        assert!(!compiled("user/*.rs").user.allows(ResourceType::AUDIT_EVENT, Letter::Read));
        assert!(compiled("system/*.rs").system.allows(ResourceType::AUDIT_EVENT, Letter::Read));
    }

    #[test]
    fn several_scopes_for_one_type_add_up() {
        let scopes = compiled("patient/Observation.r patient/Observation.s patient/*.c");
        assert_eq!(scopes.patient.of(ResourceType::OBSERVATION).to_string(), "crs");
        assert_eq!(scopes.patient.of(ResourceType::PATIENT).to_string(), "c");
        let contexts: Vec<_> = scopes.contexts_allowing(ResourceType::OBSERVATION, Letter::Read).collect();
        assert_eq!(contexts, [ScopeContext::Patient]);
    }

    #[test]
    fn scopes_without_resources_allow_nothing() {
        let scopes = compiled("openid fhirUser launch/patient offline_access");
        assert_eq!(scopes, CompiledScopes::none());
        assert!(scopes.patient.is_empty() && scopes.user.is_empty() && scopes.system.is_empty());
    }
}
