//! Rounds as a median with its spread.

/// The middle of some rounds; of an even number the mean of the two in the middle; not a number where there are none.
pub fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN);
    if sorted.len() % 2 == 1 {
        return upper;
    }
    let lower = (sorted.len() / 2).checked_sub(1).and_then(|index| sorted.get(index).copied()).unwrap_or(f64::NAN);
    f64::midpoint(lower, upper)
}

/// The smallest and the largest.
pub fn spread(samples: &[f64]) -> (f64, f64) {
    (samples.iter().copied().fold(f64::INFINITY, f64::min), samples.iter().copied().fold(f64::NEG_INFINITY, f64::max))
}

/// One series divided by another, round by round.
pub fn ratios(numerators: &[f64], denominators: &[f64]) -> Vec<f64> {
    numerators.iter().zip(denominators).map(|(numerator, denominator)| numerator / denominator).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_and_not_the_mean() {
        assert_eq!(median(&[9.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[9.0, 1.0, 2.0, 4.0]), 3.0);
        assert!(median(&[]).is_nan());
        assert_eq!(spread(&[2.0, -1.0, 9.0]), (-1.0, 9.0));
    }
}
