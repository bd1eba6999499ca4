//! One scope: its text as asked for and what it means.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use portcullis_fhir::qualifier::Qualifier;
use portcullis_fhir::types::ResourceType;

use super::letters::LetterSet;

/// The longest scope, in bytes.
const MAXIMUM_SCOPE_BYTES: usize = 512;

/// What stands after the dot in SMART 1.0.
const V1_WORDS: [&str; 3] = ["read", "write", "*"];

/// A scope that this server fully understands, with its spelling kept: what is granted reads as what was asked for. Two are equal where they
/// are spelled the same.
#[derive(Clone, Debug)]
pub struct Scope {
    text: Box<str>,
    kind: ScopeKind,
    /// Present where the kind is [`ScopeKind::Qualified`], and only there.
    qualifier: Option<Arc<Qualifier>>,
}

/// What a scope means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ScopeKind {
    /// `openid`: an id_token.
    OpenId,
    /// `fhirUser`: the id_token says which FHIR resource the user is.
    FhirUser,
    /// `profile`: the id_token says the user's name.
    Profile,
    /// `offline_access`: a refresh token that outlives the session.
    OfflineAccess,
    /// `online_access`: a refresh token that ends with the session.
    OnlineAccess,
    /// `launch`: the context of a launch from within the EHR.
    Launch,
    /// `launch/patient`: the patient who is chosen.
    LaunchPatient,
    /// `launch/encounter`: the encounter that is chosen.
    LaunchEncounter,
    /// Access to FHIR resources.
    Resource(ResourceScope),
    /// Access to those resources of one type that [`Scope::qualifier`] admits. A kind of its own, so that nobody takes it for the whole type.
    Qualified(ResourceScope),
}

/// Access to FHIR resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ResourceScope {
    /// On whose behalf and within which boundary.
    pub context: ScopeContext,
    /// To which types.
    pub target: ScopeTarget,
    /// For which interactions.
    pub letters: LetterSet,
}

/// How a scope writes what it permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ScopeSyntax {
    /// `.read`, `.write` or `.*` (SMART 1.0).
    V1,
    /// Letters (SMART 2.0).
    V2,
}

/// The part before the slash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ScopeContext {
    /// `patient/`: within the compartment of the patient in context.
    Patient,
    /// `user/`: whatever the user may do.
    User,
    /// `system/`: whatever the client may do, no user present.
    System,
}

impl ScopeContext {
    /// All contexts.
    pub const ALL: [Self; 3] = [Self::Patient, Self::User, Self::System];

    /// The word before the slash.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Patient => "patient",
            Self::User => "user",
            Self::System => "system",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|context| context.as_str() == text)
    }
}

/// The part between slash and dot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ScopeTarget {
    /// `*`: every type of now and later, except those that [`ScopeTarget::covers`] holds back.
    Any,
    /// One type.
    Type(ResourceType),
}

impl ScopeTarget {
    /// Whether a scope with this target is about a type.
    ///
    /// A wildcard does not include AuditEvent: audit records name members of staff, and a person who agrees to share a health record does
    /// not think of those. They need a scope that names the type.
    pub fn covers(self, context: ScopeContext, resource_type: ResourceType) -> bool {
        match self {
            Self::Any => context == ScopeContext::System || resource_type != ResourceType::AUDIT_EVENT,
            Self::Type(named) => named == resource_type,
        }
    }
}

/// A scope that is not fully understood and therefore never granted. The text is what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("this scope is not supported")]
pub struct UnsupportedScope(pub Box<str>);

impl Scope {
    /// Parses one scope.
    pub fn parse(text: &str) -> Result<Self, UnsupportedScope> {
        let parsed = if text.len() > MAXIMUM_SCOPE_BYTES {
            None
        } else if let Some((reach, criteria)) = text.split_once('?') {
            parse_qualified(reach, criteria)
        } else {
            parse_kind(text).map(|kind| (kind, None))
        };
        let (kind, qualifier) = parsed.ok_or_else(|| UnsupportedScope(text.into()))?;
        Ok(Self { text: text.into(), kind, qualifier })
    }

    /// The scope as it was asked for.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What it means.
    pub fn kind(&self) -> ScopeKind {
        self.kind
    }

    /// The access to whole resource types that it stands for, if it does; a qualified scope does not.
    pub fn resource(&self) -> Option<ResourceScope> {
        match self.kind {
            ScopeKind::Resource(resource) => Some(resource),
            _ => None,
        }
    }

    /// The context, types and letters that it is about, whole or qualified: what it can reach at most.
    pub fn reach(&self) -> Option<ResourceScope> {
        match self.kind {
            ScopeKind::Resource(resource) | ScopeKind::Qualified(resource) => Some(resource),
            _ => None,
        }
    }

