//! What the tests of this folder stand on: a store in a directory of its own, principals of every kind, and permits that policy has decided.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use portcullis_audit::{Agent, Event, OperationEntry, Outcome, Record, RecordId, UnfinishedRecord};
use portcullis_fhir::interaction::{InstanceHistory, Read, VersionRead};
use portcullis_fhir::reference::LocalReference;
use portcullis_fhir::resource::Resource;
use portcullis_fhir::search::{Handling, SearchContext};
use portcullis_fhir::types::{LogicalId, ResourceType};
use portcullis_fhir::version::NewVersion;
use portcullis_jose::{Algorithm, SigningKey, VerificationKeys};
use portcullis_oauth::access_token::{AccessTokenClaims, AccessTokenTrust, VerifiedToken};
use portcullis_oauth::identifiers::{ClientId, GrantId, TokenId, UserId};
use portcullis_oauth::principal::{
    Circumstances, ImplicitPolicy, Operator, OperatorOperation, Principal, PrincipalUser, TokenFacts, TokenStatus,
};
use portcullis_oauth::users::{Role, Roles};
use portcullis_policy::{
    Change, Decision, DecisionId, HistoryPage, Operation, Permit, PermittedOperation, SearchPage, StoredVersion, WriteSet,
    Written, decide,
};
use portcullis_store::{FhirStore, StoreError};

use super::root_key::RootKey;
use super::store::SqliteStore;

