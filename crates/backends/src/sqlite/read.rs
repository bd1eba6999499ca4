//! Reads of one resource: the current version, or an earlier one.
//!
//! The permit's condition stands in the statement that finds the row. What is hidden costs the same work as what is absent: where the id is
//! unknown, the condition is evaluated for another row, which is then refused for its id.

use portcullis_fhir::interaction::{Read, VersionRead};
use portcullis_fhir::labels::Security;
use portcullis_fhir::types::{LogicalId, ResourceType};
use portcullis_mutants::off;
use portcullis_oauth::scopes::Letter;
use portcullis_policy::rules::consent::Verdicts;
use portcullis_policy::{Boundary, Constraint, Consulted, InCare, StoredVersion, Visibility};
use portcullis_store::StoreError;
use rusqlite::{Connection, Row};

use super::consents::sight::Sight;
use super::database::store_error;
use super::history;
use super::parameters::Parameters;
use super::seal::{Header, Opener, Seal, Sealed};
use super::visibility;

/// The columns that [`SealedRow::take`] reads, of `resource r` and `locator l`.
pub const COLUMNS: &str = "r.pk, r.type, l.id, r.version, r.last_updated, r.deleted, r.patients, r.data_key, r.body, r.security";

/// What a read found, with those of its patients with whom the constraint's actors have a care relationship.
#[derive(Debug)]
pub struct Found<T> {
    /// The content.
    pub content: T,
    /// Patients in care.
    pub in_care: InCare,
    /// The consents of its patients.
    pub consulted: Consulted,
    /// What consents deny of patients of whom nothing is in it.
    pub denied: Verdicts,
}

impl<T> Found<T> {
    /// Nothing about anybody.
    pub fn nothing(content: T) -> Self {
        Self { content, in_care: InCare::default(), consulted: Consulted::default(), denied: Verdicts::default() }
    }
}

/// A statement for these columns of the visible current version (`resource r`, `locator l`) of one resource: no row where there is none.
pub fn visible(
    columns: &str,
    constraint: &Constraint,
    letter: Letter,
    (resource_type, id): (ResourceType, &LogicalId),
    parameters: &mut Parameters,
) -> String {
    let code = resource_type.code();
    let id = parameters.bind(id.as_str().to_owned());
    let shown = visibility::predicate(constraint, resource_type, letter, "r", parameters);
    let shown = if off!("current") { "1".to_owned() } else { shown };
    format!(
        "SELECT {columns} FROM resource r CROSS JOIN locator l ON l.pk = r.pk WHERE r.pk = coalesce(\
         (SELECT x.pk FROM locator y CROSS JOIN resource x ON x.pk = y.pk WHERE y.type = {code} AND y.id = {id}), \
         (SELECT min(pk) FROM resource)) AND {shown} AND l.type = {code} AND l.id = {id}"
    )
}

/// Reads the current version; `None` where nothing is visible.
pub fn read(
    connection: &Connection,
    seal: &Seal,
    constraint: &Constraint,
    read: &Read,
) -> Result<Found<Option<StoredVersion>>, StoreError> {
    let sight = Sight::of(connection, seal, constraint)?;
    let current = current(connection, seal, sight.constraint(), (read.resource_type, &read.id))?;
    judged(connection, seal, &sight, current)
}

/// Whether a read of this type finds everything that release asks for in its one statement: no other record, no care relationship and no consent counts.
pub fn is_single_statement(constraint: &Constraint, resource_type: ResourceType) -> bool {
    let ways = visibility::ways(constraint, resource_type, constraint.letter());
    ways.iter().all(|way| way.asking().is_none())
        && ways.iter().map(Visibility::unqualified).all(|way| {
            matches!(
                way,
                Visibility::Every | Visibility::Itself(_) | Visibility::Compartment(Boundary::Patients(_) | Boundary::Whole)
            )
        })
}

