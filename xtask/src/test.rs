//! `cargo xtask test`: the whole suite, in the order in which it fails fastest.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::Result;

use crate::run::{step, succeeds};
use crate::{coverage, dependencies, packages};

/// Questions of a long run to each of the non-interference properties (tests/it/non_interference).
const LONG_RUN: (&str, &str) = ("PORTCULLIS_CASES", "100000");

/// How much is tried where chance chooses what is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// As in every run.
    Usual,
    /// For an hour when nobody waits.
    Long,
}

/// A folder in memory for the data directories of tests: there are a thousand, and none has to outlive its test, though each flushes every record. What a
/// kill leaves is the same there; a power cut is not tested by these.
pub struct Scratch(PathBuf);

impl Scratch {
    /// Where memory is a file system, and free bytes of it.
    const MEMORY: &str = "/dev/shm";
    const LEAST_FREE: u64 = 2 << 30;
    const PREFIX: &str = "portcullis-tests-";

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// One of this run; `None` where there is too little room, as in a container that was not given any.
    pub fn in_memory() -> Option<Self> {
        let output = Command::new("df").args(["--output=avail", "--block-size=1", Self::MEMORY]).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Self::remove_abandoned();
        let free = text.lines().next_back()?.trim().parse::<u64>().ok()?;
        let folder = PathBuf::from(Self::MEMORY).join(format!("{}{}", Self::PREFIX, std::process::id()));
        (free >= Self::LEAST_FREE && std::fs::create_dir(&folder).is_ok()).then_some(Self(folder))
    }

    /// Removes what runs have left that were killed.
    fn remove_abandoned() {
        for entry in std::fs::read_dir(Self::MEMORY).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let process = name.strip_prefix(Self::PREFIX).filter(|process| process.parse::<u32>().is_ok());
            if process.is_some_and(|process| !Path::new("/proc").join(process).exists()) {
                drop(Self(entry.path()));
            }
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("xtask: {} is left: {error}", self.0.display());
        }
    }
}

/// Runs everything that CI runs and prints one closing line.
pub fn run(extent: Extent) -> Result<()> {
    let started = Instant::now();
    step("format", "cargo", &["fmt", "--all", "--check"], &[])?;
    dependencies::check()?;
    coverage::check()?;
    packages::install()?;
    step("lints", "cargo", &["clippy", "--quiet", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"], &[])?;
    step("docs", "cargo", &["doc", "--quiet", "--workspace", "--no-deps", "--locked"], &[("RUSTDOCFLAGS", "-D warnings")])?;
    let scratch = Scratch::in_memory();
    let folder = scratch.as_ref().map(|scratch| scratch.0.display().to_string());
    let mut variables: Vec<(&str, &str)> = if extent == Extent::Long { vec![LONG_RUN] } else { Vec::new() };
    variables.extend(folder.as_deref().map(|folder| ("TMPDIR", folder)));
    if succeeds("cargo", &["nextest", "--version"]) {
        let arguments = ["nextest", "run", "--workspace", "--locked", "--no-fail-fast", "--status-level", "slow"];
        step("tests", "cargo", &arguments, &variables)?;
    } else {
        step("tests", "cargo", &["test", "--quiet", "--workspace", "--locked", "--no-fail-fast"], &variables)?;
    }
    eprintln!("==> cargo xtask test: everything passed in {:.0} s", started.elapsed().as_secs_f64());
    Ok(())
}
