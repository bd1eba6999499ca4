//! The commands, one module each. They wire parts together and speak with people; what they do lies elsewhere.

pub mod accounts;
pub mod audit;
pub mod audit_review;
pub mod channel;
pub mod clients;
pub mod config;
pub mod consents;
pub mod demo;
pub mod generate;
pub mod keys;
pub mod load;
pub mod mail;
pub mod people;
pub mod place;
pub mod policy;
pub mod relabel;
pub mod safeguards;
pub mod serve;
pub mod users;
