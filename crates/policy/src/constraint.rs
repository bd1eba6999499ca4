//! The access constraint: what part of the store a permit opens, type by type.
//!
//! A store must AND it into every statement and sub-query before any page limit. There is no value for "no constraint": even
//! an operator's permit names [`Boundary::Whole`], which only a rule can give.

use std::sync::Arc;

use portcullis_fhir::compartment::{is_inside, may_concern};
use portcullis_fhir::labels::{Classifier, Clearance};
use portcullis_fhir::redaction::ElementRules;
use portcullis_fhir::reference::LocalReference;
use portcullis_fhir::types::{LogicalId, ResourceType};
use portcullis_mutants::off;
use portcullis_oauth::scopes::Letter;

use crate::qualified::{Admission, Qualifications};
use crate::redaction;
use crate::relationship::{Actors, Relationship};
use crate::rules::consent::{Memberships, Question};

/// A set that is never empty, so that an empty list cannot be read as "all".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NonEmpty<T>(Vec<T>);

impl<T: Ord> NonEmpty<T> {
    /// The set of these items, or `None` where there are none.
    pub fn of(items: impl IntoIterator<Item = T>) -> Option<Self> {
        let mut items: Vec<T> = items.into_iter().collect();
        items.sort_unstable();
        items.dedup();
        (!items.is_empty()).then_some(Self(items))
    }

    /// The items in ascending order.
    pub fn items(&self) -> &[T] {
        &self.0
    }

    /// Whether the item is in the set.
    pub fn contains(&self, item: &T) -> bool {
        self.0.binary_search(item).is_ok()
    }
}

/// Whose records are inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Boundary {
    /// The compartments of these patients.
    Patients(NonEmpty<LogicalId>),
    /// The compartments of the patients who have an Encounter or a CareTeam that names one of these actors.
    CareRelationship(Actors),
    /// The compartments of these patients, as far as the care relationship with one of these actors holds.
    PatientsInCare(NonEmpty<LogicalId>, Actors),
    /// The compartments of the patients to whom one of these actors has the relationship. Only a rule of the operator gives this.
    Related(Relationship, Actors),
    /// This record alone: what stands for the person who asks.
    Itself(LocalReference),
    /// Every record of the granted types. Only a rule that names its reason gives this.
    Whole,
}

impl Boundary {
    /// Whether it holds this patient's compartment; `in_care` is what the store found about relationships.
    pub fn contains(&self, patient: &LogicalId, in_care: &[(Relationship, LogicalId)]) -> bool {
        let related = |relationship| in_care.iter().any(|(own, other)| *own == relationship && other == patient);
        match self {
            Self::Patients(allowed) => allowed.contains(patient),
            Self::CareRelationship(_) => related(Relationship::Care),
            Self::PatientsInCare(allowed, _) => allowed.contains(patient) && related(Relationship::Care),
            Self::Related(relationship, _) => related(*relationship),
            Self::Itself(_) => false,
            Self::Whole => true,
        }
    }

    /// The relationship that the store must find, and whose it is; `None` where it asks for none.
    pub fn relationship(&self) -> Option<(Relationship, &Actors)> {
        match self {
            Self::CareRelationship(actors) | Self::PatientsInCare(_, actors) => Some((Relationship::Care, actors)),
            Self::Related(relationship, actors) => Some((*relationship, actors)),
            Self::Patients(_) | Self::Itself(_) | Self::Whole => None,
        }
    }
}

/// A set of resource types, as a bit set over [`ResourceType::code`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TypeSet([u64; 4]);

impl TypeSet {
    /// The set with this type added.
    pub fn insert(&mut self, resource_type: ResourceType) {
        let code = resource_type.code();
        if let Some(word) = self.0.get_mut(usize::from(code / 64)) {
            *word |= 1 << (code % 64);
        }
    }

    /// Whether the type is in the set.
    pub fn contains(&self, resource_type: ResourceType) -> bool {
        let code = resource_type.code();
        self.0.get(usize::from(code / 64)).is_some_and(|word| word & (1 << (code % 64)) != 0)
    }

    /// Whether no type is in the set.
    pub fn is_empty(&self) -> bool {
        self.0 == [0; 4]
    }

