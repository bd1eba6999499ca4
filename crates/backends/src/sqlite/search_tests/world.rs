//! A store in a temporary directory, and people who ask it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use portcullis_audit::{Agent, Event, OperationEntry, Outcome, Record, RecordId, UnfinishedRecord};
use portcullis_fhir::outcome::Issue;
use portcullis_fhir::reference::LocalReference;
use portcullis_fhir::resource::Resource;
use portcullis_fhir::search::{self, Handling, SearchContext, SearchQuery};
use portcullis_fhir::types::{LogicalId, ResourceType};
use portcullis_fhir::version::NewVersion;
use portcullis_jose::{Algorithm, SigningKey, VerificationKeys};
use portcullis_oauth::access_token::{AccessTokenClaims, AccessTokenTrust, HEADER_TYPE, Subject, VerifiedToken};
use portcullis_oauth::identifiers::{ClientId, GrantId, TokenId, UserId};
use portcullis_oauth::principal::{
    Circumstances, ImplicitPolicy, Operator, OperatorOperation, Principal, PrincipalUser, TokenFacts, TokenStatus,
};
use portcullis_oauth::users::{Role, Roles};
use portcullis_policy::authorized::PermittedOperation;
use portcullis_policy::{Change, Decision, DecisionId, Operation, Permit, SearchPage, StoredVersion, WriteSet, decide};
use portcullis_store::{FhirStore, StoreError};

use super::super::root_key::RootKey;
use super::super::store::SqliteStore;

/// The server's base.
pub const BASE: &str = "https://example.org/fhir";
/// The time of every test, seconds since the epoch.
pub const NOW: i64 = 1_800_000_000;

/// A store with its directory.
pub struct World {
    pub store: Arc<SqliteStore>,
    _directory: tempfile::TempDir,
    decisions: AtomicU64,
}

/// The ids on one page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ids {
    pub matches: Vec<String>,
    pub included: Vec<String>,
    pub total: Option<u64>,
}

impl World {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&directory.path().join("portcullis.db"), &RootKey::generate().unwrap()).unwrap();
        Self { store, _directory: directory, decisions: AtomicU64::new(1) }
    }

    /// A world with these resources, stored one after the other.
    pub async fn of(resources: &[&str]) -> Self {
        let world = Self::new();
        let resources = resources.iter().enumerate();
        world.import(resources.map(|(number, text)| version(text, NOW * 1000 + i64::try_from(number).unwrap())).collect()).await;
        world
    }

    pub async fn import(&self, versions: Vec<NewVersion>) {
        self.write(&operator(), versions.into_iter().map(Change::Import).collect()).await.unwrap();
    }

    /// Applies changes as this principal.
    pub async fn write(&self, principal: &Principal, changes: Vec<Change>) -> Result<(), StoreError> {
        let operations = vec![OperationEntry::default(); changes.len()];
        let (_, permitted) = self.permit(principal, Operation::Write(WriteSet { changes }));
        let PermittedOperation::Write(set) = permitted else { panic!("not a write") };
        let record = Record {
            id: RecordId(format!("{:032x}", self.decisions.fetch_add(1, Ordering::Relaxed))),
            recorded: 0,
            event: Event::Rest,
            agent: Agent::default(),
            outcome: Outcome::Success,
            status: 200,
            decision: None,
            rules: Vec::new(),
            request: None,
            operations,
            detail: None,
        };
        self.store.commit(set, UnfinishedRecord::new(record)).await.map(|_| ())
    }

    /// Deletes a resource as this principal.
    pub async fn delete(&self, principal: &Principal, resource: &str) {
        let target = LocalReference::parse(resource).unwrap();
        let deletion = Change::Delete {
            resource_type: target.resource_type,
            id: target.id,
            version: LogicalId::parse("v2").unwrap(),
            last_updated: NOW * 1000 + 1000,
            if_match: None,
        };
        self.write(principal, vec![deletion]).await.unwrap();
    }

    fn permit(&self, principal: &Principal, operation: Operation) -> (Permit, PermittedOperation) {
        let id = DecisionId(u128::from(self.decisions.fetch_add(1, Ordering::Relaxed)));
        match decide(id, principal, operation) {
            Decision::Permit(permit, operation) => (permit, operation),
            Decision::Deny(denial) => panic!("{denial:?}"),
        }
    }

    /// Searches as the server does: decides, executes, releases.
    pub async fn search(&self, principal: &Principal, query: SearchQuery) -> Result<SearchPage, StoreError> {
        self.search_bound(principal, query, b"test").await
    }

    pub async fn search_bound(
        &self,
        principal: &Principal,
        query: SearchQuery,
        binding: &[u8],
    ) -> Result<SearchPage, StoreError> {
        let (permit, permitted) = self.permit(principal, Operation::Search(query));
        let PermittedOperation::Search(search) = permitted else { panic!("not a search") };
        let found = self.store.search(search, binding).await?;
        Ok(permit.release(found).expect("release agrees with the store").into_content())
    }

    /// The ids of the first page of `Type?query`.
    pub async fn ids(&self, principal: &Principal, search: &str) -> Ids {
        ids(&self.search(principal, query(search)).await.unwrap())
    }

    /// `Type/id` of the matches of the first page.
    pub async fn matches(&self, principal: &Principal, search: &str) -> Vec<String> {
        self.ids(principal, search).await.matches
    }
}

