//! FHIR XML: the same resources in another form, converted from and to the JSON tree by the table of elements.
//!
//! <https://hl7.org/fhir/R4/xml.html>, XML 1.0 (fifth edition). Reading refuses what the table does not know, with line and FHIRPath; what it gives has still to pass
//! the checks of [`crate::resource`], as any JSON does. Writing takes what was released and nothing else: the order of the elements is that of the definitions,
//! decimals are as written, narratives stand as they are. Nothing is looked up outside the text: a document type is refused, so there are no entities but the
//! five of XML, and no schema is fetched. Bounds are those of JSON: the depth of what is read, and the size of the body.
//!
//! Comments are passed over, `xsi:schemaLocation` is not looked at. XML Patch and signatures over XML are not known.

mod narrative;
mod parse;
mod primitive;
mod reader;
mod write;

#[cfg(test)]
mod robustness;
#[cfg(test)]
mod tests;

pub use parse::parse;
pub use write::from_json;

/// "Resources and/or Bundles are always in the namespace http://hl7.org/fhir."
const FHIR: &str = "http://hl7.org/fhir";

/// The namespace of narratives.
const XHTML: &str = "http://www.w3.org/1999/xhtml";

/// Why a text is not FHIR XML, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct ParseError {
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
    /// What is wrong.
    pub message: String,
    /// The FHIRPath of the element, as far as it is known; `Resource` where not even a type is.
    pub expression: String,
}

/// Why a resource cannot be written as XML. It names elements, never their values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{expression}: {reason}")]
pub struct Unwritable {
    /// The FHIRPath of the element.
    pub expression: String,
    /// What XML cannot say.
    pub reason: &'static str,
}

const TOO_LONG: &str = "it would be many times as long as in JSON";

impl Unwritable {
    /// Whether it could be said, but in far more bytes than in JSON.
    pub fn is_too_long(&self) -> bool {
        self.reason == TOO_LONG
    }
}

/// Whether XML 1.0 has this character at all (section 2.2): not most controls, and not the two that are none in Unicode either.
fn is_character(character: char) -> bool {
    !matches!(character, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}')
}
