//! `SqliteStore`: the traits of the store crate over the parts of this folder.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use portcullis_audit::{Acknowledgement, RecordId, Sought, UnfinishedRecord};
use portcullis_fhir::interaction::{InstanceHistory, Read, VersionRead};
use portcullis_fhir::labels::Rules;
use portcullis_fhir::search::SearchQuery;
use portcullis_fhir::types::LogicalId;
use portcullis_policy::constraint::TypeSet;
use portcullis_policy::explanation::Evidence;
use portcullis_policy::{
    Authorized, Change, Constraint, Consulted, DecisionId, HistoryPage, PermittedOperation, SearchPage, StatedRelationship,
    StoredVersion, Unreleased, WriteSet,
};
use portcullis_store::relabelling::{RelabelPart, Relabelled};
use portcullis_store::together::{Done, NotDone, Step, Together};
use portcullis_store::{BoxFuture, Committed, FhirStore, Outbox, StoreError, Subject};
use rusqlite::Connection;
use tokio::sync::Notify;

use super::commit::{Application, Applied, WriteState};
use super::consents::derive;
use super::consents::sight::Sight;
use super::database::{OpenError, open_writer, store_error};
use super::evidence::evidence;
use super::page_cache::PageCache;
use super::read::Found;
use super::readers::Readers;
use super::registry::client_cache::ClientCache;
use super::registry::spent;
use super::relabelling::Labelled;
use super::root_key::RootKey;
use super::seal::Seal;
use super::stored_types::stored_types;
use super::together::{Performed, ReadingLimits, Transaction};
use super::writer::{Limits, Writer};
use super::{admission, history, index_backlog, outbox, read, relabelling, relationship_backlog, search, seek};
use crate::migrations::MAIN;

/// The largest page that is made on the calling thread.
const SMALL_PAGE: u32 = 50;

/// One SQLite file as a FHIR store and outbox.
#[derive(Debug)]
pub struct SqliteStore {
    writer: Arc<Writer>,
    readers: Readers,
    seal: Arc<Seal>,
    /// What codes mean for security labels.
    rules: Arc<Rules>,
    writing: Arc<Writing>,
    /// Told of each record that got into the outbox.
    filled: Arc<Notify>,
    /// The clients that were asked for last, for all registries in this file.
    clients: Arc<ClientCache>,
}

/// What write sets share on the writer's thread.
#[derive(Debug)]
struct Writing {
    state: Mutex<WriteState>,
    page_cache: Mutex<PageCache>,
    rollbacks: Arc<AtomicU64>,
}

impl SqliteStore {
    /// Opens the database at this path, or makes it.
    pub fn open(path: &Path, root: &RootKey) -> Result<Arc<Self>, OpenError> {
        Self::open_with(path, root, Limits::default())
    }

    /// The same with other bounds of the writer's queue and groups.
    pub fn open_with(path: &Path, root: &RootKey, limits: Limits) -> Result<Arc<Self>, OpenError> {
        Self::open_both(path, root, limits, Rules::built_in())
    }

    /// Opens the database with other rules about security labels. What was stored under other rules has its labels by these after [`Self::label_anew`].
    pub fn open_labelling(path: &Path, root: &RootKey, rules: Arc<Rules>) -> Result<Arc<Self>, OpenError> {
        Self::open_both(path, root, Limits::default(), rules)
    }

    fn open_both(path: &Path, root: &RootKey, limits: Limits, rules: Arc<Rules>) -> Result<Arc<Self>, OpenError> {
        let connection = open_writer(path, MAIN)?;
        let seal = Arc::new(Seal::new(root)?);
        seal.claim(&connection)?;
        spent::remember(&connection)?;
        admission::add_functions(&connection, &seal)?;
        let writer = Arc::new(Writer::start(connection, limits)?);
        let state = Mutex::new(WriteState::new(Arc::clone(&rules)));
        let writing = Arc::new(Writing { state, page_cache: Mutex::default(), rollbacks: writer.rollbacks() });
        Ok(Arc::new(Self {
            writer,
            readers: Readers::with_seal(path, Arc::clone(&seal)),
            seal,
            rules,
            writing,
            filled: Arc::default(),
            clients: Arc::default(),
        }))
    }

