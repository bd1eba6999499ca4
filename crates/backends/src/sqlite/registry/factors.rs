//! Second factors and passkeys. The secret of an authenticator app is sealed under the name of its person, so that one never passes for another's.

use portcullis_jose::Secret;
use portcullis_oauth::identifiers::UserId;
use portcullis_oauth::passkey::PasskeyKey;
use portcullis_oauth::totp::TotpSecret;
use portcullis_store::StoreError;
use portcullis_store::sign_in::{Passkey, SignInMeans, TotpFactor};
use rusqlite::{Connection, Row, params};

use super::secrets;
use super::statements::{all as rows, column, conflict, execute, exists, one, unreadable};
use crate::sqlite::seal::Seal;

/// The most passkeys of one person.
const MAXIMUM_PASSKEYS: i64 = 20;

fn secret_name(user: &UserId) -> String {
    format!("totp of {user}")
}

/// An authenticator app in the place of the one before.
pub fn set_totp(
    connection: &Connection,
    seal: &Seal,
    user: &UserId,
    (secret, step): (&TotpSecret, i64),
    now: i64,
) -> Result<(), StoreError> {
    let sealed = secrets::seal(seal, &secret_name(user), &Secret::new(secret.bytes().to_vec()))?;
    let sql = "INSERT INTO totp (user, sealed, last_step, created_at) VALUES (?1, ?2, ?3, ?4) \
               ON CONFLICT (user) DO UPDATE SET sealed = excluded.sealed, last_step = excluded.last_step, created_at = excluded.created_at";
    execute(connection, sql, params![user.as_str(), sealed, step, now]).map(|_| ())
}

/// New recovery codes in the place of all others.
pub fn set_recovery_codes(connection: &Connection, user: &UserId, hashes: &[[u8; 32]]) -> Result<(), StoreError> {
    execute(connection, "DELETE FROM recovery_code WHERE user = ?1", [user.as_str()])?;
    for hash in hashes {
        let sql = "INSERT INTO recovery_code (user, hash) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
        execute(connection, sql, params![user.as_str(), hash.as_slice()])?;
    }
    Ok(())
}

/// Recovery codes stand in for a factor; with the last factor they go.
pub fn without_factors_no_codes(connection: &Connection, user: &UserId) -> Result<(), StoreError> {
    let sql = "DELETE FROM recovery_code WHERE user = ?1 AND NOT EXISTS (SELECT 1 FROM totp WHERE totp.user = ?1) \
               AND NOT EXISTS (SELECT 1 FROM passkey WHERE passkey.user = ?1)";
    execute(connection, sql, [user.as_str()]).map(|_| ())
}

/// One more passkey, which nobody has yet.
pub fn add_passkey(connection: &Connection, user: &UserId, passkey: &Passkey) -> Result<(), StoreError> {
    if exists(
        connection,
        "SELECT 1 FROM passkey WHERE user = ?1 LIMIT 1 OFFSET ?2",
        params![user.as_str(), MAXIMUM_PASSKEYS - 1],
    )? {
        return Err(conflict("there are too many passkeys"));
    }
    let sql = "INSERT INTO passkey (id, user, public_key, sign_count, backed_up, name, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) \
               ON CONFLICT DO NOTHING";
    let key = &passkey.key;
    let row = params![key.id, user.as_str(), key.public_key, key.sign_count, key.backed_up, passkey.name, passkey.created_at];
    match execute(connection, sql, row)? {
        0 => Err(conflict("the passkey is registered")),
        _ => Ok(()),
    }
}

/// A passkey and whose it is.
pub fn passkey(connection: &Connection, id: &[u8]) -> Result<Option<(UserId, Passkey)>, StoreError> {
    one(connection, "SELECT * FROM passkey WHERE id = ?1", [id], |row| {
        Ok((super::statements::parsed(row, "user", UserId::parse)?, read_passkey(row)?))
    })
}

fn read_passkey(row: &Row<'_>) -> Result<Passkey, StoreError> {
    Ok(Passkey {
        key: PasskeyKey {
            id: column(row, "id")?,
            public_key: column(row, "public_key")?,
            sign_count: column(row, "sign_count")?,
            backed_up: column(row, "backed_up")?,
        },
        name: column(row, "name")?,
        created_at: column(row, "created_at")?,
        last_used_at: column(row, "last_used_at")?,
    })
}

/// How a person can sign in; of somebody unknown: not at all. One statement after the other, of which only the first says whether somebody may.
pub fn means(connection: &Connection, seal: &Seal, user: &UserId) -> Result<SignInMeans, StoreError> {
    let id = [user.as_str()];
    let account = one(
        connection,
        "SELECT password_hash <> '' AS has_password, locked_at, recovered_by FROM user WHERE id = ?1",
        id,
        |row| {
            Ok(SignInMeans {
                has_password: column(row, "has_password")?,
                locked_at: column(row, "locked_at")?,
                recovered_by: column(row, "recovered_by")?,
                ..SignInMeans::default()
            })
        },
    )?;
    let Some(means) = account else { return Ok(SignInMeans::default()) };
    let totp = one(connection, "SELECT * FROM totp WHERE user = ?1", id, |row| {
        let secret = secrets::open(seal, &secret_name(user), column(row, "sealed")?)?;
        let secret = TotpSecret::from_bytes(secret.expose().clone()).ok_or_else(|| unreadable("sealed"))?;
        Ok(TotpFactor { secret, last_step: column(row, "last_step")?, created_at: column(row, "created_at")? })
    })?;
    let passkeys = rows(connection, "SELECT * FROM passkey WHERE user = ?1 ORDER BY created_at, id", id, read_passkey)?;
    let recovery_codes =
        one(connection, "SELECT count(*) AS codes FROM recovery_code WHERE user = ?1", id, |row| column(row, "codes"))?;
    Ok(SignInMeans { totp, passkeys, recovery_codes: recovery_codes.unwrap_or(0), ..means })
}
