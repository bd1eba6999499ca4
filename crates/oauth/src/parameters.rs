//! Request parameters as `application/x-www-form-urlencoded` text, from a query or a form body.
//!
//! RFC 6749 section 3.1: "Parameters sent without a value MUST be treated as if they were omitted from the request. The authorization
//! server MUST ignore unrecognized request parameters. Request and response parameters MUST NOT be included more than once."
//!
//! Decoding is strict: broken percent escapes and invalid UTF-8 are refused instead of being replaced.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

pub use crate::repeated::Repeated;

/// The largest query or body of an app that is looked at, in bytes.
pub const MAXIMUM_BYTES: usize = 16 * 1024;

/// The most parameters in one request of an app.
pub const MAXIMUM_COUNT: usize = 64;

/// The largest form of a page of ours, in bytes: it carries an app's whole request, encoded once more, and beside it each scope of it.
pub const MAXIMUM_PAGE_FORM_BYTES: usize = 64 * 1024;

/// The most fields that a form of a page of ours has: one for each scope that a request may name, and for each part of it.
pub const MAXIMUM_PAGE_FORM_COUNT: usize = 1024;

/// Why parameters cannot be read at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParametersError {
    /// More than there is room for.
    #[error("the request has too many or too long parameters")]
    TooLarge,
    /// A broken percent escape, invalid UTF-8, or a null character.
    #[error("the parameters are not valid form data")]
    Malformed,
}

/// Decoded parameters.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Parameters {
    values: BTreeMap<String, Occurrences>,
}

#[derive(Clone, PartialEq, Eq)]
enum Occurrences {
    Once(String),
    Several(Vec<String>),
}

impl Occurrences {
    fn push(&mut self, value: String) {
        match self {
            Self::Once(first) => *self = Self::Several(vec![std::mem::take(first), value]),
            Self::Several(values) => values.push(value),
        }
    }
}

impl Parameters {
    /// Decodes form data of an app.
    pub fn parse(form: &[u8]) -> Result<Self, ParametersError> {
        Self::parse_within(form, MAXIMUM_BYTES, MAXIMUM_COUNT)
    }

    /// Decodes a form of a page of ours.
    pub fn parse_page_form(form: &[u8]) -> Result<Self, ParametersError> {
        Self::parse_within(form, MAXIMUM_PAGE_FORM_BYTES, MAXIMUM_PAGE_FORM_COUNT)
    }

    fn parse_within(form: &[u8], maximum_bytes: usize, maximum_count: usize) -> Result<Self, ParametersError> {
        if form.len() > maximum_bytes {
            return Err(ParametersError::TooLarge);
        }
        let mut values = BTreeMap::new();
        let pairs = form.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty());
        for (count, pair) in pairs.enumerate() {
            if count >= maximum_count {
                return Err(ParametersError::TooLarge);
            }
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            let name = decode(halves.next().unwrap_or_default())?;
            let value = decode(halves.next().unwrap_or_default())?;
            match values.entry(name) {
                Entry::Vacant(entry) => {
                    entry.insert(Occurrences::Once(value));
                }
                Entry::Occupied(mut entry) => entry.get_mut().push(value),
            }
        }
        Ok(Self { values })
    }

    /// The value of a parameter; an empty one counts as absent.
    pub fn value(&self, name: &str) -> Result<Option<&str>, Repeated> {
        match self.values.get(name) {
            None => Ok(None),
            Some(Occurrences::Once(value)) => Ok(Some(value.as_str()).filter(|value| !value.is_empty())),
            Some(Occurrences::Several(_)) => Err(Repeated::of(name)),
        }
    }

    /// Every value of a parameter that a form of ours repeats (tick boxes), in order.
    pub fn values<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        let values: &[String] = match self.values.get(name) {
            None => &[],
            Some(Occurrences::Once(value)) => std::slice::from_ref(value),
            Some(Occurrences::Several(values)) => values,
        };
        values.iter().map(String::as_str)
    }

    /// Every name with its value; one that occurs several times, several times.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().flat_map(|(name, occurrences)| {
            let values: &[String] = match occurrences {
                Occurrences::Once(value) => std::slice::from_ref(value),
                Occurrences::Several(values) => values,
            };
            values.iter().map(|value| (name.as_str(), value.as_str()))
        })
    }

    /// Refuses parameters of which any, known or not, occurs more than once; one that has a name in the error comes first.
    pub fn check_each_once(&self) -> Result<(), Repeated> {
        self.check_each_once_but(&[])
    }

    /// The same for a form in which these may occur more than once: rows of tick boxes.
    pub fn check_each_once_but(&self, rows: &[&str]) -> Result<(), Repeated> {
        let several = |occurrences: &Occurrences| matches!(occurrences, Occurrences::Several(_));
        let several = self.values.iter().filter(|(name, values)| several(values) && !rows.contains(&name.as_str()));
        let mut repeated = several.map(|(name, _)| Repeated::of(name));
        let Some(first) = repeated.next() else { return Ok(()) };
        Err(if first.is_named() { first } else { repeated.find(|found| found.is_named()).unwrap_or(first) })
    }
}

/// Parameters hold codes, secrets and verifiers: only their names are printed.
impl std::fmt::Debug for Parameters {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Parameters").field(&self.values.keys().collect::<Vec<_>>()).finish()
    }
}

