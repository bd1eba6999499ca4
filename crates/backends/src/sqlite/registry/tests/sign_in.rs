//! Second factors at rest: sealed, counted once, and refused in a session that was recovered.

use portcullis_oauth::totp::TotpSecret;
use portcullis_store::SignInRegistry;
use portcullis_store::sign_in::{FACTOR_USED, FactorUse, LINK_USED, LinkPurpose, NOT_CONFIRMED, OneTimeLink, SignInChange};

use super::*;

fn sign_in(change: SignInChange) -> Change {
    Change::SignIn(Box::new(change))
}

fn use_factor(factor: FactorUse) -> Change {
    sign_in(SignInChange::UseFactor { user: user_id("ann"), factor, then: Box::new(Change::Nothing) })
}

async fn with_factors() -> World {
    let world = World::new().await;
    let secret = TotpSecret::from_bytes(b"plainly visible here".to_vec()).unwrap();
    world.change(sign_in(SignInChange::SetTotp { user: user_id("ann"), secret, step: 10 })).await;
    world.change(sign_in(SignInChange::SetRecoveryCodes { user: user_id("ann"), hashes: vec![[1; 32], [2; 32]] })).await;
    world
}

#[tokio::test]
async fn the_file_does_not_show_the_secret_of_an_authenticator_app() {
    let world = with_factors().await;
    let path = world.directory.path().join("portcullis.db");
    for file in [path.clone(), path.with_extension("db-wal")] {
        let bytes = std::fs::read(file).unwrap();
        assert!(!bytes.windows(15).any(|window| window == b"plainly visible"));
    }
    let means = world.registry.sign_in_means(&user_id("ann")).await.unwrap();
    assert_eq!(means.totp.unwrap().secret.bytes(), b"plainly visible here");
    // Under another person's name it does not open.
    world.change(Change::AddUser(Box::new(user("bob", "Bob")))).await;
    world.tamper("UPDATE totp SET user = 'bob'");
    assert!(world.registry.sign_in_means(&user_id("bob")).await.is_err());
}

#[tokio::test]
async fn a_step_and_a_recovery_code_count_once() {
    let world = with_factors().await;
    for step in [9, 10] {
        assert_eq!(world.conflict(use_factor(FactorUse::Totp { step })).await, FACTOR_USED, "{step}");
    }
    world.change(use_factor(FactorUse::Totp { step: 11 })).await;
    assert_eq!(world.conflict(use_factor(FactorUse::Totp { step: 11 })).await, FACTOR_USED);
    world.change(use_factor(FactorUse::RecoveryCode { hash: [1; 32] })).await;
    for hash in [[1; 32], [3; 32]] {
        assert_eq!(world.conflict(use_factor(FactorUse::RecoveryCode { hash })).await, FACTOR_USED);
    }
    assert_eq!(world.registry.sign_in_means(&user_id("ann")).await.unwrap().recovery_codes, 1);
}

#[tokio::test]
async fn a_link_that_was_not_used_ends_when_its_person_chooses_another_password() {
    let world = World::new().await;
    let (purpose, hash) = (LinkPurpose::Invitation, SecretHash::of("link"));
    let link =
        OneTimeLink { user: user_id("ann"), purpose, created_by: "account:first".into(), mailed: false, expires_at: NOW + 60 };
    world.change(sign_in(SignInChange::MakeLink { link, hash, remove_factors: false })).await;
    let password_hash = || Secret::new("new".into());
    let change = SignInChange::SetPassword { user: user_id("ann"), password_hash: password_hash(), but: session_id("s") };
    world.change(sign_in(change)).await;
    let late = SignInChange::SetPasswordByLink { hash, password_hash: password_hash() };
    assert_eq!(world.conflict(sign_in(late)).await, LINK_USED);
}

#[tokio::test]
async fn an_invitation_to_an_account_that_is_in_use_counts_as_a_recovery() {
    let world = World::granted().await;
    let invite = async |user: &str| {
        let (purpose, hash) = (LinkPurpose::Invitation, SecretHash::of(user));
        let link =
            OneTimeLink { user: user_id(user), purpose, created_by: "account:first".into(), mailed: false, expires_at: NOW + 60 };
        world.change(sign_in(SignInChange::MakeLink { link, hash, remove_factors: false })).await;
        world.change(sign_in(SignInChange::SetPasswordByLink { hash, password_hash: Secret::new("new".into()) })).await;
        world.registry.sign_in_means(&user_id(user)).await.unwrap().recovered_by
    };
    assert_eq!(invite("ann").await.as_deref(), Some("account:first"), "an app has a grant of hers");
    world.change(Change::AddUser(Box::new(user("bob", "Bob")))).await;
    assert_eq!(invite("bob").await, None);
}

#[tokio::test]
async fn nobody_consents_in_a_session_that_somebody_else_recovered() {
    let world = World::new().await;
    let link = OneTimeLink {
        user: user_id("ann"),
        purpose: LinkPurpose::Reset,
        created_by: "account:first".into(),
        mailed: false,
        expires_at: NOW + 60,
    };
    let hash = SecretHash::of("link");
    world.change(sign_in(SignInChange::MakeLink { link, hash, remove_factors: false })).await;
    world.change(sign_in(SignInChange::SetPasswordByLink { hash, password_hash: Secret::new("new".into()) })).await;
    world.change(session(grant("g").session.as_str(), "ann", NOW + 100)).await;
    assert_eq!(world.conflict(add_grant("g", "code")).await, NOT_CONFIRMED);
    let confirm = |by: &str| sign_in(SignInChange::ConfirmRecovery { user: user_id("ann"), by: by.into() });
    assert!(world.conflict(confirm("account:first")).await.starts_with("another officer"));
    world.change(confirm("account:second")).await;
    world.change(add_grant("g", "code")).await;
}
