//! `portcullis keys`: lists the keys that sign tokens, and rotates them.

use portcullis_server::admin::KeySummary;
use portcullis_server::admin::protocol::{Request, Response};

use super::channel::unexpected;
use super::clients::{DETAIL_INDENT, ask};
use crate::args::{KeysRotate, Listing};
use crate::failure::Outcome;
use crate::terminal::{self, print_json};

/// `keys list`
pub fn list(listing: &Listing) -> Outcome {
    let Response::Keys(keys) = ask(&listing.target, "keys list", Request::ListKeys)? else { return Err(unexpected()) };
    if listing.json {
        return print_json(&keys);
    }
    terminal::print(&format!("{}\n`portcullis keys rotate` makes new ones. Nobody is signed out by it.\n", table(&keys)))
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
        let signs = keys.iter().map(|key| key.signs_from).max().map(terminal::minute).unwrap_or_default();
        format!("The new keys are published, and sign from {signs} on, when everybody can know them.")
    };
    terminal::print(&format!("{}\n{}", table(&keys), terminal::wrapped(&said, 0)))
}

/// A line for each key. Its id is as wide as half a screen, and stands below where the line would be too long.
fn table(keys: &[KeySummary]) -> String {
    let row = |key: &KeySummary| {
        let until = key.verifies_until.map_or_else(|| "-".to_owned(), terminal::minute);
        vec![key.algorithm.clone(), key.state.clone(), terminal::minute(key.signs_from), until]
    };
    let headings = ["Algorithm", "State", "Signs from", "Verifies until", "Key id"];
    let whole: Vec<Vec<String>> = keys.iter().map(|key| [row(key), vec![key.kid.clone()]].concat()).collect();
    if let Some(table) = terminal::whole_table(&headings, &whole) {
        return table;
    }
    let narrow = terminal::table(
        headings.split_last().map_or(&headings[..], |(_, others)| others),
        &keys.iter().map(row).collect::<Vec<_>>(),
    );
    let mut lines = narrow.lines();
    let heading = format!("{}\n", lines.next().unwrap_or_default());
    let below = |(line, key): (&str, &KeySummary)| format!("{line}\n{}{}\n", " ".repeat(DETAIL_INDENT), key.kid);
    heading + &lines.zip(keys).map(below).collect::<String>()
}