/// Decodes one name or value: `+` is a space, `%` is followed by two hexadecimal digits.
pub(crate) fn decode(text: &[u8]) -> Result<String, ParametersError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    loop {
        // Assertions and tokens are long and have nothing to decode.
        let plain = rest.iter().position(|byte| matches!(byte, b'+' | b'%')).unwrap_or(rest.len());
        let (before, after) = rest.split_at(plain);
        bytes.extend_from_slice(before);
        rest = match after.split_first() {
            None => break,
            Some((b'+', after)) => {
                bytes.push(b' ');
                after
            }
            Some((_, after)) => {
                let (digits, after) = after.split_first_chunk::<2>().ok_or(ParametersError::Malformed)?;
                bytes.push(hexadecimal(digits).ok_or(ParametersError::Malformed)?);
                after
            }
        };
    }
    if bytes.contains(&0) {
        return Err(ParametersError::Malformed);
    }
    String::from_utf8(bytes).map_err(|_| ParametersError::Malformed)
}

fn hexadecimal(digits: &[u8; 2]) -> Option<u8> {
    let [high, low] = digits.map(|digit| char::from(digit).to_digit(16));
    u8::try_from(high? * 16 + low?).ok()
}

/// Appends `name=value` to a URL's query, which it starts where there is none. Everything but unreserved characters is escaped, and a
/// space as `%20`, which both form and URI decoders read.
pub(crate) fn append_to_query(url: &mut String, name: &str, value: &str) {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
    const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    match url.find('?') {
        None => url.push('?'),
        Some(_) if url.ends_with(['?', '&']) => {}
        Some(_) => url.push('&'),
    }
    url.extend(utf8_percent_encode(name, RESERVED));
    url.push('=');
    url.extend(utf8_percent_encode(value, RESERVED));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn broken_escapes_and_invalid_utf8_are_refused() {
        for form in [&b"a=%"[..], b"a=%4", b"a=%zz", b"a=%+1", b"a=%ff", b"a=\xff", b"a=%00", b"%g0=x"] {
            assert_eq!(Parameters::parse(form), Err(ParametersError::Malformed), "{form:?}");
        }
    }

    #[test]
    fn oversized_forms_are_refused() {
        let long = format!("a={}", "x".repeat(MAXIMUM_BYTES));
        assert_eq!(Parameters::parse(long.as_bytes()), Err(ParametersError::TooLarge));
        let many: String = (0..=MAXIMUM_COUNT).map(|number| format!("p{number}=x&")).collect();
        assert_eq!(Parameters::parse(many.as_bytes()), Err(ParametersError::TooLarge));
        // Forms of ours hold more, and end too.
        assert!(Parameters::parse_page_form(long.as_bytes()).is_ok() && Parameters::parse_page_form(many.as_bytes()).is_ok());
        let longest = format!("a={}", "x".repeat(MAXIMUM_PAGE_FORM_BYTES));
        assert_eq!(Parameters::parse_page_form(longest.as_bytes()), Err(ParametersError::TooLarge));
        let most: String = (0..=MAXIMUM_PAGE_FORM_COUNT).map(|number| format!("p{number}=x&")).collect();
        assert_eq!(Parameters::parse_page_form(most.as_bytes()), Err(ParametersError::TooLarge));
    }

    #[test]
    fn a_repeated_parameter_has_no_value_whatever_its_spelling() {
        let parameters = Parameters::parse(b"scope=a&%73cope=a&state=x&empty=&empty=").unwrap();
        assert_eq!(parameters.value("scope"), Err(Repeated::of("scope")));
        assert_eq!(parameters.value("empty"), Err(Repeated::of("empty")));
        assert_eq!(parameters.value("state"), Ok(Some("x")));
        assert_eq!(parameters.check_each_once(), Err(Repeated::of("scope")), "before one that has no name in the error");
        assert_eq!(Parameters::parse(b"a=1&b=1&a=").unwrap().check_each_once(), Err(Repeated::of("a")));
        assert_eq!(Parameters::parse(b"a=1&b=1").unwrap().check_each_once(), Ok(()));
        let ticked = Parameters::parse(b"box=1&box=2&a=1").unwrap();
        assert_eq!(ticked.check_each_once_but(&["box"]), Ok(()));
        assert_eq!(ticked.check_each_once_but(&["a"]), Err(Repeated::of("box")));
    }

    #[test]
    fn empty_values_count_as_absent_and_names_are_exact() {
        let parameters = Parameters::parse(b"&&a=&b&c=d=e+f%2B&State=x&").unwrap();
        assert_eq!(parameters.value("a"), Ok(None));
        assert_eq!(parameters.value("b"), Ok(None));
        assert_eq!(parameters.value("c"), Ok(Some("d=e f+")));
        assert_eq!(parameters.value("state"), Ok(None));
    }

    #[test]
    fn debug_output_has_names_only() {
        let parameters = Parameters::parse(b"code=hunter2&state=s").unwrap();
        assert_eq!(format!("{parameters:?}"), r#"Parameters(["code", "state"])"#);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Parameters::parse(&bytes);
        }

        #[test]
        fn what_is_appended_reads_back_byte_for_byte(first in "[^\0]{1,20}", second in "[^\0]{1,20}") {
            let mut url = String::from("https://app.example/callback");
            append_to_query(&mut url, "state", &first);
            append_to_query(&mut url, "iss", &second);
            let parameters = Parameters::parse(url.split_once('?').unwrap().1.as_bytes()).unwrap();
            prop_assert_eq!(parameters.value("state"), Ok(Some(first.as_str())));
            prop_assert_eq!(parameters.value("iss"), Ok(Some(second.as_str())));
        }
    }
}
