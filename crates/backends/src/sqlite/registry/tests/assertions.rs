//! Assertions count once, also over a restart; a client's own tokens follow its registration.

use std::sync::{Arc, LazyLock};

use portcullis_jose::{Algorithm, ClientKeySet, EmbeddedKeyJwt, Jwks, SigningKey, VerificationKeys, sign};
use portcullis_oauth::access_token::{AccessTokenClaims, AccessTokenTrust, Subject};
use portcullis_oauth::client_assertion::{PresentedAssertion, Recipient, VerifiedAssertion};
use portcullis_oauth::clients::KeySource;
use portcullis_oauth::dpop::{ProofTerms, VerifiedProof};
use portcullis_oauth::identifiers::TokenId;
use portcullis_store::registry::{ASSERTION_USED, PROOF_USED};
use serde_json::json;

use super::super::spent::{self, Spent, Use};
use super::*;
use crate::migrations::MAIN;
use crate::sqlite::database::open_writer;

static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::generate(Algorithm::Es256).unwrap());

const ISSUER: &str = "https://localhost:8443";

fn keys() -> String {
    Jwks::of([&*KEY]).to_json().to_string()
}

fn assertion(client: &str, jti: &str, now: i64) -> VerifiedAssertion {
    let claims = json!({"iss": client, "sub": client, "aud": ISSUER, "exp": now + 60, "jti": jti});
    let presented = PresentedAssertion::parse(&sign(&KEY, "JWT", &claims).unwrap()).unwrap();
    let recipient = Recipient { token_endpoint: ISSUER, issuer: ISSUER, also: &[] };
    presented.verify(&ClientKeySet::parse(keys().as_bytes()).unwrap(), &recipient, now).unwrap()
}

fn spend(client: &str, jti: &str, now: i64, then: Change) -> Change {
    Change::SpendAssertion { assertion: Arc::new(assertion(client, jti, now)), now, then: Box::new(then) }
}

fn backend(registration: &str) -> Client {
    Client {
        kind: ClientKind::ConfidentialAsymmetric {
            registration: grant_id(registration),
            keys: KeySource::value(&keys()).unwrap(),
        },
        redirect_uris: Vec::new(),
        scope: ScopeSet::parse("system/*.rs").unwrap(),
        grant_types: vec![GrantType::ClientCredentials],
        ..client("backend")
    }
}

fn own_token(registration: &str, id: &str) -> VerifiedToken {
    let base = format!("{ISSUER}/fhir");
    let claims = AccessTokenClaims {
        issuer: ISSUER.into(),
        subject: Subject::Client(client_id("backend")),
        audience: base.clone(),
        client_id: client_id("backend"),
        expires_at: NOW + 300,
        issued_at: NOW,
        token_id: TokenId::parse(id).unwrap(),
        scope: "system/*.rs".into(),
        grant: grant_id(registration),
        patient: None,
        confirmation: None,
    };
    let keys = VerificationKeys::of([&*KEY]);
    let trust = AccessTokenTrust { keys: &keys, issuer: ISSUER, fhir_base: &base };
    VerifiedToken::verify(&claims.sign(&KEY).unwrap(), &trust, NOW).unwrap()
}

async fn principal_of(world: &World, token: &VerifiedToken) -> Result<Principal, EstablishError> {
    Principal::establish(
        token,
        &portcullis_oauth::confirmation::Possession::NOTHING,
        world.registry.token_status(token, NOW).await.unwrap(),
        NOW,
    )
    .map(|principal| principal.cleared(portcullis_fhir::labels::Clearances::default()))
}

#[tokio::test]
async fn an_assertion_is_refused_the_second_time_also_after_a_restart() {
    let world = World::new().await;
    world.change(spend("a", "once", NOW, Change::Nothing)).await;
    assert_eq!(world.conflict(spend("a", "once", NOW, Change::Nothing)).await, ASSERTION_USED);
    world.change(spend("b", "once", NOW, Change::Nothing)).await;
    let World { registry, store, root, directory } = world;
    drop((registry, store));
    let store = SqliteStore::open(&directory.path().join("portcullis.db"), &root).unwrap();
    let world = World { registry: SqliteRegistry::new(&store), store, root, directory };
    assert_eq!(world.conflict(spend("a", "once", NOW, Change::Nothing)).await, ASSERTION_USED);
    let until = assertion("a", "once", NOW).remembered_until();
    assert_eq!(world.conflict(spend("a", "once", until, Change::Nothing)).await, ASSERTION_USED);
    world.change(spend("a", "once", until + 1, Change::Nothing)).await;
}

