//! Change and record together or not at all, rows that cannot be read, a full disk, and what expires.

use portcullis_oauth::grant::CodeState;
use portcullis_store::{Outbox, StoreError};

use super::super::CHANGES_PER_REMOVAL;
use super::super::expiry::{CODE_KEPT_SECONDS, REVOKED_GRANT_KEPT_SECONDS};
use super::*;

#[tokio::test]
async fn the_exact_record_is_stored_with_the_change_and_also_with_none() {
    let world = World::empty();
    let (first, second) = (record(NOW), record(NOW));
    world.registry.apply(Change::AddUser(Box::new(user("ann", "Ann"))), &first).await.unwrap();
    world.registry.apply(Change::Nothing, &second).await.unwrap();
    let waiting = world.store.waiting(10).unwrap();
    let expected = [&first, &second].map(|record| (record.id().clone(), record.bytes().to_vec()));
    assert_eq!(waiting, expected);
}

#[tokio::test]
async fn a_change_whose_record_cannot_be_stored_is_undone() {
    let world = World::empty();
    let record = record(NOW);
    world.registry.apply(Change::Nothing, &record).await.unwrap();
    let again = world.registry.apply(Change::AddUser(Box::new(user("ann", "Ann"))), &record).await;
    assert!(matches!(again, Err(RegistryError::Corrupt(_))), "{again:?}");
    assert!(world.registry.users().await.unwrap().is_empty());
    assert_eq!(world.records(), 1);
}

#[tokio::test]
async fn a_full_disk_is_unavailable_and_leaves_neither_change_nor_record() {
    let world = World::new().await;
    let pages = |count: i64| {
        let set = world.store.writer().run_blocking(move |connection| {
            connection.pragma_update(None, "max_page_count", count).map_err(|error| StoreError::Unavailable(Box::new(error)))
        });
        set.unwrap();
    };
    let used = world.integer("PRAGMA page_count");
    pages(used);
    let large = User { display_name: "x".repeat(100_000), ..user("bob", "Bob") };
    let before = world.records();
    let refused = world.attempt(Change::AddUser(Box::new(large))).await;
    assert!(matches!(refused, Err(RegistryError::Unavailable(_))), "{refused:?}");
    assert_eq!(world.records(), before);
    assert!(world.registry.user(&user_id("bob")).await.unwrap().is_none());
    pages(1 << 20);
    world.change(Change::AddUser(Box::new(user("bob", "Bob")))).await;
}

#[tokio::test]
async fn changes_survive_the_process() {
    let world = World::granted().await;
    let World { registry, store, root, directory } = world;
    drop((registry, store));
    let store = SqliteStore::open(&directory.path().join("portcullis.db"), &root).unwrap();
    let world = World { registry: SqliteRegistry::new(&store), store, root, directory };
    assert!(world.principal().await.is_ok());
    assert_eq!(world.registry.client(&client_id("app")).await.unwrap(), Some(client("app")));
    assert_eq!(world.records(), 4);
}

#[tokio::test]
async fn rows_that_cannot_be_read_are_corrupt_and_never_a_principal() {
    for sql in [
        "UPDATE user SET roles = 'patient emperor'",
        "UPDATE user SET patients = 'p1 not/an/id'",
        "UPDATE user SET fhir_user = 'nonsense'",
        "UPDATE grant_ SET epoch = -1",
    ] {
        let world = World::granted().await;
        world.tamper(sql);
        let status = world.registry.token_status(&token("app", "ann"), NOW).await;
        assert!(matches!(status, Err(RegistryError::Corrupt(_))), "{sql}");
    }
    let world = World::new().await;
    world.change(add_grant("g", "code")).await;
    for sql in [
        "UPDATE client SET scope = 'nonsense'",
        "UPDATE client SET scope = '', kind = 'confidential-symmetric'",
        "UPDATE client SET kind = 'public', redirect_uris = 'http://evil.example/'",
        "UPDATE client SET redirect_uris = '', secret_hash = x'00'",
    ] {
        world.tamper(sql);
        assert!(matches!(world.registry.client(&client_id("app")).await, Err(RegistryError::Corrupt(_))), "{sql}");
        assert!(matches!(world.registry.clients().await, Err(RegistryError::Corrupt(_))), "{sql}");
    }
    world.tamper("UPDATE code SET challenge = 'short'");
    assert!(matches!(world.registry.code(&SecretHash::of("code")).await, Err(RegistryError::Corrupt(_))));
    world.tamper("UPDATE grant_ SET scope = 'nonsense'");
    assert!(matches!(world.registry.grant(&grant_id("g")).await, Err(RegistryError::Corrupt(_))));
}

/// Changes that change nothing, until the removal has run at this time.
async fn let_removal_run(world: &World, now: i64) {
    for _ in 0..CHANGES_PER_REMOVAL {
        world.attempt_at(now, Change::Nothing).await.unwrap();
    }
}

#[tokio::test]
async fn codes_and_sessions_are_removed_some_time_after_their_end_and_not_before() {
    let world = World::new().await;
    world.change(add_grant("g", "code")).await;
    world.change(session("s", "ann", NOW + 100)).await;
    let code = SecretHash::of("code");
    let end = NOW + 60 + CODE_KEPT_SECONDS;
    let_removal_run(&world, NOW + 100).await;
    assert!(world.registry.session(&SecretHash::of("s")).await.unwrap().is_some());
    let_removal_run(&world, end).await;
    assert!(world.registry.session(&SecretHash::of("s")).await.unwrap().is_none());
    assert!(matches!(world.registry.code(&code).await.unwrap(), Some(CodeState::Issued(_))));
    let_removal_run(&world, end + 1).await;
    assert_eq!(world.registry.code(&code).await.unwrap(), None);
    assert!(world.principal().await.is_ok(), "the grant stands");
}

#[tokio::test]
async fn a_revoked_grant_is_removed_with_its_family_after_its_time_and_a_standing_one_never() {
    let world = World::granted().await;
    world.change(rotate("r0", "r1")).await;
    world.change(add_grant("h", "code of h")).await;
    world.change(spend("code of h", Some(refresh("of h", "h")))).await;
    world.change(revoke("g", NOW)).await;
    let_removal_run(&world, NOW + REVOKED_GRANT_KEPT_SECONDS).await;
    assert!(world.registry.refresh(&SecretHash::of("r0")).await.unwrap().is_some());
    let_removal_run(&world, NOW + REVOKED_GRANT_KEPT_SECONDS + 1).await;
    for token in ["r0", "r1"] {
        assert!(world.registry.refresh(&SecretHash::of(token)).await.unwrap().is_none(), "{token}");
    }
    assert_eq!(world.registry.grant(&grant_id("g")).await.unwrap(), None);
    assert_eq!(world.principal().await.unwrap_err(), EstablishError::Inactive);
    let_removal_run(&world, i64::from(u32::MAX)).await;
    assert!(world.registry.refresh(&SecretHash::of("of h")).await.unwrap().is_some());
    assert!(world.registry.grant(&grant_id("h")).await.unwrap().is_some());
}