/// Reads one version; `None` unless both it and the current one are visible.
pub fn version_read(
    connection: &Connection,
    seal: &Seal,
    constraint: &Constraint,
    read: &VersionRead,
) -> Result<Found<Option<StoredVersion>>, StoreError> {
    let sight = Sight::of(connection, seal, constraint)?;
    let (given, constraint) = (constraint, sight.constraint());
    let Some(mut current) = current(connection, seal, constraint, (read.resource_type, &read.id))? else {
        return Ok(Found::nothing(None));
    };
    if current.1.version == read.version {
        return judged(connection, seal, &sight, Some(current));
    }
    visibility::grounds(connection, constraint, constraint.letter(), std::slice::from_mut(&mut current))?;
    let asked = history::earlier_version(connection, seal, &current, &read.version)?;
    let Some((sequence, mut asked)) = asked else { return Ok(Found::nothing(None)) };
    if history::judges_each_version(constraint) {
        history::own_grounds(connection, constraint, current.0, &mut asked)?;
    }
    let in_care = patients_in_care(connection, constraint, &[&asked])?;
    let consulted = sight.consult(connection, seal, &[&asked])?;
    let judge = history::Judge::new((connection, seal), (given, constraint), (current.0, &current.1), (&in_care, &consulted))?;
    let visible = judge.shows(&asked, sequence)? || off!("version-read");
    Ok(Found { in_care, consulted, ..Found::nothing(visible.then_some(asked)) })
}

/// The visible current version with its locator.
pub fn current(
    connection: &Connection,
    seal: &Seal,
    constraint: &Constraint,
    identity: (ResourceType, &LogicalId),
) -> Result<Option<(i64, StoredVersion)>, StoreError> {
    let mut parameters = Parameters::default();
    let sql = visible(COLUMNS, constraint, constraint.letter(), identity, &mut parameters);
    let mut found = None;
    parameters
        .for_each_row(connection, &sql, |row| {
            found = Some(open_row(connection, seal, row));
            Ok(false)
        })
        .map_err(store_error)?;
    found.transpose()
}

fn judged(
    connection: &Connection,
    seal: &Seal,
    sight: &Sight<'_>,
    found: Option<(i64, StoredVersion)>,
) -> Result<Found<Option<StoredVersion>>, StoreError> {
    let constraint = sight.constraint();
    let Some(mut found) = found else { return Ok(Found::nothing(None)) };
    visibility::grounds(connection, constraint, constraint.letter(), std::slice::from_mut(&mut found))?;
    let in_care = patients_in_care(connection, constraint, &[&found.1])?;
    let consulted = sight.consult(connection, seal, &[&found.1])?;
    Ok(Found { in_care, consulted, ..Found::nothing(Some(found.1)) })
}

/// The patients in care among those of these versions and of the records that make them visible.
pub fn patients_in_care(
    connection: &Connection,
    constraint: &Constraint,
    versions: &[&StoredVersion],
) -> Result<InCare, StoreError> {
    if !visibility::asks_for_care(constraint) {
        return Ok(Vec::new());
    }
    let grounds = versions.iter().flat_map(|version| &version.grounds).flat_map(|grounds| &grounds.patients);
    let patients: Vec<LogicalId> = versions.iter().flat_map(|version| &version.patients).chain(grounds).cloned().collect();
    visibility::patients_in_care(connection, constraint, &patients)
}

/// The version in a row of [`COLUMNS`], with its locator; an error where the row fails its authentication.
pub fn open_row(connection: &Connection, seal: &Seal, row: &Row<'_>) -> Result<(i64, StoredVersion), StoreError> {
    SealedRow::take(row)?.open(&mut seal.opener(connection))
}

/// A row of [`COLUMNS`] as it is stored: nothing in it is to be believed before it is opened.
#[derive(Debug)]
pub struct SealedRow {
    /// The locator.
    pub pk: i64,
    /// The id.
    pub id: LogicalId,
    resource_type: ResourceType,
    version: LogicalId,
    last_updated: i64,
    deleted: bool,
    patients: Box<str>,
    security: i64,
    key: i64,
    body: Sealed,
}

