//! A store that holds some records, and what it answers to a request of a principal: decided, executed, released.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use portcullis_audit::{OperationEntry, Record as AuditRecord, UnfinishedRecord};
use portcullis_backends::SqliteStore;
use portcullis_backends::sqlite::RootKey;
use portcullis_fhir::definitions::CompartmentType;
use portcullis_fhir::interaction::{InstanceHistory, Read, VersionRead};
use portcullis_fhir::labels::body::{Identity, splice};
use portcullis_fhir::labels::{Labels, Security};
use portcullis_fhir::resource::Resource;
use portcullis_fhir::search::{self, Handling, SearchContext};
use portcullis_fhir::types::{LogicalId, ResourceType};
use portcullis_fhir::version::NewVersion;
use portcullis_policy::{
    Basis, Change, Decision, DecisionId, Operation, Permit, PermittedOperation, StoredVersion, WriteSet, Written, decide,
};
use portcullis_store::{FhirStore, StoreError};

use super::data::{BASE, NOW, Name, Record, Version, id};
use super::elements::Labelled;
use super::people::{Asker, operator, patient_with_another_app, service_for_all};
use super::requests::Request;
use super::writes::Planned;
use super::{redaction, view};

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
    /// The length of the next page's bookmark, where there is one.
    pub next: Option<usize>,
}

/// What a write did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There is a new resource.
    Created,
    /// There is a further version.
    Updated,
    /// It ended, or had ended before.
    Deleted,
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
    /// What was written, with its body where the person could read it.
    Written(Outcome, Seen),
}

impl Answer {
    /// Whether there is a version in it.
    pub fn tells_something(&self) -> bool {
        match self {
            Self::Denied | Self::Refused(_) => false,
            Self::Version(version) => version.is_some(),
            Self::Pages(pages) => pages.iter().any(|page| !page.matches.is_empty()),
            Self::Written(..) => true,
        }
    }

