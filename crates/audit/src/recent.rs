//! The ids of the records that were moved from the outbox last: a record that comes a second time is dropped.

use std::collections::{HashSet, VecDeque};

use crate::record::RecordId;
use crate::segment::{digest, prefix};

/// How many ids are remembered. Whoever moves the outbox may not take more than this at once.
pub const RECENT_OUTBOX_IDS: usize = 16_384;

/// A bounded set that forgets the oldest member first.
#[derive(Debug, Default)]
pub(crate) struct RecentIds {
    members: HashSet<[u8; 16]>,
    order: VecDeque<[u8; 16]>,
}

impl RecentIds {
    /// Remembers an id; `false` where it was known.
    pub fn insert(&mut self, id: &RecordId) -> bool {
        // Half a SHA-256 instead of the text: the same small size for every id, and nobody can make two ids collide.
        let key = prefix(&digest(id.0.as_bytes()));
        if !self.members.insert(key) {
            return false;
        }
        self.order.push_back(key);
        if self.order.len() > RECENT_OUTBOX_IDS
            && let Some(oldest) = self.order.pop_front()
        {
            self.members.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oldest_id_is_forgotten_first_and_the_set_stays_bounded() {
        let mut recent = RecentIds::default();
        let id = |number: usize| RecordId(number.to_string());
        assert!((0..RECENT_OUTBOX_IDS).all(|number| recent.insert(&id(number))));
        assert!(!recent.insert(&id(0)));
        assert!(recent.insert(&id(RECENT_OUTBOX_IDS)));
        assert!(!recent.insert(&id(1)));
        assert!(recent.insert(&id(0)), "the oldest was forgotten");
        assert_eq!((recent.members.len(), recent.order.len()), (RECENT_OUTBOX_IDS, RECENT_OUTBOX_IDS));
    }
}
