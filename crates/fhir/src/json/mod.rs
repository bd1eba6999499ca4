//! A JSON tree that keeps what FHIR needs and `serde_json::Value` loses: number text, member order, duplicate keys as errors.
//!
//! <https://hl7.org/fhir/R4/json.html>, RFC 8259. Decimals keep their text (`1.10` stays `1.10`,
//! <https://hl7.org/fhir/R4/datatypes.html#decimal>). RFC 8259 section 4 lets a parser refuse repeated names; this one does, since two readers
//! could otherwise see two different resources in one body.

mod members;
mod parse;
mod place;
mod write;

pub use members::parse_members;
pub(crate) use parse::parse_to;
pub use parse::{MAXIMUM_DEPTH, ParseError, parse};
pub(crate) use place::{Place, Step, line_and_column};
pub(crate) use write::write_string;

/// How many bytes at the beginning of a string's content need no escape: neither quotation mark, reverse solidus, nor control. Whole blocks are looked at
/// first, which the compiler turns into vector instructions; attachments are megabytes of such bytes.
fn plain_length(bytes: &[u8]) -> usize {
    const BLOCK: usize = 32;
    let is_special = |byte: &u8| (*byte < b' ') | (*byte == b'"') | (*byte == b'\\');
    let plain_blocks =
        bytes.chunks_exact(BLOCK).take_while(|block| !block.iter().fold(false, |found, byte| found | is_special(byte))).count();
    let start = plain_blocks * BLOCK;
    let rest = bytes.get(start..).unwrap_or_default();
    start + rest.iter().position(is_special).unwrap_or(rest.len())
}

/// A JSON value. Objects keep the order of their members; names within one object are unique.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number, as its text in the source.
    Number(Box<str>),
    /// A string, unescaped.
    String(Box<str>),
    /// An array.
    Array(Vec<Value>),
    /// An object, in source order.
    Object(Vec<(Box<str>, Value)>),
}

impl Value {
    /// An object of these members.
    pub fn object<const N: usize>(members: [(&str, Value); N]) -> Self {
        Self::Object(members.into_iter().map(|(name, value)| (name.into(), value)).collect())
    }

    /// An array of these items.
    pub fn array(items: impl IntoIterator<Item = Value>) -> Self {
        Self::Array(items.into_iter().collect())
    }

    /// The member of an object with this name.
    pub fn member(&self, name: &str) -> Option<&Value> {
        match self {
            Self::Object(members) => members.iter().find(|(key, _)| &**key == name).map(|(_, value)| value),
            _ => None,
        }
    }

    /// The text of a string value.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The items of an array value.
    pub fn as_array(&self) -> Option<&[Value]> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    /// The members of an object value, in source order.
    pub fn as_object(&self) -> Option<&[(Box<str>, Value)]> {
        match self {
            Self::Object(members) => Some(members),
            _ => None,
        }
    }

    /// The value of a boolean.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The text of a number.
    pub fn as_number(&self) -> Option<&str> {
        match self {
            Self::Number(text) => Some(text),
            _ => None,
        }
    }

    /// The items where FHIR repeats an element, or the one value where it does not.
    pub fn items(&self) -> &[Value] {
        match self {
            Self::Array(items) => items,
            single => std::slice::from_ref(single),
        }
    }

    /// What kind of value it is, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::String(_) => "a string",
            Self::Array(_) => "an array",
            Self::Object(_) => "an object",
        }
    }

    /// The compact JSON text.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut output = Vec::new();
        self.write(&mut output);
        output
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text.into())
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Number(value.to_string().into())
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Number(value.to_string().into())
    }
}

impl From<Vec<Value>> for Value {
    fn from(items: Vec<Value>) -> Self {
        Self::Array(items)
    }
}