    /// The same with bodies that can be compared where something is left out of them, also by a list.
    pub fn comparable(mut self, has_list: bool) -> Self {
        let versions: Vec<&mut Seen> = match &mut self {
            Self::Denied | Self::Refused(_) => Vec::new(),
            Self::Version(version) => version.iter_mut().collect(),
            Self::Pages(pages) => pages.iter_mut().flat_map(|page| page.matches.iter_mut().chain(&mut page.included)).collect(),
            Self::Written(_, version) => vec![version],
        };
        for body in versions.into_iter().filter_map(|version| version.body.as_mut()) {
            *body = redaction::comparable(body, has_list);
        }
        self
    }
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
        // Consents come last: before, nobody is kept from anything.
        let (consents, others): (Vec<&Record>, Vec<&Record>) =
            records.iter().partition(|record| record.resource_type == "Consent");
        let mut remaining: Vec<(&Record, &[Version])> =
            others.into_iter().map(|record| (record, record.versions.as_slice())).collect();
        while remaining.iter().any(|(_, versions)| !versions.is_empty()) {
            let mut imports = Vec::new();
            let mut deletions = Vec::new();
            for (record, versions) in &mut remaining {
                let written = versions.iter().take_while(|version| version.body.is_some()).count();
                imports.extend(versions[..written].iter().map(|version| Change::Import(new_version(record, version))));
                deletions.extend(versions.get(written).map(|version| deletion(record, version)));
                *versions = versions.get(written + 1..).unwrap_or_default();
            }
            held.commit(&operator(), imports).await.unwrap().unwrap();
            held.commit(&service_for_all().principal(), deletions).await.unwrap().unwrap();
        }
        for record in consents {
            let (written, ended) = record.versions.split_at(record.versions.len() - usize::from(record.current().is_none()));
            let imports = written.iter().filter(|version| version.body.is_some());
            let imports = imports.map(|version| Change::Import(new_version(record, version))).collect();
            held.commit(&operator(), imports).await.unwrap().unwrap();
            let deletions: Vec<Change> = ended.iter().map(|version| deletion(record, version)).collect();
            let by = match view::patients(record.last_stated()).as_slice() {
                [patient] => patient_with_another_app(patient),
                _ => service_for_all().principal(),
            };
            held.commit(&by, deletions).await.unwrap().unwrap();
        }
        held
    }

    /// Stores all of these changes or none; `None` where the decision was no.
    async fn commit(&self, principal: &Asker, changes: Vec<Change>) -> Option<Result<Vec<Written>, StoreError>> {
        if changes.is_empty() {
            return Some(Ok(Vec::new()));
        }
        let text = format!(r#"{{"id":"{:032x}","recorded":1,"event":"import","agent":{{}},"outcome":"success"}}"#, next_number());
        let record: AuditRecord = serde_json::from_str(&text).unwrap();
        let record = AuditRecord { operations: vec![OperationEntry::default(); changes.len()], ..record };
        let (permit, permitted) = permit(principal, Operation::Write(WriteSet { changes }))?;
        let PermittedOperation::Write(set) = permitted else { panic!("not a write") };
        let committed = self.store.commit(set, UnfinishedRecord::new(record)).await;
        Some(committed.map(|committed| permit.release_written(committed.written).unwrap().into_content()))
    }

    /// What comes of a write.
    pub async fn write(&self, principal: &Asker, planned: &Planned) -> Answer {
        match self.commit(principal, vec![change(planned)]).await {
            None => Answer::Denied,
            Some(Err(error)) => Answer::Refused(error.to_string()),
            Some(Ok(written)) => match written.as_slice() {
                [Written::Created(version)] => Answer::Written(Outcome::Created, seen(version)),
                [Written::Updated(version) | Written::Unchanged(version)] => Answer::Written(Outcome::Updated, seen(version)),
                [Written::Deleted(version)] => Answer::Written(Outcome::Deleted, seen(version)),
                other => panic!("{other:?}"),
            },
        }
    }

    /// The answer to a request, all pages.
    pub async fn ask(&self, principal: &Asker, request: &Request) -> Answer {
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
            Request::History { .. } | Request::Search { .. } => {
                self.pages(principal, |cursor| paged_operation(request, cursor).unwrap()).await
            }
        }
    }

    /// What a bookmark of this search gives in a search that asks for more.
    pub async fn with_bookmark_of_another_search(&self, principal: &Asker, request: &Request) -> Option<Answer> {
        let Request::Search { within, resource_type, parameters } = request else { return None };
        let (own, permitted) = permit(principal, paged_operation(request, None)?)?;
        let (_, next) = self.page(principal, &own, permitted).await.ok()?;
        let mut parameters = parameters.clone();
        parameters.push(("_lastUpdated".to_owned(), "lt2100".to_owned()));
        let other = Request::Search { within: *within, resource_type, parameters };
        let (own, permitted) = permit(principal, paged_operation(&other, Some(next?.into()))?)?;
        Some(match self.page(principal, &own, permitted).await {
            Ok((page, _)) => Answer::Pages(vec![page]),
            Err(error) => Answer::Refused(error.to_string()),
        })
    }

    /// The first bookmark that a search or history gives to this person, and what it gives to another.
    pub async fn with_bookmark_of(&self, owner: &Asker, principal: &Asker, request: &Request) -> Option<Answer> {
        let operation = |cursor| paged_operation(request, cursor);
        let (own, permitted) = permit(owner, operation(None)?)?;
        let (_, next) = self.page(owner, &own, permitted).await.ok()?;
        let (own, permitted) = permit(principal, operation(Some(next?.into()))?)?;
        Some(match self.page(principal, &own, permitted).await {
            Ok((page, _)) => Answer::Pages(vec![page]),
            Err(error) => Answer::Refused(error.to_string()),
        })
    }

    async fn once(&self, principal: &Asker, operation: Operation) -> Answer {
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

    async fn pages(&self, principal: &Asker, operation: impl Fn(Option<Box<str>>) -> Operation) -> Answer {
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
        principal: &Asker,
        permit: &Permit,
        permitted: PermittedOperation,
    ) -> Result<(Page, Option<String>), StoreError> {
        match permitted {
            PermittedOperation::History(history) => {
                let found =
                    permit.release(self.store.history(history, &principal.principal.binding()).await?).unwrap().into_content();
                let matches = found.versions.iter().map(seen).collect();
                let next = found.next.as_ref().map(String::len);
                Ok((Page { matches, included: Vec::new(), total: Some(found.total), next }, found.next))
            }
            PermittedOperation::Search(query) => {
                let found =
                    permit.release(self.store.search(query, &principal.principal.binding()).await?).unwrap().into_content();
                let names = |versions: &[StoredVersion]| versions.iter().map(seen).collect();
                let (matches, included) = (names(&found.matches), names(&found.included));
                let next = found.next.as_ref().map(String::len);
                Ok((Page { matches, included, total: found.total, next }, found.next))
            }
            _ => panic!("neither history nor search"),
        }
    }
}

