//! What counts once: client assertions and DPoP proofs that were used (RFC 7523 section 3, RFC 9449 section 11.1).
//!
//! Which one comes next is random, and a table by key writes a page for each. So the tables are in the order of use, and their keys are in a temporary table of the
//! writing connection, in memory: it takes part in its transactions and savepoints, and is filled from the tables when the connection opens.

use portcullis_store::StoreError;
use rusqlite::{Connection, params};

use super::expiry::MAXIMUM_ROWS;
use super::statements::execute;

/// One kind of what counts once.
#[derive(Clone, Copy, Debug)]
pub enum Spent {
    /// Assertions by which clients authenticate, by client.
    Assertions,
    /// Proofs that a token's key is held, by the thumbprint of the key.
    Proofs,
}

/// One that is used now.
pub struct Use<'a> {
    /// Within whose things the identifier counts once.
    pub whose: &'a str,
    /// SHA-256 of the `jti`.
    pub token_id: &'a [u8],
    /// Until when it is remembered, in seconds since the epoch.
    pub until: i64,
}

impl Spent {
    const ALL: [Self; 2] = [Self::Assertions, Self::Proofs];

    const fn table(self) -> &'static str {
        match self {
            Self::Assertions => "spent_assertion",
            Self::Proofs => "spent_proof",
        }
    }

    /// Uses one. `false`: it was used, and is remembered still.
    pub fn spend(self, connection: &Connection, used: &Use<'_>, now: i64) -> Result<bool, StoreError> {
        let (key, row) = match self {
            Self::Assertions => {
                (KEY_OF_ASSERTION, "INSERT INTO spent_assertion (whose, token_id, expires_at) VALUES (?1, ?2, ?3)")
            }
            Self::Proofs => (KEY_OF_PROOF, "INSERT INTO spent_proof (whose, token_id, expires_at) VALUES (?1, ?2, ?3)"),
        };
        if execute(connection, key, params![used.whose, used.token_id, used.until, now])? == 0 {
            return Ok(false);
        }
        execute(connection, row, params![used.whose, used.token_id, used.until]).map(|_| true)
    }

    /// Forgets some whose time is over. Times differ by minutes, so that those at the beginning of the table are the ones to look at, behind those of which the time
    /// is far ahead because the clock was.
    pub fn forget(self, connection: &Connection, now: i64) -> Result<(), StoreError> {
        let table = self.table();
        let first = format!("SELECT number FROM {table} WHERE expires_at <= ?1 + {FARTHEST} ORDER BY number LIMIT 1");
        let ended = format!(
            "SELECT {{}} FROM {table} WHERE number >= ({first}) AND number < ({first}) + {} AND expires_at < ?1",
            2 * MAXIMUM_ROWS
        );
        // A key that was used again after its time stays.
        let keys = format!(
            "DELETE FROM temp.{table}_key WHERE expires_at < ?1 AND (whose, token_id) IN ({})",
            ended.replace("{}", "whose, substr(token_id, 1, 16)")
        );
        execute(connection, &keys, params![now])?;
        execute(connection, &format!("DELETE FROM {table} WHERE number IN ({})", ended.replace("{}", "number")), params![now])
            .map(|_| ())
    }
}

/// How far ahead the time of what is used now may lie, in seconds: it is minutes.
const FARTHEST: i64 = 3_600;

/// 128 bits of a hash say which it is: whoever finds two with the same has used one of them up.
const KEY_OF_ASSERTION: &str = "INSERT INTO temp.spent_assertion_key (whose, token_id, expires_at) VALUES (?1, substr(?2, 1, 16), ?3) \
    ON CONFLICT (whose, token_id) DO UPDATE SET expires_at = excluded.expires_at WHERE expires_at < ?4";
const KEY_OF_PROOF: &str = "INSERT INTO temp.spent_proof_key (whose, token_id, expires_at) VALUES (?1, substr(?2, 1, 16), ?3) \
    ON CONFLICT (whose, token_id) DO UPDATE SET expires_at = excluded.expires_at WHERE expires_at < ?4";

/// Fills the memory of the writing connection.
pub fn remember(connection: &Connection) -> Result<(), rusqlite::Error> {
    for table in Spent::ALL.map(Spent::table) {
        connection.execute_batch(&format!(
            "CREATE TEMP TABLE {table}_key (whose TEXT NOT NULL, token_id BLOB NOT NULL, expires_at INTEGER NOT NULL, \
             PRIMARY KEY (whose, token_id)) STRICT, WITHOUT ROWID; \
             INSERT INTO temp.{table}_key (whose, token_id, expires_at) SELECT whose, substr(token_id, 1, 16), max(expires_at) FROM {table} GROUP BY 1, 2"
        ))?;
    }
    Ok(())
}
