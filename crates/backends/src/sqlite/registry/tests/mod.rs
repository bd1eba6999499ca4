//! The registry on a real file: what conflicts, what a change leaves behind, and that its record is there exactly when it is.

mod assertions;
mod durability;
mod people;
mod safeguards;
mod secrets;
mod sign_in;
mod tokens;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use portcullis_audit::{Agent, Event, Outcome, PendingRecord, Record, RecordId};
use portcullis_fhir::reference::LocalReference;
use portcullis_fhir::types::LogicalId;
use portcullis_jose::{Algorithm, Secret, SigningKey, VerificationKeys};
use portcullis_oauth::access_token::{AccessTokenClaims, AccessTokenTrust, VerifiedToken};
use portcullis_oauth::clients::{Client, ClientKind, GrantType};
use portcullis_oauth::grant::{AuthorizationCode, Grant, RefreshBinding, RefreshToken, SecretHash};
use portcullis_oauth::identifiers::{ClientId, GrantId, SessionId, TokenId, UserId};
use portcullis_oauth::launch::ContextParameters;
use portcullis_oauth::pkce::CodeChallenge;
use portcullis_oauth::principal::{EstablishError, Principal};
use portcullis_oauth::redirect_uri::RedirectUri;
use portcullis_oauth::scopes::ScopeSet;
use portcullis_oauth::users::{Role, Roles, User};
use portcullis_store::registry::{Change, Session};
use portcullis_store::sign_in::SessionDetails;
use portcullis_store::{Registry, RegistryError};

use super::SqliteRegistry;
use crate::sqlite::root_key::RootKey;
use crate::sqlite::store::SqliteStore;

const NOW: i64 = 1_800_000_000;
const ISSUER: &str = "https://localhost:8443";
const BASE: &str = "https://localhost:8443/fhir";
static RECORDS: AtomicU64 = AtomicU64::new(1);

struct World {
    registry: SqliteRegistry,
    store: Arc<SqliteStore>,
    root: RootKey,
    directory: tempfile::TempDir,
}

impl World {
    fn empty() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = RootKey::generate().unwrap();
        let store = SqliteStore::open(&directory.path().join("portcullis.db"), &root).unwrap();
        Self { registry: SqliteRegistry::new(&store), store, root, directory }
    }

    /// A world with the user `ann` and the client `app`.
    async fn new() -> Self {
        let world = Self::empty();
        world.change(Change::AddUser(Box::new(user("ann", "Ann")))).await;
        world.change(Change::AddClient(Box::new(client("app")))).await;
        world
    }

    /// The same with the grant `g`, its code `code` and, after that was redeemed, its refresh token `r0`.
    async fn granted() -> Self {
        let world = Self::new().await;
        world.change(add_grant("g", "code")).await;
        world.change(spend("code", Some(refresh("r0", "g")))).await;
        world
    }

    async fn attempt_at(&self, now: i64, change: Change) -> Result<(), RegistryError> {
        let record = record(now);
        let acknowledgement = self.registry.apply(change, &record).await?;
        record.receipt(&acknowledgement).unwrap();
        Ok(())
    }

    async fn attempt(&self, change: Change) -> Result<(), RegistryError> {
        self.attempt_at(NOW, change).await
    }

    async fn change(&self, change: Change) {
        self.attempt(change).await.unwrap();
    }

    async fn conflict(&self, change: Change) -> &'static str {
        let before = self.records();
        let error = self.attempt(change).await.unwrap_err();
        assert_eq!(self.records(), before, "a change that was refused left its record");
        let RegistryError::Conflict(reason) = error else { panic!("{error:?}") };
        reason
    }

    /// The principal of a token of the grant `g` at this moment.
    async fn principal(&self) -> Result<Principal, EstablishError> {
        let token = token("app", "ann");
        let status = self.registry.token_status(&token, NOW).await.unwrap();
        Principal::establish(&token, &portcullis_oauth::confirmation::Possession::NOTHING, status, NOW)
            .map(|principal| principal.cleared(portcullis_fhir::labels::Clearances::default()))
    }

    fn records(&self) -> i64 {
        self.integer("SELECT count(*) FROM outbox")
    }

    fn integer(&self, sql: &str) -> i64 {
        self.store.readers().with(|connection| Ok(connection.query_row(sql, [], |row| row.get(0)).unwrap())).unwrap()
    }

    /// Changes the file behind the registry's back.
    fn tamper(&self, sql: &'static str) {
        let changed = self.store.writer().run_blocking(move |connection| Ok(connection.execute(sql, []).unwrap())).unwrap();
        assert!(changed > 0, "{sql}");
    }
}

fn record(now: i64) -> PendingRecord {
    let record = Record {
        id: RecordId(format!("{:032x}", RECORDS.fetch_add(1, Ordering::Relaxed))),
        recorded: now * 1000,
        event: Event::Administration,
        agent: Agent::default(),
        outcome: Outcome::Success,
        status: 0,
        decision: None,
        rules: Vec::new(),
        request: None,
        operations: Vec::new(),
        detail: None,
    };
    PendingRecord::new(&record).unwrap()
}

