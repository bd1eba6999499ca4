//! How much the Consents of one patient may ask of every decision, and of every write.
//!
//! Whoever may write Consents of a patient could otherwise make each request about that patient slow. Each writer has an own share, so that nobody takes from the patient
//! the right to deny. Who loads data and who may write everything is not bounded: what an organisation has, it has.

use portcullis_store::StoreError;
use rusqlite::{Connection, params};

use super::super::database::store_error;
use super::verification::Writer;

/// Consents of a patient that one account wrote and that count.
pub const MAXIMUM_CONSENTS: i64 = 1_000;
/// Rules that these have together: lines that statements compare with a request.
pub const MAXIMUM_RULES: i64 = 10_000;
/// Those among the Consents that ask for codes, dates, profiles or references: every record that is stored is compared with each.
pub const MAXIMUM_OF_CONTENT: i64 = 100;

/// How much the Consents of some patients ask that one account wrote.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    consents: i64,
    of_content: i64,
    rules: i64,
}

impl Asked {
    /// How much those of these patients do now. Of each Consent the current version counts, not what it is about to take the place of.
    pub fn of(connection: &Connection, patients: &[i64], writer: &Writer) -> Result<Self, StoreError> {
        const WRITTEN: &str = "b.patient = ?1 AND b.standing IN (0, 2) AND EXISTS (SELECT 1 FROM consent_writer w \
            WHERE w.consent = b.consent AND w.version = b.version AND w.writer = ?2 AND w.person IS ?3)";
        let most = |of: &str| -> Result<i64, StoreError> {
            let mut statement = connection.prepare_cached(&format!("SELECT {of} WHERE {WRITTEN}")).map_err(store_error)?;
            patients.iter().try_fold(0, |most, patient| {
                let number = statement.query_row(params![patient, writer.account, writer.person], |row| row.get::<_, i64>(0));
                number.map(|number| number.max(most)).map_err(store_error)
            })
        };
        Ok(Self {
            consents: most("count(*) FROM consent_base b")?,
            of_content: most("coalesce(sum(b.content), 0) FROM consent_base b")?,
            rules: most("count(*) FROM consent_base b CROSS JOIN consent_rule r ON r.base = b.id")?,
        })
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
        let advice = "End one of them first, or say the same in fewer.";
        Err(StoreError::TooMany(format!("There are too many {what}, that this account wrote for the patient. {advice}")))
    }
}
