//! Addresses of people, and letters from their change until they went or were given up. What a letter says is sealed under its id.

use portcullis_oauth::identifiers::UserId;
use portcullis_store::StoreError;
use portcullis_store::mail::{
    LetterKind, LetterState, MAIL_FULL, MailChange, MailOverview, NewLetter, PersonalAddress, WaitingLetter,
};
use rusqlite::{Connection, Row, params};

use super::statements::{all, column, conflict, execute, exists, one, optional, parsed, unreadable};
use super::{secrets, sign_in};
use crate::sqlite::seal::Seal;

/// The most letters that wait.
pub const MAXIMUM_WAITING: i64 = 10_000;
/// The most letters about one account that wait.
pub const MAXIMUM_WAITING_OF_ONE: i64 = 30;
/// The most requests for a new password that wait.
pub const MAXIMUM_REQUESTS: i64 = 1_000;
/// How long it is kept what became of a letter, in seconds.
pub const ENDED_KEPT_SECONDS: i64 = 7 * 24 * 3600;
/// The most people of one address who get a link.
const MAXIMUM_PEOPLE: i64 = 5;

/// Makes the change; what a [`MailChange::Tell`] tells of comes after it.
pub fn apply(connection: &Connection, seal: &Seal, change: &MailChange, now: i64) -> Result<(), StoreError> {
    match change {
        MailChange::Tell { letters, .. } => letters.iter().try_for_each(|letter| keep(connection, seal, letter, now).map(|_| ())),
        MailChange::End { id, outcome } => end(connection, id, outcome, now),
        MailChange::Answer { id, links } => {
            end(connection, id, "answered", now)?;
            for (link, hash, letter) in links {
                if keep(connection, seal, letter, now)? {
                    sign_in::make_asked_link(connection, link, hash)?;
                }
            }
            Ok(())
        }
        MailChange::SetAddress { user, address: None } => {
            execute(connection, "DELETE FROM user_mail WHERE user = ?1", [user.as_str()]).map(|_| ())
        }
        MailChange::SetAddress { user, address: Some(address) } => {
            let sql = "INSERT INTO user_mail (user, address, address_key, language, vouched_by) VALUES (?1, ?2, ?3, ?4, ?5) \
                       ON CONFLICT (user) DO UPDATE SET address = excluded.address, address_key = excluded.address_key, \
                       language = excluded.language, \
                       vouched_by = iif(address_key = excluded.address_key, vouched_by, excluded.vouched_by)";
            let PersonalAddress { address, language, vouched_by, .. } = address;
            execute(connection, sql, params![user.as_str(), address, address.to_lowercase(), language, vouched_by])?;
            // A link that is on its way to the address before would still count.
            execute(connection, "DELETE FROM one_time_link WHERE user = ?1 AND mailed = 1", [user.as_str()]).map(|_| ())
        }
    }
}

/// Keeps a letter, and says whether it was kept.
fn keep(connection: &Connection, seal: &Seal, letter: &NewLetter, now: i64) -> Result<bool, StoreError> {
    if !has_room(connection, letter)? {
        return if letter.kind.is_awaited() { Err(conflict(MAIL_FULL)) } else { Ok(false) };
    }
    if let Some(user) = &letter.user {
        let since = now.saturating_sub(letter.kind.pause_seconds());
        let recent = "SELECT 1 FROM letter WHERE user = ?1 AND kind = ?2 AND created_at > ?3 AND about IS ?4";
        let about = letter.about.as_ref().map(UserId::as_str);
        let recent = exists(connection, recent, params![user.as_str(), letter.kind.as_str(), since, about])?;
        if recent && letter.kind.pause_seconds() > 0 {
            return Ok(false);
        }
        // The first sign-in of an account is from a new browser always.
        let unused = "SELECT 1 FROM user WHERE id = ?1 AND signed_in_at IS NULL";
        if letter.kind == LetterKind::NewBrowser && exists(connection, unused, [user.as_str()])? {
            return Ok(false);
        }
    }
    let sealed = secrets::seal(seal, &secret_name(&letter.id), &letter.content)?;
    let sql = "INSERT INTO letter (id, user, kind, sealed, created_at, due_at, gives_up_at, attempts, about) VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6, 0, ?7)";
    let (user, about) = (letter.user.as_ref().map(UserId::as_str), letter.about.as_ref().map(UserId::as_str));
    execute(connection, sql, params![letter.id, user, letter.kind.as_str(), sealed, now, letter.gives_up_at, about])?;
    Ok(true)
}

fn has_room(connection: &Connection, letter: &NewLetter) -> Result<bool, StoreError> {
    let limit = if letter.kind == LetterKind::PasswordRequest { MAXIMUM_REQUESTS } else { MAXIMUM_WAITING };
    let full = "SELECT 1 FROM letter WHERE sealed IS NOT NULL LIMIT 1 OFFSET ?1";
    if exists(connection, full, [limit - 1])? {
        return Ok(false);
    }
    let Some(user) = &letter.user else { return Ok(true) };
    let of_one = "SELECT 1 FROM letter WHERE user = ?1 AND sealed IS NOT NULL LIMIT 1 OFFSET ?2";
    Ok(!exists(connection, of_one, params![user.as_str(), MAXIMUM_WAITING_OF_ONE - 1])?)
}

