//! Labelling what is stored anew: in parts, so that whoever asked for it sees how far it is, and a run that was interrupted goes on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A part of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelabelPart {
    /// Nothing is changed: it is only said what would be.
    pub dry_run: bool,
    /// Where the part before ended; absent for the first one, which goes on where an interrupted run is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
}

/// What a part did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relabelled {
    /// Where the next part begins; absent: the run is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// Resources that were looked at, with all their versions.
    pub resources: u64,
    /// Resources that there are.
    pub total: u64,
    /// Versions that were looked at.
    pub versions: u64,
    /// Those of them whose labels changed.
    pub changed: u64,
    /// Those that cannot be read, and keep the labels that they have.
    pub unreadable: u64,
    /// How many versions got which label.
    pub gained: BTreeMap<String, u64>,
    /// How many versions lost which label.
    pub lost: BTreeMap<String, u64>,
    /// The SHA-256 of the rules, in hexadecimal digits.
    pub rules: String,
}

impl Relabelled {
    /// Adds what a later part did; the place is then that of the later one.
    pub fn add(&mut self, later: Self) {
        let Self { place, resources, total, versions, changed, unreadable, gained, lost, rules } = later;
        (self.place, self.total, self.rules) = (place, total, rules);
        self.resources += resources;
        self.versions += versions;
        self.changed += changed;
        self.unreadable += unreadable;
        for (own, more) in [(&mut self.gained, gained), (&mut self.lost, lost)] {
            more.into_iter().for_each(|(code, count)| *own.entry(code).or_default() += count);
        }
    }

    /// What a record says of it: counts and the rules, never whose records.
    pub fn described(&self) -> String {
        let counts = |counts: &BTreeMap<String, u64>| {
            let counts: Vec<String> = counts.iter().map(|(code, count)| format!("{code} {count}")).collect();
            if counts.is_empty() { "nothing".to_owned() } else { counts.join(", ") }
        };
        format!(
            "{} versions of {} resources, {} changed, {} unreadable; gained: {}; lost: {}; rules {}",
            self.versions,
            self.resources,
            self.changed,
            self.unreadable,
            counts(&self.gained),
            counts(&self.lost),
            self.rules
        )
    }
}
