//! The data directory: what lies where, and the exclusive lock that gives it to one process.
//!
//! The directory is private to its owner (0700). `directory.toml` marks it as ours and says whether a demo made it; `lock` names the process that holds it.
//! The lock is the operating system's: it ends with the process, however that ends.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The layout that this program knows.
const VERSION: u32 = 1;
/// The file that marks a directory as ours.
const MARKER: &str = "directory.toml";
/// The file that is locked.
const LOCK: &str = "lock";
/// The longest lock file that is read, bytes.
const MAXIMUM_LOCK_LENGTH: u64 = 1024;

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// Another process holds it.
    #[error("the data directory is in use by process {pid} ({command})")]
    HeldBy {
        /// The process; 0 where the lock file does not say.
        pid: u32,
        /// Its command.
        command: String,
    },
    /// There is none.
    #[error("{0} is not a data directory of Portcullis")]
    Absent(PathBuf),
    /// There is one already.
    #[error("{0} is a data directory already")]
    Exists(PathBuf),
    /// Something else lies there.
    #[error("{0} is not empty and no data directory of Portcullis")]
    NotEmpty(PathBuf),
    /// Others than the owner may look into it.
    #[error("{0} is open to others than its owner: chmod 700")]
    Exposed(PathBuf),
    /// The marker file is of a newer program or damaged.
    #[error("{path} cannot be understood: {reason}")]
    Malformed {
        /// The marker file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The file system refused.
    #[error("{path}: {source}")]
    File {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Marker {
    version: u32,
    demo: bool,
}

/// A data directory that belongs to this process until the value is dropped.
#[derive(Debug)]
pub struct DataDirectory {
    root: PathBuf,
    demo: bool,
    /// Held open: closing it gives the directory back.
    _lock: File,
}

impl DataDirectory {
    /// Makes a directory (or takes an empty one) and locks it. `command` is what another process is told about this one.
    pub fn create(root: &Path, demo: bool, command: &str) -> Result<Self, DirectoryError> {
        DirBuilder::new().recursive(true).mode(0o700).create(root).map_err(|source| failed(root, source))?;
        let marker = root.join(MARKER);
        if marker.exists() {
            return Err(DirectoryError::Exists(root.into()));
        }
        require_only_lock(root)?;
        require_private(root)?;
        let lock = lock(root, command)?;
        // Another process may have been between the look and the lock.
        if marker.exists() {
            return Err(DirectoryError::Exists(root.into()));
        }
        let text = toml::to_string(&Marker { version: VERSION, demo }).map_err(|error| malformed(&marker, &error.to_string()))?;
        write_new(&marker, text.as_bytes()).map_err(|source| failed(&marker, source))?;
        File::open(root).and_then(|directory| directory.sync_all()).map_err(|source| failed(root, source))?;
        Ok(Self { root: root.into(), demo, _lock: lock })
    }

    /// Locks an existing directory.
    pub fn open(root: &Path, command: &str) -> Result<Self, DirectoryError> {
        let path = root.join(MARKER);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(DirectoryError::Absent(root.into())),
            Err(source) => return Err(failed(&path, source)),
        };
        let marker: Marker = toml::from_str(&text).map_err(|error| malformed(&path, error.message()))?;
        if marker.version != VERSION {
            return Err(malformed(&path, &format!("layout {} where this program knows {VERSION}", marker.version)));
        }
        require_private(root)?;
        let lock = lock(root, command)?;
        Ok(Self { root: root.into(), demo: marker.demo, _lock: lock })
    }

    /// Whether a directory is marked as ours.
    pub fn exists(root: &Path) -> bool {
        root.join(MARKER).exists()
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether `portcullis demo` made it.
    pub fn is_demo(&self) -> bool {
        self.demo
    }

    /// The SQLite file.
    pub fn database(&self) -> PathBuf {
        self.root.join("portcullis.db")
    }

    /// The search index of the audit trail; made anew from the ledger where it is missing.
    pub fn audit_index(&self) -> PathBuf {
        self.root.join("audit-index.db")
    }

    /// The folder of the audit ledger.
    pub fn ledger(&self) -> PathBuf {
        self.root.join("ledger")
    }

    /// The socket for commands beside a running server.
    pub fn admin_socket(&self) -> PathBuf {
        Self::admin_socket_of(&self.root)
    }

    /// The same for a directory that another process holds.
    pub fn admin_socket_of(root: &Path) -> PathBuf {
        root.join("admin.sock")
    }

    /// The root key; inside the directory only in a demo.
    pub fn root_key(&self) -> PathBuf {
        self.root.join("root.key")
    }

    /// The folder of TLS certificates and keys.
    pub fn tls(&self) -> PathBuf {
        self.root.join("tls")
    }

    /// What a demo tells programs that drive it.
    pub fn demo_file(&self) -> PathBuf {
        self.root.join("demo.json")
    }
}

fn require_private(root: &Path) -> Result<(), DirectoryError> {
    let mode = fs::metadata(root).map_err(|source| failed(root, source))?.mode();
    if mode & 0o077 == 0 { Ok(()) } else { Err(DirectoryError::Exposed(root.into())) }
}

/// A lock file alone is what an interrupted creation leaves.
fn require_only_lock(root: &Path) -> Result<(), DirectoryError> {
    for entry in fs::read_dir(root).map_err(|source| failed(root, source))? {
        if entry.map_err(|source| failed(root, source))?.file_name() != LOCK {
            return Err(DirectoryError::NotEmpty(root.into()));
        }
    }
    Ok(())
}

fn lock(root: &Path, command: &str) -> Result<File, DirectoryError> {
    let path = root.join(LOCK);
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
    let mut file = opened.map_err(|source| failed(&path, source))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(holder(&file)),
        Err(TryLockError::Error(source)) => return Err(failed(&path, source)),
    }
    let name = |file: &mut File| {
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(format!("{}\n{}\n", std::process::id(), command.replace('\n', " ")).as_bytes())
    };
    name(&mut file).map_err(|source| failed(&path, source))?;
    Ok(file)
}

fn holder(file: &File) -> DirectoryError {
    let mut text = String::new();
    // Who holds it is told as far as it can be read.
    if file.take(MAXIMUM_LOCK_LENGTH).read_to_string(&mut text).is_err() {
        text.clear();
    }
    let mut lines = text.lines();
    let pid = lines.next().and_then(|line| line.parse().ok()).unwrap_or(0);
    DirectoryError::HeldBy { pid, command: lines.next().unwrap_or("unknown").to_owned() }
}

fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

fn failed(path: &Path, source: io::Error) -> DirectoryError {
    DirectoryError::File { path: path.into(), source }
}

fn malformed(path: &Path, reason: &str) -> DirectoryError {
    DirectoryError::Malformed { path: path.into(), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn place() -> (tempfile::TempDir, PathBuf) {
        let parent = tempfile::tempdir().unwrap();
        let root = parent.path().join("a/b");
        (parent, root)
    }

    #[test]
    fn a_directory_is_private_and_remembers_who_made_it() {
        let (_parent, root) = place();
        let made = DataDirectory::create(&root, true, "demo").unwrap();
        assert_eq!(fs::metadata(&root).unwrap().mode() & 0o777, 0o700);
        for file in [MARKER, LOCK] {
            assert_eq!(fs::metadata(root.join(file)).unwrap().mode() & 0o777, 0o600);
        }
        drop(made);
        let opened = DataDirectory::open(&root, "demo").unwrap();
        assert!(opened.is_demo());
        assert_eq!(opened.database(), root.join("portcullis.db"));
    }

    #[test]
    fn the_second_process_learns_who_holds_it() {
        let (_parent, root) = place();
        let first = DataDirectory::create(&root, false, "serve\n--config x").unwrap();
        match DataDirectory::open(&root, "load") {
            Err(DirectoryError::HeldBy { pid, command }) => {
                assert_eq!((pid, command.as_str()), (std::process::id(), "serve --config x"))
            }
            other => panic!("{other:?}"),
        }
        drop(first);
        assert!(!DataDirectory::open(&root, "load").unwrap().is_demo());
    }

    #[test]
    fn what_is_not_ours_is_refused_and_left_alone() {
        let (parent, root) = place();
        assert!(matches!(DataDirectory::open(&root, "x"), Err(DirectoryError::Absent(_))));
        fs::write(parent.path().join("file"), "theirs").unwrap();
        assert!(matches!(DataDirectory::create(parent.path(), false, "x"), Err(DirectoryError::NotEmpty(_))));
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 1);
        drop(DataDirectory::create(&root, false, "x").unwrap());
        assert!(matches!(DataDirectory::create(&root, false, "x"), Err(DirectoryError::Exists(_))));
    }

    #[test]
    fn an_exposed_directory_is_refused() {
        let (_parent, root) = place();
        drop(DataDirectory::create(&root, false, "x").unwrap());
        fs::set_permissions(&root, fs::Permissions::from_mode(0o750)).unwrap();
        assert!(matches!(DataDirectory::open(&root, "x"), Err(DirectoryError::Exposed(_))));
    }

    #[test]
    fn a_marker_of_another_version_or_with_unknown_keys_is_refused() {
        let (_parent, root) = place();
        drop(DataDirectory::create(&root, false, "x").unwrap());
        for text in ["version = 2\ndemo = false", "version = 1\ndemo = false\nmore = 1", "", "version = "] {
            fs::write(root.join(MARKER), text).unwrap();
            assert!(matches!(DataDirectory::open(&root, "x"), Err(DirectoryError::Malformed { .. })), "{text}");
        }
    }

    #[test]
    fn an_interrupted_creation_can_be_repeated() {
        let (_parent, root) = place();
        drop(DataDirectory::create(&root, false, "x").unwrap());
        fs::remove_file(root.join(MARKER)).unwrap();
        DataDirectory::create(&root, false, "x").unwrap();
    }
}
