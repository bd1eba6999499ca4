//! The dependency policy of `deny.toml`, checked offline: licences, banned crates, known advisories.
//!
//! `cargo deny` reads the same file; it is not used here because every new machine would have to compile it. Advisories are a dated
//! list in `specs/advisories.txt`: `ID crate first-fixed-version`, one a line.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

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
    // `cargo tree` shows what is really built; `cargo metadata` also lists crates that only a weak feature names.
    let output = Command::new("cargo")
        .args(["tree", "--workspace", "--locked", "--all-features", "--target", "all", "--edges", "normal,build,dev"])
        .args(["--prefix", "none", "--format", "{p}|{l}"])
        .current_dir(run::root())
        .output()
        .context("cannot start cargo tree")?;
    ensure!(output.status.success(), "cargo tree: {}", String::from_utf8_lossy(&output.stderr));
    let advisories = fs::read_to_string(run::root().join("specs/advisories.txt")).context("specs/advisories.txt")?;
    let tree = String::from_utf8(output.stdout)?;
    let packages: BTreeSet<&str> = tree.lines().filter(|line| !line.is_empty()).collect();
    ensure!(packages.len() > 50, "cargo tree named only {} packages", packages.len());
    let mut findings = BTreeSet::new();
    for package in packages {
        let (name, version, licence) = fields(package).with_context(|| format!("cargo tree: {package}"))?;
        if BANNED.contains(&name) {
            findings.insert(format!("{name} is banned"));
        }
        if !licence_allowed(licence) {
            findings.insert(format!("{name} {version} has the licence '{licence}'"));
        }
        findings.extend(advisories.lines().filter_map(|line| advisory(line, name, version)));
    }
    if !findings.is_empty() {
        bail!("dependencies:\n  {}", findings.into_iter().collect::<Vec<_>>().join("\n  "));
    }
    Ok(())
}

/// Name, version and licence of a line such as `serde v1.0.0 (proc-macro)|MIT OR Apache-2.0 (*)`.
fn fields(line: &str) -> Option<(&str, &str, &str)> {
    let (package, licence) = line.split_once('|')?;
    let mut words = package.split(' ');
    Some((words.next()?, words.next()?.strip_prefix('v')?, licence.trim_end_matches(" (*)")))
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
