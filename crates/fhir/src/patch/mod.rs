//! JSON Patch (RFC 6902) on resources.
//!
//! <https://hl7.org/fhir/R4/http.html#patch>. Written here and not taken from a crate: those work on `serde_json::Value`, which does not keep decimals as
//! written. Numbers are compared by value, as RFC 6902, section 4.6 wants. A patch is bounded in its operations and in the work that they are; nothing
//! that it builds is nested deeper than a parser would accept.
//!
//! The identity of a resource is the server's: a patch that changes `resourceType`, `id`, `meta.versionId` or `meta.lastUpdated` is refused. A narrative that was
//! generated and that the patch leaves as it was would no longer be true: it goes. One that a person has written is for the client to bring up to date.

mod number;
mod pointer;

use std::mem;

use crate::json::{self, MAXIMUM_DEPTH, Value};
use crate::outcome::{Issue, IssueType};
use crate::query::echo;
use crate::resource::Resource;

use pointer::Pointer;

/// The media type.
pub const JSON_PATCH: &str = "application/json-patch+json";
/// The longest document, in bytes.
pub const MAXIMUM_LENGTH: usize = 1 << 20;
/// The most operations.
pub const MAXIMUM_OPERATIONS: usize = 500;
/// How many values and bytes of text the operations of one document may look at, copy or move aside, together.
const MAXIMUM_WORK: usize = 32 << 20;
/// What no patch changes.
const ASSIGNED: [&[&str]; 4] = [&["resourceType"], &["id"], &["meta", "versionId"], &["meta", "lastUpdated"]];

/// A patch.
#[derive(Clone, Debug, PartialEq)]
pub struct Document(Vec<Operation>);

#[derive(Clone, Debug, PartialEq)]
struct Operation {
    kind: Kind,
    path: Pointer,
}

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    Add(Value),
    Remove,
    Replace(Value),
    Move(Pointer),
    Copy(Pointer),
    Test(Value),
}

impl Kind {
    fn name(&self) -> &'static str {
        match self {
            Self::Add(_) => "add",
            Self::Remove => "remove",
            Self::Replace(_) => "replace",
            Self::Move(_) => "move",
            Self::Copy(_) => "copy",
            Self::Test(_) => "test",
        }
    }
}

impl Document {
    /// Reads a document. The issue has no place.
    pub fn parse(bytes: &[u8]) -> Result<Self, Issue> {
        if bytes.len() > MAXIMUM_LENGTH {
            let message = format!("The patch has {} bytes; at most {MAXIMUM_LENGTH} are accepted.", bytes.len());
            return Err(Issue::error(IssueType::TooLong, message));
        }
        let tree = json::parse(bytes);
        let tree = tree.map_err(|error| Issue::error(IssueType::Structure, format!("not valid JSON: {error}")))?;
        let Value::Array(items) = tree else {
            return Err(Issue::error(IssueType::Structure, "A JSON Patch is an array of operations."));
        };
        if items.len() > MAXIMUM_OPERATIONS {
            let message = format!("The patch has {} operations; at most {MAXIMUM_OPERATIONS} are accepted.", items.len());
            return Err(Issue::error(IssueType::TooLong, message));
        }
        let one = |(index, item)| {
            operation(item)
                .map_err(|reason| Issue::error(IssueType::Structure, format!("Operation {index} of the patch {reason}")))
        };
        items.into_iter().enumerate().map(one).collect::<Result<_, _>>().map(Self)
    }

