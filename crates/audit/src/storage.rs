//! How segment files are written: a trait, so that tests can make writing fail, and the real thing.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// Makes and opens segment files for writing. Reading always uses plain files.
pub trait SegmentStorage: Send + Sync {
    /// Makes a file that does not exist yet and makes its name durable.
    fn create(&self, path: &Path) -> io::Result<Box<dyn SegmentFile>>;

    /// Opens an existing file to append to it.
    fn open(&self, path: &Path) -> io::Result<Box<dyn SegmentFile>>;
}

/// One segment file that is open for appending.
pub trait SegmentFile: Send {
    /// Appends all bytes, or fails with an unknown part of them written.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Returns when everything appended so far survives a loss of power.
    fn sync_data(&mut self) -> io::Result<()>;

    /// Cuts the file to this length.
    fn truncate(&mut self, length: u64) -> io::Result<()>;
}

/// Segment files in a directory of the local file system, readable by their owner only.
#[derive(Clone, Copy, Debug, Default)]
pub struct FileSegments;

impl SegmentStorage for FileSegments {
    fn create(&self, path: &Path) -> io::Result<Box<dyn SegmentFile>> {
        let mut options = OpenOptions::new();
        options.append(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path)?;
        if let Some(directory) = path.parent() {
            File::open(directory)?.sync_all()?;
        }
        Ok(Box::new(OpenFile(file)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn SegmentFile>> {
        Ok(Box::new(OpenFile(OpenOptions::new().append(true).open(path)?)))
    }
}

struct OpenFile(File);

impl SegmentFile for OpenFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn sync_data(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }
}
