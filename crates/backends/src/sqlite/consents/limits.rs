//! How much the Consents of one patient may ask of every decision, and of every write.
//!
//! Whoever may write Consents of a patient could otherwise make each request about that patient slow. Who loads data and who may write everything is not bounded:
//! what an organisation has, it has.

use portcullis_store::StoreError;
use rusqlite::Connection;

use super::super::database::store_error;

/// Consents of a patient that count, or are held until somebody confirms that they do not.
pub const MAXIMUM_CONSENTS: i64 = 1_000;
/// Rules that these have together: lines that statements compare with a request.
pub const MAXIMUM_RULES: i64 = 10_000;
/// Those among the Consents that ask for codes, dates, profiles or references: every record that is stored is compared with each.
pub const MAXIMUM_OF_CONTENT: i64 = 100;

/// How much the Consents of some patients ask.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    consents: i64,
    of_content: i64,
    rules: i64,
}

impl Asked {
    /// How much those of these patients do now.
    pub fn of(connection: &Connection, patients: &[i64]) -> Result<Self, StoreError> {
        // A permit that was taken back says nothing, though its row stays until somebody confirms that.
        const CONSENTS: &str = "SELECT count(DISTINCT b.consent) FROM consent_base b WHERE b.patient = ?1 AND (b.standing <> 1 OR b.compilable = 0 \
            OR EXISTS (SELECT 1 FROM consent_rule r WHERE r.base = b.id AND r.effect = 1))";
        const OF_CONTENT: &str = "SELECT count(DISTINCT consent) FROM consent_base WHERE patient = ?1 AND content = 1";
        const RULES: &str = "SELECT count(*) FROM consent_base b CROSS JOIN consent_rule r ON r.base = b.id WHERE b.patient = ?1";
        let most = |sql: &str| -> Result<i64, StoreError> {
            let mut statement = connection.prepare_cached(sql).map_err(store_error)?;
            patients.iter().try_fold(0, |most, patient| {
                statement.query_row([patient], |row| row.get(0)).map(|number: i64| number.max(most)).map_err(store_error)
            })
        };
        Ok(Self { consents: most(CONSENTS)?, of_content: most(OF_CONTENT)?, rules: most(RULES)? })
    }

    /// Refuses what has made it more than there may be. What was too much before can be changed and ended.
    pub fn require_room(self, before: Self) -> Result<(), StoreError> {
        let what = if self.consents > MAXIMUM_CONSENTS.max(before.consents) {
            format!("Consents that count, of at most {MAXIMUM_CONSENTS}")
        } else if self.of_content > MAXIMUM_OF_CONTENT.max(before.of_content) {
            format!("Consents that count and ask for codes, dates, profiles or references, of at most {MAXIMUM_OF_CONTENT}")
        } else if self.rules > MAXIMUM_RULES.max(before.rules) {
            format!("rules in the Consents that count, of at most {MAXIMUM_RULES}")
        } else {
            return Ok(());
        };
        let advice = "End one of those that are there first, or say the same in fewer.";
        Err(StoreError::TooMany(format!("The patient has too many {what}. {advice}")))
    }
}
