//! Random small data sets: a sequence of writes, and the records with all their versions that it leaves.
//!
//! References lead to the same few ids, so that records share, cross and miss each other: dangling, to another patient in elements that give no
//! membership, contained, absolute under the base, absolute elsewhere, with a version. A record that is written again may move to another patient.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::Value;

use super::{bodies, view};

/// The base of the stores.
pub const BASE: &str = "https://localhost:8443/fhir";
/// Now, in milliseconds since the epoch: 2027-01-15T08:00:00Z.
pub const NOW: i64 = 1_800_000_000_000;
/// The patients that can exist. The last one often does not.
pub const PATIENTS: [&str; 4] = ["p0", "p1", "p2", "p3"];

/// A type in the data.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// The resource type.
    pub name: &'static str,
    /// What its ids begin with.
    pub letter: char,
    /// How many ids there are.
    pub slots: u8,
}

impl fmt::Debug for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name)
    }
}

/// The types in the data. Group is in no boundary; what follows it is shared.
pub const KINDS: [Kind; 18] = [
    Kind { name: "Patient", letter: 'p', slots: 4 },
    Kind { name: "Observation", letter: 'o', slots: 10 },
    Kind { name: "Condition", letter: 'c', slots: 4 },
    Kind { name: "Encounter", letter: 'e', slots: 5 },
    Kind { name: "CareTeam", letter: 't', slots: 2 },
    Kind { name: "Coverage", letter: 'v', slots: 3 },
    Kind { name: "ExplanationOfBenefit", letter: 'b', slots: 3 },
    Kind { name: "Appointment", letter: 'a', slots: 3 },
    Kind { name: "Provenance", letter: 'r', slots: 4 },
    Kind { name: "MedicationRequest", letter: 'm', slots: 3 },
    Kind { name: "Consent", letter: 'n', slots: 4 },
    Kind { name: "Group", letter: 'k', slots: 1 },
    Kind { name: "Organization", letter: 'g', slots: 3 },
    Kind { name: "Practitioner", letter: 'd', slots: 3 },
    Kind { name: "PractitionerRole", letter: 'q', slots: 2 },
    Kind { name: "Location", letter: 'l', slots: 2 },
    Kind { name: "Medication", letter: 'y', slots: 2 },
    Kind { name: "Device", letter: 'w', slots: 3 },
];

/// How a reference is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `Type/id`
    Relative,
    /// `BASE/Type/id`
    UnderBase,
    /// `Type/id/_history/v1`
    Versioned,
    /// `https://elsewhere.example/fhir/Type/id`
    Elsewhere,
    /// `#x`, a contained Practitioner that refers to the Organization with the same number.
    Contained,
}

/// A reference that a draft has.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// The target's type.
    pub kind: Kind,
    /// The target's number.
    pub slot: u8,
    /// How it is written.
    pub form: Form,
}

/// What a resource will be made of; each type takes what it has elements for.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The type.
    pub kind: Kind,
    /// The number in the id.
    pub slot: u8,
    /// Whom it is about.
    pub subject: Link,
    /// What else it refers to.
    pub others: Vec<Link>,
    /// Chooses a code.
    pub code: u8,
    /// Chooses a date.
    pub date: u8,
    /// Chooses a value.
    pub value: u8,
}

/// One write.
#[derive(Clone, Debug)]
pub enum Event {
    /// A new resource or a new version.
    Put(Draft),
    /// The end of a resource, where that is possible.
    Delete(Kind, u8),
}

/// One version of a record.
#[derive(Clone, Debug, PartialEq)]
pub struct Version {
    /// The version id.
    pub id: String,
    /// `meta.lastUpdated` in milliseconds since the epoch.
    pub last_updated: i64,
    /// The resource; `None` for a deletion.
    pub body: Option<Value>,
}

/// A type and an id.
pub type Name = (String, String);

/// What a record lets others see, by whoever was entitled to say so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Links {
    /// Shared records that are visible to who sees this one.
    pub shared: BTreeSet<Name>,
    /// Who cares for which patient.
    pub care: BTreeSet<(Name, String)>,
}

/// A record with all its versions, oldest first.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The type.
    pub resource_type: String,
    /// The id.
    pub id: String,
    /// Oldest first, never empty, the first with a body.
    pub versions: Vec<Version>,
    /// What the current version lets others see: all that an import says, and what a client may say; nothing once it is deleted.
    pub links: Links,
}

