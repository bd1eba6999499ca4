//! Programs of other authors that tests drive, from their registries: had once for each version, into a folder of Cargo's.
//!
//! Where a registry cannot be reached a test says so and ends, so that the product is built and tested without a network. `PORTCULLIS_FOREIGN=required` makes
//! that a failure: nobody is told then that a client works which was never tried.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A folder with these files, in which these commands were run, one after another; `None` where one of them failed.
pub fn had(name: &str, files: &[(&str, &str)], commands: &[&[&str]]) -> Option<PathBuf> {
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if !kept.exists() {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        for (file, text) in files {
            std::fs::write(folder.path().join(file), text).unwrap();
        }
        for command in commands {
            let output = Command::new(command[0]).args(&command[1..]).current_dir(&folder).output();
            if !output.is_ok_and(|output| output.status.success()) {
                absent(&format!("{name} could not be had ({})", command.join(" ")));
                return None;
            }
        }
        // Another test process may have been faster.
        let _ = std::fs::rename(folder.path(), &kept);
    }
    Some(kept)
}

/// Says that something was not tried for this reason, or fails.
pub fn absent(why: &str) {
    assert!(
        std::env::var_os("PORTCULLIS_FOREIGN").is_none_or(|wanted| wanted != "required"),
        "{why}, and PORTCULLIS_FOREIGN=required"
    );
    println!("{why}, so it was not tried");
}

/// A folder with npm `openid-client` and a program that uses it.
pub fn openid_client((name, program): (&str, &str)) -> Option<PathBuf> {
    let package = ("package.json", r#"{"private":true,"type":"module"}"#);
    let install = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "openid-client@6.8.9", "jose@6.2.17"];
    let folder = had("npm-openid-client-6.8.9", &[package], &[&install])?;
    std::fs::write(folder.join(name), program).unwrap();
    Some(folder)
}
