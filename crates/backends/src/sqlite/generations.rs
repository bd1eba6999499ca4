//! A bounded map that forgets what was not used for a while.
//!
//! Two generations: what is used moves to the young one; when that is full, the old one is dropped and the young one takes its place.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::mem;

/// At most `2 * limit` entries.
#[derive(Debug)]
pub struct Generations<K, V> {
    limit: usize,
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K: Eq + Hash, V: Clone> Generations<K, V> {
    /// An empty map whose generations hold up to `limit` entries each.
    pub fn new(limit: usize) -> Self {
        Self { limit, young: HashMap::new(), old: HashMap::new() }
    }

    /// The value under this key.
    pub fn find<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        if let Some(value) = self.young.get(key) {
            return Some(value.clone());
        }
        let (key, value) = self.old.remove_entry(key)?;
        self.insert(key, value.clone());
        Some(value)
    }

    /// Remembers a value.
    pub fn insert(&mut self, key: K, value: V) {
        if self.young.len() >= self.limit {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stays_bounded_and_keeps_what_is_used() {
        let mut map = Generations::new(10);
        map.insert(0, "used");
        for key in 1..1000 {
            map.insert(key, "once");
            assert_eq!(map.find(&0), Some("used"));
            assert!(map.young.len() + map.old.len() <= 20);
        }
        assert_eq!(map.find(&1), None);
    }
}
