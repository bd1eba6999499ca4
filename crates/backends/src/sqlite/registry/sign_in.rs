//! How people sign in: the changes of [`SignInChange`], each inside the writer's savepoint.

use std::sync::Arc;

use portcullis_oauth::grant::{Grant, SecretHash};
use portcullis_oauth::identifiers::{GrantId, UserId};
use portcullis_oauth::session::Methods;
use portcullis_store::StoreError;
use portcullis_store::registry::Change;
use portcullis_store::sign_in::{
    FACTOR_USED, FactorUse, LINK_USED, LinkPurpose, NOT_CONFIRMED, OneTimeLink, SignInChange, SpentChallenge,
};
use rusqlite::{Connection, params};

use super::statements::{column, conflict, execute, exists, one, optional, parsed};
use super::{attempts, change, factors, federation, mail, safeguards, sessions};
use crate::sqlite::seal::Seal;

/// Who ended emergency access where somebody was signed out everywhere.
const SIGNED_OUT: &str = "sign-out";

/// Makes the change, or says why it cannot be made.
pub fn apply(connection: &Connection, seal: &Arc<Seal>, change: &SignInChange, now: i64) -> Result<(), StoreError> {
    match change {
        SignInChange::UseFactor { user, factor, then } => {
            use_factor(connection, user, factor, now)?;
            end_recovered_but(connection, user, then)?;
            confirmed(connection, user)?;
            change::apply(connection, seal, then, now)
        }
        SignInChange::RenewSession { session, hash, forget } => {
            attempts::forget(connection, forget)?;
            sessions::renew(connection, session, hash)
        }
        SignInChange::NoteSecondFactor { session, method, now } => {
            let sql = "UPDATE session SET second_factor_at = ?2, methods = methods || ' ' || ?3 WHERE id = ?1";
            execute(connection, sql, params![session.as_str(), now, method.as_str()]).map(|_| ())
        }
        SignInChange::EndSession { user, session } => {
            let sql = "DELETE FROM session WHERE user = ?1 AND id = ?2";
            execute(connection, sql, [user.as_str(), session.as_str()]).map(|_| ())
        }
        SignInChange::EndOtherSessions { user, but } => {
            safeguards::end_glass_of(connection, user, SIGNED_OUT, now)?;
            sessions::end_all_but(connection, user, Some(but))
        }
        SignInChange::SetTotp { user, secret, step } => factors::set_totp(connection, seal, user, (secret, *step), now),
        SignInChange::RemoveTotp(user) => {
            execute(connection, "DELETE FROM totp WHERE user = ?1", [user.as_str()])?;
            factors::without_factors_no_codes(connection, user)
        }
        SignInChange::SetRecoveryCodes { user, hashes } => factors::set_recovery_codes(connection, user, hashes),
        SignInChange::AddPasskey { user, passkey, challenge } => {
            spend_challenge(connection, challenge)?;
            factors::add_passkey(connection, user, passkey)
        }
        SignInChange::RemovePasskey { user, id } => {
            execute(connection, "DELETE FROM passkey WHERE user = ?1 AND id = ?2", params![user.as_str(), id])?;
            factors::without_factors_no_codes(connection, user)
        }
        SignInChange::MakeLink { link, hash, remove_factors } => {
            if *remove_factors {
                safeguards::end_glass_of(connection, &link.user, SIGNED_OUT, now)?;
            }
            make_link(connection, link, hash, *remove_factors)
        }
        SignInChange::SetPasswordByLink { hash, password_hash } => {
            set_password_by_link(connection, hash, password_hash.expose(), now)
        }
        SignInChange::SetPassword { user, password_hash, but } => {
            set_password(connection, user, password_hash.expose())?;
            // A link that was made before could set another password after this one.
            execute(connection, "DELETE FROM one_time_link WHERE user = ?1", [user.as_str()])?;
            safeguards::end_glass_of(connection, user, SIGNED_OUT, now)?;
            sessions::end_all_but(connection, user, Some(but))
        }
        SignInChange::Lock(user) => {
            execute(
                connection,
                "UPDATE user SET locked_at = ?2 WHERE id = ?1 AND locked_at IS NULL",
                params![user.as_str(), now],
            )?;
            execute(connection, "DELETE FROM one_time_link WHERE user = ?1", [user.as_str()])?;
            safeguards::end_glass_of(connection, user, "lock", now)?;
            sessions::end_all_but(connection, user, None)
        }
        SignInChange::Unlock(user) => {
            execute(connection, "UPDATE user SET locked_at = NULL WHERE id = ?1", [user.as_str()]).map(|_| ())
        }
        SignInChange::ConfirmRecovery { user, by } => {
            if exists(connection, "SELECT 1 FROM user WHERE id = ?1 AND recovered_by = ?2", [user.as_str(), by])? {
                return Err(conflict("another officer must confirm than the one who gave the account back"));
            }
            federation::confirm(connection, user, by)?;
            mail::vouched(connection, user, by)?;
            confirmed(connection, user)
        }
        SignInChange::Then { first, then } => {
            apply(connection, seal, first, now)?;
            change::apply(connection, seal, then, now)
        }
        SignInChange::Together(changes) => changes.iter().try_for_each(|change| apply(connection, seal, change, now)),
    }
}

