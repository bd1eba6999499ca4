//! Users, clients and sessions.

use portcullis_oauth::clients::ClientSecretHash;
use portcullis_oauth::lockout::{AttemptCounter, AttemptKey, Lockout};
use portcullis_store::client_registration::{CLIENT_CHANGED, RegistrationChange};

use super::*;

#[tokio::test]
async fn a_user_name_that_differs_only_in_case_is_taken() {
    let world = World::new().await;
    for name in ["Ann", "ann", "ANN"] {
        assert_eq!(world.conflict(Change::AddUser(Box::new(user("other", name)))).await, "the user name is taken");
    }
    world.change(Change::AddUser(Box::new(user("emile", "Émile")))).await;
    assert_eq!(world.conflict(Change::AddUser(Box::new(user("other", "émile")))).await, "the user name is taken");
    assert_eq!(world.conflict(Change::AddUser(Box::new(user("ann", "Bob")))).await, "the user id is taken");
    assert_eq!(world.registry.users().await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_user_is_found_by_id_and_by_name_in_any_case() {
    let world = World::new().await;
    let stored = world.registry.user(&user_id("ann")).await.unwrap().unwrap();
    let given = user("ann", "Ann");
    assert_eq!(
        (&stored.username, &stored.display_name, stored.created_at),
        (&given.username, &given.display_name, given.created_at)
    );
    assert_eq!((stored.roles, stored.fhir_user, stored.patients), (given.roles, given.fhir_user, given.patients));
    assert!(stored.password_hash.equals(given.password_hash.expose()));
    for name in ["ann", "ANN", "Ann"] {
        assert_eq!(world.registry.user_named(name).await.unwrap().unwrap().id, user_id("ann"));
    }
    for absent in ["", "an", "ann ", "ann%"] {
        assert!(world.registry.user_named(absent).await.unwrap().is_none(), "{absent}");
    }
    assert!(world.registry.user(&user_id("Ann")).await.unwrap().is_none(), "ids are exact");
}

#[tokio::test]
async fn users_are_listed_by_name_and_may_have_nothing() {
    let world = World::new().await;
    let bare = User { roles: Roles::NONE, fhir_user: None, patients: Vec::new(), ..user("z", "Aaron") };
    world.change(Change::AddUser(Box::new(bare))).await;
    let users = world.registry.users().await.unwrap();
    assert_eq!(users.iter().map(|user| &*user.username).collect::<Vec<_>>(), ["Aaron", "Ann"]);
    assert!(users[0].roles.is_empty() && users[0].fhir_user.is_none() && users[0].patients.is_empty());
}

fn key(number: u8) -> AttemptKey {
    AttemptKey::from_bytes([number; 32])
}

#[tokio::test]
async fn wrong_passwords_are_counted_by_each_counter_and_signing_in_forgets_what_it_names() {
    let world = World::new().await;
    let counters = vec![(AttemptCounter::NameAndAddress, key(1)), (AttemptCounter::Address, key(2))];
    for _ in 0..5 {
        world.change(Change::CountFailure { counters: counters.clone(), now: NOW }).await;
    }
    let found = world.registry.lockouts(&[key(1), key(2), key(3)]).await.unwrap();
    let failed = |locked_until| Lockout { failures: 5, locked_until, last_failure_at: NOW };
    assert_eq!(found, [failed(Some(NOW + 60)), failed(None), Lockout::default()]);
    let Change::OpenSession { session, hash, .. } = session("s", "ann", NOW + 100) else { panic!("a session") };
    world.change(Change::OpenSession { session, hash, forget: vec![key(1)] }).await;
    assert_eq!(world.registry.lockouts(&[key(1), key(2)]).await.unwrap(), [Lockout::default(), failed(None)]);
}

#[tokio::test]
async fn counters_of_wrong_passwords_do_not_grow_without_end() {
    let world = World::new().await;
    let fill = "INSERT INTO sign_in_attempt WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 100700) \
                SELECT CAST(i AS BLOB), 1, NULL, 1800000000 + i FROM n";
    world.tamper(fill);
    let count = || world.integer("SELECT count(*) FROM sign_in_attempt");
    assert_eq!(count(), 100_700);
    for _ in 0..2 * super::super::CHANGES_PER_REMOVAL {
        world.change(Change::Nothing).await;
    }
    assert_eq!(count(), 100_000, "the oldest are gone");
    for _ in 0..super::super::CHANGES_PER_REMOVAL {
        world.attempt_at(NOW + 200_000 + Lockout::FORGOTTEN_AFTER_SECONDS, Change::Nothing).await.unwrap();
    }
    assert_eq!(count(), 99_500, "what is forgotten goes, some at a time");
}

#[tokio::test]
async fn nobody_unknown_signs_in() {
    let world = World::new().await;
    assert_eq!(world.conflict(session("s", "bob", NOW + 100)).await, "the user is unknown");
    assert_eq!(world.integer("SELECT count(*) FROM session"), 0);
}

#[tokio::test]
async fn a_session_is_open_until_its_end_or_until_it_is_closed() {
    let world = World::new().await;
    world.change(session("s", "ann", NOW + 100)).await;
    assert_eq!(world.conflict(session("s", "ann", NOW + 500)).await, "the session exists");
    let stored = world.registry.session(&SecretHash::of("s")).await.unwrap().unwrap();
    assert_eq!((stored.id, stored.user), (session_id("s"), user_id("ann")));
    assert_eq!((stored.authenticated_at, stored.expires_at), (NOW - 50, NOW + 100));
    assert!(world.registry.session(&SecretHash::of("other")).await.unwrap().is_none());
    let open = async |id: &str, now| world.registry.session_open(&session_id(id), now).await.unwrap();
    assert!(open("s", NOW + 99).await);
    assert!(!open("s", NOW + 100).await);
    assert!(!open("other", NOW).await);
    world.change(Change::CloseSession(session_id("s"))).await;
    assert!(!open("s", NOW).await);
    assert!(world.registry.session(&SecretHash::of("s")).await.unwrap().is_none());
    world.change(Change::CloseSession(session_id("s"))).await;
}

#[tokio::test]
async fn a_client_id_is_given_once() {
    let world = World::new().await;
    assert_eq!(
        world.conflict(Change::AddClient(Box::new(Client { name: "Evil".into(), ..client("app") }))).await,
        "the client id is taken"
    );
    assert_eq!(world.registry.client(&client_id("app")).await.unwrap(), Some(client("app")));
    assert_eq!(world.registry.client(&client_id("other")).await.unwrap(), None);
}

#[tokio::test]
async fn a_client_is_replaced_wholly_and_its_origins_with_it() {
    let world = World::new().await;
    let registered = async |origin: &str| world.registry.origin_registered(origin).await.unwrap();
    assert!(registered("https://app.example").await);
    assert!(registered("http://127.0.0.1:8000").await);
    for other in ["https://app.example:8443", "http://app.example", "https://APP.example", "https://app.example/", "null", ""] {
        assert!(!registered(other).await, "{other}");
    }
    let replacement = Client {
        name: "New name".into(),
        kind: ClientKind::ConfidentialSymmetric { secret_hash: ClientSecretHash::from_bytes([7; 32]) },
        redirect_uris: vec![RedirectUri::parse("https://new.example/cb").unwrap()],
        scope: ScopeSet::parse("openid").unwrap(),
        grant_types: vec![GrantType::AuthorizationCode],
        created_at: NOW + 1000,
        ..client("app")
    };
    world.change(Change::ReplaceClient(Box::new(replacement.clone()))).await;
    let expected = Client { created_at: client("app").created_at, ..replacement.clone() };
    assert_eq!(world.registry.client(&client_id("app")).await.unwrap(), Some(expected));
    assert!(registered("https://new.example").await);
    assert!(!registered("https://app.example").await);
    assert_eq!(world.conflict(Change::ReplaceClient(Box::new(client("other")))).await, "the client is unknown");
    assert_eq!(world.registry.clients().await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_was_made_of_a_client_that_somebody_changed_meanwhile_is_not_stored() {
    let world = World::new().await;
    let read = async || world.registry.client(&client_id("app")).await.unwrap().unwrap();
    let secret = |client: &Client, byte| Client {
        kind: ClientKind::ConfidentialSymmetric { secret_hash: ClientSecretHash::from_bytes([byte; 32]) },
        ..client.clone()
    };
    let before = read().await;
    let renamed = Client { name: "New name".into(), ..before.clone() };
    world.change(RegistrationChange::replacing(before.clone(), secret(&before, 7))).await;
    assert_eq!(world.conflict(RegistrationChange::replacing(before.clone(), renamed)).await, CLIENT_CHANGED);
    assert_eq!(read().await, secret(&before, 7), "the secret that was replaced does not come back");
    world.change(RegistrationChange::replacing(secret(&before, 7), secret(&before, 8))).await;
    world.change(Change::RemoveClient(client_id("app"))).await;
    assert_eq!(world.conflict(RegistrationChange::replacing(secret(&before, 8), before)).await, CLIENT_CHANGED);
}

#[tokio::test]
async fn an_origin_stays_as_long_as_one_client_has_it() {
    let world = World::new().await;
    world.change(Change::AddClient(Box::new(client("second")))).await;
    world.change(Change::RemoveClient(client_id("app"))).await;
    assert!(world.registry.origin_registered("https://app.example").await.unwrap());
    world.change(Change::RemoveClient(client_id("second"))).await;
    assert!(!world.registry.origin_registered("https://app.example").await.unwrap());
    assert_eq!(world.conflict(Change::RemoveClient(client_id("app"))).await, "the client is unknown");
}

#[tokio::test]
async fn clients_are_listed_by_id() {
    let world = World::new().await;
    world.change(Change::AddClient(Box::new(client("aaa")))).await;
    let ids: Vec<ClientId> = world.registry.clients().await.unwrap().into_iter().map(|client| client.id).collect();
    assert_eq!(ids, [client_id("aaa"), client_id("app")]);
}

#[tokio::test]
async fn a_client_that_was_asked_for_before_is_as_each_change_leaves_it_for_every_registry_of_the_store() {
    let world = World::new().await;
    let (id, other) = (client_id("app"), SqliteRegistry::new(&world.store));
    for name in ["First", "Second"] {
        world.change(Change::ReplaceClient(Box::new(Client { name: name.to_owned(), ..client("app") }))).await;
        for registry in [&world.registry, &other, &world.registry] {
            assert_eq!(registry.client(&id).await.unwrap().unwrap().name, name);
        }
    }
    // One that is undone, too.
    assert_eq!(world.conflict(Change::AddClient(Box::new(client("app")))).await, "the client id is taken");
    assert_eq!(other.client(&id).await.unwrap().unwrap().name, "Second");
    world.change(Change::RemoveClient(id.clone())).await;
    assert!(other.client(&id).await.unwrap().is_none() && world.registry.client(&id).await.unwrap().is_none());
}
