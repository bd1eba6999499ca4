//! Rights that take two people, proposals and broken glass: who is refused, and what counts for a token at once.

use portcullis_oauth::approval::{Actor, ChangeKind, ChangeState, PROPOSAL_SECONDS, PendingChange};
use portcullis_oauth::break_glass::{GlassEntry, MAXIMUM_AT_ONCE};
use portcullis_oauth::entitlements::Entitlement;
use portcullis_oauth::identifiers::SessionId;
use portcullis_oauth::lockout::{AttemptCounter, AttemptKey};
use portcullis_oauth::principal::PurposeOfUse;
use portcullis_store::safeguards::{NOT_ENTITLED, OPEN_ALREADY, SafeguardChange, SafeguardRegistry, TOO_MUCH_GLASS};
use portcullis_store::sign_in::SignInChange;

use super::*;

const NOT_WAITING: &str = "this change does not wait for a decision any more";

fn change(safeguard: SafeguardChange) -> Change {
    Change::Safeguard(Box::new(safeguard))
}

fn account(name: &str) -> Actor {
    Actor::Account(name.into())
}

fn person(name: &str) -> Actor {
    Actor::User(user_id(name))
}

fn give(name: &str, entitlement: Entitlement, first: bool) -> Change {
    change(SafeguardChange::Give { user: user_id(name), entitlement, by: account("root"), first })
}

fn proposal(id: &str, by: &Actor) -> PendingChange {
    let content = (ChangeKind::BreakGlass, "{\"right\":\"break-glass\",\"user\":\"ann\"}".to_owned());
    PendingChange::propose(id.to_owned(), content, by, NOW).benefiting(user_id("ann"))
}

fn propose(proposal: &PendingChange) -> Change {
    change(SafeguardChange::Propose(Box::new(proposal.clone())))
}

fn approve(proposal: &PendingChange, by: Actor) -> Change {
    change(SafeguardChange::Approve { id: proposal.id.clone(), digest: proposal.digest.clone(), by })
}

fn glass(id: &str, patient: &str) -> Change {
    change(SafeguardChange::BreakGlass(Box::new(GlassEntry {
        id: id.into(),
        user: user_id("ann"),
        patient: LogicalId::parse(patient).unwrap(),
        reason: "Unconscious after a fall".into(),
        began_at: NOW,
        ends_at: NOW + 3600,
        ended_at: None,
        ended_by: None,
    })))
}

/// Ann is a clinician with a token; Sam and Tim are security officers who may agree to changes.
async fn world() -> World {
    let world = World::granted().await;
    world.tamper("UPDATE user SET roles = 'clinician'");
    for name in ["sam", "tim"] {
        world
            .change(Change::AddUser(Box::new(User { roles: Roles::NONE.with(Role::SecurityOfficer), ..user(name, name) })))
            .await;
        world.change(give(name, Entitlement::ApproveChanges, true)).await;
    }
    world
}

fn session_id() -> SessionId {
    SessionId::parse("s").unwrap()
}

