//! Whether two bodies say the same, whoever stored them and when.

use crate::json::{self, Value};

/// The members of `meta` that a server assigns to each version.
const ASSIGNED: [&str; 4] = ["versionId", "_versionId", "lastUpdated", "_lastUpdated"];

/// Whether two resources are the same but for `meta.versionId` and `meta.lastUpdated`. The order of members says nothing in JSON; numbers are compared as
/// written, because `1.0` and `1.00` differ in precision. What is not JSON is the same as nothing.
pub fn same_content(left: &[u8], right: &[u8]) -> bool {
    let (Ok(left), Ok(right)) = (json::parse(left), json::parse(right)) else { return false };
    same(&without_assigned(left), &without_assigned(right))
}

/// The resource without what the server assigned; a `meta` of which nothing is left goes too.
fn without_assigned(mut resource: Value) -> Value {
    if let Value::Object(members) = &mut resource {
        for (name, value) in members.iter_mut() {
            if let ("meta", Value::Object(meta)) = (&**name, value) {
                meta.retain(|(name, _)| !ASSIGNED.contains(&&**name));
            }
        }
        members.retain(|(name, value)| !(&**name == "meta" && matches!(value, Value::Object(meta) if meta.is_empty())));
    }
    resource
}

/// The depth of both is bounded by the parser.
fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Object(left), Value::Object(right)) => {
            let sorted = |members: &[(Box<str>, Value)]| -> Vec<usize> {
                let mut order: Vec<usize> = (0..members.len()).collect();
                order.sort_by(|a, b| members.get(*a).map(|(name, _)| name).cmp(&members.get(*b).map(|(name, _)| name)));
                order
            };
            left.len() == right.len()
                && sorted(left).into_iter().zip(sorted(right)).all(|(a, b)| match (left.get(a), right.get(b)) {
                    (Some((name, value)), Some((other_name, other))) => name == other_name && same(value, other),
                    _ => false,
                })
        }
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same(left, right))
        }
        (left, right) => left == right,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_version_and_time_may_differ() {
        let base = r#"{"resourceType":"Patient","id":"a","meta":{"versionId":"1","lastUpdated":"2024-01-01T00:00:00Z"},"name":[{"given":["A","B"]}]}"#;
        for (other, expected) in [
            (base, true),
            (r#"{"name":[{"given":["A","B"]}],"id":"a","resourceType":"Patient"}"#, true),
            (
                r#"{"resourceType":"Patient","id":"a","meta":{"lastUpdated":"x","versionId":"9"},"name":[{"given":["A","B"]}]}"#,
                true,
            ),
            (
                r#"{"resourceType":"Patient","id":"a","meta":{"versionId":"1","tag":[{"code":"x"}]},"name":[{"given":["A","B"]}]}"#,
                false,
            ),
            (r#"{"resourceType":"Patient","id":"a","name":[{"given":["B","A"]}]}"#, false),
            (r#"{"resourceType":"Patient","id":"a","name":[{"given":["A"]}]}"#, false),
            (r#"{"resourceType":"Patient","id":"b","name":[{"given":["A","B"]}]}"#, false),
            (r#"{"resourceType":"Patient","id":"a","name":[{"given":["A","B"]}],"active":true}"#, false),
            ("", false),
        ] {
            assert_eq!(same_content(base.as_bytes(), other.as_bytes()), expected, "{other}");
            assert_eq!(same_content(other.as_bytes(), base.as_bytes()), expected, "{other}");
        }
        let number = |text: &str| format!(r#"{{"resourceType":"Observation","valueQuantity":{{"value":{text}}}}}"#);
        assert!(!same_content(number("1.0").as_bytes(), number("1.00").as_bytes()), "another precision");
        // A contained resource has no version of its own that a server would assign.
        let contained = |text: &str| format!(r#"{{"resourceType":"Patient","contained":[{{"meta":{{"versionId":"{text}"}}}}]}}"#);
        assert!(!same_content(contained("1").as_bytes(), contained("2").as_bytes()));
    }
}
