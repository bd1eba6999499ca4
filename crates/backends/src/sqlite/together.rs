//! Steps that are done together: reads and write sets, each under its own constraint, in one piece of the writer's work.
//!
//! What a step reads it reads on the writing connection, behind the writes before it. That holds up everybody who writes, so it has a limit of time and of
//! bytes. Every error undoes all steps.

use std::time::{Duration, Instant};

use portcullis_audit::UnfinishedRecord;
use portcullis_fhir::types::{LogicalId, ResourceType};
use portcullis_policy::{
    Authorized, Constraint, DecisionId, HistoryPage, PermittedOperation, Predecessor, SearchPage, StoredVersion, WriteSet,
    Written,
};
use portcullis_store::StoreError;
use portcullis_store::together::{Guard, NotDone, Step, Together};
use rusqlite::Connection;

use super::commit::{Application, Applied, WriteState};
use super::consents::sight::Sight;
use super::database::store_error;
use super::read::{self, Found};
use super::seal::Seal;
use super::{history, search};

/// Steps of SQLite's virtual machine between two looks at the clock.
const STEPS_BETWEEN_LOOKS: i32 = 10_000;

/// What the steps and guards of one transaction may read.
#[derive(Clone, Copy, Debug)]
pub struct ReadingLimits {
    /// For so long, together.
    pub time: Duration,
    /// So many bytes of bodies, together.
    pub bytes: usize,
}

impl Default for ReadingLimits {
    fn default() -> Self {
        Self { time: Duration::from_secs(2), bytes: 32 << 20 }
    }
}

/// What became of a step, not yet durable.
#[derive(Debug)]
pub enum Performed {
    /// It wrote.
    Written(Applied),
    /// It read a version that is there.
    Version(Found<Option<StoredVersion>>),
    /// It read a history.
    History(Found<HistoryPage>),
    /// It searched.
    Page(Found<SearchPage>),
}

/// A transaction in progress.
pub struct Transaction<'a> {
    /// The writing connection, inside a transaction.
    pub connection: &'a mut Connection,
    /// The keys.
    pub seal: &'a Seal,
    /// What the writer remembers.
    pub state: &'a mut WriteState,
    /// What is left of what it may read.
    pub left: ReadingLimits,
}

