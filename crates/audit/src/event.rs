//! Renders a record as AuditEvent resources (R4, IHE Basic Audit Log Patterns).
//!
//! <https://hl7.org/fhir/R4/auditevent.html>, <https://profiles.ihe.net/ITI/BALP/>. A record has one event per interaction and patient;
//! an interaction that touches no patient has one. A profile is claimed only where the event satisfies it: the profiles are for
//! successes, so a failure has the same shape without the claim. Rendering is deterministic; it reads nothing but its arguments.
//!
//! For a reader who may see only one patient, nothing is rendered that could name another: no other patient's events, no query values,
//! no free text. An attempt on something hidden has an event for each patient in whose record it lies, and, where a patient made it, one more that is
//! the same as if there were nothing: the only one that the own record shows. A patient whom a request names without touching the record has an event, too:
//! the patient learns who tried, not by which ids or with which success, since that may tell of others. An update by which a record became this patient's is a create there. Nor do
//! ids tell of others: they count the events of one compartment.
//!
//! What consents decided about an interaction has an event of its own for each patient who was asked, before those of the interaction (`decision.rs`). The ids of these are
//! counted apart, since a denial is not for everybody who may see the patient's events.

mod codes;
mod decision;
mod draw;
mod resource;
mod shape;

use std::collections::{HashMap, HashSet};

use crate::record::{ConsentDecision, Event, OperationEntry, Record, RecordId};
use crate::segment::{digest, prefix};

/// One AuditEvent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenderedEvent {
    /// What it is found by.
    pub keys: EventKeys,
    /// The resource as JSON.
    pub body: Vec<u8>,
}

/// What an AuditEvent is found by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventKeys {
    /// The logical id, see [`event_id`].
    pub id: String,
    /// The patients (logical ids) in whose compartment it lies: the one it is about, else the one who acted. Exactly for these does
    /// [`render`] with `only_patient` give the event, too.
    pub patients: Vec<String>,
    /// Who acted: client and user ids, and the user as `Type/id`.
    pub agents: Vec<String>,
    /// The resources that were touched, `Type/id`, without versions.
    pub entities: Vec<String>,
    /// `AuditEvent.action`: C, R, U, D or E.
    pub action: &'static str,
    /// `AuditEvent.outcome`: 0, 4, 8 or 12.
    pub outcome: &'static str,
    /// `AuditEvent.recorded`, milliseconds since the epoch.
    pub recorded: i64,
    /// System and code of `AuditEvent.subtype`, where it has one.
    pub subtype: Option<(&'static str, &'static str)>,
    /// Whether of those who may see events of one patient only the patient may see it.
    pub for_the_patient_alone: bool,
}

impl std::ops::Deref for RenderedEvent {
    type Target = EventKeys;

    fn deref(&self) -> &EventKeys {
        &self.keys
    }
}

/// Renders the events of a record.
///
/// `observer` names this server, as its public URL or as a reference to a Device. With `only_patient` (a logical id), only events of that
/// patient are rendered, and no other patient is named in them; ids are the same as without, and the rest may differ.
pub fn render(record: &Record, observer: &str, only_patient: Option<&str>) -> Vec<RenderedEvent> {
    let view = View { record, observer, only_patient };
    let visible = parts(record).into_iter().filter(|part| view.shows(part));
    visible.map(|part| draw(&view, &part)).collect()
}

/// What the events that [`render`] gives are found by: an index needs no more, and to write them as JSON takes most of the time of rendering.
pub fn keys(record: &Record, observer: &str, only_patient: Option<&str>) -> Vec<EventKeys> {
    let view = View { record, observer, only_patient };
    let visible = parts(record).into_iter().filter(|part| view.shows(part));
    let keys = |part: Part<'_>| match part.decision {
        Some(decided) => decision::keys(&view, decided, &part.id(record)),
        None => draw::keys(&view, &part, &part.id(record)),
    };
    visible.map(keys).collect()
}

fn draw(view: &View<'_>, part: &Part<'_>) -> RenderedEvent {
    let id = part.id(view.record);
    match part.decision {
        Some(decided) => decision::draw(view, decided, &id),
        None => draw::draw(view, part, &id),
    }
}

