//! What `cargo xtask bench` measures inside a process: the ledger, the store's import, raw SQLite beside them, open TLS connections, and
//! what token requests and sign-ins need.
//!
//! Each command prints one line of JSON. Not a part of the product; it may panic.

mod bare_page;
mod connections;
mod cost;
mod durability;
mod logins;
mod raw;
mod tokens;
mod transactions;

use std::path::Path;

use serde_json::{Value, json};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    println!("{}", run(&arguments));
}

fn run(arguments: &[&str]) -> Value {
    match arguments {
        // One round: as many appends through the ledger as bare ones beside them.
        ["ledger", directory, count] => durability::run(Path::new(directory), number(count)),
        // What a record costs in CPU, of so many that are appended by 64 at once.
        ["records", directory, count] => durability::cost(Path::new(directory), number(count)),
        // Rounds of imports in transactions of 100, each with the same through raw SQLite.
        ["transactions", file, directory, rounds, per_round] => {
            transactions::run(&lines(file), Path::new(directory), number(rounds), number(per_round))
        }
        // A new raw database with everything in the file.
        ["raw-load", file, database, "normal", batch] => raw_load(file, database, raw::Synchronous::Normal, number(batch)),
        ["raw-load", file, database, "full", batch] => raw_load(file, database, raw::Synchronous::Full, number(batch)),
        // The newest 20 observations of a patient, again and again; then of every patient.
        ["raw-page", database, patient, seconds] => raw::pages(Path::new(database), patient, number(seconds)),
        // The same page over TLS with one flush, and nothing else, for one connection at a time.
        ["bare-page", port, database, patient, certificates, log] => {
            bare_page::serve(number(port), Path::new(database), patient, Path::new(certificates), Path::new(log))
        }
        // Memory of a process before and after so many connections, each with one request.
        ["connections", at @ ..] => connections::run(at),
        // Bodies of token requests, each with an assertion of its own.
        ["assertions", keys, client, audience, count, output] => tokens::requests(keys, client, audience, number(count), output),
        // The cryptography of so many such requests alone.
        ["bare-tokens", count] => tokens::bare(number(count)),
        // So many grants more, and bodies of requests that refresh them.
        ["grants", database, client, count, output] => tokens::grants(Path::new(database), client, number(count), output),
        // The product's password hash alone, so many times.
        ["bare-logins", count] => logins::bare(number(count)),
        // Reads, sign-ins, and both at once, for so many seconds each.
        ["logins", address, authority, token, path, username, password, seconds] => {
            let place = logins::Place { address, authority, token, path, person: [username, password] };
            logins::run(&place, number(seconds))
        }
        other => panic!("unknown command {other:?}"),
    }
}

fn raw_load(file: &str, database: &str, synchronous: raw::Synchronous, batch: usize) -> Value {
    let resources: Vec<raw::RawResource> = lines(file).iter().map(|line| raw::RawResource::of(line)).collect();
    let mut store = raw::RawStore::create(Path::new(database), synchronous);
    let measured = cost::measure(|| resources.chunks(batch).for_each(|batch| store.insert(batch)));
    json!({ "resources": resources.len(), "seconds": measured.seconds, "cpu_seconds": measured.cpu_seconds })
}

fn lines(file: &str) -> Vec<String> {
    std::fs::read_to_string(file).unwrap().lines().map(str::to_owned).collect()
}

fn number<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}