    /// The resource as the patch makes it, without an identity of a version that the server has not given it yet. The issues are of a resource that cannot
    /// become that (422).
    pub fn apply(&self, resource: &[u8]) -> Result<Resource, Vec<Issue>> {
        let fault = |issue: Issue| vec![issue.at("http")];
        let before = json::parse(resource);
        let before = before.map_err(|_| fault(Issue::error(IssueType::Exception, "What is stored is not JSON.")))?;
        let mut target = Target { root: before.clone(), room: MAXIMUM_WORK };
        for (index, operation) in self.0.iter().enumerate() {
            target.perform(operation).map_err(|reason| {
                let Operation { kind, path } = operation;
                let message = format!("Operation {index} of the patch ({} {}) {reason}", kind.name(), echo(&path.to_string()));
                fault(Issue::error(IssueType::Processing, message))
            })?;
        }
        let mut after = target.root;
        for path in ASSIGNED {
            if member(&before, path) != member(&after, path) {
                let message = format!("A patch does not change {}, which the server assigns.", path.join("."));
                return Err(fault(Issue::error(IssueType::Value, message)));
            }
        }
        settle_narrative(&before, &mut after).map_err(fault)?;
        Resource::parse(&after.to_bytes())
    }
}

fn member<'a>(value: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, name| value.member(name))
}

/// "The server SHALL ensure that the narrative in a resource is not clinically unsafe after the PATCH operation is performed."
fn settle_narrative(before: &Value, after: &mut Value) -> Result<(), Issue> {
    let Some(text) = after.member("text").filter(|text| before.member("text") == Some(*text)) else { return Ok(()) };
    let status = text.member("status").and_then(Value::as_str).unwrap_or_default();
    let is_generated = matches!(status, "generated" | "extensions" | "empty");
    let Value::Object(members) = &mut *after else { return Ok(()) };
    let others = |members: &[(Box<str>, Value)]| -> Vec<(Box<str>, Value)> {
        members.iter().filter(|(name, _)| &**name != "text" && &**name != "meta").cloned().collect()
    };
    if before.as_object().is_some_and(|before| others(before) == others(members)) {
        return Ok(());
    }
    if is_generated {
        members.retain(|(name, _)| &**name != "text");
        return Ok(());
    }
    let message =
        "The narrative says more than the elements do, and the patch leaves it as it was. Change /text too, or remove it.";
    Err(Issue::error(IssueType::Processing, message))
}

/// What is wrong with an operation: the end of a sentence.
type Fault = &'static str;

fn operation(item: Value) -> Result<Operation, Fault> {
    let Value::Object(members) = item else { return Err("is no object.") };
    let (mut name, mut path, mut from, mut value) = (None, None, None, None);
    for (member, content) in members {
        match (&*member, content) {
            ("op", Value::String(text)) => name = Some(text),
            ("path", Value::String(text)) => path = Some(Pointer::parse(&text)?),
            ("from", Value::String(text)) => from = Some(Pointer::parse(&text)?),
            ("op" | "path" | "from", _) => return Err("has an 'op', 'path' or 'from' that is no text."),
            ("value", content) => value = Some(content),
            // "Members that are not explicitly defined for the operation in question MUST be ignored."
            _ => {}
        }
    }
    let value = || value.ok_or("has no 'value'.");
    let from = || from.ok_or("has no 'from'.");
    let kind = match name.as_deref() {
        Some("add") => Kind::Add(value()?),
        Some("remove") => Kind::Remove,
        Some("replace") => Kind::Replace(value()?),
        Some("move") => Kind::Move(from()?),
        Some("copy") => Kind::Copy(from()?),
        Some("test") => Kind::Test(value()?),
        _ => return Err("has no 'op' of add, remove, replace, move, copy and test."),
    };
    Ok(Operation { kind, path: path.ok_or("has no 'path'.")? })
}

const NOWHERE: Fault = "leads nowhere.";
const TOO_MUCH: Fault = "is more work than one patch may be.";

/// A resource that is being patched.
struct Target {
    root: Value,
    /// What is left of [`MAXIMUM_WORK`].
    room: usize,
}