/// Renders the event of this id as [`render`] does, without the others: a record of an import has hundreds.
pub fn render_one(record: &Record, observer: &str, only_patient: Option<&str>, id: &str) -> Option<RenderedEvent> {
    let view = View { record, observer, only_patient };
    let ordinal = id.rsplit_once('-')?.1;
    let (is_decision, ordinal) = ordinal.strip_prefix(OF_DECISION).map_or((false, ordinal), |ordinal| (true, ordinal));
    let ordinal: u32 = ordinal.parse().ok()?;
    let is_it = |part: &Part<'_>| part.ordinal == ordinal && part.decision.is_some() == is_decision && view.shows(part);
    let part = parts(record).into_iter().filter(is_it).find(|part| part.id(record) == id)?;
    Some(draw(&view, &part))
}

/// What the ordinals of events about decisions begin with.
const OF_DECISION: char = 'c';

/// The id of a record's event: the record's id, 64 bits of SHA-256 over that and the patient in whose compartment it lies, and its ordinal among the
/// record's events in this compartment, from 1. It says nothing about events in other compartments, not even how many there are.
///
/// At most 60 characters with the record's 32; <https://hl7.org/fhir/R4/datatypes.html#id> allows 64.
pub fn event_id(record: &RecordId, compartment: Option<&str>, ordinal: u32) -> String {
    // No id has a slash.
    let owner: [u8; 8] = prefix(&digest(format!("{}/{}", record.0, compartment.unwrap_or_default()).as_bytes()));
    format!("{}-{:016x}-{ordinal}", record.0, u64::from_be_bytes(owner))
}

/// What is rendered, and for whom.
struct View<'a> {
    record: &'a Record,
    observer: &'a str,
    only_patient: Option<&'a str>,
}

impl<'a> View<'a> {
    /// The user, where that is a patient.
    fn acting_patient(&self) -> Option<&'a str> {
        acting_patient(self.record)
    }

    /// Whether the reader must not learn who acted: a patient other than the reader.
    fn hides_user(&self) -> bool {
        self.only_patient.is_some() && self.acting_patient().is_some() && self.acting_patient() != self.only_patient
    }

    /// Whether the reader is somebody whom the request only names, and not who made it: how it ended and what it was after may tell of others.
    fn hides_attempt(&self, part: &Part<'_>) -> bool {
        part.only_named && self.only_patient.is_some() && self.acting_patient() != self.only_patient
    }

    fn shows(&self, part: &Part<'_>) -> bool {
        // By what an app is denied that patients hold in their hands, it is told nothing of.
        let is_told = part.decision.is_none_or(|decided| !decided.own);
        self.only_patient.is_none() || is_told && self.only_patient == part.compartment
    }
}

/// What one event is about.
struct Part<'a> {
    operation: Option<&'a OperationEntry>,
    patient: Option<&'a str>,
    /// Whether the request only names this patient: nothing of the record was touched.
    only_named: bool,
    /// The patient in whose compartment it lies.
    compartment: Option<&'a str>,
    /// What consents decided, where it is about that.
    decision: Option<&'a ConsentDecision>,
    /// Its place among the parts of its kind in this compartment, from 1.
    ordinal: u32,
}

impl Part<'_> {
    fn id(&self, record: &Record) -> String {
        let counted = event_id(&record.id, self.compartment, self.ordinal);
        match (self.decision, counted.rsplit_once('-')) {
            (Some(_), Some((owner, ordinal))) => format!("{owner}-{OF_DECISION}{ordinal}"),
            _ => counted,
        }
    }
}

fn acting_patient(record: &Record) -> Option<&str> {
    record.agent.fhir_user.as_deref()?.strip_prefix("Patient/")
}