    /// Whether it plainly permits all that another does: by the same context and the same types, for all their resources. Where it does not, several
    /// scopes together may.
    pub(super) fn spans(&self, other: &Self) -> bool {
        let (ScopeKind::Resource(own), Some(others)) = (self.kind, other.reach()) else { return false };
        own.context == others.context && own.target == others.target && own.letters.includes(others.letters)
    }

    /// How it writes what it permits on resources; `None` where it is about none.
    pub fn syntax(&self) -> Option<ScopeSyntax> {
        self.reach()?;
        let (_, after) = self.text.split_once('.')?;
        Some(if V1_WORDS.contains(&after) { ScopeSyntax::V1 } else { ScopeSyntax::V2 })
    }

    /// Which resources of its type it is about, where that is not all.
    pub fn qualifier(&self) -> Option<&Arc<Qualifier>> {
        self.qualifier.as_ref()
    }

    /// Whether it makes no sense without a patient in context (SMART: a `patient/` scope establishes one).
    pub fn needs_patient(&self) -> bool {
        match self.kind {
            ScopeKind::LaunchPatient | ScopeKind::LaunchEncounter => true,
            ScopeKind::Resource(resource) | ScopeKind::Qualified(resource) => resource.context == ScopeContext::Patient,
            _ => false,
        }
    }
}

impl PartialEq for Scope {
    fn eq(&self, other: &Self) -> bool {
        // What it means follows from its text.
        self.text == other.text
    }
}

impl Eq for Scope {}

impl Hash for Scope {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

fn parse_kind(text: &str) -> Option<ScopeKind> {
    match text {
        "openid" => Some(ScopeKind::OpenId),
        "fhirUser" => Some(ScopeKind::FhirUser),
        "profile" => Some(ScopeKind::Profile),
        "offline_access" => Some(ScopeKind::OfflineAccess),
        "online_access" => Some(ScopeKind::OnlineAccess),
        "launch" => Some(ScopeKind::Launch),
        "launch/patient" => Some(ScopeKind::LaunchPatient),
        "launch/encounter" => Some(ScopeKind::LaunchEncounter),
        _ => parse_resource(text).map(ScopeKind::Resource),
    }
}

/// `reach?criteria`: one type, the letters of v2, and criteria that are wholly understood, in the characters that a scope may have (RFC 6749,
/// appendix A.4). SMART 1.0 has no criteria, and what they would mean for every type of now and later nobody can say.
fn parse_qualified(reach: &str, criteria: &str) -> Option<(ScopeKind, Option<Arc<Qualifier>>)> {
    let scope = parse_resource(reach)?;
    let ScopeTarget::Type(resource_type) = scope.target else { return None };
    let of_v2 = reach.rsplit_once('.').is_some_and(|(_, letters)| LetterSet::parse(letters).is_some());
    let scope_token = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5B | 0x5D..=0x7E);
    if !of_v2 || !criteria.bytes().all(scope_token) {
        return None;
    }
    let qualifier = Qualifier::parse(resource_type, criteria)?;
    Some((ScopeKind::Qualified(scope), Some(Arc::new(qualifier))))
}

