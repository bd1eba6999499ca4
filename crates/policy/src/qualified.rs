//! Which resources of a type a grant opens, where that is not all of them: scopes with criteria (SMART App Launch 2.2.0, "Finer-grained resource
//! constraints using search parameters").
//!
//! A store turns an [`Admission`] into a condition of every statement that produces resources of the type; release asks the same of the body that came,
//! by way of the index derivation. A plain permit is one whose [`Qualifications`] are empty: it never looks at a body.

use std::sync::Arc;

use portcullis_fhir::index::IndexEntry;
use portcullis_fhir::labels::Labels;
use portcullis_fhir::qualifier::{self, Qualifier};
use portcullis_fhir::types::ResourceType;
use portcullis_oauth::scopes::{Letter, Opening, TypeLetters};

use crate::stored::StoredVersion;

/// The resources of one type that a grant opens: those that all qualifiers of one alternative admit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admission {
    /// Never empty, and no alternative is.
    alternatives: Vec<Vec<Arc<Qualifier>>>,
    base_url: Arc<str>,
}

impl Admission {
    /// The alternatives: a resource is open where all qualifiers of one of them admit it.
    pub fn alternatives(&self) -> &[Vec<Arc<Qualifier>>] {
        &self.alternatives
    }

    /// Whether it opens a resource with these index entries.
    pub fn admits(&self, entries: &[IndexEntry]) -> bool {
        self.alternatives.iter().any(|alternative| alternative.iter().all(|qualifier| qualifier.admits(entries)))
    }

    /// Whether it opens a resource that will have these index entries and labels.
    pub fn admits_with(&self, entries: &[IndexEntry], (resource_type, labels): (ResourceType, Labels)) -> bool {
        if labels.is_empty() {
            return self.admits(entries);
        }
        let mut entries = entries.to_vec();
        entries.extend(labels.entries(resource_type));
        self.admits(&entries)
    }

    /// Whether it opens a stored version whose labels are not in its body. A deletion has no content that could be judged, and what cannot be read is not opened.
    pub fn admits_version(&self, version: &StoredVersion) -> bool {
        let criteria = self.alternatives.iter().flatten().map(Arc::as_ref);
        let entries = version.body.as_deref().and_then(|body| qualifier::entries(criteria, body, &self.base_url));
        entries.is_some_and(|entries| self.admits_with(&entries, (version.resource_type, version.security.labels)))
    }

    fn of(opening: Opening, base_url: &Arc<str>) -> Option<Self> {
        match opening {
            Opening::Closed | Opening::Whole => None,
            Opening::Qualified(qualifiers) => {
                let alternatives = qualifiers.into_iter().map(|qualifier| vec![qualifier]).collect();
                Some(Self { alternatives, base_url: Arc::clone(base_url) })
            }
        }
    }

    /// What both open.
    fn and(&self, other: &Self) -> Self {
        let both = |one: &Vec<Arc<Qualifier>>| {
            let joined = |another: &Vec<Arc<Qualifier>>| one.iter().chain(another).cloned().collect::<Vec<_>>();
            other.alternatives.iter().map(joined).collect::<Vec<_>>()
        };
        Self { alternatives: self.alternatives.iter().flat_map(both).collect(), base_url: Arc::clone(&self.base_url) }
    }
}

/// For which types and letters of a grant only some resources are open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Qualifications(Vec<(ResourceType, Letter, Admission)>);

impl Qualifications {
    /// What the scopes of one context say.
    pub(crate) fn of(letters: &TypeLetters) -> Self {
        if !letters.has_qualified() {
            return Self::default();
        }
        let opening = |resource_type, letter| Admission::of(letters.opening(resource_type, letter), letters.base_url());
        Self::each(opening)
    }

    /// What both the scopes and a registration say: where either has criteria, they hold.
    pub(crate) fn of_both(letters: &TypeLetters, registered: &TypeLetters) -> Self {
        if !letters.has_qualified() && !registered.has_qualified() {
            return Self::default();
        }
        // A registration is read from the registry, which does not know where this server is; a token was verified by it.
        let base_url = letters.base_url();
        let of = |letters: &TypeLetters, resource_type, letter| Admission::of(letters.opening(resource_type, letter), base_url);
        Self::each(|resource_type, letter| match (of(letters, resource_type, letter), of(registered, resource_type, letter)) {
            (Some(own), Some(other)) => Some(own.and(&other)),
            (own, other) => own.or(other),
        })
    }

    fn each(admission: impl Fn(ResourceType, Letter) -> Option<Admission>) -> Self {
        let of_type = |resource_type| Letter::ALL.into_iter().map(move |letter| (resource_type, letter));
        let qualified = ResourceType::all().flat_map(of_type);
        Self(
            qualified
                .filter_map(|(resource_type, letter)| Some((resource_type, letter, admission(resource_type, letter)?)))
                .collect(),
        )
    }

    /// Whether every open type is open as a whole.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Which resources of a type are open for a letter, where that is not all of them.
    pub fn admission(&self, resource_type: ResourceType, letter: Letter) -> Option<&Admission> {
        let of_both = |(own, other, _): &&(ResourceType, Letter, Admission)| *own == resource_type && *other == letter;
        self.0.iter().find(of_both).map(|(_, _, admission)| admission)
    }
}
