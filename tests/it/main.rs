//! Behaviour over HTTPS: modules mirror URLs and user stories.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that cannot be set up has failed, and may say what it measured"
)]

/// The product's own: much of what a test without optimisation does is to allocate.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

mod account;
mod bypass;
mod demo;
mod fhir;
mod foreign;
mod health;
mod http2;
mod jar;
mod mail;
mod matrix;
mod non_interference;
mod oauth;
mod pages;
mod published;
mod tls;