async fn broken(world: &World) -> Vec<String> {
    let principal = world.principal().await.unwrap().stating(Some(PurposeOfUse::BREAK_GLASS));
    principal.purposes().broken_glass().iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn only_the_first_two_get_the_right_to_agree_by_one_persons_word() {
    let world = world().await;
    world.change(Change::AddUser(Box::new(user("eve", "Eve")))).await;
    let reason = "two people are needed for this right by now";
    assert_eq!(world.conflict(give("eve", Entitlement::ApproveChanges, true)).await, reason);
    // Not even after theirs was taken: that would make the operator two people.
    for name in ["sam", "tim"] {
        let (user, entitlement) = (user_id(name), Entitlement::ApproveChanges);
        world.change(change(SafeguardChange::End { user, entitlement, by: account("root") })).await;
    }
    assert_eq!(world.conflict(give("eve", Entitlement::ApproveChanges, true)).await, reason);
    assert_eq!(world.conflict(give("eve", Entitlement::BreakGlass, true)).await, reason);
}

#[tokio::test]
async fn a_right_is_given_by_a_second_person_who_is_neither_proposer_nor_beneficiary() {
    let world = world().await;
    world.change(Change::AddUser(Box::new(user("eve", "Eve")))).await;
    let waiting = proposal("1", &account("root"));
    world.change(propose(&waiting)).await;
    assert_eq!(world.conflict(propose(&proposal("2", &account("root")))).await, "this very change waits already");
    for (by, reason) in [
        (account("root"), "whoever proposed a change does not agree to it: a second person does"),
        (person("ann"), "nobody agrees to a change that benefits themselves"),
        (person("eve"), "the right to decide about changes is missing"),
        (person("nobody"), "the right to decide about changes is missing"),
    ] {
        assert_eq!(world.conflict(approve(&waiting, by)).await, reason);
    }
    let other = PendingChange { digest: "0".repeat(64), ..waiting.clone() };
    let reason = "the digest is not that of the change that waits: look at it again";
    assert_eq!(world.conflict(approve(&other, person("sam"))).await, reason);
    assert_eq!(world.integer("SELECT count(*) FROM entitlement WHERE kind = 'break-glass'"), 0);
    world.change(approve(&waiting, person("sam"))).await;
    assert_eq!(world.registry.entitlements_of(&user_id("ann")).await.unwrap(), [Entitlement::BreakGlass]);
    let given = world.registry.entitlements().await.unwrap().into_iter().find(|given| given.user == user_id("ann")).unwrap();
    assert_eq!((given.given_by.as_str(), given.approved_by.as_deref()), ("account:root", Some("user:sam")));
    assert_eq!(world.conflict(approve(&waiting, person("tim"))).await, NOT_WAITING, "once");
}

#[tokio::test]
async fn of_two_who_decide_at_the_same_time_the_second_is_late() {
    let world = world().await;
    let waiting = proposal("1", &account("root"));
    world.change(propose(&waiting)).await;
    let (one, other) = tokio::join!(
        world.attempt(approve(&waiting, person("sam"))),
        world.attempt(change(SafeguardChange::Refuse { id: "1".into(), by: person("tim") }))
    );
    assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
    let state = world.registry.pending_change("1").await.unwrap().unwrap().state;
    assert_eq!(state == ChangeState::Applied, one.is_ok());
}

#[tokio::test]
async fn a_proposal_that_changed_in_the_file_or_whose_time_is_over_is_not_applied() {
    let world = world().await;
    let waiting = proposal("1", &account("root"));
    world.change(propose(&waiting)).await;
    let late = world.attempt_at(NOW + PROPOSAL_SECONDS, approve(&waiting, person("sam"))).await.unwrap_err();
    assert!(late.to_string().contains("the time to decide"), "{late}");
    world.tamper("UPDATE pending_change SET content = '{\"right\":\"break-glass\",\"user\":\"eve\"}'");
    let reason = "the digest is not that of the change that waits: look at it again";
    assert_eq!(world.conflict(approve(&waiting, person("sam"))).await, reason);
}

#[tokio::test]
async fn whoever_lost_the_right_the_role_or_the_account_decides_nothing() {
    for sql in [
        "UPDATE entitlement SET ended_at = 1 WHERE user = 'sam'",
        "UPDATE user SET roles = 'clinician' WHERE id = 'sam'",
        "UPDATE user SET locked_at = 1 WHERE id = 'sam'",
        "UPDATE user SET recovered_by = 'account:root' WHERE id = 'sam'",
    ] {
        let world = world().await;
        let waiting = proposal("1", &account("root"));
        world.change(propose(&waiting)).await;
        world.tamper(sql);
        let reason = "the right to decide about changes is missing";
        assert_eq!(world.conflict(approve(&waiting, person("sam"))).await, reason, "{sql}");
        let refuse = change(SafeguardChange::Refuse { id: "1".into(), by: person("sam") });
        assert_eq!(world.conflict(refuse).await, reason, "{sql}");
    }
}

#[tokio::test]
async fn what_is_no_right_waits_for_its_use_and_is_used_once() {
    let world = world().await;
    let export = PendingChange::propose("1".into(), (ChangeKind::KeyExport, "kid-1".into()), &account("root"), NOW);
    let (kind, digest) = (ChangeKind::KeyExport, export.digest.clone());
    let counted = || Change::CountFailure { counters: vec![(AttemptCounter::Name, AttemptKey::from_bytes([7; 32]))], now: NOW };
    let use_it = || change(SafeguardChange::Use { kind, digest: digest.clone(), then: Box::new(counted()) });
    let missing = "nobody has approved this change, or it was applied before, or its time is over";
    let applied = || world.integer("SELECT count(*) FROM sign_in_attempt");
    assert_eq!(world.conflict(use_it()).await, missing);
    world.change(propose(&export)).await;
    assert_eq!(world.conflict(use_it()).await, missing);
    let approved = async |kind, now| world.registry.approved_change(kind, &digest, now).await.unwrap().is_some();
    assert!(!approved(kind, NOW).await);
    world.change(approve(&export, account("portcullis"))).await;
    assert!(approved(kind, NOW + PROPOSAL_SECONDS - 1).await);
    assert!(!approved(kind, NOW + PROPOSAL_SECONDS).await, "its time is over");
    let late = world.attempt_at(NOW + PROPOSAL_SECONDS, use_it()).await.unwrap_err();
    assert!(late.to_string().contains("its time is over"), "{late}");
    assert!(!approved(ChangeKind::Rules, NOW).await, "of this kind alone");
    assert_eq!(applied(), 0);
    world.change(use_it()).await;
    assert_eq!(applied(), 1, "what it is for happens together with it");
    assert!(!approved(kind, NOW).await, "it was applied");
    assert_eq!(world.conflict(use_it()).await, missing);
}

#[tokio::test]
async fn an_agreement_stands_where_what_it_is_for_could_not_be_done() {
    let world = world().await;
    let rules = PendingChange::propose("1".into(), (ChangeKind::Rules, "rules".into()), &account("root"), NOW);
    world.change(propose(&rules)).await;
    world.change(approve(&rules, person("sam"))).await;
    let then = Box::new(give("ann", Entitlement::ApproveChanges, true));
    let failing = change(SafeguardChange::Use { kind: ChangeKind::Rules, digest: rules.digest.clone(), then });
    assert_eq!(world.conflict(failing).await, "two people are needed for this right by now");
    assert!(world.registry.approved_change(ChangeKind::Rules, &rules.digest, NOW).await.unwrap().is_some());
}

#[tokio::test]
async fn what_can_still_be_decided_or_ended_is_listed_first_and_whole() {
    let world = world().await;
    world.change(give("ann", Entitlement::BreakGlass, false)).await;
    world.change(propose(&proposal("old", &account("root")))).await;
    world.change(glass("old", "p1")).await;
    world.tamper(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 250) INSERT INTO broken_glass (id, user, patient, reason, \
         began_at, ends_at, ended_at) SELECT 'g' || i, 'ann', 'p1', 'reason', 1900000000 + i, 1900003600, 1900000000 FROM n",
    );
    world.tamper(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 250) INSERT INTO pending_change (id, kind, content, digest, \
         proposed_by, proposed_at, expires_at, state) SELECT 'c' || i, 'rules', 'x', 'd' || i, 'account:root', 1900000000 + i, 1900000000, 'refused' FROM n",
    );
    let glass = world.registry.broken_glass(NOW).await.unwrap();
    assert_eq!((glass[0].id.as_str(), glass.len()), ("old", 201));
    let of_patient = world.registry.broken_glass_of(&LogicalId::parse("p1").unwrap(), NOW).await.unwrap();
    assert_eq!((of_patient[0].id.as_str(), of_patient.len()), ("old", 21));
    let changes = world.registry.pending_changes(NOW).await.unwrap();
    assert_eq!((changes[0].id.as_str(), changes.len()), ("old", 201));
}

