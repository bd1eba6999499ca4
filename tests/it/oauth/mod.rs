//! The authorization server, as apps and people meet it.

mod authorization_code;
mod pages;
mod token_endpoint;