    /// The types that the other set has not.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        let mut words = self.0;
        words.iter_mut().zip(other.0).for_each(|(own, other)| *own &= !other);
        Self(words)
    }

    /// Whether every type of the other set is in this one.
    pub fn includes(&self, other: &Self) -> bool {
        other.without(self).is_empty()
    }

    /// The types in alphabetical order.
    pub fn iter(&self) -> impl Iterator<Item = ResourceType> + '_ {
        ResourceType::all().filter(|resource_type| self.contains(*resource_type))
    }
}

impl FromIterator<ResourceType> for TypeSet {
    fn from_iter<I: IntoIterator<Item = ResourceType>>(types: I) -> Self {
        let mut set = Self::default();
        types.into_iter().for_each(|resource_type| set.insert(resource_type));
        set
    }
}

/// One boundary with the types that are open inside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Whose records.
    pub boundary: Boundary,
    /// Types that may be read (`r`).
    pub read: TypeSet,
    /// Types that may be searched (`s`).
    pub search: TypeSet,
    /// Types that may be created (`c`).
    pub create: TypeSet,
    /// Types that may be updated (`u`).
    pub update: TypeSet,
    /// Types that may be deleted (`d`).
    pub delete: TypeSet,
    /// For which of these types only some resources are open. Empty where the scopes have no criteria.
    pub qualifications: Qualifications,
    /// Up to which labels records are open.
    pub clearance: Clearance,
}

impl Grant {
    /// The types that this letter opens.
    pub fn types(&self, letter: Letter) -> &TypeSet {
        match letter {
            Letter::Create => &self.create,
            Letter::Read => &self.read,
            Letter::Update => &self.update,
            Letter::Delete => &self.delete,
            Letter::Search => &self.search,
        }
    }

    pub(crate) fn types_mut(&mut self, letter: Letter) -> &mut TypeSet {
        match letter {
            Letter::Create => &mut self.create,
            Letter::Read => &mut self.read,
            Letter::Update => &mut self.update,
            Letter::Delete => &mut self.delete,
            Letter::Search => &mut self.search,
        }
    }

    /// From now on a type is not open for a letter.
    pub(crate) fn close(&mut self, resource_type: ResourceType, letter: Letter) {
        let one: TypeSet = std::iter::once(resource_type).collect();
        let types = self.types_mut(letter);
        *types = types.without(&one);
    }

    /// Which resources of an open type are open for a letter, where that is not all of them.
    pub fn admission(&self, resource_type: ResourceType, letter: Letter) -> Option<&Admission> {
        self.qualifications.admission(resource_type, letter)
    }
}

/// What a permit opens: the union of its grants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Constraint {
    grants: NonEmptyGrants,
    /// The letter that was decided: it says which of the grants' types count.
    letter: Letter,
    /// What is asked of the consents of patients; `None` where none is asked.
    question: Option<Arc<Question>>,
    /// Elements that are shown only to those who are cleared for their labels.
    elements: Arc<ElementRules>,
    /// How labels say that this server assigned them.
    classifier: Option<Classifier>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct NonEmptyGrants(Vec<Grant>);

/// The types of the records that make others visible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sources<'a> {
    /// Types that are open as a whole.
    pub whole: TypeSet,
    /// Types of which only some records are open.
    pub qualified: Vec<(ResourceType, &'a Admission)>,
    /// Up to which labels a record makes others visible: what is hidden by its labels shows nothing else.
    pub clearance: Clearance,
    /// What its patients are asked: what is hidden by a consent shows nothing else.
    pub asking: Option<Asking<'a>>,
}

impl Sources<'_> {
    /// Whether a record of this type may make others visible: whether this one does may depend on its content.
    pub fn contains(&self, resource_type: ResourceType) -> bool {
        self.whole.contains(resource_type) || self.qualified.iter().any(|(qualified, _)| *qualified == resource_type)
    }
}

/// A question with what would happen to a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asking<'a> {
    /// The question.
    pub question: &'a Question,
    /// What for.
    pub letter: Letter,
}

