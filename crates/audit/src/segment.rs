//! The format of a segment file: a header, then frames that are chained by SHA-256.
//!
//! All numbers are little-endian.
//!
//! - Header: magic (8 bytes), format version (4), segment number (8), records in earlier segments (8), chain value at the start (32),
//!   check (8: the first bytes of the SHA-256 of what stands before).
//! - Frame: payload length (4), kind (1), check (4: the first bytes of SHA-256(previous chain value, length, kind)), payload,
//!   chain value (32: SHA-256(previous chain value, length, kind, payload)).
//!
//! The check makes a damaged length differ from an incomplete frame: only the latter may be cut off when the ledger is opened.
//! The chain finds every change by someone who cannot compute it anew; who can is found only with a head that was kept elsewhere.

use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256};

/// A value of the hash chain: it stands for all records up to one.
pub type Chain = [u8; 32];

/// The chain value before the first record.
pub const GENESIS: Chain = [0; 32];

/// A segment file is closed and the next one begun before it would become longer than this.
pub const MAXIMUM_SEGMENT_BYTES: u64 = 64 * 1024 * 1024;

/// The longest record, in bytes of its JSON text.
pub const MAXIMUM_RECORD_BYTES: usize = 16 * 1024 * 1024;

/// The length of a segment's header: the offset of its first frame.
pub const HEADER_LENGTH: u64 = HEADER_BYTES as u64;

/// The length of a frame without its payload.
pub(crate) const FRAME_OVERHEAD: u64 = FRAME_HEADER_BYTES as u64 + 32;

pub(crate) const HEADER_BYTES: usize = 8 + 4 + 8 + 8 + 32 + HEADER_CHECK_BYTES;
pub(crate) const FRAME_HEADER_BYTES: usize = 4 + 1 + 4;

const HEADER_CHECK_BYTES: usize = 8;
const MAGIC: [u8; 8] = *b"PCLEDGER";
const FORMAT_VERSION: u32 = 1;
const EXTENSION: &str = "segment";

/// The file of a segment.
pub(crate) fn path(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{number:08}.{EXTENSION}"))
}

/// The numbers of the segments in a directory, in ascending order. Files with other names are not the ledger's.
pub(crate) fn list(directory: &Path) -> std::io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        if path.extension().is_some_and(|extension| extension == EXTENSION)
            && let Ok(number) = stem.parse()
            && path == self::path(directory, number)
        {
            numbers.push(number);
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// What a segment file begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    /// The segment's number, from 1.
    pub number: u64,
    /// How many records the earlier segments hold.
    pub records: u64,
    /// The chain value after the last of them.
    pub chain: Chain,
}

impl SegmentHeader {
    /// The header's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes.extend_from_slice(&self.number.to_le_bytes());
        bytes.extend_from_slice(&self.records.to_le_bytes());
        bytes.extend_from_slice(&self.chain);
        let check: [u8; HEADER_CHECK_BYTES] = prefix(&digest(&bytes));
        bytes.extend_from_slice(&check);
        bytes
    }

    /// The header in these bytes, if it is whole and of this format version.
    pub fn decode(bytes: &[u8; HEADER_BYTES]) -> Option<Self> {
        let (body, check) = bytes.split_last_chunk::<HEADER_CHECK_BYTES>()?;
        let mut rest = body;
        let magic: [u8; 8] = take(&mut rest)?;
        let version = u32::from_le_bytes(take(&mut rest)?);
        if magic != MAGIC || version != FORMAT_VERSION || prefix(&digest(body)) != *check {
            return None;
        }
        let number = u64::from_le_bytes(take(&mut rest)?);
        let records = u64::from_le_bytes(take(&mut rest)?);
        Some(Self { number, records, chain: take(&mut rest)? })
    }
}

/// How a record came into the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Appended by its request.
    Appended,
    /// Moved from the outbox: its id counts when duplicates are dropped.
    Outbox,
}

impl Kind {
    fn code(self) -> u8 {
        match self {
            Self::Appended => 1,
            Self::Outbox => 2,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Appended),
            2 => Some(Self::Outbox),
            _ => None,
        }
    }
}

/// A payload of a length that a frame can have.
#[derive(Debug)]
pub(crate) struct Payload {
    bytes: Vec<u8>,
    length: u32,
}

impl Payload {
    /// The payload, or its length if no frame can hold it.
    pub fn new(bytes: Vec<u8>) -> Result<Self, usize> {
        match u32::try_from(bytes.len()) {
            Ok(length) if (1..=MAXIMUM_RECORD_BYTES).contains(&bytes.len()) => Ok(Self { bytes, length }),
            _ => Err(bytes.len()),
        }
    }

    /// The length of the whole frame.
    pub fn frame_bytes(&self) -> u64 {
        FRAME_OVERHEAD + u64::from(self.length)
    }

    /// The length of the payload.
    pub fn length(&self) -> u32 {
        self.length
    }
}

