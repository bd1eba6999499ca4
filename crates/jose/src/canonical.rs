//! JSON Canonicalization Scheme (RFC 8785), for control JSON such as JWK thumbprints only.
//!
//! Not for FHIR resources: the scheme re-prints numbers as doubles, and 1.10 would become 1.1. So that nobody is surprised,
//! numbers that are not integers within the exact range of a double are refused here instead of being re-printed.

use serde_json::Value;

/// The largest integer that a double holds exactly (2^53 - 1).
const MAXIMUM_SAFE_INTEGER: u64 = (1 << 53) - 1;

/// Why a value has no canonical form here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("only integers up to 2^53 - 1 are canonicalised")]
pub struct UnsupportedNumber;

/// The canonical text of a value: members sorted by UTF-16 code units, no white space, shortest escapes.
pub fn canonical_json(value: &Value) -> Result<String, UnsupportedNumber> {
    let mut text = String::new();
    write(value, &mut text)?;
    Ok(text)
}

fn write(value: &Value, text: &mut String) -> Result<(), UnsupportedNumber> {
    match value {
        Value::Null => text.push_str("null"),
        Value::Bool(true) => text.push_str("true"),
        Value::Bool(false) => text.push_str("false"),
        Value::Number(number) => {
            let magnitude = number.as_i64().map(i64::unsigned_abs).or(number.as_u64()).ok_or(UnsupportedNumber)?;
            if magnitude > MAXIMUM_SAFE_INTEGER {
                return Err(UnsupportedNumber);
            }
            text.push_str(&number.to_string());
        }
        Value::String(string) => write_string(string, text),
        Value::Array(values) => {
            text.push('[');
            for (position, value) in values.iter().enumerate() {
                if position > 0 {
                    text.push(',');
                }
                write(value, text)?;
            }
            text.push(']');
        }
        Value::Object(members) => {
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_by(|(left, _), (right, _)| left.encode_utf16().cmp(right.encode_utf16()));
            text.push('{');
            for (position, (name, value)) in sorted.into_iter().enumerate() {
                if position > 0 {
                    text.push(',');
                }
                write_string(name, text);
                text.push(':');
                write(value, text)?;
            }
            text.push('}');
        }
    }
    Ok(())
}

/// serde_json escapes exactly as RFC 8785 section 3.2.2.2 asks: the seven short escapes, `\u00xx` in lower case for other
/// control characters, everything else as it is.
fn write_string(string: &str, text: &mut String) {
    text.push_str(&Value::from(string).to_string());
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_that_would_be_reprinted_are_refused() {
        for value in [json!(1.5), json!(1e30), json!(9_007_199_254_740_992_u64), json!([{"a": -9_007_199_254_740_992_i64}])] {
            assert_eq!(canonical_json(&value), Err(UnsupportedNumber), "{value}");
        }
        assert_eq!(canonical_json(&json!(-9_007_199_254_740_991_i64)).unwrap(), "-9007199254740991");
    }

    #[test]
    fn members_are_sorted_by_utf16_code_units() {
        // U+1F600 is D83D DE00 in UTF-16, so it comes before U+FB33 although its code point is larger (RFC 8785 section 3.2.3).
        let value = json!({"\u{fb33}": 1, "\u{1f600}": 2, "1": {"b": [], "a": null}, "\r": true, "\u{80}": "\u{0f}\n\"\\/"});
        assert_eq!(
            canonical_json(&value).unwrap(),
            "{\"\\r\":true,\"1\":{\"a\":null,\"b\":[]},\"\u{80}\":\"\\u000f\\n\\\"\\\\/\",\"\u{1f600}\":2,\"\u{fb33}\":1}"
        );
    }
}
