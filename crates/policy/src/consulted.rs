//! What a store has read of the consents of the patients of an answer, in the snapshot of the data: by this, release judges each version again.
//!
//! It says for whom it was read. A record of anybody else is not released: an empty list of consents is not an unknown one.

use std::cell::RefCell;
use std::collections::BTreeMap;

use portcullis_fhir::index;
use portcullis_fhir::labels::Labels;
use portcullis_fhir::reference::LocalReference;
use portcullis_fhir::resource::Resource;
use portcullis_fhir::types::{LogicalId, ResourceType};
use portcullis_oauth::scopes::Letter;

use crate::rules::consent::{CompiledConsent, Memberships, Question, ResourceFacts, Verdicts};
use crate::stored::StoredVersion;

/// For whom consents were read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ConsentsOf {
    /// For nobody: nothing that is somebody's may be released where consents are asked.
    #[default]
    Nobody,
    /// For these patients, ascending.
    Patients(Vec<LogicalId>),
    /// For everybody: nobody has any.
    Everybody,
}

/// Consents as a store has read them.
#[derive(Clone, Debug, Default)]
pub struct Consulted {
    /// Whose.
    pub of: ConsentsOf,
    /// Those that count, in no order.
    pub consents: Vec<CompiledConsent>,
    /// What the requester is.
    pub memberships: Memberships,
    /// To what the resources that consents relate to refer.
    pub related: Vec<(LocalReference, Vec<LocalReference>)>,
}

impl Consulted {
    /// What a store says that holds no consent at all.
    pub fn nobody_has_any() -> Self {
        Self { of: ConsentsOf::Everybody, ..Self::default() }
    }

    /// Whether nobody has said anything, and the implicit policy lets the question in: whatever it is about.
    pub fn is_silent(&self, question: &Question) -> bool {
        self.consents.is_empty() && self.of != ConsentsOf::Nobody && question.is_implicitly_permitted()
    }

    /// Whether it is known what this patient has said.
    pub fn knows(&self, patient: &LogicalId) -> bool {
        match &self.of {
            ConsentsOf::Nobody => false,
            ConsentsOf::Patients(known) => known.binary_search(patient).is_ok(),
            ConsentsOf::Everybody => true,
        }
    }

    /// Whether the consents let a question, which has been [joined](Question::joined) with the memberships, have a version.
    pub fn permits(&self, question: &Question, letter: Letter, version: &StoredVersion) -> bool {
        self.permits_noting(question, letter, version, &mut Verdicts::default())
    }

    /// The same; `verdicts` notes what decided.
    pub fn permits_noting(&self, question: &Question, letter: Letter, version: &StoredVersion, verdicts: &mut Verdicts) -> bool {
        let target = LocalReference { resource_type: version.resource_type, id: version.id.clone() };
        let content = || self.facts(question, (target.clone(), version.security.labels), version.body.as_deref());
        self.permit_noting(question, letter, (&version.patients, &content), verdicts)
    }

    /// Whether they let a question have content of these patients; `facts` is asked only where it matters.
    pub fn permit(&self, question: &Question, letter: Letter, about: (&[LogicalId], &dyn Fn() -> ResourceFacts)) -> bool {
        self.permit_noting(question, letter, about, &mut Verdicts::default())
    }

    /// The same; `verdicts` notes what decided.
    pub fn permit_noting(
        &self,
        question: &Question,
        letter: Letter,
        (patients, facts): (&[LogicalId], &dyn Fn() -> ResourceFacts),
        verdicts: &mut Verdicts,
    ) -> bool {
        let decided = self.whatever_it_says(question, patients, verdicts);
        decided.unwrap_or_else(|| question.permits(&self.consents, (patients, &facts()), letter, verdicts))
    }

    /// What is decided of content of these patients whatever it says; `None`: that has to be asked.
    fn whatever_it_says(&self, question: &Question, patients: &[LogicalId], verdicts: &mut Verdicts) -> Option<bool> {
        if patients.is_empty() {
            return Some(true);
        }
        let (asked, own_record) = question.asked(patients);
        let is_known = asked.iter().all(|patient| self.knows(patient));
        let concerns = |consent: &CompiledConsent| asked.contains(&consent.patient());
        match is_known {
            false => Some(false),
            true if !self.consents.iter().any(concerns) => {
                question.note_silence(patients, verdicts);
                Some(own_record || question.is_implicitly_permitted())
            }
            true => None,
        }
    }

