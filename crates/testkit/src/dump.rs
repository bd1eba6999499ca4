//! Everything that is in the files of a data directory: each value of each table, and the bytes of each file.

use std::fs;
use std::path::Path;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};

/// A value that a column of a table has.
#[derive(Clone, Debug)]
pub struct Dumped {
    /// `table.column`.
    pub column: String,
    /// The value: the bytes of a text or of a blob, the digits of a number.
    pub bytes: Vec<u8>,
}

/// Each value of each table of a database.
pub fn tables(database: &Path) -> Vec<Dumped> {
    let connection = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let mut names = connection.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").unwrap();
    let names: Vec<String> = names.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    names.iter().flat_map(|name| table(&connection, name)).collect()
}

fn table(connection: &Connection, name: &str) -> Vec<Dumped> {
    let mut statement = connection.prepare(&format!("SELECT * FROM \"{name}\"")).unwrap();
    let columns: Vec<String> = statement.column_names().map(|column| format!("{name}.{column}")).collect();
    let mut found = Vec::new();
    let mut rows = statement.query([]).unwrap();
    while let Some(row) = rows.next().unwrap() {
        for (index, column) in columns.iter().enumerate() {
            let bytes = match row.get_ref(index).unwrap() {
                ValueRef::Null => continue,
                ValueRef::Integer(number) => number.to_string().into_bytes(),
                ValueRef::Real(number) => number.to_string().into_bytes(),
                ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.to_vec(),
            };
            found.push(Dumped { column: column.clone(), bytes });
        }
    }
    found
}

/// The bytes of each file in a directory and those below it.
pub fn files(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.push((entry.path().display().to_string(), fs::read(entry.path()).unwrap()));
        }
    }
    found
}

/// Whether these bytes are somewhere in those.
pub fn contains(bytes: &[u8], sought: &[u8]) -> bool {
    let Some(first) = sought.first() else { return true };
    let begins = bytes.iter().enumerate().filter(|(_, byte)| *byte == first);
    begins.into_iter().any(|(at, _)| bytes[at..].starts_with(sought))
}
