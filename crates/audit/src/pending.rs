//! A record that is stored in the same transaction as the change that it describes (the outbox).

use crate::receipt::AuditReceipt;
use crate::record::{Record, RecordId};

/// A record in its exact bytes, before the transaction that will hold it.
#[derive(Debug)]
pub struct PendingRecord {
    id: RecordId,
    bytes: Vec<u8>,
}

/// A backend's word that exactly these bytes are durable. The backend computes the digest from what it stored.
#[derive(Debug)]
pub struct Acknowledgement {
    digest: [u8; 32],
}

impl Acknowledgement {
    /// Acknowledges these bytes; called by a backend after the transaction that stored them has been made durable.
    pub fn of_stored(bytes: &[u8]) -> Self {
        Self { digest: digest(bytes) }
    }
}

/// The backend acknowledged something else than what it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the backend acknowledged other bytes than the pending record's")]
pub struct OtherBytes;

impl PendingRecord {
    /// Fixes the bytes of a record.
    pub fn new(record: &Record) -> Result<Self, serde_json::Error> {
        Ok(Self { id: record.id.clone(), bytes: serde_json::to_vec(record)? })
    }

    /// The record's id: the outbox's key, by which duplicates are dropped.
    pub fn id(&self) -> &RecordId {
        &self.id
    }

    /// The bytes to store.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The receipt, if the backend stored exactly these bytes.
    pub fn receipt(self, acknowledgement: &Acknowledgement) -> Result<AuditReceipt, OtherBytes> {
        if digest(&self.bytes) == acknowledgement.digest { Ok(AuditReceipt::for_durable(self.id)) } else { Err(OtherBytes) }
    }
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    let mut output = [0; 32];
    output.copy_from_slice(digest.as_ref());
    output
}
