//! Brings a database to the schema of this program, or says why it cannot.
//!
//! Each script runs once; its number and SHA-256 stay in the table `migration`. A database that a newer program has changed, or whose scripts
//! were other ones, is refused untouched.

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

/// Marks a SQLite file as ours (`PRAGMA application_id`): the letters `Port`.
pub const APPLICATION_ID: i32 = 0x506f_7274;

/// One numbered script.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// Its place in the order, from 1 without gaps.
    pub number: u32,
    /// What it is about.
    pub name: &'static str,
    /// The statements.
    pub sql: &'static str,
}

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// The file is a SQLite database of another program.
    #[error("the file is a SQLite database of another program")]
    Foreign,
    /// A newer program has changed the database.
    #[error("the database has schema {found}, this program knows schemas up to {known}: use the newer program")]
    Newer {
        /// The database's schema.
        found: u32,
        /// The newest schema of this program.
        known: u32,
    },
    /// A script that was run on the database is not the one that this program has.
    #[error("schema {number} of the database was made by another build of this program")]
    Changed {
        /// The script's number.
        number: u32,
    },
    /// SQLite failed.
    #[error("cannot bring the database to the current schema")]
    Sql(#[from] rusqlite::Error),
}

/// Runs the scripts that the database has not yet seen, all or none.
pub fn run(connection: &mut Connection, migrations: &[Migration]) -> Result<(), MigrationError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let application: i32 = transaction.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let tables: i64 = transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if application != APPLICATION_ID && (application != 0 || tables != 0) {
        return Err(MigrationError::Foreign);
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.execute_batch(
        "CREATE TABLE IF NOT EXISTS migration (number INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum BLOB NOT NULL) STRICT",
    )?;
    let known = migrations.iter().map(|migration| migration.number).max().unwrap_or(0);
    let found: u32 = transaction.query_row("SELECT coalesce(max(number), 0) FROM migration", [], |row| row.get(0))?;
    if found > known {
        return Err(MigrationError::Newer { found, known });
    }
    for migration in migrations {
        let checksum = checksum(migration.sql);
        let stored =
            transaction.query_row("SELECT checksum FROM migration WHERE number = ?1", [migration.number], |row| row.get(0));
        let stored: Option<Vec<u8>> = stored.optional()?;
        match stored {
            Some(stored) if stored == checksum => {}
            Some(_) => return Err(MigrationError::Changed { number: migration.number }),
            None if migration.number <= found => return Err(MigrationError::Changed { number: migration.number }),
            None => {
                transaction.execute_batch(migration.sql)?;
                let row = params![migration.number, migration.name, checksum];
                transaction.execute("INSERT INTO migration (number, name, checksum) VALUES (?1, ?2, ?3)", row)?;
            }
        }
    }
    transaction.commit()?;
    Ok(())
}

fn checksum(sql: &str) -> Vec<u8> {
    aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, sql.as_bytes()).as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Migration = Migration { number: 1, name: "one", sql: "CREATE TABLE one (x INTEGER)" };
    const TWO: Migration = Migration { number: 2, name: "two", sql: "CREATE TABLE two (x INTEGER)" };
    const BROKEN: Migration = Migration { number: 2, name: "two", sql: "CREATE TABLE two (x INTEGER); CREATE NONSENSE" };

    fn memory() -> Connection {
        Connection::open_in_memory().unwrap()
    }

    fn tables(connection: &Connection) -> i64 {
        connection.query_row("SELECT count(*) FROM sqlite_schema WHERE name IN ('one', 'two')", [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn each_script_runs_once() {
        let mut connection = memory();
        run(&mut connection, &[ONE]).unwrap();
        run(&mut connection, &[ONE, TWO]).unwrap();
        run(&mut connection, &[ONE, TWO]).unwrap();
        assert_eq!(tables(&connection), 2);
    }

    #[test]
    fn a_database_of_a_newer_program_is_refused() {
        let mut connection = memory();
        run(&mut connection, &[ONE, TWO]).unwrap();
        assert!(matches!(run(&mut connection, &[ONE]), Err(MigrationError::Newer { found: 2, known: 1 })));
    }

    #[test]
    fn a_database_made_by_other_scripts_is_refused() {
        let mut connection = memory();
        run(&mut connection, &[ONE]).unwrap();
        let edited = Migration { sql: "CREATE TABLE one (x TEXT)", ..ONE };
        assert!(matches!(run(&mut connection, &[edited]), Err(MigrationError::Changed { number: 1 })));
    }

    #[test]
    fn a_database_of_another_program_is_refused_untouched() {
        let mut connection = memory();
        connection.execute_batch("CREATE TABLE theirs (x INTEGER)").unwrap();
        assert!(matches!(run(&mut connection, &[ONE]), Err(MigrationError::Foreign)));
        assert_eq!(tables(&connection), 0);
    }

    #[test]
    fn a_failing_script_leaves_nothing() {
        let mut connection = memory();
        assert!(run(&mut connection, &[ONE, BROKEN]).is_err());
        assert_eq!(tables(&connection), 0);
    }

    #[test]
    fn the_scripts_of_the_main_database_run() {
        run(&mut memory(), crate::migrations::MAIN).unwrap();
    }
}
