//! Reads one segment file frame by frame and checks each against the chain.
//!
//! It does not know the other segments: whether they fit together is for `verify`, `reader` and `recovery` to check.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use crate::position::Position;
use crate::segment::{
    self, Chain, FRAME_HEADER_BYTES, FRAME_OVERHEAD, FrameHeader, HEADER_BYTES, HEADER_LENGTH, Kind, SegmentHeader,
};

/// Something in the ledger is not as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {kind}")]
pub struct Damage {
    /// Where.
    pub at: Position,
    /// What.
    pub kind: DamageKind,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DamageKind {
    /// The file's header is not whole, or of another format.
    #[error("the segment's header is damaged")]
    Header,
    /// The header is whole but contradicts the segments before.
    #[error("the segment does not continue the one before it")]
    NotContinued,
    /// A segment's file is not there.
    #[error("the segment's file is missing")]
    Missing,
    /// A frame's header does not fit the chain.
    #[error("the frame's header is damaged or out of place")]
    FrameHeader,
    /// The record or the chain value was changed.
    #[error("the record does not match its chain value")]
    Record,
    /// A frame ends early although records follow elsewhere.
    #[error("the last frame of a closed segment is incomplete")]
    Incomplete,
    /// The chain is whole but the payload is no record.
    #[error("the frame holds no record that this version can read")]
    NotARecord,
}

/// Why a segment cannot be read on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WalkError {
    #[error(transparent)]
    Damaged(#[from] Damage),
    #[error(transparent)]
    Read(#[from] io::Error),
}

/// A frame that fits the chain.
#[derive(Debug)]
pub(crate) struct Frame {
    /// Where it begins.
    pub position: Position,
    /// How the record came in.
    pub kind: Kind,
    /// The record's bytes.
    pub payload: Vec<u8>,
}

/// What stands next in a segment.
#[derive(Debug)]
pub(crate) enum Step {
    /// A whole frame.
    Frame(Frame),
    /// The file ends after a whole frame.
    End,
    /// The file ends inside a frame: that many bytes are left over.
    Torn(u64),
}

/// A segment file that has been opened.
pub(crate) enum Opened {
    /// Its header is whole.
    Walk(SegmentWalk),
    /// It ends inside its header: the machine stopped while the file was being made.
    Torn(u64),
}

/// A place in one segment, moving forward.
pub(crate) struct SegmentWalk {
    input: BufReader<File>,
    header: SegmentHeader,
    length: u64,
    offset: u64,
    chain: Chain,
}

impl SegmentWalk {
    const BUFFER_BYTES: usize = 128 * 1024;
    const SMALL_BUFFER_BYTES: usize = 1024;

    /// Opens a segment to read many frames.
    pub fn open(directory: &Path, number: u64) -> Result<Opened, WalkError> {
        Self::open_buffered(directory, number, Self::BUFFER_BYTES)
    }

    /// Opens a segment to read its header or one frame, without reading ahead.
    pub fn open_once(directory: &Path, number: u64) -> Result<Opened, WalkError> {
        Self::open_buffered(directory, number, Self::SMALL_BUFFER_BYTES)
    }

    fn open_buffered(directory: &Path, number: u64, buffer_bytes: usize) -> Result<Opened, WalkError> {
        let at = Position { segment: number, offset: 0 };
        let file = File::open(segment::path(directory, number)).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => WalkError::Damaged(Damage { at, kind: DamageKind::Missing }),
            _ => WalkError::Read(error),
        })?;
        let length = file.metadata()?.len();
        let mut input = BufReader::with_capacity(buffer_bytes, file);
        if length < HEADER_LENGTH {
            return Ok(Opened::Torn(length));
        }
        let mut bytes = [0; HEADER_BYTES];
        input.read_exact(&mut bytes)?;
        match SegmentHeader::decode(&bytes) {
            Some(header) if header.number == number => {
                Ok(Opened::Walk(Self { input, header, length, offset: HEADER_LENGTH, chain: header.chain }))
            }
            None if bytes.iter().all(|byte| *byte == 0) && only_zeros(&mut input)? => Ok(Opened::Torn(length)),
            _ => Err(Damage { at, kind: DamageKind::Header }.into()),
        }
    }

    /// Moves to a frame that is known to begin at `offset`. A wrong offset is found when the frame is read.
    pub fn seek(&mut self, offset: u64) -> Result<(), WalkError> {
        let damage = Damage { at: Position { segment: self.header.number, offset }, kind: DamageKind::FrameHeader };
        if offset == HEADER_LENGTH {
            self.input.seek(SeekFrom::Start(offset))?;
            self.chain = self.header.chain;
        } else if offset >= HEADER_LENGTH + FRAME_OVERHEAD && offset <= self.length {
            // The frame before ends with the chain value that this one continues.
            self.input.seek(SeekFrom::Start(offset - 32))?;
            self.input.read_exact(&mut self.chain)?;
        } else {
            return Err(damage.into());
        }
        self.offset = offset;
        Ok(())
    }

    /// The segment's header.
    pub fn header(&self) -> &SegmentHeader {
        &self.header
    }

    /// The place that has been reached.
    pub fn position(&self) -> Position {
        Position { segment: self.header.number, offset: self.offset }
    }

    /// The chain value there.
    pub fn chain(&self) -> Chain {
        self.chain
    }

    /// The file's length when it was opened.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Reads the next frame.
    pub fn next(&mut self) -> Result<Step, WalkError> {
        let remaining = self.length - self.offset;
        if remaining == 0 {
            return Ok(Step::End);
        }
        if remaining < FRAME_HEADER_BYTES as u64 {
            return Ok(Step::Torn(remaining));
        }
        let mut bytes = [0; FRAME_HEADER_BYTES];
        self.input.read_exact(&mut bytes)?;
        let Some(header) = FrameHeader::decode(&self.chain, &bytes) else {
            // Some file systems extend a file before its data: after a power failure the tail is zeros.
            if bytes.iter().all(|byte| *byte == 0) && only_zeros(&mut self.input)? {
                return Ok(Step::Torn(remaining));
            }
            return Err(self.damage(DamageKind::FrameHeader));
        };
        let frame_bytes = FRAME_OVERHEAD + u64::from(header.length);
        if remaining < frame_bytes {
            return Ok(Step::Torn(remaining));
        }
        let kind = header.kind;
        let mut payload = vec![0; usize::try_from(header.length).unwrap_or_default()];
        let mut stored = segment::GENESIS;
        self.input.read_exact(&mut payload)?;
        self.input.read_exact(&mut stored)?;
        let chain = header.chain(&payload);
        if chain != stored {
            return Err(self.damage(DamageKind::Record));
        }
        let position = self.position();
        self.chain = chain;
        self.offset += frame_bytes;
        Ok(Step::Frame(Frame { position, kind, payload }))
    }

    fn damage(&self, kind: DamageKind) -> WalkError {
        Damage { at: self.position(), kind }.into()
    }
}

fn only_zeros(input: &mut impl Read) -> io::Result<bool> {
    let mut buffer = [0; 4096];
    loop {
        let count = input.read(&mut buffer)?;
        if count == 0 {
            return Ok(true);
        }
        if buffer.iter().take(count).any(|byte| *byte != 0) {
            return Ok(false);
        }
    }
}