/// A page of a history or search; `None` for what has no pages.
fn paged_operation(request: &Request, cursor: Option<Box<str>>) -> Option<Operation> {
    match request {
        Request::Read(..) | Request::VersionRead(..) => None,
        Request::History { kind, slot, count, since } => {
            let since = since.map(|hours| NOW - hours * 3_600_000);
            let (resource_type, id) = (resource_type(kind.name), logical_id(&id(*kind, *slot)));
            Some(Operation::History(InstanceHistory { resource_type, id, count: *count, since, cursor }))
        }
        Request::Search { within, resource_type: name, parameters } => {
            let context = SearchContext { base_url: BASE, handling: Handling::Strict, now_ms: NOW };
            let mut query = search::parse(resource_type(name), parameters, &context)
                .unwrap_or_else(|issues| panic!("{name} {parameters:?}: {issues:?}"));
            if let Some((owner, slot)) = within {
                let compartment = CompartmentType::of(resource_type(owner.name)).unwrap();
                query = search::within(query, compartment, &logical_id(&id(*owner, *slot))).unwrap();
            }
            query.cursor = cursor;
            Some(Operation::Search(query))
        }
    }
}

/// In memory where the system has a place for that: what survives a loss of power is not the question here.
fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn permit(principal: &Asker, operation: Operation) -> Option<(Permit, PermittedOperation)> {
    let basis = Basis { id: DecisionId(next_number()), rules: Arc::clone(&principal.rules) };
    match decide(basis, &principal.principal, operation) {
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
fn new_version(record: &Record, version: &Version) -> NewVersion {
    derived((&record.resource_type, &record.id), version)
}

fn derived((name, id): (&str, &str), version: &Version) -> NewVersion {
    let text = version.body.as_ref().unwrap().to_string();
    let resource = Resource::parse(text.as_bytes()).unwrap_or_else(|issues| panic!("{name} {issues:?}: {text}"));
    NewVersion::of(resource, logical_id(id), logical_id(&version.id), version.last_updated, BASE).unwrap()
}

/// The bytes that leave a store of a version whose body says all its labels.
pub fn released_body((resource_type, id): &Name, version: &Version) -> Option<String> {
    let said = version.body.as_ref()?;
    let NewVersion { resource_type, id, version, last_updated, body, labelled_by, .. } = derived((resource_type, id), version);
    let identity = Identity { resource_type, id: &id, version: &version, last_updated };
    // What is shown says the labels of the elements that are shown.
    let shown = Labelled::of(said).and_then(|labelled| Labels::named(labelled.code()));
    let security = Security { labels: labelled_by.claimed | shown.unwrap_or_default(), ..Security::NONE };
    Some(String::from_utf8(splice(body, identity, security, None).unwrap()).unwrap())
}

/// The deletion that is this version.
fn deletion(record: &Record, version: &Version) -> Change {
    end((&record.resource_type, &record.id), (&version.id, version.last_updated), None)
}

fn end((name, id): (&str, &str), (version, last_updated): (&str, i64), if_match: Option<&str>) -> Change {
    let (id, version, if_match) = (logical_id(id), logical_id(version), if_match.map(logical_id));
    Change::Delete { resource_type: resource_type(name), id, version, last_updated, if_match }
}

fn change(planned: &Planned) -> Change {
    let name = (planned.name.0.as_str(), planned.name.1.as_str());
    let Planned { letter, version, last_updated, body, if_match, .. } = planned;
    if body.is_none() {
        return end(name, (version, *last_updated), if_match.as_deref());
    }
    let version = derived(name, &Version { id: version.clone(), last_updated: *last_updated, body: body.clone() });
    match letter {
        'c' => Change::Create(version),
        _ => Change::Update { version, if_match: if_match.as_deref().map(logical_id) },
    }
}

fn resource_type(name: &str) -> ResourceType {
    ResourceType::parse(name).unwrap()
}

fn logical_id(text: &str) -> LogicalId {
    LogicalId::parse(text).unwrap()
}
