//! Reads records back: one by its position, or all from a position on. Everything read is checked against the chain.
//!
//! Reading blocks. A reader may run beside the ledger that writes; then it reads up to [`crate::Ledger::position`].

use std::io;
use std::path::{Path, PathBuf};

use crate::position::Position;
use crate::record::Record;
use crate::walk::{Damage, DamageKind, Frame, Opened, SegmentWalk, Step, WalkError};

/// Why a record could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// No record begins there.
    #[error("no record at {0}")]
    NotFound(Position),
    /// What stands there is not what was written.
    #[error("the audit ledger is damaged at {0}")]
    Damaged(#[source] Damage),
    /// The file cannot be read.
    #[error("the audit ledger cannot be read")]
    Read(#[source] io::Error),
}

impl From<WalkError> for ReadError {
    fn from(error: WalkError) -> Self {
        match error {
            WalkError::Damaged(damage) => Self::Damaged(damage),
            WalkError::Read(error) => Self::Read(error),
        }
    }
}

/// Reads the ledger in a directory.
#[derive(Clone, Debug)]
pub struct Reader {
    directory: PathBuf,
}

/// A record and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// Where it begins: [`Reader::read_at`] finds it there.
    pub position: Position,
    /// Where the one after it begins.
    pub next: Position,
    /// The record.
    pub record: Record,
}

impl Reader {
    /// A reader of the ledger in this directory.
    pub fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    /// The record that begins at this position.
    pub fn read_at(&self, position: Position) -> Result<Record, ReadError> {
        let Opened::Walk(mut walk) = SegmentWalk::open_once(&self.directory, position.segment)? else {
            return Err(ReadError::NotFound(position));
        };
        walk.seek(position.offset)?;
        match walk.next()? {
            Step::Frame(frame) => record(&frame),
            Step::End | Step::Torn(_) => Err(ReadError::NotFound(position)),
        }
    }

    /// The records from `from` on, up to but without `until`; where that is `None`, up to the last whole one.
    pub fn records(&self, from: Position, until: Option<Position>) -> Records {
        Records { directory: self.directory.clone(), from, until, walk: None, ended: false }
    }
}

/// Records in their order. Ends after the first error.
pub struct Records {
    directory: PathBuf,
    from: Position,
    until: Option<Position>,
    walk: Option<SegmentWalk>,
    ended: bool,
}

impl Records {
    fn read_next(&mut self) -> Result<Option<Located>, ReadError> {
        loop {
            let walk = match &mut self.walk {
                Some(walk) => walk,
                None => match self.open_first()? {
                    Some(walk) => self.walk.insert(walk),
                    None => return Ok(None),
                },
            };
            if self.until.is_some_and(|until| walk.position() >= until) {
                return Ok(None);
            }
            match walk.next()? {
                Step::Frame(frame) => {
                    let record = record(&frame)?;
                    return Ok(Some(Located { position: frame.position, next: walk.position(), record }));
                }
                Step::Torn(_) if self.until.is_some() || has_segment(&self.directory, walk.header().number + 1) => {
                    return Err(ReadError::Damaged(Damage { at: walk.position(), kind: DamageKind::Incomplete }));
                }
                Step::Torn(_) => return Ok(None),
                Step::End => match open_following(&self.directory, walk)? {
                    Some(following) => self.walk = Some(following),
                    None => return Ok(None),
                },
            }
        }
    }

    fn open_first(&self) -> Result<Option<SegmentWalk>, ReadError> {
        if self.from == Position::START && !has_segment(&self.directory, 1) {
            return Ok(None);
        }
        let Opened::Walk(mut walk) = SegmentWalk::open(&self.directory, self.from.segment)? else { return Ok(None) };
        walk.seek(self.from.offset)?;
        Ok(Some(walk))
    }
}

impl Iterator for Records {
    type Item = Result<Located, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let item = self.read_next().transpose();
        self.ended = !matches!(item, Some(Ok(_)));
        item
    }
}

fn has_segment(directory: &Path, number: u64) -> bool {
    crate::segment::path(directory, number).exists()
}

fn open_following(directory: &Path, walk: &SegmentWalk) -> Result<Option<SegmentWalk>, ReadError> {
    let number = walk.header().number + 1;
    if !has_segment(directory, number) {
        return Ok(None);
    }
    let Opened::Walk(following) = SegmentWalk::open(directory, number)? else { return Ok(None) };
    if following.header().chain != walk.chain() {
        let at = Position { segment: number, offset: 0 };
        return Err(ReadError::Damaged(Damage { at, kind: DamageKind::NotContinued }));
    }
    Ok(Some(following))
}

fn record(frame: &Frame) -> Result<Record, ReadError> {
    serde_json::from_slice(&frame.payload)
        .map_err(|_| ReadError::Damaged(Damage { at: frame.position, kind: DamageKind::NotARecord }))
}
