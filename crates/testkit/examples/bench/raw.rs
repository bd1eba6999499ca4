//! Raw SQLite as the anchor of what storage costs: a body and 12 index rows per resource, nothing else.
//!
//! The index rows lie in WITHOUT ROWID tables whose keys end in (-time, pk). No parsing, sealing, authorization or audit is in what is timed.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, Statement, params};
use serde_json::{Value, json};

use crate::cost::{measure, percentile_microseconds};

/// The page that is read.
const PAGE: usize = 20;

const SCHEMA: &str = "
CREATE TABLE resource (pk INTEGER PRIMARY KEY, type INTEGER NOT NULL, id TEXT NOT NULL, last_updated INTEGER NOT NULL, body BLOB NOT NULL) STRICT;
CREATE TABLE index_reference (parameter INTEGER NOT NULL, target INTEGER NOT NULL, neg_time INTEGER NOT NULL, pk INTEGER NOT NULL,
  PRIMARY KEY (parameter, target, neg_time, pk)) STRICT, WITHOUT ROWID;
CREATE TABLE index_token (parameter INTEGER NOT NULL, code INTEGER NOT NULL, system INTEGER NOT NULL, neg_time INTEGER NOT NULL, pk INTEGER NOT NULL,
  PRIMARY KEY (parameter, code, system, neg_time, pk)) STRICT, WITHOUT ROWID;
CREATE TABLE index_date (parameter INTEGER NOT NULL, low INTEGER NOT NULL, high INTEGER NOT NULL, pk INTEGER NOT NULL,
  PRIMARY KEY (parameter, low, high, pk)) STRICT, WITHOUT ROWID;
CREATE TABLE index_string (parameter INTEGER NOT NULL, normalised TEXT NOT NULL, pk INTEGER NOT NULL,
  PRIMARY KEY (parameter, normalised, pk)) STRICT, WITHOUT ROWID;";

/// When a COMMIT returns.
#[derive(Clone, Copy, Debug)]
pub enum Synchronous {
    /// After the log has been flushed.
    Full,
    /// Before.
    Normal,
}

/// A resource with its rows, ready to be bound.
pub struct RawResource {
    resource_type: i64,
    id: String,
    neg_time: i64,
    references: [(i64, i64); 3],
    tokens: [(i64, i64, i64); 5],
    dates: [(i64, i64, i64); 2],
    strings: [(i64, String); 2],
    body: String,
}

/// A number that stands for a text.
fn hash(value: impl Hash) -> i64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish().cast_signed()
}

fn parameter(resource_type: &str, number: usize) -> i64 {
    hash((resource_type, number)).rem_euclid(10_000)
}

impl RawResource {
    /// The rows of a resource: real type, id, patient and time; the other rows have keys that are as many and as spread as real ones.
    pub fn of(line: &str) -> Self {
        let value: Value = serde_json::from_str(line).unwrap();
        let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str);
        let name = text("/resourceType").unwrap();
        let id = text("/id").unwrap().to_owned();
        let patient =
            ["/subject/reference", "/patient/reference", "/beneficiary/reference"].iter().find_map(|pointer| text(pointer));
        let times =
            ["/effectiveDateTime", "/effectivePeriod/start", "/period/start", "/onsetDateTime", "/authoredOn", "/created"];
        let time = times.iter().find_map(|pointer| text(pointer)).or_else(|| text("/meta/lastUpdated")).unwrap_or("2026");
        // The digits of a date in the order of time; the zone does not matter here.
        let digits: String = time.chars().filter(char::is_ascii_digit).chain("00000000000000".chars()).take(14).collect();
        let time: i64 = digits.parse().unwrap();
        let common = |number: usize| hash((name, number, hash(&id).rem_euclid(200)));
        let at = |number| parameter(name, number);
        Self {
            resource_type: hash(name).rem_euclid(256),
            neg_time: -time,
            references: [(at(0), hash(patient.unwrap_or_default())), (at(1), common(1)), (at(2), hash((&id, 2)))],
            tokens: [3, 4, 5, 6, 7]
                .map(|number| (at(number), if number == 3 { hash(&id) } else { common(number) }, hash(number))),
            dates: [(at(8), time, time + 1), (at(9), time, time + 86_400)],
            strings: [10, 11].map(|number| (at(number), format!("{:x}", common(number)))),
            id,
            body: line.to_owned(),
        }
    }
}

/// A raw database.
pub struct RawStore {
    connection: Connection,
    next: i64,
}

impl RawStore {
    /// A new one, with the settings that the product's writer has.
    pub fn create(path: &Path, synchronous: Synchronous) -> Self {
        let connection = Connection::open(path).unwrap();
        connection.pragma_update(None, "journal_mode", "WAL").unwrap();
        let level = match synchronous {
            Synchronous::Full => "FULL",
            Synchronous::Normal => "NORMAL",
        };
        connection.pragma_update(None, "synchronous", level).unwrap();
        connection.pragma_update(None, "cache_size", -16 * 1024).unwrap();
        connection.pragma_update(None, "wal_autocheckpoint", 4096).unwrap();
        connection.execute_batch(SCHEMA).unwrap();
        Self { connection, next: 1 }
    }