pub fn ids(page: &SearchPage) -> Ids {
    let names =
        |versions: &[StoredVersion]| versions.iter().map(|version| format!("{}/{}", version.resource_type, version.id)).collect();
    Ids { matches: names(&page.matches), included: names(&page.included), total: page.total }
}

/// Parses names and values as the server does under strict handling.
pub fn parsed(resource_type: &str, pairs: &[(String, String)]) -> Result<SearchQuery, Vec<Issue>> {
    let context = SearchContext { base_url: BASE, handling: Handling::Strict, now_ms: NOW * 1000 };
    search::parse(ResourceType::parse(resource_type).unwrap(), pairs, &context)
}

/// Parses `Type?name=value&...`; values are taken as they stand.
pub fn query(text: &str) -> SearchQuery {
    let (name, parameters) = text.split_once('?').unwrap_or((text, ""));
    let pairs: Vec<(String, String)> = parameters
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    parsed(name, &pairs).unwrap_or_else(|issues| panic!("{text}: {issues:?}"))
}

/// A first version; the body has an id.
pub fn version(body: &str, last_updated: i64) -> NewVersion {
    let resource = Resource::parse(body.as_bytes()).unwrap_or_else(|issues| panic!("{body}: {issues:?}"));
    let id = resource.id().unwrap().clone();
    NewVersion::of(resource, id, LogicalId::parse("v1").unwrap(), last_updated, BASE).unwrap()
}

/// Sees and loads everything.
pub fn operator() -> Principal {
    let operations = [OperatorOperation::LoadResources, OperatorOperation::ReadResources];
    Principal::command_line_operator(Operator::new("root", operations))
}

/// A patient with a launch context.
pub fn patient(id: &str, scope: &str) -> Principal {
    person(Role::Patient, &format!("Patient/{id}"), &[id], scope, Some(id))
}

/// A clinician.
pub fn clinician(practitioner: &str, scope: &str) -> Principal {
    person(Role::Clinician, &format!("Practitioner/{practitioner}"), &[], scope, None)
}

/// A person with a token.
pub fn person(role: Role, fhir_user: &str, patients: &[&str], scope: &str, launch: Option<&str>) -> Principal {
    let identity = (UserId::parse("user").unwrap(), ClientId::parse("app").unwrap(), TokenId::parse("token").unwrap());
    let claims = AccessTokenClaims {
        issuer: "https://example.org".to_owned(),
        subject: Subject::User(identity.0.clone()),
        audience: BASE.to_owned(),
        client_id: identity.1.clone(),
        expires_at: NOW + 300,
        issued_at: NOW,
        token_id: identity.2.clone(),
        scope: scope.to_owned(),
        grant: GrantId::parse("grant").unwrap(),
        patient: launch.and_then(LogicalId::parse),
        confirmation: None,
    };
    let key = SigningKey::generate(Algorithm::Es256).unwrap();
    let token = portcullis_jose::sign(&key, HEADER_TYPE, &claims).unwrap();
    let trust = AccessTokenTrust { keys: &VerificationKeys::of([&key]), issuer: "https://example.org", fhir_base: BASE };
    let token = VerifiedToken::verify(&token, &trust, NOW).unwrap();
    let user = PrincipalUser {
        id: identity.0,
        roles: Roles::NONE.with(role),
        fhir_user: LocalReference::parse(fhir_user),
        patients: patients.iter().filter_map(|id| LogicalId::parse(id)).collect(),
        represents: Vec::new(),
    };
    let facts = TokenFacts {
        token_id: identity.2,
        active: true,
        epoch: 1,
        client: Some(identity.1),
        user: Some(user),
        purposes: Default::default(),
        registered: None,
        clearance: portcullis_fhir::labels::Clearance::FULL,
    };
    Principal::establish(&token, &portcullis_oauth::confirmation::Possession::NOTHING, TokenStatus::from_registry(facts), NOW)
        .unwrap()
        .cleared(portcullis_fhir::labels::Clearances::default())
        .asking(Circumstances {
            address: None,
            now: NOW * 1000,
            base_url: BASE.into(),
            implicit: ImplicitPolicy::AllNormal,
            membership: Default::default(),
        })
}