fn user_id(text: &str) -> UserId {
    UserId::parse(text).unwrap()
}

fn client_id(text: &str) -> ClientId {
    ClientId::parse(text).unwrap()
}

fn grant_id(text: &str) -> GrantId {
    GrantId::parse(text).unwrap()
}

fn session_id(text: &str) -> SessionId {
    SessionId::parse(text).unwrap()
}

fn user(id: &str, username: &str) -> User {
    User {
        id: user_id(id),
        username: username.into(),
        display_name: "Ann Example".into(),
        password_hash: Secret::new("$argon2id$v=19$m=1$x".into()),
        roles: Roles::NONE.with(Role::Patient).with(Role::Representative),
        fhir_user: LocalReference::parse("Patient/p1"),
        patients: vec![LogicalId::parse("p1").unwrap(), LogicalId::parse("p2").unwrap()],
        represents: Vec::new(),
        created_at: NOW - 100,
    }
}

fn client(id: &str) -> Client {
    let redirect_uris = ["https://app.example/callback", "https://app.example/other?x=1", "http://127.0.0.1:8000/cb"];
    Client {
        id: client_id(id),
        name: "An app".into(),
        kind: ClientKind::Public,
        redirect_uris: redirect_uris.map(|uri| RedirectUri::parse(uri).unwrap()).to_vec(),
        scope: ScopeSet::parse("openid launch/patient offline_access patient/*.rs").unwrap(),
        grant_types: GrantType::WITH_PERSON.to_vec(),
        created_at: NOW - 100,
        properties: Default::default(),
    }
}

fn session(id: &str, user: &str, expires_at: i64) -> Change {
    let session = Session {
        id: session_id(id),
        user: user_id(user),
        authenticated_at: NOW - 50,
        expires_at,
        details: SessionDetails::default(),
    };
    Change::OpenSession { session, hash: SecretHash::of(id), forget: Vec::new() }
}

fn grant(id: &str) -> Grant {
    Grant {
        id: grant_id(id),
        client: client_id("app"),
        user: user_id("ann"),
        patient: LogicalId::parse("p1"),
        context: ContextParameters { encounter: LogicalId::parse("e1"), intent: Some("summary".into()), ..Default::default() },
        scopes: ScopeSet::parse("patient/*.rs offline_access openid").unwrap(),
        session: session_id("s"),
        authenticated_at: NOW - 50,
        created_at: NOW,
        revoked_at: None,
    }
}

fn code(secret: &str, grant: &Grant) -> AuthorizationCode {
    AuthorizationCode {
        hash: SecretHash::of(secret),
        grant: grant.id.clone(),
        client: grant.client.clone(),
        redirect_uri: "https://app.example/callback".into(),
        challenge: CodeChallenge::parse("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
        key: None,
        scopes: grant.scopes.clone(),
        user: grant.user.clone(),
        patient: grant.patient.clone(),
        nonce: Some("nonce".into()),
        authenticated_at: grant.authenticated_at,
        expires_at: NOW + 60,
    }
}

fn add_grant(id: &str, secret: &str) -> Change {
    let grant = grant(id);
    let code = code(secret, &grant);
    Change::AddGrant(Box::new(grant), Box::new(code))
}

fn refresh(secret: &str, grant: &str) -> RefreshToken {
    RefreshToken::first(SecretHash::of(secret), grant_id(grant), client_id("app"), RefreshBinding::Offline, NOW)
}

fn spend(secret: &str, refresh: Option<RefreshToken>) -> Change {
    Change::SpendCode { code: SecretHash::of(secret), refresh: refresh.map(Box::new), now: NOW + 10 }
}

fn rotate(from: &str, to: &str) -> Change {
    let to = RefreshToken { generation: 1, ..refresh(to, "g") };
    Change::RotateRefresh { from: SecretHash::of(from), to: Box::new(to), now: NOW + 20 }
}

fn revoke(id: &str, now: i64) -> Change {
    Change::RevokeGrant { grant: grant_id(id), now }
}

/// A token of the grant `g`.
fn token(client: &str, user: &str) -> VerifiedToken {
    let claims = AccessTokenClaims {
        issuer: ISSUER.into(),
        subject: user_id(user).into(),
        audience: BASE.into(),
        client_id: client_id(client),
        expires_at: NOW + 300,
        issued_at: NOW,
        token_id: TokenId::parse("token").unwrap(),
        scope: "patient/*.rs".into(),
        grant: grant_id("g"),
        patient: LogicalId::parse("p1"),
        confirmation: None,
    };
    let key = SigningKey::generate(Algorithm::Es256).unwrap();
    let keys = VerificationKeys::of([&key]);
    let trust = AccessTokenTrust { keys: &keys, issuer: ISSUER, fhir_base: BASE };
    VerifiedToken::verify(&claims.sign(&key).unwrap(), &trust, NOW).unwrap()
}
