//! A store that panics when a test says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use portcullis_audit::{Sought, UnfinishedRecord};
use portcullis_fhir::interaction::{InstanceHistory, Read, VersionRead};
use portcullis_fhir::search::SearchQuery;
use portcullis_policy::{Authorized, HistoryPage, SearchPage, StoredVersion, Unreleased, WriteSet};
use portcullis_store::together::{Done, NotDone, Together};
use portcullis_store::{BoxFuture, Committed, FhirStore, StoreError, Subject};

/// A store with a fault that can be called up.
pub struct FaultyStore {
    inner: Arc<dyn FhirStore>,
    panics: Arc<AtomicBool>,
}

impl FaultyStore {
    /// The store, and the switch: while it is on, reads panic.
    pub fn new(inner: Arc<dyn FhirStore>) -> (Self, Arc<AtomicBool>) {
        let panics = Arc::new(AtomicBool::new(false));
        (Self { inner, panics: Arc::clone(&panics) }, panics)
    }
}

impl FhirStore for FaultyStore {
    fn read(&self, read: Authorized<Read>) -> BoxFuture<'_, Result<Unreleased<Option<StoredVersion>>, StoreError>> {
        assert!(!self.panics.load(Ordering::Relaxed), "the test wants this to fail");
        self.inner.read(read)
    }

    fn version_read(
        &self,
        read: Authorized<VersionRead>,
    ) -> BoxFuture<'_, Result<Unreleased<Option<StoredVersion>>, StoreError>> {
        self.inner.version_read(read)
    }

    fn history<'a>(
        &'a self,
        history: Authorized<InstanceHistory>,
        binding: &'a [u8],
    ) -> BoxFuture<'a, Result<Unreleased<HistoryPage>, StoreError>> {
        self.inner.history(history, binding)
    }

    fn search<'a>(
        &'a self,
        search: Authorized<SearchQuery>,
        binding: &'a [u8],
    ) -> BoxFuture<'a, Result<Unreleased<SearchPage>, StoreError>> {
        self.inner.search(search, binding)
    }

    fn commit(&self, set: Authorized<WriteSet>, record: UnfinishedRecord) -> BoxFuture<'_, Result<Committed, StoreError>> {
        self.inner.commit(set, record)
    }

    fn commit_together(&self, together: Together) -> BoxFuture<'_, Result<Vec<Done>, NotDone>> {
        self.inner.commit_together(together)
    }

    fn seek<'a>(&'a self, subject: &'a Subject) -> BoxFuture<'a, Result<Sought, StoreError>> {
        self.inner.seek(subject)
    }
}
