//! Steps that are done together: reads and write sets, each under its own constraint, in one piece of the writer's work.
//!
//! What a step reads it reads on the writing connection, behind the writes before it. That holds up everybody who writes, so it has a limit of time and of
//! bytes. Every error undoes all steps.

use std::time::{Duration, Instant};

use portcullis_audit::UnfinishedRecord;
use portcullis_fhir::types::{LogicalId, ResourceType};
use portcullis_policy::{Authorized, DecisionId, HistoryPage, PermittedOperation, SearchPage, StoredVersion, WriteSet};
use portcullis_store::StoreError;
use portcullis_store::together::{Guard, NotDone, Step, Together};
use rusqlite::Connection;

use super::commit::{Application, Applied, WriteState};
use super::database::store_error;
use super::read::{self, Found};
use super::seal::Seal;
use super::{history, search};

/// The longest time that the steps and guards of one transaction may read.
const LONGEST_READING: Duration = Duration::from_secs(2);
/// Steps of SQLite's virtual machine between two looks at the clock.
const STEPS_BETWEEN_LOOKS: i32 = 10_000;
/// The most bytes of bodies that the steps of one transaction may read.
const MOST_BYTES: usize = 32 << 20;

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
}

impl Transaction<'_> {
    /// Does all steps, each with the id of its decision, or fails.
    pub fn perform(mut self, together: Together) -> Result<Vec<(DecisionId, Performed)>, NotDone> {
        let Together { steps, guards, binding } = together;
        let end = Instant::now() + LONGEST_READING;
        self.check(&guards, |_| true, end).map_err(|failed| failed.map_or_else(NotDone::Store, NotDone::Outdated))?;
        let mut performed = Vec::with_capacity(steps.len());
        let mut bytes = 0;
        for (index, Step { operation, record }) in steps.into_iter().enumerate() {
            let step = self.step(operation, record, (&binding, end)).and_then(|step| {
                bytes += size(&step.1);
                if bytes <= MOST_BYTES { Ok(step) } else { Err(too_large()) }
            });
            performed.push(step.map_err(|error| NotDone::Step(index, error))?);
        }
        let after = self.check(&guards, |guard| guard.also_after, end);
        after.map_err(|failed| failed.map_or_else(NotDone::Store, NotDone::Ambiguous))?;
        Ok(performed)
    }

    /// Whether the guards find what they found. The error is the first that does not, or why that cannot be told.
    fn check(&mut self, guards: &[Guard], which: impl Fn(&Guard) -> bool, end: Instant) -> Result<(), Failed> {
        for (index, guard) in guards.iter().enumerate().filter(|(_, guard)| which(guard)) {
            let (seal, search) = (self.seal, &guard.search);
            let find = |connection: &Connection| search::search(connection, seal, search.constraint(), search.operation(), &[]);
            let found = self.reading(end, find).map_err(Failed::Unknown)?;
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
        (binding, end): (&[u8], Instant),
    ) -> Result<(DecisionId, Performed), StoreError> {
        let seal = self.seal;
        Ok(match operation {
            PermittedOperation::Write(set) => {
                let record = record.ok_or_else(|| StoreError::Corrupt("a write without its record".into()))?;
                (set.decision(), Performed::Written(self.write(&set, record)?))
            }
            PermittedOperation::Read(read) => {
                in_tables(read.operation().resource_type)?;
                let found = self.reading(end, |connection| read::read(connection, seal, read.constraint(), read.operation()))?;
                (read.decision(), Performed::Version(there(found)?))
            }
            PermittedOperation::VersionRead(read) => {
                in_tables(read.operation().resource_type)?;
                let work = |connection: &Connection| read::version_read(connection, seal, read.constraint(), read.operation());
                (read.decision(), Performed::Version(there(self.reading(end, work)?)?))
            }
            PermittedOperation::History(asked) => {
                in_tables(asked.operation().resource_type)?;
                let (constraint, operation) = (asked.constraint(), asked.operation());
                let work = |connection: &Connection| history::history(connection, seal, constraint, operation, binding);
                let found = self.reading(end, work)?;
                if found.content.versions.is_empty() && found.content.total == 0 {
                    return Err(StoreError::NotFound);
                }
                (asked.decision(), Performed::History(found))
            }
            PermittedOperation::Search(asked) => {
                in_tables(asked.operation().resource_type)?;
                let (constraint, query) = (asked.constraint(), asked.operation());
                let work = |connection: &Connection| search::search(connection, seal, constraint, query, binding);
                (asked.decision(), Performed::Page(self.reading(end, work)?))
            }
        })
    }

    fn write(&mut self, set: &Authorized<WriteSet>, record: UnfinishedRecord) -> Result<Applied, StoreError> {
        let (connection, constraint) = (&*self.connection, set.constraint());
        let application = Application { connection, seal: self.seal, state: self.state, constraint };
        application.apply(&set.operation().changes, record)
    }

    /// Reads until the time is over. Only statements that read are interrupted: to interrupt one that writes would end the transaction of everybody.
    fn reading<T>(&mut self, end: Instant, work: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let look = move || Instant::now() > end;
        self.connection.progress_handler(STEPS_BETWEEN_LOOKS, Some(look)).map_err(store_error)?;
        let result = work(self.connection);
        self.connection.progress_handler(0, None::<fn() -> bool>).map_err(store_error)?;
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
    let message = format!("What the transaction reads has more than {MOST_BYTES} bytes. Read less in one, or read on its own.");
    StoreError::NotSupported(message)
}

fn too_long() -> StoreError {
    StoreError::NotSupported("The searches of the transaction take too long together. Search on its own, before.".to_owned())
}
