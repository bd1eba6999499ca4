//! The audit trail: one logical record per request, a ledger that loses none, and proof that nothing was changed.
//!
//! An answer can leave the server only with an [`AuditReceipt`], and a receipt exists only after the record is durable.

pub mod event;
mod flusher;
pub mod ledger;
pub mod pending;
pub mod position;
pub mod reader;
pub mod receipt;
mod recent;
pub mod record;
mod recovery;
mod segment;
pub mod sink;
pub mod sought;
pub mod storage;
pub mod verify;
mod walk;
mod writer;

#[cfg(test)]
mod tests;

pub use event::{RenderedEvent, event_id, render, render_one};
pub use ledger::{Ledger, LedgerError};
pub use pending::{Acknowledgement, Completion, OtherBytes, PendingError, PendingRecord, UnfinishedRecord};
pub use position::{Head, Position};
pub use reader::{Located, ReadError, Reader};
pub use receipt::{AuditReceipt, Counted};
pub use recent::RECENT_OUTBOX_IDS;
pub use record::{Agent, ConsentDecision, ConsentEffect, ConsentVersion, Event, OperationEntry, Outcome, Record, RecordId};
pub use segment::{Chain, GENESIS, MAXIMUM_RECORD_BYTES, MAXIMUM_SEGMENT_BYTES};
pub use sink::RecordSink;
pub use sought::{Presence, Sought};
pub use storage::{FileSegments, SegmentFile, SegmentStorage};
pub use verify::{Proved, Report, VerifyError, reaches, verify};
pub use walk::{Damage, DamageKind};
pub use writer::Durable;
