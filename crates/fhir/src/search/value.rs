//! Values of search parameters: alternatives, escapes, tokens, numbers, quantities, dates, references.
//!
//! <https://hl7.org/fhir/R4/search.html#escaping> and the sections of the parameter types. An error is a sentence that says what would be
//! accepted; it does not repeat the value, because values of searches are patient data.

use super::{DateMatch, NumberMatch, Prefix, QuantityMatch, ReferenceMatch, SearchQuery, TokenMatch};
use crate::definitions::SearchParameter;
use crate::reference::{LocalReference, Reference};
use crate::types::{LogicalId, ResourceType};
use crate::{index, instant};

/// What would be accepted instead.
pub(super) type Accepted = String;

/// The distance by which `ap` widens, as a divisor: a tenth, as the specification recommends.
const APPROXIMATION_DIVISOR: i64 = 10;

/// The alternatives of a value, still escaped, each parsed by `parse`.
pub(super) fn alternatives<T>(value: &str, parse: impl Fn(&str) -> Result<T, Accepted>) -> Result<Vec<T>, Accepted> {
    let parts = split(value, ',');
    if parts.len() > SearchQuery::MAXIMUM_ALTERNATIVES {
        return Err(format!("At most {} alternatives are accepted in one parameter.", SearchQuery::MAXIMUM_ALTERNATIVES));
    }
    let several = parts.len() > 1;
    let one = |(position, part): (usize, &&str)| {
        let parsed = if part.trim().is_empty() { Err("A value is needed; it is empty.".to_owned()) } else { parse(part) };
        parsed.map_err(|message| if several { format!("Alternative {}: {message}", position + 1) } else { message })
    };
    parts.iter().enumerate().map(one).collect()
}

/// Splits at separators that no backslash escapes; the parts keep their escapes.
pub(super) fn split(text: &str, separator: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut escaped = false;
    for (position, character) in text.char_indices() {
        if escaped {
            escaped = false;
        } else if character == '\\' {
            escaped = true;
        } else if character == separator {
            parts.push(text.get(start..position).unwrap_or_default());
            start = position + separator.len_utf8();
        }
    }
    parts.push(text.get(start..).unwrap_or_default());
    parts
}

/// Resolves `\,` `\|` `\$` `\\`; any other backslash is an error.
pub(super) fn unescape(text: &str) -> Result<Box<str>, Accepted> {
    let mut output = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            output.push(character);
            continue;
        }
        match characters.next() {
            Some(escaped @ (',' | '|' | '$' | '\\')) => output.push(escaped),
            _ => return Err(r"A backslash stands before a comma, |, $ or backslash only; write a backslash as \\.".to_owned()),
        }
    }
    Ok(output.into())
}

/// Text in the form that string comparison uses.
pub(super) fn normalised(text: &str) -> Result<Box<str>, Accepted> {
    let normalised = index::normalise(&unescape(text)?);
    // An empty prefix would match every text.
    if normalised.trim().is_empty() { Err("A letter or digit is needed.".to_owned()) } else { Ok(normalised.into()) }
}

/// `code`, `system|code`, `|code` or `system|`.
pub(super) fn token(text: &str) -> Result<TokenMatch, Accepted> {
    let accepted = || r"Accepted are code, system|code, |code and system|; a | within is written \|.".to_owned();
    match split(text, '|').as_slice() {
        [code] => Ok(TokenMatch { system: None, code: Some(unescape(code)?) }),
        ["", ""] => Err(accepted()),
        [system, ""] => Ok(TokenMatch { system: Some(unescape(system)?), code: None }),
        [system, code] => Ok(TokenMatch { system: Some(unescape(system)?), code: Some(unescape(code)?) }),
        _ => Err(accepted()),
    }
}

/// A number with an optional prefix.
pub(super) fn number(text: &str) -> Result<NumberMatch, Accepted> {
    let accepted = || "A decimal number is accepted, with one of the prefixes eq, ne, gt, lt, ge, le, sa, eb, ap.".to_owned();
    let (prefix, digits) = prefix(text);
    let range = index::implied_range(digits).ok_or_else(accepted)?;
    if !(range.value.is_finite() && range.low.is_finite() && range.high.is_finite()) {
        return Err("The number is too large.".to_owned());
    }
    let (mut low, mut high) = (range.low, range.high);
    if prefix == Prefix::Ap {
        let distance = range.value.abs() / 10.0;
        low = low.min(range.value - distance);
        high = high.max(range.value + distance);
    }
    Ok(NumberMatch { prefix, value: range.value, low, high })
}

/// `number` or `number|system|code`, with an optional prefix.
pub(super) fn quantity(text: &str) -> Result<QuantityMatch, Accepted> {
    let accepted = "Accepted are number, number|system|code and number||code, with an optional prefix.";
    match split(text, '|').as_slice() {
        [digits] => Ok(QuantityMatch { number: number(digits)?, system: None, code: None }),
        [_, "", ""] => Err(accepted.to_owned()),
        [digits, system, code] => Ok(QuantityMatch { number: number(digits)?, system: present(system)?, code: present(code)? }),
        _ => Err(accepted.to_owned()),
    }
}

