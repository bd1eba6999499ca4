//! Where resources come from: files, folders, standard input, plain or gzip.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

use flate2::bufread::MultiGzDecoder;

use crate::failure::{Failure, Outcome};

/// The first bytes of a gzip file (RFC 1952, section 2.3.1).
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// A byte order mark in UTF-8. "Implementations that parse JSON texts MAY ignore the presence of a byte order mark" (RFC 8259, section 8.1).
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// What is read at once.
const BUFFER: usize = 256 * 1024;
/// How deep folders are searched.
const MAXIMUM_DEPTH: usize = 32;

/// One file, or standard input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// As it is named in messages.
    pub label: String,
    /// The file's own name, for the audit record.
    pub name: String,
    /// The file; `None`: standard input.
    pub path: Option<PathBuf>,
    /// Its bytes, where they are known.
    pub size: Option<u64>,
    /// What tells this content from another one of the same file; `None` where nothing does.
    pub fingerprint: Option<String>,
}

impl Source {
    /// Standard input.
    fn standard_input() -> Self {
        Self { label: "-".into(), name: "standard input".into(), path: None, size: None, fingerprint: None }
    }

    fn file(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        let modified = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let real = fs::canonicalize(path)?;
        Ok(Self {
            label: path.display().to_string(),
            name: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            path: Some(path.to_owned()),
            size: Some(metadata.len()),
            fingerprint: Some(format!("{}\0{}\0{modified}", real.display(), metadata.len())),
        })
    }

    /// A file that is named and cannot be looked at; opening it says why.
    fn unreadable(path: &Path) -> Self {
        Self {
            label: path.display().to_string(),
            name: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            path: Some(path.to_owned()),
            size: Some(0),
            fingerprint: None,
        }
    }

    /// Whether the name says that each line is a document.
    pub fn named_as_lines(&self) -> bool {
        let name = self.name.strip_suffix(".gz").unwrap_or(&self.name);
        name.ends_with(".ndjson") || name.ends_with(".jsonl")
    }

    /// Opens it; `read` counts the bytes that were taken from the file.
    pub fn open(&self, read: &Arc<AtomicU64>) -> io::Result<Box<dyn BufRead + Send>> {
        let raw: Box<dyn Read + Send> = match &self.path {
            Some(path) => Box::new(File::open(path)?),
            None => Box::new(io::stdin()),
        };
        let mut buffered = BufReader::with_capacity(BUFFER, Counting { inner: raw, read: Arc::clone(read) });
        // Two bytes may arrive one by one from a pipe; a file of one byte is no gzip file.
        if buffered.fill_buf()?.starts_with(&GZIP) {
            let unpacked = MultiGzDecoder::new(buffered);
            return Ok(Box::new(BufReader::with_capacity(BUFFER, WithoutMark::new(unpacked))));
        }
        Ok(Box::new(BufReader::with_capacity(BUFFER, WithoutMark::new(buffered))))
    }
}

/// Passes over a byte order mark at the very beginning.
struct WithoutMark<R> {
    inner: R,
    /// What was read to find out, and is handed over first.
    beginning: Option<io::Cursor<Vec<u8>>>,
}

impl<R: Read> WithoutMark<R> {
    fn new(inner: R) -> Self {
        Self { inner, beginning: None }
    }

    fn begin(&mut self) -> io::Result<io::Cursor<Vec<u8>>> {
        let mut beginning = Vec::with_capacity(BYTE_ORDER_MARK.len());
        let length = u64::try_from(BYTE_ORDER_MARK.len()).unwrap_or_default();
        self.inner.by_ref().take(length).read_to_end(&mut beginning)?;
        if beginning == BYTE_ORDER_MARK {
            beginning.clear();
        }
        Ok(io::Cursor::new(beginning))
    }
}

impl<R: Read> Read for WithoutMark<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut beginning = match self.beginning.take() {
            Some(beginning) => beginning,
            None => self.begin()?,
        };
        let count = beginning.read(buffer)?;
        self.beginning = Some(beginning);
        if count > 0 { Ok(count) } else { self.inner.read(buffer) }
    }
}

struct Counting<R> {
    inner: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.read.fetch_add(u64::try_from(count).unwrap_or(0), Ordering::Relaxed);
        Ok(count)
    }
}

