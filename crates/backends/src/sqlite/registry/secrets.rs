//! Secrets of the server at rest: AES-256-GCM (NIST SP 800-38D) under a key derived from the root key, with the secret's name as authenticated
//! data, so that one never passes for another.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use portcullis_jose::Secret;
use portcullis_jose::digest::sha256;
use portcullis_store::StoreError;
use portcullis_store::registry::SECRET_CHANGED;
use rusqlite::{Connection, params};

use super::statements::{column, conflict, execute, one};
use crate::sqlite::seal::Seal;

const PURPOSE: &str = "seal server secrets";

/// `nonce || ciphertext || tag` of a secret under its name.
pub fn seal(seal: &Seal, name: &str, secret: &Secret<Vec<u8>>) -> Result<Vec<u8>, StoreError> {
    let mut text = Vec::with_capacity(secret.expose().len() + AES_256_GCM.tag_len());
    text.extend_from_slice(secret.expose());
    let nonce = key(seal)?.seal_in_place_append_tag(authenticated_data(name), &mut text).map_err(|_| refused())?;
    let mut sealed = nonce.as_ref().to_vec();
    sealed.extend_from_slice(&text);
    Ok(sealed)
}

/// The secret of this name, if there is one.
pub fn find(connection: &Connection, seal: &Seal, name: &str) -> Result<Option<Secret<Vec<u8>>>, StoreError> {
    let sealed =
        one(connection, "SELECT sealed FROM server_secret WHERE name = ?1", [name], |row| column::<Vec<u8>>(row, "sealed"))?;
    sealed.map(|sealed| open(seal, name, sealed)).transpose()
}

/// Stores a sealed secret unless there is one by now, and returns the one that is stored.
pub fn keep_first(connection: &Connection, seal: &Seal, name: &str, sealed: &[u8]) -> Result<Secret<Vec<u8>>, StoreError> {
    let sql = "INSERT INTO server_secret (name, sealed) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
    execute(connection, sql, params![name, sealed])?;
    find(connection, seal, name)?.ok_or_else(|| corrupt(name))
}

/// Puts a secret in the place of the one with this SHA-256.
pub fn replace(
    connection: &Connection,
    seal: &Seal,
    name: &str,
    (before, after): (&[u8; 32], &Secret<Vec<u8>>),
) -> Result<(), StoreError> {
    let found = find(connection, seal, name)?.ok_or_else(|| conflict(SECRET_CHANGED))?;
    if sha256(found.expose()) != *before {
        return Err(conflict(SECRET_CHANGED));
    }
    let sealed = self::seal(seal, name, after)?;
    execute(connection, "UPDATE server_secret SET sealed = ?2 WHERE name = ?1", params![name, sealed]).map(|_| ())
}

/// Opens what [`seal`] has sealed under this name.
pub fn open(seal: &Seal, name: &str, mut sealed: Vec<u8>) -> Result<Secret<Vec<u8>>, StoreError> {
    let nonce = *sealed.first_chunk::<NONCE_LEN>().ok_or_else(|| corrupt(name))?;
    let mut text = sealed.split_off(NONCE_LEN);
    let opened = key(seal)?.open_in_place(Nonce::assume_unique_for_key(nonce), authenticated_data(name), &mut text);
    let length = opened.map_err(|_| corrupt(name))?.len();
    text.truncate(length);
    Ok(Secret::new(text))
}

fn key(seal: &Seal) -> Result<RandomizedNonceKey, StoreError> {
    let bytes = seal.derive(PURPOSE).map_err(|error| StoreError::Unavailable(Box::new(error)))?;
    RandomizedNonceKey::new(&AES_256_GCM, &bytes).map_err(|_| refused())
}

fn authenticated_data(name: &str) -> Aad<&[u8]> {
    Aad::from(name.as_bytes())
}

fn corrupt(name: &str) -> StoreError {
    StoreError::Corrupt(format!("the server secret {name} fails its authentication"))
}

fn refused() -> StoreError {
    StoreError::Unavailable("the cryptographic library refused".into())
}
