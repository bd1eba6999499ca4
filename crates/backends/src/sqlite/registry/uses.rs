//! Which uses of grants are worth a write: one a minute and grant.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use portcullis_oauth::identifiers::GrantId;

/// How exact the time of the last use is, in seconds.
pub const EXACTNESS_SECONDS: i64 = 60;
/// Grants that are remembered; with more, all are forgotten, which costs a write each.
const REMEMBERED: usize = 10_000;

/// The uses that were written last.
#[derive(Debug, Default)]
pub struct Uses(Mutex<HashMap<GrantId, i64>>);

impl Uses {
    /// Whether this use is to be written, and if so, remembers that it was.
    pub fn is_news(&self, grant: &GrantId, now: i64) -> bool {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = written.get_mut(grant) {
            let is_news = now.saturating_sub(*last) >= EXACTNESS_SECONDS;
            if is_news {
                *last = now;
            }
            return is_news;
        }
        if written.len() >= REMEMBERED {
            written.clear();
        }
        written.insert(grant.clone(), now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_use_is_written_once_a_minute_and_grant_and_few_are_remembered() {
        let uses = Uses::default();
        let grant = |number: usize| GrantId::parse(&format!("g{number}")).unwrap();
        assert!(uses.is_news(&grant(0), 100) && !uses.is_news(&grant(0), 159) && uses.is_news(&grant(1), 159));
        assert!(uses.is_news(&grant(0), 160) && !uses.is_news(&grant(0), 161));
        for number in 0..REMEMBERED + 10 {
            uses.is_news(&grant(number), 200);
        }
        assert!(uses.0.lock().unwrap().len() <= REMEMBERED);
    }
}