#[tokio::test]
async fn a_replayed_assertion_takes_what_was_asked_for_with_it() {
    let world = World::granted().await;
    world.change(spend("a", "once", NOW, Change::Nothing)).await;
    assert_eq!(world.conflict(spend("a", "once", NOW, revoke("g", NOW))).await, ASSERTION_USED);
    assert!(world.principal().await.is_ok(), "the grant was not revoked");
    world.change(spend("a", "twice", NOW, revoke("g", NOW))).await;
    assert!(world.principal().await.is_err());
}

#[tokio::test]
async fn spent_assertions_and_revoked_tokens_are_forgotten_after_their_time() {
    let world = World::new().await;
    world.change(spend("a", "once", NOW, Change::Nothing)).await;
    world.change(Change::RevokeToken { token: TokenId::parse("t").unwrap(), expires_at: NOW + 300 }).await;
    let rows =
        |world: &World| world.integer("SELECT (SELECT count(*) FROM spent_assertion) + (SELECT count(*) FROM revoked_token)");
    assert_eq!(rows(&world), 2);
    for now in [NOW + 300, NOW + 1000] {
        for _ in 0..super::super::CHANGES_PER_REMOVAL {
            world.attempt_at(now, Change::Nothing).await.unwrap();
        }
        assert_eq!(rows(&world), if now == NOW + 300 { 2 } else { 0 });
    }
}

#[tokio::test]
async fn what_is_used_again_after_its_time_outlives_the_removal_of_its_first_use() {
    let world = World::new().await;
    world.change(spend("a", "once", NOW, Change::Nothing)).await;
    let again = assertion("a", "once", NOW).remembered_until() + 1;
    world.attempt_at(again, spend("a", "once", again, Change::Nothing)).await.unwrap();
    for _ in 0..super::super::CHANGES_PER_REMOVAL {
        world.attempt_at(again, Change::Nothing).await.unwrap();
    }
    assert_eq!(world.integer("SELECT count(*) FROM spent_assertion"), 1);
    assert_eq!(world.conflict(spend("a", "once", again, Change::Nothing)).await, ASSERTION_USED);
}

#[tokio::test]
async fn an_assertion_whose_change_failed_was_not_used() {
    let world = World::granted().await;
    world.change(spend("a", "other", NOW, Change::Nothing)).await;
    // A batch of two of which the second is refused, once as the first of its transaction and once after another.
    let failing = || spend("a", "kept", NOW, spend("a", "other", NOW, Change::Nothing));
    assert_eq!(world.conflict(failing()).await, ASSERTION_USED);
    let (kept, failed) = tokio::join!(world.attempt(spend("a", "beside", NOW, Change::Nothing)), world.attempt(failing()));
    kept.unwrap();
    failed.unwrap_err();
    world.change(spend("a", "kept", NOW, Change::Nothing)).await;
    assert_eq!(world.conflict(spend("a", "kept", NOW, Change::Nothing)).await, ASSERTION_USED);
}

#[test]
fn assertions_that_were_used_before_the_tables_were_ordered_stay_used() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("portcullis.db");
    let before: Vec<_> = MAIN.iter().take_while(|migration| migration.number < 29).copied().collect();
    let old = open_writer(&path, &before).unwrap();
    old.execute_batch(
        "INSERT INTO spent_assertion VALUES ('a', x'00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff', 5);
         INSERT INTO spent_proof VALUES ('k', x'00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff', 5)",
    )
    .unwrap();
    drop(old);
    let connection = open_writer(&path, MAIN).unwrap();
    spent::remember(&connection).unwrap();
    let token_id: Vec<u8> =
        [0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff].repeat(2);
    for (kind, whose) in [(Spent::Assertions, "a"), (Spent::Proofs, "k")] {
        let used = |whose| Use { whose, token_id: &token_id, until: 9 };
        assert!(!kind.spend(&connection, &used(whose), 5).unwrap());
        assert!(kind.spend(&connection, &used("other"), 5).unwrap());
        assert!(kind.spend(&connection, &used(whose), 6).unwrap(), "its time is over");
    }
}

