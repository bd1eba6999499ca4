//! Logos of clients: fetched once by this server, encoded anew, and served from its own origin under the hash of what is served.
//!
//! A browser that fetched a logo from its maker would tell the maker who is about to decide, and when; and the maker could show a different picture to
//! everybody. So this server fetches it through `outbound` when it is first needed, keeps it until it stops, and names the address by the content. A
//! logo that cannot be fetched or is no picture leaves its place empty: nobody waits for it, and it is tried again after a while.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use moka::sync::Cache;
use portcullis_jose::digest::sha256;
use portcullis_outbound::{Outbound, Purpose};

use super::logo_image;

/// The most logos that are kept: each is a few kilobytes.
const KEPT: u64 = 512;
/// How long a failure is remembered.
const FAILURE: Duration = Duration::from_secs(600);
/// How long a page waits for a logo that is not there yet. The fetch goes on.
const PATIENCE: Duration = Duration::from_millis(800);
/// Where logos are served, below `/static/`.
const PREFIX: &str = "logo-";
const SUFFIX: &str = ".png";

/// The logos.
#[derive(Clone, Debug)]
pub struct Logos {
    outbound: Arc<Outbound>,
    /// By the address at which the client has it.
    by_address: Cache<Box<str>, Arc<Logo>>,
    /// By the name under which it is served.
    by_name: Cache<Box<str>, Arc<Logo>>,
    /// Addresses that failed, or are being fetched.
    busy: Cache<Box<str>, ()>,
}

#[derive(Debug)]
struct Logo {
    name: Box<str>,
    png: Bytes,
}

impl Logos {
    /// No logos yet; this client fetches them.
    pub fn new(outbound: Arc<Outbound>) -> Self {
        let busy = Cache::builder().max_capacity(KEPT).time_to_live(FAILURE).build();
        Self { outbound, by_address: Cache::new(KEPT), by_name: Cache::new(KEPT), busy }
    }

    /// The address on this server of a logo that a client has elsewhere, where it is a picture and is here in time.
    pub async fn address(&self, elsewhere: &str) -> Option<String> {
        if let Some(logo) = self.by_address.get(elsewhere) {
            return Some(format!("/static/{}", logo.name));
        }
        // One fetch for all who ask at the same time, and none for a while after one that failed.
        let mut first = false;
        self.busy.get_with(elsewhere.into(), || first = true);
        if !first {
            return None;
        }
        let (own, wanted) = (self.clone(), elsewhere.to_owned());
        let fetching = tokio::spawn(async move { own.fetch(&wanted).await });
        let logo = tokio::time::timeout(PATIENCE, fetching).await.ok()?.ok()??;
        Some(format!("/static/{}", logo.name))
    }

    /// The picture with this name below `/static/`.
    pub fn find(&self, name: &str) -> Option<Bytes> {
        name.starts_with(PREFIX).then(|| self.by_name.get(name)).flatten().map(|logo| logo.png.clone())
    }

    async fn fetch(&self, elsewhere: &str) -> Option<Arc<Logo>> {
        let file = match self.outbound.get(Purpose::Logo, elsewhere).await {
            Ok(document) => document.bytes,
            Err(error) => {
                tracing::info!(%error, "a logo could not be fetched");
                return None;
            }
        };
        // A panic of a decoder ends its own thread's work and nothing else.
        let png = match tokio::task::spawn_blocking(move || logo_image::reencoded(&file)).await {
            Ok(Ok(png)) => png,
            Ok(Err(error)) => {
                tracing::info!(%error, "a logo is not shown");
                return None;
            }
            Err(_) => return None,
        };
        let digest = sha256(&png);
        let hash: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let logo = Arc::new(Logo { name: format!("{PREFIX}{hash}{SUFFIX}").into(), png: png.into() });
        self.by_name.insert(logo.name.clone(), Arc::clone(&logo));
        self.by_address.insert(elsewhere.into(), Arc::clone(&logo));
        Some(logo)
    }
}