pub const BASE: &str = "https://localhost:8443/fhir";
const ISSUER: &str = "https://localhost:8443";
const NOW: i64 = 1_800_000_000;
static DECISIONS: AtomicU64 = AtomicU64::new(1);

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub enum Who<'a> {
    /// The command line: reads and imports everything.
    Operator,
    /// A patient with every letter for the own record.
    Patient(&'a str),
    /// A practitioner (by id) with every letter for the patients in care.
    Clinician(&'a str),
    /// A practitioner (by id) who is this patient, too, with this scope.
    Both(&'a str, &'a str, &'a str),
    /// A practitioner (by id) with this patient in context and this scope.
    AtChart(&'a str, &'a str, &'a str),
}

impl Who<'_> {
    pub fn principal(self) -> Principal {
        let (roles, scope, own, fhir_user) = match self {
            Self::Operator => {
                let operations = [OperatorOperation::LoadResources, OperatorOperation::ReadResources];
                return Principal::command_line_operator(Operator::new("test", operations));
            }
            Self::Patient(id) => (Roles::NONE.with(Role::Patient), "patient/*.cruds", Some(id), None),
            Self::Clinician(id) => (Roles::NONE.with(Role::Clinician), "user/*.cruds", None, Some(id)),
            Self::Both(practitioner, patient, scope) => {
                (Roles::NONE.with(Role::Patient).with(Role::Clinician), scope, Some(patient), Some(practitioner))
            }
            Self::AtChart(practitioner, patient, scope) => {
                (Roles::NONE.with(Role::Clinician), scope, Some(patient), Some(practitioner))
            }
        };
        let (user, client, token_id) =
            (UserId::parse("user").unwrap(), ClientId::parse("client").unwrap(), TokenId::parse("token").unwrap());
        let claims = AccessTokenClaims {
            issuer: ISSUER.into(),
            subject: user.clone().into(),
            audience: BASE.into(),
            client_id: client.clone(),
            expires_at: NOW + 300,
            issued_at: NOW,
            token_id: token_id.clone(),
            scope: scope.into(),
            grant: GrantId::parse("grant").unwrap(),
            patient: own.map(id),
            confirmation: None,
        };
        let key = SigningKey::generate(Algorithm::Es256).unwrap();
        let keys = VerificationKeys::of([&key]);
        let trust = AccessTokenTrust { keys: &keys, issuer: ISSUER, fhir_base: BASE };
        let token = VerifiedToken::verify(&claims.sign(&key).unwrap(), &trust, NOW).unwrap();
        let fhir_user =
            fhir_user.map(|practitioner| LocalReference { resource_type: ResourceType::PRACTITIONER, id: id(practitioner) });
        let user =
            PrincipalUser { id: user, roles, fhir_user, patients: own.map(id).into_iter().collect(), represents: Vec::new() };
        let facts = TokenFacts {
            token_id,
            active: true,
            epoch: 0,
            client: Some(client),
            user: Some(user),
            purposes: Default::default(),
            registered: None,
            clearance: portcullis_fhir::labels::Clearance::FULL,
        };
        Principal::establish(&token, &portcullis_oauth::confirmation::Possession::NOTHING, TokenStatus::from_registry(facts), NOW)
            .unwrap()
            .cleared(portcullis_fhir::labels::Clearances::default())
            .asking(circumstances())
    }

    pub fn permit(self, operation: Operation) -> (Permit, PermittedOperation) {
        let decision = DecisionId(DECISIONS.fetch_add(1, Ordering::Relaxed).into());
        match decide(decision, &self.principal(), operation) {
            Decision::Permit(permit, permitted) => (permit, permitted),
            Decision::Deny(denial) => panic!("{denial:?}"),
        }
    }
}

/// Now, at [`BASE`], where whoever is let in by everything else is let in by the implicit policy, too.
pub fn circumstances() -> Circumstances {
    Circumstances {
        address: None,
        now: NOW * 1000,
        base_url: BASE.into(),
        implicit: ImplicitPolicy::AllNormal,
        membership: Default::default(),
    }
}

pub fn id(text: &str) -> LogicalId {
    LogicalId::parse(text).unwrap()
}

pub fn resource_type(name: &str) -> ResourceType {
    ResourceType::parse(name).unwrap()
}

/// A version of the resource in this JSON text, which has an id.
pub fn version(text: &str, version: &str, last_updated: i64) -> NewVersion {
    let resource = Resource::parse(text.as_bytes()).unwrap_or_else(|issues| panic!("{issues:?} in {text}"));
    let own = resource.id().unwrap().clone();
    NewVersion::of(resource, own, id(version), last_updated, BASE).unwrap()
}

pub fn import(text: &str) -> Change {
    Change::Import(version(text, "v1", 1_000))
}

pub fn update(text: &str, named: &str, if_match: Option<&str>) -> Change {
    Change::Update { version: version(text, named, 2_000), if_match: if_match.map(id) }
}

pub fn delete(type_name: &str, own: &str, named: &str, if_match: Option<&str>) -> Change {
    Change::Delete {
        resource_type: resource_type(type_name),
        id: id(own),
        version: id(named),
        last_updated: 3_000,
        if_match: if_match.map(id),
    }
}

pub fn patient(own: &str) -> String {
    format!(r#"{{"resourceType":"Patient","id":"{own}","gender":"female"}}"#)
}

pub fn observation(own: &str, subject: &str, code: &str) -> String {
    format!(
        r#"{{"resourceType":"Observation","id":"{own}","status":"final","code":{{"coding":[{{"system":"http://loinc.org","code":"{code}"}}]}},
        "subject":{{"reference":"Patient/{subject}"}},"effectiveDateTime":"2024-05-01","performer":[{{"reference":"Practitioner/doc"}}],
        "valueQuantity":{{"value":5.40,"unit":"mg"}}}}"#
    )
}

pub fn encounter(own: &str, subject: &str, practitioner: &str) -> String {
    format!(
        r#"{{"resourceType":"Encounter","id":"{own}","status":"finished","class":{{"code":"AMB"}},"subject":{{"reference":"Patient/{subject}"}},
        "participant":[{{"individual":{{"reference":"Practitioner/{practitioner}"}}}}]}}"#
    )
}

/// A record of so many changes.
pub fn record(own: &str, changes: usize) -> UnfinishedRecord {
    let record = Record {
        id: RecordId(own.into()),
        recorded: 1,
        event: Event::Rest,
        agent: Agent::default(),
        outcome: Outcome::Success,
        status: 201,
        decision: None,
        rules: Vec::new(),
        request: None,
        operations: vec![OperationEntry::default(); changes],
        detail: None,
    };
    UnfinishedRecord::new(record)
}

/// A store in a directory of its own.
pub struct World {
    pub store: Arc<SqliteStore>,
    pub root: RootKey,
    pub directory: tempfile::TempDir,
}