/// How one grant shows records of one type. A record is visible when any of them holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Visibility<'a> {
    /// Records in the boundary's compartments.
    Compartment(&'a Boundary),
    /// Shared records (Organization, Practitioner, ...) in nobody's compartment that a record of one of these types in the boundary's compartments
    /// refers to. A Device with a patient is that patient's, and whoever else refers to it does not see it.
    ReferencedFrom {
        /// Whose records refer.
        boundary: &'a Boundary,
        /// The types of the referring records.
        sources: Sources<'a>,
    },
    /// Records about records (Provenance): visible when `target` names at least one record of these types in the boundary's compartments,
    /// and no local record outside.
    About {
        /// Whose records are targets.
        boundary: &'a Boundary,
        /// The types that the targets may have.
        targets: Sources<'a>,
    },
    /// This record, and no other of its type.
    Itself(&'a LocalReference),
    /// Every record of the type.
    Every,
    /// Records that are visible in another way, as far as they are admitted by their content.
    Qualified {
        /// The other way; never again a qualified one.
        way: Box<Visibility<'a>>,
        /// Which records.
        admission: &'a Admission,
    },
    /// Provenance for whoever sees every record but for what labels and consents hide: visible where no target is hidden.
    AboutNothingHidden {
        /// Up to which labels targets are open.
        clearance: Clearance,
        /// What the patients of targets are asked.
        asking: Option<Asking<'a>>,
    },
    /// Records that are visible in another way, as far as their own labels are cleared. Full clearances are left out.
    Cleared {
        /// The other way; never again a cleared one.
        way: Box<Visibility<'a>>,
        /// Up to which labels.
        clearance: Clearance,
    },
    /// Records that are visible in another way, as far as the consents of their patients permit.
    Consented {
        /// The other way; never again a consented one.
        way: Box<Visibility<'a>>,
        /// What they are asked.
        asking: Asking<'a>,
    },
}

impl<'a> Visibility<'a> {
    /// The way without its qualification and clearance: what it shows at most.
    pub fn unqualified(&self) -> &Self {
        match self {
            Self::Qualified { way, .. } | Self::Cleared { way, .. } | Self::Consented { way, .. } => way.unqualified(),
            plain => plain,
        }
    }

    /// Which records it admits by their content, where that is not all of them.
    pub fn admission(&self) -> Option<&'a Admission> {
        match self {
            Self::Qualified { admission, .. } => Some(admission),
            Self::Cleared { way, .. } | Self::Consented { way, .. } => way.admission(),
            _ => None,
        }
    }

    /// Up to which labels of their own it shows records.
    pub fn clearance(&self) -> Clearance {
        match self {
            Self::Cleared { clearance, .. } => *clearance,
            Self::Consented { way, .. } => way.clearance(),
            _ => Clearance::FULL,
        }
    }

    /// What the patients of a record are asked.
    pub fn asking(&self) -> Option<Asking<'a>> {
        match self {
            Self::Consented { asking, .. } => Some(*asking),
            _ => None,
        }
    }

    /// The same for records to which their patients consent.
    fn consented(self, asking: Option<Asking<'a>>) -> Self {
        match asking {
            None => self,
            Some(asking) => Self::Consented { way: Box::new(self), asking },
        }
    }

    /// The same for records up to these labels.
    fn cleared(self, clearance: Clearance) -> Self {
        if clearance.is_full() { self } else { Self::Cleared { way: Box::new(self), clearance } }
    }
}

/// What a grant says about records that may be written: they must lie wholly inside the boundary, before and after.
#[derive(Clone, Copy, Debug)]
pub struct WriteBoundary<'a> {
    /// Whose records.
    pub boundary: &'a Boundary,
    /// What a record must be besides.
    pub admission: Option<&'a Admission>,
    /// Up to which labels.
    pub clearance: Clearance,
}

impl WriteBoundary<'_> {
    /// Whether nothing is outside.
    pub fn is_everything(&self) -> bool {
        *self.boundary == Boundary::Whole && self.admission.is_none() && self.clearance.is_full()
    }
}

impl Constraint {
    pub(crate) fn new(grants: Vec<Grant>, letter: Letter, question: Option<Arc<Question>>) -> Option<Self> {
        let grants: Vec<Grant> = grants.into_iter().filter(|grant| !grant.types(letter).is_empty()).collect();
        let elements = Arc::default();
        (!grants.is_empty()).then_some(Self { grants: NonEmptyGrants(grants), letter, question, elements, classifier: None })
    }

    /// The same under the operator's list of elements.
    pub(crate) fn without_elements(self, elements: &Arc<ElementRules>) -> Self {
        Self { elements: Arc::clone(elements), ..self }
    }

    /// The same where labels say who assigned them.
    pub(crate) fn classified_by(self, classifier: Option<&Classifier>) -> Self {
        Self { classifier: classifier.cloned(), ..self }
    }

