//! Sets of scopes: the `scope` parameter, what a client may ask for, what is granted (RFC 6749 section 3.3).

use std::cell::OnceCell;
use std::fmt;

use super::compiled::CompiledScopes;
use super::parse::{Scope, ScopeContext, ScopeKind, UnsupportedScope};

/// The most scopes in one request; a consent screen with more could not be read.
pub const MAXIMUM_SCOPES: usize = 200;

/// The request names more scopes than [`MAXIMUM_SCOPES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more than {MAXIMUM_SCOPES} scopes")]
pub struct TooManyScopes;

/// Scopes in the order in which they were asked for, each spelling once.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ScopeSet(Vec<Scope>);

/// A `scope` parameter: what we understand, and what we do not.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct RequestedScopes {
    /// The scopes that may be granted.
    pub supported: ScopeSet,
    /// The scopes that will be left out, as they were written.
    pub unsupported: Vec<UnsupportedScope>,
}

impl RequestedScopes {
    /// Parses the value of a `scope` parameter. Repeated scopes are harmless, and so is surplus space.
    pub fn parse(text: &str) -> Result<Self, TooManyScopes> {
        let mut requested = Self::default();
        for (count, part) in text.split(' ').filter(|part| !part.is_empty()).enumerate() {
            if count >= MAXIMUM_SCOPES {
                return Err(TooManyScopes);
            }
            match Scope::parse(part) {
                Ok(scope) => requested.supported.insert(scope),
                Err(unsupported) if requested.unsupported.contains(&unsupported) => {}
                Err(unsupported) => requested.unsupported.push(unsupported),
            }
        }
        Ok(requested)
    }
}

impl ScopeSet {
    /// Parses a set in which every scope must be understood, such as one that was stored or is configured.
    pub fn parse(text: &str) -> Result<Self, UnsupportedScope> {
        let mut set = Self::default();
        for part in text.split(' ').filter(|part| !part.is_empty()) {
            set.insert(Scope::parse(part)?);
        }
        Ok(set)
    }

    /// Adds a scope unless the same spelling is there already.
    pub fn insert(&mut self, scope: Scope) {
        if !self.0.contains(&scope) {
            self.0.push(scope);
        }
    }

    /// The scopes in order.
    pub fn iter(&self) -> impl Iterator<Item = &Scope> {
        self.0.iter()
    }

    /// How many scopes there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a scope of this meaning is there.
    pub fn has(&self, kind: ScopeKind) -> bool {
        self.0.iter().any(|scope| scope.kind() == kind)
    }

    /// Whether this very spelling is there.
    pub fn contains(&self, text: &str) -> bool {
        self.0.iter().any(|scope| scope.as_str() == text)
    }

    /// Whether a resource scope is among them, in any context: without one, a token opens no record.
    pub fn has_resources(&self) -> bool {
        self.0.iter().any(|scope| scope.reach().is_some())
    }

    /// Whether a resource scope of this context is among them.
    pub fn has_context(&self, context: ScopeContext) -> bool {
        self.0.iter().filter_map(Scope::reach).any(|reach| reach.context == context)
    }

    /// Whether the set calls for a patient in context.
    pub fn needs_patient(&self) -> bool {
        self.0.iter().any(Scope::needs_patient)
    }

    /// The form in which requests are decided.
    pub fn compiled(&self) -> CompiledScopes {
        CompiledScopes::of(&self.0)
    }

    /// Whether this set, taken as what is permitted, permits a scope wholly. A scope that is permitted in part is not permitted:
    /// cutting it down would be a reinterpretation.
    pub fn covers(&self, scope: &Scope) -> bool {
        match scope.kind() {
            ScopeKind::Resource(_) | ScopeKind::Qualified(_) => self.compiled().includes(&CompiledScopes::of([scope])),
            kind => self.has(kind),
        }
    }

    /// Splits the set into the scopes that `permitted` covers and those that it does not.
    pub fn within(&self, permitted: &Self) -> (Self, Self) {
        let compiled = OnceCell::new();
        let (inside, outside) = self.0.iter().cloned().partition(|scope| match scope.kind() {
            ScopeKind::Resource(_) | ScopeKind::Qualified(_) => {
                permitted.0.iter().any(|one| one.spans(scope))
                    || compiled.get_or_init(|| permitted.compiled()).includes(&CompiledScopes::of([scope]))
            }
            kind => permitted.has(kind),
        });
        (Self(inside), Self(outside))
    }

    /// The scopes for which `keep` holds, such as those that the person left ticked.
    #[must_use]
    pub fn retaining(&self, keep: impl Fn(&Scope) -> bool) -> Self {
        Self(self.0.iter().filter(|scope| keep(scope)).cloned().collect())
    }
}

impl fmt::Display for ScopeSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, scope) in self.0.iter().enumerate() {
            if position > 0 {
                formatter.write_str(" ")?;
            }
            formatter.write_str(scope.as_str())?;
        }
        Ok(())
    }
}

