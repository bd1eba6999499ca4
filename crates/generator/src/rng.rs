//! The seeded random stream: SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014).
//!
//! Integers only, so that every machine draws the same numbers. Not for secrets.

/// What a stream is for; streams of different purposes never share numbers.
#[derive(Clone, Copy)]
pub(crate) enum Stream {
    Region = 1,
    Household = 2,
    Person = 3,
    Chart = 4,
}

/// One stream of random numbers.
#[derive(Clone)]
pub(crate) struct Rng {
    state: u64,
}

impl Rng {
    /// The stream of one purpose and index (region, household or patient number) under a seed.
    pub(crate) fn new(seed: u64, stream: Stream, index: u32) -> Self {
        Self { state: mix(seed ^ mix((stream as u64) << 32 | u64::from(index))) }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.state)
    }

    /// A number from 0 up to, not including, `bound`; 0 where `bound` is 0.
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u32
    }

    /// A number from `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: i32, high: i32) -> i32 {
        low + self.below(high.abs_diff(low) + 1) as i32
    }

    /// A number within `spread` of `middle`, more often near it.
    pub(crate) fn around(&mut self, middle: i32, spread: i32) -> i32 {
        middle + (self.between(-spread, spread) + self.between(-spread, spread)) / 2
    }

    /// True in `percent` of a hundred cases.
    pub(crate) fn percent(&mut self, percent: u32) -> bool {
        self.below(100) < percent
    }

    /// One of the items of a table.
    #[expect(clippy::indexing_slicing, reason = "a table is never empty, and below() stays under its length")]
    pub(crate) fn pick<'t, T>(&mut self, items: &'t [T]) -> &'t T {
        &items[self.below(items.len() as u32) as usize]
    }

    /// A copy of one of the items of a table.
    pub(crate) fn choose<T: Copy>(&mut self, items: &[T]) -> T {
        *self.pick(items)
    }
}

fn mix(state: u64) -> u64 {
    let first = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let second = (first ^ (first >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    second ^ (second >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_of_different_purpose_or_index_differ() {
        let mut heads: Vec<u64> = Vec::new();
        for stream in [Stream::Region, Stream::Household, Stream::Person, Stream::Chart] {
            for index in 0..50 {
                heads.push(Rng::new(7, stream, index).next());
            }
        }
        heads.sort_unstable();
        heads.dedup();
        assert_eq!(heads.len(), 200);
    }

    #[test]
    fn numbers_stay_within_their_bounds_and_reach_them() {
        let mut rng = Rng::new(1, Stream::Chart, 1);
        let drawn: Vec<i32> = (0..2000).map(|_| rng.between(-3, 3)).collect();
        assert_eq!(drawn.iter().min(), Some(&-3));
        assert_eq!(drawn.iter().max(), Some(&3));
    }
}
