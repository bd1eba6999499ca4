//! Receipts: the proof, in the types, that a record is durable. Without one the server can make no answer.

use crate::record::RecordId;

/// A record is durable. Made only by the ledger after its flush and by [`crate::PendingRecord::receipt`]; neither cloned nor stored.
#[derive(Debug)]
pub struct AuditReceipt {
    record: RecordId,
}

impl AuditReceipt {
    pub(crate) fn for_durable(record: RecordId) -> Self {
        Self { record }
    }

    /// The record that is durable.
    pub fn record(&self) -> &RecordId {
        &self.record
    }
}

/// The routes that are counted instead of recorded one by one: the complete list (DESIGN.md section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Counted {
    /// Liveness and readiness.
    Health,
    /// Prometheus metrics.
    Metrics,
    /// Style sheets, scripts, icons, the start page and other files without data about anybody.
    StaticFile,
    /// Capability statement, SMART, OAuth and OpenID discovery, JWKS.
    Discovery,
}
