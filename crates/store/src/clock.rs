//! Time and randomness as parameters, so that tests decide both.

use std::time::{SystemTime, UNIX_EPOCH};

/// The time of day.
pub trait Clock: Send + Sync {
    /// Milliseconds since the epoch, UTC.
    fn now_milliseconds(&self) -> i64;

    /// Seconds since the epoch, UTC.
    fn now_seconds(&self) -> i64 {
        self.now_milliseconds().div_euclid(1000)
    }
}

/// The operating system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_milliseconds(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }
}
