//! Running other programs.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

/// The repository's root.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(PathBuf::new, PathBuf::from)
}

/// Runs a step of the suite: says what it is, and how long it took; an exit code other than 0 is an error.
pub fn step(name: &str, program: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Result<()> {
    eprintln!("==> {name}");
    let started = Instant::now();
    let status = Command::new(program)
        .args(arguments)
        .envs(environment.iter().copied())
        .current_dir(root())
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("cannot start {program}"))?;
    if !status.success() {
        bail!("{name} failed: {program} {}", arguments.join(" "));
    }
    eprintln!("    {name}: {:.0} s", started.elapsed().as_secs_f64());
    Ok(())
}

/// Whether a program runs and says 0.
pub fn succeeds(program: &str, arguments: &[&str]) -> bool {
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
