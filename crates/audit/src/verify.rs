//! Proves that a ledger is as it was written.
//!
//! The files alone prove self-consistency: no bit changed by accident, and nobody changed anything without computing all that follows
//! anew. With a head that was kept elsewhere it is also proved that nothing before that head was cut or rewritten by anybody. A head that was kept
//! beside the ledger shows what was cut by accident, or by somebody who did not know of it.

use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use crate::position::{Head, Position};
use crate::segment::{self, Chain, HEADER_LENGTH};
use crate::walk::{Damage, DamageKind, Frame, Opened, SegmentWalk, Step, WalkError};

/// What a check of the whole ledger found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The records and their chain value: to be kept elsewhere for the next check.
    pub head: Head,
    /// How many segment files there are.
    pub segments: u64,
    /// Their bytes, without a torn tail.
    pub bytes: u64,
    /// The earliest time in a record, milliseconds since the epoch.
    pub first: Option<i64>,
    /// The latest time in a record, milliseconds since the epoch.
    pub last: Option<i64>,
    /// What was proved.
    pub proved: Proved,
    /// A frame that was being written when the machine stopped. Nobody was told that its record is durable; the next opening cuts it off.
    pub torn: Option<TornTail>,
}

/// What a check has proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proved {
    /// The files fit together.
    SelfConsistent,
    /// They do, and the records up to the expected head are the ones that it stands for.
    NothingBeforeExpectedChanged(Head),
}

/// An incomplete frame at the very end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// Where it begins.
    pub at: Position,
    /// How much of it is there.
    pub bytes: u64,
}

/// Why a ledger is not proved.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// Something was changed, or is missing between other parts.
    #[error("damaged at {damage}, after {records} whole records")]
    Damaged {
        /// Where and how.
        damage: Damage,
        /// How many records before it are whole.
        records: u64,
    },
    /// The ledger is consistent but shorter than the expected head.
    #[error("cut: {found} of {expected} expected records remain, the last ends at {at}")]
    Cut {
        /// How many records the expected head stands for.
        expected: u64,
        /// How many there are.
        found: u64,
        /// Where the ledger ends.
        at: Position,
    },
    /// The ledger is consistent but its records are not those of the expected head.
    #[error("rewritten: record {records}, which ends at {at}, is not preceded by the expected history")]
    Rewritten {
        /// The record count of the expected head.
        records: u64,
        /// Where that record ends.
        at: Position,
    },
    /// The files cannot be read.
    #[error("the audit ledger cannot be read")]
    Read(#[source] io::Error),
}

/// Checks everything: headers, framing, chain, that each frame holds a record, and the expected head where one is given.
/// `seen` is a head that was kept beside the files: they must reach it, but it proves nothing to the report.
pub fn verify(directory: &Path, expect: Option<Head>, seen: Option<Head>) -> Result<Report, VerifyError> {
    let numbers = segment::list(directory).map_err(VerifyError::Read)?;
    let mut check = Check::new(expect, seen);
    for (expected, number) in (1..).zip(&numbers) {
        if *number != expected {
            return Err(check.damaged(Damage { at: Position { segment: expected, offset: 0 }, kind: DamageKind::Missing }));
        }
        let last = numbers.last() == Some(number);
        check.segment(directory, *number, last).map_err(|error| match error {
            WalkError::Damaged(damage) => check.damaged(damage),
            WalkError::Read(error) => VerifyError::Read(error),
        })?;
    }
    check.finish(u64::try_from(numbers.len()).unwrap_or(u64::MAX))
}

