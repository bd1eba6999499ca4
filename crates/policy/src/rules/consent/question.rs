//! What is asked of the consents of patients for one request: who asks, why, when, and what holds where no consent says anything.
//!
//! Made from the principal alone ([`Question::of`]). What only a store can tell (of which organisations a practitioner is) comes as [`Memberships`], read in the
//! same snapshot as the data. Patients asking for the own record are asked by the own consents alone; everybody else by those of every patient of a record.

use portcullis_fhir::reference::{LocalReference, Reference};
use portcullis_fhir::types::{LogicalId, ResourceType};
use portcullis_oauth::principal::{Circumstances, Principal};
use portcullis_oauth::scopes::Letter;
use portcullis_oauth::users::Role;

use super::compiled::{CompiledConsent, Context};
use super::document::Effect;
use super::evaluate::decide;
use super::facts::{Request, ResourceFacts};
use super::implicit::implied;
use super::vocabulary::{Actions, Purpose};
use crate::constraint::TypeSet;

/// What somebody is besides the own person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memberships {
    /// The roles, organisations and care teams.
    pub actors: Vec<Reference>,
    /// The types of actors of which all were found: a consent that names another one is about somebody else.
    pub known: TypeSet,
}

/// The question of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    actors: Vec<Reference>,
    client: Vec<Reference>,
    unresolved: TypeSet,
    purpose: Purpose,
    by_clinician: bool,
    /// The patients whose own record the requester's is.
    own: Vec<LogicalId>,
    /// The practitioner of whom a store knows more.
    person: Option<LocalReference>,
    circumstances: Circumstances,
}

impl Question {
    /// The question that a principal asks; `None` where the circumstances are not known.
    pub fn of(principal: &Principal) -> Option<Self> {
        let circumstances = principal.circumstances()?.clone();
        let issuer = Context::of(&circumstances.base_url).issuer.into();
        let client = Reference::Identifier { system: issuer, value: principal.client().as_str().into() };
        let user = principal.user();
        let fhir_user = user.and_then(|user| user.fhir_user.clone());
        let is_practitioner = |person: &LocalReference| person.resource_type == ResourceType::PRACTITIONER;
        Some(Self {
            actors: fhir_user.iter().cloned().map(Reference::Local).collect(),
            client: vec![client],
            unresolved: unresolved(principal, fhir_user.as_ref()),
            purpose: Purpose::from(principal.purpose_of_use()),
            by_clinician: principal.roles().contains(Role::Clinician),
            own: own_records(principal),
            person: fhir_user.filter(is_practitioner),
            circumstances,
        })
    }

    /// The practitioner whose memberships a store knows.
    pub fn person(&self) -> Option<&LocalReference> {
        self.person.as_ref()
    }

    /// The same question when it is known what the person is besides.
    #[must_use]
    pub fn joined(&self, memberships: &Memberships) -> Self {
        let mut joined = self.clone();
        joined.actors.extend(memberships.actors.iter().cloned());
        joined.unresolved = self.unresolved.iter().filter(|unknown| !memberships.known.contains(*unknown)).collect();
        joined
    }

