//! A store that panics, mixes up what it was asked, or finds what nobody stored, when a test says so.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use portcullis_audit::{Sought, UnfinishedRecord};
use portcullis_fhir::interaction::{InstanceHistory, Read, VersionRead};
use portcullis_fhir::search::SearchQuery;
use portcullis_policy::{Authorized, Consulted, HistoryPage, SearchPage, StoredVersion, Unreleased, WriteSet};
use portcullis_store::together::{Done, NotDone, Together};
use portcullis_store::{BoxFuture, Committed, FhirStore, StoreError, Subject};

/// A store with a fault that can be called up.
pub struct FaultyStore {
    inner: Arc<dyn FhirStore>,
    panics: Arc<AtomicBool>,
    searches: Arc<AtomicUsize>,
    found: Arc<Mutex<Option<StoredVersion>>>,
}

/// What calls up the faults, and what is counted.
#[derive(Clone, Debug, Default)]
pub struct Switches {
    /// While it is on, reads panic, and the first two versions that a transaction reads change places.
    pub panics: Arc<AtomicBool>,
    /// How often the store was searched.
    pub searches: Arc<AtomicUsize>,
    /// What reads find in place of what is stored.
    pub found: Arc<Mutex<Option<StoredVersion>>>,
}

impl FaultyStore {
    /// The store with its switches.
    pub fn new(inner: Arc<dyn FhirStore>) -> (Self, Switches) {
        let switches = Switches::default();
        let Switches { panics, searches, found } = switches.clone();
        (Self { inner, panics, searches, found }, switches)
    }
}

impl FhirStore for FaultyStore {
    fn read(&self, read: Authorized<Read>) -> BoxFuture<'_, Result<Unreleased<Option<StoredVersion>>, StoreError>> {
        assert!(!self.panics.load(Ordering::Relaxed), "the test wants this to fail");
        if let Some(found) = self.found.lock().unwrap().clone() {
            let unreleased = Unreleased::new(read.decision(), Vec::new(), Some(found)).consulting(Consulted::nobody_has_any());
            return Box::pin(async move { Ok(unreleased) });
        }
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
        self.searches.fetch_add(1, Ordering::Relaxed);
        self.inner.search(search, binding)
    }

    fn stored_types(&self) -> BoxFuture<'_, Result<portcullis_policy::constraint::TypeSet, StoreError>> {
        self.inner.stored_types()
    }

    fn consult<'a>(
        &'a self,
        asked: &'a portcullis_policy::Constraint,
        patients: &'a [portcullis_fhir::types::LogicalId],
    ) -> BoxFuture<'a, Result<portcullis_policy::Consulted, StoreError>> {
        self.inner.consult(asked, patients)
    }

    fn evidence<'a>(
        &'a self,
        read: Authorized<Read>,
        asked: &'a portcullis_policy::Constraint,
        base_url: &'a str,
    ) -> BoxFuture<'a, Result<portcullis_policy::explanation::Evidence, StoreError>> {
        self.inner.evidence(read, asked, base_url)
    }

    fn relationships<'a>(
        &'a self,
        asked: &'a portcullis_policy::Constraint,
        patients: &'a [portcullis_fhir::types::LogicalId],
    ) -> BoxFuture<'a, Result<Vec<portcullis_policy::StatedRelationship>, StoreError>> {
        self.inner.relationships(asked, patients)
    }

    fn relabel<'a>(
        &'a self,
        part: portcullis_store::relabelling::RelabelPart,
        base_url: &'a str,
    ) -> BoxFuture<'a, Result<portcullis_store::relabelling::Relabelled, StoreError>> {
        self.inner.relabel(part, base_url)
    }

    fn commit(&self, set: Authorized<WriteSet>, record: UnfinishedRecord) -> BoxFuture<'_, Result<Committed, StoreError>> {
        self.inner.commit(set, record)
    }

    fn commit_together(&self, together: Together) -> BoxFuture<'_, Result<Vec<Done>, NotDone>> {
        let mixes = self.panics.load(Ordering::Relaxed);
        Box::pin(async move {
            let mut done = self.inner.commit_together(together).await?;
            let mut versions = done.iter_mut().filter(|done| mixes && matches!(done, Done::Version(_)));
            if let (Some(first), Some(second)) = (versions.next(), versions.next()) {
                std::mem::swap(first, second);
            }
            Ok(done)
        })
    }

    fn seek<'a>(
        &'a self,
        subject: &'a Subject,
        asked: Option<&'a portcullis_policy::Constraint>,
    ) -> BoxFuture<'a, Result<Sought, StoreError>> {
        self.inner.seek(subject, asked)
    }
}
