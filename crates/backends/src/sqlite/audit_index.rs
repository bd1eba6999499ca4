//! The index by which AuditEvents are searched and read: a file of its own that follows the ledger and can always be made again from it.
//!
//! A search first brings the index to the ledger's head of that moment; while nothing else happens, it is brought forward in advance
//! ([`AuditIndex::follow_when_idle`]). The events themselves are not here: they are rendered from the ledger's records when they are found, for a
//! reader who may see one patient in the form that names no other. A tampered index can therefore lose events but show none to the wrong reader.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use portcullis_audit::event::{self, EventKeys};
use portcullis_audit::{Durable, Head, Ledger, Located, Position, ReadError, Record, RenderedEvent, render_one};
use portcullis_fhir::labels::Security;
use portcullis_fhir::reference::LocalReference;
use portcullis_fhir::types::{LogicalId, ResourceType};
use portcullis_policy::StoredVersion;
use portcullis_store::StoreError;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, params};

use super::audit_index_search::Kind;
use super::audit_turns::Deadline;
use super::database::store_error;
use super::seal::Seal;

/// The version of the schema; another one in the file means to begin again.
const SCHEMA_VERSION: i64 = 5;
/// Records per transaction: searches come between two of them.
const RECORDS_PER_BATCH: usize = 500;
/// How long the ledger must rest before the index follows it of its own accord.
const IDLE: Duration = Duration::from_secs(2);
/// The nice value of the thread that follows (setpriority(2); on Linux each thread has its own).
const LOWEST_PRIORITY: i32 = 19;
/// Page cache, KiB.
const CACHE_KIBIBYTES: i64 = 2 * 1024;
/// The version id of every AuditEvent: it never changes.
const VERSION: &str = "1";

/// The index of one ledger.
pub struct AuditIndex {
    connection: Mutex<Connection>,
    ledger: Arc<Ledger>,
    /// How this server is named in events.
    observer: String,
    seal: Arc<Seal>,
}

impl AuditIndex {
    /// Opens the index at this path, or begins it, also where what is there is damaged, of another version or of another ledger. `observer` names
    /// this server in events (its public URL).
    pub fn open(path: &Path, ledger: Arc<Ledger>, observer: &str, seal: Arc<Seal>) -> Result<Arc<Self>, StoreError> {
        let connection = match open_file(path, &ledger) {
            Ok(Some(connection)) => connection,
            Ok(None) | Err(_) => {
                remove(path).map_err(|error| StoreError::Unavailable(Box::new(error)))?;
                begin(path)?
            }
        };
        let index = Self { connection: Mutex::new(connection), ledger, observer: observer.to_owned(), seal };
        index.note_seen()?;
        Ok(Arc::new(index))
    }

