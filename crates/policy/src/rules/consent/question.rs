//! What is asked of the consents of patients for one request: who asks, why, when, and what holds where no consent says anything.
//!
//! Made from the principal alone ([`Question::of`]). What only a store can tell (of which organisations a practitioner is) comes as [`Memberships`], read in the
//! same snapshot as the data. Patients asking for the own record are asked by the own consents alone; everybody else by those of every patient of a record.

use portcullis_fhir::purpose::PurposeOfUse;
use portcullis_fhir::reference::{LocalReference, Reference};
use portcullis_fhir::types::{LogicalId, ResourceType};
use portcullis_mutants::off;
use portcullis_oauth::principal::{Circumstances, Principal, PrincipalUser};
use portcullis_oauth::scopes::Letter;
use portcullis_oauth::users::Role;

use super::compiled::{CompiledConsent, Context};
use super::criteria::Match;
use super::document::Effect;
use super::evaluate::{Ground, Verdict, decide};
use super::facts::{Request, ResourceFacts};
use super::implicit::{ImplicitPolicy, implied};
use super::rows::{ConsentRow, rows};
use super::verdicts::Verdicts;
use super::vocabulary::{Actions, Purpose};
use crate::constraint::TypeSet;

/// What somebody is besides the own person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memberships {
    /// The roles, organisations and care teams.
    pub actors: Vec<Reference>,
    /// The organisations of which those are parts: a consent that names one may mean its parts, too.
    pub wider: Vec<Reference>,
    /// The types of actors of which all were found: a consent that names another one is about somebody else.
    pub known: TypeSet,
    /// Care teams, groups and devices that consents name, of which all members are known and the requester is none.
    pub others: Vec<Reference>,
}

impl Memberships {
    /// Whether the requester is certainly not of this team, group or device.
    pub fn excludes(&self, party: &Reference) -> bool {
        self.others.contains(party)
    }
}

/// The question of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    actors: Vec<Reference>,
    /// The organisations of which those are parts.
    wider: Vec<Reference>,
    client: Vec<Reference>,
    unresolved: TypeSet,
    /// Of these the requester is certainly none.
    others: Vec<Reference>,
    purpose: Purpose,
    by_clinician: bool,
    /// The patients whose own record the requester's is.
    own: Vec<LogicalId>,
    /// Who asks, as a resource.
    fhir_user: Option<LocalReference>,
    /// The patients for whom the user acts.
    acts_for: Vec<LogicalId>,
    /// The purposes of who acts for a patient, and of a clinician.
    capacities: [Purpose; 2],
    circumstances: Circumstances,
    /// Patients of whom a store has just found that they let whoever asks have everything: statements need not ask them again. Release does.
    agreed: Vec<LogicalId>,
}

impl Question {
    /// The question that a principal asks; `None` where the circumstances are not known.
    pub fn of(principal: &Principal) -> Option<Self> {
        let circumstances = principal.circumstances()?.clone();
        let issuer = Context::of(&circumstances.base_url).issuer.into();
        let client = Reference::Identifier { system: issuer, value: principal.client().as_str().into() };
        let user = principal.user();
        let fhir_user = user.and_then(|user| user.fhir_user.clone());
        Some(Self {
            actors: fhir_user.iter().cloned().map(Reference::Local).collect(),
            wider: Vec::new(),
            client: vec![client],
            unresolved: unresolved(principal, fhir_user.as_ref()),
            others: Vec::new(),
            purpose: Purpose::from(principal.purpose_of_use()),
            by_clinician: principal.roles().contains(Role::Clinician),
            own: principal.user().map(own_records).unwrap_or_default(),
            fhir_user,
            acts_for: user.map(acted_for).unwrap_or_default(),
            capacities: [PurposeOfUse::FAMILY_REQUEST, PurposeOfUse::TREATMENT].map(Purpose::from),
            circumstances,
            agreed: Vec::new(),
        })
    }

    /// The practitioner whose memberships a store knows.
    pub fn person(&self) -> Option<&LocalReference> {
        self.fhir_user.as_ref().filter(|person| person.resource_type == ResourceType::PRACTITIONER)
    }

    /// Who asks, as a resource.
    pub fn fhir_user(&self) -> Option<&LocalReference> {
        self.fhir_user.as_ref()
    }

    /// Whether a consent denies whoever asks anything, or may: whatever for, whenever, and whatever its exceptions say.
    pub fn may_be_denied_by(&self, consent: &CompiledConsent) -> bool {
        let own_record = self.own.contains(consent.patient());
        let request = self.request(Actions::NONE, own_record);
        let Ok(rows) = rows(consent) else { return !own_record };
        let names_client = |row: &ConsentRow| row.actors.iter().any(|actor| request.client.contains(actor));
        let concerns = |row: &ConsentRow| row.actors.iter().all(|actor| request.is(actor) != Match::No);
        rows.iter().any(|row| row.effect == Effect::Deny && concerns(row) && (!own_record || names_client(row)))
    }

