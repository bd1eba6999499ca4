//! The public keys of clients: those registered by value, parsed once, and those at an address, fetched through `outbound`.
//!
//! SMART App Launch 2.2.0, "Client Authentication: Asymmetric": a set is kept no longer than its `Cache-Control` allows, and a `kid` that is
//! not in it leads to one look whether the client has changed its keys.

use std::sync::Arc;

use moka::sync::Cache;
use portcullis_jose::ClientKeySet;
use portcullis_jose::digest::sha256;
use portcullis_oauth::clients::KeySource;
use portcullis_outbound::{DocumentCache, DocumentError, ForbiddenUrl, Outbound, Purpose};

/// The most sets by value that stay parsed.
const PARSED_SETS: u64 = 1024;

/// The keys of clients.
#[derive(Debug)]
pub struct ClientKeys {
    by_url: DocumentCache<ClientKeySet>,
    /// By the SHA-256 of their text, so that a changed registration is another entry.
    by_value: Cache<[u8; 32], Arc<ClientKeySet>>,
}

impl ClientKeys {
    /// With this client for those that must be fetched.
    pub fn new(outbound: Arc<Outbound>) -> Self {
        let parse = |bytes: &[u8]| ClientKeySet::parse(bytes).ok();
        Self { by_url: DocumentCache::new(outbound, Purpose::ClientKeys, parse), by_value: Cache::new(PARSED_SETS) }
    }

    /// Whether keys at this address could be fetched, as far as can be told without asking for the addresses of its name.
    pub fn check_url(&self, url: &str) -> Result<(), ForbiddenUrl> {
        self.by_url.outbound().check(url)
    }

    /// The keys at a time in seconds since the epoch.
    pub async fn of(&self, source: &KeySource, now: i64) -> Result<Arc<ClientKeySet>, DocumentError> {
        match source {
            KeySource::Value(text) => {
                let digest = sha256(&**text);
                if let Some(keys) = self.by_value.get(&digest) {
                    return Ok(keys);
                }
                let keys = Arc::new(ClientKeySet::parse(text.as_bytes()).map_err(|_| DocumentError::Unusable)?);
                self.by_value.insert(digest, Arc::clone(&keys));
                Ok(keys)
            }
            // Boxed, here and below: fetching has thousands of bytes of state, for which every request of every client would have room.
            KeySource::Url(url) => Box::pin(self.by_url.get(url, now)).await,
        }
    }

    /// Newer keys than those that were just used without success, where there are any.
    pub async fn newer(&self, source: &KeySource, used: &Arc<ClientKeySet>, now: i64) -> Option<Arc<ClientKeySet>> {
        match source {
            KeySource::Value(_) => None,
            KeySource::Url(url) => Box::pin(self.by_url.newer(url, used, now)).await,
        }
    }
}
