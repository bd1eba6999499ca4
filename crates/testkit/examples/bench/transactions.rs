//! Writes of 100 resources at a time through the import service, the policy and the store, against raw SQLite with the same bodies.
//!
//! What is timed on our side: parsing, validation, decision, sealing, index rows, the durable commit, and moving the records into the ledger.

use std::path::Path;
use std::sync::Arc;

use portcullis_audit::RecordId;
use portcullis_server::admin::protocol::{ImportBatch, ImportResource, Request, Response};
use portcullis_server::admin::{Caller, Service};
use portcullis_store::Outbox;
use portcullis_testkit::TestServer;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::cost::{Cost, measure};
use crate::raw::{RawResource, RawStore, Synchronous};

/// Resources in one transaction.
const TRANSACTION: usize = 100;
/// Audit records that are moved at once, as the server does.
const MOVED_AT_ONCE: usize = 64;

/// A conversation with the import service of a server in this process.
struct Import {
    server: TestServer,
    requests: Sender<Request>,
    responses: Receiver<Response>,
    first: u64,
}

impl Import {
    async fn open() -> Self {
        let server = TestServer::start().await;
        let service = Arc::new(Service::new(Arc::clone(&server.server)));
        let (requests, incoming) = channel(1);
        let (outgoing, responses) = channel(1);
        tokio::spawn(async move { service.converse(Caller::named("bench"), incoming, outgoing).await });
        Self { server, requests, responses, first: 0 }
    }

    /// One transaction.
    async fn store(&mut self, lines: &[String]) {
        let raw = |line: &String| ImportResource { id: None, resource: RawValue::from_string(line.clone()).unwrap() };
        let batch = ImportBatch { source: "bench".to_owned(), first: self.first, resources: lines.iter().map(raw).collect() };
        self.first += lines.len() as u64;
        self.requests.send(Request::Import(batch)).await.unwrap();
        let Some(Response::Imported(report)) = self.responses.recv().await else { panic!("not imported") };
        assert!(report.refused.is_empty(), "{:?}", report.refused);
    }

    /// Moves the audit records from the outbox into the ledger.
    async fn move_records(&self) {
        loop {
            let waiting = self.server.store.waiting(MOVED_AT_ONCE).unwrap();
            if waiting.is_empty() {
                return;
            }
            let moved: Vec<RecordId> = waiting.iter().map(|(id, _)| id.clone()).collect();
            self.server.ledger.import_outbox(waiting).await.unwrap();
            let store = Arc::clone(&self.server.store);
            tokio::task::spawn_blocking(move || store.remove(&moved)).await.unwrap().unwrap();
        }
    }
}

/// Rounds of `per_round` resources, first ours, then raw. The server's files lie in TMPDIR.
pub fn run(lines: &[String], directory: &Path, rounds: usize, per_round: usize) -> Value {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut import = runtime.block_on(Import::open());
    let mut raw = RawStore::create(&directory.join("raw-full.db"), Synchronous::Full);
    assert!(lines.len() >= rounds * per_round, "too few resources");
    let round = |part: &[String]| {
        let ours = measure(|| {
            runtime.block_on(async {
                for transaction in part.chunks(TRANSACTION) {
                    import.store(transaction).await;
                }
                import.move_records().await;
            });
        });
        let resources: Vec<RawResource> = part.iter().map(|line| RawResource::of(line)).collect();
        let theirs = measure(|| resources.chunks(TRANSACTION).for_each(|transaction| raw.insert(transaction)));
        json!({ "resources": part.len(), "store": cost(ours), "raw": cost(theirs) })
    };
    lines.chunks_exact(per_round).take(rounds).map(round).collect()
}

fn cost(cost: Cost) -> Value {
    json!({ "seconds": cost.seconds, "cpu_seconds": cost.cpu_seconds })
}