/// A date or time of any precision with an optional prefix.
pub(super) fn date(text: &str, now_ms: i64) -> Result<DateMatch, Accepted> {
    let (prefix, date) = prefix(text);
    let Some(range) = instant::search_range(date) else {
        let hint = if date.contains(' ') { " Write the plus of a time zone as %2B." } else { "" };
        return Err(format!(
            "A date is accepted as 2024, 2024-05, 2024-05-31 or 2024-05-31T10:00:00Z, with one of the prefixes eq, ne, gt, lt, ge, le, sa, eb, ap.{hint}"
        ));
    };
    let (mut low, mut high) = (range.low, range.high);
    if prefix == Prefix::Ap {
        // "or for a date, 10% of the gap between now and the date" (https://hl7.org/fhir/R4/search.html#prefix)
        let gap = if now_ms < low { low.saturating_sub(now_ms) } else { now_ms.saturating_sub(high).max(0) };
        low = low.saturating_sub(gap / APPROXIMATION_DIVISOR);
        high = high.saturating_add(gap / APPROXIMATION_DIVISOR);
    }
    Ok(DateMatch { prefix, low, high })
}

/// `id`, `Type/id`, or an absolute URL; with `:[Type]` the type must be that one.
pub(super) fn reference(
    text: &str,
    parameter: &SearchParameter,
    required: Option<ResourceType>,
    base_url: &str,
) -> Result<ReferenceMatch, Accepted> {
    let text = unescape(text)?;
    if let Some(id) = LogicalId::parse(&text) {
        // With one possible type there is nothing to choose from.
        let only = match parameter.targets.as_slice() {
            [only] => Some(*only),
            _ => None,
        };
        return Ok(match required.or(only) {
            Some(resource_type) => ReferenceMatch::Exact(Reference::Local(LocalReference { resource_type, id })),
            None => ReferenceMatch::AnyType(id),
        });
    }
    match (Reference::parse(&text, base_url), required) {
        (Some(Reference::Local(local)), Some(required)) if local.resource_type != required => {
            Err(format!("The modifier names {required}, and the value another type."))
        }
        (Some(reference @ Reference::Local(_)), _) => Ok(ReferenceMatch::Exact(reference)),
        (Some(reference @ Reference::Absolute(_)), _) if is_absolute(&text) => Ok(ReferenceMatch::Exact(reference)),
        _ => Err("Accepted are id, Type/id with a resource type of R4, and an absolute URL.".to_owned()),
    }
}

/// Whether a text starts with a URI scheme (RFC 3986, section 3.1) and goes on.
fn is_absolute(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let letters = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    scheme.starts_with(|first: char| first.is_ascii_alphabetic()) && scheme.bytes().all(letters) && !rest.is_empty()
}

/// The text, unescaped, or `None` where it is empty.
fn present(text: &str) -> Result<Option<Box<str>>, Accepted> {
    if text.is_empty() { Ok(None) } else { unescape(text).map(Some) }
}

/// The prefix, `eq` where there is none, and what follows it.
fn prefix(text: &str) -> (Prefix, &str) {
    match text.get(..2).and_then(Prefix::parse) {
        Some(prefix) => (prefix, text.get(2..).unwrap_or_default()),
        None => (Prefix::Eq, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_split_unless_escaped() {
        assert_eq!(split("a,b", ','), ["a", "b"]);
        assert_eq!(split(r"a\,b,c", ','), [r"a\,b", "c"]);
        assert_eq!(split(r"a\\,b", ','), [r"a\\", "b"]);
        assert_eq!(split(",", ','), ["", ""]);
        assert_eq!(split(r"\", ','), [r"\"]);
    }

    #[test]
    fn other_escapes_are_refused() {
        for text in [r"\", r"a\n", r"\\\", r"\ "] {
            assert!(unescape(text).is_err(), "{text}");
        }
        assert_eq!(&*unescape(r"a\,b\|c\$d\\e").unwrap(), r"a,b|c$d\e");
    }

    #[test]
    fn empty_alternatives_and_too_many_are_refused() {
        for text in ["", ",", "a,", ",a", "a,,b", " ", "a, "] {
            assert!(alternatives(text, unescape).is_err(), "{text:?}");
        }
        assert!(alternatives("a,b,", unescape).unwrap_err().starts_with("Alternative 3"));
        assert!(alternatives(&"a,".repeat(SearchQuery::MAXIMUM_ALTERNATIVES), unescape).is_err());
        assert_eq!(alternatives("a,b", unescape).unwrap(), ["a".into(), "b".into()]);
    }

    #[test]
    fn tokens_have_four_forms() {
        let token_match =
            |system: Option<&str>, code: Option<&str>| TokenMatch { system: system.map(Into::into), code: code.map(Into::into) };
        for (text, expected) in [
            ("a", Some(token_match(None, Some("a")))),
            ("s|a", Some(token_match(Some("s"), Some("a")))),
            ("|a", Some(token_match(Some(""), Some("a")))),
            ("s|", Some(token_match(Some("s"), None))),
            (r"s|a\|b", Some(token_match(Some("s"), Some("a|b")))),
            ("|", None),
            ("a|b|c", None),
            ("||", None),
        ] {
            assert_eq!(token(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn absolute_means_a_scheme_and_something_after_it() {
        for text in ["http://x/Patient/1", "urn:uuid:1", "urn:oid:1.2"] {
            assert!(is_absolute(text), "{text}");
        }
        for text in ["Foo/1", "1:2", ":x", "http:", "", "/Patient/1", "a b:c"] {
            assert!(!is_absolute(text), "{text}");
        }
    }
}
