//! The schema as numbered scripts. A script that was released is never edited: a change is a new script.

pub mod runner;

pub use runner::{Migration, MigrationError};

/// The scripts of the main database, in order.
pub const MAIN: &[Migration] = &[
    Migration { number: 1, name: "fhir", sql: include_str!("0001_fhir.sql") },
    Migration { number: 2, name: "registry", sql: include_str!("0002_registry.sql") },
    Migration { number: 3, name: "search", sql: include_str!("0003_search.sql") },
    Migration { number: 4, name: "index rows", sql: include_str!("0004_index_rows.sql") },
    Migration { number: 5, name: "sign in", sql: include_str!("0005_sign_in.sql") },
    Migration { number: 6, name: "client keys", sql: include_str!("0006_client_keys.sql") },
    Migration { number: 7, name: "composites", sql: include_str!("0007_composites.sql") },
    Migration { number: 8, name: "sender constrained", sql: include_str!("0008_sender_constrained.sql") },
    Migration { number: 9, name: "client properties", sql: include_str!("0009_client_properties.sql") },
    Migration { number: 10, name: "launches", sql: include_str!("0010_launches.sql") },
    Migration { number: 12, name: "factors", sql: include_str!("0012_factors.sql") },
    Migration { number: 13, name: "federation", sql: include_str!("0013_federation.sql") },
    Migration { number: 14, name: "sandbox clients", sql: include_str!("0014_sandbox_clients.sql") },
    Migration { number: 15, name: "mail", sql: include_str!("0015_mail.sql") },
    Migration { number: 17, name: "labels", sql: include_str!("0017_labels.sql") },
    Migration { number: 18, name: "consents", sql: include_str!("0018_consents.sql") },
    Migration { number: 19, name: "break glass", sql: include_str!("0019_break_glass.sql") },
    Migration { number: 20, name: "relationships", sql: include_str!("0020_relationships.sql") },
    Migration { number: 21, name: "app state", sql: include_str!("0021_app_state.sql") },
    Migration { number: 23, name: "consents held", sql: include_str!("0023_consents_held.sql") },
    Migration { number: 24, name: "letters about people", sql: include_str!("0024_letters_about_people.sql") },
    Migration { number: 25, name: "held consents", sql: include_str!("0025_held_consents.sql") },
    Migration { number: 27, name: "consent series", sql: include_str!("0027_consent_series.sql") },
    Migration { number: 28, name: "look-ups of pages", sql: include_str!("0028_lookups_of_pages.sql") },
    Migration { number: 29, name: "spent in order", sql: include_str!("0029_spent_in_order.sql") },
    Migration { number: 30, name: "pushed by network", sql: include_str!("0030_pushed_by_network.sql") },
    Migration { number: 31, name: "times of care", sql: include_str!("0031_times_of_care.sql") },
    Migration { number: 32, name: "shares of pushed", sql: include_str!("0032_shares_of_pushed.sql") },
];
