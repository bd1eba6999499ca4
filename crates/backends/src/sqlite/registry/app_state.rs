//! App state: rows of its own, sealed under the key of the patient whom they are about, and found by cell alone.

use portcullis_fhir::reference::LocalReference;
use portcullis_fhir::types::{LogicalId, ResourceType};
use portcullis_policy::app_state::AppStateCell;
use portcullis_policy::{AppState, AppStateLookup, AppStateWrite, AuthorizedAppState, Unreleased};
use portcullis_store::StoreError;
use portcullis_store::app_state::{CELL_TAKEN, STATE_CHANGED};
use rusqlite::{Connection, Row, params};

use super::statements::{all, column, conflict, execute, exists, parsed, unreadable};
use crate::sqlite::locator;
use crate::sqlite::seal::{DataKey, Header, Seal, Sealed};

/// What a lookup finds: in each cell that the permit names, and nowhere else.
pub fn find(
    connection: &Connection,
    seal: &Seal,
    lookup: &AuthorizedAppState<AppStateLookup>,
) -> Result<Unreleased<Vec<AppState>>, StoreError> {
    let sql = "SELECT * FROM app_state WHERE system = ?1 AND code = ?2 AND subject = ?3 AND (?4 IS NULL OR id = ?4) ORDER BY system, code, subject";
    let id = lookup.operation().id.as_ref().map(LogicalId::as_str);
    let mut found = Vec::new();
    for cell in lookup.cells() {
        let place = params![cell.code.system(), cell.code.code(), subject(cell), id];
        found.extend(all(connection, sql, place, |row| read(connection, seal, row, cell))?);
    }
    Ok(Unreleased::new(lookup.decision(), Vec::new(), found))
}

/// Makes a change in the cell that the permit names.
pub fn apply(connection: &Connection, seal: &Seal, write: &AuthorizedAppState<AppStateWrite>) -> Result<(), StoreError> {
    let within = |cell: &AppStateCell| if write.cells().contains(cell) { Ok(()) } else { Err(StoreError::OutsideBoundary) };
    let changed = match write.operation() {
        AppStateWrite::Create(state) => {
            within(&state.cell)?;
            let (code, subject) = (&state.cell.code, subject(&state.cell));
            let taken = "SELECT 1 FROM app_state WHERE system = ?1 AND code = ?2 AND subject = ?3";
            if exists(connection, taken, params![code.system(), code.code(), subject])? {
                return Err(conflict(CELL_TAKEN));
            }
            let (key, body) = sealed(connection, seal, state)?;
            let sql = "INSERT INTO app_state (id, system, code, subject, version, last_updated, key, body) \
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
            let (id, version) = (state.id.as_str(), state.version.as_str());
            execute(connection, sql, params![id, code.system(), code.code(), subject, version, state.last_updated, key, body])?
        }
        AppStateWrite::Update(state, if_match) => {
            within(&state.cell)?;
            let (code, subject) = (&state.cell.code, subject(&state.cell));
            let (key, body) = sealed(connection, seal, state)?;
            let sql = "UPDATE app_state SET version = ?6, last_updated = ?7, key = ?8, body = ?9 \
                       WHERE id = ?1 AND system = ?2 AND code = ?3 AND subject = ?4 AND version = ?5";
            let (id, version) = (state.id.as_str(), state.version.as_str());
            let place =
                params![id, code.system(), code.code(), subject, if_match.as_str(), version, state.last_updated, key, body];
            execute(connection, sql, place)?
        }
        AppStateWrite::Delete { id, cell, if_match } => {
            within(cell)?;
            let sql = "DELETE FROM app_state WHERE id = ?1 AND system = ?2 AND code = ?3 AND subject = ?4 AND version = ?5";
            let (code, subject) = (&cell.code, subject(cell));
            execute(connection, sql, params![id.as_str(), code.system(), code.code(), subject, if_match.as_str()])?
        }
    };
    if changed == 1 { Ok(()) } else { Err(conflict(STATE_CHANGED)) }
}

fn subject(cell: &AppStateCell) -> String {
    cell.subject.as_ref().map(ToString::to_string).unwrap_or_default()
}

/// A row, opened. Its columns are authenticated with its body: one that was moved to another cell does not open.
fn read(connection: &Connection, seal: &Seal, row: &Row<'_>, cell: &AppStateCell) -> Result<AppState, StoreError> {
    let (id, version) = (parsed(row, "id", LogicalId::parse)?, parsed(row, "version", LogicalId::parse)?);
    let last_updated = column(row, "last_updated")?;
    let stored = Sealed::copy(&column::<Vec<u8>>(row, "body")?).ok_or_else(|| unreadable("body"))?;
    let names = Names::of(&version, cell);
    let body = seal.opener(connection).open(column(row, "key")?, &names.header(&id, last_updated), stored)?;
    Ok(AppState { id, version, last_updated, cell: cell.clone(), body })
}

fn sealed(connection: &Connection, seal: &Seal, state: &AppState) -> Result<(i64, Vec<u8>), StoreError> {
    let key = key(connection, seal, state.cell.subject.as_ref())?;
    let names = Names::of(&state.version, &state.cell);
    Ok((key.number, key.seal(&names.header(&state.id, state.last_updated), &state.body)?))
}

/// The key of the patient whom the state is about, so that it is gone with the patient's; of the tenant for everybody else.
fn key(connection: &Connection, seal: &Seal, subject: Option<&LocalReference>) -> Result<DataKey, StoreError> {
    let patient = subject.filter(|subject| subject.resource_type == ResourceType::PATIENT);
    let home = match patient {
        Some(patient) => locator::find(connection, ResourceType::PATIENT, patient.id.as_str())?,
        None => None,
    };
    seal.home_key(connection, home)
}

/// What is authenticated with a body beside its id and time. The version says that it is app state: no resource has a version with a blank in it, so
/// that a row of one table never passes for one of the other.
struct Names {
    version: String,
    place: String,
}

impl Names {
    fn of(version: &LogicalId, cell: &AppStateCell) -> Self {
        Self { version: format!("app state {version}"), place: format!("{} {}", subject(cell), cell.code) }
    }

    fn header<'a>(&'a self, id: &'a LogicalId, last_updated: i64) -> Header<'a> {
        Header {
            resource_type: ResourceType::BASIC,
            id: id.as_str(),
            version: &self.version,
            last_updated,
            deleted: false,
            patients: &self.place,
            security: 0,
        }
    }
}