impl World {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = RootKey::generate().unwrap();
        let store = SqliteStore::open(&directory.path().join("portcullis.db"), &root).unwrap();
        Self { store, root, directory }
    }

    /// A world that holds these resources.
    pub async fn of(texts: &[String]) -> Self {
        let world = Self::new();
        world.commit(Who::Operator, texts.iter().map(|text| import(text)).collect()).await.unwrap();
        world
    }

    /// The same files, opened again.
    pub fn reopened(self) -> Self {
        let Self { store, root, directory } = self;
        drop(store);
        let store = SqliteStore::open(&directory.path().join("portcullis.db"), &root).unwrap();
        Self { store, root, directory }
    }

    /// Changes the file behind the store's back.
    pub fn tamper(&self, sql: &str) {
        let connection = rusqlite::Connection::open(self.directory.path().join("portcullis.db")).unwrap();
        connection.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
        assert!(connection.execute(sql, []).unwrap() > 0, "{sql}");
    }

    /// The first column of the first row.
    pub fn integer(&self, sql: &str) -> i64 {
        self.store.readers().with(|connection| Ok(connection.query_row(sql, [], |row| row.get(0)).unwrap())).unwrap()
    }

    pub async fn commit(&self, who: Who<'_>, changes: Vec<Change>) -> Result<Vec<Written>, StoreError> {
        let own = format!("{:032x}", DECISIONS.fetch_add(1, Ordering::Relaxed));
        let count = changes.len();
        let (permit, PermittedOperation::Write(set)) = who.permit(Operation::Write(WriteSet { changes })) else { panic!() };
        let committed = self.store.commit(set, record(&own, count)).await?;
        let (written, _receipt) = committed.settle(&RecordId(own)).unwrap();
        Ok(permit.release_written(written).unwrap().into_content())
    }

    pub async fn read(&self, who: Who<'_>, type_name: &str, own: &str) -> Result<Option<StoredVersion>, StoreError> {
        let read = Read { resource_type: resource_type(type_name), id: id(own) };
        let (permit, PermittedOperation::Read(read)) = who.permit(Operation::Read(read)) else { panic!() };
        Ok(permit.release(self.store.read(read).await?).unwrap().into_content())
    }

    pub async fn version_read(
        &self,
        who: Who<'_>,
        type_name: &str,
        own: &str,
        named: &str,
    ) -> Result<Option<StoredVersion>, StoreError> {
        let read = VersionRead { resource_type: resource_type(type_name), id: id(own), version: id(named) };
        let (permit, PermittedOperation::VersionRead(read)) = who.permit(Operation::VersionRead(read)) else { panic!() };
        Ok(permit.release(self.store.version_read(read).await?).unwrap().into_content())
    }

    pub async fn history(&self, who: Who<'_>, history: InstanceHistory) -> Result<HistoryPage, StoreError> {
        let (permit, PermittedOperation::History(history)) = who.permit(Operation::History(history)) else { panic!() };
        Ok(permit.release(self.store.history(history, b"").await?).unwrap().into_content())
    }
}

impl World {
    /// The ids that a search finds.
    pub async fn search(&self, who: Who<'_>, type_name: &str, query: &str) -> Result<Vec<String>, StoreError> {
        let page = self.page(who, type_name, query).await?;
        Ok(page.matches.iter().map(|version| version.id.to_string()).collect())
    }

    /// Whether a principal sees a resource that is not deleted.
    pub async fn reads(&self, principal: &Principal, type_name: &str, own: &str) -> Result<bool, StoreError> {
        let read = Operation::Read(Read { resource_type: resource_type(type_name), id: id(own) });
        let Decision::Permit(permit, PermittedOperation::Read(read)) = decide(DecisionId(1), principal, read) else { panic!() };
        Ok(permit.release(self.store.read(read).await?).unwrap().content().is_some())
    }

    /// Whether the store shows what release does not let out.
    pub async fn disagrees(&self, who: Who<'_>, type_name: &str, own: &str) -> bool {
        let read = Read { resource_type: resource_type(type_name), id: id(own) };
        let (permit, PermittedOperation::Read(read)) = who.permit(Operation::Read(read)) else { panic!() };
        permit.release(self.store.read(read).await.unwrap()).is_err()
    }

    /// What a search finds.
    pub async fn page(&self, who: Who<'_>, type_name: &str, query: &str) -> Result<SearchPage, StoreError> {
        let context = SearchContext { base_url: BASE, handling: Handling::Strict, now_ms: NOW * 1000 };
        let pairs = portcullis_fhir::query::parse(query.as_bytes()).unwrap();
        let query = portcullis_fhir::search::parse(resource_type(type_name), &pairs, &context).unwrap();
        let (permit, PermittedOperation::Search(search)) = who.permit(Operation::Search(query)) else { panic!() };
        Ok(permit.release(self.store.search(search, b"test").await?).unwrap().into_content())
    }
}
