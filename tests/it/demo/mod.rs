//! The story of a new user: the real binary as a child, through its command line, its pages and its files.

mod backend;
mod browser;
mod command_line;
mod crash;
mod federation;
mod first_start;
mod keys;
mod load;
mod logs;
mod review;
mod serve;

use std::path::Path;

use portcullis_audit::record::Record;
use portcullis_audit::{Position, Reader};
use portcullis_testkit::process::{Person, Portcullis};
use portcullis_testkit::{App, Demo};

/// What the demo app asks for.
const APP_SCOPE: &str = "launch/patient openid fhirUser offline_access patient/*.rs";

/// The binary under test.
fn portcullis() -> Portcullis {
    Portcullis::at(env!("CARGO_BIN_EXE_portcullis"))
}

/// Every record of a ledger's files.
fn records(directory: &Path) -> Vec<Record> {
    let records = Reader::new(&directory.join("ledger")).records(Position::START, None);
    records.map(|located| located.unwrap().record).collect()
}

/// An access token of the demo app for this person.
async fn token(demo: &Demo, person: &Person) -> String {
    token_of(&demo.app("demo-app"), APP_SCOPE, person).await
}

/// An access token of an app for this person.
async fn token_of(app: &App, scope: &str, person: &Person) -> String {
    app.access_token(scope, &person.username, &person.password).await
}

/// The head that `audit verify` prints.
fn head(demo: &[&str]) -> String {
    let mut arguments = vec!["audit", "verify", "--json"];
    arguments.extend(demo);
    portcullis().run(&arguments).expect_json(0)["head"].as_str().unwrap().to_owned()
}

/// The number of records that `audit verify` prints.
fn verified_records(directory: &Path) -> u64 {
    let directory = directory.display().to_string();
    portcullis().run(&["audit", "verify", "--json", "--data-dir", &directory]).expect_json(0)["records"].as_u64().unwrap()
}
