//! How much of the database the writer keeps in memory: little for what comes one by one, more while much is loaded.
//!
//! Single changes, and tokens, touch pages all over the file: however large a cache is, a file that grows fills it, and memory would tell how many grants there are. What the
//! cache lacks is in the cache of the operating system. A load writes neighbouring rows into the same indexes for minutes, and is faster where these stay.

use rusqlite::Connection;

/// The cache for changes that come one by one, KiB.
pub const USUAL_KIBIBYTES: i64 = 2 * 1024;
/// The cache while much is loaded, KiB.
const LARGE_KIBIBYTES: i64 = 16 * 1024;
/// So many changes in one set are a load.
const LOAD: usize = 32;
/// So many sets that are none end it.
const PATIENCE: u16 = 256;

/// Which of the two holds.
#[derive(Debug, Default)]
pub struct PageCache {
    /// How many more sets that are no load the large one is kept for; none: the usual one holds.
    left: u16,
}

impl PageCache {
    /// Makes the cache fit for a set of so many changes.
    pub fn fit(&mut self, connection: &Connection, changes: usize) -> rusqlite::Result<()> {
        let before = self.left;
        self.left = if changes >= LOAD { PATIENCE } else { before.saturating_sub(1) };
        match (before, self.left) {
            (0, 1..) => set(connection, LARGE_KIBIBYTES),
            (1.., 0) => set(connection, USUAL_KIBIBYTES),
            _ => Ok(()),
        }
    }
}

fn set(connection: &Connection, kibibytes: i64) -> rusqlite::Result<()> {
    connection.pragma_update(None, "cache_size", -kibibytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_makes_it_large_until_enough_came_one_by_one() {
        let connection = Connection::open_in_memory().unwrap();
        set(&connection, USUAL_KIBIBYTES).unwrap();
        let size = || connection.pragma_query_value(None, "cache_size", |row| row.get::<_, i64>(0)).unwrap();
        let mut cache = PageCache::default();
        for (changes, expected) in
            [(1, USUAL_KIBIBYTES), (LOAD - 1, USUAL_KIBIBYTES), (LOAD, LARGE_KIBIBYTES), (1, LARGE_KIBIBYTES)]
        {
            cache.fit(&connection, changes).unwrap();
            assert_eq!(size(), -expected, "{changes}");
        }
        cache.fit(&connection, 500).unwrap();
        for number in 1..=PATIENCE {
            assert_eq!(size(), -LARGE_KIBIBYTES, "{number}");
            cache.fit(&connection, 1).unwrap();
        }
        assert_eq!(size(), -USUAL_KIBIBYTES);
    }
}
