//! The versions of one resource: each shown only where both its own patients and the current version are inside the boundary.
//!
//! <https://hl7.org/fhir/R4/http.html#history>. A version outside is left out, of the total too.

use portcullis_fhir::interaction::InstanceHistory;
use portcullis_fhir::json::{self, Value as Json};
use portcullis_fhir::labels::Labels;
use portcullis_fhir::types::{LogicalId, ResourceType};
use portcullis_mutants::off;
use portcullis_oauth::scopes::Letter;
use portcullis_policy::constraint::Sources;
use portcullis_policy::rules::consent::Question;
use portcullis_policy::{Constraint, Consulted, HistoryPage, InCare, Predecessor, Relationship, StoredVersion, Visibility};
use portcullis_store::StoreError;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params};

use super::consents::sight::Sight;
use super::cursor::Bookmarks;
use super::database::store_error;
use super::read::{self, Found};
use super::seal::Seal;
use super::visibility;

/// The columns of an earlier version (`version r`, `locator l`) in the order that [`read::open_row`] reads.
const COLUMNS: &str = "r.pk, l.type, l.id, r.version, r.last_updated, r.deleted, r.patients, r.data_key, r.body, r.security";

/// One page of the history; empty where the current version is not visible.
pub fn history(
    connection: &Connection,
    seal: &Seal,
    constraint: &Constraint,
    history: &InstanceHistory,
    binding: &[u8],
) -> Result<Found<HistoryPage>, StoreError> {
    let query = format!("{}/{} since {:?}", history.resource_type, history.id, history.since);
    let bookmarks = Bookmarks::new(seal, "history", binding, query.as_bytes());
    let before = history.cursor.as_deref().map(|bookmark| sequence(&bookmarks, bookmark)).transpose()?;
    let sight = Sight::of(connection, seal, constraint)?;
    let (given, constraint) = (constraint, sight.constraint());
    let Some(mut current) = read::current(connection, seal, constraint, (history.resource_type, &history.id))? else {
        return Ok(Found::nothing(HistoryPage::default()));
    };
    visibility::grounds(connection, constraint, constraint.letter(), std::slice::from_mut(&mut current))?;
    let (pk, current) = current;
    let earlier = outlines(connection, pk)?;
    let patients: Vec<LogicalId> = earlier.iter().flat_map(|outline| &outline.patients).cloned().collect();
    let mut in_care = read::patients_in_care(connection, constraint, &[&current])?;
    in_care.extend(visibility::patients_in_care(connection, constraint, &patients)?);
    in_care.sort_unstable();
    in_care.dedup();

    let consulted = sight.consult_patients(connection, seal, patients.iter().chain(&current.patients))?;
    let judge = Judge::new((connection, seal), (given, constraint), (pk, &current), (&in_care, &consulted))?;
    let newest = Outline { sequence: earlier.first().map_or(1, |outline| outline.sequence + 1), ..Outline::of(&current) };
    let mut page = HistoryPage::default();
    let mut last = None;
    let mut bytes = 0_i64;
    for outline in std::iter::once(&newest).chain(&earlier) {
        if !judge.admits(&outline.patients, outline.labels) && !off!("history-version") {
            continue;
        }
        let version = || {
            if outline.sequence == newest.sequence {
                Ok(current.clone())
            } else {
                open(connection, seal, (pk, &current), outline.sequence)
            }
        };
        if judge.reads_content() && !off!("history-content") && !judge.shows_content(&version()?, outline.sequence)? {
            continue;
        }
        let too_old = history.since.is_some_and(|since| outline.last_updated < since);
        let room = page.versions.is_empty() || bytes < super::search::PAGE_BYTES;
        let full = page.next.is_some() || !room || page.versions.len() >= usize::try_from(history.count).unwrap_or(usize::MAX);
        if (too_old || full && last.is_some()) && page.predecessor == Predecessor::Nothing {
            page.predecessor = if outline.deleted { Predecessor::Deletion } else { Predecessor::Content };
        }
        if too_old {
            continue;
        }
        page.total += 1;
        if before.is_some_and(|before| outline.sequence >= before) {
            continue;
        }
        if !full {
            last = Some(outline.sequence);
            let version = version()?;
            bytes += version.body.as_ref().map_or(0, |body| i64::try_from(body.len()).unwrap_or(i64::MAX));
            page.versions.push(version);
        } else if page.next.is_none() {
            page.next = last.map(|sequence| bookmarks.seal(&[Value::Integer(sequence)])).transpose()?;
        }
    }
    if judges_each_version(constraint) {
        for version in &mut page.versions {
            in_care.extend(own_grounds(connection, constraint, pk, version)?);
        }
    }
    Ok(Found { in_care, consulted, ..Found::nothing(page) })
}

/// Whether it may be another way that shows an earlier version than the one that shows the current one.
pub fn judges_each_version(constraint: &Constraint) -> bool {
    constraint.is_qualified() || constraint.has_several_clearances()
}

