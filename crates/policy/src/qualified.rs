//! Which resources of a type a grant opens, where that is not all of them: scopes with criteria (SMART App Launch 2.2.0, "Finer-grained resource
//! constraints using search parameters").
//!
//! A store turns an [`Admission`] into a condition of every statement that produces resources of the type; release asks the same of the body that came,
//! by way of the index derivation. A plain permit is one whose [`Qualifications`] are empty: it never looks at a body.

use std::sync::Arc;

use portcullis_fhir::index::IndexEntry;
use portcullis_fhir::labels::{Clearance, Security};
use portcullis_fhir::qualifier::{self, Qualifier};
use portcullis_fhir::types::ResourceType;
use portcullis_oauth::scopes::{Letter, Opening, TypeLetters};

use crate::stored::StoredVersion;

/// The resources of one type that a grant opens: those that all qualifiers of one alternative admit, and that no exclusion hits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admission {
    /// Never empty. An alternative without qualifiers admits everything.
    alternatives: Vec<Vec<Arc<Qualifier>>>,
    exclusions: Vec<Exclusion>,
    base_url: Arc<str>,
    /// Whether the operator chose the criteria and no client asked for them: one that is not shown opens nothing, instead of having the request refused.
    by_part: bool,
}

/// Resources of one type that a rule takes away: those that some qualifier admits and that have some label. Where one of the two is not named, the other decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exclusion {
    /// Empty: whatever the content.
    criteria: Vec<Arc<Qualifier>>,
    /// What is not covered is hit. Full: whatever the labels.
    uncovered_by: Clearance,
}

impl Exclusion {
    /// The exclusion of what one of these qualifiers admits and this clearance does not cover. Of nothing at all where both say nothing.
    pub(crate) fn new(criteria: Vec<Arc<Qualifier>>, uncovered_by: Clearance) -> Self {
        Self { criteria, uncovered_by }
    }

    /// The qualifiers of which one must admit what is hit; empty: the labels alone decide.
    pub fn criteria(&self) -> &[Arc<Qualifier>] {
        &self.criteria
    }

    /// The labels of which one must be there: those that this clearance does not cover. Full: the content alone decides.
    pub fn uncovered_by(&self) -> Clearance {
        self.uncovered_by
    }

    fn hits(&self, entries: &[IndexEntry], security: Security) -> bool {
        // What no entry tells may be what the rule takes away.
        let by_content = self.criteria.is_empty()
            || security.has(Security::NOT_TOLD)
            || self.criteria.iter().any(|qualifier| qualifier.admits(entries));
        by_content && (self.uncovered_by.is_full() || !self.uncovered_by.covers(security.labels))
    }
}

impl Admission {
    /// The alternatives: a resource is open where all qualifiers of one of them admit it.
    pub fn alternatives(&self) -> &[Vec<Arc<Qualifier>>] {
        &self.alternatives
    }

    /// What it does not open, whatever the alternatives say.
    pub fn exclusions(&self) -> &[Exclusion] {
        &self.exclusions
    }

    fn admits(&self, entries: &[IndexEntry], security: Security) -> bool {
        // Nor is an element absent because no entry has it.
        let admits = |qualifier: &Arc<Qualifier>| !security.has(qualifier.undecided()) && qualifier.admits(entries);
        self.alternatives.iter().any(|alternative| alternative.iter().all(admits))
            && !self.exclusions.iter().any(|exclusion| exclusion.hits(entries, security))
    }

    /// Whether it opens a resource that will have these index entries and labels.
    pub fn admits_with(&self, entries: &[IndexEntry], (resource_type, security): (ResourceType, Security)) -> bool {
        if security.labels.is_empty() {
            return self.admits(entries, security);
        }
        let mut entries = entries.to_vec();
        entries.extend(security.labels.entries(resource_type));
        self.admits(&entries, security)
    }

    /// Whether it opens a stored version whose labels are not in its body. A deletion has no content that could be judged, and what cannot be read is not opened.
    pub fn admits_version(&self, version: &StoredVersion) -> bool {
        let excluding = self.exclusions.iter().flat_map(|exclusion| &exclusion.criteria);
        let criteria = self.alternatives.iter().flatten().chain(excluding).map(Arc::as_ref);
        let entries = version.body.as_deref().and_then(|body| qualifier::entries(criteria, body, &self.base_url));
        entries.is_some_and(|entries| self.admits_with(&entries, (version.resource_type, version.security)))
    }

    fn of(opening: Opening, base_url: &Arc<str>) -> Option<Self> {
        match opening {
            Opening::Closed | Opening::Whole => None,
            Opening::Qualified(qualifiers) => {
                let alternatives = qualifiers.into_iter().map(|qualifier| vec![qualifier]).collect();
                Some(Self { alternatives, exclusions: Vec::new(), base_url: Arc::clone(base_url), by_part: false })
            }
        }
    }

    /// What one of these qualifiers admits.
    pub(crate) fn of_any(criteria: Vec<Arc<Qualifier>>, base_url: &Arc<str>) -> Self {
        let alternatives = criteria.into_iter().map(|qualifier| vec![qualifier]).collect();
        Self { alternatives, exclusions: Vec::new(), base_url: Arc::clone(base_url), by_part: false }
    }

    /// The same where the operator chose by which part in a record somebody sees it.
    pub(crate) fn of_parts(criteria: Vec<Arc<Qualifier>>, base_url: &Arc<str>) -> Self {
        Self { by_part: true, ..Self::of_any(criteria, base_url) }
    }