    /// Adds the index rows that resources lack because an earlier version of this program stored them; `base_url` is the server's own, without a
    /// slash at the end. Belongs before the first search: what is not yet added is not found. Gives the number of resources that got rows. Blocks.
    pub fn complete_index(&self, base_url: &str) -> Result<usize, StoreError> {
        let mut completed = 0;
        loop {
            let (seal, base_url) = (Arc::clone(&self.seal), base_url.to_owned());
            let progress = self.writer.run_blocking(move |connection| {
                let indexed = index_backlog::step(connection, &seal, &base_url)?;
                // One after the other: each puts its rows to those that are there.
                if indexed.seen > 0 { Ok(indexed) } else { relationship_backlog::step(connection, &seal, &base_url) }
            })?;
            if progress.seen == 0 {
                return Ok(completed);
            }
            if progress.unreadable > 0 {
                let count = progress.unreadable;
                tracing::warn!(count, "resources that cannot be read are not found by composite parameters");
            }
            completed += progress.completed;
        }
    }

    /// Labels all stored versions by the rules of this store, where others held before, or begins to; `None` where they held already. Belongs before the
    /// first request: what is not yet labelled is not protected. Blocks.
    pub fn label_anew(&self, base_url: &str) -> Result<Option<Labelled>, StoreError> {
        let rules = Arc::clone(&self.rules);
        if !self.writer.run_blocking(move |connection| relabelling::begin(connection, &rules))? {
            return Ok(None);
        }
        let mut labelled = Labelled::default();
        loop {
            let (seal, rules, base_url) = (Arc::clone(&self.seal), Arc::clone(&self.rules), base_url.to_owned());
            let step = move |connection: &mut Connection| relabelling::step(connection, &seal, &rules, &base_url);
            match self.writer.run_blocking(step)? {
                Some(done) => labelled.add(done),
                None => return Ok(Some(labelled)),
            }
        }
    }

    /// Makes the rows by which consents decide anew, where another version of this program made them or for another address; `base_url` as above. Belongs before
    /// the first request: what is not yet derived does not count. Gives whether they were made. Blocks.
    pub fn derive_consents(&self, base_url: &str) -> Result<bool, StoreError> {
        let (seal, base_url) = (Arc::clone(&self.seal), base_url.to_owned());
        self.writer.run_blocking(move |connection| derive::refresh(connection, &seal, &base_url))
    }

    /// The clients that were asked for last.
    pub(super) fn clients(&self) -> &Arc<ClientCache> {
        &self.clients
    }

    /// Whether something that was read since `before` met a Consent that cannot be read and whose rows did not say so. They do now, and what was read is to be read
    /// again: then it answers as what is absent, and not with an error.
    async fn met_unreadable(&self, before: u64) -> Result<bool, StoreError> {
        if self.seal.consents().noticed() == before {
            return Ok(false);
        }
        // Also where another request has taken them: its work comes before this.
        let unreadable = self.seal.consents().take_unreadable();
        let size = unreadable.len();
        self.writer.run_sized(size, move |connection| derive::hide_unreadable(connection, unreadable)).await?;
        Ok(true)
    }

    /// The writer, for what else lives in the same file.
    pub fn writer(&self) -> &Arc<Writer> {
        &self.writer
    }

    /// The readers, for what else lives in the same file.
    pub fn readers(&self) -> &Readers {
        &self.readers
    }

    /// What is told of each record that got into the outbox.
    pub fn filled(&self) -> &Arc<Notify> {
        &self.filled
    }

    /// The keys, for what else lives in the same file.
    pub fn seal(&self) -> &Arc<Seal> {
        &self.seal
    }
}

impl Writing {
    fn apply(
        &self,
        connection: &Connection,
        seal: &Seal,
        set: &Authorized<WriteSet>,
        record: UnfinishedRecord,
    ) -> Result<Applied, StoreError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.synchronise(self.rollbacks.load(Ordering::Acquire));
        let mut page_cache = self.page_cache.lock().unwrap_or_else(PoisonError::into_inner);
        page_cache.fit(connection, set.operation().changes.len()).map_err(store_error)?;
        let application = Application { connection, seal, state: &mut state, constraint: set.constraint() };
        application.apply(&set.operation().changes, record)
    }

    fn together(
        &self,
        connection: &mut Connection,
        seal: &Seal,
        together: Together,
    ) -> Result<Vec<(DecisionId, Performed)>, NotDone> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.synchronise(self.rollbacks.load(Ordering::Acquire));
        Transaction { connection, seal, state: &mut state, left: ReadingLimits::default() }.perform(together)
    }
}