impl FromIterator<Scope> for ScopeSet {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        let mut set = Self::default();
        for scope in scopes {
            set.insert(scope);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set(text: &str) -> ScopeSet {
        ScopeSet::parse(text).unwrap()
    }

    #[test]
    fn unsupported_scopes_are_set_apart_and_the_rest_keeps_its_spelling_and_order() {
        let requested = RequestedScopes::parse(
            " patient/Coverage.read  bogus patient/Observation.rs?category%3Ax=y patient/Observation.rs?category=x%7Cy openid patient/Coverage.read bogus ",
        )
        .unwrap();
        assert_eq!(requested.supported.to_string(), "patient/Coverage.read patient/Observation.rs?category=x%7Cy openid");
        let left_out: Vec<&str> = requested.unsupported.iter().map(|scope| &*scope.0).collect();
        assert_eq!(left_out, ["bogus", "patient/Observation.rs?category%3Ax=y"]);
    }

    #[test]
    fn an_endless_list_of_scopes_is_refused() {
        assert_eq!(RequestedScopes::parse(&"openid ".repeat(MAXIMUM_SCOPES + 1)), Err(TooManyScopes));
        assert!(RequestedScopes::parse(&"openid ".repeat(MAXIMUM_SCOPES)).is_ok());
    }

    #[test]
    fn tabs_and_other_white_space_do_not_separate_scopes() {
        let requested = RequestedScopes::parse("openid\tfhirUser").unwrap();
        assert!(requested.supported.is_empty());
        assert_eq!(requested.unsupported.len(), 1);
    }

    #[test]
    fn a_permitted_set_covers_narrower_scopes_and_no_wider_ones() {
        for (permitted, scope, covered) in [
            ("patient/*.rs", "patient/Observation.read", true),
            ("patient/*.rs", "patient/Observation.r", true),
            ("patient/*.rs", "patient/*.read", true),
            ("patient/*.rs", "patient/AuditEvent.rs", false),
            ("patient/*.rs", "patient/*.cruds", false),
            ("patient/*.rs", "user/Observation.rs", false),
            ("user/*.cruds", "patient/Observation.rs", false),
            ("user/*.cruds", "patient/*.rs", false),
            ("system/Patient.rs", "system/*.rs", false),
            ("patient/Observation.r patient/Observation.s", "patient/Observation.rs", true),
            ("openid", "fhirUser", false),
            ("openid", "openid", true),
            ("launch", "launch/patient", false),
            ("", "openid", false),
            ("offline_access", "online_access", false),
            ("patient/*.rs", "patient/Observation.rs?category=a", true),
            ("patient/Observation.rs", "patient/Observation.r?category=a", true),
            ("patient/Observation.rs?category=a", "patient/Observation.rs", false),
            ("patient/Observation.rs?category=a", "patient/Observation.rs?category=a", true),
            ("patient/Observation.rs?category=s|a", "patient/Observation.rs?category=s%7Ca", true),
            ("patient/Observation.rs?category=a", "patient/Observation.cruds?category=a", false),
            ("patient/Observation.rs?category=a", "patient/Observation.rs?category=b", false),
            ("patient/Observation.rs?category=a", "patient/Condition.rs?category=a", false),
            ("patient/Observation.rs?category=a", "user/Observation.rs?category=a", false),
            ("patient/Observation.rs?category=a,b", "patient/Observation.rs?category=a", true),
            ("patient/Observation.rs?category=a", "patient/Observation.rs?category=a&status=final", true),
            ("patient/Observation.rs?category=a&status=final", "patient/Observation.rs?category=a", false),
            ("patient/Observation.r?category=a patient/Observation.s", "patient/Observation.rs?category=a", true),
            ("patient/Observation.r?category=a patient/Observation.s?category=b", "patient/Observation.rs?category=a", false),
        ] {
            let scope = Scope::parse(scope).unwrap();
            assert_eq!(set(permitted).covers(&scope), covered, "{permitted} covers {scope}");
            let (inside, outside) = ScopeSet::from_iter([scope.clone()]).within(&set(permitted));
            assert_eq!((inside.len(), outside.len()), if covered { (1, 0) } else { (0, 1) }, "{permitted} / {scope}");
        }
    }

    #[test]
    fn the_person_can_leave_scopes_out() {
        let kept = set("openid patient/*.rs offline_access").retaining(|scope| scope.kind() != ScopeKind::OfflineAccess);
        assert_eq!(kept.to_string(), "openid patient/*.rs");
        assert!(!kept.contains("offline_access") && kept.contains("openid"));
    }

    proptest! {
        #[test]
        fn what_is_understood_survives_a_round_trip(words in prop::collection::vec("[a-zA-Z/.*]{1,20}|openid|patient/\\*\\.r?s|user/Patient\\.read", 0..20)) {
            let requested = RequestedScopes::parse(&words.join(" ")).unwrap();
            let again = ScopeSet::parse(&requested.supported.to_string()).unwrap();
            prop_assert_eq!(&again, &requested.supported);
            prop_assert_eq!(again.compiled(), requested.supported.compiled());
        }
    }
}