    /// Whether the operator chose by which part in a record somebody sees it.
    pub fn is_by_part(&self) -> bool {
        self.by_part
    }

    /// What is left of it where only some criteria are shown; `None` where that is nothing. What a client asked for stays: it is refused where it is looked at.
    fn shown(&self, is_shown: &dyn Fn(&Qualifier) -> bool) -> Option<Self> {
        let shown = |alternative: &&Vec<Arc<Qualifier>>| !self.by_part || alternative.iter().all(|qualifier| is_shown(qualifier));
        let alternatives: Vec<_> = self.alternatives.iter().filter(shown).cloned().collect();
        (!alternatives.is_empty()).then(|| Self { alternatives, ..self.clone() })
    }

    /// Everything but what the exclusion hits.
    pub(crate) fn all_but(exclusion: Exclusion, base_url: &Arc<str>) -> Self {
        Self { alternatives: vec![Vec::new()], exclusions: vec![exclusion], base_url: Arc::clone(base_url), by_part: false }
    }

    /// What both open.
    pub(crate) fn and(&self, other: &Self) -> Self {
        let both = |one: &Vec<Arc<Qualifier>>| {
            let joined = |another: &Vec<Arc<Qualifier>>| one.iter().chain(another).cloned().collect::<Vec<_>>();
            other.alternatives.iter().map(joined).collect::<Vec<_>>()
        };
        let exclusions = self.exclusions.iter().chain(&other.exclusions).cloned().collect();
        let alternatives = self.alternatives.iter().flat_map(both).collect();
        Self { alternatives, exclusions, base_url: Arc::clone(&self.base_url), by_part: self.by_part || other.by_part }
    }
}

/// For which types and letters of a grant only some resources are open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Qualifications(Vec<(ResourceType, Letter, Arc<Admission>)>);

impl Qualifications {
    /// What the scopes of one context say.
    pub(crate) fn of(letters: &TypeLetters) -> Self {
        if !letters.has_qualified() {
            return Self::default();
        }
        let opening = |resource_type, letter| Admission::of(letters.opening(resource_type, letter), letters.base_url());
        Self::each(letters.qualified_types(), opening)
    }

    /// What both the scopes and a registration say: where either has criteria, they hold.
    pub(crate) fn of_both(letters: &TypeLetters, registered: &TypeLetters) -> Self {
        if !letters.has_qualified() && !registered.has_qualified() {
            return Self::default();
        }
        // A registration is read from the registry, which does not know where this server is; a token was verified by it.
        let base_url = letters.base_url();
        let of = |letters: &TypeLetters, resource_type, letter| Admission::of(letters.opening(resource_type, letter), base_url);
        let types = letters.qualified_types().chain(registered.qualified_types());
        Self::each(types, |resource_type, letter| {
            match (of(letters, resource_type, letter), of(registered, resource_type, letter)) {
                (Some(own), Some(other)) => Some(own.and(&other)),
                (own, other) => own.or(other),
            }
        })
    }

    /// What holds for each of these types, of which every other one is open as a whole or closed.
    fn each(types: impl Iterator<Item = ResourceType>, admission: impl Fn(ResourceType, Letter) -> Option<Admission>) -> Self {
        let mut types: Vec<ResourceType> = types.collect();
        types.sort_unstable();
        types.dedup();
        let of_type = |resource_type| Letter::ALL.into_iter().map(move |letter| (resource_type, letter));
        let qualified = types.into_iter().flat_map(of_type);
        Self(
            qualified
                .filter_map(|(resource_type, letter)| Some((resource_type, letter, Arc::new(admission(resource_type, letter)?))))
                .collect(),
        )
    }

    /// Every criterion in it.
    pub fn qualifiers(&self) -> impl Iterator<Item = &Qualifier> + Clone {
        let admissions = self.0.iter().map(|(_, _, admission)| admission);
        admissions.flat_map(|admission| admission.alternatives()).flatten().map(Arc::as_ref)
    }

    /// Whether the operator chose some of the criteria by parts in records.
    pub(crate) fn are_by_part(&self) -> bool {
        self.0.iter().any(|(_, _, admission)| admission.by_part)
    }

    /// Leaves out criteria by parts that are not shown; gives what is open for nothing any more.
    pub(crate) fn without_hidden_parts(&mut self, is_shown: &dyn Fn(&Qualifier) -> bool) -> Vec<(ResourceType, Letter)> {
        let mut closed = Vec::new();
        self.0.retain_mut(|(of, letter, admission)| match admission.shown(is_shown) {
            Some(left) => {
                *admission = Arc::new(left);
                true
            }
            None => {
                closed.push((*of, *letter));
                false
            }
        });
        closed
    }

    /// Whether every open type is open as a whole.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Which resources of a type are open for a letter, where that is not all of them.
    pub fn admission(&self, resource_type: ResourceType, letter: Letter) -> Option<&Admission> {
        let of_both = |(own, other, _): &&(ResourceType, Letter, Arc<Admission>)| *own == resource_type && *other == letter;
        self.0.iter().find(of_both).map(|(_, _, admission)| admission.as_ref())
    }

    /// From now on, of these resources only those are open that this admission admits, too.
    pub(crate) fn narrow(&mut self, resource_type: ResourceType, letter: Letter, admission: &Arc<Admission>) {
        match self.0.iter_mut().find(|(own, other, _)| *own == resource_type && *other == letter) {
            Some((_, _, own)) => *own = Arc::new(own.and(admission)),
            None => self.0.push((resource_type, letter, Arc::clone(admission))),
        }
    }
}