impl FhirStore for SqliteStore {
    fn stored_types(&self) -> BoxFuture<'_, Result<TypeSet, StoreError>> {
        Box::pin(async move { self.readers.with(stored_types) })
    }

    fn consult<'a>(&'a self, asked: &'a Constraint, patients: &'a [LogicalId]) -> BoxFuture<'a, Result<Consulted, StoreError>> {
        Box::pin(async move {
            let work = |connection: &Connection| {
                Sight::of(connection, &self.seal, asked)?.consult_patients(connection, &self.seal, patients)
            };
            self.readers.with_snapshot(work)
        })
    }

    fn evidence<'a>(
        &'a self,
        read: Authorized<Read>,
        asked: &'a Constraint,
        base_url: &'a str,
    ) -> BoxFuture<'a, Result<Evidence, StoreError>> {
        Box::pin(async move {
            let work = |connection: &Connection| evidence(connection, (&self.seal, &self.rules), &read, (asked, base_url));
            self.readers.with_snapshot(work)
        })
    }

    fn relationships<'a>(
        &'a self,
        asked: &'a Constraint,
        patients: &'a [LogicalId],
    ) -> BoxFuture<'a, Result<Vec<StatedRelationship>, StoreError>> {
        Box::pin(async move { self.readers.with(|connection| super::visibility::relationships(connection, asked, patients)) })
    }

    fn relabel<'a>(&'a self, part: RelabelPart, base_url: &'a str) -> BoxFuture<'a, Result<Relabelled, StoreError>> {
        Box::pin(async move {
            let (writer, seal, rules) = (Arc::clone(&self.writer), Arc::clone(&self.seal), Arc::clone(&self.rules));
            let base_url = base_url.to_owned();
            let work = move |connection: &mut Connection| relabelling::part(connection, (&seal, &rules), &base_url, &part);
            let blocking = tokio::task::spawn_blocking(move || writer.run_blocking(work));
            blocking.await.map_err(|error| StoreError::Unavailable(Box::new(error)))?
        })
    }

    fn read(&self, authorized: Authorized<Read>) -> BoxFuture<'_, Result<Unreleased<Option<StoredVersion>>, StoreError>> {
        Box::pin(async move {
            let work =
                |connection: &Connection| read::read(connection, &self.seal, authorized.constraint(), authorized.operation());
            // A snapshot costs two statements; most reads are one.
            let single = read::is_single_statement(authorized.constraint(), authorized.operation().resource_type);
            let before = self.seal.consents().noticed();
            let mut found = if single { self.readers.with(work)? } else { self.readers.with_snapshot(work)? };
            if self.met_unreadable(before).await? {
                found = self.readers.with_snapshot(work)?;
            }
            Ok(unreleased(&authorized, found))
        })
    }

    fn version_read(
        &self,
        authorized: Authorized<VersionRead>,
    ) -> BoxFuture<'_, Result<Unreleased<Option<StoredVersion>>, StoreError>> {
        Box::pin(async move {
            let work = |connection: &Connection| {
                read::version_read(connection, &self.seal, authorized.constraint(), authorized.operation())
            };
            let before = self.seal.consents().noticed();
            let mut found = self.readers.with_snapshot(work)?;
            if self.met_unreadable(before).await? {
                found = self.readers.with_snapshot(work)?;
            }
            Ok(unreleased(&authorized, found))
        })
    }

    fn history<'a>(
        &'a self,
        authorized: Authorized<InstanceHistory>,
        binding: &'a [u8],
    ) -> BoxFuture<'a, Result<Unreleased<HistoryPage>, StoreError>> {
        Box::pin(async move {
            let (seal, binding, authorized) = (Arc::clone(&self.seal), binding.to_vec(), Arc::new(authorized));
            let work = move |connection: &Connection| {
                let found = history::history(connection, &seal, authorized.constraint(), authorized.operation(), &binding)?;
                Ok(unreleased(&authorized, found))
            };
            let (before, again) = (self.seal.consents().noticed(), work.clone());
            let found = self.readers.blocking(work).await?;
            if self.met_unreadable(before).await? { self.readers.blocking(again).await } else { Ok(found) }
        })
    }

    fn search<'a>(
        &'a self,
        authorized: Authorized<SearchQuery>,
        binding: &'a [u8],
    ) -> BoxFuture<'a, Result<Unreleased<SearchPage>, StoreError>> {
        Box::pin(async move {
            let (seal, binding, authorized) = (Arc::clone(&self.seal), binding.to_vec(), Arc::new(authorized));
            let small = is_small(authorized.operation());
            let work = move |connection: &Connection| {
                let found = search::search(connection, &seal, authorized.constraint(), authorized.operation(), &binding)?;
                Ok(unreleased(&authorized, found))
            };
            let (before, again) = (self.seal.consents().noticed(), work.clone());
            let found = if small { self.readers.quick_or_blocking(work).await? } else { self.readers.blocking(work).await? };
            if self.met_unreadable(before).await? { self.readers.blocking(again).await } else { Ok(found) }
        })
    }

    fn commit(&self, set: Authorized<WriteSet>, record: UnfinishedRecord) -> BoxFuture<'_, Result<Committed, StoreError>> {
        let decision = set.decision();
        let (seal, writing) = (Arc::clone(&self.seal), Arc::clone(&self.writing));
        let size = set.operation().changes.iter().map(size).sum();
        let applied = self.writer.run_sized(size, move |connection| writing.apply(connection, &seal, &set, record));
        Box::pin(async move {
            let applied = applied.await?;
            self.filled.notify_one();
            Ok(committed(decision, applied))
        })
    }

    fn commit_together(&self, together: Together) -> BoxFuture<'_, Result<Vec<Done>, NotDone>> {
        let (seal, writing) = (Arc::clone(&self.seal), Arc::clone(&self.writing));
        let size = together.steps.iter().map(step_size).sum();
        let performed = self.writer.run_sized(size, move |connection| writing.together(connection, &seal, together));
        Box::pin(async move {
            let performed = performed.await?;
            self.filled.notify_one();
            Ok(performed.into_iter().map(|(decision, step)| done(decision, step)).collect())
        })
    }

    fn seek<'a>(&'a self, subject: &'a Subject, asked: Option<&'a Constraint>) -> BoxFuture<'a, Result<Sought, StoreError>> {
        Box::pin(async move { self.readers.with(|connection| seek::seek(connection, &self.seal, subject, asked)) })
    }
}

