//! A clock that moves when the test says so.

use std::sync::atomic::{AtomicI64, Ordering};

use portcullis_store::Clock;

/// A clock that stands still between [`FakeClock::advance_seconds`] calls.
#[derive(Debug)]
pub struct FakeClock(AtomicI64);

impl Default for FakeClock {
    /// 2020-11-21T10:00:00Z: far enough from any day on which tests run that one that mixes this clock with the real one fails at once, and not some day.
    fn default() -> Self {
        Self(AtomicI64::new(1_605_952_800_000))
    }
}

impl FakeClock {
    /// Moves the clock.
    pub fn advance_seconds(&self, seconds: i64) {
        self.0.fetch_add(seconds * 1000, Ordering::SeqCst);
    }
}

impl Clock for FakeClock {
    fn now_milliseconds(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}
