//! The dependency policy of `deny.toml`, checked offline: licences, banned crates, known advisories.
//!
//! `cargo deny` reads the same file; it is not used here because every new machine would have to compile it. Advisories are a dated
//! list in `specs/advisories.txt`: `ID crate first-fixed-version`, one a line.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::run;

/// Licences that may be in the tree; an expression passes when one of its OR-alternatives consists of these.
const LICENCES: &[&str] = &[
    "MIT",
    "MIT-0",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "ISC",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "Unlicense",
    "MPL-2.0",
    "Zlib",
    "CC0-1.0",
    "0BSD",
    "BSL-1.0",
    "Unicode-3.0",
    "OpenSSL",
    "CDLA-Permissive-2.0",
];

/// Crates that must not be in the tree: a second TLS stack, crypto provider, HTTP client or calendar.
const BANNED: &[&str] = &["openssl", "openssl-sys", "native-tls", "ring", "reqwest", "chrono"];

/// Fails with every finding.
pub fn check() -> Result<()> {
    eprintln!("==> dependencies");
    let output = Command::new("cargo")
        .args([
            "metadata",
            "--format-version",
            "1",
            "--locked",
            "--all-features",
            "--filter-platform",
            "x86_64-unknown-linux-gnu",
        ])
        .current_dir(run::root())
        .output()
        .context("cannot start cargo metadata")?;
    ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let resolved: BTreeSet<&str> = metadata
        .pointer("/resolve/nodes")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|node| node.get("id")?.as_str())
        .collect();
    let advisories = fs::read_to_string(run::root().join("specs/advisories.txt")).context("specs/advisories.txt")?;
    let mut findings = Vec::new();
    for package in metadata.get("packages").and_then(Value::as_array).into_iter().flatten() {
        let text = |name: &str| package.get(name).and_then(Value::as_str).unwrap_or_default();
        if !resolved.contains(text("id")) {
            continue;
        }
        let (name, version) = (text("name"), text("version"));
        if BANNED.contains(&name) {
            findings.push(format!("{name} is banned"));
        }
        if !licence_allowed(text("license")) {
            findings.push(format!("{name} {version} has the licence '{}'", text("license")));
        }
        findings.extend(advisories.lines().filter_map(|line| advisory(line, name, version)));
    }
    if !findings.is_empty() {
        bail!("dependencies:\n  {}", findings.join("\n  "));
    }
    Ok(())
}

fn licence_allowed(expression: &str) -> bool {
    let flat = expression.replace(['(', ')'], " ").replace('/', " OR ");
    flat.split(" OR ").any(|alternative| {
        let mut parts = alternative.split(" AND ").map(str::trim).filter(|part| !part.is_empty()).peekable();
        parts.peek().is_some() && parts.all(|part| LICENCES.contains(&part))
    })
}

fn advisory(line: &str, name: &str, version: &str) -> Option<String> {
    let mut fields = line.split_whitespace();
    let (id, affected, fixed) = (fields.next()?, fields.next()?, fields.next()?);
    let applies = !id.starts_with('#') && affected == name && numbers(version) < numbers(fixed);
    applies.then(|| format!("{name} {version}: {id}, fixed in {fixed}"))
}

fn numbers(version: &str) -> Vec<u64> {
    let release = version.split(['-', '+']).next().unwrap_or_default();
    release.split('.').filter_map(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_below_the_fix_is_found_and_the_fix_itself_is_not() {
        assert!(advisory("RUSTSEC-1 h2 0.4.16", "h2", "0.4.9").is_some());
        assert!(advisory("RUSTSEC-1 h2 0.4.16", "h2", "0.4.16").is_none());
        assert!(advisory("RUSTSEC-1 h2 0.4.16", "h3", "0.4.9").is_none());
    }

    #[test]
    fn one_acceptable_alternative_is_enough_and_every_part_of_it_counts() {
        assert!(licence_allowed("MIT OR GPL-3.0"));
        assert!(licence_allowed("Unlicense/MIT"));
        assert!(!licence_allowed("MIT AND GPL-3.0"));
        assert!(!licence_allowed(""));
    }
}