    /// Stores resources in one transaction.
    pub fn insert(&mut self, resources: &[RawResource]) {
        let transaction = self.connection.transaction().unwrap();
        {
            let prepare = |sql: &str| transaction.prepare_cached(sql).unwrap();
            let mut resource_row = prepare("INSERT INTO resource VALUES (?1, ?2, ?3, ?4, ?5)");
            let mut reference_row = prepare("INSERT INTO index_reference VALUES (?1, ?2, ?3, ?4)");
            let mut token_row = prepare("INSERT INTO index_token VALUES (?1, ?2, ?3, ?4, ?5)");
            let mut date_row = prepare("INSERT INTO index_date VALUES (?1, ?2, ?3, ?4)");
            let mut string_row = prepare("INSERT INTO index_string VALUES (?1, ?2, ?3)");
            for resource in resources {
                let pk = self.next;
                self.next += 1;
                let body = resource.body.as_bytes();
                resource_row.execute(params![pk, resource.resource_type, resource.id, -resource.neg_time, body]).unwrap();
                for (parameter, target) in resource.references {
                    reference_row.execute(params![parameter, target, resource.neg_time, pk]).unwrap();
                }
                for (parameter, code, system) in resource.tokens {
                    token_row.execute(params![parameter, code, system, resource.neg_time, pk]).unwrap();
                }
                for (parameter, low, high) in resource.dates {
                    date_row.execute(params![parameter, low, high, pk]).unwrap();
                }
                for (parameter, text) in &resource.strings {
                    string_row.execute(params![parameter, text, pk]).unwrap();
                }
            }
        }
        transaction.commit().unwrap();
    }
}

/// Reads the newest observations of one patient for so many seconds, then those of all patients who have as many, one after the other.
pub fn pages(path: &Path, patient: &str, seconds: f64) -> Value {
    let connection = open(path);
    let all = "SELECT target FROM index_reference WHERE parameter = ?1 GROUP BY target HAVING count(*) >= 20 ORDER BY target";
    let mut all = connection.prepare(all).unwrap();
    // In the order of their hashes, which is no order of the rows.
    let all: Vec<i64> = all.query_map([parameter("Observation", 0)], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let one = patient_key(patient);
    assert!(all.contains(&one), "the patient has too few observations");
    json!({ "one": timed_pages(&connection, &[one], seconds), "all": timed_pages(&connection, &all, seconds) })
}

/// The newest observations of a patient.
pub struct RawPages<'a>(Statement<'a>);

impl<'a> RawPages<'a> {
    /// Prepares the query.
    pub fn of(connection: &'a Connection) -> Self {
        let sql = format!(
            "SELECT r.id, r.last_updated, r.body FROM index_reference i JOIN resource r ON r.pk = i.pk \
             WHERE i.parameter = ?1 AND i.target = ?2 ORDER BY i.neg_time, i.pk LIMIT {PAGE}"
        );
        Self(connection.prepare(&sql).unwrap())
    }

    /// The patient's page: id and body of each.
    pub fn page(&mut self, patient: i64, mut each: impl FnMut(String, Vec<u8>)) {
        let mut rows = self.0.query(params![parameter("Observation", 0), patient]).unwrap();
        let mut count = 0;
        while let Some(row) = rows.next().unwrap() {
            each(row.get(0).unwrap(), row.get(2).unwrap());
            count += 1;
        }
        assert_eq!(count, PAGE);
    }
}

/// Opens a database as readers have it.
pub fn open(path: &Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection.pragma_update(None, "cache_size", -2 * 1024).unwrap();
    connection
}

/// What a patient is found by.
pub fn patient_key(patient: &str) -> i64 {
    hash(format!("Patient/{patient}").as_str())
}

fn timed_pages(connection: &Connection, patients: &[i64], seconds: f64) -> Value {
    let mut pages = RawPages::of(connection);
    let mut page = |patient: i64| {
        pages.page(patient, |id, body| {
            std::hint::black_box((id, body));
        });
    };
    let mut durations = Vec::new();
    let until = Instant::now() + Duration::from_secs_f64(seconds);
    let cost = measure(|| {
        for patient in patients.iter().cycle() {
            let started = Instant::now();
            if started > until {
                break;
            }
            page(*patient);
            durations.push(started.elapsed());
        }
    });
    json!({
        "cost": cost.cpu_seconds * 1e6 / durations.len() as f64,
        "p50": percentile_microseconds(&mut durations, 50),
        "p99": percentile_microseconds(&mut durations, 99),
    })
}
