//! By which of its rows a version may let somebody in: those that were there, and no more.
//!
//! A reference makes a shared record visible, and an Encounter or CareTeam lets its practitioners see the patient. Only imports, and clients that see everything, may
//! add such rows freely. Whoever else writes keeps what was there or less of it, and may link what they can read.

use portcullis_fhir::instant::Range;
use portcullis_fhir::types::ResourceType;
use portcullis_mutants::off;
use portcullis_oauth::scopes::Letter;
use portcullis_policy::Constraint;
use portcullis_store::StoreError;
use rusqlite::{Connection, params};

use super::database::store_error;
use super::parameters::Parameters;
use super::rows::Row;
use super::visibility;

/// The times of a relationship that meet a time. Those of one record neither touch nor overlap, so that one before its start and those that begin in it are all.
const CARE: &str = "SELECT since, until FROM care WHERE actor = ?1 AND patient = ?2 AND source = ?3 \
    AND since >= coalesce((SELECT max(since) FROM care WHERE actor = ?1 AND patient = ?2 AND source = ?3 AND since <= ?4), ?4) \
    AND since < ?5 AND until > ?4";

/// What decides about the rows of a writer who is bound to some records.
pub struct Admissible<'a> {
    /// The writing connection.
    pub connection: &'a Connection,
    /// What the writer sees.
    pub constraint: &'a Constraint,
}

impl Admissible<'_> {
    /// Those of the rows of a resource that may be put, ascending.
    pub fn rows(&self, pk: i64, rows: Vec<Row>) -> Result<Vec<Row>, StoreError> {
        let mut admitted = Vec::with_capacity(rows.len());
        for row in rows {
            match row {
                Row::Care { .. } if off!("write-care") => admitted.push(row),
                Row::SharedLink { .. } if off!("write-links") => admitted.push(row),
                Row::Care { actor, patient, time } => {
                    let kept = self.care((actor, patient), pk, time)?;
                    admitted.extend(kept.into_iter().map(|time| Row::Care { actor, patient, time }));
                }
                Row::SharedLink { target } if !self.has_link(pk, target)? && !self.may_read(target)? => {}
                _ => admitted.push(row),
            }
        }
        admitted.sort_unstable();
        Ok(admitted)
    }

    /// Within this time, the times for which the record already says so.
    fn care(&self, (actor, patient): (i64, i64), pk: i64, time: Range) -> Result<Vec<Range>, StoreError> {
        let mut statement = self.connection.prepare_cached(CARE).map_err(store_error)?;
        let before = statement
            .query_map(params![actor, patient, pk, time.low, time.high], |row| Ok(Range { low: row.get(0)?, high: row.get(1)? }))
            .map_err(store_error)?;
        let before = before.collect::<Result<Vec<Range>, _>>().map_err(store_error)?;
        Ok(before.into_iter().filter_map(|before| before.meet(time)).collect())
    }

    fn has_link(&self, pk: i64, target: i64) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM shared_link WHERE target = ?1 AND source = ?2";
        let mut statement = self.connection.prepare_cached(sql).map_err(store_error)?;
        statement.exists(params![target, pk]).map_err(store_error)
    }

    /// Whether the permit shows the current version of this resource to a read.
    pub fn may_read(&self, pk: i64) -> Result<bool, StoreError> {
        let code = "SELECT type FROM locator WHERE pk = ?1";
        let code = self.connection.query_row(code, [pk], |row| row.get::<_, u8>(0)).map_err(store_error)?;
        let Some(resource_type) = ResourceType::from_code(code) else { return Ok(false) };
        let mut parameters = Parameters::default();
        let placeholder = parameters.bind(pk);
        let shown = visibility::predicate(self.constraint, resource_type, Letter::Read, "r", &mut parameters);
        let sql = format!("SELECT count(*) FROM resource r WHERE r.pk = {placeholder} AND r.deleted = 0 AND {shown}");
        parameters.integer(self.connection, &sql).map(|found| found != 0).map_err(store_error)
    }
}
