//! Equality of JSON values as JSON Patch means it (RFC 6902, section 4.6): numbers by value, objects whatever the order of their members.

use crate::json::Value;

/// Whether two values are equal. The depth of both is bounded.
pub(super) fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => {
            left == right || (decimal(left).is_some() && decimal(left) == decimal(right))
        }
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            let sorted = |members: &'_ [(Box<str>, Value)]| {
                let mut order: Vec<usize> = (0..members.len()).collect();
                order.sort_by_key(|index| members.get(*index).map(|(name, _)| name.clone()));
                order
            };
            left.len() == right.len()
                && sorted(left).into_iter().zip(sorted(right)).all(|(left_index, right_index)| {
                    matches!((left.get(left_index), right.get(right_index)),
                        (Some((left_name, left)), Some((right_name, right))) if left_name == right_name && same(left, right))
                })
        }
        (left, right) => left == right,
    }
}

/// Sign, digits without zeros at their ends, and the power of ten of the last one.
fn decimal(text: &str) -> Option<(bool, String, i64)> {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let unsigned = mantissa.strip_prefix('-').unwrap_or(mantissa);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let digits = format!("{whole}{fraction}");
    let trimmed = digits.trim_end_matches('0');
    let significant = trimmed.trim_start_matches('0');
    if significant.is_empty() {
        return Some((false, String::new(), 0));
    }
    let power = exponent.strip_prefix('+').unwrap_or(exponent).parse::<i64>().ok()?;
    let dropped = i64::try_from(digits.len() - trimmed.len()).ok()?.checked_sub(i64::try_from(fraction.len()).ok()?)?;
    Some((mantissa.starts_with('-'), significant.to_owned(), power.checked_add(dropped)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_equal_by_value_and_not_by_text() {
        let number = |text: &str| Value::Number(text.into());
        for (left, right) in [("1.10", "1.1"), ("100", "1e2"), ("1E+2", "100.0"), ("0", "-0.00"), ("0.01", "1e-2"), ("0e5", "0")]
        {
            assert!(same(&number(left), &number(right)), "{left} {right}");
        }
        for (left, right) in [("1", "-1"), ("1.01", "1.1"), ("10", "1"), ("1e99999999999999999999", "1e9"), ("12", "21")] {
            assert!(!same(&number(left), &number(right)), "{left} {right}");
        }
    }
}
