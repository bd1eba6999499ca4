//! `cargo xtask test`: the whole suite, in the order in which it fails fastest.

use std::time::Instant;

use anyhow::Result;

use crate::run::{step, succeeds};
use crate::{coverage, dependencies, packages};

/// Runs everything that CI runs and prints one closing line.
pub fn run() -> Result<()> {
    let started = Instant::now();
    step("format", "cargo", &["fmt", "--all", "--check"], &[])?;
    dependencies::check()?;
    coverage::check()?;
    packages::install()?;
    step("lints", "cargo", &["clippy", "--quiet", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"], &[])?;
    step("docs", "cargo", &["doc", "--quiet", "--workspace", "--no-deps", "--locked"], &[("RUSTDOCFLAGS", "-D warnings")])?;
    if succeeds("cargo", &["nextest", "--version"]) {
        step("tests", "cargo", &["nextest", "run", "--workspace", "--locked", "--no-fail-fast", "--status-level", "slow"], &[])?;
    } else {
        step("tests", "cargo", &["test", "--quiet", "--workspace", "--locked", "--no-fail-fast"], &[])?;
    }
    eprintln!("==> cargo xtask test: everything passed in {:.0} s", started.elapsed().as_secs_f64());
    Ok(())
}
