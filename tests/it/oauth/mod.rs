//! The authorization server, as apps and people meet it.

mod authorization_code;
mod backend_services;
mod discovery;
mod ledger_down;
mod lockout;
mod pages;
mod person;
mod picker;
mod records;
mod sign_in;
mod token_endpoint;
