//! The formats of the primitive types.
//!
//! <https://hl7.org/fhir/R4/datatypes.html#primitive>: the published regular expressions, by hand. Stricter in one point: a string may not hold control
//! characters other than tab, carriage return and line feed, which the specification says it SHOULD not, nor what XML cannot say.

use crate::definitions::Primitive;
use crate::instant;
use crate::json::Value;
use crate::outcome::IssueType;
use crate::types::LogicalId;

/// "Note that strings SHALL NOT exceed 1MB in size."
const LONGEST_STRING_BYTES: usize = 1024 * 1024;

/// The longest decimal, in characters. FHIR asks for 18 digits.
const LONGEST_DECIMAL: usize = 64;

/// The largest power of ten in a decimal, up or down: a 64-bit floating-point number holds it with its digits. A short text that means an endless
/// number would make whoever computes with it pay.
const LARGEST_EXPONENT: u32 = 300;

/// What is wrong with a primitive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PrimitiveError {
    #[error("expected {expected}, not {found}")]
    JsonType { expected: &'static str, found: &'static str },
    #[error("expected {0}")]
    Format(&'static str),
    #[error("a string cannot be longer than 1 MB")]
    TooLong,
    #[error("a decimal has at most {LONGEST_DECIMAL} characters and an exponent from -{LARGEST_EXPONENT} to {LARGEST_EXPONENT}")]
    Unbounded,
}

impl PrimitiveError {
    pub(super) fn code(self) -> IssueType {
        match self {
            Self::JsonType { .. } => IssueType::Structure,
            Self::Format(_) => IssueType::Value,
            Self::TooLong | Self::Unbounded => IssueType::TooLong,
        }
    }
}

pub(super) fn check(kind: Primitive, value: &Value) -> Result<(), PrimitiveError> {
    match (kind, value) {
        (Primitive::Boolean, Value::Bool(_)) => Ok(()),
        (Primitive::Boolean, other) => Err(PrimitiveError::JsonType { expected: "true or false", found: other.kind() }),
        (Primitive::Decimal, Value::Number(text)) => decimal(text),
        (Primitive::Integer, Value::Number(text)) => integer(text, i32::MIN, "a whole number of 32 bits"),
        (Primitive::UnsignedInt, Value::Number(text)) => integer(text, 0, "a whole number from 0 to 2147483647"),
        (Primitive::PositiveInt, Value::Number(text)) => integer(text, 1, "a whole number from 1 to 2147483647"),
        (Primitive::Decimal | Primitive::Integer | Primitive::UnsignedInt | Primitive::PositiveInt, other) => {
            Err(PrimitiveError::JsonType { expected: "a number", found: other.kind() })
        }
        (_, Value::String(text)) => string(kind, text),
        (_, other) => Err(PrimitiveError::JsonType { expected: "a string", found: other.kind() }),
    }
}

fn decimal(text: &str) -> Result<(), PrimitiveError> {
    let exponent = text.split_once(['e', 'E']).map(|(_, exponent)| exponent.trim_start_matches(['+', '-']));
    let bounded = exponent.is_none_or(|digits| digits.parse::<u32>().is_ok_and(|exponent| exponent <= LARGEST_EXPONENT));
    if bounded && text.len() <= LONGEST_DECIMAL { Ok(()) } else { Err(PrimitiveError::Unbounded) }
}

fn integer(text: &str, minimum: i32, expected: &'static str) -> Result<(), PrimitiveError> {
    match text.parse::<i32>() {
        Ok(number) if number >= minimum => Ok(()),
        _ => Err(PrimitiveError::Format(expected)),
    }
}