    /// Where the ledger beside the index at this path was durable when that was last noted; `None` where nothing can be read there. To be compared with
    /// the ledger before anything is opened: [`AuditIndex::open`] notes anew.
    pub fn seen(path: &Path) -> Option<Seen> {
        if !path.exists() {
            return None;
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).ok()?;
        connection.busy_timeout(IDLE).ok()?;
        let row = |row: &rusqlite::Row<'_>| {
            let [segment, offset, records] = [row.get::<_, i64>(0)?, row.get(1)?, row.get(2)?].map(i64::cast_unsigned);
            Ok(Seen { position: Position { segment, offset }, head: Head { records, chain: row.get(3)? } })
        };
        connection.query_row("SELECT segment, offset, records, chain FROM seen", [], row).ok()
    }

    /// Notes how far the ledger is durable at this moment.
    pub fn note_seen(&self) -> Result<(), StoreError> {
        let connection = self.lock();
        // Read under the lock, so that what is noted only grows.
        let Durable { position, head, .. } = self.ledger.durable();
        let row = params![signed(position.segment), signed(position.offset), signed(head.records), head.chain];
        let sql = "UPDATE seen SET segment = ?1, offset = ?2, records = ?3, chain = ?4";
        connection.execute(sql, row).map(drop).map_err(store_error)
    }

    /// Brings the index to the ledger's head of this moment. Blocks, until the time is over: what was indexed by then stays indexed.
    pub(super) fn catch_up(&self, deadline: Deadline) -> Result<(), StoreError> {
        let until = self.ledger.position();
        while self.follow_once(until)? {
            deadline.check()?;
        }
        Ok(())
    }

    /// Follows the ledger in a thread of its own whenever the ledger rests, until the index is dropped.
    pub fn follow_when_idle(self: &Arc<Self>) -> io::Result<()> {
        let index = Arc::downgrade(self);
        let follow = move || {
            // Behind whoever waits for an answer: what arrives while a batch is indexed shall not wait for the end of it.
            if let Err(error) = rustix::process::setpriority_process(None, LOWEST_PRIORITY) {
                tracing::warn!(%error, "the audit trail is indexed with the priority of requests");
            }
            let mut before = None;
            while let Some(index) = index.upgrade() {
                let position = index.ledger.position();
                if before == Some(position) {
                    // A failure shows again, to somebody, at the next search.
                    while index.ledger.position() == position && index.follow_once(position).unwrap_or(false) {}
                }
                if before != Some(position)
                    && let Err(error) = index.note_seen()
                {
                    tracing::warn!(%error, "it could not be noted how far the audit ledger reaches");
                }
                before = Some(position);
                drop(index);
                std::thread::sleep(IDLE);
            }
        };
        std::thread::Builder::new().name("audit-index".to_owned()).spawn(follow).map(drop)
    }

    /// Indexes one batch; whether more remains.
    fn follow_once(&self, until: Position) -> Result<bool, StoreError> {
        let mut connection = self.lock();
        let from = followed(&connection).map_err(store_error)?;
        if from >= until {
            return Ok(false);
        }
        let transaction = connection.transaction().map_err(store_error)?;
        let mut next = until;
        let mut records = self.ledger.reader().records(from, Some(until));
        let mut indexed = 0;
        while let Some(located) = records.next().transpose().map_err(read_error)? {
            self.index(&transaction, &located).map_err(store_error)?;
            indexed += 1;
            if indexed == RECORDS_PER_BATCH {
                next = located.next;
                break;
            }
        }
        let offsets = params![signed(next.segment), signed(next.offset)];
        transaction.execute("UPDATE followed SET segment = ?1, offset = ?2", offsets).map_err(store_error)?;
        transaction.commit().map_err(store_error)?;
        Ok(next < until)
    }

    fn index(&self, transaction: &Transaction<'_>, located: &Located) -> rusqlite::Result<()> {
        let Located { position, record, .. } = located;
        transaction.execute("UPDATE followed SET first = ?1 WHERE first IS NULL", [&record.id.0])?;
        // What readers who may see one patient see of the same events.
        let mut narrow: BTreeMap<String, EventKeys> = BTreeMap::new();
        let events = event::keys(record, &self.observer, None);
        let mut patients: Vec<&String> = events.iter().flat_map(|event| &event.patients).collect();
        patients.sort_unstable();
        patients.dedup();
        for patient in patients {
            narrow.extend(event::keys(record, &self.observer, Some(patient)).into_iter().map(|event| (event.id.clone(), event)));
        }
        for event in &events {
            let own = narrow.get(&event.id);
            if !put(transaction, *position, (event, own.unwrap_or(event)))? {
                continue; // The ledger has a record twice only where a crash came between writing and remembering.
            }
            let pk = transaction.last_insert_rowid();
            let seen = own.map(keys).unwrap_or_default();
            for (kind, name) in keys(event) {
                let name_pk = name_of(transaction, &name)?;
                let narrow = seen.contains(&(kind, name));
                let sql = "INSERT OR IGNORE INTO key (kind, name, recorded, event, narrow) VALUES (?1, ?2, ?3, ?4, ?5)";
                transaction.prepare_cached(sql)?.execute(params![kind.code(), name_pk, event.recorded, pk, narrow])?;
            }
        }
        Ok(())
    }

    /// The event of this id as the whole trail has it (`None`), or as a reader of one patient may see it; `None` where it is not in that view.
    /// `last` keeps the record for the next event, which on a page of an import's events is of the same one.
    pub(super) fn rendered(
        &self,
        place: &Place,
        only_patient: Option<&str>,
        last: &mut Option<(Position, Record)>,
    ) -> Result<Option<RenderedEvent>, StoreError> {
        let record = match last.take() {
            Some((position, record)) if position == place.position => record,
            _ => self.ledger.reader().read_at(place.position).map_err(read_error)?,
        };
        let (_, record) = last.insert((place.position, record));
        Ok(render_one(record, &self.observer, only_patient, &place.id))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn seal(&self) -> &Seal {
        &self.seal
    }
}

impl std::fmt::Debug for AuditIndex {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("AuditIndex").field("observer", &self.observer).finish_non_exhaustive()
    }
}

/// How far the ledger was durable once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Where it ended.
    pub position: Position,
    /// What it was.
    pub head: Head,
}

/// Where an event's record stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub id: String,
    pub position: Position,
}

/// The version id of every AuditEvent.
pub(super) fn is_the_only_version(version: &LogicalId) -> bool {
    version.as_str() == VERSION
}

/// Puts the row of an event, with what a reader who may see one patient sees of it; `false` where it is there.
fn put(transaction: &Transaction<'_>, position: Position, (event, narrow): (&EventKeys, &EventKeys)) -> rusqlite::Result<bool> {
    let sql = "INSERT OR IGNORE INTO event \
        (id, segment, offset, recorded, action, narrow_action, outcome, narrow_outcome, subtype, narrow_subtype, own) \
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
    let subtype = |event: &EventKeys| event.subtype.map(|(system, code)| format!("{system}|{code}"));
    let row = params![
        event.id,
        signed(position.segment),
        signed(position.offset),
        event.recorded,
        event.action,
        narrow.action,
        event.outcome,
        narrow.outcome,
        subtype(event),
        subtype(narrow),
        event.for_the_patient_alone
    ];
    Ok(transaction.prepare_cached(sql)?.execute(row)? != 0)
}