impl Target {
    fn perform(&mut self, operation: &Operation) -> Result<(), Fault> {
        let path = &operation.path;
        match &operation.kind {
            Kind::Add(value) => self.add(path, value.clone()),
            Kind::Remove => self.remove(path).map(drop),
            Kind::Replace(value) => {
                self.measure(value, path)?;
                *pointer::find_mut(&mut self.root, path).ok_or(NOWHERE)? = value.clone();
                Ok(())
            }
            Kind::Move(from) if from == path => pointer::find(&self.root, from).map(drop).ok_or(NOWHERE),
            Kind::Move(from) if path.lies_within(from) => Err("moves a value into itself."),
            Kind::Move(from) => {
                let value = self.remove(from)?;
                self.add(path, value)
            }
            Kind::Copy(from) => {
                // Measured before it is copied.
                let value = pointer::find(&self.root, from).ok_or(NOWHERE)?;
                let size = measure(value, path.len()).ok_or(TOO_DEEP)?;
                self.room = self.room.checked_sub(size).ok_or(TOO_MUCH)?;
                let value = value.clone();
                self.add(path, value)
            }
            Kind::Test(expected) => {
                self.measure(expected, path)?;
                let found = pointer::find(&self.root, path).ok_or(NOWHERE)?;
                if number::same(found, expected) { Ok(()) } else { Err("finds another value.") }
            }
        }
    }

    fn add(&mut self, path: &Pointer, value: Value) -> Result<(), Fault> {
        self.measure(&value, path)?;
        let Some((parent, last)) = path.split_last() else {
            self.root = value;
            return Ok(());
        };
        match pointer::find_at_mut(&mut self.root, parent).ok_or(NOWHERE)? {
            Value::Object(members) => match members.iter_mut().find(|(name, _)| **name == *last) {
                Some((_, old)) => *old = value,
                None => members.push((last.into(), value)),
            },
            Value::Array(items) => {
                let index = if last == "-" { items.len() } else { pointer::index(last).ok_or(NOWHERE)? };
                if index > items.len() {
                    return Err("leads behind the end of an array.");
                }
                self.room = self.room.checked_sub(items.len() - index).ok_or(TOO_MUCH)?;
                items.insert(index, value);
            }
            _ => return Err(NOWHERE),
        }
        Ok(())
    }

    fn remove(&mut self, path: &Pointer) -> Result<Value, Fault> {
        let Some((parent, last)) = path.split_last() else { return Err("removes the whole resource.") };
        match pointer::find_at_mut(&mut self.root, parent).ok_or(NOWHERE)? {
            Value::Object(members) => {
                let position = members.iter().position(|(name, _)| **name == *last).ok_or(NOWHERE)?;
                Ok(mem::replace(&mut members.remove(position).1, Value::Null))
            }
            Value::Array(items) => {
                let index = pointer::index(last).filter(|index| *index < items.len()).ok_or(NOWHERE)?;
                self.room = self.room.checked_sub(items.len() - index).ok_or(TOO_MUCH)?;
                Ok(items.remove(index))
            }
            _ => Err(NOWHERE),
        }
    }

    /// Accounts for a value that is put or looked for at this place.
    fn measure(&mut self, value: &Value, path: &Pointer) -> Result<(), Fault> {
        let size = measure(value, path.len()).ok_or(TOO_DEEP)?;
        self.room = self.room.checked_sub(size).ok_or(TOO_MUCH)?;
        Ok(())
    }
}

const TOO_DEEP: Fault = "would nest too deeply.";

/// How much there is of a value that lies at this depth; `None` where it is nested too deeply.
fn measure(value: &Value, depth: usize) -> Option<usize> {
    if depth > MAXIMUM_DEPTH {
        return None;
    }
    let inside = match value {
        Value::Null | Value::Bool(_) => 0,
        Value::Number(text) | Value::String(text) => text.len(),
        Value::Array(items) => items.iter().try_fold(0, |sum, item| Some(sum + measure(item, depth + 1)?))?,
        Value::Object(members) => {
            members.iter().try_fold(0, |sum, (name, value)| Some(sum + name.len() + measure(value, depth + 1)?))?
        }
    };
    Some(inside + 1)
}

#[cfg(test)]
mod tests;
