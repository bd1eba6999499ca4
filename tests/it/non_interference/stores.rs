//! A store that holds some records, and what it answers to a request of a principal: decided, executed, released.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use portcullis_audit::{PendingRecord, Record as AuditRecord};
use portcullis_backends::SqliteStore;
use portcullis_backends::sqlite::RootKey;
use portcullis_fhir::interaction::{InstanceHistory, Read, VersionRead};
use portcullis_fhir::resource::Resource;
use portcullis_fhir::search::{self, Handling, SearchContext};
use portcullis_fhir::types::{LogicalId, ResourceType};
use portcullis_fhir::version::NewVersion;
use portcullis_oauth::principal::Principal;
use portcullis_policy::{Change, Decision, DecisionId, Operation, Permit, PermittedOperation, StoredVersion, WriteSet, decide};
use portcullis_store::{FhirStore, StoreError};

use super::data::{BASE, NOW, Record, Version, id};
use super::people::{guardian_of_all, operator};
use super::requests::Request;

/// More pages than any answer here has: a bookmark that leads nowhere new.
const MOST_PAGES: usize = 200;

static DECISIONS: AtomicU64 = AtomicU64::new(1);

/// One version as it was released.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// `Type/id/version`
    pub name: String,
    /// `meta.lastUpdated`
    pub last_updated: i64,
    /// The bytes.
    pub body: Option<String>,
}

/// One page of a search or history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Matches, or versions.
    pub matches: Vec<Seen>,
    /// What includes added.
    pub included: Vec<Seen>,
    /// The total.
    pub total: Option<u64>,
    /// Whether there is a next page.
    pub more: bool,
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The decision was no.
    Denied,
    /// The store refused, in these words.
    Refused(String),
    /// One version, or nothing.
    Version(Option<Seen>),
    /// All pages.
    Pages(Vec<Page>),
}

/// A store in a directory of its own.
pub struct Held {
    store: Arc<SqliteStore>,
    _directory: tempfile::TempDir,
}

impl Held {
    /// A store that holds these records with these versions.
    pub async fn of(records: &[Record]) -> Self {
        let directory = directory();
        let store = SqliteStore::open(&directory.path().join("portcullis.db"), &RootKey::generate().unwrap()).unwrap();
        let held = Self { store, _directory: directory };
        let mut remaining: Vec<(&Record, &[Version])> =
            records.iter().map(|record| (record, record.versions.as_slice())).collect();
        while remaining.iter().any(|(_, versions)| !versions.is_empty()) {
            let mut imports = Vec::new();
            let mut deletions = Vec::new();
            for (record, versions) in &mut remaining {
                let written = versions.iter().take_while(|version| version.body.is_some()).count();
                imports.extend(versions[..written].iter().map(|version| Change::Import(new_version(record, version))));
                deletions.extend(versions.get(written).map(|version| deletion(record, version)));
                *versions = versions.get(written + 1..).unwrap_or_default();
            }
            held.commit(&operator(), imports).await.unwrap();
            held.commit(&guardian_of_all().principal(), deletions).await.unwrap();
        }
        held
    }

    /// Stores all of these changes or none.
    pub async fn commit(&self, principal: &Principal, changes: Vec<Change>) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        let text = format!(r#"{{"id":"{:032x}","recorded":1,"event":"import","agent":{{}},"outcome":"success"}}"#, next_number());
        let pending = PendingRecord::new(&serde_json::from_str::<AuditRecord>(&text).unwrap()).unwrap();
        let decision = decide(DecisionId(next_number()), principal, Operation::Write(WriteSet { changes }));
        let Decision::Permit(permit, PermittedOperation::Write(set)) = decision else { panic!("denied") };
        let committed = self.store.commit(set, &pending).await?;
        permit.release_written(committed.written).unwrap();
        Ok(())
    }

    /// The answer to a request, all pages.
    pub async fn ask(&self, principal: &Principal, request: &Request) -> Answer {
        match request {
            Request::Read(kind, slot) => {
                let read = Read { resource_type: resource_type(kind.name), id: logical_id(&id(*kind, *slot)) };
                self.once(principal, Operation::Read(read)).await
            }
            Request::VersionRead(kind, slot, number) => {
                let (resource_type, id) = (resource_type(kind.name), logical_id(&id(*kind, *slot)));
                let version = logical_id(&format!("v{number}"));
                self.once(principal, Operation::VersionRead(VersionRead { resource_type, id, version })).await
            }
            Request::History { kind, slot, count, since } => {
                let since = since.map(|hours| NOW - hours * 3_600_000);
                let (resource_type, id) = (resource_type(kind.name), logical_id(&id(*kind, *slot)));
                let page =
                    |cursor| Operation::History(InstanceHistory { resource_type, id: id.clone(), count: *count, since, cursor });
                self.pages(principal, page).await
            }
            Request::Search { resource_type: name, parameters } => {
                let context = SearchContext { base_url: BASE, handling: Handling::Strict, now_ms: NOW };
                let query = search::parse(resource_type(name), parameters, &context)
                    .unwrap_or_else(|issues| panic!("{name} {parameters:?}: {issues:?}"));
                let page = |cursor| {
                    let mut query = query.clone();
                    query.cursor = cursor;
                    Operation::Search(query)
                };
                self.pages(principal, page).await
            }
        }
    }

