//! How much the Consents of one patient may ask of every decision, and of every write.
//!
//! Whoever may write Consents of a patient could otherwise make each request about that patient slow. Each writer has an own share, so that nobody takes from the patient
//! the right to deny: what counts is of whoever wrote it, and what is held of whoever wrote what took its place. Who loads data and who may write everything is not bounded:
//! what an organisation has, it has.

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
/// How much more there may be together with what is held of earlier versions until somebody confirms what took their place: the last word of a patient fits in.
const WITH_HELD: i64 = 2;

/// How much the Consents of some patients ask that one account wrote.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// What counts by itself.
    counting: Load,
    /// The same with what is held of earlier versions.
    with_held: Load,
}

/// How much some Consents ask.
#[derive(Clone, Copy, Debug, Default)]
struct Load {
    consents: i64,
    of_content: i64,
    rules: i64,
}

impl Asked {
    /// How much those of these patients do now. Of each Consent the current version counts, and what is held; not what it is about to take the place of.
    pub fn of(connection: &Connection, patients: &[i64], writer: &Writer) -> Result<Self, StoreError> {
        const BASES: &str = "consent_base b WHERE b.patient = ?1 AND b.standing";
        const OWN: &str = "b.version";
        const CURRENT: &str = "(SELECT r.version FROM resource r WHERE r.pk = w.consent)";
        let by = |of: &str, version: &str| {
            format!(
                "EXISTS (SELECT 1 FROM consent_writer w WHERE w.writer = ?2 AND w.person IS ?3 AND w.consent = {of}.consent AND w.version = {version})"
            )
        };
        let most = |of: &str| -> Result<i64, StoreError> {
            let mut statement = connection.prepare_cached(of).map_err(store_error)?;
            patients.iter().try_fold(0, |most, patient| {
                let number = statement.query_row(params![patient, writer.account, writer.person], |row| row.get::<_, i64>(0));
                number.map(|number| number.max(most)).map_err(store_error)
            })
        };
        let load = |standing: &str, version: &str| {
            let of_base = format!("{BASES} {standing} AND {}", by("b", version));
            let rules = of_base.replacen(" WHERE", " CROSS JOIN consent_rule r ON r.base = b.id WHERE", 1);
            Ok::<_, StoreError>(Load {
                consents: most(&format!("SELECT count(*) FROM {of_base}"))?,
                of_content: most(&format!("SELECT coalesce(sum(b.content), 0) FROM {of_base}"))?,
                rules: most(&format!("SELECT count(*) FROM {rules}"))?,
            })
        };
        let (counting, held) = (load("IN (0, 2)", OWN)?, load("= 3", CURRENT)?);
        // What is held together with others has no lines of its own, and hides its patient.
        let consents = most(&format!("SELECT count(*) FROM consent_held h WHERE h.patient = ?1 AND {}", by("h", CURRENT)))?;
        let with_held = Load {
            consents: counting.consents.saturating_add(consents),
            of_content: counting.of_content.saturating_add(held.of_content),
            rules: counting.rules.saturating_add(held.rules),
        };
        Ok(Self { counting, with_held })
    }

    /// Refuses what has made it more than there may be. What was too much before can be changed and ended.
    pub fn require_room(self, before: Self) -> Result<(), StoreError> {
        let advice = "End one of them first, or say the same in fewer.";
        self.counting.require_room(before.counting, 1, advice)?;
        let advice = "Have confirmed what took the place of earlier ones, which hold until then.";
        self.with_held.require_room(before.with_held, WITH_HELD, advice)
    }
}

impl Load {
    fn require_room(self, before: Self, times: i64, advice: &str) -> Result<(), StoreError> {
        let most = |maximum: i64| maximum.saturating_mul(times);
        let (consents, of_content, rules) = (most(MAXIMUM_CONSENTS), most(MAXIMUM_OF_CONTENT), most(MAXIMUM_RULES));
        let what = if self.consents > consents.max(before.consents) {
            format!("Consents that count, of at most {consents}")
        } else if self.of_content > of_content.max(before.of_content) {
            format!("Consents that count and ask for codes, dates, profiles or references, of at most {of_content}")
        } else if self.rules > rules.max(before.rules) {
            format!("rules in the Consents that count, of at most {rules}")
        } else {
            return Ok(());
        };
        Err(StoreError::TooMany(format!("There are too many {what}, that this account wrote for the patient. {advice}")))
    }
}