/// Sessions that somebody's recovery opened end when its owner shows a factor in another one: they are somebody else's.
fn end_recovered_but(connection: &Connection, user: &UserId, then: &Change) -> Result<(), StoreError> {
    let going_on = match then {
        Change::SignIn(change) => match &**change {
            SignInChange::RenewSession { session, .. } => Some(session.id.as_str()),
            _ => None,
        },
        _ => None,
    };
    let sql = "DELETE FROM session WHERE user = ?1 AND recovered_by IS NOT NULL AND id IS NOT ?2";
    execute(connection, sql, params![user.as_str(), going_on]).map(|_| ())
}

/// The account is with its owner: an enrolled factor or a second officer says so.
fn confirmed(connection: &Connection, user: &UserId) -> Result<(), StoreError> {
    execute(connection, "UPDATE user SET recovered_by = NULL WHERE id = ?1 AND recovered_by IS NOT NULL", [user.as_str()])?;
    let sql = "UPDATE session SET recovered_by = NULL WHERE user = ?1 AND recovered_by IS NOT NULL";
    execute(connection, sql, [user.as_str()]).map(|_| ())
}

fn use_factor(connection: &Connection, user: &UserId, factor: &FactorUse, now: i64) -> Result<(), StoreError> {
    let changed = match factor {
        FactorUse::Totp { step } => {
            let sql = "UPDATE totp SET last_step = ?2 WHERE user = ?1 AND last_step < ?2";
            execute(connection, sql, params![user.as_str(), step])?
        }
        FactorUse::RecoveryCode { hash } => {
            let sql = "DELETE FROM recovery_code WHERE user = ?1 AND hash = ?2";
            execute(connection, sql, params![user.as_str(), hash.as_slice()])?
        }
        FactorUse::Passkey { id, sign_count, challenge } => {
            spend_challenge(connection, challenge)?;
            let sql = "UPDATE passkey SET sign_count = ?3, last_used_at = ?4 \
                       WHERE user = ?1 AND id = ?2 AND (sign_count < ?3 OR (sign_count = 0 AND ?3 = 0))";
            execute(connection, sql, params![user.as_str(), id, sign_count, now])?
        }
    };
    if changed == 0 { Err(conflict(FACTOR_USED)) } else { Ok(()) }
}

fn spend_challenge(connection: &Connection, challenge: &SpentChallenge) -> Result<(), StoreError> {
    let sql = "INSERT INTO spent_challenge (hash, expires_at) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
    match execute(connection, sql, params![challenge.hash.as_bytes().as_slice(), challenge.expires_at])? {
        0 => Err(conflict(FACTOR_USED)),
        _ => Ok(()),
    }
}

/// A link in the place of all others.
pub fn make_link(connection: &Connection, link: &OneTimeLink, hash: &SecretHash, remove_factors: bool) -> Result<(), StoreError> {
    let user = link.user.as_str();
    execute(connection, "DELETE FROM one_time_link WHERE user = ?1", [user])?;
    if remove_factors {
        for sql in [
            "DELETE FROM totp WHERE user = ?1",
            "DELETE FROM passkey WHERE user = ?1",
            "DELETE FROM recovery_code WHERE user = ?1",
        ] {
            execute(connection, sql, [user])?;
        }
        // Whoever comes in without the factors was let in by who removed them, by the old password, too.
        execute(connection, "UPDATE user SET recovered_by = ?2 WHERE id = ?1", [user, &link.created_by])?;
        sessions::end_all_but(connection, &link.user, None)?;
    }
    add_link(connection, link, hash)
}

/// A link beside those of operators, which a stranger who asks for a new password shall not end. It takes the place of an earlier one of its kind.
pub fn make_asked_link(connection: &Connection, link: &OneTimeLink, hash: &SecretHash) -> Result<(), StoreError> {
    let before = "DELETE FROM one_time_link WHERE user = ?1 AND purpose = ?2";
    execute(connection, before, [link.user.as_str(), LinkPurpose::Forgotten.as_str()])?;
    add_link(connection, link, hash)
}

