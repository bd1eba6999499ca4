//! The mark by which the ids of one seed differ from those of every other: two data sets can lie in one store and neither replaces anything of the other.
//!
//! Seed 0 has none: that is the demo's own data, whose ids people read and type. Inside this crate ids are without the mark; the writer adds it.

/// The seed of the demo. Its ids carry no mark.
pub const DEMO_SEED: u64 = 0;

/// What stands behind each id: nothing for the demo's seed, else `-s` and the seed.
pub(crate) fn mark(seed: u64) -> String {
    if seed == DEMO_SEED { String::new() } else { format!("-s{seed}") }
}

/// An id as it is written.
pub(crate) fn marked(seed: u64, mut id: String) -> String {
    id.push_str(&mark(seed));
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_seeds_share_a_mark_and_the_longest_id_stays_within_64_characters() {
        assert_eq!(marked(DEMO_SEED, "pat-0001".to_owned()), "pat-0001");
        assert_eq!(marked(7, "pat-0001".to_owned()), "pat-0001-s7");
        assert!(marked(u64::MAX, "loc-laboratory-500-1".to_owned()).len() <= 64);
    }
}