#[tokio::test]
async fn a_record_that_is_open_is_not_opened_once_more_by_the_same_person() {
    let world = world().await;
    world.change(give("ann", Entitlement::BreakGlass, false)).await;
    world.change(glass("g1", "p1")).await;
    assert_eq!(world.conflict(glass("g2", "p1")).await, OPEN_ALREADY);
    world.change(change(SafeguardChange::EndGlass { id: "g1".into(), by: person("ann") })).await;
    world.change(glass("g3", "p1")).await;
    assert_eq!(broken(&world).await, ["p1"]);
}

#[tokio::test]
async fn a_lock_and_a_sign_out_everywhere_end_what_is_open_for_good() {
    for (ending, beginning) in [
        (SignInChange::Lock(user_id("ann")), SignInChange::Unlock(user_id("ann"))),
        (SignInChange::EndOtherSessions { user: user_id("ann"), but: session_id() }, SignInChange::Unlock(user_id("ann"))),
        (
            SignInChange::SetPassword {
                user: user_id("ann"),
                password_hash: portcullis_jose::Secret::new("x".to_owned()),
                but: session_id(),
            },
            SignInChange::Unlock(user_id("ann")),
        ),
    ] {
        let world = world().await;
        world.change(give("ann", Entitlement::BreakGlass, false)).await;
        world.change(glass("g1", "p1")).await;
        assert_eq!(broken(&world).await, ["p1"]);
        let said = format!("{ending:?}");
        world.change(Change::SignIn(Box::new(ending))).await;
        world.change(Change::SignIn(Box::new(beginning))).await;
        assert!(broken(&world).await.is_empty(), "{said}");
        assert_eq!(world.registry.entitlements_of(&user_id("ann")).await.unwrap(), [Entitlement::BreakGlass], "the right stays");
    }
    let world = world().await;
    world.change(give("ann", Entitlement::BreakGlass, false)).await;
    world.change(glass("g1", "p1")).await;
    world.tamper("UPDATE user SET recovered_by = 'root' WHERE id = 'ann'");
    assert!(broken(&world).await.is_empty(), "somebody else gave the account back, and nobody has confirmed it");
}

