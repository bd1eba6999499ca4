//! Proves that a ledger is as it was written.
//!
//! The files alone prove self-consistency: no bit changed by accident, and nobody changed anything without computing all that follows
//! anew. With a head that was kept elsewhere it is also proved that nothing before that head was cut or rewritten by anybody.

use std::io;
use std::path::Path;

use crate::position::{Head, Position};
use crate::segment::{self, HEADER_LENGTH};
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
pub fn verify(directory: &Path, expect: Option<Head>) -> Result<Report, VerifyError> {
    let numbers = segment::list(directory).map_err(VerifyError::Read)?;
    let mut check = Check::new(expect);
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

struct Check {
    expect: Option<Head>,
    head: Head,
    at: Position,
    bytes: u64,
    times: Option<(i64, i64)>,
    torn: Option<TornTail>,
    /// Where the chain had another value than the expected one, at the expected record count.
    differs: Option<Position>,
}

impl Check {
    fn new(expect: Option<Head>) -> Self {
        let mut check = Self { expect, head: Head::EMPTY, at: Position::START, bytes: 0, times: None, torn: None, differs: None };
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
        if let Some(expect) = self.expect
            && expect.records == self.head.records
            && expect.chain != self.head.chain
        {
            self.differs = Some(self.at);
        }
    }

    fn damaged(&self, damage: Damage) -> VerifyError {
        VerifyError::Damaged { damage, records: self.head.records }
    }

    fn finish(self, segments: u64) -> Result<Report, VerifyError> {
        let proved = match self.expect {
            None => Proved::SelfConsistent,
            Some(expect) => {
                if let Some(at) = self.differs {
                    return Err(VerifyError::Rewritten { records: expect.records, at });
                }
                if self.head.records < expect.records {
                    return Err(VerifyError::Cut { expected: expect.records, found: self.head.records, at: self.at });
                }
                Proved::NothingBeforeExpectedChanged(expect)
            }
        };
        let (first, last) = self.times.unzip();
        Ok(Report { head: self.head, segments, bytes: self.bytes, first, last, proved, torn: self.torn })
    }
}
