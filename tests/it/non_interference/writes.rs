//! Writes of clients: what is asked, and, by the same independent evaluator as the view, what must come of it and what it lets others see.
//!
//! - Where a scope has criteria, both the current and the new content must fulfil them.
//! - What is hidden from the person for the letter is not found. What is seen may be changed where all its patients lie inside one context, and so must
//!   those of the new content; then a deletion is final, and `If-Match` names the current version.
//! - A client that acts for itself and sees everything is believed as an import is. Any other writer lets nobody in: an Encounter or CareTeam says nothing new about who cares, and a reference makes a shared record visible only where it did
//!   before or where the writer could read that record.
//! - The answer shows the content only where the same person could read it in one of the contexts that may write at all.

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::Value;

use super::bodies;
use super::data::{self, Draft, KINDS, Kind, Links, NOW, Name, Record, Version, id};
use super::elements;
use super::labels::{Labels, labelled};
use super::people::Person;
use super::stores::{Answer, Outcome, Seen, released_body};
use super::view::{self, View};

/// Elements that say whom a record is about.
const SUBJECTS: [&str; 5] = ["subject", "beneficiary", "subscriber", "patient", "target"];

/// What `If-Match` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// No `If-Match`.
    Anything,
    /// The current version, whoever may see it.
    Current,
    /// A version that never was.
    Other,
}

/// A write that a client asks for.
#[derive(Clone, Debug)]
pub enum Write {
    /// `POST [type]`
    Create(Draft),
    /// `PUT [type]/[id]`
    Update {
        /// The new content.
        draft: Draft,
        /// `If-Match`
        matched: Match,
        /// Whether it stays about whom the current version is about.
        keeps_subject: bool,
    },
    /// `DELETE [type]/[id]`
    Delete(Kind, u8, Match),
}

/// Random writes.
pub fn writes() -> impl Strategy<Value = Write> {
    let matched = || prop_oneof![4 => Just(Match::Anything), 2 => Just(Match::Current), 1 => Just(Match::Other)];
    let create = data::any_draft().prop_map(Write::Create);
    let update = (data::any_draft(), matched(), any::<bool>());
    let update = update.prop_map(|(draft, matched, keeps_subject)| Write::Update {
        draft: beside_labelled(draft),
        matched,
        keeps_subject,
    });
    let ended = prop_oneof![1 => Just(data::kind("Observation")), 1 => Just(data::kind("Encounter")), 2 => select(&KINDS[..])];
    let delete = (ended, 0..10_u8, matched()).prop_map(|(kind, slot, matched)| Write::Delete(kind, slot, matched));
    prop_oneof![2 => create, 4 => update, 2 => delete]
}

/// The same about a record none of whose elements has a label.
fn beside_labelled(draft: Draft) -> Draft {
    let slot = draft.slot % draft.kind.slots;
    let is_labelled = elements::has_label(draft.kind.name, slot);
    Draft { slot: if is_labelled { slot + 1 } else { draft.slot }, ..draft }
}

/// A write with its identity, as the server gives it before it decides.
#[derive(Clone, Debug)]
pub struct Planned {
    /// `c`, `u` or `d`.
    pub letter: char,
    /// The type and the id.
    pub name: Name,
    /// The id of the version that it would make.
    pub version: String,
    /// When.
    pub last_updated: i64,
    /// The content; `None` for a deletion.
    pub body: Option<Value>,
    /// `If-Match`
    pub if_match: Option<String>,
}

impl Planned {
    /// The plan of a write; `number` is unique in the run.
    pub fn of(write: &Write, number: usize, records: &[Record]) -> Self {
        let (letter, kind, name, body, matched) = match write {
            Write::Create(draft) => {
                ('c', draft.kind, format!("{}new{number}", draft.kind.letter), Some(bodies::body(draft)), Match::Anything)
            }
            Write::Update { draft, matched, .. } => {
                ('u', draft.kind, id(draft.kind, draft.slot), Some(bodies::body(draft)), *matched)
            }
            Write::Delete(kind, slot, matched) => ('d', *kind, id(*kind, *slot), None, *matched),
        };
        let name = (kind.name.to_owned(), name);
        let record = position(records, &name).map(|found| &records[found]);
        let body = body.map(|mut body| {
            body["id"] = name.1.as_str().into();
            body["language"] = format!("x-w{number}").into();
            if let (Some(record), Write::Update { keeps_subject: true, .. }) = (record, write) {
                for element in SUBJECTS {
                    if let Some(whom) = record.last_stated().get(element) {
                        body[element] = whom.clone();
                    }
                }
            }
            body
        });
        let current = record.and_then(|record| record.versions.last()).map(|version| version.id.clone());
        let if_match = match matched {
            Match::Anything => None,
            Match::Current => Some(current.unwrap_or_else(|| "none".to_owned())),
            Match::Other => Some("other".to_owned()),
        };
        let last_updated = NOW - 60_000 + i64::try_from(number).unwrap();
        Self { letter, name, version: format!("w{number}"), last_updated, body, if_match }
    }

