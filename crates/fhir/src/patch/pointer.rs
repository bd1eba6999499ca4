//! JSON Pointer (RFC 6901): the way from the root of a JSON text to a value in it.

use std::fmt;

use crate::json::{MAXIMUM_DEPTH, Value};

/// A pointer: the names and indices from the root on, unescaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pointer(Vec<Box<str>>);

impl Pointer {
    /// Reads a pointer; otherwise what is wrong, as the end of a sentence.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const WRONG: &str = "has a 'path' or 'from' that is no JSON Pointer, such as /name/0/family.";
        let Some(rest) = text.strip_prefix('/') else {
            return if text.is_empty() { Ok(Self(Vec::new())) } else { Err(WRONG) };
        };
        let steps: Vec<Box<str>> = rest.split('/').map(unescaped).collect::<Option<_>>().ok_or(WRONG)?;
        if steps.len() > MAXIMUM_DEPTH {
            return Err("leads deeper than any resource is nested.");
        }
        Ok(Self(steps))
    }

    /// How many steps it has.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The way to what holds the value, and the last step.
    pub fn split_last(&self) -> Option<(&[Box<str>], &str)> {
        self.0.split_last().map(|(last, parent)| (parent, &**last))
    }

    /// Whether it leads through another one.
    pub fn lies_within(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|step| write!(formatter, "/{}", step.replace('~', "~0").replace('/', "~1")))
    }
}

/// `~1` is `/` and `~0` is `~`; any other tilde is an error.
fn unescaped(step: &str) -> Option<Box<str>> {
    let mut parts = step.split('~');
    let mut text = parts.next()?.to_owned();
    for part in parts {
        let (sign, rest) = match part.as_bytes().first()? {
            b'0' => ('~', part.get(1..)?),
            b'1' => ('/', part.get(1..)?),
            _ => return None,
        };
        text.push(sign);
        text.push_str(rest);
    }
    Some(text.into())
}

/// An index in an array: digits without a zero in front.
pub(super) fn index(step: &str) -> Option<usize> {
    let is_plain = step == "0" || (!step.starts_with('0') && step.bytes().all(|byte| byte.is_ascii_digit()));
    step.parse().ok().filter(|_| is_plain)
}

/// The value to which a pointer leads.
pub(super) fn find<'a>(root: &'a Value, pointer: &Pointer) -> Option<&'a Value> {
    pointer.0.iter().try_fold(root, |value, step| match value {
        Value::Object(_) => value.member(step),
        Value::Array(items) => items.get(index(step)?),
        _ => None,
    })
}

/// The same, to be changed.
pub(super) fn find_mut<'a>(root: &'a mut Value, pointer: &Pointer) -> Option<&'a mut Value> {
    find_at_mut(root, &pointer.0)
}

/// The value to which these steps lead, to be changed.
pub(super) fn find_at_mut<'a>(root: &'a mut Value, steps: &[Box<str>]) -> Option<&'a mut Value> {
    steps.iter().try_fold(root, |value, step| match value {
        Value::Object(members) => members.iter_mut().find(|(name, _)| **name == **step).map(|(_, value)| value),
        Value::Array(items) => items.get_mut(index(step)?),
        _ => None,
    })
}