#[tokio::test]
async fn the_glass_is_broken_by_whoever_has_the_right_at_this_moment() {
    let world = world().await;
    assert_eq!(world.conflict(glass("g1", "p1")).await, NOT_ENTITLED);
    world.change(give("ann", Entitlement::BreakGlass, false)).await;
    for (sql, back) in [
        ("UPDATE user SET roles = 'patient' WHERE id = 'ann'", "UPDATE user SET roles = 'clinician' WHERE id = 'ann'"),
        ("UPDATE user SET locked_at = 1 WHERE id = 'ann'", "UPDATE user SET locked_at = NULL WHERE id = 'ann'"),
        ("UPDATE user SET recovered_by = 'x' WHERE id = 'ann'", "UPDATE user SET recovered_by = NULL WHERE id = 'ann'"),
    ] {
        world.tamper(sql);
        assert_eq!(world.conflict(glass("g1", "p1")).await, NOT_ENTITLED, "{sql}");
        world.tamper(back);
    }
    for number in 0..MAXIMUM_AT_ONCE {
        world.change(glass(&format!("g{number}"), &format!("p{number}"))).await;
    }
    assert_eq!(world.conflict(glass("more", "p99")).await, TOO_MUCH_GLASS);
    assert_eq!(broken(&world).await.len(), 10);
}

#[tokio::test]
async fn what_ended_is_closed_for_the_next_look_at_the_token() {
    let world = world().await;
    world.change(give("ann", Entitlement::BreakGlass, false)).await;
    world.change(glass("g1", "p1")).await;
    world.change(glass("g2", "p2")).await;
    let end = |id: &str| change(SafeguardChange::EndGlass { id: id.into(), by: person("sam") });
    world.change(end("g1")).await;
    assert_eq!(broken(&world).await, ["p2"]);
    assert_eq!(world.conflict(end("g1")).await, "there is no such access that has not ended");
    let (user, entitlement) = (user_id("ann"), Entitlement::BreakGlass);
    world.change(change(SafeguardChange::End { user: user.clone(), entitlement, by: account("root") })).await;
    assert!(broken(&world).await.is_empty());
    // The right given anew does not open it again.
    world.change(give("ann", Entitlement::BreakGlass, false)).await;
    assert!(broken(&world).await.is_empty());
    let entry = world.registry.glass_entry("g2").await.unwrap().unwrap();
    assert_eq!(entry.ended_by.as_deref(), Some("account:root"));
    assert_eq!(world.registry.broken_glass_of(&LogicalId::parse("p2").unwrap(), NOW).await.unwrap().len(), 1);
}
