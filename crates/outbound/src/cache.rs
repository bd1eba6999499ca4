//! Documents by URL, parsed once: kept as long as they say, fetched once for all who wait, and not asked for too often.
//!
//! A document is never used longer than its `Cache-Control` allows (SMART App Launch 2.2.0, "Client Authentication: Asymmetric"), not even when
//! it cannot be fetched again. The time is an argument, in seconds since the epoch.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::client::{Outbound, OutboundError, Purpose};

/// The most documents.
const MAXIMUM_ENTRIES: usize = 1024;
/// How long a failure is remembered, in seconds.
const FAILURE_SECONDS: i64 = 15;
/// How often a document that is still fresh is fetched again because something was not in it: at most once in so many seconds.
const REFETCH_SECONDS: i64 = 60;
/// The most fetches of one URL within a minute, for documents that may not be kept.
const FETCHES_PER_MINUTE: u32 = 60;

/// Why there is no document.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// It could not be fetched.
    #[error(transparent)]
    Fetch(#[from] OutboundError),
    /// It is not what it should be.
    #[error("the document is not of the expected kind")]
    Unusable,
    /// It failed a moment ago, or is asked for too often.
    #[error("the document is not asked for again so soon")]
    TooSoon,
}

/// Documents that were fetched for one purpose.
pub struct DocumentCache<T> {
    outbound: Arc<Outbound>,
    purpose: Purpose,
    parse: fn(&[u8]) -> Option<T>,
    entries: Mutex<HashMap<Box<str>, Arc<Entry<T>>>>,
}

impl<T> std::fmt::Debug for DocumentCache<T> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("DocumentCache").field("purpose", &self.purpose).finish_non_exhaustive()
    }
}

/// One URL: what is known, and the turn of whoever fetches.
struct Entry<T> {
    known: Mutex<Known<T>>,
    fetching: tokio::sync::Mutex<()>,
}

struct Known<T> {
    document: Option<Arc<T>>,
    fresh_until: i64,
    fetched_at: i64,
    failed_at: Option<i64>,
    minute: i64,
    fetches: u32,
}

impl<T> Entry<T> {
    fn new() -> Self {
        let known =
            Known { document: None, fresh_until: i64::MIN, fetched_at: i64::MIN, failed_at: None, minute: i64::MIN, fetches: 0 };
        Self { known: Mutex::new(known), fetching: tokio::sync::Mutex::new(()) }
    }

    fn known(&self) -> MutexGuard<'_, Known<T>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fresh(&self, now: i64) -> Option<Arc<T>> {
        let known = self.known();
        known.document.clone().filter(|_| now < known.fresh_until)
    }

    /// Counts a fetch; `false` where there were too many, or one has just failed.
    fn may_fetch(&self, now: i64) -> bool {
        let mut known = self.known();
        if known.failed_at.is_some_and(|failed| (0..FAILURE_SECONDS).contains(&now.saturating_sub(failed))) {
            return false;
        }
        let minute = now.div_euclid(60);
        if known.minute != minute {
            (known.minute, known.fetches) = (minute, 0);
        }
        known.fetches += 1;
        known.fetches <= FETCHES_PER_MINUTE
    }
}

impl<T: Send + Sync> DocumentCache<T> {
    /// An empty cache. `parse` gives `None` for what is not a document of this kind.
    pub fn new(outbound: Arc<Outbound>, purpose: Purpose, parse: fn(&[u8]) -> Option<T>) -> Self {
        Self { outbound, purpose, parse, entries: Mutex::default() }
    }

    /// The client that fetches.
    pub fn outbound(&self) -> &Outbound {
        &self.outbound
    }

    /// The document at a URL, fetched if it is not known or no longer fresh.
    pub async fn get(&self, url: &str, now: i64) -> Result<Arc<T>, DocumentError> {
        let entry = self.entry(url, now);
        if let Some(document) = entry.fresh(now) {
            return Ok(document);
        }
        let _turn = entry.fetching.lock().await;
        match entry.fresh(now) {
            Some(document) => Ok(document),
            None => self.fetch(&entry, url, now).await,
        }
    }

    /// The document at a URL after something was missing in `seen`: a newer one if there is one, or if it may be fetched again. `None`: there is
    /// nothing newer than `seen` for now.
    pub async fn newer(&self, url: &str, seen: &Arc<T>, now: i64) -> Option<Arc<T>> {
        let entry = self.entry(url, now);
        let _turn = entry.fetching.lock().await;
        let (document, fetched_at) = {
            let known = entry.known();
            (known.document.clone(), known.fetched_at)
        };
        match document {
            Some(document) if !Arc::ptr_eq(&document, seen) => Some(document),
            _ if now.saturating_sub(fetched_at) < REFETCH_SECONDS => None,
            _ => self.fetch(&entry, url, now).await.ok(),
        }
    }

    async fn fetch(&self, entry: &Entry<T>, url: &str, now: i64) -> Result<Arc<T>, DocumentError> {
        if !entry.may_fetch(now) {
            return Err(DocumentError::TooSoon);
        }
        let fetched = match self.outbound.get(self.purpose, url).await {
            Ok(fetched) => match (self.parse)(&fetched.bytes) {
                Some(document) => Ok((Arc::new(document), fetched.fresh_for_seconds)),
                None => Err(DocumentError::Unusable),
            },
            Err(error) => Err(error.into()),
        };
        let mut known = entry.known();
        known.fetched_at = now;
        match fetched {
            Ok((document, seconds)) => {
                known.document = Some(Arc::clone(&document));
                known.fresh_until = now.saturating_add(seconds);
                known.failed_at = None;
                Ok(document)
            }
            Err(error) => {
                known.failed_at = Some(now);
                Err(error)
            }
        }
    }

    fn entry(&self, url: &str, now: i64) -> Arc<Entry<T>> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = entries.get(url) {
            return Arc::clone(entry);
        }
        if entries.len() >= MAXIMUM_ENTRIES {
            entries.retain(|_, entry| entry.fresh(now).is_some() || Arc::strong_count(entry) > 1);
        }
        if entries.len() >= MAXIMUM_ENTRIES {
            let oldest = entries.iter().min_by_key(|(_, entry)| entry.known().fetched_at).map(|(url, _)| url.clone());
            oldest.and_then(|url| entries.remove(&url));
        }
        let entry = Arc::new(Entry::new());
        entries.insert(url.into(), Arc::clone(&entry));
        entry
    }
}

#[cfg(test)]
mod tests;
