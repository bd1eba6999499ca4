//! Grants, codes, refresh tokens, and what holds about an access token.

use portcullis_oauth::grant::{CodeState, RefreshState};
use portcullis_oauth::principal::PurposeOfUse;
use portcullis_store::registry::StandingGrant;
use portcullis_store::sign_in::SignInChange;

use super::*;

#[tokio::test]
async fn a_code_cannot_be_redeemed_twice() {
    let world = World::granted().await;
    assert_eq!(world.conflict(spend("code", Some(refresh("r1", "g")))).await, "the code was used before");
    assert!(world.registry.refresh(&SecretHash::of("r1")).await.unwrap().is_none());
    assert_eq!(world.conflict(spend("other", None)).await, "the code is unknown");
    let state = world.registry.code(&SecretHash::of("code")).await.unwrap();
    assert_eq!(state, Some(CodeState::Spent { grant: grant_id("g"), client: grant("g").client }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_redemptions_at_the_same_time_one_succeeds() {
    let world = Arc::new(World::new().await);
    world.change(add_grant("g", "code")).await;
    let attempts: Vec<_> = (0..20)
        .map(|number| {
            let world = Arc::clone(&world);
            tokio::spawn(async move { world.attempt(spend("code", Some(refresh(&format!("r{number}"), "g")))).await })
        })
        .collect();
    let mut succeeded = 0;
    for attempt in attempts {
        match attempt.await.unwrap() {
            Ok(()) => succeeded += 1,
            Err(RegistryError::Conflict(reason)) => assert_eq!(reason, "the code was used before"),
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(succeeded, 1);
    assert_eq!(world.integer("SELECT count(*) FROM refresh"), 1);
}

#[tokio::test]
async fn a_code_reads_back_as_it_was_issued() {
    let world = World::new().await;
    world.change(add_grant("g", "code")).await;
    let state = world.registry.code(&SecretHash::of("code")).await.unwrap();
    assert_eq!(state, Some(CodeState::Issued(Box::new(code("code", &grant("g"))))));
    assert_eq!(world.registry.code(&SecretHash::of("other")).await.unwrap(), None);
    assert_eq!(world.registry.grant(&grant_id("g")).await.unwrap(), Some(grant("g")));
    assert_eq!(world.registry.grant(&grant_id("other")).await.unwrap(), None);
}

#[tokio::test]
async fn a_grant_may_have_no_patient_and_a_code_no_nonce() {
    let world = World::new().await;
    let grant = Grant { patient: None, ..grant("g") };
    let code = AuthorizationCode { nonce: None, ..code("code", &grant) };
    world.change(Change::AddGrant(Box::new(grant.clone()), Box::new(code.clone()))).await;
    assert_eq!(world.registry.grant(&grant.id).await.unwrap(), Some(grant));
    assert_eq!(world.registry.code(&code.hash).await.unwrap(), Some(CodeState::Issued(Box::new(code))));
}

#[tokio::test]
async fn a_grant_needs_its_client_its_user_and_a_code_of_its_own() {
    let world = World::new().await;
    let with = |change: fn(&mut Grant)| {
        let mut grant = grant("g");
        change(&mut grant);
        let code = code("code", &grant);
        Change::AddGrant(Box::new(grant), Box::new(code))
    };
    assert_eq!(world.conflict(with(|grant| grant.client = client_id("other"))).await, "the client is unknown");
    assert_eq!(world.conflict(with(|grant| grant.user = user_id("other"))).await, "the user is unknown");
    let wider = Grant { scopes: ScopeSet::parse("user/*.cruds").unwrap(), ..grant("g") };
    for other in [grant("h"), wider, Grant { patient: LogicalId::parse("p2"), ..grant("g") }] {
        let change = Change::AddGrant(Box::new(grant("g")), Box::new(code("code", &other)));
        assert_eq!(world.conflict(change).await, "the code is of another grant");
    }
    assert_eq!(world.integer("SELECT count(*) FROM grant_"), 0);
    world.change(add_grant("g", "code")).await;
    assert_eq!(world.conflict(add_grant("g", "code2")).await, "the grant exists");
    assert_eq!(world.conflict(add_grant("h", "code")).await, "the code exists");
}

#[tokio::test]
async fn a_grant_shows_when_it_was_last_used_and_when_its_tokens_end() {
    let world = World::new().await;
    world.change(add_grant("g", "code")).await;
    let shown = async || {
        let standing = world.registry.grants_of(&user_id("ann")).await.unwrap().remove(0);
        (standing.last_used_at, standing.ends_at)
    };
    assert_eq!(shown().await, (None, NOW + 60), "a code that waits");
    world.change(spend("code", None)).await;
    assert_eq!(shown().await, (None, NOW + 10 + 3600), "an access token alone");

    let world = World::granted().await;
    let shown = async || {
        let standing = world.registry.grants_of(&user_id("ann")).await.unwrap().remove(0);
        (standing.last_used_at, standing.ends_at)
    };
    assert_eq!(shown().await, (None, refresh("r0", "g").expires_at));
    world.change(rotate("r0", "r1")).await;
    assert_eq!(shown().await.0, Some(NOW + 20), "a refresh is a use");
    for (now, expected) in [(NOW + 25, NOW + 25), (NOW + 84, NOW + 25), (NOW + 85, NOW + 85), (NOW + 30, NOW + 85)] {
        world.registry.note_use(&grant_id("g"), now);
        world.change(Change::Nothing).await;
        assert_eq!(shown().await.0, Some(expected), "a use at {now}");
    }
    world.registry.note_use(&grant_id("absent"), NOW);
    world.change(Change::Nothing).await;
}

#[tokio::test]
async fn an_online_grant_ends_with_its_session() {
    let world = World::new().await;
    world.change(session("s", "ann", NOW + 5000)).await;
    world.change(add_grant("g", "code")).await;
    let online = RefreshToken { binding: RefreshBinding::Online(session_id("s")), ..refresh("r0", "g") };
    world.change(spend("code", Some(online))).await;
    let ends_at = async || world.registry.grants_of(&user_id("ann")).await.unwrap()[0].ends_at;
    assert_eq!(ends_at().await, NOW + 5000, "the end of the session, though the token would be good for longer");
    world.change(Change::CloseSession(session_id("s"))).await;
    assert_eq!(ends_at().await, NOW + 10 + 3600, "only the access token lives on");
}

#[tokio::test]
async fn a_refresh_token_is_exchanged_once() {
    let world = World::granted().await;
    assert_eq!(world.registry.refresh(&SecretHash::of("r0")).await.unwrap(), Some(refresh("r0", "g")));
    world.change(rotate("r0", "r1")).await;
    let old = world.registry.refresh(&SecretHash::of("r0")).await.unwrap().unwrap();
    let new = world.registry.refresh(&SecretHash::of("r1")).await.unwrap().unwrap();
    assert_eq!((old.state, old.generation), (RefreshState::Superseded, 0));
    assert_eq!((new.state, new.generation), (RefreshState::Current, 1));
    assert_eq!(world.conflict(rotate("r0", "r2")).await, "the refresh token was used before");
    assert_eq!(world.conflict(rotate("other", "r2")).await, "the refresh token is unknown");
    assert_eq!(world.conflict(rotate("r1", "r0")).await, "the refresh token exists");
    assert_eq!(world.registry.refresh(&SecretHash::of("r2")).await.unwrap(), None);
    let still = world.registry.refresh(&SecretHash::of("r1")).await.unwrap().unwrap();
    assert_eq!(still.state, RefreshState::Current, "a refused rotation superseded the token");
}

#[tokio::test]
async fn a_refresh_token_of_another_grant_or_client_is_refused() {
    let world = World::new().await;
    world.change(add_grant("g", "code")).await;
    world.change(add_grant("h", "code of h")).await;
    let foreign = RefreshToken { client: client_id("other"), ..refresh("r", "g") };
    for token in [refresh("r", "h"), foreign] {
        assert_eq!(world.conflict(spend("code", Some(token))).await, "the refresh token is of another grant");
    }
    let state = world.registry.code(&SecretHash::of("code")).await.unwrap();
    assert!(matches!(state, Some(CodeState::Issued(_))), "a change that was refused spent the code");
}

#[tokio::test]
async fn an_online_token_keeps_its_session() {
    let world = World::new().await;
    world.change(add_grant("g", "code")).await;
    let online = RefreshToken { binding: RefreshBinding::Online(session_id("s")), ..refresh("r0", "g") };
    world.change(spend("code", Some(online.clone()))).await;
    assert_eq!(world.registry.refresh(&online.hash).await.unwrap(), Some(online));
}

#[tokio::test]
async fn nothing_descends_from_the_grant_of_a_locked_user_until_the_account_is_unlocked() {
    let world = World::granted().await;
    world.change(add_grant("h", "unused")).await;
    let sign_in = |change| Change::SignIn(Box::new(change));
    world.change(sign_in(SignInChange::Lock(user_id("ann")))).await;
    assert_eq!(world.conflict(rotate("r0", "r1")).await, "the grant was revoked");
    assert_eq!(world.conflict(spend("unused", None)).await, "the grant was revoked");
    world.change(sign_in(SignInChange::Unlock(user_id("ann")))).await;
    world.change(rotate("r0", "r1")).await;
    world.change(spend("unused", None)).await;
}

#[tokio::test]
async fn nothing_descends_from_a_revoked_grant() {
    let world = World::granted().await;
    world.change(add_grant("h", "unused")).await;
    world.change(revoke("g", NOW + 30)).await;
    world.change(revoke("h", NOW + 30)).await;
    assert_eq!(world.conflict(rotate("r0", "r1")).await, "the grant was revoked");
    assert_eq!(world.conflict(spend("unused", None)).await, "the grant was revoked");
    let kept = world.registry.refresh(&SecretHash::of("r0")).await.unwrap();
    assert_eq!(kept.map(|token| token.family), Some(grant_id("g")), "a reuse must still be recognised");
    assert!(world.registry.grants_of(&user_id("ann")).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_grant_is_revoked_once() {
    let world = World::granted().await;
    world.change(revoke("g", NOW + 30)).await;
    world.change(revoke("g", NOW + 40)).await;
    world.change(revoke("absent", NOW + 40)).await;
    assert_eq!(world.registry.grant(&grant_id("g")).await.unwrap().unwrap().revoked_at, Some(NOW + 30));
    assert_eq!(world.integer("SELECT epoch FROM grant_"), 2);
}

#[tokio::test]
async fn the_grants_of_a_user_are_listed_newest_first() {
    let world = World::new().await;
    world.change(Change::AddUser(Box::new(user("bob", "Bob")))).await;
    for (id, owner, created_at) in [("old", "ann", NOW - 9), ("new", "ann", NOW), ("revoked", "ann", NOW), ("other", "bob", NOW)]
    {
        let grant = Grant { user: user_id(owner), created_at, ..grant(id) };
        let code = code(id, &grant);
        world.change(Change::AddGrant(Box::new(grant), Box::new(code))).await;
    }
    world.change(revoke("revoked", NOW)).await;
    let standing = world.registry.grants_of(&user_id("ann")).await.unwrap();
    let expected = StandingGrant { grant: grant("new"), last_used_at: None, ends_at: NOW + 60 };
    assert_eq!(standing[0], expected);
    assert_eq!(standing.iter().map(|standing| standing.grant.id.as_str()).collect::<Vec<_>>(), ["new", "old"]);
}

#[tokio::test]
async fn a_revocation_is_seen_by_the_next_token_status() {
    let world = World::granted().await;
    let epoch = world.principal().await.unwrap().epoch();
    world.change(revoke("g", NOW)).await;
    assert_eq!(world.principal().await.unwrap_err(), EstablishError::Inactive);
    assert!(world.integer("SELECT epoch FROM grant_") > i64::try_from(epoch).unwrap());
}

#[tokio::test]
async fn a_removed_client_ends_its_tokens_also_when_the_id_is_given_again() {
    let world = World::granted().await;
    world.attempt_at(NOW + 70, Change::RemoveClient(client_id("app"))).await.unwrap();
    assert_eq!(world.principal().await.unwrap_err(), EstablishError::Inactive);
    assert_eq!(world.registry.grant(&grant_id("g")).await.unwrap().unwrap().revoked_at, Some(NOW + 70));
    world.change(Change::AddClient(Box::new(client("app")))).await;
    assert_eq!(world.principal().await.unwrap_err(), EstablishError::Inactive);
    assert_eq!(world.conflict(rotate("r0", "r1")).await, "the grant was revoked");
}

#[tokio::test]
async fn a_token_without_its_grant_client_or_user_is_not_active() {
    for sql in ["DELETE FROM grant_", "DELETE FROM client", "DELETE FROM user"] {
        let world = World::granted().await;
        world.tamper(sql);
        assert_eq!(world.principal().await.unwrap_err(), EstablishError::Inactive, "{sql}");
    }
}

#[tokio::test]
async fn a_token_of_another_client_or_user_than_its_grant_is_not_active() {
    let world = World::granted().await;
    world.change(Change::AddClient(Box::new(client("other")))).await;
    world.change(Change::AddUser(Box::new(user("bob", "Bob")))).await;
    for (client, user) in [("other", "ann"), ("app", "bob")] {
        let token = token(client, user);
        let status = world.registry.token_status(&token, NOW).await.unwrap();
        assert_eq!(
            Principal::establish(&token, &portcullis_oauth::confirmation::Possession::NOTHING, status, NOW).unwrap_err(),
            EstablishError::Inactive
        );
    }
}

#[tokio::test]
async fn a_status_shows_the_user_as_registered_at_this_moment() {
    let world = World::granted().await;
    let principal = world.principal().await.unwrap();
    let found = principal.user().unwrap();
    let given = user("ann", "Ann");
    assert_eq!(
        (&found.id, found.roles, &found.fhir_user, &found.patients),
        (&given.id, given.roles, &given.fhir_user, &given.patients)
    );
    assert_eq!((principal.client().as_str(), principal.epoch()), ("app", 1));
    world.tamper("UPDATE user SET patients = '', roles = '', fhir_user = NULL");
    let principal = world.principal().await.unwrap();
    let found = principal.user().unwrap();
    assert!(found.patients.is_empty() && found.roles.is_empty() && found.fhir_user.is_none());
}

#[tokio::test]
async fn the_purpose_follows_from_the_roles() {
    let world = World::granted().await;
    for (sql, purpose) in [
        ("UPDATE user SET roles = 'patient clinician'", PurposeOfUse::TREATMENT),
        ("UPDATE user SET roles = 'representative'", PurposeOfUse::FAMILY_REQUEST),
        ("UPDATE user SET roles = 'clinician administrator'", PurposeOfUse::TREATMENT),
        ("UPDATE user SET roles = 'auditor'", PurposeOfUse::OPERATIONS),
        ("UPDATE user SET roles = ''", PurposeOfUse::OPERATIONS),
    ] {
        world.tamper(sql);
        assert_eq!(world.principal().await.unwrap().purpose_of_use(), purpose, "{sql}");
    }
}
