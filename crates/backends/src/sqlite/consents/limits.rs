//! How much the Consents of one patient may ask of every decision, and of every write.
//!
//! Whoever may write Consents of a patient could otherwise make each request about that patient slow. Who loads data and who may write everything is not bounded:
//! what an organisation has, it has.

use portcullis_store::StoreError;
use rusqlite::{Connection, params};

use super::super::database::store_error;

/// Consents of a patient that count, or are held until somebody confirms that they do not.
pub const MAXIMUM_CONSENTS: i64 = 1_000;
/// Rules that these have together: lines that statements compare with a request.
pub const MAXIMUM_RULES: i64 = 10_000;
/// Those among the Consents that ask for codes, dates, profiles or references: every record that is stored is compared with each.
pub const MAXIMUM_OF_CONTENT: i64 = 100;

/// Refuses a version of a Consent that counts, and of which the rows are there, where the patient has too many now.
pub fn require_room(connection: &Connection, consent: i64, version: &str) -> Result<(), StoreError> {
    let number = |sql: &str| -> Result<i64, StoreError> {
        let mut statement = connection.prepare_cached(sql).map_err(store_error)?;
        statement.query_row(params![consent, version], |row| row.get(0)).map_err(store_error)
    };
    let of_patient = "patient IN (SELECT n.patient FROM consent_base n WHERE n.consent = ?1 AND n.version = ?2)";
    // A permit that was taken back says nothing, though its row stays until somebody confirms that.
    let counts =
        "(b.standing <> 1 OR b.compilable = 0 OR EXISTS (SELECT 1 FROM consent_rule r WHERE r.base = b.id AND r.effect = 1))";
    let consents = number(&format!("SELECT count(DISTINCT b.consent) FROM consent_base b WHERE b.{of_patient} AND {counts}"))?;
    if consents > MAXIMUM_CONSENTS {
        return Err(too_many(&format!("Consents that count, of at most {MAXIMUM_CONSENTS}")));
    }
    let of_content = number(&format!("SELECT count(DISTINCT consent) FROM consent_base WHERE content = 1 AND {of_patient}"))?;
    if of_content > MAXIMUM_OF_CONTENT {
        let what = "Consents that count and ask for codes, dates, profiles or references";
        return Err(too_many(&format!("{what}, of at most {MAXIMUM_OF_CONTENT}")));
    }
    let rules =
        number(&format!("SELECT count(*) FROM consent_base b CROSS JOIN consent_rule r ON r.base = b.id WHERE b.{of_patient}"))?;
    if rules > MAXIMUM_RULES {
        return Err(too_many(&format!("rules in the Consents that count, of at most {MAXIMUM_RULES}")));
    }
    Ok(())
}

fn too_many(what: &str) -> StoreError {
    StoreError::TooMany(format!(
        "The patient has too many {what}. End one of those that are there first, or say the same in fewer."
    ))
}
