//! Applies a write set inside the writer's transaction: the constraint stands in the statements that find what is changed.
//!
//! What is hidden answers as what is absent. The current and the proposed content must each lie wholly inside one boundary: who sees a record that
//! several patients share, or that their records refer to, may not change it for the others. Every error undoes the whole set.

use std::cell::RefCell;
use std::sync::Arc;

use portcullis_audit::{PendingRecord, UnfinishedRecord};
use portcullis_fhir::labels::{Clearance, Labels, Rules, Security};
use portcullis_fhir::types::{LogicalId, ResourceType};
use portcullis_fhir::version::NewVersion;
use portcullis_mutants::off;
use portcullis_oauth::scopes::Letter;
use portcullis_policy::constraint::SHARED_TYPES;
use portcullis_policy::rules::consent::{Question, Verdicts};
use portcullis_policy::{Admission, Boundary, Change, Constraint, Consulted, InCare, StoredVersion, WriteBoundary, Written};
use portcullis_store::StoreError;
use rusqlite::{Connection, params};

use super::admissible::Admissible;
use super::admission;
use super::completion::{completion, not_recordable};
use super::consents::sight::Sight;
use super::database::store_error;
use super::generations::Generations;
use super::labelling::{self, Inside, stored};
use super::locator::{self, Locators};
use super::outbox;
use super::parameters::Parameters;
use super::read;
use super::rows::{self, Row, Source, Waiting};
use super::seal::{DataKey, Header, Seal};
use super::{unchanged, visibility};

/// Data keys that the writer remembers, at most twice this number.
const MAXIMUM_KEYS: usize = 1024;

/// What the writer remembers between write sets. Void after a rollback.
#[derive(Debug)]
pub struct WriteState {
    locators: Locators,
    /// The data key of each home patient.
    homes: Generations<Option<i64>, DataKey>,
    /// Rows of the write set in progress; none between two of them.
    waiting: Waiting,
    /// What consents decided about the change in progress.
    pub verdicts: RefCell<Verdicts>,
    rollbacks: u64,
    /// What codes mean.
    rules: Arc<Rules>,
}

impl WriteState {
    /// Nothing remembered.
    pub fn new(rules: Arc<Rules>) -> Self {
        let homes = Generations::new(MAXIMUM_KEYS);
        let (waiting, verdicts) = (Waiting::default(), RefCell::default());
        Self { locators: Locators::new(), homes, waiting, verdicts, rollbacks: 0, rules }
    }

    /// Forgets everything where the writer has rolled something back since: rows that were remembered may be gone.
    pub fn synchronise(&mut self, rollbacks: u64) {
        if self.rollbacks != rollbacks {
            self.locators.clear();
            self.homes.clear();
            self.rollbacks = rollbacks;
        }
    }
}

/// What a write set did.
#[derive(Debug)]
pub struct Applied {
    /// What became of each change, in order.
    pub written: Vec<Written>,
    /// Patients of what was written with whom the constraint's actors have a care relationship.
    pub in_care: InCare,
    /// The consents of the patients of what was written.
    pub consulted: Consulted,
    /// The audit record as it was completed.
    pub record: PendingRecord,
    /// Its bytes as the database holds them.
    pub stored: Vec<u8>,
}

impl Applied {
    /// Whether a Consent is among what was written.
    pub fn holds_consent(&self) -> bool {
        self.written.iter().any(|written| written.version().resource_type == ResourceType::CONSENT)
    }
}

/// What became of one change, and who were the patients of the version that was current before.
pub struct Done {
    /// What became of it.
    pub written: Written,
    /// The patients of the version that was current before.
    pub before: Vec<LogicalId>,
}

/// One write set in progress.
pub struct Application<'a> {
    /// The writing connection, inside a transaction.
    pub connection: &'a Connection,
    /// The keys.
    pub seal: &'a Seal,
    /// What the writer remembers.
    pub state: &'a mut WriteState,
    /// The permit's constraint.
    pub constraint: &'a Constraint,
}