    /// Where the server is.
    pub fn context(&self) -> Context<'_> {
        Context::of(&self.circumstances.base_url)
    }

    /// When it is asked, in milliseconds since the epoch.
    pub fn now(&self) -> i64 {
        self.circumstances.now
    }

    /// The patients whose own record it is.
    pub fn own(&self) -> &[LogicalId] {
        &self.own
    }

    /// Everything that the requester is, and the client.
    pub fn actors(&self) -> impl Iterator<Item = &Reference> {
        self.actors.iter().chain(&self.client)
    }

    /// What names the client.
    pub fn client(&self) -> &[Reference] {
        &self.client
    }

    /// The types of actors of which the requester may be one.
    pub fn unresolved(&self) -> &TypeSet {
        &self.unresolved
    }

    /// Why it is asked.
    pub fn purpose(&self) -> &Purpose {
        &self.purpose
    }

    /// Whether the implicit policy lets the request in.
    pub fn is_implicitly_permitted(&self) -> bool {
        // What happens with the data makes no difference to it.
        implied(self.circumstances.implicit, &self.request(Actions::NONE, false)) == Effect::Permit
    }

    /// The patients of a record whose consents are asked, and whether it is their own record.
    pub fn asked<'p>(&self, patients: &'p [LogicalId]) -> (Vec<&'p LogicalId>, bool) {
        let own: Vec<&LogicalId> = patients.iter().filter(|patient| self.own.contains(patient)).collect();
        if own.is_empty() { (patients.iter().collect(), false) } else { (own, true) }
    }

    /// Whether the consents of all who are asked let the request have a record of these patients.
    pub fn permits(
        &self,
        consents: &[CompiledConsent],
        (patients, resource): (&[LogicalId], &ResourceFacts),
        letter: Letter,
    ) -> bool {
        let (asked, own_record) = self.asked(patients);
        let permitted = |patient: &LogicalId, actions: Actions| {
            let request = self.request(actions, own_record);
            decide(consents, patient, (&request, resource), self.circumstances.implicit).effect == Effect::Permit
        };
        asked.into_iter().all(|patient| actions_of(letter).iter().all(|actions| permitted(patient, *actions)))
    }

    fn request(&self, actions: Actions, own_record: bool) -> Request<'_> {
        Request {
            actors: &self.actors,
            client: &self.client,
            unresolved: &self.unresolved,
            purpose: &self.purpose,
            actions,
            by_clinician: self.by_clinician,
            own_record,
            now: self.circumstances.now,
        }
    }
}

/// What happens with a record: each of these must be permitted. Who changes something has found it first.
pub fn actions_of(letter: Letter) -> &'static [Actions] {
    const READING: &[Actions] = &[Actions::of_reading()];
    const CREATING: &[Actions] = &[Actions::of_creating()];
    const CHANGING: &[Actions] = &[Actions::of_reading(), Actions::of_changing()];
    match letter {
        Letter::Read | Letter::Search => READING,
        Letter::Create => CREATING,
        Letter::Update | Letter::Delete => CHANGING,
    }
}

/// The patients whose own record the user's is: not those for whom the user acts.
fn own_records(principal: &Principal) -> Vec<LogicalId> {
    let Some(user) = principal.user().filter(|user| user.roles.contains(Role::Patient)) else { return Vec::new() };
    let acts_for = |patient: &LogicalId| user.represents.iter().any(|representation| representation.patient == *patient);
    let own: Vec<&LogicalId> = user.patients.iter().filter(|patient| !acts_for(patient)).collect();
    match (&user.fhir_user, own.as_slice()) {
        (Some(LocalReference { resource_type: ResourceType::PATIENT, id }), own) => {
            own.iter().filter(|patient| **patient == id).map(|patient| (*patient).clone()).collect()
        }
        (Some(LocalReference { resource_type: ResourceType::RELATED_PERSON, .. }), _) => Vec::new(),
        (_, [only]) if !user.roles.contains(Role::Representative) => vec![(*only).clone()],
        _ => Vec::new(),
    }
}

/// The types of actors of which nobody knows whether the requester is one. People who ask for themselves or for a relative ask as no practitioner and for no
/// organisation, whatever else they are.
fn unresolved(principal: &Principal, fhir_user: Option<&LocalReference>) -> TypeSet {
    let mut types = vec![ResourceType::DEVICE, ResourceType::CARE_TEAM];
    types.extend(ResourceType::parse("Group"));
    let Some(user) = principal.user() else {
        // A client on its own behalf is an organisation's, and no person.
        types.push(ResourceType::ORGANIZATION);
        return types.into_iter().collect();
    };
    let is = |resource_type| fhir_user.is_some_and(|person| person.resource_type == resource_type);
    if user.roles.iter().any(|role| !matches!(role, Role::Patient | Role::Representative)) {
        types.extend([ResourceType::ORGANIZATION, ResourceType::PRACTITIONER_ROLE]);
        // Whose role or what person it is, a store does not say of those who are known by another record.
        if !is(ResourceType::PRACTITIONER) {
            types.push(ResourceType::PRACTITIONER);
        }
    }
    // Who acts for a patient may be a relative by another record.
    if user.roles.contains(Role::Representative) && !is(ResourceType::RELATED_PERSON) {
        types.push(ResourceType::RELATED_PERSON);
    }
    types.into_iter().collect()
}
