//! Where in a resource an error of its JSON or XML lies, as FHIRPath. Collected only when an error is on its way out, so that good texts do not pay for it.
//!
//! <https://hl7.org/fhir/R4/operationoutcome-definitions.html#OperationOutcome.issue.expression>. The names are the client's: they are shortened.

use crate::query::echo;
use crate::types::ResourceType;

use super::Value;

/// The most steps that an expression has; published resources are not nested as deeply.
const MAXIMUM_STEPS: usize = 30;

/// One step inwards.
#[derive(Debug)]
pub(crate) enum Step {
    /// To a member of an object.
    Member(Box<str>),
    /// To an item of an array, from 0.
    Item(usize),
}

/// The place of an error, built from the inside to the outside.
#[derive(Debug, Default)]
pub(crate) struct Place {
    /// Innermost first.
    steps: Vec<Step>,
    root: Option<&'static str>,
}

impl Place {
    /// The error lies within this step of what surrounds it.
    pub fn within(&mut self, step: Step) {
        self.steps.push(step);
    }

    /// The members of the outermost object that were read before the error.
    pub fn in_resource(&mut self, members: &[(Box<str>, Value)]) {
        let name = members.iter().find(|(name, _)| &**name == "resourceType").and_then(|(_, value)| value.as_str());
        self.root = name.and_then(ResourceType::parse).map(ResourceType::name);
    }

    /// The outermost resource is of this type.
    pub fn in_type(&mut self, resource_type: ResourceType) {
        self.root = Some(resource_type.name());
    }

    /// `Observation.code.coding[1].system`; `Resource` where no type is known (yet).
    pub fn expression(&self) -> String {
        let mut expression = self.root.unwrap_or("Resource").to_owned();
        let mut after_member = false;
        for step in self.steps.iter().rev().take(MAXIMUM_STEPS) {
            match step {
                Step::Member(name) => {
                    expression.push('.');
                    expression.push_str(&identifier(&echo(name)));
                    after_member = true;
                }
                // An array within an array is nowhere in FHIR and has no FHIRPath.
                Step::Item(index) if after_member => {
                    expression.push_str(&format!("[{index}]"));
                    after_member = false;
                }
                Step::Item(_) => {}
            }
        }
        expression
    }
}

/// The line and the column in characters, both from 1, of a byte.
pub(crate) fn line_and_column(bytes: &[u8], position: usize) -> (u32, u32) {
    let before = bytes.get(..position).unwrap_or(bytes);
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    // Continuation bytes of UTF-8 do not begin a character.
    let column = before.iter().skip(start).filter(|byte| (**byte & 0xc0) != 0x80).count() + 1;
    let bounded = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    (bounded(line), bounded(column))
}

/// A name as FHIRPath writes it: delimited where it is more than letters, digits and underscores.
fn identifier(name: &str) -> String {
    let mut characters = name.chars();
    let begins = characters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_');
    if begins && characters.all(|other| other.is_ascii_alphanumeric() || other == '_') {
        return name.to_owned();
    }
    format!("`{}`", name.replace('\\', "\\\\").replace('`', "\\`"))
}
