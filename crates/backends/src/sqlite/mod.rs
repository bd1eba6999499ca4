//! The embedded store: one SQLite file for FHIR tables, registry and outbox, with one writer (group commit) and a few readers.
//!
//! Every statement that produces a resource carries the permit's condition (`visibility`). Bodies are sealed (`seal`); what is found
//! but fails its authentication is an error, never an answer.

mod admissible;
mod admission;
mod audit_index;
mod audit_index_search;
mod audit_store;
mod audit_turns;
mod commit;
mod completion;
mod consents;
mod cursor;
mod database;
mod evidence;
mod gathering;
mod generations;
mod history;
mod include;
mod index_backlog;
mod labelling;
mod locator;
mod outbox;
mod page_cache;
mod parameters;
mod read;
mod readers;
mod registry;
mod relabelling;
mod relationship;
mod relationship_backlog;
mod root_key;
mod row_codec;
mod row_statements;
mod rows;
mod seal;
mod search;
mod search_chain;
mod search_composite;
mod search_filter;
mod search_range;
mod search_sql;
mod seek;
mod sort;
mod store;
mod stored_types;
mod together;
mod unchanged;
mod visibility;
mod writer;

#[cfg(test)]
mod audit_index_tests;
#[cfg(test)]
mod care_tests;
#[cfg(test)]
mod commit_tests;
#[cfg(test)]
mod labels_kept_tests;
#[cfg(test)]
mod labels_tests;
#[cfg(test)]
mod operator_rules_tests;
#[cfg(test)]
mod qualified_tests;
#[cfg(test)]
mod read_tests;
#[cfg(test)]
mod search_tests;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod together_tests;

pub use audit_index::{AuditIndex, Seen};
pub use audit_store::AuditedStore;
pub use database::OpenError;
pub use registry::SqliteRegistry;
pub use relabelling::Labelled;
pub use root_key::{RootKey, RootKeyError};
pub use store::SqliteStore;
