//! Rights that take two people, changes that wait for the second of them, and broken glass.

use std::sync::Arc;

use portcullis_fhir::types::LogicalId;
use portcullis_oauth::approval::{Actor, ChangeKind, ChangeState, PendingChange};
use portcullis_oauth::break_glass::{GlassEntry, MAXIMUM_AT_ONCE};
use portcullis_oauth::entitlements::Entitlement;
use portcullis_oauth::identifiers::UserId;
use portcullis_oauth::users::{Role, Roles};
use portcullis_store::StoreError;
use portcullis_store::safeguards::{
    FIRST_APPROVERS, GivenEntitlement, NOT_ENTITLED, OPEN_ALREADY, SafeguardChange, TOO_MUCH_GLASS,
};
use rusqlite::{Connection, Row, params};

use super::statements::{all, column, conflict, execute, exists, one, optional, parsed};
use super::{change, users};
use crate::sqlite::seal::Seal;

/// Makes the change.
pub fn apply(connection: &Connection, seal: &Arc<Seal>, change: &SafeguardChange, now: i64) -> Result<(), StoreError> {
    match change {
        SafeguardChange::Propose(proposal) => propose(connection, proposal, now),
        SafeguardChange::Approve { id, digest, by } => approve(connection, (id, digest), by, now),
        SafeguardChange::Refuse { id, by } => {
            let proposal = waiting(connection, id)?;
            proposal.check_open(now).map_err(|error| conflict(error.message()))?;
            may_decide(connection, by, proposal.proposed_by == by.name())?;
            decide(connection, id, ChangeState::Refused, (by, now))
        }
        SafeguardChange::Use { kind, digest, then } => {
            let sql = "UPDATE pending_change SET state = 'applied' WHERE kind = ?1 AND digest = ?2 AND state = 'approved' AND expires_at > ?3";
            match execute(connection, sql, params![kind.as_str(), digest, now])? {
                0 => Err(conflict("nobody has approved this change, or it was applied before, or its time is over")),
                _ => change::apply(connection, seal, then, now),
            }
        }
        SafeguardChange::Give { user, entitlement, by, first } => {
            if *first && (*entitlement != Entitlement::ApproveChanges || ever(connection, *entitlement)? >= FIRST_APPROVERS) {
                return Err(conflict("two people are needed for this right by now"));
            }
            give(connection, (user, *entitlement), (&by.name(), None), now)
        }
        SafeguardChange::End { user, entitlement, by } => {
            let sql = "UPDATE entitlement SET ended_at = ?3, ended_by = ?4 WHERE user = ?1 AND kind = ?2 AND ended_at IS NULL";
            match execute(connection, sql, params![user.as_str(), entitlement.as_str(), now, by.name()])? {
                0 => Err(conflict("the user does not have this right")),
                _ if *entitlement != Entitlement::BreakGlass => Ok(()),
                // The right given anew shall not open again what was opened before.
                _ => end_glass_of(connection, user, &by.name(), now),
            }
        }
        SafeguardChange::BreakGlass(entry) => break_glass(connection, entry),
        SafeguardChange::EndGlass { id, by } => {
            let sql = "UPDATE broken_glass SET ended_at = ?2, ended_by = ?3 WHERE id = ?1 AND ended_at IS NULL AND ends_at > ?2";
            match execute(connection, sql, params![id, now, by.name()])? {
                0 => Err(conflict("there is no such access that has not ended")),
                _ => Ok(()),
            }
        }
    }
}

fn propose(connection: &Connection, proposal: &PendingChange, now: i64) -> Result<(), StoreError> {
    let same = "SELECT 1 FROM pending_change WHERE kind = ?1 AND digest = ?2 AND state = 'waiting' AND expires_at > ?3";
    if exists(connection, same, params![proposal.kind.as_str(), proposal.digest, now])? {
        return Err(conflict("this very change waits already"));
    }
    if let Some(user) = &proposal.beneficiary
        && !users::is_known(connection, user)?
    {
        return Err(conflict("the user is unknown"));
    }
    let sql = "INSERT INTO pending_change (id, kind, content, digest, beneficiary, proposed_by, proposed_at, expires_at, state) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 'waiting')";
    let PendingChange { id, kind, content, digest, beneficiary, proposed_by, proposed_at, expires_at, .. } = proposal;
    let beneficiary = beneficiary.as_ref().map(UserId::as_str);
    let row = params![id, kind.as_str(), content, digest, beneficiary, proposed_by, proposed_at, expires_at];
    execute(connection, sql, row).map(|_| ())
}

fn approve(connection: &Connection, (id, seen): (&str, &str), by: &Actor, now: i64) -> Result<(), StoreError> {
    let proposal = waiting(connection, id)?;
    proposal.check_approval(by, seen, now).map_err(|error| conflict(error.message()))?;
    may_decide(connection, by, false)?;
    let Some(entitlement) = proposal.kind.entitlement() else {
        return decide(connection, id, ChangeState::Approved, (by, now));
    };
    let user = proposal.beneficiary.as_ref().ok_or(StoreError::Corrupt("a proposed right is nobody's".into()))?;
    give(connection, (user, entitlement), (&proposal.proposed_by, Some(&by.name())), now)?;
    decide(connection, id, ChangeState::Applied, (by, now))
}