/// Only for what is durable.
fn committed(decision: DecisionId, applied: Applied) -> Committed {
    let Applied { written, in_care, consulted, record, stored } = applied;
    let acknowledgement = Acknowledgement::of_stored(&stored);
    Committed { written: Unreleased::new(decision, in_care, written).consulting(consulted), record, acknowledgement }
}

/// Only for what is durable.
fn done(decision: DecisionId, performed: Performed) -> Done {
    match performed {
        Performed::Written(applied) => Done::Written(committed(decision, applied)),
        Performed::Version(found) => Done::Version(judged_by(decision, found)),
        Performed::History(found) => Done::History(judged_by(decision, found)),
        Performed::Page(found) => Done::Page(judged_by(decision, found)),
    }
}

fn unreleased<T, U>(authorized: &Authorized<T>, found: Found<U>) -> Unreleased<U> {
    judged_by(authorized.decision(), found)
}

/// What was found, to be judged under this decision.
fn judged_by<T>(decision: DecisionId, found: Found<T>) -> Unreleased<T> {
    Unreleased::new(decision, found.in_care, found.content).consulting(found.consulted).denying(found.denied)
}

/// Whether the answer is small enough to be made on the calling thread, where finding it turns out to be quick.
fn is_small(query: &SearchQuery) -> bool {
    query.count <= SMALL_PAGE && query.includes.is_empty() && query.reverse_includes.is_empty()
}

/// What a change brings along: its body, and its part of the record.
fn size(change: &Change) -> usize {
    256 + change.proposed().map_or(0, |version| version.body.len())
}

fn step_size(step: &Step) -> usize {
    match &step.operation {
        PermittedOperation::Write(set) => set.operation().changes.iter().map(size).sum(),
        _ => 0,
    }
}

impl Outbox for SqliteStore {
    fn waiting(&self, limit: usize) -> Result<Vec<(RecordId, Vec<u8>)>, StoreError> {
        self.readers.with(|connection| outbox::waiting(connection, limit))
    }

    fn filled(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.filled.notified())
    }

    fn remove(&self, moved: &[RecordId]) -> Result<(), StoreError> {
        let moved = moved.to_vec();
        self.writer.run_blocking(move |connection| outbox::remove(connection, &moved))
    }
}
