//! `portcullis keys`: lists the keys that sign tokens, and rotates them.

use portcullis_server::admin::KeySummary;
use portcullis_server::admin::protocol::{Request, Response};

use super::channel::unexpected;
use super::clients::ask;
use crate::args::{KeysRotate, Listing};
use crate::failure::Outcome;
use crate::terminal::{self, print_json};

/// `keys list`
pub fn list(listing: &Listing) -> Outcome {
    let Response::Keys(keys) = ask(&listing.target, "keys list", Request::ListKeys)? else { return Err(unexpected()) };
    if listing.json { print_json(&keys) } else { terminal::print(&table(&keys)) }
}

/// `keys rotate`
pub fn rotate(arguments: &KeysRotate) -> Outcome {
    let request = Request::RotateKeys { now: arguments.now };
    let Response::Keys(keys) = ask(&arguments.target, "keys rotate", request)? else { return Err(unexpected()) };
    if arguments.json {
        return print_json(&keys);
    }
    let said = if arguments.now {
        "The new keys sign from now on. Whoever keeps a copy of the published keys must fetch them again.".to_owned()
    } else {
        let signs = keys.iter().map(|key| key.signs_from).max().map(time).unwrap_or_default();
        format!("The new keys are published, and sign from {signs} on, when everybody can know them.")
    };
    terminal::print(&format!("{}\n{}", table(&keys), terminal::wrapped(&said, 0)))
}

fn table(keys: &[KeySummary]) -> String {
    let row = |key: &KeySummary| {
        let until = key.verifies_until.map_or_else(|| "-".to_owned(), time);
        vec![key.algorithm.clone(), key.state.clone(), time(key.signs_from), until, key.kid.clone()]
    };
    let rows: Vec<Vec<String>> = keys.iter().map(row).collect();
    terminal::table(&["Algorithm", "State", "Signs from", "Verifies until", "Key id"], &rows)
}

fn time(seconds: i64) -> String {
    terminal::time(seconds.saturating_mul(1000))
}