/// Everything that an event is found by, as one view shows it.
fn keys(event: &EventKeys) -> Vec<(Kind, String)> {
    let mut keys: Vec<(Kind, String)> =
        event.patients.iter().map(|patient| (Kind::Compartment, format!("Patient/{patient}"))).collect();
    for agent in &event.agents {
        let kind = if LocalReference::parse(agent).is_some() { Kind::Agent } else { Kind::AgentIdentifier };
        keys.push((kind, agent.clone()));
    }
    keys.extend(event.entities.iter().map(|entity| (Kind::Entity, entity.clone())));
    let patients = event.agents.iter().chain(&event.entities).filter(|name| name.starts_with("Patient/"));
    keys.extend(patients.map(|patient| (Kind::Patient, patient.clone())));
    keys
}

fn name_of(connection: &Connection, text: &str) -> rusqlite::Result<i64> {
    let find = "SELECT pk FROM name WHERE text = ?1";
    if let Some(pk) = connection.prepare_cached(find)?.query_row([text], |row| row.get(0)).optional()? {
        return Ok(pk);
    }
    connection.prepare_cached("INSERT INTO name (text) VALUES (?1)")?.insert([text])
}

/// An event as a store gives it.
pub(super) fn stored_version(event: RenderedEvent) -> Result<StoredVersion, StoreError> {
    let id =
        |text: &str| LogicalId::parse(text).ok_or_else(|| StoreError::Corrupt("an audit record has an impossible id".to_owned()));
    Ok(StoredVersion {
        security: Security::NONE,
        resource_type: ResourceType::AUDIT_EVENT,
        id: id(&event.id)?,
        version: id(VERSION)?,
        last_updated: event.recorded,
        patients: event.patients.iter().map(|patient| id(patient)).collect::<Result<_, _>>()?,
        grounds: Vec::new(),
        body: Some(event.body),
    })
}

fn followed(connection: &Connection) -> rusqlite::Result<Position> {
    let mut statement = connection.prepare_cached("SELECT segment, offset FROM followed")?;
    statement.query_row([], |row| {
        Ok(Position { segment: row.get::<_, i64>(0)?.cast_unsigned(), offset: row.get::<_, i64>(1)?.cast_unsigned() })
    })
}

/// The index in the file, if it is one, of this version and of this ledger.
fn open_file(path: &Path, ledger: &Ledger) -> Result<Option<Connection>, StoreError> {
    if !path.exists() {
        return Ok(None);
    }
    let connection = connect(path)?;
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(store_error)?;
    let check: String = connection.pragma_query_value(None, "quick_check", |row| row.get(0)).map_err(store_error)?;
    if version != SCHEMA_VERSION || check != "ok" {
        return Ok(None);
    }
    let first: Option<String> = connection.query_row("SELECT first FROM followed", [], |row| row.get(0)).map_err(store_error)?;
    let position = followed(&connection).map_err(store_error)?;
    let mut records = ledger.reader().records(Position::START, Some(ledger.position()));
    let ledgers_first = records.next().transpose().map_err(read_error)?.map(|located| located.record.id.0);
    let same = position <= ledger.position() && (first.is_none() || first == ledgers_first);
    Ok(same.then_some(connection))
}

fn begin(path: &Path) -> Result<Connection, StoreError> {
    let connection = connect(path)?;
    let make = || {
        let transaction = connection.unchecked_transaction()?;
        transaction.execute_batch(include_str!("../migrations/audit_index.sql"))?;
        let Position { segment, offset } = Position::START;
        transaction
            .execute("INSERT INTO followed (segment, offset) VALUES (?1, ?2)", params![signed(segment), signed(offset)])?;
        let row = params![signed(segment), signed(offset), Head::EMPTY.chain];
        transaction.execute("INSERT INTO seen (segment, offset, records, chain) VALUES (?1, ?2, 0, ?3)", row)?;
        transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
        transaction.commit()
    };
    make().map_err(store_error)?;
    Ok(connection)
}

/// Opens the file, or makes it (mode 0600). What a loss of power takes away is indexed again.
fn connect(path: &Path) -> Result<Connection, StoreError> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
    file.map_err(|error| StoreError::Unavailable(Box::new(error)))?;
    let open = || {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.pragma_update(None, "trusted_schema", "OFF")?;
        connection.pragma_update(None, "cell_size_check", "ON")?;
        connection.pragma_update(None, "mmap_size", 0)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        connection.pragma_update(None, "cache_size", -CACHE_KIBIBYTES)?;
        Ok(connection)
    };
    open().map_err(store_error)
}

/// Removes the file and what SQLite keeps beside it.
fn remove(path: &Path) -> io::Result<()> {
    for suffix in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        match fs::remove_file(PathBuf::from(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// SQLite's integers are signed; positions stay far below their end.
fn signed(number: u64) -> i64 {
    number.cast_signed()
}

fn read_error(error: ReadError) -> StoreError {
    match error {
        ReadError::Read(error) => StoreError::Unavailable(Box::new(error)),
        ReadError::NotFound(_) | ReadError::Damaged(_) => StoreError::Corrupt(error.to_string()),
    }
}