/// Whoever decides as a user needs the right to, and the role, at this very moment. At the command line the operating system has let somebody in.
fn may_decide(connection: &Connection, by: &Actor, own: bool) -> Result<(), StoreError> {
    let Actor::User(user) = by else { return Ok(()) };
    let sql = "SELECT roles FROM user WHERE id = ?1 AND locked_at IS NULL AND recovered_by IS NULL \
               AND EXISTS (SELECT 1 FROM entitlement WHERE entitlement.user = user.id AND kind = 'approve-changes' AND ended_at IS NULL)";
    let roles: Option<Roles> = one(connection, sql, [user.as_str()], users::roles)?;
    if own || roles.is_some_and(|roles| roles.contains(Role::SecurityOfficer)) {
        return Ok(());
    }
    Err(conflict("the right to decide about changes is missing"))
}

fn decide(connection: &Connection, id: &str, state: ChangeState, (by, now): (&Actor, i64)) -> Result<(), StoreError> {
    let sql = "UPDATE pending_change SET state = ?2, decided_by = ?3, decided_at = ?4 WHERE id = ?1 AND state = 'waiting'";
    match execute(connection, sql, params![id, state.as_str(), by.name(), now])? {
        0 => Err(conflict("this change does not wait for a decision any more")),
        _ => Ok(()),
    }
}

fn give(
    connection: &Connection,
    (user, entitlement): (&UserId, Entitlement),
    (by, approved_by): (&str, Option<&str>),
    now: i64,
) -> Result<(), StoreError> {
    if !users::is_known(connection, user)? {
        return Err(conflict("the user is unknown"));
    }
    let sql = "INSERT INTO entitlement (user, kind, given_at, given_by, approved_by) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING";
    match execute(connection, sql, params![user.as_str(), entitlement.as_str(), now, by, approved_by])? {
        0 => Err(conflict("the user has this right already")),
        _ => Ok(()),
    }
}

fn break_glass(connection: &Connection, entry: &GlassEntry) -> Result<(), StoreError> {
    let sql = "SELECT roles FROM user WHERE id = ?1 AND locked_at IS NULL AND recovered_by IS NULL \
               AND EXISTS (SELECT 1 FROM entitlement WHERE entitlement.user = user.id AND kind = 'break-glass' AND ended_at IS NULL)";
    let roles: Option<Roles> = one(connection, sql, [entry.user.as_str()], users::roles)?;
    if !roles.is_some_and(|roles| roles.contains(Role::Clinician)) {
        return Err(conflict(NOT_ENTITLED));
    }
    let same = "SELECT 1 FROM broken_glass WHERE user = ?1 AND ended_at IS NULL AND ends_at > ?2 AND patient = ?3";
    if exists(connection, same, params![entry.user.as_str(), entry.began_at, entry.patient.as_str()])? {
        return Err(conflict(OPEN_ALREADY));
    }
    let open = "SELECT 1 FROM broken_glass WHERE user = ?1 AND ended_at IS NULL AND ends_at > ?2 LIMIT 1 OFFSET ?3";
    if exists(connection, open, params![entry.user.as_str(), entry.began_at, MAXIMUM_AT_ONCE - 1])? {
        return Err(conflict(TOO_MUCH_GLASS));
    }
    let sql = "INSERT INTO broken_glass (id, user, patient, reason, began_at, ends_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let GlassEntry { id, user, patient, reason, began_at, ends_at, .. } = entry;
    execute(connection, sql, params![id, user.as_str(), patient.as_str(), reason, began_at, ends_at]).map(|_| ())
}

/// Ends all that somebody opened: the account is locked, was signed out everywhere, or lost the right.
pub fn end_glass_of(connection: &Connection, user: &UserId, by: &str, now: i64) -> Result<(), StoreError> {
    let sql = "UPDATE broken_glass SET ended_at = ?2, ended_by = ?3 WHERE user = ?1 AND ended_at IS NULL AND ends_at > ?2";
    execute(connection, sql, params![user.as_str(), now, by]).map(|_| ())
}

fn waiting(connection: &Connection, id: &str) -> Result<PendingChange, StoreError> {
    pending_change(connection, id)?.ok_or_else(|| conflict("there is no such change"))
}

/// The rights that a user has.
pub fn entitlements_of(connection: &Connection, user: &UserId) -> Result<Vec<Entitlement>, StoreError> {
    let sql = "SELECT kind FROM entitlement WHERE user = ?1 AND ended_at IS NULL ORDER BY kind";
    all(connection, sql, [user.as_str()], |row| parsed(row, "kind", Entitlement::parse))
}