/// Finds what makes a version visible in a way that admits its own content, which may be another way than that of the current one; returns those patients
/// of what was found with whom an actor has a care relationship.
pub fn own_grounds(
    connection: &Connection,
    constraint: &Constraint,
    pk: i64,
    version: &mut StoredVersion,
) -> Result<InCare, StoreError> {
    let mut row = [(pk, StoredVersion { grounds: Vec::new(), ..version.clone() })];
    visibility::grounds(connection, constraint, constraint.letter(), &mut row)?;
    let [(_, judged)] = row;
    version.grounds = judged.grounds;
    let patients = version.grounds.iter().flat_map(|grounds| &grounds.patients).cloned().collect::<Vec<_>>();
    visibility::patients_in_care(connection, constraint, &patients)
}

fn sequence(bookmarks: &Bookmarks<'_>, bookmark: &str) -> Result<i64, StoreError> {
    match bookmarks.open(bookmark)?.as_slice() {
        [Value::Integer(sequence)] => Ok(*sequence),
        _ => Err(StoreError::InvalidCursor),
    }
}

/// A version without its body.
struct Outline {
    sequence: i64,
    last_updated: i64,
    deleted: bool,
    patients: Vec<LogicalId>,
    labels: Labels,
}

impl Outline {
    fn of(version: &StoredVersion) -> Self {
        let (deleted, patients) = (version.body.is_none(), version.patients.clone());
        Self { sequence: 0, last_updated: version.last_updated, deleted, patients, labels: version.security.labels }
    }
}

fn outlines(connection: &Connection, pk: i64) -> Result<Vec<Outline>, StoreError> {
    let sql = "SELECT sequence, last_updated, deleted, patients, security FROM version WHERE pk = ?1 ORDER BY sequence DESC";
    let mut statement = connection.prepare_cached(sql).map_err(store_error)?;
    let columns = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get::<_, String>(3)?, row.get(4)?));
    let rows = statement.query_map([pk], columns).map_err(store_error)?;
    let outline = |row: rusqlite::Result<(i64, i64, bool, String, i64)>| {
        let (sequence, last_updated, deleted, patients, security) = row.map_err(store_error)?;
        let (patients, labels) = (read::patients(&patients)?, read::security(security)?.labels);
        Ok(Outline { sequence, last_updated, deleted, patients, labels })
    };
    rows.map(outline).collect()
}

/// Opens an earlier version; it carries the grounds of the current one.
fn open(
    connection: &Connection,
    seal: &Seal,
    (pk, current): (i64, &StoredVersion),
    sequence: i64,
) -> Result<StoredVersion, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM version r CROSS JOIN locator l ON l.pk = r.pk WHERE r.pk = ?1 AND r.sequence = ?2");
    let mut statement = connection.prepare_cached(&sql).map_err(store_error)?;
    let opened =
        statement.query_row(params![pk, sequence], |row| Ok(read::open_row(connection, seal, row))).map_err(store_error)?;
    Ok(StoredVersion { grounds: current.grounds.clone(), ..opened?.1 })
}

/// The earlier version with this id, and its place in the sequence.
pub fn earlier_version(
    connection: &Connection,
    seal: &Seal,
    (pk, current): &(i64, StoredVersion),
    version: &LogicalId,
) -> Result<Option<(i64, StoredVersion)>, StoreError> {
    let sql = "SELECT sequence FROM version WHERE pk = ?1 AND version = ?2";
    let mut statement = connection.prepare_cached(sql).map_err(store_error)?;
    let sequence: Option<i64> =
        statement.query_row(params![pk, version.as_str()], |row| row.get(0)).optional().map_err(store_error)?;
    sequence.map(|sequence| Ok((sequence, open(connection, seal, (*pk, current), sequence)?))).transpose()
}

/// Judges earlier versions of a resource whose current version is visible.
pub struct Judge<'a> {
    connection: &'a Connection,
    seal: &'a Seal,
    ways: Vec<Visibility<'a>>,
    pk: i64,
    current: &'a StoredVersion,
    in_care: &'a [(Relationship, LogicalId)],
    /// The consents of the patients of all versions, and what they are asked.
    consulted: &'a Consulted,
    /// What the consents are asked, by somebody of whom is known what the store has found out.
    asking: Option<(Question, Letter)>,
    /// Whether the way that shows a version matters, and not only that there is one.
    by_way: bool,
    /// Whether what a version is about is compared with what the current one is about.
    compares_targets: bool,
    /// What the current version is about, where that is compared.
    targets: Option<Json>,
}