fn parse_resource(text: &str) -> Option<ResourceScope> {
    let (context, rest) = text.split_once('/')?;
    let (target, suffix) = rest.split_once('.')?;
    let context = ScopeContext::parse(context)?;
    let target = if target == "*" { ScopeTarget::Any } else { ScopeTarget::Type(ResourceType::parse(target)?) };
    // `read` is a word of v1 and never the letters r, e, a, d.
    let letters = match suffix {
        "read" => LetterSet::READ,
        "write" => LetterSet::WRITE,
        "*" => LetterSet::ALL,
        letters => LetterSet::parse(letters)?,
    };
    Some(ResourceScope { context, target, letters })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_not_fully_understood_is_unsupported() {
        portcullis_verifies::verifies!("SMART-38", "SMART-42", "SMART-35");
        for text in [
            "",
            "OpenID",
            "openid ",
            "launch/practitioner",
            "launch/patient?role=x",
            "patient/Observation",
            "patient/Observation.",
            "patient/.rs",
            "patient/observation.rs",
            "patient/Foo.rs",
            "patient/DomainResource.rs",
            "Patient/Observation.rs",
            "person/Observation.rs",
            "patient/Observation.sr",
            "patient/Observation.dus",
            "patient/Observation.x",
            "patient/Observation.READ",
            "patient/Observation.reads",
            "patient/Observation.rs.rs",
            "patient/Observation.rs?",
            "patient/Observation.rs?unknown=1",
            "patient/Observation.rs?category=",
            "patient/Observation.rs?category=laboratory&_count=1",
            "patient/Observation.rs?category=a\"b",
            "patient/Observation.rs?category=a\\b",
            "patient/Observation.rs?category=a b",
            "patient/Observation.rs?category=a\u{7f}",
            "patient/Observation.rs?category=ä",
            "patient/Observation.rs?category=a%00",
            "patient/Observation.rs?category=a%0d%0a",
            "patient/Observation.rs?category=a?category=%",
            "patient/Observation.sr?category=laboratory",
            "patient/Observation?category=laboratory",
            "patient/Observation.*?category=laboratory",
            "patient/*.rs?category=laboratory",
            "patient/AuditEvent.rs?action=R",
            "openid?category=laboratory",
            "launch/patient?_tag=x",
            "patient/Observation.read?category=laboratory",
            "patient//Observation.rs",
            "patient/*.**",
            "patient/**.rs",
            "*/*.*",
            "__custom",
            "https://example.org/scope",
        ] {
            assert_eq!(Scope::parse(text), Err(UnsupportedScope(text.into())), "{text}");
        }
    }

    #[test]
    fn the_words_of_v1_mean_the_letters_of_v2() {
        portcullis_verifies::verifies!("SMART-36");
        for (v1, v2) in [("read", "rs"), ("write", "cud"), ("*", "cruds")] {
            let old = Scope::parse(&format!("user/Coverage.{v1}")).unwrap();
            let new = Scope::parse(&format!("user/Coverage.{v2}")).unwrap();
            assert_eq!(old.kind(), new.kind());
            assert_ne!(old, new, "the spelling is kept");
        }
    }

    #[test]
    fn a_qualified_scope_is_no_whole_scope_and_keeps_its_spelling() {
        portcullis_verifies::verifies!("SMART-35");
        for text in [
            "patient/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category|laboratory",
            "patient/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category%7Claboratory",
            "user/Condition.cruds?category=a,b&clinical-status=active",
            "system/Observation.r?category=a%26b",
            "patient/Observation.rs?category=a?b",
        ] {
            let scope = Scope::parse(text).unwrap();
            assert_eq!(scope.as_str(), text);
            assert_eq!(scope.resource(), None, "{text}");
            assert!(matches!(scope.kind(), ScopeKind::Qualified(_)) && scope.qualifier().is_some(), "{text}");
            assert_eq!(scope.needs_patient(), text.starts_with("patient/"));
        }
        assert!(Scope::parse("patient/Observation.rs").unwrap().qualifier().is_none());
    }

    #[test]
    fn a_scope_of_ten_thousand_bytes_is_unsupported_and_not_read() {
        let long = format!("patient/Observation.rs?category={}", "a".repeat(10_000));
        assert_eq!(Scope::parse(&long), Err(UnsupportedScope(long.as_str().into())));
        let longest = format!("patient/Observation.rs?category={}", "a".repeat(MAXIMUM_SCOPE_BYTES - 32));
        assert!(longest.len() == MAXIMUM_SCOPE_BYTES && Scope::parse(&longest).is_ok());
    }

    #[test]
    fn only_patient_context_needs_a_patient() {
        for (text, needs) in
            [("patient/*.rs", true), ("launch/patient", true), ("user/*.rs", false), ("system/*.rs", false), ("openid", false)]
        {
            assert_eq!(Scope::parse(text).unwrap().needs_patient(), needs, "{text}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics_and_an_understood_scope_keeps_its_spelling(text in "\\PC{0,40}") {
            if let Ok(scope) = Scope::parse(&text) {
                prop_assert_eq!(scope.as_str(), text);
            }
        }

        #[test]
        fn every_scope_of_the_grammar_reads_back(
            context in prop::sample::select(&ScopeContext::ALL[..]),
            code in prop::option::of(0_u8..147),
            bits in 1_u8..32,
        ) {
            use crate::scopes::Letter;
            let letters = Letter::ALL.into_iter().filter(|letter| bits & *letter as u8 != 0).fold(LetterSet::NONE, LetterSet::with);
            let target = code.and_then(ResourceType::from_code).map_or(ScopeTarget::Any, ScopeTarget::Type);
            let name = match target { ScopeTarget::Any => "*", ScopeTarget::Type(resource_type) => resource_type.name() };
            let text = format!("{}/{name}.{letters}", context.as_str());
            let scope = Scope::parse(&text).unwrap();
            prop_assert_eq!(scope.as_str(), &text);
            prop_assert_eq!(scope.resource(), Some(ResourceScope { context, target, letters }));
        }
    }
}
