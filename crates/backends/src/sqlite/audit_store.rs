//! The embedded store with the audit trail beside it: AuditEvents come from the ledger's index, everything else from the FHIR tables.

use std::sync::Arc;

use portcullis_audit::{Sought, UnfinishedRecord};
use portcullis_fhir::interaction::{InstanceHistory, Read, VersionRead};
use portcullis_fhir::search::SearchQuery;
use portcullis_fhir::types::{LogicalId, ResourceType};
use portcullis_policy::constraint::TypeSet;
use portcullis_policy::explanation::Evidence;
use portcullis_policy::{
    Authorized, Boundary, Constraint, Consulted, HistoryPage, InCare, SearchPage, StatedRelationship, StoredVersion, Unreleased,
    Visibility, WriteSet,
};
use portcullis_store::relabelling::{RelabelPart, Relabelled};
use portcullis_store::together::{Done, NotDone, Together};
use portcullis_store::{BoxFuture, Committed, FhirStore, StoreError, Subject};
use rusqlite::Connection;

use super::audit_index::{AuditIndex, is_the_only_version};
use super::audit_index_search::View;
use super::audit_turns::{AuditTurns, Deadline};
use super::store::SqliteStore;
use super::visibility;

/// A store that answers for AuditEvents too. Nobody writes those through it.
#[derive(Clone, Debug)]
pub struct AuditedStore {
    store: Arc<SqliteStore>,
    index: Arc<AuditIndex>,
    turns: Arc<AuditTurns>,
}

impl AuditedStore {
    /// Puts the two together.
    pub fn new(store: Arc<SqliteStore>, index: Arc<AuditIndex>) -> Self {
        Self { store, index, turns: Arc::new(AuditTurns::new()) }
    }

    /// Does blocking work on the index with the view of the permit, when it is its turn and as long as that lasts.
    async fn with_index<T, U>(
        &self,
        authorized: Authorized<T>,
        work: impl FnOnce(&AuditIndex, (&View, Deadline), &T) -> Result<U, StoreError> + Send + 'static,
    ) -> Result<Unreleased<U>, StoreError>
    where
        T: Send + Sync + 'static,
        U: Send + 'static,
    {
        let (index, store) = (Arc::clone(&self.index), Arc::clone(&self.store));
        let turn = self.turns.take().await?;
        let blocking = move || {
            let in_care = store.readers().with(|connection| in_care(connection, authorized.constraint()))?;
            let view = View::of(authorized.constraint(), &in_care);
            let content = work(&index, (&view, turn.deadline), authorized.operation())?;
            Ok(Unreleased::new(authorized.decision(), in_care, content))
        };
        tokio::task::spawn_blocking(blocking).await.map_err(|error| StoreError::Unavailable(Box::new(error)))?
    }
}

/// Those patients of the constraint whose events depend on a care relationship, as far as it holds.
fn in_care(connection: &Connection, constraint: &Constraint) -> Result<InCare, StoreError> {
    let mut patients: Vec<LogicalId> = Vec::new();
    for way in visibility::ways(constraint, ResourceType::AUDIT_EVENT, constraint.letter()) {
        if let Visibility::Compartment(Boundary::PatientsInCare(allowed, _)) = way {
            patients.extend(allowed.items().iter().cloned());
        }
    }
    visibility::patients_in_care(connection, constraint, &patients)
}