/// Appends a frame to `output` and returns the new chain value.
pub(crate) fn write_frame(previous: &Chain, kind: Kind, payload: &Payload, output: &mut Vec<u8>) -> Chain {
    let (mut context, check) = begin(previous, payload.length, kind.code());
    output.extend_from_slice(&payload.length.to_le_bytes());
    output.push(kind.code());
    output.extend_from_slice(&check);
    output.extend_from_slice(&payload.bytes);
    context.update(&payload.bytes);
    let chain = finish(context);
    output.extend_from_slice(&chain);
    chain
}

/// A frame's header that fits the chain.
pub(crate) struct FrameHeader {
    /// How the record came in.
    pub kind: Kind,
    /// The payload's length.
    pub length: u32,
    context: Context,
}

impl FrameHeader {
    /// The header in these bytes, if it belongs after `previous`.
    pub fn decode(previous: &Chain, bytes: &[u8; FRAME_HEADER_BYTES]) -> Option<Self> {
        let mut rest = bytes.as_slice();
        let length = u32::from_le_bytes(take(&mut rest)?);
        let [code] = take(&mut rest)?;
        let stored: [u8; 4] = take(&mut rest)?;
        let (context, check) = begin(previous, length, code);
        let in_bounds = usize::try_from(length).is_ok_and(|length| (1..=MAXIMUM_RECORD_BYTES).contains(&length));
        if stored != check || !in_bounds {
            return None;
        }
        Some(Self { kind: Kind::from_code(code)?, length, context })
    }

    /// The chain value after this frame with this payload.
    pub fn chain(mut self, payload: &[u8]) -> Chain {
        self.context.update(payload);
        finish(self.context)
    }
}

fn begin(previous: &Chain, length: u32, code: u8) -> (Context, [u8; 4]) {
    let mut context = Context::new(&SHA256);
    context.update(previous);
    context.update(&length.to_le_bytes());
    context.update(&[code]);
    let check = prefix(&finish(context.clone()));
    (context, check)
}

fn finish(context: Context) -> Chain {
    prefix(context.finish().as_ref())
}

/// The SHA-256 of these bytes.
pub(crate) fn digest(bytes: &[u8]) -> Chain {
    prefix(aws_lc_rs::digest::digest(&SHA256, bytes).as_ref())
}

/// The first bytes of a digest.
pub(crate) fn prefix<const N: usize>(digest: &[u8]) -> [u8; N] {
    const { assert!(N <= 32, "SHA-256 has 32 bytes") };
    digest.first_chunk().copied().unwrap_or([0; N])
}

fn take<const N: usize>(input: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = input.split_first_chunk::<N>()?;
    *input = rest;
    Some(*head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_with_any_flipped_bit_is_refused() {
        let header = SegmentHeader { number: 7, records: 1 << 40, chain: [9; 32] };
        let bytes: [u8; HEADER_BYTES] = header.encode().try_into().unwrap();
        assert_eq!(SegmentHeader::decode(&bytes), Some(header));
        for bit in 0..HEADER_BYTES * 8 {
            let mut changed = bytes;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(SegmentHeader::decode(&changed), None, "bit {bit}");
        }
    }

    #[test]
    fn frame_header_fits_only_after_its_own_predecessor() {
        let mut frame = Vec::new();
        let chain = write_frame(&GENESIS, Kind::Outbox, &Payload::new(b"{}".to_vec()).unwrap(), &mut frame);
        let header: [u8; FRAME_HEADER_BYTES] = prefix_of(&frame);
        let decoded = FrameHeader::decode(&GENESIS, &header).unwrap();
        assert_eq!((decoded.kind, decoded.length), (Kind::Outbox, 2));
        assert_eq!(decoded.chain(b"{}"), chain);
        assert!(FrameHeader::decode(&chain, &header).is_none());
        assert_eq!(frame.len() as u64, FRAME_OVERHEAD + 2);
    }

    fn prefix_of<const N: usize>(bytes: &[u8]) -> [u8; N] {
        *bytes.first_chunk().unwrap()
    }

    #[test]
    fn payloads_that_are_empty_or_too_long_are_refused() {
        assert_eq!(Payload::new(Vec::new()).unwrap_err(), 0);
        assert_eq!(Payload::new(vec![b' '; MAXIMUM_RECORD_BYTES + 1]).unwrap_err(), MAXIMUM_RECORD_BYTES + 1);
        assert!(Payload::new(vec![b' '; MAXIMUM_RECORD_BYTES]).is_ok());
    }

    #[test]
    fn only_files_named_as_segments_are_listed() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["00000002.segment", "00000001.segment", "3.segment", "00000004.segment.bak", "+0000005.segment", "lock"] {
            std::fs::write(directory.path().join(name), b"").unwrap();
        }
        assert_eq!(list(directory.path()).unwrap(), [1, 2]);
    }
}