fn add_link(connection: &Connection, link: &OneTimeLink, hash: &SecretHash) -> Result<(), StoreError> {
    let user = link.user.as_str();
    let sql = "INSERT INTO one_time_link (hash, user, purpose, created_by, expires_at, mailed) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let row = params![hash.as_bytes().as_slice(), user, link.purpose.as_str(), link.created_by, link.expires_at, link.mailed];
    execute(connection, sql, row).map(|_| ())
}

/// A link that counts at this time.
pub fn link(connection: &Connection, hash: &SecretHash, now: i64) -> Result<Option<OneTimeLink>, StoreError> {
    let sql = "SELECT * FROM one_time_link WHERE hash = ?1 AND expires_at > ?2";
    one(connection, sql, params![hash.as_bytes().as_slice(), now], |row| {
        Ok(OneTimeLink {
            user: parsed(row, "user", UserId::parse)?,
            purpose: parsed(row, "purpose", LinkPurpose::parse)?,
            created_by: column(row, "created_by")?,
            mailed: column(row, "mailed")?,
            expires_at: column(row, "expires_at")?,
        })
    })
}

fn set_password_by_link(connection: &Connection, hash: &SecretHash, password: &str, now: i64) -> Result<(), StoreError> {
    let link = link(connection, hash, now)?.ok_or_else(|| conflict(LINK_USED))?;
    execute(connection, "DELETE FROM one_time_link WHERE user = ?1", [link.user.as_str()])?;
    set_password(connection, &link.user, password)?;
    safeguards::end_glass_of(connection, &link.user, SIGNED_OUT, now)?;
    sessions::end_all_but(connection, &link.user, None)?;
    let recovered = match link.purpose {
        LinkPurpose::Reset => true,
        LinkPurpose::Invitation => is_in_use(connection, &link.user)?,
        // Whoever chose the mail address chose who reads the link.
        LinkPurpose::Forgotten => link.created_by != link.user.as_str(),
    };
    if recovered {
        let sql = "UPDATE user SET recovered_by = ?2 WHERE id = ?1";
        execute(connection, sql, [link.user.as_str(), &link.created_by])?;
    } else if link.purpose == LinkPurpose::Invitation && link.mailed {
        mail::vouched(connection, &link.user, "")?;
    }
    Ok(())
}

/// Whether the account is its person's own already, though it may never have had a password: who signs in by way of another provider needs none.
pub fn is_in_use(connection: &Connection, user: &UserId) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM user WHERE id = ?1 AND signed_in_at IS NOT NULL UNION ALL SELECT 1 FROM grant_ WHERE user = ?1 UNION ALL SELECT 1 FROM passkey WHERE user = ?1 UNION ALL \
               SELECT 1 FROM totp WHERE user = ?1 UNION ALL SELECT 1 FROM federated_identity WHERE user = ?1 AND linked_by = ?1";
    exists(connection, sql, [user.as_str()])
}

fn set_password(connection: &Connection, user: &UserId, password: &str) -> Result<(), StoreError> {
    match execute(connection, "UPDATE user SET password_hash = ?2 WHERE id = ?1", [user.as_str(), password])? {
        0 => Err(conflict("the user is unknown")),
        _ => Ok(()),
    }
}

/// Nobody consents in a session that another person's recovery opened. The pages say so before; here it cannot be forgotten.
pub fn check_consent(connection: &Connection, grant: &Grant) -> Result<(), StoreError> {
    let sql = "SELECT 1 FROM session WHERE id = ?1 AND recovered_by IS NOT NULL UNION ALL \
               SELECT 1 FROM session JOIN user ON user.id = session.user WHERE session.id = ?1 AND user.locked_at IS NOT NULL";
    if exists(connection, sql, [grant.session.as_str()])? { Err(conflict(NOT_CONFIRMED)) } else { Ok(()) }
}

/// Keeps with a grant how the person had signed in who gave it, for its id_tokens: the session may end before.
pub fn note_methods(connection: &Connection, grant: &Grant) -> Result<(), StoreError> {
    let sql = "UPDATE grant_ SET methods = (SELECT methods FROM session WHERE session.id = grant_.session) WHERE id = ?1";
    execute(connection, sql, [grant.id.as_str()]).map(|_| ())
}

/// How the person had signed in who gave a grant.
pub fn methods_of_grant(connection: &Connection, grant: &GrantId) -> Result<Option<Methods>, StoreError> {
    let found = one(connection, "SELECT methods FROM grant_ WHERE id = ?1", [grant.as_str()], |row| {
        optional(row, "methods", Methods::parse)
    })?;
    Ok(found.flatten())
}
