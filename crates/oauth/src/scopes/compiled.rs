//! Scopes in the form in which requests are decided: letters per context and resource type, looked up without parsing.

use std::fmt;
use std::sync::Arc;

use portcullis_fhir::qualifier::Qualifier;
use portcullis_fhir::types::ResourceType;
use portcullis_mutants::off;

use super::letters::{Letter, LetterSet};
use super::parse::{Scope, ScopeContext, ScopeKind, ScopeTarget};

/// Room for every storage key of a resource type.
const TYPE_SLOTS: usize = 256;

/// For each resource type, the letters that are granted, for all its resources or for some.
#[derive(Clone, PartialEq, Eq)]
pub struct TypeLetters {
    /// The letters that are granted for every resource of the type.
    whole: Box<[LetterSet; TYPE_SLOTS]>,
    /// The scopes with criteria; none where every scope is about whole types.
    qualified: Vec<QualifiedLetters>,
    /// The server's own FHIR base, by which criteria about references tell local ones. Empty where nobody said.
    base_url: Arc<str>,
}

/// A scope with criteria.
#[derive(Clone, Debug, PartialEq, Eq)]
struct QualifiedLetters {
    letters: LetterSet,
    qualifier: Arc<Qualifier>,
}

/// How far scopes open a type for a letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opening {
    /// Not at all.
    Closed,
    /// Every resource of the type.
    Whole,
    /// The resources that one of these admits; there is at least one.
    Qualified(Vec<Arc<Qualifier>>),
}

impl TypeLetters {
    fn none() -> Self {
        Self { whole: Box::new([LetterSet::NONE; TYPE_SLOTS]), qualified: Vec::new(), base_url: Arc::default() }
    }

    /// The letters that are granted for every resource of a type.
    pub fn of(&self, resource_type: ResourceType) -> LetterSet {
        self.whole.get(usize::from(resource_type.code())).copied().unwrap_or(LetterSet::NONE)
    }

    /// How far a type is open for a letter.
    pub fn opening(&self, resource_type: ResourceType, letter: Letter) -> Opening {
        if self.of(resource_type).contains(letter) {
            return Opening::Whole;
        }
        let mut admitting: Vec<Arc<Qualifier>> = Vec::new();
        for scope in self.qualified.iter().filter(|scope| scope.opens(resource_type, letter)) {
            if !admitting.contains(&scope.qualifier) {
                admitting.push(Arc::clone(&scope.qualifier));
            }
        }
        if admitting.is_empty() { Opening::Closed } else { Opening::Qualified(admitting) }
    }

    /// Whether a letter is granted for a type, be it for some of its resources only.
    pub fn allows(&self, resource_type: ResourceType, letter: Letter) -> bool {
        self.of(resource_type).contains(letter) || self.granted(resource_type).contains(letter)
    }

    /// The types for which a letter is granted, in alphabetical order, be it for some of their resources only.
    pub fn types_with(&self, letter: Letter) -> impl Iterator<Item = ResourceType> + '_ {
        ResourceType::all().filter(move |resource_type| self.allows(*resource_type, letter))
    }

    /// The letters that are granted for a type, be it for some of its resources only.
    pub fn granted(&self, resource_type: ResourceType) -> LetterSet {
        let of_type = self.qualified.iter().filter(|scope| scope.qualifier.resource_type() == resource_type);
        let letters = of_type.fold(self.of(resource_type), |letters, scope| letters.union(scope.letters));
        if off!("scope-type") {
            return self.whole.iter().fold(letters, |all, of_another| all.union(*of_another));
        }
        if off!("scope-letter") && letters != LetterSet::NONE {
            return LetterSet::ALL;
        }
        letters
    }

    /// The types that scopes with criteria are about, in no order, some more than once.
    pub fn qualified_types(&self) -> impl Iterator<Item = ResourceType> + '_ {
        self.qualified.iter().map(|scope| scope.qualifier.resource_type())
    }

    /// Whether nothing at all is granted.
    pub fn is_empty(&self) -> bool {
        self.qualified.is_empty() && self.whole.iter().all(|letters| *letters == LetterSet::NONE)
    }

    /// Whether some scope has criteria.
    pub fn has_qualified(&self) -> bool {
        !self.qualified.is_empty()
    }

    /// The server's own FHIR base.
    pub fn base_url(&self) -> &Arc<str> {
        &self.base_url
    }

    fn add(&mut self, scope: &Scope) {
        let Some(reach) = scope.reach() else { return };
        if let Some(qualifier) = scope.qualifier() {
            let added = QualifiedLetters { letters: reach.letters, qualifier: Arc::clone(qualifier) };
            if !self.qualified.contains(&added) && reach.target == ScopeTarget::Type(qualifier.resource_type()) {
                self.qualified.push(added);
            }
            return;
        }
        for resource_type in ResourceType::all().filter(|candidate| reach.target.covers(reach.context, *candidate)) {
            if let Some(letters) = self.whole.get_mut(usize::from(resource_type.code())) {
                *letters = letters.union(reach.letters);
            }
        }
    }

    /// Whether everything that `other` grants is granted here for sure. What several scopes with criteria cover only together is not.
    fn includes(&self, other: &Self) -> bool {
        let covers = |scope: &QualifiedLetters| {
            let resource_type = scope.qualifier.resource_type();
            let covered = |letter: &Letter| {
                let wide_enough = |own: &&QualifiedLetters| own.opens(resource_type, *letter);
                self.of(resource_type).contains(*letter)
                    || self.qualified.iter().filter(wide_enough).any(|own| scope.qualifier.implies(&own.qualifier))
            };
            Letter::ALL.iter().filter(|letter| scope.letters.contains(**letter)).all(covered)
        };
        self.whole.iter().zip(other.whole.iter()).all(|(own, others)| own.includes(*others)) && other.qualified.iter().all(covers)
    }
}