fn string(kind: Primitive, text: &str) -> Result<(), PrimitiveError> {
    let (valid, expected) = match kind {
        Primitive::Base64Binary => (is_base64(text), "base64 (RFC 4648, with padding)"),
        Primitive::Code => (is_code(text), "a code: no leading, trailing or repeated white space"),
        Primitive::Date => (instant::is_date(text), "a date that exists: YYYY, YYYY-MM or YYYY-MM-DD"),
        Primitive::DateTime => {
            (instant::is_date_time(text), "a date that exists: YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm:ss+zz:zz")
        }
        Primitive::Instant => (instant::is_instant(text), "a date and time that exist: YYYY-MM-DDThh:mm:ss.sss+zz:zz"),
        Primitive::Time => (instant::is_time(text), "a time: hh:mm:ss"),
        Primitive::Id => (LogicalId::parse(text).is_some(), "an id: 1 to 64 of A-Z a-z 0-9 - ."),
        Primitive::Oid => (is_oid(text), "an OID: urn:oid:1.2.3"),
        Primitive::Uuid => (is_uuid(text), "a UUID in lower case: urn:uuid:c757873d-ec9a-4326-a141-556f43239520"),
        Primitive::Uri | Primitive::Url | Primitive::Canonical => (is_uri(text), "a URI: not empty, no white space"),
        _ if text.len() > LONGEST_STRING_BYTES => return Err(PrimitiveError::TooLong),
        _ => (is_text(text), "a string that is not empty and has no control characters"),
    };
    if valid { Ok(()) } else { Err(PrimitiveError::Format(expected)) }
}

/// `[ \r\n\t\S]+`
fn is_text(text: &str) -> bool {
    let is_control = |byte: &u8| (*byte < b' ') & (*byte != b'\t') & (*byte != b'\r') & (*byte != b'\n');
    !text.is_empty() && count_of(text.as_bytes(), is_control) == 0 && !has_noncharacter(text)
}

/// Whether a text has one of the two that are no characters in XML 1.0 (section 2.2) nor in Unicode. Both begin with the byte EF, which is looked for first.
pub(super) fn has_noncharacter(text: &str) -> bool {
    text.as_bytes().contains(&0xef) && text.contains(['\u{fffe}', '\u{ffff}'])
}

/// `[^\s]+(\s[^\s]+)*`
fn is_code(text: &str) -> bool {
    is_text(text) && text.split(char::is_whitespace).all(|word| !word.is_empty())
}

/// `\S*`, and not empty, as no primitive is.
fn is_uri(text: &str) -> bool {
    is_text(text) && !text.contains(char::is_whitespace)
}

/// `urn:oid:[0-2](\.(0|[1-9][0-9]*))+`
fn is_oid(text: &str) -> bool {
    let Some(("0" | "1" | "2", arcs)) = text.strip_prefix("urn:oid:").and_then(|number| number.split_once('.')) else {
        return false;
    };
    let is_arc =
        |arc: &str| !arc.is_empty() && arc.bytes().all(|byte| byte.is_ascii_digit()) && (arc == "0" || !arc.starts_with('0'));
    arcs.split('.').all(is_arc)
}

/// `urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`
fn is_uuid(text: &str) -> bool {
    let Some(number) = text.strip_prefix("urn:uuid:") else { return false };
    let lengths = number.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12]) && number.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-'))
}

/// `(\s*([0-9a-zA-Z\+/=]){4}\s*)+`, with padding only at the end.
fn is_base64(text: &str) -> bool {
    // Counting without leaving early lets the compiler use vector instructions; attachments are megabytes.
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() | (*byte == b'+') | (*byte == b'/');
    let is_space = |byte: &u8| (*byte == b' ') | (*byte == b'\t') | (*byte == b'\r') | (*byte == b'\n');
    let content = text.trim_end_matches(['=', ' ', '\t', '\r', '\n']).as_bytes();
    let digits = count_of(content, is_digit);
    let padding = text.bytes().skip(content.len()).filter(|byte| *byte == b'=').count();
    digits > 0 && digits + count_of(content, is_space) == content.len() && padding <= 2 && (digits + padding).is_multiple_of(4)
}