    /// What must be answered; the records become what the write leaves.
    pub fn apply(&self, person: &Person, records: &mut Vec<Record>) -> Answer {
        let refused = |words: &str| Answer::Refused(words.to_owned());
        let view = View::new(records, person, self.letter);
        if !view.permits(&self.name.0) {
            return Answer::Denied;
        }
        if self.letter == 'u' && view.hides_of(&self.name.0) {
            return Answer::Denied;
        }
        let found = position(records, &self.name);
        if self.letter != 'c' {
            let Some(current) = found.map(|found| &records[found]).filter(|record| view.sees(record)) else {
                return refused("not found");
            };
            if !view.holds(current.last_stated(), current.current(), &Labels::last(current)) {
                return refused("outside the boundary");
            }
            let last = &current.versions[current.versions.len() - 1];
            if last.body.is_none() {
                return if self.body.is_some() { refused("deleted") } else { self.written(Outcome::Deleted, last, false) };
            }
            if self.if_match.as_ref().is_some_and(|version| *version != last.id) {
                return refused("version conflict");
            }
        }
        let before = found.map(|found| Labels::last(&records[found])).unwrap_or_default();
        if self.body.as_ref().is_some_and(|body| !view.holds(body, Some(body), &before.and(body))) {
            return refused("outside the boundary");
        }
        let links = self.body.as_ref().map(|body| match view.is_everything(&self.name.0) {
            // As an import.
            true => view::links(body),
            false => believed(
                body,
                found.map(|found| &records[found].links),
                View::new(records, person, self.letter).beside('r'),
                records,
            ),
        });
        let version = Version { id: self.version.clone(), last_updated: self.last_updated, body: self.body.clone() };
        match (found, links) {
            (Some(found), Some(links)) => {
                records[found].versions.push(version.clone());
                records[found].links = links;
            }
            (Some(found), None) => records[found].delete(self.version.clone(), self.last_updated),
            (None, links) => {
                let (resource_type, id) = self.name.clone();
                records.push(Record { resource_type, id, versions: vec![version.clone()], links: links.unwrap_or_default() });
            }
        }
        let written = &records[found.unwrap_or(records.len() - 1)];
        let reader = View::new(records, person, self.letter).beside('r');
        let last = written.versions.len() - 1;
        let shown = Some(written).filter(|written| reader.sees(written)).and_then(|written| reader.version(written, last));
        let outcome = match self.letter {
            'c' => Outcome::Created,
            'u' => Outcome::Updated,
            _ => Outcome::Deleted,
        };
        let is_shown = shown.is_some();
        self.written(outcome, &shown.unwrap_or_else(|| labelled(written, last)), is_shown)
    }

    fn written(&self, outcome: Outcome, version: &Version, is_shown: bool) -> Answer {
        let (resource_type, id) = &self.name;
        let body = is_shown.then(|| released_body(&self.name, version)).flatten();
        Answer::Written(
            outcome,
            Seen { name: format!("{resource_type}/{id}/{}", version.id), last_updated: version.last_updated, body },
        )
    }
}

/// What a client's content lets others see. `reader` is what the writer may read in the contexts that may write.
fn believed(body: &Value, before: Option<&Links>, reader: View<'_>, records: &[Record]) -> Links {
    let stated = view::links(body);
    let was_shared = |name: &Name| before.is_some_and(|links| links.shared.contains(name));
    let may_read = |name: &Name| {
        position(records, name)
            .map(|found| &records[found])
            .is_some_and(|record| record.current().is_some() && reader.sees(record))
    };
    let said = |pair: &(Name, String)| before.is_some_and(|links| links.care.contains(pair));
    Links {
        shared: stated.shared.into_iter().filter(|name| was_shared(name) || may_read(name)).collect(),
        care: stated.care.into_iter().filter(said).collect(),
    }
}

fn position(records: &[Record], (resource_type, id): &Name) -> Option<usize> {
    records.iter().position(|record| record.resource_type == *resource_type && record.id == *id)
}
