//! What is there under an id, for the audit record of an attempt that released nothing.
//!
//! The same statements do the same work whether there is something or not: where the id is unknown, another row is read in its place, and what it says is
//! thrown away. Bodies are not touched.

use portcullis_audit::Sought;
use portcullis_policy::Constraint;
use portcullis_store::consent_decisions::decisions;
use portcullis_store::{StoreError, Subject};
use rusqlite::{Connection, OptionalExtension, params};

use super::consents::denials;
use super::database::store_error;
use super::seal::Seal;

/// The row of the resource, or another one, with whether it is the resource's.
const CURRENT: &str = "SELECT r.pk, l.type = ?1 AND l.id = ?2, r.version, r.patients FROM resource r CROSS JOIN locator l ON l.pk = r.pk \
    WHERE r.pk = coalesce((SELECT x.pk FROM locator y CROSS JOIN resource x ON x.pk = y.pk WHERE y.type = ?1 AND y.id = ?2), \
    (SELECT min(pk) FROM resource))";
const EARLIER: &str = "SELECT patients FROM version WHERE pk = ?1 AND version = ?2";

/// Whether exactly this exists, and in whose records the resource lies.
pub fn seek(connection: &Connection, seal: &Seal, subject: &Subject, asked: Option<&Constraint>) -> Result<Sought, StoreError> {
    let Some((row, sought)) = found(connection, subject).map_err(store_error)? else {
        return Ok(Sought::found(false, Vec::new()));
    };
    let Some(asked) = asked else { return Ok(sought) };
    let denied = denials::of_row(connection, seal, asked, (subject.resource_type, row.pk))?;
    Ok(match denied {
        None => sought,
        Some(denied) if row.is_there => sought.denied_by(decisions(&denied)),
        Some(_) => sought.denied_by(Vec::new()),
    })
}

/// The row that was read.
struct Looked {
    pk: i64,
    /// Whether it is that of the resource.
    is_there: bool,
}

fn found(connection: &Connection, subject: &Subject) -> rusqlite::Result<Option<(Looked, Sought)>> {
    let identity = params![subject.resource_type.code(), subject.id.as_str()];
    let current = connection.prepare_cached(CURRENT)?.query_row(identity, |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, bool>(1)?, row.get::<_, String>(2)?, row.get::<_, String>(3)?))
    });
    let Some((pk, mut exists, current_version, mut patients)) = current.optional()? else {
        return Ok(None);
    };
    let is_there = exists;
    if let Some(version) = subject.version.as_ref().filter(|version| version.as_str() != current_version) {
        let mut statement = connection.prepare_cached(EARLIER)?;
        let earlier = statement.query_row(params![pk, version.as_str()], |row| row.get::<_, String>(0)).optional()?;
        exists &= earlier.is_some();
        if let Some(earlier) = earlier {
            patients = format!("{patients} {earlier}");
        }
    }
    let mut names: Vec<String> = patients.split_ascii_whitespace().map(str::to_owned).collect();
    names.sort_unstable();
    names.dedup();
    if !is_there {
        names.clear();
    }
    Ok(Some((Looked { pk, is_there }, Sought::found(exists, names))))
}
