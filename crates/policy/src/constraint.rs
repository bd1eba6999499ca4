//! The access constraint: what part of the store a permit opens, type by type.
//!
//! A store must AND it into every statement and sub-query before any page limit. There is no value for "no constraint": even
//! an operator's permit names [`Boundary::Whole`], which only a rule can give.

use portcullis_fhir::definitions::{CompartmentType, compartment_parameters};
use portcullis_fhir::labels::Clearance;
use portcullis_fhir::reference::LocalReference;
use portcullis_fhir::types::{LogicalId, ResourceType};
use portcullis_oauth::scopes::Letter;

use crate::qualified::{Admission, Qualifications};

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
    CareRelationship(NonEmpty<LocalReference>),
    /// The compartments of these patients, as far as the care relationship with one of these actors holds.
    PatientsInCare(NonEmpty<LogicalId>, NonEmpty<LocalReference>),
    /// Every record of the granted types. Only a rule that names its reason gives this.
    Whole,
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
}

impl Sources<'_> {
    /// Whether a record of this type may make others visible: whether this one does may depend on its content.
    pub fn contains(&self, resource_type: ResourceType) -> bool {
        self.whole.contains(resource_type) || self.qualified.iter().any(|(qualified, _)| *qualified == resource_type)
    }
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
    /// Every record of the type.
    Every,
    /// Records that are visible in another way, as far as they are admitted by their content.
    Qualified {
        /// The other way; never again a qualified one.
        way: Box<Visibility<'a>>,
        /// Which records.
        admission: &'a Admission,
    },
    /// Provenance for whoever sees every record up to some labels: visible where no target is hidden by its labels.
    AboutNothingHidden {
        /// Up to which labels targets are open.
        clearance: Clearance,
    },
    /// Records that are visible in another way, as far as their own labels are cleared. Full clearances are left out.
    Cleared {
        /// The other way; never again a cleared one.
        way: Box<Visibility<'a>>,
        /// Up to which labels.
        clearance: Clearance,
    },
}

impl<'a> Visibility<'a> {
    /// The way without its qualification and clearance: what it shows at most.
    pub fn unqualified(&self) -> &Self {
        match self {
            Self::Qualified { way, .. } | Self::Cleared { way, .. } => way.unqualified(),
            plain => plain,
        }
    }

    /// Which records it admits by their content, where that is not all of them.
    pub fn admission(&self) -> Option<&'a Admission> {
        match self {
            Self::Qualified { admission, .. } => Some(admission),
            Self::Cleared { way, .. } => way.admission(),
            _ => None,
        }
    }

    /// Up to which labels of their own it shows records.
    pub fn clearance(&self) -> Clearance {
        match self {
            Self::Cleared { clearance, .. } => *clearance,
            _ => Clearance::FULL,
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
    pub(crate) fn new(grants: Vec<Grant>, letter: Letter) -> Option<Self> {
        let grants: Vec<Grant> = grants.into_iter().filter(|grant| !grant.types(letter).is_empty()).collect();
        (!grants.is_empty()).then_some(Self { grants: NonEmptyGrants(grants), letter })
    }

    /// The letter that was decided.
    pub fn letter(&self) -> Letter {
        self.letter
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
            .flat_map(|grant| visibility_in(grant, resource_type, letter))
            .collect()
    }

    /// Every boundary in the constraint.
    pub fn boundaries(&self) -> impl Iterator<Item = &Boundary> {
        self.grants.0.iter().map(|grant| &grant.boundary)
    }

    /// The boundaries that hold for writes of this type.
    pub fn write_boundaries(&self, resource_type: ResourceType) -> impl Iterator<Item = WriteBoundary<'_>> {
        let open = self.grants.0.iter().filter(move |grant| grant.types(self.letter).contains(resource_type));
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

/// Whether records of this type can lie in patient compartments (<https://hl7.org/fhir/R4/compartmentdefinition-patient.html>, and Device).
fn in_patient_compartment(resource_type: ResourceType) -> bool {
    resource_type == ResourceType::PATIENT || !compartment_parameters(CompartmentType::Patient, resource_type).is_empty()
}

fn visibility_in(grant: &Grant, resource_type: ResourceType, letter: Letter) -> Vec<Visibility<'_>> {
    let ways = ways_in(grant, resource_type, letter).into_iter();
    let admission = grant.admission(resource_type, letter);
    let qualified = |way| match admission {
        None => way,
        Some(admission) => Visibility::Qualified { way: Box::new(way), admission },
    };
    ways.map(|way| qualified(way).cleared(grant.clearance)).collect()
}

fn ways_in(grant: &Grant, resource_type: ResourceType, letter: Letter) -> Vec<Visibility<'_>> {
    let boundary = &grant.boundary;
    if *boundary == Boundary::Whole {
        return match (resource_type, grant.clearance) {
            (ResourceType::PROVENANCE, clearance) if !clearance.is_full() => vec![Visibility::AboutNothingHidden { clearance }],
            _ => vec![Visibility::Every],
        };
    }
    // A Provenance grounds nothing: one about two patients is hidden from each of them alone.
    let grounds = |open: &ResourceType| in_patient_compartment(*open) && *open != ResourceType::PROVENANCE;
    let clinical = || {
        let whole = grant.types(letter).iter().filter(grounds).collect();
        let mut sources = Sources { whole, qualified: Vec::new(), clearance: grant.clearance };
        if !grant.qualifications.is_empty() {
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
    if in_patient_compartment(resource_type) {
        ways.push(Visibility::Compartment(boundary));
    }
    if SHARED_TYPES.contains(&resource_type) {
        ways.push(Visibility::ReferencedFrom { boundary, sources: clinical() });
    }
    ways
}
