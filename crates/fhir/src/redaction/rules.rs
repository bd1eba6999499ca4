//! The operator's list of elements that are shown only to those who are cleared for them.
//!
//! ```text
//! # who is not cleared for R does not see these
//! Patient.identifier Patient.telecom -> R
//! Observation.note -> R PSY
//! Patient.extension('http://example.org/race') -> R
//! ```
//!
//! A line has paths, an arrow, one confidentiality and any sensitivities. Empty lines and comments count for nothing. What two lines say of the same element holds both.

use super::element_path::ElementPath;
use crate::labels::Labels;

/// The most bytes of a list.
pub const MAXIMUM_BYTES: usize = 1 << 20;
/// The most elements in a list: every search looks at all of them.
pub const MAXIMUM_ELEMENTS: usize = 500;

/// An element with the labels that whoever sees it must be cleared for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElementRule {
    /// Where it is.
    pub path: ElementPath,
    /// Its labels.
    pub labels: Labels,
}

/// A list, checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ElementRules {
    text: Box<str>,
    entries: Vec<ElementRule>,
}

/// What is wrong with a line, and what would be accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "line {line}: {problem}; write a line as `Patient.identifier Patient.telecom -> R`, with one confidentiality and any sensitivities of v3-ActCode"
)]
pub struct ElementRulesError {
    /// The number of the line, from 1.
    pub line: usize,
    /// What is wrong.
    pub problem: String,
}

impl ElementRules {
    /// Reads a list.
    pub fn parse(text: &str) -> Result<Self, ElementRulesError> {
        if text.len() > MAXIMUM_BYTES {
            return Err(ElementRulesError { line: 1, problem: format!("the file has more than {MAXIMUM_BYTES} bytes") });
        }
        let mut entries: Vec<ElementRule> = Vec::new();
        for (line, content) in (1..).zip(text.lines()) {
            let content = content.trim();
            if content.is_empty() || content.starts_with('#') {
                continue;
            }
            entries.extend(parse_line(content).map_err(|problem| ElementRulesError { line, problem })?);
            if entries.len() > MAXIMUM_ELEMENTS {
                return Err(ElementRulesError { line, problem: format!("the list has more than {MAXIMUM_ELEMENTS} elements") });
            }
        }
        Ok(Self { text: text.into(), entries })
    }

    /// The elements.
    pub fn entries(&self) -> &[ElementRule] {
        &self.entries
    }

    /// The text that they were read from.
    pub fn text(&self) -> &str {
        &self.text
    }
}

fn parse_line(content: &str) -> Result<Vec<ElementRule>, String> {
    let (paths, codes) = content.rsplit_once("->").ok_or("there is no '->'")?;
    let (mut labels, mut confidentialities) = (Labels::NONE, 0);
    for code in codes.split_whitespace() {
        let label = Labels::named(code).ok_or_else(|| format!("'{code}' is no label"))?;
        if !label.decides_visibility() {
            return Err(format!("'{code}' is neither a confidentiality nor a sensitivity"));
        }
        confidentialities += usize::from(label.confidentiality().is_some());
        labels = labels | label;
    }
    if confidentialities != 1 {
        return Err(format!("the line has {confidentialities} confidentialities"));
    }
    let paths: Vec<&str> = paths.split_whitespace().collect();
    if paths.is_empty() {
        return Err("the line names no element".to_owned());
    }
    let one =
        |path| ElementPath::parse(path).map(|path| ElementRule { path, labels }).map_err(|error| format!("{path}: {error}"));
    paths.into_iter().map(one).collect()
}