impl FhirStore for AuditedStore {
    fn read(&self, read: Authorized<Read>) -> BoxFuture<'_, Result<Unreleased<Option<StoredVersion>>, StoreError>> {
        if read.operation().resource_type != ResourceType::AUDIT_EVENT {
            return self.store.read(read);
        }
        Box::pin(self.with_index(read, |index, view, read| index.read(&read.id, view)))
    }

    fn version_read(
        &self,
        read: Authorized<VersionRead>,
    ) -> BoxFuture<'_, Result<Unreleased<Option<StoredVersion>>, StoreError>> {
        if read.operation().resource_type != ResourceType::AUDIT_EVENT {
            return self.store.version_read(read);
        }
        Box::pin(
            self.with_index(read, |index, view, read| {
                Ok(index.read(&read.id, view)?.filter(|_| is_the_only_version(&read.version)))
            }),
        )
    }

    fn history<'a>(
        &'a self,
        history: Authorized<InstanceHistory>,
        binding: &'a [u8],
    ) -> BoxFuture<'a, Result<Unreleased<HistoryPage>, StoreError>> {
        if history.operation().resource_type != ResourceType::AUDIT_EVENT {
            return self.store.history(history, binding);
        }
        Box::pin(self.with_index(history, |index, view, history| {
            if history.cursor.is_some() {
                return Err(StoreError::InvalidCursor); // One version makes one page.
            }
            let recent = |version: &StoredVersion| history.since.is_none_or(|since| version.last_updated >= since);
            let mut versions: Vec<StoredVersion> = index.read(&history.id, view)?.into_iter().filter(recent).collect();
            let total = versions.len() as u64;
            versions.truncate(usize::try_from(history.count).unwrap_or(usize::MAX));
            Ok(HistoryPage { versions, total, ..HistoryPage::default() })
        }))
    }

    fn search<'a>(
        &'a self,
        search: Authorized<SearchQuery>,
        binding: &'a [u8],
    ) -> BoxFuture<'a, Result<Unreleased<SearchPage>, StoreError>> {
        if search.operation().resource_type != ResourceType::AUDIT_EVENT {
            return self.store.search(search, binding);
        }
        let binding = binding.to_vec();
        Box::pin(self.with_index(search, move |index, view, query| index.search(query, view, &binding)))
    }

    fn commit(&self, set: Authorized<WriteSet>, record: UnfinishedRecord) -> BoxFuture<'_, Result<Committed, StoreError>> {
        self.store.commit(set, record)
    }

    fn commit_together(&self, together: Together) -> BoxFuture<'_, Result<Vec<Done>, NotDone>> {
        self.store.commit_together(together)
    }

    fn stored_types(&self) -> BoxFuture<'_, Result<TypeSet, StoreError>> {
        Box::pin(async move {
            let mut stored = self.store.stored_types().await?;
            stored.insert(ResourceType::AUDIT_EVENT);
            Ok(stored)
        })
    }

    fn consult<'a>(&'a self, asked: &'a Constraint, patients: &'a [LogicalId]) -> BoxFuture<'a, Result<Consulted, StoreError>> {
        self.store.consult(asked, patients)
    }

    fn evidence<'a>(
        &'a self,
        read: Authorized<Read>,
        asked: &'a Constraint,
        base_url: &'a str,
    ) -> BoxFuture<'a, Result<Evidence, StoreError>> {
        // Of AuditEvents nobody is asked, and they have no labels.
        if read.operation().resource_type == ResourceType::AUDIT_EVENT {
            return Box::pin(async { Ok(Evidence::default()) });
        }
        self.store.evidence(read, asked, base_url)
    }

    fn relationships<'a>(
        &'a self,
        asked: &'a Constraint,
        patients: &'a [LogicalId],
    ) -> BoxFuture<'a, Result<Vec<StatedRelationship>, StoreError>> {
        self.store.relationships(asked, patients)
    }

    fn relabel<'a>(&'a self, part: RelabelPart, base_url: &'a str) -> BoxFuture<'a, Result<Relabelled, StoreError>> {
        self.store.relabel(part, base_url)
    }

    /// The ids of AuditEvents hold 128 random bits: who asks for one that is hidden was told of it. Only the attempt itself is recorded.
    fn seek<'a>(&'a self, subject: &'a Subject, asked: Option<&'a Constraint>) -> BoxFuture<'a, Result<Sought, StoreError>> {
        if subject.resource_type != ResourceType::AUDIT_EVENT {
            return self.store.seek(subject, asked);
        }
        Box::pin(async { Ok(Sought::unknown()) })
    }
}
