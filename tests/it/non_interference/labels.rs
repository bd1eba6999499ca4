//! Labels of records, told a second time: a version has its own and those of all versions before it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::bodies;
use super::data::{Record, Version};

/// The confidentialities, ascending.
const LEVELS: [&str; 4] = ["", "N", "R", "V"];

/// The place of a confidentiality among all, ascending.
pub fn level(code: &str) -> usize {
    LEVELS.iter().position(|known| *known == code).unwrap()
}

/// The labels of a version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    /// The place of the confidentiality.
    pub level: usize,
    /// The sensitivities.
    pub sensitivities: BTreeSet<String>,
}

impl Labels {
    /// Those of a version and of all before it.
    pub fn of(record: &Record, version: usize) -> Self {
        record.versions[..=version].iter().filter_map(|version| version.body.as_ref()).fold(Self::default(), Self::and)
    }

    /// Those of the current version.
    pub fn last(record: &Record) -> Self {
        Self::of(record, record.versions.len() - 1)
    }

    /// Whether the confidentiality is at least this one, or this is one of the sensitivities.
    pub fn reach(&self, code: &str) -> bool {
        match LEVELS.iter().position(|known| *known == code) {
            Some(level) => self.level >= level,
            None => self.sensitivities.contains(code),
        }
    }

    /// The same with these.
    pub fn with(mut self, others: Self) -> Self {
        self.level = self.level.max(others.level);
        self.sensitivities.extend(others.sensitivities);
        self
    }

    /// The same with those that a body has.
    pub fn and(mut self, body: &Value) -> Self {
        for coding in body["meta"]["security"].as_array().into_iter().flatten() {
            let code = coding["code"].as_str().unwrap();
            match LEVELS.iter().position(|known| *known == code) {
                Some(level) => self.level = self.level.max(level),
                None => drop(self.sensitivities.insert(code.to_owned())),
            }
        }
        self
    }
}

/// A version whose body says all labels that it has.
pub fn labelled(record: &Record, number: usize) -> Version {
    let (mut version, labels) = (record.versions[number].clone(), Labels::of(record, number));
    if let Some(body) = version.body.as_mut().filter(|_| labels != Labels::default()) {
        let codes = LEVELS.get(labels.level).filter(|code| !code.is_empty()).copied();
        let codes = codes.into_iter().chain(labels.sensitivities.iter().map(String::as_str));
        body["meta"]["security"] = codes.map(bodies::label).collect();
    }
    version
}
