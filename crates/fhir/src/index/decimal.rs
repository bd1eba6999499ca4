//! The range that the written precision of a decimal implies.
//!
//! <https://hl7.org/fhir/R4/search.html#number>: `100` is 99.5 to 100.5, `100.00` is 99.995 to 100.005, and `1e2` is 95 to 105, as the specification's
//! own example has it (the mantissa of an exponent form counts at least two figures).

/// A decimal with the half-open range `[low, high)` that its written precision implies (`5.40` is 5.395 to 5.405).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ImpliedRange {
    /// The value as written.
    pub value: f64,
    /// The low end, inclusive.
    pub low: f64,
    /// The high end, exclusive.
    pub high: f64,
}

/// The range that the written precision of a decimal implies; `None` where the text is no FHIR decimal, or is beyond what an `f64` can hold.
pub fn implied_range(decimal: &str) -> Option<ImpliedRange> {
    let unsigned = decimal.strip_prefix('-').unwrap_or(decimal);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || (whole.len() > 1 && whole.starts_with('0')) || !fraction.is_none_or(digits) {
        return None;
    }
    if !exponent.is_none_or(|exponent| digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))) {
        return None;
    }
    let value: f64 = decimal.parse().ok().filter(|value: &f64| value.is_finite())?;
    let mut figures = i32::try_from(fraction.map_or(0, str::len)).ok()?;
    let mut power = 0;
    if let Some(exponent) = exponent {
        power = exponent.parse().ok()?;
        figures = figures.max(1);
    }
    let half = 0.5 * 10_f64.powi(i32::checked_sub(power, figures)?);
    let (low, high) = (value - half, value + half);
    (low.is_finite() && high.is_finite()).then_some(ImpliedRange { value, low, high })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_follows_the_written_precision() {
        for (text, low, high) in [
            ("100", 99.5, 100.5),
            ("100.00", 99.995, 100.005),
            ("1e2", 95.0, 105.0),
            ("5.4", 5.35, 5.45),
            ("5.40", 5.395, 5.405),
            ("-5.4", -5.45, -5.35),
            ("0", -0.5, 0.5),
            ("0.0010", 0.00095, 0.00105),
            ("5.40e-3", 0.005_395, 0.005_405),
            ("1.0E+2", 95.0, 105.0),
        ] {
            let range = implied_range(text).expect(text);
            assert!((range.low - low).abs() < 1e-12 && (range.high - high).abs() < 1e-12, "{text}: {range:?}");
        }
    }

    #[test]
    fn what_is_no_decimal_is_refused() {
        for text in [
            "",
            "-",
            "+1",
            "1.",
            ".5",
            "01",
            "1e",
            "1e+",
            "NaN",
            "inf",
            "1_0",
            " 1",
            "1 ",
            "1e400",
            "--1",
            "1e99999999999",
            "0x1",
            "1.e2",
        ] {
            assert_eq!(implied_range(text), None, "{text}");
        }
    }
}
