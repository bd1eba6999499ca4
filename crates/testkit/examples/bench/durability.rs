//! One append through the ledger against one write and `fdatasync` of the same length in a file beside it, in turn.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_audit::record::{Agent, Event, OperationEntry, Outcome, Record, RecordId};
use portcullis_audit::{FileSegments, Ledger};
use serde_json::{Value, json};

use crate::cost::percentile_microseconds;

/// The record of a read by an app for a patient.
fn record(number: usize) -> Record {
    let text = |text: &str| Some(text.to_owned());
    Record {
        id: RecordId(format!("{number:032x}")),
        recorded: 1_767_225_600_000,
        event: Event::Rest,
        agent: Agent {
            client: text("demo-app"),
            user: text("user-0123456789abcdef0123456789abcdef"),
            fhir_user: text("Patient/pat-0001"),
            token: text("0123456789abcdef0123456789abcdef"),
            purpose: text("TREAT"),
            address: text("127.0.0.1"),
        },
        outcome: Outcome::Success,
        status: 200,
        decision: text("0123456789abcdef0123456789abcdef"),
        rules: ["client", "scope", "compartment"].map(|rule| format!("{rule}=permit")).to_vec(),
        request: None,
        operations: vec![OperationEntry {
            interaction: "read".to_owned(),
            resource_type: text("Patient"),
            id: text("pat-0001"),
            patients: vec!["pat-0001".to_owned()],
            returned: Some(1),
            ..OperationEntry::default()
        }],
        detail: None,
    }
}

/// Appends in turn with bare writes, one at a time.
pub fn run(directory: &Path, count: usize) -> Value {
    let folder = directory.join("ledger");
    std::fs::create_dir_all(&folder).unwrap();
    let bytes = serde_json::to_vec(&record(0)).unwrap();
    let mut bare = OpenOptions::new().append(true).create(true).open(directory.join("bare")).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let ledger = Arc::new(Ledger::open(&folder, Arc::new(FileSegments)).unwrap());
    let work = async move {
        let (mut appends, mut syncs): (Vec<Duration>, Vec<Duration>) = (Vec::new(), Vec::new());
        for number in 0..count {
            let record = record(number);
            let started = Instant::now();
            ledger.append(&record).await.unwrap();
            appends.push(started.elapsed());
            let started = Instant::now();
            bare.write_all(&bytes).unwrap();
            bare.sync_data().unwrap();
            syncs.push(started.elapsed());
        }
        let flushes = ledger.durable().flushes;
        json!({
            "append_p50": percentile_microseconds(&mut appends, 50),
            "append_p99": percentile_microseconds(&mut appends, 99),
            "sync_p50": percentile_microseconds(&mut syncs, 50),
            "sync_p99": percentile_microseconds(&mut syncs, 99),
            "flushes": flushes,
        })
    };
    // On a worker, as a request is.
    runtime.block_on(async { tokio::spawn(work).await.unwrap() })
}

/// How many append at once.
const AT_ONCE: usize = 64;

/// What a record costs in CPU, of all threads that have to do with it, where many are appended at once.
pub fn cost(directory: &Path, count: usize) -> Value {
    let folder = directory.join("ledger");
    std::fs::create_dir_all(&folder).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let ledger = Arc::new(Ledger::open(&folder, Arc::new(FileSegments)).unwrap());
    let append = |from: usize| {
        let ledger = Arc::clone(&ledger);
        async move {
            for number in (from..count).step_by(AT_ONCE) {
                ledger.append(&record(number)).await.unwrap();
            }
        }
    };
    let measured = crate::cost::measure(|| {
        runtime.block_on(async {
            for work in (0..AT_ONCE).map(|from| tokio::spawn(append(from))).collect::<Vec<_>>() {
                work.await.unwrap();
            }
        });
    });
    json!({ "cost": measured.cpu_seconds / count as f64 * 1e6, "seconds": measured.seconds })
}