#[test]
fn what_was_used_while_the_clock_was_ahead_keeps_nothing_else_from_being_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let connection = open_writer(&directory.path().join("portcullis.db"), MAIN).unwrap();
    let year = NOW + 365 * 86_400;
    connection
        .execute_batch(&format!(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500) \
             INSERT INTO spent_assertion (whose, token_id, expires_at) SELECT 'a', CAST(printf('%016d', i) || 'x' AS BLOB), {year} FROM n"
        ))
        .unwrap();
    spent::remember(&connection).unwrap();
    let used = Use { whose: "a", token_id: &[7; 32], until: NOW + 300 };
    assert!(Spent::Assertions.spend(&connection, &used, NOW).unwrap());
    Spent::Assertions.forget(&connection, NOW + 301).unwrap();
    let count =
        |table: &str| connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!((count("spent_assertion"), count("temp.spent_assertion_key")), (2_500, 2_500));
}

#[tokio::test]
async fn clients_with_keys_come_back_as_they_were_registered() {
    let world = World::new().await;
    world.change(Change::AddClient(Box::new(backend("r1")))).await;
    assert_eq!(world.registry.client(&client_id("backend")).await.unwrap(), Some(backend("r1")));
    let mut moved = backend("r1");
    moved.kind = ClientKind::ConfidentialAsymmetric {
        registration: grant_id("r1"),
        keys: KeySource::url("https://keys.example/jwks").unwrap(),
    };
    world.change(Change::ReplaceClient(Box::new(moved.clone()))).await;
    assert_eq!(world.registry.clients().await.unwrap(), [client("app"), moved]);
    world.tamper("UPDATE client SET kind = 'public' WHERE id = 'backend'");
    assert!(matches!(world.registry.client(&client_id("backend")).await, Err(RegistryError::Corrupt(_))));
}

#[tokio::test]
async fn a_clients_own_token_stands_and_falls_with_its_registration() {
    let world = World::new().await;
    let (first, second) = (own_token("r1", "t1"), own_token("r1", "t2"));
    assert_eq!(principal_of(&world, &first).await.unwrap_err(), EstablishError::Inactive);
    world.change(Change::AddClient(Box::new(backend("r1")))).await;
    let principal = principal_of(&world, &first).await.unwrap();
    assert!(principal.user().is_none() && principal.registered().is_some());
    world.change(Change::RevokeToken { token: TokenId::parse("t1").unwrap(), expires_at: NOW + 300 }).await;
    assert_eq!(principal_of(&world, &first).await.unwrap_err(), EstablishError::Inactive);
    assert!(principal_of(&world, &second).await.is_ok());
    // A narrower registration holds for the next request.
    let narrow = Client { scope: ScopeSet::parse("system/Patient.r").unwrap(), ..backend("r1") };
    world.change(Change::ReplaceClient(Box::new(narrow))).await;
    let registered = principal_of(&world, &second).await.unwrap().registered().cloned();
    assert_eq!(registered, Some(ScopeSet::parse("system/Patient.r").unwrap().compiled()));
    let by_people = Client { grant_types: GrantType::WITH_PERSON.to_vec(), ..backend("r1") };
    world.change(Change::ReplaceClient(Box::new(by_people))).await;
    assert_eq!(principal_of(&world, &second).await.unwrap_err(), EstablishError::Inactive);
    world.change(Change::RemoveClient(client_id("backend"))).await;
    world.change(Change::AddClient(Box::new(backend("r2")))).await;
    assert_eq!(principal_of(&world, &second).await.unwrap_err(), EstablishError::Inactive, "a new registration under the old id");
    assert!(principal_of(&world, &own_token("r2", "t3")).await.is_ok());
}

fn proof(key: &SigningKey, id: &str, now: i64) -> Change {
    let claims = json!({"jti": id, "htm": "POST", "htu": ISSUER, "iat": now, "nonce": "n"});
    let text = EmbeddedKeyJwt::sign(key, "dpop+jwt", &claims).unwrap();
    let terms = ProofTerms { method: "POST", url: ISSUER, nonces: &["n"], access_token: None, now };
    let proof = VerifiedProof::verify(&text, &terms).unwrap();
    Change::SpendProof { proof: Arc::new(proof), now, then: Box::new(Change::Nothing) }
}

#[tokio::test]
async fn a_dpop_proof_counts_once_for_its_key_and_is_forgotten_when_it_could_not_count_any_more() {
    let world = World::new().await;
    let other = SigningKey::generate(Algorithm::Es256).unwrap();
    world.change(proof(&KEY, "1", NOW)).await;
    assert_eq!(world.conflict(proof(&KEY, "1", NOW)).await, PROOF_USED);
    assert_eq!(world.conflict(proof(&KEY, "1", NOW + 360)).await, PROOF_USED);
    world.change(proof(&other, "1", NOW)).await;
    world.change(proof(&KEY, "2", NOW)).await;
    world.change(proof(&KEY, "1", NOW + 361)).await;
}
