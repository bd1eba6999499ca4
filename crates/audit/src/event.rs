//! Renders a record as AuditEvent resources (R4, IHE Basic Audit Log Patterns).
//!
//! <https://hl7.org/fhir/R4/auditevent.html>, <https://profiles.ihe.net/ITI/BALP/>. A record has one event per interaction and patient;
//! an interaction that touches no patient has one. A profile is claimed only where the event satisfies it: the profiles are for
//! successes, so a failure has the same shape without the claim. Rendering is deterministic; it reads nothing but its arguments.
//!
//! For a reader who may see only one patient, nothing is rendered that could name another: no other patient's events, no query values,
//! no free text. An attempt on something hidden has an event for each patient in whose record it lies, and, where a patient made it, one more that is
//! the same as if there were nothing: the only one that the own record shows.

mod codes;
mod draw;
mod resource;
mod shape;

use std::collections::HashSet;

use crate::record::{Event, OperationEntry, Record, RecordId};

/// One AuditEvent and what it is found by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenderedEvent {
    /// The logical id: the record's id, a hyphen and the event's ordinal in the record, from 1.
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
    /// The resource as JSON.
    pub body: Vec<u8>,
}

/// Renders the events of a record.
///
/// `observer` names this server, as its public URL or as a reference to a Device. With `only_patient` (a logical id), only events of that
/// patient are rendered, and no other patient is named in them; ids are the same as without.
pub fn render(record: &Record, observer: &str, only_patient: Option<&str>) -> Vec<RenderedEvent> {
    let view = View { record, observer, only_patient };
    let mut events = Vec::new();
    for (ordinal, part) in (1_u32..).zip(parts(record)) {
        if only_patient.is_none() || only_patient == view.compartment(&part) {
            events.push(draw::draw(&view, &part, &event_id(&record.id, ordinal)));
        }
    }
    events
}

/// Renders the event of this id as [`render`] does, without the others: a record of an import has hundreds.
pub fn render_one(record: &Record, observer: &str, only_patient: Option<&str>, id: &str) -> Option<RenderedEvent> {
    let (_, ordinal) = record_of(id).filter(|(named, _)| *named == record.id)?;
    let view = View { record, observer, only_patient };
    let part = parts(record).into_iter().nth(usize::try_from(ordinal).ok()?.checked_sub(1)?)?;
    let is_visible = only_patient.is_none() || only_patient == view.compartment(&part);
    is_visible.then(|| draw::draw(&view, &part, id))
}

/// The id of a record's event.
pub fn event_id(record: &RecordId, ordinal: u32) -> String {
    format!("{}-{ordinal}", record.0)
}

/// The record to which an event id belongs, if it has the form of one.
pub fn record_of(event_id: &str) -> Option<(RecordId, u32)> {
    let (record, digits) = event_id.rsplit_once('-')?;
    let ordinal = digits.parse().ok()?;
    let id = RecordId(record.to_owned());
    // Only the form that is written: no sign, no leading zero.
    (self::event_id(&id, ordinal) == event_id && ordinal > 0).then_some((id, ordinal))
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

    fn compartment(&self, part: &Part<'a>) -> Option<&'a str> {
        part.patient.or_else(|| self.acting_patient())
    }
}

/// What one event is about.
struct Part<'a> {
    operation: Option<&'a OperationEntry>,
    patient: Option<&'a str>,
}

fn acting_patient(record: &Record) -> Option<&str> {
    record.agent.fhir_user.as_deref()?.strip_prefix("Patient/")
}

fn parts(record: &Record) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    for operation in &record.operations {
        let mut seen = HashSet::new();
        let patients = operation.patients.iter().map(|patient| patient.strip_prefix("Patient/").unwrap_or(patient));
        let patients = patients.filter(|patient| seen.insert(*patient)).collect::<Vec<_>>();
        if operation.presence.is_some() && !patients.is_empty() && acting_patient(record).is_some() {
            parts.push(Part { operation: Some(operation), patient: None });
        }
        // IUA.71 has no place for a patient; one who gets a token for the own record is named as the user.
        let named_as_user = record.event == Event::Token && patients.first().copied() == acting_patient(record);
        if patients.is_empty() || (named_as_user && patients.len() == 1) {
            parts.push(Part { operation: Some(operation), patient: None });
        } else {
            parts.extend(patients.into_iter().map(|patient| Part { operation: Some(operation), patient: Some(patient) }));
        }
    }
    if parts.is_empty() {
        parts.push(Part { operation: None, patient: None });
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_of_reads_back_event_ids_and_nothing_else() {
        let id = RecordId("00ff".to_owned());
        assert_eq!(record_of(&event_id(&id, 12)), Some((id, 12)));
        for text in ["", "-", "00ff", "00ff-", "00ff-0", "00ff-01", "00ff-+1", "00ff--1x", "00ff-99999999999"] {
            assert_eq!(record_of(text), None, "{text}");
        }
    }
}