    async fn once(&self, principal: &Principal, operation: Operation) -> Answer {
        let Some((permit, permitted)) = permit(principal, operation) else { return Answer::Denied };
        let found = match permitted {
            PermittedOperation::Read(read) => self.store.read(read).await,
            PermittedOperation::VersionRead(read) => self.store.version_read(read).await,
            _ => panic!("not a read"),
        };
        match found {
            Ok(found) => Answer::Version(permit.release(found).unwrap().into_content().as_ref().map(seen)),
            Err(error) => Answer::Refused(error.to_string()),
        }
    }

    async fn pages(&self, principal: &Principal, operation: impl Fn(Option<Box<str>>) -> Operation) -> Answer {
        let mut pages: Vec<Page> = Vec::new();
        let mut cursor = None;
        loop {
            assert!(pages.len() < MOST_PAGES, "the pages have no end");
            let Some((permit, permitted)) = permit(principal, operation(cursor)) else { return Answer::Denied };
            let (page, next) = match self.page(principal, &permit, permitted).await {
                Ok(found) => found,
                Err(error) => return Answer::Refused(error.to_string()),
            };
            pages.push(page);
            match next {
                Some(next) => cursor = Some(next.into()),
                None => return Answer::Pages(pages),
            }
        }
    }

    async fn page(
        &self,
        principal: &Principal,
        permit: &Permit,
        permitted: PermittedOperation,
    ) -> Result<(Page, Option<String>), StoreError> {
        match permitted {
            PermittedOperation::History(history) => {
                let found = permit.release(self.store.history(history, &principal.binding()).await?).unwrap().into_content();
                let matches = found.versions.iter().map(seen).collect();
                Ok((Page { matches, included: Vec::new(), total: Some(found.total), more: found.next.is_some() }, found.next))
            }
            PermittedOperation::Search(query) => {
                let found = permit.release(self.store.search(query, &principal.binding()).await?).unwrap().into_content();
                let names = |versions: &[StoredVersion]| versions.iter().map(seen).collect();
                let (matches, included) = (names(&found.matches), names(&found.included));
                Ok((Page { matches, included, total: found.total, more: found.next.is_some() }, found.next))
            }
            _ => panic!("neither history nor search"),
        }
    }
}

/// In memory where the system has a place for that: what survives a loss of power is not the question here.
fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn permit(principal: &Principal, operation: Operation) -> Option<(Permit, PermittedOperation)> {
    match decide(DecisionId(next_number()), principal, operation) {
        Decision::Permit(permit, permitted) => Some((permit, permitted)),
        Decision::Deny(_) => None,
    }
}

fn next_number() -> u128 {
    DECISIONS.fetch_add(1, Ordering::Relaxed).into()
}

fn seen(version: &StoredVersion) -> Seen {
    let StoredVersion { resource_type, id, version: number, last_updated, body, .. } = version;
    let body = body.as_ref().map(|body| String::from_utf8(body.clone()).unwrap());
    Seen { name: format!("{resource_type}/{id}/{number}"), last_updated: *last_updated, body }
}

/// The version as a store takes it.
pub fn new_version(record: &Record, version: &Version) -> NewVersion {
    let text = version.body.as_ref().unwrap().to_string();
    let resource = Resource::parse(text.as_bytes()).unwrap_or_else(|issues| panic!("{issues:?}: {text}"));
    NewVersion::of(resource, logical_id(&record.id), logical_id(&version.id), version.last_updated, BASE)
}

/// The deletion that is this version.
pub fn deletion(record: &Record, version: &Version) -> Change {
    Change::Delete {
        resource_type: resource_type(&record.resource_type),
        id: logical_id(&record.id),
        version: logical_id(&version.id),
        last_updated: version.last_updated,
        if_match: None,
    }
}

fn resource_type(name: &str) -> ResourceType {
    ResourceType::parse(name).unwrap()
}

fn logical_id(text: &str) -> LogicalId {
    LogicalId::parse(text).unwrap()
}
