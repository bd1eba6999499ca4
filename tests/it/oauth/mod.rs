//! The authorization server, as apps and people meet it.

mod authorization_code;
mod discovery;
mod pages;
mod token_endpoint;
