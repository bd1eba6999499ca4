//! Comparison whose duration does not depend on where two values differ.

/// Whether two byte strings are equal. The length is not secret; the content is compared in constant time.
pub fn equal(left: impl AsRef<[u8]>, right: impl AsRef<[u8]>) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(left.as_ref(), right.as_ref()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_differ_in_content_or_length_are_unequal() {
        assert!(!equal("secret", "secres"));
        assert!(!equal("secret", "secre"));
        assert!(!equal("", "x"));
        assert!(equal("secret", "secret"));
        assert!(equal("", ""));
    }
}
