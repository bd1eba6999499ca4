//! Query strings and form bodies: `application/x-www-form-urlencoded` as ordered names and values.
//!
//! <https://url.spec.whatwg.org/#application/x-www-form-urlencoded>, but strict: a broken escape or text that is not UTF-8 is an error that
//! names the parameter, where browsers would guess. What the names mean is not known here.

use crate::outcome::{Issue, IssueType};
use crate::search::SearchQuery;

/// The longest query string or form body, in bytes before decoding.
pub const MAXIMUM_LENGTH: usize = 64 * 1024;

/// The longest part of a name that an error repeats, in characters.
const MAXIMUM_ECHO: usize = 64;

/// Parses a query string (without the question mark) or a form body into its names and values, in order.
///
/// A part without `=` is a name with an empty value; empty parts (`a=1&&b=2`) are skipped.
pub fn parse(text: &[u8]) -> Result<Vec<(String, String)>, Vec<Issue>> {
    if text.len() > MAXIMUM_LENGTH {
        let message = format!("The query has {} bytes; at most {MAXIMUM_LENGTH} are accepted.", text.len());
        return Err(vec![Issue::error(IssueType::TooLong, message).at("http")]);
    }
    let parts = text.split(|byte| *byte == b'&').filter(|part| !part.is_empty());
    let mut pairs = Vec::new();
    let mut issues = Vec::new();
    for part in parts {
        if pairs.len() + issues.len() >= SearchQuery::MAXIMUM_PARAMETERS {
            issues.push(too_many());
            break;
        }
        match pair(part) {
            Ok(pair) => pairs.push(pair),
            Err(issue) => issues.push(issue),
        }
    }
    if issues.is_empty() { Ok(pairs) } else { Err(issues) }
}

/// The error for more than [`SearchQuery::MAXIMUM_PARAMETERS`] parameters.
pub(crate) fn too_many() -> Issue {
    let message = format!("At most {} parameters are accepted in one request.", SearchQuery::MAXIMUM_PARAMETERS);
    Issue::error(IssueType::TooLong, message).at("http")
}

/// Decodes one segment of a path: percent escapes only (`+` stays a plus); `None` where an escape is broken, the text is not UTF-8, or has a NUL.
pub fn decode_segment(segment: &str) -> Option<String> {
    decode(segment.as_bytes(), false).ok()
}

/// Appends a name or value in the form that [`parse`] reads; everything but letters, digits and `- . _ ~ * : / ,` is escaped.
pub fn encode(text: &str, output: &mut String) {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~*:/,".contains(&byte) {
            output.push(char::from(byte));
        } else {
            output.push('%');
            output.extend([byte >> 4, byte & 15].iter().filter_map(|digit| DIGITS.get(usize::from(*digit))));
        }
    }
}

/// A name or other text of the client, shortened so that an error can repeat it.
pub(crate) fn echo(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(MAXIMUM_ECHO).collect()
}

fn pair(part: &[u8]) -> Result<(String, String), Issue> {
    let position = part.iter().position(|byte| *byte == b'=');
    let (name, value) = match position {
        Some(position) => (part.get(..position).unwrap_or_default(), part.get(position + 1..).unwrap_or_default()),
        None => (part, <&[u8]>::default()),
    };
    let name = decode(name, true).map_err(|fault| {
        let message = match fault {
            Undecodable::Encoding => "The name of a parameter is not percent-encoded UTF-8.",
            Undecodable::Nul => "The name of a parameter has the control character NUL (%00), which is not accepted.",
        };
        Issue::error(IssueType::Value, message).at("http")
    })?;
    if name.is_empty() {
        return Err(Issue::error(IssueType::Value, "A parameter has no name.").at("http"));
    }
    match decode(value, true) {
        Ok(value) => Ok((name, value)),
        Err(fault) => {
            let message = match fault {
                Undecodable::Encoding => "The value is not percent-encoded UTF-8; write a percent sign as %25.",
                Undecodable::Nul => "The value has the control character NUL (%00), which is not accepted.",
            };
            Err(Issue::error(IssueType::Value, message).at(format!("http.{}", echo(&name))))
        }
    }
}

