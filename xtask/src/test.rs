//! `cargo xtask test`: the whole suite, in the order in which it fails fastest.

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

/// Runs everything that CI runs and prints one closing line.
pub fn run(extent: Extent) -> Result<()> {
    let started = Instant::now();
    step("format", "cargo", &["fmt", "--all", "--check"], &[])?;
    dependencies::check()?;
    coverage::check()?;
    packages::install()?;
    step("lints", "cargo", &["clippy", "--quiet", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"], &[])?;
    step("docs", "cargo", &["doc", "--quiet", "--workspace", "--no-deps", "--locked"], &[("RUSTDOCFLAGS", "-D warnings")])?;
    let variables: &[(&str, &str)] = if extent == Extent::Long { &[LONG_RUN] } else { &[] };
    if succeeds("cargo", &["nextest", "--version"]) {
        let arguments = ["nextest", "run", "--workspace", "--locked", "--no-fail-fast", "--status-level", "slow"];
        step("tests", "cargo", &arguments, variables)?;
    } else {
        step("tests", "cargo", &["test", "--quiet", "--workspace", "--locked", "--no-fail-fast"], variables)?;
    }
    eprintln!("==> cargo xtask test: everything passed in {:.0} s", started.elapsed().as_secs_f64());
    Ok(())
}
