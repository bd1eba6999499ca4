//! For how long the writing thread lets requests gather before it begins a group.
//!
//! A commit costs nearly the same for one request as for many, and a thread that is woken by each request takes the processor from whoever makes the next one. So
//! where several write at once, a group waits for as many as the last one had: those who were answered together tend to come back together. It waits no longer
//! than a [`LONGEST`], nor when a while brings nobody. Sometimes a group waits for whoever comes, to see whether there are more: often while several write,
//! seldom while one does, who so waits for nobody but once in [`RAREST_LOOK`] times.

use std::time::Duration;

/// The longest time for which a group gathers requests.
pub(super) const LONGEST: Duration = Duration::from_millis(8);
/// The least that the thread sleeps at a time while a group gathers.
const SLICE: Duration = Duration::from_micros(500);
/// Every so many groups of several look whether there are more who write.
const LOOK: u32 = 16;
/// Groups of one between two looks, at most.
const RAREST_LOOK: u32 = 256;

/// What the last groups tell about the next one.
#[derive(Debug)]
pub(super) struct Gathering {
    /// How many the last group had.
    last: usize,
    /// Groups until one waits for whoever comes.
    until_look: u32,
    /// The same as it was set last, while one writes alone.
    alone: u32,
    /// For how long the last group that waited did.
    took: Duration,
}

impl Gathering {
    /// Of one who writes alone.
    pub(super) const fn new() -> Self {
        Self { last: 1, until_look: 1, alone: 1, took: Duration::ZERO }
    }

    /// For how many the next group waits, of which so many are there; it is theirs where that is not more.
    pub(super) const fn awaited(&self) -> usize {
        if self.until_look == 0 { usize::MAX } else { self.last }
    }

    /// How long to sleep in a group that has waited for so long: half of what the last one took, then half of the rest. Each sleep costs two switches of the
    /// processor.
    pub(super) fn pause(&self, waited: Duration) -> Duration {
        (self.took.saturating_sub(waited) / 2).max(SLICE)
    }

    /// Learns for how long a group has waited.
    pub(super) const fn took(&mut self, took: Duration) {
        self.took = took;
    }

    /// Learns how many a group had.
    pub(super) fn had(&mut self, requests: usize) {
        let looked = self.until_look == 0;
        if requests > 1 {
            self.alone = 1;
            self.until_look = if looked { LOOK } else { self.until_look.min(LOOK) - 1 };
        } else if looked {
            self.alone = (self.alone * 2).min(RAREST_LOOK);
            self.until_look = self.alone;
        } else {
            self.until_look = self.until_look.min(self.alone).saturating_sub(1);
        }
        self.last = requests;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of so many groups wait for more than are there, where each finds this many if it waits and one if it does not.
    fn waits(gathering: &mut Gathering, groups: usize, writers: usize) -> usize {
        let mut waited = 0;
        for _ in 0..groups {
            let awaits = gathering.awaited() > 1;
            waited += usize::from(awaits);
            gathering.had(if awaits { writers } else { 1 });
        }
        waited
    }

    #[test]
    fn who_writes_alone_hardly_ever_waits() {
        let mut gathering = Gathering::new();
        assert!(waits(&mut gathering, 10_000, 1) < 60);
        assert!(waits(&mut gathering, 10_000, 1) <= 40);
    }

    #[test]
    fn where_several_write_groups_wait_for_as_many_as_there_were() {
        let mut gathering = Gathering::new();
        waits(&mut gathering, 10_000, 1);
        // Found within as many groups as lie between two looks, and kept.
        waits(&mut gathering, RAREST_LOOK as usize + 1, 7);
        assert_eq!((gathering.last, waits(&mut gathering, 1_000, 7)), (7, 1_000));
        // Whoever has gone is waited for once.
        gathering.had(3);
        assert!(gathering.awaited() == 3 || gathering.until_look == 0);
        assert!(waits(&mut gathering, 1_000, 1) < 15);
    }

    #[test]
    fn the_longest_sleep_is_half_of_what_the_last_group_waited() {
        let mut gathering = Gathering::new();
        assert_eq!(gathering.pause(Duration::ZERO), SLICE);
        gathering.took(LONGEST);
        let pauses = [0, 4, 6, 7, 20].map(|waited| gathering.pause(Duration::from_millis(waited)));
        assert_eq!(pauses.map(|pause| pause.as_micros()), [4_000, 2_000, 1_000, 500, 500]);
    }

    #[test]
    fn a_group_of_several_looks_for_more_once_in_a_while() {
        let mut gathering = Gathering::new();
        gathering.had(4);
        let looks = (0..160).filter(|_| {
            let looks = gathering.awaited() == usize::MAX;
            gathering.had(4);
            looks
        });
        assert!((9..=11).contains(&looks.count()));
    }
}