impl Record {
    /// The body of the current version; `None` where the record is deleted.
    pub fn current(&self) -> Option<&Value> {
        self.versions.last().and_then(|version| version.body.as_ref())
    }

    /// What the record said at a version: a deletion keeps to what was deleted.
    pub fn stated(&self, version: usize) -> &Value {
        self.versions[..=version].iter().rev().find_map(|version| version.body.as_ref()).unwrap()
    }

    /// The end of the record.
    pub fn delete(&mut self, version: String, last_updated: i64) {
        self.versions.push(Version { id: version, last_updated, body: None });
        self.links = Links::default();
    }

    /// What the record says now, or said at its deletion.
    pub fn last_stated(&self) -> &Value {
        self.stated(self.versions.len() - 1)
    }
}

/// The records that a sequence of writes leaves, by type and id.
pub fn records(events: &[Event]) -> Vec<Record> {
    records_at(events.iter().enumerate())
}

/// The same where each write has its moment.
pub fn records_at<'a>(events: impl IntoIterator<Item = (usize, &'a Event)>) -> Vec<Record> {
    let mut records: BTreeMap<Name, Record> = BTreeMap::new();
    for (moment, event) in events {
        // Several writes share a time.
        let last_updated = NOW - 86_400_000 + i64::try_from(moment / 3).unwrap() * 3_600_000;
        match event {
            Event::Put(draft) => {
                let mut body = bodies::body(draft);
                let before = records.get(&(draft.kind.name.to_owned(), id(draft.kind, draft.slot)));
                if let Some(number) = before.map(|record| record.versions.len()) {
                    // An import that says what is there already makes no version: what lay between may be hidden, and is not in the other store.
                    body["language"] = format!("v{number}").into();
                }
                put(&mut records, body, last_updated);
            }
            Event::Delete(kind, slot) => {
                let Some(record) = records.get_mut(&(kind.name.to_owned(), id(*kind, *slot))) else { continue };
                // A consent that ended before others were stored would keep them from whoever stores them.
                if record.current().is_some() && kind.name != "Consent" {
                    record.delete(version_id(record.versions.len()), last_updated);
                }
            }
        }
    }
    records.into_values().collect()
}

/// The records that these writes leave: a text is a resource, or `-Type/id` for the end of one.
pub fn records_of(texts: &[&str]) -> Vec<Record> {
    let mut records = BTreeMap::new();
    for text in texts {
        let last_updated = NOW - 86_400_000;
        let Some(ended) = text.strip_prefix('-') else {
            put(&mut records, serde_json::from_str(text).unwrap(), last_updated);
            continue;
        };
        let (name, id) = ended.split_once('/').unwrap();
        let record = records.get_mut(&(name.to_owned(), id.to_owned())).unwrap();
        record.delete(version_id(record.versions.len()), last_updated);
    }
    records.into_values().collect()
}

/// Each version differs from every other, also where those between are hidden: importing the same again makes no version.
fn put(records: &mut BTreeMap<Name, Record>, mut body: Value, last_updated: i64) {
    let (resource_type, id) = (body["resourceType"].as_str().unwrap().to_owned(), body["id"].as_str().unwrap().to_owned());
    let new = Record { resource_type: resource_type.clone(), id: id.clone(), versions: Vec::new(), links: Links::default() };
    let record = records.entry((resource_type, id)).or_insert(new);
    body["language"] = format!("x-v{}", record.versions.len()).into();
    record.links = view::links(&body);
    record.versions.push(Version { id: version_id(record.versions.len()), last_updated, body: Some(body) });
}

fn version_id(before: usize) -> String {
    format!("v{}", before + 1)
}

/// The id of a number.
pub fn id(kind: Kind, slot: u8) -> String {
    format!("{}{}", kind.letter, slot % kind.slots)
}

/// The type with this name.
pub fn kind(name: &str) -> Kind {
    *KINDS.iter().find(|kind| kind.name == name).unwrap()
}