/// Everything of a row but its sealed text: rows of which this is equal were sealed as one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mark {
    resource_type: ResourceType,
    deleted: bool,
    numbers: [i64; 4],
    texts: [Box<str>; 3],
    seal: ([u8; 12], [u8; 16]),
}

impl SealedRow {
    /// Copies a row.
    pub fn take(row: &Row<'_>) -> Result<Self, StoreError> {
        let text = |column: usize| row.get_ref(column).map_err(store_error)?.as_str().map_err(|_| corrupt());
        let id = |column: usize| LogicalId::parse(text(column)?).ok_or_else(corrupt);
        let body = row.get_ref(8).map_err(store_error)?.as_blob().map_err(|_| corrupt())?;
        Ok(Self {
            pk: row.get(0).map_err(store_error)?,
            resource_type: ResourceType::from_code(row.get(1).map_err(store_error)?).ok_or_else(corrupt)?,
            id: id(2)?,
            version: id(3)?,
            last_updated: row.get(4).map_err(store_error)?,
            deleted: row.get(5).map_err(store_error)?,
            patients: text(6)?.into(),
            key: row.get(7).map_err(store_error)?,
            body: Sealed::copy(body).ok_or_else(corrupt)?,
            security: row.get(9).map_err(store_error)?,
        })
    }

    /// The type.
    pub fn resource_type(&self) -> ResourceType {
        self.resource_type
    }

    /// The id and the patients, which nothing vouches for before the row is opened.
    pub fn outline(&self) -> Result<(LogicalId, Vec<LogicalId>), StoreError> {
        Ok((self.id.clone(), patients(&self.patients)?))
    }

    /// The version.
    pub fn version(&self) -> &LogicalId {
        &self.version
    }

    /// What tells this row from every other that can be opened.
    pub fn mark(&self) -> Mark {
        let numbers = [self.pk, self.last_updated, self.security, self.key];
        let texts = [self.id.as_str(), self.version.as_str(), &self.patients].map(Box::from);
        Mark { resource_type: self.resource_type, deleted: self.deleted, numbers, texts, seal: self.body.mark() }
    }

    /// The bytes of the sealed body.
    pub fn length(&self) -> i64 {
        i64::try_from(self.body.length()).unwrap_or(i64::MAX)
    }

    /// The number of the key that sealed it.
    pub fn key(&self) -> i64 {
        self.key
    }

    /// Authenticates the row and opens its body.
    pub fn open(self, opener: &mut Opener<'_>) -> Result<(i64, StoredVersion), StoreError> {
        let header = Header {
            resource_type: self.resource_type,
            id: self.id.as_str(),
            version: self.version.as_str(),
            last_updated: self.last_updated,
            deleted: self.deleted,
            patients: &self.patients,
            security: self.security,
        };
        let body = opener.open(self.key, &header, self.body)?;
        let version = StoredVersion {
            resource_type: self.resource_type,
            patients: patients(&self.patients)?,
            security: security(self.security)?,
            id: self.id,
            version: self.version,
            last_updated: self.last_updated,
            grounds: Vec::new(),
            body: (!self.deleted).then_some(body),
        };
        Ok((self.pk, version))
    }
}

/// The patients in a column `patients`.
pub fn patients(column: &str) -> Result<Vec<LogicalId>, StoreError> {
    column.split_ascii_whitespace().map(|id| LogicalId::parse(id).ok_or_else(corrupt)).collect()
}

/// The labels in a column `security`.
pub fn security(column: i64) -> Result<Security, StoreError> {
    Security::of_column(column).ok_or_else(corrupt)
}

fn corrupt() -> StoreError {
    StoreError::Corrupt("a row of resource has an impossible value".into())
}
