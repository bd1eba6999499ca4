//! Questions to a server's store from somebody who may see everything.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use portcullis_backends::SqliteStore;
use portcullis_fhir::interaction::Read;
use portcullis_fhir::reference::LocalReference;
use portcullis_fhir::search::{self, Handling, SearchContext};
use portcullis_fhir::types::ResourceType;
use portcullis_oauth::principal::{Operator, OperatorOperation, Principal};
use portcullis_policy::{Decision, DecisionId, Operation, Permit, PermittedOperation, decide};
use portcullis_store::FhirStore;
use portcullis_testkit::TestServer;

use super::queries::Query;

static DECISIONS: AtomicU64 = AtomicU64::new(1);

/// A store, and the server's base.
#[derive(Clone)]
pub struct Everything {
    store: Arc<SqliteStore>,
    /// The server's own base.
    pub base: Arc<str>,
    now: i64,
}

impl Everything {
    /// What a server holds.
    pub fn of(server: &TestServer) -> Self {
        use portcullis_store::Clock as _;
        Self { store: Arc::clone(&server.store), base: server.fhir_base.as_str().into(), now: server.clock.now_milliseconds() }
    }

    /// The current body of a resource.
    pub async fn read(&self, key: &str) -> Option<String> {
        let LocalReference { resource_type, id } = LocalReference::parse(key).unwrap();
        let (permit, permitted) = permit(Operation::Read(Read { resource_type, id }));
        let PermittedOperation::Read(read) = permitted else { unreachable!() };
        let found = permit.release(self.store.read(read).await.unwrap()).unwrap().into_content()?;
        Some(String::from_utf8(found.body?).unwrap())
    }

    /// The keys (`Type/id`) that a search finds.
    pub async fn search(&self, resource_type: ResourceType, queries: &[Query]) -> BTreeSet<String> {
        let pairs: Vec<Query> = queries.iter().cloned().chain([("_count".to_owned(), "1000".to_owned())]).collect();
        let context = SearchContext { base_url: &self.base, handling: Handling::Strict, now_ms: self.now };
        let query = search::parse(resource_type, &pairs, &context)
            .unwrap_or_else(|issues| panic!("{resource_type}?{queries:?} is refused: {issues:?}"));
        let (permit, permitted) = permit(Operation::Search(query));
        let PermittedOperation::Search(search) = permitted else { unreachable!() };
        let found = self.store.search(search, b"").await.unwrap_or_else(|error| panic!("{resource_type}?{queries:?}: {error}"));
        let page = permit.release(found).unwrap().into_content();
        assert_eq!(page.next, None, "{resource_type}?{queries:?} has more than one page");
        page.matches.iter().map(|version| format!("{}/{}", version.resource_type, version.id)).collect()
    }
}

fn permit(operation: Operation) -> (Permit, PermittedOperation) {
    let principal = Principal::command_line_operator(Operator::new("test", [OperatorOperation::ReadResources]));
    let decision = DecisionId(DECISIONS.fetch_add(1, Ordering::Relaxed).into());
    match decide(decision, &principal, operation) {
        Decision::Permit(permit, permitted) => (permit, permitted),
        Decision::Deny(denial) => panic!("{denial:?}"),
    }
}