    /// The same question when it is known what the person is besides.
    #[must_use]
    pub fn joined(&self, memberships: &Memberships) -> Self {
        let mut joined = self.clone();
        let is_device =
            |actor: &&Reference| matches!(actor, Reference::Local(local) if local.resource_type == ResourceType::DEVICE);
        joined.client.extend(memberships.actors.iter().filter(is_device).cloned());
        joined.actors.extend(memberships.actors.iter().filter(|actor| !is_device(actor)).cloned());
        if !off!("consent-parts") {
            joined.wider.extend(memberships.wider.iter().cloned());
        }
        joined.others.extend(memberships.others.iter().cloned());
        joined.unresolved = self.unresolved.iter().filter(|unknown| !memberships.known.contains(*unknown)).collect();
        joined
    }

    /// The same for the statements of a store that has found in the same snapshot that these patients [let whoever asks have
    /// everything](Self::is_let_in_to_everything_of).
    #[must_use]
    pub fn where_agreed(&self, agreed: Vec<LogicalId>) -> Self {
        Self { agreed, ..self.clone() }
    }

    /// The patients whom statements need not ask.
    pub fn agreed(&self) -> &[LogicalId] {
        &self.agreed
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

    /// The organisations of which the requester's are parts.
    pub fn wider(&self) -> &[Reference] {
        &self.wider
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

    /// The purpose in which somebody who is several things opens the record of a patient whatever the request states: what denies that purpose denies the request, too.
    /// Who acts for a patient asks as the family, and a clinician who does not as a clinician.
    pub(super) fn besides(&self, patient: &LogicalId) -> Option<&Purpose> {
        let [family, treatment] = &self.capacities;
        let capacity = match (self.acts_for.contains(patient), self.by_clinician) {
            (true, _) => family,
            (false, true) => treatment,
            (false, false) => return None,
        };
        (!self.own.contains(patient) && capacity.covers(&self.purpose) == Match::No).then_some(capacity)
    }

    /// The same for statements: the patients for whom the user acts, the purpose in which the user opens their records besides, and that for the records of all others.
    pub fn capacities(&self) -> (&[LogicalId], Option<&Purpose>, Option<&Purpose>) {
        let [family, treatment] = &self.capacities;
        let besides = |capacity: &'_ Purpose, holds: bool| holds && capacity.covers(&self.purpose) == Match::No;
        let acts = besides(family, !self.acts_for.is_empty());
        (&self.acts_for, acts.then_some(family), besides(treatment, self.by_clinician).then_some(treatment))
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

    /// Whether the consents of all who are asked let the request have a record of these patients; `verdicts` notes what they say.
    pub fn permits(
        &self,
        consents: &[CompiledConsent],
        (patients, resource): (&[LogicalId], &ResourceFacts),
        letter: Letter,
        verdicts: &mut Verdicts,
    ) -> bool {
        let (asked, own_record) = self.asked(patients);
        let mut permitted = |patient: &LogicalId, actions: Actions| {
            let request = self.request(actions, own_record);
            let verdict = decide(consents, patient, (&request, resource), self.circumstances.implicit);
            verdicts.note((patient, &request), &verdict);
            let besides = || {
                let request = Request { purpose: self.besides(patient)?, ..request };
                let verdict = decide(consents, patient, (&request, resource), ImplicitPolicy::AllNormal);
                // What denies the other capacity of whoever asks denies the request; what permits it does not decide.
                Some(verdict).filter(|verdict| verdict.effect == Effect::Deny)
            };
            if verdict.effect == Effect::Deny {
                return false;
            }
            let besides = besides();
            besides.iter().for_each(|verdict| verdicts.note((patient, &request), verdict));
            besides.is_none()
        };
        asked.into_iter().all(|patient| actions_of(letter).iter().all(|actions| permitted(patient, *actions)))
    }

    /// What is noted where none of these patients, who are asked, has a consent.
    pub(crate) fn note_silence(&self, patients: &[LogicalId], verdicts: &mut Verdicts) {
        let request = self.request(Actions::NONE, false);
        let effect = implied(self.circumstances.implicit, &request);
        // Which is nearly always so, and nothing to note.
        if effect == Effect::Permit && !self.purpose.is_break_glass() {
            return;
        }
        let (asked, own_record) = self.asked(patients);
        for patient in asked.into_iter().filter(|_| !own_record) {
            let ground = Ground::Implicit(self.circumstances.implicit);
            verdicts.note((patient, &request), &Verdict { effect, ground, by: None });
        }
    }

    /// What holds where no consent says anything.
    pub fn implicit(&self) -> ImplicitPolicy {
        self.circumstances.implicit
    }

    pub(super) fn request(&self, actions: Actions, own_record: bool) -> Request<'_> {
        Request {
            actors: &self.actors,
            wider: &self.wider,
            client: &self.client,
            unresolved: &self.unresolved,
            others: &self.others,
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
pub fn own_records(user: &PrincipalUser) -> Vec<LogicalId> {
    if !user.roles.contains(Role::Patient) {
        return Vec::new();
    }
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

/// The patients for whom a user acts: not the own record.
fn acted_for(user: &PrincipalUser) -> Vec<LogicalId> {
    let own = own_records(user);
    user.patients.iter().filter(|patient| !own.contains(patient)).cloned().collect()
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
