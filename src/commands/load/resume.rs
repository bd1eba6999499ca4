//! What an interrupted load remembers: for each source, how many of its items have been dealt with.
//!
//! One small file per source in the data directory, named by path, size and time of change, so that a changed file begins anew. It is written after each
//! commit and removed when the whole command is done. Losing it costs time and nothing else: loading again stores the same resources under the same ids.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use portcullis_jose::digest::sha256;
use serde::{Deserialize, Serialize};

use super::source::Source;

/// The folder in the data directory.
const FOLDER: &str = "load-progress";

#[derive(Debug, Serialize, Deserialize)]
struct Progress {
    source: String,
    items: u64,
}

/// Where the progress of one source is kept.
#[derive(Debug)]
pub struct Bookmark {
    path: PathBuf,
    label: String,
}

impl Bookmark {
    /// The bookmark of a source; `None` where a source cannot be told from another (standard input).
    pub fn of(directory: &Path, source: &Source) -> Option<Self> {
        let name: String = sha256(source.fingerprint.as_ref()?).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        Some(Self { path: directory.join(FOLDER).join(name + ".json"), label: source.label.clone() })
    }

    /// How many items an earlier load has dealt with.
    pub fn read(&self) -> u64 {
        let progress = fs::read(&self.path).ok().and_then(|bytes| serde_json::from_slice::<Progress>(&bytes).ok());
        progress.map_or(0, |progress| progress.items)
    }

    /// Remembers how many items have been dealt with.
    pub fn write(&self, items: u64) -> io::Result<()> {
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        let next = self.path.with_extension("next");
        fs::write(&next, serde_json::to_vec(&Progress { source: self.label.clone(), items })?)?;
        fs::rename(&next, &self.path)
    }

    /// Forgets the source, and the folder with the last one.
    pub fn remove(&self) {
        // What stays is only looked at when the same file is loaded again.
        let _ = fs::remove_file(&self.path);
        if let Some(folder) = self.path.parent() {
            let _ = fs::remove_dir(folder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::source::collect;
    use super::*;

    #[test]
    fn a_bookmark_belongs_to_one_content_of_one_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.ndjson");
        fs::write(&file, "{}\n").unwrap();
        let bookmark = || Bookmark::of(folder.path(), &collect(std::slice::from_ref(&file)).unwrap()[0]).unwrap();
        assert_eq!(bookmark().read(), 0);
        bookmark().write(512).unwrap();
        assert_eq!(bookmark().read(), 512);
        fs::write(&file, "{}\n{}\n").unwrap();
        assert_eq!(bookmark().read(), 0, "a changed file begins anew");
        fs::write(&file, "{}\n").unwrap();
        bookmark().write(3).unwrap();
        bookmark().remove();
        assert_eq!(bookmark().read(), 0);
    }

    #[test]
    fn a_damaged_bookmark_begins_anew_and_standard_input_has_none() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.json");
        fs::write(&file, "{}").unwrap();
        let bookmark = Bookmark::of(folder.path(), &collect(&[file]).unwrap()[0]).unwrap();
        bookmark.write(9).unwrap();
        fs::write(&bookmark.path, "{").unwrap();
        assert_eq!(bookmark.read(), 0);
        assert!(Bookmark::of(folder.path(), &collect(&["-".into()]).unwrap()[0]).is_none());
    }
}