    pub(crate) fn classifier(&self) -> Option<&Classifier> {
        self.classifier.as_ref()
    }

    pub(crate) fn elements(&self) -> &Arc<ElementRules> {
        &self.elements
    }

    pub(crate) fn grants(&self) -> &[Grant] {
        &self.grants.0
    }

    /// The letter that was decided.
    pub fn letter(&self) -> Letter {
        self.letter
    }

    /// What is asked of the consents of patients; `None`: nothing, which only a rule about operators gives, or a store that holds no consent at all.
    pub fn question(&self) -> Option<&Question> {
        self.question.as_deref()
    }

    /// The same once a store knows what the requester is besides.
    #[must_use]
    pub fn joined(&self, memberships: &Memberships) -> Self {
        let question = self.question().map(|question| Arc::new(question.joined(memberships)));
        Self { question, ..self.clone() }
    }

    /// The same for the statements of a store that has just found that it holds no consent at all, where the implicit policy lets the request in. Release asks
    /// again, and of the constraint as it was.
    #[must_use]
    pub fn where_nobody_consented(&self) -> Self {
        let question = self.question.clone().filter(|question| !question.is_implicitly_permitted());
        Self { question, ..self.clone() }
    }

    /// The same for the statements of a store that has just found that these patients let whoever asks have everything: their records are not asked about one by
    /// one. Release asks about each, and of the constraint as it was.
    #[must_use]
    pub fn where_agreed(&self, agreed: Vec<LogicalId>) -> Self {
        let all_own = self.asks_only_of_own_records().is_some_and(|own| own.iter().all(|patient| agreed.contains(patient)));
        let question = self.question().filter(|_| !all_own).map(|question| Arc::new(question.where_agreed(agreed)));
        Self { question, ..self.clone() }
    }

    /// The patients who alone are asked, where nothing but their own records is inside and nothing is changed. Others have a say in everything else.
    pub fn asks_only_of_own_records(&self) -> Option<&[LogicalId]> {
        let own = self.question()?.own();
        let is_own = |boundary: &Boundary| match boundary {
            Boundary::Patients(patients) => patients.items().iter().all(|patient| own.contains(patient)),
            Boundary::Itself(record) => record.resource_type == ResourceType::PATIENT && own.contains(&record.id),
            Boundary::CareRelationship(_) | Boundary::PatientsInCare(..) | Boundary::Related(..) | Boundary::Whole => false,
        };
        let is_read = matches!(self.letter, Letter::Read | Letter::Search);
        (is_read && self.boundaries().all(is_own)).then_some(own)
    }

    /// The same for the statements of a store that has just found no consent of any of those [who alone are asked](Self::asks_only_of_own_records): then their own
    /// records are open to them, whatever the implicit policy says. Release asks again, and of the constraint as it was.
    #[must_use]
    pub fn where_owners_said_nothing(&self) -> Self {
        let question = self.question.clone().filter(|_| self.asks_only_of_own_records().is_none());
        Self { question, ..self.clone() }
    }

    /// The ways in which records of this type are visible for the decided letter; empty: hidden.
    pub fn visibility(&self, resource_type: ResourceType) -> Vec<Visibility<'_>> {
        self.visibility_for(resource_type, self.letter)
    }

    /// The ways in which records of this type are visible for another letter (the answer to a write is a read).
    pub fn visibility_for(&self, resource_type: ResourceType, letter: Letter) -> Vec<Visibility<'_>> {
        let grants = self.grants.0.iter();
        grants
            .filter(|grant| grant.types(letter).contains(resource_type))
            .flat_map(|grant| visibility_in(grant, resource_type, (letter, self.question())))
            .map(|way| redaction::by_shown_references(way, &self.elements))
            .collect()
    }

    /// Every boundary in the constraint.
    pub fn boundaries(&self) -> impl Iterator<Item = &Boundary> {
        self.grants.0.iter().map(|grant| &grant.boundary)
    }

    /// The boundaries that hold for writes of this type.
    pub fn write_boundaries(&self, resource_type: ResourceType) -> impl Iterator<Item = WriteBoundary<'_>> {
        let open = self.grants.0.iter().filter(move |grant| grant.types(self.letter).contains(resource_type));
        // What lies outside all records is written by those alone whom nothing bounds, whomever it names.
        let is_inside = is_inside(resource_type) || off!("write-outside");
        let open = open.filter(move |grant| is_inside || grant.boundary == Boundary::Whole);
        open.map(move |grant| WriteBoundary {
            boundary: &grant.boundary,
            admission: grant.admission(resource_type, self.letter),
            clearance: grant.clearance,
        })
    }

    /// Whether grants differ in the labels up to which they show records.
    pub fn has_several_clearances(&self) -> bool {
        self.grants.0.windows(2).any(|pair| matches!(pair, [one, other] if one.clearance != other.clearance))
    }

    /// Whether some type is open in part only.
    pub fn is_qualified(&self) -> bool {
        self.grants.0.iter().any(|grant| !grant.qualifications.is_empty())
    }
}