impl Transaction<'_> {
    /// Does all steps, each with the id of its decision, or fails.
    pub fn perform(mut self, together: Together) -> Result<Vec<(DecisionId, Performed)>, NotDone> {
        let Together { steps, guards, binding } = together;
        self.check(&guards, |_| true).map_err(|failed| failed.map_or_else(NotDone::Store, NotDone::Outdated))?;
        let mut performed = Vec::with_capacity(steps.len());
        let mut constraints = Vec::new();
        for (index, Step { operation, record }) in steps.into_iter().enumerate() {
            let failed = |error| NotDone::Step(index, error);
            if let PermittedOperation::Write(set) = &operation {
                constraints.push((index, set.constraint().clone()));
            }
            let step = self.step(operation, record, &binding).map_err(failed)?;
            self.left.bytes = self.left.bytes.checked_sub(size(&step.1)).ok_or_else(|| failed(too_large()))?;
            performed.push(step);
        }
        self.judge_afterwards(&constraints, &mut performed)?;
        let after = self.check(&guards, |guard| guard.also_after);
        after.map_err(|failed| failed.map_or_else(NotDone::Store, NotDone::Ambiguous))?;
        Ok(performed)
    }

    /// What was written with a Consent, by whichever step, is judged by the consents that all of them leave; and so is what the answers show of it.
    fn judge_afterwards(
        &mut self,
        constraints: &[(usize, Constraint)],
        performed: &mut [(DecisionId, Performed)],
    ) -> Result<(), NotDone> {
        let holds_consent =
            |(_, step): &(DecisionId, Performed)| matches!(step, Performed::Written(applied) if applied.holds_consent());
        if performed.len() < 2 || !performed.iter().any(holds_consent) {
            return Ok(());
        }
        for (index, constraint) in constraints {
            let failed = |error| NotDone::Step(*index, error);
            let Some((_, Performed::Written(applied))) = performed.get_mut(*index) else { continue };
            let connection = &*self.connection;
            let application = Application { connection, seal: self.seal, state: self.state, constraint };
            application.require_afterwards(&applied.written).map_err(failed)?;
            let versions: Vec<&StoredVersion> = applied.written.iter().map(Written::version).collect();
            let sight = Sight::of(connection, self.seal, constraint).map_err(failed)?;
            applied.consulted = sight.consult(connection, self.seal, &versions).map_err(failed)?;
        }
        Ok(())
    }

    /// Whether the guards find what they found. The error is the first that does not, or why that cannot be told.
    fn check(&mut self, guards: &[Guard], which: impl Fn(&Guard) -> bool) -> Result<(), Failed> {
        for (index, guard) in guards.iter().enumerate().filter(|(_, guard)| which(guard)) {
            let (seal, search) = (self.seal, &guard.search);
            in_tables(search.operation().resource_type).map_err(Failed::Unknown)?;
            let find = |connection: &Connection| search::search(connection, seal, search.constraint(), search.operation(), &[]);
            let found = self.reading(find).map_err(Failed::Unknown)?;
            let mut found: Vec<LogicalId> = found.content.matches.into_iter().map(|version| version.id).collect();
            found.sort_unstable();
            if found != guard.found {
                return Err(Failed::Guard(index));
            }
        }
        Ok(())
    }

    fn step(
        &mut self,
        operation: PermittedOperation,
        record: Option<UnfinishedRecord>,
        binding: &[u8],
    ) -> Result<(DecisionId, Performed), StoreError> {
        let seal = self.seal;
        Ok(match operation {
            PermittedOperation::Write(set) => {
                let record = record.ok_or_else(|| StoreError::Corrupt("a write without its record".into()))?;
                (set.decision(), Performed::Written(self.write(&set, record)?))
            }
            PermittedOperation::Read(read) => {
                in_tables(read.operation().resource_type)?;
                let found = self.reading(|connection| read::read(connection, seal, read.constraint(), read.operation()))?;
                (read.decision(), Performed::Version(there(found)?))
            }
            PermittedOperation::VersionRead(read) => {
                in_tables(read.operation().resource_type)?;
                let work = |connection: &Connection| read::version_read(connection, seal, read.constraint(), read.operation());
                (read.decision(), Performed::Version(there(self.reading(work)?)?))
            }
            PermittedOperation::History(asked) => {
                in_tables(asked.operation().resource_type)?;
                let (constraint, operation) = (asked.constraint(), asked.operation());
                let work = |connection: &Connection| history::history(connection, seal, constraint, operation, binding);
                let found = self.reading(work)?;
                let HistoryPage { versions, total, predecessor, .. } = &found.content;
                if versions.is_empty() && *total == 0 && *predecessor == Predecessor::Nothing {
                    return Err(StoreError::NotFound);
                }
                (asked.decision(), Performed::History(found))
            }
            PermittedOperation::Search(asked) => {
                in_tables(asked.operation().resource_type)?;
                let (constraint, query) = (asked.constraint(), asked.operation());
                let work = |connection: &Connection| search::search(connection, seal, constraint, query, binding);
                (asked.decision(), Performed::Page(self.reading(work)?))
            }
        })
    }

    fn write(&mut self, set: &Authorized<WriteSet>, record: UnfinishedRecord) -> Result<Applied, StoreError> {
        let (connection, constraint) = (&*self.connection, set.constraint());
        let application = Application { connection, seal: self.seal, state: self.state, constraint };
        application.apply(&set.operation().changes, record)
    }

    /// Reads until its time is over; that of writes does not count. Only statements that read are interrupted: to interrupt one that writes would end the transaction of everybody.
    fn reading<T>(&mut self, work: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let begun = Instant::now();
        let end = begun + self.left.time;
        let look = move || Instant::now() > end;
        self.connection.progress_handler(STEPS_BETWEEN_LOOKS, Some(look)).map_err(store_error)?;
        let result = work(self.connection);
        self.connection.progress_handler(0, None::<fn() -> bool>).map_err(store_error)?;
        self.left.time = self.left.time.saturating_sub(begun.elapsed());
        if look() { Err(too_long()) } else { result }
    }
}

enum Failed {
    Guard(usize),
    Unknown(StoreError),
}

impl Failed {
    fn map_or_else(self, unknown: impl Fn(StoreError) -> NotDone, guard: impl Fn(usize) -> NotDone) -> NotDone {
        match self {
            Self::Guard(index) => guard(index),
            Self::Unknown(error) => unknown(error),
        }
    }
}

/// AuditEvents are in another file.
fn in_tables(resource_type: ResourceType) -> Result<(), StoreError> {
    if resource_type != ResourceType::AUDIT_EVENT {
        return Ok(());
    }
    Err(StoreError::NotSupported("AuditEvents are not read in a transaction. Read them in a batch, or on their own.".to_owned()))
}

/// A transaction that asks for what is not there fails.
fn there(found: Found<Option<StoredVersion>>) -> Result<Found<Option<StoredVersion>>, StoreError> {
    match &found.content {
        None => Err(StoreError::NotFound),
        Some(StoredVersion { body: None, .. }) => Err(StoreError::Gone),
        Some(_) => Ok(found),
    }
}

fn size(performed: &Performed) -> usize {
    let bytes = |version: &StoredVersion| version.body.as_ref().map_or(0, Vec::len);
    match performed {
        Performed::Written(_) => 0,
        Performed::Version(found) => found.content.iter().map(bytes).sum(),
        Performed::History(found) => found.content.versions.iter().map(bytes).sum(),
        Performed::Page(found) => found.content.matches.iter().chain(&found.content.included).map(bytes).sum(),
    }
}

fn too_large() -> StoreError {
    StoreError::NotSupported("What the transaction reads is too large together. Read less in one, or read on its own.".to_owned())
}

fn too_long() -> StoreError {
    StoreError::NotSupported("The searches of the transaction take too long together. Search on its own, before.".to_owned())
}