impl Application<'_> {
    /// Applies all changes and stores the record, or fails.
    pub fn apply(self, changes: &[Change], record: UnfinishedRecord) -> Result<Applied, StoreError> {
        let Self { connection, seal, state, constraint } = self;
        let sight = Sight::of(connection, seal, constraint)?;
        let mut resolved = Application { connection, seal, state, constraint: sight.constraint() };
        let done = resolved.changes(changes, &record, constraint.question())?;
        // What was written may be a consent.
        let sight = Sight::of(connection, seal, constraint)?;
        let judging = Application { connection, seal, state: resolved.state, constraint: sight.constraint() };
        let applied = judging.finish(done, record, &sight)?;
        if applied.written.len() > 1 && applied.holds_consent() {
            Application { connection, seal, state, constraint }.require_afterwards(&applied.written)?;
        }
        Ok(applied)
    }

    fn changes(
        &mut self,
        changes: &[Change],
        record: &UnfinishedRecord,
        asked: Option<&Question>,
    ) -> Result<Vec<(Done, Verdicts)>, StoreError> {
        // What an earlier set left behind was undone with it.
        self.state.waiting.forget();
        let one = |change| {
            self.state.verdicts.take();
            let done = self.change(change)?;
            self.derive_consents((change, &done), record, asked)?;
            Ok((done, self.state.verdicts.take()))
        };
        let done = changes.iter().map(one).collect::<Result<Vec<_>, _>>()?;
        self.state.waiting.put(self.connection)?;
        Ok(done)
    }

    fn finish(self, done: Vec<(Done, Verdicts)>, record: UnfinishedRecord, sight: &Sight<'_>) -> Result<Applied, StoreError> {
        let record = UnfinishedRecord::complete(record, done.iter().map(completion).collect()).map_err(not_recordable)?;
        let mut written = done.into_iter().map(|(done, _)| done.written).collect::<Vec<_>>();
        self.grounds(&mut written)?;
        let versions: Vec<&StoredVersion> = written.iter().map(Written::version).collect();
        let in_care = read::patients_in_care(self.connection, self.constraint, &versions)?;
        let consulted = sight.consult(self.connection, self.seal, &versions)?;
        let stored = outbox::store(self.connection, &record)?;
        Ok(Applied { written, in_care, consulted, record, stored })
    }

    fn change(&mut self, change: &Change) -> Result<Done, StoreError> {
        // Whatever looks at the index tables must find there what the changes before have put: only an import without boundary looks at none.
        if !matches!(change, Change::Import(version) if self.is_unbounded(version.resource_type)) {
            self.state.waiting.put(self.connection)?;
        }
        match change {
            Change::Create(version) => self.create(version),
            Change::Update { version, if_match } => self.update(version, if_match.as_ref()),
            Change::Delete { resource_type, id, version, last_updated, if_match } => {
                let deletion = Deletion { resource_type: *resource_type, id, version, last_updated: *last_updated };
                self.delete(&deletion, if_match.as_ref())
            }
            Change::Import(version) => self.import(version),
        }
    }

    /// Puts the rows of what was written before.
    pub(super) fn put_waiting(&mut self) -> Result<(), StoreError> {
        self.state.waiting.put(self.connection)
    }

    fn create(&mut self, version: &NewVersion) -> Result<Done, StoreError> {
        let security = self.label(version, Security::NONE, Labels::NONE)?;
        let mut prepared = self.prepare(version, security)?;
        if !self.put_first(version, &mut prepared)? {
            return Err(StoreError::IdTaken);
        }
        Ok(Done { written: Written::Created(stored(version, security)), before: Vec::new() })
    }

    fn update(&mut self, version: &NewVersion, if_match: Option<&LogicalId>) -> Result<Done, StoreError> {
        let current = self.visible(version.resource_type, &version.id)?.ok_or(StoreError::NotFound)?;
        let before = read::patients(&current.patients)?;
        let writer = self.require_inside(version.resource_type, &before, &Content::Stored(current.pk, current.security))?;
        if current.deleted {
            return Err(StoreError::Gone);
        }
        current.require(if_match)?;
        let mut inside = self.labels_inside(&current, version)?;
        if inside.hides && (!writer.is_full() || self.consents_hide(current.pk, &before)?) {
            return Err(StoreError::Redacted);
        }
        let kept = inside.kept(version)?;
        let version = kept.as_ref().unwrap_or(version);
        let mut security = self.label(version, current.security, inside.dropped)?;
        // Whoever labels anew looks at what was said of this version, not at what its elements once had.
        security.claimed = security.claimed | inside.dropped;
        let prepared = self.prepare(version, security)?;
        self.replace(version, &prepared)?;
        Ok(Done { written: Written::Updated(stored(version, security)), before })
    }

    fn import(&mut self, version: &NewVersion) -> Result<Done, StoreError> {
        let first = self.label(version, Security::NONE, Labels::NONE)?;
        let mut prepared = self.prepare(version, first)?;
        if self.put_first(version, &mut prepared)? {
            return Ok(Done { written: Written::Created(stored(version, first)), before: Vec::new() });
        }
        self.state.waiting.put(self.connection)?;
        let current = self.visible(version.resource_type, &version.id)?.ok_or(StoreError::IdTaken)?;
        let before = read::patients(&current.patients)?;
        // Not even an import lowers what somebody said: only labelling anew does.
        let mut inside = self.labels_inside(&current, version)?;
        let kept = inside.kept(version)?;
        let version = kept.as_ref().unwrap_or(version);
        let mut security = self.label(version, current.security, inside.dropped)?;
        security.claimed = security.claimed | inside.dropped;
        if security != prepared.security || kept.is_some() {
            prepared = self.prepare(version, security)?;
        }
        let proposed = (version, security, prepared.neg_time);
        if !current.deleted
            && let Some(stored) = unchanged::find(self.connection, self.seal, proposed, &prepared.rows)?
        {
            return Ok(Done { written: Written::Unchanged(stored), before });
        }
        self.replace(version, &prepared)?;
        let stored = stored(version, security);
        let written = if current.deleted { Written::Created(stored) } else { Written::Updated(stored) };
        Ok(Done { written, before })
    }

    /// What the labels inside the current version mean for the one that follows.
    fn labels_inside(&self, current: &Current, version: &NewVersion) -> Result<Inside, StoreError> {
        if !current.deleted && !current.security.labels.contains(Labels::INLINE) && !current.security.residual {
            return Ok(Inside::default());
        }
        labelling::inside(self.connection, self.seal, (current.pk, current.deleted), &version.body)
    }

    fn delete(&mut self, deletion: &Deletion<'_>, if_match: Option<&LogicalId>) -> Result<Done, StoreError> {
        let current = self.visible(deletion.resource_type, deletion.id)?.ok_or(StoreError::NotFound)?;
        let patients = read::patients(&current.patients)?;
        self.require_inside(deletion.resource_type, &patients, &Content::Stored(current.pk, current.security))?;
        // A deletion is as confidential as what it deleted.
        let security = Security { residual: false, obliged: false, ..current.security };
        let identity = |version: &LogicalId, last_updated| StoredVersion {
            resource_type: deletion.resource_type,
            id: deletion.id.clone(),
            version: version.clone(),
            last_updated,
            patients: patients.clone(),
            security,
            grounds: Vec::new(),
            body: None,
        };
        if current.deleted {
            // Nothing changes, and yet somebody asked for it: the record names the same patients.
            return Ok(Done { written: Written::Deleted(identity(&current.version, current.last_updated)), before: Vec::new() });
        }
        current.require(if_match)?;
        self.require_consent_to_delete(current.pk, &patients)?;
        let home = match patients.first() {
            Some(patient) => Some(self.state.locators.obtain(self.connection, ResourceType::PATIENT, patient.as_str())?),
            None => None,
        };
        let key = self.home_key(home)?;
        let header = Header {
            resource_type: deletion.resource_type,
            id: deletion.id.as_str(),
            version: deletion.version.as_str(),
            last_updated: deletion.last_updated,
            deleted: true,
            patients: &current.patients,
            security: security.column(),
        };
        let sealed = key.seal(&header, &[])?;
        self.archive(current.pk)?;
        self.execute(
            "UPDATE resource SET version = ?2, last_updated = ?3, deleted = 1, security = ?6, data_key = ?4, body = ?5 WHERE pk = ?1",
            params![current.pk, header.version, header.last_updated, key.number, sealed, header.security],
        )?;
        rows::retire(self.connection, current.pk)?;
        Ok(Done { written: Written::Deleted(identity(deletion.version, deletion.last_updated)), before: Vec::new() })
    }

    /// The current version as far as the change has to know it; `None` where it is hidden or absent.
    fn visible(&self, resource_type: ResourceType, id: &LogicalId) -> Result<Option<Current>, StoreError> {
        let mut parameters = Parameters::default();
        let columns = "r.pk, r.version, r.last_updated, r.deleted, r.patients, r.security";
        let sql = read::visible(columns, self.constraint, self.constraint.letter(), (resource_type, id), &mut parameters);
        let rows = parameters.rows(self.connection, &sql, |row| {
            Ok((row.get(0)?, row.get::<_, String>(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
        });
        let Some((pk, version, last_updated, deleted, patients, security)) = rows.map_err(store_error)?.pop() else {
            return Ok(None);
        };
        let version = LogicalId::parse(&version).ok_or_else(|| StoreError::Corrupt("an impossible version id".into()))?;
        let security = read::security(security)?;
        Ok(Some(Current { pk, version, last_updated, deleted, patients, security }))
    }

    /// Every patient of the content must be inside one boundary, and there must be one, unless the boundary is everything. Where the scope behind that
    /// boundary has criteria, the content must fulfil them, and its labels must be cleared there. The clearance of that boundary comes back; of several the fullest.
    fn require_inside(
        &self,
        resource_type: ResourceType,
        patients: &[LogicalId],
        content: &Content<'_>,
    ) -> Result<Clearance, StoreError> {
        let labels = match content {
            Content::Stored(_, security) | Content::Proposed(_, security) => security.labels,
        };
        let mut found = None;
        for WriteBoundary { boundary, admission, clearance } in self.constraint.write_boundaries(resource_type) {
            if (clearance.covers(labels) || off!("write-clearance"))
                && (off!("write-inside") || self.inside(boundary, patients)?)
                && admission.map_or(Ok(true), |admission| self.admits(admission, content))?
            {
                found = found.filter(|found: &Clearance| found.is_full()).or(Some(clearance));
            }
        }
        found.ok_or(StoreError::OutsideBoundary)
    }

    fn admits(&self, admission: &Admission, content: &Content<'_>) -> Result<bool, StoreError> {
        match content {
            Content::Proposed(..) if off!("write-submitted") => Ok(true),
            Content::Stored(..) if off!("write-stored") => Ok(true),
            Content::Proposed(version, security) => {
                Ok(admission.admits_with(&version.entries, (version.resource_type, *security)))
            }
            Content::Stored(pk, _) => {
                let mut parameters = Parameters::default();
                let pk = parameters.bind(*pk);
                let admitted = admission::admitted(admission, "r", &mut parameters);
                let sql = format!("SELECT count(*) FROM resource r WHERE r.pk = {pk} AND {admitted}");
                parameters.integer(self.connection, &sql).map(|found| found != 0).map_err(store_error)
            }
        }
    }

    fn inside(&self, boundary: &Boundary, patients: &[LogicalId]) -> Result<bool, StoreError> {
        if *boundary == Boundary::Whole {
            return Ok(true);
        }
        for patient in patients {
            if !self.patient_inside(boundary, patient)? {
                return Ok(false);
            }
        }
        Ok(!patients.is_empty())
    }

    fn patient_inside(&self, boundary: &Boundary, patient: &LogicalId) -> Result<bool, StoreError> {
        if let Boundary::Patients(allowed) = boundary {
            return Ok(allowed.contains(patient));
        }
        let Some(locator) = locator::find(self.connection, ResourceType::PATIENT, patient.as_str())? else { return Ok(false) };
        let mut parameters = Parameters::default();
        let placeholder = parameters.bind(locator);
        let inside = visibility::within(boundary, &placeholder, &mut parameters);
        parameters.integer(self.connection, &format!("SELECT ({inside}) IS TRUE")).map(|inside| inside != 0).map_err(store_error)
    }

    fn admissible(&self) -> Admissible<'_> {
        Admissible { connection: self.connection, constraint: self.constraint }
    }

    pub(super) fn is_unbounded(&self, resource_type: ResourceType) -> bool {
        self.constraint.write_boundaries(resource_type).any(|boundary| boundary.is_everything())
    }

    /// Locators, keys, rows and the sealed body of a version.
    fn prepare(&mut self, version: &NewVersion, security: Security) -> Result<Prepared, StoreError> {
        let pk = self.state.locators.obtain(self.connection, version.resource_type, version.id.as_str())?;
        let locators = &mut self.state.locators;
        let patient = |patient: &LogicalId| locators.obtain(self.connection, ResourceType::PATIENT, patient.as_str());
        let patients = version.patients.iter().map(patient).collect::<Result<Vec<_>, _>>()?;
        let neg_time = rows::neg_time(version);
        let mut source = Source { connection: self.connection, locators: &mut self.state.locators, seal: self.seal };
        let mut rows = source.rows(version, &patients, neg_time)?;
        source.labels(security.labels, (version.resource_type, neg_time), &mut rows)?;
        let rows = if self.is_unbounded(version.resource_type) { rows } else { self.admissible().rows(pk, rows)? };
        let key = self.home_key(patients.first().copied())?;
        let column = column(&version.patients);
        let header = Header {
            resource_type: version.resource_type,
            id: version.id.as_str(),
            version: version.version.as_str(),
            last_updated: version.last_updated,
            deleted: false,
            patients: &column,
            security: security.column(),
        };
        let sealed = key.seal(&header, &version.body)?;
        Ok(Prepared { pk, neg_time, patients: column, security, key: key.number, sealed, rows })
    }

    /// The labels of a proposed version that follows one with these, which must lie inside the boundary.
    fn label(&self, version: &NewVersion, before: Security, dropped: Labels) -> Result<Security, StoreError> {
        let Security { labels, claimed, .. } = if off!("write-labels") { Security::NONE } else { before };
        let before = (labels | dropped).lasting();
        let own = labelling::own_labels(&self.state.rules, &version.labelled_by) | before;
        let (residual, obliged) = (version.labelled_by.residual, version.labelled_by.obliged);
        let security = Security { labels: own, claimed: Labels::NONE, residual, obliged };
        self.require_inside(version.resource_type, &version.patients, &Content::Proposed(version, security))?;
        self.require_consent(version, own)?;
        // Hints of what it refers to are not judged: whether the writer is refused must not depend on what may be hidden.
        let read = |letter| visibility::ways(self.constraint, version.resource_type, letter);
        let all = self.is_unbounded(version.resource_type) || read(Letter::Read).is_empty() && read(Letter::Search).is_empty();
        let may_use = |target| if all { Ok(true) } else { self.admissible().may_read(target) };
        let hints = labelling::hints(self.connection, (version.resource_type, &version.references), may_use)?;
        let claimed = version.labelled_by.claimed.without(before) | claimed.lasting();
        Ok(Security { labels: own | hints, claimed, ..security })
    }

    fn home_key(&mut self, home: Option<i64>) -> Result<DataKey, StoreError> {
        if let Some(key) = self.state.homes.find(&home) {
            return Ok(key);
        }
        let key = self.seal.home_key(self.connection, home)?;
        self.state.homes.insert(home, key.clone());
        Ok(key)
    }

    /// Stores the first version of a resource; `false` where there is one already.
    fn put_first(&mut self, version: &NewVersion, prepared: &mut Prepared) -> Result<bool, StoreError> {
        let stored = self.execute(
            "INSERT INTO resource (pk, type, version, last_updated, neg_time, deleted, patients, data_key, body, security) \
             VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6, ?7, ?8, ?9) ON CONFLICT (pk) DO NOTHING",
            params![
                prepared.pk,
                version.resource_type.code(),
                version.version.as_str(),
                version.last_updated,
                prepared.neg_time,
                prepared.patients,
                prepared.key,
                prepared.sealed,
                prepared.security.column()
            ],
        )?;
        if stored == 0 {
            return Ok(false);
        }
        self.state.waiting.add(self.connection, prepared.pk, std::mem::take(&mut prepared.rows))?;
        Ok(true)
    }

    fn replace(&self, version: &NewVersion, prepared: &Prepared) -> Result<(), StoreError> {
        self.archive(prepared.pk)?;
        self.execute(
            "UPDATE resource SET version = ?2, last_updated = ?3, neg_time = ?4, deleted = 0, patients = ?5, data_key = ?6, body = ?7, \
             security = ?8 WHERE pk = ?1",
            params![
                prepared.pk,
                version.version.as_str(),
                version.last_updated,
                prepared.neg_time,
                prepared.patients,
                prepared.key,
                prepared.sealed,
                prepared.security.column()
            ],
        )?;
        rows::replace(self.connection, prepared.pk, &prepared.rows)
    }

    /// Keeps the current version as an earlier one, sealed as it is.
    fn archive(&self, pk: i64) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO version (pk, sequence, version, last_updated, deleted, patients, security, data_key, body) \
             SELECT pk, (SELECT coalesce(max(sequence), 0) + 1 FROM version WHERE pk = ?1), version, last_updated, deleted, patients, security, \
             data_key, body FROM resource WHERE pk = ?1",
            params![pk],
        )?;
        Ok(())
    }

    fn execute(&self, sql: &str, parameters: &[&dyn rusqlite::ToSql]) -> Result<usize, StoreError> {
        self.connection.prepare_cached(sql).and_then(|mut statement| statement.execute(parameters)).map_err(store_error)
    }

    /// The answer shows a record only where a read would: what is visible through other records needs its grounds.
    fn grounds(&self, written: &mut [Written]) -> Result<(), StoreError> {
        for one in written {
            let version = one.version_mut();
            let through_others = matches!(version.resource_type, ResourceType::PROVENANCE | ResourceType::BINARY)
                || SHARED_TYPES.contains(&version.resource_type);
            if !through_others {
                continue;
            }
            let mut parameters = Parameters::default();
            let identity = (version.resource_type, &version.id);
            let sql = read::visible("r.pk", self.constraint, Letter::Read, identity, &mut parameters);
            let found = parameters.rows(self.connection, &sql, |row| row.get::<_, i64>(0)).map_err(store_error)?;
            let Some(pk) = found.first() else {
                version.body = None;
                continue;
            };
            let mut row = [(*pk, version.clone())];
            visibility::grounds(self.connection, self.constraint, Letter::Read, &mut row)?;
            let [(_, judged)] = row;
            *version = judged;
        }
        Ok(())
    }
}

/// What a change is judged by.
enum Content<'a> {
    /// The version that is current, and its labels.
    Stored(i64, Security),
    /// The version that would be, and the labels that it has of itself.
    Proposed(&'a NewVersion, Security),
}

struct Current {
    pk: i64,
    version: LogicalId,
    last_updated: i64,
    deleted: bool,
    patients: String,
    security: Security,
}

impl Current {
    fn require(&self, if_match: Option<&LogicalId>) -> Result<(), StoreError> {
        let is_current = off!("if-match") || if_match.is_none_or(|version| *version == self.version);
        if is_current { Ok(()) } else { Err(StoreError::VersionConflict) }
    }
}

struct Deletion<'a> {
    resource_type: ResourceType,
    id: &'a LogicalId,
    version: &'a LogicalId,
    last_updated: i64,
}

struct Prepared {
    pk: i64,
    neg_time: i64,
    patients: String,
    security: Security,
    key: i64,
    sealed: Vec<u8>,
    rows: Vec<Row>,
}

/// Patients as the column `patients` holds them.
pub fn column(patients: &[LogicalId]) -> String {
    patients.iter().map(LogicalId::as_str).collect::<Vec<_>>().join(" ")
}