/// Why a name or value cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Undecodable {
    /// A broken escape, or text that is not UTF-8.
    Encoding,
    /// The character NUL.
    Nul,
}

/// Percent-decodes; NUL is refused too, because no name or value of FHIR has one and stores differ in what they make of it.
fn decode(text: &[u8], plus_is_space: bool) -> Result<String, Undecodable> {
    let mut output = Vec::with_capacity(text.len());
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        let decoded = match byte {
            b'%' => escaped(&mut bytes).ok_or(Undecodable::Encoding)?,
            b'+' if plus_is_space => b' ',
            other => other,
        };
        if decoded == 0 {
            return Err(Undecodable::Nul);
        }
        output.push(decoded);
    }
    String::from_utf8(output).map_err(|_| Undecodable::Encoding)
}

/// The byte that two hexadecimal digits stand for.
fn escaped(bytes: &mut impl Iterator<Item = u8>) -> Option<u8> {
    Some((hexadecimal(bytes.next()?)? << 4) | hexadecimal(bytes.next()?)?)
}

fn hexadecimal(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn broken_escapes_and_broken_text_are_refused_by_name() {
        for (text, place) in [
            ("code=%", "http.code"),
            ("code=%4", "http.code"),
            ("code=%zz", "http.code"),
            ("code=%+1", "http.code"),
            ("code=%C3", "http.code"),
            ("code=%C3%28", "http.code"),
            ("code=%ED%A0%80", "http.code"),
            ("code=a%00b", "http.code"),
            ("%FF=1", "http"),
            ("=1", "http"),
            ("%=1", "http"),
        ] {
            let issues = parse(text.as_bytes()).unwrap_err();
            assert_eq!(issues[0].expression.as_deref(), Some(place), "{text}");
        }
        assert!(parse(b"code=\xff").is_err());
        assert!(parse(b"code=a%00b").unwrap_err()[0].diagnostics.contains("control character NUL"));
    }

    #[test]
    fn too_long_and_too_many_are_refused() {
        assert!(parse(&vec![b'a'; MAXIMUM_LENGTH]).is_ok());
        assert_eq!(parse(&vec![b'a'; MAXIMUM_LENGTH + 1]).unwrap_err()[0].code, IssueType::TooLong);
        assert!(parse("a=1&".repeat(SearchQuery::MAXIMUM_PARAMETERS).as_bytes()).is_ok());
        let too_many = parse("a=1&".repeat(SearchQuery::MAXIMUM_PARAMETERS + 1).as_bytes()).unwrap_err();
        assert_eq!((too_many[0].code, too_many[0].expression.as_deref()), (IssueType::TooLong, Some("http")));
        assert!(parse("%&".repeat(20_000).as_bytes()).unwrap_err().len() <= SearchQuery::MAXIMUM_PARAMETERS + 1);
    }

    #[test]
    fn order_repetition_plus_and_empty_values_survive() {
        let pairs = parse(b"b=2&a=x+y%2Bz&&a=%C3%A4&c&d==").unwrap();
        let expected = [("b", "2"), ("a", "x y+z"), ("a", "\u{e4}"), ("c", ""), ("d", "=")];
        assert_eq!(pairs, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(parse(b"").unwrap(), []);
    }

    #[test]
    fn a_path_segment_keeps_its_plus() {
        assert_eq!(decode_segment("a+b%20c").as_deref(), Some("a+b c"));
        assert_eq!(decode_segment("a%"), None);
        assert_eq!(decode_segment("%00"), None);
    }

    proptest! {
        #[test]
        fn every_text_survives_encoding(name in "[^\0]{1,20}", value in "[^\0]{0,40}") {
            let mut text = String::new();
            encode(&name, &mut text);
            text.push('=');
            encode(&value, &mut text);
            prop_assert!(text.is_ascii());
            prop_assert_eq!(parse(text.as_bytes()).unwrap(), vec![(name, value)]);
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }
    }
}