fn count_of(bytes: &[u8], wanted: impl Fn(&u8) -> bool) -> usize {
    bytes.iter().filter(|byte| wanted(byte)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(kind: Primitive, text: &str) -> bool {
        check(kind, &crate::json::parse(text.as_bytes()).unwrap()).is_ok()
    }

    #[test]
    fn decimals_without_end_are_refused_and_long_ones_of_the_specification_are_not() {
        let digits = |count: usize| "1".repeat(count);
        for text in ["1e400000", "1E301", "-1e-301", "1e99999999999999999999", &digits(65), &format!("0.{}", digits(63))] {
            assert!(!accepts(Primitive::Decimal, text), "{text}");
        }
        for text in ["1e300", "-1.5E-300", "1e0000000300", "1E+2", &digits(64), "123456789012345678.123456789012345678"] {
            assert!(accepts(Primitive::Decimal, text), "{text}");
        }
    }

    #[test]
    fn each_primitive_accepts_its_format_and_nothing_else() {
        let table: [(Primitive, &[&str], &[&str]); 14] = [
            (Primitive::Boolean, &["true", "false"], &["\"true\"", "1", "null", "{}"]),
            (Primitive::Decimal, &["1.10", "-0", "1e3"], &["\"1\"", "true"]),
            (Primitive::Integer, &["0", "-2147483648", "2147483647"], &["2147483648", "1.0", "1e2", "\"1\""]),
            (Primitive::UnsignedInt, &["0", "1"], &["-1", "2147483648"]),
            (Primitive::PositiveInt, &["1"], &["0", "-1"]),
            (
                Primitive::String,
                &["\"a\"", "\" \"", "\"a\\nb\"", "\"\\ufffd\\ufeff\""],
                &["\"\"", "1", "\"a\\u0000\"", "\"\\u001b\"", "\"\\uffff\"", "\"a\\ufffe\"", "[]"],
            ),
            (Primitive::Code, &["\"a\"", "\"a b\""], &["\"\"", "\" a\"", "\"a \"", "\"a  b\""]),
            (Primitive::Uri, &["\"urn:x\"", "\"http://a.example/b|1\""], &["\"\"", "\"a b\"", "\"a\\n\""]),
            (Primitive::Id, &["\"A-1.b\""], &["\"a_b\"", "\"\"", "\"a/b\""]),
            (
                Primitive::Oid,
                &["\"urn:oid:1.2.3\"", "\"urn:oid:2.0\""],
                &["\"1.2.3\"", "\"urn:oid:3.1\"", "\"urn:oid:1\"", "\"urn:oid:1.02\"", "\"urn:oid:1.\""],
            ),
            (
                Primitive::Uuid,
                &["\"urn:uuid:c757873d-ec9a-4326-a141-556f43239520\""],
                &[
                    "\"c757873d-ec9a-4326-a141-556f43239520\"",
                    "\"urn:uuid:C757873D-ec9a-4326-a141-556f43239520\"",
                    "\"urn:uuid:c757873dec9a4326a141556f43239520\"",
                ],
            ),
            (
                Primitive::Base64Binary,
                &["\"AAAA\"", "\"AA==\"", "\"AAAA\\nAA==\"", "\" QUJD \""],
                &["\"\"", "\"AAA\"", "\"A===\"", "\"AA-_\"", "\"=AAA\"", "\"AAA=AAAA\"", "\" \""],
            ),
            (Primitive::Date, &["\"2024-02-29\"", "\"2024\""], &["\"2024-02-30\"", "\"2024-02-29T00:00:00Z\"", "2024"]),
            (Primitive::Instant, &["\"2024-02-29T00:00:00.5Z\""], &["\"2024-02-29\"", "\"2024-02-29T00:00:00\""]),
        ];
        for (kind, valid, invalid) in table {
            for text in valid {
                assert!(accepts(kind, text), "{kind:?} {text}");
            }
            for text in invalid {
                assert!(!accepts(kind, text), "{kind:?} {text}");
            }
        }
    }

    #[test]
    fn strings_beyond_a_megabyte_are_refused() {
        let text = "x".repeat(LONGEST_STRING_BYTES);
        assert_eq!(check(Primitive::String, &Value::from(text.as_str())), Ok(()));
        assert_eq!(check(Primitive::String, &Value::from(format!("{text}x"))), Err(PrimitiveError::TooLong));
    }
}