fn end(connection: &Connection, id: &str, outcome: &str, now: i64) -> Result<(), StoreError> {
    let sql = "UPDATE letter SET sealed = NULL, ended_at = ?3, outcome = ?2 WHERE id = ?1 AND sealed IS NOT NULL";
    match execute(connection, sql, params![id, outcome, now])? {
        0 => Err(conflict("the letter does not wait")),
        _ => Ok(()),
    }
}

/// A letter is tried, and will be again unless it ends.
pub fn attempt(connection: &Connection, id: &str, due_at: i64) -> Result<(), StoreError> {
    let sql = "UPDATE letter SET attempts = attempts + 1, due_at = ?2 WHERE id = ?1 AND sealed IS NOT NULL";
    execute(connection, sql, params![id, due_at]).map(|_| ())
}

/// Letters whose time has come.
pub fn due(connection: &Connection, seal: &Seal, now: i64, limit: u32) -> Result<Vec<WaitingLetter>, StoreError> {
    let sql = "SELECT * FROM letter WHERE sealed IS NOT NULL AND due_at <= ?1 ORDER BY due_at, id LIMIT ?2";
    all(connection, sql, params![now, limit], |row| {
        let id: String = column(row, "id")?;
        Ok(WaitingLetter {
            user: optional(row, "user", UserId::parse)?,
            kind: parsed(row, "kind", LetterKind::parse)?,
            content: secrets::open(seal, &secret_name(&id), column(row, "sealed")?)?,
            attempts: attempts(row)?,
            gives_up_at: column(row, "gives_up_at")?,
            id,
        })
    })
}

/// Where a person's letters go.
pub fn address(connection: &Connection, user: &UserId) -> Result<Option<PersonalAddress>, StoreError> {
    one(connection, "SELECT * FROM user_mail WHERE user = ?1", [user.as_str()], |row| {
        Ok(PersonalAddress {
            user: parsed(row, "user", UserId::parse)?,
            address: column(row, "address")?,
            language: column(row, "language")?,
            vouched_by: column(row, "vouched_by")?,
        })
    })
}

/// The people with this address.
pub fn people_at(connection: &Connection, address: &str) -> Result<Vec<UserId>, StoreError> {
    let sql = "SELECT user FROM user_mail WHERE address_key = ?1 ORDER BY user LIMIT ?2";
    all(connection, sql, params![address.to_lowercase(), MAXIMUM_PEOPLE], |row| parsed(row, "user", UserId::parse))
}

/// How the mail is doing.
pub fn overview(connection: &Connection, now: i64) -> Result<MailOverview, StoreError> {
    let sql = "SELECT count(*) FILTER (WHERE sealed IS NOT NULL) AS waiting, min(created_at) FILTER (WHERE sealed IS NOT NULL) AS oldest_at, \
               count(*) FILTER (WHERE ended_at > ?1 AND outcome NOT IN ('sent', 'answered')) AS given_up FROM letter";
    let since = now.saturating_sub(ENDED_KEPT_SECONDS);
    let found = one(connection, sql, [since], |row| {
        Ok(MailOverview {
            waiting: column(row, "waiting")?,
            oldest_at: column(row, "oldest_at")?,
            given_up: column(row, "given_up")?,
        })
    })?;
    Ok(found.unwrap_or_default())
}

/// The last letters about a person's account.
pub fn states(connection: &Connection, user: &UserId) -> Result<Vec<LetterState>, StoreError> {
    let sql = "SELECT * FROM letter WHERE user = ?1 ORDER BY created_at DESC, id LIMIT 10";
    all(connection, sql, [user.as_str()], |row| {
        Ok(LetterState {
            kind: parsed(row, "kind", LetterKind::parse)?,
            created_at: column(row, "created_at")?,
            attempts: attempts(row)?,
            outcome: column(row, "outcome")?,
        })
    })
}

/// Another officer than the one who set it stands for the address, or its owner, who is no officer, has shown to read there.
pub fn vouched(connection: &Connection, user: &UserId, by: &str) -> Result<(), StoreError> {
    let sql = "UPDATE user_mail SET vouched_by = NULL WHERE user = ?1 AND vouched_by <> ?2";
    execute(connection, sql, [user.as_str(), by]).map(|_| ())
}

/// Removes what became of letters that ended some time ago.
pub fn remove_ended(connection: &Connection, now: i64, limit: i64) -> Result<(), StoreError> {
    let sql = "DELETE FROM letter WHERE id IN (SELECT id FROM letter WHERE ended_at < ?1 LIMIT ?2)";
    execute(connection, sql, params![now.saturating_sub(ENDED_KEPT_SECONDS), limit]).map(|_| ())
}

fn attempts(row: &Row<'_>) -> Result<u32, StoreError> {
    u32::try_from(column::<i64>(row, "attempts")?).map_err(|_| unreadable("attempts"))
}

fn secret_name(id: &str) -> String {
    format!("letter {id}")
}
