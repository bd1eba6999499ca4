//! Opens a ledger's directory for appending: finds the end, cuts off a frame that was being written when the machine stopped.
//!
//! It checks the headers of all segments, that each continues the one before, and every frame of the last two segments. A full check
//! of everything is `verify`.

use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use crate::ledger::FIRST_RETRY;
use crate::position::{Head, Position};
use crate::recent::RecentIds;
use crate::record::RecordId;
use crate::segment::{self, Chain, HEADER_LENGTH, Kind, MAXIMUM_SEGMENT_BYTES, SegmentHeader};
use crate::storage::{SegmentFile, SegmentStorage};
use crate::walk::{Damage, DamageKind, Opened, SegmentWalk, Step, WalkError};
use crate::writer::{Durable, Writer};

/// Finds the end of the ledger in `directory`, or begins a new one.
pub(crate) fn open(directory: &Path, storage: Arc<dyn SegmentStorage>) -> Result<Writer, WalkError> {
    std::fs::create_dir_all(directory)?;
    let numbers = segment::list(directory)?;
    for (expected, number) in (1..).zip(&numbers) {
        if *number != expected {
            return Err(damage(expected, DamageKind::Missing));
        }
    }
    let Some(last) = numbers.last().copied() else {
        let header = SegmentHeader { number: 1, records: 0, chain: segment::GENESIS };
        let file = Writer::create_segment(&*storage, directory, &header)?;
        return Ok(writer(directory, storage, file, End::after_header(&header)));
    };
    check_continuity(directory, last)?;
    let mut recent = RecentIds::default();
    let header = match last {
        1 => SegmentHeader { number: 1, records: 0, chain: segment::GENESIS },
        _ => match replay(directory, last - 1, None, &mut recent)? {
            Replayed::Whole(end) => SegmentHeader { number: last, records: end.head.records, chain: end.head.chain },
            Replayed::Torn(_) | Replayed::TornHeader => return Err(damage(last - 1, DamageKind::Incomplete)),
        },
    };
    let (file, end) = match replay(directory, last, Some(&header), &mut recent)? {
        Replayed::Whole(end) => (storage.open(&segment::path(directory, last))?, end),
        Replayed::Torn(end) => {
            let mut file = storage.open(&segment::path(directory, last))?;
            file.truncate(end.position.offset)?;
            file.sync_data()?;
            (file, end)
        }
        Replayed::TornHeader => {
            let mut file = storage.open(&segment::path(directory, last))?;
            file.truncate(0)?;
            file.append(&header.encode())?;
            file.sync_data()?;
            (file, End::after_header(&header))
        }
    };
    let mut writer = writer(directory, storage, file, end);
    writer.recent = recent;
    for number in 1..last {
        writer.durable.bytes += std::fs::metadata(segment::path(directory, number))?.len();
    }
    Ok(writer)
}

/// Finds the end again after a write that failed: cuts off what was never acknowledged, and makes sure that the disk took that. Fails with
/// [`WalkError::Read`] while the disk refuses, and with [`WalkError::Damaged`] where the files are not what was acknowledged.
pub(crate) fn reopen(failed: &Writer) -> Result<Writer, WalkError> {
    let Position { segment, offset } = failed.durable.position;
    let mut file = failed.storage.open(&segment::path(&failed.directory, segment))?;
    file.truncate(offset)?;
    file.sync_data()?;
    drop(file);
    // The name of a segment that could not be begun may not have reached the disk.
    std::fs::File::open(&failed.directory)?.sync_all()?;
    let mut found = open(&failed.directory, Arc::clone(&failed.storage))?;
    found.file.sync_data()?;
    if found.durable.head != failed.durable.head {
        return Err(damage(segment, DamageKind::NotContinued));
    }
    found.durable.flushes = failed.durable.flushes;
    found.maximum_segment_bytes = failed.maximum_segment_bytes;
    found.first_retry = failed.first_retry;
    Ok(found)
}

/// The end of one segment.
struct End {
    head: Head,
    position: Position,
}

impl End {
    fn after_header(header: &SegmentHeader) -> Self {
        let head = Head { records: header.records, chain: header.chain };
        Self { head, position: Position { segment: header.number, offset: HEADER_LENGTH } }
    }
}

enum Replayed {
    Whole(End),
    Torn(End),
    TornHeader,
}

fn writer(directory: &Path, storage: Arc<dyn SegmentStorage>, file: Box<dyn SegmentFile>, end: End) -> Writer {
    let durable = Durable { head: end.head, position: end.position, bytes: end.position.offset, flushes: 0 };
    Writer {
        directory: directory.to_owned(),
        storage,
        file,
        durable,
        recent: RecentIds::default(),
        buffer: Vec::new(),
        maximum_segment_bytes: MAXIMUM_SEGMENT_BYTES,
        first_retry: FIRST_RETRY,
    }
}

/// Walks one segment, which begins with this header where that is known, and remembers the outbox ids in it.
fn replay(directory: &Path, number: u64, header: Option<&SegmentHeader>, recent: &mut RecentIds) -> Result<Replayed, WalkError> {
    let mut walk = match SegmentWalk::open(directory, number)? {
        Opened::Walk(walk) => walk,
        Opened::Torn(_) => return Ok(Replayed::TornHeader),
    };
    if header.is_some_and(|header| header != walk.header()) {
        return Err(damage(number, DamageKind::NotContinued));
    }
    let mut records = walk.header().records;
    loop {
        let step = walk.next()?;
        let end = |records| End { head: Head { records, chain: walk.chain() }, position: walk.position() };
        match step {
            Step::End => return Ok(Replayed::Whole(end(records))),
            Step::Torn(_) => return Ok(Replayed::Torn(end(records))),
            Step::Frame(frame) => {
                records += 1;
                if frame.kind == Kind::Outbox {
                    #[derive(serde::Deserialize)]
                    struct OnlyId {
                        id: RecordId,
                    }
                    let OnlyId { id } = serde_json::from_slice(&frame.payload)
                        .map_err(|_| Damage { at: frame.position, kind: DamageKind::NotARecord })?;
                    recent.insert(&id);
                }
            }
        }
    }
}

/// Checks that each segment begins with the chain value with which the one before ends, without reading what lies between.
fn check_continuity(directory: &Path, last: u64) -> Result<(), WalkError> {
    let mut expected: Chain = segment::GENESIS;
    let mut records = 0;
    for number in 1..=last {
        match SegmentWalk::open_once(directory, number)? {
            Opened::Walk(walk) => {
                let header = walk.header();
                let grew = if number == 1 { header.records == 0 } else { header.records > records };
                if header.chain != expected || !grew {
                    return Err(damage(number, DamageKind::NotContinued));
                }
                records = header.records;
                expected = last_chain_value(directory, number, walk.length())?;
            }
            // A file that never got its header can only be the newest.
            Opened::Torn(_) if number == last => {}
            Opened::Torn(_) => return Err(damage(number, DamageKind::Header)),
        }
    }
    Ok(())
}

fn last_chain_value(directory: &Path, number: u64, length: u64) -> io::Result<Chain> {
    let mut file = std::fs::File::open(segment::path(directory, number))?;
    let mut chain = segment::GENESIS;
    file.seek(SeekFrom::Start(length.saturating_sub(32)))?;
    file.read_exact(&mut chain)?;
    Ok(chain)
}

fn damage(segment: u64, kind: DamageKind) -> WalkError {
    Damage { at: Position { segment, offset: 0 }, kind }.into()
}