/// The sources that the arguments name, folders searched in the order of their names.
pub fn collect(arguments: &[PathBuf]) -> Outcome<Vec<Source>> {
    let mut sources = Vec::new();
    for argument in arguments {
        if argument.as_os_str() == "-" {
            if sources.iter().any(|source: &Source| source.path.is_none()) {
                return Err(Failure::usage("Standard input (-) was named twice"));
            }
            sources.push(Source::standard_input());
            continue;
        }
        let cannot = |error: io::Error| Failure::failed(format!("Cannot read {}: {error}", argument.display()));
        if fs::metadata(argument).map_err(cannot)?.is_dir() {
            let before = sources.len();
            search(argument, 0, &mut sources).map_err(cannot)?;
            if sources.len() == before {
                return Err(Failure::failed(format!("{} holds no .json, .ndjson or .gz file", argument.display())));
            }
        } else {
            sources.push(Source::file(argument).map_err(cannot)?);
        }
    }
    Ok(sources)
}

fn search(folder: &Path, depth: usize, sources: &mut Vec<Source>) -> io::Result<()> {
    if depth > MAXIMUM_DEPTH {
        return Err(io::Error::other("folders are nested too deeply"));
    }
    let mut entries = match fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
        Ok(entries) => entries,
        // Told like a file that cannot be opened, so that the rest is loaded.
        Err(_) if depth > 0 => {
            sources.push(Source::unreadable(folder));
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        // A link to a folder could lead round in a circle.
        if entry.file_type()?.is_dir() {
            search(&path, depth + 1, sources)?;
        } else if path.extension().is_some_and(|extension| ["json", "ndjson", "gz"].iter().any(|known| extension == *known)) {
            match fs::metadata(&path) {
                Ok(metadata) if metadata.is_file() => sources.push(Source::file(&path)?),
                // A pipe or a device in a folder is no data.
                Ok(_) => {}
                Err(_) => sources.push(Source::unreadable(&path)),
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_gives_its_resources_in_order_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("b")).unwrap();
        for name in ["z.json", "a.ndjson", "b/c.ndjson.gz", "readme.md", "b/x.xml"] {
            fs::write(folder.path().join(name), "{}").unwrap();
        }
        let sources = collect(&[folder.path().to_owned()]).unwrap();
        let names: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
        assert_eq!(names, ["a.ndjson", "c.ndjson.gz", "z.json"]);
        assert!(sources[0].named_as_lines() && sources[1].named_as_lines() && !sources[2].named_as_lines());
    }

    fn content(path: &Path) -> Vec<u8> {
        let mut bytes = Vec::new();
        let source = collect(&[path.to_owned()]).unwrap().remove(0);
        source.open(&Arc::default()).unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn a_byte_order_mark_at_the_beginning_is_passed_over_also_in_a_packed_file() {
        use std::io::Write;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        for (written, read) in [
            (&b"\xef\xbb\xbf{}"[..], &b"{}"[..]),
            (b"{}\xef\xbb\xbf", b"{}\xef\xbb\xbf"),
            (b"\xef\xbb", b"\xef\xbb"),
            (b"{", b"{"),
            (b"", b""),
        ] {
            fs::write(&path, written).unwrap();
            assert_eq!(content(&path), read, "{written:?}");
            let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            packed.write_all(written).unwrap();
            fs::write(&path, packed.finish().unwrap()).unwrap();
            assert_eq!(content(&path), read, "packed {written:?}");
        }
    }

    #[test]
    fn a_link_that_leads_nowhere_is_a_source_that_cannot_be_opened() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(folder.path().join("absent"), folder.path().join("a.ndjson")).unwrap();
        fs::write(folder.path().join("b.ndjson"), "{}").unwrap();
        let sources = collect(&[folder.path().to_owned()]).unwrap();
        assert_eq!(sources.iter().map(|source| source.name.as_str()).collect::<Vec<_>>(), ["a.ndjson", "b.ndjson"]);
        assert!(sources[0].open(&Arc::default()).is_err() && sources[1].open(&Arc::default()).is_ok());
    }

    #[test]
    fn what_is_absent_empty_or_named_twice_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(collect(&[folder.path().to_owned()]).is_err());
        assert!(collect(&[folder.path().join("absent.json")]).is_err());
        assert!(collect(&["-".into(), "-".into()]).is_err());
    }

    #[test]
    fn another_content_has_another_fingerprint() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        fs::write(&path, "{}").unwrap();
        let before = Source::file(&path).unwrap().fingerprint;
        assert_eq!(before, Source::file(&path).unwrap().fingerprint);
        fs::write(&path, "{ }").unwrap();
        assert_ne!(before, Source::file(&path).unwrap().fingerprint);
    }
}
