//! What a person sees and changes of their own: connected apps, sessions, factors, who looked at the record.

pub mod account;
pub mod account_pages;
pub mod consent_words;
pub mod factors;
pub mod history;
pub mod history_table;
pub mod looks;
pub mod own_consents;
pub mod own_mail;
pub mod own_sessions;
pub mod person;
pub mod reach;
