//! Appends batches of frames to the newest segment: one write and one `fdatasync` per batch, and a new segment when the old one is full.
//!
//! It stops at the first error: what is on the disk is then unknown until its end is found again (`recovery::reopen`).

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::position::{Head, Position};
use crate::recent::RecentIds;
use crate::record::RecordId;
use crate::segment::{self, HEADER_LENGTH, Kind, Payload, SegmentHeader};
use crate::storage::{SegmentFile, SegmentStorage};

// A batch is never divided between segments, so what can wait must fit into one; a frame adds at most a tenth to a KiB of payload.
const _: () = assert!(crate::ledger::QUEUE_KIBIBYTES as u64 * 1024 * 11 / 10 < crate::segment::MAXIMUM_SEGMENT_BYTES);

/// What has been made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Durable {
    /// The number of records and the chain value.
    pub head: Head,
    /// Where the next frame will begin.
    pub position: Position,
    /// The bytes of all segments.
    pub bytes: u64,
    /// How many times data was flushed since the ledger was opened.
    pub flushes: u64,
}

/// One record on its way into a segment.
#[derive(Debug)]
pub(crate) struct Item {
    /// The record's JSON text.
    pub payload: Payload,
    /// The record's id, where it comes from the outbox and may come twice.
    pub outbox: Option<RecordId>,
}

/// The newest segment.
pub(crate) struct Writer {
    pub directory: PathBuf,
    pub storage: Arc<dyn SegmentStorage>,
    pub file: Box<dyn SegmentFile>,
    pub durable: Durable,
    pub recent: RecentIds,
    pub buffer: Vec<u8>,
    pub maximum_segment_bytes: u64,
    /// How long after a failed write the first attempt is made to go on.
    pub first_retry: Duration,
}

impl Writer {
    /// A buffer that grew larger than this is given back after the batch.
    const KEPT_BUFFER_BYTES: usize = 4 * 1024 * 1024;

    /// Makes the file of a segment, durable with its header.
    pub fn create_segment(
        storage: &dyn SegmentStorage,
        directory: &std::path::Path,
        header: &SegmentHeader,
    ) -> io::Result<Box<dyn SegmentFile>> {
        let mut file = storage.create(&segment::path(directory, header.number))?;
        file.append(&header.encode())?;
        file.sync_data()?;
        Ok(file)
    }

    /// Makes all items durable, in order; those from the outbox that came before are left out. After an error this writer writes nothing more.
    pub fn write<'a>(&mut self, items: impl Iterator<Item = &'a Item> + Clone) -> io::Result<()> {
        let bound = items.clone().map(|item| item.payload.frame_bytes()).sum::<u64>();
        if self.durable.position.offset > HEADER_LENGTH && self.durable.position.offset + bound > self.maximum_segment_bytes {
            self.begin_next_segment()?;
        }
        let mut head = self.durable.head;
        self.buffer.clear();
        for item in items {
            let kind = match &item.outbox {
                None => Kind::Appended,
                Some(id) if self.recent.insert(id) => Kind::Outbox,
                Some(_) => continue,
            };
            head.chain = segment::write_frame(&head.chain, kind, &item.payload, &mut self.buffer);
            head.records += 1;
        }
        if self.buffer.is_empty() {
            return Ok(());
        }
        if let Err(error) = self.file.append(&self.buffer).and_then(|()| self.file.sync_data()) {
            // Best effort: nobody was told of these records, and pages that failed to reach the disk may look written until the next
            // start. If this fails too, opening the ledger again sorts it out.
            let _ = self.file.truncate(self.durable.position.offset);
            return Err(error);
        }
        let bytes = self.buffer.len() as u64;
        self.durable.head = head;
        self.durable.position.offset += bytes;
        self.durable.bytes += bytes;
        self.durable.flushes += 1;
        if self.buffer.capacity() > Self::KEPT_BUFFER_BYTES {
            self.buffer = Vec::new();
        }
        Ok(())
    }

    fn begin_next_segment(&mut self) -> io::Result<()> {
        let Head { records, chain } = self.durable.head;
        let number = self.durable.position.segment + 1;
        self.file = Self::create_segment(&*self.storage, &self.directory, &SegmentHeader { number, records, chain })?;
        self.durable.position = Position { segment: number, offset: HEADER_LENGTH };
        self.durable.bytes += HEADER_LENGTH;
        Ok(())
    }
}