/// Whether the ledger still reaches the place where it was once durable with this chain value. Reads one value: what lies between is for [`verify`].
pub fn reaches(directory: &Path, position: Position, chain: &Chain) -> io::Result<bool> {
    if position == Position::START {
        return Ok(true);
    }
    if position.offset == HEADER_LENGTH {
        // A segment whose first record was never written: its header has the chain value.
        return match SegmentWalk::open_once(directory, position.segment) {
            Ok(Opened::Walk(walk)) => Ok(walk.header().chain == *chain),
            Ok(Opened::Torn(_)) | Err(WalkError::Damaged(_)) => Ok(false),
            Err(WalkError::Read(error)) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(WalkError::Read(error)) => Err(error),
        };
    }
    let mut file = match std::fs::File::open(segment::path(directory, position.segment)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    // A frame ends with its chain value.
    let Some(place) = position.offset.checked_sub(32).filter(|place| *place >= HEADER_LENGTH) else { return Ok(false) };
    let mut found = segment::GENESIS;
    file.seek(SeekFrom::Start(place))?;
    match file.read_exact(&mut found) {
        Ok(()) => Ok(found == *chain),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

struct Check {
    expect: Option<Head>,
    seen: Option<Head>,
    head: Head,
    at: Position,
    bytes: u64,
    times: Option<(i64, i64)>,
    torn: Option<TornTail>,
    /// Where the chain had another value than an expected one, and at which record count.
    differs: Option<(u64, Position)>,
}

impl Check {
    fn new(expect: Option<Head>, seen: Option<Head>) -> Self {
        let (head, at) = (Head::EMPTY, Position::START);
        let mut check = Self { expect, seen, head, at, bytes: 0, times: None, torn: None, differs: None };
        check.compare();
        check
    }

    fn segment(&mut self, directory: &Path, number: u64, last: bool) -> Result<(), WalkError> {
        let start = Position { segment: number, offset: 0 };
        let mut walk = match SegmentWalk::open(directory, number)? {
            Opened::Walk(walk) => walk,
            Opened::Torn(bytes) if last => {
                self.torn = Some(TornTail { at: start, bytes });
                return Ok(());
            }
            Opened::Torn(_) => return Err(Damage { at: start, kind: DamageKind::Header }.into()),
        };
        let header = walk.header();
        if (Head { records: header.records, chain: header.chain }) != self.head {
            return Err(Damage { at: start, kind: DamageKind::NotContinued }.into());
        }
        self.bytes += HEADER_LENGTH;
        self.at = walk.position();
        loop {
            match walk.next()? {
                Step::Frame(frame) => {
                    self.note_time(&frame)?;
                    self.head = Head { records: self.head.records + 1, chain: walk.chain() };
                    self.bytes += walk.position().offset - frame.position.offset;
                    self.at = walk.position();
                    self.compare();
                }
                Step::End if !last && self.at.offset == HEADER_LENGTH => {
                    // A segment is only begun when the one before is full.
                    return Err(Damage { at: self.at, kind: DamageKind::Incomplete }.into());
                }
                Step::End => return Ok(()),
                Step::Torn(bytes) if last => {
                    self.torn = Some(TornTail { at: walk.position(), bytes });
                    return Ok(());
                }
                Step::Torn(_) => return Err(Damage { at: walk.position(), kind: DamageKind::Incomplete }.into()),
            }
        }
    }

    fn note_time(&mut self, frame: &Frame) -> Result<(), Damage> {
        let record: crate::record::Record =
            serde_json::from_slice(&frame.payload).map_err(|_| Damage { at: frame.position, kind: DamageKind::NotARecord })?;
        let (first, last) = self.times.unwrap_or((record.recorded, record.recorded));
        self.times = Some((first.min(record.recorded), last.max(record.recorded)));
        Ok(())
    }

    fn compare(&mut self) {
        let mut expected = self.expect.iter().chain(&self.seen);
        if expected.any(|head| head.records == self.head.records && head.chain != self.head.chain) {
            self.differs.get_or_insert((self.head.records, self.at));
        }
    }

    fn damaged(&self, damage: Damage) -> VerifyError {
        VerifyError::Damaged { damage, records: self.head.records }
    }

    fn finish(self, segments: u64) -> Result<Report, VerifyError> {
        if let Some((records, at)) = self.differs {
            return Err(VerifyError::Rewritten { records, at });
        }
        let expected = self.expect.iter().chain(&self.seen).map(|head| head.records).max().unwrap_or_default();
        if self.head.records < expected {
            return Err(VerifyError::Cut { expected, found: self.head.records, at: self.at });
        }
        let proved = self.expect.map_or(Proved::SelfConsistent, Proved::NothingBeforeExpectedChanged);
        let (first, last) = self.times.unzip();
        Ok(Report { head: self.head, segments, bytes: self.bytes, first, last, proved, torn: self.torn })
    }
}