impl<'a> Judge<'a> {
    /// A judge for the versions of `current`. `given` is the constraint as it was decided, `constraint` what is left of it where a store has found that nobody has
    /// consented to anything: which versions of a Provenance there are does not depend on that. `in_care` names those of their patients with whom the constraint's actors have a care relationship.
    pub fn new(
        (connection, seal): (&'a Connection, &'a Seal),
        (given, constraint): (&Constraint, &'a Constraint),
        (pk, current): (i64, &'a StoredVersion),
        (in_care, consulted): (&'a [(Relationship, LogicalId)], &'a Consulted),
    ) -> Result<Self, StoreError> {
        let ways = constraint.visibility(current.resource_type);
        let by_way = judges_each_version(constraint);
        let asking = ways.iter().find_map(Visibility::asking).filter(|asking| !consulted.is_silent(asking.question));
        let asking = asking.map(|asking| (asking.question.joined(&consulted.memberships), asking.letter));
        // A Provenance is visible through its targets, which are known for the current version only: an earlier version about anything else is hidden.
        let follows = matches!(current.resource_type, ResourceType::PROVENANCE | ResourceType::BINARY);
        let compares_targets = follows && !given.visibility(current.resource_type).contains(&Visibility::Every);
        let mut judge =
            Self { connection, seal, ways, pk, current, in_care, consulted, asking, by_way, compares_targets, targets: None };
        if compares_targets {
            judge.targets = judge.targets_of(current, i64::MAX)?;
        }
        Ok(judge)
    }

    /// Whether the version at this place in the sequence is visible.
    pub fn shows(&self, version: &StoredVersion, sequence: i64) -> Result<bool, StoreError> {
        Ok(self.admits(&version.patients, version.security.labels)
            && (!self.reads_content() || self.shows_content(version, sequence)?))
    }

    /// Whether more than the patients and labels of a version decides.
    fn reads_content(&self) -> bool {
        self.compares_targets || self.by_way || self.asking.is_some()
    }

    /// Whether what a version says lets it be shown: a Provenance about the same, and content that the scope's criteria admit. A deletion says nothing.
    fn shows_content(&self, version: &StoredVersion, sequence: i64) -> Result<bool, StoreError> {
        let mut shown = false;
        for way in &self.ways {
            let admitted = way.admission().is_none_or(|admission| admission.admits_version(version));
            let inside = way.clearance().covers(version.security.labels) && self.way_admits(way.unqualified(), &version.patients);
            shown = shown || admitted && inside && self.way_is_grounded(way)?;
        }
        let consented = |(question, letter): &(Question, Letter)| self.consulted.permits(question, *letter, version);
        shown = shown && self.asking.as_ref().is_none_or(consented);
        Ok(shown && (!self.compares_targets || self.same_targets(version, sequence)?))
    }

    /// Whether what makes the current version visible does so in this very way: another may have let it be seen.
    fn way_is_grounded(&self, way: &Visibility<'_>) -> Result<bool, StoreError> {
        match way.unqualified() {
            Visibility::ReferencedFrom { .. } | Visibility::About { .. } => {
                Ok(visibility::grounds_in(self.connection, way, self.pk)?.is_some())
            }
            _ => Ok(true),
        }
    }

    /// Whether a version with these patients and labels may be shown. What is visible through other records keeps the grounds of the current version.
    fn admits(&self, patients: &[LogicalId], labels: Labels) -> bool {
        self.ways.iter().any(|way| way.clearance().covers(labels) && self.way_admits(way.unqualified(), patients))
    }

    fn way_admits(&self, way: &Visibility<'_>, patients: &[LogicalId]) -> bool {
        match way {
            Visibility::Every | Visibility::AboutNothingHidden { .. } => true,
            Visibility::Itself(_) if off!("own-entry") => true,
            Visibility::Itself(record) => record.resource_type == self.current.resource_type && record.id == self.current.id,
            Visibility::Compartment(boundary) => patients.iter().any(|patient| boundary.contains(patient, self.in_care)),
            Visibility::ReferencedFrom { sources, .. } => patients.is_empty() && self.is_grounded(sources),
            Visibility::About { targets, .. } => self.is_grounded(targets),
            Visibility::Qualified { way, .. } | Visibility::Cleared { way, .. } | Visibility::Consented { way, .. } => {
                self.way_admits(way, patients)
            }
        }
    }

    fn is_grounded(&self, by: &Sources<'_>) -> bool {
        self.current.grounds.iter().any(|grounds| grounds.clearance == by.clearance)
    }

    fn same_targets(&self, version: &StoredVersion, sequence: i64) -> Result<bool, StoreError> {
        Ok(self.targets_of(version, sequence)? == self.targets)
    }

    /// What a Provenance was about at a version. A deletion has no body: it ends what the version before it said.
    fn targets_of(&self, version: &StoredVersion, sequence: i64) -> Result<Option<Json>, StoreError> {
        const SQL: &str = "SELECT max(sequence) FROM version WHERE pk = ?1 AND sequence < ?2 AND deleted = 0";
        if let Some(body) = &version.body {
            return targets(body);
        }
        let mut statement = self.connection.prepare_cached(SQL).map_err(store_error)?;
        let before: Option<i64> = statement.query_row(params![self.pk, sequence], |row| row.get(0)).map_err(store_error)?;
        let ended = before.map(|before| open(self.connection, self.seal, (self.pk, self.current), before)).transpose()?;
        ended.and_then(|ended| ended.body).map_or(Ok(None), |body| targets(&body))
    }
}

fn targets(body: &[u8]) -> Result<Option<Json>, StoreError> {
    let body = json::parse(body).map_err(|error| StoreError::Corrupt(error.to_string()))?;
    Ok(body.member("target").or(body.member("securityContext")).cloned())
}