impl QualifiedLetters {
    fn opens(&self, resource_type: ResourceType, letter: Letter) -> bool {
        self.qualifier.resource_type() == resource_type && self.letters.contains(letter)
    }
}

impl fmt::Debug for TypeLetters {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let granted = ResourceType::all().map(|each| (each, self.of(each))).filter(|(_, letters)| *letters != LetterSet::NONE);
        formatter.debug_map().entries(granted).finish()?;
        if self.qualified.is_empty() { Ok(()) } else { formatter.debug_list().entries(&self.qualified).finish() }
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
    /// What the app may know of the user.
    pub identity: Identity,
}

/// What an app may know of the person who signed in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// `openid`: that it is the same person. Without it the others say nothing.
    pub open_id: bool,
    /// `fhirUser`: which resource stands for the person.
    pub fhir_user: bool,
    /// `profile`: the name.
    pub profile: bool,
}

impl Identity {
    /// Whether the app may know which resource stands for the person.
    pub fn names_user(self) -> bool {
        self.open_id && self.fhir_user
    }

    fn includes(self, other: Self) -> bool {
        (self.open_id || !other.open_id) && (self.fhir_user || !other.fhir_user) && (self.profile || !other.profile)
    }
}

impl CompiledScopes {
    /// Nothing is allowed.
    pub fn none() -> Self {
        Self {
            patient: TypeLetters::none(),
            user: TypeLetters::none(),
            system: TypeLetters::none(),
            identity: Identity::default(),
        }
    }

    /// Everything that any of these scopes allows.
    pub fn of<'a>(scopes: impl IntoIterator<Item = &'a Scope>) -> Self {
        let mut compiled = Self::none();
        for scope in scopes {
            compiled.identity.open_id |= scope.kind() == ScopeKind::OpenId;
            compiled.identity.fhir_user |= scope.kind() == ScopeKind::FhirUser;
            compiled.identity.profile |= scope.kind() == ScopeKind::Profile;
            match scope.reach().map(|reach| reach.context) {
                Some(ScopeContext::Patient) => compiled.patient.add(scope),
                Some(ScopeContext::User) => compiled.user.add(scope),
                Some(ScopeContext::System) => compiled.system.add(scope),
                None => {}
            }
        }
        compiled
    }

    /// The same for a server with this FHIR base (without a slash at the end): criteria about references depend on it.
    #[must_use]
    pub fn at(mut self, base_url: &str) -> Self {
        let base_url: Arc<str> = base_url.into();
        // Also where no scope has criteria: those of a registration are judged by the base of the token's scopes.
        for letters in [&mut self.patient, &mut self.user, &mut self.system] {
            letters.base_url = Arc::clone(&base_url);
        }
        self
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
            && self.identity.includes(other.identity)
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
    fn criteria_open_a_part_several_scopes_open_either_part_and_a_scope_without_opens_all() {
        let qualifier = |text: &str| Arc::new(Qualifier::parse(ResourceType::OBSERVATION, text).unwrap());
        let observation = |text: &str, letter| compiled(text).patient.opening(ResourceType::OBSERVATION, letter);
        let one = "patient/Observation.rs?category=a";
        assert_eq!(observation(one, Letter::Read), Opening::Qualified(vec![qualifier("category=a")]));
        assert_eq!(observation(one, Letter::Create), Opening::Closed);
        assert_eq!(compiled(one).patient.opening(ResourceType::PATIENT, Letter::Read), Opening::Closed);
        assert_eq!(compiled(one).user, TypeLetters::none());
        assert!(
            !compiled(one).patient.is_empty()
                && compiled(one).allows(ScopeContext::Patient, ResourceType::OBSERVATION, Letter::Read)
        );
        let several = "patient/Observation.r?category=a patient/Observation.rs?category=b patient/Observation.r?category=%61";
        assert_eq!(
            observation(several, Letter::Read),
            Opening::Qualified(vec![qualifier("category=a"), qualifier("category=b")])
        );
        assert_eq!(observation(several, Letter::Search), Opening::Qualified(vec![qualifier("category=b")]));
        let with_whole = "patient/Observation.r?category=a patient/*.r";
        assert_eq!(observation(with_whole, Letter::Read), Opening::Whole);
    }

    #[test]
    fn scopes_without_resources_allow_no_type() {
        let scopes = compiled("openid fhirUser launch/patient offline_access");
        assert_eq!(CompiledScopes { identity: Identity::default(), ..scopes.clone() }, CompiledScopes::none());
        assert_eq!(compiled("launch/patient offline_access"), CompiledScopes::none());
        assert!(scopes.patient.is_empty() && scopes.user.is_empty() && scopes.system.is_empty());
    }

    #[test]
    fn the_user_is_named_by_both_scopes_together_and_by_none_alone() {
        for (text, named) in
            [("openid", false), ("fhirUser", false), ("openid profile user/*.rs", false), ("openid fhirUser", true)]
        {
            assert_eq!(compiled(text).identity.names_user(), named, "{text}");
        }
        assert!(compiled("openid fhirUser profile").includes(&compiled("openid fhirUser")));
        for wider in ["openid profile", "openid fhirUser"] {
            assert!(!compiled("openid").includes(&compiled(wider)), "{wider}");
        }
        assert!(!compiled("fhirUser profile").includes(&compiled("openid")));
    }
}