fn parts(record: &Record) -> Vec<Part<'_>> {
    let mut ordinals: HashMap<(bool, Option<&str>), u32> = HashMap::new();
    let number = |Subject { operation, patient, only_named, decision }| {
        let compartment = patient.or_else(|| acting_patient(record));
        let ordinal = ordinals.entry((decision.is_some(), compartment)).and_modify(|ordinal| *ordinal += 1).or_insert(1);
        Part { operation, patient, only_named, compartment, decision, ordinal: *ordinal }
    };
    subjects(record).into_iter().map(number).collect()
}

/// An operation and one of its patients.
struct Subject<'a> {
    operation: Option<&'a OperationEntry>,
    patient: Option<&'a str>,
    only_named: bool,
    decision: Option<&'a ConsentDecision>,
}

/// What each event is about.
fn subjects(record: &Record) -> Vec<Subject<'_>> {
    let about = |operation, patient| Subject { operation: Some(operation), patient, only_named: false, decision: None };
    let mut subjects = Vec::new();
    for operation in &record.operations {
        // What was decided comes before what came of it.
        let decided = |decision| Subject { decision: Some(decision), ..about(operation, Some(decision.patient.as_str())) };
        subjects.extend(operation.consents.iter().map(decided));
        let mut seen = HashSet::new();
        let patients = operation.patients.iter().map(|patient| patient.strip_prefix("Patient/").unwrap_or(patient));
        // In the own record an attempt in vain is one event, wherever what is hidden lies.
        let in_vain_by = operation.presence.is_some().then(|| acting_patient(record)).flatten();
        let patients = patients.filter(|patient| Some(*patient) != in_vain_by && seen.insert(*patient)).collect::<Vec<_>>();
        if operation.presence.is_some() && !patients.is_empty() && acting_patient(record).is_some() {
            subjects.push(about(operation, None));
        }
        let named = named(record, operation, &mut seen);
        let names_who_acted = named.iter().any(|patient| acting_patient(record) == Some(patient));
        // IUA.71 has no place for a patient; one who gets a token for the own record is named as the user.
        let named_as_user = record.event == Event::Token && patients.first().copied() == acting_patient(record);
        if patients.is_empty() || (named_as_user && patients.len() == 1) {
            // Whoever acted has an event of this in the own record, whomever else it names.
            if named.is_empty() || (acting_patient(record).is_some() && !names_who_acted) {
                subjects.push(about(operation, None));
            }
        } else {
            subjects.extend(patients.into_iter().map(|patient| about(operation, Some(patient))));
        }
        subjects.extend(named.into_iter().map(|patient| Subject { only_named: true, ..about(operation, Some(patient)) }));
    }
    if subjects.is_empty() {
        subjects.push(Subject { operation: None, patient: None, only_named: false, decision: None });
    }
    subjects
}

/// The patients whom the operation only names. Of an attempt in vain, whoever acted has an event already.
fn named<'a>(record: &'a Record, operation: &'a OperationEntry, seen: &mut HashSet<&'a str>) -> Vec<&'a str> {
    let has_own = operation.presence.is_some().then(|| acting_patient(record)).flatten();
    let named = operation.named.iter().map(String::as_str);
    named.filter(|patient| Some(*patient) != has_own && seen.insert(patient)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_event_id_fits_a_fhir_id() {
        let id = event_id(&RecordId("f".repeat(32)), Some(&"p".repeat(64)), u32::MAX);
        assert_eq!(id.len(), 60);
    }

    #[test]
    fn event_ids_differ_by_record_compartment_and_ordinal() {
        let (one, two) = (RecordId("1".repeat(32)), RecordId("2".repeat(32)));
        let ids = [(&one, None, 1), (&one, Some("p1"), 1), (&one, Some("p1"), 2), (&one, Some("p2"), 1), (&two, Some("p1"), 1)];
        let distinct: HashSet<String> =
            ids.iter().map(|(record, patient, ordinal)| event_id(record, *patient, *ordinal)).collect();
        assert_eq!(distinct.len(), ids.len());
        let hash = |record, patient| event_id(record, patient, 1).split('-').nth(1).map(str::to_owned);
        assert_ne!(hash(&one, Some("p1")), hash(&two, Some("p1")), "one patient's events of two records have nothing in common");
    }
}