/// The rights of everybody.
pub fn entitlements(connection: &Connection) -> Result<Vec<GivenEntitlement>, StoreError> {
    let sql = "SELECT * FROM entitlement WHERE ended_at IS NULL ORDER BY user, kind";
    all(connection, sql, [], |row| {
        Ok(GivenEntitlement {
            user: parsed(row, "user", UserId::parse)?,
            entitlement: parsed(row, "kind", Entitlement::parse)?,
            given_at: column(row, "given_at")?,
            given_by: column(row, "given_by")?,
            approved_by: column(row, "approved_by")?,
        })
    })
}

/// How many people have or had a right.
pub fn ever(connection: &Connection, entitlement: Entitlement) -> Result<u32, StoreError> {
    let sql = "SELECT count(DISTINCT user) AS people FROM entitlement WHERE kind = ?1";
    Ok(one(connection, sql, [entitlement.as_str()], |row| column(row, "people"))?.unwrap_or_default())
}

/// The proposals that can still be decided or applied, then the latest others.
pub fn pending_changes(connection: &Connection, now: i64) -> Result<Vec<PendingChange>, StoreError> {
    let open =
        "SELECT * FROM pending_change WHERE state IN ('waiting', 'approved') AND expires_at > ?1 ORDER BY proposed_at DESC, id";
    let mut found = all(connection, open, [now], of_row)?;
    let over = "SELECT * FROM pending_change WHERE state NOT IN ('waiting', 'approved') OR expires_at <= ?1 ORDER BY proposed_at DESC, id LIMIT 200";
    found.extend(all(connection, over, [now], of_row)?);
    Ok(found)
}

/// A proposal.
pub fn pending_change(connection: &Connection, id: &str) -> Result<Option<PendingChange>, StoreError> {
    one(connection, "SELECT * FROM pending_change WHERE id = ?1", [id], of_row)
}

/// A proposal of this content to which somebody agreed, and that can still be applied.
pub fn approved(
    connection: &Connection,
    (kind, digest): (ChangeKind, &str),
    now: i64,
) -> Result<Option<PendingChange>, StoreError> {
    let sql = "SELECT * FROM pending_change WHERE kind = ?1 AND digest = ?2 AND state = 'approved' AND expires_at > ?3 LIMIT 1";
    one(connection, sql, params![kind.as_str(), digest, now], of_row)
}

fn of_row(row: &Row<'_>) -> Result<PendingChange, StoreError> {
    Ok(PendingChange {
        id: column(row, "id")?,
        kind: parsed(row, "kind", ChangeKind::parse)?,
        content: column(row, "content")?,
        digest: column(row, "digest")?,
        beneficiary: optional(row, "beneficiary", UserId::parse)?,
        proposed_by: column(row, "proposed_by")?,
        proposed_at: column(row, "proposed_at")?,
        expires_at: column(row, "expires_at")?,
        state: parsed(row, "state", ChangeState::parse)?,
        decided_by: column(row, "decided_by")?,
        decided_at: column(row, "decided_at")?,
    })
}

/// What is open, then the latest earlier times that somebody broke the glass.
pub fn broken_glass(connection: &Connection, now: i64) -> Result<Vec<GlassEntry>, StoreError> {
    let open = "SELECT * FROM broken_glass WHERE ended_at IS NULL AND ends_at > ?1 ORDER BY began_at DESC, id";
    let mut found = all(connection, open, [now], entry_of_row)?;
    let over = "SELECT * FROM broken_glass WHERE ended_at IS NOT NULL OR ends_at <= ?1 ORDER BY began_at DESC, id LIMIT 200";
    found.extend(all(connection, over, [now], entry_of_row)?);
    Ok(found)
}

/// The same for a patient.
pub fn broken_glass_of(connection: &Connection, patient: &LogicalId, now: i64) -> Result<Vec<GlassEntry>, StoreError> {
    let open = "SELECT * FROM broken_glass WHERE patient = ?1 AND ended_at IS NULL AND ends_at > ?2 ORDER BY began_at DESC, id";
    let mut found = all(connection, open, params![patient.as_str(), now], entry_of_row)?;
    let over = "SELECT * FROM broken_glass WHERE patient = ?1 AND (ended_at IS NOT NULL OR ends_at <= ?2) ORDER BY began_at DESC, id LIMIT 20";
    found.extend(all(connection, over, params![patient.as_str(), now], entry_of_row)?);
    Ok(found)
}

/// One of them.
pub fn glass_entry(connection: &Connection, id: &str) -> Result<Option<GlassEntry>, StoreError> {
    one(connection, "SELECT * FROM broken_glass WHERE id = ?1", [id], entry_of_row)
}

fn entry_of_row(row: &Row<'_>) -> Result<GlassEntry, StoreError> {
    Ok(GlassEntry {
        id: column(row, "id")?,
        user: parsed(row, "user", UserId::parse)?,
        patient: parsed(row, "patient", LogicalId::parse)?,
        reason: column(row, "reason")?,
        began_at: column(row, "began_at")?,
        ends_at: column(row, "ends_at")?,
        ended_at: column(row, "ended_at")?,
        ended_by: column(row, "ended_by")?,
    })
}
