//! Where the server sends its records: the ledger, or in tests something that fails on demand.

use std::future::Future;
use std::pin::Pin;

use crate::ledger::{Ledger, LedgerError};
use crate::receipt::AuditReceipt;
use crate::record::Record;

/// Something that makes records durable.
pub trait RecordSink: Send + Sync {
    /// Makes one record durable. Only the real ledger can make the receipt.
    fn append(&self, record: Record) -> Pin<Box<dyn Future<Output = Result<AuditReceipt, LedgerError>> + Send + '_>>;

    /// Whether records can be made durable, as far as is known. A change whose record goes by way of the outbox is refused where this fails:
    /// the record would be safe, but nobody could see it.
    fn health(&self) -> Result<(), LedgerError>;
}

impl RecordSink for Ledger {
    fn append(&self, record: Record) -> Pin<Box<dyn Future<Output = Result<AuditReceipt, LedgerError>> + Send + '_>> {
        Box::pin(async move { Ledger::append(self, &record).await })
    }

    fn health(&self) -> Result<(), LedgerError> {
        Ledger::health(self)
    }
}
