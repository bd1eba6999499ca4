//! What wrong passwords lead to: waiting times that slow whoever guesses, and spare the owner of the account.
//!
//! NIST SP 800-63B section 5.2.2, OWASP "Slow down online guessing attacks with device cookies". Failures are counted under names that say
//! nothing about who exists: an unknown name waits as a known one does. A browser in which its owner has signed in before has a counter of
//! its own, so that a stranger's guesses elsewhere do not keep it out. Nobody is kept out for ever: every wait ends by itself.

/// What failures are counted by. All that apply to an attempt are counted, and the longest wait holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AttemptCounter {
    /// One name in a browser in which that person has signed in before. It stands instead of all others.
    Device,
    /// One name from one network address.
    NameAndAddress,
    /// One name, from wherever: guesses that are spread over many addresses.
    Name,
    /// One network address, whatever the name: one password tried on many names.
    Address,
    /// One person who looks for patients in an emergency: names that fit nobody.
    EmergencyLookup,
}

/// How a counter slows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The failures that are free.
    pub free_failures: u32,
    /// The longest wait, in seconds.
    pub longest_wait_seconds: i64,
    /// After this time without a failure the counter begins anew, in seconds.
    pub forgotten_after_seconds: i64,
}

impl AttemptCounter {
    /// Its limit. Many people may share an address, so it is patient and its waits are short.
    pub fn limit(self) -> Limit {
        let (free_failures, longest_wait_seconds) = match self {
            Self::Device | Self::NameAndAddress | Self::EmergencyLookup => (4, 15 * 60),
            Self::Name => (29, 15 * 60),
            Self::Address => (49, 60),
        };
        // Whoever looks for patients every day does not gather a wait over weeks.
        let lasting = !matches!(self, Self::EmergencyLookup);
        let forgotten_after_seconds = if lasting { Lockout::FORGOTTEN_AFTER_SECONDS } else { 3600 };
        Limit { free_failures, longest_wait_seconds, forgotten_after_seconds }
    }
}

/// What an attempt is counted under: a keyed hash of the counter and what it counts, made by the server.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AttemptKey([u8; 32]);

impl AttemptKey {
    /// The key of these bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for storing.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl std::fmt::Debug for AttemptKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("…")
    }
}

/// One counter: failures in a row and the wait that follows from them.
///
/// After the free failures each one makes the next wait twice as long: 1, 2, 4, 8 minutes and so on up to the longest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Lockout {
    /// Failures in a row.
    pub failures: u32,
    /// Until when no password is tried, in seconds since the epoch.
    pub locked_until: Option<i64>,
    /// When the last of them was, in seconds since the epoch.
    pub last_failure_at: i64,
}

impl Lockout {
    /// The first wait, in seconds.
    pub const FIRST_WAIT_SECONDS: i64 = 60;
    /// After this time without a failure counters of passwords begin anew, in seconds.
    pub const FORGOTTEN_AFTER_SECONDS: i64 = 24 * 3600;

    /// How long no password may be tried from now on, in seconds; `None` where one may.
    pub fn wait_seconds(self, now: i64) -> Option<i64> {
        self.locked_until.map(|until| until.saturating_sub(now)).filter(|seconds| *seconds > 0)
    }

    /// The state after one more wrong password.
    #[must_use]
    pub fn after_failure(self, limit: Limit, now: i64) -> Self {
        let forgotten = now.saturating_sub(self.last_failure_at) >= limit.forgotten_after_seconds;
        let failures = if forgotten { 1 } else { self.failures.saturating_add(1) };
        let locked_until = failures.checked_sub(limit.free_failures.saturating_add(1)).map(|beyond| {
            let seconds = Self::FIRST_WAIT_SECONDS << beyond.min(8);
            now.saturating_add(seconds.min(limit.longest_wait_seconds))
        });
        Self { failures, locked_until, last_failure_at: now }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fifth_wrong_password_waits_and_the_wait_grows_and_ends() {
        let limit = AttemptCounter::NameAndAddress.limit();
        let mut lockout = Lockout::default();
        for _ in 0..4 {
            lockout = lockout.after_failure(limit, 1000);
            assert_eq!(lockout.wait_seconds(1000), None);
        }
        for seconds in [60, 120, 240, 480, 900, 900, 900] {
            lockout = lockout.after_failure(limit, 1000);
            assert_eq!(lockout.wait_seconds(1000 + seconds - 1), Some(1), "{seconds}");
            assert_eq!(lockout.wait_seconds(1000 + seconds), None, "{seconds}");
        }
    }

    #[test]
    fn counters_neither_overflow_nor_last_for_ever() {
        let limit = AttemptCounter::Name.limit();
        let endless =
            Lockout { failures: u32::MAX, locked_until: None, last_failure_at: i64::MAX }.after_failure(limit, i64::MAX);
        assert_eq!(endless, Lockout { failures: u32::MAX, locked_until: Some(i64::MAX), last_failure_at: i64::MAX });
        let old = Lockout { failures: 1000, locked_until: Some(900), last_failure_at: 0 };
        assert_eq!(old.after_failure(limit, Lockout::FORGOTTEN_AFTER_SECONDS).failures, 1);
        assert_eq!(old.after_failure(limit, Lockout::FORGOTTEN_AFTER_SECONDS - 1).failures, 1001);
    }

    #[test]
    fn an_address_that_many_share_waits_a_minute_at_most() {
        let limit = AttemptCounter::Address.limit();
        let mut lockout = Lockout::default();
        for _ in 0..200 {
            lockout = lockout.after_failure(limit, 5);
        }
        assert_eq!(lockout.wait_seconds(5), Some(60));
    }
}
