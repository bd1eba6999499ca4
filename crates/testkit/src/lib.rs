//! What tests stand on: a real server with a clock, randomness and ledger that the test controls, and an app that drives it.
//!
//! Never part of the product. It may panic: a test that cannot be set up has failed.

pub mod app;
pub mod authenticator;
pub mod backend;
pub mod client;
pub mod clock;
pub mod demo_site;
pub mod dpop;
pub mod dump;
pub mod entropy;
pub mod key_server;
pub mod keys;
pub mod ledger;
pub mod process;
pub mod provider_server;
pub mod resources;
pub mod server;
pub mod store;
pub mod webdriver;

pub use app::App;
pub use backend::{BackendClient, ClientKey};
pub use client::{Client, Protocol, Reply};
pub use clock::FakeClock;
pub use demo_site::DemoSite;
pub use key_server::KeyServer;
pub use process::{Demo, Portcullis};
pub use provider_server::ProviderServer;
pub use server::TestServer;
pub use webdriver::Browser;

/// The bytes of a base64url text, such as a part of a JWT.
pub fn decode_base64url(text: &str) -> Vec<u8> {
    portcullis_jose::base64url::decode(text).unwrap()
}
