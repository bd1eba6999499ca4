//! Segment files that fail when the test says so.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use portcullis_audit::storage::{FileSegments, SegmentFile, SegmentStorage};

/// Real files, until [`FaultySegments::fail`].
#[derive(Clone, Debug, Default)]
pub struct FaultySegments {
    failing: Arc<AtomicBool>,
}

struct FaultyFile {
    file: Box<dyn SegmentFile>,
    failing: Arc<AtomicBool>,
}

impl FaultySegments {
    /// From now on every write and flush fails as on a full disk.
    pub fn fail(&self) {
        self.failing.store(true, Ordering::SeqCst);
    }
}

impl SegmentStorage for FaultySegments {
    fn create(&self, path: &Path) -> io::Result<Box<dyn SegmentFile>> {
        Ok(Box::new(FaultyFile { file: FileSegments.create(path)?, failing: Arc::clone(&self.failing) }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn SegmentFile>> {
        Ok(Box::new(FaultyFile { file: FileSegments.open(path)?, failing: Arc::clone(&self.failing) }))
    }
}

impl FaultyFile {
    fn check(&self) -> io::Result<()> {
        if self.failing.load(Ordering::SeqCst) { Err(io::Error::from(io::ErrorKind::StorageFull)) } else { Ok(()) }
    }
}

impl SegmentFile for FaultyFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.check()?;
        self.file.append(bytes)
    }

    fn sync_data(&mut self) -> io::Result<()> {
        self.check()?;
        self.file.sync_data()
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.file.truncate(length)
    }
}
