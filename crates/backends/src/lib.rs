//! Where FHIR data, and everything else that must last, is kept. Only this crate knows SQL.
//!
//! - [`directory`]: the data directory, its layout, and the lock that gives it to one process.
//! - [`migrations`]: numbered SQL scripts and the check that a database fits this program.
//! - [`sqlite`]: the embedded store in one SQLite file.

pub mod directory;
pub mod migrations;
pub mod sqlite;

pub use directory::{DataDirectory, DirectoryError};
pub use sqlite::{SqliteRegistry, SqliteStore};