    /// What they say of every record of this type and patient. Nothing where they tell records apart by what these say: what was looked for may be one that they let out.
    pub fn of_any(&self, question: &Question, (letter, resource_type): (Letter, ResourceType), patient: &LogicalId) -> Verdicts {
        let mut verdicts = Verdicts::default();
        let mut own = self.consents.iter().filter(|consent| consent.patient() == patient);
        if !own.all(CompiledConsent::tells_no_records_apart) {
            return verdicts;
        }
        let target = LocalReference { resource_type, id: patient.clone() };
        let facts = || ResourceFacts::outline(target.clone(), Labels::NONE, false);
        self.permit_noting(question, letter, (std::slice::from_ref(patient), &facts), &mut verdicts);
        verdicts
    }

    /// What consents ask about a resource with this body, which has no labels of its own. Where nobody asks for content, it is not read.
    pub fn facts(&self, question: &Question, (target, labels): (LocalReference, Labels), body: Option<&[u8]>) -> ResourceFacts {
        let outline = |is_gone| ResourceFacts::outline(target.clone(), labels, is_gone);
        if !self.consents.iter().any(CompiledConsent::asks_for_content) {
            return outline(false);
        }
        let Some(resource) = body.and_then(|body| Resource::parse(body).ok()) else { return outline(true) };
        let base_url = question.context().base_url;
        let (entries, references) = (index::extract(&resource, base_url), index::references(&resource, base_url));
        let Some(mut facts) = ResourceFacts::of(&resource, &entries, &references, labels) else { return outline(true) };
        facts.referred_from = Some(referring(&self.related, &target));
        facts
    }
}

/// What consents keep of a version that they let somebody have: the elements with labels of their own for which they would keep all of it.
pub struct DeniedElements<'a> {
    consulted: &'a Consulted,
    question: &'a Question,
    letter: Letter,
    patients: Vec<LogicalId>,
    /// The labels of the whole.
    labels: Labels,
    /// What is asked about the whole, but for its labels: these are those of the element that is asked about.
    facts: RefCell<ResourceFacts>,
    noted: RefCell<Verdicts>,
    /// What was decided of labels: a resource may have many elements with the same ones.
    decided: RefCell<BTreeMap<u32, bool>>,
}

impl<'a> DeniedElements<'a> {
    /// Those of a version; `None` where it has no such elements, or nobody whom it concerns has said anything.
    pub fn of(consulted: &'a Consulted, (question, letter): (&'a Question, Letter), version: &StoredVersion) -> Option<Self> {
        if !version.security.labels.contains(Labels::INLINE) || consulted.is_silent(question) {
            return None;
        }
        let target = LocalReference { resource_type: version.resource_type, id: version.id.clone() };
        let facts = consulted.facts(question, (target, version.security.labels), version.body.as_deref());
        Some(Self {
            consulted,
            question,
            letter,
            patients: version.patients.clone(),
            labels: facts.labels,
            facts: RefCell::new(facts),
            noted: RefCell::default(),
            decided: RefCell::default(),
        })
    }

    /// Whether an element with these labels is kept from whoever asks.
    pub fn hold(&self, labels: Labels) -> bool {
        let labels = self.labels | labels;
        if let Some(held) = self.decided.borrow().get(&labels.bits()) {
            return *held;
        }
        let held = self.judge(labels);
        self.decided.borrow_mut().insert(labels.bits(), held);
        held
    }

    fn judge(&self, labels: Labels) -> bool {
        let mut noted = Verdicts::default();
        let decided = self.consulted.whatever_it_says(self.question, &self.patients, &mut noted);
        let permitted = decided.unwrap_or_else(|| {
            let mut facts = self.facts.borrow_mut();
            facts.labels = labels;
            self.question.permits(&self.consulted.consents, (&self.patients, &facts), self.letter, &mut noted)
        });
        if !permitted {
            self.noted.borrow_mut().join(&noted.of_denials());
        }
        !permitted
    }

    /// By what they are.
    pub fn noted(&self) -> Verdicts {
        self.noted.borrow().clone()
    }
}

/// Those of these resources that refer to a target.
pub fn referring(related: &[(LocalReference, Vec<LocalReference>)], target: &LocalReference) -> Vec<LocalReference> {
    related.iter().filter(|(_, references)| references.contains(target)).map(|(from, _)| from.clone()).collect()
}