/// Directory types outside every patient compartment that a patient's records refer to (spec-notes section 4). They are visible
/// only where a visible record refers to them, never as a directory. A Device is both: inside where it names a patient, shared where it names none.
pub const SHARED_TYPES: &[ResourceType] = portcullis_fhir::compartment::DIRECTORY_TYPES;

fn visibility_in<'a>(
    grant: &'a Grant,
    resource_type: ResourceType,
    (letter, question): (Letter, Option<&'a Question>),
) -> Vec<Visibility<'a>> {
    let asking = question.map(|question| Asking { question, letter });
    let ways = ways_in(grant, resource_type, (letter, asking)).into_iter();
    // Who looked is not the patients' to hide; a directory has nobody to ask.
    let concerns = if off!("concerned") { is_inside(resource_type) } else { may_concern(resource_type) };
    let is_asked = resource_type != ResourceType::AUDIT_EVENT && concerns;
    let asking = asking.filter(|_| is_asked && !off!("consent"));
    let admission = grant.admission(resource_type, letter).filter(|_| !off!("criteria"));
    let qualified = |way| match admission {
        None => way,
        Some(admission) => Visibility::Qualified { way: Box::new(way), admission },
    };
    let clearance = if off!("clearance") { Clearance::FULL } else { grant.clearance };
    ways.map(|way| qualified(way).cleared(clearance).consented(asking)).collect()
}

fn ways_in<'a>(
    grant: &'a Grant,
    resource_type: ResourceType,
    (letter, asking): (Letter, Option<Asking<'a>>),
) -> Vec<Visibility<'a>> {
    let boundary = &grant.boundary;
    if let Boundary::Itself(record) = boundary {
        return Vec::from_iter((record.resource_type == resource_type).then_some(Visibility::Itself(record)));
    }
    if *boundary == Boundary::Whole || off!("shared") && SHARED_TYPES.contains(&resource_type) {
        return match (resource_type, grant.clearance) {
            (ResourceType::PROVENANCE | ResourceType::BINARY, clearance) if !clearance.is_full() || asking.is_some() => {
                vec![Visibility::AboutNothingHidden { clearance, asking }]
            }
            _ => vec![Visibility::Every],
        };
    }
    // A Provenance grounds nothing: one about two patients is hidden from each of them alone.
    let follows = |of: ResourceType| matches!(of, ResourceType::PROVENANCE | ResourceType::BINARY);
    let grounds = |open: &ResourceType| is_inside(*open) && !follows(*open);
    let clinical = || {
        let whole = grant.types(letter).iter().filter(grounds).collect();
        let clearance = if off!("clearance-of-sources") { Clearance::FULL } else { grant.clearance };
        let asking = asking.filter(|_| !off!("consent-of-sources"));
        let mut sources = Sources { whole, qualified: Vec::new(), clearance, asking };
        if !grant.qualifications.is_empty() && !off!("criteria-of-sources") {
            let admission = |source| Some((source, grant.admission(source, letter)?));
            sources.qualified = sources.whole.iter().filter_map(admission).collect();
            sources.whole = sources.whole.iter().filter(|source| grant.admission(*source, letter).is_none()).collect();
        }
        sources
    };
    if resource_type == ResourceType::PROVENANCE {
        return vec![Visibility::About { boundary, targets: clinical() }];
    }
    let mut ways = Vec::new();
    if is_inside(resource_type) {
        ways.push(Visibility::Compartment(boundary));
    }
    // The access to a Binary is that to its security context.
    if resource_type == ResourceType::BINARY {
        ways.push(Visibility::About { boundary, targets: clinical() });
    }
    if SHARED_TYPES.contains(&resource_type) {
        ways.push(Visibility::ReferencedFrom { boundary, sources: clinical() });
    }
    ways
}