/// Random writes: some patients, practitioners and organizations first, then anything.
pub fn events() -> impl Strategy<Value = Vec<Event>> {
    let base = (2..=4_u8, 1..=3_u8, 1..=3_u8).prop_flat_map(|(patients, practitioners, organizations)| {
        let counted = [("Patient", patients), ("Practitioner", practitioners), ("Organization", organizations)];
        let drafts: Vec<_> = counted
            .into_iter()
            .flat_map(|(name, count)| (0..count).map(move |slot| draft(Just(kind(name)), Just(slot))))
            .collect();
        drafts
    });
    // Without somebody in care most clinicians would see nothing.
    let plain = |kind, slot| Link { kind, slot, form: Form::Relative };
    let cared = (draft(select(vec![kind("Encounter"), kind("CareTeam")]), 0..2_u8), 0..2_u8, 0..2_u8).prop_map(
        move |(mut draft, patient, practitioner)| {
            draft.subject = plain(kind("Patient"), patient);
            draft.others.push(plain(kind("Practitioner"), practitioner));
            draft
        },
    );
    let cared = prop::collection::vec(cared, 1..=2);
    let of = |name: &str| kind(name);
    let weights = [
        (1, of("Patient")),
        (18, of("Observation")),
        (3, of("Condition")),
        (6, of("Encounter")),
        (3, of("CareTeam")),
        (3, of("Coverage")),
        (3, of("ExplanationOfBenefit")),
        (3, of("Appointment")),
        (5, of("Provenance")),
        (3, of("MedicationRequest")),
        (3, of("Consent")),
        (1, of("Group")),
        (2, of("Organization")),
        (2, of("Practitioner")),
        (2, of("PractitionerRole")),
        (2, of("Location")),
        (2, of("Medication")),
        (3, of("Device")),
    ];
    let any =
        prop::strategy::Union::new_weighted(weights.into_iter().map(|(weight, kind)| (weight, Just(kind))).collect::<Vec<_>>());
    let drafts = draft(any, 0..10_u8);
    let more = prop::collection::vec(event(drafts), 0..100);
    (base, cared, more).prop_map(|(base, cared, more)| base.into_iter().chain(cared).map(Event::Put).chain(more).collect())
}

/// A write of any kind.
pub fn any_event() -> impl Strategy<Value = Event> {
    event(any_draft())
}

/// A resource of any type, mostly one that is about patients.
pub fn any_draft() -> impl Strategy<Value = Draft> {
    let kind = prop_oneof![
        4 => of_kind("Observation"),
        3 => of_kind("Encounter"),
        1 => of_kind("CareTeam"),
        1 => of_kind("Device"),
        2 => of_kind("Provenance"),
        6 => select(&KINDS[..]),
    ];
    draft(kind, 0..10_u8)
}

/// Mostly a new version, sometimes an end.
fn event(drafts: impl Strategy<Value = Draft>) -> impl Strategy<Value = Event> {
    let put = drafts.prop_map(Event::Put);
    let ended =
        prop_oneof![3 => of_kind("Provenance"), 3 => of_kind("Observation"), 2 => of_kind("Encounter"), 5 => select(&KINDS[..])];
    let delete = (ended, 0..10_u8).prop_map(|(kind, slot)| Event::Delete(kind, slot));
    prop_oneof![9 => put, 1 => delete]
}

fn draft(kind: impl Strategy<Value = Kind>, slot: impl Strategy<Value = u8>) -> impl Strategy<Value = Draft> {
    let target =
        prop_oneof![3 => of_kind("Practitioner"), 2 => of_kind("Organization"), 2 => of_kind("Patient"), 9 => select(&KINDS[..])];
    let others = prop::collection::vec(link(target), 0..7);
    (kind, slot, subject(), others, 0..6_u8, 0..8_u8, 0..6_u8)
        .prop_map(|(kind, slot, subject, others, code, date, value)| Draft { kind, slot, subject, others, code, date, value })
}

fn of_kind(name: &str) -> Just<Kind> {
    Just(kind(name))
}

/// Mostly a patient.
fn subject() -> impl Strategy<Value = Link> {
    let patient = |slots| link_to(of_kind("Patient"), slots);
    prop_oneof![6 => patient(0..1), 3 => patient(1..2), 3 => patient(2..4), 1 => link_to(of_kind("Group"), 0..1)]
}

fn link(kind: impl Strategy<Value = Kind>) -> impl Strategy<Value = Link> {
    link_to(kind, 0..10)
}

fn link_to(kind: impl Strategy<Value = Kind>, slots: Range<u8>) -> impl Strategy<Value = Link> {
    let form = prop_oneof![
        14 => Just(Form::Relative),
        3 => Just(Form::UnderBase),
        1 => Just(Form::Versioned),
        1 => Just(Form::Elsewhere),
        1 => Just(Form::Contained),
    ];
    (kind, slots, form).prop_map(|(kind, slot, form)| Link { kind, slot, form })
}
